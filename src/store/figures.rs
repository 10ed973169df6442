//! The figures of a store: percentiles, series and heat maps. Wires, as its parent does.

use crate::analytics::{
    Comparison, HeatMap, LatencyQuery, LatencyReport, LinksQuery, LinksReport, PairsQuery, PairsReport, Quantile,
    Series, SeriesQuery, SlowestReport, WaitQuery, WaitReport, compare, heat_map, latency, links, pairs, series,
    slowest_spans, slowest_traces, wait,
};
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

    /// Counts the calls between services, by Zipkin's rules, and finds their exact percentiles.
    ///
    /// # Errors
    /// Only what is no damage. Damage and limits make the answer incomplete.
    pub fn links(&self, query: &LinksQuery) -> Result<LinksReport> {
        self.snapshot().links(query)
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

    /// The slowest spans that match and have a duration, as many as the limit says; 0 for all.
    ///
    /// # Errors
    /// Invalid if the filter has too many criteria. Damage and limits make the answer incomplete.
    pub fn slowest_spans(&self, filter: &Query, limit: usize) -> Result<SlowestReport> {
        self.snapshot().slowest_spans(filter, limit)
    }

    /// The slowest traces that have a matching span, as many as the limit says; 0 for all.
    ///
    /// # Errors
    /// As [`Store::slowest_spans`].
    pub fn slowest_traces(&self, filter: &Query, limit: usize) -> Result<SlowestReport> {
        self.snapshot().slowest_traces(filter, limit)
    }

    /// Says which attribute values the spans of a selection have more often than those of a baseline, and how
    /// quantiles differ.
    ///
    /// # Errors
    /// As [`Store::slowest_spans`].
    pub fn compare(&self, selection: &Query, baseline: &Query, quantiles: &[Quantile]) -> Result<Comparison> {
        self.snapshot().compare(selection, baseline, quantiles)
    }

    /// Finds the values of an attribute whose spans of two kinds miss each other, repeat, or stand so in time, across
    /// all traces.
    ///
    /// # Errors
    /// Invalid if the key is empty or an expression is too long. Damage and limits make the answer incomplete.
    pub fn pairs(&self, query: &PairsQuery) -> Result<PairsReport> {
        self.snapshot().pairs(query)
    }

    /// Finds how long messages waited between the end of their producer and the start of their consumer, by group,
    /// with exact percentiles, each with a consumer that waited exactly that long.
    ///
    /// # Errors
    /// As [`Store::latency`].
    pub fn wait(&self, query: &WaitQuery) -> Result<WaitReport> {
        self.snapshot().wait(query)
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

    /// See [`Store::links`].
    ///
    /// # Errors
    /// As [`Store::links`].
    pub fn links(&self, query: &LinksQuery) -> Result<LinksReport> {
        links(&self.parts, query, &self.limits)
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

    /// See [`Store::slowest_spans`].
    ///
    /// # Errors
    /// As [`Store::slowest_spans`].
    pub fn slowest_spans(&self, filter: &Query, limit: usize) -> Result<SlowestReport> {
        slowest_spans(&self.parts, filter, limit, &self.limits)
    }

    /// See [`Store::slowest_traces`].
    ///
    /// # Errors
    /// As [`Store::slowest_spans`].
    pub fn slowest_traces(&self, filter: &Query, limit: usize) -> Result<SlowestReport> {
        slowest_traces(&self.parts, filter, limit, &self.limits)
    }

    /// See [`Store::compare`].
    ///
    /// # Errors
    /// As [`Store::slowest_spans`].
    pub fn compare(&self, selection: &Query, baseline: &Query, quantiles: &[Quantile]) -> Result<Comparison> {
        compare(&self.parts, selection, baseline, quantiles, &self.limits)
    }

    /// See [`Store::pairs`].
    ///
    /// # Errors
    /// As [`Store::pairs`].
    pub fn pairs(&self, query: &PairsQuery) -> Result<PairsReport> {
        pairs(&self.parts, query, &self.limits)
    }

    /// See [`Store::wait`].
    ///
    /// # Errors
    /// As [`Store::wait`].
    pub fn wait(&self, query: &WaitQuery) -> Result<WaitReport> {
        wait(&self.parts, query, &self.limits)
    }
}
