//! Pairs by a key are those that looking at every two spans tells, wherever the spans lie.
//!
//! After each event of a life of a store every question is compared with an oracle that groups a list of all living
//! spans by key and compares each a with each b. The sides are plain conditions and structural ones; some of them
//! only whole spans decide. `PROPTEST_CASES=1000` asks for more.

use std::collections::{BTreeMap, HashSet};

use crate::cases;
use crate::common::figures::text_on;
use crate::common::life::{Event, Living, event};
use crate::common::meaning::{duration, start};
use crate::common::spans::{BASE, NAMES, Recipe, spans};
use crate::common::structure::{Nodes, Set, Test, place};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use tailspan::{
    Limits, PairSpan, PairsQuery, PairsShow, SimulatedDisk, Snapshot, Span, SpanId, SpanSet, TimeRange, TraceId,
};

const SHOWS: [PairsShow; 6] = [
    PairsShow::Missing,
    PairsShow::Duplicate,
    PairsShow::Both,
    PairsShow::Before,
    PairsShow::After,
    PairsShow::Overlap,
];

#[derive(Clone, Debug)]
struct Question {
    key: &'static str,
    a: Set,
    b: Set,
    within: Option<u64>,
    since: Option<u64>,
    limit: usize,
}

fn side() -> impl Strategy<Value = Set> {
    let asks = |field: &str, sign: &str, value: &str| {
        Set::Spans(Test::Asks(field.to_owned(), sign.to_owned(), value.to_owned()))
    };
    let plain = prop_oneof![
        3 => Just(Set::Spans(Test::Constant(true))),
        4 => select(&NAMES[..]).prop_map(move |name| asks("name", "=", &format!("\"{name}\""))),
        3 => select(vec!["client", "producer", "internal"]).prop_map(move |kind| asks("kind", "!=", kind)),
        1 => Just(asks("duration", ">", "3")),
        1 => Just(Set::Spans(both(true))),
        1 => Just(Set::Spans(both(false))),
        // Only whole spans tell.
        1 => Just(asks("span:childCount", ">=", "0")),
    ]
    .boxed();
    let related = |(a, sign, b): (Set, &str, Set)| Set::Related(Box::new(a), sign.to_owned(), Box::new(b));
    let joined = prop_oneof![
        3 => plain.clone(),
        2 => (plain.clone(), select(vec![">", ">>", "!~"]), plain.clone()).prop_map(related),
        1 => (plain.clone(), plain.clone()).prop_map(|(a, b)| Set::Either(Box::new(a), Box::new(b))),
        1 => (plain.clone(), plain.clone()).prop_map(|(a, b)| Set::Both(Box::new(a), Box::new(b))),
    ];
    (joined, weighted(0.1, 1..3u64)).prop_map(|(set, count)| match count {
        Some(count) => Set::Count(Box::new(set), ">".to_owned(), count),
        None => set,
    })
}

/// Two tests as one, joined by and or by or.
fn both(and: bool) -> Test {
    let asks = |field: &str, value: &str| Box::new(Test::Asks(field.to_owned(), "=".to_owned(), value.to_owned()));
    let (a, b) = (asks("name", "\"get\""), Box::new(Test::Not(asks("kind", "server"))));
    if and { Test::And(a, b) } else { Test::Or(a, b) }
}

fn question() -> impl Strategy<Value = Question> {
    let key = select(vec!["k", "k", "http.status_code", "service.name", "otel.scope.name", "nowhere"]);
    let within = weighted(0.5, select(vec![0, 2, 7, 1_000_000]));
    let since = weighted(0.2, BASE..BASE + 18);
    let limit = select(vec![0, 0, 0, 2]);
    (key, side(), weighted(0.8, side()), within, since, limit).prop_map(|(key, a, b, within, since, limit)| Question {
        key,
        b: b.unwrap_or_else(|| a.clone()),
        a,
        within,
        since,
        limit,
    })
}

/// A span with its end, and whether it is on each side.
type Member<'s> = (&'s Span, u64, [bool; 2]);

/// The spans of each key that are on a side.
fn keys<'s>(live: &'s [Span], question: &Question) -> BTreeMap<String, Vec<Member<'s>>> {
    let mut traces: BTreeMap<TraceId, Vec<&Span>> = BTreeMap::new();
    live.iter().for_each(|span| traces.entry(span.trace_id).or_default().push(span));
    let mut out: BTreeMap<String, Vec<Member<'_>>> = BTreeMap::new();
    for trace in traces.values() {
        let nodes = Nodes::new(trace);
        let sides = [nodes.members(&question.a), nodes.members(&question.b)];
        for (at, span) in nodes.spans.iter().enumerate() {
            let is = [0, 1].map(|side| sides[side][at] == Some(true));
            let key = text_on(span, &format!("attr:{}", question.key));
            if let (Some(start), Some(key)) = (start(span), key)
                && is != [false, false]
            {
                out.entry(key).or_default().push((span, start + duration(span).unwrap_or(0), is));
            }
        }
    }
    out
}

/// True if the key of these spans is shown.
fn is_shown(show: PairsShow, members: &[Member<'_>], within: Option<u64>) -> bool {
    let near = |a: &Span, b: &Span| within.is_none_or(|within| a.start_unix_nano.abs_diff(b.start_unix_nano) <= within);
    let of = |side: usize| members.iter().filter(move |member| member.2[side]);
    let partners: Vec<(&Member<'_>, &Member<'_>)> =
        of(0).flat_map(|a| of(1).map(move |b| (a, b))).filter(|(a, b)| near(a.0, b.0)).collect();
    let others = || partners.iter().filter(|(a, b)| !std::ptr::eq(a.0, b.0));
    let is_before = |(a, b): &&(&Member<'_>, &Member<'_>)| b.0.start_unix_nano < a.0.start_unix_nano;
    let overlap = |(a, b): &&(&Member<'_>, &Member<'_>)| a.0.start_unix_nano < b.1 && b.0.start_unix_nano < a.1;
    match show {
        PairsShow::Missing => {
            of(0).count() == 0
                || of(1).count() == 0
                || of(0).any(|a| !partners.iter().any(|(known, _)| std::ptr::eq(a.0, known.0)))
        }
        PairsShow::Duplicate => {
            [0, 1].into_iter().any(|side| of(side).any(|x| of(side).any(|y| !std::ptr::eq(x.0, y.0) && near(x.0, y.0))))
        }
        PairsShow::Both => others().next().is_some(),
        PairsShow::Before => others().any(|pair| is_before(&pair)),
        PairsShow::Overlap => others().any(|pair| overlap(&pair)),
        PairsShow::After => others().next().is_some() && !others().any(|pair| is_before(&pair) || overlap(&pair)),
    }
}

type Shown = (String, [Vec<(u64, TraceId, SpanId)>; 2]);

fn expected(keys: &BTreeMap<String, Vec<Member<'_>>>, question: &Question, show: PairsShow) -> Vec<Shown> {
    let since = question.since.unwrap_or(0);
    let shown = keys.iter().filter(|(_, members)| {
        members.iter().any(|member| member.0.start_unix_nano >= since) && is_shown(show, members, question.within)
    });
    let side = |members: &[Member<'_>], side: usize| {
        let own = members.iter().filter(|member| member.2[side]);
        let mut ids: Vec<_> = own.map(|(span, ..)| (span.start_unix_nano, span.trace_id, span.span_id)).collect();
        ids.sort_unstable();
        ids
    };
    let limit = if question.limit == 0 { usize::MAX } else { question.limit };
    shown.map(|(key, members)| (key.clone(), [side(members, 0), side(members, 1)])).take(limit).collect()
}

fn check(snapshot: &Snapshot, live: &[Span], question: &Question, narrow: bool, state: &str) {
    let keys = keys(live, question);
    let sets = [&question.a, &question.b].map(|set| SpanSet::parse(&set.text()).unwrap());
    for show in SHOWS {
        let mut query = PairsQuery::new(question.key, sets[0].clone(), sets[1].clone(), show);
        query.within = question.within;
        query = query.window(TimeRange { since: question.since, until: None }).limit(question.limit);
        let report = snapshot.pairs(&query).unwrap();
        let reason = report.reason.clone().unwrap_or_default();
        assert!(report.complete != (narrow && reason.contains("values_bytes_max")), "{state}: {reason}");
        let ids = |spans: Vec<PairSpan>| -> Vec<_> {
            spans.iter().map(|span| (span.start_unix_nano, span.trace_id, span.span_id)).collect()
        };
        let got: Vec<Shown> = report.keys.into_iter().map(|key| (key.key, [ids(key.a), ids(key.b)])).collect();
        let state = format!("{state}: {show:?} {} {} {question:?}", question.a.text(), question.b.text());
        if report.complete {
            assert_eq!(got, expected(&keys, question, show), "{state}");
        } else {
            let all = expected(&keys, &Question { limit: 0, ..question.clone() }, show);
            assert!(got.iter().all(|key| all.contains(key)), "{state}: {got:?} is not among {all:?}");
        }
    }
}

/// Spans, of which none that only its attributes tell apart from others: which of them is the parent of others is left open.
fn pool(recipe: Recipe) -> impl Strategy<Value = Vec<Span>> {
    spans(recipe).prop_map(|spans| {
        let mut seen = HashSet::new();
        spans.into_iter().filter(|span| seen.insert((span.trace_id, place(span)))).collect()
    })
}

fn live(pool: &[Span], events: &[Event], questions: &[Question]) {
    if pool.is_empty() {
        return;
    }
    let disk = SimulatedDisk::new(1);
    let mut living = Living::new(&disk, pool, 1024);
    for (at, event) in events.iter().enumerate() {
        let state = format!("event {at}, {event:?}");
        living.run(event, &state);
        for question in questions {
            check(&living.store().snapshot(), &living.live, question, false, &state);
        }
        // With hardly any room keys are taken share by share, and those that find none are left out.
        let mut limits = Limits::default();
        limits.values_bytes_max = if pool.len() > 100 { 150_000 } else { [3_000, 9_000][at % 2] };
        let snapshot = living.store().snapshot().with_limits(limits);
        check(&snapshot, &living.live, &questions[at % questions.len()], true, &format!("{state}, narrow"));
    }
}

proptest! {
    #![proptest_config(cases(40, 1))]

    #[test]
    fn pairs_are_those_that_looking_at_every_two_spans_tells(
        pool in pool(Recipe { spans: 1..40, traces: 4, zipkin_share: 0.3 }),
        events in vec(event(), 4..14),
        questions in vec(question(), 3),
    ) {
        live(&pool, &events, &questions);
    }
}

proptest! {
    #![proptest_config(cases(1, 40))]

    #[test]
    fn pairs_are_found_where_pages_cut_through_traces(
        pool in pool(Recipe { spans: 2300..2500, traces: 60, zipkin_share: 0.2 }),
        events in vec(event(), 3..5),
        questions in vec(question(), 4),
    ) {
        live(&pool, &events, &questions);
    }
}
