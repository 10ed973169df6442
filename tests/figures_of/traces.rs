//! Figures of traces and stages where their rows are cut: by pages and blocks, by parts, by windows, by deletes.
//!
//! Traces of 1 to 2,600 spans lie next to each other, so that some begin and end inside a page of 1,024 rows and
//! some span several. One deep span tells the channel, another the tenant; some traces have neither. In each
//! state of a store every question is compared with the oracle of `common/figures.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::common::ask::Ask;
use crate::common::figures::{self, Figure, Group, Sample, figure};
use crate::figure_of;
use tailspan::{
    GroupKey, KeyValue, LatencyQuery, LatencyUnit, Limits, Origin, Quantile, Resource, Scope, SimulatedDisk, Snapshot,
    Span, SpanId, SpanKind, Status, StatusCode, Store, TraceId,
};

const BEGIN: u64 = 1_700_000_000_000_000_000;
const NAMES: [&str; 4] = ["receive", "check", "pay", "notify"];
const STAGES: [&str; 4] = ["pay", "notify", "absent", "deep"];

fn id(trace: u64) -> TraceId {
    TraceId::from_halves(trace % 2, 1 + trace).unwrap()
}

/// The spans of a trace, the first of them the parent of all others.
fn trace(number: u64, len: u64) -> Vec<Span> {
    let service = ["web", "bank", "mail"];
    let span = |n: u64| {
        let start = BEGIN + number * 1_000_000 + n * 37 % 1_009;
        let mut attributes = Vec::new();
        if n == len / 2 && !number.is_multiple_of(3) {
            attributes.push(KeyValue::new("channel", ["app", "web", "branch"][(number % 5 % 3) as usize]));
        }
        if n == len - 1 && !number.is_multiple_of(4) {
            attributes.push(KeyValue::new("tenant", (number % 3) as i64));
        }
        if n % 97 == 5 {
            attributes.push(KeyValue::new("channel", "batch"));
        }
        let service = KeyValue::new("service.name", service[(n % 7 % 3) as usize]);
        let failed = Status { code: StatusCode::ERROR, message: String::new() };
        Span {
            resource: Arc::new(Resource { present: true, attributes: vec![service], ..Resource::default() }),
            scope: Arc::new(Scope::default()),
            trace_id: id(number),
            span_id: SpanId::from_u64(n + 1).unwrap(),
            parent_span_id: SpanId::from_u64(n.min(1)),
            trace_state: String::new(),
            flags: 0,
            name: if n == 11 { "deep" } else { NAMES[((n + number) % 4) as usize] }.to_owned(),
            kind: SpanKind::INTERNAL,
            // Some have no start, some no end.
            start_unix_nano: if n % 211 == 210 { 0 } else { start },
            end_unix_nano: if n % 13 == 12 { 0 } else { start + 1 + (n * number * 7) % 5_003 },
            attributes,
            dropped_attributes_count: 0,
            events: Vec::new(),
            dropped_events_count: 0,
            links: Vec::new(),
            dropped_links_count: 0,
            status: (n * 31 % 1_013 == 40 + number % 7).then_some(failed),
            origin: Origin::Otlp,
        }
    };
    (0..len).map(span).collect()
}

fn spans() -> Vec<Span> {
    let lens = [1, 2_600, 3, 1_020, 5, 12, 1, 40, 2_048, 1, 7, 300, 1_500];
    let many = (0..40).map(|n| 1 + n * 17 % 23);
    (0..).zip(lens.into_iter().chain(many)).flat_map(|(number, len)| trace(number, len)).collect()
}

/// Questions that choose by class, by value, by time, by duration, or not at all.
fn questions() -> Vec<Ask> {
    let all = Ask::default;
    let window = |from: u64, to: u64| Ask { since: Some(BEGIN + from), until: Some(BEGIN + to), ..all() };
    vec![
        all(),
        Ask { error: true, ..all() },
        Ask { name: Some("deep".to_owned()), ..all() },
        Ask { service: Some("bank".to_owned()), tags: vec!["tenant=1".to_owned()], ..all() },
        Ask { tags: vec!["channel=nothing".to_owned()], ..all() },
        Ask { duration: (Some(4_900), None), ..all() },
        window(1_000_100, 1_000_300),
        Ask { name: Some("pay".to_owned()), ..window(3_000_900, 14_000_000) },
        Ask { trace_duration: (Some(1_000), Some(5_500)), ..all() },
    ]
}

fn store(limits: Limits) -> Store {
    let builder = Store::builder("store").storage(Arc::new(SimulatedDisk::new(1))).seal_automatically(false);
    builder.block_rows(2_048).limits(limits).open().unwrap()
}

fn append(store: &Store, spans: &[Span]) {
    assert_eq!(store.append(spans).unwrap().rejected, []);
}

fn check(snapshot: &Snapshot, live: &[Span], state: &str) {
    let mut narrow = Limits::default();
    narrow.values_bytes_max = 100;
    for ask in questions() {
        for by in [&[][..], &["attr:channel"], &["service"], &["attr:tenant", "name", "attr:channel"], &["attr:none"]] {
            let state = format!("{state}: {ask:?} by {by:?}");
            let stages = LatencyUnit::Stages(STAGES.map(str::to_owned).to_vec());
            let wanted = [
                (LatencyUnit::Trace, figures::traces_by(live, &ask, by)),
                (stages, figures::stages_by(live, &ask, by, &STAGES)),
            ];
            for (unit, wanted) in wanted {
                let wanted = in_order(wanted);
                assert_eq!(answer(snapshot, &ask, by, unit.clone()), wanted, "{state}: {unit:?}");
                let narrowed = snapshot.clone().with_limits(narrow.clone());
                assert_eq!(answer(&narrowed, &ask, by, unit.clone()), wanted, "{state}: {unit:?}, narrow");
            }
        }
    }
}

fn in_order(groups: BTreeMap<Group, Vec<Sample>>) -> Vec<(Group, Figure)> {
    let mut out: Vec<(Group, Figure)> = groups.into_iter().map(|(g, s)| (g, figure(&s, &[500, 999]))).collect();
    out.sort_by(|a, b| b.1.count.cmp(&a.1.count).then_with(|| a.0.cmp(&b.0)));
    out
}

fn latency(snapshot: &Snapshot, ask: &Ask, by: &[&str], unit: LatencyUnit) -> tailspan::LatencyReport {
    let quantiles = ["0.5", "0.999"].map(|text| Quantile::parse(text).unwrap()).to_vec();
    let by: Vec<GroupKey> = by.iter().map(|key| key.parse().unwrap()).collect();
    snapshot.latency(&LatencyQuery::new(ask.query()).quantiles(quantiles).by(by).of(unit)).unwrap()
}

fn answer(snapshot: &Snapshot, ask: &Ask, by: &[&str], unit: LatencyUnit) -> Vec<(Group, Figure)> {
    let report = latency(snapshot, ask, by, unit);
    assert!(report.complete, "{:?}", report.reason);
    report.groups.iter().map(figure_of).collect()
}

#[test]
fn traces_cut_by_pages_parts_windows_and_deletes_count_as_a_list_of_them_does() {
    let (mut live, store) = (spans(), store(Limits::default()));
    append(&store, &live);
    check(&store.snapshot(), &live, "head");
    store.seal().unwrap();
    check(&store.snapshot(), &live, "sealed");
    let late: Vec<Span> = (0..8).flat_map(|number| trace(number * 2, 3_000).split_off(2_700)).collect();
    append(&store, &late);
    live.extend(late);
    check(&store.snapshot(), &live, "sealed, and late in the head");
    store.seal().unwrap();
    append(&store, &trace(70, 20));
    live.extend(trace(70, 20));
    check(&store.snapshot(), &live, "in two segments and the head");
    let dead = [id(2), id(1), id(8), id(30), id(70)];
    store.delete(&dead).unwrap();
    live.retain(|span| !dead.contains(&span.trace_id));
    check(&store.snapshot(), &live, "some deleted");
    append(&store, &trace(2, 4));
    live.extend(trace(2, 4));
    check(&store.snapshot(), &live, "a deleted one came again");
    store.merge_all().unwrap();
    check(&store.snapshot(), &live, "merged");
}

#[test]
fn the_slowest_traces_are_found_on_few_pages_whatever_the_filter() {
    let store = store(Limits::default());
    let spans: Vec<Span> = (0..2_000).flat_map(|number| trace(number, 20)).collect();
    append(&store, &spans);
    store.seal().unwrap();
    for ask in questions() {
        let mut wanted: Vec<Sample> = figures::traces_by(&spans, &ask, &[]).into_values().flatten().collect();
        wanted.sort_by_key(|s| (std::cmp::Reverse(s.duration), std::cmp::Reverse(s.start), s.trace));
        let report = store.slowest_traces(&ask.query(), 5).unwrap();
        let got: Vec<_> = report.items.iter().map(|item| (item.duration_nano, item.trace_id)).collect();
        let wanted: Vec<_> = wanted.iter().take(5).map(|s| (s.duration.unwrap(), s.trace)).collect();
        assert_eq!(got, wanted, "{ask:?}");
    }
    let explain = store.slowest_traces(&Ask::default().query(), 5).unwrap().explain;
    assert!(explain.pages_skipped > explain.pages_considered / 2, "{explain:?}");
}

#[test]
fn a_page_of_classes_is_read_only_where_a_class_of_it_is_asked_for() {
    let store = store(Limits::default());
    let spans: Vec<Span> = (0..4_000).flat_map(|number| trace(number, if number == 3_000 { 12 } else { 8 })).collect();
    append(&store, &spans);
    store.seal().unwrap();
    let stage = LatencyUnit::Stages(vec!["deep".to_owned()]);
    let report = latency(&store.snapshot(), &Ask::default(), &[], stage);
    assert_eq!(report.groups[0].count, 1);
    assert_eq!((report.explain.pages_considered, report.explain.pages_read), (32, 1), "{:?}", report.explain);
}

#[test]
fn loose_traces_past_the_limit_are_not_counted_and_the_answer_says_so() {
    let store = store(Limits::default());
    let spans: Vec<Span> = (0..500).flat_map(|number| trace(number, 3)).collect();
    append(&store, &spans);
    let mut limits = Limits::default();
    limits.loose_bytes_max = 8_000;
    let cut =
        latency(&store.snapshot().with_limits(limits.clone()), &Ask::default(), &["attr:tenant"], LatencyUnit::Trace);
    assert!(!cut.complete && cut.reason.unwrap().contains("Limits::loose_bytes_max"));
    let counted: u64 = cut.groups.iter().map(|group| group.count).sum();
    assert!((1..500).contains(&counted), "{counted}");
    store.seal().unwrap();
    let sealed = latency(&store.snapshot().with_limits(limits), &Ask::default(), &["attr:tenant"], LatencyUnit::Trace);
    assert!(sealed.complete, "a clean trace of a segment takes no room: {:?}", sealed.reason);
}
