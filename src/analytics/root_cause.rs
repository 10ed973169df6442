//! Where errors began: spans that failed while nothing below them did.
//!
//! ```text
//! checkout ✗ > pay ✗ > bank ✗          the bank is the root cause
//!            > mail ✗ > smtp           the mail is another: what it called did not fail
//! ```
//! What is below a span is told by the tree that the store resolves. A span whose parent is missing is below none that is
//! there, so that an error above the gap is shown beside the one below it, never hidden by a guess.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::catalog::{Snapshot, TraceIds};
use crate::error::Result;
use crate::limits::Limits;
use crate::model::{Span, SpanId, TraceId, UnixNanos};
use crate::part::ReadCounter;
use crate::query::{Asked, DURATION, ERROR, Explain, MATCHES, Matching, NO_ROW, Query, QueryScope, Tree};

use super::feed::too_many_loose;

/// A span that failed, with none below it that did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RootCause {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Its service.
    pub service: Option<String>,
    /// Its name; `None` if it is empty.
    pub name: Option<String>,
    /// Its start, 0 for none.
    pub start_unix_nano: UnixNanos,
    /// Its duration in nanoseconds; `None` if it has none.
    pub duration_nano: Option<u64>,
    /// What its status says, or for Zipkin its tag `error`; `None` if that is empty.
    pub status_message: Option<String>,
}

type Key<'c> = (Reverse<(Option<u64>, UnixNanos)>, TraceId, SpanId, Option<&'c str>, Option<&'c str>);

impl RootCause {
    /// Longest first, those without a duration last, then latest start, then ids, then by what else is shown.
    fn key(&self) -> Key<'_> {
        let time = Reverse((self.duration_nano, self.start_unix_nano));
        (time, self.trace_id, self.span_id, self.service.as_deref(), self.name.as_deref())
    }
}

impl Ord for RootCause {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key()).then_with(|| self.status_message.cmp(&other.status_message))
    }
}

impl PartialOrd for RootCause {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Longest duration first, those without one last, then latest start, then smallest trace id and span id.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RootCauseReport {
    /// The root causes, in order.
    pub items: Vec<RootCause>,
    /// False if something could not be read or a limit cut the answer.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// What was read and what was skipped.
    pub explain: Explain,
}

/// The spans that match and failed, below which no span of the trace failed, matching or not; as many as the limit
/// says, 0 for all.
///
/// # Errors
/// Invalid if the filter has too many criteria. Damage and limits are no errors: they make the answer incomplete.
pub fn root_causes(snapshot: &Snapshot, filter: &Query, limit: usize, limits: &Limits) -> Result<RootCauseReport> {
    // Where one span meets all filters, only traces in which one that failed does need be looked at.
    let error = filter.error || filter.scope == QueryScope::Span;
    let asked = Asked::new(&Query { error, ..filter.clone() }, limits)?;
    let room = if limit == 0 { limits.result_traces_max } else { limit.min(limits.result_traces_max) };
    let (mut failed_below, mut best, mut dropped) = (Vec::new(), BinaryHeap::new(), false);
    let (mut matching, has_all) = Matching::each_tree(&asked, snapshot, limits, &mut |tree| {
        each_root_cause(tree, &mut failed_below, &mut |cause| {
            best.push(cause);
            if best.len() > room.max(1) {
                best.pop();
                dropped = true;
            }
        })
    })?;
    let mut items = best.into_sorted_vec();
    add_messages(&mut items, snapshot, &mut matching, limits)?;
    let (explain, reason) = matching.finish();
    let cut = (dropped && (limit == 0 || limit > room))
        .then(|| format!("the result is cut at {room} spans (Limits::result_traces_max)"));
    let loose = (!has_all).then(|| too_many_loose(limits));
    let reasons: Vec<String> = reason.into_iter().chain(cut).chain(loose).collect();
    let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
    Ok(RootCauseReport { items, complete: reason.is_none(), reason, explain })
}

/// Calls `visit` with the root causes of a trace, without what their status says.
fn each_root_cause(
    tree: &mut Tree<'_, '_>,
    failed_below: &mut Vec<bool>,
    visit: &mut dyn FnMut(RootCause),
) -> Result<()> {
    let rows = tree.rows;
    failed_below.clear();
    failed_below.resize(rows.len(), false);
    for row in (0..rows.len()).rev() {
        let failed = rows.facts[row] & ERROR != 0;
        if rows.parents[row] != NO_ROW {
            failed_below[rows.parents[row] as usize] |= failed | failed_below[row];
        }
        if !failed || failed_below[row] || rows.facts[row] & MATCHES == 0 {
            continue;
        }
        let (service, name) = tree.operation(rows.operations[row]);
        let (service, name) = (service.map(str::to_owned), (!name.is_empty()).then(|| name.to_owned()));
        visit(RootCause {
            trace_id: tree.trace_id()?,
            span_id: tree.span_id(row as u32)?,
            service,
            name,
            start_unix_nano: rows.starts[row],
            duration_nano: (rows.facts[row] & DURATION != 0).then_some(rows.durations[row]),
            status_message: None,
        });
    }
    Ok(())
}

/// Reads what the status of each says, a trace once.
fn add_messages(
    items: &mut [RootCause],
    snapshot: &Snapshot,
    matching: &mut Matching<'_>,
    limits: &Limits,
) -> Result<()> {
    let mut by_trace: BTreeMap<TraceId, Vec<usize>> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        by_trace.entry(item.trace_id).or_default().push(at);
    }
    let counter = ReadCounter::limited(limits.trace_bytes_max);
    for (id, mut places) in by_trace {
        let spans = match snapshot.trace(id, TraceIds::Strict, &counter) {
            Ok(spans) => spans,
            Err(error) => {
                matching.problem(error)?;
                continue;
            }
        };
        let mut told: Vec<RootCause> = spans.iter().filter(|span| span.is_error()).map(described).collect();
        told.sort();
        // Records that are alike but for what they say stand next to each other here and there.
        places.sort_by(|a, b| items[*a].cmp(&items[*b]));
        let mut told = told.into_iter().peekable();
        for at in places {
            while told.next_if(|told| told.key() < items[at].key()).is_some() {}
            if let Some(found) = told.next_if(|told| told.key() == items[at].key()) {
                items[at].status_message = found.status_message;
            }
        }
    }
    items.sort();
    Ok(())
}

fn described(span: &Span) -> RootCause {
    let tag = || span.attributes.iter().find(|tag| tag.key == "error").and_then(|tag| tag.value.as_str());
    let message = match span.is_zipkin() {
        true => tag(),
        false => span.status.as_ref().map(|status| status.message.as_str()),
    };
    RootCause {
        trace_id: span.trace_id,
        span_id: span.span_id,
        service: span.service().map(str::to_owned),
        name: (!span.name.is_empty()).then(|| span.name.clone()),
        start_unix_nano: span.start_unix_nano,
        duration_nano: span.duration_nanos(),
        status_message: message.filter(|message| !message.is_empty()).map(str::to_owned),
    }
}
