//! Merging against sealing all spans at once: the same rows, the same bytes of every column but for codes.

mod damage;
mod spans;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::column::{RowSource, Table};
use crate::error::ErrorKind;
use crate::index::{CodeIndex, Page, PageSet, TraceSet};
use crate::limits::{COLUMNS_MAX, PAGE_ROWS};
use crate::model::{Span, SpanId, TraceId};
use crate::os::Storage;
use crate::part::ReadCounter;
use crate::segment::layout::{ColumnForm, FIELD_COLUMN_FIRST};
use crate::segment::{Fixed, MergeInput, MergePart, SectionKind, Segment, merge_segments};

use spans::{Dice, counted, disk, merge, merge_file, open, read_all, seal, seal_at_once, seed};

fn no_dead(segments: &[Segment]) -> Vec<TraceSet> {
    vec![TraceSet::new(); segments.len()]
}

/// The bytes of all pages of a column; none if it is not there.
fn pages(segment: &Segment, column: u32) -> Parts {
    let values = segment.column(column)?.values as usize;
    let page = |at| segment.page(column, at, &ReadCounter::default()).unwrap().0.to_vec();
    Some((0..values.div_ceil(PAGE_ROWS)).map(page).collect())
}

/// What a field is: table, internal or not, type, key.
type FieldName = (Table, bool, u8, String);
/// Pages, or a section as one; none if there are none.
type Parts = Option<Vec<Vec<u8>>>;

/// Every column and index of a field, by what the field is.
fn fields(segment: &Segment) -> BTreeMap<FieldName, Vec<Parts>> {
    let source = segment.source().unwrap();
    let one = |(code, field): (u32, &crate::column::Field)| {
        let name = (field.table, field.internal, field.value_type as u8, source.text(field.key).to_owned());
        let column = segment.field_column(code).unwrap();
        let section = |kind| segment.section(kind, code).unwrap().map(|bytes| vec![bytes.to_vec()]);
        let parts = if column.shared {
            Vec::new()
        } else {
            let form = segment.column(FIELD_COLUMN_FIRST + code).map(|c| vec![vec![c.form]]);
            let (values, ranks) = (pages(segment, column.values), pages(segment, column.ranks));
            vec![form, values, ranks, section(SectionKind::Dictionary), section(SectionKind::Terms)]
        };
        (name, parts)
    };
    (0..).zip(&source.schema().fields).map(one).collect()
}

/// The rows whose classes tell a field, by what the field is.
fn told_rows(segment: &Segment) -> BTreeMap<FieldName, u64> {
    let source = segment.source().unwrap();
    let one = |(code, field): (u32, &crate::column::Field)| {
        let name = (field.table, field.internal, field.value_type as u8, source.text(field.key).to_owned());
        let told = source.tables.told.of_field(code).iter();
        (name, told.map(|(class, _)| source.tables.class_rows[*class as usize]).sum())
    };
    (0..).zip(&source.schema().fields).map(one).collect()
}

/// Asserts that a merged segment is what sealing would have written, codes aside.
fn assert_equal(merged: &Segment, sealed: &Segment) {
    let counter = ReadCounter::default();
    assert_eq!(merged.verify(), []);
    let counts = |s: &Segment| {
        let d = s.directory();
        (d.rows, d.traces, d.events, d.links, d.block_rows, d.start_min, d.start_max, d.sequences)
    };
    assert_eq!(counts(merged), counts(sealed));
    for ordinal in 0..sealed.traces() {
        assert_eq!(merged.trace_id(ordinal, &counter).unwrap(), sealed.trace_id(ordinal, &counter).unwrap());
        let spans = |segment: &Segment| segment.trace_spans(ordinal, &counter).unwrap();
        assert_eq!(spans(merged), spans(sealed), "trace {ordinal}");
    }
    let coded = [Fixed::Class, Fixed::Resource, Fixed::EventClass, Fixed::LinkClass];
    for column in Fixed::ALL.into_iter().filter(|column| !coded.contains(column)) {
        assert_eq!(pages(merged, column as u32), pages(sealed, column as u32), "{column:?}");
    }
    for (kind, key) in [
        (SectionKind::TraceIndex, 0),
        (SectionKind::Zones, 0),
        (SectionKind::DurationPages, 0),
        (SectionKind::PageOrdinals, 0),
        (SectionKind::SparseStarts, Fixed::EventRow as u32),
        (SectionKind::SparseStarts, Fixed::LinkRow as u32),
        (SectionKind::SparseStarts, Fixed::ParentRow as u32),
        (SectionKind::SparseStarts, Fixed::TraceRow as u32),
    ] {
        assert_eq!(merged.section(kind, key).unwrap(), sealed.section(kind, key).unwrap(), "{kind:?} {key}");
    }
    let (ours, theirs) = (fields(merged), fields(sealed));
    assert!(ours.keys().eq(theirs.keys()));
    let (told, told_at_once) = (told_rows(merged), told_rows(sealed));
    for (name, field) in &ours {
        // A class of few rows in one of the inputs tells nothing there, and so nothing in the output.
        assert!(told[name] <= told_at_once[name], "{name:?} is told of {} rows", told[name]);
        if told[name] == told_at_once[name] {
            assert_eq!(field, &theirs[name], "{name:?}");
        }
    }
    for table in [Table::Span, Table::Event, Table::Link] {
        let column = crate::segment::FieldColumn::overflow(table, 0);
        assert_eq!(pages(merged, column.values), pages(sealed, column.values), "overflow of {table:?}");
        assert_eq!(pages(merged, column.ranks), pages(sealed, column.ranks), "overflow ranks of {table:?}");
    }
    assert_pages_by_code(merged);
    assert_counts(merged);
}

/// The class, service and remote indexes name the pages that a scan finds.
fn assert_pages_by_code(segment: &Segment) {
    let mut expected: HashMap<(SectionKind, u32), PageSet> = HashMap::new();
    let schema = segment.source().unwrap().tables.schema.clone();
    let mut classes = Vec::new();
    for page in 0..segment.row_pages() {
        segment.classes(Fixed::Class, page as usize, &ReadCounter::default(), &mut classes).unwrap();
        for code in &classes {
            let class = &schema.classes[*code as usize];
            let codes = [
                (SectionKind::ClassPages, *code as u32),
                (SectionKind::ServicePages, class.service),
                (SectionKind::RemotePages, class.remote),
            ];
            for key in codes.into_iter().filter(|(_, code)| *code != crate::column::NONE) {
                expected.entry(key).or_default().insert(page);
            }
        }
    }
    for kind in [SectionKind::ClassPages, SectionKind::ServicePages, SectionKind::RemotePages] {
        let bytes = segment.section(kind, 0).unwrap().unwrap();
        let index = CodeIndex::<Page>::open(bytes, segment.row_pages()).unwrap();
        for code in 0..index.codes().max(schema.classes.len() as u32) {
            let scan = expected.get(&(kind, code)).cloned().unwrap_or_default();
            assert_eq!(index.get(code).unwrap(), scan, "{kind:?} {code}");
        }
    }
}

/// The tables say how often classes and resources occur.
fn assert_counts(segment: &Segment) {
    let tables = segment.tables().unwrap();
    let count = |columns: &[Fixed], codes: usize| {
        let mut out = vec![0u64; codes];
        let mut page = Vec::new();
        for column in columns {
            let values = segment.column(*column as u32).unwrap().values as usize;
            for at in 0..values.div_ceil(PAGE_ROWS) {
                segment.integers(*column as u32, at, &ReadCounter::default(), &mut page).unwrap();
                page.iter().for_each(|code| out[*code as usize] += 1);
            }
        }
        out
    };
    let classes = [Fixed::Class, Fixed::EventClass, Fixed::LinkClass];
    assert_eq!(tables.class_rows, count(&classes, tables.schema.classes.len()));
    let (mut rows, mut resources, mut classes) = (vec![0; tables.resources.len()], Vec::new(), Vec::new());
    for page in 0..segment.row_pages() as usize {
        segment.integers(Fixed::Resource as u32, page, &ReadCounter::default(), &mut resources).unwrap();
        segment.classes(Fixed::Class, page, &ReadCounter::default(), &mut classes).unwrap();
        for (class, said) in classes.iter().zip(&resources) {
            rows[tables.resource_of(*class as u32, *said).unwrap() as usize] += 1;
        }
    }
    assert_eq!(tables.resource_rows, rows);
}

fn distinct(parts: &[Vec<Span>]) -> Vec<Span> {
    let mut seen = HashSet::new();
    parts.concat().into_iter().filter(|span| seen.insert(span.clone())).collect()
}

#[test]
fn merging_equals_sealing_at_once() {
    for (seed, count, traces, keys, lists) in
        [(1, 60, 9, 0, 3), (2, 5_000, 1_500, 0, 3), (3, 4_000, 30, 0, 2), (4, 6_000, 3_000, 40, 4), (5, 700, 1, 0, 5)]
    {
        let mut dice = Dice(seed);
        let spans = dice.spans(count, traces, keys);
        let parts = dice.deal(spans, lists);
        let merged = merge(&seal(&parts));
        assert_eq!(counted(read_all(&merged)), counted(distinct(&parts)), "seed {seed}");
        assert_equal(&merged, &seal_at_once(&parts));
    }
}

#[test]
fn fields_move_between_columns_of_their_own_and_the_overflow_column() {
    // One input has few fields, one many, and the third has many others.
    for (seed, keys) in [(1, [0, 500, 500]), (2, [200, 0, 900]), (3, [90, 90, 90]), (4, [700, 700, 40])] {
        let mut dice = Dice(seed);
        let mut spans = Vec::new();
        for keys in keys {
            spans.push(dice.spans(1_500, 700, keys));
        }
        let parts: Vec<Vec<Span>> = spans;
        let merged = merge(&seal(&parts));
        let own = merged
            .directory()
            .columns
            .iter()
            .filter(|c| c.code >= FIELD_COLUMN_FIRST && ((c.code - FIELD_COLUMN_FIRST) as usize) < COLUMNS_MAX);
        assert_eq!(own.count(), COLUMNS_MAX, "seed {seed}");
        assert_equal(&merged, &seal_at_once(&parts));
    }
}

#[test]
fn a_merge_of_merges_equals_a_merge_and_is_the_same_every_time() {
    let mut dice = Dice(9);
    let spans = dice.spans(3_000, 800, 300);
    let parts = dice.deal(spans, 4);
    let mut segments = seal(&parts);
    let once = merge_file(&segments, &no_dead(&segments)).unwrap().unwrap();
    let again = merge_file(&segments, &no_dead(&segments)).unwrap().unwrap();
    assert!(once.bytes().unwrap() == again.bytes().unwrap());
    let later = segments.split_off(2);
    // Segments of merges have one id here, which no reader minds.
    assert_equal(&merge(&[merge(&segments), merge(&later)]), &open(99, once));
}

#[test]
fn one_segment_merges_to_itself_and_traces_that_are_dead_are_left_out() {
    let mut dice = Dice(11);
    let spans = dice.spans(4_000, 900, 20);
    let parts = dice.deal(spans, 3);
    assert_equal(&merge(&seal(&parts[..1])), &seal_at_once(&parts[..1]));
    let segments = seal(&parts);
    let counter = ReadCounter::default();
    let dead: Vec<TraceSet> =
        segments.iter().map(|segment| (0..segment.traces()).filter(|_| dice.one_in(3)).collect()).collect();
    let mut live = Vec::new();
    for (segment, dead) in segments.iter().zip(&dead) {
        let alive = (0..segment.traces()).filter(|ordinal| !dead.contains(*ordinal));
        live.push(alive.flat_map(|ordinal| segment.trace_spans(ordinal, &counter).unwrap()).collect::<Vec<Span>>());
    }
    let merged = open(99, merge_file(&segments, &dead).unwrap().unwrap());
    assert_eq!(merged.verify(), []);
    assert_eq!(counted(read_all(&merged)), counted(distinct(&live)));
    assert_pages_by_code(&merged);
    assert_counts(&merged);
    let sealed = seal_at_once(&live);
    assert_eq!(read_all(&merged), read_all(&sealed));
    assert!(fields(&merged) == fields(&sealed));
    let all: Vec<TraceSet> = segments.iter().map(|segment| TraceSet::all(segment.traces())).collect();
    assert!(merge_file(&segments, &all).unwrap().is_none());
    assert!(merge_file(&[], &[]).unwrap().is_none());
}

/// A span of trace 1.
fn span(id: u64, parent: u64, start: u64) -> Span {
    let mut span = Dice(3).spans(1, 1, 0).remove(0);
    span.trace_id = TraceId::from_halves(0, 1).unwrap();
    span.span_id = SpanId::from_u64(id).unwrap();
    span.parent_span_id = SpanId::from_u64(parent);
    (span.start_unix_nano, span.end_unix_nano) = (start, start + 5);
    span
}

#[test]
fn late_spans_find_their_parents_and_the_trace_its_start() {
    let other = |mut span: Span, low: u64| {
        span.trace_id = TraceId::from_halves(0, low).unwrap();
        span
    };
    // The root comes last, a cycle comes in halves, an orphan stays one.
    let parts = [
        vec![span(3, 2, 130), span(5, 6, 150), other(span(1, 0, 120), 2)],
        vec![span(2, 1, 120), span(6, 5, 140), other(span(1, 0, 110), 3), span(3, 2, 130)],
        vec![span(1, 0, 100), span(9, 77, 160), other(span(4, 0, 0), 4), span(8, 1, 0)],
    ];
    let merged = merge(&seal(&parts));
    assert_equal(&merged, &seal_at_once(&parts));
    let ids: Vec<(u64, u64)> = read_all(&merged).iter().map(|span| (span.trace_id.low(), span.span_id.get())).collect();
    assert_eq!(ids, [(4, 4), (1, 1), (1, 2), (1, 3), (1, 8), (1, 9), (1, 6), (1, 5), (3, 1), (2, 1)]);
    // The record that came twice keeps its first sequence.
    let mut sequences = Vec::new();
    merged.integers(Fixed::Sequence as u32, 0, &ReadCounter::default(), &mut sequences).unwrap();
    assert_eq!(sequences[3], 0);
}

#[test]
fn dictionaries_of_inputs_stay_dictionaries_and_unique_texts_stay_strings() {
    let part = |first: u64| -> Vec<Span> {
        let tags = |id: u64| {
            let mut span = span(id, 0, id);
            span.trace_id = TraceId::from_halves(1, id).unwrap();
            span.attributes = vec![
                crate::model::KeyValue::new("few", format!("value {}", id % 90).as_str()),
                crate::model::KeyValue::new("one", format!("/orders/{id}/é").as_str()),
            ];
            span
        };
        (first..first + 3_000).map(tags).collect()
    };
    let parts = [part(1), part(2_000), part(9_000)];
    let merged = merge(&seal(&parts));
    let source = merged.source().unwrap();
    let form = |key: &str| {
        let field = source.schema().fields.iter().position(|f| source.text(f.key) == key).unwrap();
        merged.column(FIELD_COLUMN_FIRST + field as u32).unwrap().form
    };
    assert_eq!([form("few"), form("one")], [ColumnForm::Dictionary as u8, ColumnForm::Strings as u8]);
    assert_equal(&merged, &seal_at_once(&parts));
}

#[test]
fn a_cancelled_merge_is_an_error_whenever_it_is_cancelled() {
    let mut dice = Dice(5);
    let spans = dice.spans(2_500, 700, 300);
    let segments = seal(&dice.deal(spans, 3));
    let none = TraceSet::new();
    let parts: Vec<_> = segments.iter().map(|segment| MergePart { segment, dead: &none, salvage: false }).collect();
    let run = |after: usize| {
        let asked = std::cell::Cell::new(0);
        let cancelled = || asked.replace(asked.get() + 1) == after;
        let input = MergeInput { parts: &parts, block_rows: 2048, cancelled: &cancelled };
        let result = merge_segments(&input, disk().create("seg/m").unwrap(), seed(99));
        (result.map(|_| ()).map_err(|e| e.kind()), asked.get())
    };
    let (done, asked) = run(usize::MAX);
    assert_eq!(done, Ok(()));
    assert!(asked > 300, "asked {asked} times");
    for after in (0..asked).step_by(97).chain([asked - 1]) {
        assert_eq!(run(after).0, Err(ErrorKind::Closed), "cancelled at {after} of {asked}");
    }
}
