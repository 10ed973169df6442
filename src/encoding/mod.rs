//! Pages: up to 1,024 values of one column as bytes that decode alone.
//!
//! ```text
//! page = codec code (1 byte) ++ body      the count of values stands outside, with the caller
//! ```
//!
//! There are two kinds of column, [`integers`] and [`strings`]; a dictionary column is an integer column of
//! codes. A codec is chosen once per column on sample pages, and each page names the one it really uses,
//! because a page may differ: a page of one value is `constant` whatever its column is.
//!
//! Invariants. Encoding is lossless for every input and the same input gives the same bytes. Decoding
//! takes any bytes: it returns the values or a corrupt-data error, reads every byte of the page, and
//! reserves no memory that the caller's count or the bytes at hand do not justify.

mod integers;
mod strings;

#[cfg(test)]
pub use integers::IntegerCodec;
pub use integers::{choose_integers, decode_integers, encode_integers, encode_integers_best, integer_at, reads_singly};
#[cfg(test)]
pub use strings::{StringBody, StringCodec, decode_strings, encode_strings};
pub use strings::{StringEncoder, StringPage, Strings, TemplateTable, decode_strings_with};
