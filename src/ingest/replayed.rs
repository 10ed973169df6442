//! What the logs hold, read back by two threads.
//!
//! ```text
//! this thread    record -> checked -> growing chapter -> a copy of the right size --.
//! its helper     ids of the spans and traces of each whole chapter <----------------'
//! ```
//! One growing chapter lends its room to all: most of the time of reading a log back is memory that is asked for,
//! and a buffer that grew by doubling was asked for twice. The helper is started when there is a second chapter of
//! many rows; without it the same is done when all is read.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, Scope, ScopedJoinHandle};

use rustc_hash::FxHashSet;

use crate::catalog::SegmentPart;
use crate::error::Result;
use crate::head::{Chapter, FrozenChapter, Place, Rows, SpanIds, apply_record, trace_id_of};
use crate::log::{FileId, LogIdentity, RecordHeader, RecordKind, ReplayReport, replay};
use crate::model::TraceId;
use crate::os::defects::{self, Defect};
use crate::part::ReadCounter;

use super::delete::{read_ids, without};
use super::generation::{Generation, REPLAYED};
use super::marks::{mark_dirty, mark_replayed_twice};

/// Rows that are worth a helper.
const HELPED_ROWS_MIN: usize = 16_384;

/// Chapters of logs as they are read.
pub(super) struct Gathering<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    growing: Chapter,
    /// The number of the growing chapter; none before the first record of a log and after a delete.
    open: Option<u32>,
    chapters: Vec<Arc<FrozenChapter>>,
    rows: usize,
    deletes: Vec<Delete>,
    helper: Option<Helper<'scope>>,
}

/// A delete: of the chapters before it.
struct Delete {
    chapters: usize,
    ids: Vec<TraceId>,
}

struct Helper<'scope> {
    whole: Sender<Arc<FrozenChapter>>,
    thread: ScopedJoinHandle<'scope, Known>,
}

/// The spans and traces of chapters.
#[derive(Default)]
struct Known {
    chapters: Vec<Arc<FrozenChapter>>,
    ids: SpanIds,
    rows: Place,
}

/// What was gathered from all logs.
pub(super) struct Gathered {
    chapters: Vec<Arc<FrozenChapter>>,
    ids: SpanIds,
    /// Traces that the logs delete.
    pub(super) deleted: Vec<TraceId>,
    /// Rows of these in the logs.
    dead_rows: u64,
}

/// Runs `read`, which reads logs one after the other, and answers with all that they hold.
///
/// # Errors
/// What `read` says.
pub(super) fn gather<T>(read: impl FnOnce(&mut Gathering<'_, '_>) -> Result<T>) -> Result<(T, Gathered)> {
    thread::scope(|scope| {
        let (growing, chapters, deletes) = Default::default();
        let mut gathering = Gathering { scope, growing, open: None, chapters, rows: 0, deletes, helper: None };
        let result = read(&mut gathering)?;
        Ok((result, gathering.finish()))
    })
}

impl Gathering<'_, '_> {
    /// Reads a log back.
    ///
    /// # Errors
    /// Unsupported if it is of a newer version.
    pub(super) fn replay(&mut self, bytes: &[u8], identity: LogIdentity) -> Result<ReplayReport> {
        let report = replay(bytes, identity, |header, payload| self.take(header, payload));
        self.end_chapter();
        report
    }

    fn take(&mut self, header: &RecordHeader, payload: &[u8]) -> Result<()> {
        if header.kind == RecordKind::Delete {
            let mut ids = read_ids(payload)?;
            if defects::active(Defect::ForgetDeletes) {
                ids.clear();
            }
            self.end_chapter();
            self.deletes.push(Delete { chapters: self.chapters.len(), ids });
            return Ok(());
        }
        if self.open != Some(header.chapter) {
            self.end_chapter();
            self.open = Some(header.chapter);
            self.growing.begin_anew(header.first_sequence);
        }
        apply_record(&mut self.growing, payload)
    }

    /// Puts a copy of the growing chapter, without room to grow, to the others.
    fn end_chapter(&mut self) {
        if self.open.take().is_none() || self.growing.rows.is_empty() {
            return;
        }
        let chapter = Arc::new(FrozenChapter::new(self.growing.clone()));
        if self.rows >= HELPED_ROWS_MIN && self.helper.is_none() {
            self.helper = Helper::start(self.scope, &self.chapters);
        }
        self.rows += chapter.rows.len();
        if let Some(helper) = &self.helper {
            helper.take(&chapter);
        }
        self.chapters.push(chapter);
    }

    fn finish(self) -> Gathered {
        let Self { mut chapters, deletes, helper, .. } = self;
        let known = helper.map(Helper::finish);
        let mut dead_rows = 0;
        for delete in &deletes {
            let (before, ids) = (&chapters[..delete.chapters], delete.ids.iter().copied().collect());
            if let Some((left, rows)) = without(before, &ids, &mut FxHashSet::default()) {
                chapters.splice(..delete.chapters, left);
                dead_rows += rows;
            }
        }
        chapters.retain(|chapter| !chapter.rows.is_empty());
        let known = known.filter(|_| dead_rows == 0).unwrap_or_else(|| Known::of(&chapters));
        let deleted = deletes.into_iter().flat_map(|delete| delete.ids).collect();
        Gathered { chapters, ids: known.ids, deleted, dead_rows }
    }
}

impl<'scope> Helper<'scope> {
    /// `None` if the operating system has no thread to give.
    fn start(scope: &'scope Scope<'scope, '_>, chapters: &[Arc<FrozenChapter>]) -> Option<Self> {
        let (whole, taken): (Sender<Arc<FrozenChapter>>, Receiver<_>) = mpsc::channel();
        let learn = move || {
            let mut known = Known::default();
            taken.into_iter().for_each(|chapter| known.note(chapter));
            known
        };
        let thread = thread::Builder::new().name("tailspan-replay".to_owned()).spawn_scoped(scope, learn).ok()?;
        let helper = Self { whole, thread };
        chapters.iter().for_each(|chapter| helper.take(chapter));
        Some(helper)
    }

    fn take(&self, chapter: &Arc<FrozenChapter>) {
        // Nobody listens only if the helper panicked, and that is told when it is joined.
        self.whole.send(chapter.clone()).unwrap_or_default();
    }

    fn finish(self) -> Known {
        drop(self.whole);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Known {
    fn of(chapters: &[Arc<FrozenChapter>]) -> Self {
        let mut known = Self::default();
        chapters.iter().for_each(|chapter| known.note(chapter.clone()));
        known
    }

    fn note(&mut self, chapter: Arc<FrozenChapter>) {
        self.chapters.push(chapter.clone());
        let rows = Rows { frozen: &self.chapters, active: None };
        let mut last = None;
        for (place, row) in (self.rows..).zip(&chapter.rows) {
            self.ids.insert(&rows, place, row);
            let id = trace_id_of(row);
            if last.replace(id) != Some(id) {
                self.ids.note_trace(id);
            }
        }
        self.rows += chapter.rows.len() as Place;
    }
}

impl Gathered {
    /// The replayed spans as a generation that is sealed like any other; segments learn which of their
    /// traces go on in it.
    pub(super) fn into_generation(
        mut self,
        logs: Vec<FileId>,
        next: u64,
        received: u64,
        segments: &mut [SegmentPart],
    ) -> Option<Generation> {
        if self.chapters.is_empty() && logs.is_empty() {
            return None;
        }
        let counter = ReadCounter::default();
        self.ids.find_late(|low| {
            let mut late = false;
            segments.iter_mut().for_each(|part| late |= mark_dirty(part, low, &counter));
            late
        });
        mark_replayed_twice(&self.chapters, &self.ids, segments, &counter);
        // Lost records leave gaps, so the first sequence is not the last less the spans.
        let first = self.chapters.first().map_or(next, |chapter| chapter.first_sequence.min(next));
        let bytes = self.chapters.iter().map(|c| c.heap_bytes()).sum::<usize>() + self.ids.heap_bytes();
        Some(Generation {
            number: REPLAYED,
            deleted: Vec::new(),
            dead_rows: self.dead_rows,
            received: (received, received),
            chapters: self.chapters,
            logs,
            sequences: first..next,
            ids: self.ids,
            bytes,
        })
    }
}
