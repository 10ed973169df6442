//! A segment that is merged, opened: its tables, and whole columns of it.

use crate::column::{RowSource, Table};
use crate::error::{Error, ErrorKind, Result, ensure};
use crate::index::TraceSet;
use crate::limits::PAGE_ROWS;
use crate::part::ReadCounter;

use super::super::layout::Fixed;
use super::super::reader::{Segment, SegmentSource};
use super::MergePart;

/// One of the segments.
pub struct Input<'s> {
    /// The segment.
    pub segment: &'s Segment,
    /// What its codes mean.
    pub source: SegmentSource<'s>,
    /// Ordinals of the traces that are left out.
    pub dead: &'s TraceSet,
    /// True if whatever a damaged page holds is left out.
    salvage: bool,
    /// What the merge reads.
    pub counter: &'s ReadCounter,
}

impl<'s> Input<'s> {
    /// Opens a part. All it reads is verified anew, because it will get new checksums.
    ///
    /// # Errors
    /// Corrupt if its tables are damaged.
    pub fn open(part: &MergePart<'s>, counter: &'s ReadCounter) -> Result<Self> {
        part.segment.doubt();
        Ok(Self {
            segment: part.segment,
            source: part.segment.source()?,
            dead: part.dead,
            salvage: part.salvage,
            counter,
        })
    }

    /// An error about this segment.
    pub fn corrupt(&self, what: impl std::fmt::Display) -> Error {
        Error::corrupt(format!("segment {}: {what}", self.segment.name()))
    }

    /// How many rows a table has.
    pub fn rows(&self, table: Table) -> usize {
        let directory = self.segment.directory();
        let rows = match table {
            Table::Span => directory.rows,
            Table::Event => directory.events,
            Table::Link => directory.links,
        };
        rows as usize
    }

    /// Calls `visit` with every page of a column that must have this many values.
    pub fn each_page(&self, column: Fixed, values: usize, visit: impl FnMut(&[u64]) -> Result<()>) -> Result<()> {
        self.each_page_or(column, values, None, visit)
    }

    /// As [`Input::each_page`], with this value in place of those of a damaged page.
    fn each_page_or(
        &self,
        column: Fixed,
        values: usize,
        instead: Option<u64>,
        mut visit: impl FnMut(&[u64]) -> Result<()>,
    ) -> Result<()> {
        let found = self.segment.column(column as u32).map_or(0, |c| c.values);
        ensure(found == values as u64, || {
            format!("segment {}: column {column:?} has {found} values, not {values}", self.segment.name())
        })?;
        let mut page = Vec::new();
        for index in 0..values.div_ceil(PAGE_ROWS) {
            match (self.segment.integers(column as u32, index, self.counter, &mut page), instead) {
                (Err(error), Some(instead)) if error.kind() == ErrorKind::Corrupt => {
                    page.clear();
                    page.resize((values - index * PAGE_ROWS).min(PAGE_ROWS), instead);
                }
                (read, _) => read?,
            }
            visit(&page)?;
        }
        Ok(())
    }

    /// All values of a column that has one for each trace.
    ///
    /// # Errors
    /// Corrupt if it is damaged.
    pub fn of_traces(&self, column: Fixed) -> Result<Vec<u64>> {
        let mut out = Vec::new();
        self.each_page(column, self.segment.traces() as usize, |page| {
            out.extend_from_slice(page);
            Ok(())
        })?;
        Ok(out)
    }

    /// A rising list of span rows.
    ///
    /// # Errors
    /// Corrupt if it is damaged, falls, or names a row that is not there.
    pub fn row_list(&self, column: Fixed) -> Result<Vec<u32>> {
        let values = self.segment.column(column as u32).map_or(0, |c| c.values) as usize;
        let rows = u64::from(self.segment.rows());
        let mut out: Vec<u32> = Vec::new();
        self.each_page(column, values, |page| {
            let sound = page.last().is_none_or(|last| *last < rows)
                && page.is_sorted()
                && out.last().copied().map(u64::from) <= page.first().copied();
            ensure(sound, || format!("segment {}: rows of {column:?} do not rise", self.segment.name()))?;
            out.extend(page.iter().map(|row| *row as u32));
            Ok(())
        })?;
        Ok(out)
    }

    /// The class of every row of a table, each known and of that table.
    ///
    /// # Errors
    /// Corrupt if the column is damaged.
    pub fn classes(&self, table: Table) -> Result<Vec<u32>> {
        let column = match table {
            Table::Span => Fixed::Class,
            Table::Event => Fixed::EventClass,
            Table::Link => Fixed::LinkClass,
        };
        let schema = self.source.schema();
        let fits = |shape: &[u32]| shape.first().is_none_or(|field| schema.fields[*field as usize].table == table);
        let fits: Vec<bool> = (0..schema.classes.len() as u32).map(|class| fits(schema.shape_of(class))).collect();
        let mut out = Vec::new();
        // Rows of a damaged page are left out; until then they are of any class.
        let any = fits.iter().position(|fits| *fits).filter(|_| self.salvage);
        self.each_page_or(column, self.rows(table), any.map(|class| class as u64), |page| {
            let sound = page.iter().all(|class| fits.get(*class as usize) == Some(&true));
            ensure(sound, || format!("segment {}: unknown class in {column:?}", self.segment.name()))?;
            out.extend(page.iter().map(|class| *class as u32));
            Ok(())
        })?;
        Ok(out)
    }
}
