//! Looking after a store: what it holds, whether it is sound, how long it stays.

mod backup;
mod compare;
mod erased;
mod keeper;
mod kept;
mod problems;
mod repair;
mod retain;
mod retention;
mod stats;
mod tail;
mod verify;

pub use backup::{BackupSummary, backup};
pub use compare::{StoreDifference, compare};
pub use erased::{ErasureReport, Leftover, verify_erased};
pub use keeper::Keeper;
pub use repair::{RepairReport, repair};
pub use retain::{RetainSummary, retain};
pub use retention::{KeepRule, Retention};
pub use stats::{Stats, TimesWritten};
pub use tail::{Tail, TailCursor, TailedSpan};
pub use verify::{VerifyReport, verify};
