//! Spans in memory, not yet sealed.
//!
//! The head is a list of *chapters* of about 16,384 spans. A chapter has its own dictionaries, is appended
//! to by one writer, and is frozen when full; readers see frozen chapters and a copy of the active one.
//! A log record is the growth of a chapter since the record before it, byte for byte what memory holds.

mod builder;
mod chapter;
mod frozen;
mod record;
mod span_ids;
mod strings;
mod wire_codes;

pub use builder::{ChapterBuilder, Mark};
pub use chapter::{Chapter, Row, trace_id_of};
#[cfg(test)]
pub use chapter::{EventRow, LinkRow};
pub use frozen::FrozenChapter;
pub use record::{apply_record, encode_record};
pub use span_ids::{Place, Rows, SpanIds};
