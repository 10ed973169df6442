//! Spans over OTLP's gRPC into `tailspan serve` on one core, each batch synced before it is acknowledged, with queries beside.
//!
//! ```sh
//! cargo bench --features collector --bench collector                  # 500,000 spans of the project's own workload
//! cargo bench --features collector --bench collector -- spans.otlp    # or what a file holds, as `tailspan import` takes it
//! ```
//!
//! Messages of 512 spans are held ready; connections send them one after the other, each the next when the last is
//! acknowledged. The server is bound to the first processor (`taskset`), everything else runs on the others. Told are spans
//! a second, spans a second of the server's processor time, and latencies of exports and of the queries, which are
//! lookups of traces acknowledged before and searches for the newest. Nothing is asserted but that all is there.

mod common {
    pub mod calls;
    pub mod workload;
}

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use common::calls::{SPANS_A_TRACE, messages};

const SPANS_A_MESSAGE: usize = 512;
const CONNECTIONS: usize = 16;
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(20);
/// Lookups of a trace for each search.
const LOOKUPS_A_SEARCH: usize = 9;

/// A message, the spans in it, and the id of a trace that has a span in it.
struct Batch {
    framed: Bytes,
    spans: usize,
    trace_id: String,
}

impl Batch {
    fn new(message: &[u8], spans: usize, trace_id: &[u8]) -> Self {
        // gRPC's frame: not packed, the length, the message.
        let frame = [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat();
        let trace_id = trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { framed: frame.into(), spans, trace_id }
    }
}

fn main() {
    let batches = batches();
    let spans: usize = batches.iter().map(|batch| batch.spans).sum();
    let bytes: usize = batches.iter().map(|batch| batch.framed.len()).sum();
    println!("{spans} spans in {} messages, {} MB as OTLP", batches.len(), bytes / 1_000_000);
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&folder.path().join("store"), bytes);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let before = server.cpu_seconds();
    let began = Instant::now();
    let run = runtime.block_on(run(&server, batches));
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), server.cpu_seconds() - before);
    println!("  {:.0} thousand spans a second", spans as f64 / seconds / 1e3);
    println!(
        "  {:.0} thousand spans a second of the server's processor ({cpu:.2} s of {seconds:.2})",
        spans as f64 / cpu / 1e3
    );
    for (what, mut times) in [("export", run.exports), ("lookup", run.lookups), ("search", run.searches)] {
        times.sort_unstable();
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|q| quantile(&times, q).as_secs_f64() * 1e3);
        println!("  {what}, ms: p50 {p50:.2}, p99 {p99:.2}, the slowest of {} {max:.2}", times.len());
    }
}

/// What is sent: of a file that the command line names, or of the workload.
fn batches() -> Vec<Batch> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let Some(file) = words.iter().find(|word| word.parse::<u64>().is_err()) {
        return of_file(Path::new(file));
    }
    let is_bench = std::env::args().any(|word| word == "--bench");
    let told = words.iter().find_map(|word| word.parse().ok());
    let traces = told.unwrap_or(if is_bench { 500_000 } else { 5_000 }) / SPANS_A_TRACE;
    let step = SPANS_A_MESSAGE as u64 / SPANS_A_TRACE;
    let of = |first: u64| {
        let range = first..(first + step).min(traces);
        let spans = ((range.end - range.start) * SPANS_A_TRACE) as usize;
        messages(range).into_iter().map(move |message| Batch::new(&message, spans, &common::workload::trace_id(first)))
    };
    (0..traces).step_by(step as usize).flat_map(of).collect()
}

/// The messages of a file, each with its length before it, cut into batches.
fn of_file(path: &Path) -> Vec<Batch> {
    let bytes = std::fs::read(path).expect("the file is readable");
    let (mut rest, mut out) = (&bytes[..], Vec::new());
    let (mut pending, mut spans, mut id) = (Vec::new(), 0, Vec::new());
    while !rest.is_empty() {
        let request = ExportTraceServiceRequest::decode_length_delimited(&mut rest).expect("messages with lengths");
        for of_resource in request.resource_spans {
            for of_scope in of_resource.scope_spans {
                for piece in of_scope.spans.chunks(SPANS_A_MESSAGE) {
                    if spans + piece.len() > SPANS_A_MESSAGE {
                        out.push(Batch::new(&encoded(std::mem::take(&mut pending)), spans, &id));
                        spans = 0;
                    }
                    let scope_spans =
                        ScopeSpans { spans: piece.to_vec(), scope: of_scope.scope.clone(), ..Default::default() };
                    let resource = of_resource.resource.clone();
                    pending.push(ResourceSpans { resource, scope_spans: vec![scope_spans], ..Default::default() });
                    spans += piece.len();
                    id.clone_from(&piece[0].trace_id);
                }
            }
        }
    }
    out.push(Batch::new(&encoded(pending), spans, &id));
    out
}

fn encoded(resource_spans: Vec<ResourceSpans>) -> Vec<u8> {
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// How long each request took.
#[derive(Default)]
struct Run {
    exports: Vec<Duration>,
    lookups: Vec<Duration>,
    searches: Vec<Duration>,
}

/// What clients share.
struct Shared {
    batches: Vec<Batch>,
    /// Number of the batch that is sent next.
    next: AtomicUsize,
    ended: AtomicBool,
    run: Mutex<Run>,
}

async fn run(server: &Server, batches: Vec<Batch>) -> Run {
    let (next, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let shared = Arc::new(Shared { batches, next, ended, run: Mutex::default() });
    let mut exporters = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let exporter = Exporter::new(server.door("otlp-grpc")).await;
        exporters.spawn(export_all(exporter, shared.clone()));
    }
    let questions = tokio::spawn(ask_on(server.door("page").to_owned(), shared.clone()));
    exporters.join_all().await;
    shared.ended.store(true, Relaxed);
    questions.await.expect("the questions end");
    Arc::into_inner(shared).expect("all have ended").run.into_inner().expect("no panic")
}

async fn export_all(mut exporter: Exporter, shared: Arc<Shared>) {
    while let Some(batch) = shared.batches.get(shared.next.fetch_add(1, Relaxed)) {
        let took = exporter.export(batch).await;
        shared.run.lock().expect("no panic").exports.push(took);
    }
}

async fn ask_on(address: String, shared: Arc<Shared>) {
    for turn in 0.. {
        tokio::time::sleep(PAUSE).await;
        if shared.ended.load(Relaxed) {
            return;
        }
        // Of those begun, all but the last few are acknowledged.
        let known = shared.next.load(Relaxed).min(shared.batches.len()).saturating_sub(4 * CONNECTIONS);
        if known == 0 {
            continue;
        }
        let is_search = turn % (LOOKUPS_A_SEARCH + 1) == LOOKUPS_A_SEARCH;
        let path = match is_search {
            true => "/api/find?min-duration=50ms&limit=20".to_owned(),
            false => format!("/api/trace?id={}", shared.batches[turn * 7919 % known].trace_id),
        };
        let took = ask(&address, &path).await;
        let mut run = shared.run.lock().expect("no panic");
        if is_search { run.searches.push(took) } else { run.lookups.push(took) }
    }
}

/// One connection of a client of the trace service.
struct Exporter {
    sender: hyper::client::conn::http2::SendRequest<Full<Bytes>>,
    uri: String,
}

impl Exporter {
    async fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("the door is open");
        let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        builder.initial_connection_window_size(1 << 20);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.expect("HTTP/2");
        tokio::spawn(connection);
        Self { sender, uri: format!("http://{address}{EXPORT}") }
    }

    /// Sends a batch, again if it is told to come again, until it is acknowledged.
    async fn export(&mut self, batch: &Batch) -> Duration {
        let began = Instant::now();
        loop {
            let request = Request::post(&self.uri).header("content-type", "application/grpc").header("te", "trailers");
            let request = request.body(Full::new(batch.framed.clone())).expect("a request");
            let response = self.sender.send_request(request).await.expect("an answer");
            let head = response.headers().get("grpc-status").cloned();
            let body = response.into_body().collect().await.expect("a whole answer");
            let status = head.or_else(|| body.trailers()?.get("grpc-status").cloned());
            match status.as_ref().map(|status| status.as_bytes()) {
                Some(b"0") => return began.elapsed(),
                // RESOURCE_EXHAUSTED: the head is full.
                Some(b"8") => tokio::time::sleep(Duration::from_millis(100)).await,
                other => panic!("refused: {other:?}"),
            }
        }
    }
}

async fn ask(address: &str, path: &str) -> Duration {
    let began = Instant::now();
    let stream = TcpStream::connect(address).await.expect("the door is open");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1");
    let connection = tokio::spawn(connection);
    let request = Request::get(path).header("host", address).body(Full::<Bytes>::default()).expect("a request");
    let response = sender.send_request(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    let answer: Result<_, hyper::Error> = response.into_body().collect().await;
    assert!(!answer.expect("a whole answer").to_bytes().is_empty());
    connection.abort();
    began.elapsed()
}

/// The binary, serving.
struct Server {
    child: Child,
    doors: HashMap<String, String>,
}

impl Server {
    /// `input_bytes` are those that will be sent: the head takes a quarter of it, so that a short load is sealed too.
    fn start(store: &Path, input_bytes: usize) -> Self {
        let binary = env!("CARGO_BIN_EXE_tailspan");
        let mut command = Command::new("taskset");
        if Command::new("taskset").args(["-c", "0", "true"]).status().is_ok_and(|status| status.success()) {
            command.args(["-c", "0", binary]);
        } else {
            println!("  taskset is not there: the server takes what processors there are");
            command = Command::new(binary);
        }
        let ports = ["otlp-grpc", "otlp-http", "zipkin", "page"].map(|name| format!("--{name}=127.0.0.1:0"));
        let memory = format!("--memory={}", (input_bytes / 4).clamp(8 << 20, 256 << 20));
        command.arg("serve").arg(store).args(ports).args(["--durability=sync", &memory]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the server starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let doors = lines.map_while(|line| line.split_once(' ').map(|(name, at)| (name.to_owned(), at.to_owned())));
        Self { doors: doors.collect(), child }
    }

    fn door(&self, name: &str) -> &str {
        &self.doors[name]
    }

    /// Seconds of processor time it has taken, as Linux tells; none elsewhere.
    fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // utime and stime, the 14th and 15th field; in hundredths of a second.
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>()
            / 100.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of rank ceil(q * n) of sorted values; 0 of none.
fn quantile(sorted: &[Duration], q: f64) -> Duration {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or_default()
}
