//! How `tailspan serve` is set up: file, environment and flags, tokens, TLS, what it logs and what it tells of itself.

#[path = "common/server.rs"]
mod server;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use server::{Answer, Pieces, Server, post, run, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const JSON: (&str, &str) = ("content-type", "application/json");

struct Ground(tempfile::TempDir);

impl Ground {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for temporary files"))
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }

    /// Writes a file and names it by a flag.
    fn file(&self, flag: &str, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("a file");
        format!("--{flag}={}", path.display())
    }

    fn serve(&self, flags: &[&str]) -> Server {
        Server::start(&self.store(), flags)
    }

    /// What a server that does not start says, and its exit code.
    fn refused(&self, flags: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tailspan"));
        let ended = command.arg("serve").arg(self.store()).args(flags).output().expect("it starts");
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    }
}

fn get(address: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(address, "GET", path, headers, Pieces::new([""]))
}

fn spans(id: u8) -> String {
    let start = 1_767_225_600_000_000_u64 + u64::from(id);
    let span = |id: String, duration: u64, tags: Value| {
        json!({"traceId": "a1", "id": id, "name": "pay", "timestamp": start, "duration": duration, "tags": tags,
               "localEndpoint": {"serviceName": "shop"}})
    };
    json!([span(format!("{id}1"), 1000, json!({})), span(format!("{id}2"), 3000, json!({"error": ""}))]).to_string()
}

#[test]
fn a_file_sets_what_flags_do_not() {
    let ground = Ground::new();
    let file = ground.file("config", "serve.toml", "test-purge = true\nautocomplete-keys = [\"a\", \"b\"]\n");
    let server = ground.serve(&[&file, "--autocomplete-keys=c"]);
    assert_eq!(post(server.door("zipkin"), "/test/purge", &[], "").status.as_u16(), 200);
    assert_eq!(get(server.door("zipkin"), "/api/v2/autocompleteKeys", &[]).text(), "[\"c\"]");
    drop(server);
    let wrong = ground.file("config", "wrong.toml", "threads = 1\nthraeds = 2\n");
    let (code, complaint) = ground.refused(&[&wrong]);
    assert_eq!(code, Some(2));
    assert!(complaint.contains("wrong.toml:2: there is no setting 'thraeds'"), "{complaint}");
}

#[test]
fn who_sends_and_who_asks_have_tokens_of_their_own() {
    let ground = Ground::new();
    let (send_file, ask_file) =
        (ground.file("ingest-tokens", "in", "s1\ns2\n"), ground.file("query-tokens", "out", "q\n"));
    let server = ground.serve(&[&send_file, &ask_file]);
    let (otlp, zipkin, page) = (server.door("otlp-http"), server.door("zipkin"), server.door("page"));
    let status = |answer: Answer| answer.status.as_u16();
    let (sender, asker) = (("authorization", "Bearer s2"), ("authorization", "Bearer q"));
    for path in ["/api/v2/spans", "/api/v1/spans"] {
        assert_eq!(status(post(zipkin, path, &[JSON], "[]")), 401, "{path}");
        assert_eq!(status(post(zipkin, path, &[JSON, asker], "[]")), 401, "{path}");
        assert_eq!(status(post(zipkin, path, &[JSON, sender], "[]")), 202, "{path}");
    }
    let refused = post(otlp, "/v1/traces", &[JSON], "{}");
    assert_eq!((refused.status.as_u16(), refused.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(status(post(otlp, "/v1/traces", &[JSON, sender], "{}")), 200);
    for (door, path) in
        [(zipkin, "/api/v2/services"), (page, "/api/services"), (page, "/metrics"), (page, "/metrics/spans")]
    {
        assert_eq!(status(get(door, path, &[])), 401, "{path}");
        assert_eq!(status(get(door, path, &[sender])), 401, "{path}");
        assert_eq!(status(get(door, path, &[asker])), 200, "{path}");
    }
    assert_eq!(status(get(zipkin, "/health", &[])), 200);
}

#[test]
fn figures_count_what_came_and_what_was_refused() {
    let ground = Ground::new();
    let server = ground.serve(&[]);
    let zipkin = server.door("zipkin");
    for body in [spans(1), spans(1), spans(2)] {
        assert_eq!(post(zipkin, "/api/v2/spans", &[JSON], body).status.as_u16(), 202);
    }
    assert_eq!(post(zipkin, "/api/v2/spans", &[JSON], "{}").status.as_u16(), 400);
    assert_eq!(post(zipkin, "/api/v2/spans", &[JSON], r#"[{"traceId": "0", "id": "1"}]"#).status.as_u16(), 400);
    let answer = get(server.door("page"), "/metrics", &[]);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let figure = |name: &str| figure(answer.text(), name);
    assert_eq!(figure("tailspan_spans_accepted_total"), 4.0);
    assert_eq!(figure("tailspan_spans_duplicate_total"), 2.0);
    assert_eq!(figure("tailspan_spans_rejected_total{reason=\"trace_id_zero\"}"), 1.0);
    assert_eq!(figure("tailspan_appends_refused_total{cause=\"Invalid\"}"), 1.0);
    assert!(figure("tailspan_received_bytes_total{format=\"zipkin-json\"}") > 0.0);
    assert!(figure("tailspan_head_bytes") > 0.0 && figure("tailspan_append_seconds_count") >= 4.0);
    assert_eq!(figure("tailspan_spans"), 4.0);
}

#[test]
fn rate_errors_and_durations_of_operations_are_exact() {
    let ground = Ground::new();
    let server = ground.serve(&[]);
    for id in [1, 2] {
        assert_eq!(post(server.door("zipkin"), "/api/v2/spans", &[JSON], spans(id)).status.as_u16(), 202);
    }
    let answer = get(server.door("page"), "/metrics/spans", &[]);
    let labels = "service=\"shop\",operation=\"pay\"";
    for (name, expected) in [
        (format!("tailspan_span_total{{{labels}}}"), 4.0),
        (format!("tailspan_span_errors_total{{{labels}}}"), 2.0),
        (format!("tailspan_span_duration_seconds_sum{{{labels}}}"), 0.008),
        (format!("tailspan_span_duration_seconds_count{{{labels}}}"), 4.0),
        (format!("tailspan_span_duration_seconds{{{labels},quantile=\"0.5\"}}"), 0.001),
        (format!("tailspan_span_duration_seconds{{{labels},quantile=\"0.99\"}}"), 0.003),
    ] {
        assert_eq!(figure(answer.text(), &name), expected, "{name}");
    }
}

/// The value of a metric, in Prometheus' text format.
#[track_caller]
fn figure(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().expect("a number")
}

#[test]
fn with_a_certificate_every_door_speaks_tls() {
    let ground = Ground::new();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let certificate = ground.file("tls-cert", "cert.pem", &made.cert.pem());
    let key = ground.file("tls-key", "key.pem", &made.signing_key.serialize_pem());
    let tokens = ground.file("ingest-tokens", "in", "s\n");
    // With tokens and a certificate a door may be open to other machines.
    let server = ground.serve(&[&certificate, &key, &tokens, "--otlp-http=0.0.0.0:0"]);
    let port = server.door("otlp-http").rsplit(':').next().expect("a port").to_owned();
    for (address, path, expected) in [
        (server.door("zipkin").to_owned(), "/health", "HTTP/1.1 200"),
        (server.door("page").to_owned(), "/metrics", "HTTP/1.1 200"),
        (format!("127.0.0.1:{port}"), "/v1/traces", "HTTP/1.1 401"),
    ] {
        let answer = run(ask_over_tls(&address, path, made.cert.der().clone()));
        assert!(answer.starts_with(expected), "{path}: {answer}");
    }
    let plain = std::panic::catch_unwind(|| get(server.door("zipkin"), "/health", &[]).status.as_u16());
    assert!(plain.is_err(), "it does not speak without");
    server.terminate();
    assert!(server.wait().success());
    let (code, complaint) = ground.refused(&[&certificate]);
    assert!(code == Some(2) && complaint.contains("--tls-key"), "{complaint}");
    let (code, complaint) = ground.refused(&[&tokens, "--otlp-http=0.0.0.0:0"]);
    assert!(code == Some(2) && complaint.contains("--tls-cert"), "{complaint}");
}

async fn ask_over_tls(
    address: &str,
    path: &str,
    certificate: tokio_rustls::rustls::pki_types::CertificateDer<'static>,
) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.expect("the door is open");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // Some servers close without a farewell.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn what_is_logged_can_be_read_by_machines() {
    let ground = Ground::new();
    let server = ground.serve(&[]);
    assert_eq!(post(server.door("zipkin"), "/api/v2/spans", &[JSON], spans(1)).status.as_u16(), 202);
    // Killed, so that its log is read back.
    drop(server);
    let events = logged(&ground.store());
    let event = |message: &str| events.iter().find(|event| event["message"] == message).expect(message);
    assert!(event("reading the log back")["log_bytes"].as_u64() > Some(0));
    assert_eq!(event("store opened; spans read back from the log")["spans"], 2);
    let doors: Vec<&str> = events.iter().filter_map(|event| event["door"].as_str()).collect();
    assert_eq!(doors, ["otlp-grpc", "otlp-http", "zipkin", "page"]);
    assert_eq!(events.last().expect("an event")["message"], "store closed");
}

/// What a server says that is started on this store and then asked to end.
fn logged(store: &Path) -> Vec<Value> {
    let doors = ["--otlp-grpc=127.0.0.1:0", "--otlp-http=127.0.0.1:0", "--zipkin=127.0.0.1:0", "--page=127.0.0.1:0"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailspan"));
    command.arg("serve").arg(store).args(doors).arg("--log-format=json");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut said = String::new();
    let mut out = child.stdout.take().expect("piped");
    while !said.contains("ready") {
        let mut byte = [0];
        out.read_exact(&mut byte).expect("it gets ready");
        said.push(char::from(byte[0]));
    }
    let sent = Command::new("kill").arg(child.id().to_string()).status().expect("kill runs");
    let ended = child.wait_with_output().expect("it ends");
    assert!(sent.success() && ended.status.success());
    let lines = String::from_utf8(ended.stderr).expect("text");
    lines.lines().map(|line| serde_json::from_str(line).expect("an event is a JSON object")).collect()
}
