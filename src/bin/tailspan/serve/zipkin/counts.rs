//! What came in at this door, as Zipkin's server counts it: `GET /metrics` and `GET /prometheus`.
//!
//! ```text
//! counter.zipkin_collector.{messages,messages_dropped,bytes,spans,spans_dropped}.{http,grpc}
//! gauge.zipkin_collector.{message_spans,message_bytes}.{http,grpc}     of the last message
//! ```

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use metrics::{counter, gauge, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Map, Value};
use tailspan::Appended;

use super::super::refusal::Refusal;

/// Names of the counters, in the order of [`OfOne`]; a gauge is what the last message had.
const COUNTERS: [&str; 5] = ["messages", "messages_dropped", "bytes", "spans", "spans_dropped"];
const GAUGES: [&str; 2] = ["message_spans", "message_bytes"];

/// How a message came.
#[derive(Clone, Copy, Debug)]
pub enum Transport {
    Http,
    Grpc,
}

/// What came by each transport.
#[derive(Debug, Default)]
pub struct Counts {
    http: OfOne,
    grpc: OfOne,
}

#[derive(Debug, Default)]
struct OfOne {
    counters: [AtomicU64; 5],
    gauges: [AtomicU64; 2],
}

impl Counts {
    /// Counts a message of so many bytes and what became of it.
    pub fn message(&self, transport: Transport, bytes: usize, outcome: &Result<Appended, Refusal>) {
        let one = match transport {
            Transport::Http => &self.http,
            Transport::Grpc => &self.grpc,
        };
        let (dropped, spans, spans_dropped) = match outcome {
            Ok(appended) => (0, appended.total(), appended.rejected_count()),
            Err(_) => (1, 0, 0),
        };
        for (counter, more) in one.counters.iter().zip([1, dropped, bytes as u64, spans, spans_dropped]) {
            counter.fetch_add(more, Relaxed);
        }
        for (gauge, last) in one.gauges.iter().zip([spans, bytes as u64]) {
            gauge.store(last, Relaxed);
        }
    }

    fn transports(&self) -> [(&'static str, &OfOne); 2] {
        [("http", &self.http), ("grpc", &self.grpc)]
    }

    /// One JSON object, a number for each name.
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        for (transport, one) in self.transports() {
            for (name, counter) in COUNTERS.iter().zip(&one.counters) {
                object.insert(format!("counter.zipkin_collector.{name}.{transport}"), counter.load(Relaxed).into());
            }
            for (name, gauge) in GAUGES.iter().zip(&one.gauges) {
                let last = gauge.load(Relaxed) as f64;
                object.insert(format!("gauge.zipkin_collector.{name}.{transport}"), last.into());
            }
        }
        object.into()
    }

    /// Prometheus' text: `zipkin_collector_spans_total{transport="http"} 3`.
    pub fn prometheus(&self) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || {
            for (transport, one) in self.transports() {
                for (name, count) in COUNTERS.iter().zip(&one.counters) {
                    let name = format!("zipkin_collector_{name}_total");
                    counter!(name, "transport" => transport).absolute(count.load(Relaxed));
                }
                for (name, last) in GAUGES.iter().zip(&one.gauges) {
                    let name = format!("zipkin_collector_{name}");
                    gauge!(name, "transport" => transport).set(last.load(Relaxed) as f64);
                }
            }
        });
        recorder.handle().render()
    }
}
