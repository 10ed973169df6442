//! The outside world: the only place for files, maps, `unsafe`, clocks and randomness.

mod aligned;
mod clock;
pub mod defects;
mod disk;
mod lock;
mod mmap;
mod random;
mod storage;

pub use clock::{ManualClock, SystemClock};
pub use disk::Disk;
pub use storage::{Clock, Directory, DirectoryEntry, FileBytes, LockGuard, Storage, WritableFile};
