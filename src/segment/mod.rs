//! Immutable files of clustered, columnar, paged, indexed spans.
//!
//! [`build_segment`] writes one from head chapters, [`merge_segments`] from segments, [`Segment`] reads it. [`layout`] says where things
//! stand, [`order`] in which order the rows are.

mod builder;
mod by_service;
mod dictionary;
mod field_columns;
mod fixed_columns;
mod fixed_rows;
pub(crate) mod layout;
mod link_indexes;
mod link_rows;
mod merge;
mod order;
mod overflow;
mod own_fields;
mod pages;
pub(crate) mod parity;
mod pick;
mod pointers;
mod rank_lists;
mod ranked;
mod reader;
mod row_finder;
mod row_indexes;
mod rows;
mod schema_sections;
mod sequences;
mod telling;
mod text_ids;
mod told;
mod traces;
mod unite;
mod usage;
mod verify;
mod writer;

pub use builder::{SegmentInput, build_segment};
pub use dictionary::DictionaryView;
pub use fixed_rows::OutlineReader;
pub use layout::{Fixed, HEADER_LEN as SEGMENT_HEAD_BYTES, SectionKind, store_of_segment};
pub use link_rows::LinkRows;
pub use merge::{MergeInput, MergePart, merge_segments};
pub use order::{OrderRow, fingerprint_of, last_instant, order_rows};
pub use overflow::{FieldColumn, overflow_number};
pub use pointers::{LinkTarget, LinkTargets};
pub use reader::{Segment, SegmentSource, Tables};
pub use row_finder::RowFinder;
pub use row_indexes::duration_bucket;
pub use rows::{Detail, IntegerCursor};
pub use sequences::SequencePages;
#[cfg(test)]
pub use told::TOLD_ROWS_MIN;
pub use usage::UsagePart;
