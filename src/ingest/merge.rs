//! Merging: several segments become one, and what was deleted or kept twice is gone for good.
//!
//! The new segment is written beside the old ones, outside every lock, while appends, seals and queries go
//! on. It takes their place in one manifest edit; then the old files are unlinked, and the disk is free once
//! the last snapshot that reads them lets go. What happened to the old segments meanwhile is made up for
//! when the new one is published:
//!
//! | meanwhile | so |
//! |---|---|
//! | traces were deleted | their ordinals in the new segment are marked |
//! | late spans came, and lie in the head or in a segment sealed meanwhile | their traces are marked dirty |
//!
//! What shared its traces only with other segments of the same merge is clean afterwards.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashSet;

use crate::catalog::{Edit, SegmentInfo, SegmentPart};
use crate::error::{Error, ErrorKind, Result};
use crate::index::TraceSet;
use crate::log::FileId;
use crate::model::TraceId;
use crate::os::Directory;
use crate::part::ReadCounter;
use crate::segment::{MergeInput, MergePart, Segment, merge_segments};

use super::delete::mark_deleted;
use super::engine::{Engine, Live, Writer, closed_error};
use super::marks::{doubled_beside, trace_marks};
use super::merge_plan::{Candidate, Extent, GroupBounds, plan_merges};
use super::retire::Upkeep;
use super::seal::info_of;
use super::work::{Labour, Output};

/// How long merging waits after a failure before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Traces of a segment that a merge leaves out.
#[derive(Debug)]
pub(super) struct Dropped {
    /// The segment.
    pub segment: FileId,
    /// Their ordinals.
    pub traces: TraceSet,
    /// True if they are all that cannot be read.
    pub are_unreadable: bool,
}

/// What merging did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergeSummary {
    /// Segments that went.
    pub segments_merged: u64,
    /// Segments written instead.
    pub segments_written: u64,
    /// Rows of the segments that went.
    pub rows_read: u64,
    /// Rows of the segments written; the others were deleted or kept twice.
    pub rows_written: u64,
    /// Bytes of the segments written.
    pub bytes_written: u64,
    /// Time it took, by the store's clock.
    pub elapsed: Duration,
}

impl MergeSummary {
    fn add(&mut self, other: &Self) {
        self.segments_merged += other.segments_merged;
        self.segments_written += other.segments_written;
        self.rows_read += other.rows_read;
        self.rows_written += other.rows_written;
        self.bytes_written += other.bytes_written;
        self.elapsed += other.elapsed;
    }
}

impl Engine {
    /// Merges what `extent` says; by hand and all seal the head first, so that deleted bytes leave the log.
    ///
    /// # Errors
    /// NoSpace or Io if the storage refuses, Corrupt if a segment is damaged, Closed if the store is being
    /// closed. What was merged before stays merged, everything else as it was.
    pub fn merge(&self, extent: Extent) -> Result<MergeSummary> {
        let writer = self.writer()?;
        if extent != Extent::Automatic {
            self.seal()?;
        }
        let upkeep = self.upkeep()?;
        let mut summary = MergeSummary::default();
        let mut damage = None;
        loop {
            let groups = self.merge_groups(writer, extent);
            let before = (summary.segments_merged, self.lock().unmergeable.len());
            for group in &groups {
                match self.merge_group(&upkeep, group, None) {
                    Ok(one) => summary.add(&one),
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        self.set_aside_damaged(group);
                        damage = damage.or(Some(error));
                    }
                    Err(error) => return Err(error),
                }
            }
            // Where a damaged segment was found, what it held up goes on without it.
            if damage.is_none() || before == (summary.segments_merged, self.lock().unmergeable.len()) {
                return damage.map_or(Ok(summary), Err);
            }
        }
    }

    /// Seals the heads that are full, and the one that grows if it is worth a segment, and merges what is worth it, as
    /// the background would by and by.
    ///
    /// # Errors
    /// As [`Engine::merge`].
    pub fn settle(&self) -> Result<MergeSummary> {
        let has_chapters = !self.lock().head.frozen.is_empty();
        if has_chapters {
            self.seal()?;
        }
        while self.seal_oldest(None)?.is_some() {}
        self.merge(Extent::Automatic)
    }

    /// Finds the damaged ones among these segments: merges leave them alone until the store is opened again.
    fn set_aside_damaged(&self, ids: &[FileId]) {
        let parts = self.lock().segments.clone();
        let damaged = parts.iter().map(|part| &part.segment).filter(|s| ids.contains(&FileId(s.id())));
        let damaged: Vec<FileId> = damaged.filter(|s| s.has_lost_rows()).map(|s| FileId(s.id())).collect();
        self.lock().unmergeable.extend(damaged);
    }

    /// The receive time a merged segment may cover, a tenth of the age at which spans go; no bound where they
    /// never go by age.
    fn merge_age_span_max(&self) -> Option<u64> {
        let tenth = self.options.max_age? / 10;
        Some(u64::try_from(tenth.as_nanos()).unwrap_or(u64::MAX))
    }

    fn merge_groups(&self, writer: &Writer, extent: Extent) -> Vec<Vec<FileId>> {
        let catalog = writer.manifest.catalog();
        let mut known: Vec<(FileId, Candidate)> = {
            let live = self.lock();
            let parts = live.segments.iter().filter_map(|part| {
                let id = FileId(part.segment.id());
                let info = &catalog.segment(id).filter(|_| !live.unmergeable.contains(&id))?.info;
                let has_dead_rows = !part.deleted.is_empty();
                Some((id, Candidate { rows: info.rows, received: info.received, merges: info.merges, has_dead_rows }))
            });
            parts.collect()
        };
        known.sort_by_key(|(id, candidate)| (candidate.received, *id));
        let candidates: Vec<Candidate> = known.iter().map(|(_, candidate)| *candidate).collect();
        let budget_bytes = self.options.memory_budget_bytes as u64;
        let bounds = GroupBounds { age_span_max: self.merge_age_span_max(), budget_bytes };
        let groups = plan_merges(&candidates, extent, bounds);
        groups.into_iter().map(|group| known[group].iter().map(|(id, _)| *id).collect()).collect()
    }

    /// Merges these segments without the deleted traces and without others.
    pub(super) fn merge_group(
        &self,
        upkeep: &Upkeep<'_>,
        ids: &[FileId],
        dropped: Option<&Dropped>,
    ) -> Result<MergeSummary> {
        let writer = self.writer()?;
        let began = self.clock.monotonic_nanos();
        let (before, others): (Vec<SegmentPart>, Vec<SegmentPart>) = {
            let live = self.lock();
            live.segments.iter().cloned().partition(|part| ids.contains(&FileId(part.segment.id())))
        };
        let id = writer.manifest.allocate_file_id()?;
        let written = self.write_merged(id, &before, dropped).inspect_err(|_| {
            // Half a segment is of no use; if it stays, the next opening removes it.
            let _ = self.storage.remove(&id.segment_path());
        })?;
        let (rows_written, bytes_written) = written.as_ref().map_or((0, 0), |s| (s.rows().into(), s.len_bytes()));
        let mut summary = MergeSummary {
            segments_merged: before.len() as u64,
            segments_written: written.is_some().into(),
            rows_read: before.iter().map(|part| u64::from(part.segment.rows())).sum(),
            rows_written,
            bytes_written,
            elapsed: Duration::ZERO,
        };
        match written {
            None => self.remove_segments(upkeep, ids)?,
            Some(segment) => {
                self.publish_merged(writer, id, segment, &before, &others).inspect_err(|error| {
                    // Closed: it is unknown whether the manifest names the segment, so the file must stay.
                    if error.kind() != ErrorKind::Closed {
                        let _ = self.storage.remove(&id.segment_path());
                    }
                })?;
                self.remove_segment_files(writer, ids)?;
            }
        }
        let nanos = self.clock.monotonic_nanos().saturating_sub(began);
        self.work.took(Labour::Merging, nanos);
        self.work.wrote(Output::Merged, rows_written, bytes_written);
        summary.elapsed = Duration::from_nanos(nanos);
        self.changed.notify_all();
        Ok(summary)
    }

    fn write_merged(&self, id: FileId, parts: &[SegmentPart], dropped: Option<&Dropped>) -> Result<Option<Segment>> {
        let dead: Vec<TraceSet> = parts
            .iter()
            .map(|part| {
                let dropped = dropped.filter(|dropped| dropped.segment.0 == part.segment.id());
                dropped.map_or_else(|| (*part.deleted).clone(), |d| part.deleted.as_ref().clone().or(&d.traces))
            })
            .collect();
        let salvage = dropped.is_some_and(|dropped| dropped.are_unreadable);
        let merge: Vec<MergePart<'_>> =
            parts.iter().zip(&dead).map(|(part, dead)| MergePart { segment: &part.segment, dead, salvage }).collect();
        let cancelled = || self.is_closed();
        let input = MergeInput { parts: &merge, block_rows: self.options.block_rows, cancelled: &cancelled };
        let path = id.segment_path();
        if merge_segments(&input, self.storage.create(&path)?, self.seed(id))?.is_none() {
            self.storage.remove(&path)?;
            return Ok(None);
        }
        self.storage.sync_directory(Directory::Segments)?;
        Segment::open(id.0, id.segment_name(), self.storage.map(&path)?, self.seed(id)).map(Some)
    }

    fn publish_merged(
        &self,
        writer: &Writer,
        id: FileId,
        segment: Segment,
        before: &[SegmentPart],
        others: &[SegmentPart],
    ) -> Result<()> {
        let segment = Arc::new(segment);
        let dirty = dirty_beside(&segment, before, others)?;
        let mut part = SegmentPart::new(segment, dirty);
        let mut live = self.lock();
        if let Some(why) = &live.closed {
            return Err(closed_error(why));
        }
        catch_up(&mut part, &live, before, others)?;
        part.doubled = Arc::new(doubled_beside(&part.segment, &part.dirty, &live.segments)?);
        let ids: Vec<FileId> = before.iter().map(|part| FileId(part.segment.id())).collect();
        let info = merged_info(writer, id, &part.segment, &ids)?;
        let mut edits = vec![
            Edit::AddSegment { info, replaced_logs: Vec::new(), dirty: Vec::new() },
            Edit::RemoveSegments { ids: ids.clone(), replaced_by: vec![id] },
        ];
        edits.extend(trace_marks([&part]));
        edits.push(self.clock_edit());
        writer.manifest.commit(&edits)?;
        live.segments.retain(|part| !ids.contains(&FileId(part.segment.id())));
        live.segments.push(part);
        live.segments.sort_by_key(|part| part.segment.id());
        // Traces may have been dropped.
        live.sealed_spans.clear();
        Ok(())
    }

    /// Unlinks segments that are no longer live.
    pub(super) fn remove_segment_files(&self, writer: &Writer, ids: &[FileId]) -> Result<()> {
        for id in ids {
            match self.storage.remove(&id.segment_path()) {
                Err(error) if error.io_kind() != Some(std::io::ErrorKind::NotFound) => return Err(error),
                _ => {}
            }
        }
        self.storage.sync_directory(Directory::Segments)?;
        writer.manifest.forget_retired(ids, &[]);
        Ok(())
    }

    /// Merges what is worth it whenever something was sealed, until the store is closed. Runs on a thread of
    /// its own.
    pub fn merge_for_ever(&self) {
        // What an earlier life left unmerged is looked at first.
        let mut seen = u64::MAX;
        loop {
            let mut live = self.lock();
            while live.sealed.segments == seen && live.closed.is_none() {
                live = self.changed.wait(live).unwrap_or_else(PoisonError::into_inner);
            }
            if live.closed.is_some() {
                return;
            }
            seen = live.sealed.segments;
            drop(live);
            if self.merge(Extent::Automatic).is_err() && !self.is_closed() {
                // The disk may be full, a segment damaged: the segments stay as they are, and nothing waits.
                seen = u64::MAX;
                let live = self.lock();
                drop(self.changed.wait_timeout(live, RETRY_AFTER).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }
}

fn merged_info(writer: &Writer, id: FileId, segment: &Segment, ids: &[FileId]) -> Result<SegmentInfo> {
    let catalog = writer.manifest.catalog();
    let infos: Vec<&SegmentInfo> = ids.iter().filter_map(|id| Some(&catalog.segment(*id)?.info)).collect();
    let missing = || Error::invalid(format!("segments {ids:?} are not all live"));
    let first = infos.iter().map(|info| info.received.0).min().ok_or_else(missing)?;
    let last = infos.iter().map(|info| info.received.1).max().ok_or_else(missing)?;
    let merges = infos.iter().map(|info| info.merges).max().ok_or_else(missing)?;
    Ok(info_of(id, segment, (first, last), merges.saturating_add(1)))
}

/// Traces of the merged segment that lie in one of `others` too, or collide inside it.
fn dirty_beside(segment: &Segment, before: &[SegmentPart], others: &[SegmentPart]) -> Result<TraceSet> {
    let counter = ReadCounter::default();
    let mut out = TraceSet::new();
    for ordinal in segment.colliding_ordinals(&counter)? {
        out.insert(ordinal);
    }
    let mut seen: FxHashSet<u64> = FxHashSet::default();
    for part in before {
        for ordinal in part.loose() {
            let low = part.segment.trace_id(ordinal, &counter)?.low();
            if !seen.insert(low) {
                continue;
            }
            let mut elsewhere = false;
            for other in others {
                elsewhere = elsewhere || other.has_low(low, &counter)?;
            }
            if elsewhere {
                mark_low(segment, low, &mut out, &counter)?;
            }
        }
    }
    Ok(out)
}

/// Does to the merged segment what was done to its inputs while it was written.
fn catch_up(part: &mut SegmentPart, live: &Live, before: &[SegmentPart], others: &[SegmentPart]) -> Result<()> {
    let counter = ReadCounter::default();
    let known: FxHashSet<u64> = before.iter().chain(others).map(|part| part.segment.id()).collect();
    let mut deleted: Vec<TraceId> = Vec::new();
    let mut dirty = (*part.dirty).clone();
    for now in &live.segments {
        let then = before.iter().find(|then| then.segment.id() == now.segment.id());
        if let Some(then) = then {
            for ordinal in now.deleted.iter().filter(|ordinal| !then.deleted.contains(*ordinal)) {
                deleted.push(now.segment.trace_id(ordinal, &counter)?);
            }
        }
        // A segment sealed meanwhile knows which of its traces lie elsewhere.
        if !known.contains(&now.segment.id()) {
            for ordinal in now.loose() {
                let low = now.segment.trace_id(ordinal, &counter)?.low();
                mark_low(&part.segment, low, &mut dirty, &counter)?;
            }
        }
    }
    let late = live.generations.iter().flat_map(|g| g.ids.late()).chain(live.head.ids.late());
    for low in late {
        mark_low(&part.segment, low, &mut dirty, &counter)?;
    }
    part.dirty = Arc::new(dirty);
    mark_deleted(part, &deleted, &counter)
}

fn mark_low(segment: &Segment, low: u64, dirty: &mut TraceSet, counter: &ReadCounter) -> Result<()> {
    for ordinal in segment.ordinals_of_low(low, counter)? {
        dirty.insert(ordinal);
    }
    Ok(())
}
