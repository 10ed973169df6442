//! A chapter that no longer changes, with the rows of each trace found by binary search.

use std::ops::Deref;
use std::sync::OnceLock;

use crate::column::ClassBits;
use crate::index::rollup::RowTotals;
use crate::model::duration_nanos;

use super::chapter::{Chapter, Row, trace_id_of};

/// A chapter readers see.
#[derive(Debug)]
pub struct FrozenChapter {
    chapter: Chapter,
    by_trace: OnceLock<Vec<(u64, u32)>>,
    totals: OnceLock<RowTotals>,
    by_class: OnceLock<ByClass>,
    by_duration: OnceLock<Vec<(u64, u32)>>,
}

/// Rows sorted by class, and where those of each class begin.
#[derive(Debug)]
struct ByClass {
    begins: Vec<u32>,
    rows: Vec<u32>,
}

impl FrozenChapter {
    /// Freezes a chapter.
    pub fn new(chapter: Chapter) -> Self {
        Self {
            chapter,
            by_trace: OnceLock::new(),
            totals: OnceLock::new(),
            by_class: OnceLock::new(),
            by_duration: OnceLock::new(),
        }
    }

    /// (low half of the trace id, row), sorted; made at the first call.
    pub fn by_trace(&self) -> &[(u64, u32)] {
        self.by_trace.get_or_init(|| {
            let low = |row: &Row| trace_id_of(row).low();
            let mut out: Vec<(u64, u32)> =
                self.chapter.rows.iter().enumerate().map(|(i, row)| (low(row), i as u32)).collect();
            out.sort_unstable();
            out
        })
    }

    /// The rows of a class, ascending; found at the first call.
    pub fn rows_of_class(&self, class: u32) -> &[u32] {
        let known = self.by_class.get_or_init(|| {
            let mut begins = vec![0u32; self.chapter.schema.classes.len() + 1];
            self.chapter.rows.iter().for_each(|row| begins[row.class as usize + 1] += 1);
            for class in 1..begins.len() {
                begins[class] += begins[class - 1];
            }
            let (mut next, mut rows) = (begins.clone(), vec![0; self.chapter.rows.len()]);
            for (at, row) in self.chapter.rows.iter().enumerate() {
                rows[next[row.class as usize] as usize] = at as u32;
                next[row.class as usize] += 1;
            }
            ByClass { begins, rows }
        });
        match known.begins.get(class as usize..class as usize + 2) {
            Some([begin, end]) => &known.rows[*begin as usize..*end as usize],
            _ => &[],
        }
    }

    /// Duration and row of every row that has a duration, the longest first; sorted at the first call.
    pub fn by_duration(&self) -> &[(u64, u32)] {
        self.by_duration.get_or_init(|| {
            let is_zipkin = |row: &Row| self.chapter.schema.classes[row.class as usize].bits.has(ClassBits::ZIPKIN);
            let duration = |row: &Row| duration_nanos(row.start, row.end, is_zipkin(row));
            let rows = (0u32..).zip(&self.chapter.rows);
            let mut out: Vec<(u64, u32)> = rows.filter_map(|(at, row)| Some((duration(row)?, at))).collect();
            out.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
            out
        })
    }

    /// The rows added up by group; made at the first call.
    pub fn totals(&self) -> &RowTotals {
        self.totals.get_or_init(|| self.totals_of(|_| true))
    }

    /// Some of the rows added up by group.
    pub fn totals_of(&self, takes: impl Fn(&Row) -> bool) -> RowTotals {
        let mut out = RowTotals::default();
        for row in self.chapter.rows.iter().filter(|row| takes(row)) {
            let class = &self.chapter.schema.classes[row.class as usize];
            out.add(row.class, class, duration_nanos(row.start, row.end, class.bits.has(ClassBits::ZIPKIN)));
        }
        out
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
