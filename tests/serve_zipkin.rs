//! Zipkin's query API over HTTP: parameters, defaults, answers and the exact words of errors.
//!
//! Spans go in through the API too, so that what is tested is what a client of Zipkin sees.

#[path = "common/server.rs"]
mod server;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use server::{Answer, Pieces, Server, post, send};

struct Ground {
    server: Server,
    // Dropped after the server.
    folder: tempfile::TempDir,
}

impl Ground {
    fn serve(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let server = Server::start(&folder.path().join("store"), flags);
        Self { server, folder }
    }

    /// A server that holds these spans.
    #[track_caller]
    fn with(flags: &[&str], spans: &Value) -> Self {
        let ground = Self::serve(flags);
        ground.put(spans);
        ground
    }

    #[track_caller]
    fn put(&self, spans: &Value) {
        let headers = [("content-type", "application/json")];
        let answer = post(self.server.door("zipkin"), "/api/v2/spans", &headers, spans.to_string());
        assert_eq!((answer.status.as_u16(), answer.text()), (202, ""));
    }

    fn ask(&self, method: &str, path: &str) -> Answer {
        send(self.server.door("zipkin"), method, path, &[], Pieces::new([""]))
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path)
    }

    /// The answer to a good question.
    #[track_caller]
    fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    /// The trace ids a search finds, in order.
    #[track_caller]
    fn found(&self, parameters: &str) -> Vec<String> {
        let traces = self.json(&format!("/api/v2/traces?{parameters}"));
        let id = |trace: &Value| trace[0]["traceId"].as_str().expect("a trace has spans").to_owned();
        let mut ids: Vec<String> = traces.as_array().expect("a list").iter().map(id).collect();
        ids.sort();
        ids
    }

    #[track_caller]
    fn assert_answers(&self, path: &str, status: u16, body: &str) {
        let answer = self.get(path);
        assert_eq!((answer.status.as_u16(), answer.text()), (status, body), "{path}");
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

fn hex(number: u64) -> String {
    format!("{number:016x}")
}

/// A client span of frontend that calls backend.
fn client(trace: u64, id: u64, micros: u64, duration: u64) -> Value {
    json!({
        "traceId": hex(trace), "id": hex(id), "kind": "CLIENT", "name": "get", "timestamp": micros, "duration": duration,
        "localEndpoint": {"serviceName": "frontend"}, "remoteEndpoint": {"serviceName": "backend"},
        "annotations": [{"timestamp": micros, "value": "foo"}], "tags": {"http.path": "/api", "clnt/finagle": "6"},
    })
}

#[test]
fn one_trace_is_what_was_put_in() {
    let span = client(10, 1, 1_472_470_996_199_000, 207_000);
    let ground = Ground::with(&[], &json!([span]));
    let id = hex(10);
    assert_eq!(ground.json(&format!("/api/v2/trace/{id}")), json!([span]));
    assert_eq!(ground.json("/api/v2/trace/a"), json!([span]), "ids are padded");
    assert_eq!(ground.json(&format!("/api/v2/trace/{id}%20")), json!([span]), "ids are trimmed");
    assert_eq!(ground.json(&format!("/zipkin/api/v2/trace/{id}")), json!([span]));
    ground.assert_answers("/api/v2/trace/b", 404, "b not found");
    let malformed = "0e8b46e1-81b should be lower-hex encoded with no prefix";
    ground.assert_answers("/api/v2/trace/0e8b46e1-81b", 400, malformed);
    ground.assert_answers("/api/v2/trace/ABC", 400, "ABC should be lower-hex encoded with no prefix");
    ground.assert_answers("/api/v2/trace/0", 400, "traceId is all zeros");
    ground.assert_answers(&format!("/api/v2/trace/{}", "a".repeat(33)), 400, "traceId.length > 32");
}

#[test]
fn many_traces_are_asked_for_by_a_list_of_different_ids() {
    let (first, second) = (client(10, 1, 1_000_000, 5), client(11, 1, 2_000_000, 5));
    let ground = Ground::with(&[], &json!([first, second]));
    assert_eq!(ground.json("/api/v2/traceMany?traceIds=a,b"), json!([[first], [second]]));
    assert_eq!(ground.json("/api/v2/traceMany?traceIds=abcd,a"), json!([[first]]));
    ground.assert_answers("/api/v2/traceMany?traceIds=", 400, "traceIds parameter is empty");
    let single = "Use /api/v2/trace/{traceId} endpoint to retrieve a single trace";
    ground.assert_answers("/api/v2/traceMany?traceIds=a", 400, single);
    ground.assert_answers("/api/v2/traceMany?traceIds=a,000a", 400, "redundant traceId: 000a");
    let malformed = "0e8b46e1-81b should be lower-hex encoded with no prefix";
    ground.assert_answers("/api/v2/traceMany?traceIds=abcd,0e8b46e1-81b", 400, malformed);
}

#[test]
fn a_search_needs_no_parameters_and_looks_back_a_day() {
    let now = now_ms() * 1000;
    let (fresh, stale) = (client(10, 1, now - 1_000_000, 5), client(11, 1, now - 25 * 3_600_000_000, 5));
    let ground = Ground::with(&[], &json!([fresh, stale]));
    assert_eq!(ground.json("/api/v2/traces"), json!([[fresh]]));
    assert_eq!(ground.found("lookback=108000000"), [hex(10), hex(11)]);
    assert_eq!(ground.found("lookback=108000000&limit=1"), [hex(10)], "the nearest to the end");
}

#[test]
fn a_search_says_what_is_wrong_with_it() {
    let ground = Ground::serve(&[]);
    for (parameters, body) in [
        ("endTs=0", "endTs <= 0"),
        ("endTs=-1", "endTs <= 0"),
        ("lookback=0", "lookback <= 0"),
        ("limit=0", "limit <= 0"),
        ("minDuration=0", "minDuration <= 0"),
        ("minDuration=3&maxDuration=2", "maxDuration < minDuration"),
        ("maxDuration=2", "maxDuration is only valid with minDuration"),
        ("limit=ten", "parameter 'limit' is no whole number: ten"),
    ] {
        ground.assert_answers(&format!("/api/v2/traces?{parameters}"), 400, body);
    }
    ground.assert_answers("/api/v2/dependencies", 400, "mandatory parameter 'endTs' is missing");
    ground.assert_answers("/api/v2/dependencies?endTs=0", 400, "endTs <= 0");
    ground.assert_answers("/api/v2/dependencies?endTs=1&lookback=0", 400, "lookback <= 0");
    ground.assert_answers("/api/v2/spans", 400, "mandatory parameter 'serviceName' is missing");
    ground.assert_answers("/api/v2/remoteServices", 400, "mandatory parameter 'serviceName' is missing");
    ground.assert_answers("/api/v2/autocompleteValues", 400, "mandatory parameter 'key' is missing");
    ground.assert_answers("/api/v2/autocompleteValues?key=", 400, "key was empty");
}

#[test]
fn the_window_is_inclusive_at_both_ends_and_goes_by_the_root() {
    let at = |trace: u64, ms: u64| client(trace, 1, ms * 1000, 5);
    let mut child = client(3, 2, 900_000, 7);
    child["parentId"] = json!(hex(1));
    let ground = Ground::with(&[], &json!([at(1, 100), at(2, 200), at(3, 300), child]));
    assert_eq!(ground.found("endTs=200&lookback=100"), [hex(1), hex(2)]);
    assert_eq!(ground.found("endTs=199&lookback=98"), [""; 0]);
    assert_eq!(ground.found("endTs=300&lookback=10&minDuration=7"), [hex(3)], "by a span after the window");
    assert_eq!(ground.found("endTs=900&lookback=10"), [""; 0], "its root is before the window");
}

#[test]
fn each_criterion_may_be_met_by_another_span_of_the_service() {
    let slow = json!({"traceId": hex(1), "id": hex(2), "parentId": hex(1), "name": "slow", "timestamp": 100_000,
        "duration": 5_000, "localEndpoint": {"serviceName": "frontend"}});
    let elsewhere = json!({"traceId": hex(1), "id": hex(3), "parentId": hex(1), "name": "query", "timestamp": 100_000,
        "duration": 9_000, "localEndpoint": {"serviceName": "backend"}, "tags": {"error": ""}});
    let ground = Ground::with(&[], &json!([client(1, 1, 100_000, 50), slow, elsewhere]));
    let found = |criteria: &str| ground.found(&format!("endTs=1000&lookback=1000&{criteria}")).len();
    for (criteria, count) in [
        ("serviceName=frontend&spanName=get&minDuration=5000", 1),
        ("serviceName=frontend&minDuration=9000", 0),
        ("minDuration=9000", 1),
        ("serviceName=frontend&minDuration=50&maxDuration=50", 1),
        ("minDuration=51&maxDuration=4999", 0),
        ("serviceName=frontend&spanName=query", 0),
        ("serviceName=backend&spanName=query", 1),
        ("serviceName=FRONTEND&spanName=GET&remoteServiceName=BackEnd", 1),
        ("serviceName=backend&remoteServiceName=backend", 0),
        ("serviceName=nobody", 0),
        ("spanName=all", 1),
        ("serviceName=&spanName=&remoteServiceName=&annotationQuery=", 1),
        ("annotationQuery=foo", 1),
        ("annotationQuery=http.path", 1),
        ("annotationQuery=http.path=/api", 1),
        ("annotationQuery=http.path=/ap", 0),
        ("annotationQuery=foo+and+clnt/finagle=6+and+http.path", 1),
        ("annotationQuery=foo+and+bar", 0),
        ("annotationQuery=error", 1),
        ("serviceName=frontend&annotationQuery=error", 0),
    ] {
        assert_eq!(found(criteria), count, "{criteria}");
    }
}

#[test]
fn names_are_listed_in_lower_case_once_and_in_order() {
    let ground = Ground::with(&[], &json!([client(1, 1, 100_000, 50), client(1, 2, 100_001, 50)]));
    assert_eq!(ground.json("/api/v2/services"), json!(["frontend"]));
    assert_eq!(ground.json("/api/v2/spans?serviceName=FrontEnd"), json!(["get"]));
    assert_eq!(ground.json("/api/v2/remoteServices?serviceName=FrontEnd"), json!(["backend"]));
    for path in
        ["/api/v2/spans?serviceName=", "/api/v2/spans?serviceName=backend", "/api/v2/remoteServices?serviceName=x"]
    {
        assert_eq!(ground.json(path), json!([]), "{path}");
    }
    // A name that is not ASCII, as a client encodes it.
    let name = "%E4%B8%AA%E4%BA%BA";
    assert_eq!(ground.json(&format!("/api/v2/spans?serviceName={name}")), json!([]));
    let named = json!([{"traceId": "2", "id": "1", "name": "Über", "localEndpoint": {"serviceName": "foo\tbar"}}]);
    ground.put(&named);
    ground.assert_answers("/api/v2/services", 200, "[\"foo\\tbar\",\"frontend\"]");
    assert_eq!(ground.json("/api/v2/spans?serviceName=foo%09bar"), json!(["über"]));
}

#[test]
fn names_may_be_kept_once_there_are_more_than_three_services() {
    let service = |name: &str| json!({"traceId": "1", "id": "1", "name": "x", "localEndpoint": {"serviceName": name}});
    let ground = Ground::with(&[], &json!([service("foo"), service("bar"), service("baz")]));
    let paths = ["/api/v2/services", "/api/v2/spans?serviceName=foo", "/api/v2/remoteServices?serviceName=foo"];
    for path in paths {
        assert_eq!(ground.get(path).header("cache-control"), None, "{path}");
    }
    ground.put(&json!([service("quz")]));
    for path in paths {
        assert_eq!(ground.get(path).header("cache-control"), Some("max-age=300, must-revalidate"), "{path}");
    }
    ground.assert_answers("/api/v2/services", 200, "[\"bar\",\"baz\",\"foo\",\"quz\"]");
}

#[test]
fn only_configured_keys_are_completed() {
    let ground = Ground::with(&["--autocomplete-keys=http.path,never"], &json!([client(1, 1, 100_000, 50)]));
    let keys = ground.get("/api/v2/autocompleteKeys");
    assert_eq!(
        (keys.text(), keys.header("cache-control")),
        ("[\"http.path\",\"never\"]", Some("max-age=300, must-revalidate"))
    );
    assert_eq!(ground.json("/api/v2/autocompleteValues?key=http.path"), json!(["/api"]));
    assert_eq!(ground.json("/api/v2/autocompleteValues?key=never"), json!([]));
    assert_eq!(ground.json("/api/v2/autocompleteValues?key=clnt/finagle"), json!([]), "not configured");
}

#[test]
fn dependencies_are_the_links_of_the_window() {
    let mut failed = client(1, 1, 100_000_000, 50);
    failed["tags"]["error"] = json!("");
    let ground = Ground::with(&[], &json!([failed, client(2, 1, 101_000_000, 50)]));
    let both = r#"[{"parent":"frontend","child":"backend","callCount":2,"errorCount":1}]"#;
    ground.assert_answers("/api/v2/dependencies?endTs=101000", 200, both);
    let second = r#"[{"parent":"frontend","child":"backend","callCount":1}]"#;
    ground.assert_answers("/api/v2/dependencies?endTs=101000&lookback=999", 200, second);
    ground.assert_answers("/api/v2/dependencies?endTs=99999", 200, "[]");
}

#[test]
fn lenient_ids_join_what_shares_its_lower_half() {
    let long = format!("{}{}", hex(7), hex(10));
    let mut other = client(0, 2, 100_010, 5);
    other["traceId"] = json!(long);
    let spans = json!([client(10, 1, 100_000, 5), other]);
    let strict = Ground::with(&[], &spans);
    assert_eq!(strict.json(&format!("/api/v2/trace/{long}")).as_array().map(Vec::len), Some(1));
    assert_eq!(strict.found("endTs=1000").len(), 2);
    let lenient = Ground::with(&["--strict-trace-id=false"], &spans);
    for id in [&long, &hex(10)] {
        assert_eq!(lenient.json(&format!("/api/v2/trace/{id}")).as_array().map(Vec::len), Some(2));
    }
    assert_eq!(lenient.found("endTs=1000").len(), 1);
    let many = lenient.json(&format!("/api/v2/traceMany?traceIds={long},{}", hex(10)));
    assert_eq!(many.as_array().map(Vec::len), Some(1), "two ids that name one trace");
}

#[test]
fn search_and_query_can_be_switched_off() {
    let spans = json!([client(1, 1, now_ms() * 1000, 50)]);
    let ground = Ground::with(&["--search-enabled=false", "--autocomplete-keys=http.path"], &spans);
    for path in [
        "/api/v2/services",
        "/api/v2/spans?serviceName=frontend",
        "/api/v2/remoteServices?serviceName=frontend",
        "/api/v2/traces",
        "/api/v2/autocompleteKeys",
        "/api/v2/autocompleteValues?key=http.path",
    ] {
        assert_eq!(ground.json(path), json!([]), "{path}");
    }
    assert_eq!(ground.json("/api/v2/trace/1").as_array().map(Vec::len), Some(1));
    let dependencies = format!("/api/v2/dependencies?endTs={}", now_ms());
    assert_eq!(ground.json(&dependencies).as_array().map(Vec::len), Some(1));
    let ground = Ground::with(&["--zipkin-query=false"], &spans);
    for path in ["/api/v2/traces", "/api/v2/spans?serviceName=frontend"] {
        assert_eq!(ground.get(path).status.as_u16(), 404, "{path}");
    }
    let ground = Ground::serve(&["--zipkin-collector=false"]);
    assert_eq!(ground.json("/api/v2/spans?serviceName=x"), json!([]));
    assert_eq!(ground.ask("POST", "/api/v2/spans").status.as_u16(), 404);
}

#[test]
fn anyone_may_ask_from_a_browser_and_nobody_may_trace() {
    let ground = Ground::serve(&[]);
    let address = ground.server.door("zipkin");
    let origin = [("origin", "http://foo.example.com")];
    let answer = send(address, "GET", "/api/v2/traces", &origin, Pieces::new([""]));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!((answer.header("vary"), answer.header("access-control-allow-credentials")), (None, None));
    for path in ["/", "/api/v2/traces", "/whatever/and/not"] {
        assert_eq!(ground.ask("TRACE", path).status.as_u16(), 405, "{path}");
    }
    let named = Ground::serve(&["--allowed-origins=http://foo.example.com"]);
    let answer = send(named.server.door("zipkin"), "GET", "/api/v2/traces", &origin, Pieces::new([""]));
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://foo.example.com"));
    let other = [("origin", "http://bar.example.com")];
    let answer = send(named.server.door("zipkin"), "GET", "/api/v2/traces", &other, Pieces::new([""]));
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[test]
fn health_and_info_are_told() {
    let ground = Ground::serve(&[]);
    let up = json!({"status": "UP", "zipkin": {"status": "UP", "details": {"tailspan": {"status": "UP"}}}});
    assert_eq!(ground.json("/health"), up);
    assert_eq!(ground.json("/info"), json!({"tailspan": {"version": env!("CARGO_PKG_VERSION")}}));
    assert_eq!(ground.json("/config.json")["searchEnabled"], true);
}

#[test]
fn what_was_found_is_found_after_a_restart() {
    let spans = json!([client(1, 1, 100_000, 50)]);
    let Ground { server, folder } = Ground::with(&[], &spans);
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));
    let server = Server::start(&folder.path().join("store"), &[]);
    assert_eq!(Ground { server, folder }.json("/api/v2/trace/1"), spans);
}

#[test]
fn only_a_test_kit_may_purge() {
    let spans = json!([client(1, 1, 100_000, 50)]);
    let ground = Ground::with(&["--test-purge"], &spans);
    assert_eq!(ground.ask("POST", "/test/purge").status.as_u16(), 200);
    ground.assert_answers("/api/v2/trace/1", 404, "1 not found");
    assert_eq!(ground.json("/api/v2/services"), json!([]));
    ground.put(&spans);
    assert_eq!(ground.json("/api/v2/trace/1"), spans);
    let ground = Ground::with(&[], &spans);
    assert_eq!(ground.ask("POST", "/test/purge").status.as_u16(), 404);
}
