//! Series: rate, errors and durations of each step of time, exact.

use crate::catalog::Snapshot;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::model::UnixNanos;
use crate::query::{Asked, Explain, Query};

use super::adjusted::{AdjustedQuestion, Adjustments};
use super::feed::{Feed, Unit};
use super::group_key::GroupKey;
use super::grouper::Grouper;
use super::latency::{Figures, LatencyGroup};
use super::quantile::Quantile;

const NANOS_OF_SECOND: f64 = 1e9;

/// A question for a series.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SeriesQuery {
    /// Which spans match. Order, limit, page and leniency count for nothing.
    pub filter: Query,
    /// Length of a step in nanoseconds. Steps begin at multiples of it since the epoch.
    pub step_nano: u64,
    /// The quantiles of each point, in this order.
    pub quantiles: Vec<Quantile>,
    /// What groups are made of.
    pub by: Vec<GroupKey>,
    /// True if counts and rates are also to be adjusted for sampling.
    pub adjusted: bool,
}

impl SeriesQuery {
    /// A series of the spans that match, in steps of so many nanoseconds, without quantiles and groups.
    pub fn new(filter: Query, step_nano: u64) -> Self {
        Self { filter, step_nano, quantiles: Vec::new(), by: Vec::new(), adjusted: false }
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

    /// Asks, if true, for counts and rates adjusted for sampling.
    #[must_use]
    pub fn adjusted(mut self, adjusted: bool) -> Self {
        self.adjusted = adjusted;
        self
    }
}

/// The figures of one group in one step.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SeriesPoint {
    /// Begin of the step; spans that start in it are counted.
    pub start_unix_nano: UnixNanos,
    /// Spans per second: their count divided by the length of the step.
    pub rate_per_second: f64,
    /// The same before sampling, if that was asked for: the adjusted count divided by the length of the step.
    pub adjusted_rate_per_second: Option<f64>,
    /// The figures of the spans.
    pub figures: LatencyGroup,
}

/// The points by time, then by count, descending, then by group.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Series {
    /// Points that have a span.
    pub points: Vec<SeriesPoint>,
    /// False if something could not be read or a limit cut the answer.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// What was read and what was skipped.
    pub explain: Explain,
}

/// Counts the matching spans of every group in every step of time.
///
/// # Errors
/// Invalid if the step is 0 or the filter has too many criteria. Damage and limits are no errors: they make the
/// answer incomplete.
pub fn series(snapshot: &Snapshot, query: &SeriesQuery, limits: &Limits) -> Result<Series> {
    let step = checked_step(query.step_nano)?;
    let asked = Asked::new(&query.filter, limits)?;
    let grouper = Grouper::new(&query.by, Some(step), false, limits);
    let mut feed = Feed::new(&asked, snapshot, Unit::Span, grouper, limits)?;
    let figures = Figures::of(&mut feed, &query.quantiles, limits)?;
    let point = |group: u32| {
        let figures = figures.group(group, &query.quantiles, &feed);
        let start_unix_nano = feed.grouper.instant(group).unwrap_or(0);
        let rate_per_second = figures.count as f64 / (step as f64 / NANOS_OF_SECOND);
        SeriesPoint { start_unix_nano, rate_per_second, adjusted_rate_per_second: None, figures }
    };
    let groups = 0..feed.grouper.len() as u32;
    let mut points: Vec<SeriesPoint> = groups.map(point).filter(|point| point.figures.count > 0).collect();
    // Points are large: their places are sorted, and then they change them.
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_unstable_by(|a, b| {
        let place = |at: usize| (points[at].start_unix_nano, std::cmp::Reverse(points[at].figures.count));
        place(*a).cmp(&place(*b)).then_with(|| points[*a].figures.group.cmp(&points[*b].figures.group))
    });
    put_in_order(&mut points, order);
    let incomplete = figures.incomplete;
    let (mut explain, reason) = feed.finish(limits);
    let mut reason = reason.or_else(|| incomplete.then(|| "some values could not be read".to_owned()));
    if query.adjusted {
        let question = AdjustedQuestion { filter: &query.filter, unit: &Unit::Span, by: &query.by, step: Some(step) };
        let adjustments = Adjustments::gather(snapshot, &question, limits)?;
        for point in &mut points {
            point.figures.adjust(&adjustments, Some(point.start_unix_nano));
            let adjusted = point.figures.adjusted;
            point.adjusted_rate_per_second = adjusted.map(|counts| counts.count / (step as f64 / NANOS_OF_SECOND));
        }
        adjustments.finish(&mut explain, &mut reason);
    }
    Ok(Series { points, complete: reason.is_none(), reason, explain })
}

/// Puts at every place what stood at the one that `order` names: a cycle of places after the other, each met once.
fn put_in_order<T>(items: &mut [T], mut order: Vec<usize>) {
    for start in 0..items.len() {
        let mut at = start;
        while order[at] != start {
            let from = order[at];
            items.swap(at, from);
            order[at] = at;
            at = from;
        }
        order[at] = at;
    }
}

/// The step, if it is one.
pub fn checked_step(step_nano: u64) -> Result<u64> {
    if step_nano == 0 { Err(Error::invalid("a step of time is longer than 0")) } else { Ok(step_nano) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::put_in_order;

    proptest! {
        #[test]
        fn things_stand_in_the_order_asked_for(order in (0..40usize).prop_flat_map(|len| Just((0..len).collect::<Vec<_>>()).prop_shuffle())) {
            let mut items: Vec<String> = (0..order.len()).map(|at| at.to_string()).collect();
            let expected: Vec<String> = order.iter().map(|at| items[*at].clone()).collect();
            put_in_order(&mut items, order);
            prop_assert_eq!(items, expected);
        }
    }
}
