//! Records to spans: pieces of one span become one, and a server that shares its client's id is told so.
//!
//! ```text
//! records, by id      7 client web | 7 (no kind) web | 7 server app
//! spans               7 client web                   | 7 server app, shared
//! ```
//! Zipkin's `Trace.merge`: records are sorted by id, those not shared before those shared, clients first, then by
//! endpoint. Neighbours of one id that agree on being shared and whose endpoints do not contradict each other are
//! one span: the first says it, later ones fill in. Where Zipkin goes by the order of arrival, which no store
//! keeps, what the records say decides: the earliest first.

use std::cmp::Ordering;

use crate::model::SpanKind;

use super::names::LinkNames;
use super::span::LinkSpan;

/// Sorts the records of a trace by id and merges those of one span.
pub fn merge(spans: &mut Vec<LinkSpan>, names: &mut LinkNames) {
    for span in spans.iter_mut() {
        tidy(span);
    }
    spans.sort_unstable_by(|a, b| a.span_id.cmp(&b.span_id).then_with(|| order(a, b, names)));
    if spans.windows(2).all(|pair| pair[0].span_id != pair[1].span_id) {
        return;
    }
    let (mut kept, mut next): (usize, usize) = (0, 0);
    while next < spans.len() {
        let first = spans[next];
        let mut span = first;
        next += 1;
        while let Some(other) = spans.get(next).filter(|other| other.span_id == first.span_id) {
            let Some(endpoint) = (other.shared == first.shared).then(|| names.join(span.endpoint, other.endpoint))
            else {
                break;
            };
            let Some(endpoint) = endpoint else { break };
            span.fill_in(other);
            span.endpoint = endpoint;
            next += 1;
        }
        let before = kept.checked_sub(1).map(|before| spans[before]);
        if let Some(before) = before.filter(|before| before.span_id == first.span_id) {
            // Some servers share the client's id and do not say so.
            span.shared |= before.kind == SpanKind::CLIENT && first.kind == SpanKind::SERVER;
            if span.shared && first.parent == 0 && before.parent != 0 {
                span.parent = before.parent;
            }
        }
        tidy(&mut span);
        spans[kept] = span;
        kept += 1;
    }
    spans.truncate(kept);
}

/// No span is its own parent, and no client shares what is its own.
fn tidy(span: &mut LinkSpan) {
    if span.parent == span.span_id {
        span.parent = 0;
    }
    span.shared &= span.kind != SpanKind::CLIENT;
}

/// The order of records of one id.
fn order(a: &LinkSpan, b: &LinkSpan, names: &LinkNames) -> Ordering {
    let rank = |span: &LinkSpan| (span.shared, !span.shared && span.kind != SpanKind::CLIENT);
    let rest = |span: &LinkSpan| (span.start_key(), names.port(span.endpoint), span.duration, span.parent);
    let more = |span: &LinkSpan| (span.kind, span.error, span.trace_high);
    rank(a)
        .cmp(&rank(b))
        .then_with(|| names.compare(a.endpoint, b.endpoint))
        .then_with(|| rest(a).cmp(&rest(b)))
        .then_with(|| names.text(a.remote).cmp(names.text(b.remote)))
        .then_with(|| more(a).cmp(&more(b)))
}
