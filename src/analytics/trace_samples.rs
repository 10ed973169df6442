//! How far sampling may have led a count astray: the variance, trace by trace.
//!
//! The spans of a trace are kept or lost together, as they share one random number. So the variance of a count is a
//! sum over traces, and inside a trace over pairs of its samples ([`variance`]). Samples are counted by trace, group
//! and threshold:
//!
//! ```text
//! rows of a segment    t1 t1 t1 | t2 t2 | t3 ...     adjacent: one trace is counted at a time      own
//! split traces, head   t9 .. t4 .. t9 ..             anywhere: each trace has its counts           scattered
//! ```
//! Samples that were sure to be kept have no part in any variance and never come here.

use rustc_hash::FxHashMap;

use crate::model::TraceId;

use super::sampling::Threshold;

/// What one count takes in memory, with the table it lies in and the list it is sorted in.
pub const COUNT_BYTES: usize = 128;

type GroupThreshold = (u32, Threshold);
type Scattered = FxHashMap<(TraceId, u32, Threshold), u64>;

/// Counts by trace, as long as they are needed.
#[derive(Debug, Default)]
pub struct TraceSamples {
    trace: Option<TraceId>,
    own: FxHashMap<GroupThreshold, u64>,
    scattered: Scattered,
    counts_max: usize,
    full: bool,
}

/// Takes a group and the variance that a trace adds to it.
pub type VarianceSink<'s> = dyn FnMut(u32, f64) + 's;

impl TraceSamples {
    /// At most so many counts at once.
    pub fn new(counts_max: usize) -> Self {
        Self { counts_max, ..Self::default() }
    }

    /// Counts a sample of a trace whose samples come one after the other.
    pub fn add(&mut self, trace: TraceId, group: u32, threshold: Threshold, sink: &mut VarianceSink<'_>) {
        if self.trace != Some(trace) {
            self.end_trace(sink);
            self.trace = Some(trace);
        }
        let known = self.own.len();
        match self.own.get_mut(&(group, threshold)) {
            Some(count) => *count += 1,
            None if known < self.counts_max => drop(self.own.insert((group, threshold), 1)),
            None => self.refuse(group, threshold, sink),
        }
    }

    /// Counts a sample of a trace that others may follow at any time.
    pub fn add_scattered(&mut self, trace: TraceId, group: u32, threshold: Threshold, sink: &mut VarianceSink<'_>) {
        let known = self.scattered.len();
        match self.scattered.get_mut(&(trace, group, threshold)) {
            Some(count) => *count += 1,
            None if known < self.counts_max => drop(self.scattered.insert((trace, group, threshold), 1)),
            None => self.refuse(group, threshold, sink),
        }
    }

    /// Without room, a sample counts as if it were alone in its trace.
    fn refuse(&mut self, group: u32, threshold: Threshold, sink: &mut VarianceSink<'_>) {
        self.full = true;
        sink(group, variance([(threshold, 1)].into_iter()));
    }

    /// Ends the trace at hand.
    pub fn end_trace(&mut self, sink: &mut VarianceSink<'_>) {
        if self.own.is_empty() {
            return;
        }
        let mut counts: Vec<(GroupThreshold, u64)> = self.own.drain().collect();
        counts.sort_unstable();
        for of_group in counts.chunk_by(|a, b| a.0.0 == b.0.0) {
            sink(of_group[0].0.0, variance(of_group.iter().map(|((_, threshold), count)| (*threshold, *count))));
        }
    }

    /// Ends all traces. True if there was no room for some samples, so that the variance is too low.
    pub fn finish(mut self, sink: &mut VarianceSink<'_>) -> bool {
        self.end_trace(sink);
        let mut counts: Vec<((TraceId, u32, Threshold), u64)> = self.scattered.into_iter().collect();
        counts.sort_unstable();
        for of_group in counts.chunk_by(|a, b| (a.0.0, a.0.1) == (b.0.0, b.0.1)) {
            sink(of_group[0].0.1, variance(of_group.iter().map(|((.., threshold), count)| (*threshold, *count))));
        }
        self.full
    }
}

/// The Horvitz-Thompson estimate of what a trace's samples of one group add to the variance of its adjusted count,
/// from their numbers by threshold, thresholds ascending.
///
/// Two spans that are kept with probability p and q, p <= q, are both kept with probability p, because one random
/// number decides about both. A pair then adds `(p - pq) / (p * pq) = 1/p * (1/q - 1)`, also a span with itself. Of n
/// spans kept with p that is `n^2 * (1 - p) / p^2`. All terms are positive, so nothing cancels.
fn variance(counts: impl Iterator<Item = (Threshold, u64)>) -> f64 {
    // The sum of 1/q - 1 over the samples with smaller thresholds, which are the surer ones.
    let mut surer = 0.0;
    let mut sum = 0.0;
    for (threshold, count) in counts {
        let (unseen, count) = (threshold.unseen(), count as f64);
        sum += (1.0 + unseen) * count * (count * unseen + 2.0 * surer);
        surer += count * unseen;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threshold(digits: &str) -> Threshold {
        Threshold::in_trace_state(format!("ot=th:{digits}").as_bytes()).unwrap()
    }

    fn trace(low: u64) -> TraceId {
        TraceId::from_halves(0, low).unwrap()
    }

    #[test]
    fn the_variance_of_one_probability_is_that_of_the_book() {
        // n^2 (1 - p) / p^2
        assert_eq!(variance([(threshold("8"), 1)].into_iter()), 2.0);
        assert_eq!(variance([(threshold("c"), 3)].into_iter()), 9.0 * 0.75 / (0.25 * 0.25));
        assert_eq!(variance([(threshold("0"), 1000)].into_iter()), 0.0);
    }

    #[test]
    fn over_all_draws_the_variance_is_estimated_without_bias() {
        // A trace with 2 spans kept with 1/2, 3 with 1/4 and 1 always. R is 1, 3, 5 or 7 eighths: each as likely.
        let spans = [("0", 1u64, 0), ("8", 2, 4), ("c", 3, 6)];
        let (mut squares, mut estimates, mut mean) = (0.0, 0.0, 0.0);
        for eighths in [1, 3, 5, 7] {
            let kept = || spans.iter().filter(|(.., rejected)| eighths > *rejected);
            let count: f64 = kept().map(|(digits, n, _)| *n as f64 * (1.0 + threshold(digits).unseen())).sum();
            mean += count / 4.0;
            squares += (count - 6.0).powi(2) / 4.0;
            estimates += variance(kept().map(|(digits, n, _)| (threshold(digits), *n))) / 4.0;
        }
        assert_eq!((mean, estimates), (6.0, squares));
    }

    #[test]
    fn traces_are_united_wherever_their_samples_come_from() {
        let samples = [(1, 7), (2, 7), (1, 7), (1, 8), (2, 7)].map(|(low, group)| (trace(low), group));
        let mut sums = [0.0; 2];
        let mut sink = |group: u32, variance: f64| sums[group as usize - 7] += variance;
        let mut scattered = TraceSamples::new(10);
        samples.iter().for_each(|(trace, group)| scattered.add_scattered(*trace, *group, threshold("8"), &mut sink));
        assert!(!scattered.finish(&mut sink));
        assert_eq!(sums, [8.0 + 8.0, 2.0]);
        let mut sorted = samples;
        sorted.sort_unstable();
        let mut sums = [0.0; 2];
        let mut sink = |group: u32, variance: f64| sums[group as usize - 7] += variance;
        let mut adjacent = TraceSamples::new(2);
        sorted.iter().for_each(|(trace, group)| adjacent.add(*trace, *group, threshold("8"), &mut sink));
        assert!(!adjacent.finish(&mut sink));
        assert_eq!(sums, [8.0 + 8.0, 2.0]);
    }

    #[test]
    fn without_room_samples_count_alone_and_it_is_told() {
        let mut sum = 0.0;
        let mut sink = |_: u32, variance: f64| sum += variance;
        let mut counts = TraceSamples::new(1);
        for low in [1, 2, 2, 1] {
            counts.add_scattered(trace(low), 0, threshold("8"), &mut sink);
        }
        assert!(counts.finish(&mut sink));
        assert_eq!(sum, 8.0 + 2.0 + 2.0);
    }
}
