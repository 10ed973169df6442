//! Counts, sums and extremes of each group by step of time, without histogram.
//!
//! ```text
//! minutes of a step: varint
//! each step: distance to the one before, less one (the first: its number): varint | bytes of its cells: varint
//!   each cell: form: u16 | if bit 15 is set: groups left out since the cell before, spans without duration: varints
//!              | spans - 1 | min | max - min | sum - min * spans with duration      little-endian
//! form: bits 0-2, 3-6, 7-10, 11-14: how many bytes each of these four numbers takes
//! ```
//! A step is a minute, doubled until a cell holds 16 spans on average, so that cells take the same bytes a span
//! at any rate. Step `n` is the spans that start in `n * length .. (n + 1) * length`; those without a start are
//! in none. A segment that has no 16 spans a cell even in one step has no steps at all. Groups are named by
//! their place in the [`super::Rollup`]; a group that is not listed there has no cells. All spans of a group
//! have one status, which says whether they are errors. The same is there once more by half of a service
//! ([`super::ServiceHalves`]) in place of a group.
//!
//! A cell tells its length in its first two bytes, so one that is not asked for costs a nanosecond. Counts and sums
//! can be taken off again, extremes cannot: see [`StepCell::without`].

use rustc_hash::FxHashMap;

use super::super::packed::{mask, word};
use crate::bytes::{Reader, Writer};
use crate::column::NONE;
use crate::error::{Error, Result, ensure};
use crate::limits::ROLLUP_GROUPS_MAX;

/// The shortest step: a minute.
pub const STEP_NANOS: u64 = 60_000_000_000;
/// Spans that a cell holds on average, at least.
pub const CELL_SPANS: u64 = 16;
/// Cells that may be gathered before steps are widened, however few rows there were.
const CELLS_MIN: u64 = 1 << 14;
/// The longest step in minutes: all of time.
const MINUTES_MAX: u64 = 1 << 29;

/// Sums over the spans of a group that start in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepCell {
    /// Spans.
    pub count: u64,
    /// Those of them that have a duration.
    pub duration_count: u64,
    /// Sum of the durations in nanoseconds.
    pub duration_sum: u128,
    /// Shortest duration; `u64::MAX` if there is none.
    pub min: u64,
    /// Longest duration; 0 if there is none.
    pub max: u64,
}

impl Default for StepCell {
    fn default() -> Self {
        Self { count: 0, duration_count: 0, duration_sum: 0, min: u64::MAX, max: 0 }
    }
}

impl StepCell {
    /// Adds a span.
    #[inline]
    pub fn add_row(&mut self, duration: Option<u64>) {
        self.count += 1;
        if let Some(nanos) = duration {
            self.duration_count += 1;
            self.duration_sum += u128::from(nanos);
            self.min = self.min.min(nanos);
            self.max = self.max.max(nanos);
        }
    }

    /// Adds all of another.
    #[inline]
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.duration_count += other.duration_count;
        self.duration_sum += other.duration_sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// What is left without some of the spans; `None` if one of them is the shortest or the longest, so that only
    /// the spans themselves tell which is that now.
    ///
    /// # Errors
    /// Corrupt if they cannot be spans of this cell.
    pub fn without(&self, gone: &Self) -> Result<Option<Self>> {
        let less = || Error::corrupt("a step has fewer spans than are taken off");
        let mut left = *self;
        left.count = self.count.checked_sub(gone.count).ok_or_else(less)?;
        left.duration_count = self.duration_count.checked_sub(gone.duration_count).ok_or_else(less)?;
        left.duration_sum = self.duration_sum.checked_sub(gone.duration_sum).ok_or_else(less)?;
        if gone.duration_count > 0 && (gone.min < self.min || gone.max > self.max) {
            return Err(less());
        }
        if left.duration_count == 0 {
            return Ok(Some(Self { count: left.count, ..Self::default() }));
        }
        let is_known = gone.duration_count == 0 || (gone.min > self.min && gone.max < self.max);
        Ok(is_known.then_some(left))
    }
}

/// Gathers the cells of rows.
#[derive(Debug)]
pub(super) struct StepsBuilder {
    rows: u64,
    minutes: u64,
    /// The step of the row before, and its first instant.
    latest: (u64, u64),
    /// By step, then group: `step << 32 | group`.
    cells: FxHashMap<u64, StepCell>,
}

impl Default for StepsBuilder {
    fn default() -> Self {
        Self { rows: 0, minutes: 1, latest: (0, 0), cells: FxHashMap::default() }
    }
}

impl StepsBuilder {
    #[inline]
    pub fn add(&mut self, group: u32, start: u64, duration: Option<u64>) {
        self.rows += 1;
        let len = self.minutes * STEP_NANOS;
        if start.wrapping_sub(self.latest.1) >= len {
            let step = start / len;
            self.latest = (step, step * len);
        }
        self.cells.entry(self.latest.0 << 32 | u64::from(group)).or_default().add_row(duration);
        while self.cells.len() as u64 > CELLS_MIN.max(self.rows / CELL_SPANS) && self.minutes < MINUTES_MAX / 2 {
            self.widen();
        }
    }

    fn widen(&mut self) {
        self.minutes *= 2;
        self.latest = (0, 0);
        for (key, cell) in std::mem::take(&mut self.cells) {
            let key = (key >> 33) << 32 | key & u64::from(u32::MAX);
            self.cells.entry(key).or_default().merge(&cell);
        }
    }

    fn has_one_step(&self) -> bool {
        let mut steps = self.cells.keys().map(|key| key >> 32);
        let first = steps.next();
        steps.all(|step| Some(step) == first)
    }

    /// The sections by group and by half of a service; `None` if a cell would hold too few spans. `places` are those of
    /// the groups in the rollup, `half_of` the halves by place.
    pub fn finish(mut self, places: &[u32], half_of: &[u32]) -> Option<(Vec<u8>, Vec<u8>)> {
        let is_sparse = |this: &Self| this.cells.len() as u64 * CELL_SPANS > this.rows;
        while is_sparse(&self) && !self.has_one_step() && self.minutes < MINUTES_MAX / 2 {
            self.widen();
        }
        if self.cells.is_empty() || is_sparse(&self) {
            return None;
        }
        let placed = |(key, cell): (u64, StepCell)| {
            let place = places.get(key as u32 as usize).copied().filter(|place| *place != NONE)?;
            Some((key >> 32, place, cell))
        };
        let mut cells: Vec<(u64, u32, StepCell)> = self.cells.into_iter().filter_map(placed).collect();
        cells.sort_unstable_by_key(|(step, place, _)| (*step, *place));
        let by_group = encode(self.minutes, &cells);
        cells.iter_mut().for_each(|(_, place, _)| *place = half_of[*place as usize]);
        cells.sort_by_key(|(step, half, _)| (*step, *half));
        let halves = cells.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).map(|same| {
            let mut all = same[0];
            same[1..].iter().for_each(|(_, _, cell)| all.2.merge(cell));
            all
        });
        Some((by_group, encode(self.minutes, &halves.collect::<Vec<_>>())))
    }
}

/// Where the lengths of the four numbers of a cell begin in its form, and how many bits they have.
const LENGTHS: [(u32, u16); 4] = [(0, 0x7), (3, 0xf), (7, 0xf), (11, 0xf)];
/// Bit of a form: groups were left out before the cell, or some of its spans have no duration.
const MORE: u16 = 1 << 15;
/// Most bytes of each number: counts have 32 bits, durations 64, sums of as many 96.
const LENGTHS_MAX: [u32; 4] = [4, 8, 8, 12];

fn encode(minutes: u64, cells: &[(u64, u32, StepCell)]) -> Vec<u8> {
    let mut out = Writer::new();
    out.varint(minutes);
    let mut next_step = 0;
    for step in cells.chunk_by(|a, b| a.0 == b.0) {
        let (mut body, mut next) = (Writer::new(), 0);
        for (_, place, cell) in step {
            write_cell(u64::from(place - next), cell, &mut body);
            next = place + 1;
        }
        out.varint(step[0].0 - next_step);
        next_step = step[0].0 + 1;
        out.varint(body.len() as u64);
        out.bytes(body.as_slice());
    }
    out.into_vec()
}

fn write_cell(gap: u64, cell: &StepCell, out: &mut Writer) {
    let without = cell.count - cell.duration_count;
    let (min, range) = if cell.duration_count == 0 { (0, 0) } else { (cell.min, cell.max - cell.min) };
    let rest = cell.duration_sum - u128::from(min) * u128::from(cell.duration_count);
    let numbers = [u128::from(cell.count - 1), min.into(), range.into(), rest];
    let lengths = numbers.map(|number| (128 - number.leading_zeros()).div_ceil(8));
    let more = gap > 0 || without > 0;
    let form = lengths.iter().zip(LENGTHS).map(|(len, (shift, _))| (*len as u16) << shift).sum::<u16>();
    out.u16(form | if more { MORE } else { 0 });
    if more {
        out.varint(gap);
        out.varint(without);
    }
    for (number, len) in numbers.iter().zip(lengths) {
        (0..len).for_each(|byte| out.u8((number >> (8 * byte)) as u8));
    }
}

/// The steps of a segment.
#[derive(Clone, Debug)]
pub struct Steps<'a> {
    minutes: u64,
    steps: &'a [u8],
}

impl<'a> Steps<'a> {
    /// The steps in `bytes`.
    ///
    /// # Errors
    /// Corrupt if the bytes are no steps; what each step holds is checked as it is read.
    pub fn open(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let minutes = reader.varint("minutes of a step")?;
        ensure(minutes.is_power_of_two() && minutes < MINUTES_MAX, || format!("steps of {minutes} minutes"))?;
        Ok(Self { minutes, steps: reader.bytes(reader.remaining(), "steps")? })
    }

    /// Length of a step in nanoseconds.
    pub fn len_nanos(&self) -> u64 {
        self.minutes * STEP_NANOS
    }

    /// Calls `visit` with number and cells of every step that has some, ascending. Step `n` begins `n` lengths
    /// after the epoch.
    ///
    /// # Errors
    /// Corrupt if the bytes are damaged, or what `visit` says.
    pub fn each_step(&self, mut visit: impl FnMut(u64, StepCells<'a>) -> Result<()>) -> Result<()> {
        let mut reader = Reader::new(self.steps);
        let (len, mut next) = (self.len_nanos(), 0u64);
        while !reader.is_empty() {
            let step = reader.varint("distance of steps")?.saturating_add(next);
            ensure(step <= u64::MAX / len, || format!("step {step} of {len} ns is past the end of time"))?;
            next = step + 1;
            visit(step, StepCells(reader.block("cells of a step")?))?;
        }
        Ok(())
    }
}

/// The cells of one step.
#[derive(Clone, Copy, Debug)]
pub struct StepCells<'a>(&'a [u8]);

impl StepCells<'_> {
    /// Calls `visit` with place of the group and sums of every cell of a group that is `wanted`, ascending.
    ///
    /// # Errors
    /// Corrupt if the bytes are damaged, or what `visit` says.
    pub fn each(
        &self,
        wanted: impl Fn(usize) -> bool,
        mut visit: impl FnMut(usize, StepCell) -> Result<()>,
    ) -> Result<()> {
        let (bytes, mut at, mut place) = (self.0, 0, 0u64);
        while at < bytes.len() {
            let form = word(bytes, at) as u16;
            at += 2;
            let mut without = 0;
            if form & MORE != 0 {
                let mut reader = Reader::new(bytes.get(at..).unwrap_or_default());
                place = place.saturating_add(reader.varint("distance of groups")?);
                without = reader.varint("spans without duration")?;
                at += reader.position();
            }
            let lengths = LENGTHS.map(|(shift, mask)| u32::from(form >> shift & mask));
            let len = lengths.iter().sum::<u32>() as usize;
            ensure(at + len <= bytes.len() && place < ROLLUP_GROUPS_MAX as u64, || {
                format!("a cell of group {place} takes {len} bytes, {} are there", bytes.len().saturating_sub(at))
            })?;
            if wanted(place as usize) {
                visit(place as usize, read_cell(bytes, at, lengths, without)?)?;
            }
            at += len;
            place += 1;
        }
        Ok(())
    }
}

/// The cell whose numbers begin at `at` and were found to end inside the bytes.
#[inline]
fn read_cell(bytes: &[u8], at: usize, lengths: [u32; 4], without: u64) -> Result<StepCell> {
    let damaged = || Error::corrupt("a cell of a step is not sound");
    ensure(lengths.iter().zip(LENGTHS_MAX).all(|(len, max)| *len <= max), || "a cell of long numbers".to_owned())?;
    let [count, min, range, rest] = lengths.map(|len| len as usize);
    let number = |at: usize, len: usize| word(bytes, at) & mask(8 * len.min(8) as u32);
    let count = number(at, count) + 1;
    let at = at + lengths[0] as usize;
    let low = number(at, min);
    let width = number(at + min, range);
    let at = at + min + range;
    let high = if rest > 8 { u128::from(number(at + 8, rest - 8)) << 64 } else { 0 };
    let rest = high | u128::from(number(at, rest));
    let duration_count = count.checked_sub(without).ok_or_else(damaged)?;
    if duration_count == 0 {
        ensure(low == 0 && width == 0 && rest == 0, || "a cell without durations has some".to_owned())?;
        return Ok(StepCell { count, ..StepCell::default() });
    }
    let max = low.checked_add(width).ok_or_else(damaged)?;
    // The shortest adds nothing, the longest its width, each other at most that.
    let least = if duration_count > 1 { u128::from(width) } else { 0 };
    ensure(least <= rest && rest <= u128::from(width) * u128::from(duration_count - 1), || {
        format!("{duration_count} durations from {low} to {max} cannot exceed their minimum by {rest}")
    })?;
    let duration_sum = u128::from(low) * u128::from(duration_count) + rest;
    Ok(StepCell { count, duration_count, duration_sum, min: low, max })
}
