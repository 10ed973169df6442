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

/// Traces found at once: bounds the memory.
const TRACES_AT_ONCE: usize = 100_000;

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

/// Adds the clean traces that match; all live ones, if that cannot be told.
fn keep_clean(part: &SegmentPart, query: &Query, kept: &mut TraceSet) -> Result<()> {
    // The segment alone, as if nothing but its clean traces were in it.
    let alone = SegmentPart { deleted: part.dirty.clone(), ..part.clone() };
    let alone = Snapshot::new(vec![alone], Vec::new());
    let limits = Limits { matched_span_ids_max: 0, result_bytes_max: usize::MAX, ..Limits::default() };
    let query = query.clone().limit(TRACES_AT_ONCE).order(Order::Newest);
    let mut query = Query { page_token: None, lenient: false, ..query };
    let counter = ReadCounter::default();
    loop {
        let found = find(&alone, &query, &limits)?;
        let ids = found.traces.iter().map(|trace| part.ordinals_of(trace.trace_id, TraceIds::Strict, &counter));
        match ids.collect::<Result<Vec<_>>>() {
            Ok(ordinals) if found.complete => {
                for (ordinal, _) in ordinals.into_iter().flatten() {
                    kept.insert(ordinal);
                }
            }
            result => {
                result.map_or_else(unreadable, |_| Ok(true))?;
                *kept = TraceSet::all(part.segment.traces()).and_not(&part.deleted);
                return Ok(());
            }
        }
        if found.next_page_token.is_none() {
            return Ok(());
        }
        query.page_token = found.next_page_token;
    }
}

/// True for what is damaged or too large to be judged, which keeps it; other errors are errors.
fn unreadable(error: Error) -> Result<bool> {
    if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::TooLarge) { Ok(true) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::ingest::{Engine, OpenRequest};
    use crate::model::{Span, StatusCode, TraceId, deliver};
    use crate::options::{Durability, Options, WhenFull};
    use crate::os::{ManualClock, SimulatedDisk};
    use crate::query::fixture::span;

    fn engine() -> Engine {
        let request = OpenRequest {
            storage: Arc::new(SimulatedDisk::new(1)),
            clock: Arc::new(ManualClock::new(1 << 60)),
            options: Options::default(),
            read_only: false,
            create: true,
        };
        request.open().unwrap()
    }

    fn append(engine: &Engine, spans: &[Span]) {
        let fed = engine.append(Durability::Buffered, WhenFull::Busy, |sink| {
            deliver(spans.iter(), sink);
            Ok(())
        });
        assert_eq!(fed.unwrap().accepted, spans.len() as u64);
    }

    /// One span each of eighty traces, all different from other rounds; two ids share their low half.
    fn round(number: u64) -> Vec<Span> {
        let one = |trace: u64| {
            let mut span = span(trace, number + 1).service_named(["web", "cart", "mail"][(trace % 3) as usize]);
            if trace == 80 {
                span.trace_id = TraceId::from_halves(7, 5).unwrap();
            }
            // Some have no start, some no end; some get longer with every round.
            let start = if trace.is_multiple_of(17) { 0 } else { 1_000 + trace * 10 + number * (trace % 5) * 100 };
            let end = if trace.is_multiple_of(19) { 0 } else { start + trace % 23 };
            let failed = (trace * 7 + number * 3).is_multiple_of(11);
            let status = if failed { StatusCode::ERROR } else { StatusCode::OK };
            span.at(start, end).status(status).tag("round", number as i64)
        };
        (1..=80).map(one).collect()
    }

    /// Three segments and a head; traces lie in one, some or all of them, some were deleted.
    fn store() -> Engine {
        let engine = engine();
        let among = |number: u64, wanted: &dyn Fn(u64) -> bool| {
            let spans = round(number).into_iter().filter(|span| wanted(span.trace_id.low()));
            append(&engine, &spans.collect::<Vec<_>>());
        };
        among(0, &|trace| trace % 4 < 3);
        engine.seal().unwrap();
        among(1, &|trace| trace % 4 == 3 || trace % 5 == 0);
        engine.seal().unwrap();
        among(2, &|trace| trace % 7 == 0);
        engine.seal().unwrap();
        among(3, &|trace| trace % 6 == 1);
        let deleted: Vec<TraceId> = (1..80).step_by(9).map(|id| TraceId::from_halves(0, id).unwrap()).collect();
        assert!(engine.delete(&deleted).unwrap().rows > 0);
        engine
    }

    fn queries() -> Vec<Query> {
        vec![
            Query::new().error(),
            Query::new().service("cart"),
            Query::new().min_duration(Duration::from_nanos(15)),
            Query::new().min_trace_duration(Duration::from_nanos(200)),
            Query::new().max_trace_duration(Duration::from_nanos(3)),
            Query::new().tag_text("round>=2").unwrap(),
            Query::new().service("web").error().scope(crate::query::QueryScope::Trace),
            Query::new().service("none"),
            Query::new().since(1_300).until(1_400).limit(1).lenient(),
            Query::new(),
        ]
    }

    fn brute_force(snapshot: &Snapshot, part: &SegmentPart, queries: &[Query]) -> TraceSet {
        let counter = ReadCounter::default();
        let live = (0..part.segment.traces()).filter(|ordinal| !part.deleted.contains(*ordinal));
        let kept = live.filter(|ordinal| {
            let id = part.segment.trace_id(*ordinal, &counter).unwrap();
            let spans = snapshot.trace(id, TraceIds::Strict, &counter).unwrap();
            queries.iter().any(|query| !TraceMatcher::new(query).matching_spans(&spans).is_empty())
        });
        kept.collect()
    }

    #[test]
    fn the_kept_traces_are_those_that_match_when_every_trace_is_looked_at() {
        let engine = store();
        let snapshot = engine.snapshot();
        assert_eq!(snapshot.segments.len(), 3);
        assert!(snapshot.segments.iter().all(|part| part.loose().next().is_some()), "some are dirty");
        let (queries, mut sizes) = (queries(), Vec::new());
        for (first, second) in queries.iter().zip(queries.iter().skip(1).chain([&queries[0]])) {
            for pair in [&[first.clone()][..], &[first.clone(), second.clone()]] {
                let rules: Vec<KeepRule> =
                    pair.iter().map(|query| KeepRule { query: query.clone(), max_age: Duration::ZERO }).collect();
                let rules: Vec<&KeepRule> = rules.iter().collect();
                for part in &snapshot.segments {
                    let kept = kept_ordinals(&snapshot, part, &rules).unwrap();
                    assert_eq!(kept, brute_force(&snapshot, part, pair), "{pair:?}");
                    sizes.push(kept.len());
                }
            }
        }
        assert!(sizes.contains(&0) && sizes.iter().any(|size| *size > 30), "{sizes:?}");
    }

    #[test]
    fn without_rules_nothing_is_kept() {
        let snapshot = store().snapshot();
        assert!(kept_ordinals(&snapshot, &snapshot.segments[0], &[]).unwrap().is_empty());
    }
}
