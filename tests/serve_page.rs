//! The page over HTTP: where it is, under which policy, and who may have it. What it does in a browser is tested in
//! `.ci/clients`.

#[path = "common/server.rs"]
mod server;

use std::fs;

use serde_json::{Value, json};
use server::{Answer, Pieces, Server, post, send};

const DOORS: [&str; 2] = ["page", "zipkin"];

fn get(server: &Server, door: &str, path: &str) -> Answer {
    send(server.door(door), "GET", path, &[], Pieces::new([""]))
}

#[test]
fn the_page_is_at_its_own_door_and_where_zipkins_would_be() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let server = Server::start(&folder.path().join("store"), &[]);
    for door in DOORS {
        let index = get(&server, door, "/");
        assert_eq!(index.status.as_u16(), 200, "{door}");
        assert_eq!(index.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(index.text().starts_with("<!doctype html>"));
        let script = get(&server, door, "/page/main.js");
        assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"), "{door}");
        for answer in [&index, &script] {
            let policy = answer.header("content-security-policy").expect("a policy");
            assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
        }
        assert_eq!(get(&server, door, "/page/none.js").status.as_u16(), 404);
        assert_eq!(get(&server, door, "/page/..%2Fmod.rs").status.as_u16(), 404);
        let moved = get(&server, door, "/zipkin/");
        assert_eq!((moved.status.as_u16(), moved.header("location")), (307, Some("/")), "{door}");
    }
}

#[test]
fn both_doors_answer_what_the_page_asks() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let server = Server::start(&folder.path().join("store"), &[]);
    let spans = json!([{"traceId": "a1", "id": "b1", "name": "pay", "timestamp": 1_767_225_600_000_000_u64, "duration": 1200,
        "localEndpoint": {"serviceName": "checkout"}}]);
    let headers = [("content-type", "application/json")];
    assert_eq!(post(server.door("zipkin"), "/api/v2/spans", &headers, spans.to_string()).status.as_u16(), 202);
    for door in DOORS {
        let answer = get(&server, door, "/api/services");
        assert_eq!(answer.status.as_u16(), 200, "{door}: {}", answer.text());
        let line: Value = serde_json::from_str(answer.text()).expect("a line");
        assert_eq!(line, json!({"service": "checkout", "spanCount": 1, "errorCount": 0}), "{door}");
        assert_eq!(answer.header("content-security-policy"), Some("default-src 'none'; frame-ancestors 'none'"));
        assert_eq!(get(&server, door, "/api/find?where=%7B%20foo").status.as_u16(), 400, "{door}");
        assert_eq!(get(&server, door, "/api/trace?id=a2").status.as_u16(), 404, "{door}");
    }
    // What is Zipkin's stays Zipkin's.
    assert_eq!(get(&server, "zipkin", "/api/v2/services").text(), "[\"checkout\"]");
    server.terminate();
    assert!(server.wait().success(), "a page that was looked at keeps no server from ending");
}

#[test]
fn the_page_is_free_and_its_questions_want_a_token() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, "let-me-ask\n").expect("a file of tokens");
    let server = Server::start(&folder.path().join("store"), &[&format!("--query-tokens={}", tokens.display())]);
    for door in DOORS {
        for path in ["/", "/page/style.css"] {
            assert_eq!(get(&server, door, path).status.as_u16(), 200, "{door} {path}");
        }
        assert_eq!(get(&server, door, "/api/services").status.as_u16(), 401, "{door}");
        let shown = [("authorization", "Bearer let-me-ask")];
        let answer = send(server.door(door), "GET", "/api/services", &shown, Pieces::new([""]));
        assert_eq!((answer.status.as_u16(), answer.text()), (200, ""), "{door}");
    }
}
