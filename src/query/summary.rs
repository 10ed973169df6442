//! A trace in one line: its root, its extent, who took part, what matched.

use std::collections::BTreeMap;

use rustc_hash::FxHashSet;

use crate::model::{Origin, Span, SpanId, TraceId, UnixNanos};

/// What a search tells of one trace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceSummary {
    /// The trace. Of ids joined by their lower 64 bits, the smallest with an upper half, if one has.
    pub trace_id: TraceId,
    /// The service of the root: the parentless span of earliest start, or what comes nearest to one.
    pub root_service: Option<String>,
    /// The name of the root; `None` if it is empty.
    pub root_name: Option<String>,
    /// The span id of the root.
    pub root_span_id: SpanId,
    /// The earliest start of its spans; 0 if none has one.
    pub start_unix_nano: UnixNanos,
    /// Latest end minus earliest start in nanoseconds; 0 if no span has a start.
    pub duration_nano: u64,
    /// How many spans it has.
    pub span_count: u64,
    /// How many of them failed.
    pub error_count: u64,
    /// How many spans each service has; spans without a service count only in `span_count`.
    pub services: BTreeMap<String, u64>,
    /// True if a missing span leaves it open whether the trace matches; then the spans below are those that may.
    pub unknown: bool,
    /// How many spans match the query.
    pub matched_count: u64,
    /// The ids of matching spans by start, then id: the first ones, as many as the limit allows.
    pub matched_span_ids: Vec<SpanId>,
}

impl TraceSummary {
    /// Sums up the spans of one trace, identical records already made one; `matching` are positions of
    /// the spans that match. `None` if there is no span.
    pub fn new(trace: &[Span], matching: &[usize], matched_ids_max: usize) -> Option<Self> {
        let root = root_of(trace)?;
        let mut services = BTreeMap::new();
        for service in trace.iter().filter_map(Span::service) {
            match services.get_mut(service) {
                Some(count) => *count += 1,
                None => drop(services.insert(service.to_owned(), 1)),
            }
        }
        let mut matched: Vec<&Span> = matching.iter().filter_map(|&i| trace.get(i)).collect();
        matched.sort_by_key(|span| (start_or_last(span), span.span_id));
        Some(Self {
            trace_id: common_id(trace)?,
            root_service: root.service().map(str::to_owned),
            root_name: (!root.name.is_empty()).then(|| root.name.clone()),
            root_span_id: root.span_id,
            start_unix_nano: trace_start(trace).unwrap_or(0),
            duration_nano: trace_duration(trace).unwrap_or(0),
            span_count: trace.len() as u64,
            error_count: trace.iter().filter(|span| span.is_error()).count() as u64,
            services,
            unknown: false,
            matched_count: matched.len() as u64,
            matched_span_ids: matched.iter().take(matched_ids_max).map(|span| span.span_id).collect(),
        })
    }
}

impl TraceSummary {
    /// Bytes it takes in memory, roughly.
    pub(crate) fn held_bytes(&self) -> usize {
        let services: usize = self.services.keys().map(|service| service.len() + size_of::<(String, u64)>()).sum();
        let root = [&self.root_service, &self.root_name].into_iter().flatten().map(String::len).sum::<usize>();
        size_of::<Self>() + services + root + self.matched_span_ids.len() * size_of::<SpanId>()
    }
}

/// The earliest start; `None` if no span has one.
pub fn trace_start(trace: &[Span]) -> Option<UnixNanos> {
    trace.iter().filter_map(Span::start).min()
}

/// Latest end minus earliest start in nanoseconds, of the spans that have a start; one without a
/// duration ends where it starts. `None` if no span has a start.
pub fn trace_duration(trace: &[Span]) -> Option<u64> {
    let end = |span: &Span| Some(span.start()?.saturating_add(span.duration_nanos().unwrap_or(0)));
    let latest_end = trace.iter().filter_map(end).max()?;
    latest_end.checked_sub(trace_start(trace)?)
}

/// The root: of the spans without a parent the one of earliest start, then not shared, then of smallest
/// id. If all have a parent, the earliest whose parent is missing; if none is missing, the earliest. A
/// span without a start comes last. `None` if there is no span.
pub fn root_of(trace: &[Span]) -> Option<&Span> {
    if let Some(root) = earliest(trace.iter().filter(|span| span.parent_span_id.is_none())) {
        return Some(root);
    }
    let ids: FxHashSet<SpanId> = trace.iter().map(|span| span.span_id).collect();
    let is_orphan = |span: &&Span| span.parent_span_id.is_some_and(|parent| !ids.contains(&parent));
    earliest(trace.iter().filter(is_orphan)).or_else(|| earliest(trace.iter()))
}

/// First by start, sharing and id. Name and service come after, so that of two records of one id the same
/// is taken wherever they are stored.
fn earliest<'a>(spans: impl Iterator<Item = &'a Span>) -> Option<&'a Span> {
    spans.min_by_key(|span| (start_or_last(span), is_shared(span), span.span_id, span.name.as_str(), span.service()))
}

fn start_or_last(span: &Span) -> (bool, UnixNanos) {
    (span.start().is_none(), span.start_unix_nano)
}

fn is_shared(span: &Span) -> bool {
    matches!(span.origin, Origin::Zipkin { shared: true, .. })
}

fn common_id(trace: &[Span]) -> Option<TraceId> {
    trace.iter().map(|span| span.trace_id).min_by_key(|id| (id.high() == 0, *id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StatusCode;
    use crate::query::fixture::span;

    fn root_id(trace: &[Span]) -> u64 {
        root_of(trace).unwrap().span_id.get()
    }

    #[test]
    fn the_root_is_the_parentless_span_of_earliest_start() {
        assert_eq!(root_id(&[span(1, 9).at(5, 6).child_of(2), span(1, 3).at(8, 9), span(1, 2).at(7, 9)]), 2);
    }

    #[test]
    fn among_roots_of_one_start_the_one_not_shared_then_the_smallest_id_wins() {
        assert_eq!(root_id(&[span(1, 1).at(5, 6).shared(), span(1, 3).at(5, 6), span(1, 2).at(5, 6)]), 2);
    }

    #[test]
    fn a_root_without_a_start_comes_after_those_with_one() {
        assert_eq!(root_id(&[span(1, 1).at(0, 6), span(1, 2).at(u64::MAX, 0)]), 2);
        assert_eq!(root_id(&[span(1, 1).at(0, 6), span(1, 2).at(7, 9).child_of(1)]), 1);
    }

    #[test]
    fn without_a_root_the_earliest_span_whose_parent_is_missing_stands_in() {
        let trace =
            [span(1, 1).at(3, 4).child_of(2), span(1, 2).at(9, 9).child_of(77), span(1, 3).at(8, 9).child_of(78)];
        assert_eq!(root_id(&trace), 3);
    }

    #[test]
    fn in_a_cycle_the_earliest_span_stands_in() {
        assert_eq!(root_id(&[span(1, 1).at(9, 9).child_of(2), span(1, 2).at(8, 9).child_of(1)]), 2);
        assert_eq!(root_id(&[span(1, 5).at(9, 9).child_of(5)]), 5);
    }

    #[test]
    fn the_root_does_not_depend_on_the_order_of_records_of_one_id() {
        let (a, b) = (span(1, 1).at(5, 6).named("a"), span(1, 1).at(5, 7).named("b"));
        assert_eq!(root_of(&[a.clone(), b.clone()]).unwrap().name, "a");
        assert_eq!(root_of(&[b, a]).unwrap().name, "a");
    }

    #[test]
    fn a_trace_lasts_from_its_earliest_start_to_its_latest_end() {
        assert_eq!(trace_duration(&[span(1, 1).at(10, 20), span(1, 2).at(15, 90)]), Some(80));
        assert_eq!(trace_duration(&[span(1, 1).at(10, 20), span(1, 2).at(95, 0)]), Some(85));
        assert_eq!(trace_duration(&[span(1, 1).at(10, 20), span(1, 2).at(95, 30)]), Some(85));
        assert_eq!(trace_duration(&[span(1, 1).at(10, 20), span(1, 2).at(0, 500)]), Some(10));
        assert_eq!(trace_duration(&[span(1, 1).at(0, 500)]), None);
        assert_eq!(trace_start(&[span(1, 1).at(0, 500), span(1, 2).at(7, 8)]), Some(7));
    }

    #[test]
    fn a_summary_counts_spans_errors_and_services() {
        let trace = [
            span(7, 1).at(10, 20).named("get").service_named("web"),
            span(7, 2).at(12, 40).service_named("db").status(StatusCode::ERROR).child_of(1),
            span(7, 3).at(13, 14).service_named("db").child_of(1),
            span(7, 4).at(14, 15).child_of(1),
        ];
        let summary = TraceSummary::new(&trace, &[0, 3], 100).unwrap();
        assert_eq!((summary.root_service.as_deref(), summary.root_name.as_deref()), (Some("web"), Some("get")));
        assert_eq!((summary.start_unix_nano, summary.duration_nano), (10, 30));
        assert_eq!((summary.span_count, summary.error_count, summary.matched_count), (4, 1, 2));
        assert_eq!(summary.services, BTreeMap::from([("db".to_owned(), 2), ("web".to_owned(), 1)]));
    }

    #[test]
    fn an_absent_root_service_or_name_is_none() {
        let summary = TraceSummary::new(&[span(7, 1).at(1, 2)], &[], 100).unwrap();
        assert_eq!((summary.root_service, summary.root_name), (None, None));
        assert_eq!(TraceSummary::new(&[], &[], 100), None);
    }

    #[test]
    fn matched_ids_come_by_start_then_id_up_to_the_limit() {
        let trace = [span(7, 4).at(5, 6), span(7, 3).at(5, 6), span(7, 9).at(1, 2), span(7, 1).at(8, 9)];
        let summary = TraceSummary::new(&trace, &[0, 1, 2, 3], 3).unwrap();
        assert_eq!(summary.matched_span_ids.iter().map(|id| id.get()).collect::<Vec<_>>(), [9, 3, 4]);
        assert_eq!(summary.matched_count, 4);
    }

    #[test]
    fn of_joined_ids_the_one_with_an_upper_half_names_the_trace() {
        let (short, mut long) = (span(7, 1).at(1, 2), span(7, 2).at(3, 4));
        long.trace_id = TraceId::from_halves(9, 7).unwrap();
        let id = long.trace_id;
        assert_eq!(TraceSummary::new(&[short, long], &[], 100).unwrap().trace_id, id);
    }
}
