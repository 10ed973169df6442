//! Spans into `tailspan serve` through every door, from a client, over a socket, into the built binary.
//!
//! What is acknowledged is in the store, also if the server is killed the moment after; what is refused is refused in
//! the words of the protocol.

#[path = "common/grpc.rs"]
mod grpc;
#[path = "common/server.rs"]
mod server;

use std::io::Write;
use std::path::PathBuf;

use flate2::write::GzEncoder;
use grpc::call;
use hyper::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::{Value, json};
use server::{Answer, Pieces, Server, post, send};
use tailspan::{Store, TraceId};
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic_types::StatusExt;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");
const GZIP: (&str, &str) = ("content-encoding", "gzip");
const ZSTD: (&str, &str) = ("content-encoding", "zstd");
/// Bytes a bomb unfolds to: more than any limit here.
const BOMB_BYTES: usize = 80 << 20;

struct Ground(tempfile::TempDir);

impl Ground {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for temporary files"))
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }

    fn serve(&self, flags: &[&str]) -> Server {
        Server::start(&self.store(), flags)
    }

    /// How many spans the trace of this number has, read beside the server.
    #[track_caller]
    fn spans_of(&self, number: u8) -> usize {
        let store = Store::open_read_only(self.store()).expect("a store");
        store.trace(trace_id(number)).expect("readable").len()
    }
}

fn trace_id(number: u8) -> TraceId {
    TraceId::from_bytes([number; 16]).expect("not zero")
}

/// An OTLP message of one span in the trace of this number; the trace of number 0 is none.
fn message(number: u8) -> Vec<u8> {
    let span = |id: u8| Span {
        trace_id: vec![number; 16],
        span_id: vec![id; 8],
        name: "work".to_owned(),
        start_time_unix_nano: 1_760_000_000_000_000_000,
        end_time_unix_nano: 1_760_000_000_000_000_500,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span(1)], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// Two messages in one: protobuf adds lists up.
fn both(first: u8, second: u8) -> Vec<u8> {
    [message(first), message(second)].concat()
}

fn message_json(number: u8) -> Value {
    let id = format!("{number:02x}");
    json!({"resourceSpans": [{"scopeSpans": [{"spans": [
        {"traceId": id.repeat(16), "spanId": "0101010101010101", "name": "work", "startTimeUnixNano": "1760000000000000000"}
    ]}]}]})
}

fn zipkin_json(number: u8) -> Value {
    let id = format!("{number:02x}");
    json!([{"traceId": id.repeat(16), "id": "0101010101010101", "name": "work", "timestamp": 1_760_000_000_000_000_u64}])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("in memory")
}

#[track_caller]
fn assert_answer(answer: &Answer, status: u16, text: &str) {
    assert_eq!((answer.status.as_u16(), answer.text()), (status, text));
}

#[test]
fn otlp_over_http_takes_protobuf_and_json_packed_or_in_chunks() {
    let ground = Ground::new();
    let server = ground.serve(&[]);
    let address = server.door("otlp-http");
    let plain = post(address, "/v1/traces", &[PROTOBUF], message(1));
    assert_eq!(plain.status, StatusCode::OK);
    assert_eq!(plain.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(ExportTraceServiceResponse::decode(&*plain.body), Ok(ExportTraceServiceResponse::default()));
    let json = post(address, "/v1/traces", &[JSON], message_json(2).to_string());
    assert_answer(&json, 200, "{}");
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert_eq!(post(address, "/v1/traces", &[PROTOBUF, GZIP], gzip(&message(3))).status, StatusCode::OK);
    let packed = zstd(message_json(4).to_string().as_bytes());
    let chunks = Pieces::new(packed.chunks(7).map(<[u8]>::to_vec));
    assert_answer(&send(address, "POST", "/v1/traces", &[JSON, ZSTD], chunks), 200, "{}");
    for number in 1..=4 {
        assert_eq!(ground.spans_of(number), 1, "trace {number}");
    }
}

#[test]
fn otlp_over_http_says_what_it_rejected_and_keeps_the_rest() {
    let ground = Ground::new();
    let server = ground.serve(&[]);
    let address = server.door("otlp-http");
    let partial = post(address, "/v1/traces", &[PROTOBUF], both(0, 1));
    assert_eq!(partial.status, StatusCode::OK);
    let told = ExportTraceServiceResponse::decode(&*partial.body).expect("a message").partial_success.expect("told");
    assert_eq!((told.rejected_spans, told.error_message.as_str()), (1, "trace_id_zero: 1"));
    let partial = post(address, "/v1/traces", &[JSON], message_json(0).to_string());
    let expected = json!({"partialSuccess": {"rejectedSpans": "1", "errorMessage": "trace_id_zero: 1"}});
    assert_answer(&partial, 200, &expected.to_string());
    assert_eq!(ground.spans_of(1), 1);
}

#[test]
fn otlp_over_http_refuses_in_the_form_it_was_asked_in() {
    let ground = Ground::new();
    let server = ground.serve(&["--body-max=1MiB", "--unpacked-max=2MiB"]);
    let address = server.door("otlp-http");
    let broken = post(address, "/v1/traces", &[PROTOBUF], &b"\xff\xff\xff"[..]);
    assert_eq!(broken.status, StatusCode::BAD_REQUEST);
    let status = tonic_types::Status::decode(&*broken.body).expect("a google.rpc.Status");
    assert_eq!(status.code, Code::InvalidArgument as i32);
    let broken = post(address, "/v1/traces", &[JSON], "[]");
    assert_eq!(broken.status, StatusCode::BAD_REQUEST);
    let status: Value = serde_json::from_slice(&broken.body).expect("JSON");
    assert_eq!(status["code"], Code::InvalidArgument as i32);
    assert_eq!(post(address, "/v1/traces", &[("content-type", "text/plain")], "x").status.as_u16(), 415);
    let encoded = [PROTOBUF, ("content-encoding", "br")];
    assert_eq!(post(address, "/v1/traces", &encoded, "x").status.as_u16(), 415);
    assert_eq!(post(address, "/v1/traces", &[PROTOBUF, GZIP], "no gzip").status.as_u16(), 400);
    assert_eq!(post(address, "/v1/traces", &[PROTOBUF], vec![0; (1 << 20) + 1]).status.as_u16(), 413);
    for (encoding, bomb) in [(GZIP, gzip(&vec![0; BOMB_BYTES])), (ZSTD, zstd(&vec![0; BOMB_BYTES]))] {
        assert!(bomb.len() < 1 << 20, "it must get past the limit on packed bytes");
        assert_eq!(post(address, "/v1/traces", &[PROTOBUF, encoding], bomb).status.as_u16(), 413);
    }
    assert_eq!(send(address, "GET", "/v1/traces", &[], Pieces::new([""])).status.as_u16(), 405);
}

#[test]
fn otlp_over_grpc_takes_messages_packed_or_not() {
    let ground = Ground::new();
    let server = ground.serve(&[]);
    let address = server.door("otlp-grpc");
    let ways = [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)];
    for (number, packed) in (1..).zip(ways) {
        assert_eq!(call(address, EXPORT, packed, message(number)).expect("taken").partial_success, None);
        assert_eq!(ground.spans_of(number), 1);
    }
    // Nothing to say is something one may say.
    assert_eq!(call(address, EXPORT, None, Vec::new()).expect("taken").partial_success, None);
    let told = call(address, EXPORT, None, both(0, 5)).expect("taken").partial_success.expect("told");
    assert_eq!((told.rejected_spans, told.error_message.as_str()), (1, "trace_id_zero: 1"));
    assert_eq!(ground.spans_of(5), 1);
}

#[test]
fn otlp_over_grpc_refuses_with_a_code() {
    let ground = Ground::new();
    let server = ground.serve(&["--body-max=1MiB", "--unpacked-max=2MiB"]);
    let address = server.door("otlp-grpc");
    let code = |packed, message| call(address, EXPORT, packed, message).expect_err("refused").code();
    assert_eq!(code(None, b"\xff\xff\xff".to_vec()), Code::InvalidArgument);
    assert_eq!(code(None, vec![0; (1 << 20) + 1]), Code::InvalidArgument);
    assert_eq!(code(Some(CompressionEncoding::Zstd), vec![0; BOMB_BYTES]), Code::ResourceExhausted);
    assert_eq!(code(Some(CompressionEncoding::Gzip), vec![0; BOMB_BYTES]), Code::ResourceExhausted);
    let unknown = call(address, "/opentelemetry.proto.collector.logs.v1.LogsService/Export", None, Vec::new());
    assert_eq!(unknown.expect_err("unknown").code(), Code::Unimplemented);
}

#[test]
fn a_server_without_room_says_when_to_come_again() {
    let ground = Ground::new();
    let server = ground.serve(&["--requests-bytes-max=16"]);
    let refused = post(server.door("otlp-http"), "/v1/traces", &[PROTOBUF], message(1));
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, Some("1")));
    let refused = post(server.door("zipkin"), "/api/v2/spans", &[JSON], zipkin_json(1).to_string());
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, Some("1")));
    let refused = call(server.door("otlp-grpc"), EXPORT, None, message(1)).expect_err("refused");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()));
    assert_eq!(ground.spans_of(1), 0);
}

#[test]
fn zipkin_takes_lists_of_spans_and_says_what_it_cannot_read() {
    let ground = Ground::new();
    let server = ground.serve(&[]);
    let post = |headers: &[(&str, &str)], body: Vec<u8>| post(server.door("zipkin"), "/api/v2/spans", headers, body);
    let list = |number| zipkin_json(number).to_string().into_bytes();
    assert_answer(&post(&[JSON], list(1)), 202, "");
    assert_answer(&post(&[], list(2)), 202, "");
    assert_answer(&post(&[JSON, GZIP], gzip(&list(3))), 202, "");
    assert_answer(&post(&[JSON, ZSTD], zstd(&list(4))), 202, "");
    assert_answer(&post(&[JSON, ("content-encoding", "identity")], list(5)), 202, "");
    for number in 1..=5 {
        assert_eq!(ground.spans_of(number), 1, "trace {number}");
    }
    assert_answer(&post(&[JSON], Vec::new()), 202, "");
    assert_answer(&post(&[JSON], b"[]".to_vec()), 202, "");
    assert_answer(&post(&[JSON], b"hello".to_vec()), 400, "Expected a JSON_V2 encoded list\n");
    assert_answer(&post(&[JSON, GZIP], b"hello".to_vec()), 400, "Cannot gunzip spans");
    let old = json!([{"traceId": "1", "id": "1", "name": "old", "binaryAnnotations": []}]).to_string();
    assert_answer(&post(&[JSON], old.into_bytes()), 400, "Expected a JSON_V2 encoded list, but received: JSON_V1\n");
    let mixed = json!([zipkin_json(6)[0], {"traceId": "0", "id": "1"}]).to_string();
    let told = "1 of 2 spans were rejected (trace_id_zero: 1), the others are stored";
    assert_answer(&post(&[JSON], mixed.into_bytes()), 400, told);
    assert_eq!(ground.spans_of(6), 1);
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let ground = Ground::new();
    let server = ground.serve(&[]);
    for number in 1..=20 {
        assert_eq!(post(server.door("otlp-http"), "/v1/traces", &[PROTOBUF], message(number)).status, StatusCode::OK);
    }
    // It is killed.
    drop(server);
    for number in 1..=20 {
        assert_eq!(ground.spans_of(number), 1, "trace {number}");
    }
}

#[test]
fn a_server_that_is_asked_to_end_finishes_what_is_under_way() {
    use std::io::Read;
    let ground = Ground::new();
    let server = ground.serve(&[]);
    let mut stream = std::net::TcpStream::connect(server.door("zipkin")).expect("the door is open");
    let body = zipkin_json(1).to_string();
    let (first, rest) = body.split_at(10);
    let head = format!(
        "POST /api/v2/spans HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    // The server says that it is waiting for the body: from now on the request is under way.
    let mut waiting = [0; 25];
    stream.read_exact(&mut waiting).expect("an interim answer");
    assert!(waiting.starts_with(b"HTTP/1.1 100 Continue"), "{}", String::from_utf8_lossy(&waiting));
    stream.write_all(first.as_bytes()).expect("sent");
    server.terminate();
    stream.write_all(rest.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(ground.spans_of(1), 1);
}

#[test]
fn doors_beyond_the_loopback_interface_open_only_if_told() {
    let ground = Ground::new();
    let store = ground.store();
    let words = ["serve".as_ref(), store.as_os_str(), "--zipkin=0.0.0.0:0".as_ref()];
    let refused = std::process::Command::new(env!("CARGO_BIN_EXE_tailspan")).args(words).output().expect("it starts");
    assert_eq!(refused.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&refused.stderr);
    assert!(complaint.contains("--zipkin=0.0.0.0:0") && complaint.contains("--allow-remote"), "{complaint}");
    assert!(!store.exists(), "nothing was done");
    // The later flag of two counts, so that a test's own address does.
    let server = ground.serve(&["--zipkin=0.0.0.0:0", "--allow-remote"]);
    assert!(server.door("zipkin").starts_with("0.0.0.0:"));
}
