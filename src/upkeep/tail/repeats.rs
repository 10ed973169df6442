//! Which spans a tail has shown before under a smaller sequence.
//!
//! Identical records are one record, but where finding that out at append is too dear (a late span of a huge
//! sealed trace) both are kept. The tail shows the first. Identical records share trace and span id, and the
//! first of them lies in a segment: the head compares what comes with all it holds itself.

use rustc_hash::FxHashMap;

use crate::catalog::{SegmentPart, Snapshot, TraceIds};
use crate::error::Result;
use crate::model::{Span, TraceId};
use crate::part::ReadCounter;

use super::window::{Loose, Place};

/// For each of these spans whether an identical one has a smaller sequence.
pub(super) fn repeats(
    snapshot: &Snapshot,
    places: &[Place],
    spans: &[Span],
    loose: &Loose,
    counter: &ReadCounter,
) -> Result<Vec<bool>> {
    let mut out = vec![false; spans.len()];
    for (id, indexes) in loose {
        let mut sought = Sought::default();
        indexes.iter().for_each(|&at| sought.add(at, &places[at], &spans[at]));
        for (part, sealed) in (0..).zip(&snapshot.segments) {
            for (twin, span) in sought.earlier_in(sealed, part, *id, counter)? {
                for &at in sought.of(span.span_id.get()) {
                    out[at] |= is_before(&twin, &places[at]) && spans[at] == span;
                }
            }
        }
    }
    Ok(out)
}

/// True if the row at `a` is the one to be shown if both are identical.
fn is_before(a: &(u64, u32), b: &Place) -> bool {
    *a < (b.sequence, b.part)
}

/// Spans of one trace by their id, and the last of the places of each id.
#[derive(Default)]
struct Sought(FxHashMap<u64, (Vec<usize>, (u64, u32))>);

impl Sought {
    fn add(&mut self, at: usize, place: &Place, span: &Span) {
        let (list, last) = self.0.entry(span.span_id.get()).or_default();
        list.push(at);
        *last = (*last).max((place.sequence, place.part));
    }

    fn of(&self, span_id: u64) -> &[usize] {
        self.0.get(&span_id).map_or(&[], |(list, _)| list)
    }

    /// The rows of the trace in a segment that have a sought id and stand before a span of that id: sequence and
    /// part of each, and its span.
    fn earlier_in(
        &self,
        sealed: &SegmentPart,
        part: u32,
        id: TraceId,
        counter: &ReadCounter,
    ) -> Result<Vec<((u64, u32), Span)>> {
        let segment = &sealed.segment;
        let mut out = Vec::new();
        for (ordinal, _) in sealed.ordinals_of(id, TraceIds::Strict, counter)? {
            let same_id = segment.rows_of_ids(ordinal, |span_id| self.0.contains_key(&span_id), counter)?;
            let rows: Vec<u32> = same_id.iter().map(|(row, _)| *row).collect();
            let sequences = segment.sequences_at(&rows, counter)?;
            let before = |span_id: &u64, sequence: u64| self.0.get(span_id).is_some_and(|s| (sequence, part) < s.1);
            let earlier: Vec<(u32, u64)> = (same_id.iter().zip(sequences))
                .filter(|((_, span_id), sequence)| before(span_id, *sequence))
                .map(|((row, _), sequence)| (*row, sequence))
                .collect();
            if earlier.is_empty() {
                continue;
            }
            let rows: Vec<u32> = earlier.iter().map(|(row, _)| *row).collect();
            let spans = segment.spans_at(ordinal, &rows, counter)?;
            out.extend(earlier.iter().map(|(_, sequence)| (*sequence, part)).zip(spans));
        }
        Ok(out)
    }
}
