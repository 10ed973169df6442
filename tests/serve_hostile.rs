//! A collector among clients that are slow, wrong or hostile, and one that is killed while others send.
//!
//! Slow connections, bombs, nesting and spans with too many attributes take neither room nor memory from honest clients;
//! exporters that send again until they are acknowledged find every span once, however often the server was killed.
//! `TAILSPAN_SERVE_KILLS` and `TAILSPAN_SERVE_REQUESTS` ask for more; times are printed and never judged.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tailspan::{Store, TraceId};

/// Connections that mean no good.
const HOSTILE: usize = 64;
/// Spans of a message of an honest exporter.
const BATCH: usize = 32;
/// Memory that the server may use at most, with the limits it is given here.
const MEMORY_MAX: u64 = 512 << 20;

fn from_environment(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A server in a process of its own, which is killed when it is dropped.
struct Running {
    child: Child,
    /// Where OTLP comes in over HTTP, and Zipkin's spans.
    otlp: String,
    zipkin: String,
}

impl Running {
    fn start(store: &Path, flags: &[&str]) -> Self {
        let ports = ["--otlp-grpc=off", "--otlp-http=127.0.0.1:0", "--zipkin=127.0.0.1:0", "--page=off"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_tailspan"));
        command.arg("serve").arg(store).args(ports).args(flags).stdin(Stdio::null()).stderr(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let said: Vec<String> = lines.map(|line| line.expect("a line")).take_while(|line| line != "ready").collect();
        let door = |name: &str| said.iter().find_map(|line| line.strip_prefix(name)).expect(name).to_owned();
        Self { otlp: door("otlp-http "), zipkin: door("zipkin "), child }
    }

    /// The most memory it had so far, in bytes; 0 where the system does not tell.
    fn memory_peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kibibytes.unwrap_or(0) << 10
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended, mostly.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status and body of the answer to a request on a connection of its own.
fn post(address: &str, path: &str, headers: &str, body: &[u8]) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    // A server that refuses need not read all of it.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer)
        && answer.is_empty()
    {
        return Err(error);
    }
    let status = std::str::from_utf8(answer.get(9..12).unwrap_or_default()).ok().and_then(|text| text.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("no answer"))?;
    let begin = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    Ok((status, answer.split_off(begin)))
}

fn message(trace: u32, spans: usize, attributes: usize) -> Vec<u8> {
    let mut trace_id = vec![1; 16];
    trace_id[12..].copy_from_slice(&trace.to_be_bytes());
    let span = |number: usize| Span {
        trace_id: trace_id.clone(),
        span_id: (number as u64 + 1).to_be_bytes().to_vec(),
        name: "work".to_owned(),
        start_time_unix_nano: 1_760_000_000_000_000_000,
        end_time_unix_nano: 1_760_000_000_000_000_500,
        attributes: (0..attributes).map(|at| KeyValue { key: format!("key.{at}"), ..KeyValue::default() }).collect(),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: (0..spans).map(span).collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

const PROTOBUF: &str = "content-type: application/x-protobuf\r\n";
const PACKED: &str = "content-type: application/json\r\ncontent-encoding: gzip\r\n";

/// So many bytes of the same, packed.
fn bomb(len: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let piece = vec![b' '; 1 << 20];
    (0..len >> 20).for_each(|_| encoder.write_all(&piece).expect("in memory"));
    encoder.finish().expect("in memory")
}

/// Does something bad, in one of many ways, until it is told to stop; how often it was refused in good order.
fn misbehave(way: usize, server: &Running, bomb: &[u8], stop: &AtomicBool) -> io::Result<u32> {
    let mut refused = 0;
    while !stop.load(Ordering::Relaxed) {
        let nested = || [b"[".repeat(200_000), b"]".repeat(200_000)].concat();
        let answer = match way % 8 {
            // Says nothing, or next to nothing, for as long as it may.
            0 => drip(&server.otlp, b"", stop),
            1 => drip(&server.otlp, b"POST /v1/traces HTTP/1.1\r\nx-slow: ", stop),
            2 => {
                drip(&server.zipkin, b"POST /api/v2/spans HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n[", stop)
            }
            3 => drip(&server.otlp, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0", stop),
            4 => post(&server.otlp, "/v1/traces", PACKED, bomb).map(|(status, _)| status),
            5 => post(&server.zipkin, "/api/v2/spans", "", &nested()).map(|(status, _)| status),
            6 => post(&server.otlp, "/v1/traces", PROTOBUF, &b"\x0a\xff\xff\xff\xff\x0f".repeat(1000)).map(|(s, _)| s),
            _ => {
                let (status, body) = post(&server.otlp, "/v1/traces", PROTOBUF, &message(7, 1, 10_000))?;
                // It is accepted without the span, which is rejected alone.
                assert!(status != 200 || !body.is_empty(), "a span with 10,000 attributes was taken");
                Ok(if status == 200 { 400 } else { status })
            }
        };
        // One that is cut off has been refused as well.
        refused += u32::from(answer.is_ok_and(|status| (400..500).contains(&status)));
    }
    Ok(refused)
}

/// Sends a beginning and then a byte now and then, until the server has enough of it.
fn drip(address: &str, beginning: &[u8], stop: &AtomicBool) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(beginning)?;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(50));
        stream.write_all(b"x")?;
    }
    Ok(0)
}

/// Sends so many messages and answers the 99th percentile of their times.
fn honest(server: &Running, messages: std::ops::Range<u32>) -> Duration {
    let mut times: Vec<Duration> = messages
        .map(|trace| {
            let start = Instant::now();
            // A server with its hands full says so, and is asked again as exporters do.
            let answer = loop {
                match post(&server.otlp, "/v1/traces", PROTOBUF, &message(trace, BATCH, 2)) {
                    Ok((429 | 503, _)) => thread::sleep(Duration::from_millis(1)),
                    answer => break answer,
                }
            };
            assert_eq!(answer.expect("an answer"), (200, Vec::new()), "trace {trace}");
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// Stops the others when it is dropped.
struct Ends<'s>(&'s AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn honest_clients_are_served_among_hostile_ones() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let limits =
        ["--memory=32MiB", "--unpacked-max=16MiB", "--requests-bytes-max=64MiB", "--header-time=2s", "--body-time=2s"];
    let server = Running::start(&folder.path().join("store"), &limits);
    let requests = from_environment("TAILSPAN_SERVE_REQUESTS", 200) as u32;
    let alone = honest(&server, 1_000..1_000 + requests);
    let (bomb, stop) = (bomb(256 << 20), AtomicBool::new(false));
    let (beside, refused) = thread::scope(|scope| {
        let (server, bomb, stop) = (&server, &*bomb, &stop);
        let hostile: Vec<_> = (0..HOSTILE).map(|way| scope.spawn(move || misbehave(way, server, bomb, stop))).collect();
        // Also if this panics, or nobody would end.
        let _ends = Ends(stop);
        let beside = honest(server, 100_000..100_000 + requests);
        stop.store(true, Ordering::Relaxed);
        // What was cut off ends with an error, which is as good as a refusal.
        let refused: u32 = hostile.into_iter().filter_map(|thread| thread.join().expect("no panic").ok()).sum();
        (beside, refused)
    });
    let peak = server.memory_peak();
    eprintln!(
        "honest p99 alone {alone:?}, beside {HOSTILE} hostile {beside:?}; refused {refused}, memory at most {} MiB",
        peak >> 20
    );
    assert!(refused > 0, "nothing hostile was refused");
    assert!(peak < MEMORY_MAX, "{peak} bytes of memory");
    // Still there, and with all it said it has.
    assert_eq!(post(&server.otlp, "/v1/traces", PROTOBUF, &message(5, 1, 0)).expect("an answer").0, 200);
    drop(server);
    let store = Store::open_read_only(folder.path().join("store")).expect("a store");
    for trace in (1_000..1_000 + requests).chain(100_000..100_000 + requests) {
        assert_eq!(spans_of(&store, trace), BATCH, "trace {trace}");
    }
    assert_eq!(spans_of(&store, 7), 0);
}

fn spans_of(store: &Store, trace: u32) -> usize {
    let mut id = [1; 16];
    id[12..].copy_from_slice(&trace.to_be_bytes());
    store.trace(TraceId::from_bytes(id).expect("not zero")).expect("readable").len()
}

#[test]
fn exporters_that_try_again_lose_nothing_to_kills() {
    const EXPORTERS: u32 = 8;
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("store");
    let kills = from_environment("TAILSPAN_SERVE_KILLS", 3);
    let running = Mutex::new(Running::start(&path, &[]));
    let address = || running.lock().unwrap_or_else(PoisonError::into_inner).otlp.clone();
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU32::new(0));
    let sent: Vec<(u32, u32)> = thread::scope(|scope| {
        let (address, stop, acknowledged) = (&address, &stop, &acknowledged);
        let export = move |exporter: u32| {
            let first = exporter << 20;
            let mut next = first;
            while !stop.load(Ordering::Relaxed) {
                match post(&address(), "/v1/traces", PROTOBUF, &message(next, BATCH, 2)) {
                    Ok((200, body)) => {
                        assert!(body.is_empty(), "spans were rejected");
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                        next += 1;
                    }
                    // It is sent again.
                    Ok((429 | 503, _)) | Err(_) => thread::sleep(Duration::from_millis(5)),
                    Ok((status, _)) => panic!("status {status}"),
                }
            }
            (first, next)
        };
        let exporters: Vec<_> = (1..=EXPORTERS).map(|exporter| scope.spawn(move || export(exporter))).collect();
        for kill in 1..=kills as u32 {
            // Each server takes messages before it is killed.
            let wanted = acknowledged.load(Ordering::Relaxed) + 40 * kill;
            while acknowledged.load(Ordering::Relaxed) < wanted {
                thread::sleep(Duration::from_millis(2));
            }
            let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
            running.child.kill().expect("it runs");
            running.child.wait().expect("it ends");
            *running = Running::start(&path, &[]);
        }
        stop.store(true, Ordering::Relaxed);
        exporters.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    drop(running);
    let store = Store::open_read_only(&path).expect("a store");
    let mut traces = 0;
    for trace in sent.into_iter().flat_map(|(first, end)| first..end) {
        assert_eq!(spans_of(&store, trace), BATCH, "trace {trace} was acknowledged");
        traces += 1;
    }
    eprintln!("kills={kills} acknowledged={traces}");
    assert_eq!(traces, acknowledged.load(Ordering::Relaxed));
}
