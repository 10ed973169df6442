//! `bench` as a contract: the shape of its lines, and counts that add up. No time is asserted.

#[path = "common/command.rs"]
mod command;
#[path = "common/numbered.rs"]
mod numbered;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;
use tailspan::Span;

use command::{Ran, tailspan, tailspan_reading};

const SPANS: u64 = 300;

struct Ground {
    folder: tempfile::TempDir,
}

impl Ground {
    /// A file of spans, of which the last line is there twice.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let spans: Vec<Span> = (0..SPANS).map(numbered::span).collect();
        assert!(spans.iter().all(|span| numbered::number_of(span).is_ok()));
        assert!(spans.iter().any(|span| tailspan::text_of(&span.resource.attributes[0].value) == numbered::SERVICE));
        let mut text = Vec::new();
        for chunk in spans.chunks(10).chain([&spans[290..]]) {
            tailspan::write_otlp_json(chunk, &mut text).expect("memory takes everything");
            text.push(b'\n');
        }
        std::fs::write(folder.path().join("spans.jsonl"), text).expect("a file");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn bench(&self, store: &str, flags: &[&str]) -> Ran {
        let (store, file) = (self.path(store), self.path("spans.jsonl"));
        let words = ["bench".as_ref(), store.as_os_str(), file.as_os_str(), "--time=1ms".as_ref()];
        tailspan(words.into_iter().chain(flags.iter().map(AsRef::as_ref)))
    }
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn number(object: &Value, key: &str) -> u64 {
    object[key].as_u64().unwrap_or_else(|| panic!("{key} of {object}"))
}

#[test]
fn the_counts_of_the_import_are_those_of_the_store() {
    let ground = Ground::new();
    let lines = ground.bench("store", &["--json"]).expect(0).json();
    let by_name: BTreeMap<&str, &Value> =
        lines.iter().filter_map(|line| line.as_object()?.iter().next()).map(|(k, v)| (k.as_str(), v)).collect();
    let ingest = by_name["ingest"];
    assert_eq!(
        keys(ingest),
        BTreeSet::from([
            "cpuSystemSeconds",
            "cpuUserSeconds",
            "duplicates",
            "inputBytes",
            "peakAnonymousBytes",
            "rejected",
            "seconds",
            "spans",
            "spansPerCpuSecond",
            "spansPerSecond",
            "unreadable",
        ])
    );
    let counts = ["spans", "duplicates", "rejected", "unreadable"].map(|key| number(ingest, key));
    assert_eq!(counts, [SPANS, 10, 0, 0]);
    let file_bytes = std::fs::metadata(ground.path("spans.jsonl")).expect("the file").len();
    assert_eq!(number(ingest, "inputBytes"), file_bytes);

    let written = by_name["written"];
    assert_eq!(number(&written["log"], "spans"), SPANS);
    assert!(number(&written["log"], "bytes") > SPANS * 16, "ids alone take as much: {written}");
    let sealed = number(&written["seal"], "spans");
    assert!(sealed == 0 || sealed == SPANS, "{written}");
    let time = by_name["time"];
    assert!(keys(time).iter().all(|key| key.ends_with("Seconds") && time[key].as_f64().is_some()), "{time}");

    let stats =
        &tailspan([std::ffi::OsStr::new("stats"), ground.path("store").as_os_str(), "--json".as_ref()]).expect(0);
    assert_eq!(by_name["stored"], &stats.json()[0], "what stats says of the store that stays");
    assert_eq!(number(by_name["stored"], "spans"), SPANS);
}

#[test]
fn every_question_is_a_command_that_gives_as_many_lines() {
    let ground = Ground::new();
    let lines = ground.bench("store", &["--json"]).expect(0).json();
    let questions: Vec<&Value> = lines.iter().filter(|line| line.get("question").is_some()).collect();
    assert!(questions.len() >= 14, "{questions:?}");
    let summary = &lines.last().expect("a summary")["summary"];
    assert_eq!((number(summary, "questions"), summary["problems"].as_array()), (questions.len() as u64, Some(&vec![])));
    let store = ground.path("store");
    for question in questions {
        assert_eq!(
            keys(question),
            BTreeSet::from([
                "command",
                "cpuMicros",
                "medianMicros",
                "p99Micros",
                "question",
                "repetitions",
                "rows",
                "variants",
            ])
        );
        assert!(question["medianMicros"].as_f64() <= question["p99Micros"].as_f64(), "{question}");
        let (repetitions, variants) = (number(question, "repetitions"), number(question, "variants"));
        assert!(repetitions >= 3 && variants > 0, "{question}");
        let words: Vec<&str> =
            question["command"].as_array().expect("words").iter().filter_map(Value::as_str).collect();
        let mut command = vec![words[0], store.to_str().expect("UTF-8")];
        command.extend(&words[1..]);
        let code = if question["question"] == "trace id that is not there" { 3 } else { 0 };
        let rows = tailspan(&command).expect(code).json().iter().filter(|line| line.get("summary").is_none()).count();
        if variants == 1 {
            assert_eq!(number(question, "rows"), repetitions * rows as u64, "{question}");
        }
    }
}

#[test]
fn the_same_seed_asks_the_same() {
    let ground = Ground::new();
    let commands = |store: &str, seed: &str| -> Vec<Value> {
        let lines = ground.bench(store, &["--json", seed]).expect(0).json();
        lines.iter().filter_map(|line| line.get("command").cloned()).collect()
    };
    let first = commands("a", "--seed=3");
    assert_eq!(first, commands("b", "--seed=3"));
    assert_ne!(first, commands("c", "--seed=4"));
}

#[test]
fn spans_may_come_from_standard_input() {
    let ground = Ground::new();
    let text = std::fs::read(ground.path("spans.jsonl")).expect("the file");
    let store = ground.path("store");
    let words = ["bench".as_ref(), store.as_os_str(), "-".as_ref(), "--time=1ms".as_ref(), "--json".as_ref()];
    let lines = tailspan_reading(words, &text).expect(0).json();
    assert_eq!(number(&lines[0]["ingest"], "spans"), SPANS);
}

#[test]
fn a_person_reads_tables() {
    let ground = Ground::new();
    let ran = ground.bench("store", &[]).expect(0);
    assert_eq!(ran.err, "", "ids that are not there are part of the plan");
    let out = String::from_utf8(ran.out).expect("UTF-8");
    for word in ["300 spans", "written by", "seal", "stored", "question", "heat map", "tailspan latency "] {
        assert!(out.contains(word), "{word} is not in\n{out}");
    }
}

#[test]
fn a_folder_that_holds_something_is_refused_and_left_alone() {
    let ground = Ground::new();
    std::fs::create_dir(ground.path("mine")).expect("a folder");
    std::fs::write(ground.path("mine/letter"), "dear").expect("a file");
    let ran = ground.bench("mine", &[]).expect(2);
    assert!(ran.err.contains("is not empty"), "{}", ran.err);
    let names: Vec<_> = std::fs::read_dir(ground.path("mine")).expect("the folder").collect();
    assert_eq!(names.len(), 1);
    ground.bench("nowhere", &["--format=otlp", "/no/such/file"]).expect(1);
    assert!(!ground.path("nowhere").exists(), "a misspelt file leaves no store behind");
}
