//! From one data model to the other: what a Zipkin span is as OTLP, and an OTLP span as Zipkin.
//!
//! A crossing loses what the other side cannot say and need not come back identical; a span that stays
//! on its side never crosses. Both directions are pure functions of one span.

mod names;
mod to_otlp;
mod to_zipkin;

pub use to_otlp::zipkin_to_otlp;
pub use to_zipkin::otlp_to_zipkin;

use crate::model::{Endpoint, KeyValue, Resource};

/// The resource of a Zipkin span that was recorded at this local endpoint.
pub fn zipkin_resource(local_endpoint: Option<Endpoint>) -> Resource {
    let service = local_endpoint.as_ref().and_then(|endpoint| endpoint.service_name.as_deref());
    Resource {
        present: local_endpoint.is_some(),
        attributes: service.map(|name| KeyValue::new(names::SERVICE_NAME, name)).into_iter().collect(),
        local_endpoint,
        ..Resource::default()
    }
}
