//! The walk over every trace that has a matching span.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::{SegmentPart, Snapshot, TraceIds};
use crate::column::ClassBits;
use crate::error::Result;
use crate::head::trace_id_of;
use crate::limits::{Limits, PAGE_ROWS};
use crate::model::{Span, TraceId};

use super::super::evaluate::TraceMatcher;
use super::super::mask::Mask;
use super::super::matching::{Asked, MatchPart, Matching};
use super::super::predicate::QueryScope;
use super::rows::{MATCHES, SpanRows, TreeRows};
use super::sealed::SealedTrees;
use super::{Place, Tree};

/// Bytes that the id of a loose trace takes, with room to grow.
const LOOSE_LEN_BYTES: usize = 2 * size_of::<TraceId>();

/// Takes a trace.
pub type TreeVisitor<'v> = dyn FnMut(&mut Tree<'_, '_>) -> Result<()> + 'v;

/// Loose traces that may have a matching span.
struct Loose {
    ids: FxHashSet<TraceId>,
    bytes_left: usize,
    is_cut: bool,
}

impl Loose {
    fn add(&mut self, id: TraceId) {
        if self.ids.contains(&id) {
            return;
        }
        match self.bytes_left.checked_sub(LOOSE_LEN_BYTES) {
            Some(left) => {
                self.bytes_left = left;
                self.ids.insert(id);
            }
            None => self.is_cut = true,
        }
    }
}

/// The matching rows of a segment, and what is to be walked for them.
struct Wanted {
    /// Clean traces with a row that matches, ascending.
    clean: Vec<u32>,
    /// By page, ascending.
    masks: Vec<(u32, Mask)>,
}

impl<'q> Matching<'q> {
    /// Calls `visit` with every trace that has a matching span: the clean ones of each segment in their order, then the
    /// loose ones by id. Damage that `visit` meets is noted, and ends nothing. False if there was no room for some
    /// loose traces.
    ///
    /// # Errors
    /// Whatever is not damage, or what `visit` says that is none.
    pub fn each_tree(
        asked: &'q Asked,
        snapshot: &'q Snapshot,
        limits: &Limits,
        visit: &mut TreeVisitor<'_>,
    ) -> Result<(Self, bool)> {
        let (mut matching, mut rows) = (Self::unplanned(asked, snapshot), TreeRows::default());
        if matching.finder.query.scope != QueryScope::Span {
            matching.trees_by_trace(&mut rows, visit)?;
            return Ok((matching, true));
        }
        let mut loose = Loose { ids: FxHashSet::default(), bytes_left: limits.loose_bytes_max, is_cut: false };
        let parts = matching.plan_all()?;
        for (number, part) in (0u32..).zip(&parts) {
            match part.sealed {
                Some(sealed) => matching.sealed_trees((number, part, sealed), &mut loose, &mut rows, visit)?,
                None => matching.find_in_head(part, &mut loose)?,
            }
        }
        let mut ids: Vec<TraceId> = loose.ids.into_iter().collect();
        ids.sort_unstable();
        matching.loose_trees(&ids, &mut rows, visit)?;
        Ok((matching, !loose.is_cut))
    }

    fn visited(&mut self, tree: &mut Tree<'_, '_>, visit: &mut TreeVisitor<'_>) -> Result<()> {
        match visit(tree) {
            Ok(()) => Ok(()),
            Err(error) => self.problem(error),
        }
    }

    fn find_in_head(&mut self, part: &MatchPart<'q>, loose: &mut Loose) -> Result<()> {
        let Some(chapter) = part.chapter() else { return Ok(()) };
        for page in self.pages(part) {
            match self.matching_rows(part, *page) {
                Ok(found) => {
                    let first = *page as usize * PAGE_ROWS;
                    let ids = found.iter().filter_map(|row| chapter.rows.get(first + row)).map(trace_id_of);
                    ids.for_each(|id| loose.add(id));
                }
                Err(error) => self.problem(error)?,
            }
        }
        Ok(())
    }

    fn sealed_trees(
        &mut self,
        (number, part, sealed): (u32, &MatchPart<'q>, &'q SegmentPart),
        loose: &mut Loose,
        rows: &mut TreeRows,
        visit: &mut TreeVisitor<'_>,
    ) -> Result<()> {
        let mut trees = match SealedTrees::new(sealed, self.finder.counter) {
            Ok(trees) => trees,
            Err(error) => return self.problem(error),
        };
        let wanted = self.wanted(part, &mut trees, loose)?;
        let mut at = 0;
        for ordinal in wanted.clean {
            match self.read_wanted(&mut trees, ordinal, &wanted.masks, &mut at, rows) {
                Ok(true) => self.visited(&mut Tree { rows, place: Place::Sealed(number, &mut trees) }, visit)?,
                Ok(false) => {}
                Err(error) => self.problem(error)?,
            }
        }
        self.note_pages(trees.pages_read);
        Ok(())
    }

    /// The matching rows of a segment, by page, and their clean traces; loose ones are added to those of other parts.
    fn wanted(&mut self, part: &MatchPart<'q>, trees: &mut SealedTrees<'_>, loose: &mut Loose) -> Result<Wanted> {
        let mut wanted = Wanted { clean: Vec::new(), masks: Vec::new() };
        let (mut ordinals, mut last) = (Vec::new(), None);
        for page in self.pages(part) {
            let found = match self.all_rows(part, *page) {
                Some(all) => Ok(all),
                None => self.matching_rows(part, *page),
            };
            let found = found.and_then(|found| {
                trees.table.ordinals_of(*page, found.iter(), &mut ordinals)?;
                Ok(found)
            });
            match found {
                Ok(found) => wanted.masks.push((*page, found)),
                Err(error) => {
                    self.problem(error)?;
                    continue;
                }
            }
            ordinals.dedup();
            // A trace that reaches into the page was perhaps met on the page before.
            for ordinal in ordinals.iter().copied().filter(|ordinal| last.is_none_or(|last| last < *ordinal)) {
                if !trees.table.sealed.dirty.contains(ordinal) {
                    wanted.clean.push(ordinal);
                } else if !trees.table.sealed.deleted.contains(ordinal) {
                    match trees.table.id(ordinal) {
                        Ok(id) => loose.add(id),
                        Err(error) => self.problem(error)?,
                    }
                }
            }
            last = last.max(ordinals.last().copied());
        }
        Ok(wanted)
    }

    /// All rows of a page, if every row of the part matches.
    fn all_rows(&self, part: &MatchPart<'q>, page: u32) -> Option<Mask> {
        let segment = part.segment()?;
        let has_start = |class: &crate::column::Class| !class.bits.has(ClassBits::NO_START);
        let all = self.takes_all() && self.finder.query.structure.is_none() && part.classes().iter().all(has_start);
        let first = page * PAGE_ROWS as u32;
        all.then(|| Mask::below((segment.rows().saturating_sub(first) as usize).min(PAGE_ROWS)))
    }

    /// Reads a clean trace and marks the rows that match; false if it lasts too long or not long enough.
    fn read_wanted(
        &mut self,
        trees: &mut SealedTrees<'_>,
        ordinal: u32,
        masks: &[(u32, Mask)],
        at: &mut usize,
        rows: &mut TreeRows,
    ) -> Result<bool> {
        let range = self.finder.query.trace_duration;
        if !range.is_all() && !range.contains(trees.table.duration(ordinal)?) {
            return Ok(false);
        }
        let place = trees.read(ordinal, rows)?;
        while masks.get(*at).is_some_and(|(page, _)| *page < place.start / PAGE_ROWS as u32) {
            *at += 1;
        }
        let of_trace = masks[*at..].iter().take_while(|(page, _)| *page * (PAGE_ROWS as u32) < place.end);
        for (page, mask) in of_trace {
            let first = page * PAGE_ROWS as u32;
            let from = place.start.saturating_sub(first) as usize;
            for row in mask.within(from..((place.end - first) as usize).min(PAGE_ROWS)).iter() {
                rows.facts[(first + row as u32 - place.start) as usize] |= MATCHES;
            }
        }
        Ok(true)
    }

    fn loose_trees(&mut self, ids: &[TraceId], rows: &mut TreeRows, visit: &mut TreeVisitor<'_>) -> Result<()> {
        let (snapshot, counter) = (self.finder.snapshot, self.finder.counter);
        let (matcher, mut order) = (TraceMatcher::new(self.finder.query), SpanRows::default());
        for id in ids {
            match snapshot.trace(*id, TraceIds::Strict, counter) {
                Ok(spans) => self.span_tree(&spans, &matcher.matching_spans(&spans), (&mut order, rows), visit)?,
                Err(error) => self.problem(error)?,
            }
        }
        Ok(())
    }

    fn span_tree(
        &mut self,
        spans: &[Span],
        matching: &[usize],
        (order, rows): (&mut SpanRows, &mut TreeRows),
        visit: &mut TreeVisitor<'_>,
    ) -> Result<()> {
        if matching.is_empty() {
            return Ok(());
        }
        order.read(spans, matching, rows);
        self.visited(&mut Tree::of_spans(spans, order, rows), visit)
    }

    /// The same where only whole traces tell which spans match.
    fn trees_by_trace(&mut self, rows: &mut TreeRows, visit: &mut TreeVisitor<'_>) -> Result<()> {
        let (snapshot, counter, mut loose) = (self.finder.snapshot, self.finder.counter, FxHashMap::default());
        self.finder.scan_chapters(&mut loose)?;
        for (index, part) in snapshot.segments.iter().enumerate() {
            let Some(mut scan) = self.finder.begin_segment(index, &mut loose)? else { continue };
            let mut trees = match SealedTrees::new(part, counter) {
                Ok(trees) => trees,
                Err(error) => {
                    self.problem(error)?;
                    continue;
                }
            };
            while let Some(ordinal) = self.finder.next_clean(&mut scan)?.and_then(|found| Some(found.place?.1)) {
                let matched = scan.rows_of(ordinal).and_then(|of| self.finder.matched_rows(&mut scan, &of));
                let read = matched.and_then(|matched| {
                    trees.read(ordinal, rows)?;
                    // Both are in row order, so that positions are the same.
                    matched.spans.iter().for_each(|row| rows.facts[*row] |= MATCHES);
                    Ok(!matched.spans.is_empty())
                });
                match read {
                    Ok(true) => {
                        let place = Place::Sealed(index as u32, &mut trees);
                        self.visited(&mut Tree { rows, place }, visit)?;
                    }
                    Ok(false) => {}
                    Err(error) => self.problem(error)?,
                }
            }
        }
        let candidates = self.finder.loose_candidates(loose)?.into_iter();
        let mut ids: Vec<TraceId> = candidates.map(|candidate| candidate.0.trace_id).collect();
        ids.sort_unstable();
        self.loose_trees(&ids, rows, visit)
    }
}
