//! Latency: counts, errors and exact percentiles of groups of spans, traces or stages.

use std::cmp::Reverse;

use crate::catalog::Snapshot;
use crate::error::Result;
use crate::limits::Limits;
use crate::model::{SpanId, TraceId};
use crate::query::{Asked, Explain, Query};

use super::adjusted::{AdjustedCounts, AdjustedQuestion, Adjustments};
use super::feed::{Feed, Unit};
use super::group_key::GroupKey;
use super::grouper::Grouper;
use super::measure::Measured;
use super::quantile::Quantile;
use super::select::{SelectedRanks, Wanted, select_rolled};
use super::tail_figures::tail_figures;
use super::totals::Totals;

pub use super::feed::Unit as LatencyUnit;

/// Which groups come first. All but the group itself are descending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LatencySort {
    /// By count.
    #[default]
    Count,
    /// By errors.
    Errors,
    /// By longest duration.
    Max,
    /// By the value of a quantile.
    Quantile(Quantile),
}

/// A question for latencies. The default asks for the median and three tails of all spans together.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LatencyQuery {
    /// Which spans match. Order, limit, page and leniency count for nothing.
    pub filter: Query,
    /// The quantiles of each group, in this order.
    pub quantiles: Vec<Quantile>,
    /// What groups are made of.
    pub by: Vec<GroupKey>,
    /// What is counted.
    pub unit: LatencyUnit,
    /// Which groups come first; among equals by their texts, absent ones first.
    pub sort: LatencySort,
    /// The first so many groups; 0 for all.
    pub top: usize,
    /// True if counts are also to be adjusted for sampling.
    pub adjusted: bool,
}

impl LatencyQuery {
    /// Latencies of the spans that match.
    pub fn new(filter: Query) -> Self {
        let quantiles = ["0.5", "0.9", "0.99", "0.999"].iter().filter_map(|text| Quantile::parse(text).ok()).collect();
        let (unit, sort) = (LatencyUnit::Span, LatencySort::Count);
        Self { filter, quantiles, by: Vec::new(), unit, sort, top: 0, adjusted: false }
    }

    /// Asks for these quantiles.
    #[must_use]
    pub fn quantiles(mut self, quantiles: Vec<Quantile>) -> Self {
        self.quantiles = quantiles;
        self
    }

    /// Asks for groups by these keys.
    #[must_use]
    pub fn by(mut self, by: Vec<GroupKey>) -> Self {
        self.by = by;
        self
    }

    /// Says what is counted.
    #[must_use]
    pub fn of(mut self, unit: LatencyUnit) -> Self {
        self.unit = unit;
        self
    }

    /// Says which groups come first.
    #[must_use]
    pub fn sort(mut self, sort: LatencySort) -> Self {
        self.sort = sort;
        self
    }

    /// Asks for the first so many groups; 0 for all.
    #[must_use]
    pub fn top(mut self, top: usize) -> Self {
        self.top = top;
        self
    }

    /// Asks, if true, for counts adjusted for sampling: [`LatencyGroup::adjusted`].
    #[must_use]
    pub fn adjusted(mut self, adjusted: bool) -> Self {
        self.adjusted = adjusted;
        self
    }
}

/// The value of a quantile, and who had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemplar {
    /// The quantile.
    pub quantile: Quantile,
    /// The duration of that rank, in nanoseconds.
    pub value_nano: u64,
    /// The trace of a sample of exactly that duration: the smallest id, then the smallest span id.
    pub trace_id: TraceId,
    /// The span; `None` where samples are traces or stages.
    pub span_id: Option<SpanId>,
}

/// The figures of one group.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LatencyGroup {
    /// The stage, if stages are counted.
    pub stage: Option<String>,
    /// The text of each key of the question, or none.
    pub group: Vec<Option<String>>,
    /// Samples.
    pub count: u64,
    /// Those that have a duration.
    pub duration_count: u64,
    /// Those that are errors.
    pub errors: u64,
    /// Shortest duration in nanoseconds; `None` if there is none.
    pub min_nano: Option<u64>,
    /// Mean duration in nanoseconds; `None` if there is none.
    pub mean_nano: Option<f64>,
    /// Longest duration in nanoseconds; `None` if there is none.
    pub max_nano: Option<u64>,
    /// The quantiles asked for, in that order; empty if there is no duration.
    pub quantiles: Vec<Exemplar>,
    /// How many samples there were before sampling, if that was asked for.
    pub adjusted: Option<AdjustedCounts>,
}

/// The groups, in order.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LatencyReport {
    /// Groups that have a sample.
    pub groups: Vec<LatencyGroup>,
    /// False if something could not be read or a limit cut the answer.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// What was read and what was skipped.
    pub explain: Explain,
}

/// Counts the samples of every group and finds their quantiles.
///
/// # Errors
/// Invalid if the filter has too many criteria. Damage and limits are no errors: they make the answer incomplete.
pub fn latency(snapshot: &Snapshot, query: &LatencyQuery, limits: &Limits) -> Result<LatencyReport> {
    let asked = Asked::new(&query.filter, limits)?;
    let staged = matches!(query.unit, Unit::Stages(_));
    let grouper = Grouper::new(&query.by, None, staged, limits);
    let mut feed = Feed::new(&asked, snapshot, query.unit.clone(), grouper, limits)?;
    let mut quantiles = query.quantiles.clone();
    if let LatencySort::Quantile(quantile) = &query.sort {
        quantiles.push(quantile.clone());
    }
    let figures = Figures::of(&mut feed, &quantiles, limits)?;
    let mut groups: Vec<(Option<u64>, LatencyGroup)> = (0..feed.grouper.len() as u32)
        .map(|group| {
            let (found, sort) = (figures.group(group, &query.quantiles, &feed), figures.sort_key(group, &query.sort));
            (sort, found)
        })
        .filter(|(_, group)| group.count > 0)
        .collect();
    groups.sort_by(|a, b| Reverse(a.0).cmp(&Reverse(b.0)).then_with(|| name_of(&a.1).cmp(&name_of(&b.1))));
    if query.top > 0 {
        groups.truncate(query.top);
    }
    let incomplete = figures.incomplete;
    let (mut explain, reason) = feed.finish(limits);
    let mut reason = reason.or_else(|| incomplete.then(|| "some values could not be read".to_owned()));
    let mut groups: Vec<LatencyGroup> = groups.into_iter().map(|(_, group)| group).collect();
    if query.adjusted {
        let question = AdjustedQuestion { filter: &query.filter, unit: &query.unit, by: &query.by, step: None };
        let adjustments = Adjustments::gather(snapshot, &question, limits)?;
        groups.iter_mut().for_each(|group| group.adjust(&adjustments, None));
        adjustments.finish(&mut explain, &mut reason);
    }
    Ok(LatencyReport { groups, complete: reason.is_none(), reason, explain })
}

impl LatencyGroup {
    /// Adds the counts adjusted for sampling, of the group in this step of time if time is a key.
    pub(super) fn adjust(&mut self, adjustments: &Adjustments, step: Option<u64>) {
        let name = (self.stage.clone(), self.group.clone(), step);
        self.adjusted = Some(adjustments.of(&name, self.count, self.errors));
    }
}

/// What orders groups of equal rank.
fn name_of(group: &LatencyGroup) -> (&Option<String>, &[Option<String>]) {
    (&group.stage, &group.group)
}

/// Totals and quantiles of all groups of a feed.
pub struct Figures {
    /// By group.
    pub totals: Vec<Totals>,
    selected: SelectedRanks,
    /// True if a value that must be there was not found.
    pub incomplete: bool,
}

impl Figures {
    /// Totals and quantiles; where no quantile is asked for, totals without histograms will do.
    ///
    /// # Errors
    /// Whatever is not damage.
    pub fn of(feed: &mut Feed<'_>, quantiles: &[Quantile], limits: &Limits) -> Result<Self> {
        if quantiles.is_empty()
            && let Some(totals) = feed.plain_totals()?
        {
            return Ok(Self { totals, selected: SelectedRanks::default(), incomplete: false });
        }
        Self::gather(feed, quantiles, limits)
    }

    /// Reads the samples once, or again for the quantiles if they are many.
    ///
    /// # Errors
    /// Whatever is not damage.
    pub fn gather(feed: &mut Feed<'_>, quantiles: &[Quantile], limits: &Limits) -> Result<Self> {
        if let Some((totals, selected)) = tail_figures(feed, quantiles)? {
            return Ok(Self { totals, selected, incomplete: false });
        }
        if !quantiles.is_empty()
            && let Some(totals) = feed.whole_totals()?.map_or_else(|| feed.class_totals(), |totals| Ok(Some(totals)))?
            && let Some(figures) = Self::of_rolled(totals, feed, quantiles, limits)?
        {
            return Ok(figures);
        }
        let Measured { totals, selected, incomplete } = Measured::of(feed, quantiles, limits)?;
        Ok(Self { totals, selected, incomplete })
    }

    /// Figures whose counts are known from rollups; `None` if a value could not be read, so that what the counts
    /// count is not all there.
    fn of_rolled(
        mut totals: Vec<Totals>,
        feed: &mut Feed<'_>,
        quantiles: &[Quantile],
        limits: &Limits,
    ) -> Result<Option<Self>> {
        let mut wanted: Vec<Wanted> = Vec::new();
        for (group, totals) in (0u32..).zip(&totals).filter(|(_, totals)| totals.sums.duration_count > 0) {
            let count = totals.sums.duration_count;
            wanted.extend(quantiles.iter().map(|quantile| (group, quantile.rank(count))));
            if totals.sums.extremes.is_none() {
                wanted.extend([(group, 1), (group, count)]);
            }
        }
        let Some(selected) = select_rolled(&wanted, &totals, feed, limits)? else { return Ok(None) };
        if wanted.iter().any(|wanted| !selected.contains_key(wanted)) {
            return Ok(None);
        }
        for (group, totals) in (0u32..).zip(&mut totals) {
            let value = |rank: u64| selected.get(&(group, rank)).map(|found| found.value);
            let known = totals.sums.extremes.or_else(|| value(1).zip(value(totals.sums.duration_count)));
            (totals.min, totals.max) = known.unwrap_or((totals.min, totals.max));
        }
        totals.resize_with(feed.grouper.len(), Totals::default);
        Ok(Some(Self { totals, selected, incomplete: false }))
    }

    /// The figures of a group.
    pub fn group(&self, group: u32, quantiles: &[Quantile], feed: &Feed<'_>) -> LatencyGroup {
        let (path, totals) = (feed.grouper.path(group), &self.totals[group as usize]);
        let some = totals.sums.duration_count > 0;
        let exemplar = |quantile: &Quantile| {
            let found = self.selected.get(&(group, quantile.rank(totals.sums.duration_count)))?;
            let (trace_id, span_id) = found.ids;
            Some(Exemplar { quantile: quantile.clone(), value_nano: found.value, trace_id, span_id })
        };
        LatencyGroup {
            stage: path.stage,
            group: path.texts,
            count: totals.sums.count,
            duration_count: totals.sums.duration_count,
            errors: totals.sums.errors,
            min_nano: some.then_some(totals.min),
            mean_nano: totals.mean(),
            max_nano: some.then_some(totals.max),
            quantiles: quantiles.iter().filter_map(exemplar).collect(),
            adjusted: None,
        }
    }

    /// What a group is sorted by, descending; `None` comes last.
    fn sort_key(&self, group: u32, sort: &LatencySort) -> Option<u64> {
        let totals = &self.totals[group as usize];
        match sort {
            LatencySort::Count => Some(totals.sums.count),
            LatencySort::Errors => Some(totals.sums.errors),
            LatencySort::Max => (totals.sums.duration_count > 0).then_some(totals.max),
            LatencySort::Quantile(quantile) => {
                self.selected.get(&(group, quantile.rank(totals.sums.duration_count))).map(|found| found.value)
            }
        }
    }
}
