//! The pages of a head chapter: slices of 1,024 rows.

use std::borrow::Cow;
use std::ops::Range;

use crate::bytes::Reader;
use crate::column::{ClassBits, ValueType, decode_value};
use crate::error::Result;
use crate::head::Chapter;
use crate::limits::PAGE_ROWS;
use crate::model::{Event, Link, TimeRange, ValueRef};

use super::compile::FieldTest;
use super::mask::Mask;
use super::scan::{FieldOf, PageSource, ValueVisitor};
use super::walk::RawValue;

impl PageSource for Chapter {
    fn classes(&self, page: u32, out: &mut Vec<u32>) -> Result<()> {
        out.clear();
        out.extend(self.rows[self.rows_of(page)].iter().map(|row| row.class));
        Ok(())
    }

    fn class_bits(&self, class: u32) -> ClassBits {
        self.schema.classes[class as usize].bits
    }

    fn resources(&self, page: u32, out: &mut Vec<u32>) -> Result<()> {
        out.clear();
        out.extend(self.rows[self.rows_of(page)].iter().map(|row| row.resource));
        Ok(())
    }

    fn starts(&self, page: u32, _range: TimeRange) -> Result<Option<Vec<u64>>> {
        Ok(Some(self.rows[self.rows_of(page)].iter().map(|row| row.start).collect()))
    }

    fn durations(&self, page: u32, out: &mut Vec<u64>) -> Result<()> {
        out.clear();
        out.extend(self.rows[self.rows_of(page)].iter().map(|row| row.end.wrapping_sub(row.start)));
        Ok(())
    }

    fn match_field(&self, page: u32, _classes: &[u32], test: &FieldTest<'_>, matched: &mut Mask) -> Result<()> {
        for (at, row) in self.rows[self.rows_of(page)].iter().enumerate() {
            if test.per_class[row.class as usize] == 0 {
                continue;
            }
            let shape = self.schema.shape_of(row.class);
            for (field, code) in shape.iter().zip(self.row_values(row)) {
                if *field == test.field && test.test.is_met(&self.value_ref(test.value_type, *code)?) {
                    matched.insert(at);
                }
            }
        }
        Ok(())
    }

    fn each_value(&self, page: u32, _classes: &[u32], known: FieldOf<'_>, visit: &mut ValueVisitor<'_>) -> Result<()> {
        for (at, row) in self.rows[self.rows_of(page)].iter().enumerate() {
            if known.per_class[row.class as usize] == 0 {
                continue;
            }
            let shape = self.schema.shape_of(row.class);
            for (_, code) in shape.iter().zip(self.row_values(row)).filter(|(field, _)| **field == known.field) {
                let raw = if known.value_type.is_bytes() {
                    RawValue::Entry(*code, self.strings.get(*code))
                } else {
                    RawValue::Number(self.number(known.value_type, *code))
                };
                visit(at, raw)?;
            }
        }
        Ok(())
    }

    fn events(&self, page: u32) -> Result<Vec<(usize, Event)>> {
        self.children(page, ClassBits::EVENTS, |span| span.events)
    }

    fn links(&self, page: u32) -> Result<Vec<(usize, Link)>> {
        self.children(page, ClassBits::LINKS, |span| span.links)
    }
}

impl Chapter {
    fn rows_of(&self, page: u32) -> Range<usize> {
        let first = page as usize * PAGE_ROWS;
        first..(first + PAGE_ROWS).min(self.rows.len())
    }

    /// The value a code stands for, borrowed.
    fn value_ref(&self, value_type: ValueType, code: u32) -> Result<ValueRef<'_>> {
        Ok(match value_type {
            ValueType::String => ValueRef::String(self.strings.text(code)),
            ValueType::Bytes => ValueRef::Bytes(self.strings.get(code)),
            ValueType::Composite => {
                ValueRef::Composite(Cow::Owned(decode_value(&mut Reader::new(self.strings.get(code)))?))
            }
            ValueType::Bool => ValueRef::Bool(code != 0),
            ValueType::Int => ValueRef::Int(self.number(value_type, code) as i64),
            ValueType::Double => ValueRef::Double(f64::from_bits(self.number(value_type, code))),
            ValueType::Empty => ValueRef::Empty,
        })
    }

    fn children<T>(&self, page: u32, bit: u32, take: impl Fn(crate::model::Span) -> Vec<T>) -> Result<Vec<(usize, T)>> {
        let rows = self.rows_of(page);
        let mut out = Vec::new();
        for row in rows.clone() {
            if self.class_bits(self.rows[row].class).has(bit) {
                let children = take(self.span(row as u32)?);
                out.extend(children.into_iter().map(|child| (row - rows.start, child)));
            }
        }
        Ok(out)
    }
}
