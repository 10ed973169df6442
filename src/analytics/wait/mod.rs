//! How long messages wait: from the end of the span that sent one to the start of the span that received it.
//!
//! ```text
//! trace 1   checkout |---------------------|
//!             publish |--|                            PRODUCER
//! trace 2                 |. . . . . .|---|           CONSUMER: its parent is the producer, or it links to it
//!                         waits
//! ```
//! One value for each consumer and each of its producers. Consumers are searched like any spans; of one in a clean
//! trace the rows above it are read, else the united spans of its trace (`sources.rs`). Values are kept and sorted
//! (`samples.rs`).

mod samples;
mod sources;

use std::fmt;
use std::str::FromStr;

use crate::catalog::Snapshot;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::model::SpanKind;
use crate::query::{Asked, Condition, Explain, Query, QueryScope, SpanField, SpanSet, TagOperator};

use super::group_key::GroupKey;
use super::latency::LatencyGroup;
use super::quantile::Quantile;

use samples::Samples;
use sources::Sources;

const DESTINATION: &str = "messaging.destination.name";
const CONSUMER_GROUP: [&str; 2] = ["messaging.consumer.group.name", "messaging.kafka.consumer.group"];

/// A property of consumers that waits are grouped by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WaitKey {
    /// What was received from: the consumer's `messaging.destination.name`.
    Destination,
    /// The consumer's `messaging.consumer.group.name`, else its `messaging.kafka.consumer.group`.
    Group,
    /// Any other property of the consumer.
    Of(GroupKey),
}

impl WaitKey {
    /// The keys whose first text is that of this one.
    fn keys(&self) -> Vec<GroupKey> {
        let attribute = |key: &str| GroupKey::Attribute(key.to_owned());
        match self {
            Self::Destination => vec![attribute(DESTINATION)],
            Self::Group => CONSUMER_GROUP.into_iter().map(attribute).collect(),
            Self::Of(key) => vec![key.clone()],
        }
    }
}

impl FromStr for WaitKey {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "destination" => Ok(Self::Destination),
            "group" => Ok(Self::Group),
            _ => word.parse().map(Self::Of).map_err(|_| {
                let words = "destination, group, service, name, remote-service, kind, status or attr:KEY";
                Error::invalid(format!("cannot group by {word:?}: it is one of {words}"))
            }),
        }
    }
}

/// As it is typed.
impl fmt::Display for WaitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destination => f.write_str("destination"),
            Self::Group => f.write_str("group"),
            Self::Of(key) => key.fmt(f),
        }
    }
}

/// A question for the waits of messages. The default asks for the median and three tails of all together.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WaitQuery {
    /// Which consumers are looked at; spans of another kind are none. Order, limit, page and leniency count for nothing.
    pub filter: Query,
    /// The quantiles of each group, in this order.
    pub quantiles: Vec<Quantile>,
    /// What groups are made of.
    pub by: Vec<WaitKey>,
}

impl WaitQuery {
    /// Waits of the consumers that match.
    pub fn new(filter: Query) -> Self {
        let quantiles = ["0.5", "0.9", "0.99", "0.999"].iter().filter_map(|text| Quantile::parse(text).ok()).collect();
        Self { filter, quantiles, by: Vec::new() }
    }

    /// Asks for these quantiles.
    #[must_use]
    pub fn quantiles(mut self, quantiles: Vec<Quantile>) -> Self {
        self.quantiles = quantiles;
        self
    }

    /// Asks for groups by these keys.
    #[must_use]
    pub fn by(mut self, by: Vec<WaitKey>) -> Self {
        self.by = by;
        self
    }
}

/// The waits of one group.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WaitGroup {
    /// Counts and quantiles; samples are pairs of consumer and producer, durations their waits, exemplars consumers.
    /// A producer without a start has a count and no wait. Errors are consumers that are.
    pub figures: LatencyGroup,
    /// Pairs whose consumer starts before the producer ends: their wait counts as 0.
    pub early: u64,
}

/// The groups, by count, descending, then by their texts, absent ones first.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WaitReport {
    /// Groups that have a pair.
    pub groups: Vec<WaitGroup>,
    /// False if something could not be read or a limit cut the answer.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// What was read and what was skipped.
    pub explain: Explain,
}

/// Finds how long the messages waited that the matching consumers received.
///
/// # Errors
/// Invalid if the filter has too many criteria. Damage and limits are no errors: they make the answer incomplete.
pub fn wait(snapshot: &Snapshot, query: &WaitQuery, limits: &Limits) -> Result<WaitReport> {
    let mut samples = Samples::new(&query.by, limits);
    let Some(filter) = consumers(&query.filter)? else {
        return Ok(WaitReport { complete: true, ..WaitReport::default() });
    };
    let asked = Asked::new(&filter, limits)?;
    let mut sources = Sources::new(&asked, snapshot, limits)?;
    sources.each_pair(&mut samples)?;
    let (explain, reason) = sources.finish();
    let reasons: Vec<String> = reason.into_iter().chain(samples.reason(limits)).collect();
    let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
    Ok(WaitReport { groups: samples.into_groups(&query.quantiles), complete: reason.is_none(), reason, explain })
}

/// The consumers among the spans of a filter; `None` if there are none of that kind. Under scope service and trace
/// each criterion is met by another span, so that kinds are looked at later.
fn consumers(filter: &Query) -> Result<Option<Query>> {
    let mut filter = filter.clone();
    if filter.scope != QueryScope::Span {
        return Ok(Some(filter));
    }
    if filter.kind.replace(SpanKind::CONSUMER).is_some_and(|kind| kind != SpanKind::CONSUMER) {
        return Ok(None);
    }
    // With a structural condition pages give rows of traces that lie in one part, and no others.
    if filter.structure.is_none() {
        let kind = Condition::compare(SpanField::Kind, TagOperator::Equal, SpanKind::CONSUMER)?;
        filter = filter.structure(SpanSet::of(kind));
    }
    Ok(Some(filter))
}
