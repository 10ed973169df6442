//! OTLP to Zipkin, by OpenTelemetry's document "OpenTelemetry to Zipkin Transformation".
//!
//! Everything without a Zipkin field becomes a tag, as text: attributes of span, resource and scope
//! (the nearer one wins a shared key), status, dropped counts. What the document leaves open follows
//! the Collector: `w3c.tracestate`, and links as `otlp.link.N`.
//! Source: opentelemetry-specification, trace/sdk_exporters/zipkin.md and common/mapping-to-non-otlp.md.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};

use super::super::otlp_json::name_of_infinite;
use super::{names, zipkin_resource};
use crate::model::{Endpoint, Event, KeyValue, Link, Origin, Scope, Span, SpanKind, StatusCode, Value};

/// The service name of a resource without one.
const SERVICE_UNKNOWN: &str = "unknown_service";

/// Attributes that name the remote side, best first; with the port's, if the attribute is an address.
const REMOTE_KEYS: [(&str, Option<&str>); 12] = [
    ("service.peer.name", None),
    (names::PEER_SERVICE, None),
    ("server.address", None),
    ("net.peer.name", None),
    ("network.peer.address", Some("network.peer.port")),
    ("server.socket.domain", None),
    ("server.socket.address", Some("server.socket.port")),
    ("net.sock.peer.name", None),
    ("net.sock.peer.addr", Some("net.sock.peer.port")),
    ("peer.hostname", None),
    ("peer.address", None),
    ("db.name", None),
];
/// How many of them hold for a span that is neither client nor producer.
const REMOTE_KEYS_OF_ANY_KIND: usize = 2;

type Tags = BTreeMap<String, String>;

/// The Zipkin span that says what this OTLP span says, as far as Zipkin can, normalised as Zipkin's
/// own are. A Zipkin span is returned as it is.
pub fn otlp_to_zipkin(span: &Span) -> Span {
    if span.is_zipkin() {
        return span.clone();
    }
    let start = micros(span.start_unix_nano);
    // A duration below a microsecond is one: zero would mean that there is none.
    let duration = span.duration_nanos().filter(|nanos| *nanos > 0).map_or(0, |nanos| micros(nanos).max(1000));
    let service = span.service().unwrap_or(SERVICE_UNKNOWN).to_lowercase();
    let local = Endpoint { service_name: Some(service), ..Endpoint::default() };
    let mut events: Vec<Event> = span.events.iter().map(annotation_of).collect();
    events.sort_by(|a, b| (a.time_unix_nano, &a.name).cmp(&(b.time_unix_nano, &b.name)));
    events.dedup();
    Span {
        resource: Arc::new(zipkin_resource(Some(local))),
        scope: Arc::new(Scope::default()),
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent_span_id: span.parent_span_id.filter(|parent| *parent != span.span_id),
        trace_state: String::new(),
        flags: 0,
        name: span.name.to_lowercase(),
        kind: if (2..=5).contains(&span.kind.0) { span.kind } else { SpanKind::UNSPECIFIED },
        start_unix_nano: start,
        end_unix_nano: if duration == 0 { 0 } else { start.saturating_add(duration) },
        attributes: tags_of(span).into_iter().map(|(key, text)| KeyValue::new(key, text)).collect(),
        dropped_attributes_count: 0,
        events,
        dropped_events_count: 0,
        links: Vec::new(),
        dropped_links_count: 0,
        status: None,
        origin: Origin::Zipkin { remote_endpoint: remote_endpoint_of(span), debug: false, shared: false },
    }
}

/// Nanoseconds cut to whole microseconds.
fn micros(nanos: u64) -> u64 {
    nanos / 1000 * 1000
}

fn tags_of(span: &Span) -> Tags {
    let mut tags = Tags::new();
    let resource = span.resource.attributes.iter().filter(|attribute| attribute.key != names::SERVICE_NAME);
    for attribute in resource.chain(&span.scope.attributes).chain(&span.attributes) {
        tags.insert(attribute.key.clone(), text_of(&attribute.value));
    }
    let mut put = |key: &str, text: &str| {
        if !text.is_empty() {
            tags.insert(key.to_owned(), text.to_owned());
        }
    };
    put(names::SCOPE_NAME, &span.scope.name);
    put(names::LIBRARY_NAME, &span.scope.name);
    put(names::SCOPE_VERSION, &span.scope.version);
    put(names::LIBRARY_VERSION, &span.scope.version);
    put(names::TRACE_STATE, &span.trace_state);
    for (key, count) in [
        (names::DROPPED_ATTRIBUTES, span.dropped_attributes_count),
        (names::DROPPED_EVENTS, span.dropped_events_count),
        (names::DROPPED_LINKS, span.dropped_links_count),
    ] {
        put(key, &if count == 0 { String::new() } else { count.to_string() });
    }
    for (index, link) in span.links.iter().enumerate() {
        put(&names::link_tag(index), &text_of_link(link));
    }
    put_status(span, &mut tags);
    tags
}

/// Zipkin takes any span with a tag `error` for failed, so only a failed one may have it.
fn put_status(span: &Span, tags: &mut Tags) {
    tags.remove(names::ERROR);
    match span.status_code() {
        StatusCode::OK => {
            tags.insert(names::STATUS_CODE.to_owned(), "OK".to_owned());
        }
        StatusCode::ERROR => {
            let message = span.status.as_ref().map(|status| status.message.clone()).unwrap_or_default();
            tags.insert(names::STATUS_CODE.to_owned(), "ERROR".to_owned());
            tags.insert(names::ERROR.to_owned(), message);
        }
        _ => {}
    }
}

fn remote_endpoint_of(span: &Span) -> Option<Endpoint> {
    let calls = matches!(span.kind, SpanKind::CLIENT | SpanKind::PRODUCER);
    let keys = REMOTE_KEYS.iter().take(if calls { REMOTE_KEYS.len() } else { REMOTE_KEYS_OF_ANY_KIND });
    keys.filter_map(|(key, port_key)| Some((text_attribute(span, key)?, port_key))).map(endpoint_of(span)).next()
}

fn endpoint_of(span: &Span) -> impl Fn((&str, &Option<&str>)) -> Endpoint + '_ {
    |(text, port_key)| {
        let Some(port_key) = port_key else {
            return Endpoint { service_name: Some(text.to_lowercase()), ..Endpoint::default() };
        };
        let port = port_attribute(span, port_key);
        match text.parse() {
            Ok(IpAddr::V4(ip)) => Endpoint { ipv4: Some(ip), port, ..Endpoint::default() },
            Ok(IpAddr::V6(ip)) => Endpoint { ipv6: Some(ip), port, ..Endpoint::default() },
            Err(_) => Endpoint { service_name: Some(text.to_lowercase()), port, ..Endpoint::default() },
        }
    }
}

fn text_attribute<'s>(span: &'s Span, key: &str) -> Option<&'s str> {
    let mut values = span.attributes.iter().filter(|attribute| attribute.key == key);
    values.find_map(|attribute| attribute.value.as_str().filter(|text| !text.is_empty()))
}

fn port_attribute(span: &Span, key: &str) -> Option<u16> {
    let value = &span.attributes.iter().find(|attribute| attribute.key == key)?.value;
    let port = match value {
        Value::Int(port) => u16::try_from(*port).ok(),
        value => value.as_str()?.parse().ok(),
    };
    port.filter(|port| *port > 0)
}

/// `name`, or `"name": {"key": "value"}` for an event with attributes.
fn annotation_of(event: &Event) -> Event {
    let mut attributes = json_object(&event.attributes);
    if event.dropped_attributes_count > 0 {
        attributes.insert(names::DROPPED_ATTRIBUTES.to_owned(), Json::from(event.dropped_attributes_count));
    }
    let name = if attributes.is_empty() {
        event.name.clone()
    } else {
        format!("{}: {}", Json::from(event.name.as_str()), Json::Object(attributes))
    };
    Event { time_unix_nano: micros(event.time_unix_nano), name, ..Event::default() }
}

fn text_of_link(link: &Link) -> String {
    let hex = |id: Option<&[u8]>| id.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let trace_id = hex(link.trace_id.as_ref().map(<[u8; 16]>::as_slice));
    let span_id = hex(link.span_id.as_ref().map(<[u8; 8]>::as_slice));
    let attributes = Json::Object(json_object(&link.attributes));
    format!("{trace_id}|{span_id}|{}|{attributes}|{}", link.trace_state, link.dropped_attributes_count)
}

fn text_of(value: &Value) -> String {
    match json_of(value) {
        Json::String(text) => text,
        Json::Null => String::new(),
        json => json.to_string(),
    }
}

fn json_object(attributes: &[KeyValue]) -> Map<String, Json> {
    attributes.iter().map(|attribute| (attribute.key.clone(), json_of(&attribute.value))).collect()
}

/// The value as plain JSON: bytes in base64, doubles that are not finite by name.
fn json_of(value: &Value) -> Json {
    match value {
        Value::Empty => Json::Null,
        Value::String(v) => Json::from(v.as_str()),
        Value::Bool(v) => Json::from(*v),
        Value::Int(v) => Json::from(*v),
        Value::Double(v) if v.is_finite() => Json::from(*v),
        Value::Double(v) => Json::from(name_of_infinite(*v)),
        Value::Bytes(v) => Json::from(STANDARD.encode(v)),
        Value::Array(v) => v.iter().map(json_of).collect(),
        Value::KeyValueList(v) => Json::Object(json_object(v)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::zipkin_to_otlp;
    use super::*;
    use crate::model::{Resource, SpanId, Status, TraceId};

    fn span() -> Span {
        let attributes = vec![KeyValue::new("service.name", "Web"), KeyValue::new("host.name", "h")];
        Span {
            resource: Arc::new(Resource { present: true, attributes, ..Resource::default() }),
            scope: Arc::default(),
            trace_id: TraceId::parse("1").unwrap(),
            span_id: SpanId::parse("2").unwrap(),
            parent_span_id: SpanId::parse("2").ok(),
            trace_state: String::new(),
            flags: 1,
            name: "GET".into(),
            kind: SpanKind::CLIENT,
            start_unix_nano: 1_234_567,
            end_unix_nano: 1_234_568,
            attributes: vec![],
            dropped_attributes_count: 0,
            events: vec![],
            dropped_events_count: 0,
            links: vec![],
            dropped_links_count: 0,
            status: None,
            origin: Origin::Otlp,
        }
    }

    fn tag<'s>(span: &'s Span, key: &str) -> Option<&'s str> {
        span.attributes.iter().find(|tag| tag.key == key)?.value.as_str()
    }

    fn remote(kind: SpanKind, attributes: Vec<KeyValue>) -> Option<Endpoint> {
        match otlp_to_zipkin(&Span { kind, attributes, ..span() }).origin {
            Origin::Zipkin { remote_endpoint, .. } => remote_endpoint,
            Origin::Otlp => panic!("not converted"),
        }
    }

    #[test]
    fn names_are_lower_case_times_are_whole_microseconds_and_a_self_parent_goes() {
        let zipkin = otlp_to_zipkin(&span());
        assert_eq!((zipkin.name.as_str(), zipkin.service()), ("get", Some("web")));
        assert_eq!((zipkin.start_unix_nano, zipkin.end_unix_nano), (1_234_000, 1_235_000));
        assert_eq!((zipkin.parent_span_id, tag(&zipkin, "host.name")), (None, Some("h")));
        assert_eq!(otlp_to_zipkin(&zipkin), zipkin);
    }

    #[test]
    fn a_resource_without_a_service_is_the_unknown_service() {
        let zipkin = otlp_to_zipkin(&Span { resource: Arc::default(), ..span() });
        assert_eq!(zipkin.service(), Some("unknown_service"));
    }

    #[test]
    fn values_are_written_as_text() {
        let attributes = vec![
            KeyValue::new("array", Value::Array(vec![Value::Int(1), Value::from("a")])),
            KeyValue::new("bool", true),
            KeyValue::new("bytes", Value::Bytes(vec![1, 2])),
            KeyValue::new("double", 1.5),
            KeyValue::new("empty", Value::Empty),
            KeyValue::new("int", -3),
            KeyValue::new("nan", f64::NAN),
        ];
        let zipkin = otlp_to_zipkin(&Span { attributes, resource: Arc::default(), ..span() });
        let texts: Vec<_> = zipkin.attributes.iter().filter_map(|tag| tag.value.as_str()).collect();
        assert_eq!(texts, ["[1,\"a\"]", "true", "AQI=", "1.5", "", "-3", "NaN"]);
    }

    #[test]
    fn only_an_error_status_leaves_an_error_tag() {
        let with = |code, message: &str| {
            let status = Some(Status { code, message: message.into() });
            otlp_to_zipkin(&Span { status, attributes: vec![KeyValue::new("error", false)], ..span() })
        };
        let (unset, ok, error) = (with(StatusCode::UNSET, ""), with(StatusCode::OK, "x"), with(StatusCode::ERROR, ""));
        assert_eq!((tag(&unset, "error"), tag(&unset, "otel.status_code")), (None, None));
        assert_eq!((tag(&ok, "error"), tag(&ok, "otel.status_code")), (None, Some("OK")));
        assert_eq!((tag(&error, "error"), tag(&error, "otel.status_code")), (Some(""), Some("ERROR")));
        assert_eq!(tag(&with(StatusCode::ERROR, "boom"), "error"), Some("boom"));
    }

    #[test]
    fn the_remote_endpoint_is_the_best_ranked_attribute() {
        let attributes = vec![
            KeyValue::new("network.peer.address", "10.0.0.9"),
            KeyValue::new("network.peer.port", 5432),
            KeyValue::new("server.address", "DB.local"),
        ];
        let name = |name: &str| Some(Endpoint { service_name: Some(name.into()), ..Endpoint::default() });
        assert_eq!(remote(SpanKind::CLIENT, attributes.clone()), name("db.local"));
        let address = Endpoint { ipv4: Some([10, 0, 0, 9].into()), port: Some(5432), ..Endpoint::default() };
        assert_eq!(remote(SpanKind::PRODUCER, attributes[..2].to_vec()), Some(address));
        assert_eq!(remote(SpanKind::SERVER, attributes), None);
        assert_eq!(remote(SpanKind::SERVER, vec![KeyValue::new("peer.service", "p")]), name("p"));
    }

    #[test]
    fn events_carry_their_attributes_in_the_name() {
        let event =
            |name: &str, attributes| Event { time_unix_nano: 5999, name: name.into(), attributes, ..Event::default() };
        let events = vec![event("b", vec![KeyValue::new("k", "v")]), event("b", vec![]), event("b", vec![])];
        let zipkin = otlp_to_zipkin(&Span { events, ..span() });
        let names: Vec<_> = zipkin.events.iter().map(|e| (e.time_unix_nano, e.name.as_str())).collect();
        assert_eq!(names, [(5000, "\"b\": {\"k\":\"v\"}"), (5000, "b")]);
    }

    #[test]
    fn links_and_trace_state_survive_there_and_back() {
        let link = Link {
            trace_id: Some([7; 16]),
            span_id: None,
            trace_state: "a=b".into(),
            attributes: vec![KeyValue::new("k", "x|y")],
            dropped_attributes_count: 4,
            flags: 0,
        };
        let otlp = Span { links: vec![link], trace_state: "t=1".into(), kind: SpanKind::SERVER, ..span() };
        let back = zipkin_to_otlp(&otlp_to_zipkin(&otlp));
        assert_eq!((&back.links, &back.trace_state, back.kind), (&otlp.links, &otlp.trace_state, otlp.kind));
    }
}
