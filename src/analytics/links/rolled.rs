//! Links of whole segments from their rollups: sums without a row, ranks from tail lists, and of the rows only
//! those columns that tell in which link a row is.
//!
//! ```text
//! sums of a segment   rollup of links - links of its dirty traces, each linked by itself as the rollup has them
//! values of a range   tail list, if the range lies above its bound; else classes, depths and lengths of all rows
//! ```

use rustc_hash::FxHashMap;

use crate::catalog::SegmentPart;
use crate::column::{ClassBits, NONE, RowSource};
use crate::error::{Error, Result};
use crate::index::Measure;
use crate::index::links::{LinkClass, LinkKind, LinkNames, LinkSpan, Linker, RowLinker};
use crate::index::rollup::{EdgeCodes, Group, TailLists, TailNext};
use crate::limits::PAGE_ROWS;
use crate::model::TimeRange;
use crate::part::ReadCounter;
use crate::query::Durations;
use crate::segment::{Fixed, IntegerCursor, LinkRows, RowFinder, Segment};

use super::edges::{Edge, Edges};

/// Rows that are read before those that are done with are let go.
const ROWS_HELD: usize = 64 << 10;

/// True if the links of a segment can be told by its rollup: every span starts in the window, and nothing is missing.
pub fn is_rolled(segment: &Segment, window: TimeRange) -> bool {
    let is_inside = window == TimeRange::ALL || {
        let has_start = segment.tables().is_ok_and(|tables| {
            let mut classes = tables.schema.classes.iter().zip(&tables.class_rows);
            !classes.any(|(class, rows)| *rows > 0 && class.bits.has(ClassBits::NO_START))
        });
        let starts = segment.zones().map(|zones| zones.all(Measure::Start));
        has_start && starts.is_some_and(|zone| !zone.is_empty() && window.covers(zone.min, zone.max))
    };
    is_inside
        && segment.edge_rollup().is_some_and(|rollup| rollup.is_complete())
        && segment.edge_tails().is_some_and(|tails| tails.is_complete())
        && segment.odd_traces().is_some()
}

fn damaged(segment: &Segment, what: &str) -> Error {
    Error::corrupt(format!("segment {}: {what}", segment.name()))
}

fn edge_of(codes: EdgeCodes, source: &dyn RowSource, names: &mut LinkNames) -> Edge {
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
    let mut finder = RowFinder::new(segment, counter);
    for sought in sought.values_mut() {
        from_tail_list(&tails, sought, part, &mut finder, visit)?;
    }
    sought.retain(|_, sought| !sought.ranges.is_empty());
    if sought.is_empty() {
        return Ok(());
    }
    Scan::new(part, sought, counter)?.run(names, bytes_max, visit)
}

/// Visits the rows of the ranges above the bound of a link's tail list, and takes these ranges off.
fn from_tail_list(
    tails: &TailLists<'_, EdgeCodes>,
    sought: &mut Sought,
    part: &SegmentPart,
    finder: &mut RowFinder<'_>,
    visit: &mut RowVisitor<'_>,
) -> Result<()> {
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
            if part.dirty.is_empty() || !part.dirty.contains(finder.ordinal(row.row)?) {
                visit(*number, row.row, row.duration);
            }
        }
    }
    sought.ranges.retain(|(first, ..)| *first < all_from);
    Ok(())
}

/// Reads classes, depths and lengths of all rows, and links the clean traces along them.
struct Scan<'s> {
    part: &'s SegmentPart,
    counter: &'s ReadCounter,
    table: Vec<LinkClass>,
    sought: Vec<Vec<(u64, u64, u32)>>,
    /// Place in `sought` by link.
    of_edge: FxHashMap<EdgeCodes, u32>,
    /// By class, the link that its last row yielded and its place.
    last: Vec<(EdgeCodes, u32)>,
    /// First row that is held, and what is held of the rows from there on.
    base: usize,
    classes: Vec<u64>,
    depths: Vec<u64>,
    lengths: Vec<u64>,
    page: Vec<u64>,
}

impl<'s> Scan<'s> {
    fn new(part: &'s SegmentPart, sought: FxHashMap<EdgeCodes, Sought>, counter: &'s ReadCounter) -> Result<Self> {
        let table: Vec<LinkClass> = part.segment.tables()?.schema.classes.iter().map(LinkClass::of).collect();
        let (mut lists, mut of_edge) = (Vec::new(), FxHashMap::default());
        for (codes, sought) in sought {
            of_edge.insert(codes, lists.len() as u32);
            lists.push(sought.ranges);
        }
        let nothing = EdgeCodes { parent: NONE, child: NONE, kind: LinkKind::Link };
        let last = vec![(nothing, NONE); table.len()];
        let (classes, depths, lengths, page) = Default::default();
        Ok(Self { part, counter, table, sought: lists, of_edge, last, base: 0, classes, depths, lengths, page })
    }

    fn run(&mut self, names: &mut LinkNames, bytes_max: usize, visit: &mut RowVisitor<'_>) -> Result<()> {
        let (part, counter) = (self.part, self.counter);
        let segment = &*part.segment;
        let odd = segment.odd_traces().ok_or_else(|| damaged(segment, "there is no list of odd traces"))?;
        let mut firsts = IntegerCursor::new(segment, Fixed::TraceRow as u32, true, counter);
        let (mut linker, traces) = (RowLinker::default(), segment.traces());
        let mut odd = odd.iter().filter(|ordinal| !part.dirty.contains(*ordinal)).collect::<Vec<u32>>();
        self.odd(&odd, names, bytes_max, visit)?;
        odd.reverse();
        let mut first = 0;
        for ordinal in 0..traces {
            let end = if ordinal + 1 == traces {
                segment.rows() as usize
            } else {
                firsts.get(ordinal as usize + 1)? as usize
            };
            let is_odd = odd.pop_if(|odd| *odd == ordinal).is_some();
            if !is_odd && !part.dirty.contains(ordinal) {
                self.hold(first, end)?;
                let rows = first - self.base..end - self.base;
                let Self { table, sought, of_edge, last, classes, depths, lengths, .. } = self;
                let (of_rows, depths) = (&classes[rows.clone()], &depths[rows.clone()]);
                linker.link(table, of_rows, depths, |at, link| {
                    let class = of_rows[at] as usize;
                    if link.backfilled || !table[class].has_duration {
                        return;
                    }
                    let codes = EdgeCodes::of(&link);
                    if last[class].0 != codes {
                        last[class] = (codes, of_edge.get(&codes).copied().unwrap_or(NONE));
                    }
                    if let Some(ranges) = sought.get(last[class].1 as usize) {
                        let nanos = lengths[rows.start + at];
                        for (begin, end, number) in ranges {
                            if (*begin..=*end).contains(&nanos) {
                                visit(*number, (first + at) as u32, nanos);
                            }
                        }
                    }
                });
            }
            first = end;
        }
        Ok(())
    }

    /// Holds these rows, and perhaps others.
    fn hold(&mut self, first: usize, end: usize) -> Result<()> {
        let mut next = self.base + self.classes.len();
        if end <= next {
            return Ok(());
        }
        let segment = &*self.part.segment;
        if first - self.base >= ROWS_HELD || first >= next {
            let kept = first / PAGE_ROWS * PAGE_ROWS;
            let gone = kept.saturating_sub(self.base).min(self.classes.len());
            for list in [&mut self.classes, &mut self.depths, &mut self.lengths] {
                list.drain(..gone);
            }
            self.base = if first >= next { kept } else { self.base + gone };
            next = self.base + self.classes.len();
        }
        for page in next / PAGE_ROWS..end.div_ceil(PAGE_ROWS) {
            segment.classes(Fixed::Class, page, self.counter, &mut self.page)?;
            self.classes.extend_from_slice(&self.page);
            segment.integers(Fixed::Depth as u32, page, self.counter, &mut self.page)?;
            self.depths.extend_from_slice(&self.page);
            segment.integers(Fixed::Length as u32, page, self.counter, &mut self.page)?;
            self.lengths.extend_from_slice(&self.page);
        }
        let held = self.classes.len();
        let sound = held == self.depths.len() && held == self.lengths.len() && self.base + held >= end;
        if sound { Ok(()) } else { Err(damaged(segment, "columns of different lengths")) }
    }

    /// Links the odd traces.
    fn odd(&self, ordinals: &[u32], names: &mut LinkNames, bytes_max: usize, visit: &mut RowVisitor<'_>) -> Result<()> {
        if ordinals.is_empty() {
            return Ok(());
        }
        let segment = &*self.part.segment;
        let source = segment.source()?;
        let of_edge: FxHashMap<Edge, u32> =
            self.of_edge.iter().map(|(codes, at)| (edge_of(*codes, &source, names), *at)).collect();
        let mut rows = LinkRows::new(segment, names, false, self.counter)?.limited(bytes_max);
        let (mut linker, mut spans): (_, Vec<LinkSpan>) = (Linker::default(), Vec::new());
        for ordinal in ordinals {
            spans.clear();
            rows.add_trace(*ordinal, &mut spans)?;
            linker.link(&mut spans, names, |found| {
                let duration = found.span.duration.filter(|_| !found.backfilled);
                let at = of_edge.get(&(found.parent, found.child, found.kind));
                if let (Some(nanos), Some(at)) = (duration, at) {
                    for (begin, end, number) in &self.sought[*at as usize] {
                        if (*begin..=*end).contains(&nanos) {
                            visit(*number, found.span.place, nanos);
                        }
                    }
                }
            });
        }
        Ok(())
    }
}
