//! Where the values of a range of rows stand in a column of values.
//!
//! The rank list says how many values stand before a page of rows, the classes say how many each row of the
//! page has. The reader remembers where it was, so that going forward inside a page counts each row once.

use std::ops::Range;
use std::rc::Rc;

use crate::error::{Result, ensure};
use crate::limits::PAGE_ROWS;

use super::input::Input;

/// Finds the values of rows of one column of one input.
pub struct Places<'m> {
    /// How many values stand before each page of rows, and in all.
    ranks: Vec<u64>,
    /// How many values a row of each class has.
    per_class: Rc<[u32]>,
    /// True if no class has more than one.
    single: bool,
    classes: &'m [u32],
    row: usize,
    rank: u64,
}

impl<'m> Places<'m> {
    /// Of the column with this rank list; `classes` are those of the table's rows.
    ///
    /// # Errors
    /// Corrupt if the rank list is damaged.
    pub fn open(input: &Input<'_>, ranks: u32, per_class: Rc<[u32]>, classes: &'m [u32]) -> Result<Self> {
        let pages = classes.len().div_ceil(PAGE_ROWS);
        let mut list = Vec::new();
        let mut page = Vec::new();
        for index in 0..(pages + 1).div_ceil(PAGE_ROWS) {
            input.segment.integers(ranks, index, input.counter, &mut page)?;
            list.extend_from_slice(&page);
        }
        let sound = list.len() == pages + 1 && list.is_sorted() && list[0] == 0 && list[pages] >> 40 == 0;
        ensure(sound, || format!("segment {}: ranks of column {ranks} are not sound", input.segment.name()))?;
        let single = per_class.iter().all(|count| *count <= 1);
        Ok(Self { ranks: list, per_class, single, classes, row: 0, rank: 0 })
    }

    /// The class of a row.
    pub fn class(&self, row: usize) -> u32 {
        self.classes[row]
    }

    /// The places of the values of these rows.
    pub fn of(&mut self, rows: Range<usize>) -> Range<usize> {
        if rows.start < self.row || rows.start / PAGE_ROWS != self.row / PAGE_ROWS {
            self.row = rows.start / PAGE_ROWS * PAGE_ROWS;
            self.rank = self.ranks[self.row / PAGE_ROWS];
        }
        self.forward(rows.start);
        let first = self.rank as usize;
        self.forward(rows.end);
        first..self.rank as usize
    }

    fn forward(&mut self, to: usize) {
        while self.row < to {
            let page = self.row / PAGE_ROWS;
            let page_end = ((page + 1) * PAGE_ROWS).min(self.classes.len());
            let end = to.min(page_end);
            let in_page = (self.ranks[page + 1] - self.ranks[page]) as usize;
            if end == page_end {
                self.rank = self.ranks[page + 1];
            } else if self.single && in_page == page_end - page * PAGE_ROWS {
                self.rank += (end - self.row) as u64;
            } else if in_page > 0 {
                let counts = self.classes[self.row..end].iter().map(|class| u64::from(self.per_class[*class as usize]));
                // More than the page has would be damage; it ends where the page ends.
                self.rank = (self.rank + counts.sum::<u64>()).min(self.ranks[page + 1]);
            }
            self.row = end;
        }
    }
}
