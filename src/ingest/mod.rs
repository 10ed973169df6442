//! The write path: spans into the head and the log, full heads into segments, and back again on opening.
//!
//! [`Engine`] holds what is live. One mutex guards the head and the list of parts; syncing, sealing and
//! reading happen outside it.

mod acknowledged;
mod append;
mod clock;
mod delete;
mod engine;
mod generation;
mod marks;
mod merge;
mod merge_plan;
mod open;
mod put_aside;
mod recovery;
mod refresh;
mod replayed;
mod retire;
mod seal;
mod sealed_spans;
mod work;

pub use acknowledged::Acknowledged;
pub use append::{Appended, HeadSink, Sequence};
pub use delete::DeleteSummary;
pub use engine::Engine;
pub use merge::MergeSummary;
pub use merge_plan::Extent;
pub use open::OpenRequest;
pub use recovery::{Damage, RecoveryReport};
pub use retire::{SealedPart, Upkeep};
pub use seal::SealSummary;
pub use work::Work;
