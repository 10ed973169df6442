//! Finding traces by looking at every span of every trace.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use tailspan::{Order, Span, SpanId, TraceId};

use super::ask::Ask;
use super::matching::{extent, matching, roots, within};
use super::meaning::{service, start, status};

/// Matching span ids that a summary lists.
const MATCHED_IDS_MAX: usize = 100;

/// What a search must tell of a trace.
#[derive(Clone, Debug)]
pub struct Answer {
    pub trace_id: TraceId,
    /// Service and name of every span that the rule for roots leaves to choose from; mostly one.
    pub roots: BTreeSet<(Option<String>, Option<String>)>,
    pub start: u64,
    pub duration: u64,
    pub span_count: u64,
    pub error_count: u64,
    pub services: BTreeMap<String, u64>,
    pub matched_count: u64,
    pub matched_ids: Vec<SpanId>,
}

/// The traces that answer, in order. The spans must be distinct.
pub fn search(spans: &[Span], ask: &Ask) -> Vec<Answer> {
    let mut traces: BTreeMap<u128, Vec<&Span>> = BTreeMap::new();
    for span in spans {
        let key = if ask.lenient { span.trace_id.low().into() } else { u128::from_be_bytes(span.trace_id.to_bytes()) };
        traces.entry(key).or_default().push(span);
    }
    let mut answers: Vec<Answer> = traces.values().filter_map(|trace| answer(trace, ask)).collect();
    answers.sort_by_key(|a| match ask.order {
        Order::Newest => (Reverse(a.start), Reverse(0), a.trace_id),
        Order::Slowest => (Reverse(a.duration), Reverse(a.start), a.trace_id),
    });
    answers
}

fn answer(trace: &[&Span], ask: &Ask) -> Option<Answer> {
    let (earliest, latest) = extent(trace)?;
    if !within(latest - earliest, ask.trace_duration) {
        return None;
    }
    let mut matched = matching(trace, ask);
    if matched.is_empty() {
        return None;
    }
    matched.sort_by_key(|span| (start(span), span.span_id));
    let mut services = BTreeMap::new();
    for name in trace.iter().filter_map(|span| service(span)) {
        *services.entry(name.to_owned()).or_default() += 1;
    }
    Some(Answer {
        trace_id: name_of(trace),
        roots: roots(trace),
        start: earliest,
        duration: latest - earliest,
        span_count: trace.len() as u64,
        error_count: trace.iter().filter(|span| status(span) == 2).count() as u64,
        services,
        matched_count: matched.len() as u64,
        matched_ids: matched.iter().take(MATCHED_IDS_MAX).map(|span| span.span_id).collect(),
    })
}

/// Of ids joined by their low half, a long one names the trace, and of several the smallest.
fn name_of(trace: &[&Span]) -> TraceId {
    let ids: BTreeSet<TraceId> = trace.iter().map(|span| span.trace_id).collect();
    *ids.iter().find(|id| id.high() != 0).or(ids.first()).unwrap()
}
