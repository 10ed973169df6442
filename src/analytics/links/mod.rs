//! The live service graph: who calls whom, how often, how many fail, how long it takes.
//!
//! ```text
//! clean traces, segment by segment      rows --Linker--> links
//! loose traces, united over all parts   rows --Linker--> links      samples --> counts, errors, exact quantiles
//! links that spans carry                rows --look up-> links
//! ```
//! Traces are joined by the lower 64 bits of their ids: those that share them are loose.

mod carriers;
mod edges;
mod feed;
mod loose;
mod pointers;
mod readers;
mod rolled;
mod row_scan;

use crate::catalog::Snapshot;
use crate::error::Result;
use crate::limits::Limits;
use crate::model::TimeRange;
use crate::query::Explain;

pub use crate::index::links::LinkKind;

use super::latency::Exemplar;
use super::measure::Measured;
use super::quantile::Quantile;
use super::select::{Wanted, select_rolled};
use feed::LinkFeed;

/// A question for the service graph. The default asks for all links, with the median and three tails.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinksQuery {
    /// When the spans that yield the links start.
    pub window: TimeRange,
    /// The quantiles of each link, in this order.
    pub quantiles: Vec<Quantile>,
}

impl Default for LinksQuery {
    fn default() -> Self {
        let quantiles = ["0.5", "0.9", "0.99", "0.999"].iter().filter_map(|text| Quantile::parse(text).ok()).collect();
        Self { window: TimeRange::ALL, quantiles }
    }
}

impl LinksQuery {
    /// All links.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for links of spans that start in this window. Spans without a start are in none but that of all time.
    #[must_use]
    pub fn window(mut self, window: TimeRange) -> Self {
        self.window = window;
        self
    }

    /// Asks for these quantiles.
    #[must_use]
    pub fn quantiles(mut self, quantiles: Vec<Quantile>) -> Self {
        self.quantiles = quantiles;
        self
    }
}

/// A link between two services.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ServiceLink {
    /// The service or broker that the call comes from.
    pub parent: String,
    /// The service, broker, database or third party that it goes to.
    pub child: String,
    /// How they are linked.
    pub kind: LinkKind,
    /// Calls.
    pub call_count: u64,
    /// Those that failed.
    pub error_count: u64,
    /// Those that have a duration: of calls that only spans further down tell of nobody knows one.
    pub duration_count: u64,
    /// The quantiles asked for, in that order; empty if there is no duration.
    pub quantiles: Vec<Exemplar>,
}

/// The links, by parent, child and kind.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LinksReport {
    /// Every link that was yielded.
    pub links: Vec<ServiceLink>,
    /// False if something could not be read or a limit cut the answer.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// What was read and what was skipped.
    pub explain: Explain,
}

/// Finds the links of all traces and measures them.
///
/// # Errors
/// Whatever is not damage. Damage and limits make the answer incomplete.
pub fn links(snapshot: &Snapshot, query: &LinksQuery, limits: &Limits) -> Result<LinksReport> {
    let mut feed = LinkFeed::new(snapshot, query.window, limits)?;
    let Measured { totals, selected, incomplete } = match rolled(&mut feed, &query.quantiles, limits)? {
        Some(measured) => measured,
        None => Measured::of(&mut feed, &query.quantiles, limits)?,
    };
    let mut links: Vec<ServiceLink> = Vec::new();
    for (number, totals) in (0u32..).zip(&totals).filter(|(_, totals)| totals.sums.count > 0) {
        let (edge, sums) = (feed.edge(number), &totals.sums);
        let exemplar = |quantile: &Quantile| {
            let found = selected.get(&(number, quantile.rank(sums.duration_count)))?;
            let (trace_id, span_id) = found.ids;
            Some(Exemplar { quantile: quantile.clone(), value_nano: found.value, trace_id, span_id })
        };
        links.push(ServiceLink {
            parent: edge.0.to_owned(),
            child: edge.1.to_owned(),
            kind: edge.2,
            call_count: sums.count,
            error_count: sums.errors,
            duration_count: sums.duration_count,
            quantiles: query.quantiles.iter().filter_map(exemplar).collect(),
        });
    }
    links.sort_by(|a, b| (&a.parent, &a.child, a.kind).cmp(&(&b.parent, &b.child, b.kind)));
    let (explain, reason) = feed.finish(incomplete);
    Ok(LinksReport { links, complete: reason.is_none(), reason, explain })
}

/// The same from rollups; `None` where these do not tell, or not all that they count could be found.
fn rolled(feed: &mut LinkFeed<'_>, quantiles: &[Quantile], limits: &Limits) -> Result<Option<Measured>> {
    let Some(totals) = feed.rolled_totals(!quantiles.is_empty())? else { return Ok(None) };
    let mut wanted: Vec<Wanted> = Vec::new();
    for (number, totals) in (0u32..).zip(&totals).filter(|(_, totals)| totals.sums.duration_count > 0) {
        wanted.extend(quantiles.iter().map(|quantile| (number, quantile.rank(totals.sums.duration_count))));
    }
    let Some(selected) = select_rolled(&wanted, &totals, feed, limits)? else { return Ok(None) };
    let is_whole = wanted.iter().all(|wanted| selected.contains_key(wanted));
    Ok(is_whole.then_some(Measured { totals, selected, incomplete: false }))
}
