//! Every span that matches a query, once: the rows that analytics count.
//!
//! A clean row is found by scanning the planned pages of its part, and stays a row: a [`MatchedPage`] says which
//! rows of a page match, and decodes the columns that are asked for. Doubled traces may have a record in two parts, so
//! they are united and judged as owned spans:
//!
//! ```text
//! matching spans = rows of clean traces that meet the query, page by page      MatchedPage
//!                + matching spans of each doubled, living trace, once           &Span
//! ```
//! A query under scope service or trace, or with a condition on the duration of traces, is decided trace by trace:
//! [`Matching::is_by_trace`] says so, and [`Matching::each_trace`] is the way. Pages may be visited in any order
//! and again. Damage is skipped and makes the answer incomplete, as in `find`.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::catalog::{SegmentPart, Snapshot, TraceIds};
use crate::column::{Class, ClassBits};
use crate::error::{Error, Result};
use crate::head::{FrozenChapter, trace_id_of};
use crate::index::{Measure, PageSet, RowSet};
use crate::limits::{Limits, PAGE_ROWS};
use crate::model::{Resource, Span, StatusCode, TimeRange, TraceId};
use crate::part::ReadCounter;
use crate::segment::Detail;

use super::evaluate::TraceMatcher;
use super::explain::Explain;
use super::find::{Finder, PartCriteria, row_criteria};
use super::mask::Mask;
use super::matched_page::{MatchedPage, RowIds};
use super::predicate::{Criterion, Query, QueryScope};
use super::rollup::{GroupFilter, slowest_rows};
use super::scan::PageScan;
use super::segment_pages::SegmentPages;
use super::slow_span::SlowSpan;

/// A query made ready for any snapshot, and the count of what it reads.
#[derive(Debug)]
pub struct Asked {
    query: Query,
    criteria: Vec<Criterion>,
    counter: ReadCounter,
}

impl Asked {
    /// The query; its order, limit, page and leniency count for nothing.
    ///
    /// # Errors
    /// Invalid if there are too many criteria.
    pub fn new(query: &Query, limits: &Limits) -> Result<Self> {
        let query = Query { lenient: false, include_unknown: false, page_token: None, ..query.clone() };
        let criteria = row_criteria(&query)?;
        Ok(Self { query, criteria, counter: ReadCounter::limited(limits.trace_bytes_max) })
    }
}

/// The search for matching spans of one snapshot.
pub struct Matching<'q> {
    pub(super) finder: Finder<'q>,
    /// Ids of doubled traces that live, ascending.
    pub(super) doubled: Vec<TraceId>,
    passes: u32,
}

/// The clean rows of one part.
pub struct MatchPart<'q> {
    pub(super) rows: PartRows<'q>,
    pub(super) criteria: PartCriteria<'q>,
    /// The segment with its dirty traces, if it is one.
    pub(super) sealed: Option<&'q SegmentPart>,
    /// Pages that may hold a match, ascending; nothing until they were asked for.
    pub(super) planned: OnceCell<Vec<u32>>,
    /// Rows of deleted and doubled traces.
    pub(super) left_out: RowSet,
    /// The rows that match, of pages that were scanned: they are not judged again when samples are read again.
    judged: RefCell<Vec<Option<Mask>>>,
}

/// Where the rows lie.
pub(super) enum PartRows<'q> {
    Sealed(SegmentPages<'q>),
    Head(&'q FrozenChapter),
}

impl<'q> Matching<'q> {
    /// Plans the query: the matching so far, and the parts whose pages are to be visited. There are none if
    /// the query is decided trace by trace.
    ///
    /// # Errors
    /// Whatever is not damage.
    pub fn new(asked: &'q Asked, snapshot: &'q Snapshot) -> Result<(Self, Vec<MatchPart<'q>>)> {
        let (mut matching, mut parts) = (Self::unplanned(asked, snapshot), Vec::new());
        if matching.is_by_trace() {
            return Ok((matching, parts));
        }
        let structural = asked.query.structure.is_some();
        let (lows, head) = if structural { matching.find_loose()? } else { (matching.find_doubled()?, None) };
        for index in 0..snapshot.segments.len() {
            let planned = matching.plan_segment(index).and_then(|part| part.without_apart(matching.finder.counter));
            match planned {
                Ok(part) => parts.extend(Some(part).filter(|part| !part.is_pruned())),
                Err(error) => matching.finder.problem(error)?,
            }
        }
        let mut decided = head.map(Vec::into_iter);
        let taken = if structural && decided.is_none() { &[][..] } else { &snapshot.chapters[..] };
        for chapter in taken {
            let mut part = matching.plan_chapter(chapter, &lows);
            let rows = decided.as_mut().and_then(Iterator::next);
            if let (Some(set), Some(rows)) = (&mut part.criteria.structure, rows) {
                set.know(rows);
            }
            parts.push(part);
        }
        Ok((matching, parts))
    }

    /// A matching that has read nothing yet.
    pub(super) fn unplanned(asked: &'q Asked, snapshot: &'q Snapshot) -> Self {
        let finder = Finder::new(snapshot, &asked.query, &asked.criteria, &asked.counter);
        Self { finder, doubled: Vec::new(), passes: 0 }
    }

    /// True if only whole traces tell which spans match.
    pub fn is_by_trace(&self) -> bool {
        self.finder.query.scope != QueryScope::Span || !self.finder.query.trace_duration.is_all()
    }

    /// True if there are doubled traces, whose spans are visited once and are rows of no part.
    pub fn has_doubled(&self) -> bool {
        !self.doubled.is_empty()
    }

    /// True if the criteria decide, span by span.
    fn is_plain(&self) -> bool {
        let query = self.finder.query;
        !self.is_by_trace() && query.window == TimeRange::ALL && query.structure.is_none()
    }

    /// The slowest matching spans, from tail lists, without a plan; `None` where these cannot tell, as
    /// [`Matching::rolled`].
    pub fn listed_slowest(
        asked: &'q Asked,
        snapshot: &'q Snapshot,
        limit: usize,
        limits: &Limits,
    ) -> Option<(Vec<SlowSpan>, Explain)> {
        let mut matching = Self::unplanned(asked, snapshot);
        if !matching.is_plain() {
            return None;
        }
        matching.find_doubled().ok()?;
        let found = matching.rolled_slowest(limit, limits)?;
        let explain = &mut matching.finder.explain;
        for part in &snapshot.segments {
            explain.blocks_considered += part.segment.blocks();
            explain.pages_considered += u64::from(part.segment.row_pages());
            explain.bytes_considered += part.segment.len_bytes();
        }
        explain.parts_considered += (snapshot.segments.len() + snapshot.chapters.len()) as u64;
        explain.parts_read = explain.parts_considered;
        explain.pages_skipped = explain.pages_considered;
        let (explain, reason) = matching.finish();
        reason.is_none().then_some((found, explain))
    }

    fn rolled_slowest(&self, limit: usize, limits: &Limits) -> Option<Vec<SlowSpan>> {
        let snapshot = self.finder.snapshot;
        if !self.is_plain() || self.doubled.len() > ROLLED_DOUBLED_MAX || !all_have_starts(snapshot)? {
            return None;
        }
        let mut filter = GroupFilter::default();
        for criterion in self.finder.criteria() {
            match criterion {
                Criterion::Service(service) => filter.service = Some(service),
                Criterion::Name(name) => filter.name = Some(name),
                Criterion::Kind(kind) => filter.kind = Some(*kind),
                Criterion::Status(status) if filter.status.is_none_or(|known| known == *status) => {
                    filter.status = Some(*status);
                }
                Criterion::Error if filter.status.is_none_or(|known| known == StatusCode::ERROR) => {
                    filter.status = Some(StatusCode::ERROR);
                }
                _ => return None,
            }
        }
        slowest_rows(snapshot, &filter, limit, limits).ok()?
    }

    /// Finds the doubled traces; returns the low halves of their ids.
    fn find_doubled(&mut self) -> Result<FxHashSet<u64>> {
        let snapshot = self.finder.snapshot;
        let mut ids: FxHashSet<TraceId> = FxHashSet::default();
        for part in &snapshot.segments {
            for ordinal in part.doubled_live() {
                match part.segment.trace_id(ordinal, self.finder.counter) {
                    Ok(id) => drop(ids.insert(id)),
                    Err(error) => self.finder.problem(error)?,
                }
            }
        }
        let lows: FxHashSet<u64> = ids.iter().map(|id| id.low()).collect();
        if !lows.is_empty() {
            let rows = snapshot.chapters.iter().flat_map(|chapter| &chapter.rows);
            ids.extend(rows.map(trace_id_of).filter(|id| lows.contains(&id.low())));
        }
        self.doubled = ids.into_iter().collect();
        self.doubled.sort_unstable();
        Ok(lows)
    }

    /// Begins with a segment, of which perhaps no page may hold a match. Where rollups may tell all there is to know, its
    /// pages are planned when they are asked for.
    pub(super) fn plan_segment(&mut self, index: usize) -> Result<MatchPart<'q>> {
        let (part, counter) = (&self.finder.snapshot.segments[index], self.finder.counter);
        let segment = &*part.segment;
        let explain = &mut self.finder.explain;
        explain.parts_considered += 1;
        explain.blocks_considered += segment.blocks();
        explain.pages_considered += u64::from(segment.row_pages());
        explain.bytes_considered += segment.len_bytes();
        let source = segment.source()?;
        let mut criteria = self.finder.compile(&source, &source.tables.resources, &source.tables.scopes);
        self.finder.decide(&mut criteria, part)?;
        let pages = SegmentPages { segment, source, counter };
        let has_rows = |class: &u32| source.tables.class_rows.get(*class as usize).is_none_or(|rows| *rows > 0);
        let any = |criteria: &PartCriteria<'_>| {
            (0..source.tables.schema.classes.len() as u32).filter(has_rows).any(|class| criteria.takes_class(class))
        };
        let may_be_told = self.is_by_group() && any(&criteria);
        let (rows, sealed, left_out) = (PartRows::Sealed(pages), Some(part), RowSet::new());
        let (planned, judged) = (OnceCell::new(), RefCell::default());
        let part = MatchPart { rows, criteria, sealed, planned, left_out, judged };
        if !may_be_told {
            self.pages(&part);
        }
        Ok(part)
    }

    /// The pages of a part that may hold a match, ascending.
    pub fn pages<'p>(&mut self, part: &'p MatchPart<'q>) -> &'p [u32] {
        part.planned.get_or_init(|| match &part.rows {
            PartRows::Sealed(pages) => self.plan_pages(pages, &part.criteria),
            PartRows::Head(chapter) => (0..chapter.rows.len().div_ceil(PAGE_ROWS) as u32).collect(),
        })
    }

    fn plan_pages(&mut self, pages: &SegmentPages<'q>, criteria: &PartCriteria<'q>) -> Vec<u32> {
        let plan: PageSet = self.finder.plan(pages, criteria);
        let (segment, explain) = (pages.segment, &mut self.finder.explain);
        explain.pages_pruned += u64::from(segment.row_pages()) - plan.len();
        let blocks: BTreeSet<u64> = plan.iter().map(|page| segment.block_of(page)).collect();
        explain.blocks_pruned += segment.blocks() - blocks.len() as u64;
        if plan.is_empty() {
            explain.parts_pruned += 1;
        } else {
            explain.parts_read += 1;
        }
        explain.blocks_read += blocks.len() as u64;
        plan.iter().collect()
    }

    /// Notes the parts of which rollups told everything, so that none of their pages was planned.
    pub fn note_told(&mut self, parts: &[MatchPart<'q>]) {
        let explain = &mut self.finder.explain;
        for part in parts.iter().filter(|part| part.planned.get().is_none()) {
            if let PartRows::Sealed(pages) = &part.rows {
                explain.parts_read += 1;
                explain.pages_skipped += u64::from(pages.segment.row_pages());
            }
        }
    }

    pub(super) fn plan_chapter(&mut self, chapter: &'q FrozenChapter, lows: &FxHashSet<u64>) -> MatchPart<'q> {
        let resources: Vec<Arc<Resource>> = chapter.resources.iter().map(|r| r.resource.clone()).collect();
        let criteria = self.finder.compile(&**chapter, &resources, &chapter.scopes);
        let pages = chapter.rows.len().div_ceil(PAGE_ROWS) as u32;
        let explain = &mut self.finder.explain;
        explain.parts_considered += 1;
        explain.parts_read += 1;
        explain.blocks_considered += 1;
        explain.blocks_read += 1;
        explain.pages_considered += u64::from(pages);
        let is_doubled = |row: usize| lows.contains(&trace_id_of(&chapter.rows[row]).low());
        let left_out = if lows.is_empty() {
            RowSet::new()
        } else {
            RowSet::from_sorted((0..chapter.rows.len()).filter(|row| is_doubled(*row)).map(|row| row as u32))
        };
        let (rows, planned, judged) = (PartRows::Head(chapter), OnceCell::new(), RefCell::default());
        MatchPart { rows, criteria, sealed: None, planned, left_out, judged }
    }

    /// Scans a page of a part; `None` if no row matches, or it cannot be read.
    ///
    /// # Errors
    /// Whatever is not damage.
    pub fn page<'p>(&mut self, part: &'p MatchPart<'q>, page: u32) -> Result<Option<MatchedPage<'p>>> {
        self.page_if(part, page, |_| Ok(true))
    }

    /// As [`Matching::page`], unless `wanted` says, before the filters are looked at, that the page is not.
    ///
    /// # Errors
    /// Whatever is not damage.
    pub fn page_if<'p>(
        &mut self,
        part: &'p MatchPart<'q>,
        page: u32,
        wanted: impl FnOnce(&MatchedPage<'p>) -> Result<bool>,
    ) -> Result<Option<MatchedPage<'p>>> {
        self.finder.explain.pages_read += 1;
        match self.scan(part, page, wanted) {
            Ok(matched) => Ok(matched),
            Err(error) => self.problem(error).map(|()| None),
        }
    }

    fn scan<'p>(
        &self,
        part: &'p MatchPart<'q>,
        page: u32,
        wanted: impl FnOnce(&MatchedPage<'p>) -> Result<bool>,
    ) -> Result<Option<MatchedPage<'p>>> {
        let known = part.judged.borrow().get(page as usize).copied().flatten();
        if known.is_some_and(|rows| rows.is_empty()) {
            return Ok(None);
        }
        let mut scan = PageScan::new(part.source(), page)?;
        let mut matched = MatchedPage::new(part, page, std::mem::take(&mut scan.classes));
        if !wanted(&matched)? {
            return Ok(None);
        }
        if let Some(rows) = known {
            matched.rows = rows;
            return Ok(Some(matched));
        }
        scan.classes = std::mem::take(&mut matched.classes);
        let found = self.finder.scan_page(&mut scan, &part.criteria)?;
        let rows = part.judge(page, found.into_iter().next().unwrap_or(Mask::NONE));
        matched.rows = rows;
        matched.classes = scan.classes;
        Ok((!rows.is_empty()).then_some(matched))
    }

    /// Notes damage, which does not end the search.
    ///
    /// # Errors
    /// The error itself if it is none.
    pub fn problem(&mut self, error: Error) -> Result<()> {
        self.finder.problem(error)
    }

    /// Calls `visit` with every matching span of the doubled traces, if the query is not decided by trace.
    ///
    /// # Errors
    /// Whatever is not damage, or what `visit` says.
    pub fn each_doubled_span(&mut self, mut visit: impl FnMut(&Span) -> Result<()>) -> Result<()> {
        self.each_loose_trace(FxHashSet::default(), |spans, matched| {
            matched.iter().try_for_each(|position| visit(&spans[*position]))
        })
    }

    /// Calls `visit` with the spans of the doubled traces and of these, and the positions of those that match, if the
    /// query is not decided by trace.
    ///
    /// # Errors
    /// Whatever is not damage, or what `visit` says.
    pub fn each_loose_trace(
        &mut self,
        more: FxHashSet<TraceId>,
        mut visit: impl FnMut(&[Span], &[usize]) -> Result<()>,
    ) -> Result<()> {
        let (snapshot, query, counter) = (self.finder.snapshot, self.finder.query, self.finder.counter);
        let matcher = TraceMatcher::new(query);
        let mut more: Vec<TraceId> = more.into_iter().filter(|id| self.doubled.binary_search(id).is_err()).collect();
        more.sort_unstable();
        for at in 0..self.doubled.len() + more.len() {
            let id = self.doubled.get(at).copied().unwrap_or_else(|| more[at - self.doubled.len()]);
            match read_if_in_window(snapshot, query.window, id, counter) {
                Ok(spans) => visit(&spans, &matcher.matching_spans(&spans))?,
                Err(error) => self.problem(error)?,
            }
        }
        Ok(())
    }

    /// Calls `visit` with the spans of every trace that has a matching span, and the positions of these.
    /// Without detail, spans have no attributes, events and links. May be called again.
    ///
    /// # Errors
    /// Whatever is not damage, or what `visit` says.
    pub fn each_trace(&mut self, detail: Detail, mut visit: impl FnMut(&[Span], &[usize]) -> Result<()>) -> Result<()> {
        let before = self.finder.explain.clone();
        self.finder.each_trace(detail, &mut visit)?;
        if self.passes > 0 {
            // What there is to consider is the same every time; what is read is not.
            let explain = &mut self.finder.explain;
            let read = (explain.pages_read, explain.blocks_read);
            *explain = before;
            (explain.pages_read, explain.blocks_read) = read;
        }
        self.passes += 1;
        Ok(())
    }

    /// Notes pages that were read.
    pub fn note_pages(&mut self, read: u64) {
        self.finder.explain.pages_read += read;
    }

    /// Notes pages that were planned and need not be read after all.
    pub fn skip_pages(&mut self, pages: u64) {
        self.finder.explain.pages_skipped += pages;
    }

    /// Notes that of the planned pages of a part only so many were read. Where none were planned, see [`Matching::note_told`].
    pub fn skip_unread(&mut self, part: &MatchPart<'q>, read: usize) {
        if let Some(planned) = part.planned.get() {
            self.skip_pages((planned.len() - read) as u64);
        }
    }

    /// What was read, and why the answer is not complete if it is not.
    pub fn finish(self) -> (Explain, Option<String>) {
        self.finder.finish()
    }
}

/// The spans of a trace, or none if all start outside the window.
/// Doubled traces up to which taking them out of rollups costs less than a scan.
const ROLLED_DOUBLED_MAX: usize = 1_000;

/// True if service, name, kind and status of a span decide.
pub(super) fn is_of_group(criterion: &Criterion) -> bool {
    use Criterion::{Error, Kind, Name, Service, Status};
    matches!(criterion, Service(_) | Name(_) | Kind(_) | Status(_) | Error)
}

/// True if no span is without a start: such a span matches nothing, but is in the rollups. `None` if tables are
/// damaged.
fn all_have_starts(snapshot: &Snapshot) -> Option<bool> {
    let without = |class: &Class| class.bits.has(ClassBits::NO_START);
    for part in &snapshot.segments {
        if part.segment.tables().ok()?.lacks_starts {
            return Some(false);
        }
    }
    Some(!snapshot.chapters.iter().any(|chapter| chapter.schema.classes.iter().any(without)))
}

fn read_if_in_window(snapshot: &Snapshot, window: TimeRange, id: TraceId, counter: &ReadCounter) -> Result<Vec<Span>> {
    if window != TimeRange::ALL {
        let extent = snapshot.extent(id, TraceIds::Strict, counter)?;
        if !extent.is_some_and(|extent| window.overlaps(extent.start, extent.last)) {
            return Ok(Vec::new());
        }
    }
    snapshot.trace(id, TraceIds::Strict, counter)
}

impl<'q> MatchPart<'q> {
    /// Notes the rows of a page that meet the filters: those of them that count, which it returns, match.
    pub(super) fn judge(&self, page: u32, mut rows: Mask) -> Mask {
        let first = page * PAGE_ROWS as u32;
        for row in self.left_out.iter_in(first..first + PAGE_ROWS as u32) {
            rows.remove((row - first) as usize);
        }
        let mut judged = self.judged.borrow_mut();
        let len = judged.len().max(page as usize + 1);
        judged.resize(len, None);
        judged[page as usize] = Some(rows);
        rows
    }

    /// True if the rows that match are known of every page, so that [`MatchPart::is_match`] tells.
    pub fn is_judged(&self) -> bool {
        let judged = self.judged.borrow();
        let is_known = |page: &u32| judged.get(*page as usize).is_some_and(Option::is_some);
        self.planned.get().is_some_and(|planned| planned.iter().all(is_known))
    }

    /// True if a row matches, of a page that was judged.
    pub(super) fn is_match(&self, row: u32) -> bool {
        let (page, at) = (row as usize / PAGE_ROWS, row as usize % PAGE_ROWS);
        self.judged.borrow().get(page).copied().flatten().is_some_and(|rows| rows.contains(at))
    }

    /// True if its pages were planned, and none may hold a match.
    fn is_pruned(&self) -> bool {
        self.planned.get().is_some_and(Vec::is_empty)
    }

    /// Rows that do not count.
    pub(super) fn left_out(&self) -> &RowSet {
        &self.left_out
    }

    /// True if every row of the class meets the filters, for filters that classes decide.
    pub fn takes_class(&self, class: u32) -> bool {
        self.criteria.takes_class(class)
    }

    /// The part with the rows of deleted and doubled traces left out.
    fn without_apart(mut self, counter: &ReadCounter) -> Result<Self> {
        if let Some(sealed) = self.sealed.filter(|_| !self.is_pruned()) {
            // A structural condition is decided on whole traces, so that all dirty ones are judged elsewhere.
            let structural = self.criteria.structure.is_some();
            let apart = if structural { Cow::Borrowed(&*sealed.dirty) } else { sealed.apart() };
            for ordinal in apart.iter() {
                self.left_out.insert_range(sealed.segment.trace_rows(ordinal, counter)?);
            }
        }
        Ok(self)
    }

    /// The part's pages of span rows.
    pub(super) fn source(&self) -> &dyn super::scan::PageSource {
        match &self.rows {
            PartRows::Sealed(pages) => pages,
            PartRows::Head(chapter) => &***chapter,
        }
    }

    /// The longest duration a row of the page may have; `None` if no index says.
    pub fn longest_of(&self, page: u32) -> Option<u64> {
        match &self.rows {
            PartRows::Sealed(pages) => {
                let zone = pages.segment.zones()?.page(Measure::Duration, page);
                Some(if zone.is_empty() { 0 } else { zone.max })
            }
            PartRows::Head(_) => None,
        }
    }

    /// The ids of some rows, given in ascending order.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn ids_of(&self, rows: impl Iterator<Item = u32>) -> Result<Vec<RowIds>> {
        match &self.rows {
            PartRows::Sealed(pages) => super::matched_page::sealed_ids(pages, rows, false),
            PartRows::Head(chapter) => {
                rows.map(|row| super::matched_page::head_ids(&chapter.rows[row as usize])).collect()
            }
        }
    }
}
