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

/// Which keys are shown. All but the first two are of keys that have partners; a span is not its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairsShow {
    /// No span on one of the sides; or, where partners start at most so far apart, a span of a without a partner.
    Missing,
    /// More than one span on a side; where partners start at most so far apart, two that do.
    Duplicate,
    /// Partners, however they stand in time.
    Both,
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
    /// Which spans of a key take part in what is shown, of spans that are sorted by start and end; none if the key is
    /// not shown.
    pub fn taking_part(&self, members: &[Member]) -> Vec<bool> {
        let within = self.within.unwrap_or(u64::MAX);
        if !members.iter().any(|member| self.window.contains(member.start)) {
            return vec![false; members.len()];
        }
        match self.show {
            PairsShow::Missing => missing(members, within),
            PairsShow::Duplicate => duplicate(members, within),
            show => {
                let partners = partners(members, within);
                let others = || partners.iter().any(|partner| partner.before || partner.overlap);
                let takes_part = |partner: &Partner| match show {
                    PairsShow::Before => partner.before,
                    PairsShow::Overlap => partner.overlap,
                    _ => partner.any,
                };
                let shown = show != PairsShow::After || !others();
                partners.iter().map(|partner| shown && takes_part(partner)).collect()
            }
        }
    }
}

/// All if a side is empty, else each a without a b that starts at most `within` from it.
fn missing(members: &[Member], within: u64) -> Vec<bool> {
    let starts: Vec<u64> = members.iter().filter(|member| member.sides[1]).map(|member| member.start).collect();
    let is_empty = starts.is_empty() || !members.iter().any(|member| member.sides[0]);
    let has_partner = |start: u64| {
        let next = starts.partition_point(|other| *other < start);
        let near = |at: usize| starts.get(at).is_some_and(|other| other.abs_diff(start) <= within);
        near(next) || next.checked_sub(1).is_some_and(near)
    };
    members.iter().map(|member| is_empty || member.sides[0] && !has_partner(member.start)).collect()
}

/// Those of a side that start at most `within` from another of it.
fn duplicate(members: &[Member], within: u64) -> Vec<bool> {
    let mut out = vec![false; members.len()];
    for side in [0, 1] {
        let own: Vec<usize> = (0..members.len()).filter(|at| members[*at].sides[side]).collect();
        for two in own.windows(2).filter(|two| members[two[1]].start - members[two[0]].start <= within) {
            two.iter().for_each(|at| out[*at] = true);
        }
    }
    out
}

/// How a span stands to some partner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Partner {
    any: bool,
    before: bool,
    overlap: bool,
}

/// How each span stands to its partners: those that begin earlier in a pass from the front, the others from the back.
fn partners(members: &[Member], within: u64) -> Vec<Partner> {
    let mut out = vec![Partner::default(); members.len()];
    let cut_end = |member: &Member| member.end.min(member.start.saturating_add(within).saturating_add(1));
    let mut past = Passed::default();
    let mut latest_end = [0; 2];
    for (member, partner) in members.iter().zip(&mut out) {
        past.reach(member.start);
        for side in member.on_sides() {
            partner.any |= past.is_near(past.last[1 - side], within);
            // Only an a has what is before it.
            partner.before |= side == 0 && past.is_near(past.other_start[1], within);
            partner.overlap |= latest_end[1 - side] > member.start;
        }
        for side in member.on_sides() {
            past.last[side] = Some(member.start);
            latest_end[side] = latest_end[side].max(cut_end(member));
        }
    }
    let mut next = Passed::default();
    for (member, partner) in members.iter().zip(&mut out).rev() {
        next.reach(member.start);
        for side in member.on_sides() {
            partner.any |= next.is_near(next.last[1 - side], within);
            partner.before |= side == 1 && next.is_near(next.other_start[0], within);
            // Of those that follow, the nearest begins first.
            partner.overlap |= next.last[1 - side].is_some_and(|start| start < cut_end(member));
        }
        member.on_sides().for_each(|side| next.last[side] = Some(member.start));
    }
    out
}

impl Member {
    fn on_sides(&self) -> impl Iterator<Item = usize> + use<> {
        let sides = self.sides;
        [0, 1].into_iter().filter(move |side| sides[*side])
    }
}

/// What a pass has met of each side.
#[derive(Default)]
struct Passed {
    at: Option<u64>,
    /// The last start, and the last that is not the one at hand.
    last: [Option<u64>; 2],
    other_start: [Option<u64>; 2],
}

impl Passed {
    fn reach(&mut self, start: u64) {
        if self.at != Some(start) {
            (self.at, self.other_start) = (Some(start), self.last);
        }
    }

    fn is_near(&self, other: Option<u64>, within: u64) -> bool {
        self.at.zip(other).is_some_and(|(start, other)| start.abs_diff(other) <= within)
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
        use PairsShow::{After, Before, Both, Duplicate, Missing, Overlap};
        let members = members(spans);
        let shows = |show: &PairsShow| {
            Rule { show: *show, within, window: TimeRange::ALL }.taking_part(&members).contains(&true)
        };
        [Missing, Duplicate, Both, Before, After, Overlap].into_iter().filter(shows).collect()
    }

    #[test]
    fn one_of_each_is_before_after_or_overlaps() {
        use PairsShow::{After, Before, Both, Overlap};
        assert_eq!(shown(&[("a", 10, 20), ("b", 20, 30)], None), [Both, After]);
        assert_eq!(shown(&[("a", 10, 20), ("b", 10, 30)], None), [Both, Overlap]);
        assert_eq!(shown(&[("a", 10, 20), ("b", 5, 10)], None), [Both, Before]);
        assert_eq!(shown(&[("a", 10, 20), ("b", 5, 11)], None), [Both, Before, Overlap]);
    }

    #[test]
    fn a_side_that_is_empty_is_missing_and_nothing_else() {
        assert_eq!(shown(&[("a", 10, 20)], None), [PairsShow::Missing]);
        assert_eq!(shown(&[("b", 10, 20)], Some(5)), [PairsShow::Missing]);
    }

    #[test]
    fn partners_too_far_apart_are_none() {
        use PairsShow::{After, Both, Missing, Overlap};
        assert_eq!(shown(&[("a", 10, 90), ("b", 21, 30)], Some(10)), [Missing]);
        assert_eq!(shown(&[("a", 10, 90), ("b", 20, 30)], Some(10)), [Both, Overlap]);
        assert_eq!(shown(&[("a", 10, 12), ("b", 20, 30)], Some(10)), [Both, After]);
        assert_eq!(shown(&[("a", 10, 12), ("b", 20, 30), ("b", 99, 99)], Some(10)), [Both, After]);
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
            [PairsShow::Duplicate, PairsShow::Both, PairsShow::Before, PairsShow::Overlap]
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
                        assert_eq!(partners(&members, within), by_pairs(&members, within), "{members:?} {within}");
                    }
                }
            }
        }
    }

    fn by_pairs(members: &[Member], within: u64) -> Vec<Partner> {
        let mut out = vec![Partner::default(); members.len()];
        for (at, a) in members.iter().enumerate().filter(|(_, member)| member.sides[0]) {
            for (other, b) in members.iter().enumerate().filter(|(_, member)| member.sides[1]) {
                if at == other || a.start.abs_diff(b.start) > within {
                    continue;
                }
                for partner in [at, other] {
                    out[partner].any = true;
                    out[partner].before |= b.start < a.start;
                    out[partner].overlap |= a.start < b.end && b.start < a.end;
                }
            }
        }
        out
    }

    #[test]
    fn only_the_spans_that_are_so_take_part() {
        let told = |spans: &[(&str, u64, u64)], show: PairsShow, within: Option<u64>| {
            Rule { show, within, window: TimeRange::ALL }.taking_part(&members(spans))
        };
        let writes = [("ab", 0, 5), ("ab", 4, 9), ("ab", 20, 21), ("ab", 21, 22)];
        assert_eq!(told(&writes, PairsShow::Overlap, None), [true, true, false, false]);
        assert_eq!(told(&writes, PairsShow::Duplicate, Some(1)), [false, false, true, true]);
        let late = [("a", 0, 5), ("a", 10, 11), ("b", 12, 13)];
        assert_eq!(told(&late, PairsShow::Missing, Some(2)), [true, false, false]);
    }
}
