//! The tree of a trace from its owned spans, by the rule that orders the rows of a segment.
//!
//! A trace that lies in several parts, or in the head, has its spans in no useful order once they are united. Ordered
//! by the same function as the rows of a segment, it has the same parents, siblings and tops wherever it lies.

use rustc_hash::FxHashMap;

use crate::model::{Origin, Span};
use crate::segment::{OrderRow, fingerprint_of, last_instant, order_rows};

/// The spans of one trace in pre-order.
#[derive(Clone, Debug, Default)]
pub struct SpanOrder {
    /// Position of the span of each row.
    pub positions: Vec<u32>,
    /// Depth of each row.
    pub depths: Vec<u32>,
}

impl SpanOrder {
    /// The order of these spans of one trace, or of several whose ids are joined. The spans are distinct; the order in
    /// which they are given counts for nothing.
    pub fn of(trace: &[Span]) -> Self {
        let mut services: FxHashMap<Option<&str>, u32> = FxHashMap::default();
        let rows: Vec<OrderRow> = trace
            .iter()
            .map(|span| {
                let next = services.len() as u32;
                OrderRow {
                    // Of joined ids all are one trace.
                    trace_id: [1; 16],
                    span_id: span.span_id.get(),
                    parent: span.parent_span_id.map_or(0, |parent| parent.get()),
                    start: span.start_unix_nano,
                    end: span.end_unix_nano,
                    last: last_instant(span.start_unix_nano, span.end_unix_nano, span.is_zipkin()),
                    service: *services.entry(span.service()).or_insert(next),
                    shared: is_shared(span),
                }
            })
            .collect();
        let fingerprint = |row: u32| fingerprint_of(Some(&trace[row as usize]));
        let order = order_rows(&rows, &fingerprint, &|_, _| false);
        Self { positions: order.rows, depths: order.depths }
    }
}

/// True for the server's half of a span that Zipkin shares.
pub fn is_shared(span: &Span) -> bool {
    matches!(span.origin, Origin::Zipkin { shared: true, .. })
}
