//! OTLP protobuf out: spans become the message their exporter sent, regrouped.
//!
//! Neighbouring spans of one resource and scope share their `ResourceSpans` and `ScopeSpans`. What the
//! message did not carry (a resource, a scope, a status, a value) stays absent, so that reading the bytes
//! again gives identical spans. Spans that came as Zipkin cross over as the Collector would take them.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value::Value as Any,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span as OtlpSpan, Status, TracesData,
    span::{Event, Link},
};
use prost::Message;
use tailspan::{Span, Value, zipkin_to_otlp};

/// One TracesData message of these spans, preceded by its length as a varint.
pub fn delimited(spans: &[Span]) -> Vec<u8> {
    traces_data(spans).encode_length_delimited_to_vec()
}

/// The message of these spans, in their order.
pub fn traces_data(spans: &[Span]) -> TracesData {
    let mut data = TracesData::default();
    let mut before: Option<Cow<'_, Span>> = None;
    for span in spans {
        let span = if span.is_zipkin() { Cow::Owned(zipkin_to_otlp(span)) } else { Cow::Borrowed(span) };
        let same_resource = before.as_ref().is_some_and(|b| b.resource == span.resource);
        let same_scope = same_resource && before.as_ref().is_some_and(|b| b.scope == span.scope);
        if !same_resource {
            data.resource_spans.push(resource_spans(&span));
        }
        if let Some(group) = data.resource_spans.last_mut() {
            if !same_scope {
                group.scope_spans.push(scope_spans(&span));
            }
            if let Some(group) = group.scope_spans.last_mut() {
                group.spans.push(otlp_span(&span));
            }
        }
        before = Some(span);
    }
    data
}

fn resource_spans(span: &Span) -> ResourceSpans {
    let from = &span.resource;
    let entity = |entity: &tailspan::EntityRef| EntityRef {
        schema_url: entity.schema_url.clone(),
        r#type: entity.entity_type.clone(),
        id_keys: entity.id_keys.clone(),
        description_keys: entity.description_keys.clone(),
    };
    let resource = from.present.then(|| Resource {
        attributes: attributes(&from.attributes),
        dropped_attributes_count: from.dropped_attributes_count,
        entity_refs: from.entity_refs.iter().map(entity).collect(),
    });
    ResourceSpans { resource, scope_spans: Vec::new(), schema_url: from.schema_url.clone() }
}

fn scope_spans(span: &Span) -> ScopeSpans {
    let from = &span.scope;
    let scope = from.present.then(|| InstrumentationScope {
        name: from.name.clone(),
        version: from.version.clone(),
        attributes: attributes(&from.attributes),
        dropped_attributes_count: from.dropped_attributes_count,
    });
    ScopeSpans { scope, spans: Vec::new(), schema_url: from.schema_url.clone() }
}

fn otlp_span(span: &Span) -> OtlpSpan {
    OtlpSpan {
        trace_id: span.trace_id.to_bytes().to_vec(),
        span_id: span.span_id.to_bytes().to_vec(),
        trace_state: span.trace_state.clone(),
        parent_span_id: span.parent_span_id.map(|id| id.to_bytes().to_vec()).unwrap_or_default(),
        flags: span.flags,
        name: span.name.clone(),
        kind: span.kind.0,
        start_time_unix_nano: span.start_unix_nano,
        end_time_unix_nano: span.end_unix_nano,
        attributes: attributes(&span.attributes),
        dropped_attributes_count: span.dropped_attributes_count,
        events: span.events.iter().map(event).collect(),
        dropped_events_count: span.dropped_events_count,
        links: span.links.iter().map(link).collect(),
        dropped_links_count: span.dropped_links_count,
        status: span.status.as_ref().map(|s| Status { message: s.message.clone(), code: s.code.0 }),
    }
}

fn event(from: &tailspan::Event) -> Event {
    Event {
        time_unix_nano: from.time_unix_nano,
        name: from.name.clone(),
        attributes: attributes(&from.attributes),
        dropped_attributes_count: from.dropped_attributes_count,
    }
}

fn link(from: &tailspan::Link) -> Link {
    Link {
        trace_id: from.trace_id.map(Vec::from).unwrap_or_default(),
        span_id: from.span_id.map(Vec::from).unwrap_or_default(),
        trace_state: from.trace_state.clone(),
        attributes: attributes(&from.attributes),
        dropped_attributes_count: from.dropped_attributes_count,
        flags: from.flags,
    }
}

fn attributes(from: &[tailspan::KeyValue]) -> Vec<KeyValue> {
    from.iter().map(attribute).collect()
}

fn attribute(from: &tailspan::KeyValue) -> KeyValue {
    KeyValue { key: from.key.clone(), value: Some(any(&from.value)), ..KeyValue::default() }
}

/// The value. Its nesting is bounded: the library takes in no value deeper than its limit.
fn any(from: &Value) -> AnyValue {
    let value = match from {
        Value::Empty => None,
        Value::String(text) => Some(Any::StringValue(text.clone())),
        Value::Bool(value) => Some(Any::BoolValue(*value)),
        Value::Int(value) => Some(Any::IntValue(*value)),
        Value::Double(value) => Some(Any::DoubleValue(*value)),
        Value::Bytes(bytes) => Some(Any::BytesValue(bytes.clone())),
        Value::Array(values) => Some(Any::ArrayValue(ArrayValue { values: values.iter().map(any).collect() })),
        Value::KeyValueList(list) => Some(Any::KvlistValue(KeyValueList { values: attributes(list) })),
    };
    AnyValue { value }
}

#[cfg(test)]
mod tests {
    use crate::demo_traffic;

    use super::*;

    #[test]
    fn neighbours_of_one_resource_and_scope_share_a_group() {
        let spans: Vec<Span> =
            demo_traffic::batches().into_iter().flatten().filter(|s| !s.is_zipkin()).take(500).collect();
        let data = traces_data(&spans);
        let groups = data.resource_spans.iter().map(|group| group.scope_spans.len()).sum::<usize>();
        let changes =
            spans.windows(2).filter(|p| (&p[0].resource, &p[0].scope) != (&p[1].resource, &p[1].scope)).count();
        assert_eq!(groups, changes + 1);
    }

    #[test]
    fn what_was_absent_stays_absent() {
        let mut span = demo_traffic::batches().remove(0).remove(0);
        (span.resource, span.scope, span.status, span.parent_span_id) = Default::default();
        let data = traces_data(&[span]);
        let group = &data.resource_spans[0];
        assert_eq!((&group.resource, &group.scope_spans[0].scope), (&None, &None));
        let written = &group.scope_spans[0].spans[0];
        assert_eq!((&written.status, written.parent_span_id.len()), (&None, 0));
    }
}
