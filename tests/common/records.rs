//! Spans as the JSON they came in, made comparable: one text for every record, equal for equal meaning.
//!
//! This reads and normalises JSON by itself, so that a reader and a writer of the engine with the same
//! mistake do not agree with it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The records of an OTLP JSON object: each with its resource, its scope and their schema URLs.
pub fn otlp_records(message: &Value, records: &mut BTreeSet<String>) -> usize {
    let mut count = 0;
    for of_resource in list(message, "resourceSpans") {
        for of_scope in list(of_resource, "scopeSpans") {
            for span in list(of_scope, "spans") {
                let record = json!([
                    of_resource.get("resource").map(plain_otlp),
                    of_resource.get("schemaUrl").filter(|url| *url != ""),
                    of_scope.get("scope").map(plain_otlp),
                    of_scope.get("schemaUrl").filter(|url| *url != ""),
                    plain_otlp(span),
                ]);
                records.insert(record.to_string());
                count += 1;
            }
        }
    }
    count
}

/// Without fields that have proto3's default, with 64-bit numbers as text.
fn plain_otlp(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(plain_otlp).collect(),
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, value)| key.ends_with("Value") || !is_default(value));
            kept.map(|(key, value)| (key.clone(), plain_field(key, value))).collect()
        }
        scalar => scalar.clone(),
    }
}

fn plain_field(key: &str, value: &Value) -> Value {
    match (key, value) {
        ("intValue" | "startTimeUnixNano" | "endTimeUnixNano" | "timeUnixNano", Value::Number(number)) => {
            Value::from(number.to_string())
        }
        ("doubleValue", Value::Number(number)) => Value::from(number.as_f64()),
        ("traceId" | "spanId" | "parentSpanId", Value::String(id)) => Value::from(id.to_lowercase()),
        _ => plain_otlp(value),
    }
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0",
        Value::Array(items) => items.is_empty(),
        Value::Object(_) => false,
    }
}

/// The records of a Zipkin v2 array, as Zipkin's own model would hold them.
pub fn zipkin_records(spans: &Value, records: &mut BTreeSet<String>) -> usize {
    let spans = spans.as_array().unwrap();
    records.extend(spans.iter().map(|span| normal_zipkin(span).to_string()));
    spans.len()
}

fn normal_zipkin(span: &Value) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Option<Value>| value.map(|value| out.insert(key.to_owned(), value));
    let text = |key: &str| span[key].as_str().map(str::to_owned);
    let padded = |key: &str, digits: usize| text(key).map(|id| format!("{id:0>digits$}"));
    let trace_id = padded("traceId", 32).unwrap();
    let trace_id = trace_id.strip_prefix("0000000000000000").unwrap_or(&trace_id);
    let id = padded("id", 16).unwrap();
    let parent = padded("parentId", 16).filter(|parent| *parent != id && *parent != "0".repeat(16));
    put("traceId", Some(trace_id.into()));
    put("parentId", parent.map(Value::from));
    put("id", Some(id.into()));
    put("kind", text("kind").map(Value::from));
    put("name", text("name").filter(|name| !name.is_empty()).map(|name| name.to_lowercase().into()));
    for key in ["timestamp", "duration"] {
        put(key, span[key].as_u64().filter(|micros| *micros > 0).map(Value::from));
    }
    put("localEndpoint", endpoint(&span["localEndpoint"]));
    put("remoteEndpoint", endpoint(&span["remoteEndpoint"]));
    let annotation = |a: &Value| (a["timestamp"].as_u64().unwrap(), a["value"].as_str().unwrap().to_owned());
    let annotations: BTreeSet<_> = list(span, "annotations").iter().map(annotation).collect();
    let annotations: Vec<Value> = annotations.into_iter().map(|(time, value)| json!([time, value])).collect();
    put("annotations", (!annotations.is_empty()).then_some(annotations.into()));
    put("tags", span.get("tags").filter(|tags| tags.as_object().is_some_and(|tags| !tags.is_empty())).cloned());
    put("debug", span["debug"].as_bool().filter(|debug| *debug).map(Value::from));
    put("shared", span["shared"].as_bool().filter(|shared| *shared && span["kind"] != "CLIENT").map(Value::from));
    Value::Object(out)
}

fn endpoint(endpoint: &Value) -> Option<Value> {
    let mut out = Map::new();
    if let Some(name) = endpoint["serviceName"].as_str().filter(|name| !name.is_empty()) {
        out.insert("serviceName".into(), name.to_lowercase().into());
    }
    for key in ["ipv4", "ipv6"] {
        if let Some(address) = endpoint[key].as_str().and_then(|text| text.parse::<std::net::IpAddr>().ok()) {
            out.insert(key.into(), address.to_string().into());
        }
    }
    if let Some(port) = endpoint["port"].as_u64().filter(|port| *port > 0) {
        out.insert("port".into(), port.into());
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}
