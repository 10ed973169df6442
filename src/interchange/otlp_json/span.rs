//! One span object becomes one [`SpanRef`].

use std::borrow::Cow;
use std::ops::Range;

use serde_json::value::RawValue;

use super::super::scalar::{Object, Scalar, read_part};
use super::{read_limited, shape};
use crate::limits::Limits;
use crate::model::{
    AttributeRef, EventRef, KeyValue, LinkRef, RejectReason, SpanId, SpanKind, SpanRef, StatusCode, Text, TraceId,
    Value, ValueRef,
};

const KIND_NAMES: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];
const STATUS_NAMES: [&str; 3] = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

/// Levels of nesting that are followed whatever the limits say: the walk is recursive.
const DEPTH_HARD_MAX: usize = 128;

/// Reads a span and hands it to `take`, or says why it is refused.
pub fn read_span(raw: &RawValue, limits: &Limits, take: impl FnOnce(&SpanRef<'_>)) -> Result<(), RejectReason> {
    let span: shape::Span<'_> = read_limited(raw, limits)?;
    if count_parts(&span) > limits.span_parts_max {
        return Err(RejectReason::TooLarge);
    }
    let mut attributes = Vec::new();
    let span_attributes_count = push_attributes(span.attributes.as_deref(), limits, &mut attributes)?.end;
    let events = span.events.iter().flatten();
    let events: Vec<_> = events.map(|event| read_event(event, limits, &mut attributes)).collect::<Result<_, _>>()?;
    let links = span.links.iter().flatten();
    let links: Vec<_> = links.map(|link| read_link(link, limits, &mut attributes)).collect::<Result<_, _>>()?;
    take(&SpanRef {
        trace_id: trace_id(&span.trace_id)?,
        span_id: span_id(&span.span_id)?,
        parent_span_id: parent_id(&span.parent_span_id)?,
        trace_state: span.trace_state.text()?,
        flags: span.flags.fit()?,
        name: span.name.text()?.into(),
        kind: SpanKind(span.kind.enumeration(&KIND_NAMES)?),
        start_unix_nano: time(&span.start_time_unix_nano)?,
        end_unix_nano: time(&span.end_time_unix_nano)?,
        attributes: &attributes,
        span_attributes_count,
        dropped_attributes_count: span.dropped_attributes_count.fit()?,
        events: &events,
        dropped_events_count: span.dropped_events_count.fit()?,
        links: &links,
        dropped_links_count: span.dropped_links_count.fit()?,
        status: span.status.as_deref().map(read_status).transpose()?,
        zipkin: None,
    });
    Ok(())
}

fn count_parts(span: &shape::Span<'_>) -> usize {
    fn len<T>(list: &Option<Vec<T>>) -> usize {
        list.as_ref().map_or(0, Vec::len)
    }
    let of_events: usize = span.events.iter().flatten().map(|event| 1 + len(&event.attributes)).sum();
    let of_links: usize = span.links.iter().flatten().map(|link| 1 + len(&link.attributes)).sum();
    len(&span.attributes) + of_events + of_links
}

fn read_event<'p>(
    event: &'p shape::Event<'_>,
    limits: &Limits,
    attributes: &mut Vec<AttributeRef<'p>>,
) -> Result<EventRef<'p>, RejectReason> {
    Ok(EventRef {
        time_unix_nano: time(&event.time_unix_nano)?,
        name: event.name.text()?.into(),
        attributes: push_attributes(event.attributes.as_deref(), limits, attributes)?,
        dropped_attributes_count: event.dropped_attributes_count.fit()?,
    })
}

fn read_link<'p>(
    link: &'p shape::Link<'_>,
    limits: &Limits,
    attributes: &mut Vec<AttributeRef<'p>>,
) -> Result<LinkRef<'p>, RejectReason> {
    Ok(LinkRef {
        trace_id: hex(&link.trace_id, RejectReason::LinkIdLength)?,
        span_id: hex(&link.span_id, RejectReason::LinkIdLength)?,
        trace_state: link.trace_state.text()?,
        attributes: push_attributes(link.attributes.as_deref(), limits, attributes)?,
        dropped_attributes_count: link.dropped_attributes_count.fit()?,
        flags: link.flags.fit()?,
    })
}

fn read_status<'p>(status: &'p shape::Status<'_>) -> Result<(StatusCode, &'p str), RejectReason> {
    Ok((StatusCode(status.code.enumeration(&STATUS_NAMES)?), status.message.text()?))
}

fn trace_id(text: &Scalar<'_>) -> Result<TraceId, RejectReason> {
    let bytes = hex(text, RejectReason::TraceIdLength)?.ok_or(RejectReason::TraceIdLength)?;
    TraceId::from_bytes(bytes).ok_or(RejectReason::TraceIdZero)
}

fn span_id(text: &Scalar<'_>) -> Result<SpanId, RejectReason> {
    let bytes = hex(text, RejectReason::SpanIdLength)?.ok_or(RejectReason::SpanIdLength)?;
    SpanId::from_u64(u64_of(bytes)).ok_or(RejectReason::SpanIdZero)
}

fn parent_id(text: &Scalar<'_>) -> Result<Option<SpanId>, RejectReason> {
    Ok(hex(text, RejectReason::ParentIdLength)?.and_then(|bytes| SpanId::from_u64(u64_of(bytes))))
}

/// A time; one past the last nanosecond of 64 bits is refused as such.
fn time(scalar: &Scalar<'_>) -> Result<u64, RejectReason> {
    match scalar.integer()? {
        late if late > i128::from(u64::MAX) => Err(RejectReason::TimeOverflow),
        _ => scalar.fit(),
    }
}

fn u64_of(bytes: [u8; 8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// `N` bytes from twice as many hexadecimal digits of any case; none from an empty text.
fn hex<const N: usize>(scalar: &Scalar<'_>, length: RejectReason) -> Result<Option<[u8; N]>, RejectReason> {
    let text = scalar.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(RejectReason::IdNotHex);
    }
    if text.len() != 2 * N {
        return Err(length);
    }
    let digit = |byte: u8| (byte as char).to_digit(16).map_or(0, |digit| digit as u8);
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high) << 4 | digit(*low);
    }
    Ok(Some(bytes))
}

fn push_attributes<'p>(
    list: Option<&'p [Object<shape::KeyValue<'_>>]>,
    limits: &Limits,
    out: &mut Vec<AttributeRef<'p>>,
) -> Result<Range<usize>, RejectReason> {
    let first = out.len();
    for attribute in list.unwrap_or_default() {
        let value = attribute.value.as_ref().map_or(Ok(ValueRef::Empty), |value| value_ref(value, limits))?;
        out.push(AttributeRef { key: attribute.key.text()?.into(), value });
    }
    Ok(first..out.len())
}

fn value_ref<'p>(value: &'p shape::AnyValue<'_>, limits: &Limits) -> Result<ValueRef<'p, Text<'p>>, RejectReason> {
    Ok(match value {
        shape::AnyValue::Empty => ValueRef::Empty,
        shape::AnyValue::String(v) => ValueRef::String(Text::from(&**v)),
        shape::AnyValue::Bool(v) => ValueRef::Bool(*v),
        shape::AnyValue::Int(v) => ValueRef::Int(*v),
        shape::AnyValue::Double(v) => ValueRef::Double(*v),
        shape::AnyValue::Bytes(v) => ValueRef::Bytes(v),
        shape::AnyValue::Array(raw) => ValueRef::Composite(Cow::Owned(array(raw, depth_max(limits))?)),
        shape::AnyValue::List(raw) => ValueRef::Composite(Cow::Owned(list(raw, depth_max(limits))?)),
    })
}

fn depth_max(limits: &Limits) -> usize {
    limits.value_depth_max.min(DEPTH_HARD_MAX)
}

fn array(raw: &RawValue, depth_left: usize) -> Result<Value, RejectReason> {
    let depth_left = depth_left.checked_sub(1).ok_or(RejectReason::TooDeep)?;
    let items: shape::Values<shape::AnyValue<'_>> = read_part(raw)?;
    let items = items.values.into_iter().flatten();
    Ok(Value::Array(items.map(|item| owned(item, depth_left)).collect::<Result<_, _>>()?))
}

fn list(raw: &RawValue, depth_left: usize) -> Result<Value, RejectReason> {
    let depth_left = depth_left.checked_sub(1).ok_or(RejectReason::TooDeep)?;
    let items: shape::Values<Object<shape::KeyValue<'_>>> = read_part(raw)?;
    Ok(Value::KeyValueList(own_list(items.values, depth_left)?))
}

fn owned(value: shape::AnyValue<'_>, depth_left: usize) -> Result<Value, RejectReason> {
    Ok(match value {
        shape::AnyValue::Empty => Value::Empty,
        shape::AnyValue::String(v) => Value::String(v.into_owned()),
        shape::AnyValue::Bool(v) => Value::Bool(v),
        shape::AnyValue::Int(v) => Value::Int(v),
        shape::AnyValue::Double(v) => Value::Double(v),
        shape::AnyValue::Bytes(v) => Value::Bytes(v),
        shape::AnyValue::Array(raw) => array(raw, depth_left)?,
        shape::AnyValue::List(raw) => list(raw, depth_left)?,
    })
}

fn own_list(list: Option<Vec<Object<shape::KeyValue<'_>>>>, depth_left: usize) -> Result<Vec<KeyValue>, RejectReason> {
    let own = |Object(attribute): Object<shape::KeyValue<'_>>| {
        let value = attribute.value.map_or(Ok(Value::Empty), |value| owned(value, depth_left))?;
        Ok(KeyValue { key: attribute.key.text()?.to_owned(), value })
    };
    list.into_iter().flatten().map(own).collect()
}

/// The attributes of a resource or scope, owned.
pub fn own_attributes(
    list: Option<Vec<Object<shape::KeyValue<'_>>>>,
    limits: &Limits,
) -> Result<Vec<KeyValue>, RejectReason> {
    if list.as_ref().is_some_and(|list| list.len() > limits.span_parts_max) {
        return Err(RejectReason::TooLarge);
    }
    own_list(list, depth_max(limits))
}
