//! What one pass counts of every group.

use super::bucket::Histogram;
use super::feed::Batch;
use super::groups::NO_ROOM;
use super::part_tables::{DURATION, ERROR};

/// Counts of one group. Those of parts of the samples add up to those of all.
#[derive(Clone, Debug)]
pub struct Totals {
    /// Samples.
    pub count: u64,
    /// Those that have a duration.
    pub duration_count: u64,
    /// Those that are errors.
    pub errors: u64,
    /// Sum of the durations in nanoseconds.
    pub sum: u128,
    /// Shortest duration; `u64::MAX` if there is none.
    pub min: u64,
    /// Longest duration; 0 if there is none.
    pub max: u64,
    /// Durations by bucket.
    pub histogram: Histogram,
}

impl Default for Totals {
    fn default() -> Self {
        let (count, duration_count, errors, sum) = (0, 0, 0, 0);
        Self { count, duration_count, errors, sum, min: u64::MAX, max: 0, histogram: Histogram::default() }
    }
}

impl Totals {
    fn add(&mut self, duration: u64, facts: u8) {
        self.count += 1;
        self.errors += u64::from(facts & ERROR);
        if facts & DURATION != 0 {
            self.duration_count += 1;
            self.sum += u128::from(duration);
            self.min = self.min.min(duration);
            self.max = self.max.max(duration);
            self.histogram.add(duration);
        }
    }

    /// The mean duration in nanoseconds; `None` if there is none.
    pub fn mean(&self) -> Option<f64> {
        (self.duration_count > 0).then(|| mean(self.sum, self.duration_count))
    }
}

/// The quotient as the nearest double. A large sum is divided in whole part and remainder, so that it loses no
/// digits.
fn mean(sum: u128, count: u64) -> f64 {
    if sum < 1 << f64::MANTISSA_DIGITS && count < 1 << f64::MANTISSA_DIGITS {
        return sum as f64 / count as f64;
    }
    let wide = u128::from(count);
    (sum / wide) as f64 + (sum % wide) as f64 / count as f64
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
