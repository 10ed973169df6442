//! Arrays and nested lists as bytes.
//!
//! ```text
//! value := type u8, then   string/bytes: len varint, bytes     bool: u8
//!                          int: zigzag varint                  double: 8 bytes
//!                          composite: kind u8 (1 array, 2 list), count varint, items
//!                          list item: key len varint, key, value
//! ```

use crate::bytes::{Reader, Writer, zigzag_decode, zigzag_encode};
use crate::error::{Error, Result, ensure};
use crate::model::{KeyValue, Value};

use super::schema::ValueType;

const ARRAY: u8 = 1;
const LIST: u8 = 2;
/// Nesting no reader goes beyond; the limit on what comes in is lower.
const DEPTH_MAX: usize = 128;

/// Appends the value.
pub fn encode_value(value: &Value, out: &mut Writer) {
    match value {
        Value::Empty => out.u8(ValueType::Empty as u8),
        Value::String(text) => {
            out.u8(ValueType::String as u8);
            out.block(text.as_bytes());
        }
        Value::Bool(v) => {
            out.u8(ValueType::Bool as u8);
            out.u8(u8::from(*v));
        }
        Value::Int(v) => {
            out.u8(ValueType::Int as u8);
            out.varint(zigzag_encode(*v));
        }
        Value::Double(v) => {
            out.u8(ValueType::Double as u8);
            out.u64(v.to_bits());
        }
        Value::Bytes(bytes) => {
            out.u8(ValueType::Bytes as u8);
            out.block(bytes);
        }
        Value::Array(items) => {
            out.u8(ValueType::Composite as u8);
            out.u8(ARRAY);
            out.varint(items.len() as u64);
            items.iter().for_each(|item| encode_value(item, out));
        }
        Value::KeyValueList(items) => {
            out.u8(ValueType::Composite as u8);
            out.u8(LIST);
            out.varint(items.len() as u64);
            for item in items {
                out.block(item.key.as_bytes());
                encode_value(&item.value, out);
            }
        }
    }
}

/// Reads one value.
///
/// # Errors
/// Corrupt if the bytes are not what [`encode_value`] writes, or nested too deep.
pub fn decode_value(reader: &mut Reader<'_>) -> Result<Value> {
    decode_at(reader, 0)
}

fn decode_at(reader: &mut Reader<'_>, depth: usize) -> Result<Value> {
    ensure(depth <= DEPTH_MAX, || format!("value nested deeper than {DEPTH_MAX}"))?;
    Ok(match ValueType::from_code(reader.u8("value type")?)? {
        ValueType::Empty => Value::Empty,
        ValueType::String => Value::String(reader.text("string value")?.to_owned()),
        ValueType::Bool => Value::Bool(reader.u8("bool value")? != 0),
        ValueType::Int => Value::Int(zigzag_decode(reader.varint("int value")?)),
        ValueType::Double => Value::Double(f64::from_bits(reader.u64("double value")?)),
        ValueType::Bytes => Value::Bytes(reader.block("bytes value")?.to_vec()),
        ValueType::Composite => match reader.u8("composite kind")? {
            ARRAY => {
                let count = reader.count(1, "array items")?;
                Value::Array((0..count).map(|_| decode_at(reader, depth + 1)).collect::<Result<_>>()?)
            }
            LIST => {
                let count = reader.count(2, "list items")?;
                let item = |r: &mut Reader<'_>| -> Result<KeyValue> {
                    Ok(KeyValue { key: r.text("list key")?.to_owned(), value: decode_at(r, depth + 1)? })
                };
                Value::KeyValueList((0..count).map(|_| item(reader)).collect::<Result<_>>()?)
            }
            other => return Err(Error::corrupt(format!("composite kind {other} is unknown"))),
        },
    })
}

/// The word for the kind of an encoded composite, `array` or `kvlist`, told by its second byte alone.
///
/// # Errors
/// Corrupt if the bytes do not begin as [`encode_value`] begins a composite.
pub fn composite_word(encoded: &[u8]) -> Result<&'static str> {
    match encoded {
        [kind, ARRAY, ..] if *kind == ValueType::Composite as u8 => Ok("array"),
        [kind, LIST, ..] if *kind == ValueType::Composite as u8 => Ok("kvlist"),
        _ => Err(Error::corrupt("a composite value is neither array nor list")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_values_come_back_and_truncated_ones_are_errors() {
        let value = Value::Array(vec![
            Value::KeyValueList(vec![KeyValue::new("k", "v"), KeyValue::new("", -7i64)]),
            Value::Double(f64::NAN),
            Value::Bytes(vec![0, 255]),
            Value::Bool(true),
            Value::Empty,
        ]);
        let mut out = Writer::new();
        encode_value(&value, &mut out);
        assert_eq!(decode_value(&mut Reader::new(out.as_slice())).unwrap(), value);
        for len in 0..out.len() {
            assert!(decode_value(&mut Reader::new(&out.as_slice()[..len])).is_err(), "{len}");
        }
    }

    #[test]
    fn an_encoded_composite_tells_its_kind_by_its_first_bytes() {
        let word = |value: Value| {
            let mut out = Writer::new();
            encode_value(&value, &mut out);
            composite_word(out.as_slice()).ok()
        };
        assert_eq!(word(Value::Array(vec![])), Some("array"));
        assert_eq!(word(Value::KeyValueList(vec![KeyValue::new("k", 1i64)])), Some("kvlist"));
        assert_eq!(word(Value::Bytes(vec![ARRAY, ARRAY])), None);
        assert!(composite_word(&[]).is_err());
    }
}
