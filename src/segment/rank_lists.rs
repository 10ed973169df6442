//! How many values of a column stand before each page of its table.
//!
//! A rank is needed for every field of every trace that is read, and its page only decodes as a whole. A list has four
//! bytes a page of 1,024 rows, so each is kept from its first use on.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use crate::error::{Error, Result};
use crate::limits::PAGE_ROWS;
use crate::part::ReadCounter;

use super::layout::{
    ColumnEntry, OVERFLOW_COLUMN_FIRST, OVERFLOW_RANK_COLUMN_FIRST, RANK_COLUMN_FIRST, SegmentDirectory,
};
use super::reader::Segment;
use super::rows::IntegerCursor;

/// True if the column of this code is a rank list. Each of its numbers stands for a page of rows, not for a row.
pub(super) fn is_rank_list(code: u32) -> bool {
    (RANK_COLUMN_FIRST..OVERFLOW_COLUMN_FIRST).contains(&code) || code >= OVERFLOW_RANK_COLUMN_FIRST
}

/// The rank lists of a segment, by column.
#[derive(Debug)]
pub(super) struct RankLists(FxHashMap<u32, OnceLock<Option<Box<[u32]>>>>);

impl RankLists {
    /// The lists of a segment, none of which was read.
    pub(super) fn of(directory: &SegmentDirectory) -> Self {
        let is_rank = |column: &&ColumnEntry| is_rank_list(column.code);
        Self(directory.columns.iter().filter(is_rank).map(|column| (column.code, OnceLock::new())).collect())
    }
}

impl Segment {
    /// How many values stand before this page of the table, by the column of ranks.
    ///
    /// # Errors
    /// Corrupt if the list is damaged, or has no such page.
    pub fn rank(&self, column: u32, page: usize, counter: &ReadCounter) -> Result<usize> {
        let missing = || Error::corrupt(format!("segment {}: column {column} has no rank {page}", self.name()));
        let list = self.ranks.0.get(&column).ok_or_else(missing)?;
        let known = match list.get() {
            Some(known) => known,
            None => {
                let read = self.read_ranks(column, counter)?;
                list.get_or_init(|| read)
            }
        };
        match known {
            Some(ranks) => ranks.get(page).map(|rank| *rank as usize).ok_or_else(missing),
            None => Ok(IntegerCursor::new(self, column, false, counter).get(page)? as usize),
        }
    }

    /// All of a rank list; `None` if its numbers do not fit 32 bits.
    fn read_ranks(&self, column: u32, counter: &ReadCounter) -> Result<Option<Box<[u32]>>> {
        let values = self.column(column).map_or(0, |entry| entry.values) as usize;
        let (mut out, mut page) = (Vec::new(), Vec::new());
        for number in 0..values.div_ceil(PAGE_ROWS) {
            self.integers(column, number, counter, &mut page)?;
            if page.iter().any(|rank| *rank > u32::MAX.into()) {
                return Ok(None);
            }
            out.extend(page.iter().map(|rank| *rank as u32));
        }
        Ok(Some(out.into_boxed_slice()))
    }
}
