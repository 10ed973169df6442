//! `links` counts and measures what Zipkin's rules say of a list of all spans, wherever the spans lie.
//!
//! A life of a store is a random list of appends, seals, deletes, merges and reopenings. Traces lack parents, have
//! several roots, cycles, pieces of spans, shared ids, and ids of 64 and 128 bits; spans carry links to spans of
//! other traces. After each event the graph is compared with the oracle in `common/links.rs`, which shares no code
//! with the engine. `PROPTEST_CASES=1000` asks for more.

use std::collections::BTreeMap;

use crate::cases;
use crate::common::distinct::distinct;
use crate::common::figures::{Figure, figure};
use crate::common::life::{Event, Living, event};
use crate::common::links::{Edge, links};
use crate::common::spans::{Recipe, spans};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use tailspan::{
    KeyValue, Limits, LinkKind, LinksQuery, Origin, Quantile, SimulatedDisk, Snapshot, Span, SpanId, Store, TimeRange,
    TraceId,
};

const CASES: u32 = 40;
const CASES_LARGE: u32 = 1;
/// Quantiles of every link, in thousandths and in words.
const THOUSANDTHS: [u64; 4] = [500, 0, 990, 1000];
const QUANTILES: [&str; 4] = ["0.5", "0", "0.99", "1"];
/// Peers that some spans are given.
const PEERS: [&str; 5] = ["web", "cart", "db", "kafka", "third party"];

/// Whom a span names as its peer, and which span of the pool its links point to.
type Touch = (Option<usize>, Index, bool);

/// Spans of which many name a peer, and whose links lead somewhere.
fn pool(recipe: Recipe) -> impl Strategy<Value = Vec<Span>> {
    let touch = (weighted(0.5, 0..PEERS.len()), any::<Index>(), any::<bool>());
    (spans(recipe), vec(touch, 1..40)).prop_map(|(mut spans, touches)| {
        let targets: Vec<([u8; 16], [u8; 8])> =
            spans.iter().map(|span| (span.trace_id.to_bytes(), span.span_id.to_bytes())).collect();
        for span in &mut spans {
            // Copies are touched alike.
            let at = (span.span_id.get() % 16 + span.trace_id.low() + span.name.len() as u64) as usize;
            touched(span, &touches[at % touches.len()], &targets);
        }
        spans
    })
}

/// The same spans as trees: every span has an id of its own and, but for the first of its trace, an earlier one as its
/// parent. With `few`, some first spans name a parent that is missing.
fn as_trees(mut spans: Vec<Span>, picks: &[Index], few: bool) -> Vec<Span> {
    let mut ids: BTreeMap<TraceId, Vec<SpanId>> = BTreeMap::new();
    for (at, span) in spans.iter_mut().enumerate() {
        // No two traces share a lower half.
        let low = span.trace_id.low() << 8 | span.trace_id.high() & 0xff;
        span.trace_id = TraceId::from_halves(span.trace_id.high(), low).unwrap();
        let of_trace = ids.entry(span.trace_id).or_default();
        let missing = SpanId::from_u64(u64::MAX).filter(|_| few && at % 5 == 0);
        let pick = || *picks[at % picks.len()].get(of_trace);
        span.parent_span_id = if of_trace.is_empty() { missing } else { Some(pick()) };
        // Late spans come with an early start too: the order of rows is another than that of arrival.
        span.span_id = SpanId::from_u64((at as u64 + 1) * 0x9E37_79B9).unwrap();
        of_trace.push(span.span_id);
        if let Origin::Zipkin { shared, .. } = &mut span.origin {
            *shared = false;
        }
    }
    spans
}

fn trees(recipe: Recipe) -> impl Strategy<Value = Vec<Span>> {
    (pool(recipe), vec(any::<Index>(), 1..60), any::<bool>())
        .prop_map(|(spans, picks, few)| as_trees(spans, &picks, few))
}

fn touched(span: &mut Span, (peer, target, short): &Touch, targets: &[([u8; 16], [u8; 8])]) {
    if matches!(span.origin, Origin::Zipkin { .. }) {
        return;
    }
    if let Some(peer) = peer {
        span.attributes.push(KeyValue::new("peer.service", PEERS[*peer]));
    }
    if let Some(link) = span.links.first_mut() {
        let (mut trace, id) = targets[target.index(targets.len())];
        if *short {
            trace[..8].fill(0);
        }
        (link.trace_id, link.span_id) = (Some(trace), Some(id));
    }
}

fn word(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Call => "call",
        LinkKind::Messaging => "messaging",
        LinkKind::Link => "link",
    }
}

fn check(snapshot: &Snapshot, live: &[Span], window: TimeRange, state: &str) {
    let wanted: BTreeMap<Edge, Figure> = links(live, window.since, window.until)
        .into_iter()
        .map(|(edge, samples)| (edge, Figure { mean: None, min: None, max: None, ..figure(&samples, &THOUSANDTHS) }))
        .collect();
    let quantiles = QUANTILES.iter().map(|text| Quantile::parse(text).unwrap()).collect();
    let report = snapshot.links(&LinksQuery::new().window(window).quantiles(quantiles)).unwrap();
    assert!(report.complete, "{state}: {:?}", report.reason);
    let got: Vec<(Edge, Figure)> = report
        .links
        .iter()
        .map(|link| {
            let quantiles =
                link.quantiles.iter().map(|found| (found.value_nano, found.trace_id, found.span_id)).collect();
            let (count, duration_count, errors) = (link.call_count, link.duration_count, link.error_count);
            let figure = Figure { count, duration_count, errors, min: None, mean: None, max: None, quantiles };
            ((link.parent.clone(), link.child.clone(), word(link.kind)), figure)
        })
        .collect();
    let mut wanted: Vec<(Edge, Figure)> = wanted.into_iter().collect();
    wanted.sort_by_key(|((parent, child, kind), _)| (parent.clone(), child.clone(), *kind != "call", *kind == "link"));
    assert_eq!(got, wanted, "{state}: {window:?}");
}

/// A life: what is appended in it, what happens, where windows begin and end, and the rows of a block.
type Life = (Vec<Span>, Vec<Event>, (Index, Index));

fn life(pool: impl Strategy<Value = Vec<Span>>, events: std::ops::Range<usize>) -> impl Strategy<Value = Life> {
    (pool, vec(event(), events), any::<(Index, Index)>())
}

fn live((pool, events, ends): &Life) {
    if pool.is_empty() {
        return;
    }
    let (a, b) = (ends.0.get(pool).start_unix_nano, ends.1.get(pool).start_unix_nano);
    let window = TimeRange { since: Some(a.min(b)), until: Some(a.max(b)) };
    let disk = SimulatedDisk::new(1);
    let mut living = Living::new(&disk, pool, 1024);
    for (at, event) in events.iter().enumerate() {
        let state = format!("event {at}, {event:?}");
        living.run(event, &state);
        let snapshot = living.store().snapshot();
        check(&snapshot, &living.live, TimeRange::ALL, &state);
        check(&snapshot, &living.live, window, &state);
        let mut narrow = Limits::default();
        narrow.values_bytes_max = 100;
        check(&snapshot.with_limits(narrow), &living.live, TimeRange::ALL, &format!("{state}, narrow"));
    }
}

proptest! {
    #![proptest_config(cases(CASES, 1))]

    #[test]
    fn links_are_those_of_a_list_of_all_spans_wherever_they_lie(
        life in life(pool(Recipe { spans: 1..50, traces: 4, zipkin_share: 0.4 }), 4..16),
    ) {
        live(&life);
    }
}

proptest! {
    #![proptest_config(cases(CASES_LARGE, 30))]

    #[test]
    fn links_are_those_of_a_list_where_traces_cut_pages(
        life in life(pool(Recipe { spans: 1100..1500, traces: 50, zipkin_share: 0.3 }), 4..6),
    ) {
        live(&life);
    }
}

proptest! {
    #![proptest_config(cases(CASES, 1))]

    #[test]
    fn links_along_rows_are_those_of_a_list(
        life in life(trees(Recipe { spans: 1..120, traces: 12, zipkin_share: 0.3 }), 4..12),
    ) {
        live(&life);
    }
}

proptest! {
    #![proptest_config(cases(CASES_LARGE, 30))]

    #[test]
    fn links_along_rows_are_those_of_a_list_where_traces_cut_pages(
        life in life(trees(Recipe { spans: 1800..2400, traces: 90, zipkin_share: 0.2 }), 4..7),
    ) {
        live(&life);
    }
}

/// A flipped byte here and there: what is told is true, or the answer says that something is missing.
#[test]
fn damage_costs_time_or_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let recipe = Recipe { spans: 400..401, traces: 20, zipkin_share: 0.0 };
    let spans = distinct(&trees(recipe).new_tree(&mut runner).unwrap().current());
    let open = || Store::builder(folder.path()).seal_automatically(false).open().unwrap();
    let store = open();
    assert_eq!(store.append(&spans).unwrap().accepted, spans.len() as u64);
    store.seal().unwrap();
    store.close().unwrap();
    let wanted = open().links(&LinksQuery::new()).unwrap();
    assert!(wanted.complete && wanted.links.iter().any(|link| link.call_count > 16));
    let segment = std::fs::read_dir(folder.path().join("seg")).unwrap().next().unwrap().unwrap().path();
    let sound = std::fs::read(&segment).unwrap();
    // Where the last directory begins: the parity that mends one damaged place stands before it.
    let footer = &sound[sound.len() - 24..];
    let directory = u64::from_le_bytes(footer[..8].try_into().unwrap()) as usize;
    let (mut unhurt, mut told) = (0, 0);
    for at in (0..sound.len()).step_by(sound.len() / 150) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x20;
        bytes[directory - 1] ^= 0x20;
        std::fs::write(&segment, &bytes).unwrap();
        let Ok(store) = Store::builder(folder.path()).read_only().open() else { continue };
        match store.links(&LinksQuery::new()) {
            Ok(report) if report.complete && store.recovery().damage.is_empty() => {
                assert_eq!(report.links, wanted.links, "byte {at}");
                unhurt += 1;
            }
            _ => told += 1,
        }
    }
    assert!(unhurt > 50 && told > 0, "{unhurt} {told}");
}
