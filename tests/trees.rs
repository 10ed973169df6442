//! Critical paths, fan-out, root causes and concurrency are what looking at every pair of spans tells, in every state
//! of a store.
//!
//! Traces lack parents, have several roots, cycles, shared ids, spans without a start or an end and clocks that
//! disagree. The oracle in `common/trees.rs` knows no storage and no order of rows, and shares no code with the
//! engine. `PROPTEST_CASES=1000` asks for more.

mod common {
    pub mod ask;
    pub mod found;
    pub mod lives;
    pub mod matching;
    pub mod meaning;
    pub mod queries;
    pub mod spans;
    pub mod structure;
    pub mod tags;
    pub mod trees;
    pub mod values;
}

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use common::ask::Ask;
use common::found::matching_traces;
use common::lives::each_state;
use common::queries::ask;
use common::spans::{Recipe, spans};
use common::structure::{Nodes, Set, Test, place};
use common::trees::{self, Group, Hung, Operation, operation};
use proptest::prelude::*;
use proptest::sample::select;
use tailspan::{Limits, Query, QueryScope, Snapshot, Span, Store, TraceId};

const CASES: u32 = 24;
/// Lines that the answers under narrow limits may have.
const ROOM: usize = 12;

fn cases(default: u32, share: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse::<u32>().ok());
    let cases = asked.map_or(default, |asked| (asked / share).max(1));
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 300, ..ProptestConfig::default() }
}

/// Filters, perhaps with a structural condition, and what else the commands take.
#[derive(Clone, Debug)]
struct Question {
    ask: Ask,
    set: Option<Set>,
    min: usize,
    limit: usize,
    step: u64,
}

fn question() -> impl Strategy<Value = Question> {
    let test = |field: &str, value: &str| Box::new(Test::Asks(field.to_owned(), "=".to_owned(), value.to_owned()));
    let all = || Box::new(Set::Spans(Test::Constant(true)));
    let failed = || Box::new(Set::Spans(*test("status", "error")));
    let named = Test::And(test("name", "\"get\""), Box::new(Test::Not(test("kind", "server"))));
    let calls = Test::Or(Box::new(named), test("kind", "client"));
    let sets = vec![
        Set::Related(all(), ">".into(), all()),
        Set::Related(failed(), "!>>".into(), failed()),
        Set::Related(failed(), "<".into(), all()),
        Set::Either(failed(), Box::new(Set::Spans(calls))),
        Set::Count(Box::new(Set::Both(failed(), all())), "<".into(), 5),
    ];
    let plain = prop_oneof![1 => Just(Ask::default()), 3 => ask()];
    let steps = vec![1, 3, 7, 1_000_000, 60_000_000_000, u64::MAX];
    (plain, proptest::option::weighted(0.2, select(sets)), 1..4usize, 0..4usize, select(steps)).prop_map(
        |(ask, set, min, limit, step)| {
            let scope = if set.is_some() { QueryScope::Span } else { ask.scope };
            Question { ask: Ask { lenient: false, scope, ..ask }, set, min, limit, step }
        },
    )
}

impl Question {
    fn query(&self) -> Query {
        let query = self.ask.query();
        match &self.set {
            Some(set) => query.structure_text(&set.text()).unwrap(),
            None => query,
        }
    }

    /// Every trace with a matching span, and these spans.
    fn traces<'s>(&self, live: &'s [Span]) -> Vec<(Nodes<'s>, Vec<&'s Span>)> {
        let traces = matching_traces(live, &self.ask).into_iter().map(|(trace, mut matched)| {
            let nodes = Nodes::new(&trace);
            if let Some(set) = &self.set {
                let members = nodes.members(set);
                let at = |span: &Span| nodes.spans.iter().position(|other| std::ptr::eq(*other, span)).unwrap();
                matched.retain(|span| members[at(span)] == Some(true));
            }
            (nodes, matched)
        });
        traces.filter(|(_, matched)| !matched.is_empty()).collect()
    }

    fn check(&self, store: &Store, live: &[Span], state: &str) {
        let (snapshot, traces) = (store.snapshot(), self.traces(live));
        let state = format!("{state}: {self:?}");
        self.check_paths(&snapshot, &traces, &state);
        self.check_fanout(&snapshot, &traces, &state);
        self.check_root_causes(&snapshot, &traces, &state);
        self.check_concurrency(&snapshot, &traces, &state);
    }

    fn check_paths(&self, snapshot: &Snapshot, traces: &[(Nodes<'_>, Vec<&Span>)], state: &str) {
        let mut wanted: BTreeMap<Operation, (u128, u128, BTreeSet<usize>)> = BTreeMap::new();
        for (number, (nodes, _)) in traces.iter().enumerate() {
            let hung = Hung::new(nodes);
            for (at, from, to) in hung.path() {
                let sum = wanted.entry(operation(hung.span(at))).or_default();
                sum.0 += u128::from(to - from);
                sum.2.insert(number);
            }
            for (at, span) in nodes.spans.iter().enumerate() {
                wanted.entry(operation(span)).or_default().1 += u128::from(hung.self_time(at));
            }
        }
        let all: u128 = wanted.values().map(|sum| sum.0).sum();
        let mut wanted: Vec<_> = wanted.into_iter().filter(|(_, sum)| sum.0 > 0).collect();
        wanted.sort_by_key(|(operation, sum)| (Reverse(sum.0), operation.clone()));
        let report = snapshot.critical_path(&self.query()).unwrap();
        assert!(report.complete, "{state}: {:?}", report.reason);
        assert_eq!(report.path_nano, all, "{state}: all paths");
        let got: Vec<_> = report
            .shares
            .iter()
            .map(|s| ((s.service.clone(), s.name.clone()), (s.path_nano, s.self_time_nano, s.trace_count, s.share)))
            .collect();
        let wanted: Vec<_> = wanted
            .into_iter()
            .map(|(operation, sum)| (operation, (sum.0, sum.1, sum.2.len() as u64, sum.0 as f64 / all as f64)))
            .collect();
        assert_eq!(got, wanted, "{state}: critical paths");
    }

    fn check_fanout(&self, snapshot: &Snapshot, traces: &[(Nodes<'_>, Vec<&Span>)], state: &str) {
        let found = traces.iter().flat_map(|(nodes, matched)| trees::fanout(nodes, matched, self.min));
        let mut wanted: Vec<Group> = found.collect();
        wanted.sort();
        wanted.truncate(if self.limit == 0 { usize::MAX } else { self.limit });
        let report = snapshot.fanout(&self.query(), self.min as u64, self.limit).unwrap();
        assert!(report.complete, "{state}: {:?}", report.reason);
        let group = |f: &tailspan::Fanout| {
            let (parent, child) =
                ((f.service.clone(), f.name.clone()), (f.child_service.clone(), f.child_name.clone()));
            let facts = (f.errors, f.retries, f.parallel, f.busy_nano);
            (Reverse(f.count), f.trace_id.to_bytes(), f.parent_span_id, child, parent, facts)
        };
        assert_eq!(report.items.iter().map(group).collect::<Vec<Group>>(), wanted, "{state}: fan-out");
    }

    fn check_root_causes(&self, snapshot: &Snapshot, traces: &[(Nodes<'_>, Vec<&Span>)], state: &str) {
        let found = traces.iter().flat_map(|(nodes, matched)| trees::root_causes(nodes, matched));
        let mut wanted: Vec<trees::Cause> = found.collect();
        wanted.sort();
        let cause = |c: &tailspan::RootCause| {
            let time = Reverse((c.duration_nano, c.start_unix_nano));
            let operation = (c.service.clone(), c.name.clone());
            (time, c.trace_id.to_bytes(), c.span_id, operation, c.status_message.clone())
        };
        let got = |limit: usize| {
            let report = snapshot.root_causes(&self.query(), limit).unwrap();
            assert!(report.complete, "{state}: {:?}", report.reason);
            report.items.iter().map(cause).collect::<Vec<trees::Cause>>()
        };
        assert_eq!(got(0), wanted, "{state}: root causes");
        if self.limit > 0 {
            assert_eq!(got(self.limit).len(), wanted.len().min(self.limit), "{state}: {} root causes", self.limit);
        }
    }

    fn check_concurrency(&self, snapshot: &Snapshot, traces: &[(Nodes<'_>, Vec<&Span>)], state: &str) {
        let matched: Vec<&Span> = traces.iter().flat_map(|(_, matched)| matched.iter().copied()).collect();
        let (wanted, more) = trees::concurrency(&matched, self.step, ROOM);
        // Little room for lines, and for what is read at once.
        let mut limits = Limits::default();
        (limits.groups_max, limits.values_bytes_max) = (ROOM, 300);
        let answer = snapshot.clone().with_limits(limits).concurrency(&self.query(), self.step).unwrap();
        assert_eq!(answer.complete, !more, "{state}: {:?}", answer.reason);
        let got: Vec<_> = answer.steps.iter().map(|s| (s.start_unix_nano, s.max, s.mean)).collect();
        assert_eq!(got.len(), wanted.len(), "{state}: concurrency");
        for (got, (begin, most, time)) in got.into_iter().zip(wanted) {
            let mean = time as f64 / self.step as f64;
            assert_eq!((got.0, got.1), (begin, most), "{state}: concurrency");
            assert!((got.2 - mean).abs() <= mean * 1e-15, "{state}: concurrency: {} is not {mean}", got.2);
        }
    }
}

/// The path of every trace by itself.
fn check_traces(store: &Store, live: &[Span], state: &str) {
    let mut traces: BTreeMap<TraceId, Vec<&Span>> = BTreeMap::new();
    live.iter().for_each(|span| traces.entry(span.trace_id).or_default().push(span));
    for (id, trace) in traces {
        let nodes = Nodes::new(&trace);
        let hung = Hung::new(&nodes);
        let path = store.trace_critical_path(id).unwrap().unwrap();
        let shown = |at: usize, from: u64, to: u64| (hung.span(at).span_id, operation(hung.span(at)), from, to);
        let wanted: Vec<_> = hung.path().into_iter().map(|(at, from, to)| shown(at, from, to)).collect();
        let end_of = |at: usize| trees::end(hung.span(at)).unwrap();
        let late: Vec<_> =
            hung.late().into_iter().map(|at| shown(at, hung.span(at).start_unix_nano, end_of(at))).collect();
        let of = |is_late: bool| {
            let pieces = path.pieces.iter().filter(move |piece| piece.late == is_late);
            let shown = |piece: &tailspan::PathPiece| {
                let operation = (piece.service.clone(), piece.name.clone());
                (piece.span_id, operation, piece.start_unix_nano, piece.end_unix_nano)
            };
            pieces.map(shown).collect::<Vec<_>>()
        };
        assert_eq!(of(false), wanted, "{state}: path of {id}");
        let sorted = |mut late: Vec<(_, Operation, u64, u64)>| {
            late.sort_by_key(|(id, operation, from, to)| (*from, *id, *to, operation.clone()));
            late
        };
        assert_eq!(sorted(of(true)), sorted(late), "{state}: late spans of {id}");
        assert_eq!(path.root_span_id, hung.span(hung.root).span_id, "{state}: root of {id}");
        let tiles: u64 = wanted.iter().map(|(_, _, from, to)| to - from).sum();
        assert_eq!(tiles, path.duration_nano.unwrap_or(0), "{state}: the pieces of {id} tile its root");
    }
    assert_eq!(store.trace_critical_path(TraceId::from_halves(77, 77).unwrap()).unwrap(), None);
}

fn live(spans: &[Span], questions: &[Question]) {
    each_state(spans, &mut |store, live, state| {
        check_traces(store, live, state);
        questions.iter().for_each(|question| question.check(store, live, state));
    });
}

/// Without records that only their parents and attributes tell apart: which of them comes first is left open.
fn told_apart(spans: Vec<Span>) -> Vec<Span> {
    let mut seen = HashSet::new();
    let place = |span: &Span| place(&Span { parent_span_id: None, ..span.clone() });
    spans.into_iter().filter(|span| seen.insert((span.trace_id.low(), place(span)))).collect()
}

fn traces(spans_of: std::ops::Range<usize>, traces: u64) -> impl Strategy<Value = Vec<Span>> {
    spans(Recipe { spans: spans_of, traces, zipkin_share: 0.3 }).prop_map(told_apart)
}

proptest! {
    #![proptest_config(cases(CASES, 1))]

    #[test]
    fn trees_tell_what_every_pair_of_spans_tells(
        spans in traces(0..40, 3), questions in prop::collection::vec(question(), 5),
    ) {
        live(&spans, &questions);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 60, ..cases(2, 12) })]

    #[test]
    fn pages_cut_through_traces_and_the_trees_stay(
        spans in traces(2300..2600, 90), questions in prop::collection::vec(question(), 4),
    ) {
        live(&spans, &questions);
    }
}
