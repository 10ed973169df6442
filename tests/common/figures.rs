//! The figures of CONTRACT C5 (latency, slowest, heatmap, series, compare) by sorting lists of all durations.

use std::collections::{BTreeMap, BTreeSet};

use tailspan::{KeyValue, Span, SpanId, TraceId, text_of};

use super::ask::Ask;
use super::found::matching_traces;
use super::matching::extent;
use super::meaning::{duration, kind, remote_service, service, start, status};

/// Texts of a group's keys, the stage first if there is one.
pub type Group = Vec<Option<String>>;

/// One value of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sample {
    pub duration: Option<u64>,
    pub trace: TraceId,
    pub span: Option<SpanId>,
    pub error: bool,
    pub start: u64,
}

/// What is told of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    pub count: u64,
    pub duration_count: u64,
    pub errors: u64,
    pub min: Option<u64>,
    pub mean: Option<f64>,
    pub max: Option<u64>,
    /// Value and ids of each quantile.
    pub quantiles: Vec<(u64, TraceId, Option<SpanId>)>,
}

/// The text of a key as `--by` names it.
pub fn text_on(span: &Span, key: &str) -> Option<String> {
    let kinds = ["unspecified", "internal", "server", "client", "producer", "consumer"];
    match key {
        "service" => service(span).map(str::to_owned),
        "name" => {
            if span.name.is_empty() {
                None
            } else {
                Some(span.name.clone())
            }
        }
        "remote-service" => remote_service(span).map(str::to_owned),
        "kind" => Some(kinds[kind(span) as usize].to_owned()),
        "status" => Some(["unset", "ok", "error"][status(span) as usize].to_owned()),
        _ => {
            let key = key.strip_prefix("attr:").unwrap();
            attributes(span).into_iter().find(|(k, _)| k == key).map(|(_, text)| text)
        }
    }
}

/// Keys and texts of the attributes of a span, its resource and its scope, in this order.
fn attributes(span: &Span) -> Vec<(String, String)> {
    let texts = |list: &[KeyValue]| -> Vec<(String, String)> {
        list.iter().map(|a| (a.key.clone(), text_of(&a.value).into_owned())).collect()
    };
    let mut out = texts(&span.attributes);
    out.extend(texts(&span.resource.attributes));
    out.extend(texts(&span.scope.attributes));
    for (key, text) in [("otel.scope.name", &span.scope.name), ("otel.scope.version", &span.scope.version)] {
        if !text.is_empty() {
            out.push((key.to_owned(), text.clone()));
        }
    }
    out
}

fn sample(span: &Span) -> Sample {
    Sample {
        duration: duration(span),
        trace: span.trace_id,
        span: Some(span.span_id),
        error: status(span) == 2,
        start: span.start_unix_nano,
    }
}

/// The matching spans of each group.
pub fn spans_by(spans: &[Span], ask: &Ask, by: &[&str]) -> BTreeMap<Group, Vec<Sample>> {
    let mut groups: BTreeMap<Group, Vec<Sample>> = BTreeMap::new();
    for span in matching_traces(spans, ask).into_iter().flat_map(|(_, matched)| matched) {
        groups.entry(by.iter().map(|key| text_on(span, key)).collect()).or_default().push(sample(span));
    }
    groups
}

/// Every combination of the distinct texts of the keys on the spans of a trace.
pub fn groups_of_trace(trace: &[&Span], by: &[&str]) -> Vec<Group> {
    let mut groups: Vec<Group> = vec![vec![]];
    for key in by {
        let texts: BTreeSet<String> = trace.iter().filter_map(|span| text_on(span, key)).collect();
        let texts: Vec<Option<String>> =
            if texts.is_empty() { vec![None] } else { texts.into_iter().map(Some).collect() };
        let longer = groups
            .iter()
            .flat_map(|group| texts.iter().map(|text| group.iter().cloned().chain([text.clone()]).collect::<Group>()));
        groups = longer.collect();
    }
    groups
}

/// The traces with a matching span, in each of their groups.
pub fn traces_by(spans: &[Span], ask: &Ask, by: &[&str]) -> BTreeMap<Group, Vec<Sample>> {
    let mut groups: BTreeMap<Group, Vec<Sample>> = BTreeMap::new();
    for (trace, _) in matching_traces(spans, ask) {
        let (first, last) = extent(&trace).unwrap();
        let error = trace.iter().any(|span| status(span) == 2);
        let sample = Sample { duration: Some(last - first), trace: trace[0].trace_id, span: None, error, start: first };
        groups_of_trace(&trace, by).into_iter().for_each(|group| groups.entry(group).or_default().push(sample));
    }
    groups
}

/// The stages of these names in traces with a matching span; the stage comes first in the group.
pub fn stages_by(spans: &[Span], ask: &Ask, by: &[&str], stages: &[&str]) -> BTreeMap<Group, Vec<Sample>> {
    let mut groups: BTreeMap<Group, Vec<Sample>> = BTreeMap::new();
    for (trace, _) in matching_traces(spans, ask) {
        for stage in stages {
            let own: Vec<&Span> = trace.iter().copied().filter(|span| span.name == *stage).collect();
            let Some((first, last)) = extent(&own) else { continue };
            let error = own.iter().any(|span| status(span) == 2);
            let sample =
                Sample { duration: Some(last - first), trace: own[0].trace_id, span: None, error, start: first };
            for group in groups_of_trace(&trace, by) {
                let group = [vec![Some((*stage).to_owned())], group].concat();
                groups.entry(group).or_default().push(sample);
            }
        }
    }
    groups
}

/// What is told of these samples. A quantile is its thousandths.
pub fn figure(samples: &[Sample], thousandths: &[u64]) -> Figure {
    let mut sorted: Vec<Sample> = samples.iter().copied().filter(|s| s.duration.is_some()).collect();
    sorted.sort();
    let durations: Vec<u64> = sorted.iter().filter_map(|s| s.duration).collect();
    let n = durations.len() as u64;
    let quantile = |q: &u64| {
        let rank = (q * n).div_ceil(1000).clamp(1, n);
        let value = durations[rank as usize - 1];
        // Sorted by trace and span within equal durations.
        let first = sorted.iter().find(|s| s.duration == Some(value)).unwrap();
        (value, first.trace, first.span)
    };
    let sum: u128 = durations.iter().map(|nanos| u128::from(*nanos)).sum();
    Figure {
        count: samples.len() as u64,
        duration_count: n,
        errors: samples.iter().filter(|s| s.error).count() as u64,
        min: durations.first().copied(),
        mean: if n == 0 { None } else { Some(quotient(sum, n.into())) },
        max: durations.last().copied(),
        quantiles: if n == 0 { vec![] } else { thousandths.iter().map(quantile).collect() },
    }
}

/// The quotient by long division, as the double nearest to its decimals.
fn quotient(sum: u128, count: u128) -> f64 {
    let mut text = format!("{}.", sum / count);
    let mut rest = sum % count;
    for _ in 0..40 {
        rest *= 10;
        text.push_str(&(rest / count).to_string());
        rest %= count;
    }
    text.parse().unwrap()
}

/// First and last duration of the log-linear bucket a duration lies in, found by walking over all of them.
pub fn bucket(nanos: u64) -> (u64, u128) {
    if nanos < 16 {
        return (nanos, u128::from(nanos) + 1);
    }
    for e in 0..60u32 {
        for k in 0..16u128 {
            let (low, high) = ((16 + k) << e, (17 + k) << e);
            if low <= u128::from(nanos) && u128::from(nanos) < high {
                return (low as u64, high);
            }
        }
    }
    unreachable!("buckets cover all durations")
}

/// Keys and texts, counted once a span, of the matching spans; and how many these are.
pub fn values(spans: &[Span], ask: &Ask) -> (BTreeMap<(String, String), u64>, u64) {
    let matched: Vec<&Span> = matching_traces(spans, ask).into_iter().flat_map(|(_, matched)| matched).collect();
    let mut counts = BTreeMap::new();
    for span in &matched {
        for pair in attributes(span).into_iter().collect::<BTreeSet<_>>() {
            *counts.entry(pair).or_default() += 1;
        }
    }
    (counts, matched.len() as u64)
}

/// The matching spans that have a duration, the slowest first: duration, start, ids.
pub fn slowest(spans: &[Span], ask: &Ask) -> Vec<(u64, u64, TraceId, SpanId)> {
    use std::cmp::Reverse;
    let matched = matching_traces(spans, ask).into_iter().flat_map(|(_, matched)| matched);
    let mut all: Vec<_> = matched.filter_map(|s| Some((duration(s)?, start(s)?, s.trace_id, s.span_id))).collect();
    all.sort_by_key(|(duration, start, trace, span)| (Reverse(*duration), Reverse(*start), *trace, *span));
    all
}
