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
//! No group has more rows than [`ROWS_MAX`], and none spans more receive time than a tenth of the age at
//! which spans go: a segment goes as a whole, when its youngest span is old enough.

use std::ops::Range;

/// Sealed heads that are worth a merge.
const FAN_IN: usize = 8;
/// Rows of a merged segment.
const ROWS_MAX: u64 = 4 << 20;

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
/// `age_span_max` bounds the receive time that a group covers, in nanoseconds.
pub fn plan_merges(candidates: &[Candidate], extent: Extent, age_span_max: Option<u64>) -> Vec<Range<usize>> {
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
            && fits(&candidates[first..=end], age_span_max)
        {
            end += 1;
        }
        if is_worth_it(&candidates[first..end], extent) {
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

fn fits(group: &[Candidate], age_span_max: Option<u64>) -> bool {
    let rows: u64 = group.iter().map(|c| c.rows).sum();
    let first = group.iter().map(|c| c.received.0).min().unwrap_or(0);
    let last = group.iter().map(|c| c.received.1).max().unwrap_or(0);
    rows <= ROWS_MAX && age_span_max.is_none_or(|max| last.saturating_sub(first) <= max)
}

fn is_worth_it(group: &[Candidate], extent: Extent) -> bool {
    match extent {
        Extent::Automatic => group.len() >= FAN_IN || group.iter().map(|c| c.rows).sum::<u64>() > ROWS_MAX / 2,
        Extent::ByHand | Extent::All => group.len() > 1 || group[0].has_dead_rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(plan_merges(&list, Extent::Automatic, None).is_empty());
        list.push(sealed(1000, 8));
        assert_eq!(plan_merges(&list, Extent::Automatic, None).first(), Some(&(1..9)));
        assert!(plan_merges(&[merged(10, 0), merged(10, 1)], Extent::Automatic, None).is_empty());
        assert!(plan_merges(&[dead(merged(10, 0))], Extent::Automatic, None).is_empty());
    }

    #[test]
    fn by_hand_dead_rows_go_and_small_ones_unite() {
        let list = [dead(merged(ROWS_MAX, 0)), merged(10, 1), sealed(10, 2), sealed(ROWS_MAX, 3), sealed(9, 4)];
        assert_eq!(plan_merges(&list, Extent::ByHand, None), [0..1, 1..3]);
        assert!(plan_merges(&[sealed(10, 0)], Extent::ByHand, None).is_empty());
        assert_eq!(plan_merges(&[dead(sealed(10, 0))], Extent::ByHand, None).first(), Some(&(0..1)));
    }

    #[test]
    fn all_makes_as_few_as_the_limits_allow() {
        let list = [merged(ROWS_MAX / 2, 0), merged(ROWS_MAX / 2, 1), sealed(1, 2), sealed(1, 3)];
        assert_eq!(plan_merges(&list, Extent::All, None), [0..2, 2..4]);
    }

    #[test]
    fn no_group_covers_more_receive_time_than_it_may() {
        let list: Vec<Candidate> = (0..10).map(|n| sealed(10, n * 10)).collect();
        assert_eq!(plan_merges(&list, Extent::All, Some(31)), [0..4, 4..8, 8..10]);
        let covered = |group: &Range<usize>| list[group.end - 1].received.1 - list[group.start].received.0;
        assert!(plan_merges(&list, Extent::All, Some(31)).iter().all(|group| covered(group) <= 31));
    }
}
