//! Traces that have a matching span, and what their columns tell without a span being built.
//!
//! The rows of a trace are adjacent in a segment, so that rows of a page fall into traces by one walk over the
//! first rows of the traces. Start and duration of a clean trace are columns of their own:
//!
//! ```text
//! page 7 of span rows     . . x . | . x x . . | . . . . . |      x: rows that match
//! ordinal of the trace       41        42           43           41 and 42 have a matching span
//! ```
//! *Loose* traces, those of the head and the dirty ones that live, may lie in several parts. They are told by their
//! id, and get a number each; their pieces are put together by whoever asks. Identical records in two of the
//! pieces do no harm to extents, to "any error" and to sets of values.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::Snapshot;
use crate::error::Result;
use crate::head::{Chapter, trace_id_of};
use crate::index::{PageSet, TraceSet};
use crate::limits::PAGE_ROWS;
use crate::model::{TimeRange, TraceId};
use crate::segment::SectionKind;

use super::mask::Mask;
use super::matched_page::MatchedPage;
use super::matching::{Asked, MatchPart, Matching, PartRows};
use super::predicate::QueryScope;
use super::scan::PageScan;
use super::trace_table::TraceTable;

/// Bytes that the id and number of a loose trace take, with room to grow.
const LOOSE_LEN_BYTES: usize = 2 * size_of::<(TraceId, u32)>();

impl<'q> Matching<'q> {
    /// Plans a question about whole traces: all parts, those among them of which no page may match. There are none
    /// if the scope of the query is not the span: then whole traces tell which spans match.
    ///
    /// # Errors
    /// Whatever is not damage.
    pub fn of_traces(asked: &'q Asked, snapshot: &'q Snapshot) -> Result<(Self, Vec<MatchPart<'q>>)> {
        let mut matching = Self::unplanned(asked, snapshot);
        let parts = if matching.is_by_rows() { matching.plan_all()? } else { Vec::new() };
        Ok((matching, parts))
    }

    /// Plans all parts; dirty and doubled traces are not left out.
    pub(super) fn plan_all(&mut self) -> Result<Vec<MatchPart<'q>>> {
        let (snapshot, mut parts) = (self.finder.snapshot, Vec::new());
        for index in 0..snapshot.segments.len() {
            match self.plan_segment(index) {
                Ok(part) => parts.push(part),
                Err(error) => self.problem(error)?,
            }
        }
        for chapter in &snapshot.chapters {
            parts.push(self.plan_chapter(chapter, &FxHashSet::default()));
        }
        Ok(parts)
    }

    /// True if the rows of a page tell alone which of them match, but for the duration of their trace.
    pub fn is_by_rows(&self) -> bool {
        self.finder.query.scope == QueryScope::Span && self.finder.query.structure.is_none()
    }

    /// True if every trace with a start matches, but for its duration.
    pub(super) fn takes_all(&self) -> bool {
        self.finder.criteria().is_empty() && self.finder.query.window == TimeRange::ALL
    }

    /// True if the query takes traces of this duration.
    pub fn takes_duration(&self, nanos: u64) -> bool {
        self.finder.query.trace_duration.contains(nanos)
    }

    /// A page of which nothing but the classes is read yet.
    ///
    /// # Errors
    /// Corrupt if the page is damaged.
    pub fn whole_page<'p>(&mut self, part: &'p MatchPart<'q>, page: u32) -> Result<MatchedPage<'p>> {
        self.finder.explain.pages_read += 1;
        let scan = PageScan::new(part.source(), page)?;
        Ok(MatchedPage::new(part, page, scan.classes))
    }

    /// The rows of a page that match, those of dirty traces among them.
    pub(super) fn matching_rows(&mut self, part: &MatchPart<'q>, page: u32) -> Result<Mask> {
        self.finder.explain.pages_read += 1;
        let mut scan = PageScan::new(part.source(), page)?;
        let found = self.finder.scan_page(&mut scan, &part.criteria)?;
        Ok(found.into_iter().next().unwrap_or(Mask::NONE))
    }
}

impl<'q> MatchPart<'q> {
    /// The chapter, if the part is one of the head.
    pub fn chapter(&self) -> Option<&'q Chapter> {
        match &self.rows {
            PartRows::Head(chapter) => Some(chapter),
            PartRows::Sealed(_) => None,
        }
    }

    /// The traces of the part, if it is a segment.
    pub fn traces(&self) -> Option<TraceTable<'_>> {
        match (&self.rows, self.sealed) {
            (PartRows::Sealed(pages), Some(sealed)) => Some(TraceTable::new(sealed, pages.counter)),
            _ => None,
        }
    }

    /// Pages that may hold a row of one of these classes, by code; all if no index says.
    fn pages_of_classes(&self, wanted: &[bool]) -> PageSet {
        let PartRows::Sealed(pages) = &self.rows else { return PageSet::new() };
        let all = PageSet::all(pages.segment.row_pages());
        let codes: Vec<u32> = (0u32..).zip(wanted).filter(|(_, wanted)| **wanted).map(|(code, _)| code).collect();
        // Of many classes some is on every page.
        if codes.len() * 4 > wanted.len() {
            return all;
        }
        let index = pages.segment.page_index(SectionKind::ClassPages);
        index.and_then(|index| index.any(codes).ok()).map_or(all.clone(), |possible| all.and(&possible))
    }
}

/// The traces with a matching span, whatever their duration.
#[derive(Debug)]
pub struct MatchingTraces {
    /// By part: ordinals of clean traces, or `None` for all.
    clean: Vec<Option<TraceSet>>,
    loose: FxHashMap<TraceId, u32>,
    bytes_left: usize,
    is_cut: bool,
}

impl MatchingTraces {
    /// Finds them, page by page. Loose ones are kept up to so many bytes.
    ///
    /// # Errors
    /// Whatever is not damage.
    pub fn find<'q>(matching: &mut Matching<'q>, parts: &[MatchPart<'q>], loose_bytes_max: usize) -> Result<Self> {
        let (clean, loose) = (Vec::with_capacity(parts.len()), FxHashMap::default());
        let mut out = Self { clean, loose, bytes_left: loose_bytes_max, is_cut: false };
        for part in parts {
            let clean = match part.chapter() {
                Some(chapter) => out.find_in_chapter(matching, part, chapter).map(|()| None)?,
                None if matching.takes_all() => out.find_all_loose(matching, part).map(|()| None)?,
                None => Some(out.find_sealed(matching, part)?),
            };
            out.clean.push(clean);
        }
        Ok(out)
    }

    fn add_loose(&mut self, id: TraceId) {
        if self.loose.contains_key(&id) {
            return;
        }
        match self.bytes_left.checked_sub(LOOSE_LEN_BYTES) {
            Some(left) => {
                self.bytes_left = left;
                self.loose.insert(id, self.loose.len() as u32);
            }
            None => self.is_cut = true,
        }
    }

    fn find_in_chapter<'q>(
        &mut self,
        matching: &mut Matching<'q>,
        part: &MatchPart<'q>,
        chapter: &Chapter,
    ) -> Result<()> {
        for page in matching.pages(part) {
            let rows = match matching.matching_rows(part, *page) {
                Ok(rows) => rows,
                Err(error) => {
                    matching.problem(error)?;
                    continue;
                }
            };
            let first = *page as usize * PAGE_ROWS;
            let mut last = None;
            for id in rows.iter().filter_map(|row| chapter.rows.get(first + row)).map(trace_id_of) {
                if last.replace(id) != Some(id) {
                    self.add_loose(id);
                }
            }
        }
        Ok(())
    }

    fn find_all_loose(&mut self, matching: &mut Matching<'_>, part: &MatchPart<'_>) -> Result<()> {
        let Some(mut traces) = part.traces() else { return Ok(()) };
        for ordinal in traces.sealed.loose() {
            match traces.start(ordinal).and_then(|start| Ok((start, traces.id(ordinal)?))) {
                Ok((0, _)) => {}
                Ok((_, id)) => self.add_loose(id),
                Err(error) => matching.problem(error)?,
            }
        }
        Ok(())
    }

    /// The clean traces of a segment with a row that matches; loose ones are added to those of other parts.
    fn find_sealed<'q>(&mut self, matching: &mut Matching<'q>, part: &MatchPart<'q>) -> Result<TraceSet> {
        let Some(mut traces) = part.traces() else { return Ok(TraceSet::new()) };
        let (mut clean, mut ordinals, mut last): (Vec<u32>, _, _) = (Vec::new(), Vec::new(), None);
        for page in matching.pages(part) {
            let read = matching.matching_rows(part, *page);
            let read = read.and_then(|rows| traces.ordinals_of(*page, rows.iter(), &mut ordinals));
            if let Err(error) = read {
                matching.problem(error)?;
                continue;
            }
            ordinals.dedup();
            // A trace that reaches into the page was perhaps met on the page before.
            for ordinal in ordinals.iter().copied().filter(|ordinal| last.is_none_or(|last| last < *ordinal)) {
                if !traces.sealed.dirty.contains(ordinal) {
                    clean.push(ordinal);
                } else if !traces.sealed.deleted.contains(ordinal) {
                    match traces.id(ordinal) {
                        Ok(id) => self.add_loose(id),
                        Err(error) => matching.problem(error)?,
                    }
                }
            }
            last = last.max(ordinals.last().copied());
        }
        Ok(TraceSet::from_sorted(clean))
    }

    /// How many loose traces have a matching span.
    pub fn loose_len(&self) -> usize {
        self.loose.len()
    }

    /// The loose traces with a matching span, by number.
    pub fn loose_ids(&self) -> Vec<TraceId> {
        let mut ids: Vec<(u32, TraceId)> = self.loose.iter().map(|(id, number)| (*number, *id)).collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// The number of a loose trace, if it has a matching span.
    pub fn number_of(&self, id: TraceId) -> Option<u32> {
        self.loose.get(&id).copied()
    }

    /// Bytes that are left for what is gathered of loose traces.
    pub fn bytes_left(&self) -> usize {
        self.bytes_left
    }

    /// True if there was no room for some loose traces.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The ordinals of the clean traces of the part of this index with a matching span, ascending; if the filter
    /// takes everything those without a start are among them.
    pub fn clean<'m>(&'m self, index: usize, traces: &TraceTable<'m>) -> Box<dyn Iterator<Item = u32> + 'm> {
        let dirty = &traces.sealed.dirty;
        match self.clean.get(index) {
            Some(Some(found)) => Box::new(found.iter()),
            Some(None) if dirty.is_empty() => Box::new(0..traces.len()),
            Some(None) => Box::new((0..traces.len()).filter(|ordinal| !dirty.contains(*ordinal))),
            None => Box::new(std::iter::empty()),
        }
    }

    /// True if this trace of the part of this index is clean and has a matching span.
    pub fn has_clean(&self, index: usize, traces: &TraceTable<'_>, ordinal: u32) -> bool {
        match self.clean.get(index) {
            Some(Some(found)) => found.contains(ordinal),
            Some(None) => !traces.sealed.dirty.contains(ordinal),
            None => false,
        }
    }

    /// The loose traces of a segment with a matching span somewhere, as ordinals, ascending, and numbers.
    ///
    /// # Errors
    /// Corrupt if a trace table is damaged.
    pub fn loose_in(&self, traces: &mut TraceTable<'_>) -> Result<Vec<(u32, u32)>> {
        let mut out = Vec::new();
        for ordinal in traces.sealed.loose() {
            out.extend(self.number_of(traces.id(ordinal)?).map(|number| (ordinal, number)));
        }
        Ok(out)
    }

    /// The pages of the part of this index that may hold a row of a wanted class in a trace with a matching span.
    ///
    /// # Errors
    /// Corrupt if a trace table is damaged.
    pub fn pages_with(
        &self,
        index: usize,
        part: &MatchPart<'_>,
        traces: &mut TraceTable<'_>,
        loose: &[(u32, u32)],
        wanted: &[bool],
    ) -> Result<PageSet> {
        let of_classes = part.pages_of_classes(wanted);
        let Some(Some(found)) = self.clean.get(index) else { return Ok(of_classes) };
        let ordinals = found.iter().chain(loose.iter().map(|(ordinal, _)| *ordinal));
        Ok(traces.pages_of(ordinals)?.and(&of_classes))
    }
}
