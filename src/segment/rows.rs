//! From a range of rows back to spans.
//!
//! A trace is one range. Each column it needs is read page by page; few rows are picked one by one out of
//! a page, many decode it whole. The place of a row's value in a field's column is the rank of the page
//! plus the values of the field in the page's earlier rows, which their classes tell. Overflow fields share
//! a column, and so a cursor: it is at the right value because all values of a row are asked for in order.

use std::ops::Range;

use crate::bytes::{Reader, zigzag_decode};
use crate::column::{
    ClassBits, RowSource, RowValues, Table, ValueType, decode_value, materialize, materialize_event, materialize_link,
};
use crate::encoding::{StringPage, Strings, integer_at, reads_singly};
use crate::error::{Error, ErrorKind, Result, ensure};
use crate::limits::PAGE_ROWS;
use crate::model::{Event, Link, Span, TraceId, Value};
use crate::os::defects::{self, Defect};
use crate::part::ReadCounter;

use super::dictionary::DictionaryView;
use super::fixed_rows::{FixedRow, FixedRows, OutlineReader};
use super::layout::{ColumnForm, Fixed};
use super::overflow::overflow_number;
use super::reader::{Segment, SegmentSource, Tables};

/// Rows up to which values are picked singly.
pub(super) const FEW: usize = 48;

/// Reads single integers of a column, in rising order cheaply.
pub struct IntegerCursor<'s> {
    segment: &'s Segment,
    counter: &'s ReadCounter,
    column: u32,
    zigzag: bool,
    dense: bool,
    page: usize,
    bytes: &'s [u8],
    count: usize,
    /// True if `values` holds the page.
    whole: bool,
    values: Vec<u64>,
}

impl<'s> IntegerCursor<'s> {
    /// A cursor; `dense` if most values of the pages it meets will be asked for.
    pub fn new(segment: &'s Segment, column: u32, dense: bool, counter: &'s ReadCounter) -> Self {
        let zigzag = segment.column(column).is_some_and(|c| c.form == ColumnForm::Zigzag as u8);
        let (bytes, count, whole, values) = (&[][..], 0, false, Vec::new());
        Self { segment, counter, column, zigzag, dense, page: usize::MAX, bytes, count, whole, values }
    }

    /// From now on most values of the pages it meets will be asked for, or few.
    pub(super) fn set_dense(&mut self, dense: bool) {
        self.dense = dense;
    }

    /// All values of a page.
    ///
    /// # Errors
    /// As [`Segment::integers`].
    pub(super) fn whole_page(&mut self, page: usize) -> Result<&[u64]> {
        self.dense = true;
        self.get(page * PAGE_ROWS)?;
        Ok(&self.values)
    }

    /// The value at this place of the column.
    ///
    /// # Errors
    /// As [`Segment::integers`].
    pub fn get(&mut self, index: usize) -> Result<u64> {
        let (page, at) = (index / PAGE_ROWS, index % PAGE_ROWS);
        if page != self.page {
            (self.bytes, self.count) = self.segment.page(self.column, page, self.counter)?;
            // Where one value costs as much as all, all are kept for the next.
            self.whole = self.dense || !reads_singly(self.bytes);
            if self.whole {
                self.segment.integers_of(self.bytes, self.count, self.column, page, &mut self.values)?;
            }
            self.page = page;
        }
        if self.whole {
            let missing = || Error::corrupt(format!("column {} has no value {index}", self.column));
            return self.values.get(at).copied().ok_or_else(missing);
        }
        if self.dense {
            self.page = usize::MAX;
            return self.get(index);
        }
        ensure(at < self.count, || format!("column {} has no value {index}", self.column))?;
        let raw = integer_at(self.bytes, self.count, at).map_err(|e| self.segment.in_page(e, self.column, page))?;
        Ok(if self.zigzag { zigzag_decode(raw) as u64 } else { raw })
    }
}

/// Reads the values of one column, one after the other.
struct FieldCursor<'s> {
    next: usize,
    kind: FieldKind<'s>,
}

enum FieldKind<'s> {
    Integers(IntegerCursor<'s>),
    Dictionary(IntegerCursor<'s>, DictionaryView<'s>),
    Strings(StringCursor<'s>),
    Overflow(StringCursor<'s>),
}

/// Reads single byte strings of a column.
struct StringCursor<'s> {
    column: u32,
    dense: bool,
    page: usize,
    count: usize,
    open: OpenStrings<'s>,
    one: Vec<u8>,
}

/// The page at hand: one value after the other, or all of them where most are asked for.
enum OpenStrings<'s> {
    Single(StringPage<'s>),
    All(Strings),
}

impl<'s> StringCursor<'s> {
    fn new(column: u32, dense: bool) -> Self {
        let open = OpenStrings::All(Strings::default());
        Self { column, dense, page: usize::MAX, count: 0, open, one: Vec::new() }
    }

    fn get(&mut self, segment: &'s Segment, index: usize, counter: &ReadCounter) -> Result<&[u8]> {
        let (page, at) = (index / PAGE_ROWS, index % PAGE_ROWS);
        let column = self.column;
        let in_page = |e: Error| segment.in_page(e, column, page);
        if page != self.page {
            let (bytes, count) = segment.page(column, page, counter)?;
            if self.dense {
                let mut all = Strings::default();
                segment.strings_of(bytes, count, column, page, &mut all)?;
                self.open = OpenStrings::All(all);
            } else {
                self.open = OpenStrings::Single(
                    StringPage::open_with(bytes, count, &segment.templates(column)?).map_err(in_page)?,
                );
            }
            (self.page, self.count) = (page, count);
        }
        ensure(at < self.count, || format!("column {column} has no value {index}"))?;
        match &self.open {
            OpenStrings::All(all) => Ok(all.get(at)),
            OpenStrings::Single(open) => {
                self.one.clear();
                open.read(at, &mut self.one).map_err(in_page)?;
                Ok(&self.one)
            }
        }
    }
}

impl<'s> FieldCursor<'s> {
    /// A cursor at the place `next` of the column with the values of a field of this type.
    fn new(
        segment: &'s Segment,
        field: u32,
        value_type: ValueType,
        next: usize,
        dense: bool,
        counter: &'s ReadCounter,
    ) -> Result<Self> {
        let column = segment.field_column(field)?;
        let integers = || IntegerCursor::new(segment, column.values, dense, counter);
        let kind = if column.shared {
            FieldKind::Overflow(StringCursor::new(column.values, dense))
        } else if !value_type.is_bytes() {
            FieldKind::Integers(integers())
        } else if let Some(dictionary) = segment.dictionary(field)? {
            FieldKind::Dictionary(integers(), dictionary)
        } else {
            FieldKind::Strings(StringCursor::new(column.values, dense))
        };
        Ok(Self { next, kind })
    }

    /// The next value of the column, which is of this type.
    fn read(&mut self, value_type: ValueType, segment: &'s Segment, counter: &ReadCounter) -> Result<Value> {
        let index = self.next;
        self.next += 1;
        match &mut self.kind {
            FieldKind::Integers(cursor) => number(value_type, cursor.get(index)?),
            FieldKind::Dictionary(cursor, dictionary) => {
                let code = cursor.get(index)?;
                ensure(code < dictionary.len() as u64, || format!("dictionary code {code} is unknown"))?;
                bytes_value(value_type, dictionary.get(code as u32))
            }
            FieldKind::Strings(cursor) => bytes_value(value_type, cursor.get(segment, index, counter)?),
            FieldKind::Overflow(cursor) => {
                let bytes = cursor.get(segment, index, counter)?;
                if value_type.is_bytes() {
                    return bytes_value(value_type, bytes);
                }
                number(value_type, overflow_number(value_type, bytes)?)
            }
        }
    }
}

fn number(value_type: ValueType, bits: u64) -> Result<Value> {
    Ok(match value_type {
        ValueType::Bool => Value::Bool(bits != 0),
        ValueType::Int => Value::Int(bits as i64),
        ValueType::Double => Value::Double(f64::from_bits(bits)),
        _ => Value::Empty,
    })
}

fn bytes_value(value_type: ValueType, bytes: &[u8]) -> Result<Value> {
    Ok(match value_type {
        ValueType::Bytes => Value::Bytes(bytes.to_vec()),
        ValueType::Composite => decode_value(&mut Reader::new(bytes))?,
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => Value::String(text.to_owned()),
            Err(_) => return Err(Error::corrupt("a text is not UTF-8")),
        },
    })
}

/// The values of successive rows of one table.
pub struct TableValues<'s> {
    segment: &'s Segment,
    tables: &'s Tables,
    counter: &'s ReadCounter,
    dense: bool,
    /// Page of the first row, and how many values of each field with a column stand in that page before it.
    page: usize,
    before: Vec<u32>,
    /// The same of all overflow fields together.
    overflow_before: u32,
    cursors: Vec<Option<FieldCursor<'s>>>,
    overflow: Option<FieldCursor<'s>>,
}

impl<'s> TableValues<'s> {
    /// Values from row `first` on; `classes` are those of the page of that row (of its table).
    pub fn new(
        segment: &'s Segment,
        tables: &'s Tables,
        first: usize,
        classes: &[u64],
        dense: bool,
        counter: &'s ReadCounter,
    ) -> Self {
        let mut rows_of_group = vec![0; tables.told.groups().len()];
        for class in &classes[..(first % PAGE_ROWS).min(classes.len())] {
            if let Some(rows) =
                tables.told.group_of(*class as u32).and_then(|group| rows_of_group.get_mut(group as usize))
            {
                *rows += 1;
            }
        }
        // Overflow fields may be many: there is a place for those with a column alone.
        let mut before = vec![0; tables.overflow.own_end()];
        let mut overflow_before = 0;
        for (group, rows) in tables.told.groups().iter().zip(&rows_of_group).filter(|(_, rows)| **rows > 0) {
            for field in &group.placed {
                if let Some(before) = before.get_mut(*field as usize) {
                    *before += rows;
                }
            }
            overflow_before += rows * tables.overflow.count_in(group.shape);
        }
        let cursors = before.iter().map(|_| None).collect();
        let page = first / PAGE_ROWS;
        Self { segment, tables, counter, dense, page, before, overflow_before, cursors, overflow: None }
    }

    fn open(&self, field: u32) -> Result<FieldCursor<'s>> {
        let column = self.tables.column_of(field);
        let before = if column.shared { self.overflow_before } else { self.before[field as usize] };
        let next = self.segment.rank(column.ranks, self.page, self.counter)? + before as usize;
        let value_type = self.tables.schema.fields[field as usize].value_type;
        FieldCursor::new(self.segment, field, value_type, next, self.dense, self.counter)
    }

    /// The value that a class tells of the field.
    fn told(&self, field: u32, value: u64) -> Result<Value> {
        let value_type = self.tables.schema.fields[field as usize].value_type;
        if value_type.is_bytes() {
            bytes_value(value_type, self.segment.told_text(field, value)?)
        } else {
            number(value_type, value)
        }
    }

    /// The cursor of the column with the field's values.
    fn cursor(&mut self, field: u32) -> &mut Option<FieldCursor<'s>> {
        if self.tables.overflow.holds(field) { &mut self.overflow } else { &mut self.cursors[field as usize] }
    }
}

impl RowValues for TableValues<'_> {
    fn next(&mut self, class: u32, place: usize, field: u32) -> Result<Value> {
        if let Some(value) = self.tables.told.at(class, place) {
            return self.told(field, value);
        }
        if self.cursor(field).is_none() {
            *self.cursor(field) = Some(self.open(field)?);
        }
        let (segment, counter) = (self.segment, self.counter);
        let value_type = self.tables.schema.fields[field as usize].value_type;
        let cursor = self.cursor(field).as_mut().ok_or_else(|| Error::corrupt("a field has no cursor"))?;
        cursor.read(value_type, segment, counter)
    }
}

impl Segment {
    /// The rows of a trace.
    ///
    /// # Errors
    /// Corrupt if the trace table is damaged.
    pub fn trace_rows(&self, ordinal: u32, counter: &ReadCounter) -> Result<Range<u32>> {
        let mut cursor = IntegerCursor::new(self, Fixed::TraceRow as u32, false, counter);
        let first = cursor.get(ordinal as usize)?;
        let last =
            if ordinal + 1 == self.traces() { u64::from(self.rows()) } else { cursor.get(ordinal as usize + 1)? };
        let sound = first < last && last <= u64::from(self.rows());
        ensure(sound, || format!("segment {}: trace {ordinal} has rows {first}..{last}", self.name()))?;
        Ok(first as u32..last as u32)
    }

    /// The id of a trace.
    ///
    /// # Errors
    /// Corrupt if the trace table is damaged.
    pub fn trace_id(&self, ordinal: u32, counter: &ReadCounter) -> Result<TraceId> {
        let mut high = IntegerCursor::new(self, Fixed::TraceHigh as u32, false, counter);
        let mut low = IntegerCursor::new(self, Fixed::TraceLow as u32, false, counter);
        let (high, low) = (high.get(ordinal as usize)?, low.get(ordinal as usize)?);
        TraceId::from_halves(high, low).ok_or_else(|| Error::corrupt(format!("trace {ordinal} has a zero id")))
    }

    /// The id of a trace whose low 64 bits are these.
    ///
    /// # Errors
    /// Corrupt if the trace table is damaged.
    pub fn trace_id_of_low(&self, ordinal: u32, low: u64, counter: &ReadCounter) -> Result<TraceId> {
        let high = IntegerCursor::new(self, Fixed::TraceHigh as u32, false, counter).get(ordinal as usize)?;
        TraceId::from_halves(high, low).ok_or_else(|| Error::corrupt(format!("trace {ordinal} has a zero id")))
    }

    /// Ordinals of the traces whose low 64 bits are these.
    ///
    /// # Errors
    /// Corrupt if the trace table is damaged.
    pub fn ordinals_of_low(&self, low: u64, counter: &ReadCounter) -> Result<Vec<u32>> {
        let mut out = Vec::new();
        match self.trace_index() {
            Some(index) => {
                for ordinal in index.lookup(low) {
                    let mut lows = IntegerCursor::new(self, Fixed::TraceLow as u32, false, counter);
                    if lows.get(ordinal as usize)? == low || defects::active(Defect::TrustTraceHash) {
                        out.push(ordinal);
                    }
                }
            }
            None => {
                let mut lows = IntegerCursor::new(self, Fixed::TraceLow as u32, true, counter);
                for ordinal in 0..self.traces() {
                    if lows.get(ordinal as usize)? == low {
                        out.push(ordinal);
                    }
                }
            }
        }
        Ok(out)
    }

    /// The spans of a trace, in row order.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; TooLarge if they outgrow what the counter allows.
    pub fn trace_spans(&self, ordinal: u32, counter: &ReadCounter) -> Result<Vec<Span>> {
        counter.holding(|| self.hold_trace(ordinal, Detail::Full, counter))
    }

    /// The spans of a trace without attributes, events and links, in row order: enough to sum it up.
    ///
    /// # Errors
    /// As [`Segment::trace_spans`].
    pub fn trace_outline(&self, ordinal: u32, counter: &ReadCounter) -> Result<Vec<Span>> {
        counter.holding(|| self.hold_trace(ordinal, Detail::Outline, counter))
    }

    /// The spans of a trace, which stay held when this returns.
    ///
    /// # Errors
    /// As [`Segment::trace_spans`].
    pub fn hold_trace(&self, ordinal: u32, detail: Detail, counter: &ReadCounter) -> Result<Vec<Span>> {
        self.hold_trace_of((ordinal, self.trace_id(ordinal, counter)?), detail, counter)
    }

    /// As [`Segment::hold_trace`], of a trace whose id is known.
    ///
    /// # Errors
    /// As [`Segment::trace_spans`].
    pub fn hold_trace_of(
        &self,
        (ordinal, trace_id): (u32, TraceId),
        detail: Detail,
        counter: &ReadCounter,
    ) -> Result<Vec<Span>> {
        let rows = self.trace_rows(ordinal, counter)?;
        let mut start = IntegerCursor::new(self, Fixed::TraceStart as u32, false, counter);
        let start = start.get(ordinal as usize)?;
        if detail == Detail::Outline {
            return OutlineReader::new(self, self.source()?, counter).hold(trace_id, start, rows);
        }
        let source = self.source()?;
        let read = SpanRows::new(self, &source, rows.clone(), counter)?.read(trace_id, start, rows);
        read.map_err(|e| if e.kind() == ErrorKind::TooLarge { e.at(format!("trace {trace_id}")) } else { e })
    }

    /// The events of a range of span rows, with their rows. Their times are relative to the span's start.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn events_in(
        &self,
        rows: &Range<u32>,
        source: &SegmentSource<'_>,
        counter: &ReadCounter,
    ) -> Result<Vec<(u32, Event)>> {
        let mut children = ChildRows::new(self, source, counter, EVENT_COLUMNS, rows);
        let mut out = Vec::new();
        while let Some(row) = children.next_row()? {
            out.extend(children.events(row, 0)?.into_iter().map(|event| (row, event)));
        }
        Ok(out)
    }

    /// The links of a range of span rows, with their rows.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn links_in(
        &self,
        rows: &Range<u32>,
        source: &SegmentSource<'_>,
        counter: &ReadCounter,
    ) -> Result<Vec<(u32, Link)>> {
        let mut children = ChildRows::new(self, source, counter, LINK_COLUMNS, rows);
        let mut out = Vec::new();
        while let Some(row) = children.next_row()? {
            out.extend(children.links(row)?.into_iter().map(|link| (row, link)));
        }
        Ok(out)
    }

    /// The rows of a range whose recorded parent is not the one that their depth implies, ascending, with that
    /// parent, 0 for none.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn recorded_parents(&self, rows: &Range<u32>, counter: &ReadCounter) -> Result<Vec<(u32, u64)>> {
        let range = self.sparse_range(Fixed::ParentRow, rows, counter)?;
        let mut at = IntegerCursor::new(self, Fixed::ParentRow as u32, true, counter);
        let mut ids = IntegerCursor::new(self, Fixed::ParentId as u32, false, counter);
        range.map(|i| Ok((at.get(i)? as u32, ids.get(i)?))).collect()
    }

    /// The places of a sparse row list whose rows lie in `rows`.
    pub(super) fn sparse_range(&self, column: Fixed, rows: &Range<u32>, counter: &ReadCounter) -> Result<Range<usize>> {
        self.sparse_range_by(&mut IntegerCursor::new(self, column as u32, true, counter), column, rows)
    }

    /// As [`Segment::sparse_range`], by a cursor of the list.
    pub(super) fn sparse_range_by(
        &self,
        cursor: &mut IntegerCursor<'_>,
        column: Fixed,
        rows: &Range<u32>,
    ) -> Result<Range<usize>> {
        let starts = self.sparse_starts(column)?;
        let total = self.column(column as u32).map_or(0, |c| c.values) as usize;
        let mut bound = |row: u32| -> Result<usize> {
            // The first value >= row lies in the last page that starts below it, or begins the next.
            let page = starts.partition_point(|start| *start < row);
            let Some(page) = page.checked_sub(1) else { return Ok(0) };
            let (mut low, mut high) = (page * PAGE_ROWS, ((page + 1) * PAGE_ROWS).min(total));
            while low < high {
                let middle = usize::midpoint(low, high);
                if cursor.get(middle)? < u64::from(row) { low = middle + 1 } else { high = middle }
            }
            Ok(low)
        };
        Ok(bound(rows.start)?..bound(rows.end)?)
    }
}

/// How much of a span is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// All of it.
    Full,
    /// No attributes, events and links.
    Outline,
}

/// Reads successive span rows.
pub(super) struct SpanRows<'s> {
    source: &'s SegmentSource<'s>,
    counter: &'s ReadCounter,
    fixed: FixedRows<'s>,
    values: TableValues<'s>,
    events: ChildRows<'s>,
    links: ChildRows<'s>,
}

impl<'s> SpanRows<'s> {
    /// A reader of all of these rows, one after the other.
    pub(super) fn new(
        segment: &'s Segment,
        source: &'s SegmentSource<'s>,
        rows: Range<u32>,
        counter: &'s ReadCounter,
    ) -> Result<Self> {
        let dense = rows.len() > FEW;
        let first = rows.start as usize;
        let mut fixed = FixedRows::new(segment, source.tables, counter);
        fixed.begin(&rows)?;
        let classes = fixed.classes_of_page(first / PAGE_ROWS)?;
        let values = TableValues::new(segment, source.tables, first, classes, dense, counter);
        Ok(Self {
            source,
            counter,
            fixed,
            values,
            events: ChildRows::new(segment, source, counter, EVENT_COLUMNS, &rows),
            links: ChildRows::new(segment, source, counter, LINK_COLUMNS, &rows),
        })
    }

    /// The spans of a whole trace.
    pub(super) fn read(&mut self, trace_id: TraceId, trace_start: u64, rows: Range<u32>) -> Result<Vec<Span>> {
        self.read_below(Vec::new(), trace_id, trace_start, rows)
    }

    /// The spans of some successive rows of a trace; `path` are the ids of the spans that the first of them
    /// may stand below, from the root on.
    pub(super) fn read_below(
        &mut self,
        mut path: Vec<u64>,
        trace_id: TraceId,
        trace_start: u64,
        rows: Range<u32>,
    ) -> Result<Vec<Span>> {
        let mut out = Vec::new();
        let count = rows.len();
        for row in rows {
            let FixedRow { times, class, resource } = self.fixed.row(row, (trace_id, trace_start), &mut path)?;
            let mut span = materialize(self.source, &times, class, resource, &mut self.values)?;
            let bits = self.source.schema().classes[class as usize].bits;
            if bits.has(ClassBits::EVENTS) {
                span.events = self.events.events(row, times.start_unix_nano)?;
            }
            if bits.has(ClassBits::LINKS) {
                span.links = self.links.links(row)?;
            }
            self.counter.hold(span.held_bytes(), out.len() + 1, count)?;
            out.push(span);
        }
        Ok(out)
    }
}

/// Which columns an event or link table has.
struct ChildColumns {
    table: Table,
    row: Fixed,
    class: Fixed,
}

const EVENT_COLUMNS: ChildColumns =
    ChildColumns { table: Table::Event, row: Fixed::EventRow, class: Fixed::EventClass };
const LINK_COLUMNS: ChildColumns = ChildColumns { table: Table::Link, row: Fixed::LinkRow, class: Fixed::LinkClass };

/// Reads the events or links of successive span rows; opened at the first row that has some.
struct ChildRows<'s> {
    segment: &'s Segment,
    source: &'s SegmentSource<'s>,
    counter: &'s ReadCounter,
    columns: ChildColumns,
    within: Range<u32>,
    open: Option<OpenChildren<'s>>,
}

struct OpenChildren<'s> {
    next: usize,
    end: usize,
    rows: IntegerCursor<'s>,
    classes: IntegerCursor<'s>,
    values: TableValues<'s>,
}

impl<'s> ChildRows<'s> {
    fn new(
        segment: &'s Segment,
        source: &'s SegmentSource<'s>,
        counter: &'s ReadCounter,
        columns: ChildColumns,
        within: &Range<u32>,
    ) -> Self {
        Self { segment, source, counter, columns, within: within.clone(), open: None }
    }

    fn opened(&mut self) -> Result<&mut OpenChildren<'s>> {
        if self.open.is_none() {
            let range = self.segment.sparse_range(self.columns.row, &self.within, self.counter)?;
            let mut classes = Vec::new();
            if !range.is_empty() {
                self.segment.classes(self.columns.class, range.start / PAGE_ROWS, self.counter, &mut classes)?;
            }
            let dense = range.len() > FEW;
            let cursor = |column: Fixed| IntegerCursor::new(self.segment, column as u32, dense, self.counter);
            self.open = Some(OpenChildren {
                next: range.start,
                end: range.end,
                rows: cursor(self.columns.row),
                classes: cursor(self.columns.class),
                values: TableValues::new(self.segment, self.source.tables, range.start, &classes, dense, self.counter),
            });
        }
        self.open.as_mut().ok_or_else(|| Error::corrupt("no children"))
    }

    /// The span row of the next child.
    fn next_row(&mut self) -> Result<Option<u32>> {
        let open = self.opened()?;
        if open.next == open.end {
            return Ok(None);
        }
        open.rows.get(open.next).map(|row| Some(row as u32))
    }

    /// The next child's place and class if it belongs to this span row.
    fn next(&mut self, row: u32) -> Result<Option<(usize, u32)>> {
        let known = self.source.tables.schema.classes.len() as u64;
        let table = self.columns.table;
        let open = self.opened()?;
        if open.next == open.end || open.rows.get(open.next)? != u64::from(row) {
            return Ok(None);
        }
        let at = open.next;
        open.next += 1;
        let class = open.classes.get(at)?;
        ensure(class < known, || format!("class {class} of {table:?} {at} is unknown"))?;
        Ok(Some((at, class as u32)))
    }

    fn events(&mut self, row: u32, span_start: u64) -> Result<Vec<Event>> {
        let mut out = Vec::new();
        let mut times = IntegerCursor::new(self.segment, Fixed::EventTime as u32, false, self.counter);
        while let Some((at, class)) = self.next(row)? {
            let delta = zigzag_decode(times.get(at)?);
            let source = self.source;
            let values = &mut self.opened()?.values;
            out.push(materialize_event(source, span_start.wrapping_add(delta as u64), class, values)?);
        }
        Ok(out)
    }

    fn links(&mut self, row: u32) -> Result<Vec<Link>> {
        let mut out = Vec::new();
        let cursor = |column: Fixed| IntegerCursor::new(self.segment, column as u32, false, self.counter);
        let (mut high, mut low, mut ids) =
            (cursor(Fixed::LinkTraceHigh), cursor(Fixed::LinkTraceLow), cursor(Fixed::LinkSpan));
        while let Some((at, class)) = self.next(row)? {
            let trace = (u128::from(high.get(at)?) << 64 | u128::from(low.get(at)?)).to_be_bytes();
            let span = ids.get(at)?.to_be_bytes();
            let source = self.source;
            let values = &mut self.opened()?.values;
            out.push(materialize_link(source, trace, span, class, values)?);
        }
        Ok(out)
    }
}
