//! Figures from rollups against sums over the spans themselves: sealed, merged, dirty, deleted and damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::bytes::Seed;
use crate::catalog::{SegmentPart, Snapshot};
use crate::column::{ClassBits, NONE};
use crate::head::trace_id_of;
use crate::index::TraceSet;
use crate::index::rollup::{Group, OperationCodes, StepCell, StepCells};
use crate::limits::{Limits, ROLLUP_GROUPS_MAX};
use crate::model::{Span, SpanKind, StatusCode, TraceId};
use crate::os::{FileBytes, SimulatedDisk, Storage};
use crate::part::ReadCounter;
use crate::segment::{MergeInput, MergePart, SectionKind, Segment, merge_segments};

use super::fixture::span;
use super::matching::{Asked, Matching};
use super::names_tests::{Dealt, Dice, deal, segment, segment_file, snapshot};
use super::predicate::Query;
use super::rollup::{GroupFilter, slowest_rows};
use super::slow_span::SlowSpan;
use super::step_totals::GroupTexts;

/// Service, name, kind and status.
type Key = (Option<String>, String, SpanKind, StatusCode);

fn expected_totals<'s>(spans: impl IntoIterator<Item = &'s Span>) -> BTreeMap<Key, Group> {
    let mut out: BTreeMap<Key, Group> = BTreeMap::new();
    for span in spans.into_iter().filter(|span| span.start_unix_nano != 0) {
        add_span(span, &mut out);
    }
    out
}

fn add_span(span: &Span, out: &mut BTreeMap<Key, Group>) {
    let key = (span.service().map(str::to_owned), span.name.clone(), span.kind, span.status_code());
    out.entry(key).or_default().add_row(span.duration_nanos(), span.is_error());
}

/// The sums by group: from rollups where they tell, else from rows. Answers also how many parts told, and why the sums
/// are not complete if they are not.
fn totals(snapshot: &Snapshot, limits: &Limits) -> (BTreeMap<Key, Group>, usize, Option<String>) {
    let asked = Asked::new(&Query::new(), limits).unwrap();
    let (mut matching, parts) = Matching::new(&asked, snapshot).unwrap();
    let (mut out, mut told): (BTreeMap<Key, Group>, _) = (BTreeMap::new(), 0);
    for part in &parts {
        let mut keys: Vec<Key> = Vec::new();
        let mut sums: Vec<(u32, Group)> = Vec::new();
        let mut bin = |texts: GroupTexts<'_>| {
            keys.push((texts.service.map(str::to_owned), texts.name.to_owned(), texts.kind, texts.status));
            keys.len() as u32 - 1
        };
        if let Some(done) =
            matching.each_whole_group(part, None, &mut bin, &mut |bin, _, group| sums.push((bin, group.clone())))
        {
            done.unwrap();
            told += 1;
            sums.iter().for_each(|(bin, group)| out.entry(keys[*bin as usize].clone()).or_default().merge(group));
            continue;
        }
        for number in matching.pages(part) {
            let Some(page) = matching.page(part, *number).unwrap() else { continue };
            let durations = page.durations().unwrap();
            for row in page.rows.iter() {
                let class = &part.classes()[page.classes()[row] as usize];
                let text = |code: u32| (code != NONE).then(|| part.tables().text(code).to_owned());
                let key = (text(class.service), text(class.name).unwrap_or_default(), class.kind, class.status);
                let duration = (!class.bits.has(ClassBits::NO_DURATION)).then_some(durations[row]);
                out.entry(key).or_default().add_row(duration, class.status == StatusCode::ERROR);
            }
        }
    }
    matching
        .each_doubled_span(|span| {
            if span.start_unix_nano != 0 {
                add_span(span, &mut out);
            }
            Ok(())
        })
        .unwrap();
    out.retain(|_, group| !group.is_empty());
    (out, told, matching.finish().1)
}

fn expected_slowest(spans: &[Span], filter: &GroupFilter<'_>, limit: usize) -> Vec<SlowSpan> {
    let is_asked = |span: &&Span| {
        filter.service.is_none_or(|service| span.service() == Some(service))
            && filter.name.is_none_or(|name| span.name == name)
            && filter.kind.is_none_or(|kind| span.kind == kind)
            && filter.status.is_none_or(|status| span.status_code() == status)
    };
    let slow = |span: &Span| {
        let (start, trace_id, span_id) = (span.start_unix_nano, span.trace_id, span.span_id);
        let (service, name) = (span.service().map(str::to_owned), Some(span.name.clone()).filter(|n| !n.is_empty()));
        let error = span.is_error();
        span.duration_nanos().map(|duration| SlowSpan { duration, start, trace_id, span_id, service, name, error })
    };
    let mut out: Vec<SlowSpan> = spans.iter().filter(is_asked).filter_map(slow).collect();
    out.sort_by_key(|s| (std::cmp::Reverse((s.duration, s.start)), s.trace_id, s.span_id));
    out.truncate(limit);
    out
}

/// Compares every figure; answers how many of the slowest were proven.
fn assert_figures(snapshot: &Snapshot, spans: &[Span]) -> usize {
    let limits = Limits::default();
    assert_eq!((&totals(snapshot, &limits).0, None), (&expected_totals(spans), totals(snapshot, &limits).2));
    let filters = [
        GroupFilter::default(),
        GroupFilter { service: Some("shop"), ..GroupFilter::default() },
        GroupFilter { service: Some("shop"), name: Some("get"), ..GroupFilter::default() },
        GroupFilter { name: Some(""), status: Some(StatusCode::ERROR), ..GroupFilter::default() },
        GroupFilter { kind: Some(SpanKind::SERVER), ..GroupFilter::default() },
        GroupFilter { service: Some("nobody"), ..GroupFilter::default() },
    ];
    let mut proven = 0;
    for filter in filters {
        for limit in [0, 1, 5, 20, 10_000] {
            if let Some(found) = slowest_rows(snapshot, &filter, limit, &limits).unwrap() {
                assert_eq!(found, expected_slowest(spans, &filter, limit), "{filter:?}, {limit}");
                proven += 1;
            }
        }
    }
    proven
}

/// Random spans whose durations have every order of magnitude.
fn wide_spans(dice: &mut Dice, count: usize, traces: u64) -> Vec<Span> {
    let mut spans = dice.spans(count, traces);
    for span in &mut spans {
        let magnitude = dice.roll(30);
        span.end_unix_nano = span.start_unix_nano + dice.roll(1 << magnitude);
        if dice.one_in(9) {
            span.start_unix_nano += 1 << 32;
        }
    }
    spans
}

fn dealt(seed: u64, count: usize, traces: u64) -> Dealt {
    let mut dice = Dice(seed);
    let spans = wide_spans(&mut dice, count, traces);
    deal(&mut dice, &spans, seed.is_multiple_of(2))
}

/// The snapshot with some traces deleted that have no span in the head, and the ids of those.
fn with_deleted(snapshot: &Snapshot, mut is_deleted: impl FnMut(TraceId) -> bool) -> (Snapshot, BTreeSet<TraceId>) {
    let counter = ReadCounter::default();
    let head: BTreeSet<TraceId> = snapshot.chapters.iter().flat_map(|c| c.rows.iter().map(trace_id_of)).collect();
    let mut gone = BTreeSet::new();
    let mut parts = Vec::new();
    for part in &snapshot.segments {
        let ids: Vec<TraceId> =
            (0..part.segment.traces()).map(|o| part.segment.trace_id(o, &counter).unwrap()).collect();
        let dead: Vec<u32> = (0..part.segment.traces())
            .filter(|o| !head.contains(&ids[*o as usize]) && is_deleted(ids[*o as usize]))
            .collect();
        gone.extend(dead.iter().map(|o| ids[*o as usize]));
        let deleted = TraceSet::from_sorted(dead);
        let dirty = (0..part.segment.traces()).filter(|o| part.dirty.contains(*o) || deleted.contains(*o));
        let dirty = Arc::new(TraceSet::from_sorted(dirty));
        parts.push(SegmentPart { dirty, deleted: Arc::new(deleted), ..part.clone() });
    }
    (Snapshot::new(parts, snapshot.chapters.clone()), gone)
}

fn map(bytes: &[u8]) -> Arc<dyn FileBytes> {
    let disk = SimulatedDisk::new(1);
    disk.create_directories().unwrap();
    let mut file = disk.create("seg/d").unwrap();
    file.append(bytes).unwrap();
    file.sync().unwrap();
    disk.map("seg/d").unwrap()
}

/// The segments of a snapshot as one, without their deleted traces.
fn merged(snapshot: &Snapshot) -> Segment {
    let disk = SimulatedDisk::new(1);
    disk.create_directories().unwrap();
    let parts: Vec<MergePart<'_>> = snapshot
        .segments
        .iter()
        .map(|part| MergePart { segment: &part.segment, dead: &part.deleted, salvage: false })
        .collect();
    let input = MergeInput { parts: &parts, block_rows: 1024, cancelled: &|| false };
    let seed = Seed { store: 7, file: 99 };
    merge_segments(&input, disk.create("seg/m").unwrap(), seed).unwrap().unwrap();
    Segment::open(99, "seg/m".to_owned(), disk.map("seg/m").unwrap(), seed).unwrap()
}

#[test]
fn figures_equal_brute_force_over_segments_dirty_traces_and_the_head() {
    for seed in 0..30 {
        println!("seed {seed}");
        let dealt = dealt(seed, 150, 70);
        assert_figures(&dealt.snapshot, &dealt.spans);
    }
}

#[test]
fn figures_equal_brute_force_over_many_pages() {
    let dealt = dealt(1, 9_000, 3_000);
    assert!(assert_figures(&dealt.snapshot, &dealt.spans) >= 15, "most of the slowest are proven by tail lists");
}

#[test]
fn deleted_traces_are_in_no_figure() {
    for seed in 0..10 {
        println!("seed {seed}");
        let dealt = dealt(seed, 600, 200);
        let (snapshot, gone) = with_deleted(&dealt.snapshot, |id| id.low() % 5 == 1);
        assert!(!gone.is_empty());
        let live: Vec<Span> = dealt.spans.iter().filter(|span| !gone.contains(&span.trace_id)).cloned().collect();
        assert_figures(&snapshot, &live);
    }
}

#[test]
fn a_merged_segment_has_the_rollup_of_its_live_spans() {
    for seed in 0..10 {
        println!("seed {seed}");
        let dealt = dealt(seed, 600, 200);
        let (snapshot, gone) = with_deleted(&dealt.snapshot, |id| id.low() % 7 == 1);
        let segment = Arc::new(merged(&snapshot));
        assert_eq!(segment.verify(), []);
        assert!(segment.rollup().unwrap().is_complete());
        let counter = ReadCounter::default();
        let spans: Vec<Span> = (0..segment.traces()).flat_map(|o| segment.trace_spans(o, &counter).unwrap()).collect();
        assert!(spans.iter().all(|span| !gone.contains(&span.trace_id)));
        let dirty =
            TraceSet::from_sorted(segment.colliding_ordinals(&counter).unwrap().into_iter().collect::<BTreeSet<_>>());
        assert_figures(&Snapshot::new(vec![SegmentPart::new(segment, dirty)], Vec::new()), &spans);
    }
}

#[test]
fn damaged_rollups_cost_no_answer() {
    let one = |id: u64| {
        span(id / 4 + 1, id % 4 + 1)
            .service_named("web")
            .tag("peer.service", "db")
            .at(1 + id, 1 + id + id * id % 100_003)
    };
    let spans: Vec<Span> = (0..3_000).map(|id| one(id).named(["get", "put"][id as usize % 2])).collect();
    let sound = segment_file(1, &spans);
    let open = |bytes: &[u8]| Segment::open(1, "seg/1".to_owned(), map(bytes), Seed { store: 7, file: 1 }).unwrap();
    let kinds = [SectionKind::Rollup, SectionKind::Steps, SectionKind::TailLists, SectionKind::OddTraces];
    let kinds = kinds.map(|kind| kind as u8);
    let directory = open(sound.bytes().unwrap()).directory().clone();
    let sections: Vec<_> = directory.sections.iter().filter(|section| kinds.contains(&section.kind)).collect();
    assert_eq!(sections.len(), 7, "two rollups, two of steps, two tail lists and the odd traces");
    for section in sections {
        let mut bytes = sound.bytes().unwrap().to_vec();
        bytes[(section.offset + section.len / 2) as usize] ^= 0x10;
        assert_eq!(open(&bytes).verify().len(), 1, "parity mends it, and it is told");
        // Without parity.
        bytes[directory.parity.offset as usize] ^= 1;
        let segment = Arc::new(open(&bytes));
        let damage = segment.verify();
        assert_eq!(damage.len(), 2, "{damage:?}");
        assert_eq!((damage[0].offset, damage[0].rows_affected), (section.offset, 0));
        let is_there = match (SectionKind::from_code(section.kind).unwrap(), section.key) {
            (SectionKind::Rollup, 0) => segment.rollup().is_some(),
            (SectionKind::Rollup, _) => segment.edge_rollup().is_some(),
            (SectionKind::Steps, 0) => segment.steps().is_some(),
            (SectionKind::Steps, _) => segment.service_steps().is_some(),
            (SectionKind::OddTraces, _) => segment.odd_traces().is_some(),
            (SectionKind::TailLists, 1) => segment.edge_tails().is_some(),
            _ => segment.tail_lists().is_some(),
        };
        assert!(!is_there, "{section:?}");
        let counter = ReadCounter::default();
        let dirty: BTreeSet<u32> = segment.colliding_ordinals(&counter).unwrap().into_iter().collect();
        let part = SegmentPart::new(segment, TraceSet::from_sorted(dirty));
        assert_figures(&Snapshot::new(vec![part], Vec::new()), &spans);
    }
}

#[test]
fn groups_beyond_the_limit_are_counted_by_a_scan() {
    let many = ROLLUP_GROUPS_MAX as u64 + 50;
    let spans: Vec<Span> = (1..=many).map(|id| span(id, 1).named(&format!("op {id}")).at(1, 1 + id)).collect();
    let snapshot = snapshot(std::slice::from_ref(&spans), &[], |ordinal| ordinal.is_multiple_of(100));
    assert!(!snapshot.segments[0].segment.rollup().unwrap().is_complete());
    let limits = Limits::default();
    assert_eq!(totals(&snapshot, &limits), (expected_totals(&spans), 0, None));
    assert_eq!(slowest_rows(&snapshot, &GroupFilter::default(), 3, &limits).unwrap(), None);
}

#[test]
fn a_segment_has_a_tail_list_and_steps_of_its_operation() {
    let spans: Vec<Span> = (1..=5_000).map(|id| span(id, 1).named("op").at(1, 1 + id)).collect();
    let segment = segment(1, &spans);
    let operation = segment.tail_lists().unwrap().operations().next().unwrap();
    let list = segment.tail_list(operation).unwrap();
    assert_eq!((list.duration_count, list.rows[0].duration, list.bound), (5_000, 5_000, Some(5_000 - 157)));
    assert_eq!(list.rows.len(), 5_000_usize.div_ceil(32));
    assert_eq!(segment.tail_list(OperationCodes { service: 0, ..operation }), None);
    let mut cells = Vec::new();
    let mut add = |step, place, cell: StepCell| {
        cells.push((step, place, cell.count, cell.min, cell.max));
        Ok(())
    };
    let each = |step, of: StepCells<'_>| of.each(|_| true, |place, cell| add(step, place, cell));
    segment.steps().unwrap().each_step(each).unwrap();
    assert_eq!(cells, [(0, 0, 5_000, 1, 5_000)]);
}

#[test]
fn an_empty_snapshot_has_no_figures() {
    assert_eq!(assert_figures(&Snapshot::default(), &[]), 30);
}

#[test]
fn a_doubled_trace_too_large_to_be_held_is_left_out_and_told() {
    let spans: Vec<Span> = (1..=50).map(|id| span(1, id).named("op").at(1, 1 + id)).collect();
    let snapshot = snapshot(&[spans], &[], |_| true);
    let limits = Limits { trace_bytes_max: 100, ..Limits::default() };
    let reason = totals(&snapshot, &limits).2.expect("a reason");
    assert!(reason.contains("trace_bytes_max"), "{reason}");
}
