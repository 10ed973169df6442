//! Where the links of spans point to, row by row: four columns, no attributes.

use crate::error::Result;
use crate::part::ReadCounter;

use super::layout::Fixed;
use super::reader::Segment;
use super::rows::IntegerCursor;

/// The span that a link points to; zeros where the link names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkTarget {
    /// Lower half of the trace id.
    pub trace_low: u64,
    /// Id of the span.
    pub span_id: u64,
    /// Upper half of the trace id.
    pub trace_high: u64,
}

/// Reads the links of rows, which must be asked for in rising order.
pub struct LinkTargets<'s> {
    rows: IntegerCursor<'s>,
    highs: IntegerCursor<'s>,
    lows: IntegerCursor<'s>,
    spans: IntegerCursor<'s>,
    next: usize,
    end: usize,
}

impl<'s> LinkTargets<'s> {
    /// The links of a segment from this row on.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn from_row(segment: &'s Segment, row: u32, counter: &'s ReadCounter) -> Result<Self> {
        let cursor = |column: Fixed| IntegerCursor::new(segment, column as u32, true, counter);
        let end = segment.column(Fixed::LinkRow as u32).map_or(0, |column| column.values) as usize;
        let next =
            if row == 0 || end == 0 { 0 } else { segment.sparse_range(Fixed::LinkRow, &(row..row), counter)?.start };
        let (rows, spans) = (cursor(Fixed::LinkRow), cursor(Fixed::LinkSpan));
        Ok(Self { rows, highs: cursor(Fixed::LinkTraceHigh), lows: cursor(Fixed::LinkTraceLow), spans, next, end })
    }

    /// Calls `visit` with the row and target of every link of a row before `end` that was not visited yet.
    ///
    /// # Errors
    /// As [`LinkTargets::from_row`].
    pub fn until(&mut self, end: u32, mut visit: impl FnMut(u32, LinkTarget)) -> Result<()> {
        while self.next < self.end {
            let row = self.rows.get(self.next)?;
            if row >= u64::from(end) {
                break;
            }
            let (trace_low, span_id) = (self.lows.get(self.next)?, self.spans.get(self.next)?);
            visit(row as u32, LinkTarget { trace_low, span_id, trace_high: self.highs.get(self.next)? });
            self.next += 1;
        }
        Ok(())
    }
}
