//! The pages of a segment.

use std::borrow::Cow;
use std::ops::Range;

use crate::bytes::Reader;
use crate::column::{ClassBits, RowSource, ValueType, decode_value};
use crate::encoding::Strings;
use crate::error::{Error, Result, ensure};
use crate::index::Measure;
use crate::limits::PAGE_ROWS;
use crate::model::{Event, Link, TimeRange, ValueRef};
use crate::part::ReadCounter;
use crate::segment::{FieldColumn, Fixed, IntegerCursor, Segment, SegmentSource, overflow_number};

use super::compile::{FieldMemory, FieldTest, Judged, ValueTest};
use super::mask::Mask;
use super::scan::{FieldOf, PageSource, ValueVisitor};
use super::walk::RawValue;

/// A segment's pages, read on behalf of one query.
pub struct SegmentPages<'s> {
    /// The segment.
    pub segment: &'s Segment,
    /// Its tables.
    pub source: SegmentSource<'s>,
    /// What the query reads.
    pub counter: &'s ReadCounter,
}

impl SegmentPages<'_> {
    fn codes(&self, column: Fixed, page: u32, out: &mut Vec<u32>) -> Result<()> {
        let mut values = Vec::new();
        self.segment.integers(column as u32, page as usize, self.counter, &mut values)?;
        out.clear();
        out.extend(values.iter().map(|v| *v as u32));
        Ok(())
    }

    /// The rows of a page of span rows.
    pub fn rows_of(&self, page: u32) -> Range<u32> {
        let first = page * PAGE_ROWS as u32;
        first..(first + PAGE_ROWS as u32).min(self.segment.rows())
    }

    /// Decodes a page of a column of numbers, unless it is the one that was decoded last.
    fn read_values(&self, column: u32, page: usize, memory: &mut FieldMemory) -> Result<()> {
        if memory.page != Some(page) {
            memory.page = None;
            self.segment.integers(column, page, self.counter, &mut memory.values)?;
            memory.page = Some(page);
        }
        Ok(())
    }

    /// As [`SegmentPages::each_place`], for runs of values that stand on one page of the column: their places, and
    /// the row of each; and for values that classes tell.
    fn each_run(
        &self,
        page: u32,
        classes: &[u32],
        field: (u32, &[u32]),
        mut visit: impl FnMut(Range<usize>, &[u16]) -> Result<()>,
        mut visit_told: impl FnMut(u64, usize) -> Result<()>,
    ) -> Result<()> {
        let column = self.source.tables.column_of(field.0);
        if !column.shared {
            return self.each_own_run(page, classes, (field.0, column, field.1), visit, visit_told);
        }
        let (mut first, mut rows) = (0, Vec::with_capacity(PAGE_ROWS));
        self.each_place(page, classes, field, |place, row| {
            let at = match place {
                Place::Told(value) => return visit_told(value, row),
                Place::At(at) => at,
            };
            if rows.is_empty() {
                first = at;
            }
            rows.push(row as u16);
            if (at + 1) % PAGE_ROWS == 0 {
                visit(first..at + 1, &rows)?;
                rows.clear();
            }
            Ok(())
        })?;
        if rows.is_empty() { Ok(()) } else { visit(first..first + rows.len(), &rows) }
    }

    /// The same for a field with a column of its own.
    fn each_own_run(
        &self,
        page: u32,
        classes: &[u32],
        (field, column, per_class): (u32, FieldColumn, &[u32]),
        mut visit: impl FnMut(Range<usize>, &[u16]) -> Result<()>,
        mut visit_told: impl FnMut(u64, usize) -> Result<()>,
    ) -> Result<()> {
        let told = &self.source.tables.told;
        if let Some(indexes) = told.by_class(field) {
            for (row, class) in classes.iter().enumerate().filter(|(_, class)| per_class[**class as usize] > 0) {
                if let Some(index) = indexes[*class as usize].checked_sub(1) {
                    visit_told(told.of_field(field)[index as usize].1, row)?;
                }
            }
        }
        let indexes = told.by_class(field).unwrap_or_default();
        let per_class = |class: u32| match indexes.get(class as usize) {
            Some(1..) => 0,
            _ => per_class[class as usize],
        };
        let mut rows = vec![0u16; classes.len() + 1];
        let (mut len, mut repeats) = (0, false);
        for (row, class) in (0u16..).zip(classes) {
            let times = per_class(*class);
            // Written in any case, and kept if there is a value.
            rows[len] = row;
            len += usize::from(times > 0);
            repeats |= times > 1;
        }
        rows.truncate(len);
        if repeats {
            let times = |row: u16| per_class(classes[usize::from(row)]) as usize;
            rows = rows.into_iter().flat_map(|row| std::iter::repeat_n(row, times(row))).collect();
        }
        let rank = |page: u32| self.segment.rank(column.ranks, page as usize, self.counter);
        let (mut at, end) = (rank(page)?, rank(page + 1)?);
        ensure(at + rows.len() <= end, || format!("page {page} has more values than its ranks say"))?;
        let mut rest = rows.as_slice();
        while !rest.is_empty() {
            let (here, others) = rest.split_at(rest.len().min(PAGE_ROWS - at % PAGE_ROWS));
            visit(at..at + here.len(), here)?;
            (at, rest) = (at + here.len(), others);
        }
        Ok(())
    }

    /// Calls `visit` with the place in the field's column and the row in the page of every value of the page.
    fn each_place(
        &self,
        page: u32,
        classes: &[u32],
        (field, per_class): (u32, &[u32]),
        mut visit: impl FnMut(Place, usize) -> Result<()>,
    ) -> Result<()> {
        let column = self.source.tables.column_of(field);
        let told = &self.source.tables.told;
        let told = told.by_class(field).map(|indexes| (indexes, told.of_field(field)));
        let rank = |page: u32| self.segment.rank(column.ranks, page as usize, self.counter);
        let (mut at, end) = (rank(page)?, rank(page + 1)?);
        if column.shared {
            return self.each_overflow_place(classes, (field, per_class), at..end, |at, row| visit(Place::At(at), row));
        }
        for (row, class) in classes.iter().enumerate() {
            if let Some((indexes, values)) = told.filter(|_| per_class[*class as usize] > 0)
                && let Some(index) = indexes[*class as usize].checked_sub(1)
            {
                visit(Place::Told(values[index as usize].1), row)?;
                continue;
            }
            for _ in 0..per_class[*class as usize] {
                ensure(at < end, || format!("page {page} has more values than its ranks say"))?;
                visit(Place::At(at), row)?;
                at += 1;
            }
        }
        Ok(())
    }

    /// The same for a field without a column of its own, whose values stand between those of others.
    fn each_overflow_place(
        &self,
        classes: &[u32],
        (field, per_class): (u32, &[u32]),
        places: Range<usize>,
        mut visit: impl FnMut(usize, usize) -> Result<()>,
    ) -> Result<()> {
        let (schema, overflow) = (&self.source.tables.schema, &self.source.tables.overflow);
        let mut first = places.start;
        for (row, class) in classes.iter().enumerate() {
            let next = first + overflow.count_in(schema.classes[*class as usize].shape) as usize;
            ensure(next <= places.end, || "a page has more overflow values than its ranks say".to_owned())?;
            if per_class[*class as usize] > 0 {
                overflow.places(schema.shape_of(*class), field).try_for_each(|place| visit(first + place, row))?;
            }
            first = next;
        }
        Ok(())
    }

    /// Start of every row of the page, 0 for none.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn all_starts(&self, page: u32) -> Result<Vec<u64>> {
        let mut starts = Vec::new();
        StartReader::new(self.segment, self.counter).read(page, &mut starts)?;
        Ok(starts)
    }

    fn verdicts<'t>(&self, test: &'t FieldTest<'_>) -> Result<&'t [bool]> {
        if let Some(known) = test.verdicts.get() {
            return Ok(known);
        }
        let dictionary = self.segment.dictionary(test.field)?.ok_or_else(|| Error::corrupt("no dictionary"))?;
        let verdicts = dictionary.iter().map(|bytes| bytes_meet(test.value_type, bytes, &test.test));
        let verdicts = verdicts.collect::<Result<Vec<_>>>()?;
        Ok(test.verdicts.get_or_init(|| verdicts))
    }
}

/// Where the value of a row is.
#[derive(Clone, Copy)]
enum Place {
    /// In the field's column, at this place.
    At(usize),
    /// With the row's class.
    Told(u64),
}

/// The values at these places, which lie on one page of the column.
fn run_of<'v>(values: &'v [u64], places: &Range<usize>, column: u32) -> Result<&'v [u64]> {
    let first = places.start % PAGE_ROWS;
    let missing = || Error::corrupt(format!("column {column} has no values {places:?}"));
    values.get(first..first + places.len()).ok_or_else(missing)
}

/// Reads the starts of rows; quicker for pages that follow each other.
pub struct StartReader<'s> {
    segment: &'s Segment,
    counter: &'s ReadCounter,
    /// First trace of every page, once it was asked for.
    page_ordinals: Option<&'s [u32]>,
    trace_rows: IntegerCursor<'s>,
    trace_starts: IntegerCursor<'s>,
}

impl<'s> StartReader<'s> {
    /// A reader of this segment's rows.
    pub fn new(segment: &'s Segment, counter: &'s ReadCounter) -> Self {
        let cursor = |column: Fixed| IntegerCursor::new(segment, column as u32, true, counter);
        let (trace_rows, trace_starts) = (cursor(Fixed::TraceRow), cursor(Fixed::TraceStart));
        Self { segment, counter, page_ordinals: None, trace_rows, trace_starts }
    }

    /// Start of every row of the page, 0 for none.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn read(&mut self, page: u32, out: &mut Vec<u64>) -> Result<()> {
        self.segment.integers(Fixed::Start as u32, page as usize, self.counter, out)?;
        let page_ordinals = match self.page_ordinals {
            Some(known) => known,
            None => self.page_ordinals.insert(self.segment.page_ordinals()?),
        };
        let (mut ordinal, traces) = (page_ordinals.get(page as usize).copied().unwrap_or(0), self.segment.traces());
        let (first, mut rest) = (page as usize * PAGE_ROWS, out.as_mut_slice());
        let mut done = 0;
        while !rest.is_empty() {
            let next = if ordinal + 1 < traces { self.trace_rows.get(ordinal as usize + 1)? } else { u64::MAX };
            let here = usize::try_from(next).unwrap_or(usize::MAX).saturating_sub(first + done).min(rest.len());
            let start = self.trace_starts.get(ordinal as usize)?;
            let (of_trace, others) = rest.split_at_mut(here);
            of_trace.iter_mut().for_each(|delta| *delta = if *delta == 0 { 0 } else { start.wrapping_add(*delta - 1) });
            (rest, done, ordinal) = (others, done + here, ordinal + 1);
        }
        Ok(())
    }
}

/// True if a byte string, a value of this type, meets the test.
///
/// # Errors
/// Corrupt if it is no such value.
pub fn bytes_meet(value_type: ValueType, bytes: &[u8], test: &ValueTest<'_>) -> Result<bool> {
    Ok(match value_type {
        ValueType::Bytes => test.is_met(&ValueRef::Bytes(bytes)),
        ValueType::Composite => test.is_met(&ValueRef::Composite(Cow::Owned(decode_value(&mut Reader::new(bytes))?))),
        _ => {
            let text = std::str::from_utf8(bytes).map_err(|_| Error::corrupt("a text is not UTF-8"))?;
            test.is_met(&ValueRef::String(text))
        }
    })
}

/// The same of a number.
pub fn number_meets(value_type: ValueType, bits: u64, test: &ValueTest<'_>) -> bool {
    match value_type {
        ValueType::Bool => test.is_met(&ValueRef::Bool(bits != 0)),
        ValueType::Int => test.is_met(&ValueRef::Int(bits as i64)),
        ValueType::Double => test.is_met(&ValueRef::Double(f64::from_bits(bits))),
        _ => test.is_met(&ValueRef::Empty),
    }
}

impl PageSource for SegmentPages<'_> {
    fn classes(&self, page: u32, out: &mut Vec<u32>) -> Result<()> {
        let mut values = Vec::new();
        self.segment.classes(Fixed::Class, page as usize, self.counter, &mut values)?;
        out.clear();
        out.extend(values.iter().map(|v| *v as u32));
        Ok(())
    }

    fn class_bits(&self, class: u32) -> ClassBits {
        self.source.schema().classes[class as usize].bits
    }

    fn resources(&self, page: u32, out: &mut Vec<u32>) -> Result<()> {
        let mut classes = Vec::new();
        self.segment.classes(Fixed::Class, page as usize, self.counter, &mut classes)?;
        self.codes(Fixed::Resource, page, out)?;
        for (code, class) in out.iter_mut().zip(&classes) {
            *code = self.source.tables.resource_of(*class as u32, u64::from(*code))?;
        }
        Ok(())
    }

    fn starts(&self, page: u32, range: TimeRange) -> Result<Option<Vec<u64>>> {
        let zone = self.segment.zones().map(|zones| zones.page(Measure::Start, page));
        // Rows without a start are told by their class, so a zone of the others is enough.
        if range == TimeRange::ALL || zone.is_some_and(|z| !z.is_empty() && range.covers(z.min, z.max)) {
            return Ok(None);
        }
        self.all_starts(page).map(Some)
    }

    fn durations(&self, page: u32, out: &mut Vec<u64>) -> Result<()> {
        self.segment.integers(Fixed::Length as u32, page as usize, self.counter, out)
    }

    fn match_field(&self, page: u32, classes: &[u32], test: &FieldTest<'_>, matched: &mut Mask) -> Result<()> {
        let FieldColumn { values: column, shared, .. } = self.source.tables.column_of(test.field);
        if !shared && !test.value_type.is_bytes() {
            let mut memory = test.memory.borrow_mut();
            let mut told = Mask::NONE;
            let mut judged = Judged::default();
            self.each_run(
                page,
                classes,
                (test.field, &test.per_class),
                |places, rows| {
                    self.read_values(column, places.start / PAGE_ROWS, &mut memory)?;
                    let FieldMemory { values, judged, .. } = &mut *memory;
                    for (bits, row) in run_of(values, &places, column)?.iter().zip(rows) {
                        if judged.verdict(*bits, || number_meets(test.value_type, *bits, &test.test)) {
                            matched.insert(usize::from(*row));
                        }
                    }
                    Ok(())
                },
                |bits, row| {
                    if judged.verdict(bits, || number_meets(test.value_type, bits, &test.test)) {
                        told.insert(row);
                    }
                    Ok(())
                },
            )?;
            *matched = matched.or(&told);
            return Ok(());
        }
        if self.segment.dictionary(test.field)?.is_some() {
            let verdicts = self.verdicts(test)?;
            if !verdicts.contains(&true) {
                return Ok(());
            }
            let mut memory = test.memory.borrow_mut();
            let verdict = |code: u64| {
                verdicts.get(code as usize).copied().ok_or_else(|| Error::corrupt("unknown dictionary code"))
            };
            let mut told = Mask::NONE;
            self.each_run(
                page,
                classes,
                (test.field, &test.per_class),
                |places, rows| {
                    self.read_values(column, places.start / PAGE_ROWS, &mut memory)?;
                    for (code, row) in run_of(&memory.values, &places, column)?.iter().zip(rows) {
                        if verdict(*code)? {
                            matched.insert(usize::from(*row));
                        }
                    }
                    Ok(())
                },
                |code, row| {
                    if verdict(code)? {
                        told.insert(row);
                    }
                    Ok(())
                },
            )?;
            *matched = matched.or(&told);
            return Ok(());
        }
        let (mut strings, mut open) = (Strings::default(), usize::MAX);
        self.each_place(page, classes, (test.field, &test.per_class), |place, row| {
            let at = match place {
                Place::At(at) => at,
                Place::Told(code) => {
                    if bytes_meet(test.value_type, self.segment.told_text(test.field, code)?, &test.test)? {
                        matched.insert(row);
                    }
                    return Ok(());
                }
            };
            if at / PAGE_ROWS != open {
                open = at / PAGE_ROWS;
                self.segment.strings(column, open, self.counter, &mut strings)?;
            }
            ensure(at % PAGE_ROWS < strings.len(), || format!("column {column} has no value {at}"))?;
            let bytes = strings.get(at % PAGE_ROWS);
            let met = if test.value_type.is_bytes() {
                bytes_meet(test.value_type, bytes, &test.test)?
            } else {
                number_meets(test.value_type, overflow_number(test.value_type, bytes)?, &test.test)
            };
            if met {
                matched.insert(row);
            }
            Ok(())
        })
    }

    fn each_value(&self, page: u32, classes: &[u32], known: FieldOf<'_>, visit: &mut ValueVisitor<'_>) -> Result<()> {
        let FieldColumn { values: column, shared, .. } = self.source.tables.column_of(known.field);
        let places = (known.field, known.per_class);
        if !shared && !known.value_type.is_bytes() {
            let mut cursor = IntegerCursor::new(self.segment, column, true, self.counter);
            return self.each_place(page, classes, places, |place, row| {
                let number = match place {
                    Place::At(at) => cursor.get(at)?,
                    Place::Told(number) => number,
                };
                visit(row, RawValue::Number(number))
            });
        }
        if let Some(dictionary) = self.segment.dictionary(known.field)?.filter(|_| !shared) {
            let mut cursor = IntegerCursor::new(self.segment, column, true, self.counter);
            return self.each_place(page, classes, places, |place, row| {
                let code = match place {
                    Place::At(at) => cursor.get(at)?,
                    Place::Told(code) => code,
                };
                ensure(code < dictionary.len() as u64, || format!("dictionary code {code} is unknown"))?;
                visit(row, RawValue::Entry(code as u32, dictionary.get(code as u32)))
            });
        }
        let (mut strings, mut open) = (Strings::default(), usize::MAX);
        self.each_place(page, classes, places, |place, row| {
            let at = match place {
                Place::At(at) => at,
                Place::Told(code) => return visit(row, RawValue::Bytes(self.segment.told_text(known.field, code)?)),
            };
            if at / PAGE_ROWS != open {
                open = at / PAGE_ROWS;
                self.segment.strings(column, open, self.counter, &mut strings)?;
            }
            ensure(at % PAGE_ROWS < strings.len(), || format!("column {column} has no value {at}"))?;
            let bytes = strings.get(at % PAGE_ROWS);
            let raw = if known.value_type.is_bytes() {
                RawValue::Bytes(bytes)
            } else {
                RawValue::Number(overflow_number(known.value_type, bytes)?)
            };
            visit(row, raw)
        })
    }

    fn events(&self, page: u32) -> Result<Vec<(usize, Event)>> {
        let rows = self.rows_of(page);
        let found = self.segment.events_in(&rows, &self.source, self.counter)?;
        Ok(found.into_iter().map(|(row, event)| ((row - rows.start) as usize, event)).collect())
    }

    fn links(&self, page: u32) -> Result<Vec<(usize, Link)>> {
        let rows = self.rows_of(page);
        let found = self.segment.links_in(&rows, &self.source, self.counter)?;
        Ok(found.into_iter().map(|(row, link)| ((row - rows.start) as usize, link)).collect())
    }
}
