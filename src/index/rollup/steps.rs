//! Counts and sums of each group by step of time, without histogram.
//!
//! ```text
//! minutes of a step: varint
//! each step: distance to the one before, less one (the first: its number): varint | cells: varint
//!   each cell: distance to the group before, less one | 2 * (count - 1), + 1 if some have no duration
//!              | that many, less one | sum of durations                                          varints
//! ```
//! A step is a minute, doubled until a cell holds 64 spans on average, so that cells take the same bytes a span
//! at any rate. Step `n` is the spans that start in `n * length .. (n + 1) * length`; those without a start are
//! in none. A segment that has no 64 spans a cell even in one step has no steps at all. Groups are named by
//! their place in the [`super::Rollup`]; a group that is not listed there has no cells. All spans of a group
//! have one status, which says whether they are errors.

use rustc_hash::FxHashMap;

use super::group::{read_sum, write_sum};
use crate::bytes::{Reader, Writer};
use crate::column::NONE;
use crate::error::{Result, ensure};
use crate::limits::ROLLUP_GROUPS_MAX;

/// The shortest step: a minute.
pub const STEP_NANOS: u64 = 60_000_000_000;
/// Spans that a cell holds on average, at least.
pub const CELL_SPANS: u64 = 64;
/// Cells that may be gathered before steps are widened, however few rows there were.
const CELLS_MIN: u64 = 1 << 14;
/// The longest step in minutes: all of time.
const MINUTES_MAX: u64 = 1 << 29;

/// Sums over the spans of a group that start in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepCell {
    /// Spans.
    pub count: u64,
    /// Those of them that have a duration.
    pub duration_count: u64,
    /// Sum of the durations in nanoseconds.
    pub duration_sum: u128,
}

impl StepCell {
    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.duration_count += other.duration_count;
        self.duration_sum += other.duration_sum;
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
        let cell = self.cells.entry(self.latest.0 << 32 | u64::from(group)).or_default();
        cell.count += 1;
        if let Some(nanos) = duration {
            cell.duration_count += 1;
            cell.duration_sum += u128::from(nanos);
        }
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

    /// The section; `None` if a cell would hold too few spans. `places` are those of the groups in the rollup.
    pub fn finish(mut self, places: &[u32]) -> Option<Vec<u8>> {
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
        Some(encode(self.minutes, &cells))
    }
}

fn encode(minutes: u64, cells: &[(u64, u32, StepCell)]) -> Vec<u8> {
    let mut out = Writer::new();
    out.varint(minutes);
    let mut next_step = 0;
    for step in cells.chunk_by(|a, b| a.0 == b.0) {
        out.varint(step[0].0 - next_step);
        next_step = step[0].0 + 1;
        out.varint(step.len() as u64);
        let mut next = 0;
        for (_, place, cell) in step {
            out.varint(u64::from(place - next));
            next = place + 1;
            let without = cell.count - cell.duration_count;
            out.varint((cell.count - 1) << 1 | u64::from(without > 0));
            if without > 0 {
                out.varint(without - 1);
            }
            write_sum(cell.duration_sum, &mut out);
        }
    }
    out.into_vec()
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

    /// Calls `visit` with first instant, place of the group and sums of every cell, ascending.
    ///
    /// # Errors
    /// Corrupt if the bytes are damaged.
    pub fn each_cell(&self, mut visit: impl FnMut(u64, usize, StepCell)) -> Result<()> {
        let mut reader = Reader::new(self.steps);
        let (len, mut next_step) = (self.len_nanos(), 0u64);
        while !reader.is_empty() {
            let step = reader.varint("distance of steps")?.saturating_add(next_step);
            ensure(step <= u64::MAX / len, || format!("step {step} of {len} ns is past the end of time"))?;
            next_step = step + 1;
            let mut next = 0u64;
            for _ in 0..reader.count(3, "cells")? {
                let place = reader.varint("distance of groups")?.saturating_add(next);
                ensure(place < ROLLUP_GROUPS_MAX as u64, || format!("a cell of group {place}"))?;
                next = place + 1;
                visit(step * len, place as usize, read_cell(&mut reader)?);
            }
        }
        Ok(())
    }
}

fn read_cell(reader: &mut Reader<'_>) -> Result<StepCell> {
    let token = reader.varint("cell")?;
    let count = (token >> 1) + 1;
    let without = if token & 1 == 0 { 0 } else { reader.varint("spans without duration")?.saturating_add(1) };
    ensure(count <= u64::from(u32::MAX) && without <= count, || {
        format!("a cell of {count} spans has {without} without duration")
    })?;
    Ok(StepCell { count, duration_count: count - without, duration_sum: read_sum(reader)? })
}
