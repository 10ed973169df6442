//! The questions that every storage of Jaeger must answer: each finds exactly its traces, no matter whether a
//! tag stands on the span, its process, an event, the scope or a link, before sealing, after it, and reopened.
//!
//! Jaeger's own files run where `TAILSPAN_DATA` is set. The same cases on traces of our own always run.
//! A query's times are the window, its tags filters of the exact type, its durations nanoseconds; 0 is none.

mod common {
    pub mod data;
}

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use common::data::public_data;
use serde_json::{Value, json};
use tailspan::{Query, Span, Store, TagFilter, TraceId};

/// Fixtures by name: OTLP JSON objects.
type Fixtures = BTreeMap<String, Value>;

/// Trace and span ids.
type Ids = BTreeSet<(String, String)>;

#[test]
fn jaegers_own_queries_find_exactly_their_fixtures() {
    let Some(folder) = public_data("jaeger-storage-fixtures") else { return };
    let read = |path: &Path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut fixtures = Fixtures::new();
    for entry in std::fs::read_dir(folder.join("traces")).unwrap() {
        let path = entry.unwrap().path();
        fixtures.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), read(&path));
    }
    let queries: Vec<Value> = serde_json::from_value(read(&folder.join("queries.json"))).unwrap();
    assert_eq!((fixtures.len(), queries.len()), (32, 25));
    check(&fixtures, &queries);
}

#[test]
fn our_own_queries_of_the_same_kinds_find_exactly_their_fixtures() {
    let (fixtures, queries) = (own_fixtures(), own_queries());
    check(&fixtures, &queries);
}

/// Stores all fixtures together and asks all queries in every state.
fn check(fixtures: &Fixtures, queries: &[Value]) {
    let directory = tempfile::tempdir().unwrap();
    let open = || Store::builder(directory.path()).seal_automatically(false).open().unwrap();
    let store = open();
    for fixture in fixtures.values() {
        assert_eq!(store.append_otlp_json(fixture.to_string().as_bytes()).unwrap().rejected, []);
    }
    let ask_all = |store: &Store, state: &str| {
        for query in queries {
            let expected: Vec<&str> =
                list(&query["ExpectedFixtures"]).iter().map(|name| name.as_str().unwrap()).collect();
            let wanted: Ids = expected.iter().flat_map(|name| ids_of_fixture(&fixtures[*name])).collect();
            assert_eq!(ids_found(store, &query["Query"]), wanted, "{state}: {query}");
        }
    };
    ask_all(&store, "before sealing");
    store.seal().unwrap();
    ask_all(&store, "after sealing");
    store.close().unwrap();
    ask_all(&open(), "reopened");
}

/// The spans of every trace that the query finds.
fn ids_found(store: &Store, query: &Value) -> Ids {
    let found = store.find(&query_of(query)).unwrap();
    assert!(found.complete && found.next_page_token.is_none());
    let traces = store.traces(&found.traces.iter().map(|trace| trace.trace_id).collect::<Vec<TraceId>>()).unwrap();
    let ids = |span: &Span| (span.trace_id.to_string(), span.span_id.to_string());
    traces.iter().flatten().map(ids).collect()
}

fn query_of(json: &Value) -> Query {
    let mut query = Query::new().limit(json["NumTraces"].as_u64().unwrap() as usize);
    let text = |key: &str| json[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    query.service = text("ServiceName");
    query.name = text("OperationName");
    query = query.since(nanos(json["StartTimeMin"].as_str().unwrap()));
    query = query.until(nanos(json["StartTimeMax"].as_str().unwrap()));
    let duration = |key: &str| json[key].as_u64().filter(|nanos| *nanos > 0).map(Duration::from_nanos);
    if let Some(min) = duration("DurationMin") {
        query = query.min_duration(min);
    }
    if let Some(max) = duration("DurationMax") {
        query = query.max_duration(max);
    }
    for (key, value) in json["Tags"].as_object().into_iter().flatten() {
        // JSON writes a string in the quotes that make a filter look at strings only.
        query = query.tag(TagFilter::parse(&format!("{key}={value}")).unwrap());
    }
    query
}

fn ids_of_fixture(fixture: &Value) -> Ids {
    let of = |key: &'static str| move |value: &Value| list(&value[key]).to_vec();
    let spans = list(&fixture["resourceSpans"]).iter().flat_map(of("scopeSpans")).flat_map(|scope| of("spans")(&scope));
    let id = |span: &Value, key: &str| span[key].as_str().unwrap().to_lowercase();
    spans.map(|span| (id(&span, "traceId"), id(&span, "spanId"))).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Nanoseconds since the epoch of `2017-01-26T15:46:31.639875Z`.
fn nanos(time: &str) -> u64 {
    let number = |range: std::ops::Range<usize>| time[range].parse::<u64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let is_leap = |year: u64| year.is_multiple_of(4); // true from 1904 to 2096
    let days_before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1];
    let leap_day = u64::from(month > 2 && is_leap(year));
    let years: u64 = (1970..year).map(|year| 365 + u64::from(is_leap(year))).sum();
    let seconds = (years + days_before + leap_day + day - 1) * 86_400
        + number(11..13) * 3600
        + number(14..16) * 60
        + number(17..19);
    let fraction = format!("{:0<9}", time[19..].trim_matches(['.', 'Z']));
    seconds * 1_000_000_000 + fraction.parse::<u64>().unwrap()
}

/// When our fixtures start: 2017-01-26T16:46:31.639875Z.
const START: u64 = 1_485_449_191_639_875_000;

/// Where the four tags of a fixture stand.
const PLACES: [&str; 6] = ["span", "resource", "scope", "event", "link", "everywhere"];

fn tag(key: &str, value: Value) -> Value {
    json!({ "key": key, "value": value })
}

fn four_tags() -> Vec<Value> {
    vec![
        tag("text", json!({ "stringValue": "value" })),
        tag("int", json!({ "intValue": "123" })),
        tag("double", json!({ "doubleValue": 72.5 })),
        tag("bool", json!({ "boolValue": true })),
    ]
}

/// One span whose tags stand in a place; in the last the four stand in four places.
fn tagged(service: &str, place: &str, trace: u64, name: &str, nanos: u64) -> Value {
    let all = four_tags();
    let here = |this: &str, at: usize| match place {
        "everywhere" => vec![all[at].clone()],
        _ if place == this => all.clone(),
        _ => vec![],
    };
    let resource = [vec![tag("service.name", json!({ "stringValue": service }))], here("resource", 1)].concat();
    let on_link = if place == "everywhere" { vec![] } else { here("link", 0) };
    let span = json!({
        "traceId": format!("{trace:032x}"), "spanId": "0000000000000001", "name": name,
        "startTimeUnixNano": START.to_string(), "endTimeUnixNano": (START + nanos).to_string(),
        "attributes": here("span", 0),
        "events": [{ "name": "event", "attributes": here("event", 2) }],
        "links": [{ "traceId": format!("{:032x}", 9), "spanId": "0000000000000009",
                    "attributes": on_link }],
    });
    json!({ "resourceSpans": [{
        "resource": { "attributes": resource },
        "scopeSpans": [{ "scope": { "name": "lib", "version": "1.1", "attributes": here("scope", 3) }, "spans": [span] }],
    }] })
}

/// For each place one trace that has the tags, with one that has them elsewhere or slightly otherwise.
fn own_fixtures() -> Fixtures {
    let mut fixtures = Fixtures::new();
    for (number, place) in PLACES.into_iter().enumerate() {
        let trace = number as u64 * 16 + 1;
        fixtures.insert(place.to_owned(), tagged(place, place, trace, "get", 2000));
        fixtures.insert(format!("{place}-slow"), tagged(place, place, trace + 1, "get", 5000));
        fixtures.insert(format!("{place}-put"), tagged(place, place, trace + 2, "put", 2000));
        fixtures.insert(format!("{place}-none"), tagged(place, "nowhere", trace + 3, "get", 2000));
        let otherwise = tagged(place, place, trace + 4, "get", 2000).to_string().replace("\"123\"", "\"124\"");
        fixtures.insert(format!("{place}-otherwise"), serde_json::from_str(&otherwise).unwrap());
    }
    for (name, value, trace) in [("star", "same*", 1000), ("longer", "sameplace", 1001), ("regex", "s.*e", 1002)] {
        let text =
            tagged("escaped", "span", trace, "get", 1).to_string().replace("\"value\"}", &format!("\"{value}\"}}"));
        fixtures.insert(name.to_owned(), serde_json::from_str(&text).unwrap());
    }
    fixtures
}

fn own_queries() -> Vec<Value> {
    let ask = |service: &str, name: &str, tags: Value, min: u64, max: u64, expected: Value| {
        json!({
            "Query": {
                "ServiceName": service, "OperationName": name, "Tags": tags, "DurationMin": min, "DurationMax": max,
                "StartTimeMin": "2017-01-26T16:46:31.639875Z", "StartTimeMax": "2017-01-26T17:46:31Z", "NumTraces": 1000,
            },
            "ExpectedFixtures": expected,
        })
    };
    let tags = json!({ "text": "value", "int": 123, "double": 72.5, "bool": true });
    let mut queries = Vec::new();
    for place in PLACES {
        let named = |suffixes: &[&str]| -> Value { suffixes.iter().map(|suffix| format!("{place}{suffix}")).collect() };
        queries.extend([
            ask(place, "", Value::Null, 0, 0, named(&["", "-slow", "-put", "-none", "-otherwise"])),
            ask(place, "put", Value::Null, 0, 0, named(&["-put"])),
            ask(place, "", Value::Null, 4500, 5500, named(&["-slow"])),
            ask(place, "", Value::Null, 0, 2000, named(&["", "-put", "-none", "-otherwise"])),
            ask(place, "", tags.clone(), 0, 0, named(&["", "-slow", "-put"])),
            ask(place, "get", tags.clone(), 0, 0, named(&["", "-slow"])),
            ask(place, "get", tags.clone(), 0, 2000, named(&[""])),
            ask(place, "get", tags.clone(), 4500, 5500, named(&["-slow"])),
            ask(place, "", json!({ "int": "123" }), 0, 0, json!([])),
            ask(place, "", json!({ "otel.scope.name": "lib", "int": 124 }), 0, 0, named(&["-otherwise"])),
        ]);
    }
    // What a wildcard or an expression would match is found by its own text alone.
    queries.extend([
        ask("escaped", "", json!({ "text": "same*" }), 0, 0, json!(["star"])),
        ask("escaped", "", json!({ "text": "s.*e" }), 0, 0, json!(["regex"])),
        ask("escaped", "", json!({ "text": "same" }), 0, 0, json!([])),
    ]);
    // The window is half-open: a trace that starts where it ends is outside.
    let mut outside = ask("span", "", Value::Null, 0, 0, json!([]));
    outside["Query"]["StartTimeMin"] = json!("2017-01-26T16:46:31Z");
    outside["Query"]["StartTimeMax"] = json!("2017-01-26T16:46:31.639875Z");
    queries.push(outside);
    queries
}
