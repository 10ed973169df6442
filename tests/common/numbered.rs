//! Spans that carry their own number, so that a test can tell what became of each.
//!
//! Everything in a span follows from its number. A span read back is the one that was written if and only if
//! it equals the span of its number; anything else was invented.

use std::sync::Arc;

use tailspan::{
    Event, KeyValue, Link, Origin, Resource, Scope, Span, SpanId, SpanKind, Status, StatusCode, TraceId, Value,
};

/// Spans of one trace: their numbers follow each other.
pub const TRACE_SPANS: u64 = 5;
/// Service of every third span, the others have one of their own.
pub const SERVICE: &str = "numbered-0";
const START: u64 = 1_760_000_000_000_000_000;
/// An odd number: multiplying by it scatters numbers without making two equal.
const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The span of this number.
pub fn span(number: u64) -> Span {
    let trace = number / TRACE_SPANS;
    let first = trace * TRACE_SPANS;
    let start = START + trace * 1_000_000 + number * 1_000;
    let failed = Status { code: StatusCode::ERROR, message: format!("failed {}", number % 3) };
    Span {
        resource: Arc::new(resource(number % 3)),
        scope: Arc::new(Scope { present: true, name: "tests".to_owned(), ..Scope::default() }),
        trace_id: TraceId::from_halves(trace, (trace + 1).wrapping_mul(SCATTER)).expect("not zero"),
        span_id: span_id(number),
        parent_span_id: (number != first).then(|| span_id(first + (number - first - 1) / 2)),
        trace_state: String::new(),
        flags: 0x101,
        name: format!("operation {}", number % 7),
        kind: SpanKind((number % 6) as i32),
        start_unix_nano: start,
        end_unix_nano: start + 1 + number % 1_000_000,
        attributes: attributes(number),
        dropped_attributes_count: 0,
        events: Vec::from_iter((number % 9 == 4).then(|| event(start))),
        dropped_events_count: 0,
        links: Vec::from_iter((number % 11 == 6).then(|| link(number))),
        dropped_links_count: (number % 13 == 7).into(),
        status: (number % 8 == 3).then_some(failed),
        origin: Origin::Otlp,
    }
}

fn resource(instance: u64) -> Resource {
    let service = if instance == 0 { SERVICE.to_owned() } else { format!("numbered-{instance}") };
    let attributes = vec![KeyValue::new("service.name", service), KeyValue::new("instance", instance as i64)];
    Resource { present: true, attributes, ..Resource::default() }
}

fn attributes(number: u64) -> Vec<KeyValue> {
    // Long enough to fill a log, and no two alike.
    let note = format!("{:016x}", number.wrapping_mul(SCATTER)).repeat(4);
    let mut attributes = vec![KeyValue::new("number", number as i64), KeyValue::new("note", note)];
    match number % 4 {
        0 => attributes.push(KeyValue::new("share", number as f64 / 3.0)),
        1 => attributes.push(KeyValue::new("even", number.is_multiple_of(2))),
        2 => {
            attributes.push(KeyValue { key: "list".to_owned(), value: Value::Array(vec![Value::Int(1), Value::Empty]) })
        }
        _ => {}
    }
    attributes
}

fn event(start: u64) -> Event {
    Event { time_unix_nano: start + 1, name: "retry".to_owned(), ..Event::default() }
}

fn link(number: u64) -> Link {
    Link { trace_id: Some([7; 16]), span_id: Some(number.to_be_bytes()), ..Link::default() }
}

fn span_id(number: u64) -> SpanId {
    SpanId::from_u64(number + 1).expect("not zero")
}

/// The number of a span that was read back.
///
/// # Errors
/// If no such span was ever written.
pub fn number_of(read: &Span) -> Result<u64, String> {
    let number = read.span_id.get() - 1;
    if *read == span(number) { Ok(number) } else { Err(format!("a span that was never written: {read:?}")) }
}
