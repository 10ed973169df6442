//! An expression on the rows of the head, where a trace's rows lie apart and in the order of their arrival.
//!
//! ```text
//! chapters   a1 b1 a2 | b2 a3 c1        rows that may be in the set: those of a
//! gathered   a1 a2 a3                   all rows of these traces, in the order of their tree
//! ```
//! Only traces that lie in the head alone are decided here, from masks of pages like those of segments.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::column::{ClassBits, NONE, RowSource};
use crate::error::Result;
use crate::head::{FrozenChapter, Row};
use crate::limits::PAGE_ROWS;
use crate::model::Resource;
use crate::segment::{OrderRow, fingerprint_of, last_instant, order_rows};

use super::super::mask::Mask;
use super::super::scan::PageScan;
use super::bits::Bits;
use super::forest::Forest;
use super::part_conditions::PartConditions;
use super::span_set::SpanSet;
use super::verdict::evaluate;

/// The rows of a set by chapter and page.
pub type HeadRows = Vec<Vec<Mask>>;

/// The rows of the head that are in the set for certain, of traces that lie in the head alone; `None` if only whole
/// spans tell. `is_apart` says of the low half of a trace's id that others decide it.
///
/// # Errors
/// Corrupt if a value of the head is damaged.
pub fn head_rows(
    set: &SpanSet,
    chapters: &[Arc<FrozenChapter>],
    is_apart: &dyn Fn(u64) -> bool,
) -> Result<Option<HeadRows>> {
    let conditions: Vec<PartConditions<'_>> = chapters.iter().map(|chapter| conditions_of(set, chapter)).collect();
    if !conditions.iter().all(PartConditions::are_exact) {
        return Ok(None);
    }
    let mut rows: HeadRows = Vec::with_capacity(chapters.len());
    let mut wanted: FxHashSet<[u8; 16]> = FxHashSet::default();
    for (chapter, conditions) in chapters.iter().zip(&conditions) {
        let pages = chapter.rows.len().div_ceil(PAGE_ROWS);
        rows.push(vec![Mask::NONE; pages]);
        for page in 0..pages {
            let upper = conditions.upper(&mut PageScan::new(&***chapter, page as u32)?)?;
            let ids = upper.iter().map(|row| chapter.rows[page * PAGE_ROWS + row].trace_id);
            wanted.extend(ids.filter(|id| !is_apart(low_of(id))));
        }
    }
    let places = places_of(chapters, &wanted);
    let forest_rows =
        order_rows(&ordered(chapters, &places), &|at| fingerprint(chapters, places[at as usize]), &|_, _| false);
    let place = |row: usize| places[forest_rows.rows[row] as usize];
    let forest =
        forest_of(chapters, &place, &forest_rows.depths, forest_rows.traces.iter().map(|t| t.first_row as usize));
    let of_condition = masks_by_condition(chapters, &conditions, &places)?;
    let count = forest_rows.rows.len();
    let bits = of_condition.iter().map(|masks| {
        let mut bits = Bits::new(count);
        (0..count).for_each(|row| bits.put(row, contains(masks, place(row))));
        bits
    });
    let verdict = evaluate(set, &forest, bits.collect());
    for row in (0..count).filter(|row| verdict.certain.contains(*row)) {
        let (chapter, at) = place(row);
        rows[chapter as usize][at as usize / PAGE_ROWS].insert(at as usize % PAGE_ROWS);
    }
    Ok(Some(rows))
}

/// Chapter and row.
type Place = (u32, u32);

fn conditions_of<'q>(set: &'q SpanSet, chapter: &FrozenChapter) -> PartConditions<'q> {
    let resources: Vec<Arc<Resource>> = chapter.resources.iter().map(|r| r.resource.clone()).collect();
    PartConditions::new(set, &**chapter, &resources, &chapter.scopes)
}

fn low_of(id: &[u8; 16]) -> u64 {
    let mut low = [0; 8];
    low.copy_from_slice(&id[8..]);
    u64::from_be_bytes(low)
}

fn row_at(chapters: &[Arc<FrozenChapter>], (chapter, row): Place) -> &Row {
    &chapters[chapter as usize].rows[row as usize]
}

fn contains(masks: &[Vec<Mask>], (chapter, row): Place) -> bool {
    masks[chapter as usize][row as usize / PAGE_ROWS].contains(row as usize % PAGE_ROWS)
}

/// All rows of the traces.
fn places_of(chapters: &[Arc<FrozenChapter>], wanted: &FxHashSet<[u8; 16]>) -> Vec<Place> {
    let of_chapter = |(at, chapter): (usize, &Arc<FrozenChapter>)| -> Vec<Place> {
        let rows = (0..chapter.rows.len()).filter(|row| wanted.contains(&chapter.rows[*row].trace_id));
        rows.map(|row| (at as u32, row as u32)).collect()
    };
    chapters.iter().enumerate().flat_map(of_chapter).collect()
}

/// What the order of the rows depends on.
fn ordered(chapters: &[Arc<FrozenChapter>], places: &[Place]) -> Vec<OrderRow> {
    let mut services: FxHashMap<&str, u32> = FxHashMap::default();
    let of_chapter: Vec<Vec<u32>> = chapters
        .iter()
        .map(|chapter| {
            let classes = chapter.schema.classes.iter();
            classes
                .map(|class| {
                    let next = services.len() as u32;
                    let service = if class.service == NONE { "" } else { chapter.text(class.service) };
                    *services.entry(service).or_insert(next)
                })
                .collect()
        })
        .collect();
    let row_of = |place: &Place| {
        let (row, chapter) = (row_at(chapters, *place), &chapters[place.0 as usize]);
        let bits = chapter.schema.classes[row.class as usize].bits;
        OrderRow {
            trace_id: row.trace_id,
            span_id: row.span_id,
            parent: row.parent,
            start: row.start,
            end: row.end,
            last: last_instant(row.start, row.end, bits.has(ClassBits::ZIPKIN)),
            service: of_chapter[place.0 as usize][row.class as usize],
            shared: bits.has(ClassBits::SHARED),
        }
    };
    places.iter().map(row_of).collect()
}

fn fingerprint(chapters: &[Arc<FrozenChapter>], (chapter, row): Place) -> u64 {
    fingerprint_of(chapters[chapter as usize].span(row).ok().as_ref())
}

fn forest_of(
    chapters: &[Arc<FrozenChapter>],
    place: &dyn Fn(usize) -> Place,
    depths: &[u32],
    firsts: impl Iterator<Item = usize>,
) -> Forest {
    let mut firsts: Vec<usize> = firsts.collect();
    firsts.push(depths.len());
    let mut orphans = Vec::new();
    for trace in firsts.windows(2) {
        let parent = |row: usize| row_at(chapters, place(row)).parent;
        let tops = (trace[0]..trace[1]).filter(|row| depths[*row] == 0 && parent(*row) != 0);
        let tops: Vec<(usize, u64)> = tops.map(|row| (row, parent(row))).collect();
        if !tops.is_empty() {
            let ids: FxHashSet<u64> = (trace[0]..trace[1]).map(|row| row_at(chapters, place(row)).span_id).collect();
            orphans.extend(tops.into_iter().filter(|(_, parent)| !ids.contains(parent)));
        }
    }
    let traces = firsts.windows(2).map(|trace| trace[0]..trace[1]).collect();
    Forest::new(depths.to_vec(), traces, orphans)
}

/// For every condition the rows that meet it, by chapter and page; pages without one of these rows are not looked at.
fn masks_by_condition(
    chapters: &[Arc<FrozenChapter>],
    conditions: &[PartConditions<'_>],
    places: &[Place],
) -> Result<Vec<HeadRows>> {
    let count = conditions.first().map_or(0, PartConditions::len);
    let none = |chapter: &Arc<FrozenChapter>| vec![Mask::NONE; chapter.rows.len().div_ceil(PAGE_ROWS)];
    let mut out: Vec<HeadRows> = (0..count).map(|_| chapters.iter().map(none).collect()).collect();
    let mut last = None;
    for (chapter, row) in places {
        let (at, page) = (*chapter as usize, *row as usize / PAGE_ROWS);
        if last == Some((at, page)) {
            continue;
        }
        last = Some((at, page));
        let mut scan = PageScan::new(&**chapters[at], page as u32)?;
        for (condition, masks) in out.iter_mut().enumerate() {
            masks[at][page] = conditions[at].mask(condition, &mut scan)?;
        }
    }
    Ok(out)
}
