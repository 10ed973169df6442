//! The smallest and largest start, end and duration of each page and block, to pass over what cannot match.
//!
//! A page is 1,024 rows, a block a whole number of pages. Both levels have the same layout, so that a search
//! asks a block first and its pages only if the block may hold something:
//!
//! ```text
//! pages: u32 | pages a block: u32 | level of the pages | level of the blocks
//! level: start min, start max, end min, end max, duration min, duration max: each one u64 per page or block
//!        | which measures every row has: one byte each, bit 0 start, bit 1 end, bit 2 duration
//! ```
//!
//! Rows may lack a measure. A page where no row has it holds min = 2^64-1 and max = 0; a search for any range,
//! even the open one, passes it over. Numbers are read where they lie, at any alignment: 0.05 B a row.

use std::ops::RangeInclusive;

use super::packed::word;
use super::set::PageSet;
use crate::bytes::{Reader, Writer};
use crate::error::{Result, ensure};
use crate::limits::PAGE_ROWS;
use crate::model::TimeRange;

const MEASURES: [Measure; 3] = [Measure::Start, Measure::End, Measure::Duration];
/// Bytes of a page or block: six numbers and a byte of flags.
const ZONES_LEN: usize = MEASURES.len() * 16 + 1;

/// What a zone is about. The codes are positions on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Measure {
    /// Start of the span, in nanoseconds since the epoch.
    Start = 0,
    /// End of the span, in nanoseconds since the epoch.
    End = 1,
    /// Duration of the span in nanoseconds.
    Duration = 2,
}

/// The values of one measure in some rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Smallest value; `u64::MAX` if there is none.
    pub min: u64,
    /// Largest value; 0 if there is none.
    pub max: u64,
    /// True if and only if every row has a value.
    pub complete: bool,
}

impl Zone {
    /// The zone of no rows.
    pub const EMPTY: Self = Self { min: u64::MAX, max: 0, complete: true };

    /// True if and only if no row has a value.
    pub fn is_empty(&self) -> bool {
        self.min > self.max
    }

    /// True if some row may have a value in the range.
    pub fn overlaps(&self, range: &RangeInclusive<u64>) -> bool {
        !self.is_empty() && self.min <= *range.end() && *range.start() <= self.max
    }

    /// True if some row may have a time in the range.
    pub fn overlaps_time(&self, range: TimeRange) -> bool {
        !self.is_empty() && range.overlaps(self.min, self.max)
    }

    /// True if and only if there are rows and every one has a time in the range.
    pub fn covered_by_time(&self, range: TimeRange) -> bool {
        !self.is_empty() && self.complete && range.covers(self.min, self.max)
    }

    fn add(&mut self, value: Option<u64>) {
        match value {
            Some(value) => *self = Self { min: self.min.min(value), max: self.max.max(value), ..*self },
            None => self.complete = false,
        }
    }

    fn unite(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max), complete: self.complete && other.complete }
    }
}

/// The zones of the three measures, by [`Measure`].
type Zones = [Zone; MEASURES.len()];
const NO_ZONES: Zones = [Zone::EMPTY; MEASURES.len()];

fn unite(a: Zones, b: Zones) -> Zones {
    std::array::from_fn(|measure| a[measure].unite(b[measure]))
}

/// Builds the zone map of rows that are added in order.
#[derive(Clone, Debug)]
pub struct ZoneMapBuilder {
    pages_per_block: u32,
    rows_of_page: usize,
    pages: Vec<Zones>,
}

impl ZoneMapBuilder {
    /// A builder for blocks of `pages_per_block` pages.
    ///
    /// # Panics
    /// If `pages_per_block` is zero.
    pub fn new(pages_per_block: u32) -> Self {
        assert!(pages_per_block > 0, "a block has at least one page");
        Self { pages_per_block, rows_of_page: 0, pages: Vec::new() }
    }

    /// Adds the next row; times in nanoseconds since the epoch, the duration in nanoseconds.
    pub fn add(&mut self, start: Option<u64>, end: Option<u64>, duration: Option<u64>) {
        if self.rows_of_page == 0 {
            self.pages.push(NO_ZONES);
        }
        self.rows_of_page = (self.rows_of_page + 1) % PAGE_ROWS;
        if let Some(page) = self.pages.last_mut() {
            page.iter_mut().zip([start, end, duration]).for_each(|(zone, value)| zone.add(value));
        }
    }

    /// The map as bytes.
    ///
    /// # Panics
    /// If there are 2^32 pages.
    pub fn finish(self) -> Vec<u8> {
        let chunks = self.pages.chunks(self.pages_per_block as usize);
        let blocks: Vec<Zones> = chunks.map(|pages| pages.iter().copied().fold(NO_ZONES, unite)).collect();
        let mut out = Writer::new();
        out.u32(u32::try_from(self.pages.len()).expect("a segment has fewer than 2^32 pages"));
        out.u32(self.pages_per_block);
        write_level(&self.pages, &mut out);
        write_level(&blocks, &mut out);
        out.into_vec()
    }
}

fn write_level(items: &[Zones], out: &mut Writer) {
    for measure in MEASURES {
        items.iter().for_each(|zones| out.u64(zones[measure as usize].min));
        items.iter().for_each(|zones| out.u64(zones[measure as usize].max));
    }
    for zones in items {
        out.u8(MEASURES.iter().map(|m| u8::from(zones[*m as usize].complete) << *m as u8).sum());
    }
}

/// Pages, or blocks.
#[derive(Clone, Copy, Debug)]
struct Level<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl Level<'_> {
    /// The zone of item `index`, or the empty one past the end.
    fn zone(&self, measure: Measure, index: usize) -> Zone {
        if index >= self.count {
            return Zone::EMPTY;
        }
        let numbers = self.bytes.get(measure as usize * self.count * 16..).unwrap_or_default();
        let flags = self.bytes.get((ZONES_LEN - 1) * self.count + index).copied().unwrap_or(0);
        Zone {
            min: word(numbers, index * 8),
            max: word(numbers, (self.count + index) * 8),
            complete: flags >> measure as u8 & 1 == 1,
        }
    }

    fn zones(&self, index: usize) -> Zones {
        MEASURES.map(|measure| self.zone(measure, index))
    }
}

/// A zone map borrowed from bytes.
#[derive(Clone, Copy, Debug)]
pub struct ZoneMap<'a> {
    pages_per_block: usize,
    pages: Level<'a>,
    blocks: Level<'a>,
}

impl<'a> ZoneMap<'a> {
    /// The map in `bytes`, validated, of a segment of `pages` pages.
    ///
    /// # Errors
    /// Corrupt if the bytes are no such map, or a block is not the union of its pages.
    pub fn open(bytes: &'a [u8], pages: u32) -> Result<Self> {
        let map = Self::from_validated(bytes, pages)?;
        for page in 0..map.pages.count {
            let sound = |zone: Zone| zone.min <= zone.max || Zone { complete: true, ..zone } == Zone::EMPTY;
            ensure(map.pages.zones(page).into_iter().all(sound), || format!("zone map: page {page} is upside down"))?;
        }
        for block in 0..map.blocks.count {
            let united = map.pages_of(block).map(|page| map.pages.zones(page as usize)).fold(NO_ZONES, unite);
            ensure(map.blocks.zones(block) == united, || {
                format!("zone map: block {block} is not the sum of its pages")
            })?;
        }
        Ok(map)
    }

    /// The map in bytes that [`Self::open`] accepted before. Reads the header alone.
    ///
    /// # Errors
    /// Corrupt if the length contradicts the counts.
    pub fn from_validated(bytes: &'a [u8], pages: u32) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let found = reader.u32("zone map pages")?;
        ensure(found == pages, || format!("zone map: {found} pages, the segment has {pages}"))?;
        let pages_per_block = reader.u32("zone map pages of a block")? as usize;
        ensure(pages_per_block > 0, || "zone map: blocks without pages".to_string())?;
        let count = pages as usize;
        let pages = Level { count, bytes: reader.bytes(count * ZONES_LEN, "zones of pages")? };
        let count = count.div_ceil(pages_per_block);
        let blocks = Level { count, bytes: reader.bytes(count * ZONES_LEN, "zones of blocks")? };
        reader.finish("zone map")?;
        Ok(Self { pages_per_block, pages, blocks })
    }

    /// The zone of a page; the empty one for a page past the end.
    pub fn page(&self, measure: Measure, page: u32) -> Zone {
        self.pages.zone(measure, page as usize)
    }

    /// The zone of a block; the empty one for a block past the end.
    pub fn block(&self, measure: Measure, block: u32) -> Zone {
        self.blocks.zone(measure, block as usize)
    }

    /// Number of pages.
    pub fn pages(&self) -> u32 {
        self.pages.count as u32
    }

    /// Number of blocks.
    pub fn blocks(&self) -> u32 {
        self.blocks.count as u32
    }

    /// The zone of the whole segment.
    pub fn all(&self, measure: Measure) -> Zone {
        (0..self.blocks.count).map(|block| self.blocks.zone(measure, block)).fold(Zone::EMPTY, Zone::unite)
    }

    /// The pages where some row may have this time in the range. Rows without the time count for nothing, so
    /// who asks for every instant and means every row must not ask.
    pub fn pages_in_time(&self, measure: Measure, range: TimeRange) -> PageSet {
        self.pages_where(measure, |zone| zone.overlaps_time(range))
    }

    /// The pages where some row may have a duration in the range, both ends in nanoseconds and inclusive.
    pub fn pages_with_duration(&self, range: RangeInclusive<u64>) -> PageSet {
        self.pages_where(Measure::Duration, |zone| zone.overlaps(&range))
    }

    /// The pages whose zone may match, where a block that may not match has no page that does.
    fn pages_where(&self, measure: Measure, may_match: impl Fn(Zone) -> bool) -> PageSet {
        let blocks = (0..self.blocks.count).filter(|block| may_match(self.blocks.zone(measure, *block)));
        let pages = blocks.flat_map(|block| self.pages_of(block));
        PageSet::from_sorted(pages.filter(|page| may_match(self.page(measure, *page))))
    }

    fn pages_of(&self, block: usize) -> std::ops::Range<u32> {
        let first = block * self.pages_per_block;
        let end = (first + self.pages_per_block).min(self.pages.count);
        first as u32..end as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::damaged;
    use super::*;
    use crate::bytes::hash64;

    type RowTimes = [Option<u64>; 3];

    /// A map whose page `i` has the rows `pages[i]` and is filled up with repeats of its first.
    fn build(pages: &[Vec<RowTimes>], pages_per_block: u32) -> Vec<u8> {
        let mut builder = ZoneMapBuilder::new(pages_per_block);
        for page in pages {
            for row in 0..PAGE_ROWS {
                let [start, end, duration] = *page.get(row).unwrap_or(&page[0]);
                builder.add(start, end, duration);
            }
        }
        builder.finish()
    }

    fn value() -> impl Strategy<Value = Option<u64>> {
        prop_oneof![1 => Just(None), 6 => (0..60u64).prop_map(Some), 1 => prop_oneof![Just(Some(0)), Just(Some(u64::MAX))]]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn pages_named_equal_a_scan_of_the_extremes(
            pages in prop::collection::vec(prop::collection::vec([value(), value(), value()], 1..4), 0..12),
            pages_per_block in 1..5u32, a in 0..70u64, b in 0..70u64, open in 0..4u8,
        ) {
            let bytes = build(&pages, pages_per_block);
            let map = ZoneMap::open(&bytes, pages.len() as u32).unwrap();
            let range = TimeRange { since: (open & 1 == 0).then_some(a), until: (open & 2 == 0).then_some(b) };
            for measure in MEASURES {
                let values = |page: &Vec<RowTimes>| page.iter().flat_map(|row| row[measure as usize]).collect::<Vec<_>>();
                let extremes = |page| Some((values(page).into_iter().min()?, values(page).into_iter().max()?));
                let expected = (0..).zip(&pages).filter(|(_, page)| extremes(page).is_some_and(|(min, max)| range.overlaps(min, max)));
                prop_assert!(map.pages_in_time(measure, range).iter().eq(expected.map(|(i, _)| i)));
                for (i, page) in (0..).zip(&pages) {
                    let covered = page.iter().all(|row| row[measure as usize].is_some_and(|v| range.contains(v)));
                    prop_assert_eq!(map.page(measure, i).covered_by_time(range), covered);
                }
                let all: Vec<u64> = pages.iter().flat_map(values).collect();
                prop_assert_eq!(map.all(measure).min, all.iter().copied().min().unwrap_or(u64::MAX));
                prop_assert_eq!(map.all(measure).max, all.iter().copied().max().unwrap_or(0));
            }
            let holds = |page: &Vec<RowTimes>| {
                let values: Vec<u64> = page.iter().flat_map(|row| row[2]).collect();
                values.iter().any(|v| *v <= b) && values.iter().any(|v| a <= *v)
            };
            prop_assert!(map.pages_with_duration(a..=b).iter().eq((0..).zip(&pages).filter(|p| holds(p.1)).map(|p| p.0)));
        }
    }

    #[test]
    fn a_page_where_no_row_has_a_start_is_in_no_range() {
        let bytes = build(&[vec![[None, None, Some(3)]], vec![[Some(0), Some(u64::MAX), None]]], 64);
        let map = ZoneMap::open(&bytes, 2).unwrap();
        assert_eq!(map.pages_in_time(Measure::Start, TimeRange::ALL).iter().collect::<Vec<_>>(), [1]);
        assert_eq!(map.pages_in_time(Measure::End, TimeRange::ALL).iter().collect::<Vec<_>>(), [1]);
        assert_eq!(map.pages_with_duration(0..=u64::MAX).iter().collect::<Vec<_>>(), [0]);
        assert!(!map.block(Measure::Start, 0).complete);
    }

    #[test]
    fn a_page_begins_every_1024_rows() {
        let mut builder = ZoneMapBuilder::new(2);
        (0..5000).for_each(|row| builder.add(Some(row), Some(row + 7), Some(7)));
        let bytes = builder.finish();
        let map = ZoneMap::open(&bytes, 5).unwrap();
        assert_eq!(map.page(Measure::Start, 1), Zone { min: 1024, max: 2047, complete: true });
        assert_eq!(map.page(Measure::End, 4), Zone { min: 4103, max: 5006, complete: true });
        assert_eq!((map.blocks(), map.block(Measure::Start, 2).min), (3, 4096));
        assert_eq!(map.page(Measure::Start, 5), Zone::EMPTY);
    }

    #[test]
    fn damaged_bytes_are_refused_or_name_pages_that_exist() {
        let pages: Vec<_> = (0..5).map(|i| vec![[Some(i * 10), Some(i * 10 + 5), (i != 3).then_some(5)]]).collect();
        for bytes in damaged(&build(&pages, 2)) {
            for map in [ZoneMap::open(&bytes, 5), ZoneMap::from_validated(&bytes, 5)].into_iter().flatten() {
                assert!(map.pages_in_time(Measure::Start, TimeRange::ALL).iter().all(|page| page < 5));
                assert!(map.pages_with_duration(5..=5).iter().all(|page| page < 5));
            }
        }
    }

    #[test]
    fn contradictions_are_named() {
        let good = build(&[vec![[Some(1), Some(2), Some(1)]]], 64);
        let complaint = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            ZoneMap::open(&bytes, 1).map(|_| ()).unwrap_err().to_string()
        };
        assert_eq!(complaint(0, 2), "zone map: 2 pages, the segment has 1");
        assert_eq!(complaint(4, 0), "zone map: blocks without pages");
        assert_eq!(complaint(8, 9), "zone map: page 0 is upside down");
        assert_eq!(complaint(8, 0), "zone map: block 0 is not the sum of its pages");
    }

    #[test]
    fn the_bytes_are_the_golden_ones() {
        let bytes = build(&[vec![[Some(1), Some(2), None]], vec![[Some(3), Some(3), Some(0)]]], 1);
        assert_eq!(bytes.len(), 8 + 4 * ZONES_LEN);
        assert_eq!(bytes[..8], [2, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(bytes[8 + 2 * 48..][..2], [0b011, 0b111]);
        assert_eq!(hash64(&bytes), 11_906_407_982_359_437_343);
    }
}
