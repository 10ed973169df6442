//! Counts of distinct values.
//!
//! Values are kept as bytes that sort as they do: the type's code, then what follows from it.
//!
//! ```text
//! string, bytes   as they are            bool, int   big-endian, the sign turned over
//! composite       as encoded             double      big-endian, in IEEE 754's total order
//! ```

use rustc_hash::FxHashMap;

use crate::bytes::{Reader, Writer};
use crate::column::{ValueType, decode_value, encode_value};
use crate::error::{Error, Result};
use crate::model::{KeyValue, Scope, Span, Value};

use super::attribute_values::AttributeValueCount;
use super::attributes::scope_texts;
use super::list::{ListFilter, Listed};
use super::tag::TagScope;
use super::tally::{ListRoom, Tally};
use super::text::text_of;
use super::walk::RawValue;

const SIGN: u64 = 1 << 63;

/// Spans by value, of those values that the filter wants. Values have ids, in the order they were met.
pub struct ValueCounts<'f> {
    filter: &'f ListFilter,
    ids: FxHashMap<Box<[u8]>, u32>,
    counts: Vec<u64>,
    room: ListRoom,
    scratch: Vec<u8>,
}

/// Bytes a value takes beside its own: an entry of the map, half of whose places may be free, and a count.
const VALUE_ENTRY_BYTES: usize = 2 * size_of::<(Box<[u8]>, u32)>() + size_of::<u64>();

impl<'f> ValueCounts<'f> {
    /// No value yet, and room for so many bytes of them.
    pub fn new(filter: &'f ListFilter, bytes_max: usize) -> Self {
        let (ids, counts, scratch) = (FxHashMap::default(), Vec::new(), Vec::new());
        Self { filter, ids, counts, room: ListRoom::new(bytes_max), scratch }
    }

    /// True if the text of the value begins as wanted.
    ///
    /// # Errors
    /// As [`ValueCounts::id`].
    pub fn wants(&self, value_type: ValueType, raw: RawValue<'_>) -> Result<bool> {
        if self.filter.prefix.is_empty() {
            return Ok(true);
        }
        Ok(match (value_type, raw) {
            (ValueType::String, RawValue::Bytes(bytes) | RawValue::Entry(_, bytes)) => {
                bytes.starts_with(self.filter.prefix.as_bytes())
            }
            (_, RawValue::Number(bits)) => self.filter.begins(&text_of(&number(value_type, bits))),
            (_, RawValue::Bytes(bytes) | RawValue::Entry(_, bytes)) => {
                self.filter.begins(&text_of(&bytes_value(value_type, bytes)?))
            }
        })
    }

    /// The id of a value as it is stored; `None` if it is not wanted or finds no room.
    ///
    /// # Errors
    /// Corrupt if the value is not of its type; so do all methods here.
    pub fn id(&mut self, value_type: ValueType, raw: RawValue<'_>) -> Result<Option<u32>> {
        if !self.wants(value_type, raw)? {
            return Ok(None);
        }
        self.scratch.clear();
        self.scratch.push(value_type as u8);
        match raw {
            RawValue::Number(bits) => self.scratch.extend(sortable(value_type, bits).to_be_bytes()),
            RawValue::Bytes(bytes) | RawValue::Entry(_, bytes) => self.scratch.extend_from_slice(bytes),
        }
        if let Some(id) = self.ids.get(self.scratch.as_slice()) {
            return Ok(Some(*id));
        }
        if !self.room.take(VALUE_ENTRY_BYTES + self.scratch.len()) {
            return Ok(None);
        }
        let id = self.counts.len() as u32;
        self.ids.insert(self.scratch.as_slice().into(), id);
        self.counts.push(0);
        Ok(Some(id))
    }

    fn id_of(&mut self, value: &Value) -> Option<u32> {
        let id = match value {
            Value::Empty => self.id(ValueType::Empty, RawValue::Number(0)),
            Value::String(text) => self.id(ValueType::String, RawValue::Bytes(text.as_bytes())),
            Value::Bool(v) => self.id(ValueType::Bool, RawValue::Number((*v).into())),
            Value::Int(v) => self.id(ValueType::Int, RawValue::Number(*v as u64)),
            Value::Double(v) => self.id(ValueType::Double, RawValue::Number(v.to_bits())),
            Value::Bytes(bytes) => self.id(ValueType::Bytes, RawValue::Bytes(bytes)),
            Value::Array(_) | Value::KeyValueList(_) => {
                let mut encoded = Writer::new();
                encode_value(value, &mut encoded);
                self.id(ValueType::Composite, RawValue::Bytes(encoded.as_slice()))
            }
        };
        // What was just encoded decodes.
        id.unwrap_or_default()
    }

    /// Adds the ids of the wanted values of a key in this list of attributes, which stands in this place.
    pub fn put_list(&mut self, scope: TagScope, attributes: &[KeyValue], key: &str, out: &mut Vec<u32>) {
        if self.filter.looks_in(scope) {
            let values = attributes.iter().filter(|a| a.key == key);
            out.extend(values.filter_map(|a| self.id_of(&a.value)));
        }
    }

    /// The same of a scope.
    pub fn put_scope(&mut self, scope: &Scope, key: &str, out: &mut Vec<u32>) {
        self.put_list(TagScope::Scope, &scope.attributes, key, out);
        if self.filter.looks_in(TagScope::Scope) {
            let texts = scope_texts(scope).filter(|(name, _)| *name == key);
            out.extend(texts.filter_map(|(_, text)| self.id_of(&Value::from(text))));
        }
    }

    /// The same of a span, wherever the key stands.
    pub fn put_span(&mut self, span: &Span, key: &str, out: &mut Vec<u32>) {
        self.put_list(TagScope::Span, &span.attributes, key, out);
        self.put_list(TagScope::Resource, &span.resource.attributes, key, out);
        self.put_scope(&span.scope, key, out);
        span.events.iter().for_each(|event| self.put_list(TagScope::Event, &event.attributes, key, out));
        span.links.iter().for_each(|link| self.put_list(TagScope::Link, &link.attributes, key, out));
    }

    /// Counts so many spans more for a value.
    pub fn add(&mut self, id: u32, spans: u64) {
        self.counts[id as usize] += spans;
    }

    /// The same for several values, each of which counts once; sorts them.
    pub fn add_each_once(&mut self, ids: &mut Vec<u32>, spans: u64) {
        ids.sort_unstable();
        ids.dedup();
        ids.iter().for_each(|id| self.counts[*id as usize] += spans);
    }

    /// The values that some span has, the most frequent first.
    ///
    /// # Errors
    /// As [`ValueCounts::id`].
    pub fn finish(self, tally: Tally<'_>) -> Result<Listed<AttributeValueCount>> {
        self.room.tell(&tally);
        let reason = tally.into_reason();
        let counts = self.counts;
        let mut found: Vec<(Box<[u8]>, u64)> =
            self.ids.into_iter().map(|(value, id)| (value, counts[id as usize])).filter(|(_, n)| *n > 0).collect();
        found.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let Listed { items, more, complete, reason, .. } = Listed::new(found, self.filter, reason);
        let value =
            |(bytes, span_count): (Box<[u8]>, u64)| Ok(AttributeValueCount { value: value_of(&bytes)?, span_count });
        let items = items.into_iter().map(value).collect::<Result<_>>()?;
        Ok(Listed { items, more, complete, reason })
    }
}

/// The bits of a number so that they rise as the numbers of its type do.
fn sortable(value_type: ValueType, bits: u64) -> u64 {
    match value_type {
        ValueType::Double if bits & SIGN != 0 => !bits,
        ValueType::Double | ValueType::Int => bits ^ SIGN,
        _ => bits,
    }
}

/// Undoes [`sortable`].
fn unsortable(value_type: ValueType, sorted: u64) -> u64 {
    match value_type {
        ValueType::Double if sorted & SIGN == 0 => !sorted,
        ValueType::Double | ValueType::Int => sorted ^ SIGN,
        _ => sorted,
    }
}

fn value_of(kept: &[u8]) -> Result<Value> {
    let mut reader = Reader::new(kept);
    let value_type = ValueType::from_code(reader.u8("value type")?)?;
    let bytes = reader.bytes(reader.remaining(), "value")?;
    if value_type.is_bytes() {
        return bytes_value(value_type, bytes);
    }
    let sorted = u64::from_be_bytes(Reader::new(bytes).array::<8>("number")?);
    Ok(number(value_type, unsortable(value_type, sorted)))
}

/// The value of this type that is stored so.
///
/// # Errors
/// Corrupt if it is not of its type.
pub fn raw_value(value_type: ValueType, raw: RawValue<'_>) -> Result<Value> {
    match raw {
        RawValue::Number(bits) => Ok(number(value_type, bits)),
        RawValue::Bytes(bytes) | RawValue::Entry(_, bytes) => bytes_value(value_type, bytes),
    }
}

fn number(value_type: ValueType, bits: u64) -> Value {
    match value_type {
        ValueType::Bool => Value::Bool(bits != 0),
        ValueType::Int => Value::Int(bits as i64),
        ValueType::Double => Value::Double(f64::from_bits(bits)),
        _ => Value::Empty,
    }
}

fn bytes_value(value_type: ValueType, bytes: &[u8]) -> Result<Value> {
    Ok(match value_type {
        ValueType::Bytes => Value::Bytes(bytes.to_vec()),
        ValueType::Composite => decode_value(&mut Reader::new(bytes))?,
        _ => {
            let text = std::str::from_utf8(bytes).map_err(|_| Error::corrupt("a text is not UTF-8"))?;
            Value::String(text.to_owned())
        }
    })
}
