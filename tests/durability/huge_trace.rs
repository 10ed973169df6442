//! A trace far larger than memory: written, killed, written on, and streamed, each within one limit of memory.
//!
//! The limit is the operating system's (`ulimit -d`: what a process may write to, mapped files are not of it), so a
//! process that held the trace as a whole would end. The trace has 60,000 spans and the limit is 96 MiB;
//! `TAILSPAN_HUGE_TRACE=1000000` streams a million under 256 MiB. What a tail gives is the trace in the order of
//! appends.

use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tailspan::Span;

use super::numbered;

/// Spans of the trace unless the environment says how many.
const SPANS: u64 = 60_000;
/// Spans of one document of the input.
const LINE_SPANS: u64 = 250;

struct Bounds {
    spans: u64,
    /// Kibibytes a process may write to.
    limit_kib: u64,
    /// What an import is told to keep to.
    budget: &'static str,
}

fn bounds() -> Bounds {
    match std::env::var("TAILSPAN_HUGE_TRACE").ok() {
        None => Bounds { spans: SPANS, limit_kib: 96 << 10, budget: "--memory=16MiB" },
        Some(word) => {
            let spans = word.parse().expect("TAILSPAN_HUGE_TRACE is a number");
            Bounds { spans, limit_kib: 256 << 10, budget: "--memory=32MiB" }
        }
    }
}

/// One OTLP JSON document a line, all of one trace.
fn line(numbers: Range<u64>) -> Vec<u8> {
    let (trace_id, root) = (numbered::span(0).trace_id, numbered::span(0).span_id);
    let of_trace =
        |number: u64| Span { trace_id, parent_span_id: (number > 0).then_some(root), ..numbered::span(number) };
    let spans: Vec<Span> = numbers.map(of_trace).collect();
    let mut line = Vec::new();
    tailspan::write_otlp_json(&spans, &mut line).expect("memory takes everything");
    line.push(b'\n');
    line
}

/// The binary within the limit, not yet started.
fn limited(bounds: &Bounds, store: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -d {} && exec \"$0\" \"$@\"", bounds.limit_kib);
    command.args(["-c", &script, env!("CARGO_BIN_EXE_tailspan"), words[0]]).arg(store).args(&words[1..]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Imports the trace from the beginning, killed once so many spans were acknowledged.
fn import(bounds: &Bounds, store: &Path, kill_after: Option<u64>) {
    let words = ["import", "-", "--json", bounds.budget, "--format=otlp-json"];
    let mut child = limited(bounds, store, &words).spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let stdout = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
    let spans = bounds.spans;
    let writing = std::thread::spawn(move || {
        let firsts = (0..spans).step_by(LINE_SPANS as usize);
        // It may be killed before it has read everything.
        let _ = firsts
            .map(|first| line(first..(first + LINE_SPANS).min(spans)))
            .try_for_each(|line| stdin.write_all(&line));
    });
    for line in stdout.lines().map_while(Result::ok) {
        let line: Value = serde_json::from_str(&line).unwrap_or_default();
        let acknowledged = line["acknowledgedSpans"].as_u64();
        if kill_after.is_some_and(|enough| acknowledged.is_some_and(|spans| spans >= enough)) {
            child.kill().expect("it can be killed");
        }
    }
    let status = child.wait().expect("it ends");
    writing.join().expect("the input");
    assert!(kill_after.is_some() || status.success(), "{status}");
}

#[test]
fn a_trace_larger_than_memory_is_written_killed_and_streamed() {
    let bounds = bounds();
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let store = folder.path().join("store");
    import(&bounds, &store, Some(bounds.spans / 2));
    import(&bounds, &store, None);
    let mut child = limited(&bounds, &store, &["tail", "--no-follow"]).spawn().expect("the binary starts");
    drop(child.stdin.take());
    let stdout = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
    let mut next = 0;
    for line in stdout.lines() {
        let line: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        let lists = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        let scopes = lists(&line, "resourceSpans").into_iter().flat_map(|resource| lists(&resource, "scopeSpans"));
        for span in scopes.flat_map(|scope| lists(&scope, "spans")) {
            assert_eq!(span["spanId"], numbered::span(next).span_id.to_string(), "span {next}");
            next += 1;
        }
    }
    assert!(child.wait().expect("it ends").success());
    assert_eq!(next, bounds.spans);
    println!("{next} spans of one trace within {} MiB", bounds.limit_kib >> 10);
}
