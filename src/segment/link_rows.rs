//! The rows of a segment as the spans that are linked: seven columns, no attributes.

use crate::error::{Error, ErrorKind, Result, ensure};
use crate::index::links::{LinkCodes, LinkNames, LinkSpan, RowFacts};
use crate::limits::TRACE_BYTES_MAX;
use crate::part::ReadCounter;

use super::layout::Fixed;
use super::reader::{Segment, Tables};
use super::rows::IntegerCursor;

/// Reads traces as linked spans.
pub struct LinkRows<'s> {
    segment: &'s Segment,
    tables: &'s Tables,
    counter: &'s ReadCounter,
    codes: LinkCodes,
    bytes_max: usize,
    highs: IntegerCursor<'s>,
    trace_starts: IntegerCursor<'s>,
    span_ids: IntegerCursor<'s>,
    depths: IntegerCursor<'s>,
    starts: IntegerCursor<'s>,
    lengths: IntegerCursor<'s>,
    classes: IntegerCursor<'s>,
    resources: IntegerCursor<'s>,
    recorded: Recorded<'s>,
    /// The span ids from the top of the trace to the row before.
    path: Vec<u64>,
}

impl<'s> LinkRows<'s> {
    /// A reader; `dense` if most traces will be asked for, in order.
    ///
    /// # Errors
    /// Corrupt if the tables of the segment are damaged.
    pub fn new(segment: &'s Segment, names: &mut LinkNames, dense: bool, counter: &'s ReadCounter) -> Result<Self> {
        let source = segment.source()?;
        let codes = LinkCodes::new(&source, source.tables.resources.iter().map(|resource| &**resource), names);
        let cursor = |column: Fixed| IntegerCursor::new(segment, column as u32, dense, counter);
        Ok(Self {
            segment,
            tables: source.tables,
            counter,
            codes,
            bytes_max: TRACE_BYTES_MAX,
            highs: cursor(Fixed::TraceHigh),
            trace_starts: cursor(Fixed::TraceStart),
            span_ids: cursor(Fixed::SpanId),
            depths: cursor(Fixed::Depth),
            starts: cursor(Fixed::Start),
            lengths: cursor(Fixed::Length),
            classes: cursor(Fixed::Class),
            resources: cursor(Fixed::Resource),
            recorded: Recorded::new(segment, dense, counter),
            path: Vec::new(),
        })
    }

    /// The same reader, for traces of at most so many bytes in memory.
    #[must_use]
    pub fn limited(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }

    /// Adds the spans of a trace, their places their rows.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged, TooLarge if there are too many spans.
    pub fn add_trace(&mut self, ordinal: u32, out: &mut Vec<LinkSpan>) -> Result<()> {
        let rows = self.segment.trace_rows(ordinal, self.counter)?;
        let bytes = (out.len() + rows.len()).saturating_mul(size_of::<LinkSpan>());
        if bytes > self.bytes_max {
            let text = format!("a trace of {} spans takes {bytes} bytes (Limits::trace_bytes_max)", rows.len());
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        let (trace_high, trace_start) = (self.highs.get(ordinal as usize)?, self.trace_starts.get(ordinal as usize)?);
        self.recorded.begin(rows.start, rows.end)?;
        self.path.clear();
        for row in rows {
            let at = row as usize;
            let (span_id, depth) = (self.span_ids.get(at)?, self.depths.get(at)? as usize);
            ensure(depth <= self.path.len(), || {
                format!("row {row} has depth {depth} below depth {}", self.path.len())
            })?;
            self.path.truncate(depth);
            let implied = self.path.last().copied().unwrap_or(0);
            self.path.push(span_id);
            let parent = self.recorded.of(row)?.unwrap_or(implied);
            let delta = self.starts.get(at)?;
            let class = self.classes.get(at)? as u32;
            let facts = RowFacts {
                class,
                resource: self.tables.resource_of(class, self.resources.get(at)?)?,
                trace_high,
                span_id,
                parent,
                start: if delta == 0 { 0 } else { trace_start.wrapping_add(delta - 1) },
                length: self.lengths.get(at)?,
                place: row,
            };
            out.push(self.codes.span(&facts)?);
        }
        Ok(())
    }
}

/// The recorded parents that depths do not imply: walked along with the rows, or looked up trace by trace.
struct Recorded<'s> {
    segment: &'s Segment,
    counter: &'s ReadCounter,
    rows: IntegerCursor<'s>,
    ids: IntegerCursor<'s>,
    dense: bool,
    next: usize,
    end: usize,
    /// Those of the trace at hand, if they were looked up.
    found: std::vec::IntoIter<(u32, u64)>,
    upcoming: Option<(u32, u64)>,
}

impl<'s> Recorded<'s> {
    fn new(segment: &'s Segment, dense: bool, counter: &'s ReadCounter) -> Self {
        let cursor = |column: Fixed| IntegerCursor::new(segment, column as u32, dense, counter);
        let end = segment.column(Fixed::ParentRow as u32).map_or(0, |column| column.values) as usize;
        let (rows, ids) = (cursor(Fixed::ParentRow), cursor(Fixed::ParentId));
        Self { segment, counter, rows, ids, dense, next: 0, end, found: Vec::new().into_iter(), upcoming: None }
    }

    fn begin(&mut self, first: u32, end: u32) -> Result<()> {
        if !self.dense {
            self.found = self.segment.recorded_parents(&(first..end), self.counter)?.into_iter();
            self.upcoming = self.found.next();
            return Ok(());
        }
        while self.upcoming.is_none_or(|(row, _)| row < first) && self.next < self.end {
            self.upcoming = Some((self.rows.get(self.next)? as u32, self.ids.get(self.next)?));
            self.next += 1;
        }
        Ok(())
    }

    /// The recorded parent of a row if it is listed; rows rise.
    fn of(&mut self, row: u32) -> Result<Option<u64>> {
        let Some((_, parent)) = self.upcoming.filter(|(listed, _)| *listed == row) else { return Ok(None) };
        self.upcoming = if self.dense { None } else { self.found.next() };
        if self.dense && self.next < self.end {
            self.upcoming = Some((self.rows.get(self.next)? as u32, self.ids.get(self.next)?));
            self.next += 1;
        }
        Ok(Some(parent))
    }
}
