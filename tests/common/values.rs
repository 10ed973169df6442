//! Random attributes that collide: few keys, few texts, every type, and the values that break shortcuts.
//!
//! Filters of `queries.rs` draw from the same pools, so that they often meet what they look for.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tailspan::{KeyValue, Value};

/// Keys of attributes, two of them often. Some mean something to the engine, one is empty, one has signs of a filter in it.
pub const KEYS: [&str; 18] = [
    "k",
    "k",
    "k",
    "k",
    "k",
    "http.status_code",
    "http.status_code",
    "http.status_code",
    "error",
    "service.name",
    "peer.service",
    "server.address",
    "db.system",
    "messaging.system",
    "otel.scope.name",
    "a key: with spaces",
    "",
    "x=y",
];

/// Texts of attributes; several read as numbers or booleans.
pub const TEXTS: [&str; 11] = ["", "a", "b", "ab", "value", "500", "72.5", "true", "é\u{1F600}", "a\"b\\c\n", "\"q\""];

/// A value of any type, arrays and lists up to three levels deep.
pub fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Array),
            vec((key(), inner), 0..3).prop_map(|entries| Value::KeyValueList(entries.into_iter().map(pair).collect())),
        ]
    })
}

/// Up to `len_max` attributes; keys repeat.
pub fn attributes(len_max: usize) -> impl Strategy<Value = Vec<KeyValue>> {
    vec((key(), value()), 0..=len_max).prop_map(|entries| entries.into_iter().map(pair).collect())
}

/// One of [`KEYS`].
pub fn key() -> impl Strategy<Value = String> {
    select(&KEYS[..]).prop_map(str::to_owned)
}

fn pair((key, value): (String, Value)) -> KeyValue {
    KeyValue { key, value }
}

fn scalar() -> impl Strategy<Value = Value> {
    let ints = [0, 1, -5, 123, 500, 9_007_199_254_740_993, i64::MAX, i64::MIN];
    let nan_with_payload = f64::from_bits(0xfff8_0000_0000_0abc);
    let doubles = [72.5, 0.0, -0.0, 500.0, 1e300, f64::NAN, nan_with_payload, f64::INFINITY, 9_007_199_254_740_992.0];
    prop_oneof![
        5 => select(&TEXTS[..]).prop_map(Value::from),
        1 => any::<u16>().prop_map(|unique| Value::String(format!("/orders/{unique}?page=1"))),
        2 => select(ints.to_vec()).prop_map(Value::Int),
        2 => select(doubles.to_vec()).prop_map(Value::Double),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => vec(any::<u8>(), 0..3).prop_map(Value::Bytes),
        1 => Just(Value::Empty),
    ]
}
