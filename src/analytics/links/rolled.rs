//! Links of whole segments from their rollups: sums without a row, ranks from tail lists, and of the rows only
//! those columns that tell in which link a row is.
//!
//! ```text
//! sums of a segment   rollup of links - links of its dirty traces, each linked by itself as the rollup has them
//! values of a range   tail list, if the range lies above its bound; else classes, depths and lengths of all rows
//! ```

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::catalog::SegmentPart;
use crate::column::{ClassBits, NONE, RowSource};
use crate::error::{Error, Result};
use crate::index::Measure;
use crate::index::links::{LinkNames, Linker};
use crate::index::rollup::{EdgeCodes, Group, TailLists, TailNext};
use crate::model::TimeRange;
use crate::part::ReadCounter;
use crate::query::Durations;
use crate::segment::{LinkRows, Segment};

use super::edges::{Edge, Edges};
use super::row_scan::{RowScan, ScanSinks};

/// Of how many traces one may be dirty: of more it takes less to link all others than to take these off. A few may always.
const DIRTY_SHARE_MAX: u64 = 8;
const DIRTY_FEW: u64 = 64;

/// True if the links of a segment can be told by its rollup: every span starts in the window, nothing is missing, and few
/// traces are dirty.
pub fn is_rolled(part: &SegmentPart, window: TimeRange) -> bool {
    let segment = &*part.segment;
    let is_inside = window == TimeRange::ALL || {
        let has_start = segment.tables().is_ok_and(|tables| {
            let mut classes = tables.schema.classes.iter().zip(&tables.class_rows);
            !classes.any(|(class, rows)| *rows > 0 && class.bits.has(ClassBits::NO_START))
        });
        let starts = segment.zones().map(|zones| zones.all(Measure::Start));
        has_start && starts.is_some_and(|zone| !zone.is_empty() && window.covers(zone.min, zone.max))
    };
    is_inside
        && part.dirty.len() <= (u64::from(segment.traces()) / DIRTY_SHARE_MAX).max(DIRTY_FEW)
        && segment.edge_rollup().is_some_and(|rollup| rollup.is_complete())
        && segment.edge_tails().is_some_and(|tails| tails.is_complete())
        && segment.odd_traces().is_some()
}

fn damaged(segment: &Segment, what: &str) -> Error {
    Error::corrupt(format!("segment {}: {what}", segment.name()))
}

/// The edge of codes of a segment, in those of the names.
pub fn edge_of(codes: EdgeCodes, source: &dyn RowSource, names: &mut LinkNames) -> Edge {
    let mut name = |code: u32| names.code(Some(source.text(code)));
    (name(codes.parent), name(codes.child), codes.kind)
}

/// The sums over the links of a segment's clean traces; without histograms if they are of no use.
///
/// # Errors
/// Corrupt if a page or section it needs is damaged.
pub fn sums_of(
    part: &SegmentPart,
    names: &mut LinkNames,
    with_histograms: bool,
    bytes_max: usize,
    counter: &ReadCounter,
) -> Result<Vec<(Edge, Group)>> {
    let segment = &*part.segment;
    let rollup = segment.edge_rollup().ok_or_else(|| damaged(segment, "there is no rollup of links"))?;
    let source = segment.source()?;
    let mut sums: Vec<(Edge, Group)> = Vec::with_capacity(rollup.keys().len());
    for (place, codes) in rollup.keys().enumerate() {
        let group = if with_histograms { rollup.group(place)? } else { rollup.counts(place)? };
        sums.push((edge_of(codes, &source, names), group));
    }
    if part.dirty.is_empty() {
        return Ok(sums);
    }
    let mut gone: FxHashMap<Edge, Group> = FxHashMap::default();
    let mut rows = LinkRows::new(segment, names, false, counter)?.limited(bytes_max);
    let (mut linker, mut spans) = (Linker::default(), Vec::new());
    for ordinal in part.dirty.iter() {
        spans.clear();
        rows.add_trace(ordinal, &mut spans)?;
        linker.link(&mut spans, names, |found| {
            let duration = found.span.duration.filter(|_| !found.backfilled);
            let group = gone.entry((found.parent, found.child, found.kind)).or_default();
            group.add_row(duration, found.error);
            if !with_histograms {
                group.durations = Default::default();
            }
        });
    }
    for (edge, group) in &mut sums {
        if let Some(gone) = gone.remove(edge) {
            group.subtract(&gone)?;
        }
    }
    if gone.is_empty() { Ok(sums) } else { Err(damaged(segment, "a link is not in its rollup")) }
}

/// The ranges that one link looks for.
#[derive(Clone, Debug, Default)]
struct Sought {
    place: usize,
    /// First and last duration, and number.
    ranges: Vec<(u64, u64, u32)>,
}

/// Takes the number of a range, a row and its duration.
pub type RowVisitor<'v> = dyn FnMut(u32, u32, u64) + 'v;

/// Calls `visit` for every row of a clean trace that yields a link with a duration in a range that the link looks for.
///
/// # Errors
/// As [`sums_of`].
pub fn rows_within(
    part: &SegmentPart,
    ranges: &[(u32, Durations)],
    (names, edges): (&mut LinkNames, &mut Edges),
    bytes_max: usize,
    counter: &ReadCounter,
    visit: &mut RowVisitor<'_>,
) -> Result<()> {
    let segment = &*part.segment;
    let rollup = segment.edge_rollup().ok_or_else(|| damaged(segment, "there is no rollup of links"))?;
    let tails = segment.edge_tails().ok_or_else(|| damaged(segment, "there are no tail lists of links"))?;
    let source = segment.source()?;
    let mut sought: FxHashMap<EdgeCodes, Sought> = FxHashMap::default();
    for codes in rollup.keys() {
        let number = edges.number(edge_of(codes, &source, names));
        let first = ranges.partition_point(|(group, _)| *group < number);
        let own = (first..).zip(&ranges[first..]).take_while(|(_, (group, _))| *group == number);
        let own: Vec<(u64, u64, u32)> = own.map(|(at, (_, range))| (*range.start(), *range.end(), at as u32)).collect();
        if !own.is_empty() {
            sought.insert(codes, Sought { place: usize::MAX, ranges: own });
        }
    }
    for (place, codes) in tails.operations().enumerate() {
        if let Some(sought) = sought.get_mut(&codes) {
            sought.place = place;
        }
    }
    let dirty = part.dirty.iter().map(|ordinal| segment.trace_rows(ordinal, counter)).collect::<Result<Vec<_>>>()?;
    for sought in sought.values_mut() {
        from_tail_list(&tails, sought, &dirty, visit)?;
    }
    sought.retain(|_, sought| !sought.ranges.is_empty());
    if sought.is_empty() {
        return Ok(());
    }
    scan(part, sought, names, bytes_max, counter, visit)
}

/// Visits the rows of the ranges above the bound of a link's tail list, and takes these ranges off. `dirty` are the rows of
/// dirty traces, ascending.
fn from_tail_list(
    tails: &TailLists<'_, EdgeCodes>,
    sought: &mut Sought,
    dirty: &[Range<u32>],
    visit: &mut RowVisitor<'_>,
) -> Result<()> {
    let is_dirty = |row: u32| {
        let next = dirty.partition_point(|rows| rows.end <= row);
        dirty.get(next).is_some_and(|rows| rows.contains(&row))
    };
    let lowest = sought.ranges.iter().map(|(first, ..)| *first).min().unwrap_or(u64::MAX);
    let (mut walk, mut rows) = (tails.walk(sought.place)?, Vec::new());
    // Every row of at least this duration is listed.
    let all_from = loop {
        match walk.next_row()? {
            TailNext::Row(row) if row.duration < lowest => break lowest,
            TailNext::Row(row) => rows.push(row),
            TailNext::End { bound } => break bound.map_or(0, |bound| bound.saturating_add(1)),
        }
    };
    for (first, last, number) in sought.ranges.iter().filter(|(first, ..)| *first >= all_from) {
        for row in rows.iter().filter(|row| (*first..=*last).contains(&row.duration)) {
            if !is_dirty(row.row) {
                visit(*number, row.row, row.duration);
            }
        }
    }
    sought.ranges.retain(|(first, ..)| *first < all_from);
    Ok(())
}

/// Visits the rows of these links that lie in the ranges they look for.
fn scan(
    part: &SegmentPart,
    sought: FxHashMap<EdgeCodes, Sought>,
    names: &mut LinkNames,
    bytes_max: usize,
    counter: &ReadCounter,
    visit: &mut RowVisitor<'_>,
) -> Result<()> {
    let (mut ranges, mut of_codes) = (Vec::new(), FxHashMap::default());
    for (codes, sought) in sought {
        of_codes.insert(codes, ranges.len() as u32);
        ranges.push(sought.ranges);
    }
    let mut each = |slot: u32, row: u32, nanos: u64| {
        let held = ranges[slot as usize].iter().filter(|(first, last, _)| (*first..=*last).contains(&nanos));
        held.for_each(|(.., number)| visit(*number, row, nanos));
    };
    let mut left = Vec::new();
    let mut sinks = ScanSinks {
        slot_of: &mut |codes| of_codes.get(&codes).copied().unwrap_or(NONE),
        left: &mut |ordinal| left.push(ordinal),
        problem: &mut Err,
    };
    RowScan::new(part, counter)?.run(TimeRange::ALL, &mut sinks, |link| {
        link.duration.into_iter().for_each(|nanos| each(link.slot, link.row, nanos));
        Ok(())
    })?;
    if left.is_empty() {
        return Ok(());
    }
    let source = part.segment.source()?;
    let of_edge: FxHashMap<Edge, u32> =
        of_codes.iter().map(|(codes, slot)| (edge_of(*codes, &source, names), *slot)).collect();
    let mut rows = LinkRows::new(&part.segment, names, false, counter)?.limited(bytes_max);
    let (mut linker, mut spans) = (Linker::default(), Vec::new());
    for ordinal in left {
        spans.clear();
        rows.add_trace(ordinal, &mut spans)?;
        linker.link(&mut spans, names, |found| {
            let duration = found.span.duration.filter(|_| !found.backfilled);
            let slot = of_edge.get(&(found.parent, found.child, found.kind));
            duration.zip(slot).into_iter().for_each(|(nanos, slot)| each(*slot, found.span.place, nanos));
        });
    }
    Ok(())
}
