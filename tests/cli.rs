//! The command line as a contract: the shape of every JSON line, the exit codes, what goes where.
//!
//! Each question is asked of a store whose spans lie in the log and of one whose spans are sealed; the answers
//! are compared with the spans that went in.

#[path = "common/command.rs"]
mod command;
#[path = "common/numbered.rs"]
mod numbered;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tailspan::{Span, Store};

use command::{Ran, binary, tailspan, tailspan_reading};

/// Spans of the stores that are asked.
const SPANS: u64 = 300;

/// A folder with a store in it.
struct Ground {
    folder: tempfile::TempDir,
    spans: Vec<Span>,
}

impl Ground {
    fn empty() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder for temporary files"), spans: Vec::new() }
    }

    /// A store of numbered spans in the log.
    fn in_log() -> Self {
        let mut ground = Self::empty();
        ground.spans = (0..SPANS).map(numbered::span).collect();
        let input = ground.path("input.jsonl");
        std::fs::write(&input, lines(&ground.spans)).expect("the input is written");
        ground.run(&["import"], &[input.to_str().expect("UTF-8")]).expect(0);
        ground
    }

    /// The same store, half of it sealed and half in the log, and all of it sealed.
    fn each_way() -> [Self; 3] {
        let (in_log, mixed, sealed) = (Self::in_log(), Self::in_log(), Self::in_log());
        sealed.run(&["seal"], &[]).expect(0);
        mixed.run(&["seal"], &[]).expect(0);
        let late: Vec<Span> = (SPANS..SPANS + 50).map(numbered::span).collect();
        let mut grounds = [in_log, mixed, sealed];
        tailspan_reading(["import".as_ref(), grounds[1].store().as_os_str(), "-".as_ref()], &lines(&late)).expect(0);
        grounds[1].spans.extend(late);
        grounds
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Runs `tailspan COMMAND STORE FLAGS`.
    fn run(&self, command: &[&str], flags: &[&str]) -> Ran {
        let store = self.store();
        let words = command.iter().map(AsRef::as_ref).chain([store.as_os_str()]);
        tailspan(words.chain(flags.iter().map(AsRef::as_ref)))
    }

    /// The JSON lines of a command that ends well.
    #[track_caller]
    fn json(&self, command: &str, flags: &[&str]) -> Vec<Value> {
        self.run(&[command, "--json"], flags).expect(0).json()
    }
}

/// One OTLP JSON document for every seven spans.
fn lines(spans: &[Span]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in spans.chunks(7) {
        tailspan::write_otlp_json(chunk, &mut out).expect("memory takes everything");
        out.push(b'\n');
    }
    out
}

/// The spans of a store, without order.
fn spans_of(store: &Path) -> BTreeSet<String> {
    let store = Store::open_read_only(store).expect("a store");
    let spans = store.spans().flat_map(|trace| trace.expect("readable"));
    spans.map(|span| format!("{span:?}")).collect()
}

/// Fails unless the object has these fields with values of these types; more fields are welcome. A type is one of
/// string, integer, number, bool, object, array, with `?` if it may be null.
#[track_caller]
fn shaped(object: &Value, fields: &[(&str, &str)]) {
    for (name, kind) in fields {
        let value = object.get(name).unwrap_or_else(|| panic!("no {name} in {object}"));
        let fits = match kind.trim_end_matches('?') {
            _ if value.is_null() => kind.ends_with('?'),
            "string" => value.is_string(),
            "integer" => value.is_u64(),
            "number" => value.is_f64(),
            "bool" => value.is_boolean(),
            "object" => value.is_object(),
            "array" => value.is_array(),
            kind => panic!("{kind} is no type"),
        };
        assert!(fits, "{name} is no {kind} in {object}");
    }
}

fn count_by<K: Ord>(spans: &[Span], key: impl Fn(&Span) -> K) -> BTreeMap<K, u64> {
    let mut counts = BTreeMap::new();
    for span in spans {
        *counts.entry(key(span)).or_default() += 1;
    }
    counts
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

#[test]
fn import_acknowledges_group_by_group_and_sums_up() {
    let ground = Ground::empty();
    let bad = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00","spanId":"01"}]}]}]}"#;
    let spans: Vec<Span> = (0..40).map(numbered::span).collect();
    let input = [lines(&spans), lines(&spans[..4]), bad.to_vec()].concat();
    let store = ground.store();
    let said = tailspan_reading(["import".as_ref(), store.as_os_str(), "-".as_ref(), "--json".as_ref()], &input);
    let said = said.expect(0).json();
    let (summary, acknowledged) = said.split_last().expect("a summary");
    let acknowledged: Vec<u64> =
        acknowledged.iter().map(|line| line["acknowledgedSpans"].as_u64().expect("a count")).collect();
    assert!(acknowledged.is_sorted() && acknowledged.last() == Some(&45), "{acknowledged:?}");
    let types = [("spans", "integer"), ("duplicates", "integer"), ("rejected", "array"), ("seconds", "number")];
    shaped(summary, &types);
    shaped(summary, &[("spansPerSecond", "number")]);
    assert_eq!((&summary["spans"], &summary["duplicates"]), (&json!(40), &json!(4)));
    assert_eq!(summary["rejected"], json!([{ "reason": "trace_id_length", "count": 1 }]));
}

#[test]
fn name_lists_count_what_went_in() {
    for ground in Ground::each_way() {
        let services = ground.json("services", &[]);
        services.iter().for_each(|row| shaped(row, &[("service", "string?"), ("spanCount", "integer")]));
        let counted = services.iter().map(|row| (text(&row["service"]), row["spanCount"].as_u64().expect("a count")));
        let expected = count_by(&ground.spans, |span| span.service().unwrap_or_default().to_owned());
        assert_eq!(counted.collect::<Vec<_>>(), Vec::from_iter(expected));
        let errors: u64 = services.iter().map(|row| row["errorCount"].as_u64().expect("a count")).sum();
        assert_eq!(errors, ground.spans.iter().filter(|span| span.is_error()).count() as u64);

        let operations = ground.json("operations", &["--service", numbered::SERVICE]);
        let types = [("service", "string?"), ("name", "string?"), ("kind", "string"), ("spanCount", "integer")];
        operations.iter().for_each(|row| shaped(row, &types));
        let own: Vec<Span> =
            ground.spans.iter().filter(|span| span.service() == Some(numbered::SERVICE)).cloned().collect();
        let expected = count_by(&own, |span| (span.name.clone(), span.kind.as_str().to_owned()));
        let key = |row: &Value| (text(&row["name"]), text(&row["kind"]));
        let counted = operations.iter().map(|row| (key(row), row["spanCount"].as_u64().expect("a count")));
        assert_eq!(counted.collect::<BTreeMap<_, _>>(), expected);

        let keys = ground.json("attributes", &[]);
        let types = [("key", "string"), ("scope", "string"), ("type", "string"), ("spanCount", "integer")];
        keys.iter().for_each(|row| shaped(row, &types));
        let note = keys.iter().find(|row| row["key"] == "note").expect("every span has a note");
        assert_eq!((&note["scope"], &note["spanCount"]), (&json!("span"), &json!(ground.spans.len())));
        let values = ground.json("attributes", &["instance"]);
        values.iter().for_each(|row| shaped(row, &[("value", "string?"), ("spanCount", "integer")]));
        assert_eq!(values.len(), 3);
    }
}

#[test]
fn attributes_are_offered_by_service_window_and_prefix() {
    let summary = json!({ "summary": { "complete": true, "reason": null } });
    for ground in Ground::each_way() {
        let starts = ground.spans.iter().map(|span| span.start_unix_nano);
        let (first, last) = (starts.clone().min().expect("spans"), starts.max().expect("spans"));
        let until = (first + (last - first) / 2).to_string();
        let early: Vec<&Span> =
            ground.spans.iter().filter(|s| s.start_unix_nano.to_string() < until && s.start_unix_nano != 0).collect();

        let mut keys = ground.json("attributes", &["--prefix=n", "--service", numbered::SERVICE, "--until", &until]);
        assert_eq!(keys.pop(), Some(summary.clone()));
        let names: Vec<_> = keys.iter().map(|row| text(&row["key"])).collect();
        assert_eq!(names, ["note", "number"]);
        let of_service = early.iter().filter(|span| span.service() == Some(numbered::SERVICE)).count();
        assert!(of_service > 0 && of_service < ground.spans.len());
        keys.iter().for_each(|row| assert_eq!(row["spanCount"], of_service));

        let mut values = ground.json("attributes", &["number", "--limit=3", "--prefix=1", "--since=0"]);
        assert_eq!(values.pop(), Some(summary.clone()));
        assert_eq!(values.len(), 3);
        assert!(values.iter().all(|row| text(&row["value"]).starts_with('1')));
        let shown =
            String::from_utf8(ground.run(&["attributes"], &["number", "--limit=3"]).expect(0).out).expect("text");
        let more = ground.spans.len() - 3;
        assert!(shown.ends_with(&format!("{more} more\n")), "{shown}");

        for command in ["services", "operations", "remote-services"] {
            let mut all = ground.json(command, &["--since=1"]);
            assert_eq!(all.pop(), Some(summary.clone()));
            assert_eq!(all, ground.json(command, &[]), "{command}: a window around everything");
            assert_eq!(
                ground.json(command, &["--until=1"]),
                std::slice::from_ref(&summary),
                "{command}: nothing that early"
            );
        }
        let mut services = ground.json("services", &["--until", &until]);
        services.pop();
        let counted: u64 = services.iter().map(|row| row["spanCount"].as_u64().expect("a count")).sum();
        assert_eq!(counted, early.len() as u64);
    }
}

#[test]
fn a_trace_larger_than_its_bound_is_named_with_what_raises_it() {
    for ground in Ground::each_way() {
        let id = ground.spans[0].trace_id.to_string();
        let refused = ground.run(&["trace"], &[&id, "--max-trace-bytes=100"]).expect(1);
        assert!(refused.err.contains(&id) && refused.err.contains("--max-trace-bytes"), "{}", refused.err);
        ground.run(&["trace"], &[&id, "--max-trace-bytes=4GiB"]).expect(0);
        let found = ground.run(&["find", "--json"], &["--limit=0", "--max-trace-bytes=100"]).expect(4);
        assert!(!found.json().last().expect("a summary")["summary"]["complete"].as_bool().expect("a word"));
        let exported = ground.run(&["export"], &["--max-trace-bytes=100"]).expect(4);
        assert!(exported.out.is_empty() && exported.err.contains("--max-trace-bytes"), "{}", exported.err);
    }
}

#[test]
fn remote_services_are_listed_with_their_spans() {
    let ground = Ground::empty();
    let spans = json!([
        { "traceId": "1", "id": "1", "timestamp": 5, "localEndpoint": { "serviceName": "a" },
          "remoteEndpoint": { "serviceName": "db" } },
        { "traceId": "1", "id": "2", "timestamp": 5, "localEndpoint": { "serviceName": "b" },
          "remoteEndpoint": { "serviceName": "db" } },
        { "traceId": "1", "id": "3", "timestamp": 5, "localEndpoint": { "serviceName": "b" },
          "remoteEndpoint": { "serviceName": "queue" } },
    ]);
    let store = ground.store();
    tailspan_reading(["import".as_ref(), store.as_os_str(), "-".as_ref()], spans.to_string().as_bytes()).expect(0);
    for _ in 0..2 {
        let all = ground.json("remote-services", &[]);
        assert_eq!(
            all,
            [json!({ "remoteService": "db", "spanCount": 2 }), json!({ "remoteService": "queue", "spanCount": 1 })]
        );
        let of_a = ground.json("remote-services", &["--service=a"]);
        assert_eq!(of_a, [json!({ "remoteService": "db", "spanCount": 1 })]);
        ground.run(&["seal"], &[]).expect(0);
    }
}

#[test]
fn upkeep_answers_with_one_object_each() {
    for ground in Ground::each_way() {
        let stats = ground.json("stats", &[]);
        let counts =
            ["spans", "rows", "traces", "segments", "bytesOnDisk", "rollupBytes", "logBytes", "awaitingErasure"];
        counts.iter().for_each(|name| shaped(&stats[0], &[(name, "integer")]));
        shaped(&stats[0], &[("columns", "object"), ("indexes", "object")]);
        assert_eq!((stats.len(), &stats[0]["spans"]), (1, &json!(ground.spans.len())));
        let on_disk: u64 = walk(&ground.store()).iter().map(|path| path.metadata().expect("a file").len()).sum();
        assert_eq!(stats[0]["bytesOnDisk"], on_disk);
        let verified = ground.json("verify", &[]);
        assert_eq!((verified.len(), &verified[0]["summary"]["damaged"]), (1, &json!(0)));
        let sealed = ground.json("seal", &[]);
        shaped(&sealed[0], &[("spans", "integer"), ("segments", "integer"), ("bytes", "integer")]);
        assert_eq!(ground.json("seal", &[])[0]["spans"], 0, "everything was sealed before");
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

const FOUND: [(&str, &str); 10] = [
    ("traceId", "string"),
    ("rootService", "string?"),
    ("rootName", "string?"),
    ("startUnixNano", "integer"),
    ("durationNano", "integer"),
    ("spanCount", "integer"),
    ("errorCount", "integer"),
    ("services", "object"),
    ("matchedCount", "integer"),
    ("matchedSpanIds", "array"),
];

/// The traces and the summary of a search.
#[track_caller]
fn found(mut said: Vec<Value>) -> (Vec<Value>, Value) {
    let summary = said.pop().expect("a summary ends the list")["summary"].take();
    shaped(&summary, &[("complete", "bool"), ("reason", "string?"), ("nextPageToken", "string?")]);
    said.iter().for_each(|trace| shaped(trace, &FOUND));
    (said, summary)
}

#[test]
fn find_ends_with_a_summary_and_pages_reach_the_end() {
    for ground in Ground::each_way() {
        for order in ["newest", "slowest"] {
            let (all, summary) = found(ground.json("find", &["--limit", "0", "--order", order]));
            assert_eq!(summary, json!({ "complete": true, "reason": null, "nextPageToken": null }));
            assert_eq!(all.len(), ground.spans.len() / 5);
            let key = |trace: &Value| {
                let (start, duration) = (&trace["startUnixNano"], &trace["durationNano"]);
                let (start, duration) = (start.as_u64().expect("a time"), duration.as_u64().expect("a duration"));
                if order == "newest" { (start, 0) } else { (duration, start) }
            };
            assert!(all.is_sorted_by(|a, b| key(a) >= key(b)), "{order}");
            // 7 does not divide the traces, 5 does: the token is null exactly when nothing follows.
            for limit in [7, 5] {
                let mut paged = Vec::new();
                let mut token = None;
                loop {
                    let (limit, order) = (format!("--limit={limit}"), format!("--order={order}"));
                    let mut flags = vec![limit.as_str(), &order];
                    flags.extend(token.iter().flat_map(|token: &String| ["--page-token", token]));
                    let (page, summary) = found(ground.json("find", &flags));
                    assert!(!page.is_empty(), "a token promised more");
                    paged.extend(page);
                    match summary["nextPageToken"].as_str() {
                        Some(next) => token = Some(next.to_owned()),
                        None => break,
                    }
                }
                assert!(paged == all, "{order} by {limit}");
            }
        }
    }
}

#[test]
fn find_lists_matching_spans_by_start() {
    for ground in Ground::each_way() {
        let (traces, _) = found(ground.json("find", &["--service", numbered::SERVICE, "--limit=0"]));
        for trace in traces {
            let mut matching: Vec<&Span> = ground.spans.iter().collect();
            matching.retain(|span| trace["traceId"] == span.trace_id.to_string());
            assert_eq!(trace["spanCount"], matching.len());
            matching.retain(|span| span.service() == Some(numbered::SERVICE));
            matching.sort_by_key(|span| (span.start_unix_nano, span.span_id));
            let ids: Vec<String> = matching.iter().map(|span| span.span_id.to_string()).collect();
            assert_eq!((&trace["matchedSpanIds"], &trace["matchedCount"]), (&json!(ids), &json!(ids.len())));
        }
    }
}

#[test]
fn explanations_account_for_everything_considered() {
    for ground in Ground::each_way() {
        let trace = ground.spans[0].trace_id.to_string();
        for (command, flags) in [
            ("find", vec!["--service", numbered::SERVICE]),
            ("find", vec!["--name=nothing has this name"]),
            ("services", vec![]),
            ("operations", vec![]),
            ("remote-services", vec![]),
            ("attributes", vec![]),
            ("trace", vec![trace.as_str()]),
        ] {
            let flags = [flags.as_slice(), &["--explain"]].concat();
            let said = ground.json(command, &flags);
            let lines: Vec<&Value> = said.iter().filter_map(|line| line.get("explain")).collect();
            let [explain] = lines.as_slice() else { panic!("{command}: {} explanations", lines.len()) };
            for unit in ["parts", "blocks", "pages", "bytes"] {
                shaped(explain, &[(unit, "object")]);
                shaped(&explain[unit], &[("considered", "integer"), ("pruned", "integer"), ("read", "integer")]);
            }
            shaped(explain, &[("by", "object")]);
            if command == "find" {
                for unit in ["parts", "blocks", "pages"] {
                    let count = |name: &str| explain[unit][name].as_u64().unwrap_or(0);
                    let left = count("considered") - count("pruned");
                    let seen = count("read") + count("skipped");
                    assert!(seen <= left, "{unit} read that were not considered, or were pruned: {explain}");
                }
            }
        }
    }
}

#[test]
fn exit_codes_tell_how_it_ended() {
    let ground = Ground::in_log();
    let trace = ground.spans[0].trace_id.to_string();
    let cases: [(i32, &[&str], &[&str]); 14] = [
        (0, &["find"], &["--service=nobody"]),
        (0, &["trace"], &[&trace]),
        (0, &["trace"], &[&trace.to_uppercase(), "--lenient"]),
        (2, &["find"], &["--frobnicate"]),
        (2, &["find"], &["--min-duration=5"]),
        (2, &["find"], &["--since=yesterday"]),
        (2, &["find"], &["--tag=a=~("]),
        (2, &["find"], &["--page-token=nonsense"]),
        (2, &["find"], &["--kind=sideways"]),
        (2, &["trace"], &["xyz"]),
        (2, &["trace"], &["0"]),
        (2, &["trace"], &[&"1".repeat(33)]),
        (3, &["trace"], &["abcdef"]),
        (2, &["import"], &[]),
    ];
    for (code, command, flags) in cases {
        ground.run(command, flags).expect(code);
    }
    tailspan(["find"]).expect(2);
    tailspan([""; 0]).expect(2);
    tailspan(["frobnicate"]).expect(2);
    tailspan(["--help"]).expect(0);
    tailspan(["--version"]).expect(0);
    tailspan(["find", "/no/such/store"]).expect(1);
    ground.run(&["import"], &["/no/such/file"]).expect(1);
    ground.run(&["export"], &["--output=/no/such/folder/file"]).expect(1);
    let found = ground.run(&["trace"], &["abcdef"]);
    assert!(found.out.is_empty() && found.err.contains("abcdef"), "what is not there is said on standard error");
}

#[test]
fn a_flag_takes_its_value_either_way() {
    let ground = Ground::in_log();
    for (flag, value) in
        [("--service", numbered::SERVICE), ("--limit", "3"), ("--order", "slowest"), ("--since", "-1h")]
    {
        let apart = ground.json("find", &[flag, value]);
        assert_eq!(apart, ground.json("find", &[&format!("{flag}={value}")]), "{flag}");
    }
}

#[test]
fn a_trace_is_shown_as_a_tree_or_in_either_format() {
    for ground in Ground::each_way() {
        let id = ground.spans[0].trace_id.to_string();
        let tree = String::from_utf8(ground.run(&["trace"], &[&id]).expect(0).out).expect("text");
        ground.spans[..5].iter().for_each(|span| assert!(tree.contains(&span.name), "{tree}"));
        let otlp = ground.json("trace", &[&id]);
        assert_eq!((otlp.len(), otlp[0]["resourceSpans"].is_array()), (1, true), "one TracesData object");
        let zipkin = ground.json("trace", &[&id, "--format=zipkin-json"]);
        assert_eq!((zipkin.len(), zipkin[0].as_array().map(Vec::len)), (1, Some(5)), "one array");
        let file = ground.path("trace.json");
        let output = format!("--output={}", file.display());
        let quiet = ground.run(&["trace"], &[&id, "--format=otlp-json", &output]).expect(0);
        assert!(quiet.out.is_empty());
        let written: Value = serde_json::from_slice(&std::fs::read(file).expect("a file")).expect("JSON");
        assert_eq!(written, otlp[0]);
    }
}

#[test]
fn an_import_reads_plain_gzip_and_zstd_from_files_and_a_pipe() {
    let ground = Ground::in_log();
    let plain = lines(&ground.spans);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).expect("memory takes everything");
    let gzip = gzip.finish().expect("memory takes everything");
    let zstd = zstd::encode_all(plain.as_slice(), 1).expect("memory takes everything");
    for (name, bytes) in [("plain", &plain), ("gzip", &gzip), ("zstd", &zstd)] {
        for from_pipe in [false, true] {
            let store = ground.path(&format!("{name}-{from_pipe}"));
            let file = ground.path(name);
            std::fs::write(&file, bytes).expect("a file");
            let source = if from_pipe { Path::new("-") } else { &file };
            tailspan_reading(["import".as_ref(), store.as_os_str(), source.as_os_str()], bytes).expect(0);
            let store = Store::open_read_only(&store).expect("a store");
            let spans = store.spans().flat_map(|trace| trace.expect("readable"));
            let numbers: Result<BTreeSet<u64>, String> = spans.map(|span| numbered::number_of(&span)).collect();
            assert_eq!(numbers, Ok((0..SPANS).collect()), "{name}, pipe: {from_pipe}");
        }
    }
}

#[test]
fn what_is_exported_imports_to_an_equal_store() {
    for ground in Ground::each_way() {
        for format in ["otlp", "otlp-json"] {
            let file = ground.path(&format!("export-{format}"));
            let quiet = ground.run(&["export"], &["--format", format, "--output", file.to_str().expect("UTF-8")]);
            assert!(quiet.expect(0).out.is_empty());
            let shown = ground.run(&["export"], &["--format", format]).expect(0).out;
            assert!(shown == std::fs::read(&file).expect("a file"), "the file holds what standard output shows");
            let copy = ground.path(&format!("copy-{format}"));
            tailspan(["import".as_ref(), copy.as_os_str(), file.as_os_str()]).expect(0);
            assert!(spans_of(&copy) == spans_of(&ground.store()), "{format}");
        }
    }
}

#[test]
fn zipkin_spans_come_back_as_they_were() {
    let ground = Ground::empty();
    let store = ground.store();
    let spans: Vec<Value> = (1..60)
        .map(|number| {
            json!({ "traceId": format!("{:032x}", number / 6 + 1), "id": format!("{number:016x}"),
                "name": format!("call {}", number % 5), "kind": "CLIENT", "shared": number % 7 == 0,
                "timestamp": 1_760_000_000_000_000_u64 + number, "duration": number,
                "localEndpoint": { "serviceName": "front", "ipv4": "10.0.0.1", "port": 80 },
                "remoteEndpoint": { "serviceName": format!("back-{}", number % 3), "ipv6": "2001:db8::1" },
                "annotations": [{ "timestamp": 1_760_000_000_000_000_u64, "value": "ws" }],
                "tags": { "number": number.to_string(), "error": "" } })
        })
        .collect();
    let input = json!(spans).to_string();
    tailspan_reading(["import".as_ref(), store.as_os_str(), "-".as_ref()], input.as_bytes()).expect(0);
    for sealed in [false, true] {
        let exported = ground.run(&["export"], &["--format=zipkin-json"]).expect(0).out;
        let copy = ground.path(&format!("copy-{sealed}"));
        tailspan_reading(["import".as_ref(), copy.as_os_str(), "-".as_ref()], &exported).expect(0);
        assert!(spans_of(&copy) == spans_of(&store), "sealed: {sealed}");
        assert_eq!(spans_of(&copy).len(), spans.len());
        ground.run(&["seal"], &[]).expect(0);
    }
}

#[test]
fn a_batch_answers_line_by_line_and_survives_bad_questions() {
    let ground = Ground::in_log();
    let trace = ground.spans[0].trace_id.to_string();
    let questions = [
        json!(["services", "--json"]),
        json!(["find", "--limit=2", "--json"]),
        json!(["trace", "abcdef", "--json"]),
        json!(["find", "--frobnicate"]),
        json!(["seal"]),
        json!("no array"),
        json!(["trace", trace, "--json"]),
    ];
    let input: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let said = tailspan_reading(["batch".as_ref(), ground.store().as_os_str()], input.as_bytes()).expect(0).json();
    let done: Vec<&Value> = said.iter().filter(|line| line.get("done").is_some()).collect();
    let types = [("done", "integer"), ("exit", "integer"), ("rows", "integer"), ("micros", "integer")];
    for (number, line) in (1..).zip(&done) {
        shaped(line, &types);
        shaped(line, &[("cpuMicros", "integer")]);
        assert_eq!(line["done"], number);
        assert_eq!(line["exit"] == 0, line.get("error").is_none(), "{line}");
    }
    let ended: Vec<(u64, u64)> = done.iter().map(|line| (number(&line["exit"]), number(&line["rows"]))).collect();
    assert_eq!(ended, [(0, 3), (0, 2), (3, 0), (2, 0), (2, 0), (2, 0), (0, 1)]);
    let services = ground.json("services", &[]);
    assert_eq!(said[..3], services[..], "the lines of the command itself");
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

#[test]
fn a_batch_answers_before_it_is_asked_the_next_question() {
    let ground = Ground::in_log();
    let mut command = binary(["batch".as_ref(), ground.store().as_os_str()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    for question in 1..=3 {
        stdin.write_all(b"[\"stats\",\"--json\"]\n").expect("the batch listens");
        let mut line = String::new();
        while !line.contains("\"done\"") {
            line.clear();
            assert!(std::io::BufRead::read_line(&mut stdout, &mut line).expect("the batch answers") > 0);
        }
        assert!(line.contains(&format!("\"done\":{question}")), "{line}");
    }
    drop(stdin);
    assert!(child.wait().expect("the batch ends").success());
}

#[test]
fn a_reader_that_leaves_ends_an_export_quietly() {
    let ground = Ground::empty();
    let spans: Vec<Span> = (0..4_000).map(numbered::span).collect();
    let store = ground.store();
    tailspan_reading(["import".as_ref(), store.as_os_str(), "-".as_ref()], &lines(&spans)).expect(0);
    for words in [&["export"][..], &["find", "--limit=0", "--json"], &["attributes", "note"]] {
        let (command, flags) = words.split_first().expect("a command");
        let words = [command.as_ref(), store.as_os_str()].into_iter().chain(flags.iter().map(AsRef::as_ref));
        let mut child = binary(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut stdout = child.stdout.take().expect("a pipe");
        stdout.read_exact(&mut [0; 100]).expect("it begins");
        drop(stdout);
        let ended = child.wait_with_output().expect("it ends");
        assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""), "{command}");
    }
}

#[test]
fn queries_are_answered_while_another_process_imports() {
    let ground = Ground::in_log();
    let mut command = binary(["import".as_ref(), ground.store().as_os_str(), "-".as_ref(), "--json".as_ref()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let late: Vec<Span> = (SPANS..SPANS + 70).map(numbered::span).collect();
    stdin.write_all(&lines(&late)).expect("the import listens");
    // A group is acknowledged when the input pauses.
    let mut line = String::new();
    while !line.contains(":70") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut stdout, &mut line).expect("an acknowledgement") > 0);
    }
    assert_eq!(ground.json("stats", &[])[0]["spans"], SPANS + 70, "what was acknowledged is there for others");
    assert_eq!(found(ground.json("find", &["--limit=0"])).0.len() as u64, (SPANS + 70) / 5);
    let locked = ground.run(&["seal"], &[]).expect(1);
    assert!(locked.err.contains(&child.id().to_string()), "{}", locked.err);
    drop(stdin);
    std::io::copy(&mut stdout, &mut std::io::sink()).expect("the rest is read");
    assert!(child.wait().expect("the import ends").success());
}

#[test]
fn the_demo_shows_its_tour_and_leaves_nothing_behind() {
    let ground = Ground::empty();
    let temporary = ground.path("tmp");
    std::fs::create_dir(&temporary).expect("a folder");
    let ran = binary(["demo"]).env("TMPDIR", &temporary).output().expect("the binary starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let shown = String::from_utf8(ran.stdout).expect("text");
    for command in ["services", "operations", "remote-services", "attributes", "find", "trace", "seal", "stats"] {
        assert!(shown.contains(&format!("$ tailspan {command} ")), "{command} is part of the tour");
    }
    assert_eq!(std::fs::read_dir(&temporary).expect("the folder").count(), 0);
    let kept = ground.path("kept");
    tailspan(["demo".as_ref(), "--keep".as_ref(), kept.as_os_str()]).expect(0);
    let services = tailspan(["services".as_ref(), kept.as_os_str(), "--json".as_ref()]).expect(0).json();
    assert!(services.len() > 5, "{services:?}");
}
