//! A workload of chains of calls between a few services, ten spans a trace, as OTLP messages.

use std::ops::Range;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1 as pb;

use super::workload::{self, BEGIN, Dice, attribute, text, trace_id};

/// Spans of each trace.
pub const SPANS_A_TRACE: u64 = 10;
/// Services that call each other.
pub const SERVICES: [&str; 6] = ["frontend", "checkout", "payment", "bank-adapter", "inventory", "email"];

fn span(trace: u64, index: u64, dice: &mut Dice) -> pb::Span {
    let start = BEGIN + trace * 700_000 + index * 40_000;
    let failed = dice.next().is_multiple_of(150);
    pb::Span {
        trace_id: trace_id(trace).to_vec(),
        span_id: (dice.next() | 1).to_be_bytes().to_vec(),
        name: format!("operation-{}", dice.next() % 40),
        kind: (2 + index % 2) as i32,
        flags: 1,
        start_time_unix_nano: start,
        end_time_unix_nano: start + dice.duration(),
        status: Some(pb::Status { message: String::new(), code: if failed { 2 } else { 0 } }),
        attributes: vec![
            text("http.request.method", if dice.next().is_multiple_of(4) { "POST" } else { "GET" }),
            text("url.path", format!("/api/orders/{}", dice.next() % 50_000)),
            attribute("http.response.status_code", Value::IntValue(if failed { 500 } else { 200 })),
            text("app.user.id", format!("u-{:06}", trace * 7919 % 200_000)),
            text("network.peer.address", format!("10.2.{}.{}", dice.next() % 16, dice.next() % 250)),
            attribute("network.peer.port", Value::IntValue(32_768 + (dice.next() % 28_000) as i64)),
        ],
        ..Default::default()
    }
}

/// The traces of these numbers as OTLP messages of 1,000 spans: chains of calls between services.
pub fn messages(traces: Range<u64>) -> Vec<Vec<u8>> {
    workload::messages(&SERVICES.map(str::to_owned), traces, |trace, dice| {
        let mut parent = Vec::new();
        let call = |index: u64| {
            let mut span = span(trace, index, dice);
            span.parent_span_id = std::mem::replace(&mut parent, span.span_id.clone());
            ((dice.next() % SERVICES.len() as u64) as usize, span)
        };
        (0..SPANS_A_TRACE).map(call).collect()
    })
}
