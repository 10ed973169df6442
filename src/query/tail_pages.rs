//! Pages with the slow spans of some operations, from their tail lists.
//!
//! ```text
//! at least 100 ms    tail list  9.1 s  2.2 s  0.3 s  0.1 s | bound 90 ms    these rows' pages, and no others
//! at least 50 ms     tail list  9.1 s  2.2 s  0.3 s  0.1 s | bound 90 ms    at least one row in 32: pages of its classes
//! ```
//! An index of durations by page alone names nearly every page for a short minimum, and pages that hold a slow span
//! of some other operation for a long one.

use rustc_hash::FxHashSet;

use crate::index::PageSet;
use crate::index::rollup::{OperationCodes, TailLists, TailNext};
use crate::limits::PAGE_ROWS;
use crate::segment::SectionKind;

use super::segment_pages::SegmentPages;

/// Listed rows that are looked at, by page of the segment: where there are more, they lie on most pages anyway.
const ROWS_OF_PAGE_MAX: usize = 8;

/// The pages that may hold a row of one of these classes and of at least this duration; `None` if no list tells.
pub fn tail_pages(pages: &SegmentPages<'_>, is_wanted: impl Fn(u32) -> bool, min: u64) -> Option<PageSet> {
    let (segment, classes) = (pages.segment, &pages.source.tables.schema.classes);
    let lists = segment.tail_lists().filter(TailLists::is_complete)?;
    let codes = |class: u32| {
        let class = &classes[class as usize];
        OperationCodes { service: class.service, name: class.name }
    };
    let wanted = || (0..classes.len() as u32).filter(|class| is_wanted(*class));
    let operations: FxHashSet<OperationCodes> = wanted().map(codes).collect();
    let (mut found, mut unproven) = (vec![false; segment.row_pages() as usize], FxHashSet::default());
    let mut left = found.len() * ROWS_OF_PAGE_MAX;
    for (place, operation) in lists.operations().enumerate().filter(|(_, operation)| operations.contains(operation)) {
        let mut walk = lists.walk(place).ok()?;
        loop {
            match walk.next_row().ok()? {
                TailNext::Row(row) if row.duration >= min => {
                    *found.get_mut(row.row as usize / PAGE_ROWS)? = true;
                    left = left.checked_sub(1)?;
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
    let found = PageSet::from_sorted((0..).zip(found).filter(|(_, found)| *found).map(|(page, _)| page));
    if unproven.is_empty() {
        return Some(found);
    }
    let others = wanted().filter(|class| unproven.contains(&codes(*class)));
    Some(found.or(&segment.page_index(SectionKind::ClassPages)?.any(others).ok()?))
}
