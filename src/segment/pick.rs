//! Some rows of a trace back to spans, without reading the others in full.
//!
//! A row's parent follows from the depths and ids of the rows before it, so those two columns are walked from
//! the trace's first row. Everything else is read in *runs*: wanted rows that stand close together.
//!
//! ```text
//! rows    0  1  2  3  4 .. 80 81 82 .. 999        wanted: 1, 3, 81
//! path    =========================>              two cheap columns
//! runs       [1  2  3]        [81]                everything
//! ```

use std::ops::Range;

use crate::error::{Result, ensure};
use crate::model::Span;
use crate::part::ReadCounter;

use super::layout::Fixed;
use super::reader::Segment;
use super::rows::{Detail, FEW, IntegerCursor, SpanRows};

/// Rows nobody wants that are read rather than beginning another run.
const GAP_ROWS_MAX: u32 = 16;

impl Segment {
    /// The spans of these rows of a trace; the rows rise.
    ///
    /// # Errors
    /// Corrupt if a row is none of this trace, or a page it needs is damaged; TooLarge if what is read outgrows
    /// what the counter allows.
    pub fn spans_at(&self, ordinal: u32, wanted: &[u32], counter: &ReadCounter) -> Result<Vec<Span>> {
        counter.holding(|| self.hold_spans_at(ordinal, wanted, counter))
    }

    fn hold_spans_at(&self, ordinal: u32, wanted: &[u32], counter: &ReadCounter) -> Result<Vec<Span>> {
        let rows = self.trace_rows(ordinal, counter)?;
        let inside = wanted.iter().all(|row| rows.contains(row));
        ensure(inside, || format!("segment {}: rows outside of trace {ordinal}", self.name()))?;
        if rows.len() <= FEW.max(2 * wanted.len()) {
            let spans = rows.clone().zip(self.hold_trace(ordinal, Detail::Full, counter)?);
            return Ok(spans.filter(|(row, _)| wanted.binary_search(row).is_ok()).map(|(_, span)| span).collect());
        }
        let trace_id = self.trace_id(ordinal, counter)?;
        let start = IntegerCursor::new(self, Fixed::TraceStart as u32, false, counter).get(ordinal as usize)?;
        let source = self.source()?;
        let mut lineage = Lineage::new(self, rows.start, counter);
        let mut out = Vec::with_capacity(wanted.len());
        for run in runs(wanted) {
            let path = lineage.at(run.start)?.to_vec();
            let mut reader = SpanRows::new(self, &source, run.clone(), counter)?;
            let spans = run.clone().zip(reader.read_below(path, trace_id, start, run)?);
            out.extend(spans.filter(|(row, _)| wanted.binary_search(row).is_ok()).map(|(_, span)| span));
        }
        Ok(out)
    }

    /// The rows of a trace whose span id is wanted, each with that id; rows rise.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn rows_of_ids(
        &self,
        ordinal: u32,
        is_wanted: impl Fn(u64) -> bool,
        counter: &ReadCounter,
    ) -> Result<Vec<(u32, u64)>> {
        let rows = self.trace_rows(ordinal, counter)?;
        let mut ids = IntegerCursor::new(self, Fixed::SpanId as u32, rows.len() > FEW, counter);
        let mut out = Vec::new();
        for row in rows {
            let id = ids.get(row as usize)?;
            if is_wanted(id) {
                out.push((row, id));
            }
        }
        Ok(out)
    }
}

/// Follows the ids from the root to each row.
struct Lineage<'s> {
    segment: &'s Segment,
    next: u32,
    path: Vec<u64>,
    ids: IntegerCursor<'s>,
    depths: IntegerCursor<'s>,
}

impl<'s> Lineage<'s> {
    fn new(segment: &'s Segment, first: u32, counter: &'s ReadCounter) -> Self {
        let cursor = |column: Fixed| IntegerCursor::new(segment, column as u32, true, counter);
        Self { segment, next: first, path: Vec::new(), ids: cursor(Fixed::SpanId), depths: cursor(Fixed::Depth) }
    }

    /// The ids above a row that is not before the last one asked for.
    fn at(&mut self, row: u32) -> Result<&[u64]> {
        while self.next < row {
            let at = self.next as usize;
            let depth = self.depths.get(at)? as usize;
            let sound = depth <= self.path.len();
            ensure(sound, || format!("segment {}: row {at} has depth {depth}, too deep", self.segment.name()))?;
            self.path.truncate(depth);
            self.path.push(self.ids.get(at)?);
            self.next += 1;
        }
        Ok(&self.path)
    }
}

/// Rows that stand close together, as ranges.
fn runs(rows: &[u32]) -> Vec<Range<u32>> {
    let mut out: Vec<Range<u32>> = Vec::new();
    for &row in rows {
        match out.last_mut() {
            Some(run) if row.saturating_sub(run.end) <= GAP_ROWS_MAX => run.end = row + 1,
            _ => out.push(row..row + 1),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_stand_close_together_are_one_run() {
        assert_eq!(runs(&[1, 3, 20, 38]), [1..21, 38..39]);
        assert!(runs(&[]).is_empty());
    }
}
