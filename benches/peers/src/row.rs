//! A span as the other stores keep it: a column for whatever a question asks for, and the rest as the bytes it came in.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind, status::StatusCode};
use prost::Message;

/// The attribute that questions for a user name.
pub const USER_KEY: &str = "app.user.id";
/// The attribute that questions for an order name.
pub const ORDER_KEY: &str = "app.order.id";
const RESOURCES_FILE: &str = "resources";
const NANOS_A_MINUTE: i64 = 60_000_000_000;

/// One span.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub trace: [u8; 16],
    /// In the order of the ids as unsigned numbers.
    pub span: i64,
    /// Of the same kind; `None` for a root.
    pub parent: Option<i64>,
    pub service: String,
    pub name: String,
    /// A call that came in.
    pub served: bool,
    /// A call that went out.
    pub called: bool,
    pub start: i64,
    /// `None` if there is no end, or one before the start.
    pub duration: Option<i64>,
    pub error: bool,
    pub user: Option<String>,
    pub order: Option<String>,
    /// Number of the resource and scope among [`Resources`].
    pub resource: u32,
    /// What has no column, as an OTLP span.
    pub body: Vec<u8>,
}

impl Row {
    pub fn minute(&self) -> i64 {
        self.start / NANOS_A_MINUTE
    }
}

/// A span id as a number with a sign, in the same order.
pub fn signed(id: u64) -> i64 {
    (id ^ (1 << 63)) as i64
}

/// The span id of such a number.
pub fn unsigned(id: i64) -> u64 {
    id as u64 ^ (1 << 63)
}

/// Every resource with its scope, once: no store has to repeat them.
#[derive(Debug, Default)]
pub struct Resources {
    numbers: HashMap<Vec<u8>, u32>,
}

impl Resources {
    fn number(&mut self, encoded: Vec<u8>) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(encoded).or_insert(next)
    }

    /// Writes them to the directory of a store.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let mut all: Vec<_> = self.numbers.iter().collect();
        all.sort_by_key(|(_, number)| **number);
        crate::messages::write_messages(
            &directory.join(RESOURCES_FILE),
            all.into_iter().map(|(bytes, _)| bytes.clone()),
        )
    }
}

/// The resources of a store that is asked, and how to read a body.
pub struct Bodies(Vec<Vec<u8>>);

impl Bodies {
    pub fn load(directory: &Path) -> Result<Self> {
        let mut all = Vec::new();
        crate::messages::for_each_message(&directory.join(RESOURCES_FILE), |bytes| {
            all.push(bytes.to_vec());
            Ok(())
        })?;
        Ok(Self(all))
    }

    /// Reads the rest of a span and its resource; tells the number of attributes of both.
    pub fn attribute_count(&self, resource: u32, body: &[u8]) -> Result<u64> {
        let span = Span::decode(body)?;
        let resource = self.0.get(resource as usize).context("a resource that is not there")?;
        let resource = ResourceSpans::decode(resource.as_slice())?.resource.unwrap_or_default();
        Ok((span.attributes.len() + resource.attributes.len()) as u64)
    }
}

/// The spans of a message, each as a row.
pub fn rows_of(message: &[u8], resources: &mut Resources) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for group in ExportTraceServiceRequest::decode(message)?.resource_spans {
        let attributes = group.resource.as_ref().map(|resource| resource.attributes.as_slice()).unwrap_or_default();
        let service = text_of(attributes, "service.name").unwrap_or_default();
        for scoped in group.scope_spans {
            let scope = ScopeSpans { scope: scoped.scope, schema_url: scoped.schema_url, ..Default::default() };
            let resource = ResourceSpans {
                resource: group.resource.clone(),
                schema_url: group.schema_url.clone(),
                scope_spans: vec![scope],
            };
            let number = resources.number(resource.encode_to_vec());
            for span in scoped.spans {
                rows.push(row_of(span, &service, number)?);
            }
        }
    }
    Ok(rows)
}

fn row_of(mut span: Span, service: &str, resource: u32) -> Result<Row> {
    let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
    let duration = if start == 0 || end == 0 { None } else { end.checked_sub(start) };
    let mut row = Row {
        trace: span.trace_id.as_slice().try_into().context("a trace id has 16 bytes")?,
        span: id_of(&span.span_id)?.context("a span without an id")?,
        parent: id_of(&span.parent_span_id)?,
        service: service.to_owned(),
        name: std::mem::take(&mut span.name),
        served: span.kind == SpanKind::Server as i32,
        called: span.kind == SpanKind::Client as i32,
        start: i64::try_from(start)?,
        duration: duration.map(i64::try_from).transpose()?,
        error: span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32),
        user: text_of(&span.attributes, USER_KEY),
        order: text_of(&span.attributes, ORDER_KEY),
        resource,
        body: Vec::new(),
    };
    span.trace_id.clear();
    span.span_id.clear();
    span.parent_span_id.clear();
    span.start_time_unix_nano = 0;
    row.body = span.encode_to_vec();
    Ok(row)
}

/// The id of these bytes; `None` if there are none, or they are zero.
fn id_of(bytes: &[u8]) -> Result<Option<i64>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let id = u64::from_be_bytes(bytes.try_into().context("a span id has 8 bytes")?);
    Ok((id != 0).then(|| signed(id)))
}

fn text_of(attributes: &[KeyValue], key: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}
