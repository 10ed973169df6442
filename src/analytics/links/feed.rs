//! The links of a snapshot as samples, each in the group of its edge.

use crate::catalog::{SegmentPart, Snapshot, TraceIds};
use crate::column::NONE;
use crate::error::{Error, ErrorKind, Result};
use crate::index::links::{FoundLink, LinkKind, LinkNames, LinkSpan, Linker};
use crate::limits::Limits;
use crate::model::{TimeRange, TraceId};
use crate::part::ReadCounter;
use crate::query::{Durations, Explain};
use crate::segment::{LinkRows, LinkTarget, LinkTargets};

use super::super::feed::{
    Batch, LISTED, List, Place, RangeSource, RowList, SampleIds, SampleSource, Sink, ids_of_rows, too_many_groups,
};
use super::super::groups::NO_ROOM;
use super::super::part_tables::DURATION;
use super::super::totals::{Totals, add_batch};
use super::carriers::CarrierRows;
use super::edges::Edges;
use super::loose::{Piece, loose_pieces};
use super::pointers::{POINTERS_MAX, Pointer, ids_of, service_of, targets_of};
use super::readers::Readers;
use super::rolled::{edge_of, is_rolled, rows_within, sums_of};
use super::row_scan::{RowScan, ScanSinks};

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
    /// By segment, whether its rollup tells its links.
    rolled: Vec<bool>,
    /// The samples beside the rollups that have a duration, as long as they are few.
    beside: Option<Vec<(u32, u64, SampleIds)>>,
    problems: Vec<String>,
}

/// Samples beside rollups that are kept from the pass that counts them.
const BESIDE_MAX: usize = 1 << 18;

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
        let rolled = snapshot.segments.iter().map(|part| is_rolled(part, window)).collect();
        let (names, beside) = (LinkNames::default(), None);
        Ok(Self { snapshot, window, limits, counter, names, edges, loose, rolled, beside, problems })
    }

    /// The totals of every link, from the rollups of segments and the rows that these do not tell of; `None` if there
    /// is no sound rollup.
    ///
    /// # Errors
    /// Whatever is not damage.
    pub fn rolled_totals(&mut self, with_histograms: bool) -> Result<Option<Vec<Totals>>> {
        let mut totals: Vec<Totals> = Vec::new();
        for (part, _) in self.snapshot.segments.iter().zip(&self.rolled).filter(|(_, rolled)| **rolled) {
            let bytes_max = self.limits.trace_bytes_max;
            let sums = match sums_of(part, &mut self.names, with_histograms, bytes_max, &self.counter) {
                Ok(sums) => sums,
                // What is damaged is met again by the scan.
                Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::TooLarge) => return Ok(None),
                Err(error) => return Err(error),
            };
            for (edge, group) in sums.into_iter().filter(|(_, group)| !group.is_empty()) {
                let number = self.edges.number(edge);
                if number == NO_ROOM {
                    continue;
                }
                totals.resize_with(totals.len().max(number as usize + 1), Totals::default);
                totals[number as usize].sums.merge(&group);
            }
        }
        if !self.rolled.contains(&true) {
            return Ok(None);
        }
        let mut groups = totals.len();
        let beside_max = BESIDE_MAX.min(self.limits.values_bytes_max / size_of::<(u32, u64, SampleIds)>());
        let mut beside: Option<Vec<(u32, u64, SampleIds)>> = Some(Vec::new());
        self.pass(true, &mut |batch| {
            let highest = batch.groups.iter().filter(|group| **group != NO_ROOM).max();
            groups = groups.max(highest.map_or(0, |group| *group as usize + 1));
            add_batch(&mut totals, groups, batch);
            let has_room = |kept: &Vec<_>| batch.is_listed() && kept.len() + batch.groups.len() <= beside_max;
            beside = beside.take().filter(has_room).and_then(|kept| with_durations(kept, batch).ok());
            Ok(())
        })?;
        self.beside = beside;
        totals.resize_with(self.edges.len(), Totals::default);
        Ok(Some(totals))
    }

    /// Hands the samples to the sink; those of clean traces of segments whose rollups tell them only if `beside_rolled`
    /// is false.
    fn pass(&mut self, beside_rolled: bool, sink: &mut Sink<'_>) -> Result<()> {
        let Self { snapshot, window, limits, counter, names, edges, loose, rolled, problems, .. } = self;
        let (linker, list) = (Linker::default(), List::default());
        let mut pass = Pass { window: *window, linker, edges, list, spans: Vec::new(), pointers: Vec::new() };
        let mut readers = Readers::new(snapshot, limits, counter);
        let mut problem = |error: Error| note(problems, error);
        for ((at, part), rolled) in (0u32..).zip(&snapshot.segments).zip(rolled) {
            if !(beside_rolled && *rolled)
                && let Err(error) = pass.add_clean((at, part), names, &mut readers, &mut problem, sink)
            {
                problem(error)?;
            }
            if let Err(error) = pass.add_clean_pointers(part, names, &mut readers, &mut problem, sink) {
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

/// Those kept so far, and the samples of a batch that have a duration and a group.
fn with_durations(mut kept: Vec<(u32, u64, SampleIds)>, batch: &Batch<'_>) -> Result<Vec<(u32, u64, SampleIds)>> {
    let timed = |at: &usize| batch.facts[*at] & DURATION != 0 && batch.groups[*at] != NO_ROOM;
    let ids = batch.ids((0..batch.groups.len()).filter(timed))?;
    let places = (0..batch.groups.len()).filter(timed);
    kept.extend(places.zip(ids).map(|(at, ids)| (batch.groups[at], batch.durations[at], ids)));
    Ok(kept)
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
        self.pass(false, sink)
    }

    fn groups(&self) -> usize {
        self.edges.len()
    }

    fn ids_at(&self, places: &[Place], listed: &[SampleIds]) -> Result<Vec<SampleIds>> {
        let mut out = Vec::with_capacity(places.len());
        for of_part in places.chunk_by(|a, b| a.0 == b.0) {
            if of_part[0].0 == LISTED {
                out.extend(of_part.iter().map(|(_, at)| listed[*at as usize]));
                continue;
            }
            let segment = &*self.snapshot.segments[of_part[0].0 as usize].segment;
            out.extend(ids_of_rows(segment, of_part.iter().map(|(_, row)| *row), &self.counter)?);
        }
        Ok(out)
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        note(&mut self.problems, error)
    }
}

impl RangeSource for LinkFeed<'_> {
    fn rows_within(
        &mut self,
        ranges: &[(u32, Durations)],
        listed: &mut Vec<SampleIds>,
        keep: &mut dyn FnMut(u32, Place, u64),
    ) -> Result<()> {
        for (at, part) in self.snapshot.segments.iter().enumerate().filter(|(at, _)| self.rolled[*at]) {
            let (names, bytes_max) = ((&mut self.names, &mut self.edges), self.limits.trace_bytes_max);
            rows_within(part, ranges, names, bytes_max, &self.counter, &mut |range, row, nanos| {
                keep(range, (at as u32, row), nanos);
            })?;
        }
        let of_sample = |group: u32, nanos: u64| {
            let first = ranges.partition_point(|(of, _)| *of < group);
            let own = (first..).zip(&ranges[first..]).take_while(move |(_, (of, _))| *of == group);
            own.filter(move |(_, (_, range))| range.contains(&nanos)).map(|(at, _)| at as u32)
        };
        if let Some(beside) = &self.beside {
            for (group, nanos, ids) in beside {
                for range in of_sample(*group, *nanos) {
                    listed.push(*ids);
                    keep(range, (LISTED, listed.len() as u32 - 1), *nanos);
                }
            }
            return Ok(());
        }
        self.pass(true, &mut |batch| {
            for (sample, group) in batch.groups.iter().enumerate().filter(|(at, _)| batch.facts[*at] & DURATION != 0) {
                let nanos = batch.durations[sample];
                of_sample(*group, nanos).for_each(|range| keep(range, batch.place(sample, listed), nanos));
            }
            Ok(())
        })
    }
}

type Problem<'p> = dyn FnMut(Error) -> Result<()> + 'p;

impl Pass<'_> {
    /// Links the clean traces of a segment, the part of this number: along their rows if that is enough.
    fn add_clean(
        &mut self,
        (number, part): (u32, &SegmentPart),
        names: &mut LinkNames,
        readers: &mut Readers<'_>,
        problem: &mut Problem<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let (segment, counter, window) = (&*part.segment, readers.counter, self.window);
        let source = segment.source()?;
        let (mut left, mut waiting, edges) = (Vec::new(), RowList::default(), &mut *self.edges);
        let mut sinks = ScanSinks {
            slot_of: &mut |codes| edges.number(edge_of(codes, &source, names)),
            left: &mut |ordinal| left.push(ordinal),
            problem,
        };
        let mut scan = RowScan::new(part, counter)?;
        scan.run(window, &mut sinks, |link| {
            waiting.add(link.slot, link.duration, link.error, link.row);
            if waiting.is_full() { waiting.flush((number, segment), counter, sink) } else { Ok(()) }
        })?;
        waiting.flush((number, segment), counter, sink)?;
        let mut rows = LinkRows::new(segment, names, false, counter)?.limited(readers.limits.trace_bytes_max);
        for ordinal in left {
            self.spans.clear();
            let low = segment.trace_id(ordinal, counter).and_then(|id| {
                rows.add_trace(ordinal, &mut self.spans)?;
                Ok(id.low())
            });
            match low {
                Ok(low) => self.link(low, names),
                Err(error) => problem(error)?,
            }
            self.list.flush_if_full(sink)?;
        }
        Ok(())
    }

    /// Notes the pointers that rows of clean traces of a segment carry.
    fn add_clean_pointers(
        &mut self,
        part: &SegmentPart,
        names: &mut LinkNames,
        readers: &mut Readers<'_>,
        problem: &mut Problem<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let (segment, counter) = (&*part.segment, readers.counter);
        if segment.directory().links == 0 {
            return Ok(());
        }
        let mut rows = CarrierRows::new(part, names, counter)?;
        let (mut targets, mut found) = (LinkTargets::from_row(segment, 0, counter)?, Vec::new());
        for end in (0..segment.rows()).step_by(POINTERS_MAX).map(|first| first.saturating_add(POINTERS_MAX as u32)) {
            targets.until(end, |row, target| found.push((row, target)))?;
            for (row, target) in found.drain(..) {
                match rows.pointer(row, target, self.window) {
                    Ok(pointer) => self.pointers.extend(pointer),
                    Err(error) => problem(error)?,
                }
            }
            self.pass_on(POINTERS_MAX, names, readers, problem, sink)?;
        }
        Ok(())
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
