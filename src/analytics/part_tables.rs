//! What the classes, resources and scopes of one part say about the keys of a grouping.

use rustc_hash::FxHashMap;

use crate::column::{Class, ClassBits, NONE, RowSource, Table, ValueType};
use crate::error::{Error, Result};
use crate::model::{StatusCode, Value};
use crate::query::{FieldOf, MatchPart, MatchedPage, RawValue, raw_value, text_of};

use super::group_key::{GroupKey, scope_text, text_in};
use super::groups::{Code, Groups, NO_ROOM, NULL, ROOT};
use super::step_groups::StepGroups;

/// The sample is an error.
pub const ERROR: u8 = 1;
/// The sample has a duration.
pub const DURATION: u8 = 2;

/// Not yet known; no code or node is so large.
pub(super) const UNKNOWN: u32 = u32::MAX - 1;

/// The tables of one part.
pub struct PartTables {
    /// [`ERROR`] and [`DURATION`] of every class.
    pub facts: Vec<u8>,
    /// The node that a class's own keys lead to.
    nodes: Vec<u32>,
    attributes: Vec<AttributeTable>,
    /// Groups of classes in steps of time.
    pub in_steps: StepGroups,
}

impl PartTables {
    /// Tables for these keys of attributes.
    pub fn new<'k>(part: &MatchPart<'_>, keys: impl Iterator<Item = &'k str>, groups: &mut Groups) -> Self {
        let facts = |class: &Class| {
            let error = if class.status == StatusCode::ERROR { ERROR } else { 0 };
            error | if class.bits.has(ClassBits::NO_DURATION) { 0 } else { DURATION }
        };
        Self {
            facts: part.classes().iter().map(facts).collect(),
            nodes: vec![UNKNOWN; part.classes().len()],
            attributes: keys.map(|key| AttributeTable::new(part, key, groups)).collect(),
            in_steps: StepGroups::default(),
        }
    }

    /// The node that the keys of its class lead a row to.
    pub fn node(&mut self, class: u32, keys: &[GroupKey], part: &MatchPart<'_>, groups: &mut Groups) -> u32 {
        let known = self.nodes[class as usize];
        if known != UNKNOWN {
            return known;
        }
        let (tables, of) = (part.tables(), &part.classes()[class as usize]);
        let node = keys.iter().fold(ROOT, |node, key| {
            let code = groups.code(text_of_class(key, of, tables));
            groups.step(node, code)
        });
        self.nodes[class as usize] = node;
        node
    }

    /// Moves the nodes of the given rows of a page on by the code of each attribute.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn step_by_attributes(
        &mut self,
        page: &MatchedPage<'_>,
        rows: &[u16],
        nodes: &mut [u32],
        groups: &mut Groups,
    ) -> Result<()> {
        for table in &mut self.attributes {
            let codes = table.codes(page, rows, groups)?;
            for (node, row) in nodes.iter_mut().zip(rows) {
                *node = groups.step(*node, codes[usize::from(*row)]);
            }
        }
        Ok(())
    }

    /// The codes of each attribute on the given rows of a page, by row of the page; other rows have any.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn attribute_codes(
        &mut self,
        page: &MatchedPage<'_>,
        rows: &[u16],
        groups: &mut Groups,
        out: &mut Vec<Vec<Code>>,
    ) -> Result<()> {
        out.clear();
        for table in &mut self.attributes {
            out.push(table.codes(page, rows, groups)?);
        }
        Ok(())
    }

    /// True if a row of this class may have one of the attributes.
    pub fn may_have_attribute(&self, class: usize) -> bool {
        self.attributes.iter().any(|table| table.may_be_on(class))
    }
}

/// The text of a key that the class decides.
pub(super) fn text_of_class<'t>(key: &GroupKey, class: &Class, tables: &'t dyn RowSource) -> Option<&'t str> {
    let text = |code: u32| (code != NONE).then(|| tables.text(code));
    match key {
        GroupKey::Service => text(class.service),
        GroupKey::Name => text(class.name).filter(|name| !name.is_empty()),
        GroupKey::RemoteService => text(class.remote),
        GroupKey::Kind => Some(class.kind.as_str()),
        GroupKey::Status => Some(class.status.as_str()),
        GroupKey::Attribute(_) => None,
    }
}

/// An attribute's key in one part.
struct AttributeTable {
    /// The first field of the key in the rows of each class, or [`NONE`].
    first_field: Vec<u32>,
    fields: Vec<FieldTable>,
    /// The code on each resource and scope; [`UNKNOWN`] where the key is not there.
    resources: Vec<Code>,
    scopes: Vec<Code>,
    /// The scope of each class.
    scope_of: Vec<u32>,
}

/// A field, and the codes of its values as far as they were met.
pub struct FieldTable {
    /// Its code.
    pub field: u32,
    /// The type of its values.
    pub value_type: ValueType,
    /// How often each class has it.
    pub per_class: Vec<u32>,
    entries: Vec<Code>,
    numbers: FxHashMap<u64, Code>,
}

impl AttributeTable {
    fn new(part: &MatchPart<'_>, key: &str, groups: &mut Groups) -> Self {
        let schema = part.tables().schema();
        let is_field = |field: u32| {
            let known = &schema.fields[field as usize];
            known.table == Table::Span && !known.internal && part.tables().text(known.key) == key
        };
        let of_key: Vec<u32> = (0..schema.fields.len() as u32).filter(|field| is_field(*field)).collect();
        let first = |shape: &[u32]| shape.iter().copied().find(|f| of_key.contains(f)).unwrap_or(NONE);
        let per_shape: Vec<u32> = schema.shapes.iter().map(|shape| first(shape)).collect();
        let mut code = |text: Option<String>| match text {
            Some(text) => groups.code(Some(&text)),
            None => UNKNOWN,
        };
        Self {
            first_field: schema.classes.iter().map(|class| per_shape[class.shape as usize]).collect(),
            fields: of_key.iter().map(|field| FieldTable::new(part, *field)).collect(),
            resources: part.resources().iter().map(|r| code(text_in(&r.attributes, key))).collect(),
            scopes: part.scopes().iter().map(|scope| code(scope_text(scope, key))).collect(),
            scope_of: schema.classes.iter().map(|class| class.scope).collect(),
        }
    }

    /// True if a row of this class may have the key.
    fn may_be_on(&self, class: usize) -> bool {
        let known = |code: &Code| *code != UNKNOWN;
        let scope = self.scope_of.get(class).and_then(|scope| self.scopes.get(*scope as usize));
        self.first_field.get(class).is_some_and(|field| *field != NONE)
            || self.resources.iter().any(known)
            || scope.is_some_and(known)
    }

    /// The code of the given rows, by row of the page; others have any.
    fn codes(&mut self, page: &MatchedPage<'_>, rows: &[u16], groups: &mut Groups) -> Result<Vec<Code>> {
        let classes = page.classes();
        let mut codes = vec![UNKNOWN; classes.len()];
        let first_field = &self.first_field;
        let field_of = |row: usize| first_field[classes[row] as usize];
        for table in &mut self.fields {
            let field = table.field;
            if !rows.iter().any(|row| field_of(usize::from(*row)) == field) {
                continue;
            }
            let per_class = std::mem::take(&mut table.per_class);
            let known = FieldOf { field, value_type: table.value_type, per_class: &per_class };
            let read = page.each_value(known, &mut |row, raw| {
                if codes[row] == UNKNOWN && field_of(row) == field {
                    codes[row] = table.code(raw, groups)?;
                }
                Ok(())
            });
            table.per_class = per_class;
            read?;
        }
        self.add_resources(page, rows, &mut codes)?;
        Ok(codes)
    }

    /// Fills in what resource and scope say where the span says nothing.
    fn add_resources(&self, page: &MatchedPage<'_>, rows: &[u16], codes: &mut [Code]) -> Result<()> {
        if rows.iter().all(|row| codes[usize::from(*row)] != UNKNOWN) {
            return Ok(());
        }
        let said = self.resources.iter().any(|code| *code != UNKNOWN);
        let resources = if said { page.resources()? } else { Vec::new() };
        for row in rows.iter().map(|row| usize::from(*row)) {
            if codes[row] != UNKNOWN {
                continue;
            }
            let resource = resources.get(row).and_then(|r| self.resources.get(*r as usize)).copied();
            let scope = || self.scopes.get(self.scope_of[page.classes()[row] as usize] as usize).copied();
            let known = |code: &Code| *code != UNKNOWN;
            codes[row] = resource.filter(known).or_else(|| scope().filter(known)).unwrap_or(NULL);
        }
        Ok(())
    }
}

impl FieldTable {
    /// A field of a part.
    pub fn new(part: &MatchPart<'_>, field: u32) -> Self {
        let schema = part.tables().schema();
        let times = |shape: &[u32]| shape.iter().filter(|f| **f == field).count() as u32;
        let per_shape: Vec<u32> = schema.shapes.iter().map(|shape| times(shape)).collect();
        Self {
            field,
            value_type: schema.fields[field as usize].value_type,
            per_class: schema.classes.iter().map(|class| per_shape[class.shape as usize]).collect(),
            entries: Vec::new(),
            numbers: FxHashMap::default(),
        }
    }

    /// The code of the text of a value, or [`NO_ROOM`].
    ///
    /// # Errors
    /// Corrupt if the value is not of its type.
    pub fn code(&mut self, raw: RawValue<'_>, groups: &mut Groups) -> Result<Code> {
        match raw {
            RawValue::Entry(entry, bytes) => {
                let at = entry as usize;
                if let Some(code) = self.entries.get(at).filter(|code| **code != UNKNOWN) {
                    return Ok(*code);
                }
                let code = self.code_of_bytes(bytes, raw, groups)?;
                if at >= self.entries.len() {
                    self.entries.resize(at + 1, UNKNOWN);
                }
                self.entries[at] = code;
                Ok(code)
            }
            RawValue::Bytes(bytes) => self.code_of_bytes(bytes, raw, groups),
            RawValue::Number(bits) => {
                if let Some(code) = self.numbers.get(&bits) {
                    return Ok(*code);
                }
                let value = raw_value(self.value_type, raw)?;
                let code = groups.code(Some(&text_of(&value)));
                // What found no room once finds none later, and need not be remembered.
                if code != NO_ROOM {
                    self.numbers.insert(bits, code);
                }
                Ok(code)
            }
        }
    }

    fn code_of_bytes(&self, bytes: &[u8], raw: RawValue<'_>, groups: &mut Groups) -> Result<Code> {
        if self.value_type == ValueType::String {
            let text = std::str::from_utf8(bytes).map_err(|_| Error::corrupt("a text is not UTF-8"))?;
            return Ok(groups.code(Some(text)));
        }
        let value: Value = raw_value(self.value_type, raw)?;
        Ok(groups.code(Some(&text_of(&value))))
    }
}
