//! Looking after a store: what it holds, whether it is sound, how long it stays.

mod keeper;
mod kept;
mod retain;
mod retention;
mod stats;
mod verify;

pub use keeper::Keeper;
pub use retain::{RetainSummary, retain};
pub use retention::{KeepRule, Retention};
pub use stats::{Stats, TimesWritten};
pub use verify::{Damage, VerifyReport, verify};
