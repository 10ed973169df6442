//! Which traces of a segment the rules of retention keep.
//!
//! A rule is a question, and the answer is for a trace as a whole. For traces that lie in this segment alone
//! (clean ones) the search over the segment's own pages and indexes tells; those that may lie elsewhere too
//! are united from all parts and judged by the reference evaluator.
//!
//! What cannot be read cannot be judged: it is kept.

use crate::catalog::{SegmentPart, Snapshot, TraceIds};
use crate::error::{Error, ErrorKind, Result};
use crate::index::TraceSet;
use crate::limits::Limits;
use crate::part::ReadCounter;
use crate::query::{Order, Query, TraceMatcher, find};

use super::retention::KeepRule;

/// Ordinals of the live traces of the part that at least one of the rules keeps; `snapshot` holds the part
/// and all others. The rules are taken as in force.
///
/// # Errors
/// What the storage says; damage is no error.
pub fn kept_ordinals(snapshot: &Snapshot, part: &SegmentPart, rules: &[&KeepRule]) -> Result<TraceSet> {
    let mut kept = TraceSet::new();
    for rule in rules {
        keep_clean(part, &rule.query, &mut kept)?;
    }
    let matchers: Vec<TraceMatcher> = rules.iter().map(|rule| TraceMatcher::new(&rule.query)).collect();
    let counter = ReadCounter::default();
    for ordinal in part.loose().filter(|_| !rules.is_empty()) {
        let trace = part.segment.trace_id(ordinal, &counter);
        let trace = trace.and_then(|id| snapshot.trace(id, TraceIds::Strict, &counter));
        let keep = match trace {
            Ok(spans) => matchers.iter().any(|matcher| !matcher.matching_spans(&spans).is_empty()),
            Err(error) => unreadable(error)?,
        };
        if keep {
            kept.insert(ordinal);
        }
    }
    Ok(kept)
}

/// Adds the clean traces that match.
fn keep_clean(part: &SegmentPart, query: &Query, kept: &mut TraceSet) -> Result<()> {
    let live = TraceSet::all(part.segment.traces()).and_not(&part.deleted);
    // The segment alone, as if nothing but its clean traces were in it.
    let alone = SegmentPart { deleted: part.dirty.clone(), ..part.clone() };
    let alone = Snapshot::new(vec![alone], Vec::new());
    let limits = Limits { result_traces_max: usize::MAX, matched_span_ids_max: 0, ..Limits::default() };
    let query = Query { page_token: None, lenient: false, ..query.clone().limit(0).order(Order::Newest) };
    let found = find(&alone, &query, &limits)?;
    if !found.complete {
        *kept = live;
        return Ok(());
    }
    let counter = ReadCounter::default();
    for trace in &found.traces {
        match part.ordinals_of(trace.trace_id, TraceIds::Strict, &counter) {
            Ok(ordinals) => ordinals.into_iter().for_each(|(ordinal, _)| {
                kept.insert(ordinal);
            }),
            Err(error) => {
                unreadable(error)?;
                *kept = live;
                return Ok(());
            }
        }
    }
    Ok(())
}

/// True for damage, which keeps; other errors are errors.
fn unreadable(error: Error) -> Result<bool> {
    if error.kind() == ErrorKind::Corrupt { Ok(true) } else { Err(error) }
}
