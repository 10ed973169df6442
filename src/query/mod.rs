//! Questions about traces: what may be asked, what it means, and how an answer looks.

mod number;
mod text;

pub use number::Number;
pub use text::text_of;
