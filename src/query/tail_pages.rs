//! Pages with the slow spans of some operations, from their tail lists.
//!
//! ```text
//! at least 100 ms    tail list  9.1 s  2.2 s  0.3 s  0.1 s | bound 90 ms    these rows' pages, and no others
//! at least 50 ms     tail list  9.1 s  2.2 s  0.3 s  0.1 s | bound 90 ms    at least one row in 32: pages of its classes
//! ```
//! An index of durations by page alone names nearly every page for a short minimum, and pages that hold a slow span
//! of some other operation for a long one.

use std::ops::RangeInclusive;

use rustc_hash::FxHashSet;

use crate::index::PageSet;
use crate::index::rollup::{OperationCodes, TailLists, TailNext};
use crate::limits::PAGE_ROWS;
use crate::segment::SectionKind;

use super::segment_pages::SegmentPages;

/// Listed rows that are looked at, by page of the segment: where there are more, they lie on most pages anyway.
const ROWS_OF_PAGE_MAX: usize = 8;

/// What tail lists say of slow rows.
pub struct TailPages {
    /// The pages that may hold one.
    pub pages: PageSet,
    /// All of them, ascending; `None` if an operation may have more than are listed.
    pub rows: Option<Vec<u32>>,
}

/// Where the rows are of the operations of these classes, with a duration in this range; `None` if no list tells.
pub fn tail_pages(
    pages: &SegmentPages<'_>,
    is_wanted: impl Fn(u32) -> bool,
    durations: RangeInclusive<u64>,
) -> Option<TailPages> {
    let min = *durations.start();
    let (segment, classes) = (pages.segment, &pages.source.tables.schema.classes);
    let lists = segment.tail_lists().filter(TailLists::is_complete)?;
    let codes = |class: u32| {
        let class = &classes[class as usize];
        OperationCodes { service: class.service, name: class.name }
    };
    let wanted = || (0..classes.len() as u32).filter(|class| is_wanted(*class));
    let operations: FxHashSet<OperationCodes> = wanted().map(codes).collect();
    let (mut rows, mut unproven) = (Vec::new(), FxHashSet::default());
    let mut left = segment.row_pages() as usize * ROWS_OF_PAGE_MAX;
    for (place, operation) in lists.operations().enumerate().filter(|(_, operation)| operations.contains(operation)) {
        let mut walk = lists.walk(place).ok()?;
        loop {
            match walk.next_row().ok()? {
                TailNext::Row(row) if row.duration >= min => {
                    left = left.checked_sub(1)?;
                    if durations.contains(&row.duration) {
                        rows.push(row.row);
                    }
                }
                TailNext::Row(_) => break,
                TailNext::End { bound } => {
                    if bound.is_some_and(|bound| bound >= min) {
                        unproven.insert(operation);
                    }
                    break;
                }
            }
        }
    }
    rows.sort_unstable();
    let mut numbers: Vec<u32> = rows.iter().map(|row| row / PAGE_ROWS as u32).collect();
    numbers.dedup();
    let found = PageSet::from_sorted(numbers);
    if unproven.is_empty() {
        return Some(TailPages { pages: found, rows: Some(rows) });
    }
    let others = wanted().filter(|class| unproven.contains(&codes(*class)));
    Some(TailPages { pages: found.or(&segment.page_index(SectionKind::ClassPages)?.any(others).ok()?), rows: None })
}
