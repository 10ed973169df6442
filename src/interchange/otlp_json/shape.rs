//! What an OTLP/JSON text looks like: names of fields, and which of them hold what.
//!
//! Names are taken in lowerCamelCase and in snake_case, as proto3's JSON mapping asks of a reader;
//! unknown ones are passed over. Spans, resources and scopes stay raw text here: each is read apart.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::scalar::{Object, Scalar};
use crate::model::RejectReason;

/// `TracesData`, or `ExportTraceServiceRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
pub struct Traces<'a> {
    #[serde(alias = "resource_spans")]
    pub resource_spans: Option<Vec<Object<ResourceSpans<'a>>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
pub struct ResourceSpans<'a> {
    pub resource: Option<&'a RawValue>,
    #[serde(alias = "scope_spans")]
    pub scope_spans: Option<Vec<Object<ScopeSpans<'a>>>>,
    #[serde(alias = "schema_url")]
    pub schema_url: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
pub struct ScopeSpans<'a> {
    pub scope: Option<&'a RawValue>,
    pub spans: Option<Vec<&'a RawValue>>,
    #[serde(alias = "schema_url")]
    pub schema_url: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
pub struct Resource<'a> {
    pub attributes: Option<Vec<Object<KeyValue<'a>>>>,
    #[serde(alias = "dropped_attributes_count")]
    pub dropped_attributes_count: Scalar<'a>,
    #[serde(alias = "entity_refs")]
    pub entity_refs: Option<Vec<Object<EntityRef<'a>>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
pub struct EntityRef<'a> {
    #[serde(alias = "schema_url")]
    pub schema_url: Scalar<'a>,
    pub r#type: Scalar<'a>,
    #[serde(alias = "id_keys")]
    pub id_keys: Option<Vec<Scalar<'a>>>,
    #[serde(alias = "description_keys")]
    pub description_keys: Option<Vec<Scalar<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
pub struct Scope<'a> {
    pub name: Scalar<'a>,
    pub version: Scalar<'a>,
    pub attributes: Option<Vec<Object<KeyValue<'a>>>>,
    #[serde(alias = "dropped_attributes_count")]
    pub dropped_attributes_count: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
pub struct Span<'a> {
    #[serde(alias = "trace_id")]
    pub trace_id: Scalar<'a>,
    #[serde(alias = "span_id")]
    pub span_id: Scalar<'a>,
    #[serde(alias = "parent_span_id")]
    pub parent_span_id: Scalar<'a>,
    #[serde(alias = "trace_state")]
    pub trace_state: Scalar<'a>,
    pub flags: Scalar<'a>,
    pub name: Scalar<'a>,
    pub kind: Scalar<'a>,
    #[serde(alias = "start_time_unix_nano")]
    pub start_time_unix_nano: Scalar<'a>,
    #[serde(alias = "end_time_unix_nano")]
    pub end_time_unix_nano: Scalar<'a>,
    pub attributes: Option<Vec<Object<KeyValue<'a>>>>,
    #[serde(alias = "dropped_attributes_count")]
    pub dropped_attributes_count: Scalar<'a>,
    pub events: Option<Vec<Object<Event<'a>>>>,
    #[serde(alias = "dropped_events_count")]
    pub dropped_events_count: Scalar<'a>,
    pub links: Option<Vec<Object<Link<'a>>>>,
    #[serde(alias = "dropped_links_count")]
    pub dropped_links_count: Scalar<'a>,
    pub status: Option<Object<Status<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
pub struct Event<'a> {
    #[serde(alias = "time_unix_nano")]
    pub time_unix_nano: Scalar<'a>,
    pub name: Scalar<'a>,
    pub attributes: Option<Vec<Object<KeyValue<'a>>>>,
    #[serde(alias = "dropped_attributes_count")]
    pub dropped_attributes_count: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
pub struct Link<'a> {
    #[serde(alias = "trace_id")]
    pub trace_id: Scalar<'a>,
    #[serde(alias = "span_id")]
    pub span_id: Scalar<'a>,
    #[serde(alias = "trace_state")]
    pub trace_state: Scalar<'a>,
    pub attributes: Option<Vec<Object<KeyValue<'a>>>>,
    #[serde(alias = "dropped_attributes_count")]
    pub dropped_attributes_count: Scalar<'a>,
    pub flags: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct Status<'a> {
    pub code: Scalar<'a>,
    pub message: Scalar<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct KeyValue<'a> {
    pub key: Scalar<'a>,
    pub value: Option<AnyValue<'a>>,
}

/// The list inside an array or a nested list of attributes.
#[derive(Debug, Deserialize)]
#[serde(default, bound(deserialize = "T: Deserialize<'de>"))]
pub struct Values<T> {
    pub values: Option<Vec<T>>,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { values: None }
    }
}

/// An attribute value; what is nested stays raw text, so that reading it is no recursion of the parser.
#[derive(Debug, Default)]
pub enum AnyValue<'a> {
    #[default]
    Empty,
    String(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Vec<u8>),
    Array(&'a RawValue),
    List(&'a RawValue),
}

impl<'de: 'a, 'a> Deserialize<'de> for AnyValue<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnyValueVisitor)
    }
}

struct AnyValueVisitor;

impl<'de> Visitor<'de> for AnyValueVisitor {
    type Value = AnyValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with an OTLP attribute value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyValue<'de>, A::Error> {
        let mut value = AnyValue::Empty;
        while let Some(name) = map.next_key::<Scalar<'de>>()? {
            let name = name.text().unwrap_or_default();
            match name {
                "arrayValue" | "array_value" => {
                    value = map.next_value::<Option<&RawValue>>()?.map_or(value, AnyValue::Array);
                }
                "kvlistValue" | "kvlist_value" => {
                    value = map.next_value::<Option<&RawValue>>()?.map_or(value, AnyValue::List);
                }
                _ if SCALAR_NAMES.contains(&name) => match map.next_value()? {
                    Scalar::Null => {}
                    scalar => value = scalar_value(name, scalar).map_err(de::Error::custom)?,
                },
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(value)
    }
}

const SCALAR_NAMES: [&str; 10] = [
    "stringValue",
    "string_value",
    "boolValue",
    "bool_value",
    "intValue",
    "int_value",
    "doubleValue",
    "double_value",
    "bytesValue",
    "bytes_value",
];

fn scalar_value<'a>(name: &str, scalar: Scalar<'a>) -> Result<AnyValue<'a>, RejectReason> {
    Ok(match (name, scalar) {
        ("stringValue" | "string_value", Scalar::Text(text)) => AnyValue::String(text),
        ("boolValue" | "bool_value", Scalar::Bool(value)) => AnyValue::Bool(value),
        ("intValue" | "int_value", scalar) => AnyValue::Int(scalar.fit()?),
        ("doubleValue" | "double_value", scalar) => AnyValue::Double(scalar.double()?),
        ("bytesValue" | "bytes_value", Scalar::Text(text)) => AnyValue::Bytes(decode_base64(&text)?),
        _ => return Err(RejectReason::Malformed),
    })
}

/// Base64 in either alphabet, padded or not, as proto3's JSON mapping allows.
fn decode_base64(text: &str) -> Result<Vec<u8>, RejectReason> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let decoded = if text.contains(['-', '_']) {
        LENIENT.decode(text.replace('-', "+").replace('_', "/"))
    } else {
        LENIENT.decode(text)
    };
    decoded.map_err(|_| RejectReason::Malformed)
}
