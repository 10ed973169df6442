//! The columns of fields: which fields have one, and the columns of numbers.

use std::cmp::Reverse;

use crate::column::{Field, Table};
use crate::error::{Error, ErrorKind, Result, ensure};
use crate::limits::COLUMNS_MAX;

use super::super::field_columns::write_numbers;
use super::super::told::ToldValues;
use super::super::unite::United;
use super::super::writer::SegmentWriter;
use super::input::Input;
use super::runs::Runs;
use super::source::{FieldUses, LocalFields, sources, table_index};
use super::texts::write_texts;
use super::told::MergedTold;

/// What the columns of fields are made of.
pub struct FieldColumns<'m, 's> {
    /// The inputs.
    pub inputs: &'s [Input<'s>],
    /// All codes, complete.
    pub united: &'m United<'s>,
    /// The rows of each table.
    pub runs: [&'m Runs; 3],
    /// Local classes by table and input.
    pub classes: [&'m [Vec<u32>]; 3],
    /// How the inputs' classes use their fields.
    pub uses: Vec<FieldUses>,
    /// The inputs' codes of the fields.
    pub local: LocalFields,
    /// Values of each field.
    pub counts: Vec<u64>,
    /// Fields from this code on are overflow fields.
    pub own_end: usize,
    /// What classes of the output tell.
    pub told: MergedTold,
    /// Asks whether to go on.
    pub check: &'m dyn Fn() -> Result<()>,
}

/// How many values each field has in the rows counted so far.
pub fn count_values(united: &United<'_>) -> Vec<u64> {
    let mut out = vec![0; united.fields().len()];
    for (class, rows) in (0..).zip(&united.class_rows) {
        united.shape_of(class).iter().for_each(|field| out[*field as usize] += rows);
    }
    out
}

/// Gives the fields that shall have columns of their own the first codes, if not all have one: those with the
/// most values, ties by name, as sealing chooses them. Returns the values of each field, and how many fields
/// have columns.
pub fn choose_own(united: &mut United<'_>) -> (Vec<u64>, usize) {
    let counts = count_values(united);
    if counts.len() <= COLUMNS_MAX {
        let own = counts.len();
        return (counts, own);
    }
    let name = |field: &Field| {
        (field.table, field.internal, field.value_type as u8, &united.strings.items[field.key as usize])
    };
    let mut order: Vec<u32> = (0..counts.len() as u32).collect();
    let key = |code: &u32| (Reverse(counts[*code as usize]), name(united.field_at(*code)));
    order.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
    order.truncate(COLUMNS_MAX);
    united.put_first(&order);
    (count_values(united), COLUMNS_MAX)
}

impl<'s> FieldColumns<'_, 's> {
    /// Writes the columns of fields that have one of their own. Returns what classes tell, by field.
    ///
    /// # Errors
    /// Corrupt if a page is damaged; whatever the file says.
    pub fn write(&self, out: &mut SegmentWriter) -> Result<Vec<ToldValues>> {
        let mut told = Vec::with_capacity(self.own_end);
        for code in 0..self.own_end as u32 {
            (self.check)()?;
            if self.united.field_at(code).value_type.is_bytes() {
                told.push(write_texts(self, code, out)?);
            } else {
                self.write_numbers(code, out)?;
                told.push(self.told.numbers(code));
            }
        }
        Ok(told)
    }

    /// The rows of a field's table.
    pub fn runs_of(&self, table: Table) -> &Runs {
        self.runs[table_index(table)]
    }

    fn write_numbers(&self, code: u32, out: &mut SegmentWriter) -> Result<()> {
        let field = self.united.field_at(code);
        let runs = self.runs_of(field.table);
        let classes = self.classes[table_index(field.table)];
        let mut sources = sources(self, classes, code)?;
        let mut values = Vec::with_capacity(self.counts[code as usize] as usize);
        let mut ranks = Ranks::new(runs.pages());
        for piece in runs.pieces() {
            let Some(source) = &mut sources[piece.input] else { continue };
            let before = values.len();
            source
                .numbers(piece.rows, field.value_type, &mut values)
                .map_err(|e| self.inputs[piece.input].in_field(e))?;
            ranks.add(piece.page, values.len() - before);
        }
        let ranks = ranks.finish(self.counts[code as usize])?;
        write_numbers(code, field.value_type, &values, &ranks, out)
    }
}

impl Input<'_> {
    /// An error that damage caused, with the segment's name, unless it has that already.
    pub fn in_field(&self, error: Error) -> Error {
        let place = format!("segment {}", self.segment.name());
        let named = error.kind() != ErrorKind::Corrupt || error.to_string().starts_with(&place);
        if named { error } else { error.at(place) }
    }
}

/// A rank list as it is counted.
pub struct Ranks {
    /// The values of each page, one place further on.
    counts: Vec<u64>,
}

impl Ranks {
    /// Of a table of this many pages.
    pub fn new(pages: usize) -> Self {
        Self { counts: vec![0; pages + 1] }
    }

    /// So many more values in this page.
    pub fn add(&mut self, page: usize, values: usize) {
        self.counts[page + 1] += values as u64;
    }

    /// The list, which must end at `total`.
    ///
    /// # Errors
    /// Corrupt if it does not: an input has more or fewer values than its classes say.
    pub fn finish(mut self, total: u64) -> Result<Vec<u64>> {
        let mut sum = 0;
        for count in &mut self.counts {
            sum += *count;
            *count = sum;
        }
        ensure(sum == total, || format!("a field has {sum} values where its classes say {total}"))?;
        Ok(self.counts)
    }
}
