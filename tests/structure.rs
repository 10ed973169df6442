//! `--where` finds what looking at every pair of spans finds, in every state of a store.
//!
//! ```text
//! spans --> head --> reopened --> sealed --> sealed in pieces, late spans in the head --> merged
//! ```
//! Traces lack parents, have several roots, cycles and shared ids. The oracle in `common/structure.rs` knows no
//! storage, no order of rows and no index, and shares no code with the engine. `PROPTEST_CASES=1000` asks for more.

mod common {
    pub mod ask;
    pub mod matching;
    pub mod meaning;
    pub mod spans;
    pub mod structure;
    pub mod tags;
    pub mod values;
}

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use common::ask::Ask;
use common::matching::matching;
use common::meaning::start;
use common::spans::{BASE, NAMES, Recipe, SERVICES, spans};
use common::structure::{Nodes, Set, Test, place};
use proptest::prelude::*;
use proptest::sample::select;
use tailspan::{Durability, LatencyQuery, Query, QueryScope, Span, SpanId, Store, TraceId};

const CASES: u32 = 24;

fn cases(default: u32, share: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse::<u32>().ok());
    let cases = asked.map_or(default, |asked| (asked / share).max(1));
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn asks(field: &str, sign: &str, value: &str) -> Test {
    Test::Asks(field.to_owned(), sign.to_owned(), value.to_owned())
}

fn test() -> impl Strategy<Value = Test> {
    let order = || select(vec!["=", "!=", "<", "<=", ">", ">="]);
    let texts = || select(vec!["\"\"", "\"a\"", "\"b\"", "\"value\"", "\"500\"", "\"get\"", "\"pay\"", "\"web\""]);
    let patterns = || select(vec!["\".*\"", "\"a|b\"", "\"v.*\"", "\"get.*\"", "\"\""]);
    let numbers = select(vec!["0", "1", "500", "72.5", "-5", "3", "1000000"]);
    let place = select(vec!["", "span", "span", "resource", "event", "link", "instrumentation"]);
    let key = select(vec!["k", "k", "http.status_code", "service.name", "error", "peer.service"]);
    let attribute = (place, key).prop_map(|(place, key)| format!("{place}.{key}")).boxed();
    let text_field = select(vec![
        "name",
        "name",
        "event:name",
        "statusMessage",
        "instrumentation:name",
        "instrumentation:version",
        "rootServiceName",
    ]);
    let not_service = attribute.clone().prop_filter("no nil", |field| field != "resource.service.name");
    let numeric = select(vec!["duration", "duration", "span:childCount", "traceDuration"]);
    let service = select(&SERVICES[..]).prop_map(|name| asks("resource.service.name", "=", &format!("\"{name}\"")));
    let name = select(&NAMES[..]).prop_map(|name| asks("name", "=", &format!("\"{name}\"")));
    let leaf = prop_oneof![
        4 => service,
        4 => name,
        2 => (select(vec!["=", "!="]), select(vec!["unset", "ok", "error"])).prop_map(|(s, v)| asks("status", s, v)),
        2 => (select(vec!["=", "!="]), select(vec!["unspecified", "internal", "server", "client", "producer", "consumer"]))
            .prop_map(|(s, v)| asks("kind", s, v)),
        2 => (text_field.clone(), order(), texts()).prop_map(|(f, s, v)| asks(f, s, v)),
        1 => (text_field, select(vec!["=~", "!~"]), patterns()).prop_map(|(f, s, v)| asks(f, s, v)),
        2 => (numeric, order(), numbers.clone()).prop_map(|(f, s, v)| asks(f, s, v)),
        3 => (attribute.clone(), order(), prop_oneof![texts(), numbers]).prop_map(|(f, s, v)| asks(&f, s, v)),
        1 => (attribute.clone(), select(vec!["=~", "!~"]), patterns()).prop_map(|(f, s, v)| asks(&f, s, v)),
        1 => (attribute, select(vec!["=", "!="]), select(vec!["true", "false"])).prop_map(|(f, s, v)| asks(&f, s, v)),
        1 => (not_service, select(vec!["=", "!="])).prop_map(|(f, s)| asks(&f, s, "nil")),
        1 => (1..4u64).prop_map(|id| asks("span:parentID", "=", &format!("\"{id:016x}\""))),
        // The oracle numbers no nested sets: it knows roots, and who is below a missing parent.
        1 => (order(), select(vec!["-1", "0"])).prop_map(|(s, v)| asks("nestedSetParent", s, v)),
        3 => Just(Test::Constant(true)),
        1 => Just(Test::Constant(false)),
    ];
    leaf.prop_recursive(2, 4, 2, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            two.clone().prop_map(|(a, b)| Test::And(Box::new(a), Box::new(b))),
            two.prop_map(|(a, b)| Test::Or(Box::new(a), Box::new(b))),
            inner.prop_map(|test| Test::Not(Box::new(test))),
        ]
    })
}

fn set() -> impl Strategy<Value = Set> {
    let sign = select(vec![">", ">>", "<", "<<", "~", "!>", "!>>", "!<", "!<<", "!~"]);
    let related = |(a, sign, b): (Set, &str, Set)| Set::Related(Box::new(a), sign.to_owned(), Box::new(b));
    let leaf = test().prop_map(Set::Spans).boxed();
    let sets = prop_oneof![1 => leaf.clone(), 3 => (leaf.clone(), sign.clone(), leaf).prop_map(related)];
    sets.prop_recursive(2, 6, 2, move |inner| {
        prop_oneof![
            3 => (inner.clone(), sign.clone(), inner.clone()).prop_map(related),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| Set::Both(Box::new(a), Box::new(b))),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| Set::Either(Box::new(a), Box::new(b))),
            1 => (inner, select(vec!["=", "!=", "<", "<=", ">", ">="]), 0..4u64)
                .prop_map(|(set, sign, count)| Set::Count(Box::new(set), sign.to_owned(), count)),
        ]
    })
}

/// A structural condition, and perhaps others beside it.
fn question() -> impl Strategy<Value = (Set, Ask)> {
    let name = proptest::option::weighted(0.2, select(&NAMES[..]));
    let service = proptest::option::weighted(0.2, select(&SERVICES[..]));
    let since = proptest::option::weighted(0.2, BASE..BASE + 18);
    let scope =
        select(vec![QueryScope::Span, QueryScope::Span, QueryScope::Span, QueryScope::Service, QueryScope::Trace]);
    (set(), name, service, since, scope, prop::bool::weighted(0.2)).prop_map(
        |(set, name, service, since, scope, lenient)| {
            let (name, service) = (name.map(str::to_owned), service.map(str::to_owned));
            (set, Ask { name, service, since, scope, lenient, ..Ask::default() })
        },
    )
}

/// What a search tells of a trace: matching ids by start, then id, and whether they are certain.
type Told = BTreeMap<TraceId, (Vec<SpanId>, bool)>;

/// The traces that match for certain, and those that may.
fn expected(spans: &[Span], set: &Set, ask: &Ask, unknown: bool) -> Told {
    let mut traces: BTreeMap<u128, Vec<&Span>> = BTreeMap::new();
    for span in spans {
        let key = if ask.lenient { span.trace_id.low().into() } else { u128::from_be_bytes(span.trace_id.to_bytes()) };
        traces.entry(key).or_default().push(span);
    }
    let mut told = Told::new();
    for trace in traces.values() {
        let nodes = Nodes::new(trace);
        let members = nodes.members(set);
        for (may, is_unknown) in [(false, false), (true, true)].into_iter().take(if unknown { 2 } else { 1 }) {
            let is_in = |at: usize| members[at] == Some(true) || (may && members[at].is_none());
            let in_set: Vec<&Span> = (0..nodes.spans.len()).filter(|at| is_in(*at)).map(|at| nodes.spans[at]).collect();
            let mut matched = with_others(trace, &in_set, ask);
            if !matched.is_empty() {
                matched.sort_by_key(|span| (start(span), span.span_id));
                let ids: HashSet<TraceId> = trace.iter().map(|span| span.trace_id).collect();
                let id = ids.iter().min_by_key(|id| (id.high() == 0, **id)).unwrap();
                told.insert(*id, (matched.iter().map(|span| span.span_id).collect(), is_unknown));
                break;
            }
        }
    }
    told
}

/// The matching spans under the scope, with being in the set as one criterion more.
fn with_others<'s>(trace: &[&'s Span], in_set: &[&'s Span], ask: &Ask) -> Vec<&'s Span> {
    let is_in = |span: &&Span| in_set.iter().any(|other| std::ptr::eq(*other, *span));
    let no_criteria = Ask { since: ask.since, scope: ask.scope, ..Ask::default() };
    if ask.scope == QueryScope::Span {
        return matching(trace, ask).into_iter().filter(is_in).collect();
    }
    let service = if ask.scope == QueryScope::Service { ask.service.clone() } else { None };
    let looked_at = matching(trace, &Ask { service, ..no_criteria });
    let members: Vec<&Span> = looked_at.into_iter().filter(is_in).collect();
    let has_criteria = ask.name.is_some() || (ask.scope == QueryScope::Trace && ask.service.is_some());
    let others = if has_criteria { matching(trace, ask) } else { vec![] };
    if members.is_empty() || (has_criteria && others.is_empty()) {
        return vec![];
    }
    let either = |span: &&&Span| {
        is_in(span) && members.iter().any(|m| std::ptr::eq(*m, **span))
            || others.iter().any(|o| std::ptr::eq(*o, **span))
    };
    trace.iter().filter(either).copied().collect()
}

struct Asked {
    text: String,
    query: Query,
    certain: Told,
    all: Told,
    /// Matching spans, strict.
    count: u64,
}

fn asked(spans: &[Span], (set, ask): &(Set, Ask)) -> Asked {
    let query = ask.query().structure_text(&set.text()).unwrap();
    let certain = expected(spans, set, ask, false);
    let strict = expected(spans, set, &Ask { lenient: false, ..ask.clone() }, false);
    let count = strict.values().map(|(ids, _)| ids.len() as u64).sum();
    Asked { text: format!("{} {ask:?}", set.text()), query, certain, all: expected(spans, set, ask, true), count }
}

fn check(store: &Store, asked: &[Asked], state: &str) {
    for Asked { text, query, certain, all, count } in asked {
        assert_same(&told(store, query), certain, &format!("{state}: {text}"));
        let with_unknown = told(store, &query.clone().include_unknown());
        assert_same(&with_unknown, all, &format!("{state}, with unknown: {text}"));
        let report = store.latency(&LatencyQuery::new(query.clone())).unwrap();
        let durations = report.groups.first().map_or(0, |group| group.duration_count);
        let slowest = store.slowest_spans(query, 0).unwrap();
        assert_eq!(slowest.items.len() as u64, durations, "{state}, slowest: {text}");
        assert_eq!(report.groups.first().map_or(0, |group| group.count), *count, "{state}, counted: {text}");
        let page = store.find(&query.clone().limit(1)).unwrap();
        assert_eq!(page.traces.len(), certain.len().min(1), "{state}, one: {text}");
        assert_eq!(page.next_page_token.is_some(), certain.len() > 1, "{state}, one and more: {text}");
    }
}

/// Names the first trace that differs.
#[track_caller]
fn assert_same(got: &Told, wanted: &Told, what: &str) {
    for id in got.keys().chain(wanted.keys()) {
        assert_eq!(got.get(id), wanted.get(id), "trace {id}, {what}");
    }
}

fn told(store: &Store, query: &Query) -> Told {
    let found = store.find(query).unwrap();
    assert!(found.complete, "{:?}", found.reason);
    found.traces.into_iter().map(|trace| (trace.trace_id, (trace.matched_span_ids, trace.unknown))).collect()
}

fn open(directory: &Path) -> Store {
    let builder = Store::builder(directory).durability(Durability::Buffered).seal_automatically(false);
    builder.block_rows(1024).open().unwrap()
}

/// Without records that only their attributes tell apart: which of them is the parent of others is left open.
fn told_apart(spans: Vec<Span>) -> Vec<Span> {
    let mut seen = HashSet::new();
    spans.into_iter().filter(|span| seen.insert((span.trace_id.low(), place(span)))).collect()
}

fn live(spans: &[Span], questions: &[(Set, Ask)]) {
    let asked: Vec<Asked> = questions.iter().map(|question| asked(spans, question)).collect();
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    assert!(store.append(spans).unwrap().rejected.is_empty());
    check(&store, &asked, "head");
    store.close().unwrap();
    store = open(directory.path());
    check(&store, &asked, "head, reopened");
    store.seal().unwrap();
    check(&store, &asked, "sealed");
    check(&Store::open_read_only(directory.path()).unwrap(), &asked, "sealed, read beside");
    drop(store);
    let directory = tempfile::tempdir().unwrap();
    store = open(directory.path());
    for piece in spans.chunks((spans.len() / 3).max(1)) {
        assert!(store.append(piece).unwrap().rejected.is_empty());
        check_some(&store, &asked);
        if piece.len() % 2 == 0 || spans.len() > 1000 {
            store.seal().unwrap();
        }
    }
    check(&store, &asked, "split, some in the head");
    store.seal().unwrap();
    check(&store, &asked, "split");
    assert!(store.append(spans).unwrap().rejected.is_empty());
    check(&store, &asked, "split, delivered again");
    store.merge_all().unwrap();
    check(&store, &asked, "merged");
    store.close().unwrap();
    check(&open(directory.path()), &asked, "merged, reopened");
}

/// With only some of the spans, answers differ; they must come all the same.
fn check_some(store: &Store, asked: &[Asked]) {
    asked.iter().for_each(|asked| drop(told(store, &asked.query)));
}

fn traces(spans_of: std::ops::Range<usize>, traces: u64) -> impl Strategy<Value = Vec<Span>> {
    spans(Recipe { spans: spans_of, traces, zipkin_share: 0.3 }).prop_map(told_apart)
}

proptest! {
    #![proptest_config(cases(CASES, 1))]

    #[test]
    fn structural_conditions_find_what_every_pair_of_spans_tells(
        spans in traces(0..40, 2), questions in prop::collection::vec(question(), 8),
    ) {
        live(&spans, &questions);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 100, ..cases(2, 12) })]

    #[test]
    fn pages_cut_through_traces_and_the_structure_stays(
        spans in traces(2300..2600, 90), questions in prop::collection::vec(question(), 6),
    ) {
        live(&spans, &questions);
    }
}
