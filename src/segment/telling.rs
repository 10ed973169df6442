//! What the classes of chapters tell, found before the rows are gathered.
//!
//! Each chapter is walked once: a row's codes are compared with those of the first row of its class, and a place
//! where they differ tells nothing. Then classes that are the same in all chapters are laid together, by the text
//! or number their codes stand for.

use std::sync::Arc;

use crate::column::ValueType;
use crate::head::{Chapter, FrozenChapter};

use super::told::{TOLD_ROWS_MIN, ToldValues};
use super::unite::{CodeSource, United};

/// What is known of one place of the shape of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Unknown,
    /// All rows so far have the value of this code of this chapter.
    Same(u32, u32),
    Varied,
}

/// One class of the segment.
#[derive(Default)]
struct TellingClass {
    rows: u64,
    places: Vec<Place>,
    /// Which places it tells, once all chapters are known.
    told: Vec<bool>,
    /// A chapter that has it, and its code there.
    somewhere: (usize, u32),
}

/// What classes tell, by chapter and class.
pub struct Telling<'a> {
    chapters: &'a [Arc<FrozenChapter>],
    classes: Vec<TellingClass>,
    /// The place in `classes` of each class of each chapter that has rows.
    of_chapters: Vec<Vec<Option<u32>>>,
}

impl<'a> Telling<'a> {
    /// Walks the chapters.
    pub fn of(chapters: &'a [Arc<FrozenChapter>]) -> Self {
        let mut united = United::new(chapters.iter().map(|chapter| -> &dyn CodeSource { &***chapter }).collect());
        let mut out = Self { chapters, classes: Vec::new(), of_chapters: Vec::new() };
        for (at, chapter) in chapters.iter().enumerate() {
            let found = ChapterClasses::of(chapter);
            let mut of_chapter = vec![None; found.rows.len()];
            for (class, rows) in (0..).zip(&found.rows).filter(|(_, rows)| **rows > 0) {
                let code = united.class(at, class);
                of_chapter[class as usize] = Some(code);
                if out.classes.len() <= code as usize {
                    let places = vec![Place::Unknown; found.places_of(class).len()];
                    out.classes.push(TellingClass { places, somewhere: (at, class), ..TellingClass::default() });
                }
                out.unite(code as usize, at, class, *rows, &found);
            }
            out.of_chapters.push(of_chapter);
        }
        out.classes.iter_mut().for_each(|class| class.decide(chapters));
        out
    }

    fn unite(&mut self, code: usize, at: usize, class: u32, rows: u64, found: &ChapterClasses) {
        self.classes[code].rows += rows;
        for (index, varied_or_code) in found.places_of(class).iter().enumerate() {
            let known = self.classes[code].places[index];
            self.classes[code].places[index] = match (known, varied_or_code) {
                (_, None) | (Place::Varied, _) => Place::Varied,
                (Place::Unknown, Some(code)) => Place::Same(at as u32, *code),
                (Place::Same(chapter, first), Some(code)) => {
                    let field = self.chapters[at].schema.shape_of(class)[index];
                    let value_type = self.chapters[at].schema.fields[field as usize].value_type;
                    let one = (&**self.chapters[chapter as usize], first);
                    if is_same(value_type, one, (&**self.chapters[at], *code)) { known } else { Place::Varied }
                }
            };
        }
    }

    /// Which places of the shape of a class of a chapter are told; empty if none is.
    #[inline]
    pub fn places(&self, chapter: usize, class: u32) -> &[bool] {
        let class = self.of_chapters[chapter].get(class as usize).copied().flatten();
        class.map_or(&[], |class| &self.classes[class as usize].told)
    }

    /// What is told, by the codes that were handed out: for each field with a column of its own the values by rising
    /// class, byte strings as `chapter << 32 | string code`.
    pub fn values(&self, united: &United<'_>, own_end: u32) -> Vec<ToldValues> {
        let mut out = vec![ToldValues::new(); united.fields().len().min(own_end as usize)];
        for class in &self.classes {
            let (at, local) = class.somewhere;
            let Some(code) = united.known_class(at, local) else { continue };
            let shape = self.chapters[at].schema.shape_of(local);
            for ((field, place), _) in shape.iter().zip(&class.places).zip(&class.told).filter(|(_, told)| **told) {
                let (Some(united), Place::Same(chapter, value)) = (united.known_field(at, *field), place) else {
                    continue;
                };
                let Some(values) = out.get_mut(united as usize) else { continue };
                let value_type = self.chapters[at].schema.fields[*field as usize].value_type;
                let source = &self.chapters[*chapter as usize];
                values.push((code, gathered_value(source, *chapter, value_type, *value)));
            }
        }
        out.iter_mut().for_each(|values| values.sort_unstable_by_key(|(class, _)| *class));
        out
    }
}

/// A value as it is gathered: byte strings as `chapter << 32 | string code`, numbers as they are.
pub fn gathered_value(source: &Chapter, chapter: u32, value_type: ValueType, code: u32) -> u64 {
    match value_type {
        ValueType::Empty => 0,
        t if t.is_bytes() => u64::from(chapter) << 32 | u64::from(code),
        t => source.number(t, code),
    }
}

impl TellingClass {
    fn decide(&mut self, chapters: &[Arc<FrozenChapter>]) {
        let shape = chapters[self.somewhere.0].schema.shape_of(self.somewhere.1);
        let once = |field: &u32| shape.iter().filter(|other| *other == field).count() == 1;
        let enough = self.rows >= TOLD_ROWS_MIN;
        let told = |place: &Place| enough && matches!(place, Place::Same(..));
        if self.places.iter().any(told) {
            self.told = self.places.iter().zip(shape).map(|(place, field)| told(place) && once(field)).collect();
        }
    }
}

/// The classes of one chapter: how many rows each has, and the code that all of them have at each place.
struct ChapterClasses {
    rows: Vec<u64>,
    firsts: Vec<usize>,
    codes: Vec<Option<u32>>,
}

impl ChapterClasses {
    fn of(chapter: &Chapter) -> Self {
        let schema = &chapter.schema;
        let (mut firsts, mut end) = (Vec::with_capacity(schema.classes.len() + 1), 0);
        for class in 0..schema.classes.len() as u32 {
            firsts.push(end);
            end += schema.shape_of(class).len();
        }
        firsts.push(end);
        let mut out = Self { rows: vec![0; schema.classes.len()], firsts, codes: vec![None; end] };
        // The places that may still be told, by class, so that those that are not cost nothing more.
        let mut open: Vec<Vec<u32>> = vec![Vec::new(); schema.classes.len()];
        for row in &chapter.rows {
            let (class, codes) = (row.class as usize, chapter.row_values(row));
            let known = &mut out.codes[out.firsts[class]..out.firsts[class + 1]];
            if out.rows[class] == 0 {
                known.iter_mut().zip(codes).for_each(|(known, code)| *known = Some(*code));
                open[class] = (0..codes.len() as u32).collect();
            } else {
                open[class].retain(|place| {
                    let (known, code) = (&mut known[*place as usize], codes[*place as usize]);
                    let Some(first) = known.filter(|first| *first != code) else { return true };
                    let field = schema.shape_of(row.class)[*place as usize];
                    let value_type = schema.fields[field as usize].value_type;
                    // Equal values may have different codes, once a chapter gave up finding those of a field.
                    let same = is_same(value_type, (chapter, first), (chapter, code));
                    if !same {
                        *known = None;
                    }
                    same
                });
            }
            out.rows[class] += 1;
        }
        out
    }

    fn places_of(&self, class: u32) -> &[Option<u32>] {
        &self.codes[self.firsts[class as usize]..self.firsts[class as usize + 1]]
    }
}

/// True if two codes of chapters stand for the same value.
fn is_same(value_type: ValueType, one: (&Chapter, u32), two: (&Chapter, u32)) -> bool {
    match value_type {
        ValueType::Empty => true,
        t if t.is_bytes() => one.0.strings.get(one.1) == two.0.strings.get(two.1),
        t => one.0.number(t, one.1) == two.0.number(t, two.1),
    }
}
