//! Append, seal, merge, open, export, trace lookup and find on a seeded workload of the project's own.
//!
//! Figures are spans a second (of a search, spans of the store) and time a query. Run `cargo bench`; compare ratios inside one
//! run, since machines differ and are noisy.

mod common {
    pub mod calls;
    pub mod stores;
    pub mod workload;
}

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tailspan::{Durability, Order, Query, Store, TraceId};

use common::calls::{SPANS_A_TRACE, messages};
use common::stores::{fill, open};
use common::workload::trace_id;

const TRACES: u64 = 20_000;
const SPANS: u64 = TRACES * SPANS_A_TRACE;

fn append(c: &mut Criterion) {
    let messages = messages(0..TRACES);
    let mut group = c.benchmark_group("append");
    group.sample_size(10).throughput(Throughput::Elements(SPANS));
    for (name, durability) in [
        ("sync", Durability::Sync),
        ("interval", Durability::Interval(Duration::from_millis(100))),
        ("buffered", Durability::Buffered),
    ] {
        group.bench_function(name, |b| {
            b.iter_batched(
                || tempfile::tempdir().expect("a temporary directory"),
                |directory| {
                    fill(&open(&directory, durability), &messages);
                    directory
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn seal(c: &mut Criterion) {
    let messages = messages(0..TRACES);
    let mut group = c.benchmark_group("seal");
    group.sample_size(10).throughput(Throughput::Elements(SPANS));
    group.bench_function("200k spans", |b| {
        b.iter_batched(
            || {
                let directory = tempfile::tempdir().expect("a temporary directory");
                let store = open(&directory, Durability::Buffered);
                fill(&store, &messages);
                (directory, store)
            },
            |(directory, store)| {
                store.seal().expect("sealing works");
                (directory, store)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn merge(c: &mut Criterion) {
    let messages = messages(0..TRACES);
    let (one, other) = messages.split_at(messages.len() / 2);
    let mut group = c.benchmark_group("merge");
    group.sample_size(10).throughput(Throughput::Elements(SPANS));
    group.bench_function("two segments of 100k spans", |b| {
        b.iter_batched(
            || {
                let directory = tempfile::tempdir().expect("a temporary directory");
                let store = open(&directory, Durability::Buffered);
                for half in [one, other] {
                    fill(&store, half);
                    store.seal().expect("sealing works");
                }
                (directory, store)
            },
            |(directory, store)| {
                store.merge_all().expect("merging works");
                (directory, store)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn whole(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = open(&directory, Durability::Buffered);
    fill(&store, &messages(0..TRACES));
    store.seal().expect("sealing works");
    let mut group = c.benchmark_group("whole store");
    group.sample_size(10).throughput(Throughput::Elements(SPANS));
    group.bench_function("open", |b| {
        b.iter(|| Store::open_read_only(black_box(directory.path())).expect("the store is sound"));
    });
    group.bench_function("export", |b| {
        b.iter(|| {
            let spans: usize = store.snapshot().spans().map(|trace| trace.expect("the store is sound").len()).sum();
            assert_eq!(spans as u64, SPANS);
        });
    });
    group.finish();
}

fn queries(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = open(&directory, Durability::Buffered);
    fill(&store, &messages(0..TRACES));
    store.seal().expect("sealing works");
    let snapshot = store.snapshot();
    let mut trace = 0;
    let mut group = c.benchmark_group("trace");
    group.throughput(Throughput::Elements(SPANS_A_TRACE));
    group.bench_function("hit", |b| {
        b.iter(|| {
            trace = (trace + 7_919) % TRACES;
            let id = TraceId::from_bytes(trace_id(trace)).expect("ids are not zero");
            let spans = snapshot.trace(black_box(id)).expect("the store is sound");
            assert_eq!(spans.len() as u64, SPANS_A_TRACE);
        });
    });
    group.bench_function("miss", |b| {
        b.iter(|| {
            trace += 1;
            let id = TraceId::from_halves(trace, u64::MAX - trace).expect("ids are not zero");
            assert!(snapshot.trace(black_box(id)).expect("the store is sound").is_empty());
        });
    });
    group.finish();
    let user = format!("app.user.id=u-{:06}", 5 * 7919);
    let searches = [
        ("service", Query::new().service("payment")),
        ("service, name, duration", {
            let query = Query::new().service("payment").name("operation-7");
            query.min_duration(Duration::from_millis(5))
        }),
        ("error", Query::new().error()),
        ("newest of a service with a minimum duration", {
            Query::new().service("payment").min_duration(Duration::from_millis(20))
        }),
        ("attribute", Query::new().tag_text(&user).expect("a tag filter")),
        ("slowest of a service", Query::new().service("email").order(Order::Slowest)),
    ];
    let mut group = c.benchmark_group("find");
    group.throughput(Throughput::Elements(SPANS));
    for (name, query) in searches {
        group.bench_function(name, |b| {
            b.iter(|| {
                let found = snapshot.find(black_box(&query)).expect("the query is sound");
                assert!(!found.traces.is_empty() && found.complete);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, append, seal, merge, whole, queries);
criterion_main!(benches);
