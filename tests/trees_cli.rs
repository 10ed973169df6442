//! Critical paths, fan-out, root causes and concurrency on the command line, on traces small enough to be judged by
//! eye.
//!
//! ```text
//! trace 1   web   |==========================|            0 to 100 ms
//!           a        |=======|                            10 to 40: overlaps b, which ends later
//!           b             |=======|                       30 to 60
//!           c                        |===============|    70 to 130: outlives web
//!           mail                                       |=|  150 to 160: web had ended
//! trace 2   page > sql x 4, one after another, the second failed; bank below the last failed, too
//! ```

#[path = "common/command.rs"]
mod command;

use std::path::PathBuf;

use serde_json::{Value, json};

use command::{Ran, tailspan, tailspan_reading};

/// When the traces begin, in milliseconds.
const BEGIN: u64 = 1_767_225_600_000;

/// A store of the two traces.
struct Ground {
    folder: tempfile::TempDir,
}

impl Ground {
    /// A store in the log, and the same sealed.
    fn each_way() -> [Self; 2] {
        let grounds = [(); 2].map(|()| {
            let ground = Self { folder: tempfile::tempdir().expect("a folder for temporary files") };
            let store = ground.store();
            let words = ["import".as_ref(), store.as_os_str(), "-".as_ref()];
            tailspan_reading(words, spans().to_string().as_bytes()).expect(0);
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
}

fn spans() -> Value {
    let failed = |mut span: Value, why: &str| {
        span["tags"] = json!({ "error": why });
        span
    };
    json!([
        span(1, 1, 0, "web", 0, 100),
        span(1, 2, 1, "a", 10, 30),
        span(1, 3, 1, "b", 30, 30),
        span(1, 4, 1, "c", 70, 60),
        span(1, 5, 1, "mail", 150, 10),
        failed(span(2, 1, 0, "page", 1_000, 100), "500"),
        span(2, 2, 1, "sql", 1_010, 10),
        failed(span(2, 3, 1, "sql", 1_020, 10), "timeout"),
        span(2, 4, 1, "sql", 1_030, 10),
        failed(span(2, 5, 1, "sql", 1_050, 20), ""),
        failed(span(2, 6, 5, "bank", 1_055, 5), "declined"),
    ])
}

/// A Zipkin span of service and name, from the begin on in milliseconds.
fn span(trace: u64, id: u64, parent: u64, service: &str, from: u64, millis: u64) -> Value {
    let mut span = json!({
        "traceId": format!("{trace:032x}"), "id": format!("{id:016x}"), "name": service, "kind": "SERVER",
        "timestamp": (BEGIN + from) * 1_000, "duration": millis * 1_000, "localEndpoint": { "serviceName": service },
    });
    if parent != 0 {
        span["parentId"] = json!(format!("{parent:016x}"));
    }
    span
}

fn nanos(millis: u64) -> u64 {
    (BEGIN + millis) * 1_000_000
}

/// Some fields of a line.
fn fields(line: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| line[name].clone()).collect()
}

#[test]
fn the_pieces_of_one_trace_tile_its_root_and_what_came_late_stands_apart() {
    for ground in Ground::each_way() {
        let lines = ground.json("critical-path", &["1"]);
        let piece = |id: u64, service: &str, from: u64, to: u64, share: f64| {
            let times = (nanos(from), nanos(to));
            json!([format!("{id:016x}"), service, service, times.0, times.1, share])
        };
        let names = ["spanId", "service", "name", "startUnixNano", "endUnixNano", "share"];
        let got: Vec<Value> = lines.iter().map(|line| fields(line, &names)).collect();
        let path = [
            piece(1, "web", 0, 30, 0.3),
            piece(3, "b", 30, 60, 0.3),
            piece(1, "web", 60, 70, 0.1),
            piece(4, "c", 70, 100, 0.3),
        ];
        assert_eq!(got, [&path[..], &[piece(5, "mail", 150, 160, 0.0)]].concat());
        assert_eq!(lines[4]["late"], true);
        assert!(lines[..4].iter().all(|line| line.get("late").is_none()));
        let shown = String::from_utf8(ground.run("critical-path", &["1"]).expect(0).out).expect("text");
        assert!(shown.contains("critical path of 100 ms") && shown.contains("30.0 %"), "{shown}");
        assert!(shown.contains("after their parent had ended"), "{shown}");
    }
}

#[test]
fn paths_of_many_traces_are_summed_up_by_service_and_operation() {
    for ground in Ground::each_way() {
        let names = ["service", "selfNano", "share", "traceCount", "selfTimeNano"];
        let told = |flags: &[&str]| {
            let lines = ground.json("critical-path", flags);
            lines.iter().map(|line| fields(line, &names)).collect::<Vec<Value>>()
        };
        let wanted = [
            json!(["page", 50_000_000, 0.25, 1, 50_000_000]),
            json!(["sql", 45_000_000, 0.225, 1, 45_000_000]),
            json!(["web", 40_000_000, 0.2, 1, 20_000_000]),
            json!(["b", 30_000_000, 0.15, 1, 30_000_000]),
            json!(["c", 30_000_000, 0.15, 1, 60_000_000]),
            json!(["bank", 5_000_000, 0.025, 1, 5_000_000]),
        ];
        assert_eq!(told(&[]), wanted);
        assert_eq!(told(&["--top=2"]), wanted[..2]);
        // The trace of a span that matches counts as a whole.
        let of_bank = told(&["--service=bank"]);
        assert_eq!(of_bank.iter().map(|line| line[0].clone()).collect::<Vec<_>>(), ["page", "sql", "bank"]);
        assert_eq!(told(&["--service=nobody"]), [Value::Null; 0]);
    }
}

#[test]
fn a_trace_that_is_not_there_and_a_trace_with_filters_are_told_apart() {
    let [ground, _] = Ground::each_way();
    ground.run("critical-path", &["77"]).expect(3);
    ground.run("critical-path", &["not-an-id"]).expect(2);
    let ran = ground.run("critical-path", &["1", "--service=web"]).expect(2);
    assert!(ran.err.contains("give one of them"), "{}", ran.err);
}

#[test]
fn fanout_groups_like_children_and_tells_retries() {
    for ground in Ground::each_way() {
        let lines = ground.json("fanout", &["--min=2"]);
        assert_eq!(
            lines,
            [json!({
                "traceId": format!("{:032x}", 2), "parentSpanId": format!("{:016x}", 1), "service": "page",
                "name": "page", "childService": "sql", "childName": "sql", "count": 4, "parallel": false,
                "errors": 2, "retries": 1, "busyNano": 50_000_000,
            })]
        );
        assert_eq!(ground.json("fanout", &["--min=2", "--service=web"]), [Value::Null; 0]);
        let ones = ground.json("fanout", &["--min=1", "--service=web"]);
        assert_eq!(ones.iter().map(|line| line["childName"].clone()).collect::<Vec<_>>(), ["a", "b", "c", "mail"]);
        ground.run("fanout", &["--min=0"]).expect(2);
    }
}

#[test]
fn root_causes_are_errors_below_which_nothing_failed() {
    for ground in Ground::each_way() {
        let lines = ground.json("root-cause", &[]);
        let cause = |id: u64, service: &str, from: u64, millis: u64, message: &str| {
            json!({
                "traceId": format!("{:032x}", 2), "spanId": format!("{id:016x}"), "service": service, "name": service,
                "startUnixNano": nanos(from), "durationNano": millis * 1_000_000, "error": true,
                "statusMessage": message,
            })
        };
        let summary = json!({ "summary": { "complete": true, "reason": null, "nextPageToken": null } });
        let wanted = [cause(3, "sql", 1_020, 10, "timeout"), cause(6, "bank", 1_055, 5, "declined"), summary];
        assert_eq!(lines, wanted);
        let of_sql = ground.json("root-cause", &["--service=sql", "--limit=1"]);
        assert_eq!(of_sql, [wanted[0].clone(), wanted[2].clone()]);
    }
}

#[test]
fn concurrency_tells_the_most_and_the_mean_of_each_step() {
    for ground in Ground::each_way() {
        let step = |from: u64, max: u64, mean: f64| json!({ "startUnixNano": nanos(from), "max": max, "mean": mean });
        let lines = ground.json("concurrency", &["--max-trace-duration=160ms", "--step=100ms", "--until=1767225601"]);
        assert_eq!(lines, [step(0, 3, 1.9), step(100, 1, 0.4)]);
        let sql = ground.json("concurrency", &["--service=sql"]);
        assert_eq!(sql, [step(1_000, 1, 0.05)]);
    }
}

#[test]
fn batch_answers_them_too() {
    let [_, ground] = Ground::each_way();
    let store = ground.store();
    let questions = r#"["critical-path","2","--json"]
["critical-path","--json"]
["fanout","--min=4","--json"]
["root-cause","--json"]
["concurrency","--json","--explain"]
"#;
    let words = ["batch".as_ref(), store.as_os_str()];
    let lines = tailspan_reading(words, questions.as_bytes()).expect(0).json();
    let done: Vec<Value> =
        lines.iter().filter(|l| l.get("done").is_some()).map(|l| fields(l, &["exit", "rows"])).collect();
    assert_eq!(done, [json!([0, 9]), json!([0, 6]), json!([0, 1]), json!([0, 2]), json!([0, 2])]);
    assert!(lines.iter().any(|line| line["explain"]["pages"]["read"].as_u64() > Some(0)));
}
