//! Looking after a store: what it holds, whether it is sound.

mod stats;
mod verify;

pub use stats::{Stats, TimesWritten};
pub use verify::{Damage, VerifyReport, verify};
