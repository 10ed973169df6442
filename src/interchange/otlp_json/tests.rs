//! What is written is read back as the same spans; what other writers write is understood.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::otlp::tests::{any_message, spans_of};
use super::super::testing::{Collected, public_data};
use super::*;
use crate::model::{KeyValue, Span, SpanKind, Status, StatusCode, Value};

fn read(text: &str) -> Result<Collected> {
    let mut sink = Collected::default();
    read_otlp_json(text.as_bytes(), &Limits::default(), &mut sink).map(|()| sink)
}

fn written(spans: &[Span]) -> String {
    let mut out = Vec::new();
    write_otlp_json(spans, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The value with every NaN made the one that JSON can say.
fn with_plain_nan(value: &mut Value) {
    match value {
        Value::Double(v) if v.is_nan() => *v = f64::NAN,
        Value::Array(items) => items.iter_mut().for_each(with_plain_nan),
        Value::KeyValueList(items) => items.iter_mut().for_each(|item| with_plain_nan(&mut item.value)),
        _ => {}
    }
}

fn attributes_with_plain_nan(attributes: &mut [KeyValue]) {
    attributes.iter_mut().for_each(|attribute| with_plain_nan(&mut attribute.value));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn what_is_written_reads_back_as_the_same_spans(message in any_message()) {
        let mut spans = spans_of(message);
        for span in &mut spans {
            attributes_with_plain_nan(&mut Arc::make_mut(&mut span.resource).attributes);
            attributes_with_plain_nan(&mut Arc::make_mut(&mut span.scope).attributes);
            attributes_with_plain_nan(&mut span.attributes);
            span.events.iter_mut().for_each(|event| attributes_with_plain_nan(&mut event.attributes));
            span.links.iter_mut().for_each(|link| attributes_with_plain_nan(&mut link.attributes));
        }
        let read_back = read(&written(&spans)).unwrap();
        prop_assert_eq!(read_back.rejected, []);
        prop_assert_eq!(&read_back.spans, &spans);
        let read_back = read(&otlp_json_traces(&spans).to_string()).unwrap();
        prop_assert_eq!(&read_back.spans, &spans);
    }

    #[test]
    fn damaged_text_never_panics(message in any_message(), at: prop::sample::Index, byte: u8) {
        let mut text = written(&spans_of(message)).into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        let mut sink = Collected::default();
        let _ = read_otlp_json(&text, &Limits::default(), &mut sink);
        let _ = read_otlp_json(&text[..at], &Limits::default(), &mut sink);
    }
}

/// A text with one span whose fields are these.
fn text_of(fields: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#)
}

const IDS: &str = r#""traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174""#;

fn span_of(fields: &str) -> Span {
    let mut read = read(&text_of(&format!("{IDS},{fields}"))).unwrap();
    assert_eq!(read.rejected, []);
    read.spans.remove(0)
}

fn value_of(value: &str) -> Value {
    span_of(&format!(r#""attributes":[{{"key":"k","value":{value}}}]"#)).attributes.remove(0).value
}

fn reason_of(fields: &str) -> RejectReason {
    let good = format!("{IDS}}},{{{fields}}},{{{IDS}");
    let read = read(&text_of(&good)).unwrap();
    assert_eq!((read.spans.len(), read.rejected.len()), (2, 1), "{fields}");
    read.rejected[0]
}

#[test]
fn both_spellings_of_names_and_of_numbers_are_understood() {
    let camel = span_of(
        r#""parentSpanId":"EEE19B7EC3C1B173","startTimeUnixNano":"12","kind":"SPAN_KIND_CLIENT","droppedEventsCount":"3","status":{"code":"STATUS_CODE_ERROR"}"#,
    );
    let snake = span_of(
        r#""parent_span_id":"eee19b7ec3c1b173","start_time_unix_nano":12,"kind":3,"dropped_events_count":3,"status":{"code":2}"#,
    );
    assert_eq!(camel, snake);
    assert_eq!((camel.kind, camel.start_unix_nano, camel.dropped_events_count), (SpanKind::CLIENT, 12, 3));
    assert_eq!(camel.status, Some(Status { code: StatusCode::ERROR, message: String::new() }));
}

#[test]
fn values_of_every_kind_are_understood() {
    assert_eq!(value_of(r#"{"stringValue":"a\n\u00e9"}"#), Value::from("a\n\u{e9}"));
    assert_eq!(value_of(r#"{"intValue":"-9223372036854775808"}"#), Value::Int(i64::MIN));
    assert_eq!(value_of(r#"{"int_value":7}"#), Value::Int(7));
    assert_eq!(value_of(r#"{"doubleValue":-0.0}"#), Value::Double(-0.0));
    assert_eq!(value_of(r#"{"doubleValue":"-Infinity"}"#), Value::Double(f64::NEG_INFINITY));
    assert_eq!(value_of(r#"{"doubleValue":3}"#), Value::Double(3.0));
    assert_eq!(value_of(r#"{"boolValue":false}"#), Value::Bool(false));
    for bytes in ["+/8=", "+/8", "-_8=", "-_8"] {
        assert_eq!(value_of(&format!(r#"{{"bytesValue":"{bytes}"}}"#)), Value::Bytes(vec![0xfb, 0xff]));
    }
    let array = Value::Array(vec![Value::Empty, Value::Int(1)]);
    assert_eq!(value_of(r#"{"arrayValue":{"values":[{},{"intValue":1}]}}"#), array);
    let list = Value::KeyValueList(vec![KeyValue::new("a", Value::Empty), KeyValue::new("", true)]);
    assert_eq!(value_of(r#"{"kvlist_value":{"values":[{"key":"a"},{"value":{"boolValue":true}}]}}"#), list);
    assert_eq!(value_of(r#"{"arrayValue":{}}"#), Value::Array(vec![]));
}

#[test]
fn nothing_null_and_unknown_fields_are_no_value() {
    for value in ["null", "{}", r#"{"stringValue":null}"#, r#"{"someValue":[1]}"#] {
        assert_eq!(value_of(value), Value::Empty, "{value}");
    }
    assert_eq!(value_of(r#"{"stringValue":"a","intValue":null,"intValue":"2"}"#), Value::Int(2));
    let nulls = span_of(r#""kind":null,"name":null,"attributes":null,"events":null,"status":null,"unknown":{"a":[1]}"#);
    assert_eq!(nulls, span_of(r#""flags":0"#));
    assert!(read("{}").unwrap().spans.is_empty());
    assert!(read(r#"{"resourceSpans":null,"other":1}"#).unwrap().spans.is_empty());
}

#[test]
fn a_bad_span_is_refused_alone_with_its_reason() {
    let reason_with = |fields: &str| reason_of(&format!("{IDS},{fields}"));
    assert_eq!(reason_of(r#""spanId":"eee19b7ec3c1b174""#), RejectReason::TraceIdLength);
    assert_eq!(reason_of(r#""traceId":"5b8e","spanId":"eee19b7ec3c1b174""#), RejectReason::TraceIdLength);
    assert_eq!(
        reason_of(r#""traceId":"5b8e0000000000000000000000000000","spanId":"1g"}"#.trim_end_matches('}')),
        RejectReason::IdNotHex
    );
    assert_eq!(reason_of(&format!(r#""traceId":"{:032}","spanId":"eee19b7ec3c1b174""#, 0)), RejectReason::TraceIdZero);
    assert_eq!(
        reason_of(r#""traceId":"5b8efff798038103d269b633813fc60c","spanId":"0000000000000000""#),
        RejectReason::SpanIdZero
    );
    assert_eq!(reason_with(r#""parentSpanId":"12""#), RejectReason::ParentIdLength);
    assert_eq!(reason_with(r#""links":[{"traceId":"12"}]"#), RejectReason::LinkIdLength);
    assert_eq!(reason_with(r#""endTimeUnixNano":"18446744073709551616""#), RejectReason::TimeOverflow);
    for fields in [
        r#""name":5"#,
        r#""startTimeUnixNano":-1"#,
        r#""kind":"SERVER""#,
        r#""flags":4294967296"#,
        r#""attributes":{}"#,
        r#""attributes":[{"key":"k","value":"v"}]"#,
        r#""attributes":[{"key":"k","value":{"stringValue":1}}]"#,
        r#""attributes":[{"key":"k","value":{"intValue":1.5}}]"#,
        r#""attributes":[{"key":"k","value":{"bytesValue":"*"}}]"#,
        r#""name":"\ud800""#,
        r#""status":[]"#,
        r#""events":[[]]"#,
    ] {
        assert_eq!(reason_with(fields), RejectReason::Malformed, "{fields}");
    }
}

fn nested(depth: usize) -> String {
    format!(
        "{}{}",
        r#"{"kvlistValue":{"values":[{"key":"k","value":"#.repeat(depth),
        "{}".to_owned() + &"}]}}".repeat(depth)
    )
}

#[test]
fn values_nest_to_the_limit_and_hostile_nesting_is_refused_without_recursion() {
    assert!(matches!(value_of(&nested(32)), Value::KeyValueList(_)));
    for depth in [33, 100_000] {
        let fields = format!(r#"{IDS},"attributes":[{{"key":"k","value":{}}}]"#, nested(depth));
        assert_eq!(reason_of(&fields), RejectReason::TooDeep);
    }
    let unknown = format!("{IDS},\"unknown\":{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(read(&text_of(&unknown)).unwrap().spans.len(), 1);
}

#[test]
fn limits_hold_for_span_and_text() {
    let limits = Limits { span_bytes_max: 200, span_parts_max: 2, ..Limits::default() };
    let reasons = |fields: &str| {
        let mut sink = Collected::default();
        read_otlp_json(text_of(&format!("{IDS},{fields}")).as_bytes(), &limits, &mut sink).unwrap();
        sink.rejected
    };
    assert_eq!(reasons(r#""attributes":[{},{}]"#), []);
    assert_eq!(reasons(r#""attributes":[{}],"events":[{"attributes":[{}]}]"#), [RejectReason::TooLarge]);
    assert_eq!(reasons(&format!(r#""name":"{}""#, "x".repeat(200))), [RejectReason::TooLarge]);
    let limits = Limits { message_bytes_max: 1, ..Limits::default() };
    let error = read_otlp_json(b"{}", &limits, &mut Collected::default()).unwrap_err();
    assert!(error.to_string().contains("limit of 1"));
}

#[test]
fn a_bad_resource_or_scope_refuses_the_spans_under_it_only() {
    let text = |resource: &str, scope: &str| {
        let spans = format!(r#""spans":[{{{IDS}}},{{{IDS}}}]"#);
        let bad = format!(r#"{{"scopeSpans":[{{{spans},"scope":{scope}}}],"resource":{resource}}}"#);
        format!(r#"{{"resourceSpans":[{bad},{{"scopeSpans":[{{{spans}}}]}}]}}"#)
    };
    for text in [text(r#"{"attributes":5}"#, "{}"), text("{}", r#"{"name":5}"#)] {
        let read = read(&text).unwrap();
        assert_eq!((read.spans.len(), read.rejected), (2, vec![RejectReason::Malformed; 2]));
    }
    assert!(read(&text("{}", "{}")).unwrap().spans[0].resource.present);
}

#[test]
fn broken_json_is_an_error_that_names_line_and_column() {
    let message = |text: &str| read(text).unwrap_err().to_string();
    assert!(
        message("{\"resourceSpans\":[\n  {]").contains("line 2 column 4"),
        "{}",
        message("{\"resourceSpans\":[\n  {]")
    );
    assert!(message("[]").contains("OTLP JSON"));
    assert!(message("{} {}").contains("trailing characters"));
    assert!(message("").contains("EOF"));
}

#[test]
fn spans_of_one_resource_and_scope_share_the_objects_around_them() {
    let span = span_of(r#""name":"n""#);
    let other = Span { scope: Arc::new(Scope { name: "s".into(), present: true, ..Scope::default() }), ..span.clone() };
    let json = otlp_json_traces(&[span.clone(), span.clone(), other.clone(), span]);
    let scopes = json["resourceSpans"][0]["scopeSpans"].as_array().unwrap();
    assert_eq!(scopes.iter().map(|s| s["spans"].as_array().unwrap().len()).collect::<Vec<_>>(), [2, 1, 1]);
    assert_eq!(json["resourceSpans"].as_array().unwrap().len(), 1);
    assert_eq!((scopes[0].get("scope"), &scopes[1]["scope"]["name"]), (None, &"s".into()));
}

#[test]
fn the_text_is_exact() {
    let span = span_of(
        r#""kind":2,"startTimeUnixNano":"5","status":{},"attributes":[{"key":"k","value":{"intValue":"1"}},{"key":"e"}]"#,
    );
    assert_eq!(
        written(&[span]),
        concat!(
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","#,
            r#""spanId":"eee19b7ec3c1b174","kind":2,"startTimeUnixNano":"5","attributes":[{"key":"k","#,
            r#""value":{"intValue":"1"}},{"key":"e","value":{}}],"status":{}}]}]}]}"#,
        )
    );
}

#[test]
fn public_otlp_data_survives_a_round_trip() {
    for folder in ["otlp", "otlp-examples"] {
        for (path, content) in public_data(folder) {
            let text = String::from_utf8(content).unwrap();
            let lines: Vec<&str> = if folder == "otlp" { text.lines().collect() } else { vec![&text] };
            let mut spans = 0;
            for line in lines {
                let first = read(line).unwrap();
                assert_eq!(first.rejected, []);
                assert_eq!(read(&written(&first.spans)).unwrap().spans, first.spans);
                spans += first.spans.len();
            }
            assert!(spans > 0, "{}", path.display());
        }
    }
}
