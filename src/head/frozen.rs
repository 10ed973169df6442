//! A chapter that no longer changes, with the rows of each trace found by binary search.

use std::ops::Deref;
use std::sync::OnceLock;

use super::chapter::{Chapter, trace_id_of};

/// A chapter readers see.
#[derive(Debug)]
pub struct FrozenChapter {
    chapter: Chapter,
    by_trace: OnceLock<Vec<(u64, u32)>>,
}

impl FrozenChapter {
    /// Freezes a chapter.
    pub fn new(chapter: Chapter) -> Self {
        Self { chapter, by_trace: OnceLock::new() }
    }

    /// (low half of the trace id, row), sorted; made at the first call.
    pub fn by_trace(&self) -> &[(u64, u32)] {
        self.by_trace.get_or_init(|| {
            let low = |row: &super::chapter::Row| trace_id_of(row).low();
            let mut out: Vec<(u64, u32)> =
                self.chapter.rows.iter().enumerate().map(|(i, row)| (low(row), i as u32)).collect();
            out.sort_unstable();
            out
        })
    }

    /// The rows whose trace id ends in these 64 bits, ascending.
    pub fn rows_of_low(&self, low: u64) -> impl Iterator<Item = u32> + '_ {
        let sorted = self.by_trace();
        let first = sorted.partition_point(|(l, _)| *l < low);
        sorted[first..].iter().take_while(move |(l, _)| *l == low).map(|(_, row)| *row)
    }
}

impl Deref for FrozenChapter {
    type Target = Chapter;

    fn deref(&self) -> &Chapter {
        &self.chapter
    }
}
