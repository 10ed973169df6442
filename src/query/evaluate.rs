//! What a query means, on owned spans: the reference that every faster path must equal.
//!
//! The unit is a whole trace. Only spans that start inside the window are looked at (a span without a
//! start never is: it is found by its trace's id alone), and the scope says how they share the work:
//!
//! | scope | the trace matches if | its matching spans |
//! |---|---|---|
//! | span | one span meets every criterion | the spans that do |
//! | service | each criterion but the service is met by some span of the service | spans of the service that meet one |
//! | trace | each criterion, the service too, is met by some span | spans that meet one |
//!
//! Under service and trace, a query without criteria matches by every span it looks at. A structural condition is
//! evaluated on the whole trace, whatever is looked at; that a span is in its set is then one criterion more.

use crate::model::{Span, SpanKind, StatusCode, TimeRange, ValueRef};

use super::predicate::{Criterion, DurationRange, Query, QueryScope, TextField};
use super::structure::SpanSet;
use super::summary::trace_duration;
use super::tag::TagFilter;

/// True if the span meets the criterion.
pub fn span_meets(span: &Span, criterion: &Criterion) -> bool {
    match criterion {
        Criterion::Service(service) => span.service() == Some(service),
        Criterion::Name(name) => span.name == *name,
        Criterion::RemoteService(service) => span.remote_service() == Some(service),
        Criterion::Kind(wanted) => kind_meets(span.kind, *wanted),
        Criterion::Status(wanted) => status_meets(span.status_code(), *wanted),
        Criterion::Error => span.is_error(),
        Criterion::Tag(filter) => filter.matches_span(span),
        Criterion::Annotation(term) => term.matches_span(span),
        Criterion::Duration(range) => span.duration_nanos().is_some_and(|nanos| range.contains(nanos)),
        Criterion::Text(field, filter) => text_meets(span, *field, filter),
    }
}

fn text_meets(span: &Span, field: TextField, filter: &TagFilter) -> bool {
    let meets = |text: &str| filter.matches_value(&ValueRef::String(text));
    match field {
        TextField::Name => meets(&span.name),
        TextField::StatusMessage => {
            span.status.as_ref().is_some_and(|status| !status.message.is_empty() && meets(&status.message))
        }
        TextField::ScopeName => meets(&span.scope.name),
        TextField::ScopeVersion => meets(&span.scope.version),
        TextField::EventName => span.events.iter().any(|event| meets(&event.name)),
    }
}

/// True if a span of this kind is of the wanted one. Unknown numbers read as `unspecified` everywhere,
/// so a filter for that finds them too.
pub fn kind_meets(kind: SpanKind, wanted: SpanKind) -> bool {
    kind == wanted || (wanted == SpanKind::UNSPECIFIED && kind.as_str() == wanted.as_str())
}

/// True if a span of this outcome is of the wanted one. Unknown numbers read as `unset` everywhere, so a
/// filter for that finds them too.
pub fn status_meets(status: StatusCode, wanted: StatusCode) -> bool {
    status == wanted || (wanted == StatusCode::UNSET && status.as_str() == wanted.as_str())
}

/// The spans of the trace that match, as positions in it, ascending; empty if the trace does not match.
/// For many traces, make one [`TraceMatcher`].
#[cfg(test)]
pub fn matching_spans(query: &Query, trace: &[Span]) -> Vec<usize> {
    TraceMatcher::new(query).matching_spans(trace)
}

/// A query prepared to be asked of many traces.
#[derive(Clone, Debug)]
pub struct TraceMatcher {
    scope: QueryScope,
    /// Under scope service: the only service whose spans are looked at.
    service: Option<String>,
    criteria: Vec<Criterion>,
    structure: Option<SpanSet>,
    include_unknown: bool,
    window: TimeRange,
    trace_duration: DurationRange,
}

/// The spans of a trace that match, as positions in it, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// The positions; none if the trace does not match.
    pub spans: Vec<usize>,
    /// True if it is not known whether the trace matches; then these are the spans that may.
    pub unknown: bool,
}

impl TraceMatcher {
    /// Prepares the query; its order, limit and page count for nothing here.
    pub fn new(query: &Query) -> Self {
        let mut criteria = query.criteria();
        let mut service = None;
        if query.scope == QueryScope::Service {
            criteria.retain(|criterion| !matches!(criterion, Criterion::Service(_)));
            service.clone_from(&query.service);
        }
        let (scope, window, trace_duration) = (query.scope, query.window, query.trace_duration);
        let (structure, include_unknown) = (query.structure.clone(), query.include_unknown);
        Self { scope, service, criteria, structure, include_unknown, window, trace_duration }
    }

    /// The spans of the trace that match, as positions in it, ascending; empty if the trace does not match.
    pub fn matching_spans(&self, trace: &[Span]) -> Vec<usize> {
        self.judge(trace).spans
    }

    /// The spans of the trace that match, or may if that is asked for.
    pub fn judge(&self, trace: &[Span]) -> Matched {
        let mut candidates: Vec<usize> = (0..trace.len()).filter(|&i| self.looks_at(&trace[i])).collect();
        if candidates.is_empty() || !self.accepts_duration(trace) {
            return Matched::default();
        }
        let known = |spans: Vec<usize>| Matched { spans, unknown: false };
        match (self.scope, &self.structure) {
            (QueryScope::Span, _) => {
                candidates.retain(|&i| self.criteria.iter().all(|criterion| span_meets(&trace[i], criterion)));
                match &self.structure {
                    Some(set) if !candidates.is_empty() => self.of_structure(set, trace, &candidates, &[]),
                    _ => known(candidates),
                }
            }
            (_, None) if self.criteria.is_empty() => known(candidates),
            (_, None) => known(self.meeting_one_by_one(trace, candidates)),
            (_, Some(set)) => {
                let meeting = self.meeting_one_by_one(trace, candidates.clone());
                if meeting.is_empty() && !self.criteria.is_empty() {
                    return Matched::default();
                }
                self.of_structure(set, trace, &candidates, &meeting)
            }
        }
    }

    /// The candidates that are in the set, or may be, with those that match anyway, if there are any.
    fn of_structure(&self, set: &SpanSet, trace: &[Span], candidates: &[usize], anyway: &[usize]) -> Matched {
        let judged = set.judge(trace);
        for (members, unknown) in [(&judged.certain, false), (&judged.possible, true)] {
            if candidates.iter().any(|&i| members[i]) && (self.include_unknown || !unknown) {
                let is_in = |i: &&usize| members[**i] || anyway.binary_search(*i).is_ok();
                return Matched { spans: candidates.iter().filter(is_in).copied().collect(), unknown };
            }
        }
        Matched::default()
    }

    /// The candidates that meet some criterion, if each criterion is met by one of them.
    fn meeting_one_by_one(&self, trace: &[Span], mut candidates: Vec<usize>) -> Vec<usize> {
        let mut met = vec![false; self.criteria.len()];
        candidates.retain(|&i| {
            let mut meets_one = false;
            for (met, criterion) in met.iter_mut().zip(&self.criteria) {
                let meets = span_meets(&trace[i], criterion);
                *met |= meets;
                meets_one |= meets;
            }
            meets_one
        });
        if met.contains(&false) { Vec::new() } else { candidates }
    }

    fn looks_at(&self, span: &Span) -> bool {
        span.start().is_some_and(|start| self.window.contains(start))
            && self.service.as_deref().is_none_or(|service| span.service() == Some(service))
    }

    fn accepts_duration(&self, trace: &[Span]) -> bool {
        self.trace_duration.is_all() || trace_duration(trace).is_some_and(|nanos| self.trace_duration.contains(nanos))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::query::fixture::span;

    fn shop() -> Vec<Span> {
        vec![
            span(1, 1).service_named("web").named("get /").at(100, 200).status(StatusCode::ERROR),
            span(1, 2).service_named("cart").named("add").at(110, 150).tag("sku", 7).child_of(1),
            span(1, 3).service_named("cart").named("save").at(120, 190).child_of(2),
        ]
    }

    #[test]
    fn under_scope_span_one_span_meets_every_criterion() {
        let query = Query::new().service("cart").min_duration(Duration::from_nanos(70));
        assert_eq!(matching_spans(&query, &shop()), [2]);
        assert_eq!(matching_spans(&query.name("add"), &shop()), [0usize; 0]);
    }

    #[test]
    fn without_criteria_every_span_of_the_window_matches() {
        for scope in [QueryScope::Span, QueryScope::Service, QueryScope::Trace] {
            assert_eq!(matching_spans(&Query::new().scope(scope), &shop()), [0, 1, 2]);
            assert_eq!(matching_spans(&Query::new().scope(scope).since(120), &shop()), [2]);
            assert_eq!(matching_spans(&Query::new().scope(scope).since(121), &shop()), [0usize; 0]);
        }
    }

    #[test]
    fn under_scope_service_different_spans_of_the_service_may_meet_the_criteria() {
        let query = Query::new().service("cart").name("add").min_duration(Duration::from_nanos(70));
        assert_eq!(matching_spans(&query.clone().scope(QueryScope::Service), &shop()), [1, 2]);
        assert_eq!(matching_spans(&query.error().scope(QueryScope::Service), &shop()), [0usize; 0]);
    }

    #[test]
    fn under_scope_service_the_service_alone_matches_by_all_its_spans() {
        let query = Query::new().scope(QueryScope::Service);
        assert_eq!(matching_spans(&query.clone().service("cart"), &shop()), [1, 2]);
        assert_eq!(matching_spans(&query.service("mail"), &shop()), [0usize; 0]);
    }

    #[test]
    fn under_scope_service_without_a_service_any_span_meets_a_criterion() {
        let query = Query::new().name("save").error().scope(QueryScope::Service);
        assert_eq!(matching_spans(&query, &shop()), [0, 2]);
    }

    #[test]
    fn under_scope_trace_the_service_is_a_criterion_like_others() {
        let query = Query::new().service("cart").error().scope(QueryScope::Trace);
        assert_eq!(matching_spans(&query, &shop()), [0, 1, 2]);
        let query = Query::new().service("web").tag_text("sku=7").unwrap().scope(QueryScope::Trace);
        assert_eq!(matching_spans(&query, &shop()), [0, 1]);
        assert_eq!(matching_spans(&query.service("mail"), &shop()), [0usize; 0]);
    }

    #[test]
    fn only_spans_inside_the_window_can_meet_a_criterion() {
        let query = Query::new().service("cart").error().scope(QueryScope::Trace);
        assert_eq!(matching_spans(&query.clone().since(101), &shop()), [0usize; 0]);
        assert_eq!(matching_spans(&query.clone().until(110), &shop()), [0usize; 0]);
        assert_eq!(matching_spans(&query.until(111), &shop()), [0, 1]);
    }

    #[test]
    fn a_span_without_a_start_never_matches() {
        let trace = [span(1, 1).at(0, 50), span(1, 2).at(0, 0).shared()];
        assert_eq!(matching_spans(&Query::new(), &trace), [0usize; 0]);
    }

    #[test]
    fn the_duration_of_the_trace_has_inclusive_bounds() {
        let of = |min, max| {
            let query = Query::new().min_trace_duration(Duration::from_nanos(min));
            matching_spans(&query.max_trace_duration(Duration::from_nanos(max)), &shop()).len()
        };
        assert_eq!([of(100, 100), of(101, 200), of(0, 99)], [3, 0, 0]);
    }

    #[test]
    fn a_span_without_duration_meets_no_duration_criterion() {
        let trace = [span(1, 1).at(100, 50), span(1, 2).at(100, 0), span(1, 3).at(100, 100)];
        assert_eq!(matching_spans(&Query::new().min_duration(Duration::ZERO), &trace), [2]);
        assert_eq!(matching_spans(&Query::new().max_duration(Duration::MAX), &trace), [2]);
    }

    #[test]
    fn an_unknown_kind_or_status_is_found_as_the_word_it_reads_as() {
        let mut odd = span(1, 1).at(1, 2).status(StatusCode(9));
        odd.kind = SpanKind(42);
        assert!(span_meets(&odd, &Criterion::Kind(SpanKind::UNSPECIFIED)));
        assert!(span_meets(&odd, &Criterion::Kind(SpanKind(42))));
        assert!(!span_meets(&odd, &Criterion::Kind(SpanKind::SERVER)));
        assert!(span_meets(&odd, &Criterion::Status(StatusCode::UNSET)));
        assert!(!span_meets(&odd, &Criterion::Status(StatusCode::OK)));
    }

    #[test]
    fn an_otlp_attribute_named_error_is_no_error_and_a_zipkin_tag_is() {
        assert!(!span_meets(&span(1, 1).tag("error", "true"), &Criterion::Error));
        assert!(span_meets(&span(1, 1).shared().tag("error", ""), &Criterion::Error));
    }
}
