//! How many spans were under way at once, by step of time.
//!
//! ```text
//! a      |========|                 events   +1 at a start, -1 at an end; what falls on one instant is one event
//! b          |=======|              between two events the number stays the same
//! flight  11112222211
//! ```
//! Events are sorted and swept over once. Of more events than there is room for the earliest are kept, and the spans are
//! read again for the others: so memory has a bound, and every figure is exact.

use crate::catalog::Snapshot;
use crate::error::Result;
use crate::limits::Limits;
use crate::model::UnixNanos;
use crate::query::{Asked, Explain, MatchPart, Matching, Query, TimedRows};
use crate::segment::Detail;

use super::series::checked_step;
use super::totals::mean;

/// The spans under way in one step of time, which is half-open.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConcurrencyStep {
    /// Begin of the step, a multiple of its length.
    pub start_unix_nano: UnixNanos,
    /// The most spans that were under way at one instant of it.
    pub max: u64,
    /// The time that spans were under way in it, added up, divided by its length.
    pub mean: f64,
}

/// The steps in which a span was under way, by time.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Concurrency {
    /// The steps.
    pub steps: Vec<ConcurrencyStep>,
    /// False if something could not be read or a limit cut the answer.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// What was read and what was skipped.
    pub explain: Explain,
}

/// Counts the matching spans that are under way, by steps of so many nanoseconds. A span is under way from its start
/// until its end, without the end itself; one without a duration never is.
///
/// # Errors
/// Invalid if the step is 0 or the filter has too many criteria. Damage and limits are no errors: they make the
/// answer incomplete.
pub fn concurrency(snapshot: &Snapshot, filter: &Query, step_nano: u64, limits: &Limits) -> Result<Concurrency> {
    let asked = Asked::new(filter, limits)?;
    let mut sweep = Sweep::new(checked_step(step_nano)?, limits.groups_max.max(1));
    let (mut matching, parts) = Matching::new(&asked, snapshot)?;
    let mut from = Some(0);
    while let Some(begin) = from.filter(|_| !sweep.full) {
        let mut events = Events::new(begin, limits.values_bytes_max);
        each_span(&mut matching, &parts, &mut |start, duration| {
            events.add(start, 1);
            events.add(start.saturating_add(duration), -1);
        })?;
        events.settle();
        events.list.iter().for_each(|(instant, change)| sweep.event(*instant, *change));
        from = events.last.and_then(|last| last.checked_add(1));
    }
    sweep.end_step();
    let (explain, reason) = matching.finish();
    let cut = sweep.full.then(|| {
        let what = "steps in which a span was under way";
        format!("more than {} {what}: later ones are left out (Limits::groups_max)", sweep.room)
    });
    let reasons: Vec<String> = reason.into_iter().chain(cut).collect();
    let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
    Ok(Concurrency { steps: sweep.steps, complete: reason.is_none(), reason, explain })
}

/// Calls `visit` with start and duration of every matching span that has both and takes time.
fn each_span<'q>(matching: &mut Matching<'q>, parts: &[MatchPart<'q>], visit: &mut dyn FnMut(u64, u64)) -> Result<()> {
    let mut visit = |start: u64, duration: Option<u64>| {
        if let Some(duration) = duration.filter(|duration| *duration > 0 && start != 0) {
            visit(start, duration);
        }
    };
    if matching.is_by_trace() {
        return matching.each_trace(Detail::Outline, |spans, matched| {
            matched.iter().for_each(|at| visit(spans[*at].start_unix_nano, spans[*at].duration_nanos()));
            Ok(())
        });
    }
    for part in parts {
        let mut rows = TimedRows::new(part);
        for page in matching.pages(part) {
            rows.read(matching, *page)?;
            rows.starts.iter().zip(&rows.durations).for_each(|(start, duration)| visit(*start, Some(*duration)));
        }
    }
    matching.each_doubled_span(|span| {
        visit(span.start_unix_nano, span.duration_nanos());
        Ok(())
    })
}

/// Instants at which the number of spans under way changes, and by how much: the earliest from some instant on.
struct Events {
    from: u64,
    list: Vec<(u64, i64)>,
    room: usize,
    /// The last instant of which all events are kept; `None` for all.
    last: Option<u64>,
}

impl Events {
    /// None yet, of at most so many bytes.
    fn new(from: u64, bytes: usize) -> Self {
        Self { from, list: Vec::new(), room: (bytes / size_of::<(u64, i64)>()).max(8), last: None }
    }

    fn add(&mut self, instant: u64, change: i64) {
        if instant < self.from || self.last.is_some_and(|last| instant > last) {
            return;
        }
        if self.list.len() == self.room {
            self.settle();
            // Room for some more at once, so that sorting does not go on and on.
            let kept = self.room / 4 * 3;
            if self.list.len() > kept {
                self.list.truncate(kept);
                self.last = self.list.last().map(|(instant, _)| *instant);
                if self.last.is_some_and(|last| instant > last) {
                    return;
                }
            }
        }
        self.list.push((instant, change));
    }

    /// Sorts them and makes those of one instant one.
    fn settle(&mut self) {
        self.list.sort_unstable_by_key(|(instant, _)| *instant);
        self.list.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
    }
}

/// The sweep over all events in the order of time.
struct Sweep {
    step: u64,
    room: usize,
    steps: Vec<ConcurrencyStep>,
    full: bool,
    /// Everything before this instant was counted.
    now: u64,
    /// How many spans are under way from then on.
    in_flight: u64,
    /// The step at hand: its begin, the most spans, and the time of all of them.
    begin: u64,
    max: u64,
    covered: u128,
}

impl Sweep {
    fn new(step: u64, room: usize) -> Self {
        Self { step, room, steps: Vec::new(), full: false, now: 0, in_flight: 0, begin: 0, max: 0, covered: 0 }
    }

    /// The number of spans under way changes at this instant, which is no earlier than the one before.
    fn event(&mut self, instant: u64, change: i64) {
        while self.in_flight > 0 && self.now < instant && !self.full {
            let begin = self.now - self.now % self.step;
            if begin != self.begin {
                self.end_step();
                self.begin = begin;
            }
            // With spans under way this step will be a line.
            self.full = self.steps.len() >= self.room;
            let until = begin.saturating_add(self.step).min(instant);
            self.max = self.max.max(self.in_flight);
            self.covered += u128::from(self.in_flight) * u128::from(until - self.now);
            self.now = until;
        }
        self.now = instant;
        self.in_flight = self.in_flight.saturating_add_signed(change);
    }

    /// Writes down the step at hand, if a span was under way.
    fn end_step(&mut self) {
        if self.covered > 0 && self.steps.len() < self.room {
            // Steps in which less than one span was under way may be too long for a mean's digits.
            let mean = match self.covered >= self.step.into() {
                true => mean(self.covered, self.step),
                false => self.covered as f64 / self.step as f64,
            };
            self.steps.push(ConcurrencyStep { start_unix_nano: self.begin, max: self.max, mean });
        }
        (self.max, self.covered) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swept(spans: &[(u64, u64)], step: u64, room: usize) -> (Vec<(u64, u64, f64)>, bool) {
        let mut sweep = Sweep::new(step, room);
        let mut events = Events::new(0, 1 << 20);
        for (start, end) in spans {
            events.add(*start, 1);
            events.add(*end, -1);
        }
        events.settle();
        events.list.iter().for_each(|(instant, change)| sweep.event(*instant, *change));
        sweep.end_step();
        (sweep.steps.iter().map(|s| (s.start_unix_nano, s.max, s.mean)).collect(), sweep.full)
    }

    #[test]
    fn steps_tell_the_most_spans_at_one_instant_and_the_time_of_all() {
        let (steps, full) = swept(&[(5, 12), (8, 10), (10, 11), (40, 41)], 10, 9);
        assert_eq!(steps, [(0, 2, 0.7), (10, 2, 0.3), (40, 1, 0.1)]);
        assert!(!full);
    }

    #[test]
    fn a_span_that_ends_where_another_begins_is_not_under_way_with_it() {
        assert_eq!(swept(&[(0, 5), (5, 10)], 10, 9).0, [(0, 1, 1.0)]);
    }

    #[test]
    fn a_span_of_years_ends_at_the_last_step_there_is_room_for() {
        let (steps, full) = swept(&[(3, u64::MAX)], 10, 3);
        assert_eq!((steps.len(), full), (3, true));
        let (steps, full) = swept(&[(3, 30)], 10, 3);
        assert_eq!((steps, full), (vec![(0, 1, 0.7), (10, 1, 1.0), (20, 1, 1.0)], false));
        let last = u64::MAX / 10 * 10;
        assert_eq!(swept(&[(u64::MAX - 1, u64::MAX)], 10, 3), (vec![(last, 1, 0.1)], false));
    }

    #[test]
    fn without_room_the_earliest_events_are_kept_and_told_where_they_end() {
        let mut events = Events::new(10, 0);
        for instant in (5..30).rev() {
            events.add(instant, 1);
            events.add(instant, 1);
        }
        events.settle();
        let last = events.last.unwrap();
        let wanted: Vec<(u64, i64)> = (10..=last).map(|instant| (instant, 2)).collect();
        assert_eq!(events.list, wanted);
        // Many at one instant take the room of one.
        let mut events = Events::new(0, 0);
        (0..100).for_each(|_| events.add(7, -1));
        events.settle();
        assert_eq!((events.list, events.last), (vec![(7, -100)], None));
    }
}
