//! How long spans stay: the settings.
//!
//! ```text
//! Retention::new().max_age(30 d).max_bytes(10 GiB).keep(Query::new().error(), 90 d)
//! ```
//! keeps everything for thirty days, traces with an error for ninety, and never more than ten gibibytes.

use std::time::Duration;

use crate::query::Query;

/// What goes when. The default keeps everything for ever.
///
/// Ages count from when spans were *received*, by the store's own clock (docs/DURABILITY.md), and what goes
/// are whole segments: a span may stay until the last of its segment is due.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Retention {
    /// Age at which spans go; `None` for never.
    pub max_age: Option<Duration>,
    /// Bytes that all files of the store together may take; `None` for no limit. It is met whenever retention
    /// is applied; in between the log grows by up to what the memory budget holds. Files that belong to no
    /// segment (manifests, the begun log) cannot go: below some kilobytes nothing but they are left.
    pub max_bytes: Option<u64>,
    /// What stays longer than the rest.
    pub keep: Vec<KeepRule>,
}

/// Traces that stay longer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KeepRule {
    /// Which traces, whole: those that [`crate::Store::find`] would find now, over all their parts. Order,
    /// limit, page and leniency of the query count for nothing.
    pub query: Query,
    /// Age at which they go. Where it is shorter than [`Retention::max_age`] the rule keeps nothing by age.
    pub max_age: Duration,
}

impl Retention {
    /// Everything stays for ever.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets spans go at this age.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Lets the oldest spans go when all files together take more bytes than these.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Keeps the traces that match until this age. Against the bytes they stay longer than traces that no
    /// rule keeps, not for ever.
    #[must_use]
    pub fn keep(mut self, query: Query, max_age: Duration) -> Self {
        self.keep.push(KeepRule { query, max_age });
        self
    }

    /// True if everything stays for ever.
    pub fn is_unlimited(&self) -> bool {
        self.max_age.is_none() && self.max_bytes.is_none()
    }
}

impl KeepRule {
    /// True if what was received at `received` is not yet too old for this rule at `now`.
    pub(super) fn is_over(&self, received: u64, now: u64) -> bool {
        u128::from(now.saturating_sub(received)) >= self.max_age.as_nanos()
    }
}
