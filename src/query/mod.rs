//! Questions about traces: what may be asked, what it means, and how an answer looks.

mod annotation;
#[cfg(test)]
mod fixture;
mod number;
mod tag;
#[cfg(test)]
mod tag_tests;
mod text;

pub use annotation::AnnotationTerm;
pub use number::Number;
pub use tag::{Operand, TagFilter, TagOperator, TagScope};
pub use text::text_of;
