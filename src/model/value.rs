//! Attribute values: the seven shapes of OTLP's `AnyValue`, and none.
//!
//! Equality is that of the bytes: two doubles are equal if and only if their bits are, so that
//! "identical record" (a NaN included) means the same on every path.

use std::hash::{Hash, Hasher};

/// The value of an attribute.
/// Source: opentelemetry-proto, `common.v1.AnyValue`.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// No value at all (an `AnyValue` with nothing set).
    #[default]
    Empty,
    /// A UTF-8 string.
    String(String),
    /// A boolean.
    Bool(bool),
    /// A signed 64-bit integer.
    Int(i64),
    /// An IEEE 754 double.
    Double(f64),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// A list of values of any shape.
    Array(Vec<Value>),
    /// A nested list of attributes, order and repeated keys kept.
    KeyValueList(Vec<KeyValue>),
}

/// One attribute: a key and its value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyValue {
    /// The name, possibly empty.
    pub key: String,
    /// The value.
    pub value: Value,
}

impl KeyValue {
    /// An attribute of this key and value.
    pub fn new(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { key: key.into(), value: value.into() }
    }

    /// Bytes it takes in memory, roughly.
    pub(crate) fn held_bytes(&self) -> usize {
        size_of::<String>() + self.key.len() + self.value.held_bytes()
    }
}

impl Value {
    /// Bytes it takes in memory, roughly. Values are nested only as deep as `Limits::value_depth_max`.
    pub(crate) fn held_bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::String(text) => text.len(),
                Self::Bytes(bytes) => bytes.len(),
                Self::Array(values) => values.iter().map(Self::held_bytes).sum(),
                Self::KeyValueList(list) => list.iter().map(KeyValue::held_bytes).sum(),
                Self::Empty | Self::Bool(_) | Self::Int(_) | Self::Double(_) => 0,
            }
    }

    /// The text if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Empty, Value::Empty) => true,
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits(),
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::Array(a), Value::Array(b)) => a == b,
            (Value::KeyValueList(a), Value::KeyValueList(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Value::Empty => {}
            Value::String(v) => v.hash(state),
            Value::Bool(v) => v.hash(state),
            Value::Int(v) => v.hash(state),
            Value::Double(v) => v.to_bits().hash(state),
            Value::Bytes(v) => v.hash(state),
            Value::Array(v) => v.hash(state),
            Value::KeyValueList(v) => v.hash(state),
        }
    }
}

impl From<&str> for Value {
    fn from(v: &str) -> Self {
        Value::String(v.to_owned())
    }
}

impl From<String> for Value {
    fn from(v: String) -> Self {
        Value::String(v)
    }
}

impl From<i64> for Value {
    fn from(v: i64) -> Self {
        Value::Int(v)
    }
}

impl From<f64> for Value {
    fn from(v: f64) -> Self {
        Value::Double(v)
    }
}

impl From<bool> for Value {
    fn from(v: bool) -> Self {
        Value::Bool(v)
    }
}
