//! What linking asks of a span.

use crate::column::NONE;
use crate::model::SpanKind;

/// A record of a span, or after merging a span. Texts and endpoints are codes of [`super::LinkNames`] or [`NONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSpan {
    /// Upper half of the trace id it was recorded under: the records of a trace share the lower one.
    pub trace_high: u64,
    /// Id of the span.
    pub span_id: u64,
    /// Id of the recorded parent, 0 for none.
    pub parent: u64,
    /// Role of the span.
    pub kind: SpanKind,
    /// True for the server's half of a span that it shares with its client.
    pub shared: bool,
    /// True if the operation failed.
    pub error: bool,
    /// Service that recorded it.
    pub service: u32,
    /// The other side of the call.
    pub remote: u32,
    /// Where it was recorded.
    pub endpoint: u32,
    /// Start, 0 for none.
    pub start: u64,
    /// Duration in nanoseconds.
    pub duration: Option<u64>,
    /// Whatever the caller wants to know again: its row.
    pub place: u32,
}

impl LinkSpan {
    /// True for the kinds that Zipkin knows: server, client, producer, consumer.
    pub fn is_remote(&self) -> bool {
        (SpanKind::SERVER.0..=SpanKind::CONSUMER.0).contains(&self.kind.0)
    }

    /// What is sorted by where nothing else decides: first the earliest, those without a start last.
    pub(super) fn start_key(&self) -> u64 {
        self.start.wrapping_sub(1)
    }

    /// Takes over what another record of the same span says and this one does not; its endpoint is the caller's.
    pub(super) fn fill_in(&mut self, other: &Self) {
        let or = |own: u32, other: u32| if own == NONE { other } else { own };
        if !self.is_remote() && (other.is_remote() || self.kind != SpanKind::INTERNAL) {
            self.kind = other.kind;
        }
        if self.parent == 0 {
            self.parent = other.parent;
        }
        self.service = or(self.service, other.service);
        self.remote = or(self.remote, other.remote);
        self.error |= other.error;
        if self.start == 0 {
            self.start = other.start;
        }
        // The trace and place of a duration are those of the record that has it.
        if self.duration.is_none() && other.duration.is_some() {
            (self.duration, self.trace_high, self.place) = (other.duration, other.trace_high, other.place);
        }
    }
}
