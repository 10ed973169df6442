//! `zipkin.proto3`, as openzipkin/zipkin-api defines it. Unknown fields and kinds are passed over.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::super::super::refusal::Refusal;
use super::v2::{V2Annotation, V2Endpoint, V2List, V2Span};
use super::{SPAN_BYTES_MAX, malformed, no_list, too_large};

const FORMAT: &str = "PROTO3";
/// The number of the spans in a list.
const SPANS: u32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    parent_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    id: Vec<u8>,
    #[prost(int32, tag = "4")]
    kind: i32,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(fixed64, tag = "6")]
    timestamp: u64,
    #[prost(uint64, tag = "7")]
    duration: u64,
    #[prost(message, optional, tag = "8")]
    local_endpoint: Option<Endpoint>,
    #[prost(message, optional, tag = "9")]
    remote_endpoint: Option<Endpoint>,
    #[prost(message, repeated, tag = "10")]
    annotations: Vec<Annotation>,
    #[prost(btree_map = "string, string", tag = "11")]
    tags: BTreeMap<String, String>,
    #[prost(bool, tag = "12")]
    debug: bool,
    #[prost(bool, tag = "13")]
    shared: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Endpoint {
    #[prost(string, tag = "1")]
    service_name: String,
    #[prost(bytes = "vec", tag = "2")]
    ipv4: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    ipv6: Vec<u8>,
    #[prost(int32, tag = "4")]
    port: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Annotation {
    #[prost(fixed64, tag = "1")]
    timestamp: u64,
    #[prost(string, tag = "2")]
    value: String,
}

/// Reads a `ListOfSpans`, span by span: a list of many short spans would take a multiple of its bytes.
pub fn read(mut message: &[u8], out: &mut V2List) -> Result<(), Refusal> {
    let mut number = 0;
    while !message.is_empty() {
        let (tag, wire_type) = decode_key(&mut message).map_err(|_| no_list(FORMAT))?;
        if (tag, wire_type) != (SPANS, WireType::LengthDelimited) {
            if number == 0 {
                return Err(no_list(FORMAT));
            }
            let skipped = skip_field(wire_type, tag, &mut message, DecodeContext::default());
            skipped.map_err(|error| malformed(FORMAT, error))?;
            continue;
        }
        let len = decode_varint(&mut message).map_err(|error| malformed(FORMAT, error))?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let Some((bytes, rest)) = message.split_at_checked(len) else {
            let left = message.len();
            return Err(malformed(FORMAT, format_args!("span {number} claims {len} bytes where {left} are left")));
        };
        if len > SPAN_BYTES_MAX {
            return Err(too_large(FORMAT, number));
        }
        let span = Span::decode(bytes).map_err(|error| malformed(FORMAT, format_args!("span {number}: {error}")))?;
        out.push(&translated(span))?;
        message = rest;
        number += 1;
    }
    Ok(())
}

fn translated(span: Span) -> V2Span {
    let kind = match span.kind {
        1 => Some("CLIENT"),
        2 => Some("SERVER"),
        3 => Some("PRODUCER"),
        4 => Some("CONSUMER"),
        _ => None,
    };
    let is_whole = |annotation: &Annotation| annotation.timestamp > 0 && !annotation.value.is_empty();
    let whole = span.annotations.into_iter().filter(is_whole);
    V2Span {
        trace_id: hex(&span.trace_id),
        parent_id: (!span.parent_id.is_empty()).then(|| hex(&span.parent_id)),
        id: hex(&span.id),
        kind,
        name: span.name,
        timestamp: span.timestamp,
        duration: span.duration,
        local_endpoint: span.local_endpoint.as_ref().and_then(endpoint),
        remote_endpoint: span.remote_endpoint.as_ref().and_then(endpoint),
        annotations: whole.map(|a| V2Annotation { timestamp: a.timestamp, value: a.value }).collect(),
        tags: span.tags,
        debug: span.debug,
        shared: span.shared,
    }
}

fn endpoint(from: &Endpoint) -> Option<V2Endpoint> {
    let ipv4 = <[u8; 4]>::try_from(&*from.ipv4).ok().map(Ipv4Addr::from);
    let ipv6 = <[u8; 16]>::try_from(&*from.ipv6).ok().map(Ipv6Addr::from);
    V2Endpoint::of(&from.service_name, ipv4, ipv6, u16::try_from(from.port).unwrap_or(0))
}

/// The digits of an id; one of a wrong length is refused by the store.
fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, PartialEq, Message)]
    struct ListOfSpans {
        #[prost(message, repeated, tag = "1")]
        spans: Vec<Span>,
    }

    fn json(message: &[u8]) -> Result<serde_json::Value, Refusal> {
        let mut list = V2List::new(1 << 20);
        read(message, &mut list)?;
        Ok(serde_json::from_slice(&list.finish()).expect("what was written is JSON"))
    }

    #[test]
    fn every_field_is_translated() {
        let span = Span {
            trace_id: vec![0xab; 16],
            parent_id: vec![1; 8],
            id: vec![0x0c; 8],
            kind: 2,
            name: "get /".into(),
            timestamp: 1_700_000_000_000_000,
            duration: 1500,
            local_endpoint: Some(Endpoint {
                service_name: "Shop".into(),
                ipv4: vec![10, 0, 0, 7],
                ipv6: vec![],
                port: 80,
            }),
            remote_endpoint: Some(Endpoint { ipv6: vec![0x20; 16], ..Endpoint::default() }),
            annotations: vec![
                Annotation { timestamp: 1_700_000_000_000_001, value: "hit".into() },
                Annotation { timestamp: 0, value: "no time".into() },
            ],
            tags: BTreeMap::from([("http.path".into(), "/".into()), ("empty".into(), String::new())]),
            debug: true,
            shared: true,
        };
        let message = ListOfSpans { spans: vec![span.clone(), Span { kind: 77, ..span }] }.encode_to_vec();
        let spans = json(&message).expect("a list");
        assert_eq!(
            spans[0],
            serde_json::json!({
                "traceId": "abababababababababababababababab", "parentId": "0101010101010101", "id": "0c0c0c0c0c0c0c0c",
                "kind": "SERVER", "name": "get /", "timestamp": 1_700_000_000_000_000u64, "duration": 1500,
                "localEndpoint": {"serviceName": "shop", "ipv4": "10.0.0.7", "port": 80},
                "remoteEndpoint": {"ipv6": "2020:2020:2020:2020:2020:2020:2020:2020"},
                "annotations": [{"timestamp": 1_700_000_000_000_001u64, "value": "hit"}],
                "tags": {"empty": "", "http.path": "/"}, "debug": true, "shared": true,
            })
        );
        assert_eq!(spans[1].get("kind"), None);
    }

    #[test]
    fn what_is_no_list_is_refused_in_zipkins_words() {
        for message in [&b"{\"traceId\":1}"[..], b"\x10\x01", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
            assert_eq!(json(message).unwrap_err().message, "Expected a PROTO3 encoded list\n", "{message:?}");
        }
        for message in [&b"\x0a\x7f\x01"[..], b"\x0a\x02\x0a\x7f", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"] {
            let refusal = json(message).unwrap_err();
            assert!(refusal.message.starts_with("Malformed reading List<Span> from PROTO3: "), "{}", refusal.message);
        }
    }

    #[test]
    fn an_empty_list_has_no_spans() {
        assert_eq!(json(b"").expect("a list"), serde_json::json!([]));
    }
}
