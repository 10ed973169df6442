//! Immutable files of clustered, columnar, paged, indexed spans.
//!
//! [`build_segment`] writes one from head chapters, [`Segment`] reads it. [`layout`] says where things
//! stand, [`order`] in which order the rows are.

mod builder;
mod dictionary;
pub(crate) mod layout;
mod order;
mod overflow;
mod own_fields;
mod pick;
mod ranked;
mod reader;
mod rows;
mod sequences;
mod unite;
mod usage;
mod verify;
mod writer;

pub use builder::{SegmentInput, build_segment, duration_bucket};
pub use dictionary::DictionaryView;
pub use layout::{Fixed, SectionKind, store_of_segment};
pub use overflow::{FieldColumn, overflow_number};
pub use reader::{Segment, SegmentSource, Tables};
pub use rows::IntegerCursor;
pub use sequences::SequencePages;
