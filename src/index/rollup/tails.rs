//! The slowest rows of each operation, with their durations.
//!
//! ```text
//! operations there are: varint | operations listed: varint
//! each operation listed: service, name: optional codes | rows with a duration | rows listed | bytes of its list
//! lists: the longest duration, then the distance to each next one, then that to the bound if not all are listed
//!        | rows: packed, with the bits of the segment's last row
//! ```
//! A list has the slowest 1/32 of an operation's rows that have a duration, at least 16; of equal durations the
//! first rows. The *bound* is the longest duration of a row that is not listed: every row above it is. So the
//! slowest n, and high percentiles, come from the lists alone whenever the last value wanted lies above the
//! bounds.

use std::cmp::Reverse;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::super::packed::{Packed, bits_for, pack, packed_len};
use super::cells::CELL_PAGES_MAX;
use super::group::{Group, GroupKey};
use super::histogram::Histogram;
use super::section::most_frequent;
use crate::bytes::{Reader, Writer};
use crate::column::{NONE, optional, read_optional};
use crate::error::{Error, Result, ensure};
use crate::limits::{PAGE_ROWS, ROLLUP_GROUPS_MAX};

/// One row in so many is listed.
pub const TAIL_SHARE: u64 = 32;
/// So many rows of an operation are listed at least.
pub const TAIL_ROWS_MIN: u64 = 16;

/// Service and name of spans, as string codes of the segment or [`NONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OperationCodes {
    /// Service that recorded the spans.
    pub service: u32,
    /// Their name.
    pub name: u32,
}

impl GroupKey for OperationCodes {
    fn write(&self, out: &mut Writer) {
        out.varint(optional(self.service));
        out.varint(optional(self.name));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { service: read_optional(reader, "service")?, name: read_optional(reader, "name")? })
    }
}

/// How many of so many rows are listed.
fn listed_of(rows: u64) -> u64 {
    rows.div_ceil(TAIL_SHARE).max(TAIL_ROWS_MIN).min(rows)
}

/// Keeps the duration of every row until it is known how many are listed.
#[derive(Debug, Default)]
pub(super) struct TailsBuilder {
    /// Group of each row, [`NONE`] for a row without duration.
    groups: Vec<u32>,
    durations: Vec<u64>,
}

/// An operation whose list is being made.
#[derive(Debug, Default)]
struct Operation {
    durations: Histogram,
    rows: u64,
    /// Rows below this duration are neither listed nor the bound.
    floor: u64,
    /// Duration and row of those above.
    slow: Vec<(Reverse<u64>, u32)>,
}

impl TailsBuilder {
    #[inline]
    pub fn add(&mut self, group: u32, duration: Option<u64>) {
        self.groups.push(if duration.is_some() { group } else { NONE });
        self.durations.push(duration.unwrap_or(0));
    }

    /// The tail lists, and the pages of cells if they are wanted and the pages not too many; what has a list of its
    /// own, and the sums, of every group by place.
    pub fn finish<K: GroupKey>(
        self,
        keys: impl Iterator<Item = K>,
        groups: &[Group],
        with_cells: bool,
    ) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut codes: Vec<K> = Vec::new();
        let mut operations: Vec<Operation> = Vec::new();
        let mut known: FxHashMap<K, usize> = FxHashMap::default();
        let mut of_group = Vec::with_capacity(groups.len());
        for (operation, group) in keys.zip(groups) {
            let place = *known.entry(operation).or_insert_with(|| {
                codes.push(operation);
                operations.push(Operation::default());
                operations.len() - 1
            });
            operations[place].durations.merge(&group.durations);
            operations[place].rows += group.duration_count;
            of_group.push(place);
        }
        operations.iter_mut().for_each(Operation::find_floor);
        let floors: Vec<u64> = of_group.iter().map(|place| operations[*place].floor).collect();
        for (row, (group, duration)) in self.groups.iter().zip(&self.durations).enumerate() {
            if *group != NONE && *duration >= floors[*group as usize] {
                operations[of_group[*group as usize]].slow.push((Reverse(*duration), row as u32));
            }
        }
        let counts: Vec<u64> = operations.iter().map(|operation| operation.rows).collect();
        let listed = most_frequent(&counts);
        let cells = if with_cells { self.cells(&of_group, &operations, &listed) } else { None };
        (encode(&codes, &mut operations, &listed, self.groups.len()), cells)
    }

    /// The pages of the cells of the operations listed.
    fn cells(&self, of_group: &[usize], operations: &[Operation], listed: &[usize]) -> Option<Vec<u8>> {
        let pages = self.groups.len().div_ceil(PAGE_ROWS);
        if pages > CELL_PAGES_MAX {
            return None;
        }
        // Where the next row of each bucket goes, by operation: rows are dealt into the cells in row order.
        let mut next: Vec<(usize, Vec<u32>)> = vec![Default::default(); operations.len()];
        let (mut rows, mut ranges) = (0, Vec::with_capacity(listed.len()));
        for at in listed {
            let begin = rows;
            let mut cells = operations[*at].durations.cells().peekable();
            let first = cells.peek().map_or(0, |(bucket, _)| *bucket);
            next[*at].0 = first;
            for (bucket, count) in cells {
                next[*at].1.resize(bucket - first + 1, rows as u32);
                next[*at].1[bucket - first] = rows as u32;
                rows += count as usize;
            }
            ranges.push(begin..rows);
        }
        let mut of_rows = vec![0u16; rows];
        for (row, (group, duration)) in self.groups.iter().zip(&self.durations).enumerate() {
            if *group == NONE {
                continue;
            }
            let (first, next) = &mut next[of_group[*group as usize]];
            if let Some(place) = next.get_mut(Histogram::bucket_of(*duration).wrapping_sub(*first)) {
                of_rows[*place as usize] = (row / PAGE_ROWS) as u16;
                *place += 1;
            }
        }
        let operations = listed.iter().zip(ranges).map(|(at, range)| (&operations[*at].durations, &of_rows[range]));
        Some(super::cells::encode(operations, pages))
    }
}

impl Operation {
    /// The lower end of the bucket that holds the longest duration that is not listed.
    fn find_floor(&mut self) {
        let (mut above, wanted) = (0, listed_of(self.rows) + 1);
        for (bucket, count) in self.durations.cells().rev() {
            above += count;
            if above >= wanted {
                self.floor = *Histogram::bounds(bucket).start();
                return;
            }
        }
    }

    fn write(&mut self, row_bits: u32, out: &mut Writer) {
        let listed = listed_of(self.rows) as usize;
        if self.slow.len() > listed {
            // The one after the list has the longest duration that is not listed.
            self.slow.select_nth_unstable(listed);
            self.slow.truncate(listed + 1);
        }
        self.slow.sort_unstable();
        let mut before = None;
        for (Reverse(duration), _) in &self.slow {
            out.varint(before.map_or(*duration, |before| before - duration));
            before = Some(*duration);
        }
        let rows = self.slow.iter().take(listed).map(|(_, row)| u64::from(*row));
        pack(rows, row_bits, out.as_mut_vec());
    }
}

/// Bits of a row of a segment of so many.
fn row_bits(rows: usize) -> u32 {
    bits_for(rows.saturating_sub(1) as u64)
}

fn encode<K: GroupKey>(codes: &[K], operations: &mut [Operation], listed: &[usize], rows: usize) -> Vec<u8> {
    let (mut out, mut lists) = (Writer::new(), Writer::new());
    out.varint(codes.len() as u64);
    out.varint(listed.len() as u64);
    for at in listed {
        let (at, before) = (*at, lists.len());
        operations[at].write(row_bits(rows), &mut lists);
        codes[at].write(&mut out);
        out.varint(operations[at].rows);
        out.varint(listed_of(operations[at].rows));
        out.varint((lists.len() - before) as u64);
    }
    out.bytes(lists.as_slice());
    out.into_vec()
}

/// A row of a tail list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailRow {
    /// The row in the segment.
    pub row: u32,
    /// Its duration in nanoseconds.
    pub duration: u64,
}

/// The slowest rows of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailList {
    /// By duration, longest first, then by row.
    pub rows: Vec<TailRow>,
    /// How many rows of the operation have a duration.
    pub duration_count: u64,
    /// The longest duration of a row that is not listed; `None` if all that have one are.
    pub bound: Option<u64>,
}

/// What stands in front of the tail lists: which operations there are and where their lists lie.
#[derive(Clone, Debug)]
pub struct TailHeads<K = OperationCodes> {
    rows: u32,
    operations: u64,
    listed: Vec<Listed<K>>,
    /// Where the lists begin.
    lists_at: usize,
}

#[derive(Clone, Debug)]
struct Listed<K> {
    codes: K,
    duration_count: u64,
    count: usize,
    list: Range<usize>,
}

/// The tail lists of a segment.
#[derive(Clone, Copy, Debug)]
pub struct TailLists<'a, K = OperationCodes> {
    heads: &'a TailHeads<K>,
    lists: &'a [u8],
}

impl<K: GroupKey> TailHeads<K> {
    /// The heads of the tail lists in `bytes`, of a segment of so many rows.
    ///
    /// # Errors
    /// Corrupt if the bytes are no tail lists; a list is checked as it is read.
    pub fn read(bytes: &[u8], rows: u32) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let operations = reader.varint("operations")?;
        let count = reader.count(5, "listed operations")?;
        ensure(count as u64 == operations.min(ROLLUP_GROUPS_MAX as u64), || {
            format!("tail lists of {count} of {operations} operations")
        })?;
        let (mut listed, mut end) = (Vec::with_capacity(count), 0usize);
        for _ in 0..count {
            let codes = K::read(&mut reader)?;
            let duration_count = reader.varint("rows with a duration")?;
            let count = reader.count(1, "listed rows")?;
            let start = end;
            end += reader.count(1, "bytes of a tail list")?;
            ensure(duration_count <= rows.into() && count as u64 == listed_of(duration_count), || {
                format!("a tail list has {count} of {duration_count} rows; the segment has {rows}")
            })?;
            listed.push(Listed { codes, duration_count, count, list: start..end });
        }
        let len = reader.remaining();
        ensure(end == len, || format!("tail lists take {end} bytes, {len} are there"))?;
        Ok(Self { rows, operations, listed, lists_at: bytes.len() - len })
    }
}

impl<'a, K: GroupKey> TailLists<'a, K> {
    /// The lists in `bytes`, whose heads were read of the same bytes.
    pub fn new(heads: &'a TailHeads<K>, bytes: &'a [u8]) -> Self {
        Self { heads, lists: bytes.get(heads.lists_at..).unwrap_or_default() }
    }

    /// True if every operation of the segment has a list.
    pub fn is_complete(&self) -> bool {
        self.heads.operations == self.heads.listed.len() as u64
    }

    /// The operations that have a list, by place.
    pub fn operations(&self) -> impl ExactSizeIterator<Item = K> + 'a {
        self.heads.listed.iter().map(|listed| listed.codes)
    }

    /// How many rows of the operation at this place have a duration; 0 if there is none.
    pub fn duration_count(&self, place: usize) -> u64 {
        self.heads.listed.get(place).map_or(0, |listed| listed.duration_count)
    }

    /// Goes through the list of the operation at this place, from the slowest row on.
    ///
    /// # Errors
    /// Corrupt if it is damaged, or there is none.
    pub fn walk(&self, place: usize) -> Result<TailWalk<'a>> {
        let missing = || Error::corrupt(format!("there is no tail list {place}"));
        let listed = self.heads.listed.get(place).ok_or_else(missing)?;
        let bytes = self.lists.get(listed.list.clone()).ok_or_else(missing)?;
        let width = row_bits(self.heads.rows as usize);
        let packed = packed_len(listed.count as u64, width) as usize;
        let durations = bytes.len().checked_sub(packed).ok_or_else(missing)?;
        let (durations, rows) = bytes.split_at(durations);
        let (durations, rows) = (Reader::new(durations), Packed::new(rows, width));
        let has_all = listed.count as u64 == listed.duration_count;
        Ok(TailWalk { durations, rows, rows_max: self.heads.rows, at: 0, count: listed.count, has_all, duration: 0 })
    }

    /// The row that stands at `at` in the list of the operation at this place.
    ///
    /// # Errors
    /// Corrupt if it is damaged, or there is none.
    pub fn row_at(&self, place: usize, at: usize) -> Result<u32> {
        let walk = self.walk(place)?;
        ensure(at < walk.count, || format!("tail list {place} has no row {at}"))?;
        walk.row(at)
    }

    /// The list of the operation at this place.
    ///
    /// # Errors
    /// Corrupt if it is damaged, or there is none.
    pub fn list(&self, place: usize) -> Result<TailList> {
        let read = |mut walk: TailWalk<'_>| {
            let mut rows = Vec::with_capacity(walk.count.min(walk.durations.remaining()));
            loop {
                match walk.next_row()? {
                    TailNext::Row(row) => rows.push(row),
                    TailNext::End { bound } => {
                        walk.durations.finish("tail list")?;
                        return Ok((rows, bound));
                    }
                }
            }
        };
        let walked = self.walk(place).and_then(read).map_err(|e| e.at(format!("tail list {place}")))?;
        Ok(TailList { rows: walked.0, duration_count: self.duration_count(place), bound: walked.1 })
    }
}

/// What comes next in a tail list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailNext {
    /// A row, no slower than those before.
    Row(TailRow),
    /// The list ends.
    End {
        /// The longest duration of a row that is not listed; `None` if all are.
        bound: Option<u64>,
    },
}

/// How a tail list ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailEnd {
    /// The longest duration of a row that is not listed; `None` if all are.
    pub bound: Option<u64>,
}

/// A tail list, row by row.
#[derive(Clone, Debug)]
pub struct TailWalk<'a> {
    durations: Reader<'a>,
    rows: Packed<'a>,
    rows_max: u32,
    at: usize,
    count: usize,
    has_all: bool,
    /// The duration before.
    duration: u64,
}

impl TailWalk<'_> {
    /// Appends the next durations, at most so many, and answers how the list ended if these are its last; so often as
    /// it has not ended.
    ///
    /// # Errors
    /// Corrupt if the list is damaged.
    pub fn durations(&mut self, most: usize, out: &mut Vec<u64>) -> Result<Option<TailEnd>> {
        let end = self.count.min(self.at.saturating_add(most));
        out.reserve((end - self.at).min(self.durations.remaining()));
        while self.at < end {
            out.push(self.step()?);
            self.at += 1;
        }
        if self.at < self.count {
            return Ok(None);
        }
        let bound = if self.has_all { None } else { Some(self.step()?) };
        self.durations.clone().finish("tail list")?;
        Ok(Some(TailEnd { bound }))
    }

    /// The next row; the end again and again after it was met.
    ///
    /// # Errors
    /// Corrupt if the list is damaged.
    #[inline]
    pub fn next_row(&mut self) -> Result<TailNext> {
        if self.at >= self.count {
            let ended = self.at > self.count || self.has_all;
            let bound = if self.has_all { None } else { Some(if ended { self.duration } else { self.step()? }) };
            self.at = self.count + 1;
            return Ok(TailNext::End { bound });
        }
        let (duration, row) = (self.step()?, self.row(self.at)?);
        self.at += 1;
        Ok(TailNext::Row(TailRow { row, duration }))
    }

    /// The row at this place of the list.
    #[inline]
    fn row(&self, at: usize) -> Result<u32> {
        let row = self.rows.get(at);
        ensure(row < self.rows_max.into(), || format!("row {row} of {}", self.rows_max))?;
        Ok(row as u32)
    }

    #[inline]
    fn step(&mut self) -> Result<u64> {
        let number = self.durations.varint("duration")?;
        let below = || Error::corrupt("a duration is below zero");
        self.duration = if self.at == 0 { number } else { self.duration.checked_sub(number).ok_or_else(below)? };
        Ok(self.duration)
    }
}
