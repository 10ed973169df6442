//! Options of a store: durability, memory, sealing.

use std::time::Duration;

use crate::limits::{BLOCK_ROWS, Limits};

/// When an append is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// After the log holding the spans was synced to disk (fdatasync): an acknowledged span survives a
    /// power cut.
    #[default]
    Sync,
    /// At once; the log is synced at least this often. A power cut loses at most that much, the death
    /// of the process alone nothing that reached the log.
    Interval(Duration),
    /// At once; the operating system writes when it likes. The death of the process alone loses nothing
    /// that reached the log.
    Buffered,
}

/// What `append` does when the head is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Wait until sealing has made room.
    #[default]
    Block,
    /// Fail with [`crate::ErrorKind::Busy`].
    Busy,
}

/// Settings of an open store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// When an append is acknowledged. Default [`Durability::Sync`].
    pub durability: Durability,
    /// What an append does when the head is full. Default [`WhenFull::Block`].
    pub when_full: WhenFull,
    /// Memory for spans not yet sealed and for sealing them, in bytes. Default 256 MiB. Segments that are merged by
    /// themselves have a row for 64 bytes of it at most.
    pub memory_budget_bytes: usize,
    /// Rows of a block. Default 65,536; smaller in tests. A multiple of 1,024.
    pub block_rows: usize,
    /// Seal in the background when the head reaches its share of the budget. Default true.
    pub seal_automatically: bool,
    /// Merge sealed segments in the background when there are enough of them; only where the store seals
    /// by itself. Default true.
    pub merge_automatically: bool,
    /// Age at which spans go, as [`crate::Retention::max_age`] says: no merged segment spans more than a tenth
    /// of it, since a segment goes as a whole. Default none.
    pub max_age: Option<Duration>,
    /// Limits on what comes in and goes out.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            when_full: WhenFull::default(),
            memory_budget_bytes: 256 << 20,
            block_rows: BLOCK_ROWS,
            seal_automatically: true,
            merge_automatically: true,
            max_age: None,
            limits: Limits::default(),
        }
    }
}
