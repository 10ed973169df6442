//! Spans in other clothes: the wire formats, read into a [`crate::model::SpanSink`] and written from
//! [`crate::model::Span`]s. This layer knows spans, not stores.
//!
//! OTLP protobuf is the path that must be fast; it is read in one borrowed pass. The JSON formats are
//! for tools and small senders. Each format keeps its own data model, and [`crossing`] translates.

mod crossing;
mod otlp;
mod otlp_json;
mod scalar;
#[cfg(test)]
mod testing;
mod zipkin_json;

pub use crossing::{otlp_to_zipkin, zipkin_to_otlp};
pub use otlp::read_otlp;
pub use otlp_json::{otlp_json_traces, read_otlp_json, write_otlp_json};
pub use zipkin_json::{read_zipkin_json, write_zipkin_json, zipkin_json};
