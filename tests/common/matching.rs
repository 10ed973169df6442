//! Which spans of a trace match, by asking every criterion of every span; what a trace's extent and root are.

use std::collections::BTreeSet;

use tailspan::{QueryScope, Span, SpanId};

use super::ask::{Ask, Bounds};
use super::meaning::{duration, is_shared, kind, remote_service, service, start, status};
use super::tags::{annotation_terms, meets_annotation, meets_tag};

/// First start and last end, of the spans that have a start.
pub fn extent(spans: &[&Span]) -> Option<(u64, u64)> {
    let end = |span: &Span| Some(start(span)? + duration(span).unwrap_or(0));
    let last = spans.iter().filter_map(|span| end(span)).max()?;
    Some((spans.iter().filter_map(|span| start(span)).min()?, last))
}

/// True if the bounds hold.
pub fn within(nanos: u64, (min, max): Bounds) -> bool {
    min.unwrap_or(0) <= nanos && nanos <= max.unwrap_or(u64::MAX)
}

/// Service and name of every span that the rule for roots leaves to choose from.
pub fn roots(trace: &[&Span]) -> BTreeSet<(Option<String>, Option<String>)> {
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

/// The spans of the trace that match, if it does.
pub fn matching<'s>(trace: &[&'s Span], ask: &Ask) -> Vec<&'s Span> {
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
