//! Rate, errors and duration of every service and operation, exact and of all spans in the store, for Prometheus.
//!
//! ```text
//! tailspan_span_total{service="shop",operation="pay"} 4021
//! tailspan_span_errors_total{service="shop",operation="pay"} 7
//! tailspan_span_duration_seconds{service="shop",operation="pay",quantile="0.99"} 0.214
//! ```
//! Counts grow as spans come and shrink as retention takes them.

use metrics::{gauge, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use tailspan::{GroupKey, LatencyGroup, LatencyQuery, Quantile, Query, Snapshot};

use super::refusal::{Cause, Refusal};

/// Operations that are told of, those with most spans.
const OPERATIONS_MAX: usize = 5_000;
const QUANTILES: [&str; 3] = ["0.5", "0.99", "0.999"];

/// The figures in Prometheus' text format.
///
/// # Errors
/// Internal if the store cannot be asked.
pub fn of(snapshot: &Snapshot) -> Result<String, Refusal> {
    let internal = |error: tailspan::Error| Refusal::new(Cause::Internal, error.to_string());
    let quantiles: Result<Vec<Quantile>, _> = QUANTILES.iter().map(|text| Quantile::parse(text)).collect();
    let by = vec![GroupKey::Service, GroupKey::Name];
    let query = LatencyQuery::new(Query::new()).by(by).quantiles(quantiles.map_err(internal)?).top(OPERATIONS_MAX);
    let report = snapshot.latency(&query).map_err(internal)?;
    let recorder = PrometheusBuilder::new().build_recorder();
    with_local_recorder(&recorder, || report.groups.iter().for_each(tell));
    Ok(recorder.handle().render())
}

fn tell(group: &LatencyGroup) {
    let text = |at: usize| group.group.get(at).cloned().flatten().unwrap_or_default();
    let labels = [("service", text(0)), ("operation", text(1))];
    gauge!("tailspan_span_total", &labels).set(group.count as f64);
    gauge!("tailspan_span_errors_total", &labels).set(group.errors as f64);
    gauge!("tailspan_span_duration_seconds_count", &labels).set(group.duration_count as f64);
    let sum = group.mean_nano.unwrap_or(0.0) * group.duration_count as f64 / 1e9;
    gauge!("tailspan_span_duration_seconds_sum", &labels).set(sum);
    for exemplar in &group.quantiles {
        let [service, operation] = labels.clone();
        let labels = [service, operation, ("quantile", exemplar.quantile.to_string())];
        gauge!("tailspan_span_duration_seconds", &labels).set(exemplar.value_nano as f64 / 1e9);
    }
}
