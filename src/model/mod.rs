//! What a span is: pure values, no bytes, no files, no clocks.
//!
//! [`Span`] holds everything OTLP and Zipkin v2 can say about one timed operation. [`SpanRef`] is the
//! same thing borrowed from the bytes it arrived in; readers of wire formats hand it to a [`SpanSink`].

mod batch;
mod id;
mod resource;
mod span;
mod text;
mod time;
mod value;

pub use batch::{
    AttributeRef, EventRef, LinkRef, RejectReason, ResourceToken, ScopeToken, SpanRef, SpanSink, ValueRef, deliver,
};
pub use id::{IdError, SpanId, TraceId};
pub use resource::{Endpoint, EntityRef, Resource, Scope};
pub use span::{Event, Link, Origin, Span, SpanKind, Status, StatusCode, duration_nanos, remote_service_keys};
pub use text::{Ascii, Text};
pub use time::{TimeRange, UnixNanos};
pub use value::{KeyValue, Value};
