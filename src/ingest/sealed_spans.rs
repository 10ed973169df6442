//! Sealed spans kept at hand, to tell whether a late span is one of them.
//!
//! A trace that goes on after it was sealed usually does so with several spans. Its sealed ones are read once and
//! kept by trace and fingerprint, up to a number of bytes; then all are forgotten. A span that is not found here
//! although it was sealed is united with its twin by queries, so that forgetting costs room and no answer.

use rustc_hash::FxHashMap;

use crate::catalog::fingerprint;
use crate::model::{Span, TraceId};

/// Whether a span is a sealed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twin {
    /// One of its trace's sealed spans is identical.
    Sealed,
    /// None is.
    New,
    /// The sealed spans of its trace cannot be read, or are more than there is room for.
    Unknown,
}

/// Spans of sealed traces by trace and fingerprint; `None` of traces that cannot be compared.
#[derive(Debug, Default)]
pub(super) struct SealedSpans {
    traces: FxHashMap<TraceId, Option<FxHashMap<u64, Span>>>,
    bytes: usize,
}

impl SealedSpans {
    /// Whether the span is one of its trace's, which are read if they are not at hand and kept if all together
    /// take no more than `bytes_max`.
    pub(super) fn twin(
        &mut self,
        id: TraceId,
        span: &Span,
        bytes_max: usize,
        read: impl FnOnce() -> Option<FxHashMap<u64, Span>>,
    ) -> Twin {
        if let Some(known) = self.traces.get(&id) {
            return twin_among(known.as_ref(), span);
        }
        let entry = size_of::<(TraceId, Option<FxHashMap<u64, Span>>)>();
        let held = |spans: &FxHashMap<u64, Span>| entry + spans.values().map(Span::held_bytes).sum::<usize>();
        // A trace larger than all room is noted as not worth reading again.
        let spans = read().filter(|spans| held(spans) <= bytes_max);
        let bytes = spans.as_ref().map_or(entry, held);
        if self.bytes + bytes > bytes_max {
            self.clear();
        }
        self.bytes += bytes;
        let twin = twin_among(spans.as_ref(), span);
        self.traces.insert(id, spans);
        twin
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.traces.clear();
        self.bytes = 0;
    }
}

fn twin_among(spans: Option<&FxHashMap<u64, Span>>, span: &Span) -> Twin {
    match spans {
        None => Twin::Unknown,
        Some(spans) if spans.get(&fingerprint(span)) == Some(span) => Twin::Sealed,
        Some(_) => Twin::New,
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
        let of = |span: &Span| Some(FxHashMap::from_iter([(fingerprint(span), span.clone())]));
        let unread = || -> Option<FxHashMap<u64, Span>> { panic!("it is at hand") };
        for trace in 1..200 {
            let sealed = span(trace, "x".repeat(1_000));
            let id = sealed.trace_id;
            assert_eq!(cache.twin(id, &sealed, 20_000, || of(&sealed)), Twin::Sealed);
            assert_eq!(cache.twin(id, &sealed, 20_000, unread), Twin::Sealed);
            assert_eq!(cache.twin(id, &span(trace, String::new()), 20_000, unread), Twin::New);
            let held: usize = cache.traces.values().flatten().flat_map(FxHashMap::values).map(Span::held_bytes).sum();
            assert!(held <= cache.bytes && cache.bytes <= 20_000, "{held} {}", cache.bytes);
        }
        let large = span(900, "x".repeat(30_000));
        assert_eq!(cache.twin(large.trace_id, &large, 20_000, || of(&large)), Twin::Unknown);
        assert_eq!(cache.traces[&large.trace_id], None, "what is larger than all room is not kept");
        let unreadable = span(901, String::new());
        assert_eq!(cache.twin(unreadable.trace_id, &unreadable, 20_000, || None), Twin::Unknown);
        assert_eq!(cache.twin(unreadable.trace_id, &unreadable, 20_000, unread), Twin::Unknown);
    }
}
