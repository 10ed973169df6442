//! From when to when loose traces reach. Most of them lie in the head alone, and no segment need be asked for these.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::{Extent, Snapshot, TraceIds};
use crate::error::Result;
use crate::model::TraceId;
use crate::part::ReadCounter;

/// Traces up to which each is looked up in every part.
const FEW: usize = 64;

/// The extents of loose traces.
pub struct LooseExtents<'q> {
    snapshot: &'q Snapshot,
    ids: TraceIds,
    counter: &'q ReadCounter,
    head: Option<FxHashMap<TraceId, Extent>>,
    /// The low halves of the ids of loose traces that lie in a segment; `None` if they are not known.
    sealed: Option<FxHashSet<u64>>,
}

impl<'q> LooseExtents<'q> {
    /// Of loose traces of a snapshot.
    pub fn new(snapshot: &'q Snapshot, ids: TraceIds, counter: &'q ReadCounter) -> Self {
        Self { snapshot, ids, counter, head: None, sealed: None }
    }

    /// Makes ready for about so many traces.
    pub fn expect(&mut self, count: usize) {
        if count > FEW && self.ids == TraceIds::Strict && self.head.is_none() {
            self.sealed = self.sealed_lows().ok();
            self.head = self.sealed.is_some().then(|| self.snapshot.head_extents_by_id());
        }
    }

    fn sealed_lows(&self) -> Result<FxHashSet<u64>> {
        let mut lows = FxHashSet::default();
        for part in &self.snapshot.segments {
            for ordinal in part.loose() {
                lows.insert(part.segment.trace_id(ordinal, self.counter)?.low());
            }
        }
        Ok(lows)
    }

    /// The extent of a loose trace over all parts; `None` if there is no such trace.
    ///
    /// # Errors
    /// Corrupt if a trace table is damaged.
    pub fn get(&self, id: TraceId) -> Result<Option<Extent>> {
        match (&self.head, &self.sealed) {
            (Some(head), Some(sealed)) if !sealed.contains(&id.low()) => Ok(head.get(&id).copied()),
            _ => self.snapshot.extent(id, self.ids, self.counter),
        }
    }
}
