//! Snapshots against all that rearranges the store, under a scheduler that chooses which thread goes on at every lock:
//! thousands of orders that no clock would ever produce.
//!
//! The engine itself runs, on the simulated disk; only its locks are the scheduler's. A schedule that fails is printed
//! and can be repeated. `TAILSPAN_SCHEDULES` asks for more.
//!
//! ```sh
//! RUSTFLAGS="--cfg shuttle" cargo test --test schedules --target-dir target/shuttle
//! ```
#![cfg(shuttle)]

#[path = "common/numbered.rs"]
mod numbered;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner, thread};
use tailspan::{CrashChoice, Durability, Retention, SimulatedDisk, Snapshot, Span, Storage, Store};

/// Spans of one append: two traces.
const BATCH: u64 = 2 * numbered::TRACE_SPANS;
const BATCHES: u64 = 4;
/// Orders tried by each way of choosing.
const SCHEDULES: usize = 1_000;
const STACK_BYTES: usize = 1 << 20;

fn open(disk: &SimulatedDisk) -> Store {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let builder = Store::builder("unused").storage(storage).durability(Durability::Sync).block_rows(1024);
    builder.seal_automatically(false).open().expect("a sound disk opens")
}

/// The numbers of the spans that a snapshot shows, each once.
fn numbers(snapshot: &Snapshot) -> BTreeSet<u64> {
    let mut out = BTreeSet::new();
    for span in snapshot.spans().flat_map(|trace| trace.expect("nothing is damaged")) {
        let number = numbered::number_of(&span).expect("nothing is invented");
        assert!(out.insert(number), "span {number} is shown twice");
    }
    out
}

/// What is there is the beginning of what was appended, and everything acknowledged before.
fn is_sound(shown: &BTreeSet<u64>, acknowledged: u64) {
    let count = shown.len() as u64;
    assert!(count >= acknowledged && count.is_multiple_of(BATCH), "{count} spans, {acknowledged} acknowledged");
    assert!(shown.iter().copied().eq(0..count), "a hole in {shown:?}");
}

fn append(store: &Store, acknowledged: &AtomicU64) {
    for batch in 0..BATCHES {
        let spans: Vec<Span> = (batch * BATCH..(batch + 1) * BATCH).map(numbered::span).collect();
        store.append(&spans).map(drop).expect("spans are taken");
        acknowledged.store((batch + 1) * BATCH, Ordering::SeqCst);
    }
}

/// Takes snapshots, and holds each while the store goes on beneath it.
fn read(store: &Store, acknowledged: &AtomicU64) {
    for _ in 0..3 {
        let before = acknowledged.load(Ordering::SeqCst);
        let snapshot = store.snapshot();
        let shown = numbers(&snapshot);
        is_sound(&shown, before);
        thread::yield_now();
        assert_eq!(numbers(&snapshot), shown, "a held snapshot changes");
    }
}

fn one_life() {
    let disk = SimulatedDisk::new(1);
    let (store, acknowledged) = (open(&disk), Arc::new(AtomicU64::new(0)));
    let run = |work: fn(&Store, &AtomicU64)| {
        let (store, acknowledged) = (store.clone(), acknowledged.clone());
        thread::spawn(move || work(&store, &acknowledged))
    };
    let threads = [
        run(append),
        run(read),
        run(read),
        run(|store, _| {
            for _ in 0..2 {
                store.seal().map(drop).expect("it seals");
            }
        }),
        run(|store, _| {
            for _ in 0..2 {
                store.merge_all().map(drop).expect("it merges");
                store.retain(&Retention::default()).map(drop).expect("it keeps everything");
            }
        }),
    ];
    for thread in threads {
        thread.join().expect("no thread panicked");
    }
    let all = BATCH * BATCHES;
    is_sound(&numbers(&store.snapshot()), all);
    drop(store);
    let after_a_crash = open(&disk.crash_image(CrashChoice::LoseUnsynced));
    is_sound(&numbers(&after_a_crash.snapshot()), all);
}

fn try_all(scheduler: impl Scheduler + 'static) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    let tried = Runner::new(scheduler, config).run(one_life);
    println!("{tried} schedules, no violation");
    assert!(tried > 0);
}

fn schedules() -> usize {
    std::env::var("TAILSPAN_SCHEDULES").map_or(SCHEDULES, |word| word.parse().expect("a number"))
}

#[test]
fn snapshots_are_whole_in_any_order_of_threads() {
    try_all(RandomScheduler::new(schedules()));
}

#[test]
fn snapshots_are_whole_where_few_changes_of_thread_matter() {
    try_all(PctScheduler::new(3, schedules()));
}
