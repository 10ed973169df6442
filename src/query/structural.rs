//! Structural conditions in a search: which part decides them on which rows.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::SegmentPart;
use crate::error::Result;
use crate::head::trace_id_of;
use crate::model::TraceId;

use super::find::{Finder, PartCriteria};
use super::matching::Matching;
use super::structure::{HeadRows, head_rows};

impl<'q> Finder<'q> {
    /// Makes the structural condition, if there is one, decide the clean traces of the segment it was compiled for.
    ///
    /// # Errors
    /// Corrupt if the segment's tables are damaged.
    pub(super) fn decide(&self, criteria: &mut PartCriteria<'q>, part: &'q SegmentPart) -> Result<()> {
        match &mut criteria.structure {
            Some(set) => set.decide(part, self.counter, self.query.include_unknown),
            None => Ok(()),
        }
    }
}

impl Matching<'_> {
    /// For a structural condition, which takes whole traces: finds the dirty traces that may have a match. They stand
    /// in for the doubled ones, and no rows of theirs are taken from pages. Returns the low halves of the ids of all
    /// dirty traces, and the rows of the others in the head; `None` if these, too, are judged as spans.
    pub(super) fn find_loose(&mut self) -> Result<(FxHashSet<u64>, Option<HeadRows>)> {
        let (snapshot, mut lows) = (self.finder.snapshot, FxHashSet::default());
        for part in &snapshot.segments {
            for ordinal in part.loose() {
                match part.segment.trace_id(ordinal, self.finder.counter) {
                    Ok(id) => drop(lows.insert(id.low())),
                    Err(error) => self.finder.problem(error)?,
                }
            }
        }
        let set = self.finder.query.structure.as_ref();
        let head = set.map(|set| head_rows(set, &snapshot.chapters, &|low| lows.contains(&low)));
        let head = match head.transpose() {
            Ok(head) => head.flatten(),
            Err(error) => self.finder.problem(error).map(|()| None)?,
        };
        let mut loose = FxHashMap::default();
        if head.is_none() {
            self.finder.scan_chapters(&mut loose)?;
        }
        let before = self.finder.explain.clone();
        for (index, part) in snapshot.segments.iter().enumerate() {
            if part.loose().next().is_some() {
                self.finder.begin_segment(index, &mut loose)?;
            }
        }
        self.finder.explain = before;
        let mut ids: FxHashSet<TraceId> = loose.into_values().map(|(id, _)| id).collect();
        if head.is_some() && !lows.is_empty() {
            let rows = snapshot.chapters.iter().flat_map(|chapter| &chapter.rows);
            ids.extend(rows.map(trace_id_of).filter(|id| lows.contains(&id.low())));
        }
        self.doubled = ids.into_iter().collect();
        self.doubled.sort_unstable();
        Ok((lows, head))
    }
}
