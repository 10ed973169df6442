//! The states that a store with the same spans can be in, one after the other.
//!
//! ```text
//! head --> reopened --> sealed;   in pieces, the last in the head --> all sealed --> delivered again --> some deleted
//!                                 --> some came again --> merged --> reopened
//! ```

use std::sync::Arc;

use tailspan::{Durability, SimulatedDisk, Span, Store, TraceId};

fn open(disk: &SimulatedDisk) -> Store {
    let builder = Store::builder("").storage(Arc::new(disk.clone())).durability(Durability::Buffered);
    builder.seal_automatically(false).block_rows(1024).open().unwrap()
}

fn append(store: &Store, spans: &[Span]) {
    assert_eq!(store.append(spans).unwrap().rejected, []);
}

/// Calls `check` with a store in each state, the spans that live in it, and the state in words. The spans are distinct.
pub fn each_state(spans: &[Span], check: &mut dyn FnMut(&Store, &[Span], &str)) {
    let disk = SimulatedDisk::new(1);
    let mut store = open(&disk);
    append(&store, spans);
    check(&store, spans, "head");
    store.close().unwrap();
    store = open(&disk);
    check(&store, spans, "head, reopened");
    store.seal().unwrap();
    check(&store, spans, "sealed");
    store.close().unwrap();
    let disk = SimulatedDisk::new(2);
    store = open(&disk);
    for (at, piece) in spans.chunks((spans.len() / 3).max(1)).enumerate() {
        if at > 0 {
            store.seal().unwrap();
        }
        append(&store, piece);
    }
    check(&store, spans, "split, some in the head");
    store.seal().unwrap();
    check(&store, spans, "split");
    append(&store, spans);
    check(&store, spans, "split, delivered again");
    let dead: Vec<TraceId> = spans.iter().map(|span| span.trace_id).filter(|id| id.low().is_multiple_of(3)).collect();
    store.delete(&dead).unwrap();
    let mut live: Vec<Span> = spans.iter().filter(|span| !dead.contains(&span.trace_id)).cloned().collect();
    check(&store, &live, "some deleted");
    let again: Vec<Span> = spans.iter().filter(|span| dead.contains(&span.trace_id)).take(5).cloned().collect();
    append(&store, &again);
    live.extend(again);
    check(&store, &live, "some deleted, and came again");
    store.merge_all().unwrap();
    check(&store, &live, "merged");
    store.close().unwrap();
    check(&open(&disk), &live, "merged, reopened");
}
