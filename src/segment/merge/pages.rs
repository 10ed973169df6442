//! Ranges of a column's values, page by page: what a merge reads, mostly forward.

use std::ops::Range;

use crate::encoding::Strings;
use crate::error::{Error, Result};
use crate::limits::PAGE_ROWS;
use crate::part::ReadCounter;

use super::super::reader::Segment;

/// No page is open.
const NONE_OPEN: usize = usize::MAX;

/// Cuts a range of places in a column at the ends of its pages: a page, and the places inside it.
fn by_page(range: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
    let mut next = range.start;
    std::iter::from_fn(move || {
        let (page, first) = (next / PAGE_ROWS, next % PAGE_ROWS);
        let end = range.end.min((page + 1) * PAGE_ROWS);
        (next < range.end).then(|| {
            next = end;
            (page, first..end - page * PAGE_ROWS)
        })
    })
}

fn missing(segment: &Segment, column: u32, page: usize) -> Error {
    Error::corrupt(format!("segment {}, column {column}, page {page}: values are missing", segment.name()))
}

/// Reads ranges of a column of integers. The page it is in stays decoded.
pub struct IntegerPages<'s> {
    segment: &'s Segment,
    counter: &'s ReadCounter,
    column: u32,
    page: usize,
    values: Vec<u64>,
}

impl<'s> IntegerPages<'s> {
    /// Of this column; whether there is one shows when it is read.
    pub fn new(segment: &'s Segment, column: u32, counter: &'s ReadCounter) -> Self {
        Self { segment, counter, column, page: NONE_OPEN, values: Vec::new() }
    }

    /// Calls `visit` with the values at these places, a slice for each page.
    ///
    /// # Errors
    /// Corrupt, naming the page, if one is damaged or ends early; what `visit` returns.
    pub fn each(&mut self, range: Range<usize>, mut visit: impl FnMut(&[u64]) -> Result<()>) -> Result<()> {
        for (page, places) in by_page(range) {
            if page != self.page {
                self.page = NONE_OPEN;
                self.segment.integers(self.column, page, self.counter, &mut self.values)?;
                self.page = page;
            }
            visit(self.values.get(places).ok_or_else(|| missing(self.segment, self.column, page))?)?;
        }
        Ok(())
    }

    /// Appends the values at these places.
    ///
    /// # Errors
    /// As [`IntegerPages::each`].
    pub fn copy(&mut self, range: Range<usize>, out: &mut Vec<u64>) -> Result<()> {
        self.each(range, |values| {
            out.extend_from_slice(values);
            Ok(())
        })
    }

    /// The value at a place.
    ///
    /// # Errors
    /// As [`IntegerPages::each`].
    pub fn get(&mut self, index: usize) -> Result<u64> {
        let mut value = 0;
        self.each(index..index + 1, |values| {
            value = values.first().copied().unwrap_or(0);
            Ok(())
        })?;
        Ok(value)
    }
}

/// Reads ranges of a column of byte strings. The page it is in stays decoded.
pub struct StringPages<'s> {
    segment: &'s Segment,
    counter: &'s ReadCounter,
    column: u32,
    page: usize,
    values: Strings,
}

impl<'s> StringPages<'s> {
    /// Of this column; whether there is one shows when it is read.
    pub fn new(segment: &'s Segment, column: u32, counter: &'s ReadCounter) -> Self {
        Self { segment, counter, column, page: NONE_OPEN, values: Strings::default() }
    }

    /// Calls `visit` with each value at these places.
    ///
    /// # Errors
    /// Corrupt, naming the page, if one is damaged or ends early; what `visit` returns.
    pub fn each(&mut self, range: Range<usize>, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        for (page, places) in by_page(range) {
            if page != self.page {
                self.page = NONE_OPEN;
                self.segment.strings(self.column, page, self.counter, &mut self.values)?;
                self.page = page;
            }
            if places.end > self.values.len() {
                return Err(missing(self.segment, self.column, page));
            }
            for place in places {
                visit(self.values.get(place))?;
            }
        }
        Ok(())
    }
}
