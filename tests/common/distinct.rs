//! Sets of spans: identical records are one record (CONTRACT C3), and comparing two sets says what differs.

use std::collections::HashMap;

use tailspan::Span;

/// The spans, of identical ones the first.
pub fn distinct<'s>(spans: impl IntoIterator<Item = &'s Span>) -> Vec<Span> {
    let mut seen = std::collections::HashSet::new();
    spans.into_iter().filter(|span| seen.insert(*span)).cloned().collect()
}

/// Asserts that both hold the same spans, each as often, in whatever order.
#[track_caller]
pub fn assert_same_spans<'s>(
    got: impl IntoIterator<Item = &'s Span>,
    wanted: impl IntoIterator<Item = &'s Span>,
    what: &str,
) {
    let mut balance: HashMap<&Span, i64> = HashMap::new();
    got.into_iter().for_each(|span| *balance.entry(span).or_default() += 1);
    wanted.into_iter().for_each(|span| *balance.entry(span).or_default() -= 1);
    let extra = balance.iter().find(|(_, count)| **count > 0);
    let missing = balance.iter().find(|(_, count)| **count < 0);
    assert!(extra.is_none() && missing.is_none(), "{what}:\nunexpected {extra:#?}\nmissing {missing:#?}");
}
