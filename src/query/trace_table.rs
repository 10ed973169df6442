//! The traces of a segment: where their rows are, and what is known of a trace without looking at its rows.

use std::ops::{Range, RangeInclusive};

use crate::catalog::SegmentPart;
use crate::error::{Error, Result, ensure};
use crate::index::PageSet;
use crate::limits::PAGE_ROWS;
use crate::model::TraceId;
use crate::part::ReadCounter;
use crate::segment::{Fixed, IntegerCursor, Segment};

/// Rows of a page up to which their times are read singly.
const FEW: usize = 24;

/// The trace table of a segment, read in rising order cheaply.
pub struct TraceTable<'p> {
    pub(super) sealed: &'p SegmentPart,
    segment: &'p Segment,
    firsts: IntegerCursor<'p>,
    starts: IntegerCursor<'p>,
    durations: IntegerCursor<'p>,
    highs: IntegerCursor<'p>,
    lows: IntegerCursor<'p>,
    counter: &'p ReadCounter,
}

impl<'p> TraceTable<'p> {
    /// The table of a segment that is read on behalf of a query.
    pub(super) fn new(sealed: &'p SegmentPart, counter: &'p ReadCounter) -> Self {
        let segment = &*sealed.segment;
        let cursor = |column: Fixed| IntegerCursor::new(segment, column as u32, true, counter);
        Self {
            sealed,
            segment,
            firsts: cursor(Fixed::TraceRow),
            starts: cursor(Fixed::TraceStart),
            durations: cursor(Fixed::TraceDuration),
            highs: cursor(Fixed::TraceHigh),
            lows: cursor(Fixed::TraceLow),
            counter,
        }
    }

    /// How many traces there are.
    pub(super) fn len(&self) -> u32 {
        self.segment.traces()
    }

    /// The earliest start of a trace, 0 for none.
    ///
    /// # Errors
    /// Corrupt if the trace table is damaged; so do all methods here.
    pub fn start(&mut self, ordinal: u32) -> Result<u64> {
        self.starts.get(ordinal as usize)
    }

    /// Latest end less earliest start.
    ///
    /// # Errors
    /// As [`TraceTable::start`].
    pub fn duration(&mut self, ordinal: u32) -> Result<u64> {
        self.durations.get(ordinal as usize)
    }

    /// The id of a trace.
    ///
    /// # Errors
    /// As [`TraceTable::start`].
    pub fn id(&mut self, ordinal: u32) -> Result<TraceId> {
        let (high, low) = (self.highs.get(ordinal as usize)?, self.lows.get(ordinal as usize)?);
        TraceId::from_halves(high, low).ok_or_else(|| Error::corrupt(format!("trace {ordinal} has a zero id")))
    }

    /// The ordinal of the trace of each of these rows of a page, which rise.
    ///
    /// # Errors
    /// As [`TraceTable::start`].
    pub fn ordinals_of(&mut self, page: u32, rows: impl Iterator<Item = usize>, out: &mut Vec<u32>) -> Result<()> {
        let first = self.segment.page_ordinals()?.get(page as usize).copied();
        let mut ordinal = first.ok_or_else(|| Error::corrupt(format!("page {page} has no first trace")))?;
        let (traces, base) = (self.segment.traces(), u64::from(page) * PAGE_ROWS as u64);
        let mut end = self.end_of(ordinal, traces)?;
        out.clear();
        for row in rows {
            while base + row as u64 >= end {
                ordinal += 1;
                end = self.end_of(ordinal, traces)?;
            }
            out.push(ordinal);
        }
        Ok(())
    }

    /// The rows of a trace.
    ///
    /// # Errors
    /// As [`TraceTable::start`].
    pub fn rows(&mut self, ordinal: u32) -> Result<Range<u32>> {
        let (first, rows) = (self.firsts.get(ordinal as usize)?, self.segment.rows());
        let end = self.end_of(ordinal, self.segment.traces())?.min(rows.into());
        ensure(first < end, || format!("segment {}: trace {ordinal} has rows {first}..{end}", self.segment.name()))?;
        Ok(first as u32..end as u32)
    }

    /// The row after the last of a trace.
    fn end_of(&mut self, ordinal: u32, traces: u32) -> Result<u64> {
        if ordinal + 1 < traces { self.firsts.get(ordinal as usize + 1) } else { Ok(u64::MAX) }
    }

    /// The ordinals of all traces with a row on a page.
    ///
    /// # Errors
    /// As [`TraceTable::start`].
    pub fn on_page(&self, page: u32) -> Result<RangeInclusive<u32>> {
        self.segment.traces_on(page)
    }

    /// The pages of these traces.
    pub(super) fn pages_of(&mut self, ordinals: impl Iterator<Item = u32>) -> Result<PageSet> {
        let (mut pages, traces, rows) = (PageSet::new(), self.segment.traces(), self.segment.rows());
        let mut run = 0..0;
        for ordinal in ordinals {
            let first = (self.firsts.get(ordinal as usize)? / PAGE_ROWS as u64) as u32;
            let end = self.end_of(ordinal, traces)?.min(rows.into()).div_ceil(PAGE_ROWS as u64) as u32;
            if run.start <= first && first <= run.end {
                run.end = run.end.max(end);
            } else {
                pages.insert_range(std::mem::replace(&mut run, first..end));
            }
        }
        pages.insert_range(run);
        Ok(pages)
    }

    /// Start, 0 for none, and length of some rows of a page, of traces of these ordinals.
    ///
    /// # Errors
    /// As [`TraceTable::start`].
    pub fn times(&mut self, page: u32, rows: &[u16], ordinals: &[u32], out: &mut Vec<(u64, u64)>) -> Result<()> {
        let cursor = |column: Fixed| IntegerCursor::new(self.segment, column as u32, rows.len() > FEW, self.counter);
        let (mut deltas, mut lengths) = (cursor(Fixed::Start), cursor(Fixed::Length));
        let base = page as usize * PAGE_ROWS;
        out.clear();
        for (row, ordinal) in rows.iter().zip(ordinals) {
            let at = base + usize::from(*row);
            let (delta, length) = (deltas.get(at)?, lengths.get(at)?);
            let start = if delta == 0 { 0 } else { self.starts.get(*ordinal as usize)?.wrapping_add(delta - 1) };
            out.push((start, length));
        }
        Ok(())
    }
}
