//! Spans of a small shop, seeded: the same number of them is always the same spans.
//!
//! A trace is a tree of calls. Each call is a client span, and below it a server span of the service that was called;
//! servers work in internal spans. Traces have a user, those that buy something an order.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind};
use prost::Message;

const SERVICES: [&str; 12] = [
    "frontend",
    "cart",
    "checkout",
    "payment",
    "bank",
    "inventory",
    "catalog",
    "search",
    "email",
    "shipping",
    "tax",
    "user",
];
const OPERATIONS_A_SERVICE: u64 = 8;
const SPANS_A_MESSAGE: usize = 1_000;
const BEGIN: u64 = 1_767_225_600_000_000_000;
/// All traces start within this time.
const NANOS: u64 = 4 * 3_600_000_000_000;
const DEPTH_MAX: u64 = 4;
const SPANS_A_TRACE: u64 = 32;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// The trace that is being made.
struct Trace {
    id: [u8; 16],
    user: String,
    order: Option<String>,
    spans: Vec<(usize, Span)>,
}

impl Trace {
    fn span(&mut self, service: usize, kind: SpanKind, parent: &[u8], times: (u64, u64), dice: &mut Dice) -> Vec<u8> {
        let id = (dice.next() | 1).to_be_bytes().to_vec();
        let failed = dice.one_in(120);
        let operation = dice.below(OPERATIONS_A_SERVICE).min(dice.below(OPERATIONS_A_SERVICE));
        let mut attributes = vec![
            text("http.request.method", if dice.one_in(4) { "POST" } else { "GET" }),
            text("url.path", format!("/api/{}/{}", SERVICES[service], dice.below(50_000))),
            number("http.response.status_code", if failed { 500 } else { 200 }),
            text("network.peer.address", format!("10.2.{}.{}", dice.below(16), dice.below(250))),
            number("network.peer.port", 32_768 + dice.below(28_000) as i64),
            number("thread.id", dice.below(64) as i64),
        ];
        if kind == SpanKind::Server {
            attributes.push(text(crate::row::USER_KEY, &*self.user));
            attributes.extend(self.order.as_deref().map(|order| text(crate::row::ORDER_KEY, order)));
        }
        let span = Span {
            trace_id: self.id.to_vec(),
            span_id: id.clone(),
            parent_span_id: parent.to_vec(),
            name: format!("{}/operation-{operation}", SERVICES[service]),
            kind: kind as i32,
            flags: 1,
            start_time_unix_nano: times.0,
            end_time_unix_nano: times.1,
            status: Some(Status { message: String::new(), code: if failed { 2 } else { 0 } }),
            attributes,
            ..Default::default()
        };
        self.spans.push((service, span));
        id
    }

    /// A server span, what it does itself, and the calls it makes.
    fn serve(&mut self, service: usize, parent: &[u8], (begin, end): (u64, u64), depth: u64, dice: &mut Dice) {
        let own = self.span(service, SpanKind::Server, parent, (begin, end), dice);
        let eighth = (end - begin) / 8;
        if dice.one_in(2) {
            self.span(service, SpanKind::Internal, &own, (begin, begin + eighth), dice);
        }
        for call in 0..if depth < DEPTH_MAX { dice.below(4) } else { 0 } {
            let callee = (service + 1 + dice.below(4) as usize) % SERVICES.len();
            let (from, to) = (begin + eighth * (1 + call), begin + eighth * (2 + call) - dice.below(1_000));
            let client = self.span(service, SpanKind::Client, &own, (from, to), dice);
            self.serve(callee, &client, (from + 1_000, to - 1_000), depth + 1, dice);
        }
    }
}

fn trace(number: u64, begin: u64, dice: &mut Dice) -> Vec<(usize, Span)> {
    let mut id = Dice(number ^ 0x7ace << 40);
    let id = (u128::from(id.next()) << 64 | u128::from(id.next())).to_be_bytes();
    let user = format!("u-{:06}", dice.below(40_000).min(dice.below(40_000)));
    let order = dice.one_in(3).then(|| format!("o-{number:09}"));
    let octave = dice.below(48).min(dice.below(48)) / 4;
    let length = 40_000_000 + (dice.below(20_000_000) << octave);
    let mut trace = Trace { id, user, order, spans: Vec::new() };
    trace.serve(0, &[], (begin, begin + length), 0, dice);
    trace.spans
}

/// At least so many spans as OTLP messages, grouped by service as a collector sends them.
pub fn messages(spans: u64) -> impl Iterator<Item = Vec<u8>> {
    let mut dice = Dice(42);
    let (mut made, mut number) = (0, 0);
    let step = NANOS / (spans / SPANS_A_TRACE).max(1);
    std::iter::from_fn(move || {
        let mut by_service: Vec<Vec<Span>> = vec![Vec::new(); SERVICES.len()];
        let mut held = 0;
        while held < SPANS_A_MESSAGE && made < spans {
            let begin = BEGIN + (number * step) % NANOS + dice.below(step);
            for (service, span) in trace(number, begin, &mut dice) {
                by_service[service].push(span);
                (held, made) = (held + 1, made + 1);
            }
            number += 1;
        }
        (held > 0).then(|| message(by_service))
    })
}

fn message(by_service: Vec<Vec<Span>>) -> Vec<u8> {
    let filled = SERVICES.iter().zip(by_service).filter(|(_, spans)| !spans.is_empty());
    let resource_spans = filled.map(|(service, spans)| resource_spans(service, spans)).collect();
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn resource_spans(service: &str, spans: Vec<Span>) -> ResourceSpans {
    let attributes = vec![text("service.name", service), text("service.version", "1.4.2")];
    let scope = InstrumentationScope { name: "shop".to_owned(), ..Default::default() };
    ResourceSpans {
        resource: Some(Resource { attributes, ..Default::default() }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }],
        ..Default::default()
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}
