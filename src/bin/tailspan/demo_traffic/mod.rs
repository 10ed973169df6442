//! An hour of a small shop's traffic, the same on every run: what `demo` shows.
//!
//! | file | traffic | what there is to find |
//! |---|---|---|
//! | `payments.rs` | checkouts paid by card, wallet, invoice or slowbank | a bank that falls ill for ten minutes, refusals inside good answers, retries, a database pool that runs dry |
//! | `queue.rs` | order events, consumed by two services | messages that wait in the broker or for a worker, or are lost; spans joined by links across traces |
//! | `batching.rs` | stock changes, indexed in batches | batches of 10 against batches of 50 |
//! | `pages.rs` | an order list that asks once per order | N+1 queries, some pages with 200 of them |
//! | `sagas.rs` | trips booked in steps that are undone on failure | the step that fails most, forgotten compensations |
//! | `transfers.rs` | money moved by Try, Confirm, Cancel | branches forgotten, confirmed twice, cancelled before they were tried; accounts written by two at once |
//! | `transactions.rs` | global transactions over two databases | branches that disagree while the coordinator is cut off |
//! | `outside.rs` | a parcel service and a new payment provider | a third party that flaps behind retries, business errors of status 200, a pool of connections that is too small |
//! | `portal.rs` | a start page put together from five services, orders through thirty | the piece that decides how long a page takes, a failure deep below |
//! | `legacy.rs` | an old service that reports as Zipkin | span ids shared by client and server |
//!
//! Checkouts of the same hour a week before, when all was well, are there to compare with.
//!
//! Nothing here reads a clock or an entropy source: times count from [`BEGIN_UNIX_NANO`].

mod batching;
mod builder;
mod legacy;
mod outside;
mod pages;
mod payments;
mod portal;
mod queue;
mod random;
mod sagas;
mod transactions;
mod transfers;

use tailspan::Span;

use builder::TraceBuilder;
use random::Random;

/// The hour begins: 2026-01-15T10:00:00Z.
pub const BEGIN_UNIX_NANO: u64 = 1_768_471_200 * SECOND;
const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;
const WEEK: u64 = 7 * 24 * HOUR;
/// How often a scenario happens between two points of the hour, and what it is.
type Share = (u64, (u64, u64), Scenario);
/// Adds the spans of one business event that begins at this time.
type Scenario = fn(&mut TraceBuilder, u64);

/// Spans of a batch, as a collector sends them.
const BATCH_SPANS: usize = 500;

/// The hour's spans in the order they would arrive, by end, in batches.
pub fn batches() -> Vec<Vec<Span>> {
    let mut random = Random::new(20_260_115);
    let mut spans = Vec::new();
    let (all, half) = ((0, HOUR), HOUR / 2);
    let shares: [Share; 19] = [
        (780, all, payments::checkout),
        (300, all, pages::order_list),
        (6, all, pages::long_order_list),
        (220, all, sagas::trip),
        (150, all, transfers::transfer),
        (180, all, legacy::inventory),
        (4, all, transfers::rush),
        (3, all, transfers::confirmed_twice),
        (3, all, transfers::forgotten),
        (2, all, transfers::cancelled_untried),
        (2, all, transfers::tried_late),
        (60, (0, half), batching::batch_of_10),
        (12, (half, HOUR), batching::batch_of_50),
        (240, all, transactions::transaction),
        (5, (half, half + 240 * SECOND), transactions::cut_off),
        (240, all, outside::label),
        (200, all, outside::top_up),
        (120, all, portal::start_page),
        (30, all, portal::marketplace_order),
    ];
    for share in shares {
        spans.append(&mut of_share(&mut random, BEGIN_UNIX_NANO, share));
    }
    spans.append(&mut of_share(&mut random, BEGIN_UNIX_NANO - WEEK, (260, all, payments::checkout)));
    spans.sort_by_key(|span| (span.end_unix_nano, span.trace_id, span.span_id));
    spans.chunks(BATCH_SPANS).map(<[Span]>::to_vec).collect()
}

/// The spans of a scenario, as often as it happens.
fn of_share(random: &mut Random, begin: u64, (count, (from, until), generate): Share) -> Vec<Span> {
    let mut spans = Vec::new();
    for number in 0..count {
        // Evenly over its part of the hour, each shaken a little within its share.
        let share = (until - from) / count;
        let start = begin + from + number * share + random.below(share);
        let mut trace = TraceBuilder::new(random);
        generate(&mut trace, start);
        spans.append(&mut trace.into_spans());
    }
    spans
}

/// Minutes since the hour began; none before.
fn minute(at: u64) -> Option<u64> {
    Some(at.checked_sub(BEGIN_UNIX_NANO)? / (60 * SECOND))
}

/// A span of trace 1 that says as little as a span can.
#[cfg(test)]
pub fn plain_span(id: u64, start_unix_nano: u64) -> Span {
    use tailspan::{Origin, SpanId, SpanKind, TraceId};
    Span {
        resource: Default::default(),
        scope: Default::default(),
        trace_id: TraceId::from_halves(0, 1).expect("not zero"),
        span_id: SpanId::from_u64(id).expect("not zero"),
        parent_span_id: None,
        trace_state: String::new(),
        flags: 0,
        name: String::new(),
        kind: SpanKind::UNSPECIFIED,
        start_unix_nano,
        end_unix_nano: 0,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: Vec::new(),
        dropped_events_count: 0,
        links: Vec::new(),
        dropped_links_count: 0,
        status: None,
        origin: Origin::Otlp,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tailspan::Value;

    use super::*;

    fn spans() -> Vec<Span> {
        batches().concat()
    }

    fn has(span: &Span, key: &str, value: &str) -> bool {
        span.attributes.iter().any(|a| a.key == key && a.value == Value::from(value))
    }

    #[test]
    fn the_hour_is_the_same_every_time() {
        assert!(spans() == spans());
    }

    #[test]
    fn the_hour_has_about_thirty_thousand_distinct_spans() {
        let spans = spans();
        let distinct: HashSet<&Span> = spans.iter().collect();
        assert_eq!(distinct.len(), spans.len());
        assert!((27_000..36_000).contains(&spans.len()), "{}", spans.len());
    }

    #[test]
    fn spans_end_after_they_start_and_lie_in_the_hour_or_soon_after_or_a_week_before() {
        for span in spans() {
            assert!(span.end_unix_nano >= span.start_unix_nano, "{span:?}");
            let begin = if minute(span.start_unix_nano).is_some() { BEGIN_UNIX_NANO } else { BEGIN_UNIX_NANO - WEEK };
            assert!(span.start_unix_nano >= begin);
            assert!(span.end_unix_nano < begin + HOUR + 600 * SECOND);
        }
    }

    #[test]
    fn everything_the_tour_shows_is_there() {
        let spans = spans();
        let any = |what: &str, test: &dyn Fn(&Span) -> bool| assert!(spans.iter().any(test), "no {what}");
        any("slow bank", &|s| has(s, "app.payment.channel", "slowbank") && s.duration_nanos() > Some(5 * SECOND));
        any("refusal in a good answer", &|s| has(s, "app.payment.result", "declined") && !s.is_error());
        any("retry", &|s| s.attributes.iter().any(|a| a.key == "http.request.resend_count"));
        any("stack trace", &|s| s.events.iter().any(|e| e.attributes.iter().any(|a| a.key == "exception.stacktrace")));
        any("link across traces", &|s| s.links.iter().any(|l| l.trace_id != Some(s.trace_id.to_bytes())));
        any("compensation", &|s| has(s, "saga.action", "compensate"));
        any("cancelled transfer", &|s| has(s, "tcc.phase", "cancel"));
        any("Zipkin span", &Span::is_zipkin);
        any("batch of 50", &|s| s.links.len() == 50);
        any("account written by two at once", &|s| has(s, "account.id", "acc-007"));
        any("transaction that was cut off", &|s| has(s, "tx.reason", "coordinator timeout"));
        any("business error in a good answer", &|s| has(s, "app.carrier.result", "QUOTA_EXCEEDED") && !s.is_error());
        any("failure deep below", &|s| s.service() == Some("rates") && s.is_error());
    }
}
