//! Spans counted by step of time and bucket of durations.
//!
//! ```text
//! steps   .. | 16 | 17 | 18 | .. | 23 | ..      a window of counters, one for each step and bucket in it
//!                  ^^^^^^^^^                    the steps of a page
//! ```
//! Pages that follow each other lie in few steps: their spans are counted in a small table, without looking anything
//! up, and the table is emptied into histograms when a page lies outside of it. A page of many steps goes to the
//! histograms at once.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::index::rollup::{BUCKETS, Group, Histogram};
use crate::limits::Limits;
use crate::query::{MatchPart, Matching, TimedRows};

/// Steps in the window.
const STEPS: u64 = 8;

/// Counts by step and bucket.
pub struct HeatCounts {
    step: u64,
    /// Number of the window's first step.
    first: u64,
    window: Vec<u32>,
    /// By number of the step.
    steps: BTreeMap<u64, Histogram>,
    steps_max: usize,
    full: bool,
}

impl HeatCounts {
    /// No span yet; steps of this length in nanoseconds, which must not be 0.
    pub fn new(step: u64, limits: &Limits) -> Self {
        let window = vec![0; STEPS as usize * BUCKETS];
        Self { step, first: 0, window, steps: BTreeMap::new(), steps_max: limits.groups_max.max(1), full: false }
    }

    /// Counts the matching spans of every part, and those of united traces.
    ///
    /// # Errors
    /// Whatever is not damage. Damage is noted, and what it hides is left out.
    pub fn add_all<'q>(&mut self, matching: &mut Matching<'q>, parts: &[MatchPart<'q>]) -> Result<()> {
        for part in parts {
            if let Some(told) = matching.whole_totals(part, Some(self.step), |_| 0) {
                matching.skip_unread(part, 0);
                told.sums.iter().for_each(|(_, group)| self.add_group(told.instant, group));
                continue;
            }
            let mut rows = TimedRows::new(part);
            for page in matching.pages(part) {
                rows.read(matching, *page)?;
                self.add_rows(&rows.starts, &rows.durations);
            }
            // A part has fewer rows than a counter can count.
            self.empty_window();
        }
        matching.each_doubled_span(|span| {
            if let Some(nanos) = span.duration_nanos() {
                self.add(span.start_unix_nano / self.step, Histogram::bucket_of(nanos), 1);
            }
            Ok(())
        })
    }

    fn add_group(&mut self, instant: u64, group: &Group) {
        let step = instant / self.step;
        group.durations.cells().for_each(|(bucket, count)| self.add(step, bucket, count));
    }

    fn add(&mut self, step: u64, bucket: usize, count: u64) {
        if self.steps.len() >= self.steps_max && !self.steps.contains_key(&step) {
            self.full = true;
        } else {
            self.steps.entry(step).or_default().add(bucket, count);
        }
    }

    fn add_rows(&mut self, starts: &[u64], durations: &[u64]) {
        let ends = |(first, last): (u64, u64), start: &u64| (first.min(*start), last.max(*start));
        let (first, last) = starts.iter().fold((u64::MAX, 0), ends);
        if first > last {
            return;
        }
        let rows = starts.iter().zip(durations);
        if !self.cover(first / self.step, last / self.step) {
            rows.for_each(|(start, nanos)| self.add(start / self.step, Histogram::bucket_of(*nanos), 1));
            return;
        }
        let step = self.step;
        let (mut instant, mut counters) = (first - first % step, (first / step - self.first) as usize * BUCKETS);
        for (start, nanos) in rows {
            if *start < instant || start - instant >= step {
                instant = start - start % step;
                counters = (start / step - self.first) as usize * BUCKETS;
            }
            self.window[counters + Histogram::bucket_of(*nanos)] += 1;
        }
    }

    /// Moves the window so that it holds these steps; false if they are too many.
    fn cover(&mut self, first: u64, last: u64) -> bool {
        if last - first >= STEPS {
            return false;
        }
        if first < self.first || last - self.first >= STEPS {
            self.empty_window();
            self.first = first;
        }
        true
    }

    fn empty_window(&mut self) {
        let mut window = std::mem::take(&mut self.window);
        for (at, counters) in window.chunks_mut(BUCKETS).enumerate() {
            for (bucket, count) in counters.iter_mut().enumerate().filter(|(_, count)| **count > 0) {
                // Only steps that a span starts in are sure to have a number.
                self.add(self.first + at as u64, bucket, u64::from(std::mem::take(count)));
            }
        }
        self.window = window;
    }

    /// First instant, bucket and count of every cell that has spans, ascending.
    pub fn cells(&self) -> impl Iterator<Item = (u64, usize, u64)> + '_ {
        let of_step = |(step, histogram)| (step, Histogram::cells(histogram));
        let cells = self.steps.iter().map(of_step);
        cells.flat_map(move |(step, cells)| cells.map(move |(bucket, count)| (step * self.step, bucket, count)))
    }

    /// True if a step found no room.
    pub fn is_full(&self) -> bool {
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_far_apart_and_near_and_out_of_order_are_all_counted() {
        let mut counts = HeatCounts::new(10, &Limits::default());
        counts.add_rows(&[100, 109, 110, 179], &[1, 1, 1, 40]);
        counts.add_rows(&[95, 1, u64::MAX], &[1, 1, u64::MAX]);
        counts.add_rows(&[], &[]);
        counts.add_rows(&[u64::MAX - 6, u64::MAX], &[0, 0]);
        counts.empty_window();
        let last = u64::MAX / 10 * 10;
        let wanted = [(0, 1, 1), (90, 1, 1), (100, 1, 2), (110, 1, 1), (170, Histogram::bucket_of(40), 1)];
        let at_the_end = [(last - 10, 0, 1), (last, 0, 1), (last, Histogram::bucket_of(u64::MAX), 1)];
        assert_eq!(counts.cells().collect::<Vec<_>>(), [&wanted[..], &at_the_end].concat());
    }

    #[test]
    fn the_longest_step_ends_where_the_last_instant_begins_another() {
        let mut counts = HeatCounts::new(u64::MAX, &Limits::default());
        counts.add_rows(&[u64::MAX, 5, u64::MAX - 1, u64::MAX], &[0; 4]);
        counts.empty_window();
        assert_eq!(counts.cells().collect::<Vec<_>>(), [(0, 0, 2), (u64::MAX, 0, 2)]);
    }

    #[test]
    fn the_last_of_the_shortest_steps_is_counted() {
        let mut counts = HeatCounts::new(1, &Limits::default());
        counts.add_rows(&[u64::MAX, u64::MAX - 1], &[0; 2]);
        counts.empty_window();
        assert_eq!(counts.cells().collect::<Vec<_>>(), [(u64::MAX - 1, 0, 1), (u64::MAX, 0, 1)]);
    }

    #[test]
    fn past_the_limit_known_steps_are_counted_and_new_ones_are_not() {
        let mut counts = HeatCounts::new(10, &Limits { groups_max: 1, ..Limits::default() });
        counts.add_rows(&[100, 200, 101], &[1, 1, 1]);
        counts.add_rows(&[102, 112], &[1, 1]);
        counts.empty_window();
        assert_eq!((counts.cells().collect::<Vec<_>>(), counts.is_full()), (vec![(100, 1, 3)], true));
    }
}
