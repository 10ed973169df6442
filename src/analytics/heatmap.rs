//! Heat maps: how many spans started in each step of time with a duration in each bucket.

use crate::catalog::Snapshot;
use crate::error::Result;
use crate::index::rollup::Histogram;
use crate::limits::Limits;
use crate::model::UnixNanos;
use crate::query::{Asked, Explain, Query};

use super::feed::{Feed, Unit, too_many_groups};
use super::grouper::Grouper;
use super::latency::Figures;
use super::series::checked_step;

/// The spans of one step of time and one bucket of durations. Both are half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeatCell {
    /// Begin of the step.
    pub start_unix_nano: UnixNanos,
    /// End of the step; `u64::MAX` if it is later.
    pub end_unix_nano: UnixNanos,
    /// Shortest duration of the bucket in nanoseconds.
    pub min_nano: u64,
    /// First duration above the bucket; of the highest bucket `u64::MAX`, which it holds.
    pub max_nano: u64,
    /// Spans, at least one.
    pub count: u64,
}

/// The cells by time, then by duration.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct HeatMap {
    /// Cells that have a span.
    pub cells: Vec<HeatCell>,
    /// False if something could not be read or a limit cut the answer.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// What was read and what was skipped.
    pub explain: Explain,
}

/// Counts the matching spans that have a duration by step of time and bucket.
///
/// # Errors
/// Invalid if the step is 0 or the filter has too many criteria. Damage and limits are no errors: they make the
/// answer incomplete.
pub fn heat_map(snapshot: &Snapshot, filter: &Query, step_nano: u64, limits: &Limits) -> Result<HeatMap> {
    let step = checked_step(step_nano)?;
    let asked = Asked::new(filter, limits)?;
    let mut feed = Feed::new(&asked, snapshot, Unit::Span, Grouper::new(&[], Some(step), false, limits), limits)?;
    let cell = |start: u64, bucket: usize, count: u64| {
        let (first, last) = Histogram::bounds(bucket).into_inner();
        HeatCell {
            start_unix_nano: start,
            end_unix_nano: start.saturating_add(step),
            min_nano: first,
            max_nano: last.saturating_add(1),
            count,
        }
    };
    let mut cells: Vec<HeatCell> = Vec::new();
    let mut full = None;
    if let Some(counts) = feed.heat_counts(step, limits)? {
        cells.extend(counts.cells().map(|(start, bucket, count)| cell(start, bucket, count)));
        full = counts.is_full().then(|| too_many_groups(limits));
    } else {
        let figures = Figures::gather(&mut feed, &[], limits)?;
        for (group, totals) in (0u32..).zip(&figures.totals) {
            let start = feed.grouper.path(group).instant.unwrap_or(0);
            cells.extend(totals.sums.durations.cells().map(|(bucket, count)| cell(start, bucket, count)));
        }
        cells.sort_unstable();
    }
    let (explain, reason) = feed.finish(limits);
    let reasons: Vec<String> = reason.into_iter().chain(full).collect();
    let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
    Ok(HeatMap { cells, complete: reason.is_none(), reason, explain })
}
