//! Sealed spans kept at hand, to tell whether a late span is one of them.
//!
//! A trace that goes on after it was sealed usually does so with several spans. Its sealed ones are read once and
//! kept by trace and fingerprint, up to a number of bytes; then all are forgotten. A span that is not found here
//! although it was sealed is united with its twin by queries, so that forgetting costs room and no answer.

use rustc_hash::FxHashMap;

use crate::catalog::fingerprint;
use crate::model::{Span, TraceId};

/// Spans of sealed traces by trace and fingerprint.
#[derive(Debug, Default)]
pub(super) struct SealedSpans {
    traces: FxHashMap<TraceId, FxHashMap<u64, Span>>,
    bytes: usize,
}

impl SealedSpans {
    /// True if the span is one of its trace's, which are read if they are not at hand and kept if all together
    /// take no more than `bytes_max`.
    pub(super) fn holds(
        &mut self,
        id: TraceId,
        span: &Span,
        bytes_max: usize,
        read: impl FnOnce() -> FxHashMap<u64, Span>,
    ) -> bool {
        let is_twin = |spans: &FxHashMap<u64, Span>| spans.get(&fingerprint(span)) == Some(span);
        if let Some(known) = self.traces.get(&id) {
            return is_twin(known);
        }
        let spans = read();
        let found = is_twin(&spans);
        let entry = size_of::<(TraceId, FxHashMap<u64, Span>)>();
        let bytes = entry + spans.values().map(Span::held_bytes).sum::<usize>();
        if self.bytes + bytes > bytes_max {
            self.clear();
        }
        // Of a trace larger than all room nothing is kept but that it is not worth reading again.
        let (kept, bytes) = if bytes <= bytes_max { (spans, bytes) } else { (FxHashMap::default(), entry) };
        self.bytes += bytes;
        self.traces.insert(id, kept);
        found
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.traces.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Origin, Resource, Scope, SpanId, SpanKind};

    fn span(trace: u64, name: String) -> Span {
        Span {
            resource: Arc::new(Resource::default()),
            scope: Arc::new(Scope::default()),
            trace_id: TraceId::from_halves(0, trace).unwrap(),
            span_id: SpanId::from_u64(1).unwrap(),
            parent_span_id: None,
            trace_state: String::new(),
            flags: 0,
            name,
            kind: SpanKind::UNSPECIFIED,
            start_unix_nano: 0,
            end_unix_nano: 0,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: Vec::new(),
            dropped_events_count: 0,
            links: Vec::new(),
            dropped_links_count: 0,
            status: None,
            origin: Origin::Otlp,
        }
    }

    #[test]
    fn what_is_kept_never_takes_more_than_its_bytes() {
        let mut cache = SealedSpans::default();
        let of = |span: &Span| FxHashMap::from_iter([(fingerprint(span), span.clone())]);
        for trace in 1..200 {
            let sealed = span(trace, "x".repeat(1_000));
            assert!(cache.holds(sealed.trace_id, &sealed, 20_000, || of(&sealed)));
            assert!(cache.holds(sealed.trace_id, &sealed, 20_000, || panic!("it is at hand")));
            assert!(!cache.holds(sealed.trace_id, &span(trace, String::new()), 20_000, || panic!("it is at hand")));
            let held: usize = cache.traces.values().flat_map(FxHashMap::values).map(Span::held_bytes).sum();
            assert!(held <= cache.bytes && cache.bytes <= 20_000, "{held} {}", cache.bytes);
        }
        let large = span(900, "x".repeat(30_000));
        assert!(cache.holds(large.trace_id, &large, 20_000, || of(&large)));
        assert_eq!(
            (cache.traces.len(), cache.traces[&large.trace_id].len()),
            (1, 0),
            "what is larger than all room is not kept"
        );
    }
}
