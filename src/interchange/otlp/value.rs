//! Attributes and their values: `KeyValue` and `AnyValue`.
//!
//! Scalars stay borrowed; an array or a nested list becomes an owned [`Value`], because its shape is a
//! tree. The walk goes down at most `depth_max` levels, so hostile nesting costs no stack.
//!
//! A field that occurs again continues the value read so far, as protobuf's merge rule says: the last
//! scalar wins, a second array is appended to the first.

use std::borrow::Cow;
use std::mem;

use super::wire::{Broken, Fields};
use crate::limits::Limits;
use crate::model::{Ascii, AttributeRef, KeyValue, RejectReason, Text, Value, ValueRef};

/// Levels of nesting that are followed whatever the limits say: the walk is recursive.
const DEPTH_HARD_MAX: usize = 128;

/// What a walk needs to know, and the first reason it met to refuse what it walks.
///
/// A walk goes on after such a reason, so that damaged framing is always found.
#[derive(Debug)]
pub struct Verdict {
    depth_max: usize,
    parts_max: usize,
    bytes_max: usize,
    /// Why the span (or the resource or scope) must be refused.
    pub reason: Option<RejectReason>,
}

impl Verdict {
    /// No reason yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            depth_max: limits.value_depth_max.min(DEPTH_HARD_MAX),
            parts_max: limits.span_parts_max,
            bytes_max: limits.span_bytes_max,
            reason: None,
        }
    }

    /// Notes a reason; the first one counts.
    #[cold]
    pub fn note(&mut self, reason: RejectReason) {
        self.reason.get_or_insert(reason);
    }

    /// The bytes as text, or the empty text and a reason.
    #[inline]
    pub fn checked<'a>(&mut self, bytes: &'a [u8]) -> Text<'a> {
        Text::new(bytes).unwrap_or_else(|| {
            self.note(RejectReason::NotUtf8);
            Text::default()
        })
    }

    /// The same, as a `str`.
    pub fn text<'a>(&mut self, bytes: &'a [u8]) -> &'a str {
        str::from_utf8(bytes).unwrap_or_else(|_| {
            self.note(RejectReason::NotUtf8);
            ""
        })
    }

    /// True if something of this many bytes may be read; else notes why not.
    pub fn admits_bytes(&mut self, len: usize) -> bool {
        let fits = len <= self.bytes_max;
        if !fits {
            self.note(RejectReason::TooLarge);
        }
        fits
    }

    /// True if one more part may join this many; else notes why not.
    #[inline]
    pub fn admits_part(&mut self, parts: usize) -> bool {
        let fits = parts < self.parts_max;
        if !fits {
            self.note(RejectReason::TooLarge);
        }
        fits
    }
}

/// Appends one `KeyValue` message to `out`.
#[inline]
pub fn read_attribute<'a>(
    fields: Fields<'a>,
    out: &mut Vec<AttributeRef<'a>>,
    verdict: &mut Verdict,
) -> Result<(), Broken> {
    let attribute = match common_attribute(fields.rest(), verdict) {
        Some(common) => common,
        None => {
            let (key, value) = read_key_value(fields, 0, verdict)?;
            AttributeRef { key, value }
        }
    };
    if verdict.admits_part(out.len()) {
        out.push(attribute);
    }
    Ok(())
}

/// A `KeyValue` in the shape that encoders write, key and value once and both short:
/// `0a len key, 12 len (0a len text | 18 number)`. Says the same as [`read_key_value`] in a fraction
/// of the time, or nothing.
#[inline]
fn common_attribute<'a>(message: &'a [u8], verdict: &mut Verdict) -> Option<AttributeRef<'a>> {
    let [0x0a, key_len @ ..0x80, rest @ ..] = message else { return None };
    let (key, rest) = rest.split_at_checked(usize::from(*key_len))?;
    let [0x12, value_len @ ..0x80, value @ ..] = rest else { return None };
    if value.len() != usize::from(*value_len) {
        return None;
    }
    let number = match value {
        [0x0a, len @ ..0x80, text @ ..] if text.len() == usize::from(*len) => {
            // Tags and lengths are ASCII here, so one look at the whole tells of both texts.
            if let Some(ascii) = Ascii::new(message) {
                let value = ascii.text(message.len() - text.len(), text.len())?;
                return Some(AttributeRef { key: ascii.text(2, key.len())?, value: ValueRef::String(value) });
            }
            let key = verdict.checked(key);
            return Some(AttributeRef { key, value: ValueRef::String(verdict.checked(text)) });
        }
        [0x18, number @ ..0x80] => i64::from(*number),
        [0x18, low @ 0x80..=0xff, high @ ..0x80] => i64::from(*low & 0x7f) | i64::from(*high) << 7,
        _ => return None,
    };
    Some(AttributeRef { key: verdict.checked(key), value: ValueRef::Int(number) })
}

#[inline(never)]
fn read_key_value<'a>(
    mut fields: Fields<'a>,
    depth: usize,
    verdict: &mut Verdict,
) -> Result<(Text<'a>, ValueRef<'a, Text<'a>>), Broken> {
    let (mut key, mut value) = (Text::default(), ValueRef::Empty);
    while let Some(tag) = fields.tag()? {
        match tag {
            0x0a => key = verdict.checked(fields.bytes()?),
            0x12 => read_value(fields.message()?, &mut value, depth, verdict)?,
            _ => fields.skip(tag, 1..=2)?,
        }
    }
    Ok((key, value))
}

/// Continues `value` with an `AnyValue` message at this depth of nesting.
fn read_value<'a>(
    mut fields: Fields<'a>,
    value: &mut ValueRef<'a, Text<'a>>,
    depth: usize,
    verdict: &mut Verdict,
) -> Result<(), Broken> {
    while let Some(tag) = fields.tag()? {
        match tag {
            0x0a => *value = ValueRef::String(verdict.checked(fields.bytes()?)),
            0x10 => *value = ValueRef::Bool(fields.varint()? != 0),
            0x18 => *value = ValueRef::Int(fields.varint()? as i64),
            0x21 => *value = ValueRef::Double(f64::from_bits(fields.fixed64()?)),
            0x2a => continue_array(fields.message()?, value, depth, verdict)?,
            0x32 => continue_list(fields.message()?, value, depth, verdict)?,
            0x3a => *value = ValueRef::Bytes(fields.bytes()?),
            _ => fields.skip(tag, 1..=7)?,
        }
    }
    Ok(())
}

#[cold]
fn continue_array<'a>(
    mut fields: Fields<'a>,
    value: &mut ValueRef<'a, Text<'a>>,
    depth: usize,
    verdict: &mut Verdict,
) -> Result<(), Broken> {
    if depth >= verdict.depth_max {
        verdict.note(RejectReason::TooDeep);
        return Ok(());
    }
    let mut items = match mem::replace(value, ValueRef::Empty) {
        ValueRef::Composite(Cow::Owned(Value::Array(items))) => items,
        _ => Vec::new(),
    };
    while let Some(tag) = fields.tag()? {
        match tag {
            0x0a => {
                let mut item = ValueRef::Empty;
                read_value(fields.message()?, &mut item, depth + 1, verdict)?;
                items.push(into_owned(item));
            }
            _ => fields.skip(tag, 1..=1)?,
        }
    }
    *value = ValueRef::Composite(Cow::Owned(Value::Array(items)));
    Ok(())
}

#[cold]
fn continue_list<'a>(
    mut fields: Fields<'a>,
    value: &mut ValueRef<'a, Text<'a>>,
    depth: usize,
    verdict: &mut Verdict,
) -> Result<(), Broken> {
    if depth >= verdict.depth_max {
        verdict.note(RejectReason::TooDeep);
        return Ok(());
    }
    let mut items = match mem::replace(value, ValueRef::Empty) {
        ValueRef::Composite(Cow::Owned(Value::KeyValueList(items))) => items,
        _ => Vec::new(),
    };
    while let Some(tag) = fields.tag()? {
        match tag {
            0x0a => {
                let (key, item) = read_key_value(fields.message()?, depth + 1, verdict)?;
                items.push(KeyValue { key: key.to_str().to_owned(), value: into_owned(item) });
            }
            _ => fields.skip(tag, 1..=1)?,
        }
    }
    *value = ValueRef::Composite(Cow::Owned(Value::KeyValueList(items)));
    Ok(())
}

/// The owned form of attributes.
pub fn own_attributes(attributes: &[AttributeRef<'_>]) -> Vec<KeyValue> {
    attributes.iter().map(|a| KeyValue { key: a.key.to_str().to_owned(), value: into_owned(a.value.clone()) }).collect()
}

fn into_owned(value: ValueRef<'_, Text<'_>>) -> Value {
    match value {
        ValueRef::Empty => Value::Empty,
        ValueRef::String(v) => Value::String(v.to_str().to_owned()),
        ValueRef::Bool(v) => Value::Bool(v),
        ValueRef::Int(v) => Value::Int(v),
        ValueRef::Double(v) => Value::Double(v),
        ValueRef::Bytes(v) => Value::Bytes(v.to_vec()),
        ValueRef::Composite(v) => v.into_owned(),
    }
}
