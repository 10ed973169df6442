//! A criterion against the tables of one part: what its classes and resources decide alone, and which
//! values must be looked at for the rest.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;

use crate::column::{Class, ClassBits, Field, NONE, RowSource, Table, ValueType, internal};
use crate::model::{Resource, Scope, Value, ValueRef};

use super::annotation::AnnotationTerm;
use super::evaluate::{kind_meets, status_meets};
use super::predicate::{Criterion, DurationRange, TextField};
use super::tag::{TagFilter, TagScope};
use super::text::text_of;

/// The key is present in every row of the class or resource.
pub const PRESENT: u8 = 1;
/// Every row of the class or resource meets the positive form.
pub const MATCHED: u8 = 2;
/// Rows of the class have a field whose value decides.
pub const FIELDS: u8 = 4;
/// Rows of the class have events to look at.
pub const EVENTS: u8 = 8;
/// Rows of the class have links to look at.
pub const LINKS: u8 = 16;

/// What one value is asked.
#[derive(Clone, Copy, Debug)]
pub enum ValueTest<'q> {
    /// The positive form of a tag filter.
    Tag(&'q TagFilter),
    /// The text of an annotation query's `key=value`.
    Text(&'q str),
}

impl ValueTest<'_> {
    /// True if the value meets the test.
    pub fn is_met(&self, value: &ValueRef<'_>) -> bool {
        match (self, value) {
            (Self::Tag(filter), value) => filter.matches_value(value),
            (Self::Text(wanted), ValueRef::String(text)) => text == wanted,
            (Self::Text(wanted), value) => text_of(&own(value)) == *wanted,
        }
    }
}

fn own(value: &ValueRef<'_>) -> Value {
    match value {
        ValueRef::Empty => Value::Empty,
        ValueRef::String(v) => Value::String((*v).to_owned()),
        ValueRef::Bool(v) => Value::Bool(*v),
        ValueRef::Int(v) => Value::Int(*v),
        ValueRef::Double(v) => Value::Double(*v),
        ValueRef::Bytes(v) => Value::Bytes(v.to_vec()),
        ValueRef::Composite(v) => v.clone().into_owned(),
    }
}

/// A field whose values are tested.
#[derive(Debug)]
pub struct FieldTest<'q> {
    /// The field.
    pub field: u32,
    /// The type of its values.
    pub value_type: ValueType,
    /// What each value is asked.
    pub test: ValueTest<'q>,
    /// How often each class has the field.
    pub per_class: Vec<u32>,
    /// The verdict on each dictionary entry, once known.
    pub verdicts: OnceCell<Vec<bool>>,
    /// What was read and judged last: the values of one page stand on several pages of rows.
    pub memory: RefCell<FieldMemory>,
}

/// A page of values, and verdicts on numbers.
#[derive(Debug, Default)]
pub struct FieldMemory {
    /// The page of the column that is decoded.
    pub page: Option<usize>,
    /// Its values.
    pub values: Vec<u64>,
    /// Numbers that were judged.
    pub judged: Judged,
}

/// Verdicts on numbers, by a few of their bits.
#[derive(Debug, Default)]
pub struct Judged(Vec<Option<(u64, bool)>>);

impl Judged {
    /// Numbers whose verdict is kept, as a power of two.
    const BITS: u32 = 8;

    /// The verdict on a number.
    #[inline]
    pub fn verdict(&mut self, number: u64, judge: impl FnOnce() -> bool) -> bool {
        self.0.resize(1 << Self::BITS, None);
        let place = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - Self::BITS)) as usize;
        match self.0[place] {
            Some((known, verdict)) if known == number => verdict,
            _ => {
                let verdict = judge();
                self.0[place] = Some((number, verdict));
                verdict
            }
        }
    }
}

/// How events and links are asked.
#[derive(Clone, Copy, Debug)]
pub enum ChildTest<'q> {
    /// Attributes, by a tag filter.
    Tag(&'q TagFilter),
    /// The name of an event.
    Name(&'q str),
    /// The name of an event, by the test of a filter.
    Text(&'q TagFilter),
}

/// A criterion compiled against one part.
#[derive(Debug)]
pub struct Compiled<'q> {
    /// Facts by class: a combination of the bits above.
    pub classes: Vec<u8>,
    /// Those that any class has.
    pub any_class: u8,
    /// [`PRESENT`] and [`MATCHED`] by resource; empty if resources count for nothing.
    pub resources: Vec<u8>,
    /// Fields to test.
    pub fields: Vec<FieldTest<'q>>,
    /// How events and links are asked, if at all.
    pub children: Option<ChildTest<'q>>,
    /// The duration range, if that is the criterion.
    pub duration: Option<DurationRange>,
    /// True for `!=` and `!~`.
    pub negated: bool,
}

impl Compiled<'_> {
    /// True if a row of this class can meet the criterion, whatever its resource.
    pub fn class_can_match(&self, class: usize) -> bool {
        let facts = self.classes[class];
        if self.duration.is_some() {
            return facts & MATCHED != 0;
        }
        let looks = FIELDS | EVENTS | LINKS;
        if self.negated { facts & (PRESENT | looks) != 0 } else { facts & (MATCHED | looks) != 0 }
    }

    /// As [`Compiled::class_can_match`], where resources count too.
    pub fn may_take_class(&self, class: usize) -> bool {
        !self.resources.is_empty() || self.class_can_match(class)
    }

    /// True if a row of this resource can meet the criterion, whatever its class.
    pub fn resource_can_match(&self, resource: usize) -> bool {
        let facts = self.resources.get(resource).copied().unwrap_or(0);
        facts & if self.negated { PRESENT } else { MATCHED } != 0
    }
}

/// Compiles a criterion against a part's tables.
pub fn compile<'q>(
    criterion: &'q Criterion,
    source: &dyn RowSource,
    resources: &[Arc<Resource>],
    scopes: &[Arc<Scope>],
) -> Compiled<'q> {
    let mut out = Compiled {
        classes: vec![0; source.schema().classes.len()],
        any_class: 0,
        resources: Vec::new(),
        fields: Vec::new(),
        children: None,
        duration: None,
        negated: false,
    };
    match criterion {
        Criterion::Tag(filter) => compile_tag(filter, source, resources, scopes, &mut out),
        Criterion::Annotation(term) => compile_annotation(term, source, &mut out),
        Criterion::Duration(range) => {
            out.duration = Some(*range);
            set_classes(source, &mut out, |class| !class.bits.has(ClassBits::NO_DURATION));
        }
        Criterion::Service(service) => {
            let is_it = is_text(source, service);
            set_classes(source, &mut out, |class| class.service != NONE && is_it(class.service));
        }
        Criterion::Name(name) => {
            let is_it = is_text(source, name);
            set_classes(source, &mut out, |class| is_it(class.name));
        }
        Criterion::RemoteService(service) => {
            let is_it = is_text(source, service);
            set_classes(source, &mut out, |class| class.remote != NONE && is_it(class.remote));
        }
        Criterion::Text(field, filter) => compile_text(*field, filter, source, scopes, &mut out),
        Criterion::Kind(kind) => set_classes(source, &mut out, |class| kind_meets(class.kind, *kind)),
        Criterion::Status(status) => set_classes(source, &mut out, |class| status_meets(class.status, *status)),
        Criterion::Error => set_classes(source, &mut out, |class| class.status == crate::model::StatusCode::ERROR),
    }
    out.any_class = out.classes.iter().fold(0, |any, facts| any | facts);
    out
}

/// Whether a string code is this text. The text once found, no other code is: a part has each text once.
pub fn is_text(source: &dyn RowSource, text: &str) -> impl Fn(u32) -> bool {
    let found = std::cell::Cell::new(None);
    move |code| match found.get() {
        Some(known) => known == code,
        None if source.text(code) == text => {
            // The empty text is also that of no code.
            found.set((!text.is_empty()).then_some(code));
            true
        }
        None => false,
    }
}

fn set_classes(source: &dyn RowSource, out: &mut Compiled<'_>, test: impl Fn(&crate::column::Class) -> bool) {
    for (facts, class) in out.classes.iter_mut().zip(&source.schema().classes) {
        if test(class) {
            *facts |= MATCHED;
        }
    }
}

fn compile_text<'q>(
    field: TextField,
    filter: &'q TagFilter,
    source: &dyn RowSource,
    scopes: &[Arc<Scope>],
    out: &mut Compiled<'q>,
) {
    let meets = |text: &str| filter.matches_value(&ValueRef::String(text));
    let scope = |class: &Class| scopes.get(class.scope as usize);
    match field {
        TextField::Name => set_classes(source, out, |class| meets(source.text(class.name))),
        TextField::ScopeName => set_classes(source, out, |class| scope(class).is_some_and(|s| meets(&s.name))),
        TextField::ScopeVersion => set_classes(source, out, |class| scope(class).is_some_and(|s| meets(&s.version))),
        TextField::StatusMessage => {
            let is_message =
                |f: &Field| f.table == Table::Span && f.internal && source.text(f.key) == internal::STATUS_MESSAGE;
            for (field, _) in (0..).zip(&source.schema().fields).filter(|(_, f)| is_message(f)) {
                ask_field(source, field, filter, out);
            }
        }
        TextField::EventName => {
            // Event classes are those without a scope, as those of links are.
            if source.schema().classes.iter().any(|c| c.scope == NONE && meets(source.text(c.name))) {
                out.children = Some(ChildTest::Text(filter));
                mark_bits(source, ClassBits::EVENTS, EVENTS, out);
            }
        }
    }
}

/// Asks the values of a field, unless that it is there is enough.
fn ask_field<'q>(source: &dyn RowSource, field: u32, filter: &'q TagFilter, out: &mut Compiled<'q>) {
    if filter.is_presence() {
        mark_field(source, field, MATCHED, out);
    } else {
        test_field(source, field, ValueTest::Tag(filter), out);
    }
}

fn compile_annotation<'q>(term: &'q AnnotationTerm, source: &dyn RowSource, out: &mut Compiled<'q>) {
    match term {
        AnnotationTerm::Exists(text) => {
            for field in fields_of_key(source, Table::Span, text) {
                mark_field(source, field, MATCHED, out);
            }
            let schema = source.schema();
            // Event classes are those without a scope; a name no event has needs no look at events.
            if schema.classes.iter().any(|c| c.scope == NONE && c.name != NONE && source.text(c.name) == text) {
                out.children = Some(ChildTest::Name(text));
                mark_bits(source, ClassBits::EVENTS, EVENTS, out);
            }
        }
        AnnotationTerm::Tag { key, value } => {
            for field in fields_of_key(source, Table::Span, key) {
                test_field(source, field, ValueTest::Text(value), out);
            }
        }
    }
}

fn compile_tag<'q>(
    filter: &'q TagFilter,
    source: &dyn RowSource,
    resources: &[Arc<Resource>],
    scopes: &[Arc<Scope>],
    out: &mut Compiled<'q>,
) {
    out.negated = filter.operator().is_negated();
    if filter.looks_in(TagScope::Span) {
        for field in fields_of_key(source, Table::Span, filter.key()) {
            ask_field(source, field, filter, out);
        }
    }
    if filter.looks_in(TagScope::Resource) && source.may_have_resource_key(filter.key()) {
        let facts: Vec<u8> = resources.iter().map(|r| facts_of(filter, &r.attributes)).collect();
        if facts.iter().any(|f| *f != 0) {
            out.resources = facts;
        }
    }
    if filter.looks_in(TagScope::Scope) {
        let facts: Vec<u8> = scopes.iter().map(|scope| scope_facts(filter, scope)).collect();
        for (class, entry) in source.schema().classes.iter().zip(&mut out.classes) {
            *entry |= facts.get(class.scope as usize).copied().unwrap_or(0);
        }
    }
    for (scope, table, bit, look) in [
        (TagScope::Event, Table::Event, ClassBits::EVENTS, EVENTS),
        (TagScope::Link, Table::Link, ClassBits::LINKS, LINKS),
    ] {
        if filter.looks_in(scope) && !fields_of_key(source, table, filter.key()).is_empty() {
            out.children = Some(ChildTest::Tag(filter));
            mark_bits(source, bit, look, out);
        }
    }
}

fn facts_of(filter: &TagFilter, attributes: &[crate::model::KeyValue]) -> u8 {
    attributes.iter().filter(|a| a.key == filter.key()).fold(0, |facts, attribute| {
        let matched = filter.matches_value(&ValueRef::from(&attribute.value));
        facts | PRESENT | if matched { MATCHED } else { 0 }
    })
}

fn scope_facts(filter: &TagFilter, scope: &Scope) -> u8 {
    let texts = [("otel.scope.name", &scope.name), ("otel.scope.version", &scope.version)];
    texts
        .iter()
        .filter(|(key, text)| *key == filter.key() && !text.is_empty())
        .fold(facts_of(filter, &scope.attributes), |facts, (_, text)| {
            facts | PRESENT | if filter.matches_value(&ValueRef::String(text)) { MATCHED } else { 0 }
        })
}

/// The attribute fields of this table and key, of whatever type.
pub fn fields_of_key(source: &dyn RowSource, table: Table, key: &str) -> Vec<u32> {
    let fields = source.schema().fields.iter().enumerate();
    let wanted = fields.filter(|(_, f)| f.table == table && !f.internal && source.text(f.key) == key);
    wanted.map(|(code, _)| code as u32).collect()
}

fn mark_bits(source: &dyn RowSource, bit: u32, look: u8, out: &mut Compiled<'_>) {
    for (facts, class) in out.classes.iter_mut().zip(&source.schema().classes) {
        if class.bits.has(bit) {
            *facts |= look;
        }
    }
}

fn mark_field(source: &dyn RowSource, field: u32, look: u8, out: &mut Compiled<'_>) -> Vec<u32> {
    let schema = source.schema();
    let per_shape: Vec<u32> =
        schema.shapes.iter().map(|shape| shape.iter().filter(|f| **f == field).count() as u32).collect();
    let mut per_class = vec![0; schema.classes.len()];
    for (i, class) in schema.classes.iter().enumerate() {
        per_class[i] = per_shape[class.shape as usize];
        if per_class[i] > 0 {
            out.classes[i] |= look;
        }
    }
    per_class
}

fn test_field<'q>(source: &dyn RowSource, field: u32, test: ValueTest<'q>, out: &mut Compiled<'q>) {
    let per_class = mark_field(source, field, FIELDS | PRESENT, out);
    let value_type = source.schema().fields[field as usize].value_type;
    out.fields.push(FieldTest {
        field,
        value_type,
        test,
        per_class,
        verdicts: OnceCell::new(),
        memory: RefCell::default(),
    });
}
