//! What hangs above a row of a clean trace, and where a span lies that another one points to.
//!
//! Rows of a trace are in pre-order, so that the rows above one are a stack along a walk from the trace's first row:
//!
//! ```text
//! row    7  8  9 10 11        asked for 11: 7, 10
//! depth  0  1  2  1  2
//! ```

use crate::catalog::{SegmentPart, Snapshot, TraceIds};
use crate::column::{Class, ClassBits};
use crate::error::{Error, Result, ensure};
use crate::model::{Link, Span, SpanId, SpanKind, TraceId};
use crate::part::ReadCounter;
use crate::segment::{Fixed, IntegerCursor, RowFinder, Segment};

use super::evaluate::kind_meets;
use super::matching::{MatchPart, Matching, PartRows};

/// When a span began and ended, and its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanTimes {
    /// Its role; a number without a word is unspecified.
    pub kind: SpanKind,
    /// Its start, 0 for none.
    pub start: u64,
    /// Its end, which is its start if it has no duration.
    pub end: u64,
}

impl SpanTimes {
    /// Those of an owned span.
    pub fn of(span: &Span) -> Self {
        let start = span.start_unix_nano;
        let end = start.saturating_add(span.duration_nanos().unwrap_or(0));
        Self { kind: known_kind(span.kind), start, end }
    }
}

fn known_kind(kind: SpanKind) -> SpanKind {
    if kind_meets(kind, SpanKind::UNSPECIFIED) { SpanKind::UNSPECIFIED } else { kind }
}

/// Rows of one segment, asked for in rising order.
pub struct RowPaths<'p> {
    sealed: &'p SegmentPart,
    counter: &'p ReadCounter,
    depths: IntegerCursor<'p>,
    times: RowTimes<'p>,
    path: Vec<u32>,
    /// The rows of the trace at hand that are not walked yet, and its ordinal.
    next: u32,
    ordinal: Option<u32>,
}

impl<'p> RowPaths<'p> {
    /// Of the rows of a part, if it is a segment.
    pub fn new(part: &'p MatchPart<'_>) -> Option<Self> {
        let (PartRows::Sealed(pages), Some(sealed)) = (&part.rows, part.sealed) else { return None };
        let (segment, counter) = (pages.segment, pages.counter);
        let depths = IntegerCursor::new(segment, Fixed::Depth as u32, true, counter);
        let times = RowTimes::new(segment, counter);
        Some(Self { sealed, counter, depths, times, path: Vec::new(), next: 0, ordinal: None })
    }

    /// The rows above a row of this trace, its root first.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; so do the other methods.
    pub fn above(&mut self, ordinal: u32, row: u32) -> Result<&[u32]> {
        let segment = &*self.sealed.segment;
        if self.ordinal != Some(ordinal) || row < self.next {
            self.path.clear();
            self.next = segment.trace_rows(ordinal, self.counter)?.start;
            self.ordinal = Some(ordinal);
        }
        let mut depth_of = |row: u32, path: &[u32]| {
            let depth = self.depths.get(row as usize)? as usize;
            ensure(depth <= path.len(), || format!("segment {}: row {row} lies too deep", segment.name()))?;
            Ok::<usize, Error>(depth)
        };
        while self.next < row {
            let depth = depth_of(self.next, &self.path)?;
            self.path.truncate(depth);
            self.path.push(self.next);
            self.next += 1;
        }
        let depth = depth_of(row, &self.path)?;
        Ok(&self.path[..depth])
    }

    /// The role and times of a row of this trace.
    ///
    /// # Errors
    /// As [`RowPaths::above`].
    pub fn times(&mut self, ordinal: u32, row: u32) -> Result<SpanTimes> {
        self.times.of(ordinal, row)
    }

    /// The role of a row.
    ///
    /// # Errors
    /// As [`RowPaths::above`].
    pub fn kind(&mut self, row: u32) -> Result<SpanKind> {
        Ok(known_kind(self.times.class(row)?.kind))
    }

    /// The id of a row.
    ///
    /// # Errors
    /// As [`RowPaths::above`].
    pub fn id(&mut self, ordinal: u32, row: u32) -> Result<SpanId> {
        let id = self.times.rows.row(row, ordinal)?.span_id;
        SpanId::from_u64(id).ok_or_else(|| Error::corrupt(format!("row {row} has no id")))
    }

    /// The links of a row.
    ///
    /// # Errors
    /// As [`RowPaths::above`].
    pub fn links(&self, row: u32) -> Result<Vec<Link>> {
        let segment = &*self.sealed.segment;
        let links = segment.links_in(&(row..row + 1), &segment.source()?, self.counter)?;
        Ok(links.into_iter().map(|(_, link)| link).collect())
    }
}

/// Reads single rows.
struct RowTimes<'p> {
    segment: &'p Segment,
    rows: RowFinder<'p>,
    lengths: IntegerCursor<'p>,
}

impl<'p> RowTimes<'p> {
    fn new(segment: &'p Segment, counter: &'p ReadCounter) -> Self {
        let lengths = IntegerCursor::new(segment, Fixed::Length as u32, false, counter);
        Self { segment, rows: RowFinder::new(segment, counter), lengths }
    }

    fn class(&mut self, row: u32) -> Result<&'p Class> {
        let code = self.rows.class(row)?;
        let class = usize::try_from(code).ok().and_then(|code| self.segment.tables().ok()?.schema.classes.get(code));
        class.ok_or_else(|| Error::corrupt(format!("segment {}: row {row} has no class", self.segment.name())))
    }

    fn of(&mut self, ordinal: u32, row: u32) -> Result<SpanTimes> {
        let class = self.class(row)?;
        let (start, length) = (self.rows.row(row, ordinal)?.start, self.lengths.get(row as usize)?);
        let lasts = !class.bits.has(ClassBits::NO_DURATION);
        let end = start.saturating_add(if lasts { length } else { 0 });
        Ok(SpanTimes { kind: known_kind(class.kind), start, end })
    }
}

/// Finds spans by their ids, wherever they lie.
pub struct SpanLookup<'q> {
    snapshot: &'q Snapshot,
    counter: &'q ReadCounter,
    /// The trace read last, if it was read as spans.
    known: Option<(TraceId, Vec<Span>)>,
}

impl<'q> Matching<'q> {
    /// A lookup of spans in the snapshot that is searched.
    pub fn lookup(&self) -> SpanLookup<'q> {
        SpanLookup { snapshot: self.finder.snapshot, counter: self.finder.counter, known: None }
    }
}

impl SpanLookup<'_> {
    /// Role and times of the spans of this id, of a trace of exactly this id.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; TooLarge if the trace is.
    pub fn spans(&mut self, trace: TraceId, span: SpanId) -> Result<Vec<SpanTimes>> {
        for part in &self.snapshot.segments {
            let found = part.ordinals_of(trace, TraceIds::Strict, self.counter)?;
            let [(ordinal, _)] = found.as_slice() else { continue };
            // A trace that is clean lies nowhere else.
            if !part.dirty.contains(*ordinal) {
                let rows = part.segment.rows_of_ids(*ordinal, |id| id == span.get(), self.counter)?;
                let mut times = RowTimes::new(&part.segment, self.counter);
                return rows.into_iter().map(|(row, _)| times.of(*ordinal, row)).collect();
            }
        }
        if self.known.as_ref().is_none_or(|(id, _)| *id != trace) {
            self.known = Some((trace, self.snapshot.trace(trace, TraceIds::Strict, self.counter)?));
        }
        let of_id = self.known.iter().flat_map(|(_, spans)| spans).filter(|other| other.span_id == span);
        Ok(of_id.map(SpanTimes::of).collect())
    }
}
