//! Fields beyond the limit of columns against brute force: spans, events and links with more keys than a
//! segment has columns, every type of value, repeated keys, and the same key in several places.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::bytes::hash64;
use crate::catalog::Snapshot;
use crate::column::{RowSource, Table};
use crate::limits::{COLUMNS_MAX, Limits, PAGE_ROWS};
use crate::model::{Event, KeyValue, Link, Span, Status, StatusCode, TraceId, Value};
use crate::part::ReadCounter;
use crate::segment::Segment;

use super::evaluate::TraceMatcher;
use super::fixture::span;
use super::names_tests::{
    Dice, attribute_keys, attribute_values, distinct, expected_keys, expected_values, segment, segment_file, snapshot,
};
use super::{Query, QueryScope, find};

const KEYS: u64 = 600;

/// A key of many: low numbers often, high ones rarely.
fn key(dice: &mut Dice) -> String {
    let below = 1 + dice.roll(KEYS);
    format!("key.{}", dice.roll(below))
}

fn attributes(dice: &mut Dice, most: u64) -> Vec<KeyValue> {
    let mut out: Vec<KeyValue> = (0..dice.roll(most + 1)).map(|_| KeyValue::new(key(dice), dice.value())).collect();
    if dice.one_in(5) {
        // A key once more, with another value or type, or the very same.
        let again = out.first().map(|first| KeyValue::new(first.key.clone(), dice.value()));
        let same = out.last().cloned();
        out.extend(again);
        out.extend(same);
    }
    out
}

/// Spans with attributes of few keys and of many, in all places.
fn wide_spans(seed: u64, count: usize, traces: u64) -> Vec<Span> {
    let mut dice = Dice(seed);
    let mut spans = dice.spans(count, traces);
    for span in &mut spans {
        span.attributes.extend(attributes(&mut dice, 9));
        span.events.iter_mut().for_each(|event| event.attributes.extend(attributes(&mut dice, 3)));
        span.links.iter_mut().for_each(|link| link.attributes.extend(attributes(&mut dice, 3)));
    }
    spans
}

fn overflow_fields(segment: &Segment, table: Table) -> usize {
    let tables = segment.tables().unwrap();
    let fields = tables.schema.fields.iter().zip(0..);
    fields.filter(|(field, code)| field.table == table && tables.overflow.holds(*code)).count()
}

fn own_fields(segment: &Segment) -> usize {
    let tables = segment.tables().unwrap();
    (0..tables.schema.fields.len() as u32).filter(|field| !tables.overflow.holds(*field)).count()
}

fn count_spans(spans: impl IntoIterator<Item = Span>) -> HashMap<Span, usize> {
    let mut out = HashMap::new();
    spans.into_iter().for_each(|span| *out.entry(span).or_default() += 1);
    out
}

fn read_all(segment: &Segment) -> Vec<Span> {
    let counter = ReadCounter::default();
    (0..segment.traces()).flat_map(|ordinal| segment.trace_spans(ordinal, &counter).unwrap()).collect()
}

#[test]
fn spans_with_more_fields_than_columns_read_back_equal() {
    // Traces of a few spans are read value by value, those of hundreds page by page.
    for (seed, count, traces) in [(1, 2_500, 1_200), (2, 2_500, 6), (3, 2_500, 40)] {
        let spans = wide_spans(seed, count, traces);
        let segment = segment(seed, &spans);
        assert_eq!(own_fields(&segment), COLUMNS_MAX);
        for table in [Table::Span, Table::Event, Table::Link] {
            assert!(overflow_fields(&segment, table) > COLUMNS_MAX, "{table:?}");
        }
        assert_eq!(count_spans(read_all(&segment)), count_spans(distinct(&[&spans])), "seed {seed}");
        assert_eq!(segment.verify(), []);
        let usage = segment.usage().unwrap();
        let bytes = |name: &str| usage.iter().filter(|u| u.name == name).map(|u| u.bytes).sum::<u64>();
        assert!(bytes("overflow") > 0 && bytes("terms of overflow") > 0 && bytes("unknown") == 0, "{usage:?}");
    }
}

#[test]
fn parts_of_the_record_itself_read_back_from_the_overflow_column() {
    let mut spans: Vec<Span> = (1..=700).map(|id| span(id, 1).tag(&format!("k{}", id / 2), id as i64)).collect();
    let rare = &mut spans[17];
    rare.trace_state = "a=b".to_owned();
    (rare.dropped_attributes_count, rare.dropped_events_count, rare.dropped_links_count) = (1, 2, 3);
    rare.status = Some(Status { code: StatusCode::ERROR, message: "why".to_owned() });
    rare.links = vec![Link { flags: 1, trace_state: "x".to_owned(), ..Link::default() }];
    rare.events = vec![Event { name: "e".to_owned(), dropped_attributes_count: 4, ..Event::default() }];
    let segment = segment(1, &spans);
    let source = segment.source().unwrap();
    let internal = source.schema().fields.iter().zip(0..).filter(|(field, _)| field.internal);
    assert_eq!(internal.filter(|(_, code)| source.tables.overflow.holds(*code)).count(), 8);
    assert_eq!(count_spans(read_all(&segment)), count_spans(spans));
}

/// Spans whose attributes make this many fields, the later ones more often.
fn spans_of_fields(fields: u64) -> Vec<Span> {
    let keys = |id: u64| (id..fields).map(|key| format!("k{key:03}"));
    let with_tags = |id: u64| keys(id).fold(span(id + 1, 1), |span, key| span.tag(&key, "v"));
    (0..fields).map(with_tags).collect()
}

#[test]
fn as_many_fields_as_columns_all_have_one_and_of_one_more_the_rarest_has_none() {
    let segment_of = |fields| segment(1, &spans_of_fields(fields));
    let full = segment_of(COLUMNS_MAX as u64);
    assert_eq!((own_fields(&full), overflow_fields(&full, Table::Span)), (COLUMNS_MAX, 0));
    assert!(full.usage().unwrap().iter().all(|usage| !usage.name.contains("overflow")));
    let over = segment_of(COLUMNS_MAX as u64 + 1);
    assert_eq!((own_fields(&over), overflow_fields(&over, Table::Span)), (COLUMNS_MAX, 1));
    let source = over.source().unwrap();
    let rarest = source.schema().fields.iter().zip(0..).find(|(_, code)| source.tables.overflow.holds(*code)).unwrap();
    assert_eq!(source.text(rarest.0.key), "k000");
}

#[test]
fn a_tie_for_the_last_column_is_decided_by_key() {
    let keys: Vec<String> = (0..300).map(|i| format!("k{:03}", (i * 7) % 300)).collect();
    let spans: Vec<Span> = keys.iter().zip(1..).map(|(key, id)| span(id, 1).tag(key, "v")).collect();
    let segment = segment(1, &spans);
    let source = segment.source().unwrap();
    let fields = source.schema().fields.iter().zip(0..);
    let own: BTreeSet<&str> =
        fields.filter(|(_, code)| !source.tables.overflow.holds(*code)).map(|(f, _)| source.text(f.key)).collect();
    let first: Vec<String> = (0..COLUMNS_MAX).map(|i| format!("k{i:03}")).collect();
    assert_eq!(own, first.iter().map(String::as_str).collect());
}

#[test]
fn the_same_spans_give_the_same_bytes_whatever_their_fields() {
    let spans = wide_spans(4, 700, 90);
    assert!(segment_file(1, &spans).bytes().unwrap() == segment_file(1, &spans).bytes().unwrap());
}

#[test]
fn a_segment_of_few_fields_is_written_as_before_there_were_overflow_columns() {
    // Fields of every type in every table, fewer than columns. A change here changes the format of all files.
    let spans = Dice(11).spans(3_000, 700);
    assert!(segment(1, &spans).tables().unwrap().schema.fields.len() < COLUMNS_MAX);
    assert_eq!(format!("{:016x}", hash64(segment_file(1, &spans).bytes().unwrap())), "5e8124b61075aa58");
}

fn by_trace(spans: &[Span]) -> BTreeMap<TraceId, Vec<Span>> {
    let mut traces: BTreeMap<TraceId, Vec<Span>> = BTreeMap::new();
    spans.iter().for_each(|span| traces.entry(span.trace_id).or_default().push(span.clone()));
    traces
}

fn expected_traces(traces: &BTreeMap<TraceId, Vec<Span>>, query: &Query) -> BTreeSet<TraceId> {
    let matcher = TraceMatcher::new(query);
    traces.iter().filter(|(_, trace)| !matcher.matching_spans(trace).is_empty()).map(|(id, _)| *id).collect()
}

fn found_traces(snapshot: &Snapshot, query: &Query) -> BTreeSet<TraceId> {
    let found = find(snapshot, &query.clone().limit(0), &Limits::default()).unwrap();
    assert!(found.complete, "{:?}", found.reason);
    found.traces.into_iter().map(|trace| trace.trace_id).collect()
}

/// Filters on a key: presence, and every operator with values that occur and some that do not.
fn filters_of(key: &str) -> Vec<String> {
    let values = ["a", "\"a\"", "b", "a longer text", "\"\"", "0", "-1", "-2.5", "true", "false", "1099511627776"];
    let equal = values.iter().flat_map(|v| [format!("{key}={v}"), format!("{key}!={v}")]);
    let others =
        ["~^a", "!~^a", "~unique .*7", ">=0", "<0", "=no such value"].iter().map(|rest| format!("{key}{rest}"));
    equal.chain(others).chain([key.to_owned()]).collect()
}

#[test]
fn queries_on_own_and_overflow_fields_equal_brute_force() {
    let spans = wide_spans(5, 2_100, 700);
    let sealed = distinct(&[&spans]);
    let traces = by_trace(&sealed);
    let snapshot = snapshot(&[sealed], &[], |ordinal| ordinal.is_multiple_of(37));
    let segment = &snapshot.segments[0].segment;
    let source = segment.source().unwrap();
    let (mut rare, mut common) = (0, 0);
    for key in ["key.0", "key.40", "key.333", "k", "nothing"] {
        let fields = super::compile::fields_of_key(&source, Table::Span, key);
        rare += fields.iter().filter(|field| source.tables.overflow.holds(**field)).count();
        common += fields.iter().filter(|field| !source.tables.overflow.holds(**field)).count();
        for filter in filters_of(key) {
            for scope in ["", "span:", "event:", "link:"] {
                let query = Query::new().tag_text(&format!("{scope}{filter}")).unwrap();
                assert_eq!(found_traces(&snapshot, &query), expected_traces(&traces, &query), "{scope}{filter}");
            }
            let query = Query::new().scope(QueryScope::Trace).tag_text(&filter).unwrap().tag_text("key.2").unwrap();
            assert_eq!(found_traces(&snapshot, &query), expected_traces(&traces, &query), "{filter} in a trace");
        }
        for text in [key.to_owned(), format!("{key}=a"), format!("{key}=-1"), format!("{key}=")] {
            let query = Query::new().annotation_query(&text);
            assert_eq!(found_traces(&snapshot, &query), expected_traces(&traces, &query), "annotation {text}");
        }
    }
    assert!(rare >= 10 && common >= 10, "{rare} overflow fields and {common} others were asked for");
}

#[test]
fn equality_on_an_overflow_field_reads_only_the_pages_with_the_value() {
    let of_page = |id: u64| format!("{}", id / PAGE_ROWS as u64);
    let spans: Vec<Span> = (1..=8 * PAGE_ROWS as u64)
        .map(|id| (0..2).fold(span(id, 1).at(id, id), |s, i| s.tag(&format!("k{}", (id * 2 + i) % 600), of_page(id))))
        .collect();
    let snapshot = snapshot(&[spans], &[], |_| false);
    let source = snapshot.segments[0].segment.source().unwrap();
    let fields = source.schema().fields.iter().zip(0..);
    let (rare, _) = fields.clone().find(|(_, code)| source.tables.overflow.holds(*code)).unwrap();
    let query = Query::new().tag_text(&format!("{}=3", source.text(rare.key))).unwrap();
    let found = find(&snapshot, &query, &Limits::default()).unwrap();
    assert!(!found.traces.is_empty() && found.explain.pages_read <= 2, "{:?}", found.explain);
    assert!(found.explain.by["terms"] >= 6, "{:?}", found.explain);
}

#[test]
fn attribute_lists_of_own_and_overflow_fields_equal_brute_force() {
    let spans = wide_spans(6, 2_500, 900);
    let all = distinct(&[&spans]);
    let (sealed, head): (Vec<Span>, Vec<Span>) = all.iter().cloned().partition(|span| span.trace_id.low() % 4 > 0);
    let snapshot = snapshot(&[sealed], &head, |ordinal| ordinal.is_multiple_of(11));
    assert_eq!(attribute_keys(&snapshot), expected_keys(&all));
    let keys = (0..KEYS).step_by(29).map(|i| format!("key.{i}")).chain(["k".to_owned(), "nothing".to_owned()]);
    for key in keys {
        let found = attribute_values(&snapshot, &key);
        let found: HashMap<Value, u64> = found.into_iter().map(|v| (v.value, v.span_count)).collect();
        assert_eq!(found, expected_values(&all, &key), "{key}");
    }
}
