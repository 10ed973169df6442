//! `pairs` and `wait` on the command line: the shape of every line, expressions without braces, what is refused.

#[path = "common/command.rs"]
mod command;

use std::path::PathBuf;

use serde_json::{Value, json};

use command::{Ran, tailspan, tailspan_reading};

const BEGIN_MICROS: u64 = 1_767_225_600_000_000;

/// Orders that are charged and shipped, and their messages.
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
            tailspan_reading(words, Value::from(spans()).to_string().as_bytes()).expect(0);
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

    /// Key, traces of a and traces of b.
    #[track_caller]
    fn pairs(&self, show: &str, flags: &[&str]) -> Vec<Value> {
        let own = ["--key=order.id", "--a=name = \"charge\"", "--b={ name = \"ship\" }", "--show", show];
        let traces = |side: &Value| -> Vec<u64> {
            let trace = |span: &Value| u64::from_str_radix(span["traceId"].as_str().expect("an id"), 16).expect("hex");
            side.as_array().expect("a list").iter().map(trace).collect()
        };
        let lines = self.json("pairs", &[&own, flags].concat());
        lines.iter().map(|line| json!([line["key"], traces(&line["a"]), traces(&line["b"])])).collect()
    }
}

/// A span that starts and ends so many milliseconds after the begin, each in a trace of its own unless told.
fn span(trace: u64, id: u64, name: &str, order: &str, millis: (u64, u64)) -> Value {
    json!({
        "traceId": format!("{trace:032x}"), "id": format!("{id:016x}"), "name": name,
        "timestamp": BEGIN_MICROS + millis.0 * 1000, "duration": (millis.1 - millis.0) * 1000,
        "localEndpoint": { "serviceName": "shop" }, "tags": { "order.id": order },
    })
}

fn message(trace: u64, id: u64, parent: u64, kind: &str, millis: (u64, u64), tags: Value) -> Value {
    let mut span = span(trace, id, "message", "none", millis);
    (span["kind"], span["tags"]) = (json!(kind), tags);
    if parent != 0 {
        span["parentId"] = json!(format!("{parent:016x}"));
    }
    span
}

fn spans() -> Vec<Value> {
    vec![
        span(1, 1, "charge", "after", (0, 10)),
        span(2, 1, "ship", "after", (20, 30)),
        span(3, 1, "charge", "twice", (0, 10)),
        span(4, 1, "charge", "twice", (40, 50)),
        span(5, 1, "ship", "twice", (60, 70)),
        span(6, 1, "charge", "paid", (5_000, 5_010)),
        span(7, 1, "ship", "stolen", (0, 10)),
        span(8, 1, "charge", "hasty", (100, 200)),
        span(9, 1, "ship", "hasty", (90, 120)),
        message(20, 1, 0, "PRODUCER", (0, 10), json!({})),
        message(20, 2, 1, "CONSUMER", (110, 120), json!({ "messaging.destination.name": "orders", "error": "" })),
        message(20, 3, 1, "CONSUMER", (5, 120), json!({ "messaging.kafka.consumer.group": "g" })),
        message(21, 2, 1, "CONSUMER", (5, 120), json!({})),
    ]
}

#[test]
fn keys_are_shown_with_the_spans_of_both_sides() {
    for ground in Ground::each_way() {
        let missing = [json!(["paid", [6], []]), json!(["stolen", [], [7]])];
        assert_eq!(ground.pairs("missing", &[]), missing);
        let slow = ground.pairs("missing", &["--within=30ms"]);
        assert_eq!(slow, [missing[0].clone(), missing[1].clone(), json!(["twice", [3, 4], [5]])]);
        assert_eq!(ground.pairs("missing", &["--since=2026-01-01T00:00:01Z"]), [missing[0].clone()]);
        assert_eq!(ground.pairs("missing", &["--limit=1"]), [missing[0].clone()]);
        assert_eq!(ground.pairs("duplicate", &[]), [json!(["twice", [3, 4], [5]])]);
        assert_eq!(ground.pairs("before", &[]), [json!(["hasty", [8], [9]])]);
        assert_eq!(ground.pairs("after", &[]), [json!(["after", [1], [2]]), json!(["twice", [3, 4], [5]])]);
        assert_eq!(ground.pairs("overlap", &[]), [json!(["hasty", [8], [9]])]);
        let line = &ground.json(
            "pairs",
            &["--key=order.id", "--a={ } && { name = \"charge\" }", "--b=(name = \"x\" || true)", "--show=duplicate"],
        );
        assert_eq!(line[0]["a"][0]["spanId"], "0000000000000001");
        let table = ground.run("pairs", &["--key=order.id", "--a=true", "--b=false", "--show=duplicate"]).expect(0);
        assert!(String::from_utf8_lossy(&table.out).contains("twice"));
    }
}

#[test]
fn waits_are_told_by_destination_and_group() {
    for ground in Ground::each_way() {
        let told = |by: &str| -> Vec<Value> {
            let line = |line: &Value| {
                json!([
                    line["group"],
                    line["count"],
                    line["errors"],
                    line["early"],
                    line["maxNano"],
                    line["quantiles"][0]["spanId"]
                ])
            };
            ground.json("wait", &[by, "--quantiles=1"]).iter().map(line).collect()
        };
        assert_eq!(
            told("--by=destination"),
            [
                json!([{ "destination": null }, 1, 0, 1, 0, "0000000000000003"]),
                json!([{ "destination": "orders" }, 1, 1, 0, 100_000_000, "0000000000000002"])
            ]
        );
        assert_eq!(told("--by=group")[1], json!([{ "group": "g" }, 1, 0, 1, 0, "0000000000000003"]));
        let all = ground.json("wait", &["--quantiles=0.5,1"]);
        assert_eq!((all.len(), &all[0]["count"], &all[0]["durationCount"]), (1, &json!(2), &json!(2)));
        assert_eq!(ground.json("wait", &["--error"])[0]["count"], 1);
        assert_eq!(ground.json("wait", &["--kind=server"]), [Value::Null; 0]);
    }
}

#[test]
fn a_batch_answers_both() {
    for ground in Ground::each_way() {
        let store = ground.store();
        let questions = concat!(
            r#"["pairs","--key=order.id","--a=name=\"charge\"","--b=name=\"ship\"","--show=missing","--json"]"#,
            "\n",
            r#"["wait","--by=destination","--json"]"#,
            "\n"
        );
        let lines = tailspan_reading(["batch".as_ref(), store.as_os_str()], questions.as_bytes()).expect(0).json();
        let rows: Vec<&Value> = lines.iter().filter(|line| line["done"].is_u64()).map(|line| &line["rows"]).collect();
        assert_eq!(rows, [2, 2]);
    }
}

#[test]
fn what_cannot_be_asked_is_a_usage_error() {
    let [ground, _] = Ground::each_way();
    let pairs = |a: &str, show: &str| {
        let (a, show) = (format!("--a={a}"), format!("--show={show}"));
        ground.run("pairs", &["--key=k", &a, "--b=true", &show])
    };
    assert!(pairs("{ name = ", "missing").expect(2).err.contains("--a"));
    pairs("name", "later").expect(2);
    ground.run("pairs", &["--key=k", "--a=true", "--b=true"]).expect(2);
    ground.run("wait", &["--by=topic"]).expect(2);
}
