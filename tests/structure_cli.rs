//! `--where` on the command line: every command that filters takes it, what is open is marked, errors say where.

#[path = "common/command.rs"]
mod command;

use std::path::PathBuf;

use serde_json::{Value, json};

use command::{Ran, tailspan, tailspan_reading};

/// One trace with all its spans, and one whose second span is missing: `checkout > pay > bank`.
struct Ground {
    folder: tempfile::TempDir,
}

impl Ground {
    /// A store in the log, and the same sealed.
    fn each_way() -> [Self; 2] {
        let whole = [span(1, 1, 0, "checkout", 300), span(1, 2, 1, "pay", 200), span(1, 3, 2, "bank", 100)];
        let broken = [span(2, 1, 0, "checkout", 300), span(2, 3, 2, "bank", 90)];
        Self::of(&[&whole[..], &broken].concat())
    }

    /// The same of other spans.
    fn of(spans: &[Value]) -> [Self; 2] {
        let grounds = [(); 2].map(|()| {
            let ground = Self { folder: tempfile::tempdir().expect("a folder for temporary files") };
            let store = ground.store();
            let words = ["import".as_ref(), store.as_os_str(), "-".as_ref()];
            tailspan_reading(words, Value::from(spans).to_string().as_bytes()).expect(0);
            ground
        });
        grounds[1].run("seal", &[]).expect(0);
        grounds
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn run(&self, command: &str, flags: &[&str]) -> Ran {
        let store = self.store();
        let words = [command.as_ref(), store.as_os_str()];
        tailspan(words.into_iter().chain(flags.iter().map(AsRef::as_ref)))
    }

    #[track_caller]
    fn json(&self, command: &str, flags: &[&str]) -> Vec<Value> {
        self.run(command, &[&["--json"], flags].concat()).expect(0).json()
    }

    /// Trace, matching spans and certainty of every line of a search.
    #[track_caller]
    fn find(&self, expression: &str, flags: &[&str]) -> Vec<Value> {
        let mut lines = self.json("find", &[&["--where", expression], flags].concat());
        let summary = lines.pop().expect("a summary");
        assert_eq!(summary["summary"]["complete"], true);
        let told = |line: &Value| json!([line["traceId"], line["matchedSpanIds"], line["match"]]);
        lines.iter().map(told).collect()
    }
}

/// A Zipkin span of service and name, this many milliseconds long; the smaller trace is the newer.
fn span(trace: u64, id: u64, parent: u64, service: &str, millis: u64) -> Value {
    let mut span = json!({
        "traceId": format!("{trace:032x}"), "id": format!("{id:016x}"), "name": service, "kind": "SERVER",
        "timestamp": 1_767_225_600_000_000_u64 - trace * 1_000_000 + id, "duration": millis * 1000,
        "localEndpoint": { "serviceName": service },
    });
    if parent != 0 {
        span["parentId"] = json!(format!("{parent:016x}"));
    }
    span
}

fn line(trace: u64, spans: &[u64], certainty: &str) -> Value {
    // As 16 digits are written with 32 where the upper half is 0.
    let ids: Vec<String> = spans.iter().map(|id| format!("{id:016x}")).collect();
    json!([format!("{trace:032x}"), ids, certainty])
}

#[test]
fn only_certain_matches_are_found_unless_unknown_ones_are_asked_for() {
    for ground in Ground::each_way() {
        let below = r#"{ resource.service.name = "checkout" } >> { name = "bank" }"#;
        assert_eq!(ground.find(below, &[]), [line(1, &[3], "certain")]);
        assert_eq!(ground.find(below, &["--include-unknown"]), [line(1, &[3], "certain"), line(2, &[3], "unknown")]);
        let not_below = r#"{ name = "checkout" } !>> { name = "bank" }"#;
        assert_eq!(ground.find(not_below, &[]), [Value::Null; 0]);
        assert_eq!(ground.find(not_below, &["--include-unknown"]), [line(2, &[3], "unknown")]);
        assert_eq!(ground.find(r#"{ name = "pay" } < { kind = server }"#, &[]), [line(1, &[1], "certain")]);
        assert_eq!(ground.find("{ } > { } | count() >= 2", &[]), [line(1, &[2, 3], "certain")]);
        assert_eq!(ground.find("{ nestedSetParent < 0 } && { duration < 95ms }", &[]), [line(2, &[1, 3], "certain")]);
        assert_eq!(ground.find("{ trace:id =~ \".*1\" && span:childCount = 0 }", &[]), [line(1, &[3], "certain")]);
    }
}

#[test]
fn spans_that_name_one_missing_parent_are_siblings() {
    for ground in Ground::of(&[
        span(1, 1, 0, "web", 9),
        span(1, 3, 7, "pay", 3),
        span(1, 4, 7, "bank", 2),
        span(1, 5, 8, "mail", 1),
    ]) {
        assert_eq!(ground.find("{ } ~ { }", &[]), [line(1, &[3, 4], "certain")]);
        assert_eq!(ground.find("{ name = \"bank\" } ~ { }", &[]), [line(1, &[3], "certain")]);
    }
}

#[test]
fn every_command_that_filters_takes_a_structural_condition() {
    for ground in Ground::each_way() {
        let flag = r#"--where={ name = "checkout" } >> { }"#;
        let latency = ground.json("latency", &[flag, "--by=service"]);
        let counts: Vec<Value> =
            latency.iter().map(|group| json!([group["group"]["service"], group["count"]])).collect();
        assert_eq!(counts, [json!(["bank", 1]), json!(["pay", 1])]);
        let slowest = ground.json("slowest", &[flag]);
        assert_eq!((slowest.len(), &slowest[0]["service"]), (3, &json!("pay")), "two spans and the summary");
        let total = |lines: &[Value]| lines.iter().filter_map(|line| line["count"].as_u64()).sum::<u64>();
        assert_eq!(total(&ground.json("heatmap", &[flag])), 2);
        assert_eq!(total(&ground.json("series", &[flag])), 2);
        let of_trace = ground.json("latency", &[flag, "--of=trace"]);
        assert_eq!((of_trace.len(), total(&of_trace)), (1, 1));
        let against = format!("'{flag}'");
        let compare = ground.json("compare", &["--name=bank", "--against", &against]);
        let quantiles = compare.last().expect("quantiles");
        assert_eq!(quantiles["quantiles"][0]["baselineNano"], 100_000_000);
    }
}

#[test]
fn other_filters_hold_for_the_same_span_and_the_window_for_it_alone() {
    for ground in Ground::each_way() {
        let below = r#"{ name = "checkout" } >> { }"#;
        assert_eq!(ground.find(below, &["--max-duration=150ms"]), [line(1, &[3], "certain")]);
        assert_eq!(ground.find(below, &["--name=checkout"]), [Value::Null; 0]);
        assert_eq!(ground.find(below, &["--name=checkout", "--scope=trace"]), [line(1, &[1, 2, 3], "certain")]);
        let since = (1_767_225_600_000_000_u64 - 1_000_000 + 3).to_string();
        assert_eq!(ground.find(below, &["--since", &since]), [line(1, &[3], "certain")]);
    }
}

#[test]
fn an_error_names_the_character_and_what_was_expected() {
    let [ground, _] = Ground::each_way();
    let ran = ground.run("find", &["--where", "{ name = } >> {}"]).expect(2);
    assert!(ran.err.contains("character 10: expected a number, a duration, a text in quotes"), "{}", ran.err);
    let ran = ground.run("latency", &["--where", "{ status > error }"]).expect(2);
    assert!(ran.err.contains("such values have no order"), "{}", ran.err);
}

#[test]
fn explain_tells_what_the_structure_left_out() {
    let [_, sealed] = Ground::each_way();
    let lines = sealed.json("find", &["--explain", r#"--where={ name = "nobody" } << { name = "none" }"#]);
    assert_eq!(lines[0]["explain"]["parts"]["pruned"], 1, "{}", lines[0]);
}
