//! What may be in an answer: traces by their place in the order, before any of them is read.
//!
//! An order that cannot be read off the segments (slowest first) has to look at every match before the first
//! is certain. [`BestCandidates`] then keeps as many as an answer can hold and lets go of the others, so that
//! memory follows the limit and not the matches.

use std::collections::BinaryHeap;

use crate::model::TraceId;

use super::page::SortKey;

/// A candidate: where it stands in the order, and where it lies if it is clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// The smallest comes first.
    pub key: SortKey,
    /// Segment and ordinal; `None` for a loose trace.
    pub place: Option<(usize, u32)>,
    /// The trace.
    pub trace_id: TraceId,
}

/// The first candidates in the order, as many as there is room for.
#[derive(Debug)]
pub struct BestCandidates {
    room: usize,
    last_first: BinaryHeap<Candidate>,
    dropped: bool,
}

impl BestCandidates {
    /// Room for so many.
    pub fn new(room: usize) -> Self {
        Self { room, last_first: BinaryHeap::new(), dropped: false }
    }

    /// Takes one in; if there is no room, the last in the order goes.
    pub fn push(&mut self, candidate: Candidate) {
        self.last_first.push(candidate);
        if self.last_first.len() > self.room {
            self.last_first.pop();
            self.dropped = true;
        }
    }

    /// True if a candidate of this key would stay.
    pub fn would_take(&self, key: SortKey) -> bool {
        self.last_first.len() < self.room || self.last_first.peek().is_some_and(|last| key < last.key)
    }

    /// Notes that some for which there is no room were not even looked at.
    pub fn let_go(&mut self) {
        self.dropped = true;
    }

    /// True if one had to go.
    pub fn dropped(&self) -> bool {
        self.dropped
    }

    /// Those that stayed, in no order.
    pub fn into_candidates(self) -> impl Iterator<Item = Candidate> {
        self.last_first.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::predicate::Order;
    use super::*;

    #[test]
    fn the_first_in_the_order_stay() {
        let mut best = BestCandidates::new(2);
        let id = |n: u64| TraceId::from_halves(0, n).unwrap();
        for (duration, n) in [(5, 1), (9, 2), (7, 3), (1, 4)] {
            let key = SortKey::new(Order::Slowest, 0, duration, id(n));
            best.push(Candidate { key, place: None, trace_id: id(n) });
            assert_eq!(best.dropped(), n > 2);
        }
        let mut stayed: Vec<_> = best.into_candidates().collect();
        stayed.sort();
        assert_eq!(stayed.iter().map(|candidate| candidate.trace_id).collect::<Vec<_>>(), [id(2), id(3)]);
    }
}
