//! OTLP/JSON: proto3's JSON mapping with hexadecimal ids.
//!
//! ```text
//! {"resourceSpans":[{"resource":{..},"scopeSpans":[{"scope":{..},"spans":[{..},..]},..]},..]}
//! ```
//! One pass checks the syntax of the whole text and finds the spans in it; a second reads each span by
//! itself. So broken JSON is an error of the text, and a field of the wrong type one of its span.
//! Nesting cannot exhaust the stack: values stay raw text until they are read, one level at a time, to
//! the depth that the limits allow.
//! Source: opentelemetry.io, "OTLP/JSON Protobuf Encoding"; protobuf.dev, "ProtoJSON Format".

mod shape;
mod span;
#[cfg(test)]
mod tests;
mod write;

pub use write::{name_of_infinite, otlp_json_traces, write_otlp_json};

use serde_json::value::RawValue;

use self::span::{own_attributes, read_span};
use super::scalar::{Object, Scalar, read_part};
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::model::{EntityRef, RejectReason, Resource, ResourceToken, Scope, SpanSink};

/// Begins the second part of wire bytes that are JSON. Schema URLs are UTF-8, which never has this
/// byte, so JSON and protobuf of the same bytes cannot be taken for each other.
const WIRE_MARK: u8 = 0xff;

/// Reads one JSON object, a `TracesData` or `ExportTraceServiceRequest`, and hands its spans to `sink`
/// in order. A span with bad ids, a field of the wrong type, or beyond the limits is refused alone.
///
/// # Errors
/// Invalid, naming line and column, if the text is no JSON object of this shape or is larger than
/// [`Limits::message_bytes_max`]. The sink has been given nothing then.
pub fn read_otlp_json<S: SpanSink + ?Sized>(text: &[u8], limits: &Limits, sink: &mut S) -> Result<()> {
    if text.len() > limits.message_bytes_max {
        let (len, most) = (text.len(), limits.message_bytes_max);
        return Err(Error::invalid(format!("the OTLP JSON text has {len} bytes, more than the limit of {most}")));
    }
    let traces: Object<shape::Traces<'_>> =
        serde_json::from_slice(text).map_err(|error| Error::invalid(format!("OTLP JSON: {error}")))?;
    for of_resource in traces.resource_spans.iter().flatten() {
        resource_spans(of_resource, limits, sink);
    }
    Ok(())
}

fn resource_spans<S: SpanSink + ?Sized>(of_resource: &shape::ResourceSpans<'_>, limits: &Limits, sink: &mut S) {
    let resource = read_resource(of_resource, limits);
    let mut token: Option<ResourceToken> = None;
    for of_scope in of_resource.scope_spans.iter().flatten() {
        let spans = of_scope.spans.as_deref().unwrap_or_default();
        if spans.is_empty() {
            continue;
        }
        let scope = read_scope(of_scope, limits);
        let (resource, scope) = match (&resource, &scope) {
            (Ok(resource), Ok(scope)) => (resource, scope),
            (Err(reason), _) | (_, Err(reason)) => {
                spans.iter().for_each(|_| sink.reject(*reason));
                continue;
            }
        };
        let resource = *token.get_or_insert_with(|| {
            let schema_url = marked(&resource.schema_url);
            sink.resource(wire(of_resource.resource, &schema_url), &mut || resource.clone())
        });
        let schema_url = marked(&scope.schema_url);
        let scope = sink.scope(wire(of_scope.scope, &schema_url), &mut || scope.clone());
        for span in spans {
            if let Err(reason) = read_span(span, limits, |span| sink.span(resource, scope, span)) {
                sink.reject(reason);
            }
        }
    }
}

fn marked(schema_url: &str) -> Vec<u8> {
    [&[WIRE_MARK], schema_url.as_bytes()].concat()
}

fn wire<'w>(head: Option<&'w RawValue>, schema_url: &'w [u8]) -> [&'w [u8]; 2] {
    head.map_or([&[], &[]], |head| [head.get().as_bytes(), schema_url])
}

fn read_resource(of_resource: &shape::ResourceSpans<'_>, limits: &Limits) -> Result<Resource, RejectReason> {
    let schema_url = of_resource.schema_url.text()?.to_owned();
    let Some(raw) = of_resource.resource else {
        return Ok(Resource { schema_url, ..Resource::default() });
    };
    let resource: shape::Resource<'_> = read_limited(raw, limits)?;
    Ok(Resource {
        present: true,
        attributes: own_attributes(resource.attributes, limits)?,
        dropped_attributes_count: resource.dropped_attributes_count.fit()?,
        entity_refs: resource
            .entity_refs
            .iter()
            .flatten()
            .map(|entity| read_entity(entity))
            .collect::<Result<_, _>>()?,
        schema_url,
        local_endpoint: None,
    })
}

fn read_entity(entity: &shape::EntityRef<'_>) -> Result<EntityRef, RejectReason> {
    let texts = |list: &Option<Vec<Scalar<'_>>>| {
        list.iter().flatten().map(|text| text.text().map(str::to_owned)).collect::<Result<_, _>>()
    };
    Ok(EntityRef {
        schema_url: entity.schema_url.text()?.to_owned(),
        entity_type: entity.r#type.text()?.to_owned(),
        id_keys: texts(&entity.id_keys)?,
        description_keys: texts(&entity.description_keys)?,
    })
}

fn read_scope(of_scope: &shape::ScopeSpans<'_>, limits: &Limits) -> Result<Scope, RejectReason> {
    let schema_url = of_scope.schema_url.text()?.to_owned();
    let Some(raw) = of_scope.scope else {
        return Ok(Scope { schema_url, ..Scope::default() });
    };
    let scope: shape::Scope<'_> = read_limited(raw, limits)?;
    Ok(Scope {
        present: true,
        name: scope.name.text()?.to_owned(),
        version: scope.version.text()?.to_owned(),
        attributes: own_attributes(scope.attributes, limits)?,
        dropped_attributes_count: scope.dropped_attributes_count.fit()?,
        schema_url,
    })
}

/// Reads a resource, a scope or a span, unless it is too large.
fn read_limited<'a, T: serde::Deserialize<'a>>(raw: &'a RawValue, limits: &Limits) -> Result<T, RejectReason> {
    if raw.get().len() > limits.span_bytes_max {
        return Err(RejectReason::TooLarge);
    }
    read_part(raw)
}
