//! Traces of real systems, as they were published, go in and come out as they were, and every answer is the
//! same before sealing, after sealing, and after opening the store again.
//!
//! With `TAILSPAN_DATA` set: Nezha's Online Boutique with its redelivered spans, TraceWeaver's hotel, Zipkin
//! Lens's test traces. Without it the same is done with a few spans of our own, which always runs.

mod common {
    pub mod ask;
    pub mod check;
    pub mod data;
    pub mod distinct;
    pub mod lists;
    pub mod matching;
    pub mod meaning;
    pub mod records;
    pub mod search;
    pub mod tags;
}

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;

use common::ask::Ask;
use common::check::Expected;
use common::data::public_data;
use common::records::{otlp_records, zipkin_records};
use flate2::read::GzDecoder;
use serde_json::Value;
use tailspan::{Appended, Order, QueryScope, Span, Store, write_otlp_json, write_zipkin_json};

/// Traces of a page of results; large, for a page costs as much as reading its traces.
const PAGE: usize = 1000;

/// A store that grows from files, and the records that it was given.
struct Import {
    directory: tempfile::TempDir,
    store: Store,
    records: BTreeSet<String>,
    spans: usize,
    accepted: u64,
}

/// How a format is read by the oracle, and written and read by the engine.
struct Format {
    records: fn(&Value, &mut BTreeSet<String>) -> usize,
    append: fn(&Store, &[u8]) -> tailspan::Result<Appended>,
    write: fn(&[Span], &mut Vec<u8>) -> tailspan::Result<()>,
}

const OTLP: Format =
    Format { records: otlp_records, append: Store::append_otlp_json, write: |spans, out| write_otlp_json(spans, out) };

const ZIPKIN: Format = Format {
    records: zipkin_records,
    append: Store::append_zipkin_json,
    write: |spans, out| write_zipkin_json(spans, out),
};

fn open(directory: &Path) -> Store {
    Store::builder(directory).seal_automatically(false).memory_budget_bytes(1 << 30).open().unwrap()
}

impl Import {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        Self { directory, store, records: BTreeSet::new(), spans: 0, accepted: 0 }
    }

    fn add(&mut self, text: &[u8], format: &Format) {
        let message = serde_json::from_slice(text).unwrap();
        let spans = (format.records)(&message, &mut self.records);
        let appended = (format.append)(&self.store, text).unwrap();
        assert_eq!(appended.rejected, [], "good spans were rejected");
        assert_eq!(appended.total(), spans as u64);
        self.accepted += appended.accepted;
        self.spans += spans;
    }

    /// Asserts that the store has every record once, in each of its states, and answers these questions.
    fn check(self, format: &Format, asks: &[Ask]) -> Store {
        let exported: Vec<Span> = self.store.spans().flat_map(|trace| trace.unwrap()).collect();
        assert_eq!(exported.len(), self.records.len(), "distinct spans out and in");
        assert_eq!(self.accepted, self.records.len() as u64, "accepted");
        assert_written(&exported, format, &self.records);
        let mut expected = Expected::new(&exported, asks, &[PAGE]);
        assert_eq!(expected.span_count(), self.records.len() as u64);
        expected.check(&self.store, "before sealing");
        self.store.seal().unwrap();
        expected.check(&self.store, "after sealing");
        self.store.close().unwrap();
        let store = open(self.directory.path());
        expected.check(&store, "reopened");
        store
    }
}

/// Asserts that the spans are written, a thousand at a time, as the records they came as.
fn assert_written(spans: &[Span], format: &Format, wanted: &BTreeSet<String>) {
    let mut written = BTreeSet::new();
    for some in spans.chunks(1000) {
        let mut text = Vec::new();
        (format.write)(some, &mut text).unwrap();
        (format.records)(&serde_json::from_slice(&text).unwrap(), &mut written);
    }
    let differences: Vec<_> = written.symmetric_difference(wanted).take(2).collect();
    assert!(differences.is_empty(), "written and read differ: {differences:#?}");
}

/// What one asks of traces: by service, by name and duration, by attribute and window, the slowest, the failed.
fn asks(service: &str, name: &str, tag: &str, since: u64) -> Vec<Ask> {
    let of_service = Ask { service: Some(service.to_owned()), ..Ask::default() };
    vec![
        Ask { order: Order::Slowest, ..of_service.clone() },
        Ask { name: Some(name.to_owned()), duration: (Some(2_000_000), None), ..Ask::default() },
        Ask { tags: vec![tag.to_owned()], since: Some(since), ..of_service.clone() },
        Ask { name: Some(name.to_owned()), scope: QueryScope::Trace, lenient: true, ..of_service.clone() },
        Ask { trace_duration: (Some(100_000_000), None), order: Order::Slowest, kind: Some(2), ..Ask::default() },
        Ask { error: true, scope: QueryScope::Service, ..of_service },
    ]
}

/// Imports every line of a file of OTLP JSON lines.
fn import_lines(lines: impl BufRead) -> Import {
    let mut import = Import::new();
    lines.lines().for_each(|line| import.add(line.unwrap().as_bytes(), &OTLP));
    import
}

fn gunzipped(path: &Path) -> impl BufRead {
    BufReader::new(GzDecoder::new(std::fs::File::open(path).unwrap()))
}

#[test]
fn nezhas_boutique_comes_out_as_it_went_in_and_each_redelivered_span_once() {
    let Some(folder) = public_data("otlp") else { return };
    let import = import_lines(gunzipped(&folder.join("nezha-onlineboutique.jsonl.gz")));
    assert_eq!((import.spans, import.accepted), (238_623, 237_476));
    let tag = "k8s.pod.name=~frontend-.*";
    let store = import.check(&OTLP, &asks("frontend", "sql.rows", tag, 1_661_142_000_000_000_000));
    assert_eq!(store.stats().unwrap().traces, 5_772);
}

#[test]
fn traceweavers_hotel_comes_out_as_it_went_in() {
    let Some(folder) = public_data("otlp") else { return };
    let import = import_lines(gunzipped(&folder.join("traceweaver-hotel.jsonl.gz")));
    assert_eq!((import.spans, import.accepted), (11_000, 11_000));
    import.check(&OTLP, &asks("search", "/geo.Geo/Nearby", "component=\"gRPC\"", 1_655_753_700_000_000_000));
}

#[test]
fn zipkins_test_traces_come_out_as_zipkin_would_hold_them() {
    let Some(folder) = public_data("zipkin-lens") else { return };
    let mut import = Import::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        import.add(&std::fs::read(entry.unwrap().path()).unwrap(), &ZIPKIN);
    }
    assert_eq!(import.spans, 236);
    import.check(&ZIPKIN, &asks("servicea", "get", "http.method=GET", 1_541_405_397_300_000_000));
}

/// Two messages: the second repeats a span of the first, and has one that differs from it in its status alone.
const OWN_OTLP: [&str; 2] = [
    r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
        "scopeSpans":[{"scope":{"name":"lib","version":"1"},"schemaUrl":"https://schema/1","spans":[
          {"traceId":"0AF7651916CD43DD8448EB211C80319C","spanId":"B7AD6B7169203331","name":"checkout","kind":2,
           "startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000250000000",
           "attributes":[{"key":"http.status_code","value":{"intValue":"500"}},{"key":"http.status_code","value":{"intValue":0}},
             {"key":"list","value":{"arrayValue":{"values":[{"stringValue":""},{"boolValue":false},{"doubleValue":0.1}]}}},
             {"key":"map","value":{"kvlistValue":{"values":[{"key":"","value":{}}]}}},
             {"key":"blob","value":{"bytesValue":"AAAwOQ=="}}],
           "events":[{"timeUnixNano":1700000000100000000,"name":"exception","attributes":[{"key":"k","value":{"stringValue":"v"}}]}],
           "links":[{"traceId":"000000000000000000000000000000ff","spanId":"00000000000000ff","flags":1}],
           "status":{"code":2,"message":"out of stock"},"droppedEventsCount":3,"traceState":"a=b","flags":257},
          {"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7","parentSpanId":"b7ad6b7169203331",
           "name":"sql.rows","kind":3,"startTimeUnixNano":"1700000000010000000","endTimeUnixNano":"1700000000030000000"}]}]}]}"#,
    r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
        "scopeSpans":[{"scope":{"name":"lib","version":"1"},"schemaUrl":"https://schema/1","spans":[
          {"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7","parentSpanId":"b7ad6b7169203331",
           "name":"sql.rows","kind":3,"startTimeUnixNano":"1700000000010000000","endTimeUnixNano":"1700000000030000000"},
          {"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7","parentSpanId":"b7ad6b7169203331",
           "name":"sql.rows","kind":3,"startTimeUnixNano":"1700000000010000000","endTimeUnixNano":"1700000000030000000","status":{}}]}]},
       {"scopeSpans":[{"spans":[{"traceId":"00000000000000008448eb211c80319c","spanId":"0000000000000001","name":""}]}]}]}"#,
];

/// A shared span, texts to be put in lower case, ids of every length, annotations out of order.
const OWN_ZIPKIN: &str = r#"[
    {"traceId":"1","id":"2","kind":"CLIENT","name":"GET","timestamp":1700000000000001,"duration":5000,"shared":true,
     "localEndpoint":{"serviceName":"Web","ipv4":"10.0.0.1","port":80},"remoteEndpoint":{"serviceName":"DB"},
     "tags":{"error":"","http.method":"GET"},
     "annotations":[{"timestamp":1700000000000009,"value":"b"},{"timestamp":1700000000000004,"value":"a"},
                    {"timestamp":1700000000000009,"value":"b"}]},
    {"traceId":"00000000000000000000000000000001","id":"0000000000000002","kind":"SERVER","name":"get","shared":true,
     "timestamp":1700000000000002,"duration":0,"localEndpoint":{"serviceName":"db","ipv6":"2001:DB8:0:0:0:0:0:7"}},
    {"traceId":"463ac35c9f6413ad48485a3953bb6124","id":"3","parentId":"3","debug":true,"localEndpoint":{}},
    {"traceId":"463ac35c9f6413ad48485a3953bb6124","id":"3","parentId":"0","debug":true}
]"#;

#[test]
fn our_own_otlp_comes_out_as_it_went_in() {
    let mut import = Import::new();
    OWN_OTLP.iter().for_each(|text| import.add(text.as_bytes(), &OTLP));
    assert_eq!((import.spans, import.accepted), (5, 4));
    import.check(&OTLP, &asks("shop", "sql.rows", "event:k=v", 1_700_000_000_000_000_000));
}

#[test]
fn our_own_zipkin_comes_out_as_zipkin_would_hold_it() {
    let mut import = Import::new();
    import.add(OWN_ZIPKIN.as_bytes(), &ZIPKIN);
    assert_eq!((import.spans, import.accepted), (4, 3));
    import.check(&ZIPKIN, &asks("web", "get", "error", 1_700_000_000_000_000_000));
}
