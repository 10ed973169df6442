//! What is live: the head that grows, generations waiting to be sealed, segments.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use rustc_hash::FxHashSet;

use crate::bytes::{Seed, Writer as ByteWriter};
use crate::catalog::{Manifest, SegmentPart, Snapshot};
use crate::error::{Error, ErrorKind, Result};
use crate::head::{ChapterBuilder, FrozenChapter, Mark, SpanIds};
use crate::log::{FileId, LogWriter};
use crate::options::Options;
use crate::os::{Clock, Condvar, LockGuard, Mutex, MutexGuard, Storage};

use super::acknowledged::Acknowledged;
use super::clock::RetentionClock;
use super::generation::Generation;
use super::recovery::RecoveryReport;
use super::refresh::Footprint;
use super::seal::SealSummary;
use super::sealed_spans::SealedSpans;
use super::work::{Counters, Labour, Work};

/// Sixteenths of the memory budget at which a head is sealed: the rest is for the head that follows and for the
/// sealing itself.
const SEAL_SIXTEENTHS: usize = 5;
/// Sixteenths of the budget at which appends wait.
const FULL_SIXTEENTHS: usize = 11;

/// The engine behind a store.
pub struct Engine {
    pub(super) options: Options,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) clock: Arc<dyn Clock>,
    /// What only a writer has; `None` in a store opened read-only.
    pub(super) writer: Option<Writer>,
    pub(super) store_id: u64,
    pub(super) live: Mutex<Live>,
    /// Told when generations come or go, and on closing.
    pub(super) changed: Condvar,
    /// Held while a generation is sealed.
    pub(super) sealing: Mutex<()>,
    /// Held while segments are merged or removed: one at a time rearranges what is sealed.
    pub(super) upkeep: Mutex<()>,
    pub(super) retention: Mutex<RetentionClock>,
    /// Up to where appends have returned.
    pub(super) acknowledged: Arc<Acknowledged>,
    /// How the files looked when a read-only store was last read.
    pub(super) footprint: Mutex<Footprint>,
    pub(super) work: Counters,
    pub(super) recovery: RecoveryReport,
}

/// The writing side.
pub(super) struct Writer {
    pub manifest: Manifest,
    pub log: LogWriter,
    /// Kept for life.
    pub _lock: Box<dyn LockGuard>,
}

/// What the mutex guards.
pub(super) struct Live {
    pub segments: Vec<SegmentPart>,
    pub generations: VecDeque<Arc<Generation>>,
    /// Number of the next generation.
    pub next_generation: u64,
    pub head: Head,
    /// Sealed spans of late traces, by trace and fingerprint, to compare what arrives with.
    pub sealed_spans: SealedSpans,
    /// Damaged segments, which merges leave alone.
    pub unmergeable: FxHashSet<FileId>,
    /// Why appends are refused, if they are.
    pub closed: Option<String>,
    /// What was sealed since the store was opened.
    pub sealed: SealSummary,
    /// Why the last attempt to seal failed, until one succeeds.
    pub seal_error: Option<Error>,
}

/// The generation that takes spans.
pub(super) struct Head {
    pub builder: ChapterBuilder,
    pub chapter: u32,
    /// Up to where the active chapter stands in the log.
    pub logged: Mark,
    /// Where the next record of the log is put together.
    pub record: ByteWriter,
    pub frozen: Vec<Arc<FrozenChapter>>,
    pub frozen_bytes: usize,
    pub ids: SpanIds,
    pub logs: Vec<FileId>,
    pub first_sequence: u64,
    pub next_sequence: u64,
    /// A copy of the active chapter for readers, as long as it is current.
    pub copy: Option<Arc<FrozenChapter>>,
    /// True after a failed append to the log: a new file is begun first.
    pub rotate_first: bool,
    /// True if the log holds deletes: it must go with a publication even if no span is left.
    pub has_deletes: bool,
    /// Rows that were deleted and that its logs still hold.
    pub dead_rows: u64,
    /// First and last time spans were received, by the retention clock; `None` before the first.
    pub received: Option<(u64, u64)>,
}

/// Counts that cost nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineStats {
    /// Heap bytes of spans not yet sealed.
    pub head_bytes: u64,
    /// Sequence of the next span.
    pub next_sequence: u64,
    /// Rows that were deleted from the head and that logs still hold.
    pub dead_rows: u64,
}

impl Head {
    pub fn new(log: Option<FileId>, sequence: u64) -> Self {
        Self {
            builder: ChapterBuilder::default(),
            chapter: 0,
            logged: Mark::default(),
            record: ByteWriter::new(),
            frozen: Vec::new(),
            frozen_bytes: 0,
            ids: SpanIds::default(),
            logs: log.into_iter().collect(),
            first_sequence: sequence,
            next_sequence: sequence,
            copy: None,
            rotate_first: false,
            has_deletes: false,
            dead_rows: 0,
            received: None,
        }
    }

    /// Takes note that spans were received now, by the retention clock.
    pub fn received_at(&mut self, now: u64) {
        self.received = Some(self.received.map_or((now, now), |(first, _)| (first, now)));
    }

    pub fn bytes(&self) -> usize {
        self.frozen_bytes + self.builder.chapter().heap_bytes() + self.ids.heap_bytes()
    }

    pub fn is_empty(&self) -> bool {
        self.frozen.is_empty() && self.builder.chapter().rows.is_empty() && !self.has_deletes
    }

    /// Ends the active chapter and begins the next.
    pub fn freeze_chapter(&mut self) {
        let builder = std::mem::take(&mut self.builder);
        let mut chapter = builder.into_chapter();
        chapter.shrink();
        self.frozen_bytes += chapter.heap_bytes();
        if !chapter.rows.is_empty() {
            self.frozen.push(Arc::new(FrozenChapter::new(chapter)));
        }
        self.chapter += 1;
        self.logged = Mark::default();
        self.copy = None;
    }

    /// The chapters as readers see them.
    pub fn chapters(&mut self) -> Vec<Arc<FrozenChapter>> {
        let mut out = self.frozen.clone();
        let active = self.builder.chapter();
        if !active.rows.is_empty() {
            let copy = self.copy.get_or_insert_with(|| Arc::new(FrozenChapter::new(active.clone())));
            out.push(copy.clone());
        }
        out
    }
}

impl Live {
    /// Heap bytes of spans not yet sealed.
    pub fn head_bytes(&self) -> usize {
        self.head.bytes() + self.generations.iter().map(|g| g.bytes).sum::<usize>()
    }

    /// When spans not yet sealed were received last, by the retention clock.
    pub fn last_received(&self) -> Option<u64> {
        let sealing = self.generations.iter().map(|g| g.received.1);
        sealing.chain(self.head.received.map(|(_, last)| last)).max()
    }
}

impl Engine {
    pub(super) fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn writer(&self) -> Result<&Writer> {
        let refuse = || Error::invalid("the store was opened read-only; open it for writing");
        self.writer.as_ref().ok_or_else(refuse)
    }

    pub(super) fn seed(&self, id: FileId) -> Seed {
        Seed { store: self.store_id, file: id.0 }
    }

    /// Head bytes at which a generation is sealed.
    pub(super) fn seal_at_bytes(&self) -> usize {
        self.options.memory_budget_bytes / 16 * SEAL_SIXTEENTHS
    }

    /// Head bytes at which appends wait or are refused.
    pub(super) fn full_at_bytes(&self) -> usize {
        self.options.memory_budget_bytes / 16 * FULL_SIXTEENTHS
    }

    /// A pinned list of parts.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let mut live = self.lock();
        let mut chapters: Vec<Arc<FrozenChapter>> =
            live.generations.iter().flat_map(|g| g.chapters.iter().cloned()).collect();
        chapters.extend(live.head.chapters());
        Arc::new(Snapshot::new(live.segments.clone(), chapters))
    }

    /// Runs `work` and counts the time it takes.
    pub(super) fn timed<T>(&self, labour: Labour, work: impl FnOnce() -> T) -> T {
        self.work.time(labour, self.clock.as_ref(), work)
    }

    /// What was done since the store was opened.
    pub fn work(&self) -> Work {
        self.work.read()
    }

    /// What opening found and lost.
    pub fn recovery(&self) -> &RecoveryReport {
        &self.recovery
    }

    /// The options the store was opened with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The storage the store lies on.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Where time comes from.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Id of the store, mixed into every checksum.
    pub fn store_id(&self) -> u64 {
        self.store_id
    }

    /// True if the store was opened read-only.
    pub fn is_read_only(&self) -> bool {
        self.writer.is_none()
    }

    /// Counts that cost nothing.
    pub fn stats(&self) -> EngineStats {
        let live = self.lock();
        let dead_rows = live.head.dead_rows + live.generations.iter().map(|g| g.dead_rows).sum::<u64>();
        EngineStats { head_bytes: live.head_bytes() as u64, next_sequence: live.head.next_sequence, dead_rows }
    }

    /// Refuses further appends, makes the log durable. Sealing stops at the next opportunity.
    ///
    /// # Errors
    /// What the log says.
    pub fn close(&self) -> Result<()> {
        let mut live = self.lock();
        let first = live.closed.is_none();
        if first {
            live.closed = Some("the store was closed".to_owned());
        }
        let received = live.last_received();
        drop(live);
        self.changed.notify_all();
        self.acknowledged.close();
        let Some(writer) = &self.writer else { return Ok(()) };
        // The mark at the end of the log says that the clock in the manifest is not before any of its spans.
        if first && self.keep_clock_after(received).is_err() { writer.log.close_unmarked() } else { writer.log.close() }
    }

    /// True once the store was closed.
    pub fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }
}

pub(super) fn closed_error(why: &str) -> Error {
    Error::new(ErrorKind::Closed, format!("{why}; reopen the store"))
}
