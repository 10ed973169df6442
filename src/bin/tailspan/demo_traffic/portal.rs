//! Requests that need many services: a start page put together from five, and orders of a marketplace that pass
//! through thirty. Of the latter one fails deep below, for one customer.

use tailspan::SpanKind;

use super::builder::{Call, TraceBuilder};
use super::{MILLI, minute};

/// What the start page is made of, and how long that takes.
const PIECES: [(&str, u64); 5] = [
    ("profile", 15 * MILLI),
    ("basket", 20 * MILLI),
    ("offers", 45 * MILLI),
    ("recommendations", 90 * MILLI),
    ("loyalty", 30 * MILLI),
];

/// Services an order of the marketplace passes through, each asking the two after its place doubled.
const CHAIN: [&str; 30] = [
    "market-gateway",
    "market-orders",
    "market-session",
    "pricing",
    "inventory-view",
    "session-store",
    "consent",
    "tax",
    "discounts",
    "warehouse-eu",
    "warehouse-us",
    "session-cache",
    "audit",
    "consent-log",
    "currency",
    "vat-rules",
    "coupons",
    "bonus-points",
    "pickers-eu",
    "packers-eu",
    "pickers-us",
    "market-payment",
    "cache-shards",
    "audit-sink",
    "ids",
    "consent-sink",
    "rates",
    "rate-feed",
    "vat-feed",
    "coupon-store",
];
/// The service that fails, and the customer it fails for.
const FAILING: &str = "rates";
const UNLUCKY: &str = "user-7311";

/// The start page: five calls at once, and as slow as the slowest.
pub fn start_page(trace: &mut TraceBuilder, start: u64) {
    let root = trace.open(None, "portal", "GET /start", SpanKind::SERVER, start);
    let mut last = start;
    for (service, typical) in PIECES {
        let (client, server, arrival) = trace.request(root, service, "GET /piece", start + MILLI);
        let end = arrival + trace.random.latency(typical);
        last = last.max(trace.respond((client, server), 200, end));
    }
    let rendering = trace.random.latency(5 * MILLI);
    let (_, end) = trace.step(root, "portal", "render page", SpanKind::INTERNAL, last, rendering);
    trace.close(root, end + MILLI);
}

/// An order of the marketplace.
pub fn marketplace_order(trace: &mut TraceBuilder, start: u64) {
    let root = trace.open(None, CHAIN[0], "POST /market/orders", SpanKind::SERVER, start);
    let unlucky = minute(start).is_some_and(|minute| (42..44).contains(&minute));
    let user = if unlucky { UNLUCKY.to_owned() } else { format!("user-{}", 7_000 + trace.random.below(300)) };
    trace.set(root, "user.id", user);
    let (end, failed) = ask_below(trace, root, 0, unlucky, start + MILLI);
    if failed {
        trace.fail(root, "");
    }
    trace.set(root, "http.response.status_code", if failed { 502 } else { 201 });
    trace.close(root, end + MILLI);
}

/// Asks the two services below the one at this place. Returns when both answered, and whether one failed.
fn ask_below(trace: &mut TraceBuilder, parent: Call, place: usize, unlucky: bool, start: u64) -> (u64, bool) {
    let (mut at, mut failed) = (start, false);
    for below in [2 * place + 1, 2 * place + 2] {
        let Some(service) = CHAIN.get(below) else { continue };
        let (client, server, arrival) = trace.request(parent, service, "POST /step", at);
        let (done, fails) = ask_below(trace, server, below, unlucky, arrival + MILLI);
        let end = done + trace.random.latency(2 * MILLI);
        let own = unlucky && *service == FAILING;
        if own {
            trace.throw(server, end, "shop.rates.StaleRateException", "rate EUR/CHF is older than 24 h");
        }
        failed |= own || fails;
        at = trace.respond((client, server), if own || fails { 502 } else { 200 }, end);
    }
    (at, failed)
}
