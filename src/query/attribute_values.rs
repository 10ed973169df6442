//! Which values an attribute key has, and how many distinct spans have each.
//!
//! A span counts once for a value, be it on the span, its resource, its scope, an event or a link, and as
//! often as it likes. How much is read for that depends on where a part has the key:
//!
//! ```text
//! on resources or on scopes alone               its tables, no page
//! on spans alone, once each, in a dictionary    the dictionary's counts; if many rows do not count, the pages
//!                                               of codes where a wanted entry stands
//! else                                          its columns page by page: the values of each row are brought
//!                                               together and made distinct
//! ```
//! A dictionary without a wanted value is not looked at further. Columns without a dictionary are read up to
//! [`Limits::list_read_bytes_max`].

use crate::catalog::Snapshot;
use crate::column::{Class, Table, ValueType};
use crate::error::{Result, ensure};
use crate::index::PageSet;
use crate::limits::{Limits, PAGE_ROWS};
use crate::model::Value;
use crate::part::ReadCounter;
use crate::segment::DictionaryView;

use super::attributes::scope_of;
use super::clean_part::CleanPart;
use super::compile::fields_of_key;
use super::list::{ListFilter, Listed, ReadBudget};
use super::tag::TagScope;
use super::tally::Tally;
use super::value_counts::ValueCounts;
use super::walk::{RawValue, ValueWalk};

/// A value of an attribute key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeValueCount {
    /// The value: an array or nested list as a whole.
    pub value: Value,
    /// Distinct spans that have it at least once.
    pub span_count: u64,
}

/// The values of a key, the most frequent first; of equally frequent ones by type (string, bool, int, double,
/// bytes, array or list, empty), then by value. The prefix is that of the value's text.
///
/// # Errors
/// Corrupt if a page or section it needs is damaged.
pub fn attribute_values(
    snapshot: &Snapshot,
    key: &str,
    filter: &ListFilter,
    limits: &Limits,
    counter: &ReadCounter,
) -> Result<Listed<AttributeValueCount>> {
    let tally = Tally::new(snapshot, filter.selection(), limits, counter)?;
    let mut values = ValueCounts::new(filter, limits.result_bytes_max);
    let mut budget = ReadBudget::new(limits);
    for part in tally.clean_parts() {
        let mut reader = ValueReader { counter, budget: &mut budget, values: &mut values };
        reader.count_part(&part?, key, filter)?;
    }
    let mut ids = Vec::new();
    tally.each_doubled_span(|span| {
        ids.clear();
        values.put_span(span, key, &mut ids);
        values.add_each_once(&mut ids, 1);
    })?;
    budget.tell(&tally);
    values.finish(tally)
}

/// Which values of the fields of a key a part counts, and how.
struct ValueReader<'r, 'f> {
    counter: &'r ReadCounter,
    budget: &'r mut ReadBudget,
    values: &'r mut ValueCounts<'f>,
}

/// A dictionary entry not met so far, and one that is not wanted.
const UNKNOWN: u32 = u32::MAX;
const UNWANTED: u32 = u32::MAX - 1;
/// Entries of a dictionary up to which the term index is asked for each.
const ENTRIES_ASKED_MAX: usize = 256;

/// The values of one field of the key, at the first that was not yet taken.
struct FieldValues<'t> {
    walk: Box<dyn ValueWalk + 't>,
    value_type: ValueType,
    row: Option<u32>,
    /// Ids of dictionary entries by code, as far as they were met.
    entries: Vec<u32>,
}

impl<'t> FieldValues<'t> {
    fn new(part: &'t CleanPart<'_>, field: u32, within: Option<&PageSet>) -> Result<Self> {
        let value_type = part.source().schema().fields[field as usize].value_type;
        let mut walk = part.walk(field, within)?;
        let row = walk.next()?;
        Ok(Self { walk, value_type, row, entries: Vec::new() })
    }

    /// Takes the values of the rows before `end`, with their rows.
    fn take_before(&mut self, end: u32, values: &mut ValueCounts<'_>, out: &mut Vec<(u32, u32)>) -> Result<()> {
        while let Some(row) = self.row.filter(|row| *row < end) {
            out.extend(self.id(values)?.map(|id| (row, id)));
            self.row = self.walk.next()?;
        }
        Ok(())
    }

    fn id(&mut self, values: &mut ValueCounts<'_>) -> Result<Option<u32>> {
        let raw = self.walk.value();
        let RawValue::Entry(code, _) = raw else { return values.id(self.value_type, raw) };
        let code = code as usize;
        if self.entries.len() <= code {
            self.entries.resize(code + 1, UNKNOWN);
        }
        if self.entries[code] == UNKNOWN {
            self.entries[code] = values.id(self.value_type, raw)?.unwrap_or(UNWANTED);
        }
        Ok(Some(self.entries[code]).filter(|id| *id != UNWANTED))
    }
}

/// The values that every row of a resource or scope has, by code.
struct Constants {
    of_resource: Vec<Vec<u32>>,
    of_scope: Vec<Vec<u32>>,
}

impl Constants {
    fn new(part: &CleanPart<'_>, key: &str, values: &mut ValueCounts<'_>) -> Self {
        let (mut of_resource, mut of_scope) = (Vec::new(), Vec::new());
        for (resource, rows) in part.resources() {
            let mut ids = Vec::new();
            if rows > 0 {
                values.put_list(TagScope::Resource, &resource.attributes, key, &mut ids);
            }
            of_resource.push(ids);
        }
        for (scope, rows) in part.scopes() {
            let mut ids = Vec::new();
            if rows > 0 {
                values.put_scope(scope, key, &mut ids);
            }
            of_scope.push(ids);
        }
        Self { of_resource, of_scope }
    }

    /// Counts them from the tables of the part: right if no row has values from two places.
    fn count(&mut self, part: &CleanPart<'_>, values: &mut ValueCounts<'_>) {
        for (ids, (_, rows)) in self.of_resource.iter_mut().zip(part.resources()) {
            values.add_each_once(ids, rows);
        }
        for (ids, (_, rows)) in self.of_scope.iter_mut().zip(part.scopes()) {
            values.add_each_once(ids, rows);
        }
    }

    /// The values that the rows of a page have from their resources and scopes, with the rows.
    fn put_page(&self, part: &CleanPart<'_>, page: u32, out: &mut Vec<(u32, u32)>) -> Result<()> {
        let classes = &part.source().schema().classes;
        part.each_row(page, |row, class, resource| {
            let scope = classes[class as usize].scope;
            let lists = [self.of_resource.get(resource as usize), self.of_scope.get(scope as usize)];
            out.extend(lists.into_iter().flatten().flatten().map(|id| (row, *id)));
        })
    }
}

impl ValueReader<'_, '_> {
    fn count_part(&mut self, part: &CleanPart<'_>, key: &str, filter: &ListFilter) -> Result<()> {
        let mut constants = Constants::new(part, key, self.values);
        let on_resources = constants.of_resource.iter().any(|ids| !ids.is_empty());
        let on_scopes = constants.of_scope.iter().any(|ids| !ids.is_empty());
        let tables = [Table::Span, Table::Event, Table::Link].into_iter().filter(|t| filter.looks_in(scope_of(*t)));
        let mut fields: Vec<u32> = tables.flat_map(|table| fields_of_key(part.source(), table, key)).collect();
        let mut met = Vec::with_capacity(fields.len());
        for field in fields {
            if may_be_met(part, field) && self.wants_any(part, field)? {
                met.push(field);
            }
        }
        fields = met;
        if fields.is_empty() && !(on_resources && on_scopes) {
            constants.count(part, self.values);
            return Ok(());
        }
        if !on_resources && !on_scopes && fields.iter().all(|field| stands_once(part, *field)) {
            return fields.into_iter().try_for_each(|field| self.count_field(part, field));
        }
        self.count_pages(part, &fields, (on_resources || on_scopes).then_some(&constants))
    }

    /// False if the field has a dictionary without a wanted value.
    fn wants_any(&self, part: &CleanPart<'_>, field: u32) -> Result<bool> {
        let Some(dictionary) = part.dictionary(field)? else { return Ok(true) };
        let value_type = part.source().schema().fields[field as usize].value_type;
        for entry in dictionary.iter() {
            if self.values.wants(value_type, RawValue::Bytes(entry))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Counts the values of a span field that no row has twice, and no row with it has from elsewhere.
    fn count_field(&mut self, part: &CleanPart<'_>, field: u32) -> Result<()> {
        let Some(dictionary) = part.dictionary(field)? else {
            let columns = [field];
            return self.count_pages(part, &columns, None);
        };
        let value_type = part.source().schema().fields[field as usize].value_type;
        if part.has_all_of(field) && self.count_entries(part, field, dictionary, value_type)? {
            return Ok(());
        }
        let mut wanted = Vec::new();
        for entry in dictionary.iter() {
            if wanted.len() <= ENTRIES_ASKED_MAX && self.values.wants(value_type, RawValue::Bytes(entry))? {
                wanted.push(entry);
            }
        }
        let few = wanted.len() <= ENTRIES_ASKED_MAX;
        let within = if few { part.entry_pages(field, &wanted) } else { None };
        let mut column = FieldValues::new(part, field, within.as_ref())?;
        while column.row.is_some() {
            if let Some(id) = column.id(self.values)? {
                self.values.add(id, 1);
            }
            column.row = column.walk.next()?;
        }
        Ok(())
    }

    /// Counts the entries of a dictionary as often as it says that they occur, less what was left out; false,
    /// with nothing counted, if that is too much.
    fn count_entries(
        &mut self,
        part: &CleanPart<'_>,
        field: u32,
        dictionary: DictionaryView<'_>,
        value_type: ValueType,
    ) -> Result<bool> {
        let mut counts: Vec<u64> = (0..dictionary.len() as u32).map(|code| dictionary.count(code)).collect();
        let mut sound = true;
        let done = part.each_left_out_value(field, |raw| match raw {
            RawValue::Entry(code, _) if counts[code as usize] > 0 => counts[code as usize] -= 1,
            _ => sound = false,
        })?;
        ensure(sound, || format!("a dictionary entry of field {field} occurs more often than it says"))?;
        if done {
            for (entry, spans) in dictionary.iter().zip(counts).filter(|(_, spans)| *spans > 0) {
                if let Some(id) = self.values.id(value_type, RawValue::Bytes(entry))? {
                    self.values.add(id, spans);
                }
            }
        }
        Ok(done)
    }

    /// Counts the values of every row that counts, a page at a time.
    fn count_pages(&mut self, part: &CleanPart<'_>, fields: &[u32], constants: Option<&Constants>) -> Result<()> {
        let mut metered = false;
        for field in fields {
            metered |= part.is_read_in_full(*field)?;
        }
        if metered && !self.budget.has(1) {
            return Ok(());
        }
        let begun = self.counter.bytes();
        let columns = fields.iter().map(|field| FieldValues::new(part, *field, None));
        let mut columns = columns.collect::<Result<Vec<_>>>()?;
        let mut found: Vec<(u32, u32)> = Vec::new();
        for page in part.pages().iter() {
            if metered && !self.budget.has(self.counter.bytes() - begun) {
                break;
            }
            found.clear();
            let end = (page * PAGE_ROWS as u32).saturating_add(PAGE_ROWS as u32);
            for column in &mut columns {
                column.take_before(end, self.values, &mut found)?;
            }
            if let Some(constants) = constants {
                constants.put_page(part, page, &mut found)?;
            }
            found.sort_unstable();
            found.dedup();
            found.iter().for_each(|(_, id)| self.values.add(*id, 1));
        }
        if metered {
            self.budget.spend(self.counter.bytes() - begun);
        }
        Ok(())
    }
}

/// False if no row that counts has the span field; of others the classes of spans do not tell.
fn may_be_met(part: &CleanPart<'_>, field: u32) -> bool {
    let schema = part.source().schema();
    schema.fields[field as usize].table != Table::Span
        || part.classes().any(|(class, _)| schema.shapes[class.shape as usize].contains(&field))
}

/// True if it is a span field that no row that counts has twice.
fn stands_once(part: &CleanPart<'_>, field: u32) -> bool {
    let schema = part.source().schema();
    let times = |class: &Class| schema.shapes[class.shape as usize].iter().filter(|f| **f == field).count();
    schema.fields[field as usize].table == Table::Span && part.classes().all(|(class, _)| times(class) <= 1)
}
