//! Candidates newest first, from as few segments as tell the first of them.
//!
//! The latest start in a segment bounds the starts of all traces that match there. A segment is begun when the best
//! candidate found so far does not come before that bound:
//!
//! ```text
//! head          12:03 12:01 ...
//! segment 9     latest start 12:02    begun: its traces may come after 12:03 and before 12:01
//! segment 8     latest start 11:40    not begun while there is a candidate that is newer
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::error::Result;
use crate::model::TraceId;

use super::candidate::Candidate;
use super::find::{Finder, Loose};
use super::page::SortKey;
use super::predicate::{Order, QueryScope};
use super::segment_scan::SegmentScan;

/// Where the candidates of a search come from.
pub struct Candidates<'q> {
    /// Those known already, whose place does not depend on a scan.
    pub(super) pending: BinaryHeap<Reverse<Candidate>>,
    /// Segments at work.
    pub(super) scans: Vec<SegmentScan<'q>>,
    /// Segments not yet begun and the first place that a trace of theirs can have, the first of all last.
    waiting: Vec<(SortKey, usize)>,
    /// Groups of loose traces that are among those known.
    met: FxHashSet<u128>,
}

impl<'q> Candidates<'q> {
    /// All candidates of segments that were looked through.
    pub(super) fn known(pending: BinaryHeap<Reverse<Candidate>>, scans: Vec<SegmentScan<'q>>) -> Self {
        Self { pending, scans, waiting: Vec::new(), met: FxHashSet::default() }
    }

    /// The segment to begin before `first` is known to be the first of all.
    fn due(&mut self, first: Option<Candidate>) -> Option<usize> {
        let due = |bound: SortKey| first.is_none_or(|first| bound <= first.key);
        self.waiting.pop_if(|(bound, _)| due(*bound)).map(|(_, index)| index)
    }
}

impl<'q> Finder<'q> {
    /// True if candidates can be had in order from the segments, one by one.
    pub(super) fn is_newest_first(&self) -> bool {
        self.query.order == Order::Newest && self.query.scope == QueryScope::Span
    }

    /// The candidates of the head; segments wait.
    ///
    /// # Errors
    /// Whatever is not damage; so do the other methods.
    pub(super) fn newest_first(&mut self, loose: Loose) -> Result<Candidates<'q>> {
        let met = loose.keys().copied().collect();
        let mut waiting: Vec<(SortKey, usize)> =
            (0..self.snapshot.segments.len()).map(|index| (self.first_place(index), index)).collect();
        waiting.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Candidates { pending: self.loose_candidates(loose)?, scans: Vec::new(), waiting, met })
    }

    /// The first place that a trace with a match in the segment can have.
    fn first_place(&self, index: usize) -> SortKey {
        let latest = self.snapshot.segments[index].segment.directory().start_max;
        SortKey::new(Order::Newest, latest, 0, TraceId::SMALLEST)
    }

    /// The candidate that comes first of all that are left.
    pub(super) fn next_candidate(&mut self, of: &mut Candidates<'q>) -> Result<Option<Candidate>> {
        loop {
            let sealed = of.scans.iter().filter_map(|scan| scan.head).min();
            let known = of.pending.peek().map(|Reverse(candidate)| *candidate);
            let first = sealed.into_iter().chain(known).min();
            if let Some(index) = of.due(first) {
                self.begin_waiting(index, of)?;
                continue;
            }
            match of.scans.iter_mut().find(|scan| scan.head.is_some() && scan.head == first) {
                Some(scan) => scan.head = self.next_clean(scan)?,
                None => drop(of.pending.pop()),
            }
            return Ok(first);
        }
    }

    fn begin_waiting(&mut self, index: usize, of: &mut Candidates<'q>) -> Result<()> {
        let mut loose = FxHashMap::default();
        let scan = self.begin_segment(index, &mut loose)?;
        loose.retain(|group, _| of.met.insert(*group));
        of.pending.extend(self.loose_candidates(loose)?);
        if let Some(mut scan) = scan {
            scan.head = self.next_clean(&mut scan)?;
            of.scans.push(scan);
        }
        Ok(())
    }

    /// Notes what was not read when the answer was full.
    pub(super) fn note_left(&mut self, of: &Candidates<'q>) {
        self.explain.pages_skipped += of.scans.iter().map(SegmentScan::left_pages).sum::<u64>();
        for (_, index) in &of.waiting {
            let segment = &self.snapshot.segments[*index].segment;
            self.consider(segment);
            self.rule_out(segment, "order");
        }
    }
}
