//! Bounds that hold whatever is stored. Times are printed, not asserted: machines differ. A trace larger than memory is
//! the matter of huge_trace.rs. `TAILSPAN_LOG_SPANS` reads a longer log back.

#[path = "common/numbered.rs"]
mod numbered;

use std::sync::Arc;
use std::time::Instant;

use tailspan::{Durability, Query, SimulatedDisk, Span, Storage, Store};

/// Segments of the store with many; each holds two traces.
const SEGMENTS: u64 = 1_000;
const EACH: u64 = 2 * numbered::TRACE_SPANS;

fn builder(disk: &SimulatedDisk) -> tailspan::StoreBuilder {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    Store::builder("unused").storage(storage).seal_automatically(false)
}

#[test]
fn a_thousand_segments_open_and_answer() {
    let disk = SimulatedDisk::new(1);
    let store = builder(&disk).open().expect("an empty disk");
    for segment in 0..SEGMENTS {
        let spans: Vec<Span> = (segment * EACH..(segment + 1) * EACH).map(numbered::span).collect();
        store.append(&spans).map(drop).expect("spans are taken");
        store.seal().expect("it seals");
    }
    store.close().expect("it closes");
    // On a real disk: the files are opened and mapped.
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    for name in disk.file_names() {
        let path = folder.path().join(&name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        std::fs::write(path, disk.read_file(&name).expect("it was listed")).expect("the file is written");
    }
    let began = Instant::now();
    let store = Store::builder(folder.path()).seal_automatically(false).open().expect("it opens");
    println!("{SEGMENTS} segments opened in {:?}", began.elapsed());
    assert_eq!(store.stats().expect("stats").segments, SEGMENTS);
    let last = numbered::span(SEGMENTS * EACH - 1);
    assert!(store.trace(last.trace_id).expect("a trace").contains(&last));
    assert_eq!(store.find(&Query::new().limit(7)).expect("a search").traces.len(), 7);
}

#[test]
fn a_log_is_read_back_within_the_budget_it_was_written_with() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let word = std::env::var("TAILSPAN_LOG_SPANS").ok();
    let spans = word.map_or(100_000, |word| word.parse::<u64>().expect("TAILSPAN_LOG_SPANS is a number"));
    let budget = (64 << 20).max(spans as usize * 700);
    let builder = || Store::builder(folder.path()).seal_automatically(false).memory_budget_bytes(budget);
    let store = builder().durability(Durability::Buffered).open().expect("an empty folder");
    for batch in 0..spans / 1_000 {
        let spans: Vec<Span> = (batch * 1_000..(batch + 1) * 1_000).map(numbered::span).collect();
        store.append(&spans).map(drop).expect("spans are taken");
    }
    let held = store.stats().expect("stats").head_bytes;
    drop(store);
    let began = Instant::now();
    let store = builder().open().expect("it opens");
    let elapsed = began.elapsed();
    let stats = store.stats().expect("stats");
    let for_256_mib = elapsed.mul_f64((256 << 20) as f64 / stats.log_bytes as f64);
    println!("{} bytes of log read back in {elapsed:?}, for 256 MiB {for_256_mib:?}", stats.log_bytes);
    assert_eq!(stats.spans, spans / 1_000 * 1_000);
    // What is read back takes no more than what was appended, but for the room that buffers grow by.
    assert!(stats.head_bytes <= budget as u64, "{} bytes, the budget is {budget}", stats.head_bytes);
    assert!(stats.head_bytes <= held + held / 4, "{} bytes, before {held}", stats.head_bytes);
}

#[test]
fn files_that_are_read_answer_as_files_that_are_mapped() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let open = |mapped: bool| Store::builder(folder.path()).map_files(mapped).seal_automatically(false).open();
    let spans: Vec<Span> = (0..3_000).map(numbered::span).collect();
    let store = open(false).expect("an empty folder");
    for part in spans.chunks(1_000) {
        store.append(part).map(drop).expect("spans are taken");
        store.seal().expect("it seals");
    }
    store.merge_all().expect("it merges");
    let read: Vec<Vec<Span>> = store.spans().map(|spans| spans.expect("nothing is damaged")).collect();
    drop(store);
    let mapped: Vec<Vec<Span>> =
        open(true).expect("it opens").spans().map(|spans| spans.expect("nothing is damaged")).collect();
    let numbers = read.iter().flatten().map(|span| numbered::number_of(span).expect("nothing is invented"));
    assert_eq!(numbers.collect::<std::collections::BTreeSet<u64>>().len(), spans.len());
    assert!(read == mapped);
}
