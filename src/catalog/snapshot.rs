//! A pinned list of parts: what one query sees, whatever is appended, sealed or merged meanwhile.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::column::ClassBits;
use crate::error::{Error, Result};
use crate::head::{FrozenChapter, trace_id_of};
use crate::index::TraceSet;
use crate::model::{Span, TraceId, duration_nanos};
use crate::part::ReadCounter;
use crate::segment::{Detail, Fixed, IntegerCursor, Segment};

/// A segment and those of its traces that may also lie elsewhere.
#[derive(Clone, Debug)]
pub struct SegmentPart {
    /// The segment.
    pub segment: Arc<Segment>,
    /// Ordinals of dirty traces: a superset of those that share their low 64 bits with a trace of another
    /// part or another trace of this one, and of the deleted ones.
    pub dirty: Arc<TraceSet>,
    /// Ordinals of traces of which a record may be identical to one of another part: a subset of the dirty ones,
    /// and hardly any, because appending drops such records. A bit too many is allowed, one too few is not.
    pub doubled: Arc<TraceSet>,
    /// Ordinals of traces that were deleted and lie here until a merge: dead rows. All of them are dirty.
    pub deleted: Arc<TraceSet>,
}

impl SegmentPart {
    /// A segment with dirty traces, none of them deleted.
    pub fn new(segment: Arc<Segment>, dirty: TraceSet) -> Self {
        Self { segment, dirty: Arc::new(dirty), doubled: Arc::default(), deleted: Arc::default() }
    }

    /// The same segment, of whose traces these may have records that another part has too.
    #[must_use]
    pub fn with_doubled(self, doubled: TraceSet) -> Self {
        Self { doubled: Arc::new(doubled), ..self }
    }

    /// Ordinals of traces whose rows do not simply count: of the deleted ones none does, and the doubled ones
    /// are united first. The rows of all others, split over parts or not, are distinct spans.
    pub fn apart(&self) -> Cow<'_, TraceSet> {
        match (self.doubled.is_empty(), self.deleted.is_empty()) {
            (true, _) => Cow::Borrowed(&*self.deleted),
            (_, true) => Cow::Borrowed(&*self.doubled),
            _ => Cow::Owned((*self.doubled).clone().or(&self.deleted)),
        }
    }

    /// Ordinals of doubled traces that live.
    pub fn doubled_live(&self) -> impl Iterator<Item = u32> + '_ {
        self.doubled.iter().filter(|ordinal| !self.deleted.contains(*ordinal))
    }

    /// Ordinals of dirty traces that live.
    pub fn loose(&self) -> impl Iterator<Item = u32> + '_ {
        self.dirty.iter().filter(|ordinal| !self.deleted.contains(*ordinal))
    }

    /// Ordinals of live traces with this id.
    ///
    /// # Errors
    /// Corrupt if the trace table is damaged.
    pub fn ordinals_of(&self, id: TraceId, ids: TraceIds, counter: &ReadCounter) -> Result<Vec<(u32, TraceId)>> {
        let mut out = Vec::new();
        for ordinal in self.segment.ordinals_of_low(id.low(), counter)? {
            let found = self.segment.trace_id_of_low(ordinal, id.low(), counter)?;
            if ids.same(found, id) && !self.deleted.contains(ordinal) {
                out.push((ordinal, found));
            }
        }
        Ok(out)
    }

    /// True if a live trace of this segment shares these low 64 bits.
    ///
    /// # Errors
    /// Corrupt if the trace table is damaged.
    pub fn has_low(&self, low: u64, counter: &ReadCounter) -> Result<bool> {
        Ok(self.segment.ordinals_of_low(low, counter)?.into_iter().any(|ordinal| !self.deleted.contains(ordinal)))
    }
}

/// An immutable list of parts.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Segments, oldest first.
    pub segments: Vec<SegmentPart>,
    /// Chapters of the head, oldest first.
    pub chapters: Vec<Arc<FrozenChapter>>,
    extents: OnceLock<FxHashMap<u64, Extent>>,
}

/// From when to when a trace reaches, in some part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Earliest start, `u64::MAX` if no span has one.
    pub start: u64,
    /// Latest instant of a span with a start.
    pub last: u64,
    /// The id: of several that share the low half, the smallest that has an upper half.
    pub trace_id: TraceId,
}

impl Extent {
    /// Both together.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let key = |id: TraceId| (id.high() == 0, id);
        let trace_id = if key(other.trace_id) < key(self.trace_id) { other.trace_id } else { self.trace_id };
        Self { start: self.start.min(other.start), last: self.last.max(other.last), trace_id }
    }

    /// Latest instant minus earliest start.
    pub fn duration(&self) -> u64 {
        if self.start == u64::MAX { 0 } else { self.last.saturating_sub(self.start) }
    }
}

/// Which traces share a group: by full id, or by the low 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceIds {
    /// Ids of 128 bits differ if any bit does.
    Strict,
    /// Ids that share the low 64 bits are one trace.
    Lenient,
}

impl TraceIds {
    /// True if a trace of this id belongs to the group that `wanted` names.
    pub fn same(self, id: TraceId, wanted: TraceId) -> bool {
        match self {
            Self::Strict => id == wanted,
            Self::Lenient => id.low() == wanted.low(),
        }
    }
}

impl Snapshot {
    /// A snapshot of these parts.
    pub fn new(segments: Vec<SegmentPart>, chapters: Vec<Arc<FrozenChapter>>) -> Self {
        Self { segments, chapters, extents: OnceLock::new() }
    }

    /// The distinct spans of a trace, by start, then span id; those without a start last. Empty if there is
    /// no such trace.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; TooLarge if its parts together outgrow what the counter allows.
    pub fn trace(&self, id: TraceId, ids: TraceIds, counter: &ReadCounter) -> Result<Vec<Span>> {
        counter.holding(|| self.hold_trace(id, ids, counter))
    }

    fn hold_trace(&self, id: TraceId, ids: TraceIds, counter: &ReadCounter) -> Result<Vec<Span>> {
        let mut out: Vec<Span> = Vec::new();
        let mut pieces = 0;
        for part in &self.segments {
            for found in part.ordinals_of(id, ids, counter)? {
                out.extend(part.segment.hold_trace_of(found, Detail::Full, counter)?);
                pieces += 1;
            }
        }
        let sealed = out.len();
        for chapter in &self.chapters {
            for row in chapter.rows_of_low(id.low()) {
                if ids.same(trace_id_of(&chapter.rows[row as usize]), id) {
                    let span = chapter.span(row)?;
                    let held = counter.hold(span.held_bytes(), out.len() + 1, out.len() + 1);
                    held.map_err(|e| e.at(format!("trace {id}")))?;
                    out.push(span);
                }
            }
        }
        if pieces > 1 || (pieces > 0 && out.len() > sealed) {
            unite(&mut out);
        }
        sort_spans(&mut out);
        Ok(out)
    }

    /// The distinct spans of each of these traces, in the order of [`Snapshot::trace`]. Faster than one by one
    /// where traces lie next to each other.
    ///
    /// # Errors
    /// As [`Snapshot::trace`], for any of them.
    pub fn traces(&self, ids: &[TraceId], counter: &ReadCounter) -> Result<Vec<Vec<Span>>> {
        let mut out: Vec<Option<Vec<Span>>> = ids.iter().map(|_| None).collect();
        for part in &self.segments {
            let mut clean: Vec<(u32, usize)> = Vec::new();
            for (index, id) in ids.iter().enumerate().filter(|(index, _)| out[*index].is_none()) {
                let found = part.ordinals_of(*id, TraceIds::Strict, counter)?;
                clean.extend(found.iter().filter(|(o, _)| !part.dirty.contains(*o)).map(|(o, _)| (*o, index)));
            }
            clean.sort_unstable();
            for run in clean.chunk_by(|a, b| a.0 + 1 == b.0) {
                let bounded = ReadCounter::limited(BYTES_AT_ONCE);
                let ordinals = run[0].0..run[run.len() - 1].0 + 1;
                // What cannot be read together is read one by one below.
                let Ok(read) = part.segment.spans_of_traces(ordinals, &bounded) else { continue };
                for ((_, index), mut spans) in run.iter().zip(read) {
                    sort_spans(&mut spans);
                    out[*index] = Some(spans);
                }
            }
        }
        let one = |(known, id): (Option<Vec<Span>>, &TraceId)| match known {
            Some(spans) => Ok(spans),
            None => counter.holding(|| self.trace(*id, TraceIds::Strict, counter)),
        };
        out.into_iter().zip(ids).map(one).collect()
    }

    /// The extent of every trace of the head by the low half of its id, over ids that share it.
    pub fn head_extents(&self) -> &FxHashMap<u64, Extent> {
        self.extents.get_or_init(|| {
            let mut out: FxHashMap<u64, Extent> = FxHashMap::default();
            for chapter in &self.chapters {
                for row in &chapter.rows {
                    let extent = extent_of(chapter, row);
                    out.entry(extent.trace_id.low()).and_modify(|e| *e = e.join(extent)).or_insert(extent);
                }
            }
            out
        })
    }

    /// The extent of every trace of the head, in the head.
    pub fn head_extents_by_id(&self) -> FxHashMap<TraceId, Extent> {
        let mut out: FxHashMap<TraceId, Extent> = FxHashMap::default();
        for chapter in &self.chapters {
            for row in &chapter.rows {
                let extent = extent_of(chapter, row);
                out.entry(extent.trace_id).and_modify(|e| *e = e.join(extent)).or_insert(extent);
            }
        }
        out
    }

    /// The extent of a trace over all parts; `None` if there is no such trace.
    ///
    /// # Errors
    /// Corrupt if a trace table is damaged.
    pub fn extent(&self, id: TraceId, ids: TraceIds, counter: &ReadCounter) -> Result<Option<Extent>> {
        let mut out: Option<Extent> = None;
        let mut join = |extent: Extent| out = Some(out.map_or(extent, |known| known.join(extent)));
        for part in &self.segments {
            for (ordinal, trace_id) in part.ordinals_of(id, ids, counter)? {
                join(sealed_extent(&part.segment, ordinal, trace_id, counter)?);
            }
        }
        match ids {
            TraceIds::Lenient => {
                if let Some(extent) = self.head_extents().get(&id.low()) {
                    join(*extent);
                }
            }
            TraceIds::Strict => {
                for chapter in &self.chapters {
                    for row in chapter.rows_of_low(id.low()) {
                        let extent = extent_of(chapter, &chapter.rows[row as usize]);
                        if extent.trace_id == id {
                            join(extent);
                        }
                    }
                }
            }
        }
        Ok(out)
    }

    /// The ids of all traces of the head and of the live dirty traces of segments, each once. Takes memory in
    /// proportion to the head, which has its budget, and to the dirty traces, which merging makes few.
    ///
    /// # Errors
    /// Corrupt if a trace table is damaged.
    pub fn loose_traces(&self, counter: &ReadCounter) -> Result<FxHashSet<TraceId>> {
        let (loose, problem) = self.readable_loose_traces(counter);
        problem.into_iter().next().map_or(Ok(loose), Err)
    }

    /// The ids of [`Snapshot::loose_traces`] that can be read, and the first problem of each segment.
    pub fn readable_loose_traces(&self, counter: &ReadCounter) -> (FxHashSet<TraceId>, Vec<Error>) {
        let mut out = FxHashSet::default();
        let mut problems = Vec::new();
        for chapter in &self.chapters {
            out.extend(chapter.rows.iter().map(trace_id_of));
        }
        for part in &self.segments {
            let mut problem = None;
            for ordinal in part.loose() {
                match part.segment.trace_id(ordinal, counter) {
                    Ok(id) => drop(out.insert(id)),
                    Err(error) => problem = problem.or(Some(error)),
                }
            }
            problems.extend(problem);
        }
        (out, problems)
    }

    /// Every trace once, with its distinct spans: clean traces segment by segment, then the loose ones by id.
    /// Goes on after an error, which stands for the trace that could not be read or is larger than this many
    /// bytes in memory, or for loose traces of a segment whose ids could not be read.
    pub fn every_trace(self: &Arc<Self>, trace_bytes_max: usize) -> EveryTrace {
        let (loose, problems) = self.readable_loose_traces(&ReadCounter::default());
        let mut loose: Vec<TraceId> = loose.into_iter().collect();
        loose.sort_unstable();
        let loose = loose.into_iter();
        let (segment, ordinal, singly_until) = (0, 0, 0);
        let read = problems.into_iter().map(Err).collect();
        EveryTrace { snapshot: self.clone(), trace_bytes_max, segment, ordinal, singly_until, read, loose }
    }
}

/// Walks over the traces of a snapshot; see [`Snapshot::every_trace`].
#[derive(Debug)]
pub struct EveryTrace {
    snapshot: Arc<Snapshot>,
    trace_bytes_max: usize,
    segment: usize,
    ordinal: u32,
    /// Up to this ordinal traces are read one by one, since together they could not be.
    singly_until: u32,
    /// Traces before `ordinal` that were read and not given yet.
    read: VecDeque<Result<Vec<Span>>>,
    loose: std::vec::IntoIter<TraceId>,
}

/// Clean traces read at once, and the bytes they may take together.
const TRACES_AT_ONCE: u32 = 512;
const BYTES_AT_ONCE: usize = 16 << 20;

impl Iterator for EveryTrace {
    type Item = Result<Vec<Span>>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.read.is_empty() && self.segment < self.snapshot.segments.len() {
            self.read_more();
        }
        if let Some(trace) = self.read.pop_front() {
            return Some(trace);
        }
        let id = self.loose.next()?;
        Some(self.snapshot.trace(id, TraceIds::Strict, &ReadCounter::limited(self.trace_bytes_max)))
    }
}

impl EveryTrace {
    /// Reads the next clean traces of the segment at hand, or goes on to the next segment.
    fn read_more(&mut self) {
        let part = &self.snapshot.segments[self.segment];
        let traces = part.segment.traces();
        let clean = |ordinal: &u32| !part.dirty.contains(*ordinal);
        let Some(first) = (self.ordinal..traces).find(clean) else {
            (self.segment, self.ordinal, self.singly_until) = (self.segment + 1, 0, 0);
            return;
        };
        if first >= self.singly_until {
            let most = traces.min(first.saturating_add(TRACES_AT_ONCE));
            let end = (first..most).take_while(clean).last().map_or(first, |last| last + 1);
            let bounded = ReadCounter::limited(self.trace_bytes_max.min(BYTES_AT_ONCE));
            if let Ok(read) = part.segment.spans_of_traces(first..end, &bounded) {
                self.read.extend(read.into_iter().map(Ok));
                self.ordinal = end;
                return;
            }
            // One of them is damaged, or together they are too large: one by one only a damaged one is lost.
            self.singly_until = end;
        }
        self.ordinal = first + 1;
        let counter = ReadCounter::limited(self.trace_bytes_max);
        self.read.push_back(part.segment.trace_spans(first, &counter));
    }
}

fn extent_of(chapter: &FrozenChapter, row: &crate::head::Row) -> Extent {
    let zipkin = chapter.schema.classes[row.class as usize].bits.has(ClassBits::ZIPKIN);
    let trace_id = trace_id_of(row);
    if row.start == 0 {
        return Extent { start: u64::MAX, last: 0, trace_id };
    }
    let duration = duration_nanos(row.start, row.end, zipkin).unwrap_or(0);
    Extent { start: row.start, last: row.start.saturating_add(duration), trace_id }
}

fn sealed_extent(segment: &Segment, ordinal: u32, trace_id: TraceId, counter: &ReadCounter) -> Result<Extent> {
    let one = |column: Fixed| IntegerCursor::new(segment, column as u32, false, counter).get(ordinal as usize);
    let (start, duration) = (one(Fixed::TraceStart)?, one(Fixed::TraceDuration)?);
    Ok(if start == 0 {
        Extent { start: u64::MAX, last: 0, trace_id }
    } else {
        Extent { start, last: start.saturating_add(duration), trace_id }
    })
}

/// Keeps one of identical records.
fn unite(spans: &mut Vec<Span>) {
    let mut seen: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
    let mut kept: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans.drain(..) {
        let twins = seen.entry(fingerprint(&span)).or_default();
        if !twins.iter().any(|i| kept[*i] == span) {
            twins.push(kept.len());
            kept.push(span);
        }
    }
    *spans = kept;
}

/// A number equal for identical spans.
pub fn fingerprint(span: &Span) -> u64 {
    use std::hash::BuildHasher;
    rustc_hash::FxBuildHasher.hash_one(span)
}

/// Sorts by start, then span id; equal ones by what they hold, so that the order never depends on where
/// they lie.
fn sort_spans(spans: &mut [Span]) {
    let key = |s: &Span| (s.start_unix_nano == 0, s.start_unix_nano, s.span_id);
    spans.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| fingerprint(a).cmp(&fingerprint(b))));
}
