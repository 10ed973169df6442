//! What the write path did is counted: each span once for the log, for the seal and for the merge, each byte where it
//! was written. No time is asserted.

#[path = "common/numbered.rs"]
mod numbered;

use std::ops::Range;

use tailspan::{Durability, Span, Store, Work};

const SPANS: u64 = 400;

fn append(store: &Store, numbers: Range<u64>) {
    let spans: Vec<Span> = numbers.map(numbered::span).collect();
    assert!(spans.iter().all(|span| numbered::number_of(span).is_ok()), "each is what its number says");
    let appended = store.append(&spans).expect("numbered spans are sound");
    assert_eq!(appended.rejected_count(), 0);
}

/// Spans and bytes of log, seal and merge.
fn written(work: &Work) -> [(u64, u64); 3] {
    [(work.log_spans, work.log_bytes), (work.sealed_spans, work.sealed_bytes), (work.merged_spans, work.merged_bytes)]
}

#[test]
fn what_was_written_is_counted_where_it_was_written() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let open = || {
        let builder = Store::builder(folder.path()).durability(Durability::Buffered).seal_automatically(false);
        builder.open().expect("the store opens")
    };
    let store = open();
    assert_eq!(store.work(), Work::default());

    let empty_log_bytes = store.stats().expect("figures").log_bytes;
    append(&store, 0..SPANS / 2);
    // Duplicates are written nowhere.
    append(&store, 0..SPANS / 2);
    let log_bytes = store.stats().expect("figures").log_bytes - empty_log_bytes;
    assert_eq!(written(&store.work()), [(SPANS / 2, log_bytes), (0, 0), (0, 0)]);

    let first = store.seal().expect("sealed");
    let log = (SPANS / 2, log_bytes);
    assert_eq!(written(&store.work()), [log, (SPANS / 2, first.bytes), (0, 0)]);
    append(&store, SPANS / 2..SPANS);
    let second = store.seal().expect("sealed");
    let merged = store.merge_all().expect("merged");
    let [log, sealed, united] = written(&store.work());
    assert!(log.0 == SPANS && log.1 > log_bytes, "{log:?}");
    assert_eq!(sealed, (SPANS, first.bytes + second.bytes));
    assert_eq!(united, (SPANS, merged.bytes_written));

    let services = store.services().expect("services");
    assert!(services.iter().any(|service| service.service.as_deref() == Some(numbered::SERVICE)), "{services:?}");
    store.close().expect("closed");
    assert_eq!(open().work(), Work::default(), "it is counted from the opening");
}
