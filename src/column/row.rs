//! From columns back to an owned span.

use std::sync::Arc;

use crate::bytes::Reader;
use crate::error::{Error, Result};
use crate::model::{
    Endpoint, Event, KeyValue, Link, Origin, Resource, Scope, Span, SpanId, Status, StatusCode, TraceId, Value,
};

use super::identity::decode_endpoint;
use super::schema::{Class, ClassBits, Field, NONE, Schema, internal};

/// The ids and times of one span row.
#[derive(Clone, Copy, Debug)]
pub struct RowTimes {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// The parent as the record names it.
    pub parent_span_id: Option<SpanId>,
    /// Start as received.
    pub start_unix_nano: u64,
    /// End as received.
    pub end_unix_nano: u64,
}

/// What gives the codes of a part's rows their meaning.
pub trait RowSource {
    /// Fields, shapes, classes.
    fn schema(&self) -> &Schema;

    /// The text of a string code of the schema; empty for [`NONE`].
    fn text(&self, code: u32) -> &str;

    /// A resource by code.
    fn resource(&self, code: u32) -> Result<Arc<Resource>>;

    /// A scope by code.
    fn scope(&self, code: u32) -> Result<Arc<Scope>>;

    /// False only if no resource has an attribute of this key.
    fn may_have_resource_key(&self, _key: &str) -> bool {
        true
    }
}

/// Gives the values of one row after the other, field by field in shape order.
pub trait RowValues {
    /// The value of this field, which stands at this place of the shape of the row's class.
    fn next(&mut self, class: u32, place: usize, field: u32) -> Result<Value>;
}

#[derive(Default)]
struct Parts {
    attributes: Vec<KeyValue>,
    trace_state: String,
    status_message: String,
    remote_endpoint: Option<Endpoint>,
    dropped_attributes: u32,
    dropped_events: u32,
    dropped_links: u32,
    flags: u32,
}

fn read_parts(source: &dyn RowSource, class: u32, values: &mut dyn RowValues) -> Result<Parts> {
    let schema = source.schema();
    let shape = schema.shape_of(class);
    let mut parts = Parts { attributes: Vec::with_capacity(shape.len()), ..Parts::default() };
    for (place, &code) in shape.iter().enumerate() {
        let value = values.next(class, place, code)?;
        let field = &schema.fields[code as usize];
        let key = source.text(field.key);
        if field.internal {
            parts.take(key, field, value)?;
        } else {
            parts.attributes.push(KeyValue { key: key.to_owned(), value });
        }
    }
    Ok(parts)
}

impl Parts {
    fn take(&mut self, key: &str, field: &Field, value: Value) -> Result<()> {
        let count = |value: &Value| match value {
            Value::Int(v) => Ok(*v as u32),
            _ => Err(Error::corrupt(format!("internal field {key} is no int"))),
        };
        match (key, &value) {
            (internal::DROPPED_ATTRIBUTES, v) => self.dropped_attributes = count(v)?,
            (internal::DROPPED_EVENTS, v) => self.dropped_events = count(v)?,
            (internal::DROPPED_LINKS, v) => self.dropped_links = count(v)?,
            (internal::FLAGS, v) => self.flags = count(v)?,
            (internal::TRACE_STATE, Value::String(v)) => self.trace_state.clone_from(v),
            (internal::STATUS_MESSAGE, Value::String(v)) => self.status_message.clone_from(v),
            (internal::REMOTE_ENDPOINT, Value::Bytes(v)) => {
                self.remote_endpoint = Some(decode_endpoint(&mut Reader::new(v))?);
            }
            _ => return Err(Error::corrupt(format!("internal field {key} ({field:?}) is unknown"))),
        }
        Ok(())
    }
}

/// Builds the span of a row; `events` and `links` are its own, already built.
///
/// # Errors
/// Corrupt if a value has not the form its field promises.
pub fn materialize(
    source: &dyn RowSource,
    times: &RowTimes,
    class: u32,
    resource: u32,
    values: &mut dyn RowValues,
) -> Result<Span> {
    let parts = read_parts(source, class, values)?;
    let class = source.schema().classes[class as usize];
    assemble(source, times, &class, resource, parts)
}

/// Builds a span without attributes, events and links: ids, times, service, name, kind, status. A Zipkin
/// span keeps an empty tag `error` if it has one.
///
/// # Errors
/// Corrupt if a code is unknown.
pub fn materialize_outline(source: &dyn RowSource, times: &RowTimes, class: u32, resource: u32) -> Result<Span> {
    let class = source.schema().classes[class as usize];
    let mut parts = Parts::default();
    if class.bits.has(ClassBits::ZIPKIN) && class.status == StatusCode::ERROR {
        parts.attributes.push(KeyValue::new("error", ""));
    }
    assemble(source, times, &class, resource, parts)
}

fn assemble(source: &dyn RowSource, times: &RowTimes, class: &Class, resource: u32, parts: Parts) -> Result<Span> {
    let origin = if class.bits.has(ClassBits::ZIPKIN) {
        Origin::Zipkin {
            remote_endpoint: parts.remote_endpoint,
            debug: class.bits.has(ClassBits::DEBUG),
            shared: class.bits.has(ClassBits::SHARED),
        }
    } else {
        Origin::Otlp
    };
    let status =
        class.bits.has(ClassBits::STATUS).then_some(Status { code: class.status, message: parts.status_message });
    Ok(Span {
        resource: source.resource(resource)?,
        scope: source.scope(class.scope)?,
        trace_id: times.trace_id,
        span_id: times.span_id,
        parent_span_id: times.parent_span_id,
        trace_state: parts.trace_state,
        flags: class.flags,
        name: text_or_empty(source, class.name),
        kind: class.kind,
        start_unix_nano: times.start_unix_nano,
        end_unix_nano: times.end_unix_nano,
        attributes: parts.attributes,
        dropped_attributes_count: parts.dropped_attributes,
        events: Vec::new(),
        dropped_events_count: parts.dropped_events,
        links: Vec::new(),
        dropped_links_count: parts.dropped_links,
        status,
        origin,
    })
}

/// Builds the event of an event row.
///
/// # Errors
/// As [`materialize`].
pub fn materialize_event(
    source: &dyn RowSource,
    time_unix_nano: u64,
    class: u32,
    values: &mut dyn RowValues,
) -> Result<Event> {
    let parts = read_parts(source, class, values)?;
    let class = source.schema().classes[class as usize];
    Ok(Event {
        time_unix_nano,
        name: text_or_empty(source, class.name),
        attributes: parts.attributes,
        dropped_attributes_count: parts.dropped_attributes,
    })
}

/// Builds the link of a link row.
///
/// # Errors
/// As [`materialize`].
pub fn materialize_link(
    source: &dyn RowSource,
    trace_id: [u8; 16],
    span_id: [u8; 8],
    class: u32,
    values: &mut dyn RowValues,
) -> Result<Link> {
    let parts = read_parts(source, class, values)?;
    let class = source.schema().classes[class as usize];
    Ok(Link {
        trace_id: class.bits.has(ClassBits::LINK_TRACE).then_some(trace_id),
        span_id: class.bits.has(ClassBits::LINK_SPAN).then_some(span_id),
        trace_state: parts.trace_state,
        attributes: parts.attributes,
        dropped_attributes_count: parts.dropped_attributes,
        flags: parts.flags,
    })
}

fn text_or_empty(source: &dyn RowSource, code: u32) -> String {
    if code == NONE { String::new() } else { source.text(code).to_owned() }
}
