//! What one pass counts of every group.

use crate::index::rollup::{Group, StepCell};

use super::feed::Batch;
use super::groups::NO_ROOM;
use super::part_tables::{DURATION, ERROR};

/// Binary digits after the point that a mean is computed to before it is rounded.
const EXTRA_DIGITS: u32 = 60;

/// Counts of one group. Those of parts of the samples add up to those of all.
#[derive(Clone, Debug)]
pub struct Totals {
    /// Counts, sum and histogram.
    pub sums: Group,
    /// Shortest duration; `u64::MAX` if there is none.
    pub min: u64,
    /// Longest duration; 0 if there is none.
    pub max: u64,
}

impl Default for Totals {
    fn default() -> Self {
        Self { sums: Group::default(), min: u64::MAX, max: 0 }
    }
}

impl Totals {
    /// Adds a sample.
    pub fn add(&mut self, duration: u64, facts: u8) {
        let has_duration = facts & DURATION != 0;
        self.sums.add_row(has_duration.then_some(duration), facts & ERROR != 0);
        if has_duration {
            self.min = self.min.min(duration);
            self.max = self.max.max(duration);
        }
    }

    /// Adds spans of which so many are errors, without their durations' histogram.
    pub fn add_step(&mut self, spans: &StepCell, errors: u64) {
        self.sums.count += spans.count;
        self.sums.duration_count += spans.duration_count;
        self.sums.duration_sum += spans.duration_sum;
        self.sums.errors += errors;
        self.min = self.min.min(spans.min);
        self.max = self.max.max(spans.max);
    }

    /// Adds a sample, without its duration's histogram.
    #[inline]
    pub fn add_plain(&mut self, duration: u64, facts: u8) {
        self.sums.count += 1;
        self.sums.errors += u64::from(facts & ERROR != 0);
        if facts & DURATION != 0 {
            self.sums.duration_count += 1;
            self.sums.duration_sum += u128::from(duration);
            self.min = self.min.min(duration);
            self.max = self.max.max(duration);
        }
    }

    /// The mean duration in nanoseconds; `None` if there is none.
    pub fn mean(&self) -> Option<f64> {
        (self.sums.duration_count > 0).then(|| mean(self.sums.duration_sum, self.sums.duration_count))
    }
}

/// The double nearest to the quotient of a sum and a count that is not 0.
pub fn mean(sum: u128, count: u64) -> f64 {
    if sum < 1 << f64::MANTISSA_DIGITS && count < 1 << f64::MANTISSA_DIGITS {
        return sum as f64 / count as f64;
    }
    let (wide, whole) = (u128::from(count), sum / u128::from(count));
    // More binary digits than a double has, of which the last says whether anything follows: so one rounding is all.
    let digits = if whole >> (f64::MANTISSA_DIGITS + 1) == 0 { EXTRA_DIGITS } else { 0 };
    let rest = (sum % wide) << digits;
    let scaled = (whole << digits) + rest / wide;
    (scaled | u128::from(!rest.is_multiple_of(wide))) as f64 / (1u64 << digits) as f64
}

/// Adds a batch to the totals of all groups, by number.
pub fn add_batch(totals: &mut Vec<Totals>, groups: usize, batch: &Batch<'_>) {
    if totals.len() < groups {
        totals.resize_with(groups, Totals::default);
    }
    for ((group, duration), facts) in batch.groups.iter().zip(batch.durations).zip(batch.facts) {
        if *group != NO_ROOM
            && let Some(totals) = totals.get_mut(*group as usize)
        {
            totals.add(*duration, *facts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_rounded_once() {
        assert_eq!(mean(10, 4), 2.5);
        // 2^54 + 1 lies between two doubles, nearer to none: the even one is taken. A little more tips it.
        assert_eq!(mean((1 << 54) + 2, 1), 18_014_398_509_481_984.0);
        assert_eq!(mean(((1 << 54) + 2) * 3 + 1, 3), 18_014_398_509_481_988.0);
        assert_eq!(mean(u128::from(u64::MAX) * 7, 7), u64::MAX as f64);
    }
}
