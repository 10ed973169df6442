//! The life of the golden store: what was appended, sealed, merged and deleted. Never changed, like the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tailspan::{
    Durability, EntityRef, Event, KeyValue, Link, ManualClock, Resource, Scope, SimulatedDisk, Span, SpanKind, Status,
    StatusCode, Storage, Store, TraceId, Value,
};

use super::numbered;

/// Spans of one trace.
const TRACE_SPANS: u64 = 40;
/// The first segment: more than a block of 1,024 rows.
const FIRST: u64 = 1_160;
/// From here on spans of the first segment are plain.
const PLAIN: u64 = 320;
const SECOND: u64 = 1_240;
const THIRD: u64 = 1_280;
const FOURTH: u64 = 1_300;
const ALL: u64 = 1_320;
/// Of the first segment these come late, with the second.
const LATE_EVERY: u64 = 200;
/// Traces deleted from segments and written down by the manifest, and by a log alone.
const DELETED: [u64; 2] = [3, 20];
const DELETED_LATER: u64 = 10;
/// A span of this number has all that few have.
const FULL: u64 = 7;
/// A span of this number has more keys than a segment has columns.
const MANY_KEYS: u64 = 1_200;

/// Zipkin's own: endpoints with addresses, a shared span, debug, annotations, tags, no duration, no name.
const ZIPKIN: &str = r#"[
{"traceId":"463ac35c9f6413ad48485a3953bb6124","id":"a2fb4a1d1a96d312","name":"get /","kind":"CLIENT","timestamp":1760000000000001,
 "duration":207000,"localEndpoint":{"serviceName":"front","ipv4":"127.0.0.1","port":8080},
 "remoteEndpoint":{"serviceName":"back","ipv6":"2001:db8::c001","port":9000},
 "annotations":[{"timestamp":1760000000000100,"value":"wr"}],"tags":{"http.path":"/api","error":""},"debug":true},
{"traceId":"463ac35c9f6413ad48485a3953bb6124","id":"a2fb4a1d1a96d312","name":"get /","kind":"SERVER","timestamp":1760000000000051,
 "duration":100000,"localEndpoint":{"serviceName":"back"},"shared":true},
{"traceId":"463ac35c9f6413ad48485a3953bb6124","id":"b2fb4a1d1a96d312","parentId":"a2fb4a1d1a96d312","tags":{"a":"b"}}
]"#;

/// The span of this number.
pub fn span(number: u64) -> Span {
    let mut span = numbered::span(number);
    let first = number - number % TRACE_SPANS;
    span.trace_id = trace_id(number / TRACE_SPANS);
    if number != first && span.parent_span_id.is_none() {
        span.parent_span_id = Some(numbered::span(first).span_id);
    }
    if (PLAIN..FIRST).contains(&number) {
        span.attributes.retain(|attribute| attribute.key == "number");
        (span.events, span.links, span.status) = Default::default();
    } else if !number.is_multiple_of(16) {
        span.attributes.retain(|attribute| attribute.key != "note");
    }
    match number {
        FULL => full(&mut span),
        MANY_KEYS => span.attributes.extend((0..300).map(|key| KeyValue::new(format!("key {key}"), key))),
        1_201 => (span.start_unix_nano, span.end_unix_nano) = (0, 0),
        1_202 => span.end_unix_nano = span.start_unix_nano - 5,
        1_203 => (span.name, span.kind) = (String::new(), SpanKind(77)),
        1_204 => (span.resource, span.scope) = Default::default(),
        _ => {}
    }
    span
}

fn trace_id(trace: u64) -> TraceId {
    numbered::span(trace * TRACE_SPANS).trace_id
}

/// Every field set, every kind of value.
fn full(span: &mut Span) {
    let list = |key: &str, value: Value| KeyValue { key: key.to_owned(), value };
    let nested = Value::KeyValueList(vec![
        list("", Value::Empty),
        list("deep", Value::Array(vec![Value::Bytes(vec![0, 255]), Value::Double(-0.0), Value::KeyValueList(vec![])])),
    ]);
    let values = vec![
        list("nothing", Value::Empty),
        list("text", Value::String("größe \u{1f680} \"quoted\"\n".to_owned())),
        list("text", Value::String(String::new())),
        list("yes", Value::Bool(true)),
        list("no", Value::Bool(false)),
        list("least", Value::Int(i64::MIN)),
        list("most", Value::Int(i64::MAX)),
        list("nan", Value::Double(f64::NAN)),
        list("infinite", Value::Double(f64::NEG_INFINITY)),
        list("bytes", Value::Bytes((0..=255).collect())),
        list("list", Value::Array(vec![Value::Int(-1), Value::String("one".to_owned()), Value::Bool(true)])),
        list("nested", nested),
        list("url", Value::String("https://shop.example/cart/4711?session=00ff00ff".to_owned())),
    ];
    span.attributes.extend(values.clone());
    span.resource = Arc::new(Resource {
        present: true,
        attributes: [vec![KeyValue::new("service.name", "full")], values.clone()].concat(),
        dropped_attributes_count: 3,
        entity_refs: vec![EntityRef {
            schema_url: "https://schema.example/1".to_owned(),
            entity_type: "service".to_owned(),
            id_keys: vec!["service.name".to_owned()],
            description_keys: vec!["text".to_owned(), "no".to_owned()],
        }],
        schema_url: "https://schema.example/2".to_owned(),
        local_endpoint: None,
    });
    span.scope = Arc::new(Scope {
        present: true,
        name: "scope".to_owned(),
        version: "1.2.3".to_owned(),
        attributes: values.clone(),
        dropped_attributes_count: 1,
        schema_url: "https://schema.example/3".to_owned(),
    });
    (span.trace_state, span.flags) = ("vendor=1,other=2".to_owned(), 0x3ff);
    (span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count) = (4, 5, 6);
    span.status = Some(Status { code: StatusCode::OK, message: "as it should be".to_owned() });
    let (time_unix_nano, name) = (span.start_unix_nano, "event".to_owned());
    let event = Event { time_unix_nano, name, attributes: values.clone(), dropped_attributes_count: 7 };
    span.events = vec![event, Event::default()];
    let link = Link {
        trace_id: Some([0; 16]),
        span_id: Some([9; 8]),
        trace_state: "vendor=3".to_owned(),
        attributes: values,
        dropped_attributes_count: 8,
        flags: 0x101,
    };
    span.links = vec![link, Link::default()];
}

fn is_late(number: u64) -> bool {
    number < FIRST && number.is_multiple_of(LATE_EVERY)
}

fn append(store: &Store, numbers: impl Iterator<Item = u64>) {
    let spans: Vec<Span> = numbers.map(span).collect();
    for batch in spans.chunks(100) {
        let taken = store.append(batch).expect("a sound disk takes spans");
        assert_eq!(taken.accepted, batch.len() as u64);
    }
}

fn delete(store: &Store, traces: &[u64]) {
    let ids: Vec<TraceId> = traces.iter().copied().map(trace_id).collect();
    store.delete(&ids).expect("a sound disk takes a delete");
}

/// The files of the store after its life, by path.
pub fn files() -> BTreeMap<String, Vec<u8>> {
    let disk = SimulatedDisk::new(0x0001);
    let clock = Arc::new(ManualClock::new(1_760_000_000_000_000_000));
    let steps: [&dyn Fn(&Store); 5] = [
        &|store| {
            append(store, (0..FIRST / 2).filter(|number| !is_late(*number)));
            store.seal().expect("it seals");
            append(store, (FIRST / 2..FIRST).filter(|number| !is_late(*number)));
            store.merge_all().expect("it merges");
        },
        &|store| {
            append(store, (0..FIRST).filter(|number| is_late(*number)).chain(FIRST..SECOND));
            store.append_zipkin_json(ZIPKIN.as_bytes()).map(drop).expect("spans are taken");
            delete(store, &DELETED);
            store.seal().expect("it seals");
        },
        &|store| {
            append(store, SECOND..THIRD);
            store.seal().expect("it seals");
        },
        &|store| {
            append(store, THIRD..FOURTH);
            delete(store, &[DELETED_LATER]);
        },
        &|store| append(store, FOURTH..ALL),
    ];
    for step in steps {
        let storage: Arc<dyn Storage> = Arc::new(disk.clone());
        let builder = Store::builder("unused").storage(storage).clock(clock.clone()).durability(Durability::Sync);
        let store = builder.seal_automatically(false).block_rows(1024).open().expect("a sound disk opens");
        step(&store);
        store.close().expect("a sound disk closes");
        clock.advance(Duration::from_secs(3_600));
    }
    let read = |name: String| (name.clone(), disk.read_file(&name).expect("it was listed"));
    disk.file_names().into_iter().map(read).collect()
}

/// Asserts that these are all the spans that were written and not deleted, in every field; Zipkin's are counted.
pub fn is_what_was_written(spans: &[Span]) {
    let gone = |number: &u64| DELETED.contains(&(number / TRACE_SPANS)) || number / TRACE_SPANS == DELETED_LATER;
    let (zipkin, otlp): (Vec<&Span>, Vec<&Span>) = spans.iter().partition(|span| span.is_zipkin());
    assert_eq!(zipkin.len(), 3);
    let mut found: Vec<u64> = otlp.iter().map(|span| span.span_id.get() - 1).collect();
    found.sort_unstable();
    assert_eq!(found, (0..ALL).filter(|number| !gone(number)).collect::<Vec<u64>>());
    for read in otlp {
        assert_eq!(*read, span(read.span_id.get() - 1));
    }
}
