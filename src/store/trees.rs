//! What needs the trees of traces: critical paths, fan-out, root causes; and how many spans were under way at once.

use crate::analytics::{
    Concurrency, CriticalPathReport, FanoutReport, RootCauseReport, TracePath, concurrency, critical_path,
    critical_path_of_trace, fanout, root_causes,
};
use crate::error::Result;
use crate::model::TraceId;
use crate::query::Query;

use super::{Snapshot, Store};

impl Store {
    /// Sums up by service and operation what every trace that has a matching span waited for.
    ///
    /// # Errors
    /// Invalid if the filter has too many criteria. Damage and limits make the answer incomplete.
    pub fn critical_path(&self, filter: &Query) -> Result<CriticalPathReport> {
        self.snapshot().critical_path(filter)
    }

    /// The critical path of one trace; `None` if there is no such trace.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; TooLarge if it outgrows [`crate::Limits::trace_bytes_max`].
    pub fn trace_critical_path(&self, id: TraceId) -> Result<Option<TracePath>> {
        self.snapshot().trace_critical_path(id)
    }

    /// Groups of at least `min` children of one matching span that have the same service and name, as many as the limit
    /// says; 0 for all.
    ///
    /// # Errors
    /// As [`Store::critical_path`].
    pub fn fanout(&self, filter: &Query, min: u64, limit: usize) -> Result<FanoutReport> {
        self.snapshot().fanout(filter, min, limit)
    }

    /// Spans that match and failed while no span below them did, as many as the limit says; 0 for all.
    ///
    /// # Errors
    /// As [`Store::critical_path`].
    pub fn root_causes(&self, filter: &Query, limit: usize) -> Result<RootCauseReport> {
        self.snapshot().root_causes(filter, limit)
    }

    /// How many matching spans were under way at once, by steps of so many nanoseconds.
    ///
    /// # Errors
    /// Invalid if the step is 0; else as [`Store::critical_path`].
    pub fn concurrency(&self, filter: &Query, step_nano: u64) -> Result<Concurrency> {
        self.snapshot().concurrency(filter, step_nano)
    }
}

impl Snapshot {
    /// See [`Store::critical_path`].
    ///
    /// # Errors
    /// As [`Store::critical_path`].
    pub fn critical_path(&self, filter: &Query) -> Result<CriticalPathReport> {
        critical_path(&self.parts, filter, &self.limits)
    }

    /// See [`Store::trace_critical_path`].
    ///
    /// # Errors
    /// As [`Store::trace_critical_path`].
    pub fn trace_critical_path(&self, id: TraceId) -> Result<Option<TracePath>> {
        critical_path_of_trace(&self.parts, id, &self.limits)
    }

    /// See [`Store::fanout`].
    ///
    /// # Errors
    /// As [`Store::fanout`].
    pub fn fanout(&self, filter: &Query, min: u64, limit: usize) -> Result<FanoutReport> {
        fanout(&self.parts, filter, min, limit, &self.limits)
    }

    /// See [`Store::root_causes`].
    ///
    /// # Errors
    /// As [`Store::root_causes`].
    pub fn root_causes(&self, filter: &Query, limit: usize) -> Result<RootCauseReport> {
        root_causes(&self.parts, filter, limit, &self.limits)
    }

    /// See [`Store::concurrency`].
    ///
    /// # Errors
    /// As [`Store::concurrency`].
    pub fn concurrency(&self, filter: &Query, step_nano: u64) -> Result<Concurrency> {
        concurrency(&self.parts, filter, step_nano, &self.limits)
    }
}
