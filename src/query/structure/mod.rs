//! Structural conditions: which spans, by what they are and by how they hang together, in TraceQL's words.
//!
//! ```text
//! text --parser--> SpanSet --print--> text
//!                     |  steps: conditions, relations, && ||, count()
//!   spans of a trace  |  conditions become gates over criteria
//!         |           v
//!   forest (rows in pre-order, depths)  +  rows that meet each condition  -->  verdict: certain, possible
//! ```
//! Owned spans are judged by [`SpanSet::judge`], clean traces of a segment from its columns by [`PartSet`]; both
//! end in the same passes over the forest.

mod bits;
mod condition;
mod field;
mod forest;
mod gate;
mod head_set;
mod judge;
mod literal;
mod parser;
mod part_conditions;
mod part_set;
mod print;
mod scanner;
mod span_set;
#[cfg(test)]
mod tests;
mod verdict;

pub use condition::Condition;
pub use field::SpanField;
pub use head_set::{HeadRows, head_rows};
pub use judge::parents_of;
pub use literal::Literal;
pub use part_set::PartSet;
pub use span_set::{Relation, SpanSet};
