//! What a query reads, sealed or not, and what it cost.

use std::cell::Cell;

/// Counts what one query reads.
#[derive(Clone, Debug, Default)]
pub struct ReadCounter {
    pages: Cell<u64>,
    bytes: Cell<u64>,
}

impl ReadCounter {
    /// One more page of this encoded length.
    pub fn count_page(&self, len_bytes: usize) {
        self.pages.set(self.pages.get() + 1);
        self.bytes.set(self.bytes.get() + len_bytes as u64);
    }

    /// Pages read so far.
    pub fn pages(&self) -> u64 {
        self.pages.get()
    }

    /// Encoded bytes of the pages read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }
}
