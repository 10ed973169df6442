//! Spans of one trace, put together call by call.
//!
//! A scenario opens a call, does what happens inside it, and closes it: times only move forward, so a
//! parent always covers its children unless the scenario wants otherwise.

use std::sync::Arc;

use tailspan::{
    Event, KeyValue, Link, Origin, Resource, Scope, Span, SpanId, SpanKind, Status, StatusCode, TraceId, Value,
};

use super::random::Random;

/// A span under construction, by its position in the trace.
#[derive(Clone, Copy, Debug)]
pub struct Call(usize);

/// The spans of a trace, and of traces it sets off.
pub struct TraceBuilder<'r> {
    /// The source of everything that varies.
    pub random: &'r mut Random,
    trace_id: TraceId,
    spans: Vec<Span>,
}

impl<'r> TraceBuilder<'r> {
    /// An empty trace with an id of its own.
    pub fn new(random: &'r mut Random) -> Self {
        let trace_id = trace_id(random);
        Self { random, trace_id, spans: Vec::new() }
    }

    /// From now on, spans belong to a new trace.
    pub fn begin_another_trace(&mut self) {
        self.trace_id = trace_id(self.random);
    }

    /// The finished spans.
    pub fn into_spans(self) -> Vec<Span> {
        self.spans
    }

    /// Begins a call inside another one, or a root.
    pub fn open(&mut self, parent: Option<Call>, service: &str, name: &str, kind: SpanKind, start: u64) -> Call {
        let instance = self.trace_id.low() % 2;
        let parent_span_id = parent.map(|call| self.span(call).span_id);
        self.spans.push(Span {
            resource: resource(service, instance),
            scope: scope(kind),
            trace_id: self.trace_id,
            span_id: SpanId::from_u64(self.random.next() | 1).expect("the lowest bit is set"),
            parent_span_id,
            trace_state: String::new(),
            flags: 1,
            name: name.to_owned(),
            kind,
            start_unix_nano: start,
            end_unix_nano: start,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: Vec::new(),
            dropped_events_count: 0,
            links: Vec::new(),
            dropped_links_count: 0,
            status: None,
            origin: Origin::Otlp,
        });
        Call(self.spans.len() - 1)
    }

    /// A call without anything inside: opened, and closed after `duration`. Returns it and its end.
    pub fn step(
        &mut self,
        parent: Call,
        service: &str,
        name: &str,
        kind: SpanKind,
        start: u64,
        duration: u64,
    ) -> (Call, u64) {
        let call = self.open(Some(parent), service, name, kind, start);
        self.close(call, start + duration);
        (call, start + duration)
    }

    /// A request from one service to another: the caller's CLIENT span and the callee's SERVER span, which
    /// begins 200 to 900 µs later. Both are still open.
    pub fn request(&mut self, parent: Call, callee: &str, route: &str, start: u64) -> (Call, Call, u64) {
        let caller = self.service(parent);
        let (method, path) = route.split_once(' ').unwrap_or(("GET", route));
        let client = self.open(Some(parent), &caller, method, SpanKind::CLIENT, start);
        self.set(client, "http.request.method", method);
        self.set(client, "server.address", format!("{callee}.shop.svc"));
        self.set(client, "service.peer.name", callee);
        let arrival = start + self.random.between(200, 900) * super::MICRO;
        let server = self.open(Some(client), callee, route, SpanKind::SERVER, arrival);
        self.set(server, "http.request.method", method);
        self.set(server, "http.route", path);
        (client, server, arrival)
    }

    /// Ends a request with this answer and returns when the caller has it.
    pub fn respond(&mut self, (client, server): (Call, Call), status: i64, end: u64) -> u64 {
        let received = end + self.random.between(100, 600) * super::MICRO;
        for (call, at) in [(server, end), (client, received)] {
            self.set(call, "http.response.status_code", status);
            self.close(call, at);
            if status >= 500 {
                self.fail(call, "");
            }
        }
        received
    }

    /// Ends a call.
    pub fn close(&mut self, call: Call, end: u64) {
        self.span_mut(call).end_unix_nano = end;
    }

    /// Gives a call an attribute.
    pub fn set(&mut self, call: Call, key: &str, value: impl Into<Value>) {
        self.span_mut(call).attributes.push(KeyValue::new(key, value));
    }

    /// Marks a call as failed. An earlier message stays.
    pub fn fail(&mut self, call: Call, message: &str) {
        let message = message.to_owned();
        self.span_mut(call).status.get_or_insert(Status { code: StatusCode::ERROR, message });
    }

    /// Marks a call as failed and records the exception that did it.
    pub fn throw(&mut self, call: Call, at: u64, exception: &str, message: &str) {
        let stack = format!(
            "{exception}: {message}\n\tat shop.payment.BankClient.charge(BankClient.java:118)\n\
             \tat shop.payment.ChannelRouter.route(ChannelRouter.java:64)\n\
             \tat shop.payment.ChargeHandler.handle(ChargeHandler.java:41)"
        );
        self.event(
            call,
            at,
            "exception",
            vec![
                KeyValue::new("exception.type", exception),
                KeyValue::new("exception.message", message),
                KeyValue::new("exception.stacktrace", stack),
            ],
        );
        self.fail(call, message);
    }

    /// Records something that happened during a call.
    pub fn event(&mut self, call: Call, at: u64, name: &str, attributes: Vec<KeyValue>) {
        let event = Event { time_unix_nano: at, name: name.to_owned(), attributes, dropped_attributes_count: 0 };
        self.span_mut(call).events.push(event);
    }

    /// Points from one call to another, possibly of another trace.
    pub fn link(&mut self, from: Call, to: Call) {
        let (trace_id, span_id) = (self.span(to).trace_id.to_bytes(), self.span(to).span_id.to_bytes());
        let link = Link { trace_id: Some(trace_id), span_id: Some(span_id), flags: 1, ..Link::default() };
        self.span_mut(from).links.push(link);
    }

    /// The service of a call.
    pub fn service(&self, call: Call) -> String {
        self.span(call).service().unwrap_or_default().to_owned()
    }

    /// The span of a call.
    pub fn span(&self, call: Call) -> &Span {
        &self.spans[call.0]
    }

    /// The span of a call, to change what has no method of its own.
    pub fn span_mut(&mut self, call: Call) -> &mut Span {
        &mut self.spans[call.0]
    }

    /// An id such as `ord-3f2a91`, of `digits` hexadecimal digits.
    pub fn id(&mut self, prefix: &str, digits: usize) -> String {
        let number = format!("{:016x}", self.random.next());
        format!("{prefix}-{}", &number[..digits.min(16)])
    }
}

fn trace_id(random: &mut Random) -> TraceId {
    TraceId::from_halves(random.next(), random.next() | 1).expect("the lowest bit is set")
}

fn resource(service: &str, instance: u64) -> Arc<Resource> {
    let language = if service == "web" { "nodejs" } else { "java" };
    let attributes = vec![
        KeyValue::new("service.name", service),
        KeyValue::new("service.version", if instance == 0 { "2.4.1" } else { "2.5.0" }),
        KeyValue::new("service.instance.id", format!("{service}-{instance}")),
        KeyValue::new("deployment.environment.name", "production"),
        KeyValue::new("telemetry.sdk.language", language),
    ];
    let schema_url = "https://opentelemetry.io/schemas/1.34.0".to_owned();
    Arc::new(Resource { present: true, attributes, schema_url, ..Resource::default() })
}

fn scope(kind: SpanKind) -> Arc<Scope> {
    let name = match kind {
        SpanKind::SERVER | SpanKind::CLIENT => "io.opentelemetry.http",
        SpanKind::PRODUCER | SpanKind::CONSUMER => "io.opentelemetry.kafka",
        _ => "shop.manual",
    };
    Arc::new(Scope { present: true, name: name.to_owned(), version: "2.10.0".to_owned(), ..Scope::default() })
}
