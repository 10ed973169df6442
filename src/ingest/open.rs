//! Opening a store: look, plan, map segments, replay logs, go on with a new log.
//!
//! A store always opens unless it is none, of a newer version, locked or unreadable. What was lost is in
//! the [`RecoveryReport`]. A read-only opening does the same in memory and writes nothing.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, PoisonError};

use rustc_hash::FxHashSet;

use crate::bytes::Seed;
use crate::catalog::{Adoption, Contents, Edit, Found, Manifest, Plan, SegmentPart, look, plan};
use crate::error::{Error, ErrorKind, Result};
use crate::index::TraceSet;
use crate::log::{FileId, LogIdentity, LogWriter};
use crate::model::TraceId;
use crate::options::Options;
use crate::os::{Clock, Condvar, Directory, LockGuard, Mutex, Storage};
use crate::part::ReadCounter;
use crate::segment::{SEGMENT_HEAD_BYTES, Segment, store_of_segment};

use super::acknowledged::Acknowledged;
use super::clock::RetentionClock;
use super::delete::mark_deleted;
use super::engine::{Engine, Head, Live, Writer};
use super::generation::Generation;
use super::marks::{mark_all_dirty, read_dirty_bytes, trace_marks};
use super::put_aside::{put_aside, put_aside_of_log};
use super::recovery::{Damage, RecoveryReport};
use super::refresh::Footprint;
use super::replayed::{Gathering, gather};
use super::seal::{SealSummary, info_of};
use super::sealed_spans::SealedSpans;
use super::work::Counters;

/// Times a read-only opening begins again because a writer removed a file meanwhile.
const ATTEMPTS: usize = 8;

/// What is asked for.
#[derive(Debug)]
pub struct OpenRequest {
    /// Where the store lies.
    pub storage: Arc<dyn Storage>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Its settings.
    pub options: Options,
    /// Write nothing.
    pub read_only: bool,
    /// Create the store if there is none.
    pub create: bool,
}

impl OpenRequest {
    /// Opens the store.
    ///
    /// # Errors
    /// NotAStore, Unsupported, Locked, or what the storage says.
    pub fn open(self) -> Result<Engine> {
        self.open_again(&[])
    }

    /// Opens the store, using the open segments of an earlier opening where they are still live.
    ///
    /// # Errors
    /// As [`OpenRequest::open`].
    pub(super) fn open_again(self, reuse: &[Arc<Segment>]) -> Result<Engine> {
        let mut attempts = 1;
        loop {
            match self.open_once(reuse) {
                Err(error) if self.vanished(&error) && attempts < ATTEMPTS => attempts += 1,
                result => return result,
            }
        }
    }

    /// In a read-only opening: a file went that a writer elsewhere no longer needs.
    fn vanished(&self, error: &Error) -> bool {
        self.read_only && error.io_kind() == Some(io::ErrorKind::NotFound)
    }

    fn open_once(&self, reuse: &[Arc<Segment>]) -> Result<Engine> {
        let storage = self.storage.as_ref();
        // Before anything is read: what a writer does meanwhile shows as a change later.
        let footprint = if self.read_only { Footprint::of(storage).unwrap_or_default() } else { Footprint::default() };
        let found = match look(storage, &store_of_segment)? {
            Contents::Store(found) => found,
            Contents::Nothing if self.read_only || !self.create => {
                let text = format!("{} holds no store; import into it, or name another directory", storage.place());
                return Err(Error::new(ErrorKind::NotAStore, text));
            }
            Contents::Nothing => return self.create(),
        };
        if self.read_only {
            let engine = self.recover(&found, None, reuse)?;
            *engine.footprint.lock().unwrap_or_else(PoisonError::into_inner) = footprint;
            return Ok(engine);
        }
        let lock = storage.lock()?;
        // The look before was to write nothing into what is no store; the one that counts is under the lock.
        match look(storage, &store_of_segment)? {
            Contents::Store(found) => self.recover(&found, Some(lock), &[]),
            Contents::Nothing => Err(Error::new(ErrorKind::NotAStore, format!("{} went away", storage.place()))),
        }
    }

    fn create(&self) -> Result<Engine> {
        self.storage.create_directories()?;
        let lock = self.storage.lock()?;
        if let Contents::Store(found) = look(self.storage.as_ref(), &store_of_segment)? {
            return self.recover(&found, Some(lock), &[]);
        }
        let manifest = Manifest::create(self.storage.clone(), self.storage.random_u64())?;
        let store_id = manifest.store();
        let writer = begin_writing(&self.storage, manifest, lock, 0)?;
        let clock = RetentionClock::resume(None, self.clock.as_ref());
        Ok(self.engine(store_id, Some(writer), clock, Contained::default(), RecoveryReport::default()))
    }

    fn recover(&self, found: &Found, lock: Option<Box<dyn LockGuard>>, reuse: &[Arc<Segment>]) -> Result<Engine> {
        let storage = self.storage.as_ref();
        let mut found = found.clone();
        let plan = plan(&found);
        // With neither manifest nor log nothing tells the id; a segment's header does.
        let store_id = found.store.or_else(|| self.store_of_any_segment(&plan)).unwrap_or(0);
        found.store = Some(store_id);
        let mut report = RecoveryReport::default();
        for damage in &found.damage {
            let words = format!("{} at byte {}: {}", damage.file, damage.offset, damage.problem);
            report.lost(Damage::of_manifest(damage), words);
        }
        for missing in &plan.missing {
            report.lost(Damage::of_missing(missing), format!("{} is missing", missing.path));
        }
        let clock = RetentionClock::resume(found.catalog.clock(), self.clock.as_ref());
        let now = clock.state(self.clock.as_ref()).retention_nanos;
        report.notes.extend(clock.why_held(found.catalog.clock()));
        let mut segments = self.open_segments(&found, &plan, store_id, reuse, &mut report)?;
        let adopted = self.adopt(&plan, store_id, lock.is_some(), now, &mut segments, &mut report)?;
        let writing = lock.is_some();
        let (replayed, gathered) =
            gather(|gathering| self.replay_logs(&plan, store_id, writing, gathering, &mut report))?;
        // A delete covers what was appended before it: all segments are older than any log.
        delete_again(&mut segments, &gathered.deleted, &mut report)?;
        let sealed = segments.iter().map(|s| s.segment.directory().sequences.1).max().unwrap_or(0);
        let next = replayed.next_sequence.max(sealed);
        let writer = match lock {
            None => None,
            Some(lock) => {
                let mut edits: Vec<Edit> = Vec::new();
                if !adopted.is_empty() {
                    mark_all_dirty(&mut segments);
                    edits.extend(adopted.into_iter().map(|info| Edit::AddSegment {
                        info,
                        replaced_logs: Vec::new(),
                        dirty: Vec::new(),
                    }));
                    edits.extend(trace_marks(&segments));
                }
                let mut plan = plan.clone();
                plan.logs.retain(|log| replayed.logs.contains(&log.id));
                let manifest = Manifest::resume(self.storage.clone(), &found, &plan, &edits)?;
                remove_leftovers(storage, &manifest, &plan)?;
                Some(begin_writing(&self.storage, manifest, lock, next)?)
            }
        };
        // When its spans were received is not in the log: before the clock was written down by an orderly
        // close, or at the latest now.
        let closed_at = found.catalog.clock().filter(|_| replayed.was_closed).map(|state| state.retention_nanos);
        let generation = gathered.into_generation(replayed.logs, next, closed_at.unwrap_or(now), &mut segments);
        let generations = generation.map(Arc::new).into_iter().collect();
        let contained = Contained { segments, generations, next_sequence: next };
        Ok(self.engine(store_id, writer, clock, contained, report))
    }

    fn store_of_any_segment(&self, plan: &Plan) -> Option<u64> {
        plan.adopt
            .iter()
            .find_map(|id| store_of_segment(self.storage.map(&id.segment_path()).ok()?.head(SEGMENT_HEAD_BYTES).ok()?))
    }

    fn open_segments(
        &self,
        found: &Found,
        plan: &Plan,
        store_id: u64,
        reuse: &[Arc<Segment>],
        report: &mut RecoveryReport,
    ) -> Result<Vec<SegmentPart>> {
        let mut out = Vec::new();
        for id in &plan.segments {
            let open = reuse.iter().find(|segment| segment.id() == id.0).cloned();
            match open.map_or_else(|| self.open_segment(*id, store_id).map(Arc::new), Ok) {
                Ok(segment) => {
                    let live = found.catalog.segment(*id);
                    let deleted = read_deleted(live.map_or(&[], |s| &s.deleted), &segment, report);
                    let (dirty, doubled) = read_dirty(live.map_or(&[], |s| &s.dirty), &segment);
                    let (dirty, doubled) = (Arc::new(dirty.or(&deleted)), Arc::new(doubled));
                    out.push(SegmentPart { segment, dirty, doubled, deleted: Arc::new(deleted) });
                }
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    let rows = found.catalog.segment(*id).map_or(0, |live| live.info.rows);
                    report.lost(Damage::of_segment(*id, error.to_string(), rows), error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(out)
    }

    fn open_segment(&self, id: FileId, store_id: u64) -> Result<Segment> {
        let file = self.storage.map(&id.segment_path())?;
        Segment::open(id.0, id.segment_name(), file, Seed { store: store_id, file: id.0 })
    }

    /// Takes segments that no readable manifest names, if they prove themselves.
    fn adopt(
        &self,
        plan: &Plan,
        store_id: u64,
        writing: bool,
        now: u64,
        segments: &mut Vec<SegmentPart>,
        report: &mut RecoveryReport,
    ) -> Result<Vec<crate::catalog::SegmentInfo>> {
        let mut infos = Vec::new();
        for id in &plan.adopt {
            let proven = self.open_segment(*id, store_id).and_then(|segment| match plan.adoption {
                Adoption::Whole => segment.verify_all().map(|()| segment),
                Adoption::Opens => Ok(segment),
            });
            match proven {
                Ok(segment) => {
                    report.notes.push(format!("segment {} was in no manifest; it is used again", segment.name()));
                    infos.push(info_of(*id, &segment, (now, now), 0));
                    segments.push(SegmentPart::new(Arc::new(segment), TraceSet::new()));
                }
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    let text = format!("{error}; it was in no manifest and is put aside");
                    // Half a segment is what a crash while sealing leaves: its spans are still in the log.
                    match plan.adoption {
                        Adoption::Whole => report.notes.push(text),
                        Adoption::Opens => report.lost(Damage::of_segment(*id, error.to_string(), 0), text),
                    }
                    if writing {
                        quarantine(self.storage.as_ref(), *id)?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        segments.sort_by_key(|part| part.segment.id());
        if !infos.is_empty() && !writing {
            mark_all_dirty(segments);
        }
        Ok(infos)
    }

    fn replay_logs(
        &self,
        plan: &Plan,
        store_id: u64,
        writing: bool,
        gathering: &mut Gathering<'_, '_>,
        report: &mut RecoveryReport,
    ) -> Result<ReadLogs> {
        let mut out = ReadLogs::default();
        for log in &plan.logs {
            let file = self.storage.map(&log.id.log_path())?;
            let identity = LogIdentity { store: store_id, file: log.id, ending: log.ending };
            let replayed = gathering.replay(file.bytes()?, identity)?;
            report.replayed_spans += replayed.sequences;
            report.torn_bytes += replayed.dropped_bytes;
            for damage in &replayed.damage {
                let (path, at, len) = (log.id.log_path(), damage.offset, damage.len_bytes);
                let words = format!("{path} at byte {at}: {len} bytes lost: {}", damage.problem);
                report.lost(Damage::of_log(log.id, damage), words);
            }
            if writing {
                put_aside_of_log(self.storage.as_ref(), log.id, file.bytes()?, &replayed.damage)?;
            }
            out.next_sequence =
                out.next_sequence.max(replayed.next_sequence.unwrap_or(0)).max(log.first_sequence.unwrap_or(0));
            let len = file.len_bytes();
            drop(file);
            if replayed.valid_bytes > 0 {
                out.logs.push(log.id);
            }
            if replayed.records > 0 || replayed.dropped_bytes > 0 || !replayed.damage.is_empty() {
                out.was_closed = replayed.ends_with_mark;
            }
            if writing {
                settle_log(self.storage.as_ref(), log.id, replayed.valid_bytes, len)?;
            }
        }
        Ok(out)
    }

    fn engine(
        &self,
        store_id: u64,
        writer: Option<Writer>,
        clock: RetentionClock,
        contained: Contained,
        recovery: RecoveryReport,
    ) -> Engine {
        let log = writer.as_ref().map(|w| w.log.position().file);
        Engine {
            options: self.options.clone(),
            storage: self.storage.clone(),
            clock: self.clock.clone(),
            writer,
            store_id,
            live: Mutex::new(Live {
                segments: contained.segments,
                generations: contained.generations,
                next_generation: 1,
                head: Head::new(log, contained.next_sequence),
                sealed_spans: SealedSpans::default(),
                unmergeable: FxHashSet::default(),
                closed: None,
                sealed: SealSummary::default(),
                seal_error: None,
            }),
            changed: Condvar::new(),
            sealing: Mutex::new(()),
            upkeep: Mutex::new(()),
            retention: Mutex::new(clock),
            acknowledged: Arc::new(Acknowledged::up_to(contained.next_sequence)),
            footprint: Mutex::default(),
            work: Counters::default(),
            recovery,
        }
    }
}

/// What a store contains when it is opened.
#[derive(Default)]
struct Contained {
    segments: Vec<SegmentPart>,
    generations: VecDeque<Arc<Generation>>,
    next_sequence: u64,
}

/// What reading the logs found beside their spans.
#[derive(Default)]
struct ReadLogs {
    /// Those that are kept.
    logs: Vec<FileId>,
    /// True if the newest log that was written to ends with the mark of an orderly close.
    was_closed: bool,
    next_sequence: u64,
}

fn read_dirty(bytes: &[u8], segment: &Segment) -> (TraceSet, TraceSet) {
    if bytes.is_empty() {
        return Default::default();
    }
    // The dirty bytes are a cache: if they are damaged every trace counts as doubled, which costs time alone.
    let all = || (TraceSet::all(segment.traces()), TraceSet::all(segment.traces()));
    read_dirty_bytes(bytes, segment.traces()).unwrap_or_else(|_| all())
}

fn read_deleted(bytes: &[u8], segment: &Segment, report: &mut RecoveryReport) -> TraceSet {
    if bytes.is_empty() {
        return TraceSet::new();
    }
    TraceSet::read(bytes, segment.traces()).unwrap_or_else(|error| {
        let text = format!("segment {}: its deleted traces are not known and are back: {error}", segment.name());
        let damage = Damage { kind: "deleted traces".to_owned(), ..Damage::of_segment(FileId(segment.id()), &text, 0) };
        report.lost(damage, text);
        TraceSet::new()
    })
}

/// Marks what the logs delete. Where a damaged trace table hides whether a segment holds a trace, its rows cannot be
/// shown either.
fn delete_again(segments: &mut [SegmentPart], ids: &[TraceId], report: &mut RecoveryReport) -> Result<()> {
    let counter = ReadCounter::default();
    for part in segments {
        for id in ids {
            match mark_deleted(part, &[*id], &counter) {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    let text = format!("{error}; whether it holds the deleted trace {id} is not known");
                    report.lost(Damage::of_segment(FileId(part.segment.id()), &text, 0), text);
                }
                result => result?,
            }
        }
    }
    Ok(())
}

fn begin_writing(
    storage: &Arc<dyn Storage>,
    manifest: Manifest,
    lock: Box<dyn LockGuard>,
    sequence: u64,
) -> Result<Writer> {
    let id = manifest.allocate_file_id()?;
    let log = LogWriter::create(storage.clone(), manifest.store(), id, sequence)?;
    manifest.commit(&[Edit::AddLog { id, first_sequence: sequence }])?;
    Ok(Writer { manifest, log, _lock: lock })
}

/// Cuts a replayed log to what is valid and makes that durable: after the death of a process alone its tail
/// may exist in the operating system's memory only, and the log that is begun next declares it complete.
fn settle_log(storage: &dyn Storage, id: FileId, valid_bytes: u64, len: u64) -> Result<()> {
    if valid_bytes == 0 {
        storage.remove(&id.log_path())?;
        return storage.sync_directory(Directory::Log);
    }
    let mut file = storage.open_append(&id.log_path())?;
    if valid_bytes < len {
        file.truncate(valid_bytes)?;
    }
    file.sync()
}

fn remove_leftovers(storage: &dyn Storage, manifest: &Manifest, plan: &Plan) -> Result<()> {
    for path in &plan.remove {
        storage.remove(path)?;
    }
    storage.sync_directory(Directory::Log)?;
    storage.sync_directory(Directory::Segments)?;
    let names = |prefix: &str, parse: fn(&str) -> Option<FileId>| -> Vec<FileId> {
        plan.remove.iter().filter_map(|p| parse(p.strip_prefix(prefix)?)).collect()
    };
    manifest.forget_retired(&names("seg/", FileId::from_segment_name), &names("log/", FileId::from_log_name));
    Ok(())
}

/// Keeps a file that proved to be no segment of this store in quarantine, and takes it out of `seg/`.
fn quarantine(storage: &dyn Storage, id: FileId) -> Result<()> {
    let path = id.segment_path();
    put_aside(storage, &id.segment_name(), Some(&path), storage.map(&path)?.bytes()?)?;
    storage.remove(&path)?;
    storage.sync_directory(Directory::Segments)
}
