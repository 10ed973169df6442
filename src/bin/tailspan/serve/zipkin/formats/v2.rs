//! A span of Zipkin's version 2, and lists of them as JSON.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use super::super::super::refusal::{Cause, Refusal};

/// A span; times are in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct V2Span {
    pub trace_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub timestamp: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub duration: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_endpoint: Option<V2Endpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_endpoint: Option<V2Endpoint>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<V2Annotation>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_false")]
    pub debug: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub shared: bool,
}

/// Where something was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct V2Endpoint {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl V2Endpoint {
    /// The endpoint, unless nothing is set. Names are in lower case, as Zipkin compares them.
    pub fn of(name: &str, ipv4: Option<Ipv4Addr>, ipv6: Option<Ipv6Addr>, port: u16) -> Option<Self> {
        let service_name = (!name.is_empty()).then(|| name.to_lowercase());
        let endpoint = Self { service_name, ipv4, ipv6, port: (port > 0).then_some(port) };
        (endpoint != Self::default()).then_some(endpoint)
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct V2Annotation {
    pub timestamp: u64,
    pub value: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// A list of spans as JSON, of at most so many bytes.
pub struct V2List {
    json: Vec<u8>,
    max: usize,
}

impl V2List {
    pub fn new(max: usize) -> Self {
        Self { json: b"[".to_vec(), max }
    }

    /// Adds a span.
    ///
    /// # Errors
    /// Too large.
    pub fn push(&mut self, span: &V2Span) -> Result<(), Refusal> {
        if self.json.len() > 1 {
            self.json.push(b',');
        }
        serde_json::to_writer(&mut self.json, span).map_err(|error| Refusal::invalid(error.to_string()))?;
        match self.json.len() <= self.max {
            true => Ok(()),
            false => Err(Refusal::new(Cause::TooLarge, format!("the spans take more than {} bytes as JSON", self.max))),
        }
    }

    /// The whole list.
    pub fn finish(mut self) -> Vec<u8> {
        self.json.push(b']');
        self.json
    }
}
