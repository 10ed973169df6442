//! Sums and histograms of segments that lie wholly inside the window that is asked about, from their rollups.
//!
//! A rollup knows no time, so it tells about a segment all of whose spans start inside the window, and inside one step
//! of time if steps are asked for. Rows of deleted and doubled traces are taken off by adding them up.

use crate::column::{Class, ClassBits, NONE};
use crate::error::{Error, Result};
use crate::index::Measure;
use crate::index::rollup::{Group, GroupCodes, Rollup, RowTotals};
use crate::limits::PAGE_ROWS;
use crate::model::TimeRange;
use crate::segment::Fixed;

use super::matching::{MatchPart, Matching, PartRows};
use super::scan::PageSource;
use super::segment_pages::SegmentPages;
use super::step_totals::{GroupTexts, LEFT_OUT_SHARE_MAX};

/// Takes a bin, the first instant of the step that was asked for, and sums of spans of both, which add up.
pub type SumsVisitor<'v> = dyn FnMut(u32, u64, &Group) + 'v;

/// What the rollup of one segment tells.
pub struct WholeTotals {
    /// First instant of the step that was asked for; 0 if none was.
    pub instant: u64,
    /// The sums of every bin that has spans.
    pub sums: Vec<(u32, Group)>,
}

impl<'q> Matching<'q> {
    /// True if every span of a part is known to have a start, inside the window.
    pub fn has_all_inside(&self, part: &MatchPart<'q>) -> bool {
        let window = self.finder.query.window;
        let without = |class: &Class| class.bits.has(ClassBits::NO_START);
        match &part.rows {
            PartRows::Head(_) => window == TimeRange::ALL && !part.classes().iter().any(without),
            PartRows::Sealed(pages) => {
                let tables = pages.source.tables;
                let mut classes = tables.schema.classes.iter().zip(&tables.class_rows);
                let zone = pages.segment.zones().map(|zones| zones.all(Measure::Start));
                !classes.any(|(class, rows)| *rows > 0 && without(class))
                    && zone.is_some_and(|zone| !zone.is_empty() && window.covers(zone.min, zone.max))
            }
        }
    }

    /// What the rollup of a part tells of its matching clean spans by bin, which the caller gives to each group, [`NONE`]
    /// for one that is not wanted. `None` if the rows have to tell: those of the head, or of a segment that window or
    /// step cut, that has spans without a start, or whose rollup does not list all groups or is damaged.
    pub fn whole_totals(
        &self,
        part: &MatchPart<'q>,
        step: Option<u64>,
        mut bin_of: impl FnMut(GroupTexts<'_>) -> u32,
    ) -> Option<WholeTotals> {
        let PartRows::Sealed(pages) = &part.rows else { return None };
        let (instant, rollup) = self.whole_rollup(part, pages, step)?;
        let bins = self.bins_of(&rollup, pages, &mut bin_of);
        Some(WholeTotals { instant, sums: sum_groups(&rollup, &bins, part, pages).ok()? })
    }

    /// The rollup of a segment that tells all of its spans, and the first instant of the step they lie in.
    pub(super) fn whole_rollup<'p>(
        &self,
        part: &'p MatchPart<'q>,
        pages: &SegmentPages<'p>,
        step: Option<u64>,
    ) -> Option<(u64, Rollup<'p>)> {
        let starts = pages.segment.zones()?.all(Measure::Start);
        let instant = step.map_or(0, |step| starts.min - starts.min % step);
        let is_whole = self.has_all_inside(part)
            && step.is_none_or(|step| starts.max - instant < step)
            && part.left_out.len() <= u64::from(pages.segment.rows()) / LEFT_OUT_SHARE_MAX;
        if !is_whole || !self.is_by_group() {
            return None;
        }
        Some((instant, pages.segment.rollup().filter(Rollup::is_complete)?))
    }

    /// As [`Matching::whole_totals`], group by group, also for what the head knows of its chapters.
    ///
    /// # Errors
    /// Corrupt if the rollup is damaged: then some of it was visited.
    pub fn each_whole_group(
        &self,
        part: &MatchPart<'q>,
        step: Option<u64>,
        bin_of: &mut dyn FnMut(GroupTexts<'_>) -> u32,
        visit: &mut SumsVisitor<'_>,
    ) -> Option<Result<()>> {
        match &part.rows {
            PartRows::Sealed(pages) if part.left_out.is_empty() => {
                let (instant, rollup) = self.whole_rollup(part, pages, step)?;
                let (bins, mut group) = (self.bins_of(&rollup, pages, bin_of), Group::default());
                let mut of_bins = bins.iter().enumerate().filter(|(_, bin)| **bin != NONE);
                Some(of_bins.try_for_each(|(place, bin)| {
                    rollup.read_group(place, &mut group)?;
                    visit(*bin, instant, &group);
                    Ok(())
                }))
            }
            PartRows::Sealed(_) => {
                let told = self.whole_totals(part, step, bin_of)?;
                told.sums.iter().for_each(|(bin, group)| visit(*bin, told.instant, group));
                Some(Ok(()))
            }
            PartRows::Head(chapter) => {
                let is_whole = step.is_none() && part.left_out.is_empty() && self.has_all_inside(part);
                if !is_whole || !self.is_by_group() {
                    return None;
                }
                let (keys, groups): (Vec<GroupCodes>, Vec<&Group>) = chapter.totals().groups().unzip();
                let bins = self.bins_of_groups(keys.into_iter(), &***chapter, bin_of);
                let of_bins = bins.iter().zip(groups).filter(|(bin, _)| **bin != NONE);
                of_bins.for_each(|(bin, group)| visit(*bin, 0, group));
                Some(Ok(()))
            }
        }
    }
}

fn sum_groups(
    rollup: &Rollup<'_>,
    bins: &[u32],
    part: &MatchPart<'_>,
    pages: &SegmentPages<'_>,
) -> Result<Vec<(u32, Group)>> {
    let count = bins.iter().filter(|bin| **bin != NONE).max().map_or(0, |most| *most as usize + 1);
    let mut sums = vec![Group::default(); count];
    for (place, bin) in bins.iter().enumerate().filter(|(_, bin)| **bin != NONE) {
        sums[*bin as usize].merge(&rollup.group(place)?);
    }
    let gone = left_out_totals(part, pages)?;
    for (codes, group) in gone.groups() {
        let less = || Error::corrupt(format!("segment {}: a group is not in its rollup", pages.segment.name()));
        let place = rollup.keys().position(|key| key == codes).ok_or_else(less)?;
        if bins[place] != NONE {
            sums[bins[place] as usize].subtract(group)?;
        }
    }
    Ok((0..).zip(sums).filter(|(_, group)| !group.is_empty()).collect())
}

/// The sums over the rows that are left out.
fn left_out_totals(part: &MatchPart<'_>, pages: &SegmentPages<'_>) -> Result<RowTotals> {
    let (mut out, mut open, mut classes, mut durations) = (RowTotals::default(), u32::MAX, Vec::new(), Vec::new());
    for row in part.left_out.iter() {
        let (page, at) = (row / PAGE_ROWS as u32, row as usize % PAGE_ROWS);
        if page != open {
            open = page;
            pages.classes(page, &mut classes)?;
            pages.segment.integers(Fixed::Length as u32, page as usize, pages.counter, &mut durations)?;
        }
        let (Some(code), Some(duration)) = (classes.get(at), durations.get(at)) else {
            return Err(Error::corrupt(format!("page {page} is cut")));
        };
        let class = &pages.source.tables.schema.classes[*code as usize];
        out.add(*code, class, (!class.bits.has(ClassBits::NO_DURATION)).then_some(*duration));
    }
    Ok(out)
}
