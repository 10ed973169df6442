//! `--tag` and annotation queries as CONTRACT C4 and SEMANTICS 1.3 tell them, read and judged here.

use std::cmp::Ordering;

use regex::Regex;
use tailspan::{KeyValue, Span, Value};

/// True if the span meets this filter in `--tag`'s spelling. The text must be a good one.
pub fn meets_tag(span: &Span, text: &str) -> bool {
    let places = ["span", "resource", "scope", "event", "link"];
    let prefix = text.split_once(':').filter(|(place, _)| places.contains(place));
    let (place, rest) = prefix.map_or((None, text), |(place, rest)| (Some(place), rest));
    let key_end = rest.find(['=', '!', '<', '>']).unwrap_or(rest.len());
    let (key, rest) = rest.split_at(key_end);
    let elements: Vec<Value> = places
        .into_iter()
        .filter(|p| place.is_none_or(|only| only == *p))
        .flat_map(|place| values_at(span, place, key))
        .collect();
    if rest.is_empty() {
        return !elements.is_empty();
    }
    let sign_len = if ["=~", "!~", "!=", "<=", ">="].iter().any(|sign| rest.starts_with(sign)) { 2 } else { 1 };
    let (sign, operand) = rest.split_at(sign_len);
    let scalars: Vec<&Value> = elements.iter().flat_map(scalars_of).collect();
    match sign {
        "=" => scalars.iter().any(|v| equals(v, operand)),
        "!=" => !elements.is_empty() && !scalars.iter().any(|v| equals(v, operand)),
        "=~" => scalars.iter().any(|v| matches_whole(v, operand)),
        "!~" => !elements.is_empty() && !scalars.iter().any(|v| matches_whole(v, operand)),
        "<" => scalars.iter().any(|v| order(v, operand).is_some_and(Ordering::is_lt)),
        "<=" => scalars.iter().any(|v| order(v, operand).is_some_and(Ordering::is_le)),
        ">" => scalars.iter().any(|v| order(v, operand).is_some_and(Ordering::is_gt)),
        ">=" => scalars.iter().any(|v| order(v, operand).is_some_and(Ordering::is_ge)),
        other => panic!("{other:?} is no operator"),
    }
}

/// Every value of this key in this place.
fn values_at(span: &Span, place: &str, key: &str) -> Vec<Value> {
    let of =
        |list: &[KeyValue]| -> Vec<Value> { list.iter().filter(|a| a.key == key).map(|a| a.value.clone()).collect() };
    match place {
        "span" => of(&span.attributes),
        "resource" => of(&span.resource.attributes),
        "event" => span.events.iter().flat_map(|event| of(&event.attributes)).collect(),
        "link" => span.links.iter().flat_map(|link| of(&link.attributes)).collect(),
        _ => {
            let mut out = of(&span.scope.attributes);
            let texts = [("otel.scope.name", &span.scope.name), ("otel.scope.version", &span.scope.version)];
            out.extend(
                texts.into_iter().filter(|(k, t)| *k == key && !t.is_empty()).map(|(_, t)| Value::String(t.clone())),
            );
            out
        }
    }
}

/// A value, or what an array holds at whatever depth.
fn scalars_of(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(elements) => elements.iter().flat_map(scalars_of).collect(),
        Value::KeyValueList(_) => vec![],
        scalar => vec![scalar],
    }
}

/// The text between the quotes, if the operand has quotes.
fn quoted(operand: &str) -> Option<&str> {
    operand.strip_prefix('"')?.strip_suffix('"')
}

fn equals(value: &Value, operand: &str) -> bool {
    match value {
        Value::String(text) => text == quoted(operand).unwrap_or(operand),
        Value::Bool(flag) => operand == flag.to_string(),
        Value::Int(_) | Value::Double(_) => number_order(value, operand) == Some(Ordering::Equal),
        _ => false,
    }
}

fn order(value: &Value, operand: &str) -> Option<Ordering> {
    if quoted(operand).is_none() && operand.parse::<f64>().is_ok_and(|number| !number.is_nan()) {
        return number_order(value, operand);
    }
    match value {
        Value::String(text) => Some(text.as_bytes().cmp(quoted(operand).unwrap_or(operand).as_bytes())),
        _ => None,
    }
}

/// Compares a number with the number an operand stands for: exactly, as integers are not always doubles.
fn number_order(value: &Value, operand: &str) -> Option<Ordering> {
    if let (Value::Int(a), Ok(b)) = (value, operand.parse::<i64>()) {
        return Some(a.cmp(&b));
    }
    let wide = |number: f64| number.clamp(-1e30, 1e30).floor() as i128;
    match (value, operand.parse::<i64>(), operand.parse::<f64>().ok().filter(|d| !d.is_nan())?) {
        (Value::Double(a), _, _) if a.is_nan() => None,
        (Value::Double(a), Ok(b), _) => Some(wide(*a).cmp(&i128::from(b)).then(a.partial_cmp(&a.floor())?)),
        (Value::Double(a), Err(_), b) => a.partial_cmp(&b),
        (Value::Int(a), _, b) => Some(i128::from(*a).cmp(&wide(b)).then(b.floor().partial_cmp(&b)?)),
        _ => None,
    }
}

fn matches_whole(value: &Value, pattern: &str) -> bool {
    let pattern = quoted(pattern).unwrap_or(pattern);
    match value {
        Value::String(text) => Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(text),
        _ => false,
    }
}

/// The conditions of an annotation query: key and value, the value empty if only the key is asked for.
pub fn annotation_terms(text: &str) -> Vec<(String, String)> {
    let mut terms: Vec<(String, String)> = Vec::new();
    for part in text.split(" and ") {
        let (key, value) = part.split_once('=').map_or((part.trim(), None), |(k, v)| (k.trim(), Some(v.trim())));
        match terms.iter().position(|(known, _)| known == key) {
            Some(at) => terms[at].1 = value.map_or(terms[at].1.clone(), str::to_owned),
            None => terms.push((key.to_owned(), value.unwrap_or_default().to_owned())),
        }
    }
    terms
}

/// True if an event or a span attribute of the span meets the term.
pub fn meets_annotation(span: &Span, (key, value): &(String, String)) -> bool {
    let mut own = span.attributes.iter().filter(|a| a.key == *key);
    if value.is_empty() {
        return own.next().is_some() || span.events.iter().any(|event| event.name == *key);
    }
    own.any(|a| match &a.value {
        Value::String(text) => text == value,
        Value::Bool(flag) => flag.to_string() == *value,
        Value::Int(int) => int.to_string() == *value,
        Value::Double(double) => double.to_string() == *value,
        _ => false,
    })
}
