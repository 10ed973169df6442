//! Spans as Zipkin v2 JSON, fields in the order Zipkin writes them, absent ones left out.

use std::borrow::Cow;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;
use serde::ser::Serializer;

use super::super::crossing::otlp_to_zipkin;
use crate::error::{Error, Result};
use crate::model::{Endpoint, KeyValue, Origin, Span, SpanKind};

const NANOS_PER_MICRO: u64 = 1000;

/// Writes the spans as one JSON array on one line, without a line end. Spans that came as OTLP are
/// converted first.
///
/// # Errors
/// Whatever `out` says.
pub fn write_zipkin_json<'s>(spans: impl IntoIterator<Item = &'s Span>, out: &mut impl io::Write) -> Result<()> {
    serde_json::to_writer(out, &Spans(as_zipkin(spans))).map_err(|error| Error::io("writing Zipkin JSON", error.into()))
}

/// The same array as [`write_zipkin_json`] writes, as a JSON value. Its objects order fields by name.
pub fn zipkin_json<'s>(spans: impl IntoIterator<Item = &'s Span>) -> serde_json::Value {
    // Serialising to a value fails only on map keys that are no strings, which there are none of.
    serde_json::to_value(Spans(as_zipkin(spans))).unwrap_or_default()
}

fn as_zipkin<'s>(spans: impl IntoIterator<Item = &'s Span>) -> Vec<Cow<'s, Span>> {
    let convert =
        |span: &'s Span| if span.is_zipkin() { Cow::Borrowed(span) } else { Cow::Owned(otlp_to_zipkin(span)) };
    spans.into_iter().map(convert).collect()
}

struct Spans<'s>(Vec<Cow<'s, Span>>);

impl Serialize for Spans<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|span| span_object(span)))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanObject<'s> {
    trace_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_endpoint: Option<EndpointObject<'s>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_endpoint: Option<EndpointObject<'s>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<AnnotationObject<'s>>,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: Tags<'s>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    debug: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shared: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndpointObject<'s> {
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv4: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv6: Option<Ipv6Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
}

#[derive(Serialize)]
struct AnnotationObject<'s> {
    timestamp: u64,
    value: &'s str,
}

struct Tags<'s>(&'s [KeyValue]);

impl Tags<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Tags<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|tag| (&tag.key, tag.value.as_str().unwrap_or_default())))
    }
}

fn span_object(span: &Span) -> SpanObject<'_> {
    let (remote, debug, shared) = match &span.origin {
        Origin::Zipkin { remote_endpoint, debug, shared } => (remote_endpoint.as_ref(), *debug, *shared),
        Origin::Otlp => (None, false, false),
    };
    let micros = |nanos: u64| (nanos > 0).then_some(nanos / NANOS_PER_MICRO);
    SpanObject {
        trace_id: match span.trace_id.high() {
            0 => format!("{:016x}", span.trace_id.low()),
            _ => span.trace_id.to_string(),
        },
        parent_id: span.parent_span_id.map(|id| id.to_string()),
        id: span.span_id.to_string(),
        kind: kind(span.kind),
        name: &span.name,
        timestamp: micros(span.start_unix_nano),
        duration: span.duration_nanos().and_then(micros),
        local_endpoint: span.resource.local_endpoint.as_ref().map(endpoint_object),
        remote_endpoint: remote.map(endpoint_object),
        annotations: span
            .events
            .iter()
            .map(|event| AnnotationObject { timestamp: event.time_unix_nano / NANOS_PER_MICRO, value: &event.name })
            .collect(),
        tags: Tags(&span.attributes),
        debug,
        shared,
    }
}

fn kind(kind: SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::CLIENT => Some("CLIENT"),
        SpanKind::SERVER => Some("SERVER"),
        SpanKind::PRODUCER => Some("PRODUCER"),
        SpanKind::CONSUMER => Some("CONSUMER"),
        _ => None,
    }
}

fn endpoint_object(endpoint: &Endpoint) -> EndpointObject<'_> {
    EndpointObject {
        service_name: endpoint.service_name.as_deref(),
        ipv4: endpoint.ipv4,
        ipv6: endpoint.ipv6,
        port: endpoint.port,
    }
}
