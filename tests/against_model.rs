//! Whatever is appended, in whatever pieces, and wherever it lies by now, the store answers as a plain
//! list of spans would.
//!
//! ```text
//! spans --> head --> reopened --> sealed --> reopened        one life of a store: nothing is split
//! spans --> seal --> seal --> head, then some again, late    the other: traces lie in many parts
//!             read-only openings beside, at every step
//! ```
//! In each state every trace, list and search is compared with the oracle in `common`, which knows no
//! storage and shares no code with the engine's queries. `PROPTEST_CASES=1000` asks for more cases.

mod common {
    pub mod ask;
    pub mod check;
    pub mod distinct;
    pub mod lists;
    pub mod matching;
    pub mod meaning;
    pub mod queries;
    pub mod search;
    pub mod spans;
    pub mod tags;
    pub mod values;
}

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use common::ask::Ask;
use common::check::Expected;
use common::distinct::distinct;
use common::queries::ask;
use common::spans::{Recipe, spans};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tailspan::{Durability, Span, Store};

/// Cases of a property that makes many small stores, unless the environment says how many.
const CASES: u32 = 24;
/// Cases of the property that makes large ones.
const CASES_LARGE: u32 = 1;

fn cases(default: u32, share: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse::<u32>().ok());
    let cases = asked.map_or(default, |asked| (asked / share).max(1));
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Every other store maps its files, the others read them piece by piece.
fn maps_files() -> bool {
    static OPENED: AtomicU64 = AtomicU64::new(0);
    OPENED.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
}

fn open(directory: &Path) -> Store {
    Store::builder(directory)
        .map_files(maps_files())
        .durability(Durability::Buffered)
        .seal_automatically(false)
        .block_rows(1024)
        .open()
        .unwrap()
}

/// Appends the batch and checks what the store says became of it.
fn append(store: &Store, batch: &[Span], known: &mut Vec<Span>) {
    let new = distinct(known.iter().chain(batch)).len() - known.len();
    let appended = store.append(batch).unwrap();
    known.extend_from_slice(batch);
    *known = distinct(&*known);
    assert_eq!(appended.rejected, [], "good spans were rejected");
    assert_eq!((appended.accepted, appended.total()), (new as u64, batch.len() as u64), "accepted, and all");
}

/// Cuts the spans into batches.
fn batches<'s>(spans: &'s [Span], cuts: &[Index]) -> Vec<&'s [Span]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(spans.len() + 1)).chain([spans.len()]).collect();
    ends.sort_unstable();
    let mut first = 0;
    ends.into_iter().map(|end| &spans[std::mem::replace(&mut first, end)..end]).collect()
}

/// The store itself, and one opened beside it that only reads.
fn check_both(store: &Store, directory: &Path, expected: &mut Expected, state: &str) {
    expected.check(store, state);
    let beside = Store::builder(directory).read_only().create(false).map_files(maps_files()).open().unwrap();
    expected.check(&beside, &format!("{state}, read beside"));
}

/// Head, reopened, sealed, reopened.
fn live_whole(batches: &[&[Span]], asks: &[Ask], page_limits: &[usize]) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let mut known = Vec::new();
    batches.iter().for_each(|batch| append(&store, batch, &mut known));
    let mut expected = Expected::new(&known, asks, page_limits);
    check_both(&store, directory.path(), &mut expected, "head");
    store.close().unwrap();
    store = open(directory.path());
    assert_eq!(store.recovery().damage, [""; 0]);
    expected.check(&store, "head, reopened");
    store.seal().unwrap();
    check_both(&store, directory.path(), &mut expected, "sealed");
    store.close().unwrap();
    store = open(directory.path());
    expected.check(&store, "sealed, reopened");
    let verified = store.verify().unwrap();
    assert!(verified.damaged.is_empty(), "{verified:?}");
}

/// Sealed after some batches, so that traces lie in several segments and the head; then everything again.
fn live_split(batches: &[&[Span]], asks: &[Ask], page_limits: &[usize]) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let mut known = Vec::new();
    let mut before = None;
    for (position, batch) in batches.iter().enumerate() {
        append(&store, batch, &mut known);
        if position == 0 {
            before = Some((store.snapshot(), known.len()));
        }
        if position % 2 == 0 && position + 1 < batches.len() {
            store.seal().unwrap();
        }
    }
    let mut expected = Expected::new(&known, asks, page_limits);
    check_both(&store, directory.path(), &mut expected, "split");
    let (snapshot, count) = before.unwrap();
    let exported = snapshot.spans().map(|trace| trace.unwrap().len()).sum::<usize>();
    assert_eq!(exported, count, "a snapshot sees what came later");
    store.close().unwrap();
    store = open(directory.path());
    expected.check(&store, "split, reopened");
    batches.iter().rev().for_each(|batch| append(&store, batch, &mut known));
    assert_eq!(known.len() as u64, expected.span_count());
    expected.check(&store, "split, delivered again");
    store.seal().unwrap();
    check_both(&store, directory.path(), &mut expected, "split, delivered again, sealed");
    store.close().unwrap();
    expected.check(&open(directory.path()), "split, delivered again, sealed, reopened");
}

fn small() -> impl Strategy<Value = Vec<Span>> {
    spans(Recipe { spans: 0..40, traces: 3, zipkin_share: 0.3 })
}

/// More rows than a page and a block hold, more traces than a page of results.
fn large() -> impl Strategy<Value = Vec<Span>> {
    spans(Recipe { spans: 1500..1800, traces: 120, zipkin_share: 0.2 })
}

proptest! {
    #![proptest_config(cases(CASES, 1))]

    #[test]
    fn a_store_that_lies_in_one_piece_answers_as_a_list_would(
        spans in small(), cuts in vec(any::<Index>(), 0..4), asks in vec(ask(), 8),
    ) {
        live_whole(&batches(&spans, &cuts), &asks, &[1, 2, 3]);
    }

    #[test]
    fn a_store_whose_traces_are_split_answers_as_a_list_would(
        spans in small(), cuts in vec(any::<Index>(), 1..6), asks in vec(ask(), 8),
    ) {
        live_split(&batches(&spans, &cuts), &asks, &[1, 2, 3]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..cases(CASES_LARGE, 10) })]

    #[test]
    fn pages_and_blocks_cut_through_traces_and_no_answer_changes(
        spans in large(), cuts in vec(any::<Index>(), 2..4), asks in vec(ask(), 8),
    ) {
        let batches = batches(&spans, &cuts);
        live_whole(&batches, &asks, &[50]);
        live_split(&batches, &asks, &[50]);
    }
}

#[test]
fn a_span_of_the_second_segment_is_known_when_it_comes_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut known = Vec::new();
    let [first, second] = [1, 2].map(span_of_one_trace);
    append(&store, &[first], &mut known);
    store.seal().unwrap();
    append(&store, std::slice::from_ref(&second), &mut known);
    store.seal().unwrap();
    append(&store, &[second], &mut known);
    assert_eq!(store.stats().unwrap().rows, 2);
}

fn span_of_one_trace(id: u64) -> Span {
    let text = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{:032x}","spanId":"{id:016x}"}}]}}]}}]}}"#,
        7
    );
    let store = Store::open(tempfile::tempdir().unwrap().path()).unwrap();
    assert_eq!(store.append_otlp_json(text.as_bytes()).unwrap().accepted, 1);
    store.trace(tailspan::TraceId::from_halves(0, 7).unwrap()).unwrap().remove(0)
}
