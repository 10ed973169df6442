//! The columns that rare fields share, one a table.
//!
//! A field that has no column of its own ([`super::own_fields`] says which do) is an overflow field. All
//! overflow values of a table stand in one column of byte strings, row by row and within a row in the order
//! of its shape. Which field a value belongs to is not written: the class of the row has a shape, and the
//! shape names the fields.
//!
//! ```text
//! shape of a row    a  x  b  y  y      a and b have columns of their own, x and y do not
//! column of a       .. v
//! column of b             .. v
//! overflow column   ..    v     v  v   ->  the values of y are places 1 and 2 of this row's three
//! ```
//! Strings, bytes and composites are written as they are, numbers as their 64 bits in little-endian order,
//! an empty value as no bytes. Ranks count the overflow values of all fields. The term index knows a value
//! by the field's code, as a little-endian u32, and the value's bytes.

use std::slice::from_ref;

use crate::bytes::{Reader, as_bytes, hash64};
use crate::column::{Schema, Table, ValueType};
use crate::error::Result;
use crate::index::TermIndexBuilder;

use super::layout::{FIELD_COLUMN_FIRST, OVERFLOW_COLUMN_FIRST, OVERFLOW_RANK_COLUMN_FIRST, RANK_COLUMN_FIRST};
use super::ranked::{Ranked, with_pages};

/// Fields from this code on have no column of their own: its code would be that of a rank list.
const OWN_FIELDS_END: u32 = RANK_COLUMN_FIRST - FIELD_COLUMN_FIRST;

/// Where the values of a field stand: in its own column, or among those of other fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldColumn {
    /// Code of the column.
    pub values: u32,
    /// Code of the column's rank list: how many values stand before each page of the table.
    pub ranks: u32,
    /// Key of the column's term index.
    pub terms: u32,
    /// True for the overflow column of the field's table.
    pub shared: bool,
    field: u32,
}

impl FieldColumn {
    /// The column that only the field of this code has, which is below [`OWN_FIELDS_END`].
    pub fn own(field: u32) -> Self {
        let (values, ranks) = (FIELD_COLUMN_FIRST + field, RANK_COLUMN_FIRST + field);
        Self { values, ranks, terms: field, shared: false, field }
    }

    /// The overflow column of a table, where this field's values are sought.
    pub fn overflow(table: Table, field: u32) -> Self {
        let values = OVERFLOW_COLUMN_FIRST + table as u32;
        Self { values, ranks: OVERFLOW_RANK_COLUMN_FIRST + table as u32, terms: values, shared: true, field }
    }

    /// The hash by which the term index knows a value of the field.
    pub fn term(&self, value: &[u8]) -> u64 {
        if self.shared { overflow_term(self.field, value, &mut Vec::new()) } else { hash64(value) }
    }
}

/// The column and the rank list of what a term index with this key indexes.
pub fn columns_of_terms(key: u32) -> (u32, u32) {
    let columns = if key >= OVERFLOW_COLUMN_FIRST {
        [key, key.saturating_add(OVERFLOW_RANK_COLUMN_FIRST - OVERFLOW_COLUMN_FIRST)]
    } else {
        [FIELD_COLUMN_FIRST + key, RANK_COLUMN_FIRST + key]
    };
    columns.into()
}

/// The hash by which the term index of an overflow column knows a value of a field; `scratch` is for reuse.
pub fn overflow_term(field: u32, value: &[u8], scratch: &mut Vec<u8>) -> u64 {
    scratch.clear();
    scratch.extend_from_slice(as_bytes(from_ref(&field)));
    scratch.extend_from_slice(value);
    hash64(scratch)
}

/// The overflow column of one table as it is gathered.
#[derive(Default)]
pub struct OverflowBuilder {
    column: Ranked,
    fields: Vec<u32>,
}

/// An overflow column, ready to be written.
pub struct OverflowColumn<'v> {
    /// How many values stand before each page of the table, and in all.
    pub ranks: Vec<u64>,
    /// The values.
    pub values: Vec<&'v [u8]>,
    /// Term index.
    pub terms: Vec<u8>,
}

impl OverflowBuilder {
    /// Adds a value of this field: the 64 bits of a number, or what stands for a byte string.
    pub fn push(&mut self, page: usize, field: u32, value: u64) {
        self.column.push(page, value);
        self.fields.push(field);
    }

    /// True if no value was added.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The column of a table with this many pages; `bytes_of` tells the bytes of byte strings, values on
    /// more than `common_limit` pages are not listed in the term index.
    pub fn finish<'v>(
        &'v self,
        pages: usize,
        common_limit: u32,
        type_of: impl Fn(u32) -> ValueType,
        bytes_of: impl Fn(u64) -> &'v [u8],
    ) -> OverflowColumn<'v> {
        let ranks = self.column.ranks(pages);
        let bytes = |(value, field): (&'v u64, &u32)| match type_of(*field) {
            ValueType::Empty => &[],
            value_type if value_type.is_bytes() => bytes_of(*value),
            _ => as_bytes(from_ref(value)),
        };
        let values: Vec<&[u8]> = self.column.values.iter().zip(&self.fields).map(bytes).collect();
        let mut terms = TermIndexBuilder::new(pages as u32, common_limit);
        let mut scratch = Vec::new();
        for ((value, page), field) in with_pages(&values, &ranks).zip(&self.fields) {
            terms.add(overflow_term(*field, value, &mut scratch), page);
        }
        OverflowColumn { ranks, terms: terms.finish(), values }
    }
}

/// The 64 bits of a number that stands in an overflow column.
///
/// # Errors
/// Corrupt if the length is not that of a value of this type.
pub fn overflow_number(value_type: ValueType, bytes: &[u8]) -> Result<u64> {
    let mut reader = Reader::new(bytes);
    let bits = if value_type == ValueType::Empty { 0 } else { reader.u64("overflow number")? };
    reader.finish("overflow number")?;
    Ok(bits)
}

/// Which fields of a segment are overflow fields, and how many values its shapes have of them.
#[derive(Debug, Default)]
pub struct Overflow {
    fields: Vec<bool>,
    per_shape: Vec<u32>,
    own_end: usize,
}

impl Overflow {
    /// The overflow fields of this schema: those without a column among the segment's.
    pub fn new(schema: &Schema, has_column: impl Fn(u32) -> bool) -> Self {
        let own = |field: u32| field < OWN_FIELDS_END && has_column(FieldColumn::own(field).values);
        let fields: Vec<bool> = (0..schema.fields.len() as u32).map(|field| !own(field)).collect();
        let count = |shape: &[u32]| shape.iter().filter(|field| fields[**field as usize]).count() as u32;
        let per_shape = schema.shapes.iter().map(|shape| count(shape)).collect();
        let own_end = fields.iter().rposition(|shared| !shared).map_or(0, |last| last + 1);
        Self { fields, per_shape, own_end }
    }

    /// True if the field has no column of its own.
    pub fn holds(&self, field: u32) -> bool {
        self.fields[field as usize]
    }

    /// How many values rows of this shape have in the overflow column.
    pub fn count_in(&self, shape: u32) -> u32 {
        self.per_shape[shape as usize]
    }

    /// The places of a field's values among the overflow values of a row whose shape has these fields.
    pub fn places<'a>(&'a self, shape: &'a [u32], field: u32) -> impl Iterator<Item = usize> + 'a {
        let shared = shape.iter().filter(|other| self.holds(**other));
        shared.enumerate().filter(move |(_, other)| **other == field).map(|(place, _)| place)
    }

    /// How many values the rows of every class of this schema have in the overflow column.
    pub fn counts(&self, schema: &Schema) -> Vec<u32> {
        schema.classes.iter().map(|class| self.count_in(class.shape)).collect()
    }

    /// One past the highest field with a column of its own.
    pub fn own_end(&self) -> usize {
        self.own_end
    }
}
