//! Version 1 as JSON: a list of spans with `annotations` and `binaryAnnotations`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::super::refusal::Refusal;
use super::v1::{V1Annotation, V1Binary, V1Span, convert};
use super::v2::{V2Endpoint, V2List};
use super::{SPAN_BYTES_MAX, malformed, no_list, too_large};

const FORMAT: &str = "JSON_V1";
/// What only version 2 has.
const V2_FIELDS: [&[u8]; 2] = [b"Endpoint\"", b"\"tags\""];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    trace_id: String,
    id: String,
    #[serde(default)]
    parent_id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    timestamp: Option<u64>,
    #[serde(default)]
    duration: Option<u64>,
    #[serde(default)]
    debug: Option<bool>,
    #[serde(default)]
    annotations: Option<Vec<Annotation>>,
    #[serde(default)]
    binary_annotations: Option<Vec<Binary>>,
}

#[derive(Deserialize)]
struct Annotation {
    timestamp: u64,
    value: String,
    #[serde(default)]
    endpoint: Option<Endpoint>,
}

#[derive(Deserialize)]
struct Binary {
    key: String,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    endpoint: Option<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Endpoint {
    service_name: Option<String>,
    ipv4: Option<String>,
    ipv6: Option<String>,
    port: Option<i64>,
}

/// Reads a list, span by span.
pub fn read(message: &[u8], out: &mut V2List) -> Result<(), Refusal> {
    if !message.trim_ascii_start().starts_with(b"[") {
        return Err(no_list(FORMAT));
    }
    let has = |field: &[u8]| message.windows(field.len()).any(|window| window == field);
    if V2_FIELDS.into_iter().any(has) {
        return Err(Refusal::invalid("Expected a JSON_V1 encoded list, but received: JSON_V2\n"));
    }
    let mut refused = None;
    let mut reader = serde_json::Deserializer::from_slice(message);
    let list = reader.deserialize_seq(Each { out, refused: &mut refused }).and_then(|()| reader.end());
    match (refused, list) {
        (Some(refusal), _) => Err(refusal),
        (None, Err(error)) => Err(malformed(FORMAT, error)),
        (None, Ok(())) => Ok(()),
    }
}

/// Takes the spans of a list as they are read.
struct Each<'o> {
    out: &'o mut V2List,
    refused: &'o mut Option<Refusal>,
}

impl<'de> Visitor<'de> for Each<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of spans")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut spans: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(span) = spans.next_element::<&RawValue>()? {
            if let Err(refusal) = add(span, number, self.out) {
                *self.refused = Some(refusal);
                return Err(A::Error::custom("refused"));
            }
            number += 1;
        }
        Ok(())
    }
}

fn add(span: &RawValue, number: usize, out: &mut V2List) -> Result<(), Refusal> {
    if span.get().len() > SPAN_BYTES_MAX {
        return Err(too_large(FORMAT, number));
    }
    let span: Span =
        serde_json::from_str(span.get()).map_err(|error| malformed(FORMAT, format_args!("span {number}: {error}")))?;
    convert(&translated(span)).iter().try_for_each(|span| out.push(span))
}

fn translated(span: Span) -> V1Span {
    let annotations = span.annotations.unwrap_or_default().into_iter();
    V1Span {
        trace_id: span.trace_id,
        id: span.id,
        parent_id: span.parent_id,
        name: span.name.unwrap_or_default(),
        timestamp: span.timestamp.unwrap_or(0),
        duration: span.duration.unwrap_or(0),
        debug: span.debug.unwrap_or(false),
        annotations: annotations
            .map(|a| V1Annotation { timestamp: a.timestamp, value: a.value, endpoint: endpoint(a.endpoint) })
            .collect(),
        binary: span.binary_annotations.unwrap_or_default().into_iter().filter_map(binary).collect(),
    }
}

/// A tag or an address; what is neither, as a list, is passed over.
fn binary(from: Binary) -> Option<V1Binary> {
    let endpoint = endpoint(from.endpoint);
    let value = match from.value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) if endpoint.is_some() && matches!(&*from.key, "sa" | "ca" | "ma") => None,
        Value::Bool(flag) => Some(flag.to_string()),
        _ => return None,
    };
    Some(V1Binary { key: from.key, value, endpoint })
}

fn endpoint(from: Option<Endpoint>) -> Option<V2Endpoint> {
    let from = from?;
    let ipv4 = from.ipv4.and_then(|text| text.parse::<Ipv4Addr>().ok());
    let ipv6 = from.ipv6.and_then(|text| text.parse::<Ipv6Addr>().ok());
    // Java's clients send ports above 32,767 as negative numbers.
    let port = from.port.unwrap_or(0) as u16;
    V2Endpoint::of(&from.service_name.unwrap_or_default(), ipv4, ipv6, port)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_all(message: &str) -> Result<Value, String> {
        let mut list = V2List::new(1 << 20);
        read(message.as_bytes(), &mut list).map_err(|refusal| refusal.message)?;
        Ok(serde_json::from_slice(&list.finish()).expect("what was written is JSON"))
    }

    #[test]
    fn tags_addresses_and_times_are_translated() {
        let web = json!({"serviceName": "Web", "ipv4": "10.0.0.1", "port": 8080});
        let message = json!([{
            "traceId": "463ac35c9f6413ad48485a3953bb6124", "id": "a", "parentId": "b", "name": "get", "debug": true,
            "timestamp": 100, "duration": 50,
            "annotations": [{"timestamp": 100, "value": "cs", "endpoint": web}, {"timestamp": 150, "value": "cr", "endpoint": web},
                            {"timestamp": 120, "value": "retry", "endpoint": web}],
            "binaryAnnotations": [{"key": "http.path", "value": "/x", "endpoint": web}, {"key": "n", "value": 7, "type": "I64"},
                                  {"key": "sa", "value": true, "endpoint": {"serviceName": "db", "ipv6": "2001:db8::1"}}],
        }]);
        let expected = json!([{
            "traceId": "463ac35c9f6413ad48485a3953bb6124", "id": "a", "parentId": "b", "kind": "CLIENT", "name": "get",
            "timestamp": 100, "duration": 50, "debug": true,
            "localEndpoint": {"serviceName": "web", "ipv4": "10.0.0.1", "port": 8080},
            "remoteEndpoint": {"serviceName": "db", "ipv6": "2001:db8::1"},
            "annotations": [{"timestamp": 120, "value": "retry"}], "tags": {"http.path": "/x", "n": "7"},
        }]);
        assert_eq!(read_all(&message.to_string()), Ok(expected));
    }

    #[test]
    fn what_is_no_list_of_version_1_is_refused_in_zipkins_words() {
        for (message, expected) in [
            ("{}", "Expected a JSON_V1 encoded list\n"),
            ("[{\"tags\":{}}]", "Expected a JSON_V1 encoded list, but received: JSON_V2\n"),
            ("[{\"localEndpoint\":{}}]", "Expected a JSON_V1 encoded list, but received: JSON_V2\n"),
        ] {
            assert_eq!(read_all(message), Err(expected.to_owned()));
        }
        for message in ["[{}]", "[", "[1]", "[] x", "[{\"traceId\":\"1\",\"id\":\"1\",\"annotations\":7}]"] {
            let error = read_all(message).unwrap_err();
            assert!(error.starts_with("Malformed reading List<Span> from JSON_V1: "), "{error}");
        }
        assert_eq!(read_all("[]"), Ok(json!([])));
    }
}
