//! Many traces at once: their rows are one range, so every page is decoded once and not once a trace.

use std::ops::Range;

use crate::error::{Error, Result, ensure};
use crate::model::{Span, TraceId};
use crate::part::ReadCounter;

use super::layout::Fixed;
use super::reader::Segment;
use super::rows::{IntegerCursor, SpanRows};

impl Segment {
    /// The spans of successive traces, trace by trace. All of them together are held to what the counter
    /// allows for one trace.
    ///
    /// # Errors
    /// Corrupt if a page any of them needs is damaged; TooLarge if they outgrow the limit.
    pub fn spans_of_traces(&self, ordinals: Range<u32>, counter: &ReadCounter) -> Result<Vec<Vec<Span>>> {
        let Some(last) = ordinals.end.checked_sub(1).filter(|last| *last >= ordinals.start) else {
            return Ok(Vec::new());
        };
        let rows = self.trace_rows(ordinals.start, counter)?.start..self.trace_rows(last, counter)?.end;
        let source = self.source()?;
        let mut reader = SpanRows::new(self, &source, rows.clone(), counter)?;
        let cursor = |column: Fixed| IntegerCursor::new(self, column as u32, true, counter);
        let (mut firsts, mut highs) = (cursor(Fixed::TraceRow), cursor(Fixed::TraceHigh));
        let (mut lows, mut starts) = (cursor(Fixed::TraceLow), cursor(Fixed::TraceStart));
        let mut next = rows.start;
        counter.holding(|| {
            ordinals
                .map(|ordinal| {
                    let at = ordinal as usize;
                    let end = if ordinal == last { rows.end } else { firsts.get(at + 1)? as u32 };
                    let of_trace = std::mem::replace(&mut next, end)..end;
                    ensure(!of_trace.is_empty() && end <= rows.end, || {
                        format!("segment {}: trace {ordinal} has rows {of_trace:?}", self.name())
                    })?;
                    let trace_id = TraceId::from_halves(highs.get(at)?, lows.get(at)?)
                        .ok_or_else(|| Error::corrupt(format!("trace {ordinal} has a zero id")))?;
                    reader.read(trace_id, starts.get(at)?, of_trace)
                })
                .collect()
        })
    }
}
