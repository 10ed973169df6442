//! Ranges of a column's values, page by page: what a merge reads, mostly forward.
//!
//! Traces that lie in several pieces are the exception: their rows jump ahead and back. So a few pages stay
//! decoded; going forward takes the place of the page before, a jump takes another.

use std::ops::Range;

use crate::encoding::Strings;
use crate::error::{Error, Result};
use crate::limits::PAGE_ROWS;
use crate::part::ReadCounter;

use super::super::reader::Segment;

/// Pages of a column that stay decoded.
const OPEN_PAGES: usize = 4;
/// Bytes of decoded values from which on a jump costs the page before.
const OPEN_BYTES: usize = 1 << 20;

/// No page, or one that could not be decoded.
const NONE_OPEN: usize = usize::MAX;

/// The pages that are decoded, and the one in use.
struct OpenPages<T> {
    pages: Vec<(usize, T)>,
    at: usize,
}

impl<T: Default> OpenPages<T> {
    fn new() -> Self {
        Self { pages: vec![(NONE_OPEN, T::default())], at: 0 }
    }

    /// The values of a page, decoded by `decode` unless they are there; `crowded` if no more may be kept.
    fn get(&mut self, page: usize, crowded: bool, decode: impl FnOnce(&mut T) -> Result<()>) -> Result<&T> {
        if self.pages[self.at].0 != page {
            match self.pages.iter().position(|(open, _)| *open == page) {
                Some(found) => self.at = found,
                None => {
                    self.make_room(page, crowded);
                    let (open, values) = &mut self.pages[self.at];
                    *open = NONE_OPEN;
                    decode(values)?;
                    *open = page;
                }
            }
        }
        Ok(&self.pages[self.at].1)
    }

    fn make_room(&mut self, page: usize, crowded: bool) {
        let forward = self.pages[self.at].0.wrapping_add(1) == page;
        if forward || crowded || self.pages[self.at].0 == NONE_OPEN {
            return;
        }
        if self.pages.len() < OPEN_PAGES {
            self.pages.push((NONE_OPEN, T::default()));
            self.at = self.pages.len() - 1;
        } else {
            self.at = (self.at + 1) % OPEN_PAGES;
        }
    }
}

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

/// Reads ranges of a column of integers.
pub struct IntegerPages<'s> {
    segment: &'s Segment,
    counter: &'s ReadCounter,
    column: u32,
    open: OpenPages<Vec<u64>>,
}

impl<'s> IntegerPages<'s> {
    /// Of this column; whether there is one shows when it is read.
    pub fn new(segment: &'s Segment, column: u32, counter: &'s ReadCounter) -> Self {
        Self { segment, counter, column, open: OpenPages::new() }
    }

    /// Calls `visit` with the values at these places, a slice for each page.
    ///
    /// # Errors
    /// Corrupt, naming the page, if one is damaged or ends early; what `visit` returns.
    pub fn each(&mut self, range: Range<usize>, mut visit: impl FnMut(&[u64]) -> Result<()>) -> Result<()> {
        for (page, places) in by_page(range) {
            let (segment, column, counter) = (self.segment, self.column, self.counter);
            let values = self.open.get(page, false, |out| segment.integers(column, page, counter, out))?;
            visit(values.get(places).ok_or_else(|| missing(segment, column, page))?)?;
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

/// Reads ranges of a column of byte strings.
pub struct StringPages<'s> {
    segment: &'s Segment,
    counter: &'s ReadCounter,
    column: u32,
    open: OpenPages<Strings>,
}

impl<'s> StringPages<'s> {
    /// Of this column; whether there is one shows when it is read.
    pub fn new(segment: &'s Segment, column: u32, counter: &'s ReadCounter) -> Self {
        Self { segment, counter, column, open: OpenPages::new() }
    }

    /// Calls `visit` with each value at these places.
    ///
    /// # Errors
    /// Corrupt, naming the page, if one is damaged or ends early; what `visit` returns.
    pub fn each(&mut self, range: Range<usize>, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        for (page, places) in by_page(range) {
            let (segment, column, counter) = (self.segment, self.column, self.counter);
            let crowded = self.open.pages.iter().map(|(_, values)| values.bytes.len()).sum::<usize>() > OPEN_BYTES;
            let values = self.open.get(page, crowded, |out| segment.strings(column, page, counter, out))?;
            if places.end > values.len() {
                return Err(missing(segment, column, page));
            }
            for place in places {
                visit(values.get(place))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_keeps_the_page_before_and_a_step_forward_does_not() {
        let mut open: OpenPages<usize> = OpenPages::new();
        let mut decoded = Vec::new();
        for page in [0, 1, 7, 1, 7, 2, 8, 2, 40, 50, 2, 60, 3] {
            let decode = |out: &mut usize| {
                decoded.push(page);
                *out = page;
                Ok(())
            };
            assert_eq!(*open.get(page, false, decode).unwrap(), page);
        }
        assert_eq!(decoded, [0, 1, 7, 2, 8, 40, 50, 60, 3]);
        assert!(open.get(9, false, |_| Err(Error::corrupt("damaged"))).is_err());
        assert_eq!(
            *open
                .get(9, true, |out| {
                    *out = 9;
                    Ok(())
                })
                .unwrap(),
            9
        );
    }
}
