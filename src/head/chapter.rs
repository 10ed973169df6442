//! A chapter: rows, their codes, and the dictionaries that give the codes a meaning.
//!
//! ```text
//! rows    [trace id 16][span id 8][parent 8][start 8][end 8][class 4][resource 4][values 4][order 4]
//! values  one u32 a field of the row's shape, in shape order, rows one after the other:
//!         string, bytes, composite: code of the string table     bool: 0 or 1
//!         int: itself if below 2^31, else 2^31 + index into wide  double: index into wide
//! ```
//! Events and links are rows of their own that name their span's row.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use crate::bytes::Reader;
use crate::column::{
    Class, ClassBits, NONE, RowSource, RowTimes, RowValues, Schema, ValueType, decode_value, materialize,
    materialize_event, materialize_link,
};
use crate::error::Result;
use crate::model::{Resource, Scope, Span, SpanId, TraceId, Value};

use super::strings::StringTable;

/// Set in the code of an int that stands in `wide`.
pub const WIDE: u32 = 1 << 31;

/// The fixed part of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Row {
    /// Trace id, big-endian bytes.
    pub trace_id: [u8; 16],
    /// Span id, never 0.
    pub span_id: u64,
    /// Parent span id, 0 for none.
    pub parent: u64,
    /// Start as received.
    pub start: u64,
    /// End as received.
    pub end: u64,
    /// Class code.
    pub class: u32,
    /// Resource code.
    pub resource: u32,
    /// Index of the first value code.
    pub values: u32,
    /// Sequence of its append less that of the chapter's first span.
    pub order: u32,
}

/// The fixed part of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct EventRow {
    /// Time as received.
    pub time: u64,
    /// Row of the span in the chapter.
    pub span_row: u32,
    /// Class code.
    pub class: u32,
    /// Index of the first value code.
    pub values: u32,
    /// Zero.
    pub reserved: u32,
}

/// The fixed part of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct LinkRow {
    /// Trace id, big-endian bytes; zero if absent.
    pub trace_id: [u8; 16],
    /// Span id, big-endian bytes; zero if absent.
    pub span_id: [u8; 8],
    /// Row of the span in the chapter.
    pub span_row: u32,
    /// Class code.
    pub class: u32,
    /// Index of the first value code.
    pub values: u32,
    /// Zero.
    pub reserved: u32,
}

/// A resource with what queries ask of it.
#[derive(Clone, Debug)]
pub struct ChapterResource {
    /// The value.
    pub resource: Arc<Resource>,
    /// Its service as a string code, or [`NONE`].
    pub service: u32,
}

/// Spans of the head that share dictionaries.
#[derive(Clone, Debug, Default)]
pub struct Chapter {
    /// Sequence of its first span.
    pub first_sequence: u64,
    /// Texts and bytes by code.
    pub strings: StringTable,
    /// Fields, shapes, classes.
    pub schema: Schema,
    /// Resources by code.
    pub resources: Vec<ChapterResource>,
    /// Scopes by code.
    pub scopes: Vec<Arc<Scope>>,
    /// Numbers that do not fit a code.
    pub wide: Vec<u64>,
    /// Spans in arrival order.
    pub rows: Vec<Row>,
    /// Value codes.
    pub values: Vec<u32>,
    /// Events, by span row.
    pub events: Vec<EventRow>,
    /// Links, by span row.
    pub links: Vec<LinkRow>,
}

impl Chapter {
    /// Heap bytes in use, roughly.
    pub fn heap_bytes(&self) -> usize {
        self.strings.heap_bytes()
            + self.rows.capacity() * size_of::<Row>()
            + self.values.capacity() * 4
            + self.wide.capacity() * 8
            + self.events.capacity() * size_of::<EventRow>()
            + self.links.capacity() * size_of::<LinkRow>()
            + self.schema.classes.len() * size_of::<Class>()
            + self.schema.shapes.len() * 64
            + self.resources.len() * 1024
    }

    /// Gives back the room that was kept for growth.
    pub fn shrink(&mut self) {
        self.strings.shrink();
        self.rows.shrink_to_fit();
        self.values.shrink_to_fit();
        self.wide.shrink_to_fit();
        self.events.shrink_to_fit();
        self.links.shrink_to_fit();
    }

    /// Empties it for other spans; its room is kept.
    pub fn begin_anew(&mut self, first_sequence: u64) {
        self.first_sequence = first_sequence;
        self.strings.truncate(0);
        self.schema.fields.clear();
        self.schema.shapes.clear();
        self.schema.classes.clear();
        self.resources.clear();
        self.scopes.clear();
        self.wide.clear();
        self.rows.clear();
        self.values.clear();
        self.events.clear();
        self.links.clear();
    }

    /// The value a code stands for in a field of this type.
    pub fn value(&self, value_type: ValueType, code: u32) -> Result<Value> {
        Ok(match value_type {
            ValueType::String => Value::String(self.strings.text(code).to_owned()),
            ValueType::Bytes => Value::Bytes(self.strings.get(code).to_vec()),
            ValueType::Composite => decode_value(&mut Reader::new(self.strings.get(code)))?,
            ValueType::Bool => Value::Bool(code != 0),
            ValueType::Int => Value::Int(self.number(value_type, code) as i64),
            ValueType::Double => Value::Double(f64::from_bits(self.number(value_type, code))),
            ValueType::Empty => Value::Empty,
        })
    }

    /// The 64 bits a code stands for in a field of numbers.
    pub fn number(&self, value_type: ValueType, code: u32) -> u64 {
        let wide = |index: u32| self.wide.get(index as usize).copied().unwrap_or(0);
        match value_type {
            ValueType::Int if code & WIDE != 0 => wide(code & !WIDE),
            ValueType::Double => wide(code),
            _ => code.into(),
        }
    }

    /// The sequence of a span row's append.
    pub fn sequence(&self, row: &Row) -> u64 {
        self.first_sequence.saturating_add(row.order.into())
    }

    /// The value codes of a span row.
    pub fn row_values(&self, row: &Row) -> &[u32] {
        self.codes(row.class, row.values)
    }

    /// The value codes of a row of any table with this class, beginning at `first`.
    pub fn codes(&self, class: u32, first: u32) -> &[u32] {
        let len = self.schema.shape_of(class).len();
        &self.values[first as usize..first as usize + len]
    }

    /// The events of a span row.
    pub fn events_of(&self, row: u32) -> &[EventRow] {
        let first = self.events.partition_point(|e| e.span_row < row);
        let last = first + self.events[first..].partition_point(|e| e.span_row == row);
        &self.events[first..last]
    }

    /// The links of a span row.
    pub fn links_of(&self, row: u32) -> &[LinkRow] {
        let first = self.links.partition_point(|l| l.span_row < row);
        let last = first + self.links[first..].partition_point(|l| l.span_row == row);
        &self.links[first..last]
    }

    /// Takes out the rows that are `dead`, with their events and links. Dictionaries and values stay, so the
    /// chapter can be read and sealed but takes no more records.
    pub fn remove_rows(&mut self, dead: impl Fn(&Row) -> bool) {
        let mut kept = 0;
        let places: Vec<Option<u32>> = self
            .rows
            .iter()
            .map(|row| {
                let place = (!dead(row)).then_some(kept);
                kept += u32::from(place.is_some());
                place
            })
            .collect();
        let place = |row: u32| places.get(row as usize).copied().flatten();
        self.rows.retain(|row| !dead(row));
        self.events.retain(|event| place(event.span_row).is_some());
        self.events.iter_mut().for_each(|event| event.span_row = place(event.span_row).unwrap_or(0));
        self.links.retain(|link| place(link.span_row).is_some());
        self.links.iter_mut().for_each(|link| link.span_row = place(link.span_row).unwrap_or(0));
    }

    /// The span of a row, owned.
    ///
    /// # Errors
    /// Corrupt if a value has not the form its field promises.
    pub fn span(&self, index: u32) -> Result<Span> {
        let row = self.rows[index as usize];
        let times = RowTimes {
            trace_id: trace_id_of(&row),
            span_id: SpanId::from_u64(row.span_id).unwrap_or_else(|| unreachable!("checked when appended")),
            parent_span_id: SpanId::from_u64(row.parent),
            start_unix_nano: row.start,
            end_unix_nano: row.end,
        };
        let mut values = ChapterValues { chapter: self, codes: self.row_values(&row), next: 0 };
        let mut span = materialize(self, &times, row.class, row.resource, &mut values)?;
        let bits = self.schema.classes[row.class as usize].bits;
        if bits.has(ClassBits::EVENTS) {
            for event in self.events_of(index) {
                let mut values = ChapterValues { chapter: self, codes: self.codes(event.class, event.values), next: 0 };
                span.events.push(materialize_event(self, event.time, event.class, &mut values)?);
            }
        }
        if bits.has(ClassBits::LINKS) {
            for link in self.links_of(index) {
                let mut values = ChapterValues { chapter: self, codes: self.codes(link.class, link.values), next: 0 };
                span.links.push(materialize_link(self, link.trace_id, link.span_id, link.class, &mut values)?);
            }
        }
        Ok(span)
    }
}

/// The trace id of a row, which was checked when it came in.
pub fn trace_id_of(row: &Row) -> TraceId {
    TraceId::from_bytes(row.trace_id).unwrap_or_else(|| unreachable!("checked when appended"))
}

impl RowSource for Chapter {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn text(&self, code: u32) -> &str {
        if code == NONE { "" } else { self.strings.text(code) }
    }

    fn resource(&self, code: u32) -> Result<Arc<Resource>> {
        Ok(self.resources[code as usize].resource.clone())
    }

    fn scope(&self, code: u32) -> Result<Arc<Scope>> {
        Ok(self.scopes[code as usize].clone())
    }
}

/// The values of one row of a chapter.
pub struct ChapterValues<'a> {
    chapter: &'a Chapter,
    codes: &'a [u32],
    next: usize,
}

impl RowValues for ChapterValues<'_> {
    fn next(&mut self, _class: u32, _place: usize, field: u32) -> Result<Value> {
        let code = self.codes[self.next];
        self.next += 1;
        self.chapter.value(self.chapter.schema.fields[field as usize].value_type, code)
    }
}
