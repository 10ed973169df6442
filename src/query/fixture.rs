//! Short ways to make spans for the tests of this layer.

use std::sync::Arc;

use crate::model::{
    Event, KeyValue, Origin, Resource, Scope, Span, SpanId, SpanKind, Status, StatusCode, TraceId, UnixNanos, Value,
};

/// An OTLP span with these ids and nothing else.
pub fn span(trace_id: u64, span_id: u64) -> Span {
    Span {
        resource: Arc::new(Resource::default()),
        scope: Arc::new(Scope::default()),
        trace_id: TraceId::from_halves(0, trace_id).unwrap(),
        span_id: SpanId::from_u64(span_id).unwrap(),
        parent_span_id: None,
        trace_state: String::new(),
        flags: 0,
        name: String::new(),
        kind: SpanKind::UNSPECIFIED,
        start_unix_nano: 0,
        end_unix_nano: 0,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: Vec::new(),
        dropped_events_count: 0,
        links: Vec::new(),
        dropped_links_count: 0,
        status: None,
        origin: Origin::Otlp,
    }
}

/// An event of this name.
pub fn event(name: &str) -> Event {
    Event { name: name.to_owned(), ..Event::default() }
}

impl Span {
    /// With this service.
    pub fn service_named(self, service: &str) -> Self {
        self.resource("service.name", service)
    }

    /// With one more resource attribute.
    pub fn resource(mut self, key: &str, value: impl Into<Value>) -> Self {
        Arc::make_mut(&mut self.resource).attributes.push(KeyValue::new(key, value));
        self
    }

    /// With this name.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// With this start and end.
    pub fn at(mut self, start: UnixNanos, end: UnixNanos) -> Self {
        (self.start_unix_nano, self.end_unix_nano) = (start, end);
        self
    }

    /// With this parent.
    pub fn child_of(mut self, parent: u64) -> Self {
        self.parent_span_id = SpanId::from_u64(parent);
        self
    }

    /// With one more span attribute.
    pub fn tag(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }

    /// With this outcome.
    pub fn status(mut self, code: StatusCode) -> Self {
        self.status = Some(Status { code, message: String::new() });
        self
    }

    /// As Zipkin's half of a shared span id.
    pub fn shared(mut self) -> Self {
        self.origin = Origin::Zipkin { remote_endpoint: None, debug: false, shared: true };
        self
    }
}
