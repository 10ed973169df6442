//! The slowest spans of everything or of some groups, from tail lists if those prove the answer; else the caller has
//! to scan.
//!
//! ```text
//! lists of all segments, longest first, as far as needed  - rows of deleted and doubled traces
//!        + rows of the head + each doubled live trace once, over its united spans
//! ```

use std::collections::BinaryHeap;

use crate::catalog::Snapshot;
use crate::column::{Class, ClassBits, NONE, RowSource};
use crate::error::{Error, ErrorKind, Result};
use crate::head::{Row, trace_id_of};
use crate::index::rollup::{TailLists, TailNext, TailWalk};
use crate::limits::Limits;
use crate::model::{Span, SpanId, SpanKind, StatusCode, duration_nanos};
use crate::part::ReadCounter;
use crate::segment::RowFinder;

use super::compile::is_text;
use super::evaluate::{kind_meets, status_meets};
use super::slow_span::{SlowSpan, SlowestSpans};
use super::tally::{Selection, Tally};

fn text(source: &dyn RowSource, code: u32) -> Option<&str> {
    (code != NONE).then(|| source.text(code))
}

fn complete<T>(tally: Tally<'_>, answer: T) -> Result<T> {
    match tally.into_reason() {
        Some(reason) => Err(Error::new(ErrorKind::TooLarge, reason)),
        None => Ok(answer),
    }
}

/// Which groups are asked for; everything that is `None` may be anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct GroupFilter<'f> {
    /// This service.
    pub service: Option<&'f str>,
    /// This span name.
    pub name: Option<&'f str>,
    /// This kind.
    pub kind: Option<SpanKind>,
    /// This effective status.
    pub status: Option<StatusCode>,
}

impl GroupFilter<'_> {
    fn takes_operation(&self, service: Option<&str>, name: &str) -> bool {
        (self.service.is_none() || self.service == service) && self.name.is_none_or(|wanted| wanted == name)
    }

    /// Which classes of a part are taken, by code.
    fn of_classes(&self, source: &dyn RowSource) -> Vec<bool> {
        let service = self.service.map(|service| is_text(source, service));
        let name = self.name.map(|name| is_text(source, name));
        let taken = |class: &Class| {
            service.as_ref().is_none_or(|is_it| class.service != NONE && is_it(class.service))
                && name.as_ref().is_none_or(|is_it| is_it(class.name))
                && self.takes_sort(class)
        };
        source.schema().classes.iter().map(taken).collect()
    }

    fn takes(&self, source: &dyn RowSource, class: &Class) -> bool {
        let name = text(source, class.name).unwrap_or_default();
        self.takes_operation(text(source, class.service), name) && self.takes_sort(class)
    }

    fn takes_sort(&self, class: &Class) -> bool {
        self.kind.is_none_or(|kind| kind_meets(class.kind, kind))
            && self.status.is_none_or(|status| status_meets(class.status, status))
    }

    fn takes_span(&self, span: &Span) -> bool {
        self.takes_operation(span.service(), &span.name)
            && self.kind.is_none_or(|kind| kind_meets(span.kind, kind))
            && self.status.is_none_or(|status| status_meets(span.status_code(), status))
    }
}

/// The slowest `limit` distinct live spans of the groups, as [`SlowSpan`] orders them; `None` if tail lists do
/// not prove the answer. Reads every list of the operations, and of the rows those that are candidates.
///
/// # Errors
/// As [`totals`].
pub fn slowest_rows(
    snapshot: &Snapshot,
    filter: &GroupFilter<'_>,
    limit: usize,
    limits: &Limits,
) -> Result<Option<Vec<SlowSpan>>> {
    let counter = ReadCounter::limited(limits.trace_bytes_max);
    let tally = Tally::new(snapshot, Selection::default(), limits, &counter)?;
    let mut slowest = SlowestSpans::new(limit);
    add_loose(snapshot, &tally, filter, &mut slowest)?;
    let Some(mut listed) = ListedRows::new(snapshot, filter)? else { return Ok(None) };
    let mut parts = Vec::with_capacity(snapshot.segments.len());
    for part in &snapshot.segments {
        parts.push((part, part.segment.source()?, RowFinder::new(&part.segment, &counter)));
    }
    while let Some((duration, part, row)) = listed.next(slowest.shortest())? {
        let (part, source, finder) = &mut parts[part];
        let unknown = || Error::corrupt(format!("segment {}: unknown class", part.segment.name()));
        let class = source.schema().classes.get(finder.class(row)? as usize).ok_or_else(unknown)?;
        let ordinal = finder.ordinal(row)?;
        if part.doubled.contains(ordinal) || part.deleted.contains(ordinal) || !filter.takes(source, class) {
            continue;
        }
        let found = finder.row(row, ordinal)?;
        let trace_id = part.segment.trace_id(ordinal, &counter)?;
        let span_id = SpanId::from_u64(found.span_id).ok_or_else(unknown)?;
        slowest.add(SlowSpan::of_row(source, class, duration, found.start, (trace_id, span_id)));
    }
    let bound = listed.bound;
    // What is not listed is no longer than the bound.
    let is_proven = bound.is_none_or(|bound| slowest.is_full() && slowest.shortest() > bound);
    complete(tally, is_proven.then(|| slowest.into_sorted()))
}

/// Adds the spans of the head and of doubled traces.
fn add_loose(
    snapshot: &Snapshot,
    tally: &Tally<'_>,
    filter: &GroupFilter<'_>,
    slowest: &mut SlowestSpans,
) -> Result<()> {
    for chapter in &snapshot.chapters {
        let taken = filter.of_classes(&***chapter);
        let mut add = |duration: u64, row: &Row| {
            let class = &chapter.schema.classes[row.class as usize];
            let trace_id = trace_id_of(row);
            if let Some(span_id) = SpanId::from_u64(row.span_id)
                && !tally.has_doubled(trace_id)
            {
                slowest.add(SlowSpan::of_row(&***chapter, class, duration, row.start, (trace_id, span_id)));
            }
            slowest.shortest()
        };
        let taken: Vec<u32> = (0u32..).zip(&taken).filter(|(_, taken)| **taken).map(|(class, _)| class).collect();
        let rows: usize = taken.iter().map(|class| chapter.rows_of_class(*class).len()).sum();
        if rows * 8 < chapter.rows.len() {
            let of_class = taken.iter().flat_map(|class| chapter.rows_of_class(*class));
            for row in of_class.map(|at| &chapter.rows[*at as usize]) {
                let is_zipkin = chapter.schema.classes[row.class as usize].bits.has(ClassBits::ZIPKIN);
                duration_nanos(row.start, row.end, is_zipkin).map(|duration| add(duration, row));
            }
            continue;
        }
        let mut shortest = 0;
        for (duration, at) in chapter.by_duration() {
            if *duration < shortest {
                break;
            }
            let row = &chapter.rows[*at as usize];
            if taken.binary_search(&row.class).is_ok() {
                shortest = add(*duration, row);
            }
        }
    }
    tally.each_doubled_span(|span| {
        if filter.takes_span(span) {
            SlowSpan::of(span).into_iter().for_each(|slow| slowest.add(slow));
        }
    })
}

/// Rows of tail lists, the slowest first.
struct ListedRows<'s> {
    /// The next row of each list: duration, list, segment, row.
    next: BinaryHeap<(u64, usize, usize, u32)>,
    lists: Vec<TailWalk<'s>>,
    /// The longest duration of a row of these operations that is not listed, of the lists that ended.
    bound: Option<u64>,
}

impl<'s> ListedRows<'s> {
    /// The listed rows of the operations asked for; `None` if a segment does not list all operations.
    fn new(snapshot: &'s Snapshot, filter: &GroupFilter<'_>) -> Result<Option<Self>> {
        let mut out = Self { next: BinaryHeap::new(), lists: Vec::new(), bound: None };
        for (at, part) in snapshot.segments.iter().enumerate() {
            let source = part.segment.source()?;
            let Some(lists) = part.segment.tail_lists().filter(TailLists::is_complete) else { return Ok(None) };
            let service = filter.service.map(|service| is_text(&source, service));
            let name = filter.name.map(|name| is_text(&source, name));
            for (place, codes) in lists.operations().enumerate() {
                let is_service = service.as_ref().is_none_or(|is_it| codes.service != NONE && is_it(codes.service));
                if is_service && name.as_ref().is_none_or(|is_it| is_it(codes.name)) {
                    out.lists.push(lists.walk(place)?);
                    out.step(out.lists.len() - 1, at)?;
                }
            }
        }
        Ok(Some(out))
    }

    /// Puts the next row of a list of a segment among the next ones.
    fn step(&mut self, list: usize, segment: usize) -> Result<()> {
        match self.lists[list].next_row()? {
            TailNext::Row(row) => self.next.push((row.duration, list, segment, row.row)),
            TailNext::End { bound } => self.bound = self.bound.max(bound),
        }
        Ok(())
    }

    /// Duration, segment and row of the next one that took at least so long.
    fn next(&mut self, shortest: u64) -> Result<Option<(u64, usize, u32)>> {
        let Some((duration, list, segment, row)) = self.next.pop().filter(|row| row.0 >= shortest) else {
            return Ok(None);
        };
        self.step(list, segment)?;
        Ok(Some((duration, segment, row)))
    }
}
