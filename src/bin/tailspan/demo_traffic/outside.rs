//! Third parties. A parcel service flaps: every other quarter of an hour has minutes in which it times out, which a
//! retry hides, and it refuses labels in answers of status 200. A payment provider is new: its calls wait for one of
//! few connections longer than for the network.

use tailspan::SpanKind;

use super::builder::{Call, TraceBuilder};
use super::{MICRO, MILLI, SECOND, minute};

const PARCELS: &str = "api.parcelhub.example";
const NEW_PAY: &str = "api.newpay.example";

/// A parcel label, which our own service delivers in any case.
pub fn label(trace: &mut TraceBuilder, start: u64) {
    let root = trace.open(None, "labels", "POST /labels", SpanKind::SERVER, start);
    let flaps = minute(start).is_some_and(|minute| minute % 15 < 3);
    let mut at = start + MILLI;
    for attempt in 0..3 {
        let times_out = flaps && attempt < 2 && trace.random.percent(60);
        let latency = trace.random.latency(70 * MILLI);
        let duration = if times_out { 2 * SECOND } else { latency.min(1_900 * MILLI) };
        let (call, end) = trace.step(root, "labels", "POST /v1/labels", SpanKind::CLIENT, at, duration);
        trace.set(call, "http.request.method", "POST");
        trace.set(call, "server.address", PARCELS);
        if attempt > 0 {
            trace.set(call, "http.request.resend_count", attempt);
        }
        at = end + 20 * MILLI;
        if times_out {
            trace.set(call, "error.type", "timeout");
            trace.fail(call, "no answer after 2 s");
            continue;
        }
        let refused = trace.random.percent(6);
        trace.set(call, "http.response.status_code", 200);
        trace.set(call, "app.carrier.result", if refused { "QUOTA_EXCEEDED" } else { "OK" });
        break;
    }
    trace.set(root, "http.response.status_code", 200);
    trace.close(root, at);
}

/// Money put on an account through the new provider.
pub fn top_up(trace: &mut TraceBuilder, start: u64) {
    let root = trace.open(None, "topup", "POST /topup", SpanKind::SERVER, start);
    let begun = start + MILLI;
    let call = trace.open(Some(root), "topup", "POST", SpanKind::CLIENT, begun);
    trace.set(call, "http.request.method", "POST");
    trace.set(call, "server.address", NEW_PAY);
    let queued = trace.random.latency(180 * MILLI);
    let at = part(trace, call, "wait for a connection", begun, queued);
    let connects = trace.random.percent(20);
    let handshake = if connects { trace.random.latency(30 * MILLI) } else { 50 * MICRO };
    let at = part(trace, call, "connect", at, handshake);
    let answer = trace.random.latency(45 * MILLI);
    let end = part(trace, call, "wait for the answer", at, answer);
    trace.set(call, "http.response.status_code", 200);
    trace.close(call, end);
    trace.close(root, end + MILLI);
}

fn part(trace: &mut TraceBuilder, call: Call, name: &str, start: u64, duration: u64) -> u64 {
    trace.step(call, "topup", name, SpanKind::INTERNAL, start, duration).1
}
