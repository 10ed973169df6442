//! Starts and durations of the matching rows of pages, into buffers that are used again.
//!
//! Where a filter takes every row of a page, which the zone map tells of window, start and duration, the classes are
//! not read: then a row costs its two numbers.

use crate::column::ClassBits;
use crate::error::{Result, ensure};
use crate::index::Measure;
use crate::limits::PAGE_ROWS;
use crate::segment::Fixed;

use super::matching::{MatchPart, Matching, PartRows};
use super::predicate::QueryScope;
use super::segment_pages::StartReader;

/// Reads the pages of one part.
pub struct TimedRows<'p, 'q> {
    part: &'p MatchPart<'q>,
    reader: Option<StartReader<'p>>,
    /// Start of every matching row that has a duration, of the page read last.
    pub starts: Vec<u64>,
    /// Their durations.
    pub durations: Vec<u64>,
}

impl<'p, 'q> TimedRows<'p, 'q> {
    /// A reader of this part.
    pub fn new(part: &'p MatchPart<'q>) -> Self {
        let reader = match &part.rows {
            PartRows::Sealed(pages) => Some(StartReader::new(pages.segment, pages.counter)),
            PartRows::Head(_) => None,
        };
        Self { part, reader, starts: Vec::new(), durations: Vec::new() }
    }

    /// Reads a page.
    ///
    /// # Errors
    /// Whatever is not damage; a damaged page is noted, and has no rows.
    pub fn read(&mut self, matching: &mut Matching<'q>, page: u32) -> Result<()> {
        self.clear();
        let found = if matching.takes_page(self.part, page) {
            matching.finder.explain.pages_read += 1;
            self.read_all(page)
        } else {
            match matching.page(self.part, page)? {
                Some(matched) => self.pick(&matched),
                None => Ok(()),
            }
        };
        if let Err(error) = found {
            self.clear();
            matching.problem(error)?;
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.starts.clear();
        self.durations.clear();
    }

    fn read_all(&mut self, page: u32) -> Result<()> {
        let (PartRows::Sealed(pages), Some(reader)) = (&self.part.rows, &mut self.reader) else { return Ok(()) };
        reader.read(page, &mut self.starts)?;
        pages.segment.integers(Fixed::Length as u32, page as usize, pages.counter, &mut self.durations)?;
        ensure(self.starts.len() == self.durations.len(), || format!("page {page}: columns of different lengths"))
    }

    fn pick(&mut self, matched: &super::MatchedPage<'_>) -> Result<()> {
        let classes = self.part.classes();
        let (starts, durations) = (matched.starts()?, matched.durations()?);
        for row in matched.rows.iter() {
            if !classes[matched.classes()[row] as usize].bits.has(ClassBits::NO_DURATION) {
                self.starts.push(starts[row]);
                self.durations.push(durations[row]);
            }
        }
        Ok(())
    }
}

impl Matching<'_> {
    /// True if every row of the page is known to match, and to have a start and a duration.
    fn takes_page(&self, part: &MatchPart<'_>, page: u32) -> bool {
        let PartRows::Sealed(pages) = &part.rows else { return false };
        let first = page * PAGE_ROWS as u32;
        let query = self.finder.query;
        let any_span = query.scope == QueryScope::Span && query.structure.is_none();
        let unfiltered = any_span && self.finder.criteria().is_empty();
        unfiltered
            && !part.left_out.intersects(first..first + PAGE_ROWS as u32)
            && pages.segment.zones().is_some_and(|zones| {
                let durations = zones.page(Measure::Duration, page);
                let starts = zones.page(Measure::Start, page);
                starts.covered_by_time(self.finder.query.window) && durations.complete && !durations.is_empty()
            })
    }
}
