//! The rows of a window of sequences, and their spans.
//!
//! A window is found in two steps, so that memory is bounded by both a count and bytes: first where the rows
//! are, 24 bytes each, over all parts; then, a stretch of these at a time, the spans, trace by trace. A stretch
//! that turns out too large is given up for half of it.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::catalog::{SegmentPart, Snapshot};
use crate::error::{Error, Result};
use crate::model::{Span, TraceId};
use crate::part::ReadCounter;
use crate::segment::SequencePages;

/// A row of a snapshot and the sequence of its append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Its sequence.
    pub sequence: u64,
    /// Segments first, then chapters.
    pub part: u32,
    /// Its row in the part.
    pub row: u32,
    /// The ordinal of its trace; 0 in chapters.
    pub ordinal: u32,
}

/// The bounds of the pages of segments, kept while these are live; `None` for one whose rows cannot be found.
#[derive(Debug, Default)]
pub(super) struct KnownPages(FxHashMap<u64, Option<SequencePages>>);

impl KnownPages {
    /// Forgets segments that are no longer live.
    pub(super) fn keep(&mut self, snapshot: &Snapshot) {
        self.0.retain(|id, _| snapshot.segments.iter().any(|part| part.segment.id() == *id));
    }

    /// The live rows of a segment in the window: sequence, row, ordinal. Each damage is told once.
    fn rows_in(&mut self, sealed: &SegmentPart, window: &Range<u64>, damage: &mut Vec<Error>) -> Vec<(u64, u32, u32)> {
        let counter = ReadCounter::default();
        let segment = &sealed.segment;
        let known = self.0.entry(segment.id()).or_insert_with(|| {
            let (pages, unreadable) = SequencePages::of(segment, &counter);
            damage.extend(unreadable);
            Some(pages)
        });
        let Some(pages) = known else { return Vec::new() };
        let mut rows = Vec::new();
        let found = pages.rows_in(segment, window, &counter, &mut rows).and_then(|()| {
            let numbers: Vec<u32> = rows.iter().map(|(_, row)| *row).collect();
            segment.ordinals_of_rows(&numbers, &counter)
        });
        match found {
            Ok(ordinals) => {
                let places = rows.into_iter().zip(ordinals).map(|((sequence, row), ordinal)| (sequence, row, ordinal));
                places.filter(|(_, _, ordinal)| !sealed.deleted.contains(*ordinal)).collect()
            }
            Err(error) => {
                damage.push(error);
                *known = None;
                Vec::new()
            }
        }
    }
}

/// The least sequence of a row from this one on: what a part says it spans may be far more than it has rows. Damage that
/// hides a part's rows was told when its window was read.
pub(super) fn next_row(snapshot: &Snapshot, from: u64, known: &KnownPages) -> Option<u64> {
    let counter = ReadCounter::default();
    let sealed = snapshot.segments.iter().filter_map(|part| {
        let pages = match known.0.get(&part.segment.id()) {
            Some(pages) => pages.as_ref()?,
            // Not one of its windows was read yet.
            None => return Some(part.segment.directory().sequences.0.max(from)),
        };
        pages.least_from(&part.segment, from, &counter).ok()?
    });
    let chapters = snapshot.chapters.iter().filter_map(|chapter| {
        let at = chapter.rows.partition_point(|row| chapter.sequence(row) < from);
        chapter.rows.get(at).map(|row| chapter.sequence(row))
    });
    sealed.chain(chapters).min()
}

/// The live rows of a window, in the order of appends. Rows that damage hides are left out, and the damage is
/// told.
pub(super) fn places_in(
    snapshot: &Snapshot,
    window: &Range<u64>,
    known: &mut KnownPages,
    damage: &mut Vec<Error>,
) -> Vec<Place> {
    let mut out = Vec::new();
    for (part, sealed) in (0..).zip(&snapshot.segments) {
        let (first, next) = sealed.segment.directory().sequences;
        if first < window.end && next > window.start {
            let rows = known.rows_in(sealed, window, damage);
            out.extend(rows.into_iter().map(|(sequence, row, ordinal)| Place { sequence, part, row, ordinal }));
        }
    }
    for (part, chapter) in (snapshot.segments.len() as u32..).zip(&snapshot.chapters) {
        // Rows of a chapter stand in the order of appends.
        let below = |sequence: u64| chapter.rows.partition_point(|row| chapter.sequence(row) < sequence);
        let rows = below(window.start)..below(window.end);
        let place = |row: usize| {
            let sequence = chapter.sequence(&chapter.rows[row]);
            Place { sequence, part, row: row as u32, ordinal: 0 }
        };
        out.extend(rows.map(place));
    }
    out.sort_unstable();
    out
}

/// Rows of one trace that may have a twin elsewhere, with their spans.
pub(super) type Loose = FxHashMap<TraceId, Vec<usize>>;

/// The spans of these places, in their order, and which of them are rows of traces that may lie in other parts
/// too; `None` if they exceed `bytes_max` and are more than one.
pub(super) fn spans_of(
    snapshot: &Snapshot,
    places: &[Place],
    bytes_max: usize,
    counter: &ReadCounter,
) -> Result<Option<(Vec<Span>, Loose)>> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_unstable_by_key(|index| (places[*index].part, places[*index].ordinal, places[*index].row));
    let mut spans: Vec<Option<Span>> = places.iter().map(|_| None).collect();
    let mut loose = Loose::default();
    let mut bytes = 0;
    let groups: Vec<&[usize]> =
        order.chunk_by(|a, b| (places[*a].part, places[*a].ordinal) == (places[*b].part, places[*b].ordinal)).collect();
    let mut together = Together::default();
    for (at, group) in groups.iter().enumerate() {
        let first = places[group[0]];
        let part = first.part as usize;
        let read = match snapshot.segments.get(part) {
            Some(sealed) => {
                let rows: Vec<u32> = group.iter().map(|index| places[*index].row).collect();
                match together.spans_at(sealed, places, &groups[at..], &rows, counter)? {
                    Some(spans) => spans,
                    None => sealed.segment.spans_at(first.ordinal, &rows, counter)?,
                }
            }
            None => {
                let chapter = &snapshot.chapters[part - snapshot.segments.len()];
                group.iter().map(|index| chapter.span(places[*index].row)).collect::<Result<_>>()?
            }
        };
        // Two tables of a damaged segment may tell different rows: no span then belongs to a place for certain.
        if read.len() != group.len() {
            return Err(Error::corrupt(format!(
                "{} rows of a trace are listed, {} are there",
                group.len(),
                read.len()
            )));
        }
        let may_repeat = snapshot.segments.get(part).is_none_or(|sealed| sealed.dirty.contains(first.ordinal));
        for (index, span) in group.iter().zip(read) {
            bytes += span.held_bytes();
            if may_repeat {
                loose.entry(span.trace_id).or_default().push(*index);
            }
            spans[*index] = Some(span);
        }
        if bytes > bytes_max && places.len() > 1 {
            return Ok(None);
        }
    }
    Ok(Some((spans.into_iter().flatten().collect(), loose)))
}

/// Traces read at once because they lie next to each other, and bytes they may take.
const TRACES_AT_ONCE: usize = 256;
const BYTES_AT_ONCE: usize = 8 << 20;

/// Traces of a window that lie next to each other are read in one go.
#[derive(Default)]
struct Together {
    part: u32,
    /// Ordinal of the first of `traces`.
    first: u32,
    traces: Vec<Vec<Span>>,
    /// Up to this ordinal of the part they could not be read together.
    singly_until: u32,
}

impl Together {
    /// The spans of these rows of the first group's trace; `None` if it is better read alone. Groups are by
    /// part and ordinal.
    fn spans_at(
        &mut self,
        sealed: &SegmentPart,
        places: &[Place],
        groups: &[&[usize]],
        rows: &[u32],
        counter: &ReadCounter,
    ) -> Result<Option<Vec<Span>>> {
        let Place { part, ordinal, .. } = places[groups[0][0]];
        let held = part == self.part && (self.first..self.first + self.traces.len() as u32).contains(&ordinal);
        if !held {
            if part == self.part && ordinal < self.singly_until {
                return Ok(None);
            }
            let place = |group: &&[usize]| places[group[0]];
            let follows = |(n, group): &(u32, &&[usize])| {
                let place = place(group);
                (place.part, place.ordinal) == (part, ordinal + n)
            };
            let count = (0..).zip(groups.iter().take(TRACES_AT_ONCE)).take_while(follows).count() as u32;
            let bounded = ReadCounter::limited(BYTES_AT_ONCE);
            let read = sealed.segment.spans_of_traces(ordinal..ordinal + count, &bounded);
            (self.part, self.singly_until) = (part, ordinal + count);
            match read {
                Ok(traces) if count > 1 => (self.first, self.traces) = (ordinal, traces),
                _ => {
                    self.traces.clear();
                    return Ok(None);
                }
            }
        }
        let first_row = sealed.segment.trace_rows(ordinal, counter)?.start;
        let spans = &mut self.traces[(ordinal - self.first) as usize];
        let mut at = first_row;
        let picked = std::mem::take(spans).into_iter().filter(|_| {
            at += 1;
            rows.binary_search(&(at - 1)).is_ok()
        });
        Ok(Some(picked.collect()))
    }
}
