//! Random questions, drawn from the pools the spans are made of.

use proptest::option::{self, weighted};
use proptest::prelude::*;
use proptest::sample::select;
use tailspan::{Order, QueryScope};

use super::ask::{Ask, Bounds};
use super::spans::{BASE, NAMES, SERVICES};
use super::values::{KEYS, TEXTS};

/// A question with few criteria, so that it often has answers.
pub fn ask() -> impl Strategy<Value = Ask> {
    let of_span = (
        weighted(0.15, select(&SERVICES[..])),
        weighted(0.12, select(&NAMES[..])),
        weighted(0.1, select(vec!["web", "cart", "db", "a", "value", "500"])),
        weighted(0.1, 0..6i32),
        weighted(0.1, 0..3i32),
        prop::bool::weighted(0.06),
    );
    let lists = (many(tag_text()), weighted(0.12, annotation_query()), bounds(0.15), bounds(0.15));
    let scope = select(vec![QueryScope::Span, QueryScope::Span, QueryScope::Service, QueryScope::Trace]);
    let shape = (scope, select(vec![Order::Newest, Order::Slowest]), prop::bool::weighted(0.3));
    (of_span, lists, window(), shape).prop_map(|(of_span, lists, window, shape)| Ask {
        service: of_span.0.map(str::to_owned),
        name: of_span.1.map(str::to_owned),
        remote_service: of_span.2.map(str::to_owned),
        kind: of_span.3,
        status: of_span.4,
        error: of_span.5,
        tags: lists.0,
        annotations: lists.1,
        duration: lists.2,
        trace_duration: lists.3,
        since: window.0,
        until: window.1,
        scope: shape.0,
        order: shape.1,
        lenient: shape.2,
    })
}

fn many(tag: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = Vec<String>> {
    weighted(0.5, prop_oneof![3 => prop::collection::vec(tag.clone(), 1), 1 => prop::collection::vec(tag, 2)])
        .prop_map(Option::unwrap_or_default)
}

/// `[SCOPE:]KEY[OP VALUE]`.
fn tag_text() -> impl Strategy<Value = String> + Clone {
    let place = prop_oneof![3 => Just(""), 1 => select(vec!["span:", "resource:", "scope:", "event:", "link:"])];
    let keys: Vec<&str> = KEYS.into_iter().filter(|key| !key.is_empty() && !key.contains('=')).collect();
    let numbers = [
        "0",
        "-0.0",
        "1",
        "500",
        "72.5",
        "9007199254740993",
        "9007199254740992.0",
        "9223372036854775807",
        "1e300",
        "inf",
    ];
    let bare: Vec<&str> = TEXTS.into_iter().chain(numbers).chain(["true", "false", "nan", "AQID"]).collect();
    let quoted: Vec<String> =
        TEXTS.into_iter().chain(["500", "true", "72.5"]).map(|text| format!("\"{text}\"")).collect();
    let value = prop_oneof![3 => select(bare).prop_map(str::to_owned), 1 => select(quoted)];
    let compared = (select(vec!["=", "=", "!=", "!=", "<", "<=", ">", ">="]), value)
        .prop_map(|(op, value)| format!("{op}{value}"));
    let patterns =
        vec![".*", "", "a", "a|b", "b?a?b", "(?i)VALUE", "v.*e", "[0-9]+", "\"a|ab\"", "/orders/1.*", "(?s).*"];
    let regular = (select(vec!["=~", "!~"]), select(patterns)).prop_map(|(op, pattern)| format!("{op}{pattern}"));
    let condition = prop_oneof![2 => Just(String::new()), 6 => compared, 3 => regular];
    (place, select(keys), condition).prop_map(|(place, key, condition)| format!("{place}{key}{condition}"))
}

fn annotation_query() -> impl Strategy<Value = String> {
    select(vec![
        "get",
        "k",
        "value",
        "http.status_code",
        "http.status_code=500",
        "pay and k",
        "k=a",
        "k=500",
        "http.status_code=72.5",
        "http.status_code=123 and get",
        "error",
        "error=true",
        "k and k=value",
        "k=a and k=value",
        " get  and  k = a ",
        "k=",
        "db.system=a and peer.service",
    ])
    .prop_map(str::to_owned)
}

fn bounds(probability: f64) -> impl Strategy<Value = Bounds> {
    let bound = || prop_oneof![6 => 0..20u64, 2 => (0..20u64).prop_map(|i| i * 1_000_000), 1 => Just(u64::MAX / 4)];
    weighted(probability, (option::of(bound()), option::of(bound()))).prop_map(|bounds| bounds.unwrap_or((None, None)))
}

/// Instants inside the time of the spans, so that windows cut through traces.
fn window() -> impl Strategy<Value = Bounds> {
    let instant = {
        let wild = select(vec![0, 1, 2, BASE, u64::MAX / 2 + 1, u64::MAX]);
        prop_oneof![6 => BASE..BASE + 18, 2 => (0..21u64).prop_map(|i| BASE + i * 1_000_000), 1 => wild]
    };
    let length = prop_oneof![8 => 1..16u64, 2 => Just(15_000_000), 1 => Just(0)];
    weighted(0.3, (instant, length, 0..4u8)).prop_map(|window| match window {
        None => (None, None),
        Some((since, _, 0)) => (Some(since), None),
        Some((until, _, 1)) => (None, Some(until)),
        Some((since, length, _)) => (Some(since), Some(since.saturating_add(length))),
    })
}
