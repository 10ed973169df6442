//! Spans as OpenTelemetry's own protobuf types, field by field, sharing no code with the engine's reader.

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};

/// The message of these spans, in order; each has a resource and a scope around it of its own.
pub fn traces_data(spans: &[tailspan::Span]) -> TracesData {
    TracesData { resource_spans: spans.iter().map(resource_spans).collect() }
}

fn resource_spans(span: &tailspan::Span) -> ResourceSpans {
    let (resource, scope) = (&span.resource, &span.scope);
    let of_resource = Resource {
        attributes: attributes(&resource.attributes),
        dropped_attributes_count: resource.dropped_attributes_count,
        entity_refs: resource.entity_refs.iter().map(entity).collect(),
    };
    let of_scope = InstrumentationScope {
        name: scope.name.clone(),
        version: scope.version.clone(),
        attributes: attributes(&scope.attributes),
        dropped_attributes_count: scope.dropped_attributes_count,
    };
    ResourceSpans {
        resource: resource.present.then_some(of_resource),
        scope_spans: vec![ScopeSpans {
            scope: scope.present.then_some(of_scope),
            spans: vec![message(span)],
            schema_url: scope.schema_url.clone(),
        }],
        schema_url: resource.schema_url.clone(),
    }
}

fn message(span: &tailspan::Span) -> Span {
    Span {
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
        status: span.status.as_ref().map(|status| Status { message: status.message.clone(), code: status.code.0 }),
    }
}

fn event(event: &tailspan::Event) -> Event {
    Event {
        time_unix_nano: event.time_unix_nano,
        name: event.name.clone(),
        attributes: attributes(&event.attributes),
        dropped_attributes_count: event.dropped_attributes_count,
    }
}

fn link(link: &tailspan::Link) -> Link {
    Link {
        trace_id: link.trace_id.map(Vec::from).unwrap_or_default(),
        span_id: link.span_id.map(Vec::from).unwrap_or_default(),
        trace_state: link.trace_state.clone(),
        attributes: attributes(&link.attributes),
        dropped_attributes_count: link.dropped_attributes_count,
        flags: link.flags,
    }
}

fn entity(entity: &tailspan::EntityRef) -> EntityRef {
    EntityRef {
        schema_url: entity.schema_url.clone(),
        r#type: entity.entity_type.clone(),
        id_keys: entity.id_keys.clone(),
        description_keys: entity.description_keys.clone(),
    }
}

fn attributes(list: &[tailspan::KeyValue]) -> Vec<KeyValue> {
    let pair =
        |a: &tailspan::KeyValue| KeyValue { key: a.key.clone(), value: Some(any(&a.value)), ..Default::default() };
    list.iter().map(pair).collect()
}

fn any(value: &tailspan::Value) -> AnyValue {
    use tailspan::Value;
    let value = match value {
        Value::Empty => None,
        Value::String(text) => Some(any_value::Value::StringValue(text.clone())),
        Value::Bool(flag) => Some(any_value::Value::BoolValue(*flag)),
        Value::Int(int) => Some(any_value::Value::IntValue(*int)),
        Value::Double(double) => Some(any_value::Value::DoubleValue(*double)),
        Value::Bytes(bytes) => Some(any_value::Value::BytesValue(bytes.clone())),
        Value::Array(elements) => {
            Some(any_value::Value::ArrayValue(ArrayValue { values: elements.iter().map(any).collect() }))
        }
        Value::KeyValueList(entries) => {
            Some(any_value::Value::KvlistValue(KeyValueList { values: attributes(entries) }))
        }
    };
    AnyValue { value }
}
