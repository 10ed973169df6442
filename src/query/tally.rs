//! Counting distinct spans over all parts, exactly and without reading them all.
//!
//! A part alone holds no record twice, and knows how many rows each of its classes and resources has. Only
//! *doubled* traces, of which two parts may have the same record, can hold one twice. So:
//!
//! ```text
//! answer = rows of each part by class and resource, less the rows of deleted and doubled traces
//!        + each doubled trace once, its parts united, span by span
//! ```
//! [`CleanPart`](super::clean_part::CleanPart) is the first line for one part, [`Tally::each_doubled_span`] the
//! second. A [`Selection`] narrows both to the spans of a service that start in a window.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rustc_hash::FxHashSet;

use crate::catalog::{Extent, Snapshot, TraceIds};
use crate::column::{Class, RowSource};
use crate::error::{Error, ErrorKind, Result};
use crate::head::trace_id_of;
use crate::limits::Limits;
use crate::model::{Span, TimeRange, TraceId};
use crate::part::ReadCounter;

use super::clean_part::CleanPart;

/// Reasons a list names; of more it says that there are more.
const CUTS_MAX: usize = 20;

/// Which spans are counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'f> {
    /// Spans of this service only.
    pub service: Option<&'f str>,
    /// Spans that start in this window only; one without a start is in none but that of all time.
    pub window: TimeRange,
}

impl Selection<'_> {
    /// True if the span is counted.
    pub fn takes(&self, span: &Span) -> bool {
        self.in_window(span.start_unix_nano) && (self.service.is_none() || span.service() == self.service)
    }

    /// True if spans of this start may be counted.
    pub fn in_window(&self, start: u64) -> bool {
        self.window == TimeRange::ALL || (start != 0 && self.window.contains(start))
    }

    fn overlaps(&self, extent: Extent) -> bool {
        self.window == TimeRange::ALL || self.window.overlaps(extent.start, extent.last)
    }
}

/// A snapshot divided into rows that count as they are and doubled traces, and what had to be cut while counting.
pub struct Tally<'s> {
    snapshot: &'s Snapshot,
    selection: Selection<'s>,
    limits: &'s Limits,
    counter: &'s ReadCounter,
    /// Low halves of the ids of doubled traces.
    lows: FxHashSet<u64>,
    /// Ids of doubled traces and of those of the head that share a low half with one, each once, ascending.
    doubled: Vec<TraceId>,
    cuts: RefCell<Vec<String>>,
}

impl<'s> Tally<'s> {
    /// Finds the doubled traces of a snapshot.
    ///
    /// # Errors
    /// Corrupt if a page or section it needs is damaged; so do all methods here.
    pub fn new(
        snapshot: &'s Snapshot,
        selection: Selection<'s>,
        limits: &'s Limits,
        counter: &'s ReadCounter,
    ) -> Result<Self> {
        let (tally, problem) = Self::of_readable(snapshot, selection, limits, counter);
        problem.map_or(Ok(tally), Err)
    }

    /// As [`Tally::new`], without the doubled traces whose ids cannot be read, and the first problem.
    fn of_readable(
        snapshot: &'s Snapshot,
        selection: Selection<'s>,
        limits: &'s Limits,
        counter: &'s ReadCounter,
    ) -> (Self, Option<Error>) {
        let (mut ids, mut problem): (FxHashSet<TraceId>, _) = (FxHashSet::default(), None);
        for part in &snapshot.segments {
            for ordinal in part.doubled_live() {
                match part.segment.trace_id(ordinal, counter) {
                    Ok(id) => drop(ids.insert(id)),
                    Err(error) => problem = problem.or(Some(error)),
                }
            }
        }
        let lows: FxHashSet<u64> = ids.iter().map(|id| id.low()).collect();
        if !lows.is_empty() {
            let rows = snapshot.chapters.iter().flat_map(|chapter| &chapter.rows);
            ids.extend(rows.map(trace_id_of).filter(|id| lows.contains(&id.low())));
        }
        let mut doubled: Vec<TraceId> = ids.into_iter().collect();
        doubled.sort_unstable();
        (Self { snapshot, selection, limits, counter, lows, doubled, cuts: RefCell::default() }, problem)
    }

    /// What is read is counted here.
    pub fn counter(&self) -> &'s ReadCounter {
        self.counter
    }

    /// True if the trace, or one that shares its low half, is doubled.
    pub fn has_doubled(&self, id: TraceId) -> bool {
        self.lows.contains(&id.low())
    }

    /// Notes that something is missing from the answer, and why.
    pub fn cut(&self, reason: String) {
        let mut cuts = self.cuts.borrow_mut();
        if cuts.len() < CUTS_MAX && !cuts.contains(&reason) {
            cuts.push(reason);
        }
        if cuts.len() == CUTS_MAX {
            cuts.push("and more".to_owned());
        }
    }

    /// Why the answer is not complete; `None` if it is.
    pub fn into_reason(self) -> Option<String> {
        let cuts = self.cuts.into_inner();
        (!cuts.is_empty()).then(|| cuts.join("; "))
    }

    /// The clean rows of every part, the newest part first.
    ///
    /// # Errors
    /// As [`Tally::new`].
    pub fn clean_parts(&self) -> impl Iterator<Item = Result<CleanPart<'_>>> {
        let head = self.snapshot.chapters.iter().rev();
        let head = head.map(|chapter| Ok(CleanPart::of_chapter(chapter, &self.lows, &self.selection)));
        let sealed = self.snapshot.segments.iter().rev();
        head.chain(sealed.map(|part| CleanPart::sealed(part, &self.selection, self.counter)))
    }

    /// Calls `visit` with every distinct span of the doubled traces that is counted. Traces too large to be held
    /// are cut.
    ///
    /// # Errors
    /// As [`Tally::new`].
    pub fn each_doubled_span(&self, mut visit: impl FnMut(&Span)) -> Result<()> {
        for id in &self.doubled {
            if self.selection.window != TimeRange::ALL {
                let extent = self.snapshot.extent(*id, TraceIds::Strict, self.counter)?;
                if !extent.is_some_and(|extent| self.selection.overlaps(extent)) {
                    continue;
                }
            }
            match self.snapshot.trace(*id, TraceIds::Strict, self.counter) {
                Ok(spans) => spans.iter().filter(|span| self.selection.takes(span)).for_each(&mut visit),
                Err(error) if error.kind() == ErrorKind::TooLarge => self.cut(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Distinct spans by what a class, and likewise a span, says; those it says `None` of are left out. Keys
    /// whose bytes, as `len` tells, no longer fit into a list are cut.
    ///
    /// # Errors
    /// As [`Tally::new`].
    pub fn count_by<K: Ord>(
        &self,
        len: impl Fn(&K) -> usize,
        of_class: impl Fn(&dyn RowSource, &Class) -> Option<K>,
        of_span: impl Fn(&Span) -> Option<K>,
    ) -> Result<BTreeMap<K, u64>> {
        let mut out = BTreeMap::new();
        let mut room = ListRoom::new(self.limits.result_bytes_max);
        let mut add = |key: Option<K>, rows: u64| {
            let Some(key) = key else { return };
            match out.get_mut(&key) {
                Some(known) => *known += rows,
                None if room.take(size_of::<(K, u64)>() + len(&key)) => drop(out.insert(key, rows)),
                None => {}
            }
        };
        for part in self.clean_parts() {
            let part = part?;
            part.classes().for_each(|(class, rows)| add(of_class(part.source(), class), rows));
        }
        self.each_doubled_span(|span| add(of_span(span), 1))?;
        room.tell(self);
        Ok(out)
    }
}

/// Room for the distinct entries of a list.
#[derive(Debug)]
pub struct ListRoom {
    max: usize,
    left: usize,
    full: bool,
}

impl ListRoom {
    /// Room for so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { max: bytes_max, left: bytes_max, full: false }
    }

    /// Takes room for an entry; false if there is not enough. No entry after that gets room, so that the list
    /// has those that were met first.
    pub fn take(&mut self, bytes: usize) -> bool {
        self.full |= bytes > self.left;
        self.left = if self.full { 0 } else { self.left - bytes };
        !self.full
    }

    /// Notes in the tally if an entry found no room.
    pub fn tell(&self, tally: &Tally<'_>) {
        if self.full {
            let max = self.max;
            tally.cut(format!("more than {max} bytes of entries: the rest is left out (Limits::result_bytes_max)"));
        }
    }
}

/// How much a snapshot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Distinct spans.
    pub spans: u64,
    /// Rows of all parts; a record that lies in two parts counts twice.
    pub rows: u64,
    /// Distinct trace ids.
    pub traces: u64,
}

/// Counts spans, rows and traces, as far as they can be read. Reads the spans of doubled traces, and of all others
/// nothing. Every problem is told once.
pub fn counts(snapshot: &Snapshot, limits: &Limits) -> (Counts, Vec<Error>) {
    let counter = ReadCounter::limited(limits.trace_bytes_max);
    let (tally, problem) = Tally::of_readable(snapshot, Selection::default(), limits, &counter);
    let mut problems: Vec<Error> = problem.into_iter().collect();
    let mut out = Counts::default();
    for part in tally.clean_parts() {
        match part {
            Ok(part) => out.spans += part.classes().map(|(_, rows)| rows).sum::<u64>(),
            Err(error) => problems.push(error),
        }
    }
    for id in &tally.doubled {
        match snapshot.trace(*id, TraceIds::Strict, &counter) {
            Ok(spans) => out.spans += spans.len() as u64,
            Err(error) => problems.push(error),
        }
    }
    out.rows += snapshot.segments.iter().map(|part| u64::from(part.segment.rows())).sum::<u64>();
    out.rows += snapshot.chapters.iter().map(|chapter| chapter.rows.len() as u64).sum::<u64>();
    let clean = snapshot.segments.iter().map(|part| u64::from(part.segment.traces()) - part.dirty.len());
    let (loose, unreadable) = snapshot.readable_loose_traces(&counter);
    problems.extend(unreadable);
    out.traces = clean.sum::<u64>() + loose.len() as u64;
    (out, problems)
}
