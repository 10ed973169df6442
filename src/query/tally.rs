//! Counting distinct spans over all parts, exactly and without reading them all.
//!
//! A part alone holds no record twice, and knows how many rows each of its classes and resources has. Only
//! dirty traces, which may lie in several parts, can hold a record twice. So:
//!
//! ```text
//! answer = rows of each part by class and resource, less the rows of dirty traces
//!        + each dirty trace once, its parts united, span by span
//! ```
//! [`CleanPart`] is the first line for one part, [`Tally::each_dirty_span`] the second.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::catalog::{SegmentPart, Snapshot, TraceIds};
use crate::column::{Class, NONE, RowSource, Table};
use crate::error::{Error, Result};
use crate::head::{Chapter, trace_id_of};
use crate::index::RowSet;
use crate::limits::PAGE_ROWS;
use crate::model::{Resource, Scope, Span, TraceId};
use crate::part::ReadCounter;

use super::scan::PageSource;
use super::segment_pages::SegmentPages;
use super::walk::{ChapterWalk, SegmentWalk, ValueWalk, child_columns};

/// A snapshot divided into clean rows and dirty traces.
pub struct Tally<'s> {
    snapshot: &'s Snapshot,
    counter: ReadCounter,
    /// Low halves of the ids of dirty traces.
    lows: FxHashSet<u64>,
    /// Ids of dirty traces and of those of the head that share a low half with one, each once, ascending.
    dirty: Vec<TraceId>,
}

impl<'s> Tally<'s> {
    /// Finds the dirty traces of a snapshot.
    ///
    /// # Errors
    /// Corrupt if a page or section it needs is damaged; so do all methods here.
    pub fn new(snapshot: &'s Snapshot) -> Result<Self> {
        let counter = ReadCounter::default();
        let mut ids: FxHashSet<TraceId> = FxHashSet::default();
        for part in &snapshot.segments {
            for ordinal in part.loose() {
                ids.insert(part.segment.trace_id(ordinal, &counter)?);
            }
        }
        let lows: FxHashSet<u64> = ids.iter().map(|id| id.low()).collect();
        if !lows.is_empty() {
            let rows = snapshot.chapters.iter().flat_map(|chapter| &chapter.rows);
            ids.extend(rows.map(trace_id_of).filter(|id| lows.contains(&id.low())));
        }
        let mut dirty: Vec<TraceId> = ids.into_iter().collect();
        dirty.sort_unstable();
        Ok(Self { snapshot, counter, lows, dirty })
    }

    /// Pages read so far.
    #[cfg(test)]
    pub fn pages_read(&self) -> u64 {
        self.counter.pages()
    }

    /// The clean rows of every part.
    ///
    /// # Errors
    /// As [`Tally::new`].
    pub fn clean_parts(&self) -> impl Iterator<Item = Result<CleanPart<'_>>> {
        let sealed = self.snapshot.segments.iter().map(|part| CleanPart::sealed(part, &self.counter));
        let head = self.snapshot.chapters.iter().map(|chapter| Ok(CleanPart::of_chapter(chapter, &self.lows)));
        sealed.chain(head)
    }

    /// Calls `visit` with every distinct span of the dirty traces.
    ///
    /// # Errors
    /// As [`Tally::new`].
    pub fn each_dirty_span(&self, mut visit: impl FnMut(&Span)) -> Result<()> {
        for id in &self.dirty {
            self.snapshot.trace(*id, TraceIds::Strict, &self.counter)?.iter().for_each(&mut visit);
        }
        Ok(())
    }

    /// Distinct spans by what a class, and likewise a span, says; those it says `None` of are left out.
    ///
    /// # Errors
    /// As [`Tally::new`].
    pub fn count_by<K: Ord>(
        &self,
        of_class: impl Fn(&dyn RowSource, &Class) -> Option<K>,
        of_span: impl Fn(&Span) -> Option<K>,
    ) -> Result<BTreeMap<K, u64>> {
        let mut out = BTreeMap::new();
        for part in self.clean_parts() {
            let part = part?;
            for (class, rows) in part.classes() {
                if let Some(key) = of_class(part.source(), class) {
                    *out.entry(key).or_default() += rows;
                }
            }
        }
        self.each_dirty_span(|span| {
            if let Some(key) = of_span(span) {
                *out.entry(key).or_default() += 1;
            }
        })?;
        Ok(out)
    }
}

/// The rows of one part that belong to clean traces.
pub struct CleanPart<'t> {
    rows: PartRows<'t>,
    dirty: RowSet,
    class_rows: Vec<u64>,
    resource_rows: Vec<u64>,
}

enum PartRows<'t> {
    Sealed(SegmentPages<'t>),
    Head(&'t Chapter),
}

impl<'t> CleanPart<'t> {
    fn sealed(part: &'t SegmentPart, counter: &'t ReadCounter) -> Result<Self> {
        let segment = &*part.segment;
        let pages = SegmentPages { segment, source: segment.source()?, counter };
        let mut dirty = RowSet::new();
        for ordinal in part.dirty.iter() {
            dirty.insert_range(segment.trace_rows(ordinal, counter)?);
        }
        let tables = pages.source.tables;
        let (mut class_rows, mut resource_rows) = (tables.class_rows.clone(), tables.resource_rows.clone());
        // Events and links count rows of classes of their own, which have no scope.
        for (rows, class) in class_rows.iter_mut().zip(&tables.schema.classes) {
            *rows = if class.scope == NONE { 0 } else { *rows };
        }
        let (mut classes, mut resources) = (Vec::new(), Vec::new());
        for page in 0..segment.row_pages() {
            let first = page * PAGE_ROWS as u32;
            let range = first..first.saturating_add(PAGE_ROWS as u32);
            if !dirty.intersects(range.clone()) {
                continue;
            }
            pages.classes(page, &mut classes)?;
            pages.resources(page, &mut resources)?;
            for row in dirty.iter_in(range) {
                take_one(&mut class_rows, classes.get((row - first) as usize))?;
                take_one(&mut resource_rows, resources.get((row - first) as usize))?;
            }
        }
        Ok(Self { rows: PartRows::Sealed(pages), dirty, class_rows, resource_rows })
    }

    fn of_chapter(chapter: &'t Chapter, lows: &FxHashSet<u64>) -> Self {
        let mut dirty = RowSet::new();
        let mut class_rows = vec![0; chapter.schema.classes.len()];
        let mut resource_rows = vec![0; chapter.resources.len()];
        for (at, row) in chapter.rows.iter().enumerate() {
            if lows.contains(&trace_id_of(row).low()) {
                dirty.insert(at as u32);
            } else {
                class_rows[row.class as usize] += 1;
                resource_rows[row.resource as usize] += 1;
            }
        }
        Self { rows: PartRows::Head(chapter), dirty, class_rows, resource_rows }
    }

    /// What gives the part's codes their meaning.
    pub fn source(&self) -> &dyn RowSource {
        match &self.rows {
            PartRows::Sealed(pages) => &pages.source,
            PartRows::Head(chapter) => *chapter,
        }
    }

    /// The pages of the part's span rows, dirty ones among them.
    pub fn pages(&self) -> &dyn PageSource {
        match &self.rows {
            PartRows::Sealed(pages) => pages,
            PartRows::Head(chapter) => *chapter,
        }
    }

    /// Pages of span rows.
    pub fn page_count(&self) -> u32 {
        match &self.rows {
            PartRows::Sealed(pages) => pages.segment.row_pages(),
            PartRows::Head(chapter) => chapter.rows.len().div_ceil(PAGE_ROWS) as u32,
        }
    }

    /// True if the span row belongs to a clean trace.
    pub fn is_clean(&self, row: u32) -> bool {
        !self.dirty.contains(row)
    }

    /// Classes with clean span rows, and how many.
    pub fn classes(&self) -> impl Iterator<Item = (&Class, u64)> {
        let classes = self.source().schema().classes.iter().zip(&self.class_rows);
        classes.filter(|(_, rows)| **rows > 0).map(|(class, rows)| (class, *rows))
    }

    /// Resources, and how many clean span rows each has.
    pub fn resources(&self) -> Vec<(&Resource, u64)> {
        let rows = self.resource_rows.iter().copied();
        match &self.rows {
            PartRows::Sealed(pages) => pages.source.tables.resources.iter().map(|r| &**r).zip(rows).collect(),
            PartRows::Head(chapter) => chapter.resources.iter().map(|r| &*r.resource).zip(rows).collect(),
        }
    }

    /// Scopes, and how many clean span rows each has.
    pub fn scopes(&self) -> Vec<(&Scope, u64)> {
        let scopes: &[Arc<Scope>] = match &self.rows {
            PartRows::Sealed(pages) => &pages.source.tables.scopes,
            PartRows::Head(chapter) => &chapter.scopes,
        };
        let mut out: Vec<(&Scope, u64)> = scopes.iter().map(|scope| (&**scope, 0)).collect();
        for (class, rows) in self.classes() {
            // Spans alone have clean rows, and the schema was checked: their scope is one of these.
            if let Some((_, known)) = out.get_mut(class.scope as usize) {
                *known += rows;
            }
        }
        out
    }

    /// The values of a field in clean rows.
    ///
    /// # Errors
    /// As [`Tally::new`].
    pub fn walk(&self, field: u32) -> Result<Box<dyn ValueWalk + '_>> {
        Ok(match &self.rows {
            PartRows::Sealed(pages) => Box::new(SegmentWalk::new(pages, &self.dirty, field)?),
            PartRows::Head(chapter) => Box::new(ChapterWalk::new(chapter, &self.dirty, field)),
        })
    }

    /// Calls `visit` with the span row and class of every event or link of clean rows, in row order.
    ///
    /// # Errors
    /// As [`Tally::new`].
    pub fn each_child(&self, table: Table, mut visit: impl FnMut(u32, u32)) -> Result<()> {
        let mut visit_clean = |row: u32, class: u32| {
            if self.is_clean(row) {
                visit(row, class);
            }
        };
        match (&self.rows, table) {
            (PartRows::Head(chapter), Table::Event) => {
                chapter.events.iter().for_each(|event| visit_clean(event.span_row, event.class));
            }
            (PartRows::Head(chapter), Table::Link) => {
                chapter.links.iter().for_each(|link| visit_clean(link.span_row, link.class));
            }
            (PartRows::Sealed(pages), _) => {
                let Some((row_column, class_column)) = child_columns(table) else { return Ok(()) };
                let values = pages.segment.column(class_column as u32).map_or(0, |c| c.values) as usize;
                let (mut rows, mut classes) = (Vec::new(), Vec::new());
                for page in 0..values.div_ceil(PAGE_ROWS) {
                    pages.segment.integers(row_column as u32, page, pages.counter, &mut rows)?;
                    pages.segment.classes(class_column, page, pages.counter, &mut classes)?;
                    rows.iter().zip(&classes).for_each(|(row, class)| visit_clean(*row as u32, *class as u32));
                }
            }
            (PartRows::Head(_), Table::Span) => {}
        }
        Ok(())
    }
}

fn take_one(counts: &mut [u64], code: Option<&u32>) -> Result<()> {
    let count = code.and_then(|code| counts.get_mut(*code as usize));
    let missing = || Error::corrupt("a class or resource has more rows than it says");
    let count = count.filter(|count| **count > 0).ok_or_else(missing)?;
    *count -= 1;
    Ok(())
}

/// How much a snapshot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Distinct spans.
    pub spans: u64,
    /// Rows of all parts; a record that lies in two parts counts twice.
    pub rows: u64,
    /// Distinct trace ids.
    pub traces: u64,
}

/// Counts spans, rows and traces. Reads the spans of dirty traces, and of all others nothing.
///
/// # Errors
/// Corrupt if a page or section it needs is damaged.
pub fn counts(snapshot: &Snapshot) -> Result<Counts> {
    let tally = Tally::new(snapshot)?;
    let mut out = Counts::default();
    for part in tally.clean_parts() {
        out.spans += part?.classes().map(|(_, rows)| rows).sum::<u64>();
    }
    tally.each_dirty_span(|_| out.spans += 1)?;
    out.rows += snapshot.segments.iter().map(|part| u64::from(part.segment.rows())).sum::<u64>();
    out.rows += snapshot.chapters.iter().map(|chapter| chapter.rows.len() as u64).sum::<u64>();
    let clean = snapshot.segments.iter().map(|part| u64::from(part.segment.traces()) - part.dirty.len());
    out.traces = clean.sum::<u64>() + snapshot.loose_traces(&tally.counter)?.len() as u64;
    Ok(out)
}
