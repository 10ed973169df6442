//! Samples of traces and stages, from columns alone.
//!
//! A class tells service, name, kind, status and error of a row, so that pages of classes are read, of the rows that
//! have one an attribute, and of the rows of a stage start and length; no page that holds no such class is read:
//!
//! ```text
//! rows       | trace 41          | trace 42 |   43 ...
//! class        a  b  c  b  b  d    a  e  b
//! error        .  .  !  .  .  .    .  .  .        41 is an error
//! channel      .  .  .  .  .  app  .  .  .        41 counts in "app", 42 in none
//! ```
//! Extents of whole traces stand in the trace table. A clean trace is finished when the pass leaves its rows; those
//! of the head and those that lie in several parts are put together in [`Pieces`] and come last.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use crate::error::Result;
use crate::head::{Chapter, trace_id_of};
use crate::limits::PAGE_ROWS;
use crate::model::TraceId;
use crate::query::{MatchPart, Matching, MatchingTraces, TraceTable};

use super::feed::{List, Sink};
use super::grouper::Grouper;
use super::trace_page::{ClassTables, PageRows};
use super::trace_pieces::{OneTrace, Pieces};

/// In place of the number of a loose trace.
const CLEAN: u32 = u32::MAX;

/// One pass over the traces that were found.
pub struct TracePass<'f, 'q> {
    /// The search, for damage and what is read.
    pub matching: &'f mut Matching<'q>,
    /// Its parts.
    pub parts: &'f [MatchPart<'q>],
    /// The traces.
    pub found: &'f MatchingTraces,
    /// How they are grouped.
    pub grouper: &'f mut Grouper,
    /// Names of the stages that are the samples; the traces are, if there is none.
    pub stages: &'f [String],
}

impl<'q> TracePass<'_, 'q> {
    /// Hands every sample to the sink; false if there was no room for some.
    ///
    /// # Errors
    /// Whatever is not damage.
    pub fn run(mut self, sink: &mut Sink<'_>) -> Result<bool> {
        let mut pieces = Pieces::new(self.found);
        let mut out = Samples::new(self.stages);
        let mut one = OneTrace::new(self.grouper.keys_len().0, self.stages.len());
        for (index, part) in self.parts.iter().enumerate() {
            match (part.traces(), part.chapter()) {
                (Some(traces), _) => self.sealed(index, part, traces, (&mut pieces, &mut one), &mut out, sink)?,
                (None, Some(chapter)) => self.in_chapter(index, part, chapter, &mut pieces)?,
                (None, None) => {}
            }
        }
        let complete = !pieces.is_cut();
        let mut result = Ok(());
        pieces.each(&mut one, |id, reach, one| {
            let Some(duration) = reach.duration().filter(|nanos| self.matching.takes_duration(*nanos)) else { return };
            if result.is_ok() {
                out.add(id, duration, one, self.grouper);
                result = out.list.flush_if_full(sink);
            }
        });
        result?;
        out.list.flush(sink)?;
        Ok(complete)
    }

    fn sealed<'p>(
        &mut self,
        index: usize,
        part: &'p MatchPart<'q>,
        mut traces: TraceTable<'p>,
        (pieces, one): (&mut Pieces, &mut OneTrace),
        out: &mut Samples<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        one.clear();
        let mut tables = ClassTables::new(index, part, self.stages, self.grouper);
        let found = self.found;
        let planned = found.loose_in(&mut traces).and_then(|loose| {
            for (ordinal, number) in &loose {
                pieces.add(*number, traces.start(*ordinal)?, traces.duration(*ordinal)?, false);
            }
            let pages = found.pages_with(index, part, &mut traces, &loose, &tables.wanted)?;
            Ok((loose, pages))
        });
        let (loose, pages) = match planned {
            Ok(planned) => planned,
            Err(error) => return self.matching.problem(error),
        };
        let mut rows = PageRows::default();
        let upcoming = found.clean(index, &traces).peekable();
        let mut walk = Walk { upcoming, one, at: None, spoiled: VecDeque::new() };
        for number in pages.iter() {
            let page = self.matching.whole_page(part, number);
            let read = page.and_then(|page| {
                rows.choose(number, &page, &tables, &mut traces, |traces, ordinal| {
                    if found.has_clean(index, traces, ordinal) {
                        return Some(CLEAN);
                    }
                    loose.binary_search_by_key(&ordinal, |(of, _)| *of).ok().map(|at| loose[at].1)
                })?;
                rows.read(index, number, part, &page, &tables, Some(&mut traces), self.grouper)
            });
            if let Err(error) = read {
                self.matching.problem(error)?;
                let on_page = traces.on_page(number).unwrap_or(0..=u32::MAX);
                let of_page = loose.iter().filter(|(ordinal, _)| on_page.contains(ordinal));
                of_page.for_each(|(_, number)| pieces.spoil(*number));
                walk.spoiled.push_back(on_page);
                continue;
            }
            for at in 0..rows.rows.len() {
                let (ordinal, trace) = (rows.ordinals[at], rows.traces[at]);
                if trace != CLEAN {
                    rows.add_to_piece(at, trace, part, &mut tables, pieces, self.grouper);
                    continue;
                }
                if walk.at != Some(ordinal) {
                    self.leave(&mut walk, Some(ordinal), &mut traces, out, sink)?;
                }
                rows.add_to_one(at, part, &mut tables, walk.one, self.grouper);
            }
        }
        self.leave(&mut walk, None, &mut traces, out, sink)
    }

    /// Finishes the traces before this ordinal, or all, and begins with it.
    fn leave(
        &mut self,
        walk: &mut Walk<'_>,
        next: Option<u32>,
        traces: &mut TraceTable<'_>,
        out: &mut Samples<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        while let Some(ordinal) = walk.upcoming.next_if(|ordinal| next.is_none_or(|next| *ordinal < next)) {
            let has_rows = walk.at == Some(ordinal);
            if (has_rows || out.stages.is_empty()) && !walk.is_spoiled(ordinal) {
                match read_trace(traces, ordinal) {
                    Ok((0, ..)) => {}
                    Ok((_, duration, id)) if self.matching.takes_duration(duration) => {
                        out.add(id, duration, walk.one, self.grouper);
                        out.list.flush_if_full(sink)?;
                    }
                    Ok(_) => {}
                    Err(error) => self.matching.problem(error)?,
                }
            }
            if has_rows {
                walk.one.clear();
                walk.at = None;
            }
        }
        walk.at = next;
        Ok(())
    }

    fn in_chapter(&mut self, index: usize, part: &MatchPart<'q>, chapter: &Chapter, pieces: &mut Pieces) -> Result<()> {
        let mut tables = ClassTables::new(index, part, self.stages, self.grouper);
        let mut rows = PageRows::default();
        for number in self.matching.pages(part) {
            let first = *number as usize * PAGE_ROWS;
            let of_page = &chapter.rows[first.min(chapter.rows.len())..chapter.rows.len().min(first + PAGE_ROWS)];
            rows.clear();
            let mut last = (None, None);
            for (row, head) in of_page.iter().enumerate() {
                if last.0 != Some(head.trace_id) {
                    last = (Some(head.trace_id), self.found.number_of(trace_id_of(head)));
                }
                let Some(trace) = last.1 else { continue };
                let class = head.class as usize;
                let duration = if tables.has_duration[class] { head.end.wrapping_sub(head.start) } else { 0 };
                pieces.add(trace, head.start, duration, false);
                if tables.wanted[class] {
                    rows.push(row as u16, 0, trace);
                    rows.times.push((head.start, head.end.wrapping_sub(head.start)));
                }
            }
            let page = self.matching.whole_page(part, *number);
            let read = page.and_then(|page| rows.read(index, *number, part, &page, &tables, None, self.grouper));
            if let Err(error) = read {
                self.matching.problem(error)?;
                rows.traces.iter().for_each(|trace| pieces.spoil(*trace));
                continue;
            }
            for at in 0..rows.rows.len() {
                rows.add_to_piece(at, rows.traces[at], part, &mut tables, pieces, self.grouper);
            }
        }
        Ok(())
    }
}

/// Start, duration and id of a trace.
fn read_trace(traces: &mut TraceTable<'_>, ordinal: u32) -> Result<(u64, u64, TraceId)> {
    Ok((traces.start(ordinal)?, traces.duration(ordinal)?, traces.id(ordinal)?))
}

/// Where the pass stands among the clean traces of a segment.
struct Walk<'w> {
    upcoming: std::iter::Peekable<Box<dyn Iterator<Item = u32> + 'w>>,
    /// The trace of which rows were taken, and what they say.
    at: Option<u32>,
    one: &'w mut OneTrace,
    /// Traces of which something could not be read.
    spoiled: VecDeque<RangeInclusive<u32>>,
}

impl Walk<'_> {
    /// True if something of the trace could not be read; ordinals rise.
    fn is_spoiled(&mut self, ordinal: u32) -> bool {
        while self.spoiled.front().is_some_and(|range| *range.end() < ordinal) {
            self.spoiled.pop_front();
        }
        self.spoiled.front().is_some_and(|range| range.contains(&ordinal))
    }
}

/// The samples of the traces that were finished.
struct Samples<'s> {
    stages: &'s [String],
    list: List,
    groups: Vec<u32>,
}

impl<'s> Samples<'s> {
    fn new(stages: &'s [String]) -> Self {
        Self { stages, list: List::default(), groups: Vec::new() }
    }

    fn add(&mut self, id: TraceId, duration: u64, one: &OneTrace, grouper: &mut Grouper) {
        let Self { stages, list, groups } = self;
        if stages.is_empty() {
            grouper.of_trace(None, &one.codes, groups);
            groups.iter().for_each(|group| list.add(*group, Some(duration), one.error, (id, None)));
        }
        for (stage, reach) in stages.iter().zip(&one.stages) {
            if let Some(duration) = reach.duration() {
                grouper.of_trace(Some(stage), &one.codes, groups);
                groups.iter().for_each(|group| list.add(*group, Some(duration), reach.error, (id, None)));
            }
        }
    }
}
