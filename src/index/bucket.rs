//! The table under the trace and the term index: (hash, value) pairs found by hash, in place.
//!
//! Pairs are sorted by hash, then value. The upper bits of the hash name a bucket of 4 to 7 pairs on
//! average and are not stored; a pair keeps the remaining bits and its value:
//!
//! ```text
//! count: u32 | end of each bucket: packed | (remainder, value) of each pair: packed, value in the low bits
//! ```
//!
//! Every width follows from the count, the hash bits and the value bits, so the length of the bytes is
//! known from the count: a wrong count is found before it is used. Worked example, 100,000 pairs with
//! 32 hash bits and 17 value bits: 2^14 buckets; an end takes 17 bits, 0.35 B a pair; a pair takes
//! 18 + 17 bits, 4.38 B. A lookup loads two ends and about four pairs: two cache misses when cold.
//!
//! A bucket may hold far more than 7 pairs when hashes repeat (one value in many pages), so it is halved
//! until it is short and only then walked.

use std::ops::Range;

use super::packed::{Packed, bits_for, mask, pack, packed_len};
use crate::bytes::{Reader, Writer};
use crate::error::{Result, ensure};

/// Pairs of a bucket that are walked rather than halved.
const WALK_MAX: usize = 16;

/// The widths of one table.
#[derive(Clone, Copy, Debug)]
struct Shape {
    count: u32,
    bucket_bits: u32,
    remainder_bits: u32,
    value_bits: u32,
}

impl Shape {
    fn new(count: u32, hash_bits: u32, value_bits: u32) -> Self {
        let bucket_bits = count.checked_ilog2().unwrap_or(0).saturating_sub(2).min(hash_bits);
        Self { count, bucket_bits, remainder_bits: hash_bits - bucket_bits, value_bits }
    }

    fn end_bits(&self) -> u32 {
        bits_for(u64::from(self.count))
    }

    fn pair_bits(&self) -> u32 {
        self.remainder_bits + self.value_bits
    }

    fn ends_len(&self) -> u64 {
        packed_len(1 << self.bucket_bits, self.end_bits())
    }

    fn pairs_len(&self) -> u64 {
        packed_len(u64::from(self.count), self.pair_bits())
    }
}

/// Appends the table of `pairs` of (hash, value), equal ones once.
///
/// # Panics
/// If a hash has more than `hash_bits` bits, a value more than `value_bits`, or there are 2^32 pairs.
pub(super) fn build(pairs: impl IntoIterator<Item = (u64, u32)>, hash_bits: u32, value_bits: u32, out: &mut Writer) {
    let mut keys: Vec<u64> = pairs
        .into_iter()
        .map(|(hash, value)| {
            assert!(hash <= mask(hash_bits) && u64::from(value) <= mask(value_bits), "pair ({hash}, {value})");
            (hash << value_bits) | u64::from(value)
        })
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let count = u32::try_from(keys.len()).expect("a segment has fewer than 2^32 pairs");
    let shape = Shape::new(count, hash_bits, value_bits);
    let mut end = 0;
    let ends = (0..1u64 << shape.bucket_bits).map(|bucket| {
        end += keys[end..].iter().take_while(|key| **key >> shape.pair_bits() <= bucket).count();
        end as u64
    });
    out.u32(count);
    pack(ends, shape.end_bits(), out.as_mut_vec());
    pack(keys.iter().map(|key| key & mask(shape.pair_bits())), shape.pair_bits(), out.as_mut_vec());
}

/// A table borrowed from bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct BucketTable<'a> {
    shape: Shape,
    ends: Packed<'a>,
    pairs: Packed<'a>,
}

impl<'a> BucketTable<'a> {
    /// Reads the count and compares it with the length, in constant time.
    ///
    /// # Errors
    /// Corrupt if the bytes are not as long as the count says.
    #[inline]
    pub(super) fn new(bytes: &'a [u8], hash_bits: u32, value_bits: u32, what: &str) -> Result<Self> {
        let count = Reader::new(bytes).u32(what)?;
        Self::of_count(bytes, count, hash_bits, value_bits, what)
    }

    /// The same where the count is known: the bytes that hold it are not looked at.
    ///
    /// # Errors
    /// Corrupt if the bytes are not as long as the count says.
    #[inline]
    pub(super) fn of_count(bytes: &'a [u8], count: u32, hash_bits: u32, value_bits: u32, what: &str) -> Result<Self> {
        let shape = Shape::new(count, hash_bits, value_bits);
        let mut reader = Reader::new(bytes);
        reader.bytes(size_of::<u32>(), what)?;
        let len = shape.ends_len() + shape.pairs_len();
        ensure(reader.remaining() as u64 == len, || {
            format!("{what}: {} pairs take {len} bytes, {} are there", shape.count, reader.remaining())
        })?;
        let ends = Packed::new(reader.bytes(shape.ends_len() as usize, what)?, shape.end_bits());
        let pairs = Packed::new(reader.bytes(shape.pairs_len() as usize, what)?, shape.pair_bits());
        Ok(Self { shape, ends, pairs })
    }

    /// Checks that the ends of the buckets rise to the count.
    ///
    /// # Errors
    /// Corrupt if they do not.
    pub(super) fn validate(&self, what: &str) -> Result<()> {
        let mut earlier = 0;
        for bucket in 0..1usize << self.shape.bucket_bits {
            let end = self.ends.get(bucket);
            ensure(earlier <= end, || format!("{what}: bucket {bucket} ends at {end}, before its start {earlier}"))?;
            earlier = end;
        }
        ensure(earlier == u64::from(self.shape.count), || {
            format!("{what}: the buckets hold {earlier} pairs of {}", self.shape.count)
        })
    }

    /// Pairs in the table.
    pub(super) fn count(&self) -> u32 {
        self.shape.count
    }

    /// The values paired with this hash, ascending.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> Matches<'a> {
        let remainder = hash & mask(self.shape.remainder_bits);
        let bucket = (hash >> self.shape.remainder_bits) as usize;
        let Range { mut start, end } = self.bucket(bucket);
        let mut unknown = end.saturating_sub(start);
        while unknown > WALK_MAX {
            let half = unknown / 2;
            if self.remainder(start + half) < remainder {
                start += half + 1;
                unknown -= half + 1;
            } else {
                unknown = half;
            }
        }
        while start < end && self.remainder(start) < remainder {
            start += 1;
        }
        Matches { pairs: self.pairs, value_bits: self.shape.value_bits, remainder, next: start, end }
    }

    /// Positions of the bucket's pairs, within the count whatever the bytes say.
    #[inline]
    fn bucket(&self, bucket: usize) -> Range<usize> {
        let start = bucket.checked_sub(1).map_or(0, |earlier| self.ends.get(earlier));
        let end = self.ends.get(bucket).min(u64::from(self.shape.count));
        start as usize..end as usize
    }

    #[inline]
    fn remainder(&self, position: usize) -> u64 {
        self.pairs.get(position) >> self.shape.value_bits
    }
}

/// The values of one hash, ascending.
#[derive(Clone, Debug)]
pub(super) struct Matches<'a> {
    pairs: Packed<'a>,
    value_bits: u32,
    remainder: u64,
    next: usize,
    end: usize,
}

impl Iterator for Matches<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if self.next >= self.end {
            return None;
        }
        let pair = self.pairs.get(self.next);
        if pair >> self.value_bits != self.remainder {
            self.end = self.next;
            return None;
        }
        self.next += 1;
        Some((pair & mask(self.value_bits)) as u32)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn table(pairs: &[(u64, u32)], hash_bits: u32, value_bits: u32) -> Vec<u8> {
        let mut out = Writer::new();
        build(pairs.iter().copied(), hash_bits, value_bits, &mut out);
        out.into_vec()
    }

    proptest! {
        #[test]
        fn a_hash_finds_exactly_its_values(
            pairs in prop::collection::vec((prop_oneof![0..40u64, 0..1u64 << 12, Just(7)], 0..300u32), 0..400),
        ) {
            let bytes = table(&pairs, 12, 9);
            let table = BucketTable::new(&bytes, 12, 9, "table").unwrap();
            table.validate("table").unwrap();
            let set: BTreeSet<_> = pairs.iter().copied().collect();
            prop_assert_eq!(table.count() as usize, set.len());
            for hash in (0..64).chain(pairs.iter().map(|p| p.0)).chain([4095]) {
                let expected: Vec<u32> = set.range((hash, 0)..(hash + 1, 0)).map(|p| p.1).collect();
                prop_assert_eq!(table.find(hash).collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn a_bucket_that_ends_before_it_starts_is_corrupt() {
        let pairs: Vec<(u64, u32)> = (0..16).map(|i| (i << 8, i as u32)).collect();
        let mut bytes = table(&pairs, 12, 4);
        // Four buckets of four pairs; their ends 4, 8, 12, 16 take five bits each from byte 4 on.
        assert_eq!(Packed::new(&bytes[4..], 5).get(1), 8);
        bytes[4] ^= 0b1_1000;
        let table = BucketTable::new(&bytes, 12, 4, "table").unwrap();
        assert_eq!(table.validate("table").unwrap_err().to_string(), "table: bucket 1 ends at 8, before its start 28");
    }

    #[test]
    fn buckets_that_leave_pairs_out_are_corrupt() {
        let mut bytes = table(&[(1, 1), (2, 2)], 12, 4);
        bytes[4] = 1;
        let table = BucketTable::new(&bytes, 12, 4, "table").unwrap();
        assert_eq!(table.validate("table").unwrap_err().to_string(), "table: the buckets hold 1 pairs of 2");
    }
}
