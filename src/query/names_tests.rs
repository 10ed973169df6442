//! Name lists against brute force: random spans dealt to segments and head chapters, with late spans, split
//! traces, ids that share a half, and records that lie in several parts.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::bytes::Seed;
use crate::catalog::{SegmentPart, Snapshot};
use crate::head::{ChapterBuilder, FrozenChapter};
use crate::index::TraceSet;
use crate::limits::Limits;
use crate::model::{
    Endpoint, Event, KeyValue, Link, Origin, RejectReason, Resource, ResourceToken, Scope, ScopeToken, Span, SpanId,
    SpanKind, SpanRef, SpanSink, Status, StatusCode, TraceId, Value, deliver,
};
use crate::os::{FileBytes, SimulatedDisk, Storage};
use crate::part::ReadCounter;
use crate::segment::{Segment, SegmentInput, build_segment};

use super::fixture::span;
use super::tag::TagScope;
use super::tally::Selection;
use super::{
    AttributeKeyCount, AttributeValueCount, Counts, ListFilter, OperationCount, RemoteServiceCount, ServiceCount,
};

/// Keys that stand in every place, and those that read as attributes of a scope.
const KEYS: [&str; 6] = ["k", "peer.service", "error", "otel.scope.name", "otel.scope.version", ""];
const CHAPTER_ROWS: usize = 300;

fn of(service: Option<&str>) -> ListFilter {
    service.map_or_else(ListFilter::new, |service| ListFilter::new().service(service))
}

fn services(snapshot: &Snapshot) -> Vec<ServiceCount> {
    let (limits, counter) = Default::default();
    super::services(snapshot, &of(None), &limits, &counter).unwrap().into_complete().unwrap()
}

fn operations(snapshot: &Snapshot, service: Option<&str>) -> Vec<OperationCount> {
    let (limits, counter) = Default::default();
    super::operations(snapshot, &of(service), &limits, &counter).unwrap().into_complete().unwrap()
}

fn remote_services(snapshot: &Snapshot, service: Option<&str>) -> Vec<RemoteServiceCount> {
    let (limits, counter) = Default::default();
    super::remote_services(snapshot, &of(service), &limits, &counter).unwrap().into_complete().unwrap()
}

pub(super) fn attribute_keys(snapshot: &Snapshot) -> Vec<AttributeKeyCount> {
    let (limits, counter) = Default::default();
    super::attribute_keys(snapshot, &of(None), &limits, &counter).unwrap().into_complete().unwrap()
}

pub(super) fn attribute_values(snapshot: &Snapshot, key: &str) -> Vec<AttributeValueCount> {
    let (limits, counter) = Default::default();
    super::attribute_values(snapshot, key, &of(None), &limits, &counter).unwrap().into_complete().unwrap()
}

fn counts(snapshot: &Snapshot) -> Counts {
    let (counts, problems) = super::counts(snapshot, &Limits::default());
    assert!(problems.is_empty(), "{problems:?}");
    counts
}

#[derive(Default)]
struct BuilderSink(ChapterBuilder);

impl SpanSink for BuilderSink {
    fn known_resource(&mut self, wire: [&[u8]; 2]) -> Option<ResourceToken> {
        self.0.known_resource(wire).map(ResourceToken)
    }

    fn known_scope(&mut self, wire: [&[u8]; 2]) -> Option<ScopeToken> {
        self.0.known_scope(wire).map(ScopeToken)
    }

    fn resource(&mut self, wire: [&[u8]; 2], decode: &mut dyn FnMut() -> Resource) -> ResourceToken {
        ResourceToken(self.0.resource(wire, decode))
    }

    fn scope(&mut self, wire: [&[u8]; 2], decode: &mut dyn FnMut() -> Scope) -> ScopeToken {
        ScopeToken(self.0.scope(wire, decode))
    }

    fn span(&mut self, resource: ResourceToken, scope: ScopeToken, span: &SpanRef<'_>) {
        self.0.push(resource.0, scope.0, span);
    }

    fn reject(&mut self, reason: RejectReason) {
        panic!("rejected: {reason}");
    }
}

fn chapters(spans: &[Span]) -> Vec<Arc<FrozenChapter>> {
    let chapter = |spans: &[Span]| {
        let mut sink = BuilderSink::default();
        deliver(spans, &mut sink);
        Arc::new(FrozenChapter::new(sink.0.into_chapter()))
    };
    spans.chunks(CHAPTER_ROWS).map(chapter).collect()
}

fn seed(id: u64) -> Seed {
    Seed { store: 7, file: id }
}

/// The file of a segment of these spans.
pub(super) fn segment_file(id: u64, spans: &[Span]) -> Arc<dyn FileBytes> {
    let disk = SimulatedDisk::new(id);
    disk.create_directories().unwrap();
    let path = format!("seg/{id}");
    let input =
        SegmentInput { chapters: &chapters(spans), block_rows: 1024, sequences: (0, 1), replaces_logs: Vec::new() };
    build_segment(input, disk.create(&path).unwrap(), seed(id)).unwrap();
    disk.map(&path).unwrap()
}

pub(super) fn segment(id: u64, spans: &[Span]) -> Arc<Segment> {
    Arc::new(Segment::open(id, format!("seg/{id}"), segment_file(id, spans), seed(id)).unwrap())
}

/// A snapshot of these segments and this head, with the smallest sets of dirty traces, all of them doubled, and, by `extra`, more.
pub(super) fn snapshot(sealed: &[Vec<Span>], head: &[Span], extra: impl Fn(u32) -> bool) -> Snapshot {
    let counter = ReadCounter::default();
    let segments: Vec<Arc<Segment>> = sealed.iter().zip(1..).map(|(spans, id)| segment(id, spans)).collect();
    let mut places: HashMap<u64, usize> = HashMap::new();
    for part in &segments {
        part.lows(&counter).unwrap().into_iter().for_each(|low| *places.entry(low).or_default() += 1);
    }
    let heads: HashSet<u64> = head.iter().map(|span| span.trace_id.low()).collect();
    heads.into_iter().for_each(|low| *places.entry(low).or_default() += 1);
    let with_dirty = |segment: Arc<Segment>| {
        let lows = segment.lows(&counter).unwrap();
        let dirty = (0..segment.traces()).filter(|o| extra(*o) || places[&lows[*o as usize]] > 1);
        let dirty = Arc::new(TraceSet::from_sorted(dirty));
        SegmentPart { segment, doubled: dirty.clone(), dirty, deleted: Arc::default() }
    };
    Snapshot::new(segments.into_iter().map(with_dirty).collect(), chapters(head))
}

/// Numbers that look random and are the same at every run.
pub(super) struct Dice(pub u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    pub(super) fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.roll(items.len() as u64) as usize].clone()
    }

    pub(super) fn value(&mut self) -> Value {
        match self.roll(14) {
            0 => Value::Empty,
            1 => Value::Bool(self.one_in(2)),
            2 => Value::Int(self.pick(&[0, -1, 1 << 40, i64::MIN])),
            3 => Value::Double(self.pick(&[0.0, -0.0, -2.5, f64::NAN])),
            4 => Value::Bytes(self.pick(&[vec![], vec![97]])),
            5 => Value::Array(self.pick(&[vec![], vec![Value::Int(1), "a".into()]])),
            6 => Value::KeyValueList(self.pick(&[vec![], vec![KeyValue::new("k", "a")]])),
            7 => Value::String(String::new()),
            8 | 9 => Value::String(format!("unique {}", self.roll(1 << 30))),
            _ => Value::from(self.pick(&["a", "b", "a longer text"])),
        }
    }

    fn attributes(&mut self, most: u64) -> Vec<KeyValue> {
        (0..self.roll(most + 1)).map(|_| KeyValue::new(self.pick(&KEYS), self.value())).collect()
    }

    fn resource(&mut self) -> Resource {
        let mut attributes = self.attributes(2);
        if !self.one_in(4) {
            attributes.push(KeyValue::new("service.name", self.pick(&["shop", "bank", ""])));
        }
        Resource { present: true, attributes, ..Resource::default() }
    }

    fn scope(&mut self) -> Scope {
        Scope {
            present: true,
            name: self.pick(&["", "a", "lib"]).to_owned(),
            version: self.pick(&["", "1"]).to_owned(),
            attributes: self.attributes(1),
            ..Scope::default()
        }
    }

    fn origin(&mut self) -> Origin {
        if !self.one_in(3) {
            return Origin::Otlp;
        }
        let service_name = self.pick(&[None, Some("db".to_owned())]);
        let remote_endpoint = self.one_in(2).then_some(Endpoint { service_name, port: Some(1), ..Endpoint::default() });
        Origin::Zipkin { remote_endpoint, debug: false, shared: self.one_in(5) }
    }

    fn span(&mut self, traces: u64, resources: &[Arc<Resource>], scopes: &[Arc<Scope>]) -> Span {
        let (start, high) = (self.roll(1000), if self.one_in(60) { 9 } else { 0 });
        let event =
            |dice: &mut Self| Event { name: "e".to_owned(), attributes: dice.attributes(2), ..Event::default() };
        let link = |dice: &mut Self| Link { attributes: dice.attributes(2), ..Link::default() };
        let mut out = Span {
            resource: self.pick(resources),
            scope: self.pick(scopes),
            trace_id: TraceId::from_halves(high, 1 + self.roll(traces)).unwrap(),
            parent_span_id: SpanId::from_u64(self.roll(3)),
            kind: SpanKind(self.roll(8) as i32),
            attributes: self.attributes(4),
            events: (0..self.roll(3)).map(|_| event(self)).collect(),
            links: (0..self.roll(5) / 3).map(|_| link(self)).collect(),
            origin: self.origin(),
            ..span(1, 1 + self.roll(4)).named(self.pick(&["", "get", "put"])).at(start, start + self.roll(9))
        };
        if !out.is_zipkin() && self.one_in(2) {
            out.status = Some(Status { code: StatusCode(self.roll(4) as i32), message: String::new() });
        }
        out
    }

    pub(super) fn spans(&mut self, count: usize, traces: u64) -> Vec<Span> {
        let resources: Vec<_> = (0..6).map(|_| Arc::new(self.resource())).collect();
        let scopes: Vec<_> = (0..4).map(|_| Arc::new(self.scope())).collect();
        (0..count).map(|_| self.span(traces, &resources, &scopes)).collect()
    }
}

pub(super) fn distinct(parts: &[&[Span]]) -> Vec<Span> {
    let mut seen = HashSet::new();
    parts.iter().flat_map(|part| part.iter()).filter(|span| seen.insert(*span)).cloned().collect()
}

fn count<K: Ord>(keys: impl IntoIterator<Item = K>) -> BTreeMap<K, u64> {
    let mut out = BTreeMap::new();
    keys.into_iter().for_each(|key| *out.entry(key).or_default() += 1);
    out
}

pub(super) fn expected_services(spans: &[Span]) -> Vec<ServiceCount> {
    let own = |span: &Span| span.service().map(str::to_owned);
    let errors = count(spans.iter().filter(|span| span.is_error()).map(own));
    let counts = count(spans.iter().map(own)).into_iter();
    let error_count = |service: &Option<String>| errors.get(service).copied().unwrap_or(0);
    counts
        .map(|(service, span_count)| ServiceCount { error_count: error_count(&service), service, span_count })
        .collect()
}

pub(super) fn expected_operations(spans: &[Span], service: Option<&str>) -> Vec<OperationCount> {
    let spans = spans.iter().filter(|span| service.is_none() || span.service() == service);
    let key = |span: &Span| {
        let kind = if (1..=5).contains(&span.kind.0) { span.kind } else { SpanKind::UNSPECIFIED };
        (span.service().map(str::to_owned), (!span.name.is_empty()).then(|| span.name.clone()), kind)
    };
    let counts = count(spans.map(key)).into_iter();
    counts.map(|((service, name, kind), span_count)| OperationCount { service, name, kind, span_count }).collect()
}

pub(super) fn expected_remotes(spans: &[Span], service: Option<&str>) -> Vec<RemoteServiceCount> {
    let spans = spans.iter().filter(|span| service.is_none() || span.service() == service);
    let counts = count(spans.filter_map(|span| span.remote_service().map(str::to_owned))).into_iter();
    counts.map(|(remote_service, span_count)| RemoteServiceCount { remote_service, span_count }).collect()
}

/// Every attribute of a span, wherever it stands.
pub(super) fn all_attributes(span: &Span) -> Vec<(String, TagScope, Value)> {
    let mut out = Vec::new();
    let mut put = |scope: TagScope, list: &[KeyValue]| {
        out.extend(list.iter().map(|a| (a.key.clone(), scope, a.value.clone())));
    };
    put(TagScope::Span, &span.attributes);
    put(TagScope::Resource, &span.resource.attributes);
    put(TagScope::Scope, &span.scope.attributes);
    span.events.iter().for_each(|event| put(TagScope::Event, &event.attributes));
    span.links.iter().for_each(|link| put(TagScope::Link, &link.attributes));
    for (key, text) in [("otel.scope.name", &span.scope.name), ("otel.scope.version", &span.scope.version)] {
        if !text.is_empty() {
            put(TagScope::Scope, &[KeyValue::new(key, text.as_str())]);
        }
    }
    out
}

fn type_word(value: &Value) -> &'static str {
    match value {
        Value::Empty => "empty",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Double(_) => "double",
        Value::Bytes(_) => "bytes",
        Value::Array(_) => "array",
        Value::KeyValueList(_) => "kvlist",
    }
}

pub(super) fn expected_keys(spans: &[Span]) -> Vec<AttributeKeyCount> {
    let of = |span: &Span| -> BTreeSet<(String, TagScope, &'static str)> {
        all_attributes(span).into_iter().map(|(key, scope, value)| (key, scope, type_word(&value))).collect()
    };
    let counts = count(spans.iter().flat_map(of)).into_iter();
    counts.map(|((key, scope, value_type), n)| AttributeKeyCount { key, scope, value_type, span_count: n }).collect()
}

pub(super) fn expected_values(spans: &[Span], wanted: &str) -> HashMap<Value, u64> {
    let mut out = HashMap::new();
    for span in spans {
        let values: HashSet<Value> =
            all_attributes(span).into_iter().filter(|(key, ..)| key == wanted).map(|(_, _, value)| value).collect();
        values.into_iter().for_each(|value| *out.entry(value).or_default() += 1);
    }
    out
}

fn assert_all_lists(snapshot: &Snapshot, spans: &[Span], rows: usize) {
    assert_eq!(services(snapshot), expected_services(spans));
    for service in [None, Some("shop"), Some("bank"), Some("nobody")] {
        assert_eq!(operations(snapshot, service), expected_operations(spans, service));
        assert_eq!(remote_services(snapshot, service), expected_remotes(spans, service));
    }
    assert_eq!(attribute_keys(snapshot), expected_keys(spans));
    for key in KEYS.into_iter().chain(["service.name", "nothing"]) {
        let found = attribute_values(snapshot, key);
        assert!(found.is_sorted_by(|a, b| a.span_count >= b.span_count), "{key}");
        let len = found.len();
        let found: HashMap<Value, u64> = found.into_iter().map(|v| (v.value, v.span_count)).collect();
        assert_eq!(found.len(), len, "{key}: a value stands twice");
        assert_eq!(found, expected_values(spans, key), "{key}");
    }
    let ids: BTreeSet<TraceId> = spans.iter().map(|span| span.trace_id).collect();
    let expected = Counts { spans: spans.len() as u64, rows: rows as u64, traces: ids.len() as u64 };
    assert_eq!(counts(snapshot), expected);
}

/// Spans dealt to two segments and the head.
pub(super) struct Dealt {
    pub snapshot: Snapshot,
    /// Every distinct span.
    pub spans: Vec<Span>,
    /// Rows of all parts.
    pub rows: usize,
}

/// Deals spans to two segments and the head, some of them to several.
pub(super) fn deal(dice: &mut Dice, spans: &[Span], more_dirty: bool) -> Dealt {
    let mut parts = vec![Vec::new(); 3];
    for span in spans {
        // The trace usually decides, so that most traces are clean, and the rest are late or delivered twice.
        let usual = (span.trace_id.low() % 3) as usize;
        let part = if dice.one_in(40) { dice.roll(3) as usize } else { usual };
        parts[part].push(span.clone());
        if dice.one_in(30) {
            parts[dice.roll(3) as usize].push(span.clone());
        }
    }
    let parts: Vec<Vec<Span>> = parts.iter().map(|part| distinct(&[part])).collect();
    let rows = parts.iter().map(Vec::len).sum();
    // A segment drops the records it is given twice.
    let given = |part: &[Span]| part.iter().chain(part.iter().take(3)).cloned().collect::<Vec<_>>();
    let sealed = [given(&parts[0]), given(&parts[1])];
    let snapshot = snapshot(&sealed, &parts[2], |ordinal| more_dirty && ordinal.is_multiple_of(11));
    Dealt { snapshot, spans: distinct(&[&parts[0], &parts[1], &parts[2]]), rows }
}

/// Checks every list of spans dealt to several parts.
fn check(seed: u64, spans_count: usize, traces: u64) {
    let mut dice = Dice(seed);
    let spans = dice.spans(spans_count, traces);
    let dealt = deal(&mut dice, &spans, seed.is_multiple_of(2));
    let dirty: u64 = dealt.snapshot.segments.iter().map(|part| part.dirty.len()).sum();
    let sealed: u64 = dealt.snapshot.segments.iter().map(|part| u64::from(part.segment.traces())).sum();
    assert!(dirty > 0 && dirty * 4 < sealed * 3, "seed {seed}: {dirty} of {sealed} traces are dirty");
    assert_all_lists(&dealt.snapshot, &dealt.spans, dealt.rows);
}

#[test]
fn lists_equal_brute_force_on_small_snapshots() {
    for seed in 0..40 {
        println!("seed {seed}");
        check(seed, 120, 60);
    }
}

#[test]
fn lists_equal_brute_force_over_many_pages() {
    check(1, 9_000, 3_000);
    check(2, 7_000, 900);
}

#[test]
fn an_empty_snapshot_has_no_names() {
    assert_all_lists(&Snapshot::default(), &[], 0);
}

#[test]
fn a_record_in_three_parts_is_one_span() {
    let one = span(5, 1).service_named("shop").tag("k", "v");
    let snapshot = snapshot(&[vec![one.clone()], vec![one.clone()]], std::slice::from_ref(&one), |_| false);
    assert_eq!(services(&snapshot), [ServiceCount { service: Some("shop".to_owned()), span_count: 1, error_count: 0 }]);
    assert_eq!(attribute_values(&snapshot, "k"), [AttributeValueCount { value: "v".into(), span_count: 1 }]);
    assert_eq!(counts(&snapshot), Counts { spans: 1, rows: 3, traces: 1 });
}

#[test]
fn clean_traces_are_counted_without_reading_a_page_of_theirs() {
    let spans: Vec<Span> = (1..=5_000).map(|id| span(id, 1).service_named("shop")).collect();
    let snapshot = snapshot(&[spans], &[], |_| false);
    let (limits, counter) = (Limits::default(), ReadCounter::default());
    let tally = super::tally::Tally::new(&snapshot, Selection::default(), &limits, &counter).unwrap();
    let found = tally.count_by(|_| 0, |_, class| Some(class.kind), |span| Some(span.kind)).unwrap();
    assert_eq!(found, BTreeMap::from([(SpanKind::UNSPECIFIED, 5_000)]));
    assert_eq!(counter.pages(), 0);
}

#[test]
fn values_come_by_count_then_type_then_value() {
    let values = [
        Value::from("b"),
        Value::from("a"),
        Value::Bool(true),
        Value::Int(-1),
        Value::Int(2),
        Value::Double(-3.0),
        Value::Double(-2.5),
        Value::Double(0.5),
        Value::Bytes(vec![0]),
        Value::Empty,
    ];
    let spans = values.iter().rev().chain(&values[..1]).zip(1..);
    let spans: Vec<Span> = spans.map(|(value, id)| span(id, 1).tag("k", value.clone())).collect();
    for snapshot in [snapshot(std::slice::from_ref(&spans), &[], |_| false), snapshot(&[], &spans, |_| false)] {
        let found: Vec<(Value, u64)> =
            attribute_values(&snapshot, "k").into_iter().map(|v| (v.value, v.span_count)).collect();
        let expected: Vec<(Value, u64)> =
            values.iter().cloned().zip([2].into_iter().chain(std::iter::repeat(1))).collect();
        assert_eq!(found, expected);
    }
}
