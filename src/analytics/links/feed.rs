//! The links of a snapshot as samples, each in the group of its edge.

use crate::catalog::{SegmentPart, Snapshot, TraceIds};
use crate::column::NONE;
use crate::error::{Error, ErrorKind, Result};
use crate::index::links::{FoundLink, LinkKind, LinkNames, LinkSpan, Linker};
use crate::limits::Limits;
use crate::model::{TimeRange, TraceId};
use crate::part::ReadCounter;
use crate::query::Explain;
use crate::segment::{Fixed, IntegerCursor, LinkRows, LinkTarget, LinkTargets};

use super::super::feed::{List, Place, SampleIds, SampleSource, Sink, too_many_groups};
use super::edges::Edges;
use super::loose::{Piece, loose_pieces};
use super::pointers::{POINTERS_MAX, Pointer, ids_of, service_of, targets_of};
use super::readers::Readers;

/// Problems an answer names; of more it says that there are more.
const PROBLEMS_MAX: usize = 20;

/// The links of one question.
pub struct LinkFeed<'q> {
    snapshot: &'q Snapshot,
    window: TimeRange,
    limits: &'q Limits,
    counter: ReadCounter,
    names: LinkNames,
    edges: Edges,
    loose: Vec<Piece>,
    problems: Vec<String>,
}

/// What a pass needs beside the names.
struct Pass<'p> {
    window: TimeRange,
    linker: Linker,
    edges: &'p mut Edges,
    list: List,
    /// Records of the trace at hand.
    spans: Vec<LinkSpan>,
    pointers: Vec<Pointer>,
}

impl<'q> LinkFeed<'q> {
    /// Finds the loose traces.
    ///
    /// # Errors
    /// Whatever is not damage.
    pub fn new(snapshot: &'q Snapshot, window: TimeRange, limits: &'q Limits) -> Result<Self> {
        let counter = ReadCounter::limited(limits.trace_bytes_max);
        let mut problems = Vec::new();
        let loose = loose_pieces(snapshot, &counter, &mut |error| note(&mut problems, error))?;
        let edges = Edges::new(limits.groups_max);
        Ok(Self { snapshot, window, limits, counter, names: LinkNames::default(), edges, loose, problems })
    }

    /// Parent, child and kind of a group.
    pub fn edge(&self, number: u32) -> (&str, &str, LinkKind) {
        let (parent, child, kind) = self.edges.edge(number);
        (self.names.text(parent), self.names.text(child), kind)
    }

    /// What was read, and why the answer is not complete if it is not.
    pub fn finish(mut self, incomplete: bool) -> (Explain, Option<String>) {
        if self.edges.is_full() {
            self.problems.push(too_many_groups(self.limits));
        }
        if incomplete && self.problems.is_empty() {
            self.problems.push("some values could not be read".to_owned());
        }
        let mut explain = Explain::default();
        for part in &self.snapshot.segments {
            explain.blocks_considered += part.segment.blocks();
            explain.pages_considered += u64::from(part.segment.row_pages());
            explain.bytes_considered += part.segment.len_bytes();
        }
        explain.parts_considered = (self.snapshot.segments.len() + self.snapshot.chapters.len()) as u64;
        (explain.parts_read, explain.blocks_read) = (explain.parts_considered, explain.blocks_considered);
        explain.pages_read = explain.pages_considered;
        (explain.pages_decoded, explain.bytes_read) = (self.counter.pages(), self.counter.bytes());
        (explain, (!self.problems.is_empty()).then(|| self.problems.join("; ")))
    }
}

/// Notes damage and what is too large; all else is an error.
fn note(problems: &mut Vec<String>, error: Error) -> Result<()> {
    if !matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::TooLarge) {
        return Err(error);
    }
    let text = error.to_string();
    if problems.len() < PROBLEMS_MAX && !problems.contains(&text) {
        problems.push(text);
    }
    if problems.len() == PROBLEMS_MAX {
        problems.push("and more".to_owned());
    }
    Ok(())
}

impl SampleSource for LinkFeed<'_> {
    fn run(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        let Self { snapshot, window, limits, counter, names, edges, loose, problems } = self;
        let (linker, list) = (Linker::default(), List::default());
        let mut pass = Pass { window: *window, linker, edges, list, spans: Vec::new(), pointers: Vec::new() };
        let mut readers = Readers::new(snapshot, limits, counter);
        let mut problem = |error: Error| note(problems, error);
        for part in &snapshot.segments {
            if let Err(error) = pass.add_clean(part, names, &mut readers, &mut problem, sink) {
                problem(error)?;
            }
        }
        for of_trace in loose.chunk_by(|a, b| a.low == b.low) {
            if let Err(error) = pass.add_loose(of_trace, names, &mut readers) {
                problem(error)?;
            }
            pass.pass_on(POINTERS_MAX, names, &mut readers, &mut problem, sink)?;
        }
        pass.pass_on(0, names, &mut readers, &mut problem, sink)?;
        pass.list.flush(sink)
    }

    fn groups(&self) -> usize {
        self.edges.len()
    }

    fn ids_at(&self, places: &[Place], listed: &[SampleIds]) -> Result<Vec<SampleIds>> {
        Ok(places.iter().map(|(_, at)| listed[*at as usize]).collect())
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        note(&mut self.problems, error)
    }
}

type Problem<'p> = dyn FnMut(Error) -> Result<()> + 'p;

impl Pass<'_> {
    /// Links the clean traces of a segment.
    fn add_clean(
        &mut self,
        part: &SegmentPart,
        names: &mut LinkNames,
        readers: &mut Readers<'_>,
        problem: &mut Problem<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let (segment, counter) = (&*part.segment, readers.counter);
        let cursor = |column: Fixed| IntegerCursor::new(segment, column as u32, true, counter);
        let (mut lows, mut firsts) = (cursor(Fixed::TraceLow), cursor(Fixed::TraceRow));
        let (mut starts, mut durations) = (cursor(Fixed::TraceStart), cursor(Fixed::TraceDuration));
        let mut rows = LinkRows::new(segment, names, true, counter)?.limited(readers.limits.trace_bytes_max);
        let mut targets = LinkTargets::from_row(segment, 0, counter)?;
        for ordinal in (0..segment.traces()).filter(|ordinal| !part.dirty.contains(*ordinal)) {
            let mut link = || {
                let start = starts.get(ordinal as usize)?;
                let last = start.saturating_add(durations.get(ordinal as usize)?);
                if self.window != TimeRange::ALL && (start == 0 || !self.window.overlaps(start, last)) {
                    return Ok(());
                }
                self.spans.clear();
                rows.add_trace(ordinal, &mut self.spans)?;
                let low = lows.get(ordinal as usize)?;
                let first = firsts.get(ordinal as usize)? as u32;
                // The links of dirty traces and of those outside the window are passed over.
                targets.until(first, |_, _| {})?;
                self.add_pointers(low, first, &mut targets)?;
                self.link(low, names);
                Ok(())
            };
            if let Err(error) = link() {
                problem(error)?;
            }
            self.pass_on(POINTERS_MAX, names, readers, problem, sink)?;
        }
        Ok(())
    }

    /// Notes the pointers that the rows at hand carry, of a trace whose first row this is.
    fn add_pointers(&mut self, low: u64, first: u32, targets: &mut LinkTargets<'_>) -> Result<()> {
        let Self { spans, pointers, window, .. } = self;
        targets.until(first + spans.len() as u32, |row, target| {
            let span = spans.get((row - first) as usize).filter(|span| takes(*window, span.start));
            pointers.extend(span.and_then(|span| Pointer::of(span, low, target)));
        })
    }

    /// Links the records at hand, of a trace whose id has this lower half.
    fn link(&mut self, low: u64, names: &mut LinkNames) {
        let Self { window, linker, edges, list, spans, .. } = self;
        linker.link(spans, names, |found: FoundLink| {
            let FoundLink { parent, child, kind, error, backfilled, span } = found;
            if let Some(ids) = ids_of(&span, low).filter(|_| takes(*window, span.start)) {
                let duration = span.duration.filter(|_| !backfilled);
                list.add(edges.number((parent, child, kind)), duration, error, ids);
            }
        });
    }

    /// Links a loose trace, from all its pieces.
    fn add_loose(&mut self, pieces: &[Piece], names: &mut LinkNames, readers: &mut Readers<'_>) -> Result<()> {
        let Some(Piece { low, .. }) = pieces.first().copied() else { return Ok(()) };
        let is_doubled = readers.is_doubled(pieces);
        self.spans.clear();
        for piece in pieces {
            let first = self.spans.len();
            readers.add(*piece, names, &mut self.spans)?;
            if !is_doubled {
                let Self { spans, pointers, window, .. } = self;
                readers.targets_of(*piece, &spans[first..], |span, target| {
                    let taken = takes(*window, span.start);
                    pointers.extend(Pointer::of(span, low, target).filter(|_| taken));
                })?;
            }
        }
        if is_doubled {
            self.add_united_pointers(low, names, readers)?;
        }
        self.link(low, names);
        Ok(())
    }

    /// Notes the pointers of a trace whose records may be there twice.
    fn add_united_pointers(&mut self, low: u64, names: &mut LinkNames, readers: &Readers<'_>) -> Result<()> {
        let mut highs: Vec<u64> = self.spans.iter().map(|span| span.trace_high).collect();
        highs.sort_unstable();
        highs.dedup();
        for id in highs.into_iter().filter_map(|high| TraceId::from_halves(high, low)) {
            let spans = readers.snapshot.trace(id, TraceIds::Strict, readers.counter)?;
            for span in spans.iter().filter(|span| takes(self.window, span.start_unix_nano)) {
                let service = names.code(span.service());
                if service != NONE {
                    let (error, duration) = (span.is_error(), span.duration_nanos());
                    let ids = (span.trace_id, Some(span.span_id));
                    let leads = |target: &LinkTarget| target.span_id != 0 && target.trace_low | target.trace_high != 0;
                    let targets = targets_of(span).filter(leads);
                    self.pointers.extend(targets.map(|target| Pointer { target, service, error, duration, ids }));
                }
            }
        }
        Ok(())
    }

    /// Hands on what waits, if it is a lot; pointers if there are more than so many.
    fn pass_on(
        &mut self,
        pointers_max: usize,
        names: &mut LinkNames,
        readers: &mut Readers<'_>,
        problem: &mut Problem<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        self.list.flush_if_full(sink)?;
        if self.pointers.len() <= pointers_max {
            return Ok(());
        }
        let mut pointers = std::mem::take(&mut self.pointers);
        pointers.sort_unstable();
        for of_trace in pointers.chunk_by(|a, b| a.target.trace_low == b.target.trace_low) {
            self.spans.clear();
            if let Err(error) = readers.add_all(of_trace[0].target.trace_low, names, &mut self.spans) {
                problem(error)?;
                continue;
            }
            for pointer in of_trace {
                let parent = service_of(&pointer.target, &self.spans, |code| names.text(code).to_owned());
                if parent != NONE {
                    let edge = self.edges.number((parent, pointer.service, LinkKind::Link));
                    self.list.add(edge, pointer.duration, pointer.error, pointer.ids);
                }
            }
            self.list.flush_if_full(sink)?;
        }
        Ok(())
    }
}

/// True if a span that starts then is asked about.
fn takes(window: TimeRange, start: u64) -> bool {
    window == TimeRange::ALL || (start != 0 && window.contains(start))
}
