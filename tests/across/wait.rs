//! Waits of messages are those that a list of all spans tells, wherever producers and consumers lie.
//!
//! The pool's spans are mostly producers and consumers, some below spans of no kind, and link to each other across
//! traces. The oracle looks every producer up in the list; parents are those of `common/structure.rs`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tailspan::{Limits, SimulatedDisk, Snapshot, Span, SpanKind, TraceId, WaitKey, WaitQuery};

use crate::common::ask::Ask;
use crate::common::figures::{Figure, Group, Sample, figure, text_on};
use crate::common::found::matching_traces;
use crate::common::life::{Event, Living, event};
use crate::common::meaning::{duration, is_shared, kind, start, status};
use crate::common::queries::ask;
use crate::common::spans::{Recipe, spans};
use crate::common::structure::{Nodes, place};
use crate::{THOUSANDTHS, cases, figure_of, quantiles};

const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

/// Spans that send and receive, of which none that only its attributes tell apart from others.
fn pool(recipe: Recipe) -> impl Strategy<Value = Vec<Span>> {
    (spans(recipe), vec(any::<Index>(), 1..20)).prop_map(|(mut spans, targets)| {
        let ids: Vec<(TraceId, u64)> = spans.iter().map(|span| (span.trace_id, span.span_id.get())).collect();
        let mut targets = targets.iter().cycle();
        for span in &mut spans {
            span.kind = match span.kind.0 {
                2 if !is_shared(span) => SpanKind(CONSUMER),
                3 => SpanKind(PRODUCER),
                _ => span.kind,
            };
            for link in span.links.iter_mut().filter(|link| link.trace_id.is_some() && link.span_id.is_some()) {
                let (trace, id) = targets.next().unwrap().get(&ids);
                (link.trace_id, link.span_id) = (Some(trace.to_bytes()), Some(id.to_be_bytes()));
            }
            for attribute in &mut span.attributes {
                let key = match attribute.key.as_str() {
                    "http.status_code" => "messaging.destination.name",
                    "error" => "messaging.consumer.group.name",
                    "db.system" | "peer.service" => "messaging.kafka.consumer.group",
                    _ => continue,
                };
                if !matches!(span.origin, tailspan::Origin::Zipkin { .. }) {
                    attribute.key = key.to_owned();
                }
            }
        }
        let mut seen = HashSet::new();
        spans.retain(|span| seen.insert((span.trace_id, place(span))));
        spans
    })
}

/// The producers of a consumer, each once.
fn producers<'s>(nodes: &Nodes<'s>, at: usize, live: &'s [Span]) -> Vec<&'s Span> {
    let mut found: Vec<&Span> = Vec::new();
    let parent_of = |at: usize| nodes.parents[at].filter(|parent| *parent < nodes.spans.len());
    found.extend(parent_of(at).map(|parent| nodes.spans[parent]).filter(|span| kind(span) == PRODUCER));
    for link in &nodes.spans[at].links {
        let (Some(trace), Some(id)) = (link.trace_id, link.span_id) else { continue };
        let is_target = |span: &&Span| span.trace_id.to_bytes() == trace && span.span_id.to_bytes() == id;
        let of_id = live.iter().filter(is_target).filter(|span| kind(span) == PRODUCER);
        let first = of_id.min_by_key(|span| (start(span).is_none(), start(span), duration(span)));
        if let Some(first) = first
            && !found.iter().any(|known| (known.trace_id, known.span_id) == (first.trace_id, first.span_id))
        {
            found.push(first);
        }
    }
    found
}

fn texts(span: &Span, by: &[&str]) -> Group {
    let text = |key: &&str| match *key {
        "destination" => text_on(span, "attr:messaging.destination.name"),
        "group" => text_on(span, "attr:messaging.consumer.group.name")
            .or_else(|| text_on(span, "attr:messaging.kafka.consumer.group")),
        key => text_on(span, key),
    };
    by.iter().map(text).collect()
}

/// The figures of each group and how many of its consumers came early, in order.
fn expected(live: &[Span], ask: &Ask, by: &[&str]) -> Vec<(Group, Figure, u64)> {
    let mut groups: BTreeMap<Group, (Vec<Sample>, u64)> = BTreeMap::new();
    for (trace, matched) in matching_traces(live, ask) {
        let nodes = Nodes::new(&trace);
        for span in matched.into_iter().filter(|span| kind(span) == CONSUMER) {
            let at = nodes.spans.iter().position(|other| std::ptr::eq(*other, span)).unwrap();
            for producer in producers(&nodes, at, live) {
                let end = start(producer).map(|start| start + duration(producer).unwrap_or(0));
                let (samples, early) = groups.entry(texts(span, by)).or_default();
                *early += u64::from(end.is_some_and(|end| span.start_unix_nano < end));
                samples.push(Sample {
                    duration: end.map(|end| span.start_unix_nano.saturating_sub(end)),
                    trace: span.trace_id,
                    span: Some(span.span_id),
                    error: status(span) == 2,
                    start: span.start_unix_nano,
                });
            }
        }
    }
    let of_group =
        |(group, (samples, early)): (Group, (Vec<Sample>, u64))| (group, figure(&samples, &THOUSANDTHS), early);
    let mut out: Vec<_> = groups.into_iter().map(of_group).collect();
    out.sort_by_key(|(_, figure, _)| Reverse(figure.count));
    out
}

fn check(snapshot: &Snapshot, live: &[Span], (ask, by): &(Ask, Vec<&str>), state: &str) {
    let keys: Vec<WaitKey> = by.iter().map(|key| key.parse().unwrap()).collect();
    let report = snapshot.wait(&WaitQuery::new(ask.query()).quantiles(quantiles()).by(keys)).unwrap();
    assert!(report.complete, "{state}: {:?}", report.reason);
    let got: Vec<_> = report
        .groups
        .iter()
        .map(|group| {
            let (texts, figure) = figure_of(&group.figures);
            (texts, figure, group.early)
        })
        .collect();
    assert_eq!(got, expected(live, ask, by), "{state}: {ask:?} {by:?}");
}

type Question = (Ask, Vec<&'static str>);

fn question() -> impl Strategy<Value = Question> {
    let by = select(vec![
        vec![],
        vec!["destination"],
        vec!["group"],
        vec!["group", "destination"],
        vec!["service", "group"],
        vec!["attr:k"],
    ]);
    (ask(), prop::bool::weighted(0.5), by).prop_map(|(ask, all, by)| {
        let ask = if all { Ask::default() } else { Ask { lenient: false, ..ask } };
        (ask, by)
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
        let snapshot = living.store().snapshot();
        questions.iter().for_each(|question| check(&snapshot, &living.live, question, &state));
        let mut limits = Limits::default();
        limits.values_bytes_max = 1;
        let (ask, _) = &questions[at % questions.len()];
        let wanted = expected(&living.live, ask, &[]);
        let report = snapshot.with_limits(limits).wait(&WaitQuery::new(ask.query())).unwrap();
        let durations: u64 = wanted.iter().map(|(_, figure, _)| figure.duration_count).sum();
        assert_eq!(report.complete, durations <= 1, "{state}: {:?}", report.reason);
    }
}

proptest! {
    #![proptest_config(cases(300, 1))]

    #[test]
    fn waits_are_those_that_a_list_of_all_spans_tells(
        pool in pool(Recipe { spans: 1..50, traces: 4, zipkin_share: 0.3 }),
        events in vec(event(), 4..14),
        questions in vec(question(), 3),
    ) {
        live(&pool, &events, &questions);
    }
}

proptest! {
    #![proptest_config(cases(1, 40))]

    #[test]
    fn waits_are_told_where_pages_cut_through_traces(
        pool in pool(Recipe { spans: 2300..2500, traces: 60, zipkin_share: 0.2 }),
        events in vec(event(), 3..5),
        questions in vec(question(), 4),
    ) {
        live(&pool, &events, &questions);
    }
}
