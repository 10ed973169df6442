//! The reader against prost's decoder of the same messages, the oracle: on generated messages, on the
//! same messages with their fields shuffled, split and mixed with unknown ones, and on damaged bytes.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::{self as common, any_value};
use opentelemetry_proto::tonic::resource::v1 as resource;
use opentelemetry_proto::tonic::trace::v1 as trace;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};
use prost::Message as _;

use super::wire::Fields;
use super::*;
use crate::interchange::testing::Collected;
use crate::model::{
    EntityRef, Event, KeyValue, Link, Origin, Resource, Scope, Span, SpanId, SpanKind, Status, StatusCode, TraceId,
    Value,
};

fn read(message: &[u8]) -> Result<Collected> {
    let mut sink = Collected::default();
    read_otlp(message, &Limits::default(), &mut sink).map(|()| sink)
}

// What prost decoded, as our model has it.

fn value_of(value: Option<common::AnyValue>) -> Value {
    match value.and_then(|v| v.value) {
        None | Some(any_value::Value::StringValueStrindex(_)) => Value::Empty,
        Some(any_value::Value::StringValue(v)) => Value::String(v),
        Some(any_value::Value::BoolValue(v)) => Value::Bool(v),
        Some(any_value::Value::IntValue(v)) => Value::Int(v),
        Some(any_value::Value::DoubleValue(v)) => Value::Double(v),
        Some(any_value::Value::BytesValue(v)) => Value::Bytes(v),
        Some(any_value::Value::ArrayValue(v)) => {
            Value::Array(v.values.into_iter().map(|item| value_of(Some(item))).collect())
        }
        Some(any_value::Value::KvlistValue(v)) => Value::KeyValueList(attributes_of(v.values)),
    }
}

fn attributes_of(list: Vec<common::KeyValue>) -> Vec<KeyValue> {
    list.into_iter().map(|a| KeyValue { key: a.key, value: value_of(a.value) }).collect()
}

fn resource_of(resource: Option<resource::Resource>, schema_url: String) -> Resource {
    let present = resource.is_some();
    let resource = resource.unwrap_or_default();
    let entity = |e: common::EntityRef| EntityRef {
        schema_url: e.schema_url,
        entity_type: e.r#type,
        id_keys: e.id_keys,
        description_keys: e.description_keys,
    };
    Resource {
        present,
        attributes: attributes_of(resource.attributes),
        dropped_attributes_count: resource.dropped_attributes_count,
        entity_refs: resource.entity_refs.into_iter().map(entity).collect(),
        schema_url,
        local_endpoint: None,
    }
}

fn scope_of(scope: Option<common::InstrumentationScope>, schema_url: String) -> Scope {
    let present = scope.is_some();
    let scope = scope.unwrap_or_default();
    Scope {
        present,
        name: scope.name,
        version: scope.version,
        attributes: attributes_of(scope.attributes),
        dropped_attributes_count: scope.dropped_attributes_count,
        schema_url,
    }
}

fn span_of(resource: &Arc<Resource>, scope: &Arc<Scope>, span: trace::Span) -> Span {
    let event = |e: trace::span::Event| Event {
        time_unix_nano: e.time_unix_nano,
        name: e.name,
        attributes: attributes_of(e.attributes),
        dropped_attributes_count: e.dropped_attributes_count,
    };
    let link = |l: trace::span::Link| Link {
        trace_id: l.trace_id.try_into().ok(),
        span_id: l.span_id.try_into().ok(),
        trace_state: l.trace_state,
        attributes: attributes_of(l.attributes),
        dropped_attributes_count: l.dropped_attributes_count,
        flags: l.flags,
    };
    Span {
        resource: Arc::clone(resource),
        scope: Arc::clone(scope),
        trace_id: TraceId::from_slice(&span.trace_id).unwrap(),
        span_id: SpanId::from_slice(&span.span_id).unwrap(),
        parent_span_id: SpanId::from_slice(&span.parent_span_id).ok(),
        trace_state: span.trace_state,
        flags: span.flags,
        name: span.name,
        kind: SpanKind(span.kind),
        start_unix_nano: span.start_time_unix_nano,
        end_unix_nano: span.end_time_unix_nano,
        attributes: attributes_of(span.attributes),
        dropped_attributes_count: span.dropped_attributes_count,
        events: span.events.into_iter().map(event).collect(),
        dropped_events_count: span.dropped_events_count,
        links: span.links.into_iter().map(link).collect(),
        dropped_links_count: span.dropped_links_count,
        status: span.status.map(|s| Status { code: StatusCode(s.code), message: s.message }),
        origin: Origin::Otlp,
    }
}

pub fn spans_of(message: trace::TracesData) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in message.resource_spans {
        let resource = Arc::new(resource_of(of_resource.resource, of_resource.schema_url));
        for of_scope in of_resource.scope_spans {
            let scope = Arc::new(scope_of(of_scope.scope, of_scope.schema_url));
            spans.extend(of_scope.spans.into_iter().map(|span| span_of(&resource, &scope, span)));
        }
    }
    spans
}

// Generated messages.

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z.]{1,20}", "\\PC{0,6}", Just("x".repeat(200))]
}

fn any_any_value() -> impl Strategy<Value = common::AnyValue> {
    use any_value::Value as V;
    let leaf = prop_oneof![
        Just(None),
        any_text().prop_map(|v| Some(V::StringValue(v))),
        any::<bool>().prop_map(|v| Some(V::BoolValue(v))),
        any::<i64>().prop_map(|v| Some(V::IntValue(v))),
        (0i64..200).prop_map(|v| Some(V::IntValue(v))),
        any::<u64>().prop_map(|v| Some(V::DoubleValue(f64::from_bits(v)))),
        vec(any::<u8>(), 0..9).prop_map(|v| Some(V::BytesValue(v))),
    ]
    .prop_map(|value| common::AnyValue { value });
    leaf.prop_recursive(4, 16, 4, |inner| {
        let attribute = (any_text(), option::of(inner.clone())).prop_map(key_value);
        prop_oneof![
            vec(inner, 0..4).prop_map(|values| V::ArrayValue(common::ArrayValue { values })),
            vec(attribute, 0..4).prop_map(|values| V::KvlistValue(common::KeyValueList { values })),
        ]
        .prop_map(|value| common::AnyValue { value: Some(value) })
    })
}

fn key_value((key, value): (String, Option<common::AnyValue>)) -> common::KeyValue {
    common::KeyValue { key, value, ..Default::default() }
}

fn any_attributes() -> impl Strategy<Value = Vec<common::KeyValue>> {
    vec((any_text(), option::weighted(0.9, any_any_value())).prop_map(key_value), 0..5)
}

fn any_id(len: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), len).prop_map(|mut id| {
        id[0] |= 1;
        id
    })
}

fn any_event() -> impl Strategy<Value = trace::span::Event> {
    (any::<u64>(), any_text(), any_attributes(), any::<u32>()).prop_map(
        |(time_unix_nano, name, attributes, dropped)| trace::span::Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count: dropped,
        },
    )
}

fn any_link() -> impl Strategy<Value = trace::span::Link> {
    let trace_id = prop_oneof![Just(vec![]), any_id(16), Just(vec![0; 16])];
    let span_id = prop_oneof![Just(vec![]), any_id(8), Just(vec![0; 8])];
    (trace_id, span_id, any_text(), any_attributes(), any::<u32>(), any::<u32>()).prop_map(
        |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| trace::span::Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        },
    )
}

fn any_span() -> impl Strategy<Value = trace::Span> {
    let parent = prop_oneof![Just(vec![]), any_id(8), Just(vec![0; 8])];
    let status = option::of((any_text(), 0..4i32).prop_map(|(message, code)| trace::Status { message, code }));
    let ids = (any_id(16), any_id(8), parent, any_text(), any_text());
    let numbers = (-1..7i32, any::<u64>(), any::<u64>(), any::<[u32; 4]>());
    let lists = (any_attributes(), vec(any_event(), 0..3), vec(any_link(), 0..3), status);
    (ids, numbers, lists).prop_map(|(ids, numbers, lists)| trace::Span {
        trace_id: ids.0,
        span_id: ids.1,
        parent_span_id: ids.2,
        trace_state: ids.3,
        name: ids.4,
        kind: numbers.0,
        start_time_unix_nano: numbers.1,
        end_time_unix_nano: numbers.2,
        flags: numbers.3[0],
        dropped_attributes_count: numbers.3[1],
        dropped_events_count: numbers.3[2],
        dropped_links_count: numbers.3[3],
        attributes: lists.0,
        events: lists.1,
        links: lists.2,
        status: lists.3,
    })
}

fn any_resource() -> impl Strategy<Value = resource::Resource> {
    let entity =
        (any_text(), any_text(), vec(any_text(), 0..3), vec(any_text(), 0..3)).prop_map(|(url, word, id, about)| {
            common::EntityRef { schema_url: url, r#type: word, id_keys: id, description_keys: about }
        });
    (any_attributes(), 0..3u32, vec(entity, 0..2)).prop_map(|(attributes, dropped, entity_refs)| resource::Resource {
        attributes,
        dropped_attributes_count: dropped,
        entity_refs,
    })
}

pub fn any_message() -> impl Strategy<Value = trace::TracesData> {
    let scope = (any_text(), any_text(), any_attributes(), 0..3u32).prop_map(|(name, version, attributes, dropped)| {
        common::InstrumentationScope { name, version, attributes, dropped_attributes_count: dropped }
    });
    let scope_spans = (option::of(scope), vec(any_span(), 0..4), any_text())
        .prop_map(|(scope, spans, schema_url)| trace::ScopeSpans { scope, spans, schema_url });
    let resource_spans = (option::of(any_resource()), vec(scope_spans, 0..3), any_text())
        .prop_map(|(resource, scope_spans, schema_url)| trace::ResourceSpans { resource, scope_spans, schema_url });
    vec(resource_spans, 0..3).prop_map(|resource_spans| trace::TracesData { resource_spans })
}

// The same message in other bytes.

/// Which message a field holds, and whether it occurs once, by the names of the messages.
fn child(message: &str, number: u32) -> Option<(&'static str, bool)> {
    Some(match (message, number) {
        ("traces", 1) => ("resource_spans", false),
        ("resource_spans", 1) => ("resource", true),
        ("resource_spans", 2) => ("scope_spans", false),
        ("resource", 3) => ("entity", false),
        ("scope_spans", 1) => ("scope", true),
        ("scope_spans", 2) => ("span", false),
        ("resource" | "list", 1) | ("scope" | "event", 3) | ("span", 9) | ("link", 4) => ("attribute", false),
        ("span", 11) => ("event", false),
        ("span", 13) => ("link", false),
        ("span", 15) => ("status", true),
        ("attribute", 2) => ("value", true),
        ("value", 5) => ("array", true),
        ("value", 6) => ("list", true),
        ("array", 1) => ("value", false),
        _ => return None,
    })
}

fn put(tag: u32, payload: &[u8], out: &mut Vec<u8>) {
    crate::bytes::put_varint(u64::from(tag), out);
    if tag & 7 == 2 {
        crate::bytes::put_varint(payload.len() as u64, out);
    }
    out.extend_from_slice(payload);
}

/// The raw fields of a message: tag, and payload without its length.
fn raw_fields(message: &[u8]) -> Vec<(u32, &[u8])> {
    let mut fields = Fields::new(message);
    let mut out = Vec::new();
    while let Some(tag) = fields.tag().unwrap() {
        let rest = fields.rest();
        let payload = if tag & 7 == 2 {
            fields.bytes().unwrap()
        } else {
            fields.pass(tag).unwrap();
            &rest[..rest.len() - fields.rest().len()]
        };
        out.push((tag, payload));
    }
    out
}

/// Splits what may be split, shuffles fields of different numbers, and sprinkles unknown fields.
fn mangle(name: &str, message: &[u8], rng: &mut TestRng) -> Vec<u8> {
    let mut fields: Vec<(u32, Vec<u8>)> = Vec::new();
    for (tag, payload) in raw_fields(message) {
        match child(name, tag >> 3) {
            Some((child_name, single)) => {
                let payload = mangle(child_name, payload, rng);
                let (mut parts, cut) = (raw_fields(&payload), rng.random_range(0..4));
                let tail = parts.split_off(if single && cut < parts.len() { cut } else { parts.len() });
                for part in [parts, tail.clone()].into_iter().take(if tail.is_empty() { 1 } else { 2 }) {
                    let mut bytes = Vec::new();
                    part.iter().for_each(|(tag, payload)| put(*tag, payload, &mut bytes));
                    fields.push((tag, bytes));
                }
            }
            None => fields.push((tag, payload.to_vec())),
        }
    }
    for (tag, payload) in [
        (1000 << 3, &[0xff, 0x01][..]),
        (1001 << 3 | 1, &[7; 8]),
        (1002 << 3 | 2, &[0xff; 5]),
        (1003 << 3 | 3, &[0x08, 0x01, 0x13, 0x1d, 1, 2, 3, 4, 0x14, 0xdc, 0x3e]),
        (1004 << 3 | 5, &[9; 4]),
    ] {
        if rng.random_range(0..8) == 0 {
            fields.push((tag, payload.to_vec()));
        }
    }
    let salt = rng.random_range(0..1000u32);
    fields.sort_by_key(|(tag, _)| if name == "value" { 0 } else { ((tag >> 3) * 7919 + salt) % 101 });
    let mut out = Vec::new();
    fields.iter().for_each(|(tag, payload)| put(*tag, payload, &mut out));
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_message_reads_as_prost_decodes_it(message in any_message()) {
        let read = read(&message.encode_to_vec()).unwrap();
        prop_assert_eq!(read.rejected, []);
        prop_assert_eq!(read.spans, spans_of(message));
    }

    #[test]
    fn field_order_split_messages_and_unknown_fields_change_nothing(message in any_message(), seed: [u8; 32]) {
        let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let bytes = mangle("traces", &message.encode_to_vec(), &mut rng);
        let oracle = trace::TracesData::decode(&bytes[..]).unwrap();
        let read = read(&bytes).unwrap();
        prop_assert_eq!(read.rejected, []);
        prop_assert_eq!(read.spans, spans_of(oracle));
    }

    #[test]
    fn a_message_cut_short_is_an_error_wherever_prost_says_so(message in any_message()) {
        let bytes = message.encode_to_vec();
        for len in 0..bytes.len() {
            let ours = read(&bytes[..len]);
            let oracle = trace::TracesData::decode(&bytes[..len]);
            prop_assert_eq!(ours.is_ok(), oracle.is_ok(), "cut at {}", len);
        }
    }

    #[test]
    fn damaged_bytes_never_panic_and_what_prost_takes_is_taken(
        message in any_message(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = message.encode_to_vec();
        prop_assume!(!bytes.is_empty());
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let ours = read(&bytes);
        if let Ok(oracle) = trace::TracesData::decode(&bytes[..]) {
            let spans: usize =
                oracle.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len()).sum();
            let ours = ours.unwrap();
            prop_assert_eq!(ours.spans.len() + ours.rejected.len(), spans);
        }
    }
}

// Spans that are refused, and messages that are.

fn plain_span() -> trace::Span {
    trace::Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: "n".into(), ..Default::default() }
}

fn message_of(spans: Vec<trace::Span>) -> trace::TracesData {
    let scope_spans = vec![trace::ScopeSpans { spans, ..Default::default() }];
    trace::TracesData { resource_spans: vec![trace::ResourceSpans { scope_spans, ..Default::default() }] }
}

fn reason_of(change: impl FnOnce(&mut trace::Span)) -> RejectReason {
    let mut bad = plain_span();
    change(&mut bad);
    let read = read(&message_of(vec![plain_span(), bad, plain_span()]).encode_to_vec()).unwrap();
    assert_eq!(read.spans.len(), 2, "the other spans are kept");
    assert_eq!(read.rejected.len(), 1);
    read.rejected[0]
}

fn nested(depth: usize) -> Vec<common::KeyValue> {
    let mut value = common::AnyValue::default();
    for _ in 0..depth {
        let array = common::ArrayValue { values: vec![value] };
        value = common::AnyValue { value: Some(any_value::Value::ArrayValue(array)) };
    }
    vec![key_value(("k".into(), Some(value)))]
}

#[test]
fn a_bad_span_is_refused_alone_with_its_reason() {
    let link = |trace_id: usize, span_id: usize| trace::span::Link {
        trace_id: vec![1; trace_id],
        span_id: vec![1; span_id],
        ..Default::default()
    };
    assert_eq!(reason_of(|s| s.trace_id = vec![]), RejectReason::TraceIdLength);
    assert_eq!(reason_of(|s| s.trace_id = vec![1; 17]), RejectReason::TraceIdLength);
    assert_eq!(reason_of(|s| s.trace_id = vec![0; 16]), RejectReason::TraceIdZero);
    assert_eq!(reason_of(|s| s.span_id = vec![1; 16]), RejectReason::SpanIdLength);
    assert_eq!(reason_of(|s| s.span_id = vec![0; 8]), RejectReason::SpanIdZero);
    assert_eq!(reason_of(|s| s.parent_span_id = vec![1; 7]), RejectReason::ParentIdLength);
    assert_eq!(reason_of(|s| s.links = vec![link(15, 8)]), RejectReason::LinkIdLength);
    assert_eq!(reason_of(|s| s.links = vec![link(16, 8), link(16, 9)]), RejectReason::LinkIdLength);
    assert_eq!(reason_of(|s| s.attributes = nested(33)), RejectReason::TooDeep);
    assert_eq!(reason_of(|s| s.name = "x".repeat(17 << 20)), RejectReason::TooLarge);
}

#[test]
fn values_may_nest_as_deep_as_the_limit() {
    let span = trace::Span { attributes: nested(32), ..plain_span() };
    let message = message_of(vec![span]);
    assert_eq!(read(&message.encode_to_vec()).unwrap().spans, spans_of(message));
}

#[test]
fn the_parts_of_a_span_are_counted_together() {
    let limits = Limits { span_parts_max: 6, ..Limits::default() };
    let event = || trace::span::Event { attributes: nested(0), ..Default::default() };
    let span = |attributes| trace::Span {
        attributes: vec![nested(0).remove(0); attributes],
        events: vec![event()],
        links: vec![trace::span::Link::default()],
        ..plain_span()
    };
    let mut sink = Collected::default();
    let message = message_of(vec![span(3), span(4), span(7)]);
    read_otlp(&message.encode_to_vec(), &limits, &mut sink).unwrap();
    assert_eq!(sink.rejected, [RejectReason::TooLarge, RejectReason::TooLarge]);
    assert_eq!(sink.spans.len(), 1);
}

#[test]
fn text_that_is_not_utf8_refuses_the_span_whose_it_is() {
    let mut bytes = message_of(vec![plain_span(), trace::Span { name: "#".into(), ..plain_span() }]).encode_to_vec();
    let at = bytes.iter().position(|b| *b == b'#').unwrap();
    bytes[at] = 0xff;
    let read = read(&bytes).unwrap();
    assert_eq!((read.spans.len(), read.rejected), (1, vec![RejectReason::NotUtf8]));
}

#[test]
fn a_bad_resource_or_scope_refuses_all_spans_under_it_and_no_others() {
    let mut message = message_of(vec![plain_span(), plain_span()]);
    message.resource_spans.extend(message_of(vec![plain_span()]).resource_spans);
    message.resource_spans[0].resource = Some(resource::Resource { attributes: nested(33), ..Default::default() });
    let found = read(&message.encode_to_vec()).unwrap();
    assert_eq!((found.spans.len(), found.rejected), (1, vec![RejectReason::TooDeep; 2]));

    message.resource_spans[0].resource = None;
    message.resource_spans[1].scope_spans[0].scope =
        Some(common::InstrumentationScope { attributes: nested(33), ..Default::default() });
    let found = read(&message.encode_to_vec()).unwrap();
    assert_eq!((found.spans.len(), found.rejected), (2, vec![RejectReason::TooDeep]));
}

#[test]
fn an_absent_resource_differs_from_an_empty_one_of_the_same_schema() {
    let mut message = message_of(vec![plain_span()]);
    message.resource_spans[0].schema_url = "https://s".into();
    let mut with = message.resource_spans[0].clone();
    with.resource = Some(resource::Resource::default());
    message.resource_spans.push(with);
    let found = read(&message.encode_to_vec()).unwrap();
    assert_eq!(found.spans.iter().map(|s| s.resource.present).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn broken_framing_is_an_error_that_names_the_byte() {
    let message = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    let cut = "OTLP message: malformed protobuf at byte 2: a length runs past the end of the message it is in";
    assert_eq!(message(&[0x0a, 5, 0x12]), cut);
    assert!(message(&[0x08, 1]).contains("wrong wire type"));
    assert!(message(&[0x07]).contains("byte 1: a field has the number zero"));
    assert!(message(&[0x16]).contains("an unknown wire type"));
    assert!(message(&[0x14]).contains("a group ends that did not begin"));
    assert!(message(&[0x13, 0x14, 0x13]).contains("a group does not end"));
    assert!(message(&[0x13; 1000]).contains("groups are nested too deep"));
    assert!(message(&[0xff; 11]).contains("more than 64 bits"));
    let limits = Limits { message_bytes_max: 3, ..Limits::default() };
    assert!(read_otlp(&[0; 4], &limits, &mut Collected::default()).unwrap_err().to_string().contains("limit of 3"));
}
