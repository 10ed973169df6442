//! What the collector counts about itself, for Prometheus: `GET /metrics` at the door `page`. What it knows of the spans is
//! at `/metrics/spans`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::routing::get;
use metrics::{counter, describe_counter, describe_histogram, gauge, histogram, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use tailspan::{Appended, Store};
use tracing::{debug, error};

use super::intake::Wire;
use super::refusal::Refusal;
use super::spans_metrics;
use super::zipkin::Api;

const ACCEPTED: &str = "tailspan_spans_accepted_total";
const DUPLICATES: &str = "tailspan_spans_duplicate_total";
const REJECTED: &str = "tailspan_spans_rejected_total";
const REFUSED: &str = "tailspan_appends_refused_total";
const BYTES: &str = "tailspan_received_bytes_total";
const APPEND: &str = "tailspan_append_seconds";
const QUERY: &str = "tailspan_query_seconds";
/// Prometheus' text format.
pub const PROMETHEUS_TEXT: [(HeaderName, &str); 1] =
    [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
/// Upper ends of the classes of times, in seconds.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// Starts to count, and names the paths that tell.
pub fn router(api: Arc<Api>) -> anyhow::Result<Router> {
    let builder = PrometheusBuilder::new().set_buckets(&SECONDS).context("classes of times")?;
    let handle = builder.install_recorder().context("cannot count")?;
    describe_counter!(ACCEPTED, "Spans that are stored");
    describe_counter!(DUPLICATES, "Spans that were stored already");
    describe_counter!(REJECTED, "Spans that cannot be stored, by reason");
    describe_counter!(REFUSED, "Messages that were refused whole, by cause");
    describe_counter!(BYTES, "Bytes of messages, unpacked, by format");
    describe_histogram!(APPEND, "Time from a whole message to its acknowledgement");
    describe_histogram!(QUERY, "Time of queries, with that waited for others");
    // There from the first moment, so that a rate can be taken of them.
    counter!(ACCEPTED).absolute(0);
    counter!(DUPLICATES).absolute(0);
    let own = async move |State(api): State<Arc<Api>>| {
        let store = api.ask(|api, _, _| Ok(of_store(&api.store))).await?;
        handle.run_upkeep();
        Ok::<_, Refusal>((PROMETHEUS_TEXT, handle.render() + &store))
    };
    let spans = async |State(api): State<Arc<Api>>| {
        let spans = api.ask(|_, snapshot, _| spans_metrics::of(snapshot)).await?;
        Ok::<_, Refusal>((PROMETHEUS_TEXT, spans))
    };
    Ok(Router::new().route("/metrics", get(own)).route("/metrics/spans", get(spans)).with_state(api))
}

/// What the store says of itself at this moment.
fn of_store(store: &Store) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    with_local_recorder(&recorder, || {
        let (work, set) = (store.work(), |name: &'static str, value: f64| gauge!(name).set(value));
        set("tailspan_sync_wait_seconds_total", work.waiting_for_sync.as_secs_f64());
        set("tailspan_room_wait_seconds_total", work.waiting_for_room.as_secs_f64());
        set("tailspan_appending_seconds_total", work.appending.as_secs_f64());
        set("tailspan_sealing_seconds_total", work.sealing.as_secs_f64());
        set("tailspan_merging_seconds_total", work.merging.as_secs_f64());
        set("tailspan_log_bytes_total", work.log_bytes as f64);
        set("tailspan_sealed_bytes_total", work.sealed_bytes as f64);
        set("tailspan_merged_bytes_total", work.merged_bytes as f64);
        if let Ok(stats) = store.stats() {
            set("tailspan_head_bytes", stats.head_bytes as f64);
            set("tailspan_log_bytes", stats.log_bytes as f64);
            set("tailspan_disk_bytes", stats.bytes_on_disk as f64);
            set("tailspan_segments", stats.segments as f64);
            set("tailspan_spans", stats.spans as f64);
            set("tailspan_problems", stats.problems.len() as f64);
        }
    });
    recorder.handle().render()
}

/// Counts a message and what became of it.
pub fn appended(wire: Wire, bytes: usize, time: Duration, outcome: &Result<Appended, Refusal>) {
    let format = match wire {
        Wire::Otlp => "otlp",
        Wire::OtlpJson => "otlp-json",
        Wire::ZipkinJson => "zipkin-json",
        Wire::ZipkinProto => "zipkin-proto",
        Wire::ZipkinV1Json => "zipkin-v1-json",
        Wire::ZipkinThrift => "zipkin-v1-thrift",
    };
    counter!(BYTES, "format" => format).increment(bytes as u64);
    histogram!(APPEND).record(time);
    match outcome {
        Ok(appended) => {
            counter!(ACCEPTED).increment(appended.accepted);
            counter!(DUPLICATES).increment(appended.duplicates);
            for (reason, count) in &appended.rejected {
                counter!(REJECTED, "reason" => reason.to_string()).increment(*count);
            }
        }
        Err(refusal) if refusal.http_status().is_server_error() => {
            error!(format, bytes, cause = ?refusal.cause, "{}", refusal.message);
            counter!(REFUSED, "cause" => format!("{:?}", refusal.cause)).increment(1);
        }
        Err(refusal) => {
            debug!(format, bytes, cause = ?refusal.cause, "{}", refusal.message);
            counter!(REFUSED, "cause" => format!("{:?}", refusal.cause)).increment(1);
        }
    }
}

/// Counts a query that took so long.
pub fn asked(time: Duration) {
    histogram!(QUERY).record(time);
}
