//! Which attribute keys there are, and how many distinct spans have each.
//!
//! A span counts once for a key, place and type, however often it has it. For spans, resources and scopes
//! the tables of a part tell; for events and links a walk over their classes. Only arrays and nested lists,
//! which share a column, are told apart by their values.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::Snapshot;
use crate::column::{Schema, Table, ValueType, composite_word};
use crate::error::{Error, Result};
use crate::model::{KeyValue, Scope, Span, Value, ValueRef};

use super::tag::TagScope;
use super::tally::{CleanPart, Tally};
use super::walk::RawValue;

/// A key with values of one type in one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttributeKeyCount {
    /// The key.
    pub key: String,
    /// Where it stands.
    pub scope: TagScope,
    /// `string`, `bool`, `int`, `double`, `bytes`, `array`, `kvlist` or `empty`.
    pub value_type: &'static str,
    /// Distinct spans that have it at least once.
    pub span_count: u64,
}

/// Key, place and type of an attribute.
type Kind<'a> = (&'a str, TagScope, &'static str);

/// The attribute keys by key, place and type. Name and version of a scope count as `otel.scope.name` and
/// `otel.scope.version` unless they are empty.
///
/// # Errors
/// Corrupt if a page or section it needs is damaged.
pub fn attribute_keys(snapshot: &Snapshot) -> Result<Vec<AttributeKeyCount>> {
    let tally = Tally::new(snapshot)?;
    let mut keys = KeyCounts::default();
    for part in tally.clean_parts() {
        let part = part?;
        count_fields(&part, &mut keys)?;
        for (resource, rows) in part.resources() {
            let mut kinds = FxHashSet::default();
            put_kinds(TagScope::Resource, &resource.attributes, &mut kinds);
            keys.add_all(&kinds, rows);
        }
        for (scope, rows) in part.scopes() {
            let mut kinds = FxHashSet::default();
            put_scope_kinds(scope, &mut kinds);
            keys.add_all(&kinds, rows);
        }
    }
    tally.each_dirty_span(|span| keys.add_all(&kinds_of(span), 1))?;
    Ok(keys.finish())
}

/// Spans by kind of attribute.
#[derive(Default)]
struct KeyCounts(FxHashMap<(TagScope, &'static str), FxHashMap<String, u64>>);

impl KeyCounts {
    fn add(&mut self, (key, scope, word): Kind<'_>, spans: u64) {
        if spans == 0 {
            return;
        }
        let keys = self.0.entry((scope, word)).or_default();
        match keys.get_mut(key) {
            Some(known) => *known += spans,
            None => drop(keys.insert(key.to_owned(), spans)),
        }
    }

    fn add_all(&mut self, kinds: &FxHashSet<Kind<'_>>, spans: u64) {
        kinds.iter().for_each(|kind| self.add(*kind, spans));
    }

    fn finish(self) -> Vec<AttributeKeyCount> {
        let mut out = Vec::new();
        for ((scope, value_type), keys) in self.0 {
            out.extend(keys.into_iter().map(|(key, span_count)| AttributeKeyCount {
                key,
                scope,
                value_type,
                span_count,
            }));
        }
        out.sort_unstable();
        out
    }
}

/// The texts of a scope that read as attributes of it.
pub fn scope_texts(scope: &Scope) -> impl Iterator<Item = (&'static str, &str)> {
    let texts = [("otel.scope.name", scope.name.as_str()), ("otel.scope.version", scope.version.as_str())];
    texts.into_iter().filter(|(_, text)| !text.is_empty())
}

fn word(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::KeyValueList(_) => "kvlist",
        scalar => ValueType::of(&ValueRef::from(scalar)).as_str(),
    }
}

fn put_kinds<'a>(scope: TagScope, attributes: &'a [KeyValue], kinds: &mut FxHashSet<Kind<'a>>) {
    kinds.extend(attributes.iter().map(|a| (a.key.as_str(), scope, word(&a.value))));
}

fn put_scope_kinds<'a>(scope: &'a Scope, kinds: &mut FxHashSet<Kind<'a>>) {
    put_kinds(TagScope::Scope, &scope.attributes, kinds);
    kinds.extend(scope_texts(scope).map(|(key, _)| (key, TagScope::Scope, ValueType::String.as_str())));
}

fn kinds_of(span: &Span) -> FxHashSet<Kind<'_>> {
    let mut kinds = FxHashSet::default();
    put_kinds(TagScope::Span, &span.attributes, &mut kinds);
    put_kinds(TagScope::Resource, &span.resource.attributes, &mut kinds);
    put_scope_kinds(&span.scope, &mut kinds);
    span.events.iter().for_each(|event| put_kinds(TagScope::Event, &event.attributes, &mut kinds));
    span.links.iter().for_each(|link| put_kinds(TagScope::Link, &link.attributes, &mut kinds));
    kinds
}

fn scope_of(table: Table) -> TagScope {
    match table {
        Table::Span => TagScope::Span,
        Table::Event => TagScope::Event,
        Table::Link => TagScope::Link,
    }
}

/// Counts the attributes of the spans, events and links of a part.
fn count_fields(part: &CleanPart<'_>, keys: &mut KeyCounts) -> Result<()> {
    let schema = part.source().schema();
    let fields_of_shape = distinct_fields(schema);
    let mut spans = vec![0; schema.fields.len()];
    for (class, rows) in part.classes() {
        fields_of_shape[class.shape as usize].iter().for_each(|field| spans[*field as usize] += rows);
    }
    for table in [Table::Event, Table::Link] {
        if schema.fields.iter().any(|field| field.table == table && !field.internal) {
            count_children(part, table, &fields_of_shape, &mut spans)?;
        }
    }
    for (code, (field, spans)) in schema.fields.iter().zip(spans).enumerate() {
        let (key, scope) = (part.source().text(field.key), scope_of(field.table));
        if field.value_type == ValueType::Composite && !field.internal && spans > 0 {
            count_composites(part, code as u32, |word, spans| keys.add((key, scope, word), spans))?;
        } else {
            keys.add((key, scope, field.value_type.as_str()), spans);
        }
    }
    Ok(())
}

/// The attribute fields of every shape, each once.
fn distinct_fields(schema: &Schema) -> Vec<Vec<u32>> {
    let attributes = |shape: &[u32]| {
        let mut fields: Vec<u32> =
            shape.iter().copied().filter(|field| !schema.fields[*field as usize].internal).collect();
        fields.sort_unstable();
        fields.dedup();
        fields
    };
    schema.shapes.iter().map(|shape| attributes(shape)).collect()
}

/// Counts for each field of the table the span rows with an event or link that has it.
fn count_children(part: &CleanPart<'_>, table: Table, fields_of_shape: &[Vec<u32>], spans: &mut [u64]) -> Result<()> {
    let classes = &part.source().schema().classes;
    // The row each field was counted for last: those of one span follow each other.
    let mut counted: Vec<Option<u32>> = vec![None; spans.len()];
    part.each_child(table, |row, class| {
        for &field in &fields_of_shape[classes[class as usize].shape as usize] {
            if counted[field as usize].replace(row) != Some(row) {
                spans[field as usize] += 1;
            }
        }
    })
}

/// Counts the span rows with an array, and those with a nested list, in a field of both.
fn count_composites(part: &CleanPart<'_>, field: u32, mut add: impl FnMut(&'static str, u64)) -> Result<()> {
    let mut walk = part.walk(field)?;
    let mut counted: FxHashMap<&'static str, (u32, u64)> = FxHashMap::default();
    while let Some(row) = walk.next()? {
        let (RawValue::Bytes(encoded) | RawValue::Entry(_, encoded)) = walk.value() else {
            return Err(Error::corrupt("a composite value is a number"));
        };
        let (last, spans) = counted.entry(composite_word(encoded)?).or_insert((row, 1));
        if *last != row {
            (*last, *spans) = (row, *spans + 1);
        }
    }
    counted.into_iter().for_each(|(word, (_, spans))| add(word, spans));
    Ok(())
}
