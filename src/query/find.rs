//! Finding traces: candidates from every part in result order, each checked and summed up on its spans.
//!
//! A trace that lies in one segment alone (a clean one) comes from that segment's pages, newest first and
//! only as many as the limit asks for. Traces of the head and dirty traces of segments (loose ones) are
//! gathered before those of their part, since their place in the order depends on all their parts. Both streams are
//! merged by [`SortKey`]. A loose candidate is then read in full, its records united, and judged by the reference
//! evaluator; a clean one is summed up from its outline and the rows the scan found.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::catalog::{Snapshot, TraceIds};
use crate::column::ClassBits;
use crate::error::{Error, ErrorKind, Result};
use crate::head::trace_id_of;
use crate::index::Measure;
use crate::limits::{Limits, PAGE_ROWS};
use crate::model::{Resource, Scope, Span, TimeRange, TraceId};
use crate::part::ReadCounter;
use crate::segment::Segment;

use super::candidate::{BestCandidates, Candidate};
use super::compile::{Compiled, MATCHED, compile};
use super::evaluate::{Matched, TraceMatcher};
use super::explain::Explain;
use super::loose_extents::LooseExtents;
use super::mask::Mask;
use super::newest_first::Candidates;
use super::page::{PageToken, SortKey};
use super::plan::rules_out;
use super::predicate::{Criterion, Query, QueryScope};
use super::row_summary::{SealedTrace, summary_of_rows};
use super::scan::PageScan;
use super::search_plan::Planned;
use super::segment_pages::SegmentPages;
use super::segment_scan::SegmentScan;
use super::structure::{PartSet, SpanSet};
use super::summary::TraceSummary;

/// Criteria a query may have: each takes a bit.
const CRITERIA_MAX: usize = 120;
/// Problems an answer names; of more it says that there are more.
const PROBLEMS_MAX: usize = 20;

/// What a search found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Found {
    /// The traces, in order.
    pub traces: Vec<TraceSummary>,
    /// False if something could not be read or a limit cut the result.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// Names the next page; `None` exactly when nothing follows.
    pub next_page_token: Option<String>,
    /// What was read and what was skipped.
    pub explain: Explain,
}

/// Searches a snapshot.
///
/// # Errors
/// Invalid if the page token belongs to another query or there are too many criteria. Damage is no error, nor
/// is a trace larger than [`Limits::trace_bytes_max`]: they make the answer incomplete.
pub fn find(snapshot: &Snapshot, query: &Query, limits: &Limits) -> Result<Found> {
    let after = PageToken::decode(query)?.map(|token| token.after);
    let criteria = row_criteria(query)?;
    let counter = ReadCounter::limited(limits.trace_bytes_max);
    let mut finder = Finder::new(snapshot, query, &criteria, &counter);
    finder.after = after;
    let mut found = finder.run(limits)?;
    let reason;
    (found.explain, reason) = finder.finish();
    let reasons: Vec<String> = reason.into_iter().chain(found.reason).collect();
    found.reason = (!reasons.is_empty()).then(|| reasons.join("; "));
    found.complete = found.reason.is_none();
    Ok(found)
}

/// What rows must meet. Under scope service the service is a condition on every row that is looked at.
///
/// # Errors
/// Invalid if there are too many criteria.
pub fn row_criteria(query: &Query) -> Result<Vec<Criterion>> {
    let mut criteria = query.criteria();
    if query.scope == QueryScope::Service {
        criteria.retain(|c| !matches!(c, Criterion::Service(_)));
    }
    if criteria.len() > CRITERIA_MAX {
        return Err(Error::invalid(format!("{} criteria; at most {CRITERIA_MAX}", criteria.len())));
    }
    query.structure.as_ref().map_or(Ok(()), SpanSet::check)?;
    Ok(criteria)
}

/// Loose traces that have a match: by the key of their group, an id of it and which criteria its spans meet.
pub type Loose = FxHashMap<u128, (TraceId, u128)>;

/// A search at work: what it asks, of what, and what came of it so far.
pub struct Finder<'q> {
    pub(super) snapshot: &'q Snapshot,
    pub(super) query: &'q Query,
    criteria: &'q [Criterion],
    after: Option<SortKey>,
    ids: TraceIds,
    extents: LooseExtents<'q>,
    pub(super) counter: &'q ReadCounter,
    pub(super) explain: Explain,
    problems: Vec<String>,
}

/// The criteria compiled against one part.
pub struct PartCriteria<'q> {
    /// Under scope service with a service: what every row must meet.
    pub(super) service: Option<Compiled<'q>>,
    pub(super) service_criterion: Option<Criterion>,
    pub(super) criteria: Vec<Compiled<'q>>,
    /// The structural condition.
    pub(super) structure: Option<PartSet<'q>>,
    /// True if no class of the part is without a start.
    pub(super) all_have_starts: bool,
}

impl PartCriteria<'_> {
    /// True if every row of the class meets all criteria, for those that classes decide.
    pub fn takes_class(&self, class: u32) -> bool {
        self.criteria.iter().all(|criterion| criterion.classes[class as usize] & MATCHED != 0)
    }
}

/// Why a result of so many traces, with the next one so many bytes, is cut before that.
fn cut_at(traces: usize, held_bytes: usize, limits: &Limits) -> Option<String> {
    if traces >= limits.result_traces_max {
        return Some(format!("the result is cut at {} traces (Limits::result_traces_max)", limits.result_traces_max));
    }
    // One trace always goes in, so that every page brings the next one nearer.
    (traces > 0 && held_bytes > limits.result_bytes_max)
        .then(|| format!("the result is cut at {} bytes (Limits::result_bytes_max)", limits.result_bytes_max))
}

impl<'q> Finder<'q> {
    /// What a span or trace must meet.
    pub(super) fn criteria(&self) -> &'q [Criterion] {
        self.criteria
    }

    /// A search that has read nothing yet; `criteria` are the query's [`row_criteria`].
    pub(super) fn new(
        snapshot: &'q Snapshot,
        query: &'q Query,
        criteria: &'q [Criterion],
        counter: &'q ReadCounter,
    ) -> Self {
        let ids = if query.lenient { TraceIds::Lenient } else { TraceIds::Strict };
        let (explain, problems) = (Explain::default(), Vec::new());
        let extents = LooseExtents::new(snapshot, ids, counter);
        Self { snapshot, query, criteria, after: None, ids, extents, counter, explain, problems }
    }

    /// What was read, and why the answer is not complete if it is not.
    pub(super) fn finish(mut self) -> (Explain, Option<String>) {
        self.explain.pages_decoded = self.counter.pages();
        self.explain.bytes_read = self.counter.bytes();
        (self.explain, (!self.problems.is_empty()).then(|| self.problems.join("; ")))
    }

    fn run(&mut self, limits: &Limits) -> Result<Found> {
        let mut loose = Loose::default();
        self.scan_chapters(&mut loose)?;
        let (mut candidates, dropped) = match self.is_newest_first() {
            true => (self.newest_first(loose)?, false),
            false => self.all_candidates(loose, limits)?,
        };
        let found = self.take_first(&mut candidates, dropped, limits)?;
        self.note_left(&candidates);
        Ok(found)
    }

    /// The candidates of an order that only looking at every match tells, and whether there are more of them.
    fn all_candidates(&mut self, mut loose: Loose, limits: &Limits) -> Result<(Candidates<'q>, bool)> {
        let limit = if self.query.limit == 0 { usize::MAX } else { self.query.limit };
        // One more tells whether anything follows.
        let mut best = BestCandidates::new(limit.min(limits.result_traces_max).saturating_add(1));
        let mut scans = Vec::new();
        for index in 0..self.snapshot.segments.len() {
            let Some(mut scan) = self.begin_segment(index, &mut loose)? else { continue };
            if self.query.scope == QueryScope::Span {
                self.push_slowest(&mut scan, &mut best)?;
            } else {
                while let Some(candidate) = self.next_clean(&mut scan)? {
                    best.push(candidate);
                }
            }
            scans.push(scan);
        }
        let dropped = best.dropped();
        let mut pending = self.loose_candidates(loose)?;
        pending.extend(best.into_candidates().map(Reverse));
        Ok((Candidates::known(pending, scans), dropped))
    }

    /// Judges candidates in order until the page or a limit is full; `dropped` if there are more of them.
    fn take_first(&mut self, candidates: &mut Candidates<'q>, dropped: bool, limits: &Limits) -> Result<Found> {
        let matcher = TraceMatcher::new(self.query);
        let (mut found, mut held_bytes, mut last) = (Found::default(), 0, None);
        let token = |after: Option<SortKey>| after.map(|after| PageToken { after }.encode(self.query));
        while let Some(candidate) = self.next_candidate(candidates)? {
            let Some(summary) = self.judge(&candidate, &mut candidates.scans, &matcher, limits)? else {
                last = Some(candidate.key);
                continue;
            };
            held_bytes += summary.held_bytes();
            let full = self.query.limit != 0 && found.traces.len() >= self.query.limit;
            let cut = cut_at(found.traces.len(), held_bytes, limits);
            if full || cut.is_some() {
                found.next_page_token = token(found.traces.last().map(|trace| SortKey::of(self.query.order, trace)));
                found.reason = cut.filter(|_| !full);
                return Ok(found);
            }
            last = Some(candidate.key);
            found.traces.push(summary);
        }
        // Candidates that could not be read left room that those who had to go might have filled.
        found.next_page_token = if dropped { token(last) } else { None };
        Ok(found)
    }

    pub(super) fn compile(
        &self,
        source: &dyn crate::column::RowSource,
        resources: &[Arc<Resource>],
        scopes: &[Arc<Scope>],
    ) -> PartCriteria<'q> {
        let service_criterion = match (self.query.scope, &self.query.service) {
            (QueryScope::Service, Some(service)) => Some(Criterion::Service(service.clone())),
            _ => None,
        };
        // A service is decided by classes, so the compiled form needs no borrow of the criterion.
        let service = service_criterion.as_ref().map(|c| {
            let compiled = compile(c, source, resources, scopes);
            Compiled {
                classes: compiled.classes,
                any_class: compiled.any_class,
                resources: compiled.resources,
                fields: Vec::new(),
                children: None,
                duration: None,
                negated: false,
            }
        });
        let criteria = self.criteria.iter().map(|c| compile(c, source, resources, scopes)).collect();
        let structure = self.query.structure.as_ref().map(|set| PartSet::new(set, source, resources, scopes));
        let all_have_starts = !source.schema().classes.iter().any(|class| class.bits.has(ClassBits::NO_START));
        PartCriteria { service, service_criterion, criteria, structure, all_have_starts }
    }

    /// The bits of the criteria each row of the page meets: rows by bit for scopes service and trace, one
    /// mask for scope span.
    pub(super) fn scan_page(&self, page: &mut PageScan<'_>, criteria: &PartCriteria<'_>) -> Result<Vec<Mask>> {
        let every_row = self.query.window == TimeRange::ALL && criteria.all_have_starts;
        let mut base = if every_row {
            Mask::below(page.classes.len())
        } else {
            page.in_window(self.query.window, criteria.all_have_starts)?
        };
        if let Some(service) = &criteria.service {
            base = base.and(&page.meeting(service)?);
        }
        if self.query.scope == QueryScope::Span || criteria.criteria.is_empty() {
            for criterion in &criteria.criteria {
                if base.is_empty() {
                    break;
                }
                base = base.and(&page.meeting(criterion)?);
            }
            if let Some(set) = criteria.structure.as_ref().filter(|_| !base.is_empty()) {
                base = base.and(&set.possible(page)?);
            }
            return Ok(vec![base]);
        }
        let mut masks: Vec<Mask> =
            criteria.criteria.iter().map(|c| Ok(base.and(&page.meeting(c)?))).collect::<Result<_>>()?;
        if let Some(set) = &criteria.structure {
            masks.push(base.and(&set.possible(page)?));
        }
        Ok(masks)
    }

    /// Every bit a trace needs.
    fn wanted_bits(&self) -> u128 {
        let structural = usize::from(self.query.structure.is_some());
        let bits = if self.query.scope == QueryScope::Span { 1 } else { (self.criteria.len() + structural).max(1) };
        (1u128 << bits) - 1
    }

    fn group_key(&self, id: TraceId) -> u128 {
        match self.ids {
            TraceIds::Strict => u128::from_be_bytes(id.to_bytes()),
            TraceIds::Lenient => id.low().into(),
        }
    }

    pub(super) fn scan_chapters(&mut self, loose: &mut Loose) -> Result<()> {
        for chapter in &self.snapshot.chapters {
            let resources: Vec<Arc<Resource>> = chapter.resources.iter().map(|r| r.resource.clone()).collect();
            let criteria = self.compile(&***chapter, &resources, &chapter.scopes);
            let pages = chapter.rows.len().div_ceil(PAGE_ROWS) as u32;
            self.explain.parts_considered += 1;
            self.explain.parts_read += 1;
            self.explain.blocks_considered += 1;
            self.explain.blocks_read += 1;
            self.explain.pages_considered += u64::from(pages);
            self.explain.pages_read += u64::from(pages);
            for page in 0..pages {
                let mut scan = PageScan::new(&***chapter, page)?;
                for (bit, mask) in self.scan_page(&mut scan, &criteria)?.iter().enumerate() {
                    for row in mask.iter() {
                        let id = trace_id_of(&chapter.rows[page as usize * PAGE_ROWS + row]);
                        loose.entry(self.group_key(id)).or_insert((id, 0)).1 |= 1 << bit;
                    }
                }
            }
        }
        Ok(())
    }

    /// Plans a segment and gathers what its dirty traces meet; `None` if no page can hold a match.
    pub(super) fn begin_segment(&mut self, index: usize, loose: &mut Loose) -> Result<Option<SegmentScan<'q>>> {
        let part = &self.snapshot.segments[index];
        self.consider(&part.segment);
        let source = match part.segment.source() {
            Ok(source) => source,
            Err(error) => return self.problem(error).map(|()| None),
        };
        let pages = SegmentPages { segment: &part.segment, source, counter: self.counter };
        let starts = part.segment.zones().map(|zones| zones.all(Measure::Start));
        if self.query.window != TimeRange::ALL && starts.is_some_and(|zone| !zone.overlaps_time(self.query.window)) {
            self.rule_out(&part.segment, "zone");
            return Ok(None);
        }
        if self.query.scope == QueryScope::Span && rules_out(&pages, self.criteria) {
            self.rule_out(&part.segment, "terms");
            return Ok(None);
        }
        let mut criteria = self.compile(&source, &source.tables.resources, &source.tables.scopes);
        self.decide(&mut criteria, part)?;
        let Planned { pages: plan, listed } = self.plan(&pages, &criteria);
        self.explain.pages_pruned += u64::from(part.segment.row_pages()) - plan.len();
        let planned: BTreeSet<u64> = plan.iter().map(|page| part.segment.block_of(page)).collect();
        self.explain.blocks_pruned += part.segment.blocks() - planned.len() as u64;
        if plan.is_empty() {
            self.explain.parts_pruned += 1;
            return Ok(None);
        }
        self.explain.parts_read += 1;
        let mut scan = SegmentScan::new(index, part, pages, criteria, plan.iter().collect());
        scan.listed = listed;
        self.scan_dirty(&mut scan, loose)?;
        if self.query.scope != QueryScope::Span {
            self.scan_all_bits(&mut scan)?;
        }
        Ok(Some(scan))
    }

    pub(super) fn consider(&mut self, segment: &Segment) {
        self.explain.parts_considered += 1;
        self.explain.blocks_considered += segment.blocks();
        self.explain.pages_considered += u64::from(segment.row_pages());
        self.explain.bytes_considered += segment.len_bytes();
    }

    /// Notes a segment in which an index has no row that meets some criterion.
    pub(super) fn rule_out(&mut self, segment: &Segment, index: &str) {
        let pages = u64::from(segment.row_pages());
        *self.explain.by.entry(index.to_owned()).or_default() += pages;
        self.explain.pages_pruned += pages;
        self.explain.blocks_pruned += segment.blocks();
        self.explain.parts_pruned += 1;
    }

    pub(super) fn problem(&mut self, error: Error) -> Result<()> {
        if !matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::TooLarge) {
            return Err(error);
        }
        let text = error.to_string();
        if self.problems.len() < PROBLEMS_MAX && !self.problems.contains(&text) {
            self.problems.push(text);
        }
        if self.problems.len() == PROBLEMS_MAX {
            self.problems.push("and more".to_owned());
        }
        Ok(())
    }

    /// Scans the planned pages that hold rows of dirty traces.
    fn scan_dirty(&mut self, scan: &mut SegmentScan<'q>, loose: &mut Loose) -> Result<()> {
        for ordinal in scan.part.loose() {
            let rows = match scan.part.segment.trace_rows(ordinal, self.counter) {
                Ok(rows) => rows,
                Err(error) => {
                    self.problem(error)?;
                    continue;
                }
            };
            let mut bits = 0;
            for page in rows.start / PAGE_ROWS as u32..=(rows.end - 1) / PAGE_ROWS as u32 {
                if scan.plan.binary_search(&page).is_err() {
                    continue;
                }
                for (bit, mask) in self.masks(scan, page)?.iter().enumerate() {
                    let first = page * PAGE_ROWS as u32;
                    let inside = mask.iter().any(|row| rows.contains(&(first + row as u32)));
                    bits |= u128::from(inside) << bit;
                }
            }
            if bits != 0 {
                match scan.part.segment.trace_id(ordinal, self.counter) {
                    Ok(id) => loose.entry(self.group_key(id)).or_insert((id, 0)).1 |= bits,
                    Err(error) => self.problem(error)?,
                }
            }
        }
        Ok(())
    }

    /// The masks of a page; the last pages scanned are kept.
    pub(super) fn masks(&mut self, scan: &mut SegmentScan<'q>, page: u32) -> Result<Vec<Mask>> {
        if let Some((_, masks)) = scan.kept.iter().find(|(kept, _)| *kept == page) {
            return Ok(masks.clone());
        }
        self.explain.pages_read += 1;
        self.explain.blocks_read += u64::from(scan.blocks_read.insert(scan.part.segment.block_of(page)));
        let scanned = match scan.listed_mask(page, self.query.window) {
            Ok(Some(mask)) => Ok(vec![mask]),
            Ok(None) => PageScan::new(&scan.source, page).and_then(|mut p| self.scan_page(&mut p, &scan.criteria)),
            Err(error) => Err(error),
        };
        let masks = match scanned {
            Ok(masks) => masks,
            Err(error) => {
                self.problem(error)?;
                vec![Mask::NONE]
            }
        };
        if scan.kept.len() >= 4 {
            scan.kept.remove(0);
        }
        scan.kept.push((page, masks.clone()));
        Ok(masks)
    }

    /// For scopes service and trace: the criteria that each clean trace meets, from all planned pages.
    fn scan_all_bits(&mut self, scan: &mut SegmentScan<'q>) -> Result<()> {
        let mut bits: FxHashMap<u32, u128> = FxHashMap::default();
        for page in std::mem::take(&mut scan.pages) {
            let masks = self.masks(scan, page)?;
            for (bit, mask) in masks.iter().enumerate() {
                match scan.ordinals(page, mask) {
                    Ok(ordinals) => ordinals.into_iter().for_each(|o| *bits.entry(o).or_default() |= 1 << bit),
                    Err(error) => self.problem(error)?,
                }
            }
        }
        let wanted = self.wanted_bits();
        let mut all: Vec<u32> = bits.into_iter().filter(|(_, b)| *b == wanted).map(|(ordinal, _)| ordinal).collect();
        all.sort_unstable();
        scan.ready = all;
        Ok(())
    }

    /// The next clean candidate of a segment in descending order of ordinals.
    pub(super) fn next_clean(&mut self, scan: &mut SegmentScan<'q>) -> Result<Option<Candidate>> {
        loop {
            let Some(ordinal) = scan.ready.pop() else {
                let Some(page) = scan.pages.pop() else { return Ok(None) };
                let mask = self.masks(scan, page)?[0];
                scan.ready = match scan.ordinals(page, &mask) {
                    Ok(ordinals) => ordinals,
                    Err(error) => {
                        self.problem(error)?;
                        Vec::new()
                    }
                };
                continue;
            };
            if let Some(candidate) = self.candidate(scan, ordinal)? {
                return Ok(Some(candidate));
            }
        }
    }

    /// A trace as a candidate, if it is clean, was not met before, and comes into question.
    pub(super) fn candidate(&mut self, scan: &mut SegmentScan<'q>, ordinal: u32) -> Result<Option<Candidate>> {
        // A trace that reaches into the page before was met there or will be met again.
        if scan.last == Some(ordinal) || scan.part.dirty.contains(ordinal) {
            return Ok(None);
        }
        scan.last = Some(ordinal);
        let read = scan.extent(ordinal).and_then(|(start, duration)| {
            let wanted = self.query.trace_duration.contains(duration);
            let trace_id = wanted.then(|| scan.part.segment.trace_id(ordinal, self.counter)).transpose()?;
            Ok(trace_id.map(|trace_id| (SortKey::new(self.query.order, start, duration, trace_id), trace_id)))
        });
        match read {
            Ok(Some((key, trace_id))) if self.after.is_none_or(|after| key > after) => {
                Ok(Some(Candidate { key, place: Some((scan.index, ordinal)), trace_id }))
            }
            Ok(_) => Ok(None),
            Err(error) => self.problem(error).map(|()| None),
        }
    }

    pub(super) fn loose_candidates(&mut self, loose: Loose) -> Result<BinaryHeap<Reverse<Candidate>>> {
        let wanted = self.wanted_bits();
        self.extents.expect(loose.len());
        let mut out = Vec::new();
        for (id, bits) in loose.into_values() {
            if bits != wanted {
                continue;
            }
            let extent = match self.extents.get(id) {
                Ok(Some(extent)) => extent,
                Ok(None) => continue,
                Err(error) => {
                    self.problem(error)?;
                    continue;
                }
            };
            let key = SortKey::new(self.query.order, extent.start, extent.duration(), extent.trace_id);
            let wanted = self.query.trace_duration.contains(extent.duration());
            if wanted && self.after.is_none_or(|after| key > after) {
                out.push(Reverse(Candidate { key, place: None, trace_id: extent.trace_id }));
            }
        }
        Ok(BinaryHeap::from(out))
    }

    /// Reads a candidate and sums it up, if it matches.
    fn judge(
        &mut self,
        candidate: &Candidate,
        scans: &mut [SegmentScan<'q>],
        matcher: &TraceMatcher,
        limits: &Limits,
    ) -> Result<Option<TraceSummary>> {
        let judged = match candidate.place {
            Some((segment, ordinal)) => match scans.iter_mut().find(|scan| scan.index == segment) {
                Some(scan) => match self.summary(scan, (ordinal, candidate.trace_id), limits) {
                    Ok(Some(summary)) => return Ok(summary),
                    Ok(None) => self.outline(scan, ordinal),
                    Err(error) => Err(error),
                },
                None => Ok((Vec::new(), Matched::default())),
            },
            None => self.snapshot.trace(candidate.trace_id, self.ids, self.counter).map(|spans| {
                let matched = matcher.judge(&spans);
                (spans, matched)
            }),
        };
        match judged {
            Ok((_, matched)) if matched.spans.is_empty() => Ok(None),
            Ok((spans, matched)) => {
                let summary = TraceSummary::new(&spans, &matched.spans, limits.matched_span_ids_max);
                Ok(summary.map(|summary| TraceSummary { unknown: matched.unknown, ..summary }))
            }
            Err(error) => self.problem(error).map(|()| None),
        }
    }

    /// The summary of a clean trace, and `None` inside if no row matches; `None` if only its spans tell.
    fn summary(
        &mut self,
        scan: &mut SegmentScan<'q>,
        (ordinal, trace_id): (u32, TraceId),
        limits: &Limits,
    ) -> Result<Option<Option<TraceSummary>>> {
        let extent = scan.extent(ordinal)?;
        if extent.0 == 0 {
            return Ok(None);
        }
        let rows = scan.rows_of(ordinal)?;
        let matched = self.matched_rows(scan, &rows)?;
        if matched.spans.is_empty() {
            return Ok(Some(None));
        }
        let (trace, source) = (SealedTrace { trace_id, extent, rows }, scan.source.source);
        let read = (&mut scan.outlines, &source);
        let found = summary_of_rows(&trace, &matched.spans, read, limits.matched_span_ids_max, self.counter)?;
        Ok(found.map(|summary| Some(TraceSummary { unknown: matched.unknown, ..summary })))
    }

    /// The spans of a clean trace without their attributes, and which of them match: its pages were scanned.
    pub(super) fn outline(&mut self, scan: &mut SegmentScan<'q>, ordinal: u32) -> Result<(Vec<Span>, Matched)> {
        let segment = &scan.part.segment;
        let (rows, start) = (scan.rows_of(ordinal)?, scan.starts.get(ordinal as usize)?);
        let spans = scan.outlines.read(segment.trace_id(ordinal, self.counter)?, start, rows.clone())?;
        Ok((spans, self.matched_rows(scan, &rows)?))
    }

    /// Which rows of a clean trace match, as places in it.
    pub(super) fn matched_rows(&mut self, scan: &mut SegmentScan<'q>, rows: &Range<u32>) -> Result<Matched> {
        let (mut matching, mut sure, mut is_sure) = (Vec::new(), Vec::new(), false);
        let within = |page: u32, mask: &Mask| -> Vec<usize> {
            let found = mask.iter().map(|row| page * PAGE_ROWS as u32 + row as u32);
            found.filter(|row| rows.contains(row)).map(|row| (row - rows.start) as usize).collect()
        };
        for page in rows.start / PAGE_ROWS as u32..=(rows.end - 1) / PAGE_ROWS as u32 {
            if scan.plan.binary_search(&page).is_err() {
                continue;
            }
            let masks = self.masks(scan, page)?;
            let any = masks.iter().fold(Mask::NONE, |any, mask| any.or(mask));
            matching.extend(within(page, &any));
            let set = scan.criteria.structure.as_ref().filter(|_| self.query.include_unknown);
            if let (Some(set), Some((structural, plain))) = (set, masks.split_last()) {
                let certain = structural.and(&set.certain(page)?);
                is_sure |= !within(page, &certain).is_empty();
                sure.extend(within(page, &plain.iter().fold(certain, |all, mask| all.or(mask))));
            }
        }
        if self.query.include_unknown && self.query.structure.is_some() {
            let (spans, unknown) = if is_sure { (sure, false) } else { (matching, true) };
            return Ok(Matched { spans, unknown });
        }
        Ok(Matched { spans: matching, unknown: false })
    }
}
