//! Each rule of Zipkin's normalisation, and that what is written reads back the same.

use proptest::prelude::*;

use super::super::testing::{Collected, public_data};
use super::*;
use crate::model::{Endpoint, KeyValue, Origin, RejectReason, Span, SpanKind};

fn read(text: &str) -> Result<Collected> {
    let mut sink = Collected::default();
    read_zipkin_json(text.as_bytes(), &Limits::default(), &mut sink).map(|()| sink)
}

fn written(spans: &[Span]) -> String {
    let mut out = Vec::new();
    write_zipkin_json(spans, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The span of these fields, after ids.
fn span_of(fields: &str) -> Span {
    let mut read = read(&format!(r#"[{{"traceId":"a","id":"b"{fields}}}]"#)).unwrap();
    assert_eq!(read.rejected, [], "{fields}");
    read.spans.remove(0)
}

fn reason_of(span: &str) -> RejectReason {
    let good = r#"{"traceId":"a","id":"b"}"#;
    let read = read(&format!("[{good},{span},{good}]")).unwrap();
    assert_eq!((read.spans.len(), read.rejected.len()), (2, 1), "{span}");
    read.rejected[0]
}

fn reason_with(fields: &str) -> RejectReason {
    reason_of(&format!(r#"{{"traceId":"a","id":"b"{fields}}}"#))
}

fn local(fields: &str) -> Option<Endpoint> {
    span_of(&format!(r#","localEndpoint":{fields}"#)).resource.local_endpoint.clone()
}

fn zipkin_of(span: &Span) -> (Option<&Endpoint>, bool, bool) {
    match &span.origin {
        Origin::Zipkin { remote_endpoint, debug, shared } => (remote_endpoint.as_ref(), *debug, *shared),
        Origin::Otlp => panic!("not a Zipkin span"),
    }
}

#[test]
fn ids_are_padded_and_a_zero_upper_half_is_a_short_id() {
    let span = span_of("");
    assert_eq!(
        (span.trace_id.to_string(), span.span_id.to_string()),
        (format!("{:0>32}", "a"), format!("{:0>16}", "b"))
    );
    assert!(written(&[span]).starts_with(r#"[{"traceId":"000000000000000a","id":"000000000000000b"}"#));
    let long = read(&format!(r#"[{{"traceId":"1{:016}","id":"b"}}]"#, 7)).unwrap().spans.remove(0);
    assert!(written(&[long]).contains(r#""traceId":"00000000000000010000000000000007""#));
}

#[test]
fn bad_ids_refuse_the_span_alone() {
    assert_eq!(reason_of(r#"{"id":"b"}"#), RejectReason::TraceIdLength);
    assert_eq!(reason_of(r#"{"traceId":null,"id":"b"}"#), RejectReason::TraceIdLength);
    assert_eq!(reason_of(&format!(r#"{{"traceId":"{:033}","id":"b"}}"#, 1)), RejectReason::TraceIdLength);
    assert_eq!(reason_of(r#"{"traceId":"0","id":"b"}"#), RejectReason::TraceIdZero);
    assert_eq!(reason_of(r#"{"traceId":"A","id":"b"}"#), RejectReason::IdNotHex);
    assert_eq!(reason_of(r#"{"traceId":"0xa","id":"b"}"#), RejectReason::IdNotHex);
    assert_eq!(reason_of(r#"{"traceId":"a"}"#), RejectReason::SpanIdLength);
    assert_eq!(reason_of(r#"{"traceId":"a","id":"0000000000000000"}"#), RejectReason::SpanIdZero);
    assert_eq!(reason_of(r#"{"traceId":"a","id":"B"}"#), RejectReason::IdNotHex);
    assert_eq!(reason_of(r#"{"traceId":"a","id":7}"#), RejectReason::Malformed);
    assert_eq!(reason_with(r#","parentId":"""#), RejectReason::ParentIdLength);
    assert_eq!(reason_with(r#","parentId":"11112222333344445""#), RejectReason::ParentIdLength);
    assert_eq!(reason_of("5"), RejectReason::Malformed);
    assert_eq!(reason_of("null"), RejectReason::Malformed);
}

#[test]
fn a_parent_of_zeros_or_the_span_itself_is_no_parent() {
    assert_eq!(span_of(r#","parentId":"000000000000000b""#).parent_span_id, None);
    assert_eq!(span_of(r#","parentId":"0000""#).parent_span_id, None);
    assert_eq!(span_of(r#","parentId":null"#).parent_span_id, None);
    assert_eq!(span_of(r#","parentId":"c""#).parent_span_id.map(|id| id.get()), Some(12));
}

#[test]
fn names_are_lower_cased_and_empty_ones_absent() {
    assert_eq!(span_of(r#","name":"GET /Ä""#).name, "get /ä");
    let endpoint = local(r#"{"serviceName":"WEB"}"#).unwrap();
    assert_eq!(endpoint.service_name.as_deref(), Some("web"));
    let span = span_of(r#","localEndpoint":{"serviceName":"WEB"}"#);
    assert_eq!((span.service(), span.resource.present), (Some("web"), true));
    assert_eq!(span.resource.attributes, [KeyValue::new("service.name", "web")]);
}

#[test]
fn endpoints_without_anything_known_are_absent() {
    for fields in
        ["{}", "null", r#"{"serviceName":"","port":0,"ipv4":null}"#, r#"{"other":1}"#, r#"{"ipv4":"no address"}"#]
    {
        assert_eq!(local(fields), None, "{fields}");
    }
    assert!(!span_of(r#","localEndpoint":{}"#).resource.present);
    assert_eq!(zipkin_of(&span_of(r#","remoteEndpoint":{"port":-1}"#)).0, None);
}

#[test]
fn addresses_are_parsed_and_wrapped_ipv4_unwrapped() {
    let address = |text: &str| {
        let endpoint = local(&format!(r#"{{"ipv6":"{text}"}}"#)).unwrap();
        (endpoint.ipv4.map(|ip| ip.to_string()), endpoint.ipv6.map(|ip| ip.to_string()))
    };
    let v4 = |text: &str| (Some(text.to_owned()), None);
    let v6 = |text: &str| (None, Some(text.to_owned()));
    assert_eq!(address("::ffff:43.0.192.2"), v4("43.0.192.2"));
    assert_eq!(address("::FFFF:2b00:c002"), v4("43.0.192.2"));
    assert_eq!(address("::43.0.192.2"), v4("43.0.192.2"));
    assert_eq!(address("43.0.192.2"), v4("43.0.192.2"));
    assert_eq!(address("::1"), v6("::1"));
    assert_eq!(address("2001:DB8:0:0::C001"), v6("2001:db8::c001"));
    assert!(
        written(&[span_of(r#","localEndpoint":{"ipv6":"2001:DB8:0:0::C001"}"#)]).contains(r#""ipv6":"2001:db8::c001""#)
    );
}

#[test]
fn ports_are_in_range() {
    assert_eq!(local(r#"{"port":65535}"#).unwrap().port, Some(65535));
    assert_eq!(reason_with(r#","localEndpoint":{"port":65536}"#), RejectReason::Malformed);
    assert_eq!(reason_with(r#","remoteEndpoint":{"port":"x"}"#), RejectReason::Malformed);
    assert_eq!(reason_with(r#","remoteEndpoint":5"#), RejectReason::Malformed);
}

#[test]
fn times_are_microseconds_and_absent_at_zero_or_below() {
    let times = |fields: &str| {
        let span = span_of(fields);
        (span.start_unix_nano, span.end_unix_nano, span.duration_nanos())
    };
    assert_eq!(times(r#","timestamp":5,"duration":3"#), (5000, 8000, Some(3000)));
    assert_eq!(times(r#","timestamp":5"#), (5000, 0, None));
    assert_eq!(times(r#","duration":3"#), (0, 3000, Some(3000)));
    assert_eq!(times(r#","timestamp":-5,"duration":0"#), (0, 0, None));
    assert_eq!(times(r#","timestamp":"5","duration":null"#), (5000, 0, None));
    assert_eq!(reason_with(r#","timestamp":18446744073709552"#), RejectReason::TimeOverflow);
    assert_eq!(reason_with(r#","timestamp":18446744073709551,"duration":1"#), RejectReason::TimeOverflow);
    assert_eq!(reason_with(r#","timestamp":1.5"#), RejectReason::Malformed);
    let text = written(&[span_of(r#","duration":3"#)]);
    assert!(text.contains(r#""duration":3"#) && !text.contains("timestamp"), "{text}");
}

#[test]
fn annotations_are_sorted_and_each_kept_once() {
    let span = span_of(
        r#","annotations":[{"timestamp":2,"value":"b"},{"timestamp":2,"value":"a"},{"timestamp":1,"value":"z"},{"value":"a","timestamp":2}]"#,
    );
    let found: Vec<_> = span.events.iter().map(|event| (event.time_unix_nano, event.name.as_str())).collect();
    assert_eq!(found, [(1000, "z"), (2000, "a"), (2000, "b")]);
    for annotation in
        [r#"{"timestamp":1}"#, r#"{"value":"a"}"#, r#"{"timestamp":0,"value":"a"}"#, r#"{"timestamp":1,"value":null}"#]
    {
        assert_eq!(reason_with(&format!(r#","annotations":[{annotation}]"#)), RejectReason::Malformed, "{annotation}");
    }
}

#[test]
fn tags_are_in_order_of_keys_and_the_last_of_a_key_wins() {
    let span = span_of(r#","tags":{"b":"","a":"1","A":"2","b":"3","n":5}"#);
    let expected = [("A", "2"), ("a", "1"), ("b", "3"), ("n", "5")].map(|(key, value)| KeyValue::new(key, value));
    assert_eq!(span.attributes, expected);
    assert_eq!(reason_with(r#","tags":{"a":null}"#), RejectReason::Malformed);
    assert_eq!(reason_with(r#","tags":{"a":["b"]}"#), RejectReason::Malformed);
}

#[test]
fn flags_are_kept_when_true_and_a_client_shares_nothing() {
    let flags = |fields: &str| {
        let span = span_of(fields);
        let (_, debug, shared) = zipkin_of(&span);
        (debug, shared)
    };
    assert_eq!(flags(r#","kind":"SERVER","debug":true,"shared":true"#), (true, true));
    assert_eq!(flags(r#","kind":"CLIENT","debug":null,"shared":true"#), (false, false));
    assert_eq!(flags(r#","debug":false,"shared":false"#), (false, false));
    assert!(!written(&[span_of(r#","debug":false"#)]).contains("debug"));
}

#[test]
fn kinds_are_zipkins_own() {
    let kind = |kind: &str| span_of(&format!(r#","kind":"{kind}""#)).kind;
    assert_eq!(
        ["CLIENT", "SERVER", "PRODUCER", "CONSUMER"].map(kind),
        [SpanKind::CLIENT, SpanKind::SERVER, SpanKind::PRODUCER, SpanKind::CONSUMER]
    );
    assert_eq!(reason_with(r#","kind":"client""#), RejectReason::Malformed);
    assert_eq!(reason_with(r#","kind":3"#), RejectReason::Malformed);
}

#[test]
fn version_1_is_recognised_and_refused_as_a_whole() {
    for fields in
        [r#""binaryAnnotations":[]"#, r#""annotations":[{"timestamp":1,"value":"sr","endpoint":{"serviceName":"a"}}]"#]
    {
        let error = read(&format!(r#"[{{"traceId":"a","id":"b"}},{{"traceId":"a","id":"b",{fields}}}]"#)).unwrap_err();
        assert!(error.to_string().contains("span 1 of the array is in the old v1 format"), "{error}");
    }
}

#[test]
fn what_is_no_array_is_an_error_that_says_what_was_expected() {
    let message = |text: &str| read(text).unwrap_err().to_string();
    for text in ["{}", "", "5", r#"{"traceId":"a","id":"b"}"#] {
        assert_eq!(message(text), "Zipkin JSON: expected a JSON array of Zipkin v2 spans");
    }
    assert!(message("[{}\n,]").contains("line 2 column 2"));
    assert!(message("[] x").contains("trailing characters"));
    assert!(read(" []").unwrap().spans.is_empty());
}

#[test]
fn fields_are_written_in_zipkins_order() {
    let text = concat!(
        r#"[{"traceId":"000000000000000a","parentId":"000000000000000c","id":"000000000000000b","kind":"SERVER","#,
        r#""name":"get","timestamp":5,"duration":3,"localEndpoint":{"serviceName":"web","ipv4":"1.2.3.4","port":80},"#,
        r#""remoteEndpoint":{"ipv6":"::1"},"annotations":[{"timestamp":6,"value":"x"}],"tags":{"a":"","b":"1"},"#,
        r#""debug":true,"shared":true}]"#,
    );
    let spans = read(text).unwrap().spans;
    assert_eq!(written(&spans), text);
    assert_eq!(zipkin_json(&spans), serde_json::from_str::<serde_json::Value>(text).unwrap());
}

#[test]
fn spans_at_one_endpoint_share_their_resource_and_others_do_not() {
    let at = |endpoint: &str| format!(r#"{{"traceId":"a","id":"b","localEndpoint":{endpoint}}}"#);
    let (a, b) = (at(r#"{"serviceName":"a"}"#), at(r#"{"serviceName":"b"}"#));
    let spans = read(&format!("[{a},{b},{a}]")).unwrap().spans;
    let services: Vec<_> = spans.iter().map(Span::service).collect();
    assert_eq!(services, [Some("a"), Some("b"), Some("a")]);
}

fn any_json_span() -> impl Strategy<Value = serde_json::Value> {
    let text = || "[a-zA-Z\u{c4}|\"{}]{0,6}";
    let endpoint = || {
        let ip = prop_oneof![Just("10.0.0.1"), Just("::1"), Just("::ffff:1.2.3.4"), Just("junk"), Just("fe80::2")];
        (text(), ip, 0..70_000u32)
            .prop_map(|(name, ip, port)| serde_json::json!({"serviceName": name, "ipv6": ip, "port": port % 65_536}))
    };
    let ids = ("[0-9a-f]{1,32}", "[0-9a-f]{1,16}", "[0-9a-f]{1,16}");
    let kind = prop_oneof![Just("CLIENT"), Just("SERVER"), Just("PRODUCER"), Just("CONSUMER")];
    let annotations = prop::collection::vec((1..4u64, text()), 0..5);
    let tags = prop::collection::btree_map(text(), text(), 0..4);
    let rest = (prop::option::of(kind), text(), -2..9i64, -2..9i64, any::<[bool; 2]>());
    (ids, rest, endpoint(), endpoint(), annotations, tags).prop_map(|(ids, rest, local, remote, annotations, tags)| {
        let annotations: Vec<_> =
            annotations.iter().map(|(time, value)| serde_json::json!({"timestamp": time, "value": value})).collect();
        serde_json::json!({
            "traceId": ids.0, "id": ids.1, "parentId": ids.2, "kind": rest.0, "name": rest.1, "timestamp": rest.2,
            "duration": rest.3, "debug": rest.4[0], "shared": rest.4[1], "localEndpoint": local,
            "remoteEndpoint": remote, "annotations": annotations, "tags": tags,
        })
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_the_same_spans(spans in prop::collection::vec(any_json_span(), 0..6)) {
        let first = read(&serde_json::Value::from(spans).to_string()).unwrap();
        let again = read(&written(&first.spans)).unwrap();
        prop_assert_eq!(again.rejected, []);
        prop_assert_eq!(&again.spans, &first.spans);
        prop_assert_eq!(written(&again.spans), written(&first.spans));
    }

    #[test]
    fn damaged_text_never_panics(span in any_json_span(), at: prop::sample::Index, byte: u8) {
        let mut text = format!("[{span}]").into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        let mut sink = Collected::default();
        let _ = read_zipkin_json(&text, &Limits::default(), &mut sink);
        let _ = read_zipkin_json(&text[..at], &Limits::default(), &mut sink);
    }
}

#[test]
fn public_zipkin_data_survives_a_round_trip() {
    for (path, content) in public_data("zipkin-lens") {
        let first = read(&String::from_utf8(content).unwrap()).unwrap();
        assert_eq!(first.rejected, [], "{}", path.display());
        assert!(!first.spans.is_empty(), "{}", path.display());
        assert_eq!(read(&written(&first.spans)).unwrap().spans, first.spans, "{}", path.display());
    }
}
