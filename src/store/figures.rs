//! The figures of a store: percentiles, series and heat maps. Wires, as its parent does.

use crate::analytics::{HeatMap, LatencyQuery, LatencyReport, Series, SeriesQuery, heat_map, latency, series};
use crate::error::Result;
use crate::query::Query;

use super::{Snapshot, Store};

impl Store {
    /// Counts spans, traces or stages by group and finds their exact percentiles, each with a span or trace of
    /// exactly that duration.
    ///
    /// # Errors
    /// Invalid if the filter has too many criteria. Damage and limits make the answer incomplete.
    pub fn latency(&self, query: &LatencyQuery) -> Result<LatencyReport> {
        self.snapshot().latency(query)
    }

    /// Counts spans by step of time and group: rate, errors and exact percentiles.
    ///
    /// # Errors
    /// Invalid if the step is 0 or the filter has too many criteria. Damage and limits make the answer incomplete.
    pub fn series(&self, query: &SeriesQuery) -> Result<Series> {
        self.snapshot().series(query)
    }

    /// Counts the spans that match by step of time, of so many nanoseconds, and bucket of durations.
    ///
    /// # Errors
    /// As [`Store::series`].
    pub fn heat_map(&self, filter: &Query, step_nano: u64) -> Result<HeatMap> {
        self.snapshot().heat_map(filter, step_nano)
    }
}

impl Snapshot {
    /// See [`Store::latency`].
    ///
    /// # Errors
    /// As [`Store::latency`].
    pub fn latency(&self, query: &LatencyQuery) -> Result<LatencyReport> {
        latency(&self.parts, query, &self.limits)
    }

    /// See [`Store::series`].
    ///
    /// # Errors
    /// As [`Store::series`].
    pub fn series(&self, query: &SeriesQuery) -> Result<Series> {
        series(&self.parts, query, &self.limits)
    }

    /// See [`Store::heat_map`].
    ///
    /// # Errors
    /// As [`Store::heat_map`].
    pub fn heat_map(&self, filter: &Query, step_nano: u64) -> Result<HeatMap> {
        heat_map(&self.parts, filter, step_nano, &self.limits)
    }
}
