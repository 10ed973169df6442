//! A sink that keeps what it is given, for tests.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{
    AttributeRef, Event, KeyValue, Link, Origin, RejectReason, Resource, ResourceToken, Scope, ScopeToken, Span,
    SpanRef, SpanSink, Status, Value, ValueRef,
};

/// Spans, owned, and refusals, in the order they came. Remembers wire bytes as the head does, so that
/// a reader which hands out equal bytes for different resources is found out.
#[derive(Debug, Default)]
pub struct Collected {
    pub spans: Vec<Span>,
    pub rejected: Vec<RejectReason>,
    resources: Vec<Arc<Resource>>,
    scopes: Vec<Arc<Scope>>,
    known_resources: HashMap<[Vec<u8>; 2], ResourceToken>,
    known_scopes: HashMap<[Vec<u8>; 2], ScopeToken>,
}

impl SpanSink for Collected {
    fn known_resource(&mut self, wire: [&[u8]; 2]) -> Option<ResourceToken> {
        self.known_resources.get(&wire.map(<[u8]>::to_vec)).copied()
    }

    fn known_scope(&mut self, wire: [&[u8]; 2]) -> Option<ScopeToken> {
        self.known_scopes.get(&wire.map(<[u8]>::to_vec)).copied()
    }

    fn resource(&mut self, wire: [&[u8]; 2], decode: &mut dyn FnMut() -> Resource) -> ResourceToken {
        let key = wire.map(<[u8]>::to_vec);
        if let Some(token) = self.known_resources.get(&key) {
            return *token;
        }
        let token = ResourceToken(self.resources.len() as u32);
        self.resources.push(Arc::new(decode()));
        if wire.iter().any(|part| !part.is_empty()) {
            self.known_resources.insert(key, token);
        }
        token
    }

    fn scope(&mut self, wire: [&[u8]; 2], decode: &mut dyn FnMut() -> Scope) -> ScopeToken {
        let key = wire.map(<[u8]>::to_vec);
        if let Some(token) = self.known_scopes.get(&key) {
            return *token;
        }
        let token = ScopeToken(self.scopes.len() as u32);
        self.scopes.push(Arc::new(decode()));
        if wire.iter().any(|part| !part.is_empty()) {
            self.known_scopes.insert(key, token);
        }
        token
    }

    fn span(&mut self, resource: ResourceToken, scope: ScopeToken, span: &SpanRef<'_>) {
        let resource = Arc::clone(&self.resources[resource.0 as usize]);
        let scope = Arc::clone(&self.scopes[scope.0 as usize]);
        self.spans.push(owned_span(resource, scope, span));
    }

    fn reject(&mut self, reason: RejectReason) {
        self.rejected.push(reason);
    }
}

fn owned_span(resource: Arc<Resource>, scope: Arc<Scope>, span: &SpanRef<'_>) -> Span {
    let attributes = |range: std::ops::Range<usize>| span.attributes[range].iter().map(owned_attribute).collect();
    let event = |event: &crate::model::EventRef<'_>| Event {
        time_unix_nano: event.time_unix_nano,
        name: event.name.to_str().to_owned(),
        attributes: attributes(event.attributes.clone()),
        dropped_attributes_count: event.dropped_attributes_count,
    };
    let link = |link: &crate::model::LinkRef<'_>| Link {
        trace_id: link.trace_id,
        span_id: link.span_id,
        trace_state: link.trace_state.to_owned(),
        attributes: attributes(link.attributes.clone()),
        dropped_attributes_count: link.dropped_attributes_count,
        flags: link.flags,
    };
    Span {
        resource,
        scope,
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent_span_id: span.parent_span_id,
        trace_state: span.trace_state.to_owned(),
        flags: span.flags,
        name: span.name.to_str().to_owned(),
        kind: span.kind,
        start_unix_nano: span.start_unix_nano,
        end_unix_nano: span.end_unix_nano,
        attributes: attributes(0..span.span_attributes_count),
        dropped_attributes_count: span.dropped_attributes_count,
        events: span.events.iter().map(event).collect(),
        dropped_events_count: span.dropped_events_count,
        links: span.links.iter().map(link).collect(),
        dropped_links_count: span.dropped_links_count,
        status: span.status.map(|(code, message)| Status { code, message: message.to_owned() }),
        origin: match span.zipkin {
            None => Origin::Otlp,
            Some((remote, debug, shared)) => Origin::Zipkin { remote_endpoint: remote.cloned(), debug, shared },
        },
    }
}

fn owned_attribute(attribute: &AttributeRef<'_>) -> KeyValue {
    let value = match &attribute.value {
        ValueRef::Empty => Value::Empty,
        ValueRef::String(v) => Value::String(v.to_str().to_owned()),
        ValueRef::Bool(v) => Value::Bool(*v),
        ValueRef::Int(v) => Value::Int(*v),
        ValueRef::Double(v) => Value::Double(*v),
        ValueRef::Bytes(v) => Value::Bytes(v.to_vec()),
        ValueRef::Composite(v) => v.clone().into_owned(),
    };
    KeyValue { key: attribute.key.to_str().to_owned(), value }
}

/// The public data for tests: files under `$TAILSPAN_DATA` in `folder`, unzipped; none, with a word
/// on stderr, where the variable is unset.
pub fn public_data(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let Some(root) = std::env::var_os("TAILSPAN_DATA") else {
        eprintln!("skipped: TAILSPAN_DATA is not set");
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(PathBuf::from(root).join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let mut content = std::fs::read(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "gz") {
            let packed = std::mem::take(&mut content);
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut content).unwrap();
        }
        files.push((path, content));
    }
    assert!(!files.is_empty(), "no files in {folder}");
    files.sort();
    files
}
