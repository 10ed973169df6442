//! Finding traces for Zipkin's API.
//!
//! The store proposes candidates, newest first, and [`matches`] decides: Zipkin compares names in lower case and judges
//! the time of the whole trace, which the store's own search does not. A criterion is given to the store where it means
//! the same there; so the candidates are never too few, and seldom too many.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tailspan::{ErrorKind, ListFilter, Order, Query, QueryScope, Snapshot, Span};

use super::super::refusal::{Cause, Refusal};
use super::matching::matches;
use super::request::TraceRequest;

/// How long before the window a span may start that meets a criterion for a trace inside it, and how long after.
const BEFORE: Duration = Duration::from_secs(24 * 3600);
const AFTER: Duration = Duration::from_secs(3600);
/// Candidates asked for at once, at least.
const PAGE_MIN: usize = 50;

/// How to look.
#[derive(Clone, Copy)]
pub struct Manner {
    /// Ids that share their lower half are different traces.
    pub strict: bool,
    /// When to give up.
    pub deadline: Instant,
}

/// The newest traces that match, up to the limit.
pub fn search(snapshot: &Snapshot, request: &TraceRequest, manner: Manner) -> Result<Vec<Vec<Span>>, Refusal> {
    let Some(mut query) = candidates(snapshot, request)? else { return Ok(Vec::new()) };
    query.lenient = !manner.strict;
    let mut found = Vec::new();
    loop {
        let page = snapshot.find(&query)?;
        for candidate in &page.traces {
            // Its time is that of one of its spans, none of which is earlier than this.
            if candidate.start_unix_nano >= request.when.nanos().end {
                continue;
            }
            if Instant::now() > manner.deadline {
                return Err(too_long());
            }
            let spans = read(snapshot, candidate.trace_id, manner.strict)?;
            if matches(request, &spans) {
                found.push(spans);
                if found.len() >= request.limit {
                    return Ok(found);
                }
            }
        }
        match page.next_page_token {
            Some(token) => query = query.page_token(token),
            None => return Ok(found),
        }
    }
}

/// All spans of a trace.
pub fn read(snapshot: &Snapshot, id: tailspan::TraceId, strict: bool) -> tailspan::Result<Vec<Span>> {
    if strict { snapshot.trace(id) } else { snapshot.trace_lenient(id) }
}

/// What a query that takes too long is told.
pub fn too_long() -> Refusal {
    Refusal::new(Cause::Internal, "the query took too long; ask for less, or raise --query-time")
}

/// The store's own search whose traces hold all that match; none if a name is unknown.
fn candidates(snapshot: &Snapshot, request: &TraceRequest) -> Result<Option<Query>, Refusal> {
    let window = request.when.nanos();
    let (before, after) = (BEFORE.as_nanos() as u64, AFTER.as_nanos() as u64);
    let mut query = Query::new().scope(QueryScope::Service).order(Order::Newest);
    query = query.since(window.start.saturating_sub(before)).until(window.end.saturating_add(after));
    query.limit = request.limit.clamp(PAGE_MIN, 1000);
    query.annotations = request.annotations.clone();
    if let Some(min) = request.min_micros {
        // What lasts less than a microsecond counts as one.
        query = query.min_duration(if min == 1 { Duration::from_nanos(1) } else { Duration::from_micros(min) });
    }
    if let Some(max) = request.max_micros {
        query = query.max_duration(Duration::from_nanos(max.saturating_add(1).saturating_mul(1000) - 1));
    }
    let known = |listed: tailspan::Result<Vec<String>>, wanted: &str| match listed {
        Ok(names) => Ok(Some(names.into_iter().filter(|name| name.to_lowercase() == wanted).collect::<BTreeSet<_>>())),
        // Too many to list: the search itself will tell.
        Err(error) if error.kind() == ErrorKind::TooLarge => Ok(None),
        Err(error) => Err(error),
    };
    if let Some(wanted) = &request.service {
        let names = snapshot.services().map(|list| list.into_iter().filter_map(|entry| entry.service).collect());
        let Some(service) = spelling(known(names, wanted)?) else { return Ok(None) };
        query.service = service;
    }
    let filter = query.service.iter().fold(ListFilter::new(), |filter, service| filter.service(service));
    if let Some(wanted) = &request.remote_service {
        let names = snapshot.remote_services_where(&filter).and_then(tailspan::Listed::into_complete);
        let names = names.map(|list| list.into_iter().map(|entry| entry.remote_service).collect());
        let Some(remote) = spelling(known(names, wanted)?) else { return Ok(None) };
        query.remote_service = remote;
    }
    if let Some(wanted) = &request.name {
        let names = snapshot.operations_where(&filter).and_then(tailspan::Listed::into_complete);
        let names = names.map(|list| list.into_iter().filter_map(|entry| entry.name).collect());
        let Some(name) = spelling(known(names, wanted)?) else { return Ok(None) };
        query.name = name;
    }
    Ok(Some(query))
}

/// What to ask the store for: the one spelling there is, or nothing in particular if there are several or nobody knows;
/// none if there is no such name.
fn spelling(spellings: Option<BTreeSet<String>>) -> Option<Option<String>> {
    let Some(mut spellings) = spellings else { return Some(None) };
    match spellings.len() {
        0 => None,
        1 => Some(spellings.pop_first()),
        _ => Some(None),
    }
}
