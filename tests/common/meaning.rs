//! What the words of CONTRACT C2 and C3 mean, said a second time, from the text alone.

use tailspan::{KeyValue, Origin, Span, Value};

const CLIENT: [&str; 6] =
    ["service.peer.name", "peer.service", "server.address", "net.peer.name", "db.system.name", "db.system"];
const MESSAGING: [&str; 4] = ["service.peer.name", "peer.service", "messaging.destination.name", "messaging.system"];

/// The first attribute of this key that is a string and not empty.
fn first_text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    for attribute in attributes {
        if let Value::String(text) = &attribute.value
            && attribute.key == key
            && !text.is_empty()
        {
            return Some(text);
        }
    }
    None
}

/// The service that recorded the span.
pub fn service(span: &Span) -> Option<&str> {
    first_text(&span.resource.attributes, "service.name")
}

/// The other side of the call.
pub fn remote_service(span: &Span) -> Option<&str> {
    let keys: &[&str] = match (&span.origin, span.kind.0) {
        (Origin::Zipkin { remote_endpoint, .. }, _) => return remote_endpoint.as_ref()?.service_name.as_deref(),
        (Origin::Otlp, 3) => &CLIENT,
        (Origin::Otlp, 4 | 5) => &MESSAGING,
        (Origin::Otlp, _) => &CLIENT[..2],
    };
    keys.iter().find_map(|key| first_text(&span.attributes, key))
}

/// The outcome: 0 unset, 1 ok, 2 error. A number OTLP does not know reads as unset.
pub fn status(span: &Span) -> i32 {
    match &span.origin {
        Origin::Zipkin { .. } if span.attributes.iter().any(|tag| tag.key == "error") => 2,
        Origin::Zipkin { .. } => 0,
        Origin::Otlp => span.status.as_ref().map(|s| s.code.0).filter(|code| (1..=2).contains(code)).unwrap_or(0),
    }
}

/// The role, 0 to 5. A number OTLP does not know reads as unspecified.
pub fn kind(span: &Span) -> i32 {
    if (1..=5).contains(&span.kind.0) { span.kind.0 } else { 0 }
}

/// When it started, if it says so.
pub fn start(span: &Span) -> Option<u64> {
    if span.start_unix_nano == 0 { None } else { Some(span.start_unix_nano) }
}

/// How long a span that has a start took; `None` if its end is absent or before the start.
pub fn duration(span: &Span) -> Option<u64> {
    let start = start(span)?;
    if span.end_unix_nano == 0 { None } else { span.end_unix_nano.checked_sub(start) }
}

/// True for the server's half of a span that Zipkin shares.
pub fn is_shared(span: &Span) -> bool {
    matches!(span.origin, Origin::Zipkin { shared: true, .. })
}
