//! A page that lists orders and asks the database once for each: harmless with five orders, not with 200.

use tailspan::SpanKind;

use super::builder::{Call, TraceBuilder};
use super::{MICRO, MILLI};

/// The page of a customer with a few orders.
pub fn order_list(trace: &mut TraceBuilder, start: u64) {
    let orders = trace.random.between(3, 22);
    page(trace, start, orders);
}

/// The page of a customer with 200.
pub fn long_order_list(trace: &mut TraceBuilder, start: u64) {
    page(trace, start, 200);
}

fn page(trace: &mut TraceBuilder, start: u64, orders: u64) {
    let root = trace.open(None, "web", "GET /orders", SpanKind::SERVER, start);
    trace.set(root, "http.request.method", "GET");
    trace.set(root, "url.path", "/orders");
    trace.set(root, "user.id", format!("user-{:04}", start % 400));
    let (client, server, arrival) = trace.request(root, "order-view", "GET /orders", start + MILLI);
    trace.set(server, "app.orders.count", orders as i64);
    let mut at = arrival + MILLI;
    at = select(trace, server, "SELECT orders", at);
    for _ in 0..orders {
        at = select(trace, server, "SELECT items", at + 50 * MICRO);
    }
    let received = trace.respond((client, server), 200, at + 2 * MILLI);
    let render = trace.random.latency(4 * MILLI);
    let (_, end) = trace.step(root, "web", "render page", SpanKind::INTERNAL, received, render);
    trace.set(root, "http.response.status_code", 200);
    trace.close(root, end + MILLI);
}

fn select(trace: &mut TraceBuilder, parent: Call, name: &str, start: u64) -> u64 {
    let duration = trace.random.latency(1_200 * MICRO);
    let (call, end) = trace.step(parent, "order-view", name, SpanKind::CLIENT, start, duration);
    let table = name.trim_start_matches("SELECT ");
    trace.set(call, "db.system.name", "postgresql");
    trace.set(call, "db.query.text", format!("SELECT * FROM {table} WHERE id = $1"));
    trace.set(call, "server.address", "orders-db.shop.svc");
    end
}
