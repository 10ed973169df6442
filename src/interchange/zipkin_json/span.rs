//! One Zipkin span object becomes one normalised [`SpanRef`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::super::scalar::{Object, Scalar, read_part};
use super::endpoint::{EndpointShape, read_endpoint};
use crate::limits::Limits;
use crate::model::{
    AttributeRef, Endpoint, EventRef, IdError, RejectReason, SpanId, SpanKind, SpanRef, Text, TraceId, UnixNanos,
    ValueRef,
};

const NANOS_PER_MICRO: u64 = 1000;

/// A span as it stands in JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
struct SpanShape<'a> {
    trace_id: Scalar<'a>,
    parent_id: Scalar<'a>,
    id: Scalar<'a>,
    kind: Scalar<'a>,
    name: Scalar<'a>,
    timestamp: Scalar<'a>,
    duration: Scalar<'a>,
    local_endpoint: Option<&'a RawValue>,
    remote_endpoint: Option<Object<EndpointShape<'a>>>,
    annotations: Option<Vec<Object<AnnotationShape<'a>>>>,
    tags: Option<BTreeMap<Cow<'a, str>, Scalar<'a>>>,
    debug: Scalar<'a>,
    shared: Scalar<'a>,
    /// Only v1 has it.
    binary_annotations: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct AnnotationShape<'a> {
    timestamp: Scalar<'a>,
    value: Scalar<'a>,
    /// Only v1 has it.
    endpoint: Option<IgnoredAny>,
}

/// Where a span was recorded, and the JSON that said so.
#[derive(Debug)]
pub struct Local<'a> {
    pub wire: Option<&'a str>,
    pub endpoint: Option<Endpoint>,
}

/// What became of a span.
#[derive(Debug)]
pub enum Outcome {
    /// It was handed on.
    Taken,
    /// It is refused.
    Refused(RejectReason),
    /// It is no v2 span.
    Version1,
}

/// Reads a span and hands it to `take`.
pub fn read_span(raw: &RawValue, limits: &Limits, take: impl FnOnce(Local<'_>, &SpanRef<'_>)) -> Outcome {
    if raw.get().len() > limits.span_bytes_max {
        return Outcome::Refused(RejectReason::TooLarge);
    }
    let shape: SpanShape<'_> = match read_part(raw) {
        Ok(shape) => shape,
        Err(reason) => return Outcome::Refused(reason),
    };
    let mut annotations = shape.annotations.iter().flatten();
    if shape.binary_annotations.is_some() || annotations.any(|annotation| annotation.endpoint.is_some()) {
        return Outcome::Version1;
    }
    normalise(&shape, limits, take).map_or_else(Outcome::Refused, |()| Outcome::Taken)
}

fn normalise(
    shape: &SpanShape<'_>,
    limits: &Limits,
    take: impl FnOnce(Local<'_>, &SpanRef<'_>),
) -> Result<(), RejectReason> {
    let parts = shape.annotations.as_ref().map_or(0, Vec::len) + shape.tags.as_ref().map_or(0, BTreeMap::len);
    if parts > limits.span_parts_max {
        return Err(RejectReason::TooLarge);
    }
    let span_id = span_id(&shape.id)?;
    let kind = kind(&shape.kind)?;
    let name = shape.name.text()?.to_lowercase();
    let remote = shape.remote_endpoint.as_deref().map(read_endpoint).transpose()?.flatten();
    let (start_unix_nano, end_unix_nano) = times(shape)?;
    let tags = tags(shape)?;
    let attributes: Vec<_> = tags.iter().map(attribute).collect();
    let events = events(shape)?;
    let span = SpanRef {
        trace_id: trace_id(&shape.trace_id)?,
        span_id,
        parent_span_id: parent_id(&shape.parent_id)?.filter(|parent| *parent != span_id),
        trace_state: "",
        flags: 0,
        name: Text::from(&*name),
        kind,
        start_unix_nano,
        end_unix_nano,
        attributes: &attributes,
        span_attributes_count: attributes.len(),
        dropped_attributes_count: 0,
        events: &events,
        dropped_events_count: 0,
        links: &[],
        dropped_links_count: 0,
        status: None,
        zipkin: Some((remote.as_ref(), shape.debug.bool()?, shape.shared.bool()? && kind != SpanKind::CLIENT)),
    };
    take(local(shape)?, &span);
    Ok(())
}

fn local<'a>(shape: &SpanShape<'a>) -> Result<Local<'a>, RejectReason> {
    let Some(raw) = shape.local_endpoint else { return Ok(Local { wire: None, endpoint: None }) };
    let endpoint = read_endpoint(&read_part(raw)?)?;
    Ok(Local { wire: Some(raw.get()), endpoint })
}

fn trace_id(scalar: &Scalar<'_>) -> Result<TraceId, RejectReason> {
    TraceId::parse(lower_hex(scalar)?).map_err(|error| match error {
        IdError::Zero => RejectReason::TraceIdZero,
        IdError::Length => RejectReason::TraceIdLength,
        IdError::NotHex => RejectReason::IdNotHex,
    })
}

fn span_id(scalar: &Scalar<'_>) -> Result<SpanId, RejectReason> {
    SpanId::parse(lower_hex(scalar)?).map_err(|error| match error {
        IdError::Zero => RejectReason::SpanIdZero,
        IdError::Length => RejectReason::SpanIdLength,
        IdError::NotHex => RejectReason::IdNotHex,
    })
}

fn parent_id(scalar: &Scalar<'_>) -> Result<Option<SpanId>, RejectReason> {
    if *scalar == Scalar::Null {
        return Ok(None);
    }
    match SpanId::parse(lower_hex(scalar)?) {
        Ok(id) => Ok(Some(id)),
        Err(IdError::Zero) => Ok(None),
        Err(IdError::Length) => Err(RejectReason::ParentIdLength),
        Err(IdError::NotHex) => Err(RejectReason::IdNotHex),
    }
}

/// The text of an id, which Zipkin wants in lower-case digits.
fn lower_hex<'s>(scalar: &'s Scalar<'_>) -> Result<&'s str, RejectReason> {
    let text = scalar.text()?;
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) { Err(RejectReason::IdNotHex) } else { Ok(text) }
}

fn kind(scalar: &Scalar<'_>) -> Result<SpanKind, RejectReason> {
    match scalar {
        Scalar::Null => Ok(SpanKind::UNSPECIFIED),
        Scalar::Text(text) => match &**text {
            "CLIENT" => Ok(SpanKind::CLIENT),
            "SERVER" => Ok(SpanKind::SERVER),
            "PRODUCER" => Ok(SpanKind::PRODUCER),
            "CONSUMER" => Ok(SpanKind::CONSUMER),
            _ => Err(RejectReason::Malformed),
        },
        _ => Err(RejectReason::Malformed),
    }
}

/// Start and end; a timestamp or duration of zero or less is absent.
fn times(shape: &SpanShape<'_>) -> Result<(UnixNanos, UnixNanos), RejectReason> {
    let start = nanos(&shape.timestamp)?;
    let duration = nanos(&shape.duration)?;
    if duration == 0 {
        return Ok((start, 0));
    }
    Ok((start, start.checked_add(duration).ok_or(RejectReason::TimeOverflow)?))
}

/// Microseconds as nanoseconds; 0 for what is zero, negative or absent.
fn nanos(scalar: &Scalar<'_>) -> Result<UnixNanos, RejectReason> {
    let micros = u64::try_from(scalar.integer()?.max(0)).map_err(|_| RejectReason::TimeOverflow)?;
    micros.checked_mul(NANOS_PER_MICRO).ok_or(RejectReason::TimeOverflow)
}

/// The tags in order of keys. Numbers and booleans are taken as the text they are.
fn tags<'s>(shape: &'s SpanShape<'_>) -> Result<Vec<(&'s str, Cow<'s, str>)>, RejectReason> {
    let text = |value: &'s Scalar<'_>| match value {
        Scalar::Text(text) => Ok(Cow::Borrowed(&**text)),
        Scalar::Unsigned(number) => Ok(Cow::Owned(number.to_string())),
        Scalar::Signed(number) => Ok(Cow::Owned(number.to_string())),
        Scalar::Double(number) => Ok(Cow::Owned(serde_json::Value::from(*number).to_string())),
        Scalar::Bool(value) => Ok(Cow::Owned(value.to_string())),
        Scalar::Null => Err(RejectReason::Malformed),
    };
    shape.tags.iter().flatten().map(|(key, value)| Ok((&**key, text(value)?))).collect()
}

fn attribute<'t>((key, text): &'t (&str, Cow<'_, str>)) -> AttributeRef<'t> {
    AttributeRef { key: Text::from(*key), value: ValueRef::String(Text::from(&**text)) }
}

/// The annotations by time, then value, each once.
fn events<'s>(shape: &'s SpanShape<'_>) -> Result<Vec<EventRef<'s>>, RejectReason> {
    let mut annotations = Vec::new();
    for annotation in shape.annotations.iter().flatten() {
        let time = nanos(&annotation.timestamp)?;
        if time == 0 || annotation.value == Scalar::Null {
            return Err(RejectReason::Malformed);
        }
        annotations.push((time, annotation.value.text()?));
    }
    annotations.sort_unstable();
    annotations.dedup();
    let event = |(time_unix_nano, name): (_, &'s str)| EventRef {
        time_unix_nano,
        name: name.into(),
        attributes: 0..0,
        dropped_attributes_count: 0,
    };
    Ok(annotations.into_iter().map(event).collect())
}
