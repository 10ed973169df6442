//! Finding traces by looking at every span of every trace.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use tailspan::{Order, QueryScope, Span, SpanId, TraceId};

use super::ask::{Ask, Bounds};
use super::meaning::{duration, is_shared, kind, remote_service, service, start, status};
use super::tags::{annotation_terms, meets_annotation, meets_tag};

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
    let earliest = trace.iter().filter_map(|span| start(span)).min()?;
    let end = |span: &Span| Some(start(span)? + duration(span).unwrap_or(0));
    let latest = trace.iter().filter_map(|span| end(span)).max()?;
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

fn within(nanos: u64, (min, max): Bounds) -> bool {
    min.unwrap_or(0) <= nanos && nanos <= max.unwrap_or(u64::MAX)
}

/// Of ids joined by their low half, a long one names the trace, and of several the smallest.
fn name_of(trace: &[&Span]) -> TraceId {
    let ids: BTreeSet<TraceId> = trace.iter().map(|span| span.trace_id).collect();
    *ids.iter().find(|id| id.high() != 0).or(ids.first()).unwrap()
}

fn roots(trace: &[&Span]) -> BTreeSet<(Option<String>, Option<String>)> {
    let ids: BTreeSet<SpanId> = trace.iter().map(|span| span.span_id).collect();
    let all = || trace.iter().copied();
    let mut choice: Vec<&Span> = all().filter(|span| span.parent_span_id.is_none()).collect();
    if choice.is_empty() {
        choice = all().filter(|span| span.parent_span_id.is_some_and(|parent| !ids.contains(&parent))).collect();
    }
    if choice.is_empty() {
        choice = all().collect();
    }
    let place = |span: &Span| (start(span).is_none(), start(span), is_shared(span), span.span_id);
    let first = choice.iter().map(|span| place(span)).min();
    choice.retain(|span| Some(place(span)) == first);
    let name = |span: &Span| if span.name.is_empty() { None } else { Some(span.name.clone()) };
    choice.into_iter().map(|span| (service(span).map(str::to_owned), name(span))).collect()
}

type Criterion<'a> = Box<dyn Fn(&Span) -> bool + 'a>;

fn matching<'s>(trace: &[&'s Span], ask: &Ask) -> Vec<&'s Span> {
    let in_window = |span: &Span| {
        start(span)
            .is_some_and(|at| ask.since.is_none_or(|since| since <= at) && ask.until.is_none_or(|until| at < until))
    };
    let mut looked_at: Vec<&Span> = trace.iter().copied().filter(|span| in_window(span)).collect();
    let mut criteria = criteria(ask);
    if let Some(wanted) = &ask.service {
        match ask.scope {
            QueryScope::Service => looked_at.retain(|span| service(span) == Some(wanted)),
            _ => criteria.push(Box::new(move |span| service(span) == Some(wanted))),
        }
    }
    if ask.scope == QueryScope::Span || criteria.is_empty() {
        looked_at.retain(|span| criteria.iter().all(|meets| meets(span)));
        return looked_at;
    }
    if criteria.iter().any(|meets| !looked_at.iter().any(|span| meets(span))) {
        return vec![];
    }
    looked_at.retain(|span| criteria.iter().any(|meets| meets(span)));
    looked_at
}

/// All conditions on a span but the service.
fn criteria(ask: &Ask) -> Vec<Criterion<'_>> {
    let mut out: Vec<Criterion<'_>> = Vec::new();
    if let Some(wanted) = &ask.name {
        out.push(Box::new(move |span| span.name == *wanted));
    }
    if let Some(wanted) = &ask.remote_service {
        out.push(Box::new(move |span| remote_service(span) == Some(wanted)));
    }
    if let Some(wanted) = ask.kind {
        out.push(Box::new(move |span| kind(span) == wanted));
    }
    if let Some(wanted) = ask.status {
        out.push(Box::new(move |span| status(span) == wanted));
    }
    if ask.error {
        out.push(Box::new(|span| status(span) == 2));
    }
    for tag in &ask.tags {
        out.push(Box::new(move |span| meets_tag(span, tag)));
    }
    for term in ask.annotations.iter().flat_map(|text| annotation_terms(text)) {
        out.push(Box::new(move |span| meets_annotation(span, &term)));
    }
    if ask.duration != (None, None) {
        out.push(Box::new(move |span| duration(span).is_some_and(|nanos| within(nanos, ask.duration))));
    }
    out
}
