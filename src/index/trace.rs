//! From the low half of a trace id to trace ordinals.
//!
//! Strict and lenient lookups share the index because both begin with the low 64 bits; the exact ids stand
//! in the trace table, where the caller compares them. Ids need not be random (a test may send 1, 2, 3), so
//! they are mixed first; the mix is part of the format. Of the mixed id the upper 32 bits are kept: among
//! n traces a miss names a false candidate with probability n / 2^32.
//!
//! About 4.8 bytes a trace (see the bucket table). The mix is no secret: who chooses ids can make them
//! collide, and pays with reads of the trace table, not with wrong answers.

use super::bucket::{self, BucketTable};
use super::packed::bits_for;
use crate::bytes::Writer;
use crate::error::{Result, ensure};

/// Bits of the mixed id that the index knows.
const HASH_BITS: u32 = 32;

/// The finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
fn mix(low: u64) -> u64 {
    let mixed = (low ^ (low >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn hash(low: u64) -> u64 {
    mix(low) >> (64 - HASH_BITS)
}

fn ordinal_bits(traces: u32) -> u32 {
    bits_for(u64::from(traces.saturating_sub(1)))
}

/// The index of traces whose ids have these low halves, by trace ordinal. Low halves may repeat.
///
/// # Panics
/// If there are 2^32 traces or more.
pub fn build_trace_index(low_halves: &[u64]) -> Vec<u8> {
    let traces = u32::try_from(low_halves.len()).expect("a segment has fewer than 2^32 traces");
    let pairs = low_halves.iter().zip(0..).map(|(low, ordinal)| (hash(*low), ordinal));
    let mut out = Writer::new();
    bucket::build(pairs, HASH_BITS, ordinal_bits(traces), &mut out);
    out.into_vec()
}

/// A trace index borrowed from bytes.
#[derive(Clone, Copy, Debug)]
pub struct TraceIndex<'a> {
    table: BucketTable<'a>,
}

impl<'a> TraceIndex<'a> {
    /// The index in `bytes`, validated, of a segment of `traces` traces.
    ///
    /// # Errors
    /// Corrupt if the bytes are no such index.
    pub fn open(bytes: &'a [u8], traces: u32) -> Result<Self> {
        let table = BucketTable::new(bytes, HASH_BITS, ordinal_bits(traces), "trace index")?;
        ensure(table.count() == traces, || format!("trace index: {} traces, the segment has {traces}", table.count()))?;
        table.validate("trace index")?;
        Ok(Self { table })
    }

    /// The index in bytes that [`Self::open`] accepted before, of which it reads none.
    ///
    /// # Errors
    /// Corrupt if the length contradicts the number of traces.
    #[inline]
    pub fn from_validated(bytes: &'a [u8], traces: u32) -> Result<Self> {
        let table = BucketTable::of_count(bytes, traces, HASH_BITS, ordinal_bits(traces), "trace index")?;
        Ok(Self { table })
    }

    /// The ordinals of all traces whose id has this low half, ascending, and rarely one more: compare ids.
    #[inline]
    pub fn lookup(&self, low: u64) -> TraceMatches<'a> {
        TraceMatches { matches: self.table.find(hash(low)), traces: self.table.count() }
    }
}

/// Candidate trace ordinals, ascending, each below the number of traces.
#[derive(Clone, Debug)]
pub struct TraceMatches<'a> {
    matches: bucket::Matches<'a>,
    traces: u32,
}

impl Iterator for TraceMatches<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        self.matches.find(|ordinal| *ordinal < self.traces)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{damaged, hex};
    use super::*;

    fn scan(low_halves: &[u64], low: u64) -> Vec<u32> {
        (0..).zip(low_halves).filter(|(_, other)| **other == low).map(|(ordinal, _)| ordinal).collect()
    }

    proptest! {
        #[test]
        fn lookups_equal_a_scan(low_halves in prop::collection::vec(prop_oneof![0..20u64, any::<u64>()], 0..300)) {
            let bytes = build_trace_index(&low_halves);
            let index = TraceIndex::open(&bytes, low_halves.len() as u32).unwrap();
            for low in low_halves.iter().copied().chain(0..40) {
                // 32 bits of a bijection: a false candidate among 300 would be a one in ten million chance.
                prop_assert_eq!(index.lookup(low).collect::<Vec<_>>(), scan(&low_halves, low));
            }
        }

        #[test]
        fn arbitrary_bytes_are_refused_or_answered(bytes in prop::collection::vec(any::<u8>(), 0..100), traces in 0..20u32) {
            if let Ok(index) = TraceIndex::open(&bytes, traces) {
                prop_assert!((0..100).all(|low| index.lookup(low).all(|ordinal| ordinal < traces)));
            }
        }
    }

    #[test]
    fn an_index_of_consecutive_ids_takes_about_five_bytes_a_trace() {
        for traces in [10_000u32, 100_000, 131_071] {
            let ids: Vec<u64> = (1..=u64::from(traces)).collect();
            let bytes = build_trace_index(&ids);
            let index = TraceIndex::open(&bytes, traces).unwrap();
            assert!(ids.iter().zip(0..).all(|(id, ordinal)| index.lookup(*id).any(|found| found == ordinal)));
            let misses = (200_000..300_000).map(|id| index.lookup(id).count()).sum::<usize>();
            assert!(misses < 20, "{misses} false candidates, about 2 expected");
            let per_trace = bytes.len() as f64 / f64::from(traces);
            assert!((4.0..5.2).contains(&per_trace), "{per_trace} bytes a trace");
        }
    }

    #[test]
    fn many_traces_may_share_a_low_half() {
        let mut low_halves = vec![9; 5000];
        low_halves.extend(0..100);
        let bytes = build_trace_index(&low_halves);
        let index = TraceIndex::open(&bytes, 5100).unwrap();
        assert_eq!(index.lookup(9).collect::<Vec<_>>(), scan(&low_halves, 9));
        assert_eq!(index.lookup(50).collect::<Vec<_>>(), [5050]);
    }

    #[test]
    fn damaged_bytes_are_refused_or_name_traces_that_exist() {
        let low_halves: Vec<u64> = (0..40).map(|i| i / 2).collect();
        for bytes in damaged(&build_trace_index(&low_halves)) {
            for index in [TraceIndex::open(&bytes, 40), TraceIndex::from_validated(&bytes, 40)].into_iter().flatten() {
                assert!((0..50).all(|low| index.lookup(low).all(|ordinal| ordinal < 40)));
            }
        }
    }

    #[test]
    fn the_count_must_be_the_segments() {
        let bytes = build_trace_index(&[1, 2, 3]);
        let error = TraceIndex::open(&bytes, 4).unwrap_err().to_string();
        assert_eq!(error, "trace index: 3 traces, the segment has 4");
        assert!(TraceIndex::open(&bytes, 300).is_err());
    }

    #[test]
    fn the_bytes_are_the_golden_ones() {
        assert_eq!(hex(&build_trace_index(&[])), "00000000");
        assert_eq!(
            hex(&build_trace_index(&[1, 2, 3, 1, u64::MAX])),
            "05000000056af79af2408785a4d53a2c24adc85f054d9b4b1ce96d"
        );
    }
}
