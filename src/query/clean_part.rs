//! The rows of one part that count: those of traces neither deleted nor doubled that the selection takes.
//!
//! The tables of a part say how many rows each class and resource has. What does not count is taken off, page
//! by page; or, if less is left than taken off, what counts is added up instead. A service is a matter of
//! classes and needs no page. A window needs those pages alone that it cuts, which the zone map tells:
//!
//! ```text
//! pages     | no row inside | cut          | all rows inside | cut | none |
//! read                        starts                           starts        and the classes of either side
//! ```

use std::cell::OnceCell;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::catalog::SegmentPart;
use crate::column::{Class, NONE, RowSource, Table};
use crate::error::{Error, Result};
use crate::head::{Chapter, trace_id_of};
use crate::index::{Measure, PageSet, RowSet};
use crate::limits::PAGE_ROWS;
use crate::model::{Resource, Scope, TimeRange};
use crate::part::ReadCounter;
use crate::segment::DictionaryView;

use super::mask::Mask;
use super::plan::{Pruned, service_pages, window_pages};
use super::scan::{PageScan, PageSource};
use super::segment_pages::SegmentPages;
use super::tally::Selection;
use super::walk::{ChapterWalk, RawValue, SegmentWalk, ValueWalk, WalkRows, child_columns};

/// The rows of one part that count.
pub struct CleanPart<'t> {
    rows: PartRows<'t>,
    /// Rows that do not count: of deleted and doubled traces, and of spans outside the window.
    left_out: RowSet,
    /// The classes whose rows count, if not all do. Then rows of others do not, left out or not.
    of_service: Option<Vec<bool>>,
    /// The rows left out and those of classes that do not count.
    all_left_out: OnceCell<RowSet>,
    /// Pages that may have a row that counts.
    pages: PageSet,
    class_rows: Vec<u64>,
    resource_rows: Vec<u64>,
}

enum PartRows<'t> {
    Sealed(SegmentPages<'t>),
    Head(&'t Chapter),
}

impl<'t> CleanPart<'t> {
    /// Of a segment.
    ///
    /// # Errors
    /// Corrupt if a page or section it needs is damaged; so do all methods here.
    pub fn sealed(part: &'t SegmentPart, selection: &Selection<'_>, counter: &'t ReadCounter) -> Result<Self> {
        let segment = &*part.segment;
        let pages = SegmentPages { segment, source: segment.source()?, counter };
        let mut left_out = RowSet::new();
        for ordinal in part.apart().iter() {
            left_out.insert_range(segment.trace_rows(ordinal, counter)?);
        }
        let of_service = selection.service.and_then(|service| classes_of(&pages.source, service));
        let mut reachable = PageSet::all(segment.row_pages());
        if let Some(of_service) = &of_service {
            let classes = &pages.source.schema().classes;
            let codes = classes.iter().zip(of_service).filter(|(_, of)| **of).map(|(class, _)| class.service);
            reachable = service_pages(segment, codes, reachable);
        }
        let within = leave_out_of_window(&pages, selection.window, &reachable, &mut left_out)?;
        let (mut class_rows, mut resource_rows) = count_rows(&pages, &reachable, &left_out)?;
        if let Some(of_service) = &of_service {
            class_rows.iter_mut().zip(of_service).filter(|(_, of)| !**of).for_each(|(rows, _)| *rows = 0);
            let tables = pages.source.tables;
            for (rows, service) in resource_rows.iter_mut().zip(&tables.services) {
                if *service == NONE || Some(pages.source.text(*service)) != selection.service {
                    *rows = 0;
                }
            }
        }
        let rows = PartRows::Sealed(pages);
        let all_left_out = OnceCell::new();
        Ok(Self { rows, left_out, of_service, all_left_out, pages: within, class_rows, resource_rows })
    }

    /// Of a chapter, with the low halves of the ids of doubled traces.
    pub fn of_chapter(chapter: &'t Chapter, lows: &FxHashSet<u64>, selection: &Selection<'_>) -> Self {
        let of_service = selection.service.and_then(|service| classes_of(chapter, service));
        let mut left_out = RowSet::new();
        let mut class_rows = vec![0; chapter.schema.classes.len()];
        let mut resource_rows = vec![0; chapter.resources.len()];
        for (at, row) in chapter.rows.iter().enumerate() {
            let counts = of_service.as_ref().is_none_or(|of| of[row.class as usize])
                && selection.in_window(row.start)
                && !lows.contains(&trace_id_of(row).low());
            if counts {
                class_rows[row.class as usize] += 1;
                resource_rows[row.resource as usize] += 1;
            } else {
                left_out.insert(at as u32);
            }
        }
        let pages = PageSet::all(chapter.rows.len().div_ceil(PAGE_ROWS) as u32);
        let (rows, all_left_out) = (PartRows::Head(chapter), OnceCell::new());
        Self { rows, left_out, of_service: None, all_left_out, pages, class_rows, resource_rows }
    }

    /// What gives the part's codes their meaning.
    pub fn source(&self) -> &dyn RowSource {
        match &self.rows {
            PartRows::Sealed(pages) => &pages.source,
            PartRows::Head(chapter) => *chapter,
        }
    }

    /// The part's span rows, those that do not count among them.
    fn page_source(&self) -> &dyn PageSource {
        match &self.rows {
            PartRows::Sealed(pages) => pages,
            PartRows::Head(chapter) => *chapter,
        }
    }

    /// The pages of span rows that may have a row that counts, ascending.
    pub fn pages(&self) -> &PageSet {
        &self.pages
    }

    /// Classes with span rows that count, and how many.
    pub fn classes(&self) -> impl Iterator<Item = (&Class, u64)> {
        let classes = self.source().schema().classes.iter().zip(&self.class_rows);
        classes.filter(|(_, rows)| **rows > 0).map(|(class, rows)| (class, *rows))
    }

    /// Resources, and how many span rows of each count.
    pub fn resources(&self) -> Vec<(&Resource, u64)> {
        let rows = self.resource_rows.iter().copied();
        match &self.rows {
            PartRows::Sealed(pages) => pages.source.tables.resources.iter().map(|r| &**r).zip(rows).collect(),
            PartRows::Head(chapter) => chapter.resources.iter().map(|r| &*r.resource).zip(rows).collect(),
        }
    }

    /// Scopes, and how many span rows of each count.
    pub fn scopes(&self) -> Vec<(&Scope, u64)> {
        let scopes: &[Arc<Scope>] = match &self.rows {
            PartRows::Sealed(pages) => &pages.source.tables.scopes,
            PartRows::Head(chapter) => &chapter.scopes,
        };
        let mut out: Vec<(&Scope, u64)> = scopes.iter().map(|scope| (&**scope, 0)).collect();
        for (class, rows) in self.classes() {
            // Spans alone have rows that count, and the schema was checked: their scope is one of these.
            if let Some((_, known)) = out.get_mut(class.scope as usize) {
                *known += rows;
            }
        }
        out
    }

    /// The dictionary of a field's column, if it has one.
    ///
    /// # Errors
    /// As [`CleanPart::sealed`].
    pub fn dictionary(&self, field: u32) -> Result<Option<DictionaryView<'_>>> {
        match &self.rows {
            PartRows::Sealed(pages) if !pages.source.tables.column_of(field).shared => pages.segment.dictionary(field),
            _ => Ok(None),
        }
    }

    /// True if a walk over the field reads pages of values in which nothing repeats.
    ///
    /// # Errors
    /// As [`CleanPart::sealed`].
    pub fn is_read_in_full(&self, field: u32) -> Result<bool> {
        Ok(matches!(self.rows, PartRows::Sealed(_)) && self.dictionary(field)?.is_none())
    }

    /// The pages of the field's table on which one of these entries of its dictionary may stand; `None` if no
    /// index says.
    pub fn entry_pages(&self, field: u32, entries: &[&[u8]]) -> Option<PageSet> {
        let PartRows::Sealed(pages) = &self.rows else { return None };
        super::plan::value_pages(pages, field, entries.iter().copied())
    }

    /// True if every row with the span field counts but for those left out.
    pub fn has_all_of(&self, field: u32) -> bool {
        let Some(of_service) = &self.of_service else { return true };
        let schema = self.source().schema();
        let has = |class: &Class| class.scope != NONE && schema.shapes[class.shape as usize].contains(&field);
        schema.classes.iter().zip(of_service).all(|(class, of)| *of || !has(class))
    }

    /// The values of a field in rows that count, on these pages of the field's table alone if given.
    ///
    /// # Errors
    /// As [`CleanPart::sealed`].
    pub fn walk(&self, field: u32, within: Option<&PageSet>) -> Result<Box<dyn ValueWalk + '_>> {
        let pages = match &self.rows {
            PartRows::Head(chapter) => return Ok(Box::new(ChapterWalk::new(chapter, &self.left_out, field))),
            PartRows::Sealed(pages) => pages,
        };
        let table = pages.source.schema().fields[field as usize].table;
        let mut left = children_pages(pages, table, &self.pages)?;
        if let Some(within) = within {
            left = left.and(within);
        }
        let (left_out, of_service) = match table {
            Table::Span => (&self.left_out, self.of_service.as_deref()),
            Table::Event | Table::Link => (self.all_left_out()?, None),
        };
        Ok(Box::new(SegmentWalk::new(pages, WalkRows { left_out, of_service, pages: left }, field)?))
    }

    /// Calls `visit` with the values of a span field in the rows that were left out; false, without a call, if
    /// they stand on so many pages that it is easier to read the others, or the part is no segment.
    ///
    /// # Errors
    /// As [`CleanPart::sealed`].
    pub fn each_left_out_value(&self, field: u32, mut visit: impl FnMut(RawValue<'_>)) -> Result<bool> {
        let PartRows::Sealed(pages) = &self.rows else { return Ok(false) };
        let all = pages.segment.row_pages();
        let touched = PageSet::from_sorted((0..all).filter(|page| self.left_out.intersects(pages.rows_of(*page))));
        if touched.len() * 2 > u64::from(all) {
            return Ok(false);
        }
        let others = RowSet::all(pages.segment.rows()).and_not(&self.left_out);
        let rows = WalkRows { left_out: &others, of_service: None, pages: touched };
        let mut walk = SegmentWalk::new(pages, rows, field)?;
        while walk.next()?.is_some() {
            visit(walk.value());
        }
        Ok(true)
    }

    /// Calls `visit` with the span row and class of every event or link of rows that count, in row order.
    ///
    /// # Errors
    /// As [`CleanPart::sealed`].
    pub fn each_child(&self, table: Table, mut visit: impl FnMut(u32, u32)) -> Result<()> {
        let left_out = self.all_left_out()?;
        let mut visit_counted = |row: u32, class: u32| {
            if !left_out.contains(row) {
                visit(row, class);
            }
        };
        match (&self.rows, table) {
            (PartRows::Head(chapter), Table::Event) => {
                chapter.events.iter().for_each(|event| visit_counted(event.span_row, event.class));
            }
            (PartRows::Head(chapter), Table::Link) => {
                chapter.links.iter().for_each(|link| visit_counted(link.span_row, link.class));
            }
            (PartRows::Sealed(pages), _) => {
                let Some((row_column, class_column)) = child_columns(table) else { return Ok(()) };
                let (mut rows, mut classes) = (Vec::new(), Vec::new());
                for page in children_pages(pages, table, &self.pages)?.iter() {
                    pages.segment.integers(row_column as u32, page as usize, pages.counter, &mut rows)?;
                    pages.segment.classes(class_column, page as usize, pages.counter, &mut classes)?;
                    rows.iter().zip(&classes).for_each(|(row, class)| visit_counted(*row as u32, *class as u32));
                }
            }
            (PartRows::Head(_), Table::Span) => {}
        }
        Ok(())
    }

    /// Calls `visit` with row, class and resource of every span row of the page that counts.
    ///
    /// # Errors
    /// As [`CleanPart::sealed`].
    pub fn each_row(&self, page: u32, mut visit: impl FnMut(u32, u32, u32)) -> Result<()> {
        let (mut classes, mut resources) = (Vec::new(), Vec::new());
        self.page_source().classes(page, &mut classes)?;
        self.page_source().resources(page, &mut resources)?;
        for (at, (class, resource)) in classes.iter().zip(&resources).enumerate() {
            let row = page * PAGE_ROWS as u32 + at as u32;
            let of_service = self.of_service.as_ref().is_none_or(|of| of[*class as usize]);
            if of_service && !self.left_out.contains(row) {
                visit(row, *class, *resource);
            }
        }
        Ok(())
    }

    /// Every row that does not count, whether it was left out or is of another service.
    fn all_left_out(&self) -> Result<&RowSet> {
        let (Some(of_service), PartRows::Sealed(pages)) = (&self.of_service, &self.rows) else {
            return Ok(&self.left_out);
        };
        if let Some(known) = self.all_left_out.get() {
            return Ok(known);
        }
        let mut all = RowSet::all(pages.segment.rows());
        let mut classes = Vec::new();
        for page in self.pages.iter() {
            pages.classes(page, &mut classes)?;
            let first = page * PAGE_ROWS as u32;
            for (row, class) in (first..).zip(&classes) {
                if of_service[*class as usize] {
                    all.remove(row);
                }
            }
        }
        Ok(self.all_left_out.get_or_init(|| all.or(&self.left_out)))
    }
}

/// Which classes are of the service; `None` if all classes of spans are.
fn classes_of(source: &dyn RowSource, service: &str) -> Option<Vec<bool>> {
    let classes = &source.schema().classes;
    let of = |class: &Class| class.service != NONE && source.text(class.service) == service;
    let all = classes.iter().filter(|class| class.scope != NONE).all(of);
    (!all).then(|| classes.iter().map(of).collect())
}

/// Leaves out the rows of the reachable pages that do not start in the window; returns the pages that have
/// others.
fn leave_out_of_window(
    pages: &SegmentPages<'_>,
    window: TimeRange,
    reachable: &PageSet,
    left_out: &mut RowSet,
) -> Result<PageSet> {
    if window == TimeRange::ALL {
        return Ok(reachable.clone());
    }
    let within = window_pages(pages, window, &mut Pruned::default()).and(reachable);
    reachable.clone().and_not(&within).iter().for_each(|page| left_out.insert_range(pages.rows_of(page)));
    let zones = pages.segment.zones();
    for page in within.iter() {
        if zones.as_ref().is_some_and(|zones| zones.page(Measure::Start, page).covered_by_time(window)) {
            continue;
        }
        let inside: Mask = PageScan::new(pages, page)?.in_window(window, false)?;
        let rows = pages.rows_of(page);
        for row in rows.clone().filter(|row| !inside.contains((row - rows.start) as usize)) {
            left_out.insert(row);
        }
    }
    Ok(within)
}

/// How many span rows of each class and of each resource stand on these pages and are not left out. Classes
/// and resources of which all rows stand elsewhere may have any number.
fn count_rows(pages: &SegmentPages<'_>, reachable: &PageSet, left_out: &RowSet) -> Result<(Vec<u64>, Vec<u64>)> {
    let tables = pages.source.tables;
    let (mut taken_off, mut left) = (Vec::new(), Vec::new());
    for page in reachable.iter() {
        let rows = pages.rows_of(page);
        let out = left_out.count_in(rows.clone());
        if out > 0 {
            taken_off.push(page);
        }
        if out < rows.len() as u64 {
            left.push(page);
        }
    }
    let add = left.len() < taken_off.len();
    let (mut class_rows, mut resource_rows) = if add {
        (vec![0; tables.class_rows.len()], vec![0; tables.resource_rows.len()])
    } else {
        (tables.class_rows.clone(), tables.resource_rows.clone())
    };
    // Events and links count rows of classes of their own, which have no scope.
    for (rows, class) in class_rows.iter_mut().zip(&tables.schema.classes) {
        *rows = if class.scope == NONE { 0 } else { *rows };
    }
    let (mut classes, mut resources) = (Vec::new(), Vec::new());
    for page in if add { left } else { taken_off } {
        pages.classes(page, &mut classes)?;
        pages.resources(page, &mut resources)?;
        for ((row, class), resource) in pages.rows_of(page).zip(&classes).zip(&resources) {
            if left_out.contains(row) != add {
                change(&mut class_rows, *class, add)?;
                change(&mut resource_rows, *resource, add)?;
            }
        }
    }
    Ok((class_rows, resource_rows))
}

fn change(counts: &mut [u64], code: u32, add: bool) -> Result<()> {
    let missing = || Error::corrupt("a class or resource has more rows than it says");
    let count = counts.get_mut(code as usize).filter(|count| add || **count > 0).ok_or_else(missing)?;
    *count = if add { *count + 1 } else { *count - 1 };
    Ok(())
}

/// The pages of the event or link table with children of rows on these pages of span rows.
fn children_pages(pages: &SegmentPages<'_>, table: Table, within: &PageSet) -> Result<PageSet> {
    let Some((row_column, class_column)) = child_columns(table) else { return Ok(within.clone()) };
    let values = pages.segment.column(class_column as u32).map_or(0, |c| c.values) as usize;
    let count = values.div_ceil(PAGE_ROWS) as u32;
    if count == 0 || within.len() == u64::from(pages.segment.row_pages()) {
        return Ok(PageSet::all(count));
    }
    let starts = pages.segment.sparse_starts(row_column)?;
    let mut out = PageSet::new();
    for page in 0..count {
        let missing = || Error::corrupt(format!("{row_column:?} has no start of page {page}"));
        let first = starts.get(page as usize).copied().ok_or_else(missing)?;
        let last = starts.get(page as usize + 1).copied().unwrap_or(pages.segment.rows() - 1);
        if within.intersects(first / PAGE_ROWS as u32..last / PAGE_ROWS as u32 + 1) {
            out.insert(page);
        }
    }
    Ok(out)
}
