//! Who made the spans: the resource (process, host, service) and the instrumentation scope.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::value::{KeyValue, Value};

/// The entity that produced spans, with the schema URL its attributes follow.
/// Source: opentelemetry-proto, `resource.v1.Resource` and `trace.v1.ResourceSpans`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resource {
    /// False when the message carried no resource at all.
    pub present: bool,
    /// The attributes, order kept.
    pub attributes: Vec<KeyValue>,
    /// How many attributes the exporter dropped.
    pub dropped_attributes_count: u32,
    /// Entities the attributes belong to.
    pub entity_refs: Vec<EntityRef>,
    /// Schema URL of the `ResourceSpans` message.
    pub schema_url: String,
    /// Zipkin's local endpoint; `None` for OTLP and for Zipkin spans without one. Its service name
    /// also stands in `attributes` as `service.name`.
    pub local_endpoint: Option<Endpoint>,
}

/// An entity inside a resource. Source: opentelemetry-proto, `common.v1.EntityRef`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EntityRef {
    /// Schema URL of the entity.
    pub schema_url: String,
    /// Entity type, such as `service`.
    pub entity_type: String,
    /// Attribute keys that identify it.
    pub id_keys: Vec<String>,
    /// Attribute keys that describe it.
    pub description_keys: Vec<String>,
}

/// The instrumentation scope, with the schema URL of its `ScopeSpans` message.
/// Source: opentelemetry-proto, `common.v1.InstrumentationScope`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    /// False when the message carried no scope at all.
    pub present: bool,
    /// Name of the library.
    pub name: String,
    /// Version of the library.
    pub version: String,
    /// The attributes, order kept.
    pub attributes: Vec<KeyValue>,
    /// How many attributes the exporter dropped.
    pub dropped_attributes_count: u32,
    /// Schema URL of the `ScopeSpans` message.
    pub schema_url: String,
}

/// A network peer as Zipkin describes one. Absent fields are `None`; an endpoint has at least one.
/// Source: zipkin-api, `zipkin.proto`, `Endpoint`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Lower-case service name, never empty.
    pub service_name: Option<String>,
    /// IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// Port, never zero.
    pub port: Option<u16>,
}

impl Endpoint {
    /// True if no field is set: Zipkin treats such an endpoint as absent.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Resource {
    /// The service: the first non-empty string attribute `service.name`.
    pub fn service(&self) -> Option<&str> {
        self.attributes.iter().filter(|a| a.key == "service.name").find_map(|a| match &a.value {
            Value::String(name) if !name.is_empty() => Some(name.as_str()),
            _ => None,
        })
    }
}
