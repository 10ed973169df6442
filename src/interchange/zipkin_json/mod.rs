//! Zipkin v2 JSON: an array of spans.
//!
//! A span is normalised as Zipkin's own model does when one is built, so that what is stored is what
//! Zipkin would store: ids padded, names in lower case, tags sorted, annotations sorted and without
//! duplicates. In our model the local endpoint is the resource, tags are attributes, annotations are
//! events; a span without a duration has the end 0.
//! Source: openzipkin/zipkin, `zipkin2.Span`, `zipkin2.Endpoint`, `zipkin2.internal.V2SpanReader`.

mod endpoint;
mod span;
#[cfg(test)]
mod tests;
mod write;

pub use write::{write_zipkin_json, zipkin_json};

use serde_json::value::RawValue;

use self::span::{Outcome, read_span};
use super::crossing::zipkin_resource;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::model::{Scope, SpanSink};

/// Second part of wire bytes that are a Zipkin endpoint: no UTF-8 text, so no schema URL.
const WIRE_MARK: &[u8] = &[0xfe];

/// Reads a JSON array of Zipkin v2 spans and hands them to `sink` in order. A span with bad ids or a
/// field of the wrong type or range is refused alone.
///
/// # Errors
/// Invalid, naming line and column, if the text is no JSON array or is larger than
/// [`Limits::message_bytes_max`]; Invalid too if a span in it is of Zipkin's old v1 shape. In the last
/// case the sink may have been given spans: the caller takes them back.
pub fn read_zipkin_json<S: SpanSink + ?Sized>(text: &[u8], limits: &Limits, sink: &mut S) -> Result<()> {
    if text.len() > limits.message_bytes_max {
        let (len, most) = (text.len(), limits.message_bytes_max);
        return Err(Error::invalid(format!("the Zipkin JSON text has {len} bytes, more than the limit of {most}")));
    }
    if !text.trim_ascii_start().starts_with(b"[") {
        return Err(Error::invalid("Zipkin JSON: expected a JSON array of Zipkin v2 spans"));
    }
    let spans: Vec<&RawValue> =
        serde_json::from_slice(text).map_err(|error| Error::invalid(format!("Zipkin JSON: {error}")))?;
    if spans.is_empty() {
        return Ok(());
    }
    let scope = sink.scope([&[], &[]], &mut Scope::default);
    for (index, raw) in spans.iter().enumerate() {
        let outcome = read_span(raw, limits, |local, span| {
            let wire = local.wire.map_or([&[][..], &[]], |raw| [raw.as_bytes(), WIRE_MARK]);
            let resource = sink.resource(wire, &mut || zipkin_resource(local.endpoint.clone()));
            sink.span(resource, scope, span);
        });
        match outcome {
            Outcome::Taken => {}
            Outcome::Refused(reason) => sink.reject(reason),
            Outcome::Version1 => {
                return Err(Error::invalid(format!(
                    "Zipkin JSON: span {index} of the array is in the old v1 format; only v2 is read, convert it first"
                )));
            }
        }
    }
    Ok(())
}
