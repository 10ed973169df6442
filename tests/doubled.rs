//! A record that lies in two parts is one span in every answer.
//!
//! Appending drops a span that a segment has already. A store whose limits leave it no room to compare keeps such
//! spans twice, marks their traces as doubled, and must answer like a store that was fed each span once: while
//! they lie in the head, sealed, partly merged, deleted and come again, and after it was opened again.

mod common {
    pub mod distinct;
    pub mod spans;
    pub mod values;
}

use std::path::Path;

use common::distinct::{assert_same_spans, distinct};
use common::spans::{Recipe, spans};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tailspan::{Durability, GroupKey, LatencyQuery, LatencyUnit, Limits, Query, SeriesQuery, Span, Store, TraceId};

fn open(path: &Path, cached_bytes: usize) -> Store {
    let mut limits = Limits::default();
    limits.cached_bytes_max = cached_bytes;
    let builder = Store::builder(path).durability(Durability::Buffered).seal_automatically(false);
    builder.limits(limits).block_rows(1024).open().unwrap()
}

/// What the store says about all spans, as text.
fn answers(store: &Store) -> Vec<String> {
    let by = ["service", "name", "attr:k"].map(|key| key.parse::<GroupKey>().unwrap()).to_vec();
    let latency = LatencyQuery::new(Query::new()).by(by[..2].to_vec());
    let by_attribute = LatencyQuery::new(Query::new()).by(by[2..].to_vec());
    let of_traces = latency.clone().of(LatencyUnit::Trace);
    let series = SeriesQuery::new(Query::new(), 1_000_000).by(by);
    vec![
        format!("spans {}", store.stats().unwrap().spans),
        format!("services {:?}", store.services().unwrap()),
        format!("operations {:?}", store.operations(None).unwrap()),
        format!("remote services {:?}", store.remote_services(None).unwrap()),
        format!("keys {:?}", store.attribute_keys().unwrap()),
        format!("values {:?}", store.attribute_values("k").unwrap()),
        format!("latency {:?}", store.latency(&latency).unwrap().groups),
        format!("latency by attribute {:?}", store.latency(&by_attribute).unwrap().groups),
        format!("latency of traces {:?}", store.latency(&of_traces).unwrap().groups),
        format!("series {:?}", store.series(&series).unwrap().points),
        format!("slowest {:?}", store.slowest_spans(&Query::new(), 7).unwrap().items),
    ]
}

/// The answers of a store that was fed these spans once.
fn wanted(live: &[Span]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 1 << 20);
    assert_eq!(store.append(live).unwrap().duplicates, 0);
    answers(&store)
}

fn check(store: &Store, live: &[Span], state: &str) {
    for (got, wanted) in answers(store).iter().zip(wanted(live)) {
        assert_eq!(*got, wanted, "{state}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn spans_kept_twice_count_once_in_every_answer(
        all in spans(Recipe { spans: 1..40, traces: 6, zipkin_share: 0.3 }),
        cut in any::<Index>(),
        deleted in vec(any::<Index>(), 0..2),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut store = open(directory.path(), 0);
        let all = distinct(&all);
        let (first, _) = all.split_at(cut.index(all.len() + 1));
        prop_assert_eq!(store.append(first).unwrap().duplicates, 0);
        store.seal().unwrap();
        prop_assert_eq!(store.append(&all).unwrap().duplicates, 0, "there is no room to compare");
        check(&store, &all, "again in the head");
        store.seal().unwrap();
        check(&store, &all, "again sealed");
        store.close().unwrap();
        store = open(directory.path(), 0);
        check(&store, &all, "reopened");
        prop_assert_eq!(store.append(first).unwrap().duplicates, 0);
        store.seal().unwrap();
        check(&store, &all, "in three segments");
        let ids: Vec<TraceId> = deleted.iter().map(|pick| all[pick.index(all.len())].trace_id).collect();
        store.delete(&ids).unwrap();
        let live: Vec<Span> = all.iter().filter(|span| !ids.contains(&span.trace_id)).cloned().collect();
        check(&store, &live, "deleted");
        prop_assert_eq!(store.append(&all).unwrap().rejected, []);
        store.seal().unwrap();
        store.close().unwrap();
        store = open(directory.path(), 0);
        check(&store, &all, "deleted, come again and reopened");
        store.merge_all().unwrap();
        check(&store, &all, "merged");
        let exported: Vec<Span> = store.spans().flat_map(|trace| trace.unwrap()).collect();
        assert_same_spans(&exported, &all, "merged");
        prop_assert_eq!(store.stats().unwrap().rows, all.len() as u64, "merging keeps one of each");
    }
}
