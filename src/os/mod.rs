//! The outside world: the only place for files, maps, `unsafe`, clocks and randomness.

mod aligned;
mod clock;
pub mod defects;
mod disk;
mod lock;
mod mmap;
mod on_demand;
mod random;
mod simulated;
mod storage;
mod sync;

pub use clock::{ManualClock, SystemClock};
pub use disk::Disk;
pub use simulated::{CrashChoice, Fault, FaultKind, OperationKind, SimulatedDisk};
pub use storage::{Clock, Directory, DirectoryEntry, FileBytes, LockGuard, Storage, WritableFile};
pub use sync::{Condvar, Mutex, MutexGuard};
