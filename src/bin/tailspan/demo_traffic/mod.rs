//! An hour of a small shop's traffic, the same on every run: what `demo` shows.
//!
//! | file | traffic | what there is to find |
//! |---|---|---|
//! | `payments.rs` | checkouts paid by card, wallet, invoice or slowbank | a bank that falls ill for ten minutes, refusals inside good answers, retries, a database pool that runs dry |
//! | `queue.rs` | order events, consumed by two services | a consumer that lags, spans joined by links across traces |
//! | `pages.rs` | an order list that asks once per order | N+1 queries, some pages with 200 of them |
//! | `sagas.rs` | trips booked in steps that are undone on failure; money moved by Try, Confirm, Cancel | forgotten compensations, transfers confirmed and cancelled |
//! | `legacy.rs` | an old service that reports as Zipkin | span ids shared by client and server |
//!
//! Nothing here reads a clock or an entropy source: times count from [`BEGIN_UNIX_NANO`].

mod builder;
mod legacy;
mod pages;
mod payments;
mod queue;
mod random;
mod sagas;

use tailspan::Span;

use builder::TraceBuilder;
use random::Random;

/// The hour begins: 2026-01-15T10:00:00Z.
pub const BEGIN_UNIX_NANO: u64 = 1_768_471_200 * SECOND;
const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;
/// Adds the spans of one business event that begins at this time.
type Scenario = fn(&mut TraceBuilder, u64);

/// Spans of a batch, as a collector sends them.
const BATCH_SPANS: usize = 500;

/// The hour's spans in the order they would arrive, by end, in batches.
pub fn batches() -> Vec<Vec<Span>> {
    let mut random = Random::new(20_260_115);
    let mut spans = Vec::new();
    let kinds: [(u64, Scenario); 6] = [
        (780, payments::checkout),
        (300, pages::order_list),
        (6, pages::long_order_list),
        (220, sagas::trip),
        (150, sagas::transfer),
        (180, legacy::inventory),
    ];
    for (count, generate) in kinds {
        for number in 0..count {
            // Evenly over the hour, each shaken a little within its share.
            let share = HOUR / count;
            let start = BEGIN_UNIX_NANO + number * share + random.below(share);
            let mut trace = TraceBuilder::new(&mut random);
            generate(&mut trace, start);
            spans.append(&mut trace.into_spans());
        }
    }
    spans.sort_by_key(|span| (span.end_unix_nano, span.trace_id, span.span_id));
    spans.chunks(BATCH_SPANS).map(<[Span]>::to_vec).collect()
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
    fn the_hour_has_about_twenty_thousand_distinct_spans() {
        let spans = spans();
        let distinct: HashSet<&Span> = spans.iter().collect();
        assert_eq!(distinct.len(), spans.len());
        assert!((17_000..25_000).contains(&spans.len()), "{}", spans.len());
    }

    #[test]
    fn spans_end_after_they_start_and_lie_in_the_hour_or_soon_after() {
        for span in spans() {
            assert!(span.end_unix_nano >= span.start_unix_nano, "{span:?}");
            assert!(span.start_unix_nano >= BEGIN_UNIX_NANO);
            assert!(span.end_unix_nano < BEGIN_UNIX_NANO + HOUR + 600 * SECOND);
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
    }
}
