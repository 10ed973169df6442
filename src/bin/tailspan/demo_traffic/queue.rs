//! Order events on a Kafka-like queue.
//!
//! `shipping` consumes inside the producer's trace: its messages leave the broker at once, and then wait for one of
//! its few workers. `billing` consumes in traces of its own and points back with span links. Its partition 3 lags, so
//! that messages wait in the broker for up to two minutes, and now and then one is lost.

use tailspan::SpanKind;

use super::builder::{Call, TraceBuilder};
use super::{MICRO, MILLI, SECOND};

const DESTINATION: &str = "order-events";

/// Sends the event and lets both consumers have it. Returns when the producer goes on.
pub fn announce_order(trace: &mut TraceBuilder, parent: Call, order: &str, start: u64) -> u64 {
    let duration = trace.random.latency(900 * MICRO);
    let partition = trace.random.below(4) as i64;
    let (send, sent) = trace.step(parent, "checkout", "send order-events", SpanKind::PRODUCER, start, duration);
    describe(trace, send, "send", partition);
    let offset = trace.random.below(1_000_000) as i64;
    trace.set(send, "messaging.kafka.offset", offset);
    trace.set(send, "app.order.id", order);
    ship(trace, send, order, sent, partition);
    bill(trace, send, order, sent, partition);
    sent
}

fn describe(trace: &mut TraceBuilder, call: Call, operation: &str, partition: i64) {
    trace.set(call, "messaging.system", "kafka");
    trace.set(call, "messaging.destination.name", DESTINATION);
    trace.set(call, "messaging.operation.type", operation);
    trace.set(call, "messaging.destination.partition.id", partition.to_string());
}

fn ship(trace: &mut TraceBuilder, send: Call, order: &str, sent: u64, partition: i64) {
    let start = sent + trace.random.latency(20 * MILLI);
    let consume = trace.open(Some(send), "shipping", "process order-events", SpanKind::CONSUMER, start);
    describe(trace, consume, "process", partition);
    trace.set(consume, "messaging.consumer.group.name", "shipping");
    trace.set(consume, "app.order.id", order);
    trace.link(consume, send);
    let queued = trace.random.latency(220 * MILLI);
    let (_, begun) = trace.step(consume, "shipping", "wait for a worker", SpanKind::INTERNAL, start, queued);
    let duration = trace.random.latency(15 * MILLI);
    let (update, end) = trace.step(consume, "shipping", "INSERT parcels", SpanKind::CLIENT, begun + MILLI, duration);
    trace.set(update, "db.system.name", "mysql");
    trace.set(update, "server.address", "parcels-db.shop.svc");
    trace.close(consume, end + MILLI);
}

fn bill(trace: &mut TraceBuilder, send: Call, order: &str, sent: u64, partition: i64) {
    if trace.random.below(120) == 0 {
        return;
    }
    trace.begin_another_trace();
    let lag = if partition == 3 { trace.random.between(5, 120) * SECOND } else { trace.random.latency(200 * MILLI) };
    let start = sent + lag;
    let consume = trace.open(None, "billing", "process order-events", SpanKind::CONSUMER, start);
    describe(trace, consume, "process", partition);
    trace.set(consume, "messaging.consumer.group.name", "billing");
    trace.set(consume, "app.order.id", order);
    trace.link(consume, send);
    let queued = trace.random.latency(3 * MILLI);
    let (_, begun) = trace.step(consume, "billing", "wait for a worker", SpanKind::INTERNAL, start, queued);
    let duration = trace.random.latency(30 * MILLI);
    let (render, end) = trace.step(consume, "billing", "render invoice", SpanKind::INTERNAL, begun + MILLI, duration);
    trace.set(render, "app.invoice.pages", 1 + (duration % 3) as i64);
    if trace.random.percent(1) {
        trace.throw(render, end, "shop.billing.TemplateException", "no template for this tenant");
        trace.fail(consume, "the message goes to order-events-dead");
    }
    trace.close(consume, end + MILLI);
}
