//! Random spans whose traces come in pieces, and the segments and merges of them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bytes::Seed;
use crate::error::Result;
use crate::head::{ChapterBuilder, FrozenChapter};
use crate::index::TraceSet;
use crate::model::{
    Endpoint, Event, KeyValue, Link, Origin, RejectReason, Resource, ResourceToken, Scope, ScopeToken, Span, SpanId,
    SpanKind, SpanRef, SpanSink, Status, StatusCode, TraceId, Value, deliver,
};
use crate::os::{FileBytes, SimulatedDisk, Storage};
use crate::part::ReadCounter;
use crate::segment::{MergeInput, MergePart, Segment, SegmentInput, build_segment, merge_segments};

const CHAPTER_ROWS: usize = 300;
const KEYS: [&str; 5] = ["k", "url", "error", "peer.service", ""];

#[derive(Default)]
struct Sink(ChapterBuilder);

impl SpanSink for Sink {
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

/// Chapters of these spans, the first of which has this sequence.
pub fn chapters(spans: &[Span], first_sequence: u64) -> Vec<Arc<FrozenChapter>> {
    let chapter = |(at, spans): (usize, &[Span])| {
        let mut sink = Sink::default();
        sink.0.begin_at(first_sequence + (at * CHAPTER_ROWS) as u64);
        deliver(spans, &mut sink);
        Arc::new(FrozenChapter::new(sink.0.into_chapter()))
    };
    spans.chunks(CHAPTER_ROWS).enumerate().map(chapter).collect()
}

/// The seed of the segment of this id.
pub fn seed(id: u64) -> Seed {
    Seed { store: 7, file: id }
}

/// Opens a segment file of this id.
pub fn open(id: u64, file: Arc<dyn FileBytes>) -> Segment {
    Segment::open(id, format!("seg/{id}"), file, seed(id)).unwrap()
}

/// Lists of spans, appended one after the other, sealed as one segment each.
pub fn seal(parts: &[Vec<Span>]) -> Vec<Segment> {
    let mut sequence = 100;
    let mut out = Vec::new();
    for (spans, id) in parts.iter().zip(1..) {
        let sequences = (sequence, sequence + spans.len() as u64);
        let input = SegmentInput {
            chapters: &chapters(spans, sequence),
            block_rows: 2048,
            sequences,
            replaces_logs: Vec::new(),
        };
        let disk = disk();
        build_segment(input, disk.create("seg/s").unwrap(), seed(id)).unwrap();
        out.push(open(id, disk.map("seg/s").unwrap()));
        sequence = sequences.1;
    }
    out
}

/// All the lists sealed at once, as the segment of id 99.
pub fn seal_at_once(parts: &[Vec<Span>]) -> Segment {
    let all: Vec<Span> = parts.concat();
    let sequences = (100, 100 + all.len() as u64);
    let input = SegmentInput { chapters: &chapters(&all, 100), block_rows: 2048, sequences, replaces_logs: Vec::new() };
    let disk = disk();
    build_segment(input, disk.create("seg/s").unwrap(), seed(99)).unwrap();
    open(99, disk.map("seg/s").unwrap())
}

/// An empty disk.
pub fn disk() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    disk.create_directories().unwrap();
    disk
}

/// The file of the merge of these segments without these traces.
pub fn merge_file(segments: &[Segment], dead: &[TraceSet]) -> Result<Option<Arc<dyn FileBytes>>> {
    let parts: Vec<_> =
        segments.iter().zip(dead).map(|(segment, dead)| MergePart { segment, dead, salvage: false }).collect();
    let input = MergeInput { parts: &parts, block_rows: 2048, cancelled: &|| false };
    let disk = disk();
    let merged = merge_segments(&input, disk.create("seg/m").unwrap(), seed(99))?;
    Ok(merged.map(|(directory, len)| {
        let file = disk.map("seg/m").unwrap();
        assert_eq!((file.len_bytes(), open(99, file.clone()).directory()), (len, &directory));
        file
    }))
}

/// The merge of these segments, as the segment of id 99.
pub fn merge(segments: &[Segment]) -> Segment {
    let dead = vec![TraceSet::new(); segments.len()];
    open(99, merge_file(segments, &dead).unwrap().unwrap())
}

/// Every span of a segment, in row order.
pub fn read_all(segment: &Segment) -> Vec<Span> {
    let counter = ReadCounter::default();
    (0..segment.traces()).flat_map(|ordinal| segment.trace_spans(ordinal, &counter).unwrap()).collect()
}

/// How often each span occurs.
pub fn counted(spans: impl IntoIterator<Item = Span>) -> HashMap<Span, usize> {
    let mut out = HashMap::new();
    spans.into_iter().for_each(|span| *out.entry(span).or_default() += 1);
    out
}

/// Numbers that look random and are the same at every run.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// True once in `sides`.
    pub fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.roll(items.len() as u64) as usize].clone()
    }

    /// A value of any type.
    pub fn value(&mut self) -> Value {
        match self.roll(14) {
            0 => Value::Empty,
            1 => Value::Bool(self.one_in(2)),
            2 => Value::Int(self.pick(&[0, -1, 1 << 40, i64::MIN])),
            3 => Value::Double(self.pick(&[0.0, -0.0, -2.5, f64::NAN])),
            4 => Value::Bytes(self.pick(&[vec![], vec![97], vec![0xff, 0]])),
            5 => Value::Array(self.pick(&[vec![], vec![Value::Int(1), "a".into()]])),
            6 => Value::KeyValueList(self.pick(&[vec![], vec![KeyValue::new("k", "a")]])),
            7 => Value::String(String::new()),
            8 | 9 => Value::String(format!("unique {}", self.roll(1 << 30))),
            10 => Value::Int(self.roll(1000) as i64),
            _ => Value::from(self.pick(&["a", "b", "a longer text"])),
        }
    }

    /// Attributes of few keys, and of `keys` more.
    fn attributes(&mut self, most: u64, keys: u64) -> Vec<KeyValue> {
        let one = |dice: &mut Self| {
            let many = keys > 0 && dice.one_in(2);
            // Low numbers often, high ones rarely.
            let below = 1 + dice.roll(keys.max(1));
            let key = if many { format!("key.{}", dice.roll(below)) } else { dice.pick(&KEYS).to_owned() };
            KeyValue { key, value: dice.value() }
        };
        (0..self.roll(most + 1)).map(|_| one(self)).collect()
    }

    fn resource(&mut self) -> Resource {
        let mut attributes = self.attributes(2, 0);
        if !self.one_in(4) {
            attributes.push(KeyValue::new("service.name", self.pick(&["shop", "bank", ""])));
        }
        Resource { present: true, attributes, ..Resource::default() }
    }

    fn origin(&mut self) -> Origin {
        if !self.one_in(3) {
            return Origin::Otlp;
        }
        let service_name = self.pick(&[None, Some("db".to_owned())]);
        let remote_endpoint = self.one_in(2).then_some(Endpoint { service_name, port: Some(1), ..Endpoint::default() });
        Origin::Zipkin { remote_endpoint, debug: self.one_in(9), shared: self.one_in(3) }
    }

    fn span(&mut self, traces: u64, keys: u64, resources: &[Arc<Resource>], scopes: &[Arc<Scope>]) -> Span {
        let event = |dice: &mut Self| Event {
            time_unix_nano: dice.roll(3000),
            name: dice.pick(&["e", "f"]).to_owned(),
            attributes: dice.attributes(2, keys),
            dropped_attributes_count: (dice.roll(20) / 19) as u32,
        };
        let link = |dice: &mut Self| Link {
            trace_id: dice.pick(&[None, Some([1; 16]), Some([0; 16])]),
            span_id: dice.pick(&[None, Some([2; 8])]),
            attributes: dice.attributes(2, keys),
            trace_state: dice.pick(&["", "", "x=y"]).to_owned(),
            ..Link::default()
        };
        let trace = 1 + self.roll(traces);
        // Traces begin one after the other, so that those of a later segment begin later, roughly.
        let start = if self.one_in(12) { 0 } else { 1000 + trace * 10 + self.roll(40) };
        let end = self.pick(&[0, start, start + 7, start + 900, start / 2]);
        let mut out = Span {
            resource: self.pick(resources),
            scope: self.pick(scopes),
            trace_id: TraceId::from_halves(if self.one_in(60) { 9 } else { 0 }, trace).unwrap(),
            span_id: SpanId::from_u64(1 + self.roll(8)).unwrap(),
            parent_span_id: SpanId::from_u64(self.roll(10)),
            trace_state: self.pick(&["", "", "", "a=b"]).to_owned(),
            flags: self.pick(&[0, 0, 1]),
            name: self.pick(&["", "get", "put"]).to_owned(),
            kind: SpanKind(self.roll(8) as i32),
            start_unix_nano: start,
            end_unix_nano: end,
            attributes: self.attributes(4, keys),
            dropped_attributes_count: (self.roll(20) / 19) as u32,
            events: (0..self.roll(3)).map(|_| event(self)).collect(),
            dropped_events_count: 0,
            links: (0..self.roll(5) / 3).map(|_| link(self)).collect(),
            dropped_links_count: (self.roll(20) / 19) as u32,
            status: None,
            origin: self.origin(),
        };
        if !out.is_zipkin() && self.one_in(2) {
            let message = self.pick(&["", "it broke"]).to_owned();
            out.status = Some(Status { code: StatusCode(self.roll(4) as i32), message });
        }
        out
    }

    /// So many spans of so many traces, with so many rare keys beside the few.
    pub fn spans(&mut self, count: usize, traces: u64, keys: u64) -> Vec<Span> {
        let resources: Vec<_> = (0..6).map(|_| Arc::new(self.resource())).collect();
        let scope = |name: &str| {
            Arc::new(Scope { present: true, name: name.to_owned(), version: "1".to_owned(), ..Scope::default() })
        };
        let scopes = [scope(""), scope("lib"), scope("other")];
        (0..count).map(|_| self.span(traces, keys, &resources, &scopes)).collect()
    }

    /// Deals spans to lists: most traces whole, some in pieces, some records twice.
    pub fn deal(&mut self, spans: Vec<Span>, lists: usize) -> Vec<Vec<Span>> {
        let mut out = vec![Vec::new(); lists];
        for span in spans {
            let home = (span.trace_id.low() / 7 % lists as u64) as usize;
            let at = if self.one_in(8) { self.roll(lists as u64) as usize } else { home };
            if self.one_in(15) {
                out[self.roll(lists as u64) as usize].push(span.clone());
            }
            out[at].push(span);
        }
        out
    }
}
