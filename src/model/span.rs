//! One span, owned: the lossless union of OTLP's and Zipkin v2's records.

use std::sync::Arc;

use super::id::{SpanId, TraceId};
use super::resource::{Endpoint, Resource, Scope};
use super::time::UnixNanos;
use super::value::{KeyValue, Value};

/// One timed operation, with everything its format said about it.
///
/// Two spans are *identical* if and only if they are equal by `==`: resource, scope, schema URLs and
/// every field, list order included.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Who produced it.
    pub resource: Arc<Resource>,
    /// The library that produced it.
    pub scope: Arc<Scope>,
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its id inside the trace.
    pub span_id: SpanId,
    /// The parent's id; `None` at a root.
    pub parent_span_id: Option<SpanId>,
    /// W3C trace state.
    pub trace_state: String,
    /// W3C trace flags and OTLP's extensions of them.
    pub flags: u32,
    /// Operation name; empty when absent.
    pub name: String,
    /// The span's role.
    pub kind: SpanKind,
    /// Start; 0 means the span has no start.
    pub start_unix_nano: UnixNanos,
    /// End as received. For a Zipkin span with a duration it is start + duration, for one without it is 0.
    pub end_unix_nano: UnixNanos,
    /// Attributes (Zipkin: tags in key order), order and repeated keys kept.
    pub attributes: Vec<KeyValue>,
    /// How many attributes the exporter dropped.
    pub dropped_attributes_count: u32,
    /// Events (Zipkin: annotations, the value as name).
    pub events: Vec<Event>,
    /// How many events the exporter dropped.
    pub dropped_events_count: u32,
    /// Links to other spans.
    pub links: Vec<Link>,
    /// How many links the exporter dropped.
    pub dropped_links_count: u32,
    /// Outcome; `None` when the message carried no status (always for Zipkin).
    pub status: Option<Status>,
    /// Which world the span came from, and what only that world says.
    pub origin: Origin,
}

/// Which data model a span came in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// OpenTelemetry.
    Otlp,
    /// Zipkin v2, after Zipkin's own normalisation.
    Zipkin {
        /// The other side of the call.
        remote_endpoint: Option<Endpoint>,
        /// True if the span asks to be stored whatever the sampler says.
        debug: bool,
        /// True if the span id is shared with the client side of the call.
        shared: bool,
    },
}

/// A timed event inside a span.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Event {
    /// When it happened.
    pub time_unix_nano: UnixNanos,
    /// What happened.
    pub name: String,
    /// Attributes, order kept.
    pub attributes: Vec<KeyValue>,
    /// How many attributes the exporter dropped.
    pub dropped_attributes_count: u32,
}

/// A pointer from a span to another, in the same trace or elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Link {
    /// The other trace; `None` when the message left it empty. All zero is kept as it came.
    pub trace_id: Option<[u8; 16]>,
    /// The other span; `None` when the message left it empty. All zero is kept as it came.
    pub span_id: Option<[u8; 8]>,
    /// W3C trace state of the other span.
    pub trace_state: String,
    /// Attributes, order kept.
    pub attributes: Vec<KeyValue>,
    /// How many attributes the exporter dropped.
    pub dropped_attributes_count: u32,
    /// W3C trace flags of the other span.
    pub flags: u32,
}

/// OTLP's outcome of a span.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Status {
    /// The outcome.
    pub code: StatusCode,
    /// A description, usually of an error.
    pub message: String,
}

/// The role of a span in a call. Numbers are OTLP's; unknown ones are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanKind(pub i32);

impl SpanKind {
    /// No kind was given.
    pub const UNSPECIFIED: Self = Self(0);
    /// An operation inside a process.
    pub const INTERNAL: Self = Self(1);
    /// The handling side of a synchronous call.
    pub const SERVER: Self = Self(2);
    /// The calling side of a synchronous call.
    pub const CLIENT: Self = Self(3);
    /// The sending side of a message.
    pub const PRODUCER: Self = Self(4);
    /// The receiving side of a message.
    pub const CONSUMER: Self = Self(5);

    /// The lower-case word for the kind; an unknown number reads as `unspecified`.
    pub fn as_str(self) -> &'static str {
        ["unspecified", "internal", "server", "client", "producer", "consumer"]
            .get(usize::try_from(self.0).unwrap_or(0))
            .unwrap_or(&"unspecified")
    }

    /// The kind of this lower-case word.
    pub fn from_word(word: &str) -> Option<Self> {
        (0..=5).map(Self).find(|kind| kind.as_str() == word)
    }
}

/// The outcome of a span. Numbers are OTLP's; unknown ones are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatusCode(pub i32);

impl StatusCode {
    /// No outcome was set.
    pub const UNSET: Self = Self(0);
    /// The operation succeeded, as its author says.
    pub const OK: Self = Self(1);
    /// The operation failed.
    pub const ERROR: Self = Self(2);

    /// The lower-case word for the code; an unknown number reads as `unset`.
    pub fn as_str(self) -> &'static str {
        ["unset", "ok", "error"].get(usize::try_from(self.0).unwrap_or(0)).unwrap_or(&"unset")
    }

    /// The code of this lower-case word.
    pub fn from_word(word: &str) -> Option<Self> {
        (0..=2).map(Self).find(|code| code.as_str() == word)
    }
}

impl Span {
    /// Bytes it takes in memory, roughly; resource and scope, which spans share, not counted.
    pub(crate) fn held_bytes(&self) -> usize {
        let endpoint = match &self.origin {
            Origin::Zipkin { remote_endpoint: Some(endpoint), .. } => {
                endpoint.service_name.as_ref().map_or(0, String::len)
            }
            _ => 0,
        };
        let status = self.status.as_ref().map_or(0, |status| status.message.len());
        let texts = self.name.len() + self.trace_state.len() + status + endpoint;
        let events = self.events.iter().map(|e| size_of::<Event>() + e.name.len() + held_by(&e.attributes));
        let links = self.links.iter().map(|l| size_of::<Link>() + l.trace_state.len() + held_by(&l.attributes));
        size_of::<Self>() + texts + held_by(&self.attributes) + events.sum::<usize>() + links.sum::<usize>()
    }

    /// The service that recorded the span.
    pub fn service(&self) -> Option<&str> {
        self.resource.service()
    }

    /// Start, unless the span has none.
    pub fn start(&self) -> Option<UnixNanos> {
        (self.start_unix_nano != 0).then_some(self.start_unix_nano)
    }

    /// Duration in nanoseconds; `None` when the end is absent or before the start.
    pub fn duration_nanos(&self) -> Option<u64> {
        duration_nanos(self.start_unix_nano, self.end_unix_nano, self.is_zipkin())
    }

    /// True if the span came in as Zipkin.
    pub fn is_zipkin(&self) -> bool {
        matches!(self.origin, Origin::Zipkin { .. })
    }

    /// The outcome in OTLP's terms: a Zipkin span with a tag `error`, even an empty one, is an error.
    pub fn status_code(&self) -> StatusCode {
        if self.is_zipkin() {
            let error = self.attributes.iter().any(|a| a.key == "error");
            return if error { StatusCode::ERROR } else { StatusCode::UNSET };
        }
        self.status.as_ref().map_or(StatusCode::UNSET, |s| s.code)
    }

    /// True if the operation failed.
    pub fn is_error(&self) -> bool {
        self.status_code() == StatusCode::ERROR
    }

    /// The other side of the call, as docs/QUERY.md defines it for each kind.
    pub fn remote_service(&self) -> Option<&str> {
        match &self.origin {
            Origin::Zipkin { remote_endpoint, .. } => remote_endpoint.as_ref()?.service_name.as_deref(),
            Origin::Otlp => remote_service_keys(self.kind).iter().find_map(|key| {
                self.attributes.iter().filter(|a| a.key == *key).find_map(|a| match &a.value {
                    Value::String(text) if !text.is_empty() => Some(text.as_str()),
                    _ => None,
                })
            }),
        }
    }
}

fn held_by(attributes: &[KeyValue]) -> usize {
    attributes.iter().map(KeyValue::held_bytes).sum()
}

/// Duration in nanoseconds of a span with this start and end; `None` without a proper end. A Zipkin
/// span may have a duration without a start (then `start` is 0), an OTLP span may not.
pub fn duration_nanos(start: UnixNanos, end: UnixNanos, zipkin: bool) -> Option<u64> {
    if end == 0 || (start == 0 && !zipkin) { None } else { end.checked_sub(start) }
}

/// The attribute keys that may name the remote service of a span of this kind, best first.
pub fn remote_service_keys(kind: SpanKind) -> &'static [&'static str] {
    match kind {
        SpanKind::CLIENT => {
            &["service.peer.name", "peer.service", "server.address", "net.peer.name", "db.system.name", "db.system"]
        }
        SpanKind::PRODUCER | SpanKind::CONSUMER => {
            &["service.peer.name", "peer.service", "messaging.destination.name", "messaging.system"]
        }
        _ => &["service.peer.name", "peer.service"],
    }
}
