//! `links` as a contract: the shape of its lines, on Zipkin's spans and on OTLP, in the log and sealed.

#[path = "common/command.rs"]
mod command;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use command::{Ran, tailspan, tailspan_reading};

/// The web calls the app, which reads from a database and tells a broker. Client and server share an id.
const ZIPKIN: &str = r#"[
  {"traceId":"00000000000000a1","id":"1","kind":"SERVER","timestamp":1700000000000000,"duration":900,"localEndpoint":{"serviceName":"web"}},
  {"traceId":"00000000000000a1","parentId":"1","id":"2","kind":"CLIENT","timestamp":1700000000000100,"duration":700,"localEndpoint":{"serviceName":"web"},"tags":{"error":""}},
  {"traceId":"4bf92f3577b34da600000000000000a1","parentId":"1","id":"2","kind":"SERVER","shared":true,"timestamp":1700000000000200,"duration":500,"localEndpoint":{"serviceName":"app"}},
  {"traceId":"00000000000000a1","parentId":"2","id":"3","kind":"CLIENT","timestamp":1700000000000300,"duration":100,"localEndpoint":{"serviceName":"app"},"remoteEndpoint":{"serviceName":"db"},"tags":{"error":"lost"}},
  {"traceId":"00000000000000a1","parentId":"2","id":"4","kind":"PRODUCER","timestamp":1700000000000400,"localEndpoint":{"serviceName":"app"},"remoteEndpoint":{"serviceName":"kafka"}}
]"#;

/// A batch job that carries a link to the first span above, and asks a third party through internal spans.
const OTLP: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"Batch"}}]},"scopeSpans":[{"spans":[
  {"traceId":"000000000000000000000000000000b2","spanId":"0000000000000001","name":"job","kind":1,"startTimeUnixNano":"1700000001000000000","endTimeUnixNano":"1700000001000000040",
   "links":[{"traceId":"000000000000000000000000000000a1","spanId":"0000000000000001"},{"traceId":"000000000000000000000000000000a1","spanId":"0000000000000009"}]},
  {"traceId":"000000000000000000000000000000b2","spanId":"0000000000000002","parentSpanId":"0000000000000001","name":"call","kind":3,"startTimeUnixNano":"1700000001000000010","endTimeUnixNano":"1700000001000000030",
   "attributes":[{"key":"server.address","value":{"stringValue":"Bank"}}]},
  {"traceId":"000000000000000000000000000000b2","spanId":"0000000000000003","parentSpanId":"0000000000000002","name":"retry","kind":1,"startTimeUnixNano":"1700000001000000011","endTimeUnixNano":"1700000001000000020"}
]}]}]}"#;

struct Ground(tempfile::TempDir);

impl Ground {
    /// A store in the log, and the same sealed.
    fn each_way() -> [Self; 2] {
        let grounds = [(); 2].map(|()| {
            let ground = Self(tempfile::tempdir().expect("a folder for temporary files"));
            let import = |text: &str, format: &str| {
                let store = ground.store();
                let words = ["import".as_ref(), store.as_os_str(), "-".as_ref(), format.as_ref()];
                tailspan_reading(words, text.as_bytes()).expect(0)
            };
            import(ZIPKIN, "--format=zipkin-json");
            import(&OTLP.replace('\n', ""), "--format=otlp-json");
            ground
        });
        tailspan(["seal".as_ref(), grounds[1].store().as_os_str()]).expect(0);
        grounds
    }

    fn store(&self) -> PathBuf {
        Path::join(self.0.path(), "store")
    }

    fn run(&self, flags: &[&str]) -> Ran {
        let store = self.store();
        tailspan(["links".as_ref(), store.as_os_str()].into_iter().chain(flags.iter().map(AsRef::as_ref)))
    }
}

fn line(edge: [&str; 3], counts: [u64; 3], found: Option<(u64, &str, &str)>) -> Value {
    let quantiles: Vec<Value> = found
        .iter()
        .map(|(value, trace, span)| json!({"q": 0.5, "valueNano": value, "traceId": trace, "spanId": span}))
        .collect();
    json!({
        "parent": edge[0], "child": edge[1], "kind": edge[2], "callCount": counts[0], "errorCount": counts[1],
        "durationCount": counts[2], "quantiles": quantiles,
    })
}

fn linked() -> [Value; 5] {
    let (short, long) = ("000000000000000000000000000000a1", "4bf92f3577b34da600000000000000a1");
    let (batch, id) = ("000000000000000000000000000000b2", |number: u64| format!("{number:016x}"));
    [
        line(["Batch", "Bank", "call"], [1, 0, 1], Some((20, batch, &id(2)))),
        line(["app", "db", "call"], [1, 1, 1], Some((100_000, short, &id(3)))),
        line(["app", "kafka", "messaging"], [1, 0, 0], None),
        line(["web", "Batch", "link"], [1, 0, 1], Some((40, batch, &id(1)))),
        line(["web", "app", "call"], [1, 0, 1], Some((500_000, long, &id(2)))),
    ]
}

#[test]
fn links_tell_who_calls_whom() {
    for ground in Ground::each_way() {
        assert_eq!(ground.run(&["--json", "--quantiles=0.5"]).expect(0).json(), linked());
        let shown = String::from_utf8(ground.run(&["--quantiles=0.5"]).expect(0).out).unwrap();
        assert_eq!(shown.lines().count(), 6, "{shown}");
        assert!(shown.contains("messaging"), "{shown}");
    }
}

#[test]
fn a_window_takes_the_links_of_spans_that_start_inside() {
    let all = linked();
    for ground in Ground::each_way() {
        let json = |flags: &[&str]| ground.run(&[&["--json", "--quantiles=0.5"], flags].concat()).expect(0).json();
        assert_eq!(json(&["--since=1700000001"]), [all[0].clone(), all[3].clone()]);
        assert_eq!(json(&["--until", "1700000000000300000"]), [all[4].clone()]);
        assert_eq!(json(&["--since=1700000002"]), [] as [Value; 0]);
        assert_eq!(ground.run(&["--since=1700000002"]).expect(0).out, b"no services are linked\n");
    }
}

#[test]
fn batch_and_explain_know_links() {
    for ground in Ground::each_way() {
        let explained = ground.run(&["--json", "--explain"]).expect(0).json();
        assert!(explained[5]["explain"]["parts"].is_object(), "{explained:?}");
        let store = ground.store();
        let asked = tailspan_reading(["batch".as_ref(), store.as_os_str()], br#"["links","--json","--quantiles=0.5"]"#);
        let got = asked.expect(0).json();
        assert_eq!((&got[..5], &got[5]["exit"], &got[5]["rows"]), (&linked()[..], &json!(0), &json!(5)));
        ground.run(&["--quantiles=2"]).expect(2);
    }
}
