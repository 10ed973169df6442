//! Which rows of one page meet a criterion.
//!
//! A page is scanned by classes first: most criteria are decided by a table look-up a row. Values are read
//! only where the class says that they decide.

use crate::column::{ClassBits, ValueType};
use crate::error::Result;
use crate::model::{Event, Link, TimeRange, ValueRef};

use super::compile::{ChildTest, Compiled, EVENTS, FIELDS, FieldTest, LINKS, MATCHED, PRESENT};
use super::mask::Mask;
use super::walk::RawValue;

/// A field of the rows of a part.
#[derive(Clone, Copy, Debug)]
pub struct FieldOf<'t> {
    /// Its code.
    pub field: u32,
    /// The type of its values.
    pub value_type: ValueType,
    /// How often each class has it.
    pub per_class: &'t [u32],
}

/// Takes the row of a value in its page, and the value.
pub type ValueVisitor<'v> = dyn FnMut(usize, RawValue<'_>) -> Result<()> + 'v;

/// The pages of span rows of one part.
pub trait PageSource {
    /// Class of every row of a page.
    fn classes(&self, page: u32, out: &mut Vec<u32>) -> Result<()>;

    /// The facts of a class, for rows without start or duration.
    fn class_bits(&self, class: u32) -> ClassBits;

    /// Resource of every row of a page.
    fn resources(&self, page: u32, out: &mut Vec<u32>) -> Result<()>;

    /// Start of every row of a page, 0 for none; `None` if all are known to lie in the range.
    fn starts(&self, page: u32, range: TimeRange) -> Result<Option<Vec<u64>>>;

    /// Duration of every row of a page; of no meaning for rows whose class says that they have none.
    fn durations(&self, page: u32, out: &mut Vec<u64>) -> Result<()>;

    /// Adds to `matched` the rows of the page with a value of the field that meets its test.
    fn match_field(&self, page: u32, classes: &[u32], test: &FieldTest<'_>, matched: &mut Mask) -> Result<()>;

    /// Calls `visit` with the row in the page of every value of a field, in row order, and the value.
    fn each_value(&self, page: u32, classes: &[u32], known: FieldOf<'_>, visit: &mut ValueVisitor<'_>) -> Result<()>;

    /// The events of the rows of a page, with their rows.
    fn events(&self, page: u32) -> Result<Vec<(usize, Event)>>;

    /// The links of the rows of a page, with their rows.
    fn links(&self, page: u32) -> Result<Vec<(usize, Link)>>;
}

/// One page being scanned; what was read is kept for the next criterion.
pub struct PageScan<'s> {
    source: &'s dyn PageSource,
    page: u32,
    /// Class of every row.
    pub classes: Vec<u32>,
    resources: Option<Vec<u32>>,
}

impl<'s> PageScan<'s> {
    /// Begins with the classes of the page.
    ///
    /// # Errors
    /// Corrupt if a page is damaged; so do all methods.
    pub fn new(source: &'s dyn PageSource, page: u32) -> Result<Self> {
        let mut classes = Vec::new();
        source.classes(page, &mut classes)?;
        Ok(Self { source, page, classes, resources: None })
    }

    /// Goes on with a page whose classes are known.
    pub fn resume(source: &'s dyn PageSource, page: u32, classes: Vec<u32>) -> Self {
        Self { source, page, classes, resources: None }
    }

    /// The page.
    pub fn page(&self) -> u32 {
        self.page
    }

    /// Rows that have a start, inside the range; `all_have_starts` if every class of the part says so.
    ///
    /// # Errors
    /// As [`PageScan::new`].
    pub fn in_window(&self, range: TimeRange, all_have_starts: bool) -> Result<Mask> {
        if let Some(starts) = self.source.starts(self.page, range)? {
            return Ok(Mask::of(starts.len(), |row| starts[row] != 0 && range.contains(starts[row])));
        }
        if all_have_starts {
            return Ok(Mask::below(self.classes.len()));
        }
        let has_start = |class: u32| !self.source.class_bits(class).has(ClassBits::NO_START);
        Ok(Mask::of(self.classes.len(), |row| has_start(self.classes[row])))
    }

    /// Rows that meet the criterion.
    ///
    /// # Errors
    /// As [`PageScan::new`].
    pub fn meeting(&mut self, criterion: &Compiled<'_>) -> Result<Mask> {
        let with = |classes: &[u32], bit: u8| match criterion.any_class & bit {
            0 => Mask::NONE,
            _ => Mask::of(classes.len(), |row| criterion.classes[classes[row] as usize] & bit != 0),
        };
        let mut matched = with(&self.classes, MATCHED);
        if let Some(range) = criterion.duration {
            let mut durations = Vec::new();
            if !matched.is_empty() {
                self.source.durations(self.page, &mut durations)?;
            }
            return Ok(Mask::of(durations.len(), |row| matched.contains(row) && range.contains(durations[row])));
        }
        let mut present = if criterion.negated { with(&self.classes, PRESENT) } else { Mask::NONE };
        if !criterion.resources.is_empty() {
            let resources = self.resources()?;
            let facts = |row: usize| criterion.resources.get(resources[row] as usize).copied().unwrap_or(0);
            matched = matched.or(&Mask::of(resources.len(), |row| facts(row) & MATCHED != 0));
            present = present.or(&Mask::of(resources.len(), |row| facts(row) & PRESENT != 0));
        }
        if self.any(criterion, FIELDS) {
            for field in &criterion.fields {
                self.source.match_field(self.page, &self.classes, field, &mut matched)?;
            }
        }
        if let Some(test) = criterion.children {
            if self.any(criterion, EVENTS) {
                for (row, event) in self.source.events(self.page)? {
                    ask_event(test, &event, row, &mut present, &mut matched);
                }
            }
            if self.any(criterion, LINKS) {
                for (row, link) in self.source.links(self.page)? {
                    ask_attributes(test, &link.attributes, row, &mut present, &mut matched);
                }
            }
        }
        Ok(if criterion.negated { present.and_not(&matched) } else { matched })
    }

    fn any(&self, criterion: &Compiled<'_>, bit: u8) -> bool {
        criterion.any_class & bit != 0 && self.classes.iter().any(|class| criterion.classes[*class as usize] & bit != 0)
    }

    fn resources(&mut self) -> Result<&[u32]> {
        if self.resources.is_none() {
            let mut resources = Vec::new();
            self.source.resources(self.page, &mut resources)?;
            self.resources = Some(resources);
        }
        Ok(self.resources.as_deref().unwrap_or_default())
    }
}

fn ask_event(test: ChildTest<'_>, event: &Event, row: usize, present: &mut Mask, matched: &mut Mask) {
    match test {
        ChildTest::Name(name) if event.name == name => matched.insert(row),
        ChildTest::Text(filter) if filter.matches_value(&ValueRef::String(&event.name)) => matched.insert(row),
        ChildTest::Name(_) | ChildTest::Text(_) => {}
        ChildTest::Tag(_) => ask_attributes(test, &event.attributes, row, present, matched),
    }
}

fn ask_attributes(
    test: ChildTest<'_>,
    attributes: &[crate::model::KeyValue],
    row: usize,
    present: &mut Mask,
    matched: &mut Mask,
) {
    let ChildTest::Tag(filter) = test else { return };
    for attribute in attributes.iter().filter(|a| a.key == filter.key()) {
        present.insert(row);
        if filter.matches_value(&ValueRef::from(&attribute.value)) {
            matched.insert(row);
        }
    }
}
