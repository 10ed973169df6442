//! What goes in through a wire format comes out again, every field of it, whatever it holds.
//!
//! ```text
//! spans -> OTLP JSON  -> store -> spans       text that the engine wrote itself
//! spans -> OTLP bytes -> store -> spans       bytes of OpenTelemetry's own message types
//! spans -> Zipkin JSON -> store -> spans
//! ```
//! And since the wire format is no part of a span, the same spans by another way are the same spans.

mod common {
    pub mod distinct;
    pub mod proto;
    pub mod spans;
    pub mod values;
}

use common::distinct::{assert_same_spans, distinct};
use common::proto::traces_data;
use common::spans::{Recipe, spans};
use proptest::prelude::*;
use prost::Message;
use tailspan::{Appended, Durability, KeyValue, Span, Store, Value, write_otlp_json, write_zipkin_json};

fn otlp() -> impl Strategy<Value = Vec<Span>> {
    spans(Recipe { spans: 0..12, traces: 3, zipkin_share: 0.0 })
}

fn zipkin() -> impl Strategy<Value = Vec<Span>> {
    spans(Recipe { spans: 0..12, traces: 3, zipkin_share: 1.0 })
}

/// A store without spans, and the directory that goes with it.
fn empty_store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let builder = Store::builder(directory.path()).durability(Durability::Buffered).seal_automatically(false);
    let store = builder.open().unwrap();
    (directory, store)
}

/// Appends by `append` and asserts that exactly the spans come out, from the head and from a segment.
fn comes_back(spans: &[Span], append: impl Fn(&Store) -> tailspan::Result<Appended>) {
    let (_directory, store) = empty_store();
    let wanted = distinct(spans);
    let appended = append(&store).unwrap();
    assert_eq!((appended.accepted, appended.total()), (wanted.len() as u64, spans.len() as u64), "{appended:?}");
    let exported = || store.spans().flat_map(|trace| trace.unwrap()).collect::<Vec<Span>>();
    assert_same_spans(&exported(), &wanted, "head");
    store.seal().unwrap();
    assert_same_spans(&exported(), &wanted, "sealed");
    assert_eq!(append(&store).unwrap().accepted, 0, "delivered again");
}

/// JSON spells one NaN only: the payload of the others is lost.
fn with_plain_nan(mut spans: Vec<Span>) -> Vec<Span> {
    for span in &mut spans {
        plain_nans(&mut span.attributes);
        span.events.iter_mut().for_each(|event| plain_nans(&mut event.attributes));
        span.links.iter_mut().for_each(|link| plain_nans(&mut link.attributes));
        plain_nans(&mut std::sync::Arc::make_mut(&mut span.resource).attributes);
        plain_nans(&mut std::sync::Arc::make_mut(&mut span.scope).attributes);
    }
    spans
}

fn plain_nans(attributes: &mut [KeyValue]) {
    attributes.iter_mut().for_each(|attribute| plain_nan(&mut attribute.value));
}

fn plain_nan(value: &mut Value) {
    match value {
        Value::Double(double) if double.is_nan() => *double = f64::NAN,
        Value::Array(elements) => elements.iter_mut().for_each(plain_nan),
        Value::KeyValueList(entries) => plain_nans(entries),
        _ => {}
    }
}

fn json_of(spans: &[Span]) -> Vec<u8> {
    let mut text = Vec::new();
    write_otlp_json(spans, &mut text).unwrap();
    text
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn otlp_json_comes_back(spans in otlp().prop_map(with_plain_nan)) {
        let text = json_of(&spans);
        comes_back(&spans, |store| store.append_otlp_json(&text));
    }

    #[test]
    fn otlp_bytes_come_back(spans in otlp()) {
        let message = traces_data(&spans).encode_to_vec();
        comes_back(&spans, |store| store.append_otlp(&message));
    }

    #[test]
    fn zipkin_json_comes_back(spans in zipkin()) {
        let mut text = Vec::new();
        write_zipkin_json(&spans, &mut text).unwrap();
        comes_back(&spans, |store| store.append_zipkin_json(&text));
    }

    #[test]
    fn a_span_is_the_same_by_whatever_way_it_comes(spans in otlp().prop_map(with_plain_nan)) {
        let (_directory, store) = empty_store();
        let accepted = [
            store.append_otlp(&traces_data(&spans).encode_to_vec()).unwrap().accepted,
            store.append_otlp_json(&json_of(&spans)).unwrap().accepted,
            store.append(&spans).unwrap().accepted,
        ];
        prop_assert_eq!(accepted, [distinct(&spans).len() as u64, 0, 0]);
    }
}
