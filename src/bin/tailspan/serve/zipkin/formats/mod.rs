//! Zipkin's other formats, translated to the one the store reads: JSON, version 2.
//!
//! ```text
//! zipkin.proto3 ListOfSpans ------------------------------> V2Span -> JSON v2
//! version 1, JSON   --v1_json--> V1Span --v1::convert--> 1 or more V2Span
//! version 1, thrift --thrift---> V1Span
//! ```
//! Spans are translated one by one, so that what a message asks for in memory is bounded by its largest span and by the
//! JSON that comes out.

mod proto;
mod thrift;
mod v1;
mod v1_json;
mod v2;

use super::super::intake::Wire;
use super::super::refusal::Refusal;
use v2::V2List;

/// Bytes of one span as it was sent.
const SPAN_BYTES_MAX: usize = 4 << 20;
/// Bytes of JSON that a message may become: escapes make text longer.
const JSON_BYTES_MAX: usize = 256 << 20;

/// The message as JSON, version 2.
///
/// # Errors
/// Invalid, in Zipkin's words where it has some, if the message is not a list of spans in its format.
pub fn translated(wire: Wire, message: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut list = V2List::new(JSON_BYTES_MAX);
    match wire {
        Wire::ZipkinProto => proto::read(message, &mut list)?,
        Wire::ZipkinThrift => thrift::read(message, &mut list)?,
        _ => v1_json::read(message, &mut list)?,
    }
    Ok(list.finish())
}

/// A refusal of a message that is no list in this format.
fn no_list(format: &str) -> Refusal {
    Refusal::invalid(format!("Expected a {format} encoded list\n"))
}

fn malformed(format: &str, why: impl std::fmt::Display) -> Refusal {
    Refusal::invalid(format!("Malformed reading List<Span> from {format}: {why}"))
}

/// A refusal of a span that is too large to be looked at.
fn too_large(format: &str, number: usize) -> Refusal {
    malformed(format, format_args!("span {number} has more than {SPAN_BYTES_MAX} bytes"))
}
