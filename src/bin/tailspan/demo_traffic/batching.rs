//! Stock changes on a queue, indexed in batches: of 10 messages in the first half of the hour, of 50 in the second.
//!
//! A batch is one CONSUMER span in a trace of its own that links to every message in it. Larger batches cost less a
//! message, but a message waits longer until its batch is full.

use tailspan::SpanKind;

use super::builder::TraceBuilder;
use super::{MICRO, MILLI};

/// Milliseconds between two messages.
const EVERY_MILLIS: u64 = 400;

/// A batch of 10 messages.
pub fn batch_of_10(trace: &mut TraceBuilder, start: u64) {
    batch(trace, start, 10);
}

/// A batch of 50 messages.
pub fn batch_of_50(trace: &mut TraceBuilder, start: u64) {
    batch(trace, start, 50);
}

fn batch(trace: &mut TraceBuilder, start: u64, size: u64) {
    let mut sent = Vec::new();
    let mut at = start;
    for _ in 0..size {
        trace.begin_another_trace();
        let send = trace.open(None, "warehouse", "send stock-events", SpanKind::PRODUCER, at);
        let end = at + trace.random.latency(800 * MICRO);
        trace.set(send, "messaging.system", "kafka");
        trace.set(send, "messaging.destination.name", "stock-events");
        trace.set(send, "messaging.operation.type", "send");
        trace.close(send, end);
        sent.push(send);
        at = end.max(at + EVERY_MILLIS * MILLI);
    }
    trace.begin_another_trace();
    let begun = at + trace.random.latency(5 * MILLI);
    let process = trace.open(None, "indexer", "process stock-events", SpanKind::CONSUMER, begun);
    trace.set(process, "messaging.system", "kafka");
    trace.set(process, "messaging.destination.name", "stock-events");
    trace.set(process, "messaging.operation.type", "process");
    trace.set(process, "messaging.consumer.group.name", "indexer");
    trace.set(process, "messaging.batch.message_count", size as i64);
    sent.into_iter().for_each(|send| trace.link(process, send));
    let duration = trace.random.latency(40 * MILLI + size * MILLI);
    let (bulk, end) = trace.step(process, "indexer", "POST _bulk", SpanKind::CLIENT, begun + MILLI, duration);
    trace.set(bulk, "db.system.name", "elasticsearch");
    trace.set(bulk, "server.address", "search.shop.svc");
    trace.close(process, end + MILLI);
}
