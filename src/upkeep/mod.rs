//! Looking after a store: what it holds, whether it is sound.

mod stats;
mod tail;
mod verify;

pub use stats::{Stats, TimesWritten};
pub use tail::{Tail, TailCursor, TailedSpan};
pub use verify::{Damage, VerifyReport, verify};
