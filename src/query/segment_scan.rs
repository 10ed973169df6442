//! One segment at work in a search.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::catalog::SegmentPart;
use crate::error::{Error, Result, ensure};
use crate::limits::PAGE_ROWS;
use crate::model::TimeRange;
use crate::segment::{Fixed, IntegerCursor, OutlineReader};

use super::candidate::Candidate;
use super::find::PartCriteria;
use super::mask::Mask;
use super::scan::PageSource;
use super::segment_pages::SegmentPages;

/// One segment being searched, from its last page to its first.
pub struct SegmentScan<'q> {
    pub(super) index: usize,
    pub(super) part: &'q SegmentPart,
    pub(super) source: SegmentPages<'q>,
    pub(super) criteria: PartCriteria<'q>,
    /// Planned pages, ascending.
    pub(super) plan: Vec<u32>,
    /// Those not yet scanned.
    pub(super) pages: Vec<u32>,
    /// The rows that match if they start in the window, ascending; `None` if pages must tell.
    pub(super) listed: Option<Vec<u32>>,
    /// Ordinals of the page scanned last, ascending, not yet handed out.
    pub(super) ready: Vec<u32>,
    pub(super) last: Option<u32>,
    pub(super) head: Option<Candidate>,
    pub(super) kept: Vec<(u32, Vec<Mask>)>,
    pub(super) blocks_read: BTreeSet<u64>,
    pub(super) rows: IntegerCursor<'q>,
    pub(super) starts: IntegerCursor<'q>,
    pub(super) durations: IntegerCursor<'q>,
    pub(super) outlines: OutlineReader<'q>,
}

impl<'q> SegmentScan<'q> {
    pub(super) fn new(
        index: usize,
        part: &'q SegmentPart,
        source: SegmentPages<'q>,
        criteria: PartCriteria<'q>,
        pages: Vec<u32>,
    ) -> Self {
        let counter = source.counter;
        let cursor = |column: Fixed| IntegerCursor::new(&part.segment, column as u32, true, counter);
        let outlines = OutlineReader::new(&part.segment, source.source, counter);
        Self {
            index,
            part,
            source,
            criteria,
            plan: pages.clone(),
            pages,
            listed: None,
            ready: Vec::new(),
            last: None,
            head: None,
            kept: Vec::new(),
            blocks_read: BTreeSet::new(),
            rows: cursor(Fixed::TraceRow),
            starts: cursor(Fixed::TraceStart),
            durations: cursor(Fixed::TraceDuration),
            outlines,
        }
    }

    pub(super) fn left_pages(&self) -> u64 {
        self.pages.len() as u64
    }

    /// The rows of a page that match, from those listed; `None` if the page must tell.
    pub(super) fn listed_mask(&self, page: u32, window: TimeRange) -> Result<Option<Mask>> {
        let Some(listed) = &self.listed else { return Ok(None) };
        let first = page * PAGE_ROWS as u32;
        let begin = listed.partition_point(|row| *row < first);
        let mut mask = Mask::NONE;
        for row in listed[begin..].iter().take_while(|row| **row - first < PAGE_ROWS as u32) {
            mask.insert((row - first) as usize);
        }
        match self.source.starts(page, window)? {
            Some(starts) => {
                let starts_inside = |row: usize| starts[row] != 0 && window.contains(starts[row]);
                Ok(Some(mask.and(&Mask::of(starts.len(), starts_inside))))
            }
            None => Ok(self.criteria.all_have_starts.then_some(mask)),
        }
    }

    /// The traces the rows of a page belong to, ascending, each once.
    pub(super) fn ordinals(&mut self, page: u32, mask: &Mask) -> Result<Vec<u32>> {
        let segment = &self.part.segment;
        let first = segment.page_ordinals()?.get(page as usize).copied();
        let mut ordinal = first.ok_or_else(|| Error::corrupt(format!("page {page} has no first trace")))?;
        let (traces, base) = (segment.traces(), u64::from(page) * PAGE_ROWS as u64);
        let mut out: Vec<u32> = Vec::new();
        for row in mask.iter() {
            while ordinal + 1 < traces && self.rows.get(ordinal as usize + 1)? <= base + row as u64 {
                ordinal += 1;
            }
            if out.last() != Some(&ordinal) {
                out.push(ordinal);
            }
        }
        Ok(out)
    }

    /// The rows of a trace.
    pub(super) fn rows_of(&mut self, ordinal: u32) -> Result<Range<u32>> {
        let segment = &self.part.segment;
        let first = self.rows.get(ordinal as usize)?;
        let last = match ordinal + 1 {
            next if next == segment.traces() => segment.rows().into(),
            next => self.rows.get(next as usize)?,
        };
        let sound = first < last && last <= u64::from(segment.rows());
        ensure(sound, || format!("segment {}: trace {ordinal} has rows {first}..{last}", segment.name()))?;
        Ok(first as u32..last as u32)
    }

    /// Earliest start and duration of a trace.
    pub(super) fn extent(&mut self, ordinal: u32) -> Result<(u64, u64)> {
        Ok((self.starts.get(ordinal as usize)?, self.durations.get(ordinal as usize)?))
    }
}
