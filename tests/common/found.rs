//! The traces that a question finds, by asking every span of every trace.

use std::collections::BTreeMap;

use tailspan::{Span, TraceId};

use super::ask::Ask;
use super::matching::{extent, matching, within};

/// Every trace that has a matching span, by strict ids, with these spans. The spans must be distinct.
pub fn matching_traces<'s>(spans: &'s [Span], ask: &Ask) -> Vec<(Vec<&'s Span>, Vec<&'s Span>)> {
    let mut traces: BTreeMap<TraceId, Vec<&Span>> = BTreeMap::new();
    spans.iter().for_each(|span| traces.entry(span.trace_id).or_default().push(span));
    let all = traces.into_values().filter_map(|trace| {
        let (first, last) = extent(&trace)?;
        let matched = if within(last - first, ask.trace_duration) { matching(&trace, ask) } else { vec![] };
        if matched.is_empty() { None } else { Some((trace, matched)) }
    });
    all.collect()
}
