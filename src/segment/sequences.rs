//! From sequences of appends to rows.
//!
//! Rows stand by trace, so the sequences of a page are scattered, but not by much: spans of a trace arrive
//! within seconds of each other. [`SequencePages`] keeps the least and greatest of every page, so that a walk
//! in the order of appends decodes each page about once.

use std::ops::Range;

use crate::error::{Error, Result, ensure};
use crate::limits::PAGE_ROWS;
use crate::part::ReadCounter;

use super::layout::Fixed;
use super::reader::Segment;
use super::rows::IntegerCursor;

/// Least and greatest of a page that no window meets, because it could not be read.
const UNREADABLE: (u64, u64) = (u64::MAX, 0);

/// The least and greatest sequence of every page of a segment, 16 bytes a page.
#[derive(Clone, Debug)]
pub struct SequencePages(Box<[(u64, u64)]>);

impl SequencePages {
    /// Decodes the column once. The rows of damaged pages are found by no window; the error names each page.
    pub fn of(segment: &Segment, counter: &ReadCounter) -> (Self, Vec<Error>) {
        let (mut page, mut damage) = (Vec::new(), Vec::new());
        let bounds = (0..segment.row_pages() as usize).map(|index| {
            if let Err(error) = segment.sequences_of_page(index, counter, &mut page) {
                damage.push(error);
                return UNREADABLE;
            }
            let bounds = (page.iter().copied().min(), page.iter().copied().max());
            bounds.0.zip(bounds.1).unwrap_or(UNREADABLE)
        });
        let bounds = bounds.collect();
        (Self(bounds), damage)
    }

    /// Appends the rows whose sequence lies in the window, each after its sequence; rows rise.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn rows_in(
        &self,
        segment: &Segment,
        window: &Range<u64>,
        counter: &ReadCounter,
        out: &mut Vec<(u64, u32)>,
    ) -> Result<()> {
        let mut page = Vec::new();
        for (index, (least, greatest)) in self.0.iter().enumerate() {
            if *least >= window.end || *greatest < window.start {
                continue;
            }
            segment.sequences_of_page(index, counter, &mut page)?;
            let first = (index * PAGE_ROWS) as u32;
            let rows = page.iter().zip(first..).filter(|(sequence, _)| window.contains(sequence));
            out.extend(rows.map(|(sequence, row)| (*sequence, row)));
        }
        Ok(())
    }

    /// The least sequence of a row from this one on, however far the next one is.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn least_from(&self, segment: &Segment, from: u64, counter: &ReadCounter) -> Result<Option<u64>> {
        let (mut page, mut found) = (Vec::new(), None::<u64>);
        for (index, (least, greatest)) in self.0.iter().enumerate() {
            if *greatest < from || *least > *greatest || found.is_some_and(|found| found <= (*least).max(from)) {
                continue;
            }
            let least = if *least >= from {
                Some(*least)
            } else {
                segment.sequences_of_page(index, counter, &mut page)?;
                page.iter().copied().filter(|sequence| *sequence >= from).min()
            };
            found = found.into_iter().chain(least).min();
        }
        Ok(found)
    }
}

impl Segment {
    fn sequences_of_page(&self, page: usize, counter: &ReadCounter, out: &mut Vec<u64>) -> Result<()> {
        self.integers(Fixed::Sequence as u32, page, counter, out)?;
        let first = self.directory().sequences.0;
        out.iter_mut().for_each(|sequence| *sequence = sequence.saturating_add(first));
        Ok(())
    }

    /// The sequence of each of these rows.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn sequences_at(&self, rows: &[u32], counter: &ReadCounter) -> Result<Vec<u64>> {
        let first = self.directory().sequences.0;
        let mut cursor = IntegerCursor::new(self, Fixed::Sequence as u32, false, counter);
        rows.iter().map(|row| Ok(cursor.get(*row as usize)?.saturating_add(first))).collect()
    }

    /// The ordinals of the traces that these rising rows belong to.
    ///
    /// # Errors
    /// Corrupt if the trace table is damaged.
    pub fn ordinals_of_rows(&self, rows: &[u32], counter: &ReadCounter) -> Result<Vec<u32>> {
        let page_ordinals = self.page_ordinals()?;
        let mut firsts = IntegerCursor::new(self, Fixed::TraceRow as u32, true, counter);
        let mut ordinal = 0;
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            let page = *row as usize / PAGE_ROWS;
            let begun = page_ordinals.get(page).copied();
            ensure(begun.is_some(), || format!("segment {}: there is no row {row}", self.name()))?;
            ordinal = ordinal.max(begun.unwrap_or(0));
            while ordinal + 1 < self.traces() && firsts.get(ordinal as usize + 1)? <= u64::from(*row) {
                ordinal += 1;
            }
            out.push(ordinal);
        }
        Ok(out)
    }
}
