//! From the hash of an attribute value to the pages that hold it.
//!
//! One index serves one column. Its pairs (hash, page) stand in a bucket table; 12 to 28 bits of the hash
//! are kept, more where there are more pairs, so that a value which occurs nowhere is sent to a page about
//! once in 16 to 32 lookups: a page costs some microseconds, a bit 0.1 bytes a span. Less than 3 bytes a pair.
//!
//! A value that is in more pages than a limit costs more to list than its list can save. Its full hash is
//! kept instead, and the answer for it is that every page may hold it:
//!
//! ```text
//! hash bits: u8 | common values: u32 | their hashes, ascending: u64 each | bucket table
//! ```
//! A column that has a value on nearly every row, each on many pages, as ports have, would take more bytes to list than
//! its own values do, and a question about one would still read many pages. Of it nothing is listed: the index is the one
//! byte 0, and any value may be on any page.

use super::bucket::{self, BucketTable};
use super::packed::{bits_for, word};
use super::set::PageSet;
use crate::bytes::{Reader, Writer};
use crate::error::{Result, ensure};
use crate::limits::PAGE_ROWS;

/// Fewest and most bits of a hash that are kept.
const HASH_BITS_MIN: u32 = 12;
const HASH_BITS_MAX: u32 = 28;
/// Bits kept beyond those of the number of pairs: a miss finds a false page once in 2^4 to 2^5 lookups.
const HASH_BITS_MARGIN: u32 = 4;

/// Nothing is listed where pairs are more than one for so many rows ..
const ROWS_PER_PAIR: usize = 8;
/// .. and a value stands on more than so many pages on average.
const PAGES_PER_VALUE: usize = 8;

fn page_bits(pages: u32) -> u32 {
    bits_for(u64::from(pages.saturating_sub(1)))
}

/// Where a value may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Postings {
    /// Too common to be listed: every page may hold it.
    Common,
    /// No other page holds it; a page named here may be false. Empty: it is nowhere.
    Pages(PageSet),
}

/// Collects the (value, page) pairs of one column.
#[derive(Clone, Debug)]
pub struct TermIndexBuilder {
    pages: u32,
    common_limit: u32,
    pairs: Vec<(u64, u32)>,
    /// Pairs added lately, by the lower bits of their hashes: values repeat.
    recent: Vec<(u64, u32)>,
}

/// Pairs kept as recent; a power of two.
const RECENT: usize = 1024;

impl TermIndexBuilder {
    /// A builder for a column of `pages` pages; values in more than `common_limit` of them are not listed.
    pub fn new(pages: u32, common_limit: u32) -> Self {
        // No page has the number of pages.
        Self { pages, common_limit, pairs: Vec::new(), recent: vec![(0, pages); RECENT] }
    }

    /// Adds that the value with this [`hash64`](crate::bytes::hash64) is in this page. Repeats are welcome.
    ///
    /// # Panics
    /// If there is no such page.
    pub fn add(&mut self, hash: u64, page: u32) {
        assert!(page < self.pages, "page {page} of {}", self.pages);
        let recent = &mut self.recent[hash as usize % RECENT];
        if *recent != (hash, page) {
            *recent = (hash, page);
            self.pairs.push((hash, page));
        }
    }

    /// The index as bytes.
    ///
    /// # Panics
    /// If 2^32 pairs are left.
    pub fn finish(self) -> Vec<u8> {
        let (mut common, mut listed, mut values) = (Vec::new(), Vec::new(), 0);
        let mut pairs = sorted(self.pairs);
        pairs.dedup();
        for value in pairs.chunk_by(|a, b| a.0 == b.0) {
            if value.len() > self.common_limit as usize {
                common.push(value[0].0);
            } else {
                values += 1;
                listed.extend_from_slice(value);
            }
        }
        let rows = self.pages as usize * PAGE_ROWS;
        if listed.len() > rows / ROWS_PER_PAIR && listed.len() > values * PAGES_PER_VALUE {
            return vec![NOTHING_LISTED];
        }
        let hash_bits = (bits_for(listed.len() as u64) + HASH_BITS_MARGIN).clamp(HASH_BITS_MIN, HASH_BITS_MAX);
        let mut out = Writer::new();
        out.u8(hash_bits as u8);
        out.u32(u32::try_from(common.len()).expect("a column has fewer than 2^32 values"));
        common.iter().for_each(|hash| out.u64(*hash));
        let pairs = listed.iter().map(|(hash, page)| (hash >> (64 - hash_bits), *page));
        bucket::build(pairs, hash_bits, page_bits(self.pages), &mut out);
        out.into_vec()
    }
}

/// Pairs of a group on average, when pairs are sorted by groups.
const GROUP_PAIRS: usize = 8;

/// The pairs in order. Hashes are spread evenly: their upper bits part the pairs into groups of a few, which are
/// then sorted each for itself.
fn sorted(pairs: Vec<(u64, u32)>) -> Vec<(u64, u32)> {
    let group_bits = bits_for((pairs.len() / GROUP_PAIRS) as u64).clamp(1, 16);
    let group_of = |hash: u64| (hash >> (64 - group_bits)) as usize;
    let mut ends = vec![0usize; 1 << group_bits];
    pairs.iter().for_each(|(hash, _)| ends[group_of(*hash)] += 1);
    let mut total = 0;
    for end in &mut ends {
        // Where the group begins; it moves to the end while the group is filled.
        total += std::mem::replace(end, total);
    }
    let mut out = vec![(0, 0); pairs.len()];
    for pair in pairs {
        let place = &mut ends[group_of(pair.0)];
        out[*place] = pair;
        *place += 1;
    }
    let mut begin = 0;
    for end in ends {
        out[begin..end].sort_unstable();
        begin = end;
    }
    out
}

/// In place of hash bits: nothing is listed.
const NOTHING_LISTED: u8 = 0;

/// A term index borrowed from bytes.
#[derive(Clone, Copy, Debug)]
pub struct TermIndex<'a> {
    /// `None` if nothing is listed.
    listed: Option<Listed<'a>>,
    pages: u32,
}

#[derive(Clone, Copy, Debug)]
struct Listed<'a> {
    hash_bits: u32,
    common: &'a [u8],
    table: BucketTable<'a>,
}

impl<'a> TermIndex<'a> {
    /// The index in `bytes`, validated, of a column of `pages` pages.
    ///
    /// # Errors
    /// Corrupt if the bytes are no such index.
    pub fn open(bytes: &'a [u8], pages: u32) -> Result<Self> {
        let index = Self::from_validated(bytes, pages)?;
        if let Some(listed) = &index.listed {
            listed.table.validate("term index")?;
            let rising = (1..listed.common_count()).all(|i| listed.common_hash(i - 1) < listed.common_hash(i));
            ensure(rising, || "term index: the hashes of the common values do not rise".to_string())?;
        }
        Ok(index)
    }

    /// The index in bytes that [`Self::open`] accepted before. Reads the header alone.
    ///
    /// # Errors
    /// Corrupt if the length contradicts the counts.
    pub fn from_validated(bytes: &'a [u8], pages: u32) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let hash_bits = u32::from(reader.u8("term index hash bits")?);
        if hash_bits == u32::from(NOTHING_LISTED) {
            reader.finish("term index")?;
            return Ok(Self { listed: None, pages });
        }
        ensure((HASH_BITS_MIN..=HASH_BITS_MAX).contains(&hash_bits), || format!("term index: {hash_bits} hash bits"))?;
        let common = reader.u32("term index common values")? as usize;
        let common = reader.bytes(common.saturating_mul(8), "term index common values")?;
        let rest = reader.bytes(reader.remaining(), "term index")?;
        let table = BucketTable::new(rest, hash_bits, page_bits(pages), "term index")?;
        Ok(Self { listed: Some(Listed { hash_bits, common, table }), pages })
    }

    /// The pages that may hold the value with this [`hash64`](crate::bytes::hash64). No page that holds it
    /// is left out.
    pub fn pages(&self, hash: u64) -> Postings {
        let Some(listed) = self.listed.as_ref().filter(|listed| !listed.is_common(hash)) else {
            return Postings::Common;
        };
        let found = listed.table.find(hash >> (64 - listed.hash_bits)).filter(|page| *page < self.pages);
        Postings::Pages(found.collect())
    }
}

impl Listed<'_> {
    fn is_common(&self, hash: u64) -> bool {
        let (mut start, mut end) = (0, self.common_count());
        while start < end {
            let middle = start + (end - start) / 2;
            match self.common_hash(middle).cmp(&hash) {
                std::cmp::Ordering::Less => start = middle + 1,
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Greater => end = middle,
            }
        }
        false
    }

    fn common_count(&self) -> usize {
        self.common.len() / 8
    }

    fn common_hash(&self, index: usize) -> u64 {
        word(self.common, index * 8)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::super::testing::{damaged, hex};
    use super::*;
    use crate::bytes::hash64;

    fn hash(value: u32) -> u64 {
        hash64(&value.to_le_bytes())
    }

    fn build(pairs: &[(u32, u32)], pages: u32, common_limit: u32) -> Vec<u8> {
        let mut builder = TermIndexBuilder::new(pages, common_limit);
        pairs.iter().for_each(|(value, page)| builder.add(hash(*value), *page));
        builder.finish()
    }

    proptest! {
        #[test]
        fn postings_equal_a_scan(
            pairs in prop::collection::vec((0..60u32, 0..50u32), 0..500), common_limit in 0..20u32,
        ) {
            let bytes = build(&pairs, 50, common_limit);
            let index = TermIndex::open(&bytes, 50).unwrap();
            let mut scan: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
            pairs.iter().for_each(|(value, page)| { scan.entry(*value).or_default().insert(*page); });
            for value in 0..80 {
                let pages = scan.remove(&value).unwrap_or_default();
                match index.pages(hash(value)) {
                    Postings::Common => prop_assert!(pages.len() > common_limit as usize),
                    // A page that does not hold the value is rare, and no error.
                    Postings::Pages(found) => {
                        prop_assert!(pages.len() <= common_limit as usize);
                        prop_assert!(pages.iter().all(|page| found.iter().any(|found| found == *page)));
                    }
                }
            }
        }

        #[test]
        fn arbitrary_bytes_are_refused_or_answered(mut bytes in prop::collection::vec(any::<u8>(), 1..100)) {
            bytes[0] = 12 + bytes[0] % 17;
            for index in [TermIndex::open(&bytes, 9), TermIndex::from_validated(&bytes, 9)].into_iter().flatten() {
                (0..100).for_each(|value| { index.pages(hash(value)); });
            }
        }
    }

    #[test]
    fn a_pair_takes_less_than_three_bytes_and_misses_are_rarely_false() {
        let pairs: Vec<(u32, u32)> = (0..100_000).map(|i| (i * 4 / 5, (i * 7919) % 977)).collect();
        let bytes = build(&pairs, 977, 250);
        let index = TermIndex::open(&bytes, 977).unwrap();
        let per_pair = bytes.len() as f64 / pairs.len() as f64;
        assert!((2.2..2.7).contains(&per_pair), "{per_pair} bytes a pair");
        let empty = Postings::Pages(PageSet::new());
        let false_pages = (1_000_000..1_010_000).filter(|value| index.pages(hash(*value)) != empty).count();
        assert!(false_pages < 10_000 / 12, "{false_pages} of 10,000 misses name a page");
    }

    #[test]
    fn a_value_on_nearly_every_row_is_listed_only_if_few_pages_have_it() {
        let pairs = |values: u32| (0..40_000u32).map(|row| (row * 7 % values, row / 1024)).collect::<Vec<_>>();
        assert_eq!(build(&pairs(1_000), 40, 39), [NOTHING_LISTED]);
        let vague = TermIndex::open(&[NOTHING_LISTED], 40).map(|index| index.pages(hash(1)));
        assert_eq!(vague.unwrap(), Postings::Common);
        assert!(TermIndex::open(&[NOTHING_LISTED, 0], 40).is_err());
        let bytes = build(&pairs(39_999), 40, 39);
        let index = TermIndex::open(&bytes, 40).unwrap();
        assert_eq!(index.pages(hash(7)), Postings::Pages(PageSet::from_sorted([0])));
    }

    #[test]
    fn damaged_bytes_are_refused_or_name_pages_that_exist() {
        let pairs: Vec<(u32, u32)> =
            (0..60).map(|i| (i / 3, i * 7 % 21)).chain((0..21).map(|page| (99, page))).collect();
        for bytes in damaged(&build(&pairs, 21, 10)) {
            for index in [TermIndex::open(&bytes, 21), TermIndex::from_validated(&bytes, 21)].into_iter().flatten() {
                for value in 0..100 {
                    if let Postings::Pages(pages) = index.pages(hash(value)) {
                        assert!(pages.iter().all(|page| page < 21));
                    }
                }
            }
        }
    }

    #[test]
    fn the_bytes_are_the_golden_ones() {
        assert_eq!(hex(&build(&[], 0, 0)), "0c0000000000000000");
        let pairs = [(1, 0), (2, 0), (2, 1), (1, 4), (3, 2), (3, 3), (3, 4)];
        assert_eq!(hex(&build(&pairs, 5, 2)), "0c010000009de90966d8c1cfc8040000000478b83c1c609bb00d");
    }
}
