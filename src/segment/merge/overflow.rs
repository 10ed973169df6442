//! The overflow column of a table, row by row.
//!
//! A value of an overflow field of the output may stand in the overflow column of the input, or in a column
//! the field has of its own there; either way it is found by the row and its place among the row's values.

use rustc_hash::FxHashMap;

use crate::column::{RowSource, Table, ValueType};
use crate::error::{Error, Result};
use crate::limits::PAGE_ROWS;

use super::super::field_columns::term_index;
use super::super::layout::{ColumnForm, OVERFLOW_COLUMN_FIRST, OVERFLOW_RANK_COLUMN_FIRST, SectionKind};
use super::super::overflow::{FieldColumn, overflow_term};
use super::super::writer::{SegmentWriter, StringSamples, StringsWriter, sample_step};
use super::fields::{FieldColumns, Ranks};
use super::input::Input;
use super::pages::StringPages;
use super::places::Places;
use super::source::{FieldSource, FieldUses, Text, table_index};

/// Writes the overflow column of a table if it has one.
///
/// # Errors
/// Corrupt if a page is damaged; whatever the file says.
pub fn write_overflow(columns: &FieldColumns<'_, '_>, table: Table, out: &mut SegmentWriter) -> Result<()> {
    let of_table = (0..).zip(columns.united.fields()).filter(|(_, field)| field.table == table);
    let total: u64 = of_table.filter(|(code, _)| *code >= columns.own_end).map(|(code, _)| columns.counts[code]).sum();
    if total == 0 {
        return Ok(());
    }
    let pages = columns.runs_of(table).pages();
    let (mut ranks, mut terms) = (Ranks::new(pages), term_index(pages));
    let mut samples = StringSamples::of(total as usize);
    let step = sample_step((total as usize).div_ceil(PAGE_ROWS));
    let mut scratch = Vec::new();
    let mut next = 0;
    each_value(columns, table, |page, field, bytes| {
        ranks.add(page, 1);
        terms.add(overflow_term(field, bytes, &mut scratch), page as u32);
        next += 1;
        if ((next - 1) / PAGE_ROWS).is_multiple_of(step) { samples.push(bytes) } else { Ok(()) }
    })?;
    let (values, rank_column) = (OVERFLOW_COLUMN_FIRST + table as u32, OVERFLOW_RANK_COLUMN_FIRST + table as u32);
    out.integers(rank_column, ColumnForm::Integers, &ranks.finish(total)?)?;
    out.section(SectionKind::Terms, values, &terms.finish())?;
    let mut writer = StringsWriter::new(out, values, samples.choose().0);
    each_value(columns, table, |_, _, bytes| writer.push(bytes))?;
    writer.finish().map(|_| ())
}

/// Calls `visit` with the values of all overflow fields of a table in order: page, field, value.
fn each_value(
    columns: &FieldColumns<'_, '_>,
    table: Table,
    mut visit: impl FnMut(usize, u32, &[u8]) -> Result<()>,
) -> Result<()> {
    let classes = columns.classes[table_index(table)];
    let mut rows = Vec::new();
    for (at, input) in columns.inputs.iter().enumerate() {
        rows.push(OverflowRows::open(columns, at, input, &columns.uses[at], table, &classes[at])?);
    }
    for piece in columns.runs_of(table).pieces() {
        if piece.rows.start % PAGE_ROWS == 0 {
            (columns.check)()?;
        }
        let rows = &mut rows[piece.input];
        for row in piece.rows {
            rows.read(row, |field, bytes| visit(piece.page, field, bytes))
                .map_err(|e| columns.inputs[piece.input].in_field(e))?;
        }
    }
    Ok(())
}

/// Reads, row by row, the values one input has of overflow fields of the output.
struct OverflowRows<'m, 's> {
    input: &'s Input<'s>,
    uses: &'m FieldUses,
    classes: &'m [u32],
    /// Codes in the output, by the input's codes; none for fields that have a column there.
    fields: Vec<Option<u32>>,
    /// True for the classes that have such a field.
    wanted: Vec<bool>,
    /// The input's overflow column, if it has one.
    shared: Option<(Places<'m>, StringPages<'s>)>,
    /// Columns that fields have in the input.
    own: FxHashMap<u32, FieldSource<'m, 's>>,
}

impl<'m, 's> OverflowRows<'m, 's> {
    fn open(
        columns: &'m FieldColumns<'_, 's>,
        at: usize,
        input: &'s Input<'s>,
        uses: &'m FieldUses,
        table: Table,
        classes: &'m [u32],
    ) -> Result<Self> {
        let schema = input.source.schema();
        let own_end = columns.own_end as u32;
        let code = |field: u32| columns.united.known_field(at, field).filter(|code| *code >= own_end);
        let fields: Vec<Option<u32>> = (0..schema.fields.len() as u32).map(code).collect();
        let has = |class: u32| schema.shape_of(class).iter().any(|field| fields[*field as usize].is_some());
        let wanted = (0..schema.classes.len() as u32).map(has).collect();
        let column = FieldColumn::overflow(table, 0);
        let shared = match input.segment.column(column.values) {
            None => None,
            Some(_) => Some((
                Places::open(input, column.ranks, uses.overflow_counts(), classes)?,
                StringPages::new(input.segment, column.values, input.counter),
            )),
        };
        Ok(Self { input, uses, classes, fields, wanted, shared, own: FxHashMap::default() })
    }

    fn read(&mut self, row: usize, mut visit: impl FnMut(u32, &[u8]) -> Result<()>) -> Result<()> {
        let class = self.classes[row];
        if !self.wanted[class as usize] {
            return Ok(());
        }
        let tables = self.input.source.tables;
        let shape = tables.schema.shape_of(class);
        let mut place = 0;
        for (at, field) in shape.iter().enumerate() {
            let shared = tables.overflow.holds(*field);
            if let Some(code) = self.fields[*field as usize] {
                if shared {
                    self.read_shared(row, place, |bytes| visit(code, bytes))?;
                } else {
                    let nth = shape[..at].iter().filter(|other| *other == field).count();
                    self.read_own(row, *field, nth, |bytes| visit(code, bytes))?;
                }
            }
            place += usize::from(shared);
        }
        Ok(())
    }

    fn read_shared(&mut self, row: usize, place: usize, visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let missing = || self.input.corrupt("the overflow column is missing");
        let (places, pages) = self.shared.as_mut().ok_or_else(missing)?;
        let at = places.of(row..row + 1).start + place;
        pages.each(at..at + 1, visit)
    }

    fn read_own(
        &mut self,
        row: usize,
        field: u32,
        nth: usize,
        mut visit: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let value_type = self.input.source.schema().fields[field as usize].value_type;
        if !self.own.contains_key(&field) {
            self.own.insert(field, FieldSource::open(self.input, self.uses, field, self.classes, |_| false)?);
        }
        let missing = || Error::corrupt("a field has no column");
        let source = self.own.get_mut(&field).ok_or_else(missing)?;
        if !value_type.is_bytes() {
            let mut values = Vec::new();
            source.numbers(row..row + 1, value_type, &mut values)?;
            let value = values.get(nth).copied().ok_or_else(missing)?;
            return if value_type == ValueType::Empty { visit(&[]) } else { visit(&value.to_le_bytes()) };
        }
        let mut seen = 0;
        source.texts(0, row..row + 1, |text| {
            let (Text::Coded { bytes, .. } | Text::Plain(bytes)) = text;
            seen += 1;
            if seen == nth + 1 { visit(bytes) } else { Ok(()) }
        })
    }
}
