//! Figures by step of time equal those of a list of all spans, where segments know the sums of their steps.
//!
//! ```text
//! sums of whole steps + rows of steps that a window, an asked step or a trace taken off cuts + the head
//! ```
//! Spans are many and of few groups, so that every segment has steps, and durations are few, so that what is taken off
//! is often the shortest or the longest of its step. A store that cannot keep spans at hand to compare late ones with
//! holds records twice. `PROPTEST_CASES=100` asks for more.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use tailspan::{
    Durability, GroupKey, KeyValue, LatencyQuery, Limits, Quantile, Resource, SeriesQuery, Snapshot, Span, SpanId,
    SpanKind, Status, StatusCode, Store, TraceId,
};

use crate::common::ask::Ask;
use crate::common::distinct::distinct;
use crate::common::figures::{self, Figure, Group, Sample, figure};
use crate::{cases, figure_of, one_span};

const CASES: u32 = 4;
const MINUTE: u64 = 60_000_000_000;
/// A whole hour, and a multiple of all that steps may be widened to here.
const BASE: u64 = 1_699_999_200_000_000_000 / (1024 * MINUTE) * (1024 * MINUTE);
const THOUSANDTHS: [u64; 3] = [500, 999, 1000];
const QUANTILES: [&str; 3] = ["0.5", "0.999", "1"];

/// What a span is made from: trace, group, start in milliseconds, duration.
type Draft = (u64, u8, u64, u8);

/// Traces follow each other, and their spans.
fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    vec((0..400u64, 0..12u8, 0..50_000u64, any::<u8>()), 2500..4000)
}

fn span_of(at: usize, (trace, group, offset, duration): Draft, pattern: &Span) -> Span {
    let service = ["web", "cart"][usize::from(group % 2)];
    let resource = Resource { attributes: vec![KeyValue::new("service.name", service)], ..Resource::default() };
    // Some groups are rare, some spans have no start, some no duration.
    let group = if group > 9 { 0 } else { group };
    let start = if duration == 0 { 0 } else { BASE + trace * 1_500_000_000 + offset * 1_000_000 };
    let length = [0, 1, 5, 5, 100, 1_000_003, 3_000_000_000, u64::MAX / 2][usize::from(duration % 8)];
    let code = if group % 5 == 2 { StatusCode::ERROR } else { StatusCode::UNSET };
    Span {
        trace_id: TraceId::from_halves(7, trace + 1).unwrap(),
        span_id: SpanId::from_u64(at as u64 + 1).unwrap(),
        name: ["get", "pay", ""][usize::from(group / 2 % 3)].to_owned(),
        kind: if group % 4 == 1 { SpanKind::CLIENT } else { SpanKind::SERVER },
        status: Some(Status { code, message: String::new() }),
        start_unix_nano: start,
        end_unix_nano: if duration % 16 == 1 { 0 } else { start.wrapping_add(length) },
        resource: resource.into(),
        ..pattern.clone()
    }
}

fn open(directory: &Path) -> Store {
    let mut limits = Limits::default();
    limits.cached_bytes_max = 0;
    Store::builder(directory)
        .durability(Durability::Buffered)
        .seal_automatically(false)
        .block_rows(1024)
        .limits(limits)
        .open()
        .unwrap()
}

/// A question for every figure by time.
#[derive(Clone, Debug)]
struct Question {
    ask: Ask,
    by: Vec<&'static str>,
    step: u64,
    quantiles: usize,
}

fn question() -> impl Strategy<Value = Question> {
    let instant = prop_oneof![
        3 => (0..700u64).prop_map(|seconds| BASE + seconds * 1_000_000_000 + 7),
        2 => (0..12u64).prop_map(|minute| BASE + minute * MINUTE),
        1 => Just(u64::MAX),
    ];
    let window = (prop::option::weighted(0.5, instant.clone()), prop::option::weighted(0.5, instant));
    let step =
        select(vec![7_000_000_000, MINUTE, MINUTE, MINUTE * 3 / 2, 2 * MINUTE, 4 * MINUTE, 60 * MINUTE, u64::MAX]);
    let of = |texts: &[&str]| {
        prop::option::weighted(0.25, select(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()))
    };
    let filter =
        (of(&["web", "cart", "none"]), of(&["get", "pay", ""]), prop::bool::weighted(0.2), prop::bool::weighted(0.1));
    let by =
        (0..4usize).prop_flat_map(|count| subsequence(vec!["service", "name", "kind", "status"], count)).prop_shuffle();
    (window, step, filter, by, 0..2usize).prop_map(
        |((since, until), step, (service, name, error, long), by, quantiles)| {
            let duration = if long { (Some(100), None) } else { (None, None) };
            let ask = Ask { service, name, error, duration, since, until, ..Ask::default() };
            Question { ask, by, step, quantiles: quantiles * QUANTILES.len() }
        },
    )
}

impl Question {
    fn keys(&self) -> Vec<GroupKey> {
        self.by.iter().map(|key| key.parse().unwrap()).collect()
    }

    fn quantiles(&self) -> Vec<Quantile> {
        QUANTILES[..self.quantiles].iter().map(|text| Quantile::parse(text).unwrap()).collect()
    }

    fn check(&self, snapshot: &Snapshot, live: &[Span], state: &str) {
        let state = format!("{state}: {self:?}");
        let by_group = figures::spans_by(live, &self.ask, &self.by);
        self.check_latency(snapshot, &by_group, &state);
        self.check_series(snapshot, &by_group, &state);
        self.check_heat_map(snapshot, &by_group, &state);
    }

    fn figure(&self, samples: &[Sample]) -> Figure {
        figure(samples, &THOUSANDTHS[..self.quantiles])
    }

    fn check_latency(&self, snapshot: &Snapshot, by_group: &BTreeMap<Group, Vec<Sample>>, state: &str) {
        let wanted: BTreeMap<Group, Figure> =
            by_group.iter().map(|(group, samples)| (group.clone(), self.figure(samples))).collect();
        let query = LatencyQuery::new(self.ask.query()).quantiles(self.quantiles()).by(self.keys());
        let report = snapshot.latency(&query).unwrap();
        assert!(report.complete, "{state}: {:?}", report.reason);
        assert_eq!(report.groups.iter().map(figure_of).collect::<BTreeMap<_, _>>(), wanted, "{state}: latency");
    }

    fn check_series(&self, snapshot: &Snapshot, by_group: &BTreeMap<Group, Vec<Sample>>, state: &str) {
        let mut wanted: BTreeMap<(u64, Group), Vec<Sample>> = BTreeMap::new();
        for (group, samples) in by_group {
            let at = |sample: &Sample| (sample.start / self.step * self.step, group.clone());
            samples.iter().for_each(|sample| wanted.entry(at(sample)).or_default().push(*sample));
        }
        let wanted: BTreeMap<(u64, Group), Figure> =
            wanted.into_iter().map(|(key, samples)| (key, self.figure(&samples))).collect();
        let query = SeriesQuery::new(self.ask.query(), self.step).quantiles(self.quantiles()).by(self.keys());
        let series = snapshot.series(&query).unwrap();
        assert!(series.complete, "{state}: {:?}", series.reason);
        let points = series.points.iter().map(|point| {
            let (group, figure) = figure_of(&point.figures);
            ((point.start_unix_nano, group), figure)
        });
        assert_eq!(points.collect::<BTreeMap<_, _>>(), wanted, "{state}: series");
    }

    fn check_heat_map(&self, snapshot: &Snapshot, by_group: &BTreeMap<Group, Vec<Sample>>, state: &str) {
        let mut wanted: BTreeMap<(u64, u64, u64), u64> = BTreeMap::new();
        for sample in by_group.values().flatten() {
            let Some(nanos) = sample.duration else { continue };
            let (min, max) = figures::bucket(nanos);
            let max = u64::try_from(max).unwrap_or(u64::MAX);
            *wanted.entry((sample.start / self.step * self.step, min, max)).or_default() += 1;
        }
        let map = snapshot.heat_map(&self.ask.query(), self.step).unwrap();
        assert!(map.complete, "{state}: {:?}", map.reason);
        let cells: Vec<_> = map.cells.iter().map(|c| ((c.start_unix_nano, c.min_nano, c.max_nano), c.count)).collect();
        assert_eq!(cells, wanted.into_iter().collect::<Vec<_>>(), "{state}: heat map");
    }
}

/// A store and what lives in it.
struct Life<'q> {
    store: Store,
    live: Vec<Span>,
    questions: &'q [Question],
}

impl Life<'_> {
    fn append(&mut self, batch: &[Span]) {
        assert_eq!(self.store.append(batch).unwrap().rejected, []);
        self.live = distinct(self.live.iter().chain(batch));
    }

    fn check(&self, state: &str) {
        let snapshot = self.store.snapshot();
        self.questions.iter().for_each(|question| question.check(&snapshot, &self.live, state));
    }

    fn delete(&mut self, ids: &[TraceId]) {
        self.store.delete(ids).unwrap();
        self.live.retain(|span| !ids.contains(&span.trace_id));
    }
}

fn live(spans: &[Span], twice: &[Index], deleted: &[Index], questions: &[Question]) {
    let directory = tempfile::tempdir().unwrap();
    let mut life = Life { store: open(directory.path()), live: Vec::new(), questions };
    let (early, late) = spans.split_at(spans.len() * 2 / 3);
    life.append(early);
    life.store.seal().unwrap();
    life.check("sealed");
    life.append(late);
    life.check("late spans in the head");
    life.store.seal().unwrap();
    let again: Vec<Span> = twice.iter().map(|pick| pick.get(spans).clone()).collect();
    life.append(&again);
    life.check("some delivered again");
    life.store.seal().unwrap();
    life.check("some delivered again, sealed");
    let ids: Vec<TraceId> = deleted.iter().map(|pick| pick.get(spans).trace_id).collect();
    life.delete(&ids);
    life.check("deleted");
    let late: Vec<Span> = spans.iter().step_by(9).cloned().collect();
    life.append(&late);
    life.check("deleted, some there again");
    life.store.merge_all().unwrap();
    life.check("merged");
    let Life { store, live, .. } = life;
    store.close().unwrap();
    Life { store: open(directory.path()), live, questions }.check("reopened");
}

proptest! {
    #![proptest_config(cases(CASES, 10))]

    #[test]
    fn figures_by_step_are_those_of_a_list(
        drafts in drafts(),
        twice in vec(any::<Index>(), 0..10),
        deleted in vec(any::<Index>(), 0..4),
        questions in vec(question(), 10),
    ) {
        let pattern = one_span();
        let spans: Vec<Span> = drafts.into_iter().enumerate().map(|(at, draft)| span_of(at, draft, &pattern)).collect();
        live(&spans, &twice, &deleted, &questions);
    }
}

/// Spans of one operation, eight a second, and the store that holds them in one segment.
fn sealed(count: u64, directory: &Path) -> (Vec<Span>, Store) {
    let pattern = one_span();
    let span = |n: u64| {
        let start = BASE + n * 125_000_000;
        let (trace_id, span_id) = (TraceId::from_halves(7, n / 4 + 1).unwrap(), SpanId::from_u64(n + 1).unwrap());
        Span { trace_id, span_id, start_unix_nano: start, end_unix_nano: start + 1000 + n % 97, ..pattern.clone() }
    };
    let spans: Vec<Span> = (0..count).map(span).collect();
    let store = open(directory);
    assert_eq!(store.append(&spans).unwrap().rejected, []);
    store.seal().unwrap();
    (spans, store)
}

#[test]
fn a_series_of_whole_steps_reads_no_page_and_a_window_those_it_cuts() {
    let directory = tempfile::tempdir().unwrap();
    let (_, store) = sealed(8192, directory.path());
    let whole = store.series(&SeriesQuery::new(tailspan::Query::new(), 2 * MINUTE)).unwrap();
    assert_eq!((whole.explain.pages_read, whole.explain.pages_skipped), (0, 8), "{:?}", whole.explain);
    assert_eq!(whole.points.iter().map(|point| point.figures.count).sum::<u64>(), 8192);
    let mut cut = tailspan::Query::new();
    cut.window.since = Some(BASE + MINUTE / 2);
    let cut = store.series(&SeriesQuery::new(cut, 2 * MINUTE)).unwrap();
    assert_eq!((cut.explain.pages_read, cut.explain.pages_skipped), (1, 7), "{:?}", cut.explain);
    assert_eq!(cut.points.iter().map(|point| point.figures.count).sum::<u64>(), 8192 - 240);
}

#[test]
fn only_a_step_that_lost_its_shortest_span_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let (spans, store) = sealed(8192, directory.path());
    store.delete(&[spans[97 * 9].trace_id]).unwrap();
    let series = store.series(&SeriesQuery::new(tailspan::Query::new(), MINUTE)).unwrap();
    assert_eq!(series.explain.pages_read, 1, "{:?}", series.explain);
    assert_eq!(series.points.iter().map(|point| point.figures.count).sum::<u64>(), 8188);
    store.merge_all().unwrap();
    let merged = store.series(&SeriesQuery::new(tailspan::Query::new(), MINUTE)).unwrap();
    assert_eq!((merged.explain.pages_read, merged.points), (0, series.points));
}
