//! Rows of certain classes whose durations lie in certain ranges, found without looking at all rows.
//!
//! ```text
//! tail list of an operation   9.1 s  8.7 s  2.2 s | bound 2.1 s     a range above the bound: these rows are all
//! cells of an operation       [2.0, 2.1) s: pages 4, 17, 40 ..      any other range: rows of these pages alone
//! ```
//! Where indexes are missing or would name most pages, all planned pages are read.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use rustc_hash::FxHashMap;

use crate::column::{Class, ClassBits, NONE};
use crate::error::{Error, Result, ensure};
use crate::index::rollup::{Histogram, OperationCodes, TailLists, TailNext};
use crate::limits::PAGE_ROWS;
use crate::model::duration_nanos;
use crate::part::ReadCounter;
use crate::segment::{Fixed, IntegerCursor, Segment};

use super::matching::{MatchPart, PartRows};
use super::segment_pages::SegmentPages;
use super::threads::{divide, threads_for};

/// Durations, both ends included.
pub type Durations = RangeInclusive<u64>;

/// Ranges of durations by class: what is looked for.
#[derive(Debug, Default)]
pub struct RangesOfClasses {
    /// The ranges, each with any number of its own.
    pub ranges: Vec<(Durations, u32)>,
    /// Which of them each class looks for.
    pub of_class: Vec<Vec<u32>>,
}

/// Rows of a page up to which durations are read one by one.
const SINGLE_ROWS: usize = 48;

/// Takes the number of a range, a row and its duration.
pub type RangeVisitor<'v> = dyn FnMut(u32, u32, u64) + 'v;

/// An operation some of whose classes look for something.
struct Sought {
    place: usize,
    /// Its classes that have rows.
    classes: Vec<u32>,
    /// The ranges any of them looks for, the longest durations first.
    ranges: Vec<u32>,
    /// True if all of them look for the same.
    pure: bool,
}

impl MatchPart<'_> {
    /// Calls `visit` for every row that counts and lies in a range that its class looks for, and answers how many
    /// pages of rows it read. The query's filters are not asked: the classes are, and what is known of pages that were
    /// judged if `by_match` is true.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn rows_within(
        &self,
        sought: &RangesOfClasses,
        (threads_max, by_match): (usize, bool),
        visit: &mut RangeVisitor<'_>,
    ) -> Result<u64> {
        let left_out = self.left_out();
        let mut visit = |range: u32, row: u32, duration: u64| {
            let counts = if by_match { self.is_match(row) } else { left_out.is_empty() || !left_out.contains(row) };
            if counts {
                visit(sought.ranges[range as usize].1, row, duration);
            }
        };
        match &self.rows {
            PartRows::Sealed(pages) => {
                let all = || (0..pages.segment.row_pages()).collect();
                let planned =
                    self.planned.get().map_or_else(|| Cow::Owned(all()), |planned| Cow::Borrowed(&planned[..]));
                sealed_rows_within(pages, (&planned, threads_max), sought, &mut visit)
            }
            PartRows::Head(chapter) => {
                for (class, wanted) in sought.of_class.iter().enumerate().filter(|(_, wanted)| !wanted.is_empty()) {
                    let is_zipkin = chapter.schema.classes[class].bits.has(ClassBits::ZIPKIN);
                    for at in chapter.rows_of_class(class as u32) {
                        let row = &chapter.rows[*at as usize];
                        let Some(duration) = duration_nanos(row.start, row.end, is_zipkin) else { continue };
                        each_holding(sought, wanted, duration, |range| visit(range, *at, duration));
                    }
                }
                Ok(0)
            }
        }
    }
}

fn each_holding(sought: &RangesOfClasses, wanted: &[u32], duration: u64, mut visit: impl FnMut(u32)) {
    let holds = |range: &&u32| sought.ranges[**range as usize].0.contains(&duration);
    wanted.iter().filter(holds).for_each(|range| visit(*range));
}

fn sealed_rows_within(
    pages: &SegmentPages<'_>,
    (planned, threads_max): (&[u32], usize),
    sought: &RangesOfClasses,
    visit: &mut RangeVisitor<'_>,
) -> Result<u64> {
    let tables = pages.segment.tables()?;
    let has_rows = |class: usize| tables.class_rows.get(class).is_none_or(|rows| *rows > 0);
    // Events and links have classes too, without a scope.
    let has_duration = |class: &Class| class.scope != NONE && !class.bits.has(ClassBits::NO_DURATION);
    let counts = |class: usize| has_rows(class) && has_duration(&tables.schema.classes[class]);
    // What is left to be scanned for: at first everything.
    let mut left: Vec<Vec<u32>> =
        sought.of_class.iter().enumerate().map(|(c, r)| if counts(c) { r.clone() } else { Vec::new() }).collect();
    if left.iter().all(Vec::is_empty) {
        return Ok(0);
    }
    let lists = pages.segment.tail_lists().filter(TailLists::is_complete);
    let Some(lists) = lists else { return scan(pages, (planned, threads_max), sought, &left, visit) };
    let operations = operations_sought(pages, &lists, &left, counts)?;
    let mut classes = IntegerCursor::new(pages.segment, Fixed::Class as u32, false, pages.counter);
    for operation in &operations {
        for range in from_tail_list(&lists, operation, sought, &left, &mut classes, visit)? {
            operation.classes.iter().for_each(|class| left[*class as usize].retain(|wanted| *wanted != range));
        }
    }
    match pages_left(pages, &lists, &operations, sought, &left)? {
        Some(listed) => {
            let is_listed = |page: &u32| listed.get(*page as usize).copied().unwrap_or(true);
            let listed: Vec<u32> = planned.iter().copied().filter(is_listed).collect();
            scan(pages, (&listed, threads_max), sought, &left, visit)
        }
        None => scan(pages, (planned, threads_max), sought, &left, visit),
    }
}

fn operations_sought(
    pages: &SegmentPages<'_>,
    lists: &TailLists<'_>,
    left: &[Vec<u32>],
    counts: impl Fn(usize) -> bool,
) -> Result<Vec<Sought>> {
    let classes = &pages.segment.tables()?.schema.classes;
    let codes_of = |class: &Class| OperationCodes { service: class.service, name: class.name };
    let mut at: FxHashMap<OperationCodes, usize> = FxHashMap::default();
    let mut out: Vec<Sought> = Vec::new();
    for class in left.iter().zip(classes).filter(|(ranges, _)| !ranges.is_empty()).map(|(_, class)| class) {
        at.entry(codes_of(class)).or_insert_with(|| {
            out.push(Sought { place: usize::MAX, classes: Vec::new(), ranges: Vec::new(), pure: true });
            out.len() - 1
        });
    }
    for (place, codes) in lists.operations().enumerate() {
        if let Some(at) = at.get(&codes) {
            out[*at].place = place;
        }
    }
    let unlisted = || Error::corrupt(format!("segment {}: an operation has no tail list", pages.segment.name()));
    if out.iter().any(|sought| sought.place == usize::MAX) {
        return Err(unlisted());
    }
    for (code, class) in classes.iter().enumerate().filter(|(code, _)| counts(*code)) {
        let Some(known) = at.get(&codes_of(class)).map(|at| &mut out[*at]) else { continue };
        known.pure &= known.classes.first().is_none_or(|first| left[*first as usize] == left[code]);
        known.classes.push(code as u32);
        known.ranges.extend(&left[code]);
    }
    Ok(out)
}

/// Visits the rows of the ranges that lie above the bound of an operation's tail list, and answers which these are.
fn from_tail_list(
    lists: &TailLists<'_>,
    operation: &Sought,
    sought: &RangesOfClasses,
    left: &[Vec<u32>],
    classes: &mut IntegerCursor<'_>,
    visit: &mut RangeVisitor<'_>,
) -> Result<Vec<u32>> {
    let mut ranges = operation.ranges.clone();
    ranges.sort_unstable_by_key(|range| std::cmp::Reverse(*sought.ranges[*range as usize].0.start()));
    ranges.dedup();
    let lowest = ranges.last().map_or(u64::MAX, |range| *sought.ranges[*range as usize].0.start());
    let mut walk = lists.walk(operation.place)?;
    let mut rows = Vec::new();
    // Every row of at least this duration is listed.
    let all_from = loop {
        match walk.next_row()? {
            TailNext::Row(row) if row.duration < lowest => break lowest,
            TailNext::Row(row) => rows.push(row),
            TailNext::End { bound } => break bound.map_or(0, |bound| bound.saturating_add(1)),
        }
    };
    ranges.retain(|range| *sought.ranges[*range as usize].0.start() >= all_from);
    if ranges.is_empty() {
        return Ok(ranges);
    }
    for row in rows {
        for range in ranges.iter().filter(|range| sought.ranges[**range as usize].0.contains(&row.duration)) {
            let wants = |class: u64| left.get(class as usize).is_some_and(|wanted| wanted.contains(range));
            if operation.pure || wants(classes.get(row.row as usize)?) {
                visit(*range, row.row, row.duration);
            }
        }
    }
    Ok(ranges)
}

/// True for the pages that can hold a row of what is left; `None` if no index says, or it would take longer than
/// the scan.
fn pages_left(
    pages: &SegmentPages<'_>,
    lists: &TailLists<'_>,
    operations: &[Sought],
    sought: &RangesOfClasses,
    left: &[Vec<u32>],
) -> Result<Option<Vec<bool>>> {
    let Some(cells) = pages.segment.cell_pages().filter(|cells| cells.operations() == lists.operations().len()) else {
        return Ok(None);
    };
    let is_left = |operation: &&Sought| operation.classes.iter().any(|class| !left[*class as usize].is_empty());
    let rows: u64 = operations.iter().filter(is_left).map(|operation| lists.duration_count(operation.place)).sum();
    if rows > u64::from(pages.segment.rows()) / 4 {
        return Ok(None);
    }
    let mut out = vec![false; pages.segment.row_pages() as usize];
    for operation in operations.iter().filter(is_left) {
        let overlaps = |range: &u32, bucket: usize| {
            let (range, bounds) = (&sought.ranges[*range as usize].0, Histogram::bounds(bucket));
            range.start() <= bounds.end() && bounds.start() <= range.end()
        };
        let wanted = |bucket: usize| {
            operation.classes.iter().any(|class| left[*class as usize].iter().any(|range| overlaps(range, bucket)))
        };
        cells.each_page(operation.place, wanted, |page| out[page as usize] = true)?;
    }
    Ok(Some(out))
}

/// Visits the rows of these pages that lie in a range that is left, and counts the pages.
fn scan(
    pages: &SegmentPages<'_>,
    (numbers, threads_max): (&[u32], usize),
    sought: &RangesOfClasses,
    left: &[Vec<u32>],
    visit: &mut RangeVisitor<'_>,
) -> Result<u64> {
    if left.iter().all(Vec::is_empty) {
        return Ok(0);
    }
    let scan = RangeScan::new(sought, left);
    if threads_for(numbers.len(), threads_max) < 2 {
        scan.rows(pages.segment, numbers, pages.counter, visit)?;
        return Ok(numbers.len() as u64);
    }
    for round in numbers.chunks(ROUND_PAGES * threads_max) {
        let found = divide(round, threads_max, |share| {
            let (counter, mut found) = (ReadCounter::default(), Vec::new());
            let mut keep = |range: u32, row: u32, duration: u64| found.push((range, row, duration));
            let done = scan.rows(pages.segment, share, &counter, &mut keep);
            done.map(|()| (found, counter.pages(), counter.bytes()))
        });
        for share in found {
            let (found, pages_read, bytes) = share?;
            pages.counter.count_pages(pages_read, bytes);
            found.into_iter().for_each(|(range, row, duration)| visit(range, row, duration));
        }
    }
    Ok(numbers.len() as u64)
}

/// Pages a thread scans before what it found is visited: it holds no more than that.
const ROUND_PAGES: usize = 256;

/// What a scan looks for, by class.
struct RangeScan<'s> {
    sought: &'s RangesOfClasses,
    left: &'s [Vec<u32>],
    /// For each class, its place among the hulls: classes are many, and most of an operation look for the same.
    hull_of_class: Vec<u32>,
    /// Begin and length of what holds all ranges that a class looks for.
    hulls: Vec<(u64, u64)>,
}

impl<'s> RangeScan<'s> {
    /// The hull of classes that look for nothing.
    const NOTHING: u32 = 0;

    fn new(sought: &'s RangesOfClasses, left: &'s [Vec<u32>]) -> Self {
        let mut known: FxHashMap<&[u32], u32> = FxHashMap::default();
        known.insert(&[], Self::NOTHING);
        let mut hulls = vec![(u64::MAX, 0)];
        let mut hull_of_class = Vec::with_capacity(left.len());
        for wanted in left {
            hull_of_class.push(*known.entry(wanted).or_insert_with(|| {
                let ranges = || wanted.iter().map(|range| &sought.ranges[*range as usize].0);
                let begin = ranges().map(|range| *range.start()).min().unwrap_or(u64::MAX);
                let end = ranges().map(|range| *range.end()).max().unwrap_or(begin);
                hulls.push((begin, end.saturating_sub(begin)));
                hulls.len() as u32 - 1
            }));
        }
        Self { sought, left, hull_of_class, hulls }
    }

    /// Visits the rows of these pages.
    fn rows(
        &self,
        segment: &Segment,
        numbers: &[u32],
        counter: &ReadCounter,
        visit: &mut RangeVisitor<'_>,
    ) -> Result<()> {
        let (mut classes, mut hits, mut durations) = (Vec::new(), Vec::new(), Vec::new());
        let mut single = IntegerCursor::new(segment, Fixed::Length as u32, false, counter);
        // Pages are like the one before.
        let mut few = false;
        for page in numbers {
            segment.classes(Fixed::Class, *page as usize, counter, &mut classes)?;
            let first_row = page * PAGE_ROWS as u32;
            if few {
                hits.clear();
                let is_sought = |class: u64| self.hull_of_class[class as usize] != Self::NOTHING;
                hits.extend((first_row..).zip(&classes).filter(|(_, class)| is_sought(**class)).map(|(row, _)| row));
                few = hits.len() <= SINGLE_ROWS;
            }
            if few {
                for row in &hits {
                    let class = classes[(row - first_row) as usize] as usize;
                    self.row((class, *row, single.get(*row as usize)?), visit);
                }
                continue;
            }
            segment.integers(Fixed::Length as u32, *page as usize, counter, &mut durations)?;
            ensure(classes.len() == durations.len(), || format!("page {page}: columns of different lengths"))?;
            let mut sought = 0;
            for ((row, class), duration) in (first_row..).zip(&classes).zip(&durations) {
                let hull = self.hull_of_class[*class as usize];
                let (begin, len) = self.hulls[hull as usize];
                sought += usize::from(hull != Self::NOTHING);
                if duration.wrapping_sub(begin) <= len {
                    self.row((*class as usize, row, *duration), visit);
                }
            }
            few = sought <= SINGLE_ROWS;
        }
        Ok(())
    }

    /// Visits a row of this class, number and duration as often as it lies in a range its class looks for.
    #[inline]
    fn row(&self, (class, row, duration): (usize, u32, u64), visit: &mut RangeVisitor<'_>) {
        each_holding(self.sought, &self.left[class], duration, |range| visit(range, row, duration));
    }
}
