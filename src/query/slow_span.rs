//! A span among the slowest, and the slowest of all that were met.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::column::{Class, NONE, RowSource};
use crate::model::{Span, SpanId, StatusCode, TraceId, UnixNanos};

/// A span that has a duration, and what is shown of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowSpan {
    /// Its duration in nanoseconds.
    pub duration: u64,
    /// Its start, 0 for none.
    pub start: UnixNanos,
    /// Id of its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// The service that recorded it.
    pub service: Option<String>,
    /// Its name; `None` if it is empty.
    pub name: Option<String>,
    /// True if it failed.
    pub error: bool,
}

impl SlowSpan {
    /// A span; `None` if it has no duration.
    pub fn of(span: &Span) -> Option<Self> {
        Some(Self {
            duration: span.duration_nanos()?,
            start: span.start_unix_nano,
            trace_id: span.trace_id,
            span_id: span.span_id,
            service: span.service().map(str::to_owned),
            name: (!span.name.is_empty()).then(|| span.name.clone()),
            error: span.is_error(),
        })
    }

    /// A row of this class with this duration, start and ids.
    pub fn of_row(
        source: &dyn RowSource,
        class: &Class,
        duration: u64,
        start: UnixNanos,
        ids: (TraceId, SpanId),
    ) -> Self {
        let text = |code: u32| (code != NONE).then(|| source.text(code).to_owned());
        let (service, name) = (text(class.service), text(class.name).filter(|name| !name.is_empty()));
        let error = class.status == StatusCode::ERROR;
        Self { duration, start, trace_id: ids.0, span_id: ids.1, service, name, error }
    }
}

impl Ord for SlowSpan {
    /// The slowest first: duration, then start descending, then ids. Records of one id that are equal in time
    /// come by what else is shown of them.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |s: &Self| (Reverse((s.duration, s.start)), s.trace_id, s.span_id);
        let rest = |s: &Self, o: &Self| (&s.service, &s.name, s.error).cmp(&(&o.service, &o.name, o.error));
        key(self).cmp(&key(other)).then_with(|| rest(self, other))
    }
}

impl PartialOrd for SlowSpan {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The slowest so many of the spans met so far.
#[derive(Debug)]
pub struct SlowestSpans {
    room: usize,
    /// The last of them on top.
    heap: BinaryHeap<SlowSpan>,
    dropped: bool,
}

impl SlowestSpans {
    /// None yet, of at most so many.
    pub fn new(room: usize) -> Self {
        Self { room, heap: BinaryHeap::new(), dropped: false }
    }

    /// Spans that took less than this are not among them.
    pub fn shortest(&self) -> u64 {
        match self.heap.peek() {
            Some(last) if self.is_full() => last.duration,
            _ => 0,
        }
    }

    /// True if there are as many as there is room for.
    pub fn is_full(&self) -> bool {
        self.heap.len() >= self.room
    }

    /// True if a span was met that is not among them.
    pub fn has_dropped(&self) -> bool {
        self.dropped
    }

    /// Takes a span that was met.
    pub fn add(&mut self, span: SlowSpan) {
        self.heap.push(span);
        if self.heap.len() > self.room {
            self.heap.pop();
            self.dropped = true;
        }
    }

    /// The slowest first.
    pub fn into_sorted(self) -> Vec<SlowSpan> {
        self.heap.into_sorted_vec()
    }
}
