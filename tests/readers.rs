//! Readers against retention: four readers hold snapshots while a writer appends and others seal, merge and let the
//! oldest go ten times a second. No held snapshot loses a span, no read fails, and when the last reader lets go the
//! bytes of what went are free.
//!
//! `TAILSPAN_READERS_SECONDS` runs it for longer than a few seconds.

#[path = "common/numbered.rs"]
mod numbered;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tailspan::{Durability, Query, Retention, Snapshot, Span, Store};

const READERS: usize = 4;
/// Bytes that retention leaves.
const BYTES_MAX: u64 = 1 << 20;
const TENTH: Duration = Duration::from_millis(100);

fn numbers(snapshot: &Snapshot) -> Vec<u64> {
    let mut out: Vec<u64> = snapshot
        .spans()
        .flat_map(|spans| spans.expect("a held snapshot is whole"))
        .map(|span| numbered::number_of(&span).expect("nothing is invented"))
        .collect();
    out.sort_unstable();
    out
}

/// Takes a snapshot, reads it twice with a pause, by scan and by search.
fn read(store: &Store) {
    let snapshot = store.snapshot();
    let before = numbers(&snapshot);
    assert!(before.windows(2).all(|pair| pair[0] < pair[1]), "a span is there twice");
    std::thread::sleep(2 * TENTH);
    assert_eq!(numbers(&snapshot), before, "a held snapshot changed");
    let found = snapshot.find(&Query::new().limit(0)).expect("a search");
    assert!(found.complete, "{:?}", found.reason);
    let traces: std::collections::BTreeSet<u64> = before.iter().map(|number| number / numbered::TRACE_SPANS).collect();
    assert_eq!(found.traces.len(), traces.len());
}

fn mapped_deleted_files() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines().filter(|line| line.contains("/seg/") && line.ends_with("(deleted)")).count()
}

#[test]
fn held_snapshots_stay_whole_while_everything_beneath_them_goes() {
    let seconds = std::env::var("TAILSPAN_READERS_SECONDS").map_or(4, |word| word.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let builder = Store::builder(folder.path()).durability(Durability::Buffered).seal_automatically(false);
    let store = builder.open().expect("an empty folder");
    let (done, reads, rounds) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let until = Instant::now() + Duration::from_secs(seconds);
        scope.spawn(|| {
            let mut first = 0;
            while !done.load(Ordering::Relaxed) {
                let spans: Vec<Span> = (first..first + 250).map(numbered::span).collect();
                store.append(&spans).map(drop).expect("spans are taken");
                first += 250;
                std::thread::sleep(TENTH / 10);
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.seal().expect("it seals");
                if rounds.fetch_add(1, Ordering::Relaxed) % 3 == 0 {
                    store.merge_all().expect("it merges");
                }
                store.retain(&Retention::new().max_bytes(BYTES_MAX)).expect("the oldest go");
                std::thread::sleep(TENTH);
            }
        });
        for _ in 0..READERS {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    read(&store);
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        done.store(true, Ordering::Relaxed);
    });
    store.retain(&Retention::new().max_bytes(BYTES_MAX)).expect("the oldest go");
    println!("{} reads, {} rounds of sealing and retention", reads.into_inner(), rounds.into_inner());
    assert!(store.stats().expect("stats").bytes_on_disk <= BYTES_MAX);
    // Nobody reads any more: no file that went is still mapped, so its bytes are free.
    assert_eq!(mapped_deleted_files(), 0);
}
