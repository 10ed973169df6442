//! From ranks to values, and to the samples of exactly these values.
//!
//! A histogram says by counting in which bucket a rank lies. The samples of the wanted buckets alone are then
//! read again and sorted. Where these would be too many to keep, the buckets are first cut into narrower ranges,
//! whose samples are counted, until few are left or a range is a single value:
//!
//! ```text
//! bucket [1664, 1728)   rank 500 of 900 samples here    too many to keep?
//!    range [1680, 1681)   rank 31 of 64                 kept, or a single value: no need to keep any
//! ```
//! The exemplar of a value is the sample of exactly that duration with the smallest ids.

use rustc_hash::FxHashMap;

use crate::error::{ErrorKind, Result};
use crate::index::rollup::Histogram;
use crate::limits::Limits;
use crate::query::Durations;

use super::feed::{Batch, Place, RangeSource, SampleIds, SampleSource};
use super::groups::NO_ROOM;
use super::part_tables::DURATION;
use super::totals::Totals;

/// Counters for narrower ranges, all wide ranges together.
const COUNTERS_MAX: usize = 1 << 20;
/// Narrower ranges of one range.
const SPLITS_MAX: u64 = 1024;

/// The value of a rank, and the ids of a sample of it.
#[derive(Clone, Copy, Debug)]
pub struct Selected {
    /// The duration in nanoseconds.
    pub value: u64,
    /// The smallest ids of a sample of that duration.
    pub ids: SampleIds,
}

/// A group and a rank in it, from 1.
pub type Wanted = (u32, u64);

/// The values of ranks, by group and rank.
pub type SelectedRanks = FxHashMap<Wanted, Selected>;

/// A duration of a group that was kept, or of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    of: u32,
    place: Place,
    duration: u64,
}

impl Kept {
    fn key(&self) -> (u32, u64) {
        (self.of, self.duration)
    }
}

/// All durations, as long as they are few: then one pass is enough.
#[derive(Debug, Default)]
pub struct KeptAll {
    kept: Vec<Kept>,
    listed: Vec<SampleIds>,
    max: usize,
    overflowed: bool,
}

impl KeptAll {
    /// Keeps at most so many.
    pub fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    /// Keeps the durations of a batch.
    pub fn add_batch(&mut self, batch: &Batch<'_>) {
        if self.overflowed {
            return;
        }
        if self.kept.len() + batch.groups.len() > self.max {
            *self = Self { overflowed: true, ..Self::default() };
            return;
        }
        for (sample, group) in batch.groups.iter().enumerate() {
            if *group != NO_ROOM && batch.facts[sample] & DURATION != 0 {
                let place = batch.place(sample, &mut self.listed);
                self.kept.push(Kept { of: *group, place, duration: batch.durations[sample] });
            }
        }
    }

    /// The values of these ranks; `None` if not all durations were kept.
    ///
    /// # Errors
    /// Whatever is not damage.
    pub fn select(mut self, wanted: &[Wanted], feed: &mut dyn SampleSource) -> Result<Option<SelectedRanks>> {
        if self.overflowed {
            return Ok(None);
        }
        self.kept.sort_unstable_by_key(Kept::key);
        let mut out = SelectedRanks::default();
        let picks = wanted.iter().map(|(group, rank)| ((*group, *rank), *group, *rank));
        pick(&self.kept, &self.listed, picks, feed, &mut out)?;
        Ok(Some(out))
    }
}

/// Picks, for each (result, range or group, rank in it), the value of the rank out of sorted durations.
fn pick(
    kept: &[Kept],
    listed: &[SampleIds],
    picks: impl Iterator<Item = (Wanted, u32, u64)>,
    feed: &mut dyn SampleSource,
    out: &mut SelectedRanks,
) -> Result<()> {
    let mut picked = Picked::default();
    for (wanted, of, rank) in picks {
        let first = kept.partition_point(|k| k.of < of);
        let at = kept.get(first + rank.saturating_sub(1) as usize).filter(|k| k.of == of);
        if let Some(key) = at.map(Kept::key) {
            picked.add(wanted, key, || equal_to(kept, key).iter().map(|k| k.place));
        }
    }
    picked.name(listed, feed, out)
}

/// A range or group, and a duration in it.
type Key = (u32, u64);

/// Values of ranks, and the samples that have them.
#[derive(Default)]
struct Picked {
    found: Vec<(Wanted, Key)>,
    /// The places of the samples of each value.
    places: FxHashMap<Key, Vec<Place>>,
}

impl Picked {
    /// Adds the value of a rank, and the places of all samples of it.
    fn add<P: Iterator<Item = Place>>(&mut self, wanted: Wanted, key: Key, places: impl FnOnce() -> P) {
        self.found.push((wanted, key));
        self.places.entry(key).or_insert_with(|| places().collect());
    }

    /// Finds the smallest ids of each value.
    fn name(mut self, listed: &[SampleIds], feed: &mut dyn SampleSource, out: &mut SelectedRanks) -> Result<()> {
        let values = match self.smallest_of_all(listed, feed) {
            Ok(values) => values,
            // A damaged page must not hide all others.
            Err(_) => {
                let mut values = FxHashMap::default();
                for (key, places) in &mut self.places {
                    values.insert(*key, smallest_ids(places, listed, feed)?);
                }
                values
            }
        };
        for (wanted, key) in self.found {
            if let Some(ids) = values.get(&key).copied().flatten() {
                out.insert(wanted, Selected { value: key.1, ids });
            }
        }
        Ok(())
    }

    /// The smallest ids of each value, looked up together in the order of their places.
    fn smallest_of_all(
        &self,
        listed: &[SampleIds],
        feed: &dyn SampleSource,
    ) -> Result<FxHashMap<Key, Option<SampleIds>>> {
        let all = self.places.iter().flat_map(|(key, places)| places.iter().map(|place| (*place, *key)));
        let mut all: Vec<(Place, Key)> = all.collect();
        all.sort_unstable();
        let only: Vec<Place> = all.iter().map(|(place, _)| *place).collect();
        let mut values = FxHashMap::default();
        for ((_, key), ids) in all.into_iter().zip(feed.ids_at(&only, listed)?) {
            let known = values.entry(key).or_insert(None);
            *known = Some(known.map_or(ids, |known: SampleIds| known.min(ids)));
        }
        Ok(values)
    }
}

fn equal_to(kept: &[Kept], key: (u32, u64)) -> &[Kept] {
    &kept[kept.partition_point(|k| k.key() < key)..kept.partition_point(|k| k.key() <= key)]
}

/// The smallest ids of the samples at these places.
fn smallest_ids(places: &mut [Place], listed: &[SampleIds], feed: &mut dyn SampleSource) -> Result<Option<SampleIds>> {
    places.sort_unstable();
    match feed.ids_at(places, listed) {
        Ok(ids) => Ok(ids.into_iter().min()),
        Err(error) => feed.problem(error).map(|()| None),
    }
}

/// Durations of a group in which some ranks lie.
#[derive(Clone, Debug)]
struct Range {
    group: u32,
    first: u64,
    last: u64,
    /// Samples of the group below the range, and in it.
    below: u64,
    count: u64,
    /// Ranks in the group.
    ranks: Vec<u64>,
    /// Of a range of one value, the smallest ids met.
    ids: Option<SampleIds>,
}

impl Range {
    fn is_single(&self) -> bool {
        self.first == self.last
    }

    /// Length of each of so many equal pieces, the last perhaps shorter.
    fn piece_len(&self, pieces: u64) -> u64 {
        (self.last - self.first) / pieces + 1
    }
}

/// The values of ranks in groups of these totals, by reading the samples again.
///
/// # Errors
/// Whatever is not damage.
pub fn select(
    wanted: &[Wanted],
    totals: &[Totals],
    feed: &mut dyn SampleSource,
    limits: &Limits,
) -> Result<SelectedRanks> {
    let kept_max = (limits.values_bytes_max / size_of::<Kept>()).max(1) as u64;
    let mut ranges = bucket_ranges(wanted, totals);
    loop {
        let wide: u64 = ranges.iter().filter(|range| !range.is_single()).map(|range| range.count).sum();
        if wide <= kept_max {
            break;
        }
        ranges = narrowed(ranges, feed)?;
    }
    collect(ranges, feed)
}

/// The values of ranks in groups of these totals, where a class says the group, or rollups gave the totals: from the
/// rows of the buckets alone, which indexes find. `None` if rows are missing that were counted.
///
/// # Errors
/// Whatever is not damage.
pub fn select_rolled(
    wanted: &[Wanted],
    totals: &[Totals],
    feed: &mut dyn RangeSource,
    limits: &Limits,
) -> Result<Option<SelectedRanks>> {
    let kept_max = (limits.values_bytes_max / size_of::<Kept>()).max(1) as u64;
    let ranges = bucket_ranges(wanted, totals);
    if ranges.iter().map(|range| range.count).sum::<u64>() > kept_max {
        return select(wanted, totals, feed, limits).map(Some);
    }
    let bounds: Vec<(u32, Durations)> = ranges.iter().map(|range| (range.group, range.first..=range.last)).collect();
    let (mut rows, mut listed) = (RowsOfRanges::new(&ranges), Vec::new());
    if let Err(error) = feed.rows_within(&bounds, &mut listed, &mut |of, place, nanos| rows.add(of, place, nanos)) {
        // It is met again, and told, by the scan that follows.
        return if error.kind() == ErrorKind::Corrupt { Ok(None) } else { Err(error) };
    }
    if !rows.is_complete() {
        return Ok(None);
    }
    let (mut out, mut picked) = (SelectedRanks::default(), Picked::default());
    for (at, range) in (0u32..).zip(&ranges) {
        let rows = rows.of(at as usize);
        for rank in &range.ranks {
            let value = value_of_rank(rows, *rank - range.below);
            let same = |row: &&(u64, Place)| row.0 == value;
            picked.add((range.group, *rank), (at, value), || rows.iter().filter(same).map(|(_, place)| *place));
        }
    }
    picked.name(&listed, feed, &mut out)?;
    Ok(Some(out))
}

/// Durations and places of the rows of ranges whose counts are known: each range has its stretch.
struct RowsOfRanges {
    rows: Vec<(u64, Place)>,
    /// Where the next row of each range goes.
    next: Vec<usize>,
    /// Where each range ends.
    ends: Vec<usize>,
    /// True if a range had more rows than were counted.
    overflowed: bool,
}

impl RowsOfRanges {
    fn new(ranges: &[Range]) -> Self {
        let mut end = 0;
        let ends: Vec<usize> = ranges
            .iter()
            .map(|range| {
                end += range.count as usize;
                end
            })
            .collect();
        let next = ends.iter().zip(ranges).map(|(end, range)| end - range.count as usize).collect();
        Self { rows: vec![(0, (0, 0)); end], next, ends, overflowed: false }
    }

    fn add(&mut self, of: u32, place: Place, nanos: u64) {
        let (next, end) = (&mut self.next[of as usize], self.ends[of as usize]);
        match self.rows.get_mut(*next).filter(|_| *next < end) {
            Some(row) => *row = (nanos, place),
            None => self.overflowed = true,
        }
        *next += 1;
    }

    fn is_complete(&self) -> bool {
        !self.overflowed && self.next == self.ends
    }

    fn of(&mut self, range: usize) -> &mut [(u64, Place)] {
        let begin = range.checked_sub(1).map_or(0, |before| self.ends[before]);
        &mut self.rows[begin..self.ends[range]]
    }
}

/// The duration of a rank, from 1 and at most the number of rows, which are put in another order.
fn value_of_rank(rows: &mut [(u64, Place)], rank: u64) -> u64 {
    let (_, row, _) = rows.select_nth_unstable_by_key(rank as usize - 1, |(nanos, _)| *nanos);
    row.0
}

/// The buckets in which the ranks lie, by group, ascending.
fn bucket_ranges(wanted: &[Wanted], totals: &[Totals]) -> Vec<Range> {
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    let mut out: Vec<Range> = Vec::new();
    for of_group in wanted.chunk_by(|a, b| a.0 == b.0) {
        let Some((group, _)) = of_group.first() else { continue };
        let mut ranks = of_group.iter().map(|(_, rank)| *rank).peekable();
        let mut below = 0;
        for (bucket, count) in totals[*group as usize].sums.durations.cells() {
            let mut here = Vec::new();
            while let Some(rank) = ranks.next_if(|rank| *rank <= below + count) {
                here.push(rank);
            }
            if !here.is_empty() {
                let (first, last) = Histogram::bounds(bucket).into_inner();
                out.push(Range { group: *group, first, last, below, count, ranks: here, ids: None });
            }
            below += count;
        }
    }
    out
}

/// Where the ranges of each group begin in the list of them, which is sorted by group and first duration.
struct ByGroup(Vec<u32>);

impl ByGroup {
    fn new(ranges: &[Range], groups: usize) -> Self {
        let mut begins = vec![0; groups + 1];
        ranges.iter().for_each(|range| begins[range.group as usize + 1] += 1);
        for group in 0..groups {
            begins[group + 1] += begins[group];
        }
        Self(begins)
    }

    /// The range that holds this duration of the group.
    fn find(&self, ranges: &[Range], group: u32, duration: u64) -> Option<usize> {
        let at = group as usize;
        let (begin, end) = (*self.0.get(at)? as usize, *self.0.get(at + 1)? as usize);
        let within = |range: &Range| range.first <= duration && duration <= range.last;
        ranges[begin..end].iter().position(within).map(|place| begin + place)
    }
}

/// Calls `visit` with every sample of a batch that lies in a range, and the range.
fn each_in_range(batch: &Batch<'_>, ranges: &[Range], by_group: &ByGroup, mut visit: impl FnMut(usize, usize)) {
    for (sample, group) in batch.groups.iter().enumerate() {
        if *group != NO_ROOM
            && batch.facts[sample] & DURATION != 0
            && let Some(range) = by_group.find(ranges, *group, batch.durations[sample])
        {
            visit(sample, range);
        }
    }
}

/// The same ranks in narrower ranges, found by counting.
fn narrowed(ranges: Vec<Range>, feed: &mut dyn SampleSource) -> Result<Vec<Range>> {
    let wide = ranges.iter().filter(|range| !range.is_single()).count().max(1);
    let pieces = ((COUNTERS_MAX / wide) as u64).clamp(2, SPLITS_MAX);
    let mut counters: Vec<Vec<u64>> =
        ranges.iter().map(|range| if range.is_single() { Vec::new() } else { vec![0; pieces as usize] }).collect();
    let by_group = ByGroup::new(&ranges, feed.groups());
    feed.run(&mut |batch| {
        each_in_range(batch, &ranges, &by_group, |sample, at| {
            let range = &ranges[at];
            let piece = (batch.durations[sample] - range.first) / range.piece_len(pieces);
            if let Some(count) = counters[at].get_mut(piece as usize) {
                *count += 1;
            }
        });
        Ok(())
    })?;
    Ok(ranges.into_iter().zip(counters).flat_map(|(range, counts)| pieces_of(range, &counts, pieces)).collect())
}

/// The pieces of a range in which its ranks lie.
fn pieces_of(range: Range, counts: &[u64], pieces: u64) -> Vec<Range> {
    if range.is_single() {
        return vec![range];
    }
    let len = range.piece_len(pieces);
    let mut ranks = range.ranks.iter().copied().peekable();
    let (mut below, mut out) = (range.below, Vec::new());
    for (piece, count) in (0..).zip(counts) {
        let mut here = Vec::new();
        while let Some(rank) = ranks.next_if(|rank| *rank <= below + count) {
            here.push(rank);
        }
        if !here.is_empty() {
            let first = range.first + piece * len;
            let last = first.saturating_add(len - 1).min(range.last);
            out.push(Range { group: range.group, first, last, below, count: *count, ranks: here, ids: None });
        }
        below += count;
    }
    out
}

/// Reads the samples of the ranges and picks the values of the ranks.
fn collect(mut ranges: Vec<Range>, feed: &mut dyn SampleSource) -> Result<SelectedRanks> {
    let mut out = SelectedRanks::default();
    if ranges.is_empty() {
        return Ok(out);
    }
    let by_group = ByGroup::new(&ranges, feed.groups());
    let (mut kept, mut listed, mut single) = (Vec::new(), Vec::new(), Vec::new());
    feed.run(&mut |batch| {
        single.clear();
        each_in_range(batch, &ranges, &by_group, |sample, at| {
            if ranges[at].is_single() {
                single.push((sample, at));
            } else {
                let place = batch.place(sample, &mut listed);
                kept.push(Kept { of: at as u32, place, duration: batch.durations[sample] });
            }
        });
        let ids = batch.ids(single.iter().map(|(sample, _)| *sample))?;
        for ((_, at), ids) in single.iter().zip(ids) {
            let known = &mut ranges[*at].ids;
            *known = Some(known.map_or(ids, |known| known.min(ids)));
        }
        Ok(())
    })?;
    kept.sort_unstable_by_key(Kept::key);
    for range in &ranges {
        if let Some(ids) = range.ids {
            let ranks = range.ranks.iter().map(|rank| ((range.group, *rank), Selected { value: range.first, ids }));
            out.extend(ranks);
        }
    }
    let wide = (0u32..).zip(&ranges).filter(|(_, range)| !range.is_single());
    let picks: Vec<(Wanted, u32, u64)> = wide
        .flat_map(|(at, range)| range.ranks.iter().map(move |rank| ((range.group, *rank), at, *rank - range.below)))
        .collect();
    pick(&kept, &listed, picks.into_iter(), feed, &mut out)?;
    Ok(out)
}
