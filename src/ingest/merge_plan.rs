//! Which segments are merged: a pure decision over what the catalog knows of them.
//!
//! A span is written at most three times by itself: to the log, when it is sealed, and in one merge. So
//! merging by itself takes sealed heads alone, and waits until there are enough of them to make a segment
//! that need not be merged again. Merging by hand does what it is asked: it rewrites what holds dead rows
//! and unites what is small, whatever that costs.
//!
//! ```text
//! oldest first    M M s s s s s s s s s s      M was merged, s was sealed
//! by itself           [--------------] . .     eight or more make one
//! by hand         M [---------------------]    dead rows in any M: that one too
//! all             [-------------------------]  as few as the limits allow
//! ```
//! No group has more rows than [`ROWS_MAX`], by itself no more than the memory budget has room for, and none spans
//! more receive time than a tenth of the age at which spans go: a segment goes as a whole, when its youngest span is
//! old enough.

use std::ops::Range;

/// Sealed heads that are worth a merge.
const FAN_IN: usize = 8;
/// Rows of a merged segment.
const ROWS_MAX: u64 = 4 << 20;
/// Of the memory budget, for each row of a segment that is merged by itself: the default has room for [`ROWS_MAX`].
const BUDGET_BYTES_A_ROW: u64 = 64;

/// What bounds a group besides [`ROWS_MAX`].
#[derive(Clone, Copy, Debug)]
pub struct GroupBounds {
    /// Receive time that a group covers at most, in nanoseconds.
    pub age_span_max: Option<u64>,
    /// The memory budget in bytes, which merging by itself keeps to.
    pub budget_bytes: u64,
}

impl GroupBounds {
    fn rows_max(&self, extent: Extent) -> u64 {
        match extent {
            Extent::Automatic => ROWS_MAX.min(self.budget_bytes / BUDGET_BYTES_A_ROW),
            Extent::ByHand | Extent::All => ROWS_MAX,
        }
    }
}

/// How far a merge goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What is worth it, each span once in its life.
    Automatic,
    /// Every segment with dead rows, and all that are small beside others.
    ByHand,
    /// Everything, to as few segments as the limits allow.
    All,
}

/// What is known of a segment.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Rows in it.
    pub rows: u64,
    /// First and last receive time, nanoseconds.
    pub received: (u64, u64),
    /// Merges its rows went through.
    pub merges: u32,
    /// True if it holds rows of deleted traces.
    pub has_dead_rows: bool,
}

/// The segments to be merged with each other, as ranges of `candidates`, which are in order of receive time.
pub fn plan_merges(candidates: &[Candidate], extent: Extent, bounds: GroupBounds) -> Vec<Range<usize>> {
    let rows_max = bounds.rows_max(extent);
    let mut out: Vec<Range<usize>> = Vec::new();
    let mut first = 0;
    while first < candidates.len() {
        if !may_take_part(&candidates[first], extent) {
            first += 1;
            continue;
        }
        let mut end = first + 1;
        while end < candidates.len()
            && may_take_part(&candidates[end], extent)
            && fits(&candidates[first..=end], rows_max, bounds.age_span_max)
        {
            end += 1;
        }
        if is_worth_it(&candidates[first..end], extent, rows_max) {
            out.push(first..end);
        }
        first = end;
    }
    out
}

fn may_take_part(candidate: &Candidate, extent: Extent) -> bool {
    match extent {
        Extent::Automatic => candidate.merges == 0,
        Extent::ByHand => candidate.has_dead_rows || candidate.rows <= ROWS_MAX / 2,
        Extent::All => true,
    }
}

fn fits(group: &[Candidate], rows_max: u64, age_span_max: Option<u64>) -> bool {
    let rows: u64 = group.iter().map(|c| c.rows).sum();
    let first = group.iter().map(|c| c.received.0).min().unwrap_or(0);
    let last = group.iter().map(|c| c.received.1).max().unwrap_or(0);
    rows <= rows_max && age_span_max.is_none_or(|max| last.saturating_sub(first) <= max)
}

fn is_worth_it(group: &[Candidate], extent: Extent, rows_max: u64) -> bool {
    match extent {
        // One alone is as good as merged.
        Extent::Automatic if group.len() == 1 => false,
        Extent::Automatic => group.len() >= FAN_IN || group.iter().map(|c| c.rows).sum::<u64>() > rows_max / 2,
        Extent::ByHand | Extent::All => group.len() > 1 || group[0].has_dead_rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(age_span_max: Option<u64>) -> GroupBounds {
        GroupBounds { age_span_max, budget_bytes: 256 << 20 }
    }

    fn sealed(rows: u64, received: u64) -> Candidate {
        Candidate { rows, received: (received, received + 1), merges: 0, has_dead_rows: false }
    }

    fn merged(rows: u64, received: u64) -> Candidate {
        Candidate { merges: 1, ..sealed(rows, received) }
    }

    fn dead(candidate: Candidate) -> Candidate {
        Candidate { has_dead_rows: true, ..candidate }
    }

    #[test]
    fn by_itself_a_span_is_merged_once_and_only_with_many() {
        let mut list = vec![merged(1 << 20, 0)];
        list.extend((1..8).map(|n| sealed(1000, n)));
        assert!(plan_merges(&list, Extent::Automatic, bounds(None)).is_empty());
        list.push(sealed(1000, 8));
        assert_eq!(plan_merges(&list, Extent::Automatic, bounds(None)).first(), Some(&(1..9)));
        assert!(plan_merges(&[merged(10, 0), merged(10, 1)], Extent::Automatic, bounds(None)).is_empty());
        assert!(plan_merges(&[dead(merged(10, 0))], Extent::Automatic, bounds(None)).is_empty());
    }

    #[test]
    fn by_hand_dead_rows_go_and_small_ones_unite() {
        let list = [dead(merged(ROWS_MAX, 0)), merged(10, 1), sealed(10, 2), sealed(ROWS_MAX, 3), sealed(9, 4)];
        assert_eq!(plan_merges(&list, Extent::ByHand, bounds(None)), [0..1, 1..3]);
        assert!(plan_merges(&[sealed(10, 0)], Extent::ByHand, bounds(None)).is_empty());
        assert_eq!(plan_merges(&[dead(sealed(10, 0))], Extent::ByHand, bounds(None)).first(), Some(&(0..1)));
    }

    #[test]
    fn all_makes_as_few_as_the_limits_allow() {
        let list = [merged(ROWS_MAX / 2, 0), merged(ROWS_MAX / 2, 1), sealed(1, 2), sealed(1, 3)];
        assert_eq!(plan_merges(&list, Extent::All, bounds(None)), [0..2, 2..4]);
    }

    #[test]
    fn by_itself_no_group_is_larger_than_the_budget_has_room_for() {
        let list: Vec<Candidate> = (0..10).map(|n| sealed(1_000, n)).collect();
        let small = GroupBounds { age_span_max: None, budget_bytes: 4_000 * BUDGET_BYTES_A_ROW };
        assert_eq!(plan_merges(&list, Extent::Automatic, small), [0..4, 4..8]);
        assert_eq!(plan_merges(&list, Extent::All, small).first(), Some(&(0..10)));
        assert!(plan_merges(&[sealed(3_000, 0), sealed(3_000, 1)], Extent::Automatic, small).is_empty());
    }

    #[test]
    fn no_group_covers_more_receive_time_than_it_may() {
        let list: Vec<Candidate> = (0..10).map(|n| sealed(10, n * 10)).collect();
        assert_eq!(plan_merges(&list, Extent::All, bounds(Some(31))), [0..4, 4..8, 8..10]);
        let covered = |group: &Range<usize>| list[group.end - 1].received.1 - list[group.start].received.0;
        assert!(plan_merges(&list, Extent::All, bounds(Some(31))).iter().all(|group| covered(group) <= 31));
    }
}
