//! Input that is wrong, hostile or merely large: a clear error or a counted rejection, never a panic, and nothing
//! else is lost.
//!
//! Each test puts something good beside the bad, and asks for it afterwards.

#[path = "common/command.rs"]
mod command;
#[path = "common/numbered.rs"]
mod numbered;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tailspan::{Appended, ErrorKind, Limits, Query, SimulatedDisk, Span, SpanId, Storage, Store, TraceId};

use command::{tailspan, tailspan_reading};

/// The trace of every span these tests make by hand.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn store_with(limits: Limits) -> Store {
    let storage: Arc<dyn Storage> = Arc::new(SimulatedDisk::new(1));
    Store::builder("unused").storage(storage).limits(limits).seal_automatically(false).open().expect("an empty disk")
}

fn store() -> Store {
    store_with(Limits::default())
}

/// Numbered spans as bytes of a format the binary exports: OTLP (one message), OTLP JSON.
fn encoded(numbers: std::ops::Range<u64>, format: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let store = folder.path().join("store");
    let spans: Vec<Span> = numbers.map(numbered::span).collect();
    let opened = Store::open(&store).expect("a new store");
    assert_eq!(opened.append(&spans).expect("spans are taken").accepted, spans.len() as u64);
    opened.close().expect("the store closes");
    let words = ["export", store.to_str().expect("UTF-8"), "--format", format];
    let out = tailspan(words).expect(0).out;
    if format == "otlp" {
        // A length-delimited message: its length is a varint of two or three bytes here.
        let length_bytes = out.iter().position(|byte| byte & 0x80 == 0).expect("a length") + 1;
        return out[length_bytes..].to_vec();
    }
    out
}

/// An OTLP JSON document of these spans.
fn document(spans: &[Value]) -> Vec<u8> {
    json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] }).to_string().into_bytes()
}

fn good(number: u64) -> Value {
    let (start, end) = (1_760_000_000_000_000_000 + number, 1_760_000_000_000_001_000 + number);
    json!({ "traceId": TRACE, "spanId": format!("{number:016x}"), "name": "good",
        "startTimeUnixNano": start.to_string(), "endTimeUnixNano": end.to_string() })
}

/// The good span with one field changed.
fn with(field: &str, value: Value) -> Value {
    let mut span = good(1);
    span[field] = value;
    span
}

fn reasons(appended: &Appended) -> Vec<(&'static str, u64)> {
    appended.rejected.iter().map(|(reason, count)| (reason.as_str(), *count)).collect()
}

/// The spans of the hand-made trace.
fn trace_of(store: &Store) -> Vec<Span> {
    store.trace(TraceId::parse(TRACE).expect("an id")).expect("the trace is readable")
}

/// Appends what may be refused, but only as invalid; everything held must be of the spans that were meant.
fn offer(store: &Store, append: impl FnOnce(&Store) -> tailspan::Result<Appended>) -> Option<Appended> {
    match append(store) {
        Ok(appended) => Some(appended),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            None
        }
    }
}

#[test]
fn an_otlp_message_cut_at_any_byte_gives_an_error_or_some_of_its_spans() {
    let message = encoded(0..5, "otlp");
    for cut in 0..message.len() {
        let store = store();
        offer(&store, |store| store.append_otlp(&message[..cut]));
        for trace in store.spans() {
            for span in trace.expect("what was taken is readable") {
                numbered::number_of(&span).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
            }
        }
        let whole = store.append_otlp(&message).expect("the whole message is taken");
        assert_eq!((whole.accepted + whole.duplicates, whole.rejected_count()), (5, 0), "cut at {cut}");
    }
}

#[test]
fn a_json_text_cut_at_any_byte_is_an_error_and_adds_nothing() {
    let otlp = encoded(0..5, "otlp-json");
    let otlp = otlp.trim_ascii_end();
    let zipkin =
        json!([{ "traceId": TRACE, "id": "1", "name": "x", "timestamp": 5, "tags": { "a": "b" } }]).to_string();
    let store = store();
    for cut in 0..otlp.len() {
        assert!(offer(&store, |store| store.append_otlp_json(&otlp[..cut])).is_none(), "cut at {cut}");
    }
    for cut in 0..zipkin.len() {
        assert!(offer(&store, |store| store.append_zipkin_json(&zipkin.as_bytes()[..cut])).is_none(), "cut at {cut}");
    }
    assert_eq!(store.spans().count(), 0);
    assert_eq!(store.append_otlp_json(otlp).expect("the whole text is taken").accepted, 5);
    assert_eq!(store.append_zipkin_json(zipkin.as_bytes()).expect("the whole text is taken").accepted, 1);
}

#[test]
fn bytes_changed_anywhere_never_panic_and_harm_no_other_span() {
    let store = store();
    store.append_otlp_json(&document(&[good(1)])).map(drop).expect("a good span");
    let (otlp, json) = (encoded(0..3, "otlp"), encoded(0..3, "otlp-json"));
    let zipkin = json!([{ "traceId": "1", "id": "1", "timestamp": 5, "annotations": [{ "timestamp": 6, "value": "x" }],
        "localEndpoint": { "serviceName": "a", "ipv4": "1.2.3.4", "port": 5 }, "shared": true }]);
    let zipkin = zipkin.to_string().into_bytes();
    type Take = fn(&Store, &[u8]) -> tailspan::Result<Appended>;
    let formats: [(&[u8], Take); 3] =
        [(&otlp, Store::append_otlp), (&json, Store::append_otlp_json), (&zipkin, Store::append_zipkin_json)];
    for (text, take) in formats {
        for at in 0..text.len() {
            for byte in [0, 0x80, 0xff, b'"', text[at] ^ 1, text[at].wrapping_add(7)] {
                let mut bad = text.to_vec();
                bad[at] = byte;
                offer(&store, |store| take(store, &bad));
            }
        }
    }
    assert!(trace_of(&store).iter().any(|span| span.name == "good"));
    let held: usize = store.spans().map(|trace| trace.expect("what was taken is readable").len()).sum();
    assert_eq!(store.stats().expect("stats").spans, held as u64);
    assert_eq!(store.find(&Query::new().limit(0)).expect("a search").reason, None);
    store.seal().expect("it seals");
    let sealed: usize = store.spans().map(|trace| trace.expect("what was sealed is readable").len()).sum();
    assert_eq!(sealed, held);
}

#[test]
fn each_wrong_id_rejects_its_span_alone_and_says_why() {
    let cases = [
        ("trace_id_zero", with("traceId", json!("0".repeat(32)))),
        ("trace_id_length", with("traceId", json!("abcd"))),
        ("trace_id_length", with("traceId", json!(""))),
        ("trace_id_length", with("traceId", Value::Null)),
        ("span_id_zero", with("spanId", json!("0".repeat(16)))),
        ("span_id_length", with("spanId", json!("0123456789abcdef01"))),
        ("parent_id_length", with("parentSpanId", json!("01"))),
        ("id_not_hex", with("spanId", json!("0123456789abcdeg"))),
        ("link_id_length", with("links", json!([{ "traceId": "01", "spanId": "02" }]))),
        ("time_overflow", with("startTimeUnixNano", json!("99999999999999999999"))),
        ("malformed", with("startTimeUnixNano", json!("yesterday"))),
        ("malformed", with("attributes", json!([{ "key": "a", "value": { "intValue": "1.5" } }]))),
        ("malformed", with("name", json!(7))),
    ];
    for (reason, bad) in cases {
        let store = store();
        let appended = store.append_otlp_json(&document(&[good(2), bad.clone(), good(3)])).expect("the rest is good");
        assert_eq!((appended.accepted, reasons(&appended)), (2, vec![(reason, 1)]), "{bad}");
        assert_eq!(trace_of(&store).len(), 2);
    }
}

#[test]
fn a_zipkin_time_beyond_64_bits_of_nanoseconds_rejects_its_span_alone() {
    let spans = json!([
        { "traceId": "1", "id": "1", "timestamp": 1_760_000_000_000_000_u64, "duration": 5 },
        { "traceId": "1", "id": "2", "timestamp": u64::MAX / 10 },
        { "traceId": "1", "id": "3", "timestamp": 1_760_000_000_000_000_u64, "duration": u64::MAX / 10 },
    ]);
    let appended = store().append_zipkin_json(spans.to_string().as_bytes()).expect("one of them is good");
    assert_eq!((appended.accepted, reasons(&appended)), (1, vec![("time_overflow", 2)]));
}

#[test]
fn the_wildest_times_that_fit_are_kept_and_found() {
    let times = [(0, 0), (0, u64::MAX), (u64::MAX, u64::MAX), (u64::MAX, 0), (1, u64::MAX), (u64::MAX, 1), (5, 3)];
    let spans: Vec<Value> = (1..)
        .zip(times)
        .map(|(number, (start, end))| {
            let mut span = good(number);
            span["startTimeUnixNano"] = json!(start.to_string());
            span["endTimeUnixNano"] = json!(end.to_string());
            span
        })
        .collect();
    let store = store();
    assert_eq!(store.append_otlp_json(&document(&spans)).expect("nothing is wrong").accepted, times.len() as u64);
    for sealed in [false, true] {
        let kept: BTreeSet<(u64, u64)> =
            trace_of(&store).iter().map(|span| (span.start_unix_nano, span.end_unix_nano)).collect();
        assert_eq!(kept, BTreeSet::from(times), "sealed: {sealed}");
        let found = store.find(&Query::new().limit(0)).expect("a search");
        assert_eq!((found.traces.len(), found.traces[0].span_count), (1, times.len() as u64), "sealed: {sealed}");
        store.seal().expect("it seals");
    }
}

/// An `AnyValue` of so many arrays around nothing, as protobuf.
fn nested_value(depth: usize) -> Vec<u8> {
    let mut reversed = Vec::new();
    for _ in 0..depth {
        // From inside out, written backwards: field 1 of ArrayValue around it, field 5 of AnyValue around that.
        for tag in [0x0a_u8, 0x2a] {
            let mut length = Vec::new();
            prost::encoding::encode_varint(reversed.len() as u64, &mut length);
            reversed.extend(length.iter().rev());
            reversed.push(tag);
        }
    }
    reversed.reverse();
    reversed
}

#[test]
fn nesting_without_end_exhausts_no_stack() {
    let depth = 50_000;
    let store = store();
    // key_value { key: "k" value: nested } inside span inside scope_spans inside resource_spans.
    let field = |tag: u8, inside: Vec<u8>| {
        let mut out = vec![tag];
        prost::encoding::encode_varint(inside.len() as u64, &mut out);
        out.extend(inside);
        out
    };
    let span = |number: u8, attributes: Vec<u8>| {
        let ids = [field(0x0a, vec![7; 16]), field(0x12, vec![number; 8])].concat();
        field(0x12, [ids, attributes].concat())
    };
    let attribute = field(0x4a, [field(0x0a, b"k".to_vec()), field(0x12, nested_value(depth))].concat());
    let message = field(0x0a, field(0x12, [span(1, Vec::new()), span(2, attribute), span(3, Vec::new())].concat()));
    let appended = store.append_otlp(&message).expect("the message is well-formed");
    assert_eq!((appended.accepted, reasons(&appended)), (2, vec![("too_deep", 1)]));

    let value = format!("{}{}", r#"{"arrayValue":{"values":["#.repeat(depth), "]}}".repeat(depth));
    let deep = format!(
        r#"{{"traceId":"{TRACE}","spanId":"{}","attributes":[{{"key":"k","value":{value}}}]}}"#,
        "1".repeat(16)
    );
    let text = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{deep},{}]}}]}}]}}"#, good(2));
    let appended = store.append_otlp_json(text.as_bytes()).expect("the text is well-formed");
    assert_eq!((appended.accepted, reasons(&appended)), (1, vec![("too_deep", 1)]));

    for brackets in ["[".repeat(depth), format!("{}{}", "[".repeat(depth), "]".repeat(depth)), "{\"a\":".repeat(depth)]
    {
        assert!(offer(&store, |store| store.append_otlp_json(brackets.as_bytes())).is_none());
        let zipkin = offer(&store, |store| store.append_zipkin_json(brackets.as_bytes()));
        assert!(zipkin.is_none_or(|appended| appended.accepted == 0));
    }
    assert_eq!(trace_of(&store).len(), 1);
}

#[test]
fn what_exceeds_a_limit_is_refused_with_the_limit_named() {
    let mut limits = Limits::default();
    limits.span_bytes_max = 2_000;
    limits.message_bytes_max = 20_000;
    let store = store_with(limits);
    let long = with("name", json!("x".repeat(3_000)));
    let appended = store.append_otlp_json(&document(&[good(2), long, good(3)])).expect("the rest is good");
    assert_eq!((appended.accepted, reasons(&appended)), (2, vec![("too_large", 1)]));
    let many: Vec<Value> = (1..500).map(good).collect();
    let error = store.append_otlp_json(&document(&many)).expect_err("it is too long");
    assert!(error.to_string().contains("20000"), "{error}");
    assert_eq!(store.append_otlp(&[0x0a; 20_001]).expect_err("it is too long").kind(), ErrorKind::Invalid);
    assert_eq!(trace_of(&store).len(), 2);
}

#[test]
fn a_cycle_of_parents_is_a_trace_like_any_other() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("store");
    let parent_of = |child: u64, parent: u64| {
        let mut span = good(child);
        span["parentSpanId"] = json!(format!("{parent:016x}"));
        span["name"] = json!(format!("span {child}"));
        span
    };
    let spans = [parent_of(1, 2), parent_of(2, 3), parent_of(3, 1), parent_of(4, 4), parent_of(5, 99)];
    let store = Store::open(&path).expect("a new store");
    assert_eq!(store.append_otlp_json(&document(&spans)).expect("nothing is malformed").accepted, 5);
    for sealed in [false, true] {
        assert_eq!(trace_of(&store).len(), 5, "sealed: {sealed}");
        let drawn = tailspan(["trace".as_ref(), path.as_os_str(), TRACE.as_ref()]).expect(0).out;
        let drawn = String::from_utf8(drawn).expect("text");
        for name in (1..=5).map(|number| format!("span {number}")) {
            assert_eq!(drawn.matches(&name).count(), 1, "{name} in\n{drawn}");
        }
        store.seal().expect("it seals");
    }
}

#[test]
fn what_is_delivered_twice_is_kept_once() {
    let store = store();
    let spans: Vec<Span> = (0..50).map(numbered::span).collect();
    let twice = store.append(spans.iter().chain(&spans)).expect("spans are taken");
    assert_eq!((twice.accepted, twice.duplicates), (50, 50));
    store.seal().expect("it seals");
    let again = store.append(&spans).expect("spans are taken");
    assert_eq!((again.accepted, again.duplicates), (0, 50));
    assert_eq!(store.stats().expect("stats").spans, 50);
}

/// Spans of the large trace: 200,000 unless `TAILSPAN_LARGE_TRACE` says otherwise.
fn large_trace_spans() -> u64 {
    let word = std::env::var("TAILSPAN_LARGE_TRACE").ok();
    word.map_or(200_000, |word| word.parse().expect("TAILSPAN_LARGE_TRACE is a number"))
}

#[test]
fn a_trace_that_is_one_deep_chain_is_stored_sealed_found_and_drawn() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("store");
    let spans = large_trace_spans();
    let id = |number: u64| SpanId::from_u64(number + 1).expect("not zero");
    let link = |number: u64| Span {
        trace_id: TraceId::parse(TRACE).expect("an id"),
        span_id: id(number),
        parent_span_id: number.checked_sub(1).map(id),
        start_unix_nano: 1_000_000 + number,
        end_unix_nano: 1_000_000 + 2 * spans - number,
        ..numbered::span(0)
    };
    let store = Store::builder(&path).seal_automatically(false).open().expect("a new store");
    for first in (0..spans).step_by(10_000) {
        let batch: Vec<Span> = (first..(first + 10_000).min(spans)).map(link).collect();
        assert_eq!(store.append(&batch).expect("spans are taken").accepted, batch.len() as u64);
    }
    assert_eq!(trace_of(&store).len() as u64, spans);
    store.seal().expect("it seals");
    let kept = trace_of(&store);
    assert!(kept.iter().zip(0..).all(|(span, number)| *span == link(number)), "in order of start, each as it came");
    let found = store.find(&Query::new().service(numbered::SERVICE)).expect("a search");
    assert_eq!((found.traces.len(), found.traces[0].matched_count), (1, spans));
    store.close().expect("the store closes");
    let drawn = tailspan(["trace".as_ref(), path.as_os_str(), TRACE.as_ref()]).expect(0).out;
    let lines = drawn.split(|byte| *byte == b'\n').count() as u64;
    assert!(lines > spans, "{lines} lines");
}

#[test]
fn a_bad_line_among_good_ones_costs_only_itself() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let store = folder.path().join("store");
    let mut input = String::new();
    for number in 1..=20 {
        let line = String::from_utf8(document(&[good(number)])).expect("JSON is UTF-8");
        match number {
            5 => writeln!(input, "{}", &line[..line.len() / 2]),
            9 => writeln!(input, "not JSON at all"),
            13 => writeln!(input, r#"{{"resourceSpans":7}}"#),
            _ => writeln!(input, "{line}"),
        }
        .expect("memory takes everything");
    }
    let words = ["import".as_ref(), store.as_os_str(), "-".as_ref(), "--json".as_ref()];
    let ran = tailspan_reading(words, input.as_bytes()).expect(4);
    for line in ["line 5", "line 9", "line 13"] {
        assert!(ran.err.contains(line), "{}", ran.err);
    }
    assert_eq!(ran.json().last().expect("a summary")["spans"], 17);
    assert_eq!(trace_of(&Store::open_read_only(&store).expect("a store")).len(), 17);
}

/// The files below a folder with their bytes, by path.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path.clone());
                found.push((path.display().to_string(), Vec::new()));
            } else {
                found.push((path.display().to_string(), std::fs::read(&path).expect("a file")));
            }
        }
    }
    found.sort();
    found
}

/// Runs a command that must fail with exit code 1, these words in its error, and nothing written.
#[track_caller]
fn refused(store: &Path, words: &[&str], expected: &str) {
    let beside = store.parent().expect("a folder around it");
    let before = files(beside);
    let (name, flags) = words.split_first().expect("a command");
    let words = [name.as_ref(), store.as_os_str()].into_iter().chain(flags.iter().map(AsRef::as_ref));
    let ran = tailspan(words).expect(1);
    assert!(ran.err.contains(expected), "{name}: {}", ran.err);
    assert!(files(beside) == before, "{name} wrote something");
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let input = folder.path().join("input.jsonl");
    std::fs::write(&input, document(&[good(1)])).expect("a file");
    let import = ["import", input.to_str().expect("UTF-8")];
    let foreign = folder.path().join("foreign");
    std::fs::create_dir(&foreign).expect("a folder");
    std::fs::write(foreign.join("letter.txt"), "dear reader").expect("a file");
    for words in [&["find"][..], &["seal"], &["verify"], &["stats"], &import] {
        refused(&foreign, words, "no tailspan store");
    }
    for words in [&["find"][..], &["seal"], &import] {
        refused(&input, words, "input.jsonl");
    }
    for words in [&["find"][..], &["seal"], &["export"], &["batch"]] {
        refused(&folder.path().join("missing"), words, "missing");
    }
    refused(&folder.path().join("missing"), &["import", "/no/such/file"], "/no/such/file");
}

#[test]
fn a_store_being_written_names_the_writer_and_can_be_read() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("store");
    let store = Store::open(&path).expect("a new store");
    store.append_otlp_json(&document(&[good(1)])).map(drop).expect("a good span");
    refused(&path, &["seal"], &format!("process {}", std::process::id()));
    let found = tailspan(["find".as_ref(), path.as_os_str(), "--json".as_ref()]).expect(0).json();
    assert_eq!(found[0]["spanCount"], 1);
    assert_eq!(Store::open(&path).expect_err("it is locked").kind(), ErrorKind::Locked);
}

/// A sealed store of two segments and a log, closed.
fn three_parts(path: &Path) {
    let store = Store::builder(path).seal_automatically(false).block_rows(1024).open().expect("a new store");
    for numbers in [0..3_000, 3_000..6_000, 6_000..6_100] {
        let spans: Vec<Span> = numbers.clone().map(numbered::span).collect();
        store.append(&spans).map(drop).expect("spans are taken");
        if numbers.end < 6_100 {
            store.seal().expect("it seals");
        }
    }
    store.close().expect("the store closes");
}

/// The only or first file of a folder of the store with this ending.
fn file_in(store: &Path, folder: &str, index: usize) -> std::path::PathBuf {
    let entries = std::fs::read_dir(store.join(folder)).expect("a folder of the store");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths[index].clone()
}

/// Raises the format version in a header and makes its checksum right: what a newer build would have written.
/// `store_at` and `file_at` say where the header has the ids that are mixed in.
fn raise_version(path: &Path, store_at: usize, file_at: Option<usize>, checksum_at: usize) {
    let mut bytes = std::fs::read(path).expect("a file of the store");
    bytes[8] = 9;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[store_at..store_at + 8]);
    hasher.update(file_at.map_or(&[0; 8], |at| &bytes[at..at + 8]));
    hasher.update(&[0; 8]);
    hasher.update(&bytes[..checksum_at]);
    bytes[checksum_at..checksum_at + 4].copy_from_slice(&hasher.finalize().to_le_bytes());
    std::fs::write(path, bytes).expect("a file of the store");
}

#[test]
fn a_newer_format_version_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let input = folder.path().join("input.jsonl");
    std::fs::write(&input, document(&[good(1)])).expect("a file");
    for part in ["manifest", "log", "segment"] {
        let store = folder.path().join(part);
        three_parts(&store);
        match part {
            "manifest" => raise_version(&store.join("MANIFEST"), 16, None, 44),
            "log" => raise_version(&file_in(&store, "log", 0), 16, Some(24), 44),
            _ => raise_version(&file_in(&store, "seg", 1), 16, Some(24), 32),
        }
        for words in [&["find"][..], &["seal"], &["verify"], &["import", input.to_str().expect("UTF-8")]] {
            refused(&store, words, "newer");
        }
        assert_eq!(Store::open(&store).expect_err("it is newer").kind(), ErrorKind::Unsupported, "{part}");
    }
}

#[test]
fn a_damaged_version_number_is_damage_and_the_store_opens() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("store");
    three_parts(&path);
    let segment = file_in(&path, "seg", 1);
    let mut bytes = std::fs::read(&segment).expect("a segment");
    bytes[9] ^= 4;
    std::fs::write(&segment, bytes).expect("a segment");
    let store = Store::open(&path).expect("a store with one damaged segment opens");
    assert_eq!(store.recovery().damage, [""; 0], "the directory tells the version as well");
    assert_eq!(store.verify().expect("every file is readable").damaged.len(), 1);
    assert_eq!(store.stats().expect("stats").spans, 6_100);
}

#[test]
fn a_read_only_opening_answers_and_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("store");
    three_parts(&path);
    let before = files(&path);
    let store = Store::open_read_only(&path).expect("a store");
    assert_eq!(store.stats().expect("stats").spans, 6_100);
    assert_eq!(store.find(&Query::new().limit(0)).expect("a search").traces.len(), 1_220);
    let error = store.append(&[numbered::span(7_000)]).expect_err("it is read-only");
    assert!(error.to_string().contains("read-only"), "{error}");
    assert!(store.seal().is_err());
    assert_eq!(store.verify().expect("every file is readable").damaged, []);
    drop(store);
    for words in [&["find", "--json"][..], &["services"], &["stats"], &["verify"], &["export"]] {
        let (name, flags) = words.split_first().expect("a command");
        let words = [name.as_ref(), path.as_os_str()].into_iter().chain(flags.iter().map(AsRef::as_ref));
        tailspan(words).expect(0);
    }
    assert!(files(&path) == before, "a query wrote something");
}

/// What a flipped bit did.
struct Cost {
    noticed: bool,
    /// Traces that cannot be read.
    unreadable: usize,
}

/// What a damaged copy of a sealed store still answers, compared with what is true.
fn ask_damaged(disk: &SimulatedDisk, truth: &[Vec<Span>], at: u64) -> Cost {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let store = Store::builder("unused").storage(storage).read_only().open().expect("a damaged store opens");
    let damaged = store.verify().expect("every file is readable").damaged;
    let mut unreadable = 0;
    for spans in truth {
        match store.trace(spans[0].trace_id) {
            Ok(read) if read.len() == spans.len() => {
                assert_eq!(read, *spans, "bit {at}: a trace is not what was written")
            }
            Ok(_) => unreadable += 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {at}: {error}");
                unreadable += 1;
            }
        }
    }
    let found = store.find(&Query::new().service(numbered::SERVICE).limit(0)).expect("damage is no error of a search");
    let matching = truth.iter().filter(|t| t.iter().any(|span| span.service() == Some(numbered::SERVICE))).count();
    let said = !found.complete && found.reason.is_some();
    let opened_whole = store.recovery().damage.is_empty();
    assert!(found.traces.len() == matching || said || !opened_whole, "bit {at}: {} found", found.traces.len());
    let harmed = unreadable > 0 || said || !opened_whole;
    assert!(!harmed || !damaged.is_empty(), "bit {at}: verify finds nothing, but something is lost");
    if let Some(unit) = damaged.first() {
        assert!(unit.file.starts_with("seg/") && !unit.problem.is_empty(), "bit {at}: {unit:?}");
    }
    Cost { noticed: !damaged.is_empty(), unreadable }
}

#[test]
fn a_flipped_bit_in_a_segment_is_noticed_and_seldom_costs_more_than_its_page() {
    let disk = SimulatedDisk::new(3);
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let builder = Store::builder("unused").storage(storage).seal_automatically(false).block_rows(1024);
    let store = builder.open().expect("an empty disk");
    let spans: Vec<Span> = (0..3_000).map(numbered::span).collect();
    store.append(&spans).map(drop).expect("spans are taken");
    store.seal().expect("it seals");
    let ids: BTreeSet<TraceId> = spans.iter().map(|span| span.trace_id).collect();
    let truth: Vec<Vec<Span>> = ids.iter().map(|id| store.trace(*id).expect("nothing is damaged yet")).collect();
    store.close().expect("the store closes");
    let name = disk.file_names().into_iter().find(|name| name.starts_with("seg/")).expect("a segment");
    let bits = disk.read_file(&name).expect("a segment").len() as u64 * 8;
    let directory = footer_offset(&disk.read_file(&name).expect("a segment"));
    let mut costs = Vec::new();
    for at in (0..bits).step_by(bits as usize / 150) {
        let damaged = disk.death_image();
        damaged.flip_bit(&name, at);
        assert_eq!(ask_damaged(&damaged, &truth, at).unreadable, 0, "bit {at}: parity mends one place");
        // The last byte of the parity, which stands before the last directory: now nothing is mended.
        damaged.flip_bit(&name, (directory - 1) * 8);
        costs.push(ask_damaged(&damaged, &truth, at));
    }
    assert!(costs.iter().all(|cost| cost.noticed));
    // What is there once for the whole segment, or for up to 1,024 traces, costs them all; pages of rows do not.
    let local = costs.iter().filter(|cost| cost.unreadable <= truth.len() / 2).count();
    assert!(local * 4 >= costs.len() * 3, "{local} of {} flips cost less than half of the traces", costs.len());
}

/// Where the last directory of a segment begins: its footer tells.
fn footer_offset(segment: &[u8]) -> u64 {
    let footer = &segment[segment.len() - 24..];
    u64::from_le_bytes(footer[..8].try_into().expect("eight bytes"))
}

#[test]
fn damage_is_told_by_exit_code_and_by_name() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("store");
    three_parts(&path);
    let segment = file_in(&path, "seg", 0);
    let mut bytes = std::fs::read(&segment).expect("a segment");
    // In several columns of rows: after the header, before the table of traces, without which nothing can be repaired.
    let len = bytes.len();
    for at in (4..7).map(|part| part * len / 40) {
        bytes[at..at + 16].fill(0x55);
    }
    std::fs::write(&segment, bytes).expect("a segment");
    let run = |words: &[&str]| {
        let (name, flags) = words.split_first().expect("a command");
        tailspan([name.as_ref(), path.as_os_str()].into_iter().chain(flags.iter().map(AsRef::as_ref)))
    };
    let name = format!("seg/{}", segment.file_name().expect("a name").to_str().expect("UTF-8"));
    let verified = run(&["verify", "--json"]).expect(4).json();
    assert!(
        verified.len() >= 2 && verified.iter().rev().skip(1).all(|unit| unit["file"] == name.as_str()),
        "{verified:?}"
    );
    let exported = run(&["export"]).expect(4);
    let kept = String::from_utf8_lossy(&exported.out).matches("\"spanId\"").count();
    assert!(kept > 3_100, "the other segment and the log are exported: {kept} spans");
    assert!(exported.err.contains("warning: "), "{}", exported.err);
    // What is left is repaired: the damaged file is kept, what could be read stays.
    let damaged = std::fs::read(&segment).expect("a segment");
    let repaired = run(&["repair", "--json"]).expect(4).json();
    let (summary, units) = repaired.split_last().expect("a summary");
    assert!(units.iter().all(|unit| unit["file"] == name.as_str()) && !units.is_empty(), "{repaired:?}");
    let kept = summary["summary"]["quarantined"][0].as_str().unwrap_or_else(|| panic!("{summary} {units:?}"));
    assert_eq!(std::fs::read(path.join(kept)).expect("a file in quarantine"), damaged);
    run(&["verify"]).expect(0);
    let exported_again = run(&["export"]).expect(0);
    assert_eq!(exported_again.out.len(), exported.out.len(), "the same traces as before");
    assert_eq!(run(&["repair", "--json"]).expect(0).json().len(), 1);
}
