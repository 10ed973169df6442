//! Work over several services that must happen whole or not at all.
//!
//! A trip is a saga: flight, hotel and car are booked in turn, and when one fails the earlier ones are
//! undone. One compensation in six is forgotten.

use tailspan::SpanKind;

use super::MILLI;
use super::builder::{Call, TraceBuilder};

const STEPS: [(&str, u64); 3] = [("flight", 90 * MILLI), ("hotel", 60 * MILLI), ("car", 40 * MILLI)];

/// The step that fails; hotels are sold out most often.
const FAILING: [usize; 4] = [0, 1, 1, 2];

/// One trip, booked or undone.
pub fn trip(trace: &mut TraceBuilder, start: u64) {
    let saga = trace.id("saga", 10);
    let root = trace.open(None, "trips", "book trip", SpanKind::SERVER, start);
    trace.set(root, "saga.id", saga.as_str());
    trace.set(root, "saga.type", "trip");
    let failing = if trace.random.percent(15) { trace.random.pick(&FAILING) } else { STEPS.len() };
    let mut at = start + MILLI;
    for (place, (step, typical)) in STEPS.iter().enumerate().take(failing + 1) {
        at = saga_step(trace, root, (&saga, step, "do"), *typical, place == failing, at);
    }
    for (step, typical) in STEPS.iter().take(failing).rev() {
        let forgotten = trace.random.below(6) == 0;
        if failing < STEPS.len() && !forgotten {
            at = saga_step(trace, root, (&saga, step, "compensate"), typical / 2, false, at);
        }
    }
    if failing < STEPS.len() {
        trace.fail(root, "trip could not be booked");
    }
    trace.close(root, at + MILLI);
}

fn saga_step(
    trace: &mut TraceBuilder,
    root: Call,
    (saga, step, action): (&str, &str, &str),
    typical: u64,
    fails: bool,
    start: u64,
) -> u64 {
    let route = if action == "do" { "POST /bookings" } else { "DELETE /bookings" };
    let (client, server, arrival) = trace.request(root, step, route, start);
    trace.set(server, "saga.id", saga);
    trace.set(server, "saga.step", step);
    trace.set(server, "saga.action", action);
    let end = arrival + trace.random.latency(typical);
    if fails {
        trace.throw(server, end, "shop.trips.SoldOutException", "nothing left on these dates");
    }
    trace.respond((client, server), if fails { 500 } else { 200 }, end)
}
