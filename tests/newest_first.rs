//! The newest traces come from the newest segments alone, whatever reaches from one segment into another.

mod common {
    pub mod spans;
    pub mod values;
}

use std::sync::Arc;

use common::spans::{Recipe, spans};
use proptest::prelude::*;
use tailspan::{Durability, Found, Order, Origin, Query, Resource, Scope, Span, SpanId, SpanKind, Store, TraceId};

const SEGMENTS: u64 = 6;
const TRACES: u64 = 20;

fn open(directory: &std::path::Path) -> Store {
    let builder = Store::builder(directory).durability(Durability::Buffered);
    builder.seal_automatically(false).merge_automatically(false).block_rows(1024).open().unwrap()
}

fn span(trace: u64, id: u64, start: u64) -> Span {
    Span {
        resource: Arc::new(Resource::default()),
        scope: Arc::new(Scope::default()),
        trace_id: TraceId::from_halves(0, trace).unwrap(),
        span_id: SpanId::from_u64(id).unwrap(),
        parent_span_id: None,
        trace_state: String::new(),
        flags: 0,
        name: "work".to_owned(),
        kind: SpanKind::INTERNAL,
        start_unix_nano: start,
        end_unix_nano: start + 10,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: Vec::new(),
        dropped_events_count: 0,
        links: Vec::new(),
        dropped_links_count: 0,
        status: None,
        origin: Origin::Otlp,
    }
}

/// Traces 1 to 120, each a second after the one before, twenty in a segment.
fn store_of_segments(directory: &std::path::Path) -> Store {
    let store = open(directory);
    for segment in 0..SEGMENTS {
        let traces = segment * TRACES + 1..=(segment + 1) * TRACES;
        let spans: Vec<Span> = traces.map(|trace| span(trace, 1, trace * 1_000_000_000)).collect();
        assert!(store.append(&spans).unwrap().rejected.is_empty());
        store.seal().unwrap();
    }
    store
}

fn newest(store: &Store, limit: usize) -> (Vec<u64>, Found) {
    let found = store.find(&Query::default().limit(limit)).unwrap();
    assert!(found.complete, "{:?}", found.reason);
    (found.traces.iter().map(|trace| trace.trace_id.low()).collect(), found)
}

#[test]
fn segments_that_are_too_old_are_not_looked_into() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_of_segments(directory.path());
    let (ids, found) = newest(&store, 5);
    assert_eq!(ids, [120, 119, 118, 117, 116]);
    assert_eq!((found.explain.parts_considered, found.explain.parts_read), (6, 1));
    assert_eq!(found.explain.by["order"], 5);
    let (ids, found) = newest(&store, 30);
    assert_eq!(ids, (91..=120).rev().collect::<Vec<u64>>());
    assert_eq!(found.explain.parts_read, 2);
    let (ids, found) = newest(&store, 0);
    assert_eq!(ids, (1..=120).rev().collect::<Vec<u64>>());
    assert_eq!((found.explain.parts_read, found.next_page_token), (6, None));
}

#[test]
fn a_trace_that_goes_on_later_stands_where_it_began() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_of_segments(directory.path());
    // Of the oldest segment, with a span beside the newest, once sealed and once not.
    let late = [span(7, 2, 200_000_000_000), span(121, 1, 121_000_000_000)];
    assert_eq!(store.append(&late).unwrap().accepted, 2);
    store.seal().unwrap();
    assert_eq!(store.append(&[span(9, 2, 201_000_000_000)]).unwrap().accepted, 1);
    let (ids, found) = newest(&store, 3);
    assert_eq!(ids, [121, 120, 119]);
    assert!(found.explain.parts_read < found.explain.parts_considered, "{:?}", found.explain);
    let (ids, _) = newest(&store, 0);
    assert_eq!(ids, (1..=121).rev().collect::<Vec<u64>>());
    let late = Query::default().since(150_000_000_000);
    let found = store.find(&late.limit(0)).unwrap();
    assert_eq!(found.traces.iter().map(|trace| trace.trace_id.low()).collect::<Vec<u64>>(), [9, 7]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_are_the_list_cut_into_pieces(
        spans in spans(Recipe { spans: 0..120, traces: 30, zipkin_share: 0.3 }), pieces in 1..7usize, limit in 1..9usize,
        lenient in any::<bool>(), last_is_sealed in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        let chunks: Vec<&[Span]> = spans.chunks((spans.len() / pieces).max(1)).collect();
        for (index, piece) in chunks.iter().enumerate() {
            prop_assert!(store.append(*piece).unwrap().rejected.is_empty());
            if last_is_sealed || index + 1 < chunks.len() {
                store.seal().unwrap();
            }
        }
        let mut query = Query::default().order(Order::Newest);
        query.lenient = lenient;
        let whole = store.find(&query.clone().limit(0)).unwrap().traces;
        let starts: Vec<u64> = whole.iter().map(|trace| trace.start_unix_nano).collect();
        prop_assert!(starts.is_sorted_by(|a, b| a >= b), "{starts:?}");
        let (mut told, mut query) = (Vec::new(), query.limit(limit));
        loop {
            let page = store.find(&query).unwrap();
            prop_assert!(page.traces.len() <= limit);
            told.extend(page.traces);
            query.page_token = page.next_page_token;
            if query.page_token.is_none() {
                break;
            }
        }
        prop_assert_eq!(told, whole);
    }
}
