//! Spans on their way in: borrowed from the bytes they arrived in, one at a time.
//!
//! A reader of a wire format fills a [`SpanRef`] whose lists are scratch vectors it keeps, and hands it
//! to a [`SpanSink`] (the head). Nothing is owned but composite values, which are rare.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use super::id::{SpanId, TraceId};
use super::resource::{Endpoint, Resource, Scope};
use super::span::{Origin, Span, SpanKind, StatusCode};
use super::text::Text;
use super::time::UnixNanos;
use super::value::Value;

/// An attribute value, borrowed, with texts of type `T`.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueRef<'a, T = &'a str> {
    /// No value at all.
    Empty,
    /// A UTF-8 string.
    String(T),
    /// A boolean.
    Bool(bool),
    /// A signed 64-bit integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// An array or a nested list ([`Value::Array`] or [`Value::KeyValueList`]).
    Composite(Cow<'a, Value>),
}

/// An attribute, borrowed.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeRef<'a> {
    /// The name.
    pub key: Text<'a>,
    /// The value.
    pub value: ValueRef<'a, Text<'a>>,
}

/// A span, borrowed. `attributes` holds those of the span first; events and links name ranges of it.
#[derive(Clone, Debug)]
pub struct SpanRef<'a> {
    /// See [`Span::trace_id`].
    pub trace_id: TraceId,
    /// See [`Span::span_id`].
    pub span_id: SpanId,
    /// See [`Span::parent_span_id`].
    pub parent_span_id: Option<SpanId>,
    /// See [`Span::trace_state`].
    pub trace_state: &'a str,
    /// See [`Span::flags`].
    pub flags: u32,
    /// See [`Span::name`].
    pub name: Text<'a>,
    /// See [`Span::kind`].
    pub kind: SpanKind,
    /// See [`Span::start_unix_nano`].
    pub start_unix_nano: UnixNanos,
    /// See [`Span::end_unix_nano`].
    pub end_unix_nano: UnixNanos,
    /// Attributes of the span and, after them, of its events and links.
    pub attributes: &'a [AttributeRef<'a>],
    /// How many of `attributes` are the span's own.
    pub span_attributes_count: usize,
    /// See [`Span::dropped_attributes_count`].
    pub dropped_attributes_count: u32,
    /// See [`Span::events`].
    pub events: &'a [EventRef<'a>],
    /// See [`Span::dropped_events_count`].
    pub dropped_events_count: u32,
    /// See [`Span::links`].
    pub links: &'a [LinkRef<'a>],
    /// See [`Span::dropped_links_count`].
    pub dropped_links_count: u32,
    /// Code and message, if the span carried a status.
    pub status: Option<(StatusCode, &'a str)>,
    /// What only Zipkin says: remote endpoint, debug, shared. `None` for OTLP.
    pub zipkin: Option<(Option<&'a Endpoint>, bool, bool)>,
}

/// An event, borrowed.
#[derive(Clone, Debug)]
pub struct EventRef<'a> {
    /// See [`super::Event::time_unix_nano`].
    pub time_unix_nano: UnixNanos,
    /// See [`super::Event::name`].
    pub name: Text<'a>,
    /// Its attributes, as positions in [`SpanRef::attributes`].
    pub attributes: Range<usize>,
    /// See [`super::Event::dropped_attributes_count`].
    pub dropped_attributes_count: u32,
}

/// A link, borrowed.
#[derive(Clone, Debug)]
pub struct LinkRef<'a> {
    /// See [`super::Link::trace_id`].
    pub trace_id: Option<[u8; 16]>,
    /// See [`super::Link::span_id`].
    pub span_id: Option<[u8; 8]>,
    /// See [`super::Link::trace_state`].
    pub trace_state: &'a str,
    /// Its attributes, as positions in [`SpanRef::attributes`].
    pub attributes: Range<usize>,
    /// See [`super::Link::dropped_attributes_count`].
    pub dropped_attributes_count: u32,
    /// See [`super::Link::flags`].
    pub flags: u32,
}

/// Why one span was refused while the rest of its batch was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// The trace id is missing or has not 16 bytes.
    TraceIdLength,
    /// The trace id is all zero.
    TraceIdZero,
    /// The span id is missing or has not 8 bytes.
    SpanIdLength,
    /// The span id is all zero.
    SpanIdZero,
    /// The parent id has neither 0 nor 8 bytes.
    ParentIdLength,
    /// The id of a link has a wrong length.
    LinkIdLength,
    /// An id is not hexadecimal (or, in Zipkin, not lower-case).
    IdNotHex,
    /// A text is not UTF-8.
    NotUtf8,
    /// A value is nested deeper than [`crate::Limits::value_depth_max`].
    TooDeep,
    /// The span is larger than [`crate::Limits::span_bytes_max`], or has too many parts.
    TooLarge,
    /// A time does not fit 64 bits of nanoseconds.
    TimeOverflow,
    /// A field has a value of the wrong type or out of range.
    Malformed,
}

impl RejectReason {
    /// A stable snake_case word for JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TraceIdLength => "trace_id_length",
            Self::TraceIdZero => "trace_id_zero",
            Self::SpanIdLength => "span_id_length",
            Self::SpanIdZero => "span_id_zero",
            Self::ParentIdLength => "parent_id_length",
            Self::LinkIdLength => "link_id_length",
            Self::IdNotHex => "id_not_hex",
            Self::NotUtf8 => "not_utf8",
            Self::TooDeep => "too_deep",
            Self::TooLarge => "too_large",
            Self::TimeOverflow => "time_overflow",
            Self::Malformed => "malformed",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names a resource a sink was told of, within one append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceToken(pub u32);

/// Names a scope a sink was told of, within one append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeToken(pub u32);

/// Takes spans from a reader of a wire format.
pub trait SpanSink {
    /// The token of a resource announced in this append or an earlier one with the same `wire`.
    fn known_resource(&mut self, wire: [&[u8]; 2]) -> Option<ResourceToken>;

    /// The token of a scope, likewise.
    fn known_scope(&mut self, wire: [&[u8]; 2]) -> Option<ScopeToken>;

    /// Announces a resource. `wire` are bytes that are equal only for equal resources (empty: no such
    /// bytes, always decode); `decode` makes the value and is called only when they are new.
    fn resource(&mut self, wire: [&[u8]; 2], decode: &mut dyn FnMut() -> Resource) -> ResourceToken;

    /// Announces a scope, as [`SpanSink::resource`].
    fn scope(&mut self, wire: [&[u8]; 2], decode: &mut dyn FnMut() -> Scope) -> ScopeToken;

    /// Takes one well-formed span.
    fn span(&mut self, resource: ResourceToken, scope: ScopeToken, span: &SpanRef<'_>);

    /// Counts one span that is refused.
    fn reject(&mut self, reason: RejectReason);
}

impl<'a, T: From<&'a str>> From<&'a Value> for ValueRef<'a, T> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Empty => ValueRef::Empty,
            Value::String(v) => ValueRef::String(T::from(v)),
            Value::Bool(v) => ValueRef::Bool(*v),
            Value::Int(v) => ValueRef::Int(*v),
            Value::Double(v) => ValueRef::Double(*v),
            Value::Bytes(v) => ValueRef::Bytes(v),
            Value::Array(_) | Value::KeyValueList(_) => ValueRef::Composite(Cow::Borrowed(value)),
        }
    }
}

/// Hands owned spans to a sink, in order.
pub fn deliver<'s>(spans: impl IntoIterator<Item = &'s Span>, sink: &mut dyn SpanSink) {
    for span in spans {
        let resource = sink.resource([&[], &[]], &mut || (*span.resource).clone());
        let scope = sink.scope([&[], &[]], &mut || (*span.scope).clone());
        deliver_one(span, resource, scope, sink);
    }
}

fn deliver_one(span: &Span, resource: ResourceToken, scope: ScopeToken, sink: &mut dyn SpanSink) {
    let mut attributes: Vec<AttributeRef<'_>> = Vec::with_capacity(span.attributes.len());
    push_all(&mut attributes, &span.attributes);
    let mut events = Vec::with_capacity(span.events.len());
    for event in &span.events {
        events.push(EventRef {
            time_unix_nano: event.time_unix_nano,
            name: Text::from(&*event.name),
            attributes: push_all(&mut attributes, &event.attributes),
            dropped_attributes_count: event.dropped_attributes_count,
        });
    }
    let mut links = Vec::with_capacity(span.links.len());
    for link in &span.links {
        links.push(LinkRef {
            trace_id: link.trace_id,
            span_id: link.span_id,
            trace_state: &link.trace_state,
            attributes: push_all(&mut attributes, &link.attributes),
            dropped_attributes_count: link.dropped_attributes_count,
            flags: link.flags,
        });
    }
    let zipkin = match &span.origin {
        Origin::Otlp => None,
        Origin::Zipkin { remote_endpoint, debug, shared } => Some((remote_endpoint.as_ref(), *debug, *shared)),
    };
    let view = SpanRef {
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent_span_id: span.parent_span_id,
        trace_state: &span.trace_state,
        flags: span.flags,
        name: Text::from(&*span.name),
        kind: span.kind,
        start_unix_nano: span.start_unix_nano,
        end_unix_nano: span.end_unix_nano,
        attributes: &attributes,
        span_attributes_count: span.attributes.len(),
        dropped_attributes_count: span.dropped_attributes_count,
        events: &events,
        dropped_events_count: span.dropped_events_count,
        links: &links,
        dropped_links_count: span.dropped_links_count,
        status: span.status.as_ref().map(|s| (s.code, s.message.as_str())),
        zipkin,
    };
    sink.span(resource, scope, &view);
}

fn push_all<'a>(out: &mut Vec<AttributeRef<'a>>, list: &'a [super::KeyValue]) -> Range<usize> {
    let first = out.len();
    out.extend(list.iter().map(|a| AttributeRef { key: Text::from(&*a.key), value: ValueRef::from(&a.value) }));
    first..out.len()
}
