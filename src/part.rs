//! What a query reads, sealed or not, what it cost, and how much of a trace it may hold.

use std::cell::Cell;

use crate::error::{Error, ErrorKind, Result};
use crate::limits::TRACE_BYTES_MAX;

/// Counts what one query reads, and bounds the bytes of the trace it is reading.
#[derive(Clone, Debug)]
pub struct ReadCounter {
    pages: Cell<u64>,
    bytes: Cell<u64>,
    trace_bytes_max: usize,
    held: Cell<usize>,
}

impl Default for ReadCounter {
    fn default() -> Self {
        Self::limited(TRACE_BYTES_MAX)
    }
}

impl ReadCounter {
    /// A counter for a query that holds at most so many bytes of one trace.
    pub fn limited(trace_bytes_max: usize) -> Self {
        Self { pages: Cell::new(0), bytes: Cell::new(0), trace_bytes_max, held: Cell::new(0) }
    }

    /// One more page of this encoded length.
    pub fn count_page(&self, len_bytes: usize) {
        self.pages.set(self.pages.get() + 1);
        self.bytes.set(self.bytes.get() + len_bytes as u64);
    }

    /// So many more pages of these encoded lengths together.
    pub fn count_pages(&self, pages: u64, len_bytes: u64) {
        self.pages.set(self.pages.get() + pages);
        self.bytes.set(self.bytes.get() + len_bytes);
    }

    /// Pages read so far.
    pub fn pages(&self) -> u64 {
        self.pages.get()
    }

    /// Encoded bytes of the pages read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Runs `read`, which holds what it reads, on top of what is held already; then nothing more is held.
    pub fn holding<T>(&self, read: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = self.held.get();
        let result = read();
        self.held.set(before);
        result
    }

    /// Holds one more span of these bytes, the `done`th of `rows` in its part.
    ///
    /// # Errors
    /// TooLarge if the trace outgrows the limit.
    pub fn hold(&self, bytes: usize, done: usize, rows: usize) -> Result<()> {
        let held = self.held.get().saturating_add(bytes);
        if held <= self.trace_bytes_max {
            self.held.set(held);
            return Ok(());
        }
        let (max, whole) = (self.trace_bytes_max, held as u128 * rows.max(done) as u128 / done.max(1) as u128);
        let text = format!(
            "it takes about {whole} bytes in memory: span {done} of {rows} exceeds the limit of {max} bytes; \
             raise Limits::trace_bytes_max (--max-trace-bytes)"
        );
        Err(Error::new(ErrorKind::TooLarge, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_held_up_to_the_limit_and_let_go_afterwards() {
        let counter = ReadCounter::limited(100);
        let two = |bytes: usize| counter.holding(|| counter.hold(60, 1, 4).and_then(|()| counter.hold(bytes, 2, 4)));
        assert!(two(40).is_ok());
        let error = two(41).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(
            error.to_string().contains("about 202 bytes in memory: span 2 of 4 exceeds the limit of 100"),
            "{error}"
        );
        assert!(two(40).is_ok(), "what failed is held no more");
    }
}
