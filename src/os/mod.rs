//! The outside world: the only place for files, maps, `unsafe`, clocks and randomness.

mod clock;
pub mod defects;
mod random;
mod storage;

pub use clock::{ManualClock, SystemClock};
pub use storage::{Clock, Directory, DirectoryEntry, FileBytes, LockGuard, Storage, WritableFile};
