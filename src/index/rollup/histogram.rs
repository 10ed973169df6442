//! How many durations fall into each bucket of a log-linear scale.
//!
//! ```text
//! nanoseconds   0 1 2 .. 15 | 16 17 .. 31 | 32-33 34-35 .. 62-63 | 64-67 .. | ..
//! bucket        0 1 2 .. 15 | 16 17 .. 31 | 32    33    .. 47    | 48    .. | .. 975
//! ```
//! Below 16 ns a bucket is one value; from there on 16 buckets an octave, `[(16+k) * 2^e, (17+k) * 2^e)`. A bucket
//! bounds its values to 1/16. Kept from the first to the last bucket in use: durations of a group lie close.

use std::ops::RangeInclusive;

use crate::error::{Error, Result};

/// Buckets of an octave, as a power of two.
const OCTAVE_BITS: u32 = 4;
/// Buckets there are.
pub const BUCKETS: usize = 16 + 16 * 60;

/// Counts by bucket. Equal if and only if every bucket is.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// The bucket of the first count.
    first: usize,
    counts: Vec<u64>,
}

impl Histogram {
    /// An empty histogram with room for a few octaves, which is what most groups take.
    pub fn with_room() -> Self {
        Self { first: 0, counts: Vec::with_capacity(6 << OCTAVE_BITS) }
    }

    /// The bucket of a duration.
    #[inline]
    pub fn bucket_of(nanos: u64) -> usize {
        let shift = (nanos | 1 << OCTAVE_BITS).ilog2() - OCTAVE_BITS;
        ((shift << OCTAVE_BITS) as u64 + (nanos >> shift)) as usize
    }

    /// The durations of a bucket, the last one included.
    ///
    /// # Panics
    /// If there is no such bucket.
    pub fn bounds(bucket: usize) -> RangeInclusive<u64> {
        assert!(bucket < BUCKETS, "bucket {bucket} of {BUCKETS}");
        let shift = (bucket >> OCTAVE_BITS).saturating_sub(1);
        let low = ((bucket - (shift << OCTAVE_BITS)) as u64) << shift;
        low..=low + ((1 << shift) - 1)
    }

    /// Adds so many durations of a bucket.
    ///
    /// # Panics
    /// If there is no such bucket.
    #[inline]
    pub fn add(&mut self, bucket: usize, count: u64) {
        assert!(bucket < BUCKETS, "bucket {bucket} of {BUCKETS}");
        match self.counts.get_mut(bucket.wrapping_sub(self.first)) {
            Some(known) => *known += count,
            None => self.widen(bucket, count),
        }
    }

    fn widen(&mut self, bucket: usize, count: u64) {
        if self.counts.is_empty() {
            self.first = bucket;
        }
        if bucket < self.first {
            self.counts.splice(0..0, std::iter::repeat_n(0, self.first - bucket));
            self.first = bucket;
        }
        let at = bucket - self.first;
        self.counts.resize(self.counts.len().max(at + 1), 0);
        self.counts[at] += count;
    }

    /// Takes off so many durations of a bucket.
    ///
    /// # Errors
    /// Corrupt, and nothing is taken off, if there are fewer.
    pub fn remove(&mut self, bucket: usize, count: u64) -> Result<()> {
        let missing = || Error::corrupt(format!("bucket {bucket} has fewer than {count} durations to take off"));
        let place = bucket.checked_sub(self.first).and_then(|at| self.counts.get_mut(at));
        let known = place.filter(|known| **known >= count).ok_or_else(missing)?;
        *known -= count;
        Ok(())
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        if other.counts.is_empty() {
            return;
        }
        if self.counts.is_empty() {
            self.first = other.first;
        }
        if other.first < self.first {
            self.widen(other.first, 0);
        }
        let at = other.first - self.first;
        if self.counts.len() < at + other.counts.len() {
            self.counts.resize(at + other.counts.len(), 0);
        }
        self.counts[at..].iter_mut().zip(&other.counts).for_each(|(known, count)| *known += count);
    }

    /// Takes out all durations, and keeps the room.
    pub fn clear(&mut self) {
        self.counts.clear();
    }

    /// Takes off all of another.
    ///
    /// # Errors
    /// Corrupt if a bucket has fewer durations than the other; then some of it may be taken off.
    pub fn subtract(&mut self, other: &Self) -> Result<()> {
        other.cells().try_for_each(|(bucket, count)| self.remove(bucket, count))
    }

    /// The buckets that have durations, ascending, and how many.
    pub fn cells(&self) -> impl DoubleEndedIterator<Item = (usize, u64)> + '_ {
        let cells = self.counts.iter().enumerate().map(|(at, count)| (self.first + at, *count));
        cells.filter(|(_, count)| *count > 0)
    }

    /// How many durations there are.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        self.cells().eq(other.cells())
    }
}

impl Eq for Histogram {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gap_from_zero_to_the_longest_duration() {
        let mut next = Some(0);
        for bucket in 0..BUCKETS {
            let bounds = Histogram::bounds(bucket);
            assert_eq!(Some(*bounds.start()), next, "bucket {bucket}");
            assert_eq!(Histogram::bucket_of(*bounds.start()), bucket);
            assert_eq!(Histogram::bucket_of(*bounds.end()), bucket);
            next = bounds.end().checked_add(1);
        }
        assert_eq!(next, None);
    }

    #[test]
    fn a_bucket_is_what_the_contract_says() {
        for e in 0..60 {
            for k in 0..16u64 {
                let bounds = Histogram::bounds(16 + 16 * e + k as usize);
                assert_eq!(*bounds.start(), (16 + k) << e);
                assert_eq!(u128::from(*bounds.end()) + 1, u128::from(17 + k) << e);
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_added_can_be_taken_off(
            kept in prop::collection::vec(any::<u64>(), 0..50),
            gone in prop::collection::vec(any::<u64>(), 0..50),
        ) {
            let of = |values: &[u64]| {
                let mut out = Histogram::default();
                values.iter().for_each(|nanos| out.add(Histogram::bucket_of(*nanos), 1));
                out
            };
            let mut all = of(&kept);
            all.merge(&of(&gone));
            prop_assert_eq!(all.total(), (kept.len() + gone.len()) as u64);
            prop_assert_eq!(&all, &of(&[kept.clone(), gone.clone()].concat()));
            all.subtract(&of(&gone)).unwrap();
            prop_assert_eq!(all, of(&kept));
        }
    }

    #[test]
    fn more_than_there_is_cannot_be_taken_off() {
        let mut histogram = Histogram::default();
        assert!(histogram.remove(3, 1).is_err());
        histogram.add(3, 2);
        assert!(histogram.remove(3, 3).is_err() && histogram.remove(2, 1).is_err() && histogram.remove(4, 1).is_err());
        assert_eq!(histogram.cells().collect::<Vec<_>>(), [(3, 2)]);
    }
}
