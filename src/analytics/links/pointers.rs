//! Links that spans carry: from the service of the span they point to, to that of the span that carries them.
//!
//! The span pointed to may lie in any trace and part. It is looked up by the lower half of the trace id, as links
//! join traces, and by its id. Of several records the one under the very trace id is meant, then one that is not
//! shared, then the earliest.

use crate::column::NONE;
use crate::index::links::LinkSpan;
use crate::model::{Span, TraceId};
use crate::segment::LinkTarget;

use super::super::feed::SampleIds;
use crate::model::SpanId;

/// Pointers that wait to be looked up together.
pub const POINTERS_MAX: usize = 1 << 16;

/// A link that a span carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointer {
    /// Where it points to.
    pub target: LinkTarget,
    /// Service of the span that carries it.
    pub service: u32,
    /// True if that span failed.
    pub error: bool,
    /// Duration of that span.
    pub duration: Option<u64>,
    /// Ids of that span.
    pub ids: SampleIds,
}

impl Pointer {
    /// The pointer that a span of a trace with this lower half carries, if it leads from a service to a span.
    pub fn of(span: &LinkSpan, low: u64, target: LinkTarget) -> Option<Self> {
        let ids = ids_of(span, low)?;
        let leads = target.span_id != 0 && (target.trace_low != 0 || target.trace_high != 0);
        let LinkSpan { service, error, duration, .. } = *span;
        (leads && service != NONE).then_some(Self { target, service, error, duration, ids })
    }
}

/// The ids of a span in a trace with this lower half; `None` if one is zero, which none is that was appended.
pub fn ids_of(span: &LinkSpan, low: u64) -> Option<SampleIds> {
    Some((TraceId::from_halves(span.trace_high, low)?, Some(SpanId::from_u64(span.span_id)?)))
}

/// Where the links of an owned span point to.
pub fn targets_of(span: &Span) -> impl Iterator<Item = LinkTarget> + '_ {
    span.links.iter().filter_map(|link| {
        let (trace, span) = (u128::from_be_bytes(link.trace_id?), u64::from_be_bytes(link.span_id?));
        Some(LinkTarget { trace_low: trace as u64, span_id: span, trace_high: (trace >> 64) as u64 })
    })
}

/// The service of the span that is meant, of all records of the trace; [`NONE`] if there is none.
pub fn service_of(target: &LinkTarget, records: &[LinkSpan], text: impl Fn(u32) -> String) -> u32 {
    let of_id = records.iter().filter(|span| span.span_id == target.span_id && span.service != NONE);
    let key = |span: &&LinkSpan| (span.trace_high != target.trace_high, span.shared, span.start.wrapping_sub(1));
    let best = of_id.min_by(|a, b| key(a).cmp(&key(b)).then_with(|| text(a.service).cmp(&text(b.service))));
    best.map_or(NONE, |span| span.service)
}
