//! The figures of `latency`, `slowest`, `heatmap`, `series`, `compare`, `links`, `pairs` and `wait`, `--where`, and what
//! needs the trees of traces, over one sealed segment.
//!
//! The workload is seeded: calls between 20 services with 10 operations each, a few of which have most of the calls,
//! over four hours. Durations have a long tail, one call in 150 fails, and a tenth of the traces was sampled.
//! Throughput is spans of the store a second, whatever the question needs to read of them.

mod common {
    pub mod stores;
    pub mod workload;
}

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1 as pb;
use tailspan::{
    Durability, GroupKey, LatencyQuery, LatencyReport, LatencyUnit, LinksQuery, PairsQuery, PairsShow, Quantile, Query,
    SeriesQuery, Snapshot, SpanSet, WaitKey, WaitQuery,
};

use common::stores::{fill, open};
use common::workload::{BEGIN, Dice, attribute, messages, text, trace_id};

const TRACES: u64 = 30_000;
const SPANS_A_TRACE: u64 = 11;
const SPANS: u64 = TRACES * SPANS_A_TRACE;
const SERVICES: u64 = 20;
const OPERATIONS: u64 = 10;
const HOURS_NANO: u64 = 4 * 3_600 * 1_000_000_000;
const MINUTE_NANO: u64 = 60 * 1_000_000_000;
const CHANNELS: [&str; 4] = ["web", "app", "branch", "partner"];

/// A number below `of`; small ones come more often.
fn skewed(of: u64, dice: &mut Dice) -> u64 {
    (dice.next() % of).min(dice.next() % of).min(dice.next() % of)
}

/// A call of an operation, which takes longer the less it is called, and longer still in the last hour of one service.
fn call(trace: u64, index: u64, dice: &mut Dice) -> (usize, pb::Span) {
    let (service, operation) = (skewed(SERVICES, dice), skewed(OPERATIONS, dice));
    let start = BEGIN + trace * (HOURS_NANO / TRACES) + index * 300_000 + dice.next() % 100_000;
    let failed = dice.next().is_multiple_of(150);
    let slower = if service == 3 && start - BEGIN > HOURS_NANO / 4 * 3 { 5 } else { 1 };
    let span = pb::Span {
        trace_id: trace_id(trace).to_vec(),
        span_id: (dice.next() | 1).to_be_bytes().to_vec(),
        trace_state: if trace.is_multiple_of(10) { "ot=th:c".to_owned() } else { String::new() },
        name: format!("operation-{operation}"),
        kind: (2 + index % 2) as i32,
        flags: 1,
        start_time_unix_nano: start,
        end_time_unix_nano: start + dice.duration() * (1 + operation) * slower,
        status: Some(pb::Status { message: String::new(), code: if failed { 2 } else { 0 } }),
        attributes: vec![
            text("http.request.method", if dice.next().is_multiple_of(4) { "POST" } else { "GET" }),
            text("url.path", format!("/api/orders/{}", dice.next() % 50_000)),
            attribute("http.response.status_code", Value::IntValue(if failed { 500 } else { 200 })),
            text("app.channel", CHANNELS[(trace % 7 % 4) as usize]),
            text("app.tenant", format!("tenant-{:02}", skewed(50, dice))),
            text("app.user.id", format!("u-{:06}", trace * 7919 % 200_000)),
        ],
        ..Default::default()
    };
    (service as usize, span)
}

/// The calls of a trace: each has an earlier one as its parent.
fn calls(trace: u64, dice: &mut Dice) -> Vec<(usize, pb::Span)> {
    let mut calls: Vec<(usize, pb::Span)> = Vec::new();
    for index in 0..SPANS_A_TRACE {
        let mut call = call(trace, index, dice);
        let parent = (dice.next() % index.max(1)) as usize;
        call.1.parent_span_id = calls.get(parent).map(|(_, span)| span.span_id.clone()).unwrap_or_default();
        calls.push(call);
    }
    calls
}

fn quantiles(texts: &[&str]) -> Vec<Quantile> {
    texts.iter().map(|text| Quantile::parse(text).expect("a quantile")).collect()
}

fn keys(text: &str) -> Vec<GroupKey> {
    GroupKey::parse_list(text).expect("keys")
}

type Group<'c> = BenchmarkGroup<'c, WallTime>;

fn group<'c>(c: &'c mut Criterion, name: &str) -> Group<'c> {
    let mut group = c.benchmark_group(name);
    group.sample_size(10).measurement_time(Duration::from_secs(3)).throughput(Throughput::Elements(SPANS));
    group
}

fn latency(c: &mut Criterion, snapshot: &Snapshot) {
    let operation = || Query::new().service("service-01").name("operation-2");
    let tails = quantiles(&["0.99", "0.999"]);
    let stages = LatencyUnit::Stages(["operation-0", "operation-3"].map(str::to_owned).to_vec());
    let every = LatencyQuery::new(Query::new()).by(keys("service,name"));
    let branch = Query::new().tag_text("app.channel=branch").expect("a tag filter");
    let questions = [
        ("one operation", LatencyQuery::new(operation())),
        ("every operation", every.clone()),
        ("high quantiles of every operation", every.clone().quantiles(tails)),
        ("every operation with an attribute", LatencyQuery::new(branch).by(keys("service,name"))),
        ("every operation, by an attribute too", every.clone().by(keys("service,name,attr:app.channel"))),
        ("every operation, adjusted", every.adjusted(true)),
        ("traces of an operation", LatencyQuery::new(operation()).of(LatencyUnit::Trace)),
        ("every trace", LatencyQuery::new(Query::new()).of(LatencyUnit::Trace)),
        ("two stages of every trace", LatencyQuery::new(Query::new()).of(stages)),
    ];
    let mut group = group(c, "latency");
    for (name, question) in questions {
        group.bench_function(name, |b| {
            b.iter(|| {
                let report: LatencyReport = snapshot.latency(black_box(&question)).expect("a sound question");
                assert!(!report.groups.is_empty() && report.complete);
            });
        });
    }
    group.finish();
}

fn slowest(c: &mut Criterion, snapshot: &Snapshot) {
    let mut group = group(c, "slowest");
    for (name, filter) in [("all", Query::new()), ("a service", Query::new().service("service-03"))] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let report = snapshot.slowest_spans(black_box(&filter), 20).expect("a sound question");
                assert!(report.items.len() == 20 && report.complete);
            });
        });
    }
    group.finish();
}

fn over_time(c: &mut Criterion, snapshot: &Snapshot) {
    let mut group = group(c, "over time");
    group.bench_function("heat map by minute", |b| {
        b.iter(|| {
            let map = snapshot.heat_map(black_box(&Query::new()), MINUTE_NANO).expect("a sound question");
            assert!(!map.cells.is_empty() && map.complete);
        });
    });
    let series = SeriesQuery::new(Query::new(), MINUTE_NANO).by(keys("service"));
    let questions = [
        ("series by service and minute", series.clone()),
        ("the same with quantiles", series.quantiles(quantiles(&["0.5", "0.99"]))),
    ];
    for (name, question) in questions {
        group.bench_function(name, |b| {
            b.iter(|| {
                let series = snapshot.series(black_box(&question)).expect("a sound question");
                assert!(!series.points.is_empty() && series.complete);
            });
        });
    }
    group.finish();
}

fn compare(c: &mut Criterion, snapshot: &Snapshot) {
    let slow = Query::new().service("service-03").min_duration(Duration::from_millis(50));
    let all = Query::new().service("service-03");
    let quantiles = quantiles(&["0.5", "0.99"]);
    let mut group = group(c, "compare");
    group.bench_function("the slow spans of a service with all of it", |b| {
        b.iter(|| {
            let found = snapshot.compare(black_box(&slow), &all, &quantiles).expect("a sound question");
            assert!(found.selection_total > 0 && found.complete);
        });
    });
    group.finish();
}

fn links(c: &mut Criterion, snapshot: &Snapshot) {
    let questions = [("counts", LinksQuery::new().quantiles(Vec::new())), ("four quantiles", LinksQuery::new())];
    let mut group = group(c, "links");
    for (name, question) in questions {
        group.bench_function(name, |b| {
            b.iter(|| {
                let report = snapshot.links(black_box(&question)).expect("a sound question");
                assert!(!report.links.is_empty() && report.complete);
            });
        });
    }
    group.finish();
}

fn structure(c: &mut Criterion, snapshot: &Snapshot) {
    let questions = [
        ("descendants", r#"{ resource.service.name = "service-01" } >> { resource.service.name = "service-02" }"#),
        ("children", r#"{ kind = server } > { kind = client }"#),
        ("without ancestors", r#"{ resource.service.name = "service-01" } !>> { name = "operation-2" }"#),
        ("siblings that fail", r#"{ status = error } ~ { status = error }"#),
        (
            "an attribute below a service",
            r#"{ resource.service.name = "service-01" } >> { .app.tenant = "tenant-03" }"#,
        ),
        ("many of a kind", r#"{ kind = client } | count() > 4"#),
    ];
    let mut group = group(c, "where");
    for (name, text) in questions {
        let question = LatencyQuery::new(Query::new().structure_text(text).expect("an expression"));
        group.bench_function(name, |b| {
            b.iter(|| {
                let report = snapshot.latency(black_box(&question)).expect("a sound question");
                assert!(!report.groups.is_empty() && report.complete);
            });
        });
    }
    group.finish();
}

fn trees(c: &mut Criterion, snapshot: &Snapshot) {
    let mut group = group(c, "trees");
    let all = Query::new();
    group.bench_function("critical paths of all traces", |b| {
        b.iter(|| {
            let report = snapshot.critical_path(black_box(&all)).expect("a sound question");
            assert!(report.traces > 0 && report.complete);
        });
    });
    group.bench_function("fan-out of three", |b| {
        b.iter(|| {
            let report = snapshot.fanout(black_box(&all), 3, 20).expect("a sound question");
            assert!(!report.items.is_empty() && report.complete);
        });
    });
    group.bench_function("root causes", |b| {
        b.iter(|| {
            let report = snapshot.root_causes(black_box(&all), 20).expect("a sound question");
            assert!(!report.items.is_empty() && report.complete);
        });
    });
    group.bench_function("concurrency by minute", |b| {
        b.iter(|| {
            let answer = snapshot.concurrency(black_box(&all), MINUTE_NANO).expect("a sound question");
            assert!(!answer.steps.is_empty() && answer.complete);
        });
    });
    group.finish();
}

fn pairs(c: &mut Criterion, snapshot: &Snapshot) {
    let side = |method: &str| {
        let text = format!("{{ kind = server && span.http.request.method = \"{method}\" }}");
        SpanSet::parse(&text).expect("an expression")
    };
    let mut group = group(c, "pairs");
    for (name, show) in [("missing by user", PairsShow::Missing), ("overlapping by user", PairsShow::Overlap)] {
        let question = PairsQuery::new("app.user.id", side("GET"), side("POST"), show);
        group.bench_function(name, |b| {
            b.iter(|| {
                let report = snapshot.pairs(black_box(&question)).expect("a sound question");
                assert!(!report.keys.is_empty() && report.complete);
            });
        });
    }
    group.finish();
}

/// The same, as messages: every other span receives what the one before it sent, and some link to the first, too.
fn sent(trace: u64, dice: &mut Dice) -> Vec<(usize, pb::Span)> {
    let mut spans = calls(trace, dice);
    let ids: Vec<Vec<u8>> = spans.iter().map(|(_, span)| span.span_id.clone()).collect();
    for (at, (_, span)) in spans.iter_mut().enumerate() {
        span.kind = if at % 2 == 0 { 4 } else { 5 };
        if at % 2 == 1 {
            span.parent_span_id.clone_from(&ids[at - 1]);
            span.attributes.push(text("messaging.destination.name", format!("queue-{}", at % 8)));
        }
        if at % 4 == 1 {
            let link =
                pb::span::Link { trace_id: span.trace_id.clone(), span_id: ids[0].clone(), ..Default::default() };
            span.links.push(link);
        }
    }
    spans
}

fn wait(c: &mut Criterion, services: &[String]) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = open(&directory, Durability::Buffered);
    fill(&store, &messages(services, 0..TRACES, sent));
    store.seal().expect("sealing works");
    let (snapshot, question) = (store.snapshot(), WaitQuery::new(Query::new()).by(vec![WaitKey::Destination]));
    let mut group = group(c, "wait");
    group.bench_function("by destination, by parents and links", |b| {
        b.iter(|| {
            let report = snapshot.wait(black_box(&question)).expect("a sound question");
            assert!(!report.groups.is_empty() && report.complete);
        });
    });
    group.finish();
}

fn figures(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = open(&directory, Durability::Buffered);
    let services: Vec<String> = (0..SERVICES).map(|service| format!("service-{service:02}")).collect();
    fill(&store, &messages(&services, 0..TRACES, calls));
    store.seal().expect("sealing works");
    let snapshot = store.snapshot();
    latency(c, &snapshot);
    slowest(c, &snapshot);
    over_time(c, &snapshot);
    compare(c, &snapshot);
    links(c, &snapshot);
    structure(c, &snapshot);
    trees(c, &snapshot);
    pairs(c, &snapshot);
    wait(c, &services);
}

criterion_group!(benches, figures);
criterion_main!(benches);
