//! Texts and endpoints as codes, for as long as traces are linked.

use std::cmp::Ordering;

use rustc_hash::FxHashMap;

use crate::column::NONE;
use crate::model::{Endpoint, Resource};

/// Texts and endpoints by code. Codes are handed out in the order of first use.
#[derive(Debug, Default)]
pub struct LinkNames {
    texts: Vec<Box<str>>,
    codes: FxHashMap<Box<str>, u32>,
    endpoints: Vec<Endpoint>,
    endpoint_codes: FxHashMap<Endpoint, u32>,
    /// Endpoints that are a service and nothing else, by the code of its name.
    of_services: FxHashMap<u32, u32>,
}

impl LinkNames {
    /// The code of a text; [`NONE`] for none.
    pub fn code(&mut self, text: Option<&str>) -> u32 {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return NONE };
        if let Some(code) = self.codes.get(text) {
            return *code;
        }
        let code = self.texts.len() as u32;
        self.texts.push(text.into());
        self.codes.insert(text.into(), code);
        code
    }

    /// The text of a code; empty for [`NONE`].
    pub fn text(&self, code: u32) -> &str {
        self.texts.get(code as usize).map_or("", |text| text)
    }

    /// The code of where the spans of a resource were recorded: Zipkin's local endpoint, for OpenTelemetry the
    /// service alone; [`NONE`] if nothing is known.
    pub fn endpoint_of(&mut self, resource: &Resource) -> u32 {
        if let Some(local) = &resource.local_endpoint {
            return self.endpoint_code(local.clone());
        }
        let service = self.code(resource.service());
        if let Some(known) = self.of_services.get(&service) {
            return *known;
        }
        let service_name = resource.service().map(str::to_owned);
        let code = self.endpoint_code(Endpoint { service_name, ..Endpoint::default() });
        self.of_services.insert(service, code);
        code
    }

    fn endpoint_code(&mut self, endpoint: Endpoint) -> u32 {
        if endpoint.is_empty() {
            return NONE;
        }
        if let Some(code) = self.endpoint_codes.get(&endpoint) {
            return *code;
        }
        let code = self.endpoints.len() as u32;
        self.endpoints.push(endpoint.clone());
        self.endpoint_codes.insert(endpoint, code);
        code
    }

    fn endpoint(&self, code: u32) -> Option<&Endpoint> {
        self.endpoints.get(code as usize)
    }

    /// Both endpoints as one, unless they say different things.
    pub(super) fn join(&mut self, a: u32, b: u32) -> Option<u32> {
        let (Some(one), Some(two)) = (self.endpoint(a), self.endpoint(b)) else {
            return Some(if a == NONE { b } else { a });
        };
        if a == b {
            return Some(a);
        }
        let differ = |one: bool, two: bool, equal: bool| one && two && !equal;
        if differ(one.service_name.is_some(), two.service_name.is_some(), one.service_name == two.service_name)
            || differ(one.ipv4.is_some(), two.ipv4.is_some(), one.ipv4 == two.ipv4)
            || differ(one.ipv6.is_some(), two.ipv6.is_some(), one.ipv6 == two.ipv6)
            || differ(one.port.is_some(), two.port.is_some(), one.port == two.port)
        {
            return None;
        }
        let joined = Endpoint {
            service_name: one.service_name.clone().or_else(|| two.service_name.clone()),
            ipv4: one.ipv4.or(two.ipv4),
            ipv6: one.ipv6.or(two.ipv6),
            port: one.port.or(two.port),
        };
        Some(self.endpoint_code(joined))
    }

    /// Zipkin's order of endpoints: none first; then service, IPv4, IPv6 as texts, in each the absent one last.
    pub(super) fn compare(&self, a: u32, b: u32) -> Ordering {
        let (Some(one), Some(two)) = (self.endpoint(a), self.endpoint(b)) else {
            return (a != NONE).cmp(&(b != NONE));
        };
        let service = |e: &Endpoint| e.service_name.clone();
        let (v4, v6) = (|e: &Endpoint| e.ipv4.map(|ip| ip.to_string()), |e: &Endpoint| e.ipv6.map(|ip| ip.to_string()));
        let last = |a: Option<String>, b: Option<String>| (a.is_none(), a).cmp(&(b.is_none(), b));
        let by_service = last(service(one), service(two));
        by_service.then_with(|| last(v4(one), v4(two))).then_with(|| last(v6(one), v6(two)))
    }

    /// What tells endpoints apart that [`LinkNames::compare`] does not.
    pub(super) fn port(&self, code: u32) -> Option<u16> {
        self.endpoint(code)?.port
    }
}
