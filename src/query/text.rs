//! Attribute values as text, where only text can be compared or shown.
//!
//! Source: OpenTelemetry's rules for formats without typed attributes: strings as they are, numbers and
//! booleans as in JSON, bytes in base64, arrays and lists as JSON.

use std::borrow::Cow;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::model::Value;

/// Levels of nesting that are written out; what lies deeper reads `null`. Well above what an append
/// accepts by default, and a bound on the recursion.
const DEPTH_MAX: usize = 128;

/// The value as text; an empty value is the empty text.
pub fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Empty => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Int(int) => Cow::Owned(int.to_string()),
        Value::Double(double) => Cow::Owned(double_text(*double)),
        Value::Bytes(bytes) => Cow::Owned(STANDARD.encode(bytes)),
        Value::Array(_) | Value::KeyValueList(_) => {
            let mut json = String::new();
            put_json(value, 0, &mut json);
            Cow::Owned(json)
        }
    }
}

/// A double as ECMAScript writes it: the shortest digits that read back as the same double, with an
/// exponent only below 1e-6 and from 1e21 on.
fn double_text(double: f64) -> String {
    let magnitude = double.abs();
    if double.is_nan() {
        "NaN".to_owned()
    } else if double.is_infinite() {
        if double > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if magnitude >= 1e21 {
        format!("{double:e}").replace('e', "e+")
    } else if magnitude != 0.0 && magnitude < 1e-6 {
        format!("{double:e}")
    } else {
        format!("{double}")
    }
}

fn put_json(value: &Value, depth: usize, json: &mut String) {
    match value {
        Value::Empty => json.push_str("null"),
        Value::Array(_) | Value::KeyValueList(_) if depth >= DEPTH_MAX => json.push_str("null"),
        Value::Array(elements) => {
            json.push('[');
            for (position, element) in elements.iter().enumerate() {
                put_comma(position, json);
                put_json(element, depth + 1, json);
            }
            json.push(']');
        }
        Value::KeyValueList(entries) => {
            json.push('{');
            for (position, entry) in entries.iter().enumerate() {
                put_comma(position, json);
                put_quoted(&entry.key, json);
                json.push(':');
                put_json(&entry.value, depth + 1, json);
            }
            json.push('}');
        }
        Value::Int(_) | Value::Bool(_) => json.push_str(&text_of(value)),
        Value::Double(double) if double.is_finite() => json.push_str(&double_text(*double)),
        Value::String(_) | Value::Bytes(_) | Value::Double(_) => put_quoted(&text_of(value), json),
    }
}

fn put_comma(position: usize, json: &mut String) {
    if position > 0 {
        json.push(',');
    }
}

fn put_quoted(text: &str, json: &mut String) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            c if c < ' ' => write!(json, "\\u{:04x}", u32::from(c)).expect("a String takes every text"),
            c => json.push(c),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::KeyValue;

    #[test]
    fn scalars_read_as_in_json_without_quotes() {
        assert_eq!(text_of(&"a \"b\"".into()), "a \"b\"");
        assert_eq!(text_of(&Value::Int(-7)), "-7");
        assert_eq!(text_of(&Value::Bool(true)), "true");
        assert_eq!(text_of(&Value::Empty), "");
        assert_eq!(text_of(&Value::Bytes(vec![1, 2, 3])), "AQID");
    }

    #[test]
    fn doubles_have_an_exponent_only_when_very_small_or_large() {
        let texts = [200.0, 0.1, 1e-6, 1e-7, 1e20, 1.5e21, f64::NAN, f64::NEG_INFINITY].map(double_text);
        assert_eq!(texts, ["200", "0.1", "0.000001", "1e-7", "100000000000000000000", "1.5e+21", "NaN", "-Infinity"]);
    }

    #[test]
    fn composite_values_read_as_json_in_the_order_given() {
        let list = Value::KeyValueList(vec![KeyValue::new("b\n", 1.5), KeyValue::new("a", Value::Empty)]);
        let array = Value::Array(vec!["x\"\u{1}".into(), 1.into(), true.into(), f64::NAN.into(), list]);
        assert_eq!(text_of(&array), r#"["x\"\u0001",1,true,"NaN",{"b\n":1.5,"a":null}]"#);
    }

    #[test]
    fn nesting_without_end_is_cut_off() {
        let deep = (0..DEPTH_MAX + 10).fold(Value::Int(1), |inner, _| Value::Array(vec![inner]));
        let text = text_of(&deep);
        assert_eq!(text.matches('[').count(), DEPTH_MAX);
        assert!(text.contains("null"));
    }
}
