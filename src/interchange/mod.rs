//! Spans in other clothes: the wire formats, read into a [`crate::model::SpanSink`] and written from
//! [`crate::model::Span`]s. This layer knows spans, not stores.

mod otlp;
#[cfg(test)]
mod testing;

pub use otlp::read_otlp;
