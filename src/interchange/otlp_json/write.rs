//! Spans as OTLP/JSON text: what [`super::read_otlp_json`] reads back as the same spans.
//!
//! Only what differs from proto3's default is written, but the presence of resource, scope and status
//! is kept. The one thing that has no spelling is the payload of a NaN.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

use super::super::crossing::zipkin_to_otlp;
use crate::error::{Error, Result};
use crate::model::{EntityRef, Event, KeyValue, Link, Resource, Scope, Span, Status, Value};

/// Writes the spans as one `TracesData` object on one line, without a line end. Neighbours that share
/// resource and scope share the object around them; spans that came as Zipkin are converted first.
///
/// # Errors
/// Whatever `out` says.
pub fn write_otlp_json<'s>(spans: impl IntoIterator<Item = &'s Span>, out: &mut impl io::Write) -> Result<()> {
    let spans = as_otlp(spans);
    serde_json::to_writer(out, &Traces(&spans)).map_err(|error| Error::io("writing OTLP JSON", error.into()))
}

/// The same object as [`write_otlp_json`] writes, as a JSON value.
pub fn otlp_json_traces<'s>(spans: impl IntoIterator<Item = &'s Span>) -> serde_json::Value {
    // Serialising to a value fails only on map keys that are no strings, which there are none of.
    serde_json::to_value(Traces(&as_otlp(spans))).unwrap_or_default()
}

fn as_otlp<'s>(spans: impl IntoIterator<Item = &'s Span>) -> Vec<Cow<'s, Span>> {
    let convert =
        |span: &'s Span| if span.is_zipkin() { Cow::Owned(zipkin_to_otlp(span)) } else { Cow::Borrowed(span) };
    spans.into_iter().map(convert).collect()
}

fn same<T: PartialEq>(a: &Arc<T>, b: &Arc<T>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

/// A text made when it is written.
struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Bytes as lower-case hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The items of a slice, each as `make` makes it.
struct List<'a, T, F>(&'a [T], F);

impl<'a, T, R: Serialize, F: Fn(&'a T) -> R> Serialize for List<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

/// Spans, those that follow each other with one resource together.
struct ByResource<'a>(&'a [Cow<'a, Span>]);

impl Serialize for ByResource<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.chunk_by(|a, b| same(&a.resource, &b.resource)).map(ResourceSpans))
    }
}

/// Spans of one resource, those that follow each other with one scope together.
struct ByScope<'a>(&'a [Cow<'a, Span>]);

impl Serialize for ByScope<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.chunk_by(|a, b| same(&a.scope, &b.scope)).map(ScopeSpans))
    }
}

/// Spans of one resource and scope.
struct Each<'a>(&'a [Cow<'a, Span>]);

impl Serialize for Each<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|span| SpanObject(span)))
    }
}

/// An object under construction that leaves out defaults.
struct Object<M: SerializeStruct>(M);

impl<M: SerializeStruct> Object<M> {
    fn begin<S: Serializer<SerializeStruct = M>>(serializer: S) -> Result<Self, S::Error> {
        // The length is a hint only, but serde_json closes an object of none at once.
        serializer.serialize_struct("", 1).map(Self)
    }

    fn text(&mut self, name: &'static str, text: &str) -> Result<(), M::Error> {
        if text.is_empty() { Ok(()) } else { self.0.serialize_field(name, text) }
    }

    fn number<N: Serialize + Default + PartialEq>(&mut self, name: &'static str, number: N) -> Result<(), M::Error> {
        if number == N::default() { Ok(()) } else { self.0.serialize_field(name, &number) }
    }

    /// A 64-bit number, which JSON spells as a string.
    fn long(&mut self, name: &'static str, number: u64) -> Result<(), M::Error> {
        if number == 0 { Ok(()) } else { self.0.serialize_field(name, &Shown(number)) }
    }

    fn list<'a, T: 'a, R: Serialize>(
        &mut self,
        name: &'static str,
        items: &'a [T],
        make: impl Fn(&'a T) -> R,
    ) -> Result<(), M::Error> {
        if items.is_empty() { Ok(()) } else { self.0.serialize_field(name, &List(items, make)) }
    }

    fn attributes(&mut self, attributes: &[KeyValue], dropped: u32) -> Result<(), M::Error> {
        self.list("attributes", attributes, Attribute)?;
        self.number("droppedAttributesCount", dropped)
    }
}

/// Serialises a wrapper of a borrowed model type as an object.
macro_rules! object {
    ($wrapper:ident($inner:ty), |$this:ident, $object:ident| $body:block) => {
        struct $wrapper<'a>(&'a $inner);

        impl Serialize for $wrapper<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $this = self.0;
                let mut $object = Object::begin(serializer)?;
                $body
                $object.0.end()
            }
        }
    };
}

object!(Traces([Cow<'a, Span>]), |spans, object| {
    object.0.serialize_field("resourceSpans", &ByResource(spans))?;
});

object!(ResourceSpans([Cow<'a, Span>]), |spans, object| {
    if let Some(resource) = spans.first().map(|span| &*span.resource) {
        if resource.present {
            object.0.serialize_field("resource", &ResourceObject(resource))?;
        }
        object.0.serialize_field("scopeSpans", &ByScope(spans))?;
        object.text("schemaUrl", &resource.schema_url)?;
    }
});

object!(ScopeSpans([Cow<'a, Span>]), |spans, object| {
    if let Some(scope) = spans.first().map(|span| &*span.scope) {
        if scope.present {
            object.0.serialize_field("scope", &ScopeObject(scope))?;
        }
        object.0.serialize_field("spans", &Each(spans))?;
        object.text("schemaUrl", &scope.schema_url)?;
    }
});

object!(ResourceObject(Resource), |resource, object| {
    object.attributes(&resource.attributes, resource.dropped_attributes_count)?;
    object.list("entityRefs", &resource.entity_refs, EntityObject)?;
});

object!(EntityObject(EntityRef), |entity, object| {
    object.text("schemaUrl", &entity.schema_url)?;
    object.text("type", &entity.entity_type)?;
    object.list("idKeys", &entity.id_keys, String::as_str)?;
    object.list("descriptionKeys", &entity.description_keys, String::as_str)?;
});

object!(ScopeObject(Scope), |scope, object| {
    object.text("name", &scope.name)?;
    object.text("version", &scope.version)?;
    object.attributes(&scope.attributes, scope.dropped_attributes_count)?;
});

object!(SpanObject(Span), |span, object| {
    object.0.serialize_field("traceId", &Shown(span.trace_id))?;
    object.0.serialize_field("spanId", &Shown(span.span_id))?;
    if let Some(parent) = span.parent_span_id {
        object.0.serialize_field("parentSpanId", &Shown(parent))?;
    }
    object.text("traceState", &span.trace_state)?;
    object.number("flags", span.flags)?;
    object.text("name", &span.name)?;
    object.number("kind", span.kind.0)?;
    object.long("startTimeUnixNano", span.start_unix_nano)?;
    object.long("endTimeUnixNano", span.end_unix_nano)?;
    object.attributes(&span.attributes, span.dropped_attributes_count)?;
    object.list("events", &span.events, EventObject)?;
    object.number("droppedEventsCount", span.dropped_events_count)?;
    object.list("links", &span.links, LinkObject)?;
    object.number("droppedLinksCount", span.dropped_links_count)?;
    if let Some(status) = &span.status {
        object.0.serialize_field("status", &StatusObject(status))?;
    }
});

object!(EventObject(Event), |event, object| {
    object.long("timeUnixNano", event.time_unix_nano)?;
    object.text("name", &event.name)?;
    object.attributes(&event.attributes, event.dropped_attributes_count)?;
});

object!(LinkObject(Link), |link, object| {
    if let Some(id) = &link.trace_id {
        object.0.serialize_field("traceId", &Shown(Hex(id)))?;
    }
    if let Some(id) = &link.span_id {
        object.0.serialize_field("spanId", &Shown(Hex(id)))?;
    }
    object.text("traceState", &link.trace_state)?;
    object.attributes(&link.attributes, link.dropped_attributes_count)?;
    object.number("flags", link.flags)?;
});

object!(StatusObject(Status), |status, object| {
    object.text("message", &status.message)?;
    object.number("code", status.code.0)?;
});

object!(Attribute(KeyValue), |attribute, object| {
    object.0.serialize_field("key", &attribute.key)?;
    object.0.serialize_field("value", &AnyValue(&attribute.value))?;
});

object!(ArrayObject([Value]), |items, object| {
    object.list("values", items, AnyValue)?;
});

object!(ListObject([KeyValue]), |items, object| {
    object.list("values", items, Attribute)?;
});

/// An `AnyValue`: an object of one field, or of none.
struct AnyValue<'a>(&'a Value);

impl Serialize for AnyValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.0 {
            Value::Empty => {}
            Value::String(v) => map.serialize_entry("stringValue", v)?,
            Value::Bool(v) => map.serialize_entry("boolValue", v)?,
            Value::Int(v) => map.serialize_entry("intValue", &Shown(v))?,
            Value::Double(v) if v.is_finite() => map.serialize_entry("doubleValue", v)?,
            Value::Double(v) => map.serialize_entry("doubleValue", name_of_infinite(*v))?,
            Value::Bytes(v) => map.serialize_entry("bytesValue", &STANDARD.encode(v))?,
            Value::Array(v) => map.serialize_entry("arrayValue", &ArrayObject(v))?,
            Value::KeyValueList(v) => map.serialize_entry("kvlistValue", &ListObject(v))?,
        }
        map.end()
    }
}

/// How proto3's JSON mapping spells a double that is not finite.
pub fn name_of_infinite(value: f64) -> &'static str {
    match value {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}
