//! An old stock service whose libraries speak Zipkin: times in microseconds, tags of text, endpoints
//! with addresses, and one span id for both sides of a call.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tailspan::{Endpoint, Event, KeyValue, Origin, Resource, Span, SpanKind};

use super::builder::{Call, TraceBuilder};
use super::{MICRO, MILLI};

/// One look into the stock: warehouse asks inventory, which asks its database.
pub fn inventory(trace: &mut TraceBuilder, start: u64) {
    let start = start - start % MICRO;
    let duration = micros(trace.random.latency(25 * MILLI));
    let out_of_stock = trace.random.percent(5);
    let client = trace.open(None, "warehouse", "get /stock", SpanKind::CLIENT, start);
    let server = trace.open(None, "inventory", "get /stock", SpanKind::SERVER, start + 300 * MICRO);
    let span_id = trace.span(client).span_id;
    trace.span_mut(server).span_id = span_id;
    let database = trace.open(Some(server), "inventory", "select", SpanKind::CLIENT, start + 900 * MICRO);
    let sku = trace.id("sku", 5);
    for (call, inset, remote, shared) in [
        (client, 0, "inventory", false),
        (server, 300 * MICRO, "warehouse", true),
        (database, 2 * MILLI, "stock-db", false),
    ] {
        let end = start + duration - (inset / 2).min(duration / 2);
        let begun = trace.span(call).start_unix_nano;
        trace.close(call, end.max(begun + 100 * MICRO));
        dress(trace, call, remote, shared);
        trace.set(call, "stock.sku", sku.as_str());
    }
    if out_of_stock {
        trace.set(server, "error", "out of stock");
    }
    let written = Event { time_unix_nano: start + 250 * MICRO, name: "wire.send".to_owned(), ..Event::default() };
    trace.span_mut(client).events.push(written);
    // Zipkin writes tags in key order.
    for call in [client, server, database] {
        trace.span_mut(call).attributes.sort_by(|a, b| a.key.cmp(&b.key));
    }
}

/// Turns a span into what the Zipkin reader would have made of it.
fn dress(trace: &mut TraceBuilder, call: Call, remote: &str, shared: bool) {
    let local = endpoint(&trace.service(call));
    let remote_endpoint = Some(endpoint(remote));
    let span: &mut Span = trace.span_mut(call);
    let attributes = local.service_name.iter().map(|name| KeyValue::new("service.name", name.as_str())).collect();
    span.resource = Arc::new(Resource { attributes, local_endpoint: Some(local), ..Resource::default() });
    span.scope = Arc::default();
    span.flags = 0;
    span.origin = Origin::Zipkin { remote_endpoint, debug: false, shared };
    span.attributes.push(KeyValue::new("http.path", "/stock"));
}

/// An endpoint whose address follows from its name.
fn endpoint(service: &str) -> Endpoint {
    let last = service.bytes().fold(7u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    Endpoint {
        service_name: Some(service.to_owned()),
        ipv4: Some(Ipv4Addr::new(10, 4, 0, last)),
        ipv6: None,
        port: Some(8_080),
    }
}

fn micros(nanos: u64) -> u64 {
    nanos - nanos % MICRO
}
