//! A page of span rows some of which match, and its columns, decoded when they are asked for.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::catalog::Snapshot;
use crate::column::{Class, RowSource};
use crate::error::{Error, Result, ensure};
use crate::head::{Row, trace_id_of};
use crate::limits::PAGE_ROWS;
use crate::model::{Resource, Scope, SpanId, TraceId};
use crate::segment::{Fixed, IntegerCursor, Segment};

use super::mask::Mask;
use super::matching::{MatchPart, PartRows};
use super::scan::{FieldOf, ValueVisitor};
use super::segment_pages::SegmentPages;

/// The ids of a span row.
pub type RowIds = (TraceId, SpanId);

/// A page of which some rows match. Columns have a value for every row of the page, match or not.
pub struct MatchedPage<'p> {
    part: &'p MatchPart<'p>,
    page: u32,
    /// The rows that match.
    pub rows: Mask,
    pub(super) classes: Vec<u32>,
    durations: OnceCell<Vec<u64>>,
    starts: OnceCell<Vec<u64>>,
}

impl<'p> MatchedPage<'p> {
    pub(super) fn new(part: &'p MatchPart<'p>, page: u32, classes: Vec<u32>) -> Self {
        let (durations, starts) = (OnceCell::new(), OnceCell::new());
        Self { part, page, rows: Mask::NONE, classes, durations, starts }
    }

    /// The row in the part of the page's first row.
    pub fn first_row(&self) -> u32 {
        self.page * PAGE_ROWS as u32
    }

    /// Class of every row, known to the part's schema.
    pub fn classes(&self) -> &[u32] {
        &self.classes
    }

    /// Duration of every row, of no meaning where the class says that there is none.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; so do all methods here.
    pub fn durations(&self) -> Result<&[u64]> {
        if let Some(known) = self.durations.get() {
            return Ok(known);
        }
        let mut durations = Vec::new();
        self.part.source().durations(self.page, &mut durations)?;
        self.same_len(durations.len())?;
        Ok(self.durations.get_or_init(|| durations))
    }

    /// Start of every row, 0 for none.
    ///
    /// # Errors
    /// As [`MatchedPage::durations`].
    pub fn starts(&self) -> Result<&[u64]> {
        if let Some(known) = self.starts.get() {
            return Ok(known);
        }
        let starts = match &self.part.rows {
            PartRows::Sealed(pages) => pages.all_starts(self.page)?,
            PartRows::Head(chapter) => self.head_rows(chapter).iter().map(|row| row.start).collect(),
        };
        self.same_len(starts.len())?;
        Ok(self.starts.get_or_init(|| starts))
    }

    /// Resource of every row.
    ///
    /// # Errors
    /// As [`MatchedPage::durations`].
    pub fn resources(&self) -> Result<Vec<u32>> {
        let mut resources = Vec::new();
        self.part.source().resources(self.page, &mut resources)?;
        self.same_len(resources.len())?;
        Ok(resources)
    }

    /// The ids of the rows of this page that are given, in ascending order.
    ///
    /// # Errors
    /// As [`MatchedPage::durations`].
    pub fn ids(&self, rows: impl Iterator<Item = usize>) -> Result<Vec<RowIds>> {
        let first = self.first_row();
        let rows = rows.map(|row| first + row as u32);
        match &self.part.rows {
            PartRows::Sealed(pages) => sealed_ids(pages, rows, true),
            PartRows::Head(chapter) => rows.map(|row| head_ids(&chapter.rows[row as usize])).collect(),
        }
    }

    /// Calls `visit` with the row of every value of a field, in row order, and the value.
    ///
    /// # Errors
    /// As [`MatchedPage::durations`], or what `visit` says.
    pub fn each_value(&self, field: FieldOf<'_>, visit: &mut ValueVisitor<'_>) -> Result<()> {
        self.part.source().each_value(self.page, &self.classes, field, visit)
    }

    fn head_rows<'c>(&self, chapter: &'c crate::head::Chapter) -> &'c [Row] {
        let first = self.first_row() as usize;
        &chapter.rows[first..(first + PAGE_ROWS).min(chapter.rows.len())]
    }

    fn same_len(&self, len: usize) -> Result<()> {
        ensure(len == self.classes.len(), || format!("page {}: columns of different lengths", self.page))
    }
}

impl MatchPart<'_> {
    /// What gives the part's codes their meaning.
    pub fn tables(&self) -> &dyn RowSource {
        match &self.rows {
            PartRows::Sealed(pages) => &pages.source,
            PartRows::Head(chapter) => &***chapter,
        }
    }

    /// The part, if it is sealed.
    pub fn segment(&self) -> Option<&Segment> {
        match &self.rows {
            PartRows::Sealed(pages) => Some(pages.segment),
            PartRows::Head(_) => None,
        }
    }

    /// The place of the part among the segments and then the chapters of the snapshot it is of.
    pub fn number_in(&self, snapshot: &Snapshot) -> u32 {
        let at = match &self.rows {
            PartRows::Sealed(pages) => {
                snapshot.segments.iter().position(|part| std::ptr::eq(&*part.segment, pages.segment))
            }
            PartRows::Head(chapter) => {
                let at = snapshot.chapters.iter().position(|known| std::ptr::eq(&**known, *chapter));
                at.map(|at| snapshot.segments.len() + at)
            }
        };
        at.map_or(u32::MAX, |at| at as u32)
    }

    /// The part's classes, by code.
    pub fn classes(&self) -> &[Class] {
        &self.tables().schema().classes
    }

    /// The part's resources, by code.
    pub fn resources(&self) -> Vec<&Resource> {
        match &self.rows {
            PartRows::Sealed(pages) => pages.source.tables.resources.iter().map(|r| &**r).collect(),
            PartRows::Head(chapter) => chapter.resources.iter().map(|r| &*r.resource).collect(),
        }
    }

    /// The part's scopes, by code.
    pub fn scopes(&self) -> &[Arc<Scope>] {
        match &self.rows {
            PartRows::Sealed(pages) => &pages.source.tables.scopes,
            PartRows::Head(chapter) => &chapter.scopes,
        }
    }
}

pub(super) fn head_ids(row: &Row) -> Result<RowIds> {
    let span_id = SpanId::from_u64(row.span_id).ok_or_else(|| Error::corrupt("a row of the head has no id"))?;
    Ok((trace_id_of(row), span_id))
}

/// The ids of ascending rows of a segment; `dense` if they are many of their pages.
pub(super) fn sealed_ids(
    pages: &SegmentPages<'_>,
    rows: impl Iterator<Item = u32>,
    dense: bool,
) -> Result<Vec<RowIds>> {
    let segment = pages.segment;
    let cursor = |column: Fixed, dense| IntegerCursor::new(segment, column as u32, dense, pages.counter);
    let (mut span_ids, mut firsts) = (cursor(Fixed::SpanId, dense), cursor(Fixed::TraceRow, true));
    let (mut highs, mut lows) = (cursor(Fixed::TraceHigh, dense), cursor(Fixed::TraceLow, dense));
    let page_ordinals = segment.page_ordinals()?;
    let (traces, mut page, mut ordinal) = (segment.traces(), u32::MAX, 0);
    let mut known: Option<(u32, TraceId)> = None;
    let mut out = Vec::new();
    for row in rows {
        if row / PAGE_ROWS as u32 != page {
            page = row / PAGE_ROWS as u32;
            let first = page_ordinals.get(page as usize).copied();
            ordinal = first.ok_or_else(|| Error::corrupt(format!("page {page} has no first trace")))?;
        }
        while ordinal + 1 < traces && firsts.get(ordinal as usize + 1)? <= u64::from(row) {
            ordinal += 1;
        }
        let trace_id = match known {
            Some((of, id)) if of == ordinal => id,
            _ => {
                let (high, low) = (highs.get(ordinal as usize)?, lows.get(ordinal as usize)?);
                TraceId::from_halves(high, low)
                    .ok_or_else(|| Error::corrupt(format!("trace {ordinal} has a zero id")))?
            }
        };
        known = Some((ordinal, trace_id));
        let span_id = SpanId::from_u64(span_ids.get(row as usize)?);
        out.push((trace_id, span_id.ok_or_else(|| Error::corrupt(format!("row {row} has no id")))?));
    }
    Ok(out)
}
