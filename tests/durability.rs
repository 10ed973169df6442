//! What an acknowledgement is worth: an import is killed at random moments, and no acknowledged span is lost.
//!
//! The binary imports numbered spans while the test reads its acknowledgements and sends SIGKILL, either after
//! a random time or at the very moment of an acknowledgement. Then the store must open, hold the
//! acknowledged spans and a prefix of the input, each span once and equal to what was written, report no damage and
//! take more spans. With little memory the kill falls into sealing as well as into appending.
//!
//! A kill leaves what reached the operating system; what a power cut leaves is the matter of recovery.rs.

#[path = "common/command.rs"]
mod command;
#[path = "durability/huge_trace.rs"]
mod huge_trace;
#[path = "common/numbered.rs"]
mod numbered;

use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tailspan::{Span, Store};

use command::{binary, tailspan, tailspan_reading};

/// Kills unless `TAILSPAN_KILLS` says otherwise.
const KILLS_DEFAULT: u64 = 20;
/// Spans of the input.
const SPANS: u64 = 30_000;
/// Spans of one document of it.
const LINE_SPANS: u64 = 40;
/// Number of the first span a check appends; far from those of the input.
const EXTRA: u64 = 1 << 40;

fn kills() -> u64 {
    let word = std::env::var("TAILSPAN_KILLS").ok();
    word.map_or(KILLS_DEFAULT, |word| word.parse().expect("TAILSPAN_KILLS is a number"))
}

/// Numbers that differ from run to run; a failure prints the seed.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
        println!("seed {seed}");
        Self(seed as u64)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)) >> 11) % end
    }
}

/// One OTLP JSON document a line.
fn line(numbers: Range<u64>) -> Vec<u8> {
    let spans: Vec<Span> = numbers.map(numbered::span).collect();
    let mut line = Vec::new();
    tailspan::write_otlp_json(&spans, &mut line).expect("memory takes everything");
    line.push(b'\n');
    line
}

/// When the import is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    After(Duration),
    /// As soon as this many acknowledgements were read.
    Acknowledgement(u64),
}

/// A folder with a store and the input file.
struct Ground {
    folder: tempfile::TempDir,
    lines: Vec<Vec<u8>>,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let starts = (0..SPANS).step_by(LINE_SPANS as usize);
        let lines: Vec<Vec<u8>> = starts.map(|first| line(first..(first + LINE_SPANS).min(SPANS))).collect();
        std::fs::write(folder.path().join("input.jsonl"), lines.concat()).expect("the input is written");
        Self { folder, lines }
    }

    fn store(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts an import. From a pipe the input comes in small pieces, so that there are many groups.
    fn import(&self, store: &Path, memory: &str, piped: bool) -> (Child, Receiver<u64>) {
        let input = if piped { PathBuf::from("-") } else { self.folder.path().join("input.jsonl") };
        let words = ["--json".as_ref(), "--durability=sync".as_ref(), "--memory".as_ref(), memory.as_ref()];
        let words = ["import".as_ref(), store.as_os_str(), input.as_os_str()].into_iter().chain(words);
        let mut child = binary(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        if piped {
            let pieces: Vec<Vec<u8>> = self.lines.chunks(8).map(<[Vec<u8>]>::concat).collect();
            // The import may be killed before it has read everything.
            std::thread::spawn(move || pieces.iter().try_for_each(|piece| stdin.write_all(piece)));
        }
        let stdout = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        let (acknowledged, acknowledgements) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // A line cut off by the kill acknowledges nothing.
                let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(spans) = line["acknowledgedSpans"].as_u64() {
                    acknowledged.send(spans).unwrap_or_default();
                }
            }
        });
        (child, acknowledgements)
    }

    /// How many spans were acknowledged when the import was killed; `None` if it had ended before.
    fn kill_import(&self, store: &Path, memory: &str, moment: Moment) -> Option<u64> {
        let piped = matches!(moment, Moment::Acknowledgement(_));
        let (mut child, acknowledgements) = self.import(store, memory, piped);
        let mut acknowledged = 0;
        match moment {
            Moment::After(time) => std::thread::sleep(time),
            Moment::Acknowledgement(count) => {
                let first = acknowledgements.iter().take(count as usize).last();
                acknowledged = first.unwrap_or(0);
            }
        }
        child.kill().expect("the import is ours to kill");
        let ended_by_itself = child.wait().expect("the import ends").code().is_some();
        acknowledged = acknowledgements.iter().last().unwrap_or(acknowledged);
        (!ended_by_itself).then_some(acknowledged)
    }

    /// How long a whole import takes.
    fn whole_import(&self, memory: &str) -> Duration {
        let begun = Instant::now();
        let (mut child, acknowledgements) = self.import(&self.store("whole"), memory, false);
        assert_eq!(acknowledgements.iter().last(), Some(SPANS), "the last acknowledgement covers everything");
        assert!(child.wait().expect("the import ends").success());
        begun.elapsed()
    }
}

/// The numbers of all spans in the store, sorted.
fn numbers(store: &Store) -> Vec<u64> {
    let traces = store.spans().map(|trace| trace.expect("every trace is readable"));
    let mut numbers: Vec<u64> = traces.flatten().map(|span| numbered::number_of(&span).unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

/// Checks a store after a kill; `extra` spans were appended by earlier checks. Returns how many spans of the
/// input it holds.
fn check(path: &Path, acknowledged: u64, extra: u64) -> u64 {
    let store = Store::open(path).unwrap_or_else(|error| panic!("the store opens: {error}"));
    assert_eq!(store.recovery().damage, [""; 0]);
    let mut found = numbers(&store);
    let extras = found.split_off(found.partition_point(|number| *number < EXTRA));
    assert_eq!(extras, (EXTRA..EXTRA + extra).collect::<Vec<_>>(), "spans of earlier checks");
    assert_eq!(found, (0..found.len() as u64).collect::<Vec<_>>(), "a prefix of the input, each span once");
    assert!(found.len() as u64 >= acknowledged, "{acknowledged} acknowledged, {} there", found.len());
    let more = numbered::span(EXTRA + extra);
    assert_eq!(store.append([&more]).expect("the store takes spans").accepted, 1);
    assert!(store.trace(more.trace_id).expect("the trace is readable").contains(&more));
    assert_eq!(store.verify().expect("every file is readable").damaged, []);
    store.close().expect("the store closes");
    found.len() as u64
}

/// A moment inside an import that takes `whole` if it is not disturbed.
fn moment(random: &mut Random, whole: Duration) -> Moment {
    match random.below(2) {
        0 => Moment::After(Duration::from_micros(random.below(whole.as_micros() as u64))),
        _ => Moment::Acknowledgement(1 + random.below(20)),
    }
}

#[test]
fn no_acknowledged_span_is_lost_when_an_import_is_killed() {
    let (ground, mut random) = (Ground::new(), Random::new());
    let whole = ground.whole_import("256MiB");
    let (mut killed, mut acknowledged_spans) = (0, 0);
    for run in 0.. {
        if killed >= kills().div_ceil(2) {
            break;
        }
        let (store, moment) = (ground.store("store"), moment(&mut random, whole));
        let memory = ["256MiB", "8MiB", "1MiB"][run % 3];
        println!("run {run}, memory {memory}, {moment:?}");
        if let Some(acknowledged) = ground.kill_import(&store, memory, moment) {
            if store.exists() {
                check(&store, acknowledged, 0);
                check(&store, acknowledged, 1);
            }
            killed += 1;
            acknowledged_spans += acknowledged;
        }
        std::fs::remove_dir_all(&store).unwrap_or_default();
    }
    assert!(acknowledged_spans > 0, "a test that acknowledges nothing proves nothing");
}

#[test]
fn an_import_killed_again_and_again_on_one_store_ends_complete() {
    let (ground, mut random) = (Ground::new(), Random::new());
    let store = ground.store("store");
    let (mut killed, mut extra, mut held) = (0, 0, 0);
    let whole = ground.whole_import("1MiB");
    while killed < kills() / 2 {
        let moment = moment(&mut random, whole);
        println!("kill {killed}, {moment:?}");
        if let Some(acknowledged) = ground.kill_import(&store, "1MiB", moment) {
            killed += 1;
            held = check(&store, acknowledged.max(held), extra);
            extra += 1;
        }
    }
    let words = ["import".as_ref(), store.as_os_str(), "-".as_ref(), "--json".as_ref(), "--memory=1MiB".as_ref()];
    let said = tailspan_reading(words, &ground.lines.concat()).expect(0).json();
    assert_eq!(said[said.len() - 2]["acknowledgedSpans"], SPANS);
    assert_eq!(check(&store, SPANS, extra), SPANS);
    tailspan(["verify".as_ref(), store.as_os_str()]).expect(0);
    tailspan(["seal".as_ref(), store.as_os_str()]).expect(0);
    assert_eq!(check(&store, SPANS, extra + 1), SPANS);
    let all = ["--service", numbered::SERVICE, "--limit=0"].map(AsRef::as_ref);
    let found = tailspan(["find".as_ref(), store.as_os_str()].into_iter().chain(all)).expect(0);
    assert!(found.out.iter().filter(|byte| **byte == b'\n').count() as u64 > SPANS / 5, "every trace has the service");
}
