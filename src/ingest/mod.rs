//! The write path: spans into the head and the log, full heads into segments, and back again on opening.
//!
//! [`Engine`] holds what is live. One mutex guards the head and the list of parts; syncing, sealing and
//! reading happen outside it.

mod append;
mod engine;
mod generation;
mod open;
mod seal;
mod sealed_spans;

pub use append::{Appended, HeadSink, Sequence};
pub use engine::Engine;
pub use open::{OpenRequest, RecoveryReport};
pub use seal::SealSummary;
