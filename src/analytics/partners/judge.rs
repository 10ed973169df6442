//! Whether the spans of a key are as asked: passes over them in the order of their starts.
//!
//! Two spans are *partners* if one is on side a, the other on side b, and they start at most `within` apart. Where
//! there are several on a side, one pair that is so is enough for `before` and `overlap`:
//!
//! ```text
//! a    |----|      |--|
//! b           |-----|            overlap and before: b begins before the second a, and they overlap
//! ```
//! That two overlap is known without looking at every pair: with ends cut to `start + within + 1`, a span overlaps a
//! partner that starts before it exactly if the latest end on the other side so far is after its start.

use crate::model::TimeRange;

use super::gather::Member;

/// Which keys are shown. Of `before`, `after` and `overlap` are only keys that have partners; a span is not its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairsShow {
    /// No span on one of the sides; or, where partners start at most so far apart, a span of a without a partner.
    Missing,
    /// More than one span on a side; where partners start at most so far apart, two that do.
    Duplicate,
    /// Some b starts before a partner of it.
    Before,
    /// Partners that are neither `Before` nor `Overlap`: all b start with or after their a, and after its end.
    After,
    /// Some partners overlap in time: each starts before the other ends. A span without a duration ends at its start.
    Overlap,
}

/// What is asked of every key.
pub struct Rule {
    pub show: PairsShow,
    /// Nanoseconds between the starts of partners.
    pub within: Option<u64>,
    pub window: TimeRange,
}

impl Rule {
    /// True if the key of these spans, which are sorted by start and end, is shown.
    pub fn shows(&self, members: &[Member]) -> bool {
        if !members.iter().any(|member| self.window.contains(member.start)) {
            return false;
        }
        let within = self.within.unwrap_or(u64::MAX);
        match self.show {
            PairsShow::Missing => is_missing(members, within),
            PairsShow::Duplicate => is_duplicate(members, within),
            PairsShow::Before => Partners::of(members, within).before,
            PairsShow::Overlap => Partners::of(members, within).overlap,
            PairsShow::After => {
                let partners = Partners::of(members, within);
                partners.any && !partners.before && !partners.overlap
            }
        }
    }
}

/// True if there is no a, or one without a b that starts at most `within` from it.
fn is_missing(members: &[Member], within: u64) -> bool {
    let starts = |side: usize| members.iter().filter(move |member| member.sides[side]).map(|member| member.start);
    let others: Vec<u64> = starts(1).collect();
    let has_partner = |start: u64| {
        let next = others.partition_point(|other| *other < start);
        let near = |at: usize| others.get(at).is_some_and(|other| other.abs_diff(start) <= within);
        near(next) || next.checked_sub(1).is_some_and(near)
    };
    starts(0).next().is_none() || starts(0).any(|start| !has_partner(start))
}

/// True if two spans of a side start at most `within` from each other.
fn is_duplicate(members: &[Member], within: u64) -> bool {
    [0, 1].into_iter().any(|side| {
        let starts: Vec<u64> = members.iter().filter(|member| member.sides[side]).map(|member| member.start).collect();
        starts.windows(2).any(|two| two[0].abs_diff(two[1]) <= within)
    })
}

/// What is true of some pair of partners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Partners {
    any: bool,
    before: bool,
    overlap: bool,
}

impl Partners {
    fn of(members: &[Member], within: u64) -> Self {
        let mut out = Self::default();
        // Of each side so far: the last start, the last start before the one at hand, the latest end.
        let mut last: [Option<u64>; 2] = [None; 2];
        let mut earlier: [Option<u64>; 2] = [None; 2];
        let mut latest_end = [0; 2];
        let mut at = None;
        for member in members {
            let (start, is_near) =
                (member.start, |other: Option<u64>| other.is_some_and(|o| member.start - o <= within));
            if at != Some(start) {
                (at, earlier) = (Some(start), last);
            }
            out.any |= member.sides[0] && is_near(last[1]) || member.sides[1] && is_near(last[0]);
            out.before |= member.sides[0] && is_near(earlier[1]);
            out.overlap |= member.sides[0] && latest_end[1] > start || member.sides[1] && latest_end[0] > start;
            for side in [0, 1].into_iter().filter(|side| member.sides[*side]) {
                last[side] = Some(start);
                latest_end[side] = latest_end[side].max(member.end.min(start.saturating_add(within).saturating_add(1)));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spans as side, start and end, in any order.
    fn members(spans: &[(&str, u64, u64)]) -> Vec<Member> {
        let member = |(row, (side, start, end)): (usize, &(&str, u64, u64))| Member {
            group: 0,
            sides: [side.contains('a'), side.contains('b')],
            start: *start,
            end: *end,
            place: (0, row as u32),
        };
        let mut members: Vec<Member> = spans.iter().enumerate().map(member).collect();
        members.sort_unstable();
        members
    }

    fn shown(spans: &[(&str, u64, u64)], within: Option<u64>) -> Vec<PairsShow> {
        use PairsShow::{After, Before, Duplicate, Missing, Overlap};
        let members = members(spans);
        let shows = |show: &PairsShow| Rule { show: *show, within, window: TimeRange::ALL }.shows(&members);
        [Missing, Duplicate, Before, After, Overlap].into_iter().filter(shows).collect()
    }

    #[test]
    fn one_of_each_is_before_after_or_overlaps() {
        use PairsShow::{After, Before, Overlap};
        assert_eq!(shown(&[("a", 10, 20), ("b", 20, 30)], None), [After]);
        assert_eq!(shown(&[("a", 10, 20), ("b", 10, 30)], None), [Overlap]);
        assert_eq!(shown(&[("a", 10, 20), ("b", 5, 10)], None), [Before]);
        assert_eq!(shown(&[("a", 10, 20), ("b", 5, 11)], None), [Before, Overlap]);
    }

    #[test]
    fn a_side_that_is_empty_is_missing_and_nothing_else() {
        assert_eq!(shown(&[("a", 10, 20)], None), [PairsShow::Missing]);
        assert_eq!(shown(&[("b", 10, 20)], Some(5)), [PairsShow::Missing]);
    }

    #[test]
    fn partners_too_far_apart_are_none() {
        use PairsShow::{After, Missing, Overlap};
        assert_eq!(shown(&[("a", 10, 90), ("b", 21, 30)], Some(10)), [Missing]);
        assert_eq!(shown(&[("a", 10, 90), ("b", 20, 30)], Some(10)), [Overlap]);
        assert_eq!(shown(&[("a", 10, 12), ("b", 20, 30)], Some(10)), [After]);
        assert_eq!(shown(&[("a", 10, 12), ("b", 20, 30), ("b", 99, 99)], Some(10)), [After]);
    }

    #[test]
    fn two_of_a_side_are_duplicates_unless_too_far_apart() {
        let two = [("a", 10, 12), ("a", 30, 31), ("b", 40, 41)];
        assert!(shown(&two, None).contains(&PairsShow::Duplicate));
        assert!(!shown(&two, Some(19)).contains(&PairsShow::Duplicate));
        assert!(shown(&two, Some(20)).contains(&PairsShow::Duplicate));
    }

    #[test]
    fn a_span_on_both_sides_is_nobodys_partner_alone() {
        assert_eq!(shown(&[("ab", 10, 20)], None), []);
        assert_eq!(
            shown(&[("ab", 10, 20), ("ab", 15, 16)], None),
            [PairsShow::Duplicate, PairsShow::Before, PairsShow::Overlap]
        );
    }

    #[test]
    fn the_passes_say_what_looking_at_every_pair_says() {
        // Every choice of three spans out of these sides, starts and ends.
        let all: Vec<(&str, u64, u64)> = ["a", "b", "ab"]
            .into_iter()
            .flat_map(|side| (0..4).flat_map(move |start| (start..5).map(move |end| (side, start, end))))
            .collect();
        for (at, x) in all.iter().enumerate() {
            for (other, y) in all.iter().enumerate().skip(at) {
                for z in all.iter().skip(other).step_by(3) {
                    for within in [0, 1, u64::MAX] {
                        let members = members(&[*x, *y, *z]);
                        assert_eq!(Partners::of(&members, within), by_pairs(&members, within), "{members:?} {within}");
                    }
                }
            }
        }
    }

    fn by_pairs(members: &[Member], within: u64) -> Partners {
        let mut out = Partners::default();
        for a in members.iter().filter(|member| member.sides[0]) {
            let others = members.iter().filter(|b| b.sides[1] && b.place != a.place);
            for b in others.filter(|b| a.start.abs_diff(b.start) <= within) {
                out.any = true;
                out.before |= b.start < a.start;
                out.overlap |= a.start < b.end && b.start < a.end;
            }
        }
        out
    }
}
