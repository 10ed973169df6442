//! Zipkin to OTLP, by the rules of the OpenTelemetry Collector's Zipkin v2 translator.
//!
//! Tags that OTLP has a field for become that field: scope, status, links, trace state, resource. All
//! other tags are span attributes, endpoints are `net.*` and `peer.service`.
//! Source: opentelemetry-collector-contrib, pkg/translator/zipkin/zipkinv2/to_translator.go. We differ
//! where it would lose something: resource tags are kept for every span and without a service name
//! too, and what does not parse as a link or an event stays the tag or the annotation it was.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::names;
use crate::model::{
    Endpoint, Event, KeyValue, Link, Origin, Resource, Scope, Span, SpanKind, Status, StatusCode, Value,
};

/// Links that are looked for in tags.
const LINKS_MAX: usize = 128;

type Tags<'s> = BTreeMap<&'s str, &'s Value>;

/// The OTLP span that says what this Zipkin span says, as far as OTLP can. An OTLP span is returned as
/// it is.
pub fn zipkin_to_otlp(span: &Span) -> Span {
    let Origin::Zipkin { remote_endpoint, .. } = &span.origin else { return span.clone() };
    let mut tags: Tags<'_> = span.attributes.iter().map(|tag| (tag.key.as_str(), &tag.value)).collect();
    let local = span.resource.local_endpoint.as_ref();
    let resource = take_resource(local, &mut tags);
    let scope = take_scope(&mut tags);
    let trace_state = take_text(&mut tags, names::TRACE_STATE).unwrap_or_default().to_owned();
    let kind = take_kind(span.kind, &mut tags);
    let status = take_status(&mut tags);
    let links = take_links(&mut tags);
    let mut attributes = tags.into_iter().map(|(key, value)| KeyValue { key: key.to_owned(), value: value.clone() });
    let mut attributes: Vec<_> = attributes.by_ref().collect();
    put_endpoint(local, names::HOST_IP, names::HOST_PORT, &mut attributes);
    if let Some(service) = remote_endpoint.as_ref().and_then(|remote| remote.service_name.clone()) {
        put(names::PEER_SERVICE, service, &mut attributes);
    }
    put_endpoint(remote_endpoint.as_ref(), names::PEER_IP, names::PEER_PORT, &mut attributes);
    if span.start_unix_nano == 0 {
        put(names::START_ABSENT, true, &mut attributes);
    }
    Span {
        resource: Arc::new(resource),
        scope: Arc::new(scope),
        trace_state,
        kind,
        // A span without a duration ends at its start.
        end_unix_nano: span.end_unix_nano.max(span.start_unix_nano),
        attributes,
        events: span.events.iter().map(event_of).collect(),
        links,
        status,
        origin: Origin::Otlp,
        ..span.clone()
    }
}

fn take_text<'s>(tags: &mut Tags<'s>, key: &str) -> Option<&'s str> {
    let text = tags.get(key).copied()?.as_str()?;
    tags.remove(key);
    Some(text)
}

fn put(key: &str, value: impl Into<Value>, attributes: &mut Vec<KeyValue>) {
    let value = value.into();
    match attributes.iter_mut().find(|attribute| attribute.key == key) {
        Some(attribute) => attribute.value = value,
        None => attributes.push(KeyValue { key: key.to_owned(), value }),
    }
}

fn take_resource(local: Option<&Endpoint>, tags: &mut Tags<'_>) -> Resource {
    let mut attributes = Vec::new();
    let source = take_text(tags, names::SERVICE_NAME_SOURCE).filter(|source| !source.is_empty());
    if let Some(service) = local.and_then(|endpoint| endpoint.service_name.as_deref()) {
        attributes.push(KeyValue::new(source.unwrap_or(names::SERVICE_NAME), service));
    }
    for key in names::RESOURCE_KEYS {
        if let Some(value) = tags.remove(key) {
            put(key, value.clone(), &mut attributes);
        }
    }
    Resource { present: !attributes.is_empty(), attributes, ..Resource::default() }
}

fn take_scope(tags: &mut Tags<'_>) -> Scope {
    let [name, library_name, version, library_version] =
        [names::SCOPE_NAME, names::LIBRARY_NAME, names::SCOPE_VERSION, names::LIBRARY_VERSION]
            .map(|key| take_text(tags, key));
    let name = name.or(library_name).unwrap_or_default().to_owned();
    let version = version.or(library_version).unwrap_or_default().to_owned();
    let present = !(name.is_empty() && version.is_empty());
    Scope { present, name, version, ..Scope::default() }
}

fn take_kind(kind: SpanKind, tags: &mut Tags<'_>) -> SpanKind {
    if kind != SpanKind::UNSPECIFIED {
        return kind;
    }
    match take_text(tags, names::SPAN_KIND) {
        Some("internal") => SpanKind::INTERNAL,
        _ => SpanKind::UNSPECIFIED,
    }
}

fn take_status(tags: &mut Tags<'_>) -> Option<Status> {
    let mut status = take_text(tags, names::STATUS_CODE).map(|code| Status {
        code: match code.trim_start_matches("STATUS_CODE_") {
            "OK" => StatusCode::OK,
            "ERROR" => StatusCode::ERROR,
            _ => StatusCode::UNSET,
        },
        message: take_text(tags, names::STATUS_DESCRIPTION).unwrap_or_default().to_owned(),
    });
    if tags.get(names::ERROR).is_some_and(|value| value.as_str() == Some("true")) {
        tags.remove(names::ERROR);
        status.get_or_insert_default().code = StatusCode::ERROR;
    }
    status
}

fn put_endpoint(endpoint: Option<&Endpoint>, ip_key: &str, port_key: &str, attributes: &mut Vec<KeyValue>) {
    let Some(endpoint) = endpoint else { return };
    let ip = endpoint.ipv6.map(IpAddr::V6).or(endpoint.ipv4.map(IpAddr::V4));
    if let Some(ip) = ip {
        put(ip_key, ip.to_string(), attributes);
    }
    if let Some(port) = endpoint.port {
        put(port_key, i64::from(port), attributes);
    }
}

fn take_links(tags: &mut Tags<'_>) -> Vec<Link> {
    let mut links = Vec::new();
    for index in 0..LINKS_MAX {
        let key = names::link_tag(index);
        let Some(link) = tags.get(key.as_str()).and_then(|value| link_of(value.as_str()?)) else { break };
        tags.remove(key.as_str());
        links.push(link);
    }
    links
}

/// `trace id|span id|trace state|JSON attributes|dropped attributes`; the JSON may have bars in it.
fn link_of(text: &str) -> Option<Link> {
    let (rest, dropped) = text.rsplit_once('|')?;
    let mut parts = rest.splitn(4, '|');
    Some(Link {
        trace_id: id_of(parts.next()?)?,
        span_id: id_of(parts.next()?)?,
        trace_state: parts.next()?.to_owned(),
        attributes: attributes_of(parts.next()?)?,
        dropped_attributes_count: dropped.parse().ok()?,
        flags: 0,
    })
}

/// The id that these digits write: `Some(None)` if there are none.
fn id_of<const N: usize>(text: &str) -> Option<Option<[u8; N]>> {
    if text.is_empty() {
        return Some(None);
    }
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let number = u128::from_str_radix(text, 16).ok()?.to_be_bytes();
    number.last_chunk().map(|bytes| Some(*bytes))
}

/// `name|JSON attributes|dropped attributes`, or any text, which is the name then.
fn event_of(annotation: &Event) -> Event {
    let parsed = || {
        let (rest, dropped) = annotation.name.rsplit_once('|')?;
        let (name, json) = rest.split_once('|')?;
        Some(Event {
            time_unix_nano: annotation.time_unix_nano,
            name: name.to_owned(),
            attributes: attributes_of(json)?,
            dropped_attributes_count: dropped.parse().ok()?,
        })
    };
    parsed().unwrap_or_else(|| annotation.clone())
}

/// The scalars of a JSON object, in order of keys. A number without a fraction is an integer.
fn attributes_of(json: &str) -> Option<Vec<KeyValue>> {
    let object: BTreeMap<String, serde_json::Value> = serde_json::from_str(json).ok()?;
    let value_of = |value| {
        Some(match value {
            serde_json::Value::String(text) => Value::String(text),
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(value), _) => Value::Int(value),
                (None, Some(value)) if value.fract() == 0.0 && value.abs() < 9e18 => Value::Int(value as i64),
                (None, Some(value)) => Value::Double(value),
                (None, None) => return None,
            },
            _ => return None,
        })
    };
    Some(object.into_iter().filter_map(|(key, value)| Some(KeyValue { key, value: value_of(value)? })).collect())
}

#[cfg(test)]
mod tests {
    use super::super::zipkin_resource;
    use super::*;
    use crate::model::{SpanId, TraceId};

    fn span(tags: &[(&str, &str)]) -> Span {
        let local = Endpoint {
            service_name: Some("web".into()),
            ipv4: Some([10, 0, 0, 1].into()),
            port: Some(80),
            ..Endpoint::default()
        };
        let remote = Endpoint { service_name: Some("db".into()), ipv6: Some(1.into()), ..Endpoint::default() };
        Span {
            resource: Arc::new(zipkin_resource(Some(local))),
            scope: Arc::default(),
            trace_id: TraceId::parse("1").unwrap(),
            span_id: SpanId::parse("2").unwrap(),
            parent_span_id: None,
            trace_state: String::new(),
            flags: 0,
            name: "get".into(),
            kind: SpanKind::UNSPECIFIED,
            start_unix_nano: 1000,
            end_unix_nano: 0,
            attributes: tags.iter().map(|(key, value)| KeyValue::new(*key, *value)).collect(),
            dropped_attributes_count: 0,
            events: vec![],
            dropped_events_count: 0,
            links: vec![],
            dropped_links_count: 0,
            status: None,
            origin: Origin::Zipkin { remote_endpoint: Some(remote), debug: true, shared: true },
        }
    }

    #[test]
    fn endpoints_become_attributes_and_a_missing_duration_ends_at_the_start() {
        let otlp = zipkin_to_otlp(&span(&[("a", "b")]));
        let expected = [
            KeyValue::new("a", "b"),
            KeyValue::new("net.host.ip", "10.0.0.1"),
            KeyValue::new("net.host.port", 80),
            KeyValue::new("peer.service", "db"),
            KeyValue::new("net.peer.ip", "::1"),
        ];
        assert_eq!(otlp.attributes, expected);
        assert_eq!(otlp.resource.attributes, [KeyValue::new("service.name", "web")]);
        assert_eq!((otlp.end_unix_nano, otlp.origin, otlp.resource.local_endpoint.clone()), (1000, Origin::Otlp, None));
    }

    #[test]
    fn tags_with_a_field_of_their_own_become_it() {
        let otlp = zipkin_to_otlp(&span(&[
            ("error", "true"),
            ("host.name", "h"),
            ("otel.library.name", "lib"),
            ("otel.scope.version", "1"),
            ("otel.status_description", "kept: there is no code"),
            ("otlp.link.0", "0102030405060708090a0b0c0d0e0f10|0102030405060708|s=1|{\"k\":\"a|b\",\"n\":2.0}|3"),
            ("otlp.link.1", "not a link"),
            ("span.kind", "internal"),
            ("w3c.tracestate", "x=y"),
        ]));
        assert_eq!(otlp.status, Some(Status { code: StatusCode::ERROR, message: String::new() }));
        assert_eq!(otlp.kind, SpanKind::INTERNAL);
        assert_eq!(otlp.trace_state, "x=y");
        assert_eq!((otlp.scope.name.as_str(), otlp.scope.version.as_str()), ("lib", "1"));
        assert_eq!(otlp.resource.attributes[1], KeyValue::new("host.name", "h"));
        let link = Link {
            trace_id: Some([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
            span_id: Some([1, 2, 3, 4, 5, 6, 7, 8]),
            trace_state: "s=1".into(),
            attributes: vec![KeyValue::new("k", "a|b"), KeyValue::new("n", 2)],
            dropped_attributes_count: 3,
            flags: 0,
        };
        assert_eq!(otlp.links, [link]);
        let keys: Vec<_> = otlp.attributes.iter().map(|a| a.key.as_str()).take(2).collect();
        assert_eq!(keys, ["otel.status_description", "otlp.link.1"]);
    }

    #[test]
    fn an_error_tag_with_a_text_stays_a_tag() {
        let otlp = zipkin_to_otlp(&span(&[("error", "timeout"), ("otel.status_code", "ERROR")]));
        assert_eq!(otlp.status.unwrap().code, StatusCode::ERROR);
        assert_eq!(otlp.attributes[0], KeyValue::new("error", "timeout"));
    }

    #[test]
    fn an_absent_start_is_marked() {
        let zipkin = Span { start_unix_nano: 0, end_unix_nano: 5000, ..span(&[]) };
        let otlp = zipkin_to_otlp(&zipkin);
        assert_eq!((otlp.start_unix_nano, otlp.end_unix_nano), (0, 5000));
        assert_eq!(otlp.attributes.last(), Some(&KeyValue::new(names::START_ABSENT, true)));
    }

    #[test]
    fn annotations_in_the_translators_form_get_their_attributes_back() {
        let annotation = |name: &str| Event { time_unix_nano: 9, name: name.into(), ..Event::default() };
        let events =
            vec![annotation("plain|text"), annotation("e|{\"a\":1.5,\"b\":true,\"c\":null}|2"), annotation("x|{|1")];
        let otlp = zipkin_to_otlp(&Span { events: events.clone(), ..span(&[]) });
        assert_eq!(otlp.events[0], events[0]);
        assert_eq!(otlp.events[1].attributes, [KeyValue::new("a", 1.5), KeyValue::new("b", true)]);
        assert_eq!((otlp.events[1].name.as_str(), otlp.events[1].dropped_attributes_count), ("e", 2));
        assert_eq!(otlp.events[2], events[2]);
    }
}
