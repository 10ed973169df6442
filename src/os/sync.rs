//! The locks of the engine: the standard ones, or, in a build with `--cfg shuttle`, those of a scheduler that runs one
//! thread at a time and tries many orders of what they do (tests/schedules.rs).

#[cfg(not(shuttle))]
pub use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(shuttle)]
pub use shuttle::sync::{Condvar, Mutex, MutexGuard};
