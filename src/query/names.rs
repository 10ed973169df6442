//! Which services, operations and remote services there are, and how many distinct spans each has.
//!
//! All three are told by a span's class, so no row of a clean trace is read but where a window cuts a page.

use std::collections::BTreeMap;

use crate::catalog::Snapshot;
use crate::column::{NONE, RowSource};
use crate::error::Result;
use crate::limits::Limits;
use crate::model::{SpanKind, StatusCode};
use crate::part::ReadCounter;

use super::list::{ListFilter, Listed};
use super::tally::Tally;

/// A service and its spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCount {
    /// The service; `None` for the spans that name none.
    pub service: Option<String>,
    /// Distinct spans.
    pub span_count: u64,
    /// Those of them that failed.
    pub error_count: u64,
}

/// An operation of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationCount {
    /// The service; `None` for the spans that name none.
    pub service: Option<String>,
    /// The span name; `None` if it is empty.
    pub name: Option<String>,
    /// The kind; one with an unknown number counts as unspecified, as its word does.
    pub kind: SpanKind,
    /// Distinct spans.
    pub span_count: u64,
}

/// The other side of calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteServiceCount {
    /// The remote service.
    pub remote_service: String,
    /// Distinct spans that name it.
    pub span_count: u64,
}

/// The services by name, spans without one first.
///
/// # Errors
/// Corrupt if a page or section it needs is damaged; so do all functions here.
pub fn services(
    snapshot: &Snapshot,
    filter: &ListFilter,
    limits: &Limits,
    counter: &ReadCounter,
) -> Result<Listed<ServiceCount>> {
    let tally = Tally::new(snapshot, filter.selection(), limits, counter)?;
    let key = |service: Option<&str>, is_error: bool| {
        filter.begins(service.unwrap_or_default()).then(|| (own(service), is_error))
    };
    let counts = tally.count_by(
        |(service, _)| len(service),
        |source, class| key(text(source, class.service), class.status == StatusCode::ERROR),
        |span| key(span.service(), span.is_error()),
    )?;
    let mut out: BTreeMap<Option<String>, (u64, u64)> = BTreeMap::new();
    for ((service, is_error), count) in counts {
        let (spans, errors) = out.entry(service).or_default();
        *spans += count;
        *errors += if is_error { count } else { 0 };
    }
    let counts = out.into_iter();
    let counts = counts.map(|(service, (span_count, error_count))| ServiceCount { service, span_count, error_count });
    Ok(Listed::new(counts.collect(), filter, tally.into_reason()))
}

/// The operations by service, name and kind; those without come first. The prefix is that of the name.
///
/// # Errors
/// As [`services`].
pub fn operations(
    snapshot: &Snapshot,
    filter: &ListFilter,
    limits: &Limits,
    counter: &ReadCounter,
) -> Result<Listed<OperationCount>> {
    let tally = Tally::new(snapshot, filter.selection(), limits, counter)?;
    let key = |of: Option<&str>, name: &str, kind: SpanKind| {
        filter.begins(name).then(|| (own(of), own((!name.is_empty()).then_some(name)), known(kind)))
    };
    let counts = tally.count_by(
        |(service, name, _)| len(service) + len(name),
        |source, class| key(text(source, class.service), text(source, class.name).unwrap_or_default(), class.kind),
        |span| key(span.service(), &span.name, span.kind),
    )?;
    let counts = counts.into_iter();
    let counts = counts.map(|((service, name, kind), span_count)| OperationCount { service, name, kind, span_count });
    Ok(Listed::new(counts.collect(), filter, tally.into_reason()))
}

/// The remote services that the spans name, by name.
///
/// # Errors
/// As [`services`].
pub fn remote_services(
    snapshot: &Snapshot,
    filter: &ListFilter,
    limits: &Limits,
    counter: &ReadCounter,
) -> Result<Listed<RemoteServiceCount>> {
    let tally = Tally::new(snapshot, filter.selection(), limits, counter)?;
    let key = |remote: Option<&str>| own(remote.filter(|remote| filter.begins(remote)));
    let counts = tally.count_by(
        String::len,
        |source, class| key(text(source, class.remote)),
        |span| key(span.remote_service()),
    )?;
    let counts = counts.into_iter();
    let counts = counts.map(|(remote_service, span_count)| RemoteServiceCount { remote_service, span_count });
    Ok(Listed::new(counts.collect(), filter, tally.into_reason()))
}

fn text(source: &dyn RowSource, code: u32) -> Option<&str> {
    (code != NONE).then(|| source.text(code))
}

fn own(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

fn len(text: &Option<String>) -> usize {
    text.as_ref().map_or(0, String::len)
}

/// The kind that this one's word names.
fn known(kind: SpanKind) -> SpanKind {
    SpanKind::from_word(kind.as_str()).unwrap_or_default()
}
