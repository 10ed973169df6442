//! The catalog: which files are live, as all edits so far say.
//!
//! An edit is applied as far as it makes sense, and contradictions are answered. A commit refuses an edit
//! that contradicts; reading a damaged manifest, where edits may be missing, goes on.
//!
//! *Retired* files were live once. They stay on disk until the last snapshot that needs them is gone, or
//! for ever if the process dies before; knowing them tells a leftover from a file whose edit was lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::error::{Error, Result, ensure};
use crate::log::FileId;

use super::edit::{ClockState, Edit, SegmentInfo};
use super::invariants;

/// A live segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSegment {
    /// What is known of it without opening it.
    pub info: SegmentInfo,
    /// Its bitmap of dirty trace ordinals; empty for none.
    pub dirty: Arc<[u8]>,
    /// Its bitmap of deleted trace ordinals; empty for none.
    pub deleted: Arc<[u8]>,
}

/// The live files of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    segments: BTreeMap<FileId, LiveSegment>,
    /// Id and first sequence.
    logs: BTreeMap<FileId, u64>,
    retired_segments: BTreeSet<FileId>,
    retired_logs: BTreeSet<FileId>,
    next_file_id: FileId,
    clock: Option<ClockState>,
}

impl Default for Catalog {
    fn default() -> Self {
        Self {
            segments: BTreeMap::new(),
            logs: BTreeMap::new(),
            retired_segments: BTreeSet::new(),
            retired_logs: BTreeSet::new(),
            next_file_id: FileId(1),
            clock: None,
        }
    }
}

impl Catalog {
    /// The live segments, by id.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &LiveSegment> {
        self.segments.values()
    }

    /// The live segment with this id.
    pub fn segment(&self, id: FileId) -> Option<&LiveSegment> {
        self.segments.get(&id)
    }

    /// The live logs and the sequence of the first span appended to each, by id.
    pub fn logs(&self) -> impl ExactSizeIterator<Item = (FileId, u64)> {
        self.logs.iter().map(|(&id, &first_sequence)| (id, first_sequence))
    }

    /// True if the log is live.
    pub fn has_log(&self, id: FileId) -> bool {
        self.logs.contains_key(&id)
    }

    /// Segments that were live and may still be on disk.
    pub fn retired_segments(&self) -> &BTreeSet<FileId> {
        &self.retired_segments
    }

    /// Logs that were live and may still be on disk.
    pub fn retired_logs(&self) -> &BTreeSet<FileId> {
        &self.retired_logs
    }

    /// The first id that no file of the store can have.
    pub fn next_file_id(&self) -> FileId {
        self.next_file_id
    }

    /// The retention clock as it was last written down.
    pub fn clock(&self) -> Option<ClockState> {
        self.clock
    }

    /// Applies an edit as far as it makes sense.
    ///
    /// # Errors
    /// Corrupt, naming the first contradiction between the edit and what went before.
    pub(super) fn apply(&mut self, edit: &Edit) -> Result<()> {
        match edit {
            Edit::AddSegment { info, replaced_logs, dirty } => {
                let added = self.add_segment(info);
                let replaced = self.remove_logs(replaced_logs);
                let marked = each(dirty, |(segment, bytes)| self.set_dirty(*segment, bytes));
                added.and(replaced).and(marked)
            }
            Edit::RemoveSegments { ids, replaced_by } => {
                let replaced = each(replaced_by, |id| {
                    ensure(self.segments.contains_key(id), || format!("segment {id} replaces others, but is not live"))
                });
                each(ids, |id| self.remove_segment(*id)).and(replaced)
            }
            Edit::AddLog { id, first_sequence } => self.add_log(*id, *first_sequence),
            Edit::RemoveLogs { ids } => self.remove_logs(ids),
            Edit::NextFileId { id } => {
                let grows = ensure(*id >= self.next_file_id, || format!("the next file id falls to {id}"));
                self.next_file_id = self.next_file_id.max(*id);
                grows
            }
            Edit::SetDirty { segment, bytes } => self.set_dirty(*segment, bytes),
            Edit::SetDeleted { segment, bytes } => self.set_deleted(*segment, bytes),
            Edit::SetClock(clock) => {
                self.clock = Some(*clock);
                Ok(())
            }
            Edit::Retired { segments, logs } => {
                self.retired_segments.extend(segments);
                self.retired_logs.extend(logs);
                Ok(())
            }
        }
    }

    fn add_segment(&mut self, info: &SegmentInfo) -> Result<()> {
        let id = info.id;
        let known = self.segments.contains_key(&id) || self.retired_segments.contains(&id);
        ensure(!known, || format!("segment {id} is added twice"))?;
        self.segments.insert(id, LiveSegment { info: info.clone(), dirty: Arc::from([]), deleted: Arc::from([]) });
        Ok(())
    }

    fn remove_segment(&mut self, id: FileId) -> Result<()> {
        self.retired_segments.insert(id);
        ensure(self.segments.remove(&id).is_some(), || format!("segment {id} is removed, but is not live"))
    }

    fn add_log(&mut self, id: FileId, first_sequence: u64) -> Result<()> {
        let known = self.logs.contains_key(&id) || self.retired_logs.contains(&id);
        ensure(!known, || format!("log {id} is added twice"))?;
        self.logs.insert(id, first_sequence);
        Ok(())
    }

    fn remove_logs(&mut self, ids: &[FileId]) -> Result<()> {
        each(ids, |&id| {
            self.retired_logs.insert(id);
            ensure(self.logs.remove(&id).is_some(), || format!("log {id} is removed, but is not live"))
        })
    }

    fn live(&mut self, id: FileId, what: &str) -> Result<&mut LiveSegment> {
        let segment = self.segments.get_mut(&id);
        segment.ok_or_else(|| Error::corrupt(format!("segment {id} gets {what}, but is not live")))
    }

    fn set_dirty(&mut self, id: FileId, bytes: &[u8]) -> Result<()> {
        self.live(id, "dirty")?.dirty = Arc::from(bytes);
        Ok(())
    }

    fn set_deleted(&mut self, id: FileId, bytes: &[u8]) -> Result<()> {
        self.live(id, "deleted traces")?.deleted = Arc::from(bytes);
        Ok(())
    }

    /// The catalog after all these edits.
    ///
    /// # Errors
    /// Corrupt, naming the first contradiction or the first broken invariant.
    pub(super) fn with(&self, edits: &[Edit]) -> Result<Self> {
        let mut next = self.clone();
        edits.iter().try_for_each(|edit| next.apply(edit))?;
        invariants::check(&next)?;
        Ok(next)
    }

    /// Raises the next file id, never lowers it.
    pub(super) fn reserve_file_ids(&mut self, next: FileId) {
        self.next_file_id = self.next_file_id.max(next);
    }

    /// Forgets retired files that are not on disk any more.
    pub(super) fn keep_retired(&mut self, segments: impl Fn(FileId) -> bool, logs: impl Fn(FileId) -> bool) {
        self.retired_segments.retain(|&id| segments(id));
        self.retired_logs.retain(|&id| logs(id));
    }

    /// Adds logs that no manifest names. First sequences are raised where they would fall.
    pub(super) fn adopt_logs(&mut self, logs: impl Iterator<Item = (FileId, u64)>) {
        for (id, first_sequence) in logs {
            if !self.segments.contains_key(&id) && !self.retired_segments.contains(&id) {
                self.logs.insert(id, first_sequence);
            }
        }
        let mut highest = 0;
        for first_sequence in self.logs.values_mut() {
            highest = highest.max(*first_sequence);
            *first_sequence = highest;
        }
    }

    /// Drops live files that are not on disk.
    pub(super) fn drop_live(&mut self, segments: impl Fn(FileId) -> bool, logs: impl Fn(FileId) -> bool) {
        self.segments.retain(|&id, _| segments(id));
        self.logs.retain(|&id, _| logs(id));
    }

    /// Edits that lead from nothing to this catalog.
    pub(super) fn as_edits(&self) -> Vec<Edit> {
        let mut edits = vec![Edit::NextFileId { id: self.next_file_id }];
        if !self.retired_segments.is_empty() || !self.retired_logs.is_empty() {
            let segments = self.retired_segments.iter().copied().collect();
            edits.push(Edit::Retired { segments, logs: self.retired_logs.iter().copied().collect() });
        }
        edits.extend(self.clock.map(Edit::SetClock));
        for segment in self.segments.values() {
            let id = segment.info.id;
            let dirty = (!segment.dirty.is_empty()).then(|| (id, segment.dirty.to_vec()));
            let dirty = dirty.into_iter().collect();
            edits.push(Edit::AddSegment { info: segment.info.clone(), replaced_logs: Vec::new(), dirty });
            if !segment.deleted.is_empty() {
                edits.push(Edit::SetDeleted { segment: id, bytes: segment.deleted.to_vec() });
            }
        }
        edits.extend(self.logs().map(|(id, first_sequence)| Edit::AddLog { id, first_sequence }));
        edits
    }
}

/// Does it for each item, all of them, and answers the first failure.
fn each<T>(items: &[T], mut act: impl FnMut(&T) -> Result<()>) -> Result<()> {
    let mut first = Ok(());
    for item in items {
        let result = act(item);
        first = first.and(result);
    }
    first
}

#[cfg(test)]
mod tests {
    use super::super::testing::{add_log, add_segment};
    use super::*;

    fn catalog(edits: &[Edit]) -> Catalog {
        Catalog::default().with(edits).unwrap()
    }

    fn contradiction(edits: &[Edit]) -> String {
        Catalog::default().with(edits).unwrap_err().to_string()
    }

    const IDS: Edit = Edit::NextFileId { id: FileId(64) };

    #[test]
    fn a_seal_replaces_its_logs_with_a_segment() {
        let catalog = catalog(&[IDS, add_log(1), add_log(2), add_segment(3, &[1])]);
        assert_eq!(catalog.segments().map(|s| s.info.id).collect::<Vec<_>>(), [FileId(3)]);
        assert_eq!(catalog.logs().map(|(id, _)| id).collect::<Vec<_>>(), [FileId(2)]);
        assert!(catalog.retired_logs().contains(&FileId(1)));
    }

    #[test]
    fn a_merge_replaces_segments_and_remembers_the_old_ones() {
        let merge = Edit::RemoveSegments { ids: vec![FileId(1), FileId(2)], replaced_by: vec![FileId(3)] };
        let catalog = catalog(&[IDS, add_segment(1, &[]), add_segment(2, &[]), add_segment(3, &[]), merge]);
        assert_eq!(catalog.segments().map(|s| s.info.id).collect::<Vec<_>>(), [FileId(3)]);
        assert_eq!(catalog.retired_segments().len(), 2);
    }

    #[test]
    fn dirty_bytes_are_replaced_and_go_with_their_segment() {
        let set = |bytes| Edit::SetDirty { segment: FileId(1), bytes };
        let catalog = catalog(&[IDS, add_segment(1, &[]), set(vec![1]), set(vec![2, 3])]);
        assert_eq!(&*catalog.segment(FileId(1)).unwrap().dirty, [2, 3]);
    }

    #[test]
    fn edits_that_contradict_are_named() {
        let remove = |id| Edit::RemoveSegments { ids: vec![FileId(id)], replaced_by: vec![] };
        assert_eq!(
            contradiction(&[IDS, add_segment(1, &[]), add_segment(1, &[])]),
            "segment 000000000001 is added twice"
        );
        assert_eq!(contradiction(&[IDS, remove(1)]), "segment 000000000001 is removed, but is not live");
        assert_eq!(
            contradiction(&[IDS, add_segment(1, &[]), remove(1), add_segment(1, &[])]),
            "segment 000000000001 is added twice"
        );
        assert_eq!(contradiction(&[IDS, add_segment(2, &[1])]), "log 000000000001 is removed, but is not live");
    }

    #[test]
    fn a_contradicting_edit_is_applied_as_far_as_it_makes_sense() {
        let mut catalog = catalog(&[IDS, add_log(2)]);
        catalog.apply(&add_segment(3, &[1, 2])).unwrap_err();
        assert!(catalog.segment(FileId(3)).is_some());
        assert_eq!(catalog.logs().len(), 0);
    }

    #[test]
    fn a_catalog_comes_back_from_its_own_edits() {
        let merge = Edit::RemoveSegments { ids: vec![FileId(1)], replaced_by: vec![FileId(2)] };
        let dirty = Edit::SetDirty { segment: FileId(2), bytes: vec![9] };
        let deleted = Edit::SetDeleted { segment: FileId(2), bytes: vec![8] };
        let clock = Edit::SetClock(ClockState { retention_nanos: 7, wall_nanos: 8, held: true });
        let adds = [IDS, add_log(5), add_segment(1, &[]), add_segment(2, &[])];
        let catalog = catalog(&[&adds[..], &[merge, dirty, deleted, clock]].concat());
        assert_eq!(Catalog::default().with(&catalog.as_edits()).unwrap(), catalog);
    }
}
