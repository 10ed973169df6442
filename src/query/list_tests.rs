//! Filtered lists against brute force: every service, window, prefix and place over head, segments, late spans and
//! records that lie in several parts; and what the limits cut.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::Snapshot;
use crate::error::ErrorKind;
use crate::limits::Limits;
use crate::model::{Span, TimeRange, Value};
use crate::part::ReadCounter;

use super::fixture::span;
use super::names_tests::{
    Dealt, Dice, all_attributes, deal, expected_keys, expected_operations, expected_remotes, expected_services,
    snapshot,
};
use super::tag::TagScope;
use super::text::text_of;
use super::{AttributeValueCount, ListFilter, Listed, attribute_keys, attribute_values, operations};
use super::{remote_services, services};

/// Keys of spans alone, beside those that stand in every place.
const OWN_KEYS: [&str; 5] = ["color", "color.deep", "size", "request", "shop.basket"];

/// Spans with keys that have a dictionary, keys that have none, and one that one service alone has.
fn spans(dice: &mut Dice, count: usize, traces: u64) -> Vec<Span> {
    let mut spans = dice.spans(count, traces);
    for span in &mut spans {
        let mut put = |key: &str, value: Value| span.attributes.push(crate::model::KeyValue::new(key, value));
        put("color", dice.pick(&["red", "redder", "blue"]).into());
        put("size", Value::Int(dice.roll(30) as i64));
        put("request", format!("r{}", dice.roll(1 << 20)).into());
        if dice.one_in(3) {
            put("color.deep", dice.pick(&["red", "green"]).into());
        }
        if span.service() == Some("shop") {
            let value = dice.pick(&["full", "empty"]);
            span.attributes.push(crate::model::KeyValue::new("shop.basket", value));
        }
    }
    spans
}

fn windows(dice: &mut Dice) -> Vec<TimeRange> {
    let window = |since: u64, until: u64| TimeRange { since: Some(since), until: Some(until) };
    let from = dice.roll(900);
    vec![
        TimeRange::ALL,
        window(0, 2_000),
        window(from, from + 1 + dice.roll(300)),
        TimeRange { since: Some(from), until: None },
        window(2_000, 3_000),
    ]
}

fn counted<'s>(spans: &'s [Span], filter: &ListFilter) -> Vec<Span> {
    let service = filter.service.as_deref();
    let in_window = |span: &&'s Span| {
        let start = span.start_unix_nano;
        filter.window == TimeRange::ALL || (start != 0 && filter.window.contains(start))
    };
    let of_service = |span: &&'s Span| service.is_none() || span.service() == service;
    spans.iter().filter(in_window).filter(of_service).cloned().collect()
}

fn expected_values(spans: &[Span], key: &str, filter: &ListFilter) -> HashMap<Value, u64> {
    let mut out = HashMap::new();
    for span in spans {
        let wanted = |(k, scope, value): &(String, TagScope, Value)| {
            k == key && filter.scope.is_none_or(|s| s == *scope) && text_of(value).starts_with(&filter.prefix)
        };
        let values = all_attributes(span).into_iter().filter(wanted).map(|(_, _, value)| value);
        for value in values.collect::<std::collections::HashSet<_>>() {
            *out.entry(value).or_default() += 1;
        }
    }
    out
}

fn complete<T>(listed: crate::error::Result<Listed<T>>) -> Vec<T> {
    let listed = listed.unwrap();
    assert_eq!((listed.complete, listed.reason, listed.more), (true, None, 0));
    listed.items
}

fn values(snapshot: &Snapshot, key: &str, filter: &ListFilter) -> Vec<AttributeValueCount> {
    complete(attribute_values(snapshot, key, filter, &Limits::default(), &ReadCounter::default()))
}

fn assert_lists(dealt: &Dealt, filter: &ListFilter) {
    let (snapshot, limits, counter) = (&dealt.snapshot, &Limits::default(), &ReadCounter::default());
    let spans = &counted(&dealt.spans, filter);
    let begins = |text: Option<&str>| text.unwrap_or_default().starts_with(&filter.prefix);

    let mut expected = expected_services(spans);
    expected.retain(|row| begins(row.service.as_deref()));
    assert_eq!(complete(services(snapshot, filter, limits, counter)), expected, "{filter:?}");
    let mut expected = expected_operations(spans, None);
    expected.retain(|row| begins(row.name.as_deref()));
    assert_eq!(complete(operations(snapshot, filter, limits, counter)), expected, "{filter:?}");
    let mut expected = expected_remotes(spans, None);
    expected.retain(|row| begins(Some(&row.remote_service)));
    assert_eq!(complete(remote_services(snapshot, filter, limits, counter)), expected, "{filter:?}");

    let mut expected = expected_keys(spans);
    expected.retain(|row| begins(Some(&row.key)) && filter.scope.is_none_or(|scope| scope == row.scope));
    assert_eq!(complete(attribute_keys(snapshot, filter, limits, counter)), expected, "{filter:?}");
    for key in OWN_KEYS.into_iter().chain(["k", "service.name", "otel.scope.name", "nothing"]) {
        let found = values(snapshot, key, filter);
        assert!(found.is_sorted_by(|a, b| a.span_count >= b.span_count), "{key}");
        let len = found.len();
        let found: HashMap<Value, u64> = found.into_iter().map(|v| (v.value, v.span_count)).collect();
        assert_eq!(found.len(), len, "{key}: a value stands twice");
        assert_eq!(found, expected_values(spans, key, filter), "{key} {filter:?}");
    }
}

/// Checks one filter in so many.
fn check(seed: u64, count: usize, traces: u64, one_in: u64) {
    let mut dice = Dice(seed);
    let spans = spans(&mut dice, count, traces);
    let dealt = deal(&mut dice, &spans, seed.is_multiple_of(2));
    for window in windows(&mut dice) {
        for service in [None, Some("shop"), Some("nobody")] {
            let mut filter = ListFilter::new().window(window);
            filter.service = service.map(str::to_owned);
            let prefix = dice.pick(&["r", "red", "a", "1", "color", "shop", "[", "z"]);
            let scope = dice.pick(&TagScope::ALL);
            for filter in [filter.clone(), filter.clone().prefix(prefix), filter.scope(scope)] {
                if dice.one_in(one_in) {
                    assert_lists(&dealt, &filter);
                }
            }
        }
    }
}

#[test]
fn filtered_lists_equal_brute_force_on_small_snapshots() {
    for seed in 0..12 {
        println!("seed {seed}");
        check(seed, 150, 60, 1);
    }
}

#[test]
fn filtered_lists_equal_brute_force_over_many_pages() {
    check(1, 6_000, 2_000, 5);
    check(2, 5_000, 700, 5);
}

#[test]
fn deleted_traces_are_in_no_list() {
    let mut dice = Dice(5);
    let spans = spans(&mut dice, 2_000, 500);
    let mut dealt = deal(&mut dice, &spans, true);
    for part in &mut dealt.snapshot.segments {
        part.deleted = Arc::new(part.dirty.iter().filter(|ordinal| ordinal.is_multiple_of(2)).collect());
        assert!(!part.deleted.is_empty());
    }
    let whole = Arc::new(dealt.snapshot);
    let left: Vec<Span> = whole.every_trace(usize::MAX).flat_map(Result::unwrap).collect();
    assert!(left.len() < dealt.spans.len());
    let snapshot = Snapshot::new(whole.segments.clone(), whole.chapters.clone());
    let dealt = Dealt { snapshot, spans: left, ..dealt };
    for filter in
        [ListFilter::new(), ListFilter::new().service("shop"), ListFilter::new().window(windows(&mut dice)[2])]
    {
        assert_lists(&dealt, &filter);
    }
}

/// 5,000 spans at seconds 1 to 5,000; of the first half the service is early, of the rest late.
fn ordered() -> Vec<Span> {
    let one = |id: u64| {
        let service = if id <= 2_500 { "early" } else { "late" };
        let start = id * 1_000_000_000;
        span(id, 1)
            .service_named(service)
            .at(start, start + 5)
            .tag("color", if id.is_multiple_of(3) { "red" } else { "blue" })
    };
    (1..=5_000).map(one).collect()
}

fn seconds(since: u64, until: u64) -> TimeRange {
    TimeRange { since: Some(since * 1_000_000_000), until: Some(until * 1_000_000_000) }
}

#[test]
fn keys_and_dictionary_values_are_told_without_reading_a_page() {
    let snapshot = snapshot(&[ordered()], &[], |_| false);
    let limits = Limits::default();
    for filter in [ListFilter::new(), ListFilter::new().window(seconds(0, 9_000)), ListFilter::new().prefix("re")] {
        let counter = ReadCounter::default();
        attribute_keys(&snapshot, &filter, &limits, &counter).unwrap();
        let found = complete(attribute_values(&snapshot, "color", &filter, &limits, &counter));
        assert_eq!(found.last().unwrap().value, "red".into());
        assert_eq!(counter.pages(), 0, "{filter:?}");
    }
    let counter = ReadCounter::default();
    let keys = complete(attribute_keys(&snapshot, &ListFilter::new().service("late"), &limits, &counter));
    assert_eq!(
        keys.iter().map(|key| (key.key.as_str(), key.span_count)).collect::<Vec<_>>(),
        [("color", 2_500), ("service.name", 2_500)]
    );
    assert_eq!(counter.pages(), 0);
}

#[test]
fn a_window_and_a_service_leave_most_pages_unread() {
    let snapshot = snapshot(&[ordered()], &[], |_| false);
    let limits = Limits::default();
    let all = ReadCounter::default();
    attribute_values(&snapshot, "color", &ListFilter::new().window(seconds(0, 4_999)), &limits, &all).unwrap();
    for filter in
        [ListFilter::new().window(seconds(10, 20)), ListFilter::new().service("early").window(seconds(2_400, 2_600))]
    {
        let counter = ReadCounter::default();
        complete(attribute_values(&snapshot, "color", &filter, &limits, &counter));
        assert!(counter.pages() > 0 && counter.pages() <= 12, "{filter:?}: {} pages", counter.pages());
    }
}

#[test]
fn the_limit_keeps_the_first_and_says_how_many_follow() {
    let snapshot = snapshot(&[ordered()], &[], |_| false);
    let (limits, counter) = Default::default();
    let found = attribute_values(&snapshot, "color", &ListFilter::new().limit(1), &limits, &counter).unwrap();
    assert_eq!(found.items, [AttributeValueCount { value: "blue".into(), span_count: 3_334 }]);
    assert_eq!((found.more, found.complete), (1, true));
    let found = attribute_keys(&snapshot, &ListFilter::new().limit(1), &limits, &counter).unwrap();
    assert_eq!((found.items.len(), found.more, found.items[0].key.as_str()), (1, 1, "color"));
}

fn requests() -> Vec<Span> {
    let one = |id: u64| {
        span(id, 1)
            .named(&format!("call {id}"))
            .tag("request", format!("{:016x}", id.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    };
    (1..=5_000).map(one).collect()
}

#[test]
fn values_that_do_not_repeat_are_read_up_to_the_limit_and_the_rest_says_so() {
    let snapshot = snapshot(&[requests()], &[], |_| false);
    let limits = Limits { list_read_bytes_max: 20_000, ..Limits::default() };
    let found = attribute_values(&snapshot, "request", &ListFilter::new(), &limits, &ReadCounter::default()).unwrap();
    assert!(!found.items.is_empty() && found.items.len() < 5_000, "{}", found.items.len());
    assert!(!found.complete);
    assert!(found.reason.unwrap().contains("Limits::list_read_bytes_max"));
}

#[test]
fn entries_are_held_up_to_the_limit_and_the_rest_says_so() {
    for snapshot in [snapshot(&[requests()], &[], |_| false), snapshot(&[], &requests(), |_| false)] {
        let limits = Limits { result_bytes_max: 20_000, ..Limits::default() };
        let (filter, counter) = (ListFilter::new(), ReadCounter::default());
        let found = attribute_values(&snapshot, "request", &filter, &limits, &counter).unwrap();
        assert!(!found.items.is_empty() && found.items.len() < 1_000, "{}", found.items.len());
        let found = found.into_complete().unwrap_err();
        assert!(found.to_string().contains("20000 bytes of entries") && found.kind() == ErrorKind::TooLarge);
        let found = operations(&snapshot, &filter, &limits, &counter).unwrap();
        assert!(!found.complete && !found.items.is_empty() && found.items.len() < 1_000);
        let few = attribute_values(&snapshot, "request", &filter.clone().prefix("00"), &limits, &counter).unwrap();
        assert!(few.complete, "what is not wanted takes no room");
        let none = Limits { result_bytes_max: 10, ..Limits::default() };
        let found = attribute_keys(&snapshot, &filter, &none, &counter).unwrap();
        assert!(!found.complete && found.items.is_empty());
    }
}

#[test]
fn a_dirty_trace_too_large_to_be_held_is_cut_and_says_so() {
    let large = |span_id: u64| span(7, span_id).service_named("large").tag("text", "x".repeat(1_000));
    let parts = [(1..40).map(large).collect(), vec![large(99), span(8, 1).service_named("small")]];
    let snapshot = snapshot(&parts, &[], |_| false);
    let limits = Limits::default();
    let counter = ReadCounter::limited(20_000);
    let found = services(&snapshot, &ListFilter::new(), &limits, &counter).unwrap();
    assert_eq!(found.items.iter().map(|row| row.service.as_deref()).collect::<Vec<_>>(), [Some("small")]);
    assert!(found.reason.unwrap().contains("Limits::trace_bytes_max"));
}
