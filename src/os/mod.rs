//! The outside world: the only place for files, maps, `unsafe`, clocks and randomness.

mod storage;

pub use storage::{Clock, Directory, DirectoryEntry, FileBytes, LockGuard, Storage, WritableFile};
