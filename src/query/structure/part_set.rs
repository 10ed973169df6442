//! An expression on the rows of one part.
//!
//! Rows of clean traces of a segment are decided here, page by page as they are asked for. A page is decided
//! with the traces that reach into it, whole, from the masks of their conditions and their depths:
//!
//! ```text
//! page        |   12    |   13    |   14    |
//! traces     a a a b b b b b b b c c c d d       asked for 13: b and c, unless another page had them decided
//! ```
//! A page none of whose rows can be in the set by what they are alone is done with at once. Of rows of dirty
//! traces and of the head the others of their trace may lie elsewhere: of them only that is told.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::SegmentPart;
use crate::column::RowSource;
use crate::error::{Error, Result, ensure};
use crate::index::PageSet;
use crate::limits::PAGE_ROWS;
use crate::model::{Resource, Scope};
use crate::part::ReadCounter;
use crate::segment::{Fixed, IntegerCursor};

use super::super::mask::Mask;
use super::super::scan::{PageScan, PageSource};
use super::super::segment_pages::SegmentPages;
use super::bits::Bits;
use super::forest::Forest;
use super::part_conditions::{PageRows, PartConditions};
use super::span_set::{Negation, Relation, SpanSet, Step};
use super::verdict::{evaluate, of_unknown};

/// Pages whose masks are kept for their neighbours.
const PAGES_KEPT: usize = 4;

/// An expression on the rows of one part.
pub struct PartSet<'q> {
    set: &'q SpanSet,
    conditions: PartConditions<'q>,
    sealed: Option<Sealed<'q>>,
    /// The rows of every page, if others decided them.
    known: Option<Vec<Mask>>,
}

/// What a segment has beside.
struct Sealed<'q> {
    part: &'q SegmentPart,
    pages: SegmentPages<'q>,
    /// Pages that may hold a row that meets each condition, and those that may hold one of the set.
    plans: Vec<PageSet>,
    upper: PageSet,
    /// True if it matters whether a span is missing.
    needs_orphans: bool,
    /// True if what is possible is asked for too; else only what is certain counts.
    unknown: bool,
    progress: RefCell<Progress>,
}

/// What is decided so far.
#[derive(Default)]
struct Progress {
    decided: FxHashSet<u32>,
    rows: FxHashMap<u32, PageRows>,
    /// Traces that reach over the end of a page and are decided.
    crossing: FxHashSet<u32>,
    kept: VecDeque<KeptPage>,
    /// A page of the table of first rows, and its number.
    firsts: Option<(usize, Vec<u64>)>,
}

/// Masks of one page, by condition as far as they were asked for.
struct KeptPage {
    page: u32,
    classes: Vec<u32>,
    masks: Vec<Option<Mask>>,
}

impl<'q> PartSet<'q> {
    /// The set on a part with these tables.
    pub fn new(set: &'q SpanSet, source: &dyn RowSource, resources: &[Arc<Resource>], scopes: &[Arc<Scope>]) -> Self {
        Self { set, conditions: PartConditions::new(set, source, resources, scopes), sealed: None, known: None }
    }

    /// Makes it decide the clean traces of the segment it was compiled against. `unknown` says whether what is
    /// possible is asked for too.
    ///
    /// # Errors
    /// Corrupt if the tables are damaged.
    pub fn decide(&mut self, part: &'q SegmentPart, counter: &'q ReadCounter, unknown: bool) -> Result<()> {
        let segment = &*part.segment;
        let pages = SegmentPages { segment, source: segment.source()?, counter };
        let plans = self.conditions.pages(&pages);
        let upper = self.conditions.results().fold(PageSet::new(), |all, condition| all.or(&plans[condition]));
        let matters = |step: &Step| match step {
            Step::Spans(condition) => of_unknown(condition.gates()) == Some(true),
            // Spans that name one missing parent are siblings for certain.
            Step::Related(relation, negation) => *negation == Negation::None || *relation == Relation::Sibling,
            Step::Count(..) => true,
            Step::Both | Step::Either => false,
        };
        let progress = RefCell::default();
        let needs_orphans = unknown || self.set.steps.iter().any(matters);
        self.sealed = Some(Sealed { part, pages, plans, upper, needs_orphans, unknown, progress });
        Ok(())
    }

    /// Takes the rows of every page as decided.
    pub fn know(&mut self, rows: Vec<Mask>) {
        self.known = Some(rows);
    }

    /// The pages that may hold a row of the set.
    pub fn pages(&self) -> Option<&PageSet> {
        self.sealed.as_ref().map(|sealed| &sealed.upper)
    }

    /// The rows of a page that are in the set, or may be if that was asked for or the part does not tell.
    ///
    /// # Errors
    /// Corrupt if a page is damaged; so do the other methods.
    pub fn possible(&self, page: &mut PageScan<'_>) -> Result<Mask> {
        match (&self.sealed, &self.known) {
            (Some(sealed), _) => Ok(self.rows(sealed, page.page())?.possible),
            (None, Some(known)) => Ok(known.get(page.page() as usize).copied().unwrap_or(Mask::NONE)),
            (None, None) => self.conditions.upper(page),
        }
    }

    /// The rows of a page of a segment that are in the set for certain; those of dirty traces may be.
    ///
    /// # Errors
    /// As [`PartSet::possible`].
    pub fn certain(&self, page: u32) -> Result<Mask> {
        match &self.sealed {
            None => Ok(Mask::NONE),
            Some(sealed) => Ok(self.rows(sealed, page)?.certain),
        }
    }

    fn rows(&self, sealed: &Sealed<'q>, page: u32) -> Result<PageRows> {
        if !sealed.upper.contains(page) {
            return Ok(PageRows::NONE);
        }
        let progress = &mut *sealed.progress.borrow_mut();
        if !progress.decided.contains(&page) {
            let upper = self.upper(sealed, progress, page)?;
            if !upper.is_empty() {
                self.decide_page(sealed, progress, page, &upper)?;
            }
            progress.decided.insert(page);
        }
        Ok(progress.rows.get(&page).copied().unwrap_or(PageRows::NONE))
    }

    fn upper(&self, sealed: &Sealed<'q>, progress: &mut Progress, page: u32) -> Result<Mask> {
        let mut upper = Mask::NONE;
        for condition in self.conditions.results() {
            upper = upper.or(&self.mask(sealed, progress, condition, page)?);
        }
        Ok(upper)
    }

    /// The rows of the page that meet a condition.
    fn mask(&self, sealed: &Sealed<'q>, progress: &mut Progress, condition: usize, page: u32) -> Result<Mask> {
        if !sealed.plans[condition].contains(page) {
            return Ok(Mask::NONE);
        }
        let at = match progress.kept.iter().position(|kept| kept.page == page) {
            Some(at) => at,
            None => {
                let mut classes = Vec::new();
                sealed.pages.classes(page, &mut classes)?;
                if progress.kept.len() == PAGES_KEPT {
                    progress.kept.pop_front();
                }
                let masks = vec![None; self.conditions.len()];
                progress.kept.push_back(KeptPage { page, classes, masks });
                progress.kept.len() - 1
            }
        };
        let kept = &mut progress.kept[at];
        if let Some(mask) = kept.masks[condition] {
            return Ok(mask);
        }
        let mut scan = PageScan::resume(&sealed.pages, page, std::mem::take(&mut kept.classes));
        let found = self.conditions.mask(condition, &mut scan);
        kept.classes = std::mem::take(&mut scan.classes);
        let mask = found?;
        kept.masks[condition] = Some(mask);
        Ok(mask)
    }

    /// Decides the traces that reach into a page.
    fn decide_page(&self, sealed: &Sealed<'q>, progress: &mut Progress, page: u32, upper: &Mask) -> Result<()> {
        let segment = sealed.pages.segment;
        let traces = sealed.traces_of(progress, page)?;
        let mut firsts: Vec<u32> = Vec::with_capacity(traces.len() + 1);
        for ordinal in traces.clone() {
            firsts.push(sealed.first_of(progress, ordinal)?);
        }
        firsts.push(sealed.end_of(progress, traces.end - 1)?);
        ensure(firsts.windows(2).all(|pair| pair[0] < pair[1]) && firsts[traces.len()] <= segment.rows(), || {
            format!("segment {}: the traces of page {page} have no sound rows", segment.name())
        })?;
        let (mut from, mut to) = (0, traces.len());
        let page_rows = sealed.pages.rows_of(page);
        let crosses = |at: usize| firsts[at] < page_rows.start || firsts[at + 1] > page_rows.end;
        if progress.crossing.contains(&traces.start) {
            from += 1;
        }
        if to > from && progress.crossing.contains(&(traces.end - 1)) {
            to -= 1;
        }
        if from < to {
            let rows = &firsts[from..=to];
            let ordinals = traces.start + from as u32..traces.start + to as u32;
            if self.conditions.are_exact() {
                self.decide_columns(sealed, progress, rows)?;
            } else {
                self.decide_spans(sealed, progress, ordinals, rows, (page, upper))?;
            }
            for at in [from, to - 1] {
                if crosses(at) {
                    progress.crossing.insert(traces.start + at as u32);
                }
            }
        }
        // The other spans of a dirty trace may lie elsewhere.
        for (at, ordinal) in traces.enumerate() {
            if sealed.part.dirty.contains(ordinal) {
                let entry = progress.rows.entry(page).or_insert(PageRows::NONE);
                let rows = firsts[at].max(page_rows.start)..firsts[at + 1].min(page_rows.end);
                for row in rows.map(|row| (row - page_rows.start) as usize) {
                    entry.certain.remove(row);
                    entry.possible.remove(row);
                    if upper.contains(row) {
                        entry.possible.insert(row);
                    }
                }
            }
        }
        Ok(())
    }

    /// Decides traces that begin at these rows, the last of which is the end, from their columns.
    fn decide_columns(&self, sealed: &Sealed<'q>, progress: &mut Progress, firsts: &[u32]) -> Result<()> {
        let rows = firsts[0]..firsts[firsts.len() - 1];
        let pages = rows.start / PAGE_ROWS as u32..rows.end.div_ceil(PAGE_ROWS as u32);
        let base = pages.start * PAGE_ROWS as u32;
        let mut conditions = Vec::with_capacity(self.conditions.len());
        for condition in 0..self.conditions.len() {
            let mut words = Vec::with_capacity(pages.len() * PAGE_ROWS / 64);
            for page in pages.clone() {
                words.extend(self.mask(sealed, progress, condition, page)?.words());
            }
            conditions.push(Bits::of_words(words));
        }
        let mut upper = Bits::new(pages.len() * PAGE_ROWS);
        self.conditions.results().for_each(|condition| upper.join(&conditions[condition]));
        // A trace without a row that may be in the set has none that is.
        let traces = firsts.windows(2).map(|trace| (trace[0] - base) as usize..(trace[1] - base) as usize);
        let traces: Vec<Range<usize>> = traces.filter(|trace| upper.any_in(trace.clone())).collect();
        let forest = sealed.forest(&traces, base, pages.len() * PAGE_ROWS)?;
        let verdict = evaluate(self.set, &forest, conditions);
        let within = (rows.start - base) as usize..(rows.end - base) as usize;
        let add = |bits: &Bits, page: usize| {
            let words = &bits.words()[page * PAGE_ROWS / 64..];
            Mask::of_words(words).within(within.start.saturating_sub(page * PAGE_ROWS)..within.end - page * PAGE_ROWS)
        };
        for (at, page) in pages.enumerate() {
            let certain = add(&verdict.certain, at);
            let possible = if sealed.unknown { add(verdict.possible(), at) } else { certain };
            if !possible.is_empty() {
                let entry = progress.rows.entry(page).or_insert(PageRows::NONE);
                entry.certain = entry.certain.or(&certain);
                entry.possible = entry.possible.or(&possible);
            }
        }
        Ok(())
    }

    /// Decides traces of these ordinals that begin at these rows from their spans.
    fn decide_spans(
        &self,
        sealed: &Sealed<'q>,
        progress: &mut Progress,
        ordinals: Range<u32>,
        firsts: &[u32],
        (page, upper): (u32, &Mask),
    ) -> Result<()> {
        let page_rows = sealed.pages.rows_of(page);
        for (at, ordinal) in ordinals.enumerate() {
            let rows = firsts[at]..firsts[at + 1];
            let inside = rows.start >= page_rows.start && rows.end <= page_rows.end;
            let upper = || upper.iter().any(|row| rows.contains(&(page_rows.start + row as u32)));
            if sealed.part.dirty.contains(ordinal) || (inside && !upper()) {
                continue;
            }
            let spans = sealed.pages.segment.trace_spans(ordinal, sealed.pages.counter)?;
            let judged = self.set.judge(&spans);
            let members = if sealed.unknown { &judged.possible } else { &judged.certain };
            for (row, position) in rows.zip(0..spans.len()).filter(|(_, position)| members[*position]) {
                let entry = progress.rows.entry(row / PAGE_ROWS as u32).or_insert(PageRows::NONE);
                entry.possible.insert(row as usize % PAGE_ROWS);
                if judged.certain[position] {
                    entry.certain.insert(row as usize % PAGE_ROWS);
                }
            }
        }
        Ok(())
    }
}

impl Sealed<'_> {
    /// The traces that have rows on the page.
    fn traces_of(&self, progress: &mut Progress, page: u32) -> Result<Range<u32>> {
        let segment = self.pages.segment;
        let ordinals = segment.page_ordinals()?;
        let missing = || Error::corrupt(format!("page {page} has no first trace"));
        let first = *ordinals.get(page as usize).ok_or_else(missing)?;
        let end = match ordinals.get(page as usize + 1) {
            None => segment.traces(),
            Some(next) => {
                let begins = u64::from(self.first_of(progress, *next)?);
                next + u32::from(begins < (u64::from(page) + 1) * PAGE_ROWS as u64)
            }
        };
        ensure(first < end && end <= segment.traces(), || format!("page {page} has traces {first}..{end}"))?;
        Ok(first..end)
    }

    /// The first row of a trace.
    fn first_of(&self, progress: &mut Progress, ordinal: u32) -> Result<u32> {
        let (page, at) = (ordinal as usize / PAGE_ROWS, ordinal as usize % PAGE_ROWS);
        if progress.firsts.as_ref().is_none_or(|(known, _)| *known != page) {
            let mut rows = progress.firsts.take().map(|(_, rows)| rows).unwrap_or_default();
            self.pages.segment.integers(Fixed::TraceRow as u32, page, self.pages.counter, &mut rows)?;
            progress.firsts = Some((page, rows));
        }
        let row = progress.firsts.as_ref().and_then(|(_, rows)| rows.get(at)).copied();
        row.map(|row| row as u32).ok_or_else(|| Error::corrupt(format!("trace {ordinal} has no first row")))
    }

    /// The end of a trace's rows.
    fn end_of(&self, progress: &mut Progress, ordinal: u32) -> Result<u32> {
        let segment = self.pages.segment;
        if ordinal + 1 == segment.traces() {
            return Ok(segment.rows());
        }
        self.first_of(progress, ordinal + 1)
    }

    /// The trees of traces with these rows, counted from `base` on; there are `count` rows, with those of others.
    fn forest(&self, traces: &[Range<usize>], base: u32, count: usize) -> Result<Forest> {
        let (segment, counter) = (self.pages.segment, self.pages.counter);
        let (Some(first), Some(last)) = (traces.first(), traces.last()) else {
            return Ok(Forest::new(vec![0; count], Vec::new(), Vec::new()));
        };
        let (mut depths, mut page) = (vec![0; first.start / PAGE_ROWS * PAGE_ROWS], Vec::new());
        for number in first.start / PAGE_ROWS..last.end.div_ceil(PAGE_ROWS) {
            let number = base as usize / PAGE_ROWS + number;
            segment.integers(Fixed::Depth as u32, number, counter, &mut page)?;
            depths.extend(page.iter().map(|depth| *depth as u32));
        }
        ensure((last.end..=count).contains(&depths.len()), || {
            format!("segment {}: {} depths", segment.name(), depths.len())
        })?;
        depths.resize(count, 0);
        for trace in traces {
            let of_trace = &depths[trace.clone()];
            let sound = of_trace[0] == 0 && of_trace.windows(2).all(|pair| pair[1] <= pair[0].saturating_add(1));
            ensure(sound, || format!("segment {}: row {} has no sound depth", segment.name(), trace.start))?;
        }
        let mut orphans = Vec::new();
        if self.needs_orphans {
            let rows = base + first.start as u32..base + last.end as u32;
            let named = segment.recorded_parents(&rows, counter)?;
            let named = named.into_iter().map(|(row, parent)| ((row - base) as usize, parent));
            orphans.extend(named.filter(|(row, parent)| *parent != 0 && depths[*row] == 0));
            self.keep_missing(&mut orphans, traces, base)?;
        }
        Ok(Forest::new(depths, traces.to_vec(), orphans))
    }

    /// Keeps the rows of these traces whose parent is no span of their trace; those that break a cycle have theirs.
    fn keep_missing(&self, named: &mut Vec<(usize, u64)>, traces: &[Range<usize>], base: u32) -> Result<()> {
        let mut ids = IntegerCursor::new(self.pages.segment, Fixed::SpanId as u32, true, self.pages.counter);
        let mut known: (usize, FxHashSet<u64>) = (usize::MAX, FxHashSet::default());
        let mut missing = Vec::with_capacity(named.len());
        for (row, parent) in named.drain(..) {
            let trace = traces.partition_point(|trace| trace.end <= row);
            let Some(rows) = traces.get(trace).filter(|rows| rows.contains(&row)) else { continue };
            if known.0 != trace {
                known = (trace, FxHashSet::default());
                for row in rows.clone() {
                    known.1.insert(ids.get(base as usize + row)?);
                }
            }
            if !known.1.contains(&parent) {
                missing.push((row, parent));
            }
        }
        *named = missing;
        Ok(())
    }
}
