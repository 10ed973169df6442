//! Checkouts: browser to shop to payment to a bank outside.
//!
//! The channel is known only on a span deep in the payment service. From minute 25 to 35 slowbank answers
//! ten times slower and every fourth call times out, which is retried; card payments are refused now and
//! then in an answer of status 200; at minute 45 the order database's pool runs dry for two minutes.

use tailspan::SpanKind;

use super::builder::{Call, TraceBuilder};
use super::{MICRO, MILLI, SECOND, minute, queue};

const TENANTS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];

/// How a customer pays: the channel, the host that is asked, how long it takes.
const CHANNELS: [(&str, &str, u64); 6] = [
    ("card", "api.cardnet.example", 120 * MILLI),
    ("card", "api.cardnet.example", 120 * MILLI),
    ("card", "api.cardnet.example", 120 * MILLI),
    ("wallet", "pay.wallet.example", 60 * MILLI),
    ("invoice", "score.invoice.example", 25 * MILLI),
    ("slowbank", "gw.slowbank.example", 450 * MILLI),
];

/// One checkout, with the message that an order was placed.
pub fn checkout(trace: &mut TraceBuilder, start: u64) {
    let root = trace.open(None, "web", "POST /checkout", SpanKind::SERVER, start);
    let tenant = trace.random.pick(&TENANTS);
    let user = format!("user-{:04}", trace.random.below(400));
    let order = trace.id("ord", 8);
    trace.set(root, "http.request.method", "POST");
    trace.set(root, "url.path", "/checkout");
    trace.set(root, "tenant.id", tenant);
    trace.set(root, "user.id", user.as_str());
    let (client, server, arrival) = trace.request(root, "checkout", "POST /orders", start + 2 * MILLI);
    trace.set(server, "app.order.id", order.as_str());
    trace.set(server, "tenant.id", tenant);
    let saved = save_order(trace, server, arrival + MILLI);
    let (paid, answered) = pay(trace, server, &order, saved + MILLI);
    let done = if paid { queue::announce_order(trace, server, &order, answered) } else { answered };
    let status = if paid { 201 } else { 402 };
    let received = trace.respond((client, server), status, done + MILLI);
    trace.set(root, "http.response.status_code", status);
    trace.close(root, received + 2 * MILLI);
}

/// Waits for a connection, then writes. Returns when that is done.
fn save_order(trace: &mut TraceBuilder, parent: Call, start: u64) -> u64 {
    let wait = if minute(start).is_some_and(|minute| (45..47).contains(&minute)) {
        trace.random.between(800, 2_400) * MILLI
    } else {
        trace.random.latency(80 * MICRO)
    };
    let (pool, connected) = trace.step(parent, "checkout", "pool.acquire", SpanKind::INTERNAL, start, wait);
    trace.set(pool, "db.client.connection.pool.name", "orders");
    trace.set(pool, "db.client.connection.pending_requests", if wait > SECOND { 48 } else { 0 });
    let duration = trace.random.latency(3 * MILLI);
    let (insert, saved) = trace.step(parent, "checkout", "INSERT orders", SpanKind::CLIENT, connected, duration);
    trace.set(insert, "db.system.name", "postgresql");
    trace.set(insert, "db.namespace", "shop");
    trace.set(insert, "db.query.text", "INSERT INTO orders (id, tenant, total) VALUES ($1, $2, $3)");
    trace.set(insert, "server.address", "orders-db.shop.svc");
    saved
}

/// Charges the customer. Returns whether that worked, and when the answer came.
fn pay(trace: &mut TraceBuilder, parent: Call, order: &str, start: u64) -> (bool, u64) {
    let (client, server, arrival) = trace.request(parent, "payment", "POST /charge", start);
    let (channel, host, typical) = trace.random.pick(&CHANNELS);
    let route = trace.open(Some(server), "payment", "route payment", SpanKind::INTERNAL, arrival + MILLI);
    let amount = trace.random.between(500, 90_000);
    trace.set(route, "app.payment.channel", channel);
    trace.set(route, "app.payment.amount_cents", amount as i64);
    trace.set(route, "app.order.id", order);
    let ill = channel == "slowbank" && minute(start).is_some_and(|minute| (25..35).contains(&minute));
    let mut at = arrival + 2 * MILLI;
    let mut answered = false;
    for attempt in 0..3 {
        (answered, at) = ask_bank(trace, route, (host, typical, ill), attempt, at);
        if answered {
            break;
        }
        at += (50 << attempt) * MILLI;
    }
    let refused = answered && channel == "card" && trace.random.percent(4);
    let result = match (answered, refused) {
        (false, _) => "unavailable",
        (true, true) => "declined",
        (true, false) => "accepted",
    };
    trace.set(route, "app.payment.result", result);
    if !answered {
        trace.fail(route, "no bank answered after 3 attempts");
    }
    trace.close(route, at);
    let status = if answered { 200 } else { 503 };
    (result == "accepted", trace.respond((client, server), status, at + MILLI))
}

/// One call to a bank. Returns whether it answered, and when it did or was given up.
fn ask_bank(
    trace: &mut TraceBuilder,
    parent: Call,
    (host, typical, ill): (&str, u64, bool),
    attempt: u64,
    start: u64,
) -> (bool, u64) {
    let timed_out = if ill { trace.random.percent(25) } else { trace.random.below(400) == 0 };
    let latency = trace.random.latency(if ill { typical * 10 } else { typical });
    let duration = if timed_out { 8 * SECOND } else { latency.min(7_900 * MILLI) };
    let (call, end) = trace.step(parent, "payment", "POST", SpanKind::CLIENT, start, duration);
    trace.set(call, "http.request.method", "POST");
    trace.set(call, "server.address", host);
    trace.set(call, "url.full", format!("https://{host}/v2/charges"));
    if attempt > 0 {
        trace.set(call, "http.request.resend_count", attempt as i64);
    }
    if timed_out {
        trace.set(call, "error.type", "timeout");
        trace.throw(call, end, "java.net.SocketTimeoutException", "Read timed out after 8000 ms");
    } else {
        trace.set(call, "http.response.status_code", 200);
    }
    (!timed_out, end)
}
