//! The values of one field, one after the other, as they stand in a part: nothing is made of them yet.
//!
//! A field's column holds the values of its table's rows end to end. Each row has as many of them as its
//! class's shape names the field, so a walk from the front needs the ranks only to pass over pages that
//! have none. Values of rows left out are passed over unread, and in an overflow column those of other fields.

use crate::column::{Class, RowSource, Table, ValueType};
use crate::encoding::Strings;
use crate::error::{Error, Result, ensure};
use crate::head::Chapter;
use crate::index::{PageSet, RowSet};
use crate::limits::PAGE_ROWS;
use crate::part::ReadCounter;
use crate::segment::{DictionaryView, Fixed, IntegerCursor, Segment, Tables, overflow_number};

use super::segment_pages::SegmentPages;

/// A value as it is stored.
#[derive(Clone, Copy, Debug)]
pub enum RawValue<'a> {
    /// The 64 bits of a bool, int or double; 0 for no value.
    Number(u64),
    /// The bytes of a string, bytes or composite.
    Bytes(&'a [u8]),
    /// The same, as the entry of this code in the column's dictionary.
    Entry(u32, &'a [u8]),
}

/// A walk over the values of one field in the rows of a part that count, in row order. It begins before the
/// first value.
pub trait ValueWalk {
    /// Goes to the next value and returns its span row, or `None` past the last.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    fn next(&mut self) -> Result<Option<u32>>;

    /// The value gone to.
    fn value(&self) -> RawValue<'_>;
}

/// The columns with span row and class of the events or links of a segment; `None` for spans.
pub fn child_columns(table: Table) -> Option<(Fixed, Fixed)> {
    match table {
        Table::Span => None,
        Table::Event => Some((Fixed::EventRow, Fixed::EventClass)),
        Table::Link => Some((Fixed::LinkRow, Fixed::LinkClass)),
    }
}

/// How often each class has the field.
fn per_class(source: &dyn RowSource, field: u32) -> Vec<usize> {
    let schema = source.schema();
    let times = |shape: &[u32]| shape.iter().filter(|f| **f == field).count();
    let per_shape: Vec<usize> = schema.shapes.iter().map(|shape| times(shape)).collect();
    schema.classes.iter().map(|class| per_shape[class.shape as usize]).collect()
}

/// Walks a field of a head chapter.
pub struct ChapterWalk<'t> {
    chapter: &'t Chapter,
    left_out: &'t RowSet,
    field: u32,
    table: Table,
    value_type: ValueType,
    per_class: Vec<usize>,
    /// The next row of the table.
    next: usize,
    /// Fields left of the shape of the row before it, with their value codes.
    left: std::iter::Zip<std::slice::Iter<'t, u32>, std::slice::Iter<'t, u32>>,
    row: u32,
    code: u32,
}

impl<'t> ChapterWalk<'t> {
    /// A walk over the field of this code.
    pub fn new(chapter: &'t Chapter, left_out: &'t RowSet, field: u32) -> Self {
        let (table, value_type) = {
            let field = &chapter.schema.fields[field as usize];
            (field.table, field.value_type)
        };
        let per_class = per_class(chapter, field);
        let left = [].iter().zip([].iter());
        Self { chapter, left_out, field, table, value_type, per_class, next: 0, left, row: 0, code: 0 }
    }

    /// Span row, class and first value of the next row of the table.
    fn next_row(&mut self) -> Option<(u32, u32, u32)> {
        let at = self.next;
        self.next += 1;
        match self.table {
            Table::Span => self.chapter.rows.get(at).map(|row| (at as u32, row.class, row.values)),
            Table::Event => self.chapter.events.get(at).map(|e| (e.span_row, e.class, e.values)),
            Table::Link => self.chapter.links.get(at).map(|l| (l.span_row, l.class, l.values)),
        }
    }
}

impl ValueWalk for ChapterWalk<'_> {
    fn next(&mut self) -> Result<Option<u32>> {
        loop {
            if let Some((_, code)) = self.left.find(|(field, _)| **field == self.field) {
                self.code = *code;
                return Ok(Some(self.row));
            }
            let Some((row, class, first)) = self.next_row() else { return Ok(None) };
            if self.per_class[class as usize] > 0 && !self.left_out.contains(row) {
                let chapter = self.chapter;
                self.row = row;
                self.left = chapter.schema.shape_of(class).iter().zip(chapter.codes(class, first));
            }
        }
    }

    fn value(&self) -> RawValue<'_> {
        match self.value_type {
            t if t.is_bytes() => RawValue::Bytes(self.chapter.strings.get(self.code)),
            ValueType::Empty => RawValue::Number(0),
            t => RawValue::Number(self.chapter.number(t, self.code)),
        }
    }
}

/// The rows of a segment that are walked over.
pub struct WalkRows<'t> {
    /// Span rows that are not.
    pub left_out: &'t RowSet,
    /// Classes of span rows that are, if not all: for fields of spans alone.
    pub of_service: Option<&'t [bool]>,
    /// Pages of the field's table; the others are not looked at.
    pub pages: PageSet,
}

/// What classes tell of a field: for each class one more than the place of its value, and the values by class.
type FieldTold<'t> = (&'t [u32], &'t [(u32, u64)]);

/// Walks a field of a segment.
pub struct SegmentWalk<'t> {
    segment: &'t Segment,
    counter: &'t ReadCounter,
    left_out: &'t RowSet,
    tables: &'t Tables,
    field: u32,
    /// How often each class that is walked over has the field, and how many values the rows of each have in the
    /// field's column.
    per_class: Vec<usize>,
    widths: Vec<usize>,
    ranks: IntegerCursor<'t>,
    class_column: Fixed,
    /// Span rows of events or links.
    rows: Option<IntegerCursor<'t>>,
    /// Pages of the table that are left, the last first, and the one at hand.
    pages: Vec<u32>,
    page: usize,
    /// Classes of the page at hand, and the next row in it.
    classes: Vec<u64>,
    next: usize,
    /// The place of the first value of the next row.
    place: usize,
    /// The places of the values of the row at hand, last first, as far as they are left.
    left: Vec<usize>,
    row: u32,
    column: Column<'t>,
    /// What classes tell of the field, and the value of the row at hand if its class tells it.
    told: Option<FieldTold<'t>>,
    told_value: Option<RawValue<'t>>,
}

impl<'t> SegmentWalk<'t> {
    /// A walk over the field of this code.
    ///
    /// # Errors
    /// Corrupt if the field's dictionary is damaged.
    pub fn new(pages: &'t SegmentPages<'_>, rows: WalkRows<'t>, field: u32) -> Result<Self> {
        let (segment, counter) = (pages.segment, pages.counter);
        let cursor = |column: u32| IntegerCursor::new(segment, column, true, counter);
        let known = &pages.source.schema().fields[field as usize];
        let children = child_columns(known.table);
        let class_column = children.map_or(Fixed::Class, |(_, class)| class);
        let tables = pages.source.tables;
        let field_column = tables.column_of(field);
        let mut per_class = per_class(&pages.source, field);
        let told = tables.told.by_class(field).map(|indexes| (indexes, tables.told.of_field(field)));
        let mut widths = if field_column.shared {
            let count = |class: &Class| tables.overflow.count_in(class.shape) as usize;
            tables.schema.classes.iter().map(count).collect()
        } else {
            per_class.clone()
        };
        for (class, _) in tables.told.of_field(field) {
            widths[*class as usize] = 0;
        }
        if let Some(of_service) = rows.of_service {
            per_class.iter_mut().zip(of_service).filter(|(_, of)| !**of).for_each(|(times, _)| *times = 0);
        }
        Ok(Self {
            segment,
            counter,
            left_out: rows.left_out,
            tables,
            field,
            per_class,
            widths,
            ranks: cursor(field_column.ranks),
            class_column,
            rows: children.map(|(row, _)| cursor(row as u32)),
            pages: rows.pages.iter().rev().collect(),
            page: 0,
            classes: Vec::new(),
            next: 0,
            place: 0,
            left: Vec::new(),
            row: 0,
            column: Column::new(segment, field, known.value_type, counter)?,
            told,
            told_value: None,
        })
    }

    /// Opens the next page with values; false past the last.
    fn open_page(&mut self) -> Result<bool> {
        while let Some(page) = self.pages.pop() {
            let page = page as usize;
            self.page = page;
            let (first, last) = (self.ranks.get(page)?, self.ranks.get(page + 1)?);
            if first == last && self.told.is_none() {
                continue;
            }
            self.segment.classes(self.class_column, page, self.counter, &mut self.classes)?;
            let count: usize = self.classes.iter().map(|class| self.widths[*class as usize]).sum();
            ensure(first.checked_add(count as u64) == Some(last), || {
                let column = self.class_column;
                format!("segment {}, page {page} of {column:?}: ranks {first}..{last}", self.segment.name())
            })?;
            (self.next, self.place) = (0, first as usize);
            return Ok(true);
        }
        Ok(false)
    }

    /// Goes to the next row of the page.
    fn open_row(&mut self, class: usize) -> Result<()> {
        let at = self.page * PAGE_ROWS + self.next;
        self.next += 1;
        let first = self.place;
        self.place += self.widths[class];
        if self.per_class[class] > 0 {
            self.row = match &mut self.rows {
                Some(rows) => rows.get(at)? as u32,
                None => at as u32,
            };
            if !self.left_out.contains(self.row) {
                return self.find_values(class, first);
            }
        }
        Ok(())
    }

    /// Finds the places of the field's values in a row of this class whose values begin at this place.
    fn find_values(&mut self, class: usize, first: usize) -> Result<()> {
        let told = self.told.and_then(|(indexes, values)| Some(values[indexes[class].checked_sub(1)? as usize].1));
        if let Some(value) = told {
            self.told_value = Some(match &self.column {
                Column::Numbers { .. } | Column::Overflow { .. } => RawValue::Number(value),
                Column::Entries { .. } => RawValue::Entry(value as u32, self.segment.told_text(self.field, value)?),
                Column::Strings(_) => RawValue::Bytes(self.segment.told_text(self.field, value)?),
            });
            self.left.push(TOLD);
            return Ok(());
        }
        if self.column.is_shared() {
            let shape = self.tables.schema.shape_of(class as u32);
            self.left.extend(self.tables.overflow.places(shape, self.field).map(|place| first + place));
            self.left.reverse();
        } else {
            self.left.extend((first..self.place).rev());
        }
        Ok(())
    }
}

/// In the list of places: the value that is told.
const TOLD: usize = usize::MAX;

impl ValueWalk for SegmentWalk<'_> {
    fn next(&mut self) -> Result<Option<u32>> {
        loop {
            if let Some(place) = self.left.pop() {
                if place != TOLD {
                    self.told_value = None;
                    self.column.read(place)?;
                }
                return Ok(Some(self.row));
            }
            match self.classes.get(self.next).copied() {
                Some(class) => self.open_row(class as usize)?,
                None if self.open_page()? => {}
                None => return Ok(None),
            }
        }
    }

    fn value(&self) -> RawValue<'_> {
        if let Some(told) = self.told_value {
            return told;
        }
        match &self.column {
            Column::Numbers { bits, .. } | Column::Overflow { number: Some(bits), .. } => RawValue::Number(*bits),
            Column::Entries { dictionary, code, .. } => RawValue::Entry(*code, dictionary.get(*code)),
            Column::Strings(strings) | Column::Overflow { strings, .. } => RawValue::Bytes(strings.get()),
        }
    }
}

/// A field's column, at one of its values.
enum Column<'t> {
    Numbers { cursor: IntegerCursor<'t>, bits: u64 },
    Entries { cursor: IntegerCursor<'t>, dictionary: DictionaryView<'t>, code: u32 },
    Strings(StringColumn<'t>),
    Overflow { strings: StringColumn<'t>, value_type: ValueType, number: Option<u64> },
}

impl<'t> Column<'t> {
    fn new(segment: &'t Segment, field: u32, value_type: ValueType, counter: &'t ReadCounter) -> Result<Self> {
        let column = segment.field_column(field)?;
        let cursor = IntegerCursor::new(segment, column.values, true, counter);
        let strings = StringColumn::new(segment, column.values, counter);
        Ok(if column.shared {
            Self::Overflow { strings, value_type, number: None }
        } else if !value_type.is_bytes() {
            Self::Numbers { cursor, bits: 0 }
        } else if let Some(dictionary) = segment.dictionary(field)? {
            Self::Entries { cursor, dictionary, code: 0 }
        } else {
            Self::Strings(strings)
        })
    }

    fn is_shared(&self) -> bool {
        matches!(self, Self::Overflow { .. })
    }

    fn read(&mut self, place: usize) -> Result<()> {
        match self {
            Self::Numbers { cursor, bits } => *bits = cursor.get(place)?,
            Self::Entries { cursor, dictionary, code } => {
                let read = cursor.get(place)?;
                let known = u32::try_from(read).ok().filter(|code| (*code as usize) < dictionary.len());
                *code = known.ok_or_else(|| Error::corrupt(format!("dictionary code {read} is unknown")))?;
            }
            Self::Strings(strings) => strings.read(place)?,
            Self::Overflow { strings, value_type, number } => {
                strings.read(place)?;
                if !value_type.is_bytes() {
                    *number = Some(overflow_number(*value_type, strings.get())?);
                }
            }
        }
        Ok(())
    }
}

/// A column of byte strings, at one of its values.
struct StringColumn<'t> {
    segment: &'t Segment,
    counter: &'t ReadCounter,
    column: u32,
    /// The page at hand and its values.
    index: usize,
    page: Strings,
    at: usize,
}

impl<'t> StringColumn<'t> {
    fn new(segment: &'t Segment, column: u32, counter: &'t ReadCounter) -> Self {
        Self { segment, counter, column, index: usize::MAX, page: Strings::default(), at: 0 }
    }

    fn read(&mut self, place: usize) -> Result<()> {
        if self.index != place / PAGE_ROWS {
            self.index = place / PAGE_ROWS;
            self.segment.strings(self.column, self.index, self.counter, &mut self.page)?;
        }
        self.at = place % PAGE_ROWS;
        ensure(self.at < self.page.len(), || format!("column {} has no value {place}", self.column))
    }

    fn get(&self) -> &[u8] {
        self.page.get(self.at)
    }
}
