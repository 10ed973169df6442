//! Every figure equals what sorting a list of all spans gives, wherever the spans lie.
//!
//! ```text
//! append  several traces at once, late spans, what was delivered before
//! seal    delete    merge    merge --all    reopen              in any order
//! ```
//! A life of a store is a random list of these. After each event every figure is compared with the oracle in `common/figures.rs`, which knows no storage, no
//! histogram and no page, and shares no code with the engine's queries. `PROPTEST_CASES=1000` asks for more.

mod common {
    pub mod adjusted;
    pub mod ask;
    pub mod distinct;
    pub mod figures;
    pub mod found;
    pub mod life;
    pub mod links;
    pub mod matching;
    pub mod meaning;
    pub mod queries;
    pub mod spans;
    pub mod structure;
    pub mod tags;
    pub mod values;
}

mod between {
    mod links;
}

mod across {
    mod pairs;
    mod wait;
}

mod figures_of {
    mod traces;
}

mod over_time {
    mod steps;
}

use std::collections::BTreeMap;

use common::adjusted::{self, assert_adjusted};
use common::ask::Ask;
use common::distinct::assert_same_spans;
use common::figures::{self, Figure, Group, Sample, figure};
use common::found::matching_traces;
use common::life::{Event, Living, event, open};
use common::matching::roots;
use common::queries::ask;
use common::spans::{BASE, Recipe, spans};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use tailspan::{
    GroupKey, LatencyGroup, LatencyQuery, LatencySort, LatencyUnit, Limits, Quantile, SeriesQuery, SimulatedDisk,
    Snapshot, Span, Store, TraceId,
};

const CASES: u32 = 60;
const CASES_LARGE: u32 = 1;
/// Quantiles of every figure, in thousandths and in words.
const THOUSANDTHS: [u64; 5] = [500, 0, 900, 999, 1000];
const QUANTILES: [&str; 5] = ["0.5", "0", "0.9", "0.999", "1"];
const STAGES: [&str; 3] = ["get", "pay", "no such stage"];

fn cases(default: u32, share: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse::<u32>().ok());
    let cases = asked.map_or(default, |asked| (asked / share).max(1));
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default() }
}

/// A question for every figure.
#[derive(Clone, Debug)]
struct Figures {
    ask: Ask,
    by: Vec<&'static str>,
    step: u64,
    limit: usize,
    /// Where the window begins and ends instead, if so: at the starts of two spans, or at steps.
    cut: Option<(Index, Index, bool)>,
}

fn question() -> impl Strategy<Value = Figures> {
    let keys = vec![
        "service",
        "name",
        "remote-service",
        "kind",
        "status",
        "attr:k",
        "attr:http.status_code",
        "attr:otel.scope.name",
    ];
    let by = (0..4usize).prop_flat_map(move |count| subsequence(keys.clone(), count)).prop_shuffle();
    let step = select(vec![1, 3, 7, 1_000_000, 60_000_000_000, u64::MAX]);
    let cut = weighted(0.4, any::<(Index, Index, bool)>());
    (ask(), by, step, 0..4usize, cut).prop_map(|(ask, by, step, limit, cut)| Figures {
        ask: Ask { lenient: false, ..ask },
        by,
        step,
        limit,
        cut,
    })
}

fn quantiles() -> Vec<Quantile> {
    QUANTILES.iter().map(|text| Quantile::parse(text).unwrap()).collect()
}

impl Figures {
    /// The question with its window cut where spans of the pool start: through traces, pages and steps.
    fn on(&self, pool: &[Span]) -> Self {
        let mut out = self.clone();
        if let Some((a, b, at_steps)) = &self.cut {
            let starts = [a, b].map(|pick| pick.get(pool).start_unix_nano);
            let ends = starts.map(|start| if *at_steps { start / self.step * self.step } else { start });
            (out.ask.since, out.ask.until) = (Some(ends[0].min(ends[1])), Some(ends[0].max(ends[1])));
        }
        out
    }

    fn keys(&self) -> Vec<GroupKey> {
        self.by.iter().map(|key| key.parse().unwrap()).collect()
    }

    fn check(&self, snapshot: &Snapshot, live: &[Span], state: &str) {
        let state = format!("{state}: {self:?}");
        self.check_latency(snapshot, LatencyUnit::Span, figures::spans_by(live, &self.ask, &self.by), &state);
        self.check_latency(snapshot, LatencyUnit::Trace, figures::traces_by(live, &self.ask, &self.by), &state);
        self.check_latency(snapshot, stages(), figures::stages_by(live, &self.ask, &self.by, &STAGES), &state);
        self.check_series(snapshot, live, &state);
        self.check_heat_map(snapshot, live, &state);
        self.check_slowest(snapshot, live, &state);
        self.check_comparison(snapshot, live, &state);
    }

    fn check_latency(&self, snapshot: &Snapshot, unit: LatencyUnit, wanted: BTreeMap<Group, Vec<Sample>>, state: &str) {
        let state = format!("{state}: {unit:?}");
        let query = LatencyQuery::new(self.ask.query()).quantiles(quantiles()).by(self.keys()).of(unit);
        let report = snapshot.latency(&query).unwrap();
        assert!(report.complete && report.reason.is_none(), "{state}: {:?}", report.reason);
        let mut wanted: Vec<(Group, Figure)> =
            wanted.into_iter().map(|(group, samples)| (group, figure(&samples, &THOUSANDTHS))).collect();
        wanted.sort_by(|a, b| b.1.count.cmp(&a.1.count).then_with(|| a.0.cmp(&b.0)));
        let got: Vec<(Group, Figure)> = report.groups.iter().map(figure_of).collect();
        assert_eq!(got, wanted, "{state}");
        wanted.sort_by(|a, b| {
            let tail = |f: &Figure| f.quantiles.get(3).map(|found| found.0);
            tail(&b.1).cmp(&tail(&a.1)).then_with(|| a.0.cmp(&b.0))
        });
        let sorted = query.quantiles(Vec::new()).sort(LatencySort::Quantile(Quantile::parse("0.999").unwrap())).top(2);
        let got: Vec<Group> = snapshot.latency(&sorted).unwrap().groups.iter().map(|g| figure_of(g).0).collect();
        let groups: Vec<Group> = wanted.into_iter().map(|(group, _)| group).take(2).collect();
        assert_eq!(got, groups, "{state}: the two of highest q0.999");
    }

    fn check_series(&self, snapshot: &Snapshot, live: &[Span], state: &str) {
        let mut wanted: BTreeMap<u64, Vec<(Group, Figure)>> = BTreeMap::new();
        for (group, samples) in figures::spans_by(live, &self.ask, &self.by) {
            let mut steps: BTreeMap<u64, Vec<Sample>> = BTreeMap::new();
            samples.iter().for_each(|s| steps.entry(s.start / self.step * self.step).or_default().push(*s));
            for (step, samples) in steps {
                wanted.entry(step).or_default().push((group.clone(), figure(&samples, &THOUSANDTHS)));
            }
        }
        for points in wanted.values_mut() {
            points.sort_by(|a, b| b.1.count.cmp(&a.1.count).then_with(|| a.0.cmp(&b.0)));
        }
        let wanted: Vec<_> = wanted
            .into_iter()
            .flat_map(|(step, points)| points.into_iter().map(move |(group, figure)| (step, group, figure)))
            .collect();
        let query = SeriesQuery::new(self.ask.query(), self.step).quantiles(quantiles()).by(self.keys());
        let series = snapshot.series(&query).unwrap();
        assert!(series.complete, "{state}: {:?}", series.reason);
        for point in &series.points {
            assert_eq!(point.rate_per_second, point.figures.count as f64 / (self.step as f64 / 1e9), "{state}: rate");
        }
        let got: Vec<_> = series
            .points
            .iter()
            .map(|p| {
                let (group, figure) = figure_of(&p.figures);
                (p.start_unix_nano, group, figure)
            })
            .collect();
        assert_eq!(got, wanted, "{state}: series");
    }

    fn check_heat_map(&self, snapshot: &Snapshot, live: &[Span], state: &str) {
        let mut wanted: BTreeMap<(u64, u64, u64, u64), u64> = BTreeMap::new();
        for sample in figures::spans_by(live, &self.ask, &[]).into_values().flatten() {
            let Some(nanos) = sample.duration else { continue };
            let (from, (min, max)) = (sample.start / self.step * self.step, figures::bucket(nanos));
            let max = u64::try_from(max).unwrap_or(u64::MAX);
            *wanted.entry((from, from.saturating_add(self.step), min, max)).or_default() += 1;
        }
        let map = snapshot.heat_map(&self.ask.query(), self.step).unwrap();
        assert!(map.complete, "{state}: {:?}", map.reason);
        let got: Vec<_> =
            map.cells.iter().map(|c| ((c.start_unix_nano, c.end_unix_nano, c.min_nano, c.max_nano), c.count)).collect();
        assert_eq!(got, wanted.into_iter().collect::<Vec<_>>(), "{state}: heat map");
    }

    fn check_slowest(&self, snapshot: &Snapshot, live: &[Span], state: &str) {
        let taken = if self.limit == 0 { usize::MAX } else { self.limit };
        let wanted: Vec<_> = figures::slowest(live, &self.ask).into_iter().take(taken).collect();
        let report = snapshot.slowest_spans(&self.ask.query(), self.limit).unwrap();
        assert!(report.complete, "{state}: {:?}", report.reason);
        let got: Vec<_> =
            report.items.iter().map(|s| (s.duration_nano, s.start_unix_nano, s.trace_id, s.span_id)).collect();
        assert_eq!(got, wanted, "{state}: slowest spans");
        let mut traces: Vec<(Sample, Vec<&Span>)> = Vec::new();
        let by_id: BTreeMap<TraceId, Vec<&Span>> =
            matching_traces(live, &self.ask).into_iter().map(|(trace, _)| (trace[0].trace_id, trace)).collect();
        for sample in figures::traces_by(live, &self.ask, &[]).into_values().flatten() {
            traces.push((sample, by_id[&sample.trace].clone()));
        }
        traces.sort_by_key(|(s, _)| (std::cmp::Reverse(s.duration), std::cmp::Reverse(s.start), s.trace));
        let report = snapshot.slowest_traces(&self.ask.query(), self.limit).unwrap();
        assert_eq!(report.items.len(), traces.len().min(taken), "{state}: slowest traces");
        for (got, (sample, trace)) in report.items.iter().zip(traces) {
            let shown = (Some(got.duration_nano), got.trace_id, got.error, got.start_unix_nano);
            assert_eq!(shown, (sample.duration, sample.trace, sample.error, sample.start), "{state}: slowest traces");
            assert!(roots(&trace).contains(&(got.service.clone(), got.name.clone())), "{state}: root of {got:?}");
        }
    }

    /// What sampling makes of the counts, beside which all figures stay what they are.
    fn check_adjusted(&self, snapshot: &Snapshot, live: &[Span], state: &str) {
        let units = [
            (LatencyUnit::Span, adjusted::spans_by(live, &self.ask, &self.by, None)),
            (LatencyUnit::Trace, adjusted::traces_by(live, &self.ask, &self.by, None)),
            (stages(), adjusted::traces_by(live, &self.ask, &self.by, Some(&STAGES))),
        ];
        for (unit, wanted) in units {
            let state = format!("{state}: adjusted: {unit:?}");
            let query = LatencyQuery::new(self.ask.query()).quantiles(Vec::new()).by(self.keys()).of(unit);
            let mut report = snapshot.latency(&query.clone().adjusted(true)).unwrap();
            assert!(report.complete, "{state}: {:?}", report.reason);
            assert_eq!(report.groups.len(), wanted.len(), "{state}");
            for group in &report.groups {
                let name = figure_of(group).0;
                assert_adjusted(&group.adjusted.unwrap(), &wanted[&(0, name)], &format!("{state}: {group:?}"));
            }
            if query.unit == LatencyUnit::Span {
                report.groups.iter_mut().for_each(|group| group.adjusted = None);
                assert_eq!(report.groups, snapshot.latency(&query).unwrap().groups, "{state}");
            }
        }
        let wanted = adjusted::spans_by(live, &self.ask, &self.by, Some(self.step));
        let query = SeriesQuery::new(self.ask.query(), self.step).by(self.keys()).adjusted(true);
        let series = snapshot.series(&query).unwrap();
        assert_eq!((series.points.len(), series.complete), (wanted.len(), true), "{state}: adjusted series");
        for point in &series.points {
            let (counts, state) = (point.figures.adjusted.unwrap(), format!("{state}: adjusted series: {point:?}"));
            let samples = &wanted[&(point.start_unix_nano, point.figures.group.clone())];
            assert_adjusted(&counts, samples, &state);
            assert_eq!(point.adjusted_rate_per_second, Some(counts.count / (self.step as f64 / 1e9)), "{state}");
        }
    }

    /// The question against all spans of the window's begin on.
    fn check_comparison(&self, snapshot: &Snapshot, live: &[Span], state: &str) {
        let against = Ask { since: self.ask.since, scope: self.ask.scope, ..Ask::default() };
        let (selection, total) = figures::values(live, &self.ask);
        let (baseline, all) = figures::values(live, &against);
        let share = |count: u64, of: u64| if of == 0 { 0.0 } else { count as f64 / of as f64 };
        let mut wanted: Vec<_> = selection
            .into_iter()
            .map(|(pair, count)| {
                let other = baseline.get(&pair).copied().unwrap_or(0);
                (pair, count, other, share(count, total) - share(other, all))
            })
            .filter(|(.., score)| *score > 0.0)
            .collect();
        wanted.sort_by(|a, b| b.3.total_cmp(&a.3).then_with(|| a.0.cmp(&b.0)));
        let found = snapshot.compare(&self.ask.query(), &against.query(), &quantiles()).unwrap();
        assert!(found.complete, "{state}: {:?}", found.reason);
        assert_eq!((found.selection_total, found.baseline_total), (total, all), "{state}: totals of a comparison");
        let got: Vec<_> = found
            .values
            .iter()
            .map(|v| ((v.key.clone(), v.value.clone()), v.in_selection, v.in_baseline, v.score))
            .collect();
        assert_eq!(got, wanted, "{state}: comparison");
        let values = |ask: &Ask| {
            let samples: Vec<Sample> = figures::spans_by(live, ask, &[]).into_values().flatten().collect();
            figure(&samples, &THOUSANDTHS).quantiles.iter().map(|q| q.0).collect::<Vec<u64>>()
        };
        let of = |side: fn(&tailspan::QuantilePair) -> Option<&tailspan::Exemplar>| {
            found.quantiles.iter().filter_map(side).map(|e| e.value_nano).collect::<Vec<u64>>()
        };
        assert_eq!(of(|pair| pair.selection.as_ref()), values(&self.ask), "{state}: quantiles of the selection");
        assert_eq!(of(|pair| pair.baseline.as_ref()), values(&against), "{state}: quantiles of the baseline");
    }
}

fn stages() -> LatencyUnit {
    LatencyUnit::Stages(STAGES.map(str::to_owned).to_vec())
}

fn figure_of(group: &LatencyGroup) -> (Group, Figure) {
    let quantiles = group.quantiles.iter().map(|found| (found.value_nano, found.trace_id, found.span_id)).collect();
    let figure = Figure {
        count: group.count,
        duration_count: group.duration_count,
        errors: group.errors,
        min: group.min_nano,
        mean: group.mean_nano,
        max: group.max_nano,
        quantiles,
    };
    (group.stage.iter().cloned().map(Some).chain(group.group.iter().cloned()).collect(), figure)
}

fn new_store() -> Store {
    open(&SimulatedDisk::new(1), 1024)
}

/// A life: what is appended in it, what happens, what is asked after each event, and the rows of a block.
type Life = (Vec<Span>, Vec<Event>, Vec<Figures>, usize);

fn life(pool: Recipe, events: std::ops::Range<usize>) -> impl Strategy<Value = Life> {
    (spans(pool), vec(event(), events), vec(question(), 3), select(vec![1024, 2048]))
}

/// Asks everything, with room for all durations at once or with room for next to none.
fn check(living: &Living<'_>, question: &Figures, narrow: bool, state: &str) {
    let exported: Vec<Span> = living.store().spans().flat_map(|trace| trace.unwrap()).collect();
    assert_same_spans(&exported, &living.live, state);
    let snapshot = living.store().snapshot();
    if narrow {
        let mut limits = Limits::default();
        limits.values_bytes_max = 100;
        question.check(&snapshot.with_limits(limits), &living.live, &format!("{state}, narrow"));
    } else {
        question.check(&snapshot, &living.live, state);
        question.check_adjusted(&snapshot, &living.live, state);
    }
}

fn live((pool, events, questions, block_rows): &Life) {
    if pool.is_empty() {
        return;
    }
    let disk = SimulatedDisk::new(1);
    let mut living = Living::new(&disk, pool, *block_rows);
    let questions: Vec<Figures> = questions.iter().map(|question| question.on(pool)).collect();
    for ((at, event), question) in events.iter().enumerate().zip(questions.iter().cycle()) {
        let state = format!("event {at}, {event:?}");
        living.run(event, &state);
        // Three questions and two limits take turns, so that each pair of them comes.
        check(&living, question, at % 2 == 1, &state);
    }
}

proptest! {
    #![proptest_config(cases(CASES, 1))]

    #[test]
    fn figures_are_those_of_a_list_wherever_spans_lie(
        life in life(Recipe { spans: 1..50, traces: 4, zipkin_share: 0.3 }, 4..20),
    ) {
        live(&life);
    }
}

proptest! {
    #![proptest_config(cases(CASES_LARGE, 50))]

    #[test]
    fn figures_are_those_of_a_list_where_windows_and_traces_cut_pages(
        life in life(Recipe { spans: 1100..1500, traces: 50, zipkin_share: 0.2 }, 4..7),
    ) {
        live(&life);
    }
}

/// Spans of the pool's first one, changed.
fn made(change: impl Fn(u64, &mut Span), count: u64) -> Vec<Span> {
    let pattern = one_span();
    let span = |n: u64| {
        let mut span = pattern.clone();
        span.trace_id = TraceId::from_halves(0, 1 + n / 2).unwrap();
        span.span_id = tailspan::SpanId::from_u64(n + 1).unwrap();
        (span.start_unix_nano, span.end_unix_nano) = (BASE + n, BASE + n + 100 + n);
        change(n, &mut span);
        span
    };
    (0..count).map(span).collect()
}

fn one_span() -> Span {
    let text = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00000000000000000000000000000007","spanId":"0000000000000001","name":"a"}]}]}]}"#;
    let store = new_store();
    assert_eq!(store.append_otlp_json(text.as_bytes()).unwrap().accepted, 1);
    store.trace(TraceId::from_halves(0, 7).unwrap()).unwrap().remove(0)
}

fn latency_of(spans: &[Span], query: &LatencyQuery) -> Vec<LatencyGroup> {
    let store = new_store();
    assert_eq!(store.append(spans).unwrap().rejected, []);
    store.seal().unwrap();
    store.latency(query).unwrap().groups
}

#[test]
fn a_group_without_durations_counts_its_spans_and_has_no_other_figure() {
    let spans = made(|n, span| span.end_unix_nano = if n % 2 == 0 { 0 } else { BASE - 1 }, 4);
    let groups = latency_of(&spans, &LatencyQuery::new(tailspan::Query::new()));
    let group = &groups[0];
    assert_eq!((group.count, group.duration_count, group.quantiles.len()), (4, 0, 0));
    assert_eq!((group.min_nano, group.mean_nano, group.max_nano), (None, None, None));
}

#[test]
fn spans_without_a_start_are_counted_by_no_figure() {
    let spans = made(|_, span| span.start_unix_nano = 0, 4);
    assert_eq!(latency_of(&spans, &LatencyQuery::new(tailspan::Query::new())), []);
}

#[test]
fn the_exemplar_is_the_smallest_id_of_exactly_that_duration() {
    let mut spans = made(|n, span| span.end_unix_nano = span.start_unix_nano + 50 + n / 8, 16);
    spans.reverse();
    let groups = latency_of(&spans, &LatencyQuery::new(tailspan::Query::new()).quantiles(quantiles()));
    let found: Vec<(u64, u64, u64)> = groups[0]
        .quantiles
        .iter()
        .map(|found| (found.value_nano, found.trace_id.low(), found.span_id.unwrap().get()))
        .collect();
    assert_eq!(found, [(50, 1, 1), (50, 1, 1), (51, 5, 9), (51, 5, 9), (51, 5, 9)]);
}

#[test]
fn kinds_and_statuses_without_a_word_are_found_as_what_they_read_as() {
    let odd = |n: u64, span: &mut Span| {
        span.kind = tailspan::SpanKind(if n == 0 { 17 } else { 0 });
        span.status =
            Some(tailspan::Status { code: tailspan::StatusCode(if n == 1 { 7 } else { 0 }), ..Default::default() });
    };
    let spans = made(odd, 3);
    let filter = tailspan::Query::new().kind(tailspan::SpanKind::UNSPECIFIED).status(tailspan::StatusCode::UNSET);
    assert_eq!(latency_of(&spans, &LatencyQuery::new(filter.clone()))[0].count, 3);
    let store = new_store();
    assert_eq!(store.append(&spans).unwrap().rejected, []);
    store.seal().unwrap();
    assert_eq!(store.slowest_spans(&filter, 5).unwrap().items.len(), 3);
}

#[test]
fn groups_past_the_limit_are_not_counted_and_the_answer_says_so() {
    let spans = made(|n, span| span.name = format!("operation {n}"), 10);
    let store = new_store();
    assert_eq!(store.append(&spans).unwrap().rejected, []);
    let mut limits = Limits::default();
    limits.groups_max = 3;
    let query = LatencyQuery::new(tailspan::Query::new()).by(vec![GroupKey::Name]);
    let report = store.snapshot().with_limits(limits).latency(&query).unwrap();
    assert_eq!((report.groups.len(), report.complete), (3, false));
    assert!(report.reason.unwrap().contains("Limits::groups_max"));
    assert_eq!(store.latency(&query).unwrap().groups.len(), 10);
}

#[test]
fn the_slowest_spans_are_found_on_few_pages() {
    let spans = made(|n, span| span.end_unix_nano = span.start_unix_nano + 1 + n / 1000, 20_000);
    let store = new_store();
    assert_eq!(store.append(&spans).unwrap().rejected, []);
    store.seal().unwrap();
    let report = store.slowest_spans(&tailspan::Query::new(), 5).unwrap();
    assert_eq!(report.items[0].duration_nano, 20);
    let explain = report.explain;
    assert_eq!(explain.pages_read + explain.pages_skipped, 20, "{explain:?}");
    assert!(explain.pages_read <= 3, "{explain:?}");
}
