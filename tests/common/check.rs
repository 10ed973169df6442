//! Asks a store everything and compares each answer with the oracle's, and with its own earlier ones.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use tailspan::{AttributeValueCount, Query, Span, Store, TraceId, TraceSummary};

use super::ask::Ask;
use super::distinct::{assert_same_spans, distinct};
use super::lists::Lists;
use super::search::{Answer, search};

/// What a store that holds certain spans must answer, wherever they lie.
pub struct Expected {
    spans: Vec<Span>,
    by_low_half: BTreeMap<u64, Vec<usize>>,
    ids: BTreeSet<TraceId>,
    lists: Lists,
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
        let lists = Lists::new(&spans);
        let asks = asks.iter().map(|ask| (ask.clone(), search(&spans, ask))).collect();
        Self { spans, by_low_half, ids, lists, asks, page_limits: page_limits.to_vec(), first: None }
    }

    /// How many distinct spans there are.
    pub fn span_count(&self) -> u64 {
        self.spans.len() as u64
    }

    /// Asserts that the store gives exactly these answers, and the same as when it was asked before.
    #[track_caller]
    pub fn check(&mut self, store: &Store, state: &str) {
        self.check_export(store, state);
        self.lists.check(store, state);
        let told = Told {
            traces: self.check_traces(store, state),
            found: self.asks.iter().map(|(ask, wanted)| self.check_search(store, ask, wanted, state)).collect(),
            values: self.lists.keys().map(|key| store.attribute_values(key).unwrap()).collect(),
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
