//! The name lists, counted span by span. The spans must be distinct.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tailspan::{KeyValue, Span, Value};

use super::meaning::{kind, remote_service, service, status};

/// Spans and failed spans by service.
pub fn services(spans: &[Span]) -> BTreeMap<Option<String>, (u64, u64)> {
    let mut out: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    for span in spans {
        let counts = out.entry(service(span).map(str::to_owned)).or_default();
        counts.0 += 1;
        counts.1 += u64::from(status(span) == 2);
    }
    out
}

/// Spans by service, name and kind.
pub fn operations(spans: &[Span]) -> BTreeMap<(Option<String>, Option<String>, i32), u64> {
    let mut out = BTreeMap::new();
    for span in spans {
        let name = if span.name.is_empty() { None } else { Some(span.name.clone()) };
        *out.entry((service(span).map(str::to_owned), name, kind(span))).or_default() += 1;
    }
    out
}

/// Spans by remote service, of one service or all.
pub fn remote_services(spans: &[Span], of: Option<&str>) -> BTreeMap<String, u64> {
    let mut out = BTreeMap::new();
    for span in spans.iter().filter(|span| of.is_none() || service(span) == of) {
        if let Some(remote) = remote_service(span) {
            *out.entry(remote.to_owned()).or_default() += 1;
        }
    }
    out
}

/// Spans by key, place and type.
pub fn attribute_keys(spans: &[Span]) -> BTreeMap<(String, &'static str, &'static str), u64> {
    let mut out = BTreeMap::new();
    for span in spans {
        let kinds: BTreeSet<_> =
            attributes(span).into_iter().map(|(place, a)| (a.key, place, type_word(&a.value))).collect();
        for kind in kinds {
            *out.entry(kind).or_default() += 1;
        }
    }
    out
}

/// Spans by value of a key, wherever it stands.
pub fn attribute_values(spans: &[Span], key: &str) -> HashMap<Value, u64> {
    let mut out = HashMap::new();
    for span in spans {
        let here = attributes(span).into_iter().filter(|(_, a)| a.key == key);
        let values: HashSet<Value> = here.map(|(_, a)| a.value).collect();
        for value in values {
            *out.entry(value).or_default() += 1;
        }
    }
    out
}

/// Every attribute of a span, with the place where it stands.
fn attributes(span: &Span) -> Vec<(&'static str, KeyValue)> {
    let mut out = Vec::new();
    let mut put = |place, list: &[KeyValue]| out.extend(list.iter().map(|a| (place, a.clone())));
    put("span", &span.attributes);
    put("resource", &span.resource.attributes);
    put("scope", &span.scope.attributes);
    span.events.iter().for_each(|event| put("event", &event.attributes));
    span.links.iter().for_each(|link| put("link", &link.attributes));
    for (key, text) in [("otel.scope.name", &span.scope.name), ("otel.scope.version", &span.scope.version)] {
        if !text.is_empty() {
            put("scope", &[KeyValue::new(key, text.as_str())]);
        }
    }
    out
}

fn type_word(value: &Value) -> &'static str {
    match value {
        Value::Empty => "empty",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Double(_) => "double",
        Value::Bytes(_) => "bytes",
        Value::Array(_) => "array",
        Value::KeyValueList(_) => "kvlist",
    }
}
