//! Totals from what segments know of themselves, where that tells, and from their rows.
//!
//! ```text
//! without histograms: sums of cells + rows that no cell tells + rows of other parts + spans of united traces, once
//! with histograms:    rollups of segments wholly inside       + rows of other parts + spans of united traces, once
//! ```
//! Rows that have to tell are scanned as for any other figure, so a question that cells say nothing about costs one
//! lean pass. What cells and rollups tell is for [`Matching::step_totals`] and [`Matching::whole_totals`].

use std::cell::RefCell;

use rustc_hash::FxHashMap;

use crate::column::NONE;
use crate::error::Result;
use crate::index::rollup::Group;
use crate::model::Span;
use crate::query::{GroupTexts, MatchPart, MatchedPage, Matching};

use super::grouper::Grouper;
use super::groups::NO_ROOM;
use super::part_tables::{DURATION, ERROR};
use super::totals::Totals;

/// The totals of every group, without histograms.
///
/// # Errors
/// Whatever is not damage. Damage is noted, and what it hides is left out.
pub fn plain_totals<'q>(
    matching: &mut Matching<'q>,
    parts: &[MatchPart<'q>],
    grouper: &mut Grouper,
) -> Result<Vec<Totals>> {
    let (mut out, mut scan) = (Vec::new(), RowScan::default());
    let of_steps = (grouper.step(), grouper.is_by_service());
    let by_cells = grouper.is_by_group_and_time() && matching.is_by_group();
    for (index, part) in parts.iter().enumerate() {
        let mut nodes = Nodes::default();
        let told = by_cells
            .then(|| matching.step_totals(part, of_steps, |texts| nodes.bin(grouper.node_of_group(&texts))))
            .flatten();
        let pages = match &told {
            Some(told) => told.untold.pages(matching, part),
            None => matching.pages(part).to_vec(),
        };
        for sum in told.iter().flat_map(|told| &told.sums) {
            let group = grouper.group_at(nodes.list[sum.bin as usize], sum.instant);
            if let Some(totals) = of_group(&mut out, group) {
                totals.add_step(&sum.spans, sum.errors);
            }
        }
        matching.skip_unread(part, pages.len());
        for number in pages {
            let Some(page) = matching.page(part, number)? else { continue };
            let is_meant = |row: usize| -> Result<bool> {
                let Some(told) = &told else { return Ok(true) };
                Ok(told.untold.has(page.classes()[row], page.starts()?[row]))
            };
            let mut add = |row: Row| {
                if let Some(totals) = of_group(&mut out, row.group) {
                    totals.add_plain(row.duration, row.facts);
                }
            };
            if let Err(error) = scan.read((index, part, &page), is_meant, grouper, &mut add) {
                matching.problem(error)?;
            }
        }
    }
    matching.each_doubled_span(|span| {
        if let Some(totals) = of_group(&mut out, grouper.of_span(span)) {
            totals.add_plain(span.duration_nanos().unwrap_or(0), facts_of(span));
        }
        Ok(())
    })?;
    out.resize_with(grouper.len(), Totals::default);
    Ok(out)
}

/// The totals of every group, with histograms but without extremes; `None` if no rollup tells, and a scan that keeps
/// durations is better.
///
/// # Errors
/// As [`plain_totals`].
pub fn whole_totals<'q>(
    matching: &mut Matching<'q>,
    parts: &[MatchPart<'q>],
    grouper: &mut Grouper,
) -> Result<Option<Vec<Totals>>> {
    if !grouper.is_by_group_and_time() || !matching.is_by_group() {
        return Ok(None);
    }
    let (mut out, mut untold, grouper_step) = (Vec::new(), Vec::new(), grouper.step());
    for (index, part) in parts.iter().enumerate() {
        // A node is not known by its group before the step is.
        let (nodes, step) = (RefCell::new(&mut *grouper), grouper_step);
        let mut bin = |texts: GroupTexts<'_>| match nodes.borrow_mut().node_of_group(&texts) {
            NO_ROOM => NONE,
            node => node,
        };
        let mut add = |node: u32, instant: u64, sums: &Group| {
            let group = nodes.borrow_mut().group_at(node, instant);
            if let Some(totals) = of_group(&mut out, group) {
                totals.sums.merge(sums);
            }
        };
        match matching.each_whole_group(part, step, &mut bin, &mut add) {
            None => untold.push((index, part)),
            Some(Ok(())) => {}
            // Some of it was added, so that all rows have to tell.
            Some(Err(_)) => return Ok(None),
        }
    }
    if untold.len() == parts.len() {
        return Ok(None);
    }
    for place in untold {
        each_row(place, matching, grouper, |row| {
            if let Some(totals) = of_group(&mut out, row.group) {
                totals.add(row.duration, row.facts);
            }
        })?;
    }
    matching.each_doubled_span(|span| {
        if let Some(totals) = of_group(&mut out, grouper.of_span(span)) {
            totals.add(span.duration_nanos().unwrap_or(0), facts_of(span));
        }
        Ok(())
    })?;
    out.resize_with(grouper.len(), Totals::default);
    Ok(Some(out))
}

/// Calls `visit` with the matching rows of a part of this index, page by page.
///
/// # Errors
/// As [`plain_totals`].
pub fn each_row<'q>(
    (index, part): (usize, &MatchPart<'q>),
    matching: &mut Matching<'q>,
    grouper: &mut Grouper,
    mut visit: impl FnMut(Row),
) -> Result<()> {
    let mut scan = RowScan::default();
    for number in matching.pages(part) {
        let Some(page) = matching.page(part, *number)? else { continue };
        if let Err(error) = scan.read((index, part, &page), |_| Ok(true), grouper, &mut visit) {
            matching.problem(error)?;
        }
    }
    Ok(())
}

pub(super) fn facts_of(span: &Span) -> u8 {
    let duration = if span.duration_nanos().is_some() { DURATION } else { 0 };
    duration | if span.is_error() { ERROR } else { 0 }
}

fn of_group(totals: &mut Vec<Totals>, group: u32) -> Option<&mut Totals> {
    if group == NO_ROOM {
        return None;
    }
    if totals.len() <= group as usize {
        totals.resize_with(group as usize + 1, Totals::default);
    }
    totals.get_mut(group as usize)
}

/// The distinct nodes that the groups of one segment lead to, by bin.
#[derive(Default)]
struct Nodes {
    list: Vec<u32>,
    bins: FxHashMap<u32, u32>,
}

impl Nodes {
    /// The bin of a node; [`NONE`] for [`NO_ROOM`].
    fn bin(&mut self, node: u32) -> u32 {
        if node == NO_ROOM {
            return NONE;
        }
        *self.bins.entry(node).or_insert_with(|| {
            self.list.push(node);
            self.list.len() as u32 - 1
        })
    }
}

/// A matching row.
pub struct Row {
    /// Its place in the part.
    pub row: u32,
    /// Its group, or [`NO_ROOM`].
    pub group: u32,
    /// Its duration in nanoseconds, if it has one.
    pub duration: u64,
    /// [`ERROR`] and [`DURATION`].
    pub facts: u8,
}

/// Rows of a page that are visited, and their groups.
#[derive(Default)]
struct RowScan {
    rows: Vec<u16>,
    groups: Vec<u32>,
}

impl RowScan {
    /// Calls `visit` with the matching rows of a page that are meant.
    fn read(
        &mut self,
        (index, part, page): (usize, &MatchPart<'_>, &MatchedPage<'_>),
        is_meant: impl Fn(usize) -> Result<bool>,
        grouper: &mut Grouper,
        visit: &mut impl FnMut(Row),
    ) -> Result<()> {
        self.rows.clear();
        for row in page.rows.iter() {
            if is_meant(row)? {
                self.rows.push(row as u16);
            }
        }
        let durations = page.durations()?;
        grouper.of_page(index, part, page, &self.rows, &mut self.groups)?;
        let facts = &grouper.tables(index, part).facts;
        for (row, group) in self.rows.iter().zip(&self.groups) {
            let (at, group) = (usize::from(*row), *group);
            let facts = facts[page.classes()[at] as usize];
            visit(Row { row: page.first_row() + u32::from(*row), group, duration: durations[at], facts });
        }
        Ok(())
    }
}
