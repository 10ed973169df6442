//! `tailspan retain` as a contract: what it prints, what it takes, how it refuses.

#[path = "common/command.rs"]
mod command;
#[path = "common/numbered.rs"]
mod numbered;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tailspan::{ManualClock, Span, Store, TraceId};

use command::{Ran, tailspan, tailspan_reading};

const SPANS: u64 = 300;

/// A store in the log, imported by the binary.
fn imported() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let spans: Vec<Span> = (0..SPANS).map(numbered::span).collect();
    let mut input = Vec::new();
    tailspan::write_otlp_json(&spans, &mut input).unwrap();
    tailspan_reading(["import".as_ref(), store.as_os_str(), "-".as_ref()], &input).expect(0);
    (folder, store)
}

fn retain(store: &Path, flags: &[&str]) -> Ran {
    let words = ["retain".as_ref(), store.as_os_str()].into_iter();
    tailspan(words.chain(flags.iter().map(AsRef::as_ref)))
}

#[track_caller]
fn summary(store: &Path, flags: &[&str]) -> Value {
    let lines = retain(store, &[flags, &["--json"]].concat()).expect(0).json();
    assert_eq!(lines.len(), 1);
    let fields: BTreeSet<&str> = lines[0].as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = ["segmentsRemoved", "rowsRemoved", "bytesRemoved", "segmentsRewritten", "bytesOnDisk", "clockHeld"];
    assert_eq!(fields, wanted.into());
    let (told, after) = (lines[0]["bytesOnDisk"].as_u64(), stats(store)["bytesOnDisk"].as_u64());
    // The name of the process goes from the lock file when it ends.
    assert!(after <= told && told.unwrap() - after.unwrap() < 16, "{told:?} {after:?}");
    lines[0].clone()
}

fn stats(store: &Path) -> Value {
    tailspan(["stats".as_ref(), store.as_os_str(), "--json".as_ref()]).expect(0).json().remove(0)
}

fn traces(store: &Path) -> BTreeSet<TraceId> {
    let store = Store::open_read_only(store).unwrap();
    let spans = store.spans().flat_map(|trace| trace.unwrap());
    spans.inspect(|span| assert!(numbered::number_of(span).is_ok())).map(|span| span.trace_id).collect()
}

#[test]
fn what_is_young_stays_and_what_is_too_old_goes_though_it_was_never_sealed() {
    let (_folder, store) = imported();
    let done = summary(&store, &["--max-age=30d", "--max-bytes", "10GiB"]);
    assert_eq!((&done["rowsRemoved"], &done["clockHeld"]), (&0.into(), &false.into()));
    assert_eq!(stats(&store)["spans"], SPANS);
    let done = summary(&store, &["--max-age=0s"]);
    assert_eq!((&done["rowsRemoved"], &done["segmentsRemoved"]), (&SPANS.into(), &1.into()));
    assert_eq!(stats(&store)["spans"], 0);
    tailspan(["verify".as_ref(), store.as_os_str()]).expect(0);
}

#[test]
fn a_store_of_too_many_bytes_shrinks_to_the_files_that_make_it() {
    let (_folder, store) = imported();
    let done = summary(&store, &["--max-bytes=1"]);
    assert_eq!((&done["rowsRemoved"], &stats(&store)["spans"]), (&SPANS.into(), &0.into()));
    let words = retain(&store, &["--max-bytes=1"]).expect(0);
    assert!(String::from_utf8(words.out).unwrap().starts_with("0 rows went with 0 segments; 0 B less, "));
}

#[test]
fn rules_keep_whole_traces() {
    let (_folder, store) = imported();
    let wanted = |test: &dyn Fn(&Span) -> bool| -> BTreeSet<TraceId> {
        (0..SPANS).map(numbered::span).filter(|span| test(span)).map(|span| span.trace_id).collect()
    };
    let mut kept = wanted(&|span| span.is_error());
    kept.extend(wanted(&|span| span.name == "operation 3" && span.service() == Some(numbered::SERVICE)));
    let service = format!("--service={} --name 'operation 3' for 1d", numbered::SERVICE);
    let flags = ["--max-age=0s", "--keep", "--error for 90d", "--keep", &service];
    let done = summary(&store, &flags);
    assert_eq!((&done["segmentsRemoved"], &done["segmentsRewritten"]), (&0.into(), &1.into()));
    assert_eq!(traces(&store), kept);
    assert_eq!(stats(&store)["rows"], SPANS - done["rowsRemoved"].as_u64().unwrap());
    assert!(kept.len() < 60 && kept.len() > 20);
}

#[test]
fn a_clock_that_jumped_is_told_of_and_accepted_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let last_year = Arc::new(ManualClock::new(1_750_000_000_000_000_000));
    let written = Store::builder(&store).clock(last_year).open().unwrap();
    assert_eq!(written.append(&[numbered::span(1)]).unwrap().accepted, 1);
    written.close().unwrap();
    let ran = retain(&store, &["--max-age=1d", "--json"]).expect(0);
    assert_eq!((&ran.json()[0]["clockHeld"], &ran.json()[0]["rowsRemoved"]), (&true.into(), &0.into()));
    assert!(ran.err.contains("--accept-clock"), "{}", ran.err);
    let done = summary(&store, &["--max-age=1d", "--accept-clock"]);
    assert_eq!((&done["clockHeld"], &done["rowsRemoved"]), (&false.into(), &1.into()));
    assert_eq!(retain(&store, &[]).expect(0).err, "");
}

#[test]
fn words_that_make_no_sense_are_a_usage_error() {
    let (_folder, store) = imported();
    let bad = ["--max-age=5", "--max-bytes=much", "--keep=--error", "--keep=--errors for 1d", "--keep=--error for 1"];
    for flag in bad {
        retain(&store, &[flag]).expect(2);
    }
    assert_eq!(stats(&store)["spans"], SPANS);
}

#[test]
fn a_store_that_another_process_writes_to_is_refused_and_so_is_none() {
    let (folder, store) = imported();
    let writer = Store::open(&store).unwrap();
    let ran = retain(&store, &["--max-age=0s"]).expect(1);
    assert!(ran.err.contains(&std::process::id().to_string()), "{}", ran.err);
    writer.close().unwrap();
    retain(&folder.path().join("nothing"), &["--max-age=0s"]).expect(1);
}
