//! Comparing two stores by what they hold, wherever it lies.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::catalog::{Snapshot, TraceIds};
use crate::error::Result;
use crate::head::trace_id_of;
use crate::model::{Span, TraceId};
use crate::part::ReadCounter;

use super::problems::Problems;

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
    /// What damage of either store hides, in words that name the file: that was not compared.
    pub problems: Vec<String>,
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
/// TooLarge if a trace takes more bytes in memory than `trace_bytes_max`.
pub fn compare(a: &Arc<Snapshot>, b: &Arc<Snapshot>, trace_bytes_max: usize) -> Result<StoreDifference> {
    let counter = ReadCounter::limited(trace_bytes_max);
    let (mut out, mut problems) = (StoreDifference::default(), Problems::default());
    let mut traces = a.every_trace(trace_bytes_max).peekable();
    while traces.peek().is_some() {
        let mut of_a = Vec::new();
        for spans in traces.by_ref().take(TRACES_AT_ONCE) {
            of_a.extend(problems.take(spans)?);
        }
        let ids: Vec<TraceId> = of_a.iter().filter_map(|spans| Some(spans.first()?.trace_id)).collect();
        for ((id, in_a), in_b) in ids.iter().zip(&of_a).zip(readable(b, &ids, &counter, &mut problems)?) {
            let (more_in_a, more_in_b) = in_b.map_or((0, 0), |in_b| missing(in_a, &in_b));
            out.add(*id, more_in_a, more_in_b);
        }
    }
    only_in_second(a, b, &counter, &mut out, &mut problems)?;
    out.problems = problems.into_vec();
    Ok(out)
}

/// The spans of these traces, `None` where damage hides some.
fn readable(
    snapshot: &Arc<Snapshot>,
    ids: &[TraceId],
    counter: &ReadCounter,
    problems: &mut Problems,
) -> Result<Vec<Option<Vec<Span>>>> {
    if let Ok(all) = snapshot.traces(ids, counter) {
        return Ok(all.into_iter().map(Some).collect());
    }
    ids.iter().map(|id| problems.take(snapshot.trace(*id, TraceIds::Strict, counter))).collect()
}

fn only_in_second(
    a: &Snapshot,
    b: &Snapshot,
    counter: &ReadCounter,
    out: &mut StoreDifference,
    problems: &mut Problems,
) -> Result<()> {
    for part in &b.segments {
        for ordinal in (0..part.segment.traces()).filter(|ordinal| !part.dirty.contains(*ordinal)) {
            let Some(id) = problems.take(part.segment.trace_id(ordinal, counter))? else { continue };
            if problems.take(has_trace(a, id, counter))? == Some(false) {
                let rows = problems.take(part.segment.trace_rows(ordinal, counter))?;
                out.add(id, 0, rows.map_or(0, |rows| rows.len() as u64));
            }
        }
    }
    let (loose, unreadable) = b.readable_loose_traces(counter);
    for error in unreadable {
        problems.take::<()>(Err(error))?;
    }
    let mut loose: Vec<TraceId> = loose.into_iter().collect();
    loose.sort_unstable();
    for id in loose {
        if problems.take(has_trace(a, id, counter))? == Some(false) {
            let spans = problems.take(b.trace(id, TraceIds::Strict, counter))?;
            out.add(id, 0, spans.map_or(0, |spans| spans.len() as u64));
        }
    }
    Ok(())
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
