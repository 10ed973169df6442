//! Which attribute keys there are, and how many distinct spans have each.
//!
//! A span counts once for a key, place and type, however often it has it. For spans, resources and scopes
//! the tables of a part tell; for events and links a walk over their classes. Only arrays and nested lists,
//! which share a column, are told apart by their values.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::Snapshot;
use crate::column::{Field, Schema, Table, ValueType, composite_word};
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::model::{KeyValue, Scope, Span, Value, ValueRef};
use crate::part::ReadCounter;

use super::clean_part::CleanPart;
use super::list::{ListFilter, Listed, ReadBudget};
use super::tag::TagScope;
use super::tally::{ListRoom, Tally};
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
pub fn attribute_keys(
    snapshot: &Snapshot,
    filter: &ListFilter,
    limits: &Limits,
    counter: &ReadCounter,
) -> Result<Listed<AttributeKeyCount>> {
    let tally = Tally::new(snapshot, filter.selection(), limits, counter)?;
    let mut budget = ReadBudget::new(limits);
    let mut keys = KeyCounts { filter, counts: FxHashMap::default(), room: ListRoom::new(limits.result_bytes_max) };
    for part in tally.clean_parts() {
        let part = part?;
        count_fields(&part, &tally, &mut budget, &mut keys)?;
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
    tally.each_doubled_span(|span| keys.add_all(&kinds_of(span), 1))?;
    keys.room.tell(&tally);
    budget.tell(&tally);
    Ok(Listed::new(keys.finish(), filter, tally.into_reason()))
}

/// Spans by kind of attribute, of those kinds that the filter wants.
struct KeyCounts<'f> {
    filter: &'f ListFilter,
    counts: FxHashMap<(TagScope, &'static str), FxHashMap<String, u64>>,
    room: ListRoom,
}

impl KeyCounts<'_> {
    fn wants(&self, key: &str, scope: TagScope) -> bool {
        self.filter.looks_in(scope) && self.filter.begins(key)
    }

    fn add(&mut self, (key, scope, word): Kind<'_>, spans: u64) {
        if spans == 0 || !self.wants(key, scope) {
            return;
        }
        let keys = self.counts.entry((scope, word)).or_default();
        match keys.get_mut(key) {
            Some(known) => *known += spans,
            None if self.room.take(size_of::<AttributeKeyCount>() + key.len()) => {
                keys.insert(key.to_owned(), spans);
            }
            None => {}
        }
    }

    fn add_all(&mut self, kinds: &FxHashSet<Kind<'_>>, spans: u64) {
        kinds.iter().for_each(|kind| self.add(*kind, spans));
    }

    fn finish(self) -> Vec<AttributeKeyCount> {
        let mut out = Vec::new();
        for ((scope, value_type), keys) in self.counts {
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
        scalar => ValueType::of(&<ValueRef<'_>>::from(scalar)).as_str(),
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

/// Where the attributes of a table stand.
pub fn scope_of(table: Table) -> TagScope {
    match table {
        Table::Span => TagScope::Span,
        Table::Event => TagScope::Event,
        Table::Link => TagScope::Link,
    }
}

/// Counts the attributes of the spans, events and links of a part.
fn count_fields(
    part: &CleanPart<'_>,
    tally: &Tally<'_>,
    budget: &mut ReadBudget,
    keys: &mut KeyCounts<'_>,
) -> Result<()> {
    let schema = part.source().schema();
    let wanted = |field: &Field| !field.internal && keys.wants(part.source().text(field.key), scope_of(field.table));
    let wanted: Vec<bool> = schema.fields.iter().map(wanted).collect();
    let fields_of_shape = distinct_fields(schema, &wanted);
    let mut spans = vec![0; schema.fields.len()];
    for (class, rows) in part.classes() {
        fields_of_shape[class.shape as usize].iter().for_each(|field| spans[*field as usize] += rows);
    }
    for table in [Table::Event, Table::Link] {
        if schema.fields.iter().zip(&wanted).any(|(field, wanted)| field.table == table && *wanted) {
            count_children(part, table, &fields_of_shape, &mut spans)?;
        }
    }
    for (code, (field, spans)) in schema.fields.iter().zip(spans).enumerate() {
        let (key, scope) = (part.source().text(field.key), scope_of(field.table));
        if field.value_type == ValueType::Composite && wanted[code] && spans > 0 {
            count_composites(part, code as u32, spans, tally, budget, |word, spans| {
                keys.add((key, scope, word), spans);
            })?;
        } else {
            keys.add((key, scope, field.value_type.as_str()), spans);
        }
    }
    Ok(())
}

/// The wanted fields of every shape, each once.
fn distinct_fields(schema: &Schema, wanted: &[bool]) -> Vec<Vec<u32>> {
    let attributes = |shape: &[u32]| {
        let mut fields: Vec<u32> = shape.iter().copied().filter(|field| wanted[*field as usize]).collect();
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

/// Counts the span rows with an array, and those with a nested list, in a field of both that `spans` rows have.
fn count_composites(
    part: &CleanPart<'_>,
    field: u32,
    spans: u64,
    tally: &Tally<'_>,
    budget: &mut ReadBudget,
    mut add: impl FnMut(&'static str, u64),
) -> Result<()> {
    if let Some(dictionary) = part.dictionary(field)? {
        let words = dictionary.iter().map(composite_word).collect::<Result<FxHashSet<_>>>()?;
        if let (1, Some(word)) = (words.len(), words.iter().next()) {
            add(word, spans);
            return Ok(());
        }
    }
    let metered = part.is_read_in_full(field)?;
    if metered && !budget.has(1) {
        return Ok(());
    }
    let mut walk = part.walk(field, None)?;
    let mut counted: FxHashMap<&'static str, (u32, u64)> = FxHashMap::default();
    let begun = tally.counter().bytes();
    while let Some(row) = walk.next()? {
        let (RawValue::Bytes(encoded) | RawValue::Entry(_, encoded)) = walk.value() else {
            return Err(Error::corrupt("a composite value is a number"));
        };
        let (last, spans) = counted.entry(composite_word(encoded)?).or_insert((row, 1));
        if *last != row {
            (*last, *spans) = (row, *spans + 1);
        }
        if metered && !budget.has(tally.counter().bytes() - begun) {
            break;
        }
    }
    if metered {
        budget.spend(tally.counter().bytes() - begun);
    }
    counted.into_iter().for_each(|(word, (_, spans))| add(word, spans));
    Ok(())
}
