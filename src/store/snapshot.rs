//! A pinned view of a store. Wires, as its parent does.

use std::sync::{Arc, Mutex, PoisonError};

use crate::catalog::{Snapshot as Parts, TraceIds};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::model::{Span, TraceId};
use crate::part::ReadCounter;
use crate::query::{
    AttributeKeyCount, AttributeValueCount, Explain, Found, ListFilter, Listed, OperationCount, Query,
    RemoteServiceCount, ServiceCount, attribute_keys, attribute_values, find, operations, remote_services, services,
};

/// A pinned view of a store.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) parts: Arc<Parts>,
    pub(super) limits: Limits,
    explain: Arc<Mutex<Explain>>,
}

impl Snapshot {
    pub(super) fn new(parts: Arc<Parts>, limits: Limits) -> Self {
        Self { parts, limits, explain: Arc::default() }
    }

    fn counted<T>(&self, read: impl FnOnce(&ReadCounter) -> Result<T>) -> Result<T> {
        let counter = ReadCounter::limited(self.limits.trace_bytes_max);
        let result = read(&counter);
        let mut explain = self.explain.lock().unwrap_or_else(PoisonError::into_inner);
        explain.pages_decoded += counter.pages();
        explain.bytes_read += counter.bytes();
        result
    }

    /// What was read through this snapshot by its lookups; a search brings its own.
    pub fn explain(&self) -> Explain {
        let mut explain = self.explain.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let head = u64::from(!self.parts.chapters.is_empty());
        explain.parts_considered = self.parts.segments.len() as u64 + head;
        explain.parts_read = explain.parts_considered;
        explain.blocks_considered = self.parts.segments.iter().map(|p| p.segment.blocks()).sum::<u64>() + head;
        explain.pages_considered = self.parts.segments.iter().map(|p| u64::from(p.segment.row_pages())).sum();
        explain.bytes_considered = self.parts.segments.iter().map(|p| p.segment.len_bytes()).sum();
        explain
    }

    /// See [`crate::Store::trace`].
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; TooLarge if it is larger than [`Limits::trace_bytes_max`].
    pub fn trace(&self, id: TraceId) -> Result<Vec<Span>> {
        self.counted(|counter| self.parts.trace(id, TraceIds::Strict, counter))
    }

    /// The spans of every trace whose id shares the low 64 bits with this one, as one trace.
    ///
    /// # Errors
    /// As [`Snapshot::trace`].
    pub fn trace_lenient(&self, id: TraceId) -> Result<Vec<Span>> {
        self.counted(|counter| self.parts.trace(id, TraceIds::Lenient, counter))
    }

    /// See [`crate::Store::traces`].
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; TooLarge if a trace is larger than [`Limits::trace_bytes_max`], or
    /// all together are larger than [`Limits::result_bytes_max`].
    pub fn traces(&self, ids: &[TraceId]) -> Result<Vec<Vec<Span>>> {
        let mut seen = rustc_hash::FxHashSet::default();
        let (mut found, mut held_bytes, max) = (Vec::new(), 0, self.limits.result_bytes_max);
        for id in ids.iter().filter(|id| seen.insert(**id)) {
            let spans = self.trace(*id)?;
            held_bytes += spans.iter().map(Span::held_bytes).sum::<usize>();
            if held_bytes > max {
                let text = format!("the traces take more than {max} bytes; ask for fewer (Limits::result_bytes_max)");
                return Err(Error::new(ErrorKind::TooLarge, text));
            }
            if !spans.is_empty() {
                found.push(spans);
            }
        }
        Ok(found)
    }

    /// The same view with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// See [`crate::Store::find`].
    ///
    /// # Errors
    /// Invalid if the query's page token belongs to another query.
    pub fn find(&self, query: &Query) -> Result<Found> {
        find(&self.parts, query, &self.limits)
    }

    /// See [`crate::Store::services`].
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged, TooLarge if the list or a trace it needs is; so do the other lists.
    pub fn services(&self) -> Result<Vec<ServiceCount>> {
        self.services_where(&ListFilter::new())?.into_complete()
    }

    /// The services that the filter wants, by name. The prefix is that of the name.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged. What is too large is cut, and the list says so.
    pub fn services_where(&self, filter: &ListFilter) -> Result<Listed<ServiceCount>> {
        self.counted(|counter| services(&self.parts, filter, &self.limits, counter))
    }

    /// See [`crate::Store::operations`].
    ///
    /// # Errors
    /// As [`Snapshot::services`].
    pub fn operations(&self, service: Option<&str>) -> Result<Vec<OperationCount>> {
        self.operations_where(&of(service))?.into_complete()
    }

    /// The operations that the filter wants, by service, name and kind. The prefix is that of the name.
    ///
    /// # Errors
    /// As [`Snapshot::services_where`].
    pub fn operations_where(&self, filter: &ListFilter) -> Result<Listed<OperationCount>> {
        self.counted(|counter| operations(&self.parts, filter, &self.limits, counter))
    }

    /// See [`crate::Store::remote_services`].
    ///
    /// # Errors
    /// As [`Snapshot::services`].
    pub fn remote_services(&self, service: Option<&str>) -> Result<Vec<RemoteServiceCount>> {
        self.remote_services_where(&of(service))?.into_complete()
    }

    /// The remote services that the filter wants, by name. The prefix is that of the name.
    ///
    /// # Errors
    /// As [`Snapshot::services_where`].
    pub fn remote_services_where(&self, filter: &ListFilter) -> Result<Listed<RemoteServiceCount>> {
        self.counted(|counter| remote_services(&self.parts, filter, &self.limits, counter))
    }

    /// See [`crate::Store::attribute_keys`].
    ///
    /// # Errors
    /// As [`Snapshot::services`].
    pub fn attribute_keys(&self) -> Result<Vec<AttributeKeyCount>> {
        let (filter, limits) = (ListFilter::new(), self.unread_limits());
        self.counted(|counter| attribute_keys(&self.parts, &filter, &limits, counter))?.into_complete()
    }

    /// See [`crate::Store::attribute_keys_where`].
    ///
    /// # Errors
    /// As [`Snapshot::services_where`].
    pub fn attribute_keys_where(&self, filter: &ListFilter) -> Result<Listed<AttributeKeyCount>> {
        self.counted(|counter| attribute_keys(&self.parts, filter, &self.limits, counter))
    }

    /// See [`crate::Store::attribute_values`].
    ///
    /// # Errors
    /// As [`Snapshot::services`].
    pub fn attribute_values(&self, key: &str) -> Result<Vec<AttributeValueCount>> {
        let (filter, limits) = (ListFilter::new(), self.unread_limits());
        self.counted(|counter| attribute_values(&self.parts, key, &filter, &limits, counter))?.into_complete()
    }

    /// See [`crate::Store::attribute_values_where`].
    ///
    /// # Errors
    /// As [`Snapshot::services_where`].
    pub fn attribute_values_where(&self, key: &str, filter: &ListFilter) -> Result<Listed<AttributeValueCount>> {
        self.counted(|counter| attribute_values(&self.parts, key, filter, &self.limits, counter))
    }

    /// The limits of a list that must be complete: it may read whatever it needs.
    fn unread_limits(&self) -> Limits {
        Limits { list_read_bytes_max: usize::MAX, ..self.limits.clone() }
    }

    /// See [`crate::Store::spans`].
    pub fn spans(&self) -> impl Iterator<Item = Result<Vec<Span>>> + use<> {
        self.parts.every_trace(self.limits.trace_bytes_max)
    }
}

fn of(service: Option<&str>) -> ListFilter {
    service.map_or_else(ListFilter::new, |service| ListFilter::new().service(service))
}
