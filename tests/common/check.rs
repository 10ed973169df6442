//! Asks a store everything and compares each answer with the oracle's, and with its own earlier ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use tailspan::{AttributeValueCount, Query, Span, Store, TraceId, TraceSummary};

use super::ask::Ask;
use super::distinct::{assert_same_spans, distinct};
use super::lists;
use super::search::{Answer, search};

/// What a store that holds certain spans must answer, wherever they lie.
pub struct Expected {
    spans: Vec<Span>,
    by_low_half: BTreeMap<u64, Vec<usize>>,
    ids: BTreeSet<TraceId>,
    keys: BTreeSet<String>,
    asks: Vec<(Ask, Vec<Answer>)>,
    page_limits: Vec<usize>,
    first: Option<Told>,
}

/// What a store told, where the oracle leaves a choice. It must be the same in every state of the store.
#[derive(Debug, PartialEq)]
struct Told {
    /// Of every id, strict and lenient, a hash of the spans in order.
    traces: Vec<(TraceId, [u64; 2])>,
    found: Vec<Vec<TraceSummary>>,
    values: Vec<Vec<AttributeValueCount>>,
}

impl Expected {
    /// Computes the answers. Each question is asked without a limit and in pages of each limit.
    pub fn new<'s>(delivered: impl IntoIterator<Item = &'s Span>, asks: &[Ask], page_limits: &[usize]) -> Self {
        let spans = distinct(delivered);
        let mut by_low_half: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        spans.iter().enumerate().for_each(|(at, span)| by_low_half.entry(span.trace_id.low()).or_default().push(at));
        let ids = spans.iter().map(|span| span.trace_id).collect();
        let known = lists::attribute_keys(&spans).into_keys().map(|(key, ..)| key);
        let keys = known.chain(["no such key".to_owned()]).collect();
        let asks = asks.iter().map(|ask| (ask.clone(), search(&spans, ask))).collect();
        Self { spans, by_low_half, ids, keys, asks, page_limits: page_limits.to_vec(), first: None }
    }

    /// How many distinct spans there are.
    pub fn span_count(&self) -> u64 {
        self.spans.len() as u64
    }

    /// Asserts that the store gives exactly these answers, and the same as when it was asked before.
    #[track_caller]
    pub fn check(&mut self, store: &Store, state: &str) {
        self.check_export(store, state);
        self.check_lists(store, state);
        let told = Told {
            traces: self.check_traces(store, state),
            found: self.asks.iter().map(|(ask, wanted)| self.check_search(store, ask, wanted, state)).collect(),
            values: self.keys.iter().map(|key| store.attribute_values(key).unwrap()).collect(),
        };
        match &self.first {
            Some(first) => assert_eq!(told, *first, "{state}: another choice than before"),
            None => self.first = Some(told),
        }
    }

    fn check_export(&self, store: &Store, state: &str) {
        let exported: Vec<Span> = store.spans().flat_map(|trace| trace.unwrap()).collect();
        assert_same_spans(&exported, &self.spans, &format!("{state}: export"));
        let stats = store.stats().unwrap();
        let wanted = (self.spans.len() as u64, self.ids.len() as u64);
        assert_eq!((stats.spans, stats.traces), wanted, "{state}: spans and traces of the statistics");
    }

    /// Every trace by its id, strict and lenient.
    fn check_traces(&self, store: &Store, state: &str) -> Vec<(TraceId, [u64; 2])> {
        let absent = TraceId::from_halves(3, u64::MAX).unwrap();
        let ids: Vec<TraceId> = self.ids.iter().copied().chain([absent]).collect();
        let mut strict = Vec::new();
        let mut hashes = Vec::new();
        for id in &ids {
            let spans = store.trace(*id).unwrap();
            let other_half = TraceId::from_halves(5, id.low()).unwrap();
            let joined = store.snapshot().trace_lenient(other_half).unwrap();
            let positions = self.by_low_half.get(&id.low()).into_iter().flatten();
            let wanted: Vec<&Span> = positions.map(|at| &self.spans[*at]).collect();
            assert_trace(&joined, wanted.iter().copied(), &format!("{state}: lenient trace {id}"));
            let wanted = wanted.into_iter().filter(|span| span.trace_id == *id);
            assert_trace(&spans, wanted, &format!("{state}: trace {id}"));
            hashes.push((*id, [hash(&spans), hash(&joined)]));
            strict.push(spans);
        }
        strict.retain(|spans| !spans.is_empty());
        assert!(store.traces(&ids).unwrap() == strict, "{state}: traces are not the trace of each id");
        hashes
    }

    fn check_lists(&self, store: &Store, state: &str) {
        let services: Vec<_> =
            store.services().unwrap().into_iter().map(|s| (s.service, (s.span_count, s.error_count))).collect();
        let wanted: Vec<_> = lists::services(&self.spans).into_iter().collect();
        assert_eq!(services, wanted, "{state}: services");
        let operations = lists::operations(&self.spans);
        let names: Vec<Option<String>> =
            services.into_iter().map(|(name, _)| name).chain([Some("none".into())]).collect();
        for service in [None].into_iter().chain(names.iter().flatten().map(|name| Some(name.as_str()))) {
            let got: Vec<_> = store.operations(service).unwrap();
            let got = got.into_iter().map(|o| ((o.service, o.name, o.kind.0), o.span_count));
            let of = |(key, _): &(&(Option<String>, _, _), _)| service.is_none() || key.0.as_deref() == service;
            let wanted: Vec<_> = operations.iter().filter(of).map(|(k, n)| (k.clone(), *n)).collect();
            assert_eq!(got.collect::<Vec<_>>(), wanted, "{state}: operations of {service:?}");
            let got: Vec<_> = store.remote_services(service).unwrap();
            let got: Vec<_> = got.into_iter().map(|r| (r.remote_service, r.span_count)).collect();
            let wanted: Vec<_> = lists::remote_services(&self.spans, service).into_iter().collect();
            assert_eq!(got, wanted, "{state}: remote services of {service:?}");
        }
        self.check_attributes(store, state);
    }

    fn check_attributes(&self, store: &Store, state: &str) {
        let got = store.attribute_keys().unwrap();
        assert!(got.is_sorted_by_key(|k| k.key.clone()), "{state}: attribute keys are out of order");
        let found = got.len();
        let got: BTreeMap<_, _> =
            got.into_iter().map(|k| ((k.key, k.scope.as_str(), k.value_type), k.span_count)).collect();
        assert_eq!(got.len(), found, "{state}: an attribute key is listed twice");
        assert_eq!(got, lists::attribute_keys(&self.spans), "{state}: attribute keys");
        for key in &self.keys {
            let got = store.attribute_values(key).unwrap();
            assert!(
                got.is_sorted_by(|a, b| a.span_count >= b.span_count),
                "{state}: values of {key:?} are out of order"
            );
            let found = got.len();
            let got: HashMap<_, _> = got.into_iter().map(|v| (v.value, v.span_count)).collect();
            assert_eq!(got.len(), found, "{state}: a value of {key:?} is listed twice");
            assert_eq!(got, lists::attribute_values(&self.spans, key), "{state}: values of {key:?}");
        }
    }

    /// Asserts that the search gives these answers, at once and page by page.
    fn check_search(&self, store: &Store, ask: &Ask, wanted: &[Answer], state: &str) -> Vec<TraceSummary> {
        let query = ask.query();
        let found = store.find(&query).unwrap();
        assert!(found.complete && found.reason.is_none(), "{state}: {ask:?} is incomplete: {:?}", found.reason);
        assert_eq!(found.next_page_token, None, "{state}: {ask:?} without a limit has a next page");
        let got: Vec<TraceId> = found.traces.iter().map(|trace| trace.trace_id).collect();
        let ids: Vec<TraceId> = wanted.iter().map(|answer| answer.trace_id).collect();
        assert_eq!(got, ids, "{state}: traces found, in order, by {ask:?}");
        for (got, wanted) in found.traces.iter().zip(wanted) {
            assert_summary(got, wanted, &format!("{state}: summary found by {ask:?}"));
        }
        for limit in &self.page_limits {
            let what = format!("{state}: {ask:?}, {limit} a page");
            check_pages(store, &query.clone().limit(*limit), &found.traces, &what);
        }
        found.traces
    }
}

fn hash(spans: &[Span]) -> u64 {
    let mut hasher = DefaultHasher::new();
    spans.hash(&mut hasher);
    hasher.finish()
}

fn assert_trace<'s>(got: &'s [Span], wanted: impl Iterator<Item = &'s Span>, what: &str) {
    assert_same_spans(got, wanted, what);
    let place = |span: &Span| (span.start_unix_nano == 0, span.start_unix_nano, span.span_id);
    assert!(got.is_sorted_by_key(place), "{what} is out of order");
}

fn assert_summary(got: &TraceSummary, wanted: &Answer, what: &str) {
    let root = (got.root_service.clone(), got.root_name.clone());
    assert!(wanted.roots.contains(&root), "{what}: root {root:?} is none of {:?}", wanted.roots);
    assert_eq!((got.start_unix_nano, got.duration_nano), (wanted.start, wanted.duration), "{what}: start, duration");
    assert_eq!((got.span_count, got.error_count), (wanted.span_count, wanted.error_count), "{what}: spans, errors");
    assert_eq!(got.services, wanted.services, "{what}: services");
    assert_eq!(got.matched_count, wanted.matched_count, "{what}: count of matches");
    assert_eq!(got.matched_span_ids, wanted.matched_ids, "{what}: ids of matches");
}

fn check_pages(store: &Store, query: &Query, wanted: &[TraceSummary], what: &str) {
    let mut rest = wanted;
    let mut page = query.clone();
    loop {
        let found = store.find(&page).unwrap();
        assert!(found.complete, "{what}: incomplete");
        let (here, after) = rest.split_at(query.limit.min(rest.len()));
        assert_eq!(found.traces, here, "{what}: a page");
        assert_eq!(found.next_page_token.is_none(), after.is_empty(), "{what}: whether a page follows");
        let Some(token) = found.next_page_token else { return };
        page = query.clone().page_token(token);
        rest = after;
    }
}
