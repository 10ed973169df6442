//! Which values an attribute key has, and how many distinct spans have each.
//!
//! A span counts once for a value, be it on the span, its resource, its scope, an event or a link, and as
//! often as it likes. In a part with the key in its own columns, page by page, the values of each row are
//! brought together and made distinct; a part that has it on resources or scopes alone needs no page.
//!
//! Values are kept as bytes that sort as they do: the type's code, then what follows from it.
//!
//! ```text
//! string, bytes   as they are            bool, int   big-endian, the sign turned over
//! composite       as encoded             double      big-endian, in IEEE 754's total order
//! ```

use rustc_hash::FxHashMap;

use crate::bytes::{Reader, Writer};
use crate::catalog::Snapshot;
use crate::column::{NONE, Table, ValueType, decode_value, encode_value};
use crate::error::{Error, Result};
use crate::limits::PAGE_ROWS;
use crate::model::{KeyValue, Scope, Span, Value};

use super::attributes::scope_texts;
use super::compile::fields_of_key;
use super::tally::{CleanPart, Tally};
use super::walk::{RawValue, ValueWalk};

const SIGN: u64 = 1 << 63;

/// A value of an attribute key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeValueCount {
    /// The value: an array or nested list as a whole.
    pub value: Value,
    /// Distinct spans that have it at least once.
    pub span_count: u64,
}

/// The values of a key wherever it stands, the most frequent first; of equally frequent ones by type (string,
/// bool, int, double, bytes, array or list, empty), then by value. Takes memory for every distinct value.
///
/// # Errors
/// Corrupt if a page or section it needs is damaged.
pub fn attribute_values(snapshot: &Snapshot, key: &str) -> Result<Vec<AttributeValueCount>> {
    let tally = Tally::new(snapshot)?;
    let mut values = ValueCounts::default();
    for part in tally.clean_parts() {
        count_part(&part?, key, &mut values)?;
    }
    let mut ids = Vec::new();
    tally.each_dirty_span(|span| {
        ids.clear();
        values.put_span(span, key, &mut ids);
        values.add_each_once(&mut ids, 1);
    })?;
    values.finish()
}

/// Spans by value. Values have ids, in the order they were met.
#[derive(Default)]
struct ValueCounts {
    ids: FxHashMap<Box<[u8]>, u32>,
    counts: Vec<u64>,
    scratch: Vec<u8>,
}

impl ValueCounts {
    /// The id of a value as it is stored.
    fn id(&mut self, value_type: ValueType, raw: RawValue<'_>) -> u32 {
        self.scratch.clear();
        self.scratch.push(value_type as u8);
        match raw {
            RawValue::Number(bits) => self.scratch.extend(sortable(value_type, bits).to_be_bytes()),
            RawValue::Bytes(bytes) | RawValue::Entry(_, bytes) => self.scratch.extend_from_slice(bytes),
        }
        if let Some(id) = self.ids.get(self.scratch.as_slice()) {
            return *id;
        }
        let id = self.counts.len() as u32;
        self.ids.insert(self.scratch.as_slice().into(), id);
        self.counts.push(0);
        id
    }

    fn id_of(&mut self, value: &Value) -> u32 {
        match value {
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
        }
    }

    fn put_list(&mut self, attributes: &[KeyValue], key: &str, out: &mut Vec<u32>) {
        let values = attributes.iter().filter(|a| a.key == key);
        out.extend(values.map(|a| self.id_of(&a.value)));
    }

    fn put_scope(&mut self, scope: &Scope, key: &str, out: &mut Vec<u32>) {
        self.put_list(&scope.attributes, key, out);
        let texts = scope_texts(scope).filter(|(name, _)| *name == key);
        out.extend(texts.map(|(_, text)| self.id(ValueType::String, RawValue::Bytes(text.as_bytes()))));
    }

    fn put_span(&mut self, span: &Span, key: &str, out: &mut Vec<u32>) {
        self.put_list(&span.attributes, key, out);
        self.put_list(&span.resource.attributes, key, out);
        self.put_scope(&span.scope, key, out);
        span.events.iter().for_each(|event| self.put_list(&event.attributes, key, out));
        span.links.iter().for_each(|link| self.put_list(&link.attributes, key, out));
    }

    fn add_each_once(&mut self, ids: &mut Vec<u32>, spans: u64) {
        ids.sort_unstable();
        ids.dedup();
        ids.iter().for_each(|id| self.counts[*id as usize] += spans);
    }

    fn finish(self) -> Result<Vec<AttributeValueCount>> {
        let counts = self.counts;
        let mut found: Vec<(Box<[u8]>, u64)> =
            self.ids.into_iter().map(|(value, id)| (value, counts[id as usize])).filter(|(_, n)| *n > 0).collect();
        found.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let value =
            |(bytes, span_count): (Box<[u8]>, u64)| Ok(AttributeValueCount { value: value_of(&bytes)?, span_count });
        found.into_iter().map(value).collect()
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
    let bits =
        || -> Result<u64> { Ok(unsortable(value_type, u64::from_be_bytes(Reader::new(bytes).array::<8>("number")?))) };
    Ok(match value_type {
        ValueType::Empty => Value::Empty,
        ValueType::Bool => Value::Bool(bits()? != 0),
        ValueType::Int => Value::Int(bits()? as i64),
        ValueType::Double => Value::Double(f64::from_bits(bits()?)),
        ValueType::Bytes => Value::Bytes(bytes.to_vec()),
        ValueType::Composite => decode_value(&mut Reader::new(bytes))?,
        ValueType::String => {
            let text = std::str::from_utf8(bytes).map_err(|_| Error::corrupt("a text is not UTF-8"))?;
            Value::String(text.to_owned())
        }
    })
}

/// The values of one field of the key, at the first that was not yet taken.
struct FieldValues<'t> {
    walk: Box<dyn ValueWalk + 't>,
    value_type: ValueType,
    row: Option<u32>,
    /// Ids of dictionary entries by code, as far as they were met.
    entries: Vec<u32>,
}

impl FieldValues<'_> {
    /// Takes the values of the rows before `end`, with their rows.
    fn take_before(&mut self, end: u32, values: &mut ValueCounts, out: &mut Vec<(u32, u32)>) -> Result<()> {
        while let Some(row) = self.row.filter(|row| *row < end) {
            out.push((row, self.id(values)));
            self.row = self.walk.next()?;
        }
        Ok(())
    }

    fn id(&mut self, values: &mut ValueCounts) -> u32 {
        let raw = self.walk.value();
        let RawValue::Entry(code, _) = raw else { return values.id(self.value_type, raw) };
        let code = code as usize;
        if self.entries.len() <= code {
            self.entries.resize(code + 1, NONE);
        }
        if self.entries[code] == NONE {
            self.entries[code] = values.id(self.value_type, raw);
        }
        self.entries[code]
    }
}

/// The values that every row of a resource or scope has, by code.
struct Constants {
    of_resource: Vec<Vec<u32>>,
    of_scope: Vec<Vec<u32>>,
}

impl Constants {
    fn new(part: &CleanPart<'_>, key: &str, values: &mut ValueCounts) -> Self {
        let (mut of_resource, mut of_scope) = (Vec::new(), Vec::new());
        for (resource, _) in part.resources() {
            let mut ids = Vec::new();
            values.put_list(&resource.attributes, key, &mut ids);
            of_resource.push(ids);
        }
        for (scope, _) in part.scopes() {
            let mut ids = Vec::new();
            values.put_scope(scope, key, &mut ids);
            of_scope.push(ids);
        }
        Self { of_resource, of_scope }
    }
}

fn count_part(part: &CleanPart<'_>, key: &str, values: &mut ValueCounts) -> Result<()> {
    let mut constants = Constants::new(part, key, values);
    let on_resources = constants.of_resource.iter().any(|ids| !ids.is_empty());
    let on_scopes = constants.of_scope.iter().any(|ids| !ids.is_empty());
    let tables = [Table::Span, Table::Event, Table::Link];
    let fields: Vec<u32> = tables.iter().flat_map(|table| fields_of_key(part.source(), *table, key)).collect();
    if fields.is_empty() && !(on_resources && on_scopes) {
        for (ids, (_, rows)) in constants.of_resource.iter_mut().zip(part.resources()) {
            values.add_each_once(ids, rows);
        }
        for (ids, (_, rows)) in constants.of_scope.iter_mut().zip(part.scopes()) {
            values.add_each_once(ids, rows);
        }
        return Ok(());
    }
    let constants = (on_resources || on_scopes).then_some(constants);
    count_pages(part, &fields, constants.as_ref(), values)
}

/// Counts the values of every clean row, a page at a time.
fn count_pages(
    part: &CleanPart<'_>,
    fields: &[u32],
    constants: Option<&Constants>,
    values: &mut ValueCounts,
) -> Result<()> {
    let mut columns = Vec::with_capacity(fields.len());
    for &field in fields {
        let value_type = part.source().schema().fields[field as usize].value_type;
        let mut walk = part.walk(field)?;
        let row = walk.next()?;
        columns.push(FieldValues { walk, value_type, row, entries: Vec::new() });
    }
    let mut found: Vec<(u32, u32)> = Vec::new();
    for page in 0..part.page_count() {
        let first = page * PAGE_ROWS as u32;
        found.clear();
        for column in &mut columns {
            column.take_before(first.saturating_add(PAGE_ROWS as u32), values, &mut found)?;
        }
        if let Some(constants) = constants {
            put_constants(part, page, constants, &mut found)?;
        }
        found.sort_unstable();
        found.dedup();
        found.iter().for_each(|(_, id)| values.counts[*id as usize] += 1);
    }
    Ok(())
}

/// The values that the clean rows of a page have from their resources and scopes, with the rows.
fn put_constants(part: &CleanPart<'_>, page: u32, constants: &Constants, out: &mut Vec<(u32, u32)>) -> Result<()> {
    let schema = part.source().schema();
    let (mut classes, mut resources) = (Vec::new(), Vec::new());
    part.pages().classes(page, &mut classes)?;
    part.pages().resources(page, &mut resources)?;
    for (at, (class, resource)) in classes.iter().zip(&resources).enumerate() {
        let row = page * PAGE_ROWS as u32 + at as u32;
        if !part.is_clean(row) {
            continue;
        }
        let scope = schema.classes[*class as usize].scope;
        let lists = [constants.of_resource.get(*resource as usize), constants.of_scope.get(scope as usize)];
        out.extend(lists.into_iter().flatten().flatten().map(|id| (row, *id)));
    }
    Ok(())
}
