//! The commands that follow, copy, compare and erase: their lines, exit codes and ends.
//!
//! What a tail prints between two cursors is what was appended between them, whoever appended it and whoever
//! printed it: the spans here are numbered in the order of their arrival.

#[path = "common/command.rs"]
mod command;
#[path = "common/numbered.rs"]
mod numbered;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use command::{Ran, binary, tailspan, tailspan_reading};
use serde_json::{Value, json};
use tailspan::{Durability, ErrorKind, Span, Store};

struct Ground(tempfile::TempDir);

impl Ground {
    /// A store that holds the spans 0 to 99, half of them sealed.
    fn furnished() -> Self {
        let ground = Self(tempfile::tempdir().expect("a folder for temporary files"));
        let store = ground.open();
        append(&store, 0..50);
        store.seal().expect("sealed");
        append(&store, 50..100);
        store.close().expect("closed");
        ground
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self) -> Store {
        let open =
            || Store::builder(self.path("store")).durability(Durability::Buffered).seal_automatically(false).open();
        // A child of another test holds the lock of a store just closed here until it has begun its own program.
        let mut opened = open();
        while opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::Locked) {
            std::thread::sleep(Duration::from_millis(5));
            opened = open();
        }
        opened.expect("a store")
    }

    /// Runs `tailspan COMMAND STORE FLAGS`.
    fn run(&self, command: &str, flags: &[&str]) -> Ran {
        let store = self.path("store");
        tailspan([command.as_ref(), store.as_os_str()].into_iter().chain(flags.iter().map(AsRef::as_ref)))
    }
}

fn append(store: &Store, numbers: std::ops::Range<u64>) {
    let spans: Vec<Span> = numbers.map(numbered::span).collect();
    assert_eq!(store.append(&spans).expect("appended").accepted, spans.len() as u64);
}

/// The number of the span in a line of a tail; none in a cursor's line.
fn number_in(line: &Value) -> Option<u64> {
    if line.get("cursor").is_some() {
        return None;
    }
    let span = &line["resourceSpans"][0]["scopeSpans"][0]["spans"];
    assert_eq!(span.as_array().expect("spans").len(), 1, "one span a line");
    let id = span[0]["spanId"].as_str().expect("a span id");
    Some(u64::from_str_radix(id, 16).expect("digits") - 1)
}

/// The spans of a tail's lines as a store takes them in again.
fn taken_in(lines: &[Value]) -> Vec<u64> {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let store = Store::open(folder.path()).expect("a store");
    for line in lines.iter().filter(|line| line.get("cursor").is_none()) {
        assert_eq!(store.append_otlp_json(line.to_string().as_bytes()).expect("OTLP").accepted, 1);
    }
    let spans = store.spans().flat_map(|trace| trace.expect("readable"));
    let mut numbers: Vec<u64> = spans.map(|span| numbered::number_of(&span).expect("as it was")).collect();
    numbers.sort_unstable();
    numbers
}

/// Numbers of the spans, and the last cursor, which must be the last line.
fn told(lines: &[Value]) -> (Vec<u64>, String) {
    let cursor = lines.last().and_then(|line| line["cursor"].as_str()).expect("a cursor at the end");
    (lines.iter().filter_map(number_in).collect(), cursor.to_owned())
}

#[test]
fn a_tail_prints_every_span_in_order_and_goes_on_from_its_cursor() {
    let ground = Ground::furnished();
    let lines = ground.run("tail", &["--no-follow"]).expect(0).json();
    let (numbers, cursor) = told(&lines);
    assert_eq!((&numbers, &taken_in(&lines)), (&(0..100).collect(), &(0..100).collect()));
    let (first, middle) = told(&ground.run("tail", &["--no-follow", "--limit=33"]).expect(0).json());
    assert_eq!(first, (0..33).collect::<Vec<_>>());

    append(&ground.open(), 100..120);
    ground.run("seal", &[]).expect(0);
    let (rest, _) = told(&ground.run("tail", &["--no-follow", "--from", &middle]).expect(0).json());
    assert_eq!(rest, (33..120).collect::<Vec<_>>());
    let (new, end) = told(&ground.run("tail", &["--no-follow", "--from", &cursor]).expect(0).json());
    assert_eq!(new, (100..120).collect::<Vec<_>>());
    let (nothing, same) = told(&ground.run("tail", &["--no-follow", "--from=now"]).expect(0).json());
    assert_eq!((nothing, same), (Vec::new(), end));
}

#[test]
fn what_is_no_cursor_of_this_store_is_a_usage_error() {
    let (ground, other) = (Ground::furnished(), Ground::furnished());
    let (_, cursor) = told(&other.run("tail", &["--no-follow"]).expect(0).json());
    for from in ["yesterday", "t1-12", &cursor] {
        let ran = ground.run("tail", &["--no-follow", "--from", from]).expect(2);
        assert!(ran.err.contains("cursor"), "{}", ran.err);
    }
}

/// A tail that follows, as a process.
struct Following {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Following {
    fn begin(store: &Path, from: &str) -> Self {
        let words = ["tail".as_ref(), store.as_os_str(), "--from".as_ref(), from.as_ref()];
        let mut child =
            binary(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, lines }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("readable");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Reads up to the cursor that follows so many spans.
    fn read(&mut self, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        loop {
            match number_in(&self.line()) {
                Some(number) => numbers.push(number),
                None if numbers.len() >= count => return numbers,
                None => {}
            }
        }
    }

    /// Sends a signal and waits for a quiet end.
    fn end(self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &id]).status().expect("kill").success());
        self.ends_quietly();
    }

    fn ends_quietly(self) {
        let output = self.child.wait_with_output().expect("it ends");
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    }
}

#[test]
fn a_tail_follows_the_writer_of_another_process() {
    let ground = Ground::furnished();
    let store = ground.open();
    let mut tails =
        [Following::begin(&ground.path("store"), "oldest"), Following::begin(&ground.path("store"), "oldest")];
    for tail in &mut tails {
        assert_eq!(tail.read(100), (0..100).collect::<Vec<_>>());
    }
    for round in 0..4 {
        let first = 100 + round * 40;
        append(&store, first..first + 20);
        store.seal().expect("sealed");
        append(&store, first + 20..first + 40);
        if round == 2 {
            store.merge_all().expect("merged");
        }
        for tail in &mut tails {
            assert_eq!(tail.read(40), (first..first + 40).collect::<Vec<_>>());
        }
    }
    let [one, other] = tails;
    one.end("-TERM");
    other.end("-INT");
}

#[test]
fn a_tail_to_which_nothing_comes_notices_that_nobody_reads() {
    let ground = Ground::furnished();
    let mut tail = Following::begin(&ground.path("store"), "oldest");
    tail.read(100);
    std::thread::sleep(Duration::from_millis(50));
    let Following { mut child, lines } = tail;
    drop(lines);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_backup_compares_equal_until_either_changes() {
    let ground = Ground::furnished();
    let writer = ground.open();
    let target = ground.path("backup");
    let made = ground.run("backup", &[target.to_str().expect("UTF-8"), "--json"]).expect(0).json();
    assert_eq!((&made[0]["segments"], &made[0]["linked"]), (&json!(1), &json!(1)));
    let compare = || {
        tailspan(["compare-stores".as_ref(), ground.path("store").as_os_str(), target.as_os_str(), "--json".as_ref()])
    };
    let same = compare().expect(0).json();
    assert_eq!((&same[0]["onlyInA"], &same[0]["onlyInB"]), (&json!(0), &json!(0)));

    append(&writer, 100..103);
    let differs = compare().expect(1).json();
    assert_eq!((&differs[0]["onlyInA"], &differs[0]["onlyInB"]), (&json!(3), &json!(0)));
    let text = tailspan(["compare-stores".as_ref(), target.as_os_str(), ground.path("store").as_os_str()]).expect(1);
    let text = String::from_utf8(text.out).expect("UTF-8");
    assert!(text.contains("3 spans only in") && text.contains(&numbered::span(100).trace_id.to_string()), "{text}");
    ground.run("backup", &[target.to_str().expect("UTF-8")]).expect(2);
}

#[test]
fn a_store_merged_backed_up_reopened_and_tailed_equals_one_fed_plainly() {
    let ground = Ground::furnished();
    for part in 0..10 {
        let store = ground.open();
        // Late spans of earlier traces and some that were delivered before.
        append(&store, 100 + part * 37..100 + (part + 1) * 37);
        let again: Vec<Span> = (90 + part * 37..100 + part * 37).map(numbered::span).collect();
        assert_eq!(store.append(&again).expect("appended").duplicates, 10);
        if part % 3 != 2 {
            store.seal().expect("sealed");
        }
        if part % 4 == 3 {
            store.merge().expect("merged");
        }
    }
    ground.run("merge", &["--all"]).expect(0);
    let (backup, tailed, plain) = (ground.path("backup"), ground.path("tailed"), ground.path("plain"));
    tailspan([ground.path("store").as_path(), &backup].iter().fold(vec!["backup".into()], |mut words, path| {
        words.push(path.as_os_str().to_owned());
        words
    }))
    .expect(0);

    let lines = tailspan(["tail".as_ref(), backup.as_os_str(), "--no-follow".as_ref()]).expect(0).json();
    let spans = lines.iter().filter(|line| line.get("cursor").is_none()).map(|line| format!("{line}\n"));
    let spans: String = spans.collect();
    tailspan_reading(["import".as_ref(), tailed.as_os_str(), "-".as_ref()], spans.as_bytes()).expect(0);
    append(&Store::open(&plain).expect("a store"), 0..470);
    for store in [&ground.path("store"), &backup, &tailed] {
        let words = ["compare-stores".as_ref(), store.as_os_str(), plain.as_os_str(), "--json".as_ref()];
        let compared = tailspan(words).expect(0).json();
        assert_eq!((&compared[0]["onlyInA"], &compared[0]["onlyInB"]), (&json!(0), &json!(0)), "{store:?}");
    }
}

#[test]
fn a_deleted_trace_is_found_until_it_is_merged_away() {
    let ground = Ground::furnished();
    let (sealed, logged) = (numbered::span(0).trace_id.to_string(), numbered::span(60).trace_id.to_string());
    let erased = |id: &str, code: i32| {
        let lines = ground.run("verify", &["--erased", id, "--json"]).expect(code).json();
        assert_eq!((&lines[0]["traceId"], &lines[0]["erased"]), (&json!(id), &json!(code == 0)));
        let found = lines[0]["found"].as_array().expect("files").clone();
        found
            .iter()
            .map(|f| (f["file"].as_str().expect("a file")[..3].to_owned(), f["rows"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(erased(&sealed, 1), [("seg".to_owned(), json!(5))]);
    assert_eq!(erased(&logged, 1), [("log".to_owned(), json!(5))]);

    let ids = format!("{logged}\n{}\n", "f".repeat(32));
    let store = ground.path("store");
    let words = ["delete".as_ref(), store.as_os_str(), sealed.as_ref(), "-".as_ref(), "--json".as_ref()];
    let deleted = tailspan_reading(words, ids.as_bytes()).expect(0).json();
    assert_eq!(deleted, [json!({ "traces": 2, "rows": 10, "awaitingErasure": 10 })]);
    for id in [&sealed, &logged] {
        ground.run("trace", &[id]).expect(3);
        assert_eq!(erased(id, 1).len(), 1, "dead rows are rows");
    }
    let (left, _) = told(&ground.run("tail", &["--no-follow"]).expect(0).json());
    assert_eq!(left, (5..60).chain(65..100).collect::<Vec<_>>());

    ground.run("merge", &[]).expect(0);
    for id in [&sealed, &logged] {
        assert_eq!(erased(id, 0), []);
    }
    let (left, _) = told(&ground.run("tail", &["--no-follow"]).expect(0).json());
    assert_eq!(left, (5..60).chain(65..100).collect::<Vec<_>>());
}

#[test]
fn an_id_that_is_none_is_a_usage_error_and_nothing_is_deleted() {
    let ground = Ground::furnished();
    let good = numbered::span(0).trace_id.to_string();
    ground.run("delete", &[&good, "nonsense"]).expect(2);
    ground.run("delete", &[]).expect(2);
    let file = ground.path("ids");
    std::fs::write(&file, format!("{good}\nnonsense\n")).expect("written");
    ground.run("delete", &["--ids-from", file.to_str().expect("UTF-8")]).expect(2);
    ground.run("verify", &["--erased=nonsense"]).expect(2);
    ground.run("trace", &[&good]).expect(0);
    ground.run("delete", &["abcdef"]).expect(0);
}

#[test]
fn bytes_that_no_record_explains_are_no_proof() {
    let ground = Ground::furnished();
    let id = numbered::span(0).trace_id;
    ground.run("delete", &[&id.to_string()]).expect(0);
    ground.run("merge", &[]).expect(0);
    std::fs::write(ground.path("store/quarantine/MANIFEST.7"), [&[1; 9], &id.to_bytes()[..]].concat())
        .expect("written");
    let lines = ground.run("verify", &["--erased", &id.to_string(), "--json"]).expect(1).json();
    assert_eq!(lines[0]["found"][0]["file"], json!("quarantine/MANIFEST.7"));
}
