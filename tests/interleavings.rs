//! Whatever happens to a store, in whatever order, it answers as a plain list of spans would.
//!
//! A life is a random list of events: appends (with duplicates, late spans and spans that were deleted
//! before), deletes, seals, merges, reopenings. Beside the store a model holds a list of spans. After some
//! events, and at the end, everything is asked: every trace, list and search, of the store itself and of
//! one opened beside it that only reads.
//!
//! `PROPTEST_CASES=1000` asks for more lives.

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

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::ask::Ask;
use common::check::Expected;
use common::distinct::distinct;
use common::queries::ask;
use common::spans::{Recipe, spans};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tailspan::{Durability, Span, Store, TraceId};

/// Lives, unless the environment says how many.
const CASES: u32 = 32;

/// What can happen.
#[derive(Clone, Debug)]
enum Event {
    /// Appends spans from the pool, as one batch; the pool is small, so many were appended before.
    Append(Vec<Index>),
    /// Deletes the traces of these spans of the pool.
    Delete(Vec<Index>),
    Seal,
    /// Merges what a merge by hand does; with true everything.
    Merge(bool),
    /// Appends, deletes and seals while everything is merged, over and over.
    WhileMerging(Vec<Event>),
    Reopen,
    /// Asks everything.
    Check,
}

fn write() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => vec(any::<Index>(), 1..12).prop_map(Event::Append),
        2 => vec(any::<Index>(), 1..3).prop_map(Event::Delete),
        3 => Just(Event::Seal),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        11 => write(),
        2 => any::<bool>().prop_map(Event::Merge),
        1 => vec(write(), 1..12).prop_map(Event::WhileMerging),
        1 => Just(Event::Reopen),
        1 => Just(Event::Check),
    ]
}

fn cases() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse::<u32>().ok());
    ProptestConfig { cases: asked.unwrap_or(CASES), failure_persistence: None, ..ProptestConfig::default() }
}

fn open(directory: &Path) -> Store {
    Store::builder(directory)
        .durability(Durability::Buffered)
        .seal_automatically(false)
        .block_rows(1024)
        .open()
        .unwrap()
}

/// Sets a flag when it goes, whether the test goes on or fails.
struct Stop<'f>(&'f AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A store and the list of what lives in it, in the order of appends.
struct Life<'p> {
    directory: &'p Path,
    store: Option<Store>,
    pool: &'p [Span],
    live: Vec<Span>,
    asks: &'p [Ask],
}

impl Life<'_> {
    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn run(&mut self, event: &Event, state: &str) {
        match event {
            Event::Append(picks) => {
                let batch: Vec<Span> = picks.iter().map(|pick| pick.get(self.pool).clone()).collect();
                let appended = self.store().append(&batch).unwrap();
                let before = self.live.len();
                self.live = distinct(self.live.iter().chain(&batch));
                let new = (self.live.len() - before) as u64;
                assert_eq!((appended.accepted, appended.total()), (new, batch.len() as u64), "{state}");
            }
            Event::Delete(picks) => {
                let ids: BTreeSet<TraceId> = picks.iter().map(|pick| pick.get(self.pool).trace_id).collect();
                let met: BTreeSet<TraceId> = self.live.iter().map(|s| s.trace_id).filter(|i| ids.contains(i)).collect();
                let deleted = self.store().delete(&ids.iter().copied().collect::<Vec<_>>()).unwrap();
                self.live.retain(|span| !ids.contains(&span.trace_id));
                assert_eq!(deleted.traces, met.len() as u64, "{state}");
            }
            Event::Seal => drop(self.store().seal().unwrap()),
            Event::Merge(all) => self.merge(*all, state),
            Event::WhileMerging(events) => self.while_merging(events, state),
            Event::Reopen => self.reopen(),
            Event::Check => self.check(state),
        }
    }

    fn merge(&mut self, all: bool, state: &str) {
        if all {
            self.store().merge_all().unwrap();
            let stats = self.store().stats().unwrap();
            assert_eq!(stats.awaiting_erasure, 0, "{state}");
            assert!(stats.segments <= 1, "{state}: {} segments", stats.segments);
            assert_eq!(stats.rows, self.live.len() as u64, "{state}: rows that no span needs");
        } else {
            self.store().merge().unwrap();
            assert_eq!(self.store().stats().unwrap().awaiting_erasure, 0, "{state}");
        }
    }

    fn while_merging(&mut self, events: &[Event], state: &str) {
        let store = self.store().clone();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let merging = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    store.merge_all().unwrap();
                }
            });
            let stop = Stop(&done);
            events.iter().for_each(|event| self.run(event, state));
            drop(stop);
            merging.join().unwrap();
        });
    }

    fn reopen(&mut self) {
        // The lock goes with the last clone of a store.
        self.store.take().unwrap().close().unwrap();
        self.store = Some(open(self.directory));
        assert_eq!(self.store().recovery().damage, [""; 0]);
    }

    fn check(&self, state: &str) {
        let mut expected = Expected::new(&self.live, self.asks, &[2]);
        expected.check(self.store(), state);
        expected.check(&Store::open_read_only(self.directory).unwrap(), &format!("{state}, read beside"));
        let stats = self.store().stats().unwrap();
        assert_eq!(stats.spans, expected.span_count(), "{state}");
    }
}

fn live(pool: &[Span], events: &[Event], asks: &[Ask]) {
    if pool.is_empty() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let store = Some(open(directory.path()));
    let mut life = Life { directory: directory.path(), store, pool, live: Vec::new(), asks };
    for (at, event) in events.iter().enumerate() {
        life.run(event, &format!("event {at}"));
    }
    life.check("at the end");
    life.reopen();
    life.check("at the end, reopened");
    let verified = life.store().verify().unwrap();
    assert!(verified.damaged.is_empty(), "{verified:?}");
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_life_of_a_store_ends_with_the_answers_of_a_list(
        pool in spans(Recipe { spans: 1..40, traces: 4, zipkin_share: 0.3 }),
        events in vec(event(), 1..24),
        asks in vec(ask(), 4),
    ) {
        live(&pool, &events, &asks);
    }
}
