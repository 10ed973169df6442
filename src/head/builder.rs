//! Appends spans to a chapter: the hot path of ingest.
//!
//! Most spans look like an earlier one of the same name. So the class of that one predicts the keys (one
//! comparison an attribute instead of a hash), the last value of a key is tried before the dictionary,
//! and a field whose values hardly repeat stops asking the dictionary at all. Every guess is checked; a
//! wrong one costs a hash.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::bytes::Writer;
use crate::column::{Class, ClassBits, Field, NONE, Table, ValueType, encode_endpoint, encode_value, internal};
use crate::model::{
    AttributeRef, Resource, Scope, SpanKind, SpanRef, StatusCode, Text, ValueRef, duration_nanos, remote_service_keys,
};

use super::chapter::{Chapter, ChapterResource, EventRow, LinkRow, Row, WIDE};
use super::strings::StringTable;
use super::wire_codes::WireCodes;

/// Values after which a field may give its dictionary up.
const TRIAL_VALUES: u32 = 256;
/// Entries of the table that guesses a span's class; a power of two.
const GUESSES: usize = 2048;

/// Expected fields that may be left out between two that are there.
const LEFT_OUT_MAX: usize = 3;

/// What is known of a field while its chapter grows.
#[derive(Clone, Debug)]
struct FieldState {
    /// Table, type and key of a field that arrives by name; no table for one of our own.
    named: (Option<Table>, ValueType, Box<[u8]>),
    last: u32,
    seen: u32,
    distinct: u32,
    /// Rank as remote service for CLIENT, for PRODUCER and CONSUMER, for other kinds; 0 for none.
    remote_rank: [u8; 3],
    /// True for Zipkin's `error` tag.
    is_error_key: bool,
}

/// How long the lists of a chapter are at some moment: what a record covers and what an undo cuts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    pub strings: usize,
    pub fields: usize,
    pub shapes: usize,
    pub classes: usize,
    pub resources: usize,
    pub scopes: usize,
    pub wide: usize,
    pub rows: usize,
    pub values: usize,
    pub events: usize,
    pub links: usize,
}

impl Mark {
    /// The present lengths.
    pub fn of(chapter: &Chapter) -> Self {
        Self {
            strings: chapter.strings.len(),
            fields: chapter.schema.fields.len(),
            shapes: chapter.schema.shapes.len(),
            classes: chapter.schema.classes.len(),
            resources: chapter.resources.len(),
            scopes: chapter.scopes.len(),
            wide: chapter.wide.len(),
            rows: chapter.rows.len(),
            values: chapter.values.len(),
            events: chapter.events.len(),
            links: chapter.links.len(),
        }
    }
}

/// A chapter that grows, with the maps that find codes.
pub struct ChapterBuilder {
    chapter: Chapter,
    hasher: FxBuildHasher,
    strings: HashTable<u32>,
    fields: HashTable<u32>,
    shapes: HashTable<u32>,
    classes: FxHashMap<Class, u32>,
    resources: FxHashMap<Arc<Resource>, u32>,
    resource_wires: WireCodes,
    scopes: FxHashMap<Arc<Scope>, u32>,
    scope_wires: WireCodes,
    states: Vec<FieldState>,
    guesses: Vec<u32>,
    /// Fields of the class that is guessed, and how many of them are behind.
    expected: Vec<u32>,
    expected_next: usize,
    shape: Vec<u32>,
}

impl Default for ChapterBuilder {
    fn default() -> Self {
        Self {
            chapter: Chapter::default(),
            hasher: FxBuildHasher,
            strings: HashTable::new(),
            fields: HashTable::new(),
            shapes: HashTable::new(),
            classes: FxHashMap::default(),
            resources: FxHashMap::default(),
            resource_wires: WireCodes::default(),
            scopes: FxHashMap::default(),
            scope_wires: WireCodes::default(),
            states: Vec::new(),
            guesses: vec![NONE; GUESSES],
            expected: Vec::new(),
            expected_next: 0,
            shape: Vec::new(),
        }
    }
}

/// The remote service met so far in a span: its rank (lower is better) and its text's code.
#[derive(Clone, Copy)]
struct Remote {
    rank: u8,
    code: u32,
}

impl ChapterBuilder {
    /// The chapter as it stands.
    pub fn chapter(&self) -> &Chapter {
        &self.chapter
    }

    /// Says which sequence the chapter's first span has.
    ///
    /// # Panics
    /// If there are spans already.
    pub fn begin_at(&mut self, sequence: u64) {
        assert!(self.chapter.rows.is_empty(), "a chapter of {} spans has begun", self.chapter.rows.len());
        self.chapter.first_sequence = sequence;
    }

    /// The chapter, with no more to come.
    pub fn into_chapter(self) -> Chapter {
        self.chapter
    }

    /// Takes back every row, value, event and link after the mark. Dictionaries keep what they learned.
    pub fn undo(&mut self, mark: &Mark) {
        self.chapter.rows.truncate(mark.rows);
        self.chapter.values.truncate(mark.values);
        self.chapter.events.truncate(mark.events);
        self.chapter.links.truncate(mark.links);
    }

    /// The code of a resource whose wire bytes may be known; see [`crate::model::SpanSink::resource`].
    pub fn resource(&mut self, wire: [&[u8]; 2], decode: &mut dyn FnMut() -> Resource) -> u32 {
        if let Some(code) = self.known_resource(wire) {
            return code;
        }
        let code = self.intern_resource(decode());
        self.resource_wires.insert(wire, code);
        code
    }

    /// The code of a resource of the same wire bytes as an earlier one.
    pub fn known_resource(&self, wire: [&[u8]; 2]) -> Option<u32> {
        self.resource_wires.get(wire)
    }

    /// The code of a scope, likewise.
    pub fn scope(&mut self, wire: [&[u8]; 2], decode: &mut dyn FnMut() -> Scope) -> u32 {
        if let Some(code) = self.known_scope(wire) {
            return code;
        }
        let code = self.intern_scope(decode());
        self.scope_wires.insert(wire, code);
        code
    }

    /// The code of a scope, likewise.
    pub fn known_scope(&self, wire: [&[u8]; 2]) -> Option<u32> {
        self.scope_wires.get(wire)
    }

    fn intern_resource(&mut self, resource: Resource) -> u32 {
        if let Some(&code) = self.resources.get(&resource) {
            return code;
        }
        let service = match resource.service() {
            Some(name) => intern(&mut self.strings, &mut self.chapter.strings, self.hasher, name.as_bytes()),
            None => NONE,
        };
        let code = self.chapter.resources.len() as u32;
        let resource = Arc::new(resource);
        self.chapter.resources.push(ChapterResource { resource: resource.clone(), service });
        self.resources.insert(resource, code);
        code
    }

    fn intern_scope(&mut self, scope: Scope) -> u32 {
        if let Some(&code) = self.scopes.get(&scope) {
            return code;
        }
        let code = self.chapter.scopes.len() as u32;
        let scope = Arc::new(scope);
        self.chapter.scopes.push(scope.clone());
        self.scopes.insert(scope, code);
        code
    }

    /// Appends one span and returns its row.
    pub fn push(&mut self, resource: u32, scope: u32, span: &SpanRef<'_>) -> u32 {
        let first_value = self.chapter.values.len() as u32;
        let row = self.chapter.rows.len() as u32;
        let name = self.intern(span.name.bytes());
        let service = self.chapter.resources[resource as usize].service;
        let guess_slot = guess_slot(name, service, span.kind);
        let guess = self.guesses[guess_slot];
        self.shape.clear();
        self.push_internal(span);
        let mut remote = Remote { rank: u8::MAX, code: NONE };
        let own = &span.attributes[..span.span_attributes_count];
        let has_error = self.push_attributes(Table::Span, own, guess, remote_group(span.kind), &mut remote);
        if let Some((endpoint, _, _)) = span.zipkin {
            remote.code = match endpoint.and_then(|e| e.service_name.as_deref()) {
                Some(name) => self.intern(name.as_bytes()),
                None => NONE,
            };
        }
        let class = Class {
            shape: self.shape_code(guess),
            name,
            service,
            remote: remote.code,
            scope,
            kind: span.kind,
            status: effective_status(span, has_error),
            flags: span.flags,
            bits: bits_of(span),
        };
        let class = self.class_code(class, guess);
        self.guesses[guess_slot] = class;
        self.chapter.rows.push(Row {
            trace_id: span.trace_id.to_bytes(),
            span_id: span.span_id.get(),
            parent: span.parent_span_id.map_or(0, |p| p.get()),
            start: span.start_unix_nano,
            end: span.end_unix_nano,
            class,
            resource,
            values: first_value,
            order: row,
        });
        self.push_events(row, span);
        self.push_links(row, span);
        row
    }

    fn push_events(&mut self, row: u32, span: &SpanRef<'_>) {
        for event in span.events {
            let first = self.chapter.values.len() as u32;
            let name = self.intern(event.name.bytes());
            let slot = guess_slot(name, u32::MAX, SpanKind::UNSPECIFIED);
            let guess = self.guesses[slot];
            self.shape.clear();
            self.push_count(Table::Event, internal::DROPPED_ATTRIBUTES, event.dropped_attributes_count);
            self.push_plain(Table::Event, &span.attributes[event.attributes.clone()], guess);
            let class = Class::plain(self.shape_code(guess), name);
            let class = self.class_code(class, guess);
            self.guesses[slot] = class;
            let time = event.time_unix_nano;
            self.chapter.events.push(EventRow { time, span_row: row, class, values: first, reserved: 0 });
        }
    }

    fn push_links(&mut self, row: u32, span: &SpanRef<'_>) {
        for link in span.links {
            let first = self.chapter.values.len() as u32;
            self.shape.clear();
            if !link.trace_state.is_empty() {
                self.push_internal_text(Table::Link, internal::TRACE_STATE, link.trace_state);
            }
            self.push_count(Table::Link, internal::DROPPED_ATTRIBUTES, link.dropped_attributes_count);
            self.push_count(Table::Link, internal::FLAGS, link.flags);
            self.push_plain(Table::Link, &span.attributes[link.attributes.clone()], NONE);
            let mut class = Class::plain(self.shape_code(NONE), NONE);
            class.bits.0 |= u32::from(link.trace_id.is_some()) * ClassBits::LINK_TRACE;
            class.bits.0 |= u32::from(link.span_id.is_some()) * ClassBits::LINK_SPAN;
            let class = self.class_code(class, NONE);
            self.chapter.links.push(LinkRow {
                trace_id: link.trace_id.unwrap_or_default(),
                span_id: link.span_id.unwrap_or_default(),
                span_row: row,
                class,
                values: first,
                reserved: 0,
            });
        }
    }

    fn push_internal(&mut self, span: &SpanRef<'_>) {
        if !span.trace_state.is_empty() {
            self.push_internal_text(Table::Span, internal::TRACE_STATE, span.trace_state);
        }
        if let Some((_, message)) = span.status
            && !message.is_empty()
        {
            self.push_internal_text(Table::Span, internal::STATUS_MESSAGE, message);
        }
        self.push_count(Table::Span, internal::DROPPED_ATTRIBUTES, span.dropped_attributes_count);
        self.push_count(Table::Span, internal::DROPPED_EVENTS, span.dropped_events_count);
        self.push_count(Table::Span, internal::DROPPED_LINKS, span.dropped_links_count);
        if let Some((Some(endpoint), _, _)) = span.zipkin {
            let mut bytes = Writer::new();
            encode_endpoint(endpoint, &mut bytes);
            let field = self.field_code(Table::Span, true, internal::REMOTE_ENDPOINT.as_bytes(), ValueType::Bytes);
            let value = ValueRef::Bytes(bytes.as_slice());
            self.push_value(field, &value);
        }
    }

    fn push_internal_text(&mut self, table: Table, key: &str, text: &str) {
        let field = self.field_code(table, true, key.as_bytes(), ValueType::String);
        self.push_value(field, &ValueRef::String(Text::from(text)));
    }

    fn push_count(&mut self, table: Table, key: &str, count: u32) {
        if count != 0 {
            let field = self.field_code(table, true, key.as_bytes(), ValueType::Int);
            self.push_value(field, &ValueRef::Int(count.into()));
        }
    }

    fn push_plain(&mut self, table: Table, attributes: &[AttributeRef<'_>], guess: u32) {
        let mut remote = Remote { rank: u8::MAX, code: NONE };
        self.push_attributes(table, attributes, guess, 2, &mut remote);
    }

    /// Appends attributes; returns true if one has the key `error`.
    fn push_attributes(
        &mut self,
        table: Table,
        attributes: &[AttributeRef<'_>],
        guess: u32,
        group: usize,
        remote: &mut Remote,
    ) -> bool {
        let mut has_error = false;
        self.expect(guess);
        for attribute in attributes {
            let value_type = ValueType::of(&attribute.value);
            let field = match self.expected_field(table, attribute.key.bytes(), value_type) {
                Some(field) => field,
                None => self.field_code(table, false, attribute.key.bytes(), value_type),
            };
            let code = self.push_value(field, &attribute.value);
            let state = &self.states[field as usize];
            has_error |= state.is_error_key;
            let rank = state.remote_rank[group];
            if rank != 0 && rank < remote.rank && !self.chapter.strings.get(code).is_empty() {
                *remote = Remote { rank, code };
            }
        }
        has_error
    }

    fn expect(&mut self, guess: u32) {
        self.expected.clear();
        self.expected_next = self.shape.len();
        if let Some(class) = self.chapter.schema.classes.get(guess as usize) {
            self.expected.extend_from_slice(&self.chapter.schema.shapes[class.shape as usize]);
        }
    }

    /// The next field of the guessed class's shape with this very key and type; a few may have been left out before it.
    fn expected_field(&mut self, table: Table, key: &[u8], value_type: ValueType) -> Option<u32> {
        let rest = self.expected.get(self.expected_next..)?;
        let place = rest.iter().take(LEFT_OUT_MAX + 1).position(|code| {
            let (named, named_type, named_key) = &self.states[*code as usize].named;
            *named == Some(table) && *named_type == value_type && **named_key == *key
        })?;
        let code = rest[place];
        self.expected_next += place + 1;
        Some(code)
    }

    fn field_code(&mut self, table: Table, internal: bool, key: &[u8], value_type: ValueType) -> u32 {
        let key_code = self.intern(key);
        let wanted = Field { table, internal, value_type, key: key_code };
        let hash = self.hasher.hash_one(&wanted);
        if let Some(&code) = self.fields.find(hash, |c| self.chapter.schema.fields[*c as usize] == wanted) {
            return code;
        }
        let code = self.chapter.schema.fields.len() as u32;
        self.states.push(field_state(&wanted, key));
        self.chapter.schema.fields.push(wanted);
        let (fields, hasher) = (&self.chapter.schema.fields, self.hasher);
        self.fields.insert_unique(hash, code, |c| hasher.hash_one(&fields[*c as usize]));
        code
    }

    /// Appends the value's code and the field; returns the code.
    fn push_value(&mut self, field: u32, value: &ValueRef<'_, Text<'_>>) -> u32 {
        let code = match value {
            ValueRef::String(text) => self.bytes_code(field, text.bytes()),
            ValueRef::Bytes(bytes) => self.bytes_code(field, bytes),
            ValueRef::Composite(value) => {
                let mut bytes = Writer::new();
                encode_value(value, &mut bytes);
                self.bytes_code(field, bytes.as_slice())
            }
            ValueRef::Bool(v) => u32::from(*v),
            ValueRef::Int(v) => match u32::try_from(*v) {
                Ok(small) if small < WIDE => small,
                _ => WIDE | self.push_wide(*v as u64),
            },
            ValueRef::Double(v) => self.push_wide(v.to_bits()),
            ValueRef::Empty => 0,
        };
        self.shape.push(field);
        self.chapter.values.push(code);
        code
    }

    fn push_wide(&mut self, bits: u64) -> u32 {
        self.chapter.wide.push(bits);
        (self.chapter.wide.len() - 1) as u32
    }

    fn bytes_code(&mut self, field: u32, bytes: &[u8]) -> u32 {
        let state = &mut self.states[field as usize];
        if state.last != NONE && self.chapter.strings.get(state.last) == bytes {
            return state.last;
        }
        let given_up = state.seen >= TRIAL_VALUES && state.distinct * 4 > state.seen && state.remote_rank == [0; 3];
        let before = self.chapter.strings.len();
        let code = if given_up {
            self.chapter.strings.push(bytes)
        } else {
            intern(&mut self.strings, &mut self.chapter.strings, self.hasher, bytes)
        };
        let state = &mut self.states[field as usize];
        if !given_up {
            state.seen += 1;
            state.distinct += u32::from(self.chapter.strings.len() > before);
        }
        state.last = code;
        code
    }

    fn intern(&mut self, bytes: &[u8]) -> u32 {
        intern(&mut self.strings, &mut self.chapter.strings, self.hasher, bytes)
    }

    fn shape_code(&mut self, guess: u32) -> u32 {
        let schema = &mut self.chapter.schema;
        if let Some(class) = schema.classes.get(guess as usize)
            && schema.shapes[class.shape as usize][..] == self.shape[..]
        {
            return class.shape;
        }
        let hash = self.hasher.hash_one(&self.shape[..]);
        if let Some(&code) = self.shapes.find(hash, |c| schema.shapes[*c as usize][..] == self.shape[..]) {
            return code;
        }
        let code = schema.shapes.len() as u32;
        schema.shapes.push(self.shape.clone().into_boxed_slice());
        let (shapes, hasher) = (&schema.shapes, self.hasher);
        self.shapes.insert_unique(hash, code, |c| hasher.hash_one(&shapes[*c as usize][..]));
        code
    }

    fn class_code(&mut self, class: Class, guess: u32) -> u32 {
        let classes = &mut self.chapter.schema.classes;
        if classes.get(guess as usize) == Some(&class) {
            return guess;
        }
        *self.classes.entry(class).or_insert_with(|| {
            classes.push(class);
            (classes.len() - 1) as u32
        })
    }
}

fn intern(map: &mut HashTable<u32>, strings: &mut StringTable, hasher: FxBuildHasher, bytes: &[u8]) -> u32 {
    let hash = hasher.hash_one(bytes);
    if let Some(&code) = map.find(hash, |c| strings.get(*c) == bytes) {
        return code;
    }
    let code = strings.push(bytes);
    map.insert_unique(hash, code, |c| hasher.hash_one(strings.get(*c)));
    code
}

fn guess_slot(name: u32, service: u32, kind: SpanKind) -> usize {
    let mixed = name.wrapping_mul(0x9e37_79b1) ^ service.wrapping_mul(0x85eb_ca77) ^ (kind.0 as u32) << 7;
    (mixed ^ mixed >> 15) as usize & (GUESSES - 1)
}

fn remote_group(kind: SpanKind) -> usize {
    match kind {
        SpanKind::CLIENT => 0,
        SpanKind::PRODUCER | SpanKind::CONSUMER => 1,
        _ => 2,
    }
}

fn field_state(field: &Field, key: &[u8]) -> FieldState {
    let named = field.table == Table::Span && !field.internal;
    let rank = |kind: SpanKind| {
        let place = remote_service_keys(kind).iter().position(|k| k.as_bytes() == key);
        if named && field.value_type == ValueType::String { place.map_or(0, |p| p as u8 + 1) } else { 0 }
    };
    FieldState {
        named: ((!field.internal).then_some(field.table), field.value_type, key.into()),
        last: NONE,
        seen: 0,
        distinct: 0,
        remote_rank: [rank(SpanKind::CLIENT), rank(SpanKind::PRODUCER), rank(SpanKind::SERVER)],
        is_error_key: named && key == b"error",
    }
}

fn effective_status(span: &SpanRef<'_>, has_error_key: bool) -> StatusCode {
    match span.zipkin {
        Some(_) if has_error_key => StatusCode::ERROR,
        Some(_) => StatusCode::UNSET,
        None => span.status.map_or(StatusCode::UNSET, |(code, _)| code),
    }
}

fn bits_of(span: &SpanRef<'_>) -> ClassBits {
    let mut bits = 0;
    if let Some((_, debug, shared)) = span.zipkin {
        bits |= ClassBits::ZIPKIN;
        bits |= u32::from(debug) * ClassBits::DEBUG;
        bits |= u32::from(shared) * ClassBits::SHARED;
    }
    bits |= u32::from(span.status.is_some()) * ClassBits::STATUS;
    bits |= u32::from(!span.events.is_empty()) * ClassBits::EVENTS;
    bits |= u32::from(!span.links.is_empty()) * ClassBits::LINKS;
    let duration = duration_nanos(span.start_unix_nano, span.end_unix_nano, span.zipkin.is_some());
    bits |= u32::from(duration.is_none()) * ClassBits::NO_DURATION;
    bits |= u32::from(span.start_unix_nano == 0) * ClassBits::NO_START;
    ClassBits(bits)
}
