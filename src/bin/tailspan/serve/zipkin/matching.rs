//! Does a trace match? The rule of Zipkin's reference store.
//!
//! Only spans of the service asked for are looked at, all of them if none is. Each criterion is met by any of these, not
//! necessarily the same; a shortest and a longest duration are one criterion. Names are compared in lower case.

use tailspan::Span;

use super::request::TraceRequest;

const NANOS_PER_MICRO: u64 = 1_000;

/// True if the reference store would return the trace with these spans.
pub fn matches(request: &TraceRequest, spans: &[Span]) -> bool {
    trace_micros(spans).is_some_and(|micros| request.when.contains(micros)) && meets_criteria(request, spans)
}

/// The time of a trace: that of its first span that has one and no parent, else its earliest.
fn trace_micros(spans: &[Span]) -> Option<u64> {
    let micros = |span: &Span| span.start().map(|start| start / NANOS_PER_MICRO);
    let root = spans.iter().filter(|span| span.parent_span_id.is_none()).find_map(micros);
    root.or_else(|| spans.iter().filter_map(micros).min())
}

fn meets_criteria(request: &TraceRequest, spans: &[Span]) -> bool {
    let is = |wanted: &str, own: Option<&str>| own.is_some_and(|own| own.to_lowercase() == wanted);
    let of_service = |span: &&Span| request.service.as_deref().is_none_or(|wanted| is(wanted, span.service()));
    let looked_at: Vec<&Span> = spans.iter().filter(of_service).collect();
    let any = |meets: &dyn Fn(&Span) -> bool| looked_at.iter().any(|span| meets(span));
    !looked_at.is_empty()
        && request.remote_service.as_deref().is_none_or(|wanted| any(&|span| is(wanted, span.remote_service())))
        && request.name.as_deref().is_none_or(|wanted| any(&|span| is(wanted, Some(&span.name))))
        && request.annotations.iter().all(|term| any(&|span| term.matches_span(span)))
        && request.min_micros.is_none_or(|min| any(&|span| lasts(span, min, request.max_micros)))
}

/// True if the span has a duration within these bounds. One below a microsecond counts as one.
fn lasts(span: &Span, min: u64, max: Option<u64>) -> bool {
    let nanos = span.duration_nanos().filter(|nanos| *nanos > 0);
    let micros = nanos.map(|nanos| (nanos / NANOS_PER_MICRO).max(1));
    micros.is_some_and(|micros| micros >= min && max.is_none_or(|max| micros <= max))
}
