//! What the workloads of the benches share: seeded dice, OTLP messages grouped by service.

use std::ops::Range;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as pb;
use prost::Message;

const TRACES_A_MESSAGE: u64 = 100;
/// When the first trace starts.
pub const BEGIN: u64 = 1_767_225_600_000_000_000;

/// SplitMix64: small, seeded, good enough to spread values.
pub struct Dice(pub u64);

impl Dice {
    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Nanoseconds with a long tail.
    pub fn duration(&mut self) -> u64 {
        let octave = (self.next() % 64).min(self.next() % 64) / 4;
        50_000 + ((self.next() % 100_000) << octave)
    }
}

/// An attribute.
pub fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

/// An attribute with a text.
pub fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

/// The id of the trace of this number.
pub fn trace_id(trace: u64) -> [u8; 16] {
    let mut dice = Dice(trace);
    (u128::from(dice.next()) << 64 | u128::from(dice.next())).to_be_bytes()
}

/// The traces of these numbers as OTLP messages of a hundred traces each, grouped by resource. `spans_of` makes the spans of a
/// trace, each with the index of its service.
pub fn messages(
    services: &[String],
    traces: Range<u64>,
    mut spans_of: impl FnMut(u64, &mut Dice) -> Vec<(usize, pb::Span)>,
) -> Vec<Vec<u8>> {
    let mut dice = Dice(42 ^ traces.start << 8);
    let mut out = Vec::new();
    for first in traces.clone().step_by(TRACES_A_MESSAGE as usize) {
        let mut request =
            ExportTraceServiceRequest { resource_spans: services.iter().map(|name| resource_spans(name)).collect() };
        for trace in first..(first + TRACES_A_MESSAGE).min(traces.end) {
            for (service, span) in spans_of(trace, &mut dice) {
                request.resource_spans[service].scope_spans[0].spans.push(span);
            }
        }
        out.push(request.encode_to_vec());
    }
    out
}

fn resource_spans(service: &str) -> pb::ResourceSpans {
    let attributes = vec![text("service.name", service), text("service.version", "1.4.2")];
    let scope = InstrumentationScope { name: "bench".to_owned(), ..Default::default() };
    pb::ResourceSpans {
        resource: Some(Resource { attributes, ..Default::default() }),
        scope_spans: vec![pb::ScopeSpans { scope: Some(scope), ..Default::default() }],
        ..Default::default()
    }
}
