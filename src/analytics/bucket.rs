//! Log-linear buckets of durations, and a histogram of them.
//!
//! Values below 16 ns have a bucket each; above, every octave has 16 of equal width:
//!
//! ```text
//! bucket   0 .. 15   the value itself
//!         16 + 16e + k   [(16+k) * 2^e, (17+k) * 2^e)      e = 0 .. 59, k = 0 .. 15
//! ```

/// Buckets an octave, and values with a bucket of their own.
const STEPS: u64 = 16;
/// Buckets of all 64 bits.
#[cfg(test)]
const BUCKETS: usize = 976;

/// The bucket a duration falls in.
pub fn bucket_of(nanos: u64) -> u16 {
    if nanos < STEPS {
        return nanos as u16;
    }
    let exponent = nanos.ilog2() - 4;
    (STEPS * u64::from(exponent) + (nanos >> exponent)) as u16
}

/// The first and the last duration of a bucket, both inclusive.
pub fn bounds_of(bucket: u16) -> (u64, u64) {
    let bucket = u64::from(bucket);
    if bucket < STEPS {
        return (bucket, bucket);
    }
    let exponent = bucket / STEPS - 1;
    let first = (STEPS + bucket % STEPS) << exponent;
    (first, first + ((1 << exponent) - 1))
}

/// Counts by bucket, from the lowest that has one to the highest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    first: u16,
    counts: Vec<u64>,
}

impl Histogram {
    /// One more duration.
    pub fn add(&mut self, nanos: u64) {
        let bucket = bucket_of(nanos);
        // A bucket below the first wraps round to a place past the end.
        match self.counts.get_mut(usize::from(bucket.wrapping_sub(self.first))) {
            Some(count) => *count += 1,
            None => self.add_outside(bucket),
        }
    }

    #[cold]
    fn add_outside(&mut self, bucket: u16) {
        if self.counts.is_empty() {
            self.first = bucket;
        }
        if bucket < self.first {
            let missing = usize::from(self.first - bucket);
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = bucket;
        }
        let at = usize::from(bucket - self.first);
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
    }

    /// So many more durations of this bucket.
    pub fn add_count(&mut self, bucket: u16, count: u64) {
        if count > 0 {
            // Makes room for the bucket.
            self.add(bounds_of(bucket).0);
            self.counts[usize::from(bucket - self.first)] += count - 1;
        }
    }

    /// Buckets that have a count, ascending, and their counts.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        (self.first..).zip(self.counts.iter().copied()).filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_tile_all_durations_without_gap_or_overlap() {
        let mut next = 0u128;
        for bucket in 0..BUCKETS as u16 {
            let (first, last) = bounds_of(bucket);
            assert_eq!(u128::from(first), next, "bucket {bucket}");
            assert_eq!((bucket_of(first), bucket_of(last)), (bucket, bucket));
            next = u128::from(last) + 1;
        }
        assert_eq!(next, 1 << 64);
    }

    #[test]
    fn buckets_are_those_of_the_definition() {
        assert_eq!(
            [bounds_of(15), bounds_of(16), bounds_of(31), bounds_of(32)],
            [(15, 15), (16, 16), (31, 31), (32, 33)]
        );
        let (e, k) = (10, 5);
        assert_eq!(bounds_of(16 + 16 * e + k), (21 << 10, (22 << 10) - 1));
    }

    #[test]
    fn a_histogram_grows_to_both_sides() {
        let mut histogram = Histogram::default();
        [100, 3, u64::MAX, 100, 0].into_iter().for_each(|nanos| histogram.add(nanos));
        let counts: Vec<_> = histogram.iter().collect();
        assert_eq!(counts, [(0, 1), (3, 1), (bucket_of(100), 2), (975, 1)]);
    }
}
