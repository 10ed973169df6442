//! What a tail list leaves out about its rows: class, trace, start and span id, column by column as they are asked for.

use crate::error::{Error, Result};
use crate::limits::PAGE_ROWS;
use crate::model::TraceId;
use crate::part::ReadCounter;

use super::layout::Fixed;
use super::reader::Segment;
use super::rows::IntegerCursor;

/// Finds what a tail list leaves out about its rows.
pub struct RowFinder<'s> {
    segment: &'s Segment,
    first_rows: IntegerCursor<'s>,
    trace_starts: IntegerCursor<'s>,
    classes: IntegerCursor<'s>,
    starts: IntegerCursor<'s>,
    span_ids: IntegerCursor<'s>,
    highs: IntegerCursor<'s>,
    lows: IntegerCursor<'s>,
}

/// A row of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundRow {
    /// Start of the span, 0 for none.
    pub start: u64,
    /// Id of the span.
    pub span_id: u64,
}

impl<'s> RowFinder<'s> {
    /// A finder of this segment's rows.
    pub fn new(segment: &'s Segment, counter: &'s ReadCounter) -> Self {
        let cursor = |column: Fixed| IntegerCursor::new(segment, column as u32, false, counter);
        Self {
            segment,
            first_rows: cursor(Fixed::TraceRow),
            trace_starts: cursor(Fixed::TraceStart),
            classes: cursor(Fixed::Class),
            starts: cursor(Fixed::Start),
            span_ids: cursor(Fixed::SpanId),
            highs: cursor(Fixed::TraceHigh),
            lows: cursor(Fixed::TraceLow),
        }
    }

    /// The ordinal of the trace a row belongs to.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; so do all methods.
    pub fn ordinal(&mut self, row: u32) -> Result<u32> {
        let ordinals = self.segment.page_ordinals()?;
        let page = row as usize / PAGE_ROWS;
        let missing = || Error::corrupt(format!("segment {}: row {row} has no trace", self.segment.name()));
        // The trace is the last that begins at or before the row, of those that touch the page.
        let mut low = *ordinals.get(page).ok_or_else(missing)?;
        let mut high = ordinals.get(page + 1).map_or(self.segment.traces(), |next| next + 1);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if self.first_rows.get(middle as usize)? <= row.into() {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The class of a row.
    ///
    /// # Errors
    /// As [`RowFinder::ordinal`].
    pub fn class(&mut self, row: u32) -> Result<u64> {
        self.classes.get(row as usize)
    }

    /// Id of the trace, and id of the span, of a row.
    ///
    /// # Errors
    /// As [`RowFinder::ordinal`].
    pub fn ids(&mut self, row: u32) -> Result<(TraceId, u64)> {
        let ordinal = self.ordinal(row)?;
        let (high, low) = (self.highs.get(ordinal as usize)?, self.lows.get(ordinal as usize)?);
        let zero = || Error::corrupt(format!("segment {}: trace {ordinal} has a zero id", self.segment.name()));
        let trace = TraceId::from_halves(high, low).ok_or_else(zero)?;
        Ok((trace, self.span_ids.get(row as usize)?))
    }

    /// Start and id of a row of this trace.
    ///
    /// # Errors
    /// As [`RowFinder::ordinal`].
    pub fn row(&mut self, row: u32, ordinal: u32) -> Result<FoundRow> {
        let delta = self.starts.get(row as usize)?;
        let trace_start = self.trace_starts.get(ordinal as usize)?;
        let start = if delta == 0 { 0 } else { trace_start.wrapping_add(delta - 1) };
        Ok(FoundRow { start, span_id: self.span_ids.get(row as usize)? })
    }
}
