//! Stores of the benches that hold still while they are asked.

use tailspan::{Durability, Store};

/// Appends the messages; all of their spans are accepted.
pub fn fill(store: &Store, messages: &[Vec<u8>]) {
    for message in messages {
        let appended = store.append_otlp(message).expect("the workload is sound");
        assert_eq!(appended.rejected_count(), 0, "the workload is sound");
    }
}

/// A store in this directory that seals when it is told to.
pub fn open(directory: &tempfile::TempDir, durability: Durability) -> Store {
    let builder = Store::builder(directory.path()).durability(durability).seal_automatically(false);
    builder.open().expect("a new store")
}
