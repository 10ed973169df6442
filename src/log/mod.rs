//! The log: spans are acknowledged from here, before they are sealed into segments.
//!
//! A log is a row of numbered files. Each is a header and checksummed records ([`record`]), appended by one
//! [`LogWriter`] with group commit ([`writer`]) and read back by [`replay`] when the store is opened. What a
//! record's payload says is the head's affair.

mod group;
mod names;
mod record;
mod replay;
mod writer;

#[cfg(test)]
mod tests;

pub use names::FileId;
pub use record::{LOG_HEADER_BYTES, LogHeader, RecordHeader, RecordKind};
pub use replay::{LogDamage, LogEnding, LogIdentity, ReplayReport, replay};
pub use writer::{LogPosition, LogWriter, NewRecord};

#[cfg(test)]
pub use record::{LOG_MAGIC, LOG_VERSION, RECORD_HEADER_BYTES, RECORD_MAGIC, RECORD_PAYLOAD_BYTES_MAX};
#[cfg(test)]
pub use writer::AppendedRecord;
