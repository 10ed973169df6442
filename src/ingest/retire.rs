//! Retiring segments: what retention decided goes, or is written anew with less in it.
//!
//! The order makes a crash harmless and keeps readers undisturbed:
//!
//! ```text
//! one manifest commit takes the segments away     after a crash they are gone, all of them, or none is
//! they go from the list of parts                  the next snapshot does not see them
//! their files are unlinked, `seg/` is synced      snapshots from before read on: mapped bytes stay
//! the last such snapshot lets go                  the bytes are unmapped: now the disk is free
//! ```
//!
//! A crash in between leaves files that the manifest calls retired; the next opening removes them, and so
//! does [`Engine::remove_leftovers`] where an unlink failed.
//!
//! Locks, in this order and never the other way: `upkeep` (one at a time rearranges segments), `sealing`
//! (no segment is published between the commit and the change of the list), `live`. Nothing here waits for
//! an append, and an append never waits for more than the change of the list in memory.

use std::sync::PoisonError;
use std::time::Duration;

use crate::catalog::{Edit, SegmentInfo, SegmentPart};
use crate::error::Result;
use crate::index::TraceSet;
use crate::log::FileId;
use crate::os::{Directory, MutexGuard};

use super::engine::{Engine, closed_error};
use super::generation::REPLAYED;
use super::merge::{Dropped, MergeSummary};

/// The right to rearrange segments, as long as it lives.
pub struct Upkeep<'e> {
    _held: MutexGuard<'e, ()>,
}

/// A live segment and what the catalog knows of it.
#[derive(Clone, Debug)]
pub struct SealedPart {
    /// The segment and its marks.
    pub part: SegmentPart,
    /// When it was received, and how long it is.
    pub info: SegmentInfo,
}

/// Bytes of a store's files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Of all files.
    pub total: u64,
    /// Of segments.
    pub segments: u64,
    /// Of logs.
    pub logs: u64,
}

impl Engine {
    /// Waits for its turn to rearrange segments.
    ///
    /// # Errors
    /// Invalid on a store opened read-only, Closed on a closed one.
    pub(crate) fn upkeep(&self) -> Result<Upkeep<'_>> {
        self.writer()?;
        let held = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.lock().closed {
            Some(why) => Err(closed_error(why)),
            None => Ok(Upkeep { _held: held }),
        }
    }

    /// The live segments, the one received first in front. More may be sealed at any time.
    pub(crate) fn sealed_parts(&self, _upkeep: &Upkeep<'_>) -> Result<Vec<SealedPart>> {
        // The list first: a segment is in the catalog before it is in the list, and only who holds `upkeep`
        // takes it out.
        let parts = self.lock().segments.clone();
        let catalog = self.writer()?.manifest.catalog();
        let known = |part: SegmentPart| {
            let info = catalog.segment(FileId(part.segment.id()))?.info.clone();
            Some(SealedPart { part, info })
        };
        let mut out: Vec<SealedPart> = parts.into_iter().filter_map(known).collect();
        out.sort_by_key(|sealed| (sealed.info.received.1, sealed.info.id));
        Ok(out)
    }

    /// The bytes on disk while nothing is being sealed: a log and the segment made of it are never both
    /// counted.
    ///
    /// # Errors
    /// Io if a directory cannot be listed.
    pub(crate) fn settled_usage(&self, _upkeep: &Upkeep<'_>) -> Result<DiskUsage> {
        let _settled = self.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        self.disk_usage()
    }

    /// The bytes on disk at this moment.
    ///
    /// # Errors
    /// Io if a directory cannot be listed.
    pub(crate) fn disk_usage(&self) -> Result<DiskUsage> {
        let mut out = DiskUsage::default();
        for directory in Directory::ALL {
            let bytes = self.storage.list(directory)?.iter().map(|entry| entry.len_bytes).sum::<u64>();
            out.total += bytes;
            match directory {
                Directory::Segments => out.segments += bytes,
                Directory::Log => out.logs += bytes,
                Directory::Root | Directory::Quarantine => {}
            }
        }
        Ok(out)
    }

    /// Seals the spans in memory whose generation was received until then as a whole, and those that opening
    /// replayed: their time is known no better later.
    ///
    /// # Errors
    /// What the storage says; the spans stay where they are then.
    pub(crate) fn seal_received_until(&self, until: u64) -> Result<()> {
        let writer = self.writer()?;
        let mut live = self.lock();
        if live.head.received.is_some_and(|(_, last)| last <= until) {
            self.rotate(writer, &mut live)?;
        }
        let due = live.generations.iter().rev().find(|g| g.received.1 <= until || g.number == REPLAYED);
        let last = due.map(|g| g.sequences.end);
        drop(live);
        while last.is_some() && self.seal_oldest(last)?.is_some() {}
        Ok(())
    }

    /// Removes live segments and the spans in them, durably. What comes of these spans later is new.
    ///
    /// # Errors
    /// NoSpace or Io if the commit was refused and nothing happened, or if a file could not be unlinked,
    /// though its spans are gone; Closed if it is unknown whether they are.
    pub(crate) fn remove_segments(&self, _upkeep: &Upkeep<'_>, ids: &[FileId]) -> Result<()> {
        let writer = self.writer()?;
        let settled = self.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        let remove = Edit::RemoveSegments { ids: ids.to_vec(), replaced_by: Vec::new() };
        writer.manifest.commit(&[remove, self.clock_edit()])?;
        let mut live = self.lock();
        let (gone, kept) = live.segments.drain(..).partition(|part| ids.contains(&FileId(part.segment.id())));
        live.segments = kept;
        // What comes again is compared with what is left.
        live.sealed_spans.clear();
        drop(live);
        drop(settled);
        // Unmapping takes time, so not under the lock.
        drop::<Vec<SegmentPart>>(gone);
        self.remove_segment_files(writer, ids)
    }

    /// Unlinks segments that were retired and are still there, because an unlink failed.
    ///
    /// # Errors
    /// What the storage says.
    pub(crate) fn remove_leftovers(&self, _upkeep: &Upkeep<'_>) -> Result<()> {
        let writer = self.writer()?;
        let retired: Vec<FileId> = writer.manifest.catalog().retired_segments().iter().copied().collect();
        if retired.is_empty() { Ok(()) } else { self.remove_segment_files(writer, &retired) }
    }

    /// Rewrites a segment without these of its traces, and without the deleted ones. Answers what is there
    /// instead.
    ///
    /// # Errors
    /// NoSpace or Io if the storage refuses, Corrupt if the segment is damaged: it stays as it is then.
    pub(crate) fn shrink_segment(&self, upkeep: &Upkeep<'_>, id: FileId, dropped: &TraceSet) -> Result<MergeSummary> {
        let dropped = Dropped { segment: id, traces: dropped.clone(), are_unreadable: false };
        self.merge_group(upkeep, &[id], Some(&dropped))
    }

    /// How many segments were sealed since the store was opened.
    pub(crate) fn publications(&self) -> u64 {
        self.lock().sealed.segments
    }

    /// Waits until more than `seen` segments were sealed since the store was opened, or for that long. False
    /// if the store is closed.
    pub(crate) fn wait_for_publication(&self, seen: u64, timeout: Duration) -> bool {
        let live = self.lock();
        let waited =
            self.changed.wait_timeout_while(live, timeout, |l| l.closed.is_none() && l.sealed.segments <= seen);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed.is_none()
    }
}
