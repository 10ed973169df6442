//! Sums over matching spans by step of time, from the cells of a segment where these tell.
//!
//! ```text
//! steps asked, in a window      |  [--------|-----------|-----]     |
//! steps of the segment       |....|....|....|....|....|....|....|....|
//! told by cells                        +----+    +----+----+
//! rows scanned                    ^^^^^      ^^^^           ^^
//! ```
//! A cell tells if all its time lies inside the window and inside one of the steps asked for, and its group decides
//! whether its spans match. Rows of traces that are left out (deleted ones, those that are united) are taken off; where
//! one of them is the shortest or longest of its cell, or a cell is cut, the rows that are left tell: those of the
//! pages whose starts meet the step. Nothing is ever prorated.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::column::{Class, ClassBits, NONE, RowSource};
use crate::error::{Error, Result};
use crate::index::Measure;
use crate::index::rollup::{GroupCodes, Rollup, ServiceHalves, StepCell, Steps};
use crate::limits::PAGE_ROWS;
use crate::model::{SpanKind, StatusCode, TimeRange};
use crate::segment::Fixed;

use super::compile::is_text;
use super::evaluate::{kind_meets, status_meets};
use super::matching::{MatchPart, Matching, PartRows, is_of_group};
use super::predicate::Criterion;
use super::scan::PageSource;
use super::segment_pages::SegmentPages;

/// What names a group of a rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupTexts<'t> {
    /// The service, if there is one.
    pub service: Option<&'t str>,
    /// Name of the spans, perhaps empty.
    pub name: &'t str,
    /// Their kind.
    pub kind: SpanKind,
    /// Their effective status.
    pub status: StatusCode,
}

impl<'t> GroupTexts<'t> {
    fn of(codes: GroupCodes, source: &'t dyn RowSource) -> Self {
        let text = |code: u32| (code != NONE).then(|| source.text(code));
        let (kind, status) = (codes.kind, codes.status);
        Self { service: text(codes.service), name: text(codes.name).unwrap_or_default(), kind, status }
    }
}

/// Tells whether the spans of a group meet a criterion.
type GroupTest<'s> = Box<dyn Fn(GroupCodes) -> bool + 's>;

/// One test for each criterion, each of which groups decide.
fn group_tests<'s>(criteria: &'s [Criterion], source: &'s dyn RowSource) -> Vec<GroupTest<'s>> {
    let test = |criterion: &'s Criterion| -> GroupTest<'s> {
        match criterion {
            Criterion::Service(service) => {
                let is_it = is_text(source, service);
                Box::new(move |codes| codes.service != NONE && is_it(codes.service))
            }
            Criterion::Name(name) => {
                let is_it = is_text(source, name);
                Box::new(move |codes| is_it(codes.name))
            }
            Criterion::Kind(kind) => Box::new(|codes| kind_meets(codes.kind, *kind)),
            Criterion::Status(status) => Box::new(|codes| status_meets(codes.status, *status)),
            Criterion::Error => Box::new(|codes| codes.status == StatusCode::ERROR),
            _ => Box::new(|_| false),
        }
    };
    criteria.iter().map(test).collect()
}

/// Sums over some matching spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepSum {
    /// First instant of the step that was asked for; 0 if none was.
    pub instant: u64,
    /// What the caller calls their group.
    pub bin: u32,
    /// Those of them that are errors.
    pub errors: u64,
    /// Counts, sum and extremes.
    pub spans: StepCell,
}

/// What one segment's cells tell.
pub struct StepTotals {
    /// Several of a step and bin add up.
    pub sums: Vec<StepSum>,
    /// The rows that are to be added to them.
    pub untold: UntoldRows,
}

/// Rows of a segment that its cells do not tell.
#[derive(Default)]
pub struct UntoldRows {
    step_len: u64,
    /// Steps all of whose rows are meant, ascending.
    steps: Vec<u64>,
    /// Steps and groups whose rows are meant.
    cells: FxHashSet<(u64, u32)>,
    /// Steps of either, ascending.
    touched: Vec<u64>,
    group_of_class: Vec<u32>,
}

impl UntoldRows {
    /// The planned pages on which some of them may lie.
    pub fn pages<'q>(&self, matching: &mut Matching<'q>, part: &MatchPart<'q>) -> Vec<u32> {
        if self.touched.is_empty() {
            return Vec::new();
        }
        let planned = matching.pages(part);
        let PartRows::Sealed(pages) = &part.rows else { return planned.to_vec() };
        let zones = pages.segment.zones();
        let meets = |page: &u32| {
            let Some(zone) = zones.as_ref().map(|zones| zones.page(Measure::Start, *page)) else { return true };
            let last = |step: u64| (step * self.step_len).saturating_add(self.step_len - 1);
            let next = self.touched.partition_point(|step| last(*step) < zone.min);
            self.touched.get(next).is_some_and(|step| step * self.step_len <= zone.max)
        };
        planned.iter().copied().filter(meets).collect()
    }

    /// True if a matching row of this class and start is one of them.
    pub fn has(&self, class: u32, start: u64) -> bool {
        let step = start / self.step_len;
        self.steps.binary_search(&step).is_ok()
            || self.group_of_class.get(class as usize).is_some_and(|group| self.cells.contains(&(step, *group)))
    }
}

impl<'q> Matching<'q> {
    /// True if service, name, kind and status of a span that has a start, and the start, decide whether it matches.
    pub fn is_by_group(&self) -> bool {
        !self.is_by_trace() && self.finder.query.structure.is_none() && self.finder.criteria().iter().all(is_of_group)
    }

    /// True if the service of a span that has a start, and whether it is an error, decide whether it matches.
    fn is_by_service(&self) -> bool {
        let decides = |criterion: &Criterion| matches!(criterion, Criterion::Service(_) | Criterion::Error);
        self.is_by_group() && self.finder.criteria().iter().all(decides)
    }

    /// What the cells of a part tell of its matching clean spans by step of time of this length, or over all time, and
    /// by bin, which the caller gives to each group, if `by_service` by its service alone; [`NONE`] for one that is not
    /// wanted. `None` if the rows have to
    /// tell everything: those of the head, or of a segment without steps or with damaged ones.
    pub fn step_totals(
        &self,
        part: &MatchPart<'q>,
        (step, by_service): (Option<u64>, bool),
        mut bin_of: impl FnMut(GroupTexts<'_>) -> u32,
    ) -> Option<StepTotals> {
        let PartRows::Sealed(pages) = &part.rows else { return None };
        let rollup = pages.segment.rollup().filter(Rollup::is_complete)?;
        let is_fine = |steps: &Steps<'_>| step.is_none_or(|step| step >= steps.len_nanos());
        let of_services = if by_service && self.is_by_service() { pages.segment.service_steps() } else { None };
        let of_services = of_services.filter(is_fine).map(|steps| (steps, ServiceHalves::of(rollup.keys())));
        let (steps, halves) = match of_services {
            Some((steps, halves)) => (steps, Some(halves)),
            None => (pages.segment.steps().filter(is_fine)?, None),
        };
        let few = part.left_out.len() <= u64::from(pages.segment.rows()) / LEFT_OUT_SHARE_MAX;
        if !few || !self.is_by_group() {
            return None;
        }
        let groups: Vec<GroupCodes> = match &halves {
            Some(halves) => halves.firsts.clone(),
            None => rollup.keys().collect(),
        };
        let are_errors = groups.iter().map(|codes| codes.status == StatusCode::ERROR);
        let bins = self.bins_of_groups(groups.iter().copied(), &pages.source, &mut bin_of);
        let bins = bins.into_iter().zip(are_errors).collect();
        let mut group_of_class = group_of_class(&rollup, &pages.source.schema().classes);
        if let Some(halves) = &halves {
            let half_of = |group: &u32| halves.of_group.get(*group as usize).copied().unwrap_or(NONE);
            group_of_class.iter_mut().for_each(|group| *group = half_of(group));
        }
        let asked = Asked { step, window: self.finder.query.window, bins };
        let gone = gone_cells(part, pages, &group_of_class, steps.len_nanos());
        let mut out = gone.and_then(|gone| sum_cells(&steps, &asked, &gone)).ok()?;
        out.untold.group_of_class = group_of_class;
        Some(out)
    }

    /// The bin of every group of a rollup; [`NONE`] for one whose spans do not match or that the caller does not want.
    pub(super) fn bins_of(
        &self,
        rollup: &Rollup<'_>,
        pages: &SegmentPages<'_>,
        bin_of: &mut dyn FnMut(GroupTexts<'_>) -> u32,
    ) -> Vec<u32> {
        self.bins_of_groups(rollup.keys(), &pages.source, bin_of)
    }

    /// As [`Matching::bins_of`], of these groups.
    pub(super) fn bins_of_groups(
        &self,
        groups: impl Iterator<Item = GroupCodes>,
        source: &dyn RowSource,
        bin_of: &mut dyn FnMut(GroupTexts<'_>) -> u32,
    ) -> Vec<u32> {
        let tests = group_tests(self.finder.criteria(), source);
        let bin = |codes: GroupCodes| {
            let matches = tests.iter().all(|meets| meets(codes));
            if matches { bin_of(GroupTexts::of(codes, source)) } else { NONE }
        };
        groups.map(bin).collect()
    }
}

/// The share of a segment's rows that may be left out, as one in so many; where there are more, all rows are scanned.
pub(super) const LEFT_OUT_SHARE_MAX: u64 = 16;

/// The place in the rollup of each class's group.
fn group_of_class(rollup: &Rollup<'_>, classes: &[Class]) -> Vec<u32> {
    let places: FxHashMap<GroupCodes, u32> = rollup.keys().zip(0..).collect();
    classes.iter().map(|class| places.get(&GroupCodes::of(class)).copied().unwrap_or(NONE)).collect()
}

/// The sums over the rows that are left out, by step and group.
fn gone_cells(
    part: &MatchPart<'_>,
    pages: &SegmentPages<'_>,
    group_of_class: &[u32],
    step_len: u64,
) -> Result<FxHashMap<(u64, u32), StepCell>> {
    let mut out: FxHashMap<(u64, u32), StepCell> = FxHashMap::default();
    let (mut open, mut starts, mut classes, mut durations) = (u32::MAX, Vec::new(), Vec::new(), Vec::new());
    for row in part.left_out.iter() {
        let (page, at) = (row / PAGE_ROWS as u32, row as usize % PAGE_ROWS);
        if page != open {
            open = page;
            starts = pages.all_starts(page)?;
            pages.classes(page, &mut classes)?;
            pages.segment.integers(Fixed::Length as u32, page as usize, pages.counter, &mut durations)?;
        }
        let cut = || Error::corrupt(format!("page {page} is cut"));
        let (Some(start), Some(class), Some(duration)) = (starts.get(at), classes.get(at), durations.get(at)) else {
            return Err(cut());
        };
        if *start != 0 {
            let has_duration = !pages.class_bits(*class).has(ClassBits::NO_DURATION);
            let group = group_of_class.get(*class as usize).copied().ok_or_else(cut)?;
            out.entry((start / step_len, group)).or_default().add_row(has_duration.then_some(*duration));
        }
    }
    Ok(out)
}

/// What is asked of the cells.
struct Asked {
    step: Option<u64>,
    window: TimeRange,
    /// Bin of every group, and whether its spans are errors.
    bins: Vec<(u32, bool)>,
}

impl Asked {
    /// First instant of the step asked for that holds all of this closed range, which must meet the window; `None` if
    /// window or step cut it.
    fn instant_of(&self, first: u64, last: u64) -> Option<u64> {
        let instant = self.step.map_or(0, |step| first - first % step);
        let is_whole = self.step.is_none_or(|step| last - instant < step) && self.window.covers(first, last);
        is_whole.then_some(instant)
    }
}

fn sum_cells(steps: &Steps<'_>, asked: &Asked, gone: &FxHashMap<(u64, u32), StepCell>) -> Result<StepTotals> {
    let (mut sums, mut untold) = (Vec::new(), UntoldRows { step_len: steps.len_nanos(), ..UntoldRows::default() });
    let bins = asked.bins.iter().map(|(bin, _)| *bin).filter(|bin| *bin != NONE).max().map_or(0, |most| most + 1);
    let mut of_step = vec![StepSum::default(); bins as usize];
    steps.each_step(|step, cells| {
        let first = step * untold.step_len;
        let last = first.saturating_add(untold.step_len - 1);
        if !asked.window.overlaps(first, last) {
            return Ok(());
        }
        let Some(instant) = asked.instant_of(first, last) else {
            untold.steps.push(step);
            untold.touched.push(step);
            return Ok(());
        };
        let cut_before = untold.cells.len();
        let wanted = |group: usize| asked.bins.get(group).is_none_or(|(bin, _)| *bin != NONE);
        cells.each(wanted, |group, cell| {
            let unknown = || Error::corrupt(format!("a step has spans of group {group}, which is not there"));
            let (bin, is_error) = asked.bins.get(group).ok_or_else(unknown)?;
            let left = match gone.get(&(step, group as u32)) {
                Some(gone) => cell.without(gone)?,
                None => Some(cell),
            };
            let Some(left) = left else {
                untold.cells.insert((step, group as u32));
                return Ok(());
            };
            let sum = &mut of_step[*bin as usize];
            sum.spans.merge(&left);
            sum.errors += if *is_error { left.count } else { 0 };
            Ok(())
        })?;
        if untold.cells.len() > cut_before {
            untold.touched.push(step);
        }
        for (bin, sum) in (0..).zip(&mut of_step).filter(|(_, sum)| sum.spans.count > 0) {
            sums.push(StepSum { instant, bin, ..std::mem::take(sum) });
        }
        Ok(())
    })?;
    Ok(StepTotals { sums, untold })
}
