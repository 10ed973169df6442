//! Which services, operations and remote services there are, and how many distinct spans each has.
//!
//! All three are told by a span's class, so no row of a clean trace is read.

use std::collections::BTreeMap;

use crate::catalog::Snapshot;
use crate::column::{NONE, RowSource};
use crate::error::Result;
use crate::model::{SpanKind, StatusCode};

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
pub fn services(snapshot: &Snapshot) -> Result<Vec<ServiceCount>> {
    let counts = Tally::new(snapshot)?.count_by(
        |source, class| Some((own(text(source, class.service)), class.status == StatusCode::ERROR)),
        |span| Some((own(span.service()), span.is_error())),
    )?;
    let mut out: BTreeMap<Option<String>, (u64, u64)> = BTreeMap::new();
    for ((service, is_error), count) in counts {
        let (spans, errors) = out.entry(service).or_default();
        *spans += count;
        *errors += if is_error { count } else { 0 };
    }
    let counts = out.into_iter();
    Ok(counts.map(|(service, (span_count, error_count))| ServiceCount { service, span_count, error_count }).collect())
}

/// The operations of one service or of all, by service, name and kind; those without come first.
///
/// # Errors
/// As [`services`].
pub fn operations(snapshot: &Snapshot, service: Option<&str>) -> Result<Vec<OperationCount>> {
    let key = |of: Option<&str>, name: &str, kind: SpanKind| {
        let wanted = service.is_none() || of == service;
        wanted.then(|| (own(of), own((!name.is_empty()).then_some(name)), known(kind)))
    };
    let counts = Tally::new(snapshot)?.count_by(
        |source, class| key(text(source, class.service), text(source, class.name).unwrap_or_default(), class.kind),
        |span| key(span.service(), &span.name, span.kind),
    )?;
    let counts = counts.into_iter();
    Ok(counts.map(|((service, name, kind), span_count)| OperationCount { service, name, kind, span_count }).collect())
}

/// The remote services that spans of one service or of all name, by name.
///
/// # Errors
/// As [`services`].
pub fn remote_services(snapshot: &Snapshot, service: Option<&str>) -> Result<Vec<RemoteServiceCount>> {
    let key = |of: Option<&str>, remote: Option<&str>| {
        let wanted = service.is_none() || of == service;
        if wanted { own(remote) } else { None }
    };
    let counts = Tally::new(snapshot)?.count_by(
        |source, class| key(text(source, class.service), text(source, class.remote)),
        |span| key(span.service(), span.remote_service()),
    )?;
    let counts = counts.into_iter();
    Ok(counts.map(|(remote_service, span_count)| RemoteServiceCount { remote_service, span_count }).collect())
}

fn text(source: &dyn RowSource, code: u32) -> Option<&str> {
    (code != NONE).then(|| source.text(code))
}

fn own(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

/// The kind that this one's word names.
fn known(kind: SpanKind) -> SpanKind {
    SpanKind::from_word(kind.as_str()).unwrap_or_default()
}
