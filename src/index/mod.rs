//! From a question to pages, rows and traces: caches over a segment, and the only place for roaring.
//!
//! An index answers "where may this be?" and never "here it is": what it names is read and compared, so
//! a hash collision costs a page read and no answer. Each index is a builder that makes bytes and a
//! reader that borrows them; all can be rebuilt from the columns.
//!
//! | index | question | answer |
//! |---|---|---|
//! | [`TraceIndex`] | the low half of a trace id | trace ordinals |
//! | [`TermIndex`] | the hash of an attribute value | pages |
//! | [`CodeIndex`] | a dense code: service, operation, kind | a set of pages, rows or traces |
//! | [`ZoneMap`] | a range of times or durations | pages |
//!
//! [`links`] says which services a trace links. [`rollup`] answers how many and how long, not where: counts, sums and histograms, which are caches likewise.
//!
//! `open` validates hostile bytes once, `from_validated` reads the header alone and costs a few
//! nanoseconds, so that a query builds its reader from the mapped file. Lookups check every position they
//! read all the same: bytes that were never validated give wrong answers at worst, never a panic.
//! Checksums are the caller's.

mod bit_stream;
mod bucket;
mod code;
pub mod links;
mod packed;
pub mod rollup;
mod set;
mod term;
#[cfg(test)]
mod testing;
mod trace;
mod zone;

pub use code::{CodeIndex, CodeIndexBuilder};
pub use set::{Page, PageSet, RowSet, TraceSet};
pub use term::{Postings, TermIndex, TermIndexBuilder};
pub use trace::{TraceIndex, build_trace_index};
pub use zone::{Measure, ZoneMap, ZoneMapBuilder};
