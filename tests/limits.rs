//! What a limit cuts says so: each limit is reached, and its message or mark is seen.

use std::sync::Arc;
use std::time::Duration;

use tailspan::{
    ErrorKind, GroupKey, KeyValue, LatencyQuery, Limits, ListFilter, Order, Origin, Quantile, Query, RejectReason,
    Resource, Scope, SimulatedDisk, Span, SpanId, SpanKind, Store, TraceId, Value,
};

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

fn store(limits: Limits) -> Store {
    let builder = Store::builder("store").storage(Arc::new(SimulatedDisk::new(1))).seal_automatically(false);
    builder.limits(limits).open().expect("a new store")
}

fn id(trace: u64) -> TraceId {
    TraceId::from_halves(0, trace).expect("not zero")
}

fn span(trace: u64, number: u64, text: &str) -> Span {
    Span {
        resource: Arc::new(Resource::default()),
        scope: Arc::new(Scope::default()),
        trace_id: id(trace),
        span_id: SpanId::from_u64(number).expect("not zero"),
        parent_span_id: None,
        trace_state: String::new(),
        flags: 0,
        name: "work".to_owned(),
        kind: SpanKind::INTERNAL,
        start_unix_nano: 1_000 + trace,
        end_unix_nano: 2_000 + trace + number,
        attributes: vec![KeyValue::new("text", format!("{text} {trace} {number}").as_str())],
        dropped_attributes_count: 0,
        events: Vec::new(),
        dropped_events_count: 0,
        links: Vec::new(),
        dropped_links_count: 0,
        status: None,
        origin: Origin::Otlp,
    }
}

fn append(store: &Store, spans: &[Span]) {
    assert_eq!(store.append(spans).expect("appended").accepted, spans.len() as u64);
}

/// The same spans in the head, in a segment, and each trace in both.
fn each_way(limits: &Limits, spans: &[Span]) -> [Store; 3] {
    let stores = [0, 1, 2].map(|_| store(limits.clone()));
    append(&stores[0], spans);
    append(&stores[1], spans);
    stores[1].seal().expect("sealed");
    let (odd, even): (Vec<Span>, Vec<Span>) = spans.iter().cloned().partition(|span| span.span_id.get() % 2 == 1);
    append(&stores[2], &odd);
    stores[2].seal().expect("sealed");
    append(&stores[2], &even);
    stores
}

/// Ten traces of two spans, and trace 99 of a hundred with a kilobyte each.
fn one_large_trace() -> Vec<Span> {
    let small = (1..=10).flat_map(|trace| [span(trace, 1, "small"), span(trace, 2, "small")]);
    small.chain((1..=100).map(|number| span(99, number, &"x".repeat(1_000)))).collect()
}

fn ids(traces: &[tailspan::TraceSummary]) -> Vec<u64> {
    traces.iter().map(|trace| trace.trace_id.low()).collect()
}

#[test]
fn a_message_that_is_too_long_is_refused_whole() {
    let store = store(limits(|l| l.message_bytes_max = 10));
    for error in [
        store.append_otlp(&[0; 11]).expect_err("too long"),
        store.append_otlp_json(b"{\"resourceSpans\":[]}").expect_err("too long"),
        store.append_zipkin_json(b"[           ]").expect_err("too long"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("10"), "{error}");
    }
}

fn json_of(spans: &[Span]) -> Vec<u8> {
    let mut text = Vec::new();
    tailspan::write_otlp_json(spans, &mut text).expect("memory takes everything");
    text
}

#[test]
fn a_span_that_is_too_large_is_refused_alone() {
    let spans = [span(1, 1, "small"), span(2, 1, &"x".repeat(5_000))];
    let store = store(limits(|l| l.span_bytes_max = 2_000));
    let appended = store.append_otlp_json(&json_of(&spans)).expect("appended");
    assert_eq!((appended.accepted, appended.rejected), (1, vec![(RejectReason::TooLarge, 1)]));
}

#[test]
fn a_span_of_too_many_parts_is_refused_alone() {
    let mut many = span(2, 1, "many");
    many.attributes = (0..6).map(|i| KeyValue::new(format!("key {i}"), i)).collect();
    let store = store(limits(|l| l.span_parts_max = 5));
    let appended = store.append(&[span(1, 1, "few"), many]).expect("appended");
    assert_eq!((appended.accepted, appended.rejected), (1, vec![(RejectReason::TooLarge, 1)]));
}

#[test]
fn a_value_nested_too_deep_is_refused_with_its_span() {
    let mut deep = span(2, 1, "deep");
    deep.attributes[0].value = (0..5).fold(Value::Int(1), |inner, _| Value::Array(vec![inner]));
    let store = store(limits(|l| l.value_depth_max = 3));
    let appended = store.append_otlp_json(&json_of(&[span(1, 1, "flat"), deep])).expect("appended");
    assert_eq!((appended.accepted, appended.rejected), (1, vec![(RejectReason::TooDeep, 1)]));
}

#[test]
fn a_trace_that_is_too_large_is_an_error_that_says_how_large_and_what_to_raise() {
    for store in each_way(&limits(|l| l.trace_bytes_max = 20_000), &one_large_trace()) {
        for error in [
            store.trace(id(99)).expect_err("too large"),
            store.snapshot().trace_lenient(id(99)).expect_err("too large"),
            store.traces(&[id(1), id(99)]).expect_err("too large"),
        ] {
            assert_eq!(error.kind(), ErrorKind::TooLarge);
            let text = error.to_string();
            assert!(text.contains(&id(99).to_string()) && text.contains("limit of 20000 bytes"), "{text}");
            assert!(text.contains("about ") && text.contains("raise Limits::trace_bytes_max"), "{text}");
        }
        assert_eq!(store.trace(id(3)).expect("small").len(), 2);
        let raised = store.snapshot().with_limits(Limits::default());
        assert_eq!(raised.trace(id(99)).expect("there is room now").len(), 100);
    }
}

#[test]
fn a_trace_that_is_too_large_is_passed_over_and_told_while_the_rest_is_found_and_exported() {
    for store in each_way(&limits(|l| l.trace_bytes_max = 15_000), &one_large_trace()) {
        for order in [Order::Newest, Order::Slowest] {
            let mut query = Query::new();
            (query.order, query.limit) = (order, 0);
            let found = store.find(&query).expect("found");
            assert_eq!(ids(&found.traces), [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
            assert!(!found.complete);
            let reason = found.reason.expect("a reason");
            assert!(reason.contains(&id(99).to_string()) && reason.contains("trace_bytes_max"), "{reason}");
            query.limit = 10;
            assert_eq!(ids(&store.find(&query).expect("found").traces).len(), 10, "what is passed over takes no place");
        }
        let (good, bad): (Vec<_>, Vec<_>) = store.spans().partition(Result::is_ok);
        assert_eq!((good.len(), bad.len()), (10, 1));
        assert_eq!(bad[0].as_ref().expect_err("too large").kind(), ErrorKind::TooLarge);
    }
}

#[test]
fn matching_ids_are_listed_up_to_the_limit_and_all_are_counted() {
    for store in each_way(&limits(|l| l.matched_span_ids_max = 3), &one_large_trace()) {
        let found = store.find(&Query::new().limit(1)).expect("found");
        assert_eq!((found.traces[0].matched_span_ids.len(), found.traces[0].matched_count), (3, 100));
    }
}

/// Every page of all traces; asserts that each but the last says why it is cut.
fn pages(store: &Store, order: Order, why: &str) -> Vec<Vec<u64>> {
    let mut query = Query::new();
    (query.order, query.limit) = (order, 0);
    let mut pages = Vec::new();
    loop {
        let found = store.find(&query).expect("found");
        pages.push(ids(&found.traces));
        assert_eq!(found.complete, found.next_page_token.is_none());
        let Some(token) = found.next_page_token else { return pages };
        assert!(found.reason.expect("a reason").contains(why));
        query.page_token = Some(token);
    }
}

#[test]
fn a_result_of_too_many_traces_is_cut_and_its_pages_reach_the_end() {
    for store in each_way(&limits(|l| l.result_traces_max = 4), &one_large_trace()) {
        for order in [Order::Newest, Order::Slowest] {
            let pages = pages(&store, order, "cut at 4 traces");
            assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 3]);
            assert_eq!(pages.concat(), [99, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
        }
    }
}

#[test]
fn a_result_of_too_many_bytes_is_cut_and_its_pages_reach_the_end() {
    for max in [1_000, 1] {
        for store in each_way(&limits(|l| l.result_bytes_max = max), &one_large_trace()) {
            for order in [Order::Newest, Order::Slowest] {
                let pages = pages(&store, order, &format!("cut at {max} bytes"));
                assert!(pages.len() > 2, "{pages:?}");
                assert_eq!(pages.concat(), [99, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
            }
        }
    }
}

#[test]
fn traces_that_are_too_large_together_are_refused() {
    for store in each_way(&limits(|l| l.result_bytes_max = 2_000), &one_large_trace()) {
        assert_eq!(store.traces(&[id(1), id(1), id(2)]).expect("small").len(), 2);
        let error = store.traces(&(1..=10).map(id).collect::<Vec<_>>()).expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains("Limits::result_bytes_max"), "{error}");
    }
}

#[test]
fn a_list_that_is_too_long_is_cut_and_says_so() {
    let spans: Vec<Span> = (1..=300).map(|trace| span(trace, 1, "value")).collect();
    for store in each_way(&limits(|l| l.result_bytes_max = 2_000), &spans) {
        let listed = store.attribute_values_where("text", &ListFilter::new()).expect("listed");
        assert!(!listed.complete && (1..300).contains(&listed.items.len()));
        assert!(listed.reason.expect("a reason").contains("Limits::result_bytes_max"));
        let error = store.attribute_values("text").expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let few = store.attribute_values_where("text", &ListFilter::new().prefix("value 77")).expect("listed");
        assert_eq!((few.items.len(), few.complete), (1, true));
    }
}

#[test]
fn values_that_do_not_repeat_are_read_up_to_the_limit() {
    let scrambled = |trace: u64| format!("{:016x}", trace.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let spans: Vec<Span> = (1..=5_000).map(|trace| span(trace, 1, &scrambled(trace))).collect();
    let store = store(limits(|l| l.list_read_bytes_max = 20_000));
    append(&store, &spans);
    let in_head = store.attribute_values_where("text", &ListFilter::new()).expect("listed");
    assert_eq!((in_head.items.len(), in_head.complete), (5_000, true), "the head is in memory");
    store.seal().expect("sealed");
    let listed = store.attribute_values_where("text", &ListFilter::new()).expect("listed");
    assert!(!listed.complete && (1..5_000).contains(&listed.items.len()), "{}", listed.items.len());
    assert!(listed.reason.expect("a reason").contains("Limits::list_read_bytes_max"));
    assert_eq!(store.attribute_values("text").expect("all of them").len(), 5_000, "unfiltered lists read it all");
}

#[test]
fn a_writer_that_may_keep_nothing_at_hand_still_answers_with_each_record_once() {
    let spans = [span(1, 1, "again"), span(1, 2, "again")];
    for (bytes, duplicates) in [(Limits::default().cached_bytes_max, 2), (0, 0)] {
        let store = store(limits(|l| l.cached_bytes_max = bytes));
        append(&store, &spans);
        store.seal().expect("sealed");
        let appended = store.append(&spans).expect("appended");
        assert_eq!((appended.duplicates, appended.total()), (duplicates, 2));
        assert_eq!(store.trace(id(1)).expect("readable"), spans);
        assert_eq!(store.stats().expect("counted").spans, 2);
    }
}

#[test]
fn an_answer_does_not_depend_on_how_many_threads_find_it() {
    let spans: Vec<Span> = (1..=160_000u64)
        .map(|number| {
            let mut span = span(number / 4 + 1, number, "t");
            span.name = format!("work {}", number % 3);
            span.attributes = vec![KeyValue::new("number", Value::Int((number * 7 % 1_000) as i64))];
            span.end_unix_nano = span.start_unix_nano + number * 31 % 5_000;
            span
        })
        .collect();
    let store = store(Limits::default());
    append(&store, &spans[..150_000]);
    store.seal().expect("sealed");
    append(&store, &spans[150_000..]);
    let with = |threads: usize, filter: &Query| {
        let quantiles = ["0.5", "0.99"].map(|text| Quantile::parse(text).expect("a quantile"));
        let query = LatencyQuery::new(filter.clone()).by(vec![GroupKey::Name]).quantiles(quantiles.to_vec());
        let snapshot = store.snapshot().with_limits(limits(|l| l.query_threads_max = threads));
        let report = snapshot.latency(&query).expect("readable");
        assert!(report.complete, "{:?}", report.reason);
        report.groups
    };
    let below = |limit: u64| Query::new().tag_text(&format!("number<{limit}")).expect("a tag");
    for (limit, min_nanos) in [(1_000, 0), (300, 0), (5, 0), (900, 2_500)] {
        let filter = below(limit).min_duration(Duration::from_nanos(min_nanos));
        let meets = |number: &u64| number * 7 % 1_000 < limit && number * 31 % 5_000 >= min_nanos;
        let alone = with(1, &filter);
        assert_eq!(alone.iter().map(|group| group.count).sum::<u64>(), (1..=160_000).filter(meets).count() as u64);
        assert_eq!(with(2, &filter), alone, "{filter:?}");
        assert_eq!(with(4, &filter), alone, "{filter:?}");
    }
    assert_eq!(with(2, &Query::new()), with(1, &Query::new()));
}
