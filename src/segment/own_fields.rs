//! Which fields of a segment get columns of their own.
//!
//! Spans whose keys are made up at run time bring fields by the hundred thousand, each with a value or two.
//! A column costs its entries and its indexes however few values it has, so at most [`COLUMNS_MAX`] fields
//! have one: those with the most values. The others share one column a table ([`super::overflow`]).

use std::cmp::Reverse;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::column::{ClassBits, Field, RowSource, Table};
use crate::head::{Chapter, FrozenChapter};
use crate::limits::COLUMNS_MAX;

/// What a field is in every chapter: table, internal or not, type, key.
type FieldName<'a> = (Table, bool, u8, &'a str);

/// A field somewhere: a chapter and its code there.
type FieldPlace = (usize, u32);

/// The fields with columns of their own, most used first, ties by name; `None` if all fields have one.
/// `rows` are the (chapter, row) of every span that goes to the segment.
pub fn own_fields(chapters: &[Arc<FrozenChapter>], rows: impl Iterator<Item = (u32, u32)>) -> Option<Vec<FieldPlace>> {
    // Counting is a walk over the rows. It is not needed where even the chapters have few fields.
    let mut names: FxHashSet<FieldName<'_>> = FxHashSet::default();
    let known = chapters.iter().flat_map(|chapter| fields_of(chapter));
    if !known.into_iter().any(|name| names.insert(name) && names.len() > COLUMNS_MAX) {
        return None;
    }
    let mut counts: FxHashMap<FieldName<'_>, (u64, FieldPlace)> = FxHashMap::default();
    let class_rows = count_classes(chapters, rows);
    for (at, (chapter, class_rows)) in chapters.iter().zip(class_rows).enumerate() {
        let values = count_values(chapter, &class_rows);
        for ((code, name), values) in (0..).zip(fields_of(chapter)).zip(values).filter(|(_, values)| *values > 0) {
            counts.entry(name).or_insert((0, (at, code))).0 += values;
        }
    }
    if counts.len() <= COLUMNS_MAX {
        return None;
    }
    let mut fields: Vec<(Reverse<u64>, FieldName<'_>, FieldPlace)> =
        counts.into_iter().map(|(name, (values, place))| (Reverse(values), name, place)).collect();
    fields.sort_unstable();
    fields.truncate(COLUMNS_MAX);
    Some(fields.into_iter().map(|(_, _, place)| place).collect())
}

/// How many values each field has, so that room is made once.
pub struct ValueCounts<'a>(FxHashMap<FieldName<'a>, usize>);

impl<'a> ValueCounts<'a> {
    /// Counts all rows, events and links of the chapters.
    pub fn of(chapters: &'a [Arc<FrozenChapter>]) -> Self {
        let mut out: FxHashMap<FieldName<'_>, usize> = FxHashMap::default();
        for chapter in chapters {
            let mut class_rows = vec![0; chapter.schema.classes.len()];
            let rows = chapter.rows.iter().map(|row| row.class);
            let children = chapter.events.iter().map(|e| e.class).chain(chapter.links.iter().map(|l| l.class));
            rows.chain(children).for_each(|class| class_rows[class as usize] += 1);
            for (name, values) in fields_of(chapter).zip(count_values(chapter, &class_rows)) {
                *out.entry(name).or_default() += values as usize;
            }
        }
        Self(out)
    }

    /// Values of a field, named by its code in a chapter.
    pub fn get(&self, chapter: &'a Chapter, code: u32) -> usize {
        self.0.get(&name_of(chapter, &chapter.schema.fields[code as usize])).copied().unwrap_or(0)
    }
}

fn name_of<'a>(chapter: &'a Chapter, field: &Field) -> FieldName<'a> {
    (field.table, field.internal, field.value_type as u8, chapter.text(field.key))
}

fn fields_of(chapter: &Chapter) -> impl Iterator<Item = FieldName<'_>> {
    chapter.schema.fields.iter().map(|field| name_of(chapter, field))
}

/// How many of the rows, their events and links each class of each chapter has.
fn count_classes(chapters: &[Arc<FrozenChapter>], rows: impl Iterator<Item = (u32, u32)>) -> Vec<Vec<u64>> {
    let mut out: Vec<Vec<u64>> = chapters.iter().map(|c| vec![0; c.schema.classes.len()]).collect();
    for (chapter, index) in rows {
        let (chapter, counts) = (&chapters[chapter as usize], &mut out[chapter as usize]);
        let class = chapter.rows[index as usize].class as usize;
        counts[class] += 1;
        let bits = chapter.schema.classes[class].bits;
        if bits.has(ClassBits::EVENTS) {
            chapter.events_of(index).iter().for_each(|event| counts[event.class as usize] += 1);
        }
        if bits.has(ClassBits::LINKS) {
            chapter.links_of(index).iter().for_each(|link| counts[link.class as usize] += 1);
        }
    }
    out
}

/// How many values each field has in rows of these classes.
fn count_values(chapter: &Chapter, class_rows: &[u64]) -> Vec<u64> {
    let mut out = vec![0; chapter.schema.fields.len()];
    for (class, rows) in (0..).zip(class_rows).filter(|(_, rows)| **rows > 0) {
        chapter.schema.shape_of(class).iter().for_each(|field| out[*field as usize] += rows);
    }
    out
}
