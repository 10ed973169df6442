//! Zipkin's other formats over HTTP: protobuf, and version 1 as JSON and thrift. What goes in comes out of the query API.

#[path = "common/grpc.rs"]
mod grpc;
#[path = "common/server.rs"]
mod server;

use prost::Message;
use serde_json::{Value, json};
use server::{Pieces, Server, post, send};
use tailspan::{Store, TraceId};
use tonic::Code;
use tonic::codec::CompressionEncoding;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const THRIFT: (&str, &str) = ("content-type", "application/x-thrift");
/// Zipkin's gRPC method.
const REPORT: &str = "/zipkin.proto3.SpanService/Report";
const JSON: (&str, &str) = ("content-type", "application/json");

struct Ground {
    server: Server,
    // Dropped after the server.
    folder: tempfile::TempDir,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let server = Server::start(&folder.path().join("store"), &[]);
        Self { server, folder }
    }

    /// Status and body of a message.
    fn put(&self, path: &str, content_type: (&str, &str), body: &[u8]) -> (u16, String) {
        let answer = post(self.server.door("zipkin"), path, &[content_type], body.to_vec());
        // Errors are told in plain text.
        let text = answer.header("content-type").is_some_and(|value| value.starts_with("text/plain"));
        assert_eq!(text, !answer.body.is_empty());
        (answer.status.as_u16(), answer.text().to_owned())
    }

    fn text(&self, path: &str) -> String {
        let answer = send(self.server.door("zipkin"), "GET", path, &[], Pieces::new([""]));
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
        answer.text().to_owned()
    }

    fn trace(&self, id: &str) -> Value {
        serde_json::from_str(&self.text(&format!("/api/v2/trace/{id}"))).expect("JSON")
    }
}

/// As much of `zipkin.proto3` as the test needs.
#[derive(Clone, PartialEq, Message)]
struct ListOfSpans {
    #[prost(message, repeated, tag = "1")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    id: Vec<u8>,
    #[prost(int32, tag = "4")]
    kind: i32,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(fixed64, tag = "6")]
    timestamp: u64,
    #[prost(uint64, tag = "7")]
    duration: u64,
    #[prost(message, optional, tag = "8")]
    local_endpoint: Option<Endpoint>,
}

#[derive(Clone, PartialEq, Message)]
struct Endpoint {
    #[prost(string, tag = "1")]
    service_name: String,
    #[prost(bytes = "vec", tag = "2")]
    ipv4: Vec<u8>,
}

fn span(id: u8) -> Span {
    let local_endpoint = Some(Endpoint { service_name: "shop".into(), ipv4: vec![10, 0, 0, 1] });
    let (timestamp, duration) = (1_700_000_000_000_000, 1_500);
    Span { trace_id: vec![7; 16], id: vec![id; 8], kind: 2, name: "get".into(), timestamp, duration, local_endpoint }
}

#[test]
fn protobuf_is_taken_and_refused_by_name() {
    let ground = Ground::new();
    let message = ListOfSpans { spans: vec![span(1)] }.encode_to_vec();
    assert_eq!(ground.put("/api/v2/spans", PROTOBUF, &message), (202, String::new()));
    let expected = json!([{
        "traceId": "07070707070707070707070707070707", "id": "0101010101010101", "kind": "SERVER", "name": "get",
        "timestamp": 1_700_000_000_000_000u64, "duration": 1500,
        "localEndpoint": {"serviceName": "shop", "ipv4": "10.0.0.1"},
    }]);
    assert_eq!(ground.trace("07070707070707070707070707070707"), expected);
    assert_eq!(ground.put("/api/v2/spans", PROTOBUF, b""), (202, String::new()));
    let refused = (400, "Expected a PROTO3 encoded list\n".to_owned());
    assert_eq!(ground.put("/api/v2/spans", PROTOBUF, b"[]"), refused);
    // A span without ids is rejected alone; its neighbour is stored.
    let message = ListOfSpans { spans: vec![Span::default(), span(2)] }.encode_to_vec();
    let (status, text) = ground.put("/api/v2/spans", PROTOBUF, &message);
    assert!(status == 400 && text.starts_with("1 of 2 spans were rejected"), "{status} {text}");
    assert_eq!(ground.trace("07070707070707070707070707070707").as_array().map(Vec::len), Some(2));
}

#[test]
fn version_1_as_json_becomes_a_span_for_each_service() {
    let ground = Ground::new();
    let (web, shop) = (json!({"serviceName": "web"}), json!({"serviceName": "shop"}));
    let note =
        |time: u64, value: &str, endpoint: &Value| json!({"timestamp": time, "value": value, "endpoint": endpoint});
    let message = json!([{
        "traceId": "0000000000000009", "id": "0000000000000009", "name": "get",
        "annotations": [note(10, "cs", &web), note(12, "sr", &shop), note(19, "ss", &shop), note(20, "cr", &web)],
        "binaryAnnotations": [{"key": "http.path", "value": "/", "endpoint": shop}],
    }]);
    assert_eq!(ground.put("/api/v1/spans", JSON, message.to_string().as_bytes()), (202, String::new()));
    let expected = json!([
        {"traceId": "0000000000000009", "id": "0000000000000009", "kind": "CLIENT", "name": "get", "timestamp": 10,
         "duration": 10, "localEndpoint": {"serviceName": "web"}},
        {"traceId": "0000000000000009", "id": "0000000000000009", "kind": "SERVER", "name": "get", "timestamp": 12,
         "duration": 7, "localEndpoint": {"serviceName": "shop"}, "tags": {"http.path": "/"}, "shared": true},
    ]);
    assert_eq!(ground.trace("0000000000000009"), expected);
    for (path, body, expected) in [
        ("/api/v1/spans", r#"[{"localEndpoint":{}}]"#, "Expected a JSON_V1 encoded list, but received: JSON_V2\n"),
        ("/api/v2/spans", &*message.to_string(), "Expected a JSON_V2 encoded list, but received: JSON_V1\n"),
        ("/api/v1/spans", "{}", "Expected a JSON_V1 encoded list\n"),
    ] {
        assert_eq!(ground.put(path, JSON, body.as_bytes()), (400, expected.to_owned()));
    }
}

#[test]
fn version_1_as_thrift_is_taken() {
    let ground = Ground::new();
    let i64_field = |number: u8, value: i64| [&[10, 0, number][..], &value.to_be_bytes()].concat();
    let text_field =
        |number: u8, text: &str| [&[11, 0, number][..], &(text.len() as i32).to_be_bytes(), text.as_bytes()].concat();
    let host = [&[12, 0, 3][..], &text_field(3, "job"), &[0]].concat();
    let note = |time: i64, value: &str| [i64_field(1, time), text_field(2, value), host.clone(), vec![0]].concat();
    let notes = [note(100, "sr"), note(160, "ss")].concat();
    let message = [
        &[12, 0, 0, 0, 1][..],
        &i64_field(1, 0x42),
        &text_field(3, "run"),
        &i64_field(4, 0x43),
        &[15, 0, 6, 12, 0, 0, 0, 2],
        &notes,
        &i64_field(10, 90),
        &i64_field(11, 80),
        &[0],
    ]
    .concat();
    assert_eq!(ground.put("/api/v1/spans", THRIFT, &message), (202, String::new()));
    let expected = json!([{
        "traceId": "0000000000000042", "id": "0000000000000043", "kind": "SERVER", "name": "run",
        "timestamp": 90, "duration": 80, "localEndpoint": {"serviceName": "job"},
    }]);
    assert_eq!(ground.trace("42"), expected);
    assert_eq!(ground.put("/api/v1/spans", THRIFT, b"[]"), (400, "Expected a THRIFT encoded list\n".to_owned()));
    let cut = &message[..message.len() - 2];
    let (status, text) = ground.put("/api/v1/spans", THRIFT, cut);
    assert_eq!((status, &*text), (400, "Malformed reading List<Span> from THRIFT: span 0: it ends too early"));
    // What was taken is whole in the store that is left.
    ground.server.terminate();
    assert!(ground.server.wait().success());
    let store = Store::open_read_only(ground.folder.path().join("store")).expect("a store");
    assert_eq!(store.trace(TraceId::parse("42").expect("an id")).expect("readable").len(), 1);
}

#[test]
fn spans_are_reported_over_grpc() {
    let ground = Ground::new();
    let report = |packed, message: Vec<u8>| grpc::call(ground.server.door("zipkin"), REPORT, packed, message);
    let list = |ids: [u8; 2]| ListOfSpans { spans: ids.map(span).to_vec() }.encode_to_vec();
    report(None, Vec::new()).expect("an empty list is one");
    report(None, list([1, 2])).expect("taken");
    report(Some(CompressionEncoding::Gzip), list([3, 4])).expect("taken");
    assert_eq!(ground.trace("07070707070707070707070707070707").as_array().map(Vec::len), Some(4));
    let refused = report(None, b"[]".to_vec()).expect_err("no list");
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "Expected a PROTO3 encoded list\n"));
    // The door of OTLP does not speak it.
    let elsewhere =
        grpc::call(ground.server.door("otlp-grpc"), REPORT, None, list([5, 6])).expect_err("another service");
    assert_eq!(elsewhere.code(), Code::Unimplemented);
}

#[test]
fn messages_are_counted_by_transport_as_zipkin_does() {
    let ground = Ground::new();
    let message = ListOfSpans { spans: vec![span(1), span(2)] }.encode_to_vec();
    for _ in 0..2 {
        assert_eq!(ground.put("/api/v2/spans", PROTOBUF, &message).0, 202);
    }
    assert_eq!(ground.put("/api/v2/spans", JSON, b"hello").0, 400);
    grpc::call(ground.server.door("zipkin"), REPORT, None, message.clone()).expect("taken");
    let counts: Value = serde_json::from_str(&ground.text("/metrics")).expect("JSON");
    let bytes = message.len();
    for (name, expected) in [
        ("counter.zipkin_collector.messages.http", json!(3)),
        ("counter.zipkin_collector.messages_dropped.http", json!(1)),
        ("counter.zipkin_collector.bytes.http", json!(2 * bytes + 5)),
        ("counter.zipkin_collector.spans.http", json!(4)),
        ("counter.zipkin_collector.spans_dropped.http", json!(0)),
        ("gauge.zipkin_collector.message_bytes.http", json!(5.0)),
        ("gauge.zipkin_collector.message_spans.http", json!(0.0)),
        ("counter.zipkin_collector.messages.grpc", json!(1)),
        ("counter.zipkin_collector.spans.grpc", json!(2)),
        ("gauge.zipkin_collector.message_spans.grpc", json!(2.0)),
    ] {
        assert_eq!(counts[name], expected, "{name} of {counts}");
    }
    let text = ground.text("/prometheus");
    for line in [
        r#"zipkin_collector_spans_total{transport="http"} 4"#,
        r#"zipkin_collector_messages_dropped_total{transport="http"} 1"#,
        r#"zipkin_collector_spans_total{transport="grpc"} 2"#,
    ] {
        assert!(text.lines().any(|one| one == line), "{line} in {text}");
    }
}
