//! Comparing two stores by what they hold, wherever it lies.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::catalog::{Snapshot, TraceIds};
use crate::error::Result;
use crate::head::trace_id_of;
use crate::model::{Span, TraceId};
use crate::part::ReadCounter;

/// Traces named as examples.
const EXAMPLES_MAX: usize = 10;

/// Distinct spans that only one of two stores has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreDifference {
    /// Spans that only the first has.
    pub only_in_a: u64,
    /// Spans that only the second has.
    pub only_in_b: u64,
    /// Up to ten traces that differ.
    pub examples: Vec<TraceId>,
}

impl StoreDifference {
    /// True if both hold the same spans.
    pub fn is_empty(&self) -> bool {
        self.only_in_a == 0 && self.only_in_b == 0
    }

    fn add(&mut self, id: TraceId, only_in_a: u64, only_in_b: u64) {
        self.only_in_a += only_in_a;
        self.only_in_b += only_in_b;
        if only_in_a + only_in_b > 0 && self.examples.len() < EXAMPLES_MAX {
            self.examples.push(id);
        }
    }
}

/// Traces of each store that are compared at a time.
const TRACES_AT_ONCE: usize = 512;

/// Compares the traces of `a` with those of `b`, then looks for traces that only `b` has.
///
/// # Errors
/// Corrupt if a page is damaged; TooLarge if a trace takes more bytes in memory than `trace_bytes_max`.
pub fn compare(a: &Arc<Snapshot>, b: &Arc<Snapshot>, trace_bytes_max: usize) -> Result<StoreDifference> {
    let counter = ReadCounter::limited(trace_bytes_max);
    let mut out = StoreDifference::default();
    let mut traces = a.every_trace(trace_bytes_max)?;
    loop {
        let of_a = traces.by_ref().take(TRACES_AT_ONCE).collect::<Result<Vec<_>>>()?;
        if of_a.is_empty() {
            break;
        }
        let ids: Vec<TraceId> = of_a.iter().filter_map(|spans| Some(spans.first()?.trace_id)).collect();
        for ((id, in_a), in_b) in ids.iter().zip(&of_a).zip(b.traces(&ids, &counter)?) {
            let (more_in_a, more_in_b) = missing(in_a, &in_b);
            out.add(*id, more_in_a, more_in_b);
        }
    }
    for part in &b.segments {
        for ordinal in (0..part.segment.traces()).filter(|ordinal| !part.dirty.contains(*ordinal)) {
            let id = part.segment.trace_id(ordinal, &counter)?;
            if !has_trace(a, id, &counter)? {
                out.add(id, 0, part.segment.trace_rows(ordinal, &counter)?.len() as u64);
            }
        }
    }
    let mut loose: Vec<TraceId> = b.loose_traces(&counter)?.into_iter().collect();
    loose.sort_unstable();
    for id in loose {
        if !has_trace(a, id, &counter)? {
            out.add(id, 0, b.trace(id, TraceIds::Strict, &counter)?.len() as u64);
        }
    }
    Ok(out)
}

/// How many of the distinct spans of each the other does not have.
fn missing(a: &[Span], b: &[Span]) -> (u64, u64) {
    let (a, b): (FxHashSet<&Span>, FxHashSet<&Span>) = (a.iter().collect(), b.iter().collect());
    (a.difference(&b).count() as u64, b.difference(&a).count() as u64)
}

fn has_trace(snapshot: &Snapshot, id: TraceId, counter: &ReadCounter) -> Result<bool> {
    for part in &snapshot.segments {
        if !part.ordinals_of(id, TraceIds::Strict, counter)?.is_empty() {
            return Ok(true);
        }
    }
    let in_chapter = |chapter: &crate::head::FrozenChapter| {
        chapter.rows_of_low(id.low()).any(|row| trace_id_of(&chapter.rows[row as usize]) == id)
    };
    Ok(snapshot.chapters.iter().any(|chapter| in_chapter(chapter)))
}
