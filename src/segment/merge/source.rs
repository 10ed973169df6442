//! The values of one field of the output, as each input has them.
//!
//! A field may have a column of its own in one input, stand in the overflow column of another, and be unknown
//! to a third.

use std::ops::Range;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::column::{RowSource, Table, ValueType};
use crate::error::{Error, Result, ensure};

use super::super::dictionary::DictionaryView;
use super::super::overflow::{FieldColumn, overflow_number};
use super::super::unite::United;
use super::fields::FieldColumns;
use super::input::Input;
use super::pages::{IntegerPages, StringPages};
use super::places::Places;

/// How often rows of each class have each field with a column of its own, by field; classes alone that have
/// it. And the same for the overflow column.
pub struct FieldUses {
    own: Vec<Vec<(u32, u32)>>,
    overflow: Rc<[u32]>,
}

impl FieldUses {
    /// Of an input.
    pub fn new(input: &Input<'_>) -> Self {
        let (schema, overflow) = (input.source.schema(), &input.source.tables.overflow);
        let mut own: Vec<Vec<(u32, u32)>> = vec![Vec::new(); overflow.own_end()];
        for class in 0..schema.classes.len() as u32 {
            for (place, field) in
                schema.shape_of(class).iter().enumerate().filter(|(_, field)| !overflow.holds(**field))
            {
                if input.source.tables.told.at(class, place).is_some() {
                    continue;
                }
                match own[*field as usize].last_mut() {
                    Some((last, count)) if *last == class => *count += 1,
                    _ => own[*field as usize].push((class, 1)),
                }
            }
        }
        Self { own, overflow: overflow.counts(schema).into() }
    }

    /// How many values rows of each class have in the overflow column.
    pub fn overflow_counts(&self) -> Rc<[u32]> {
        self.overflow.clone()
    }
}

/// A value that is a byte string.
pub enum Text<'v> {
    /// The one of this code in the dictionary of this input.
    Coded {
        /// Which input.
        input: usize,
        /// Its code there.
        code: u32,
        /// The value.
        bytes: &'v [u8],
    },
    /// Just the value.
    Plain(&'v [u8]),
}

/// The values of a field in one input.
pub struct FieldSource<'m, 's> {
    places: Places<'m>,
    values: Values<'s>,
    /// The values that rows have from their classes, by class; empty if none has. Rows whose class tells the field in the
    /// output too have none.
    told: Vec<Option<u64>>,
    /// The byte strings among them.
    told_texts: Option<DictionaryView<'s>>,
}

/// Rows that are read together.
enum Stretch {
    /// Rows whose values stand in the column, if they have one.
    Placed(Range<usize>),
    /// One row, which has this value from its class.
    Told(u64),
}

enum Values<'s> {
    Numbers(IntegerPages<'s>),
    Coded(IntegerPages<'s>, DictionaryView<'s>),
    Strings(StringPages<'s>),
    /// In the overflow column: for each class that has the field, its places among the row's values there.
    Overflow(StringPages<'s>, FxHashMap<u32, Vec<usize>>),
}

impl Values<'_> {
    fn is_bytes(&self) -> bool {
        matches!(self, Self::Coded(..) | Self::Strings(_))
    }
}

impl<'m, 's> FieldSource<'m, 's> {
    /// The values of a field, by its code in the input. `classes` are those of the rows of the field's table.
    ///
    /// # Errors
    /// Corrupt if its ranks or dictionary are damaged.
    pub fn open(
        input: &'s Input<'s>,
        uses: &FieldUses,
        field: u32,
        classes: &'m [u32],
        tells: impl Fn(u32) -> bool,
    ) -> Result<Self> {
        let column = input.source.tables.column_of(field);
        if column.shared {
            return Self::open_overflow(input, uses, column, field, classes);
        }
        let schema = input.source.schema();
        let mut per_class = vec![0; schema.classes.len()];
        uses.own[field as usize].iter().for_each(|(class, count)| per_class[*class as usize] = *count);
        let places = Places::open(input, column.ranks, per_class.into(), classes)?;
        let integers = || IntegerPages::new(input.segment, column.values, input.counter);
        let values = if !schema.fields[field as usize].value_type.is_bytes() {
            Values::Numbers(integers())
        } else if let Some(dictionary) = input.segment.dictionary(field)? {
            dictionary.validate().map_err(|e| e.at(format!("segment {}, dictionary {field}", input.segment.name())))?;
            Values::Coded(integers(), dictionary)
        } else {
            Values::Strings(StringPages::new(input.segment, column.values, input.counter))
        };
        let mut told = Vec::new();
        for (class, value) in input.source.tables.told.of_field(field).iter().filter(|(class, _)| !tells(*class)) {
            told.resize(schema.classes.len(), None);
            told[*class as usize] = Some(*value);
        }
        let told_texts = if values.is_bytes() { input.segment.texts_of(field)? } else { None };
        told_texts.iter().try_for_each(|texts| texts.validate())?;
        Ok(Self { places, values, told, told_texts })
    }

    /// Calls `visit` with these rows, cut where one has its value from its class.
    fn each_stretch(
        &mut self,
        rows: Range<usize>,
        mut visit: impl FnMut(&mut Self, Stretch) -> Result<()>,
    ) -> Result<()> {
        let mut begin = rows.start;
        if !self.told.is_empty() {
            for row in rows.clone() {
                if let Some(value) = self.told[self.places.class(row) as usize] {
                    visit(self, Stretch::Placed(begin..row))?;
                    visit(self, Stretch::Told(value))?;
                    begin = row + 1;
                }
            }
        }
        visit(self, Stretch::Placed(begin..rows.end))
    }

    fn open_overflow(
        input: &'s Input<'s>,
        uses: &FieldUses,
        column: FieldColumn,
        field: u32,
        classes: &'m [u32],
    ) -> Result<Self> {
        let (schema, overflow) = (input.source.schema(), &input.source.tables.overflow);
        let places = Places::open(input, column.ranks, uses.overflow.clone(), classes)?;
        let of_class = |class: u32| (class, overflow.places(schema.shape_of(class), field).collect::<Vec<_>>());
        let has = |class: &u32| schema.shape_of(*class).contains(&field);
        let within = (0..schema.classes.len() as u32).filter(has).map(of_class).collect();
        let pages = StringPages::new(input.segment, column.values, input.counter);
        Ok(Self { places, values: Values::Overflow(pages, within), told: Vec::new(), told_texts: None })
    }

    /// The dictionary of the values, if they have one.
    pub fn dictionary(&self) -> Option<DictionaryView<'s>> {
        match &self.values {
            Values::Coded(_, dictionary) => Some(*dictionary),
            _ => None,
        }
    }

    /// How many values these rows have, by their classes.
    pub fn count(&mut self, rows: Range<usize>) -> usize {
        match &self.values {
            Values::Overflow(_, within) => {
                rows.map(|row| within.get(&self.places.class(row)).map_or(0, Vec::len)).sum()
            }
            _ => {
                let told = |row: &usize| !self.told.is_empty() && self.told[self.places.class(*row) as usize].is_some();
                let told = rows.clone().filter(told).count();
                told + self.places.of(rows).len()
            }
        }
    }

    /// Appends the values of these rows, numbers of this type.
    ///
    /// # Errors
    /// Corrupt if a page is damaged.
    pub fn numbers(&mut self, rows: Range<usize>, value_type: ValueType, out: &mut Vec<u64>) -> Result<()> {
        if let Values::Numbers(_) = &self.values {
            return self.each_stretch(rows, |source, stretch| {
                match (stretch, &mut source.values) {
                    (Stretch::Told(value), _) => out.push(value),
                    (Stretch::Placed(rows), Values::Numbers(pages)) => pages.copy(source.places.of(rows), out)?,
                    _ => {}
                }
                Ok(())
            });
        }
        self.texts(0, rows, |text| {
            let (Text::Coded { bytes, .. } | Text::Plain(bytes)) = text;
            out.push(overflow_number(value_type, bytes)?);
            Ok(())
        })
    }

    /// Calls `visit` with the values of these rows, byte strings of this input.
    ///
    /// # Errors
    /// Corrupt if a page is damaged; what `visit` returns.
    pub fn texts(
        &mut self,
        input: usize,
        rows: Range<usize>,
        mut visit: impl FnMut(Text<'_>) -> Result<()>,
    ) -> Result<()> {
        self.each_stretch(rows, |source, stretch| match stretch {
            Stretch::Placed(rows) => source.placed_texts(input, rows, &mut visit),
            Stretch::Told(code) => {
                let texts = source.told_texts.filter(|texts| code < texts.len() as u64);
                let texts = texts.ok_or_else(|| Error::corrupt(format!("told code {code} is unknown")))?;
                let (code, bytes) = (code as u32, texts.get(code as u32));
                visit(if matches!(source.values, Values::Coded(..)) {
                    Text::Coded { input, code, bytes }
                } else {
                    Text::Plain(bytes)
                })
            }
        })
    }

    fn placed_texts(
        &mut self,
        input: usize,
        rows: Range<usize>,
        visit: &mut impl FnMut(Text<'_>) -> Result<()>,
    ) -> Result<()> {
        let places = &mut self.places;
        match &mut self.values {
            Values::Numbers(_) => Err(Error::corrupt("a field of numbers is read as byte strings")),
            Values::Strings(pages) => pages.each(places.of(rows), |bytes| visit(Text::Plain(bytes))),
            Values::Coded(pages, dictionary) => pages.each(places.of(rows), |codes| {
                for code in codes {
                    ensure(*code < dictionary.len() as u64, || format!("dictionary code {code} is unknown"))?;
                    let code = *code as u32;
                    visit(Text::Coded { input, code, bytes: dictionary.get(code) })?;
                }
                Ok(())
            }),
            Values::Overflow(pages, within) => {
                for row in rows {
                    let Some(within) = within.get(&places.class(row)) else { continue };
                    let first = places.of(row..row + 1).start;
                    for place in within {
                        let at = first + place;
                        pages.each(at..at + 1, |bytes| visit(Text::Plain(bytes)))?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// The values of a field of the output in all inputs; none for those that do not know it.
///
/// # Errors
/// As [`FieldSource::open`]; corrupt if an input names a field twice.
pub fn sources<'m, 's>(
    columns: &FieldColumns<'_, 's>,
    classes: &'m [Vec<u32>],
    field: u32,
) -> Result<Vec<Option<FieldSource<'m, 's>>>> {
    let open = |at: usize| {
        let Some(code) = columns.local.of[at].get(&field) else { return Ok(None) };
        let tells =
            |local: u32| columns.united.known_class(at, local).is_some_and(|class| columns.told.tells(class, field));
        FieldSource::open(&columns.inputs[at], &columns.uses[at], *code, &classes[at], tells).map(Some)
    };
    (0..columns.inputs.len()).map(open).collect()
}

/// The inputs' own codes of the fields of the output.
pub struct LocalFields {
    of: Vec<FxHashMap<u32, u32>>,
}

impl LocalFields {
    /// Of all fields that rows use.
    ///
    /// # Errors
    /// Corrupt if an input names a field twice.
    pub fn new(inputs: &[Input<'_>], united: &United<'_>) -> Result<Self> {
        let mut of = Vec::new();
        for (at, input) in inputs.iter().enumerate() {
            let mut codes = FxHashMap::default();
            for local in 0..input.source.schema().fields.len() as u32 {
                let Some(field) = united.known_field(at, local) else { continue };
                if codes.insert(field, local).is_some() {
                    return Err(input.corrupt(format_args!("field {local} is there twice")));
                }
            }
            of.push(codes);
        }
        Ok(Self { of })
    }
}

impl LocalFields {
    /// The code that an input has for a field of the output.
    pub fn of_input(&self, input: usize, field: u32) -> Option<u32> {
        self.of[input].get(&field).copied()
    }
}

/// The index of a table in lists of three.
pub fn table_index(table: Table) -> usize {
    table as usize - 1
}
