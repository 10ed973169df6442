//! Sealing: a generation becomes a segment, and its logs go.
//!
//! The order is what makes a crash harmless: segment data, fdatasync, sync of `seg/`, manifest edit (which
//! names the segment and takes the logs away in one), fdatasync, visible, and only then the logs are
//! unlinked.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::catalog::{Edit, SegmentInfo, SegmentPart};
use crate::error::{Error, ErrorKind, Result};
use crate::index::TraceSet;
use crate::log::FileId;
use crate::os::Directory;
use crate::os::defects::{self, Defect};
use crate::part::ReadCounter;
use crate::segment::{Segment, SegmentInput, build_segment};

use super::delete::mark_deleted;
use super::engine::{Engine, Head, Live, Writer, closed_error};
use super::generation::Generation;
use super::marks::{doubled_beside, trace_marks};
use super::work::{Labour, Output};

/// What sealing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealSummary {
    /// Segments written.
    pub segments: u64,
    /// Spans in them.
    pub spans: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Time spent building them, by the store's clock.
    pub elapsed: Duration,
}

impl SealSummary {
    fn add(&mut self, other: &Self) {
        self.segments += other.segments;
        self.spans += other.spans;
        self.bytes += other.bytes;
        self.elapsed += other.elapsed;
    }
}

impl Engine {
    /// Ends the head's generation and begins another with a log of its own.
    pub(super) fn rotate(&self, writer: &Writer, live: &mut Live) -> Result<()> {
        if live.head.is_empty() {
            return Ok(());
        }
        let id = writer.manifest.allocate_file_id()?;
        let publish = |first_sequence| writer.manifest.commit(&[Edit::AddLog { id, first_sequence }]).map(|_| ());
        writer.log.rotate(id, publish)?;
        let next = live.head.next_sequence;
        live.head.freeze_chapter();
        let head = std::mem::replace(&mut live.head, Head::new(Some(id), next));
        let bytes = head.bytes();
        let number = live.next_generation;
        live.next_generation += 1;
        live.generations.push_back(Arc::new(Generation {
            number,
            deleted: Vec::new(),
            dead_rows: head.dead_rows,
            received: head.received.unwrap_or_else(|| (self.retention_now(), self.retention_now())),
            chapters: head.frozen,
            logs: head.logs,
            sequences: head.first_sequence..next,
            ids: head.ids,
            bytes,
        }));
        self.changed.notify_all();
        Ok(())
    }

    /// Seals everything appended before the call.
    ///
    /// # Errors
    /// What the storage says; the spans stay in the head and the log then.
    pub fn seal(&self) -> Result<SealSummary> {
        let writer = self.writer()?;
        let mut live = self.lock();
        if let Some(why) = &live.closed {
            return Err(closed_error(why));
        }
        self.rotate(writer, &mut live)?;
        let last = live.generations.back().map(|g| g.sequences.end);
        let before = live.sealed;
        drop(live);
        // The sealing thread may take some of them: what counts is that they are sealed.
        while self.seal_oldest(last)?.is_some() {}
        let after = self.lock().sealed;
        Ok(SealSummary {
            segments: after.segments - before.segments,
            spans: after.spans - before.spans,
            bytes: after.bytes - before.bytes,
            elapsed: after.elapsed - before.elapsed,
        })
    }

    /// Seals the oldest generation if it ends at or before this sequence; `None` if there is none.
    pub(super) fn seal_oldest(&self, last: Option<u64>) -> Result<Option<SealSummary>> {
        let _one = self.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = self.lock().generations.front().cloned();
        let Some(generation) = oldest.filter(|g| last.is_none_or(|last| g.sequences.end <= last)) else {
            return Ok(None);
        };
        let sealed = self.seal_generation(&generation);
        self.lock().seal_error = sealed.as_ref().err().map(|e| Error::new(e.kind(), e.to_string()));
        self.changed.notify_all();
        sealed.map(Some)
    }

    fn seal_generation(&self, generation: &Arc<Generation>) -> Result<SealSummary> {
        let writer = self.writer()?;
        let summary = if generation.spans() == 0 {
            self.retire_empty(writer, generation)?;
            SealSummary::default()
        } else {
            self.timed(Labour::Sealing, || self.seal_rows(writer, generation))?
        };
        self.remove_logs(generation)?;
        self.storage.sync_directory(Directory::Log)?;
        writer.manifest.forget_retired(&[], &generation.logs);
        Ok(summary)
    }

    /// Ends the logs of a generation without spans: a store was opened and closed and nothing came.
    fn retire_empty(&self, writer: &Writer, generation: &Arc<Generation>) -> Result<()> {
        let mut live = self.lock();
        let mut edits = vec![Edit::RemoveLogs { ids: generation.logs.clone() }];
        edits.extend(trace_marks(&live.segments));
        writer.manifest.commit(&edits)?;
        live.generations.retain(|g| g.number != generation.number);
        Ok(())
    }

    fn seal_rows(&self, writer: &Writer, generation: &Arc<Generation>) -> Result<SealSummary> {
        let id = writer.manifest.allocate_file_id()?;
        let began = self.clock.monotonic_nanos();
        let built = self.write_segment(id, generation).inspect_err(|_| {
            // Half a segment is of no use; if it stays, the next opening removes it.
            let _ = self.storage.remove(&id.segment_path());
        })?;
        let elapsed = Duration::from_nanos(self.clock.monotonic_nanos().saturating_sub(began));
        let (spans, bytes) = (u64::from(built.rows()), built.len_bytes());
        let summary = SealSummary { segments: 1, spans, bytes, elapsed };
        if defects::active(Defect::RemoveLogBeforeManifest) {
            self.remove_logs(generation)?;
        }
        self.publish(writer, id, built, generation).inspect_err(|error| {
            // Closed: it is unknown whether the manifest names the segment, so the file must stay.
            if error.kind() != ErrorKind::Closed {
                let _ = self.storage.remove(&id.segment_path());
            }
        })?;
        self.work.wrote(Output::Sealed, spans, bytes);
        self.lock().sealed.add(&summary);
        Ok(summary)
    }

    fn remove_logs(&self, generation: &Generation) -> Result<()> {
        for log in &generation.logs {
            match self.storage.remove(&log.log_path()) {
                Err(error) if error.io_kind() != Some(std::io::ErrorKind::NotFound) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn write_segment(&self, id: FileId, generation: &Generation) -> Result<Segment> {
        let input = SegmentInput {
            chapters: &generation.chapters,
            block_rows: self.options.block_rows,
            sequences: (generation.sequences.start, generation.sequences.end),
            replaces_logs: generation.logs.iter().map(|log| log.0).collect(),
        };
        let file = self.storage.create(&id.segment_path())?;
        build_segment(input, file, self.seed(id))?;
        self.storage.sync_directory(Directory::Segments)?;
        let file = self.storage.map(&id.segment_path())?;
        Segment::open(id.0, id.segment_name(), file, self.seed(id))
    }

    /// Commits the segment and shows it in place of its generation.
    fn publish(&self, writer: &Writer, id: FileId, segment: Segment, generation: &Arc<Generation>) -> Result<()> {
        let mut live = self.lock();
        let dirty = dirty_ordinals(&live, &segment, generation)?;
        let doubled = doubled_beside(&segment, &dirty, &live.segments)?;
        let mut part = SegmentPart::new(Arc::new(segment), dirty).with_doubled(doubled);
        // What was deleted while the segment was written is in it.
        let current = live.generations.iter().find(|g| g.number == generation.number);
        let deleted = current.map_or(&[][..], |g| g.deleted.get(generation.deleted.len()..).unwrap_or_default());
        mark_deleted(&mut part, deleted, &ReadCounter::default())?;
        let info = info_of(id, &part.segment, generation.received, 0);
        let mut edits = vec![Edit::AddSegment { info, replaced_logs: generation.logs.clone(), dirty: Vec::new() }];
        edits.extend(trace_marks(live.segments.iter().chain([&part])));
        edits.push(self.clock_edit());
        writer.manifest.commit(&edits)?;
        live.segments.push(part);
        // Late spans are compared with the new segment too.
        live.sealed_spans.clear();
        live.generations.retain(|g| g.number != generation.number);
        Ok(())
    }

    /// Seals generations as they come until the store is closed. Runs on a thread of its own.
    pub fn seal_for_ever(&self) {
        loop {
            let mut live = self.lock();
            while live.generations.is_empty() && live.closed.is_none() {
                live = self.changed.wait(live).unwrap_or_else(PoisonError::into_inner);
            }
            if live.closed.is_some() {
                return;
            }
            let failed = live.seal_error.is_some();
            if failed {
                // The disk may have space again: try once a second.
                let wait = std::time::Duration::from_secs(1);
                drop(self.changed.wait_timeout(live, wait).unwrap_or_else(PoisonError::into_inner));
            } else {
                drop(live);
            }
            // The error is kept for appends to tell.
            let _ = self.seal_oldest(None);
        }
    }
}

/// Traces of a new segment that also lie elsewhere: those its generation met as late, those that newer
/// heads met again, and those that share their low 64 bits inside the segment.
fn dirty_ordinals(live: &Live, segment: &Segment, generation: &Arc<Generation>) -> Result<TraceSet> {
    let counter = ReadCounter::default();
    let mut out = TraceSet::new();
    if defects::active(Defect::ForgetDirtyTraces) {
        return Ok(out);
    }
    let newer = live.generations.iter().filter(|g| g.number != generation.number).flat_map(|g| g.ids.late());
    for low in generation.ids.late().chain(newer).chain(live.head.ids.late()) {
        for ordinal in segment.ordinals_of_low(low, &counter)? {
            out.insert(ordinal);
        }
    }
    for ordinal in segment.colliding_ordinals(&counter)? {
        out.insert(ordinal);
    }
    Ok(out)
}

pub(super) fn info_of(id: FileId, segment: &Segment, received: (u64, u64), merges: u32) -> SegmentInfo {
    let directory = segment.directory();
    let starts = (directory.start_min <= directory.start_max).then_some((directory.start_min, directory.start_max));
    SegmentInfo {
        id,
        rows: directory.rows,
        traces: directory.traces,
        bytes: segment.len_bytes(),
        sequences: directory.sequences.0..directory.sequences.1,
        starts,
        max_end: segment.zones().map(|z| z.all(crate::index::Measure::End)).filter(|z| !z.is_empty()).map(|z| z.max),
        received,
        merges,
    }
}
