//! The rows of one trace in pre-order: what every question about trees needs of a span.

use crate::model::{Span, StatusCode};

use super::super::span_order::{SpanOrder, is_shared};

/// In place of the row of a parent.
pub const NO_ROW: u32 = u32::MAX;

/// The span meets the filters.
pub const MATCHES: u8 = 1;
/// The span is an error.
pub const ERROR: u8 = 1 << 1;
/// The span has a duration.
pub const DURATION: u8 = 1 << 2;
/// The span is the server's half of a span that Zipkin shares.
const SHARED: u8 = 1 << 3;

/// Bytes a row takes, roughly: the limit on one trace goes by it.
pub const ROW_LEN_BYTES: usize = 64;

/// The rows of one trace, one value of each list a row.
#[derive(Clone, Debug, Default)]
pub struct TreeRows {
    /// Row of the parent, before this one; [`NO_ROW`] for none.
    pub parents: Vec<u32>,
    /// Start, 0 for none.
    pub starts: Vec<u64>,
    /// Duration, 0 for none.
    pub durations: Vec<u64>,
    /// Code of service and name, of a meaning in the trace's part alone.
    pub operations: Vec<u32>,
    /// [`MATCHES`] and the others.
    pub facts: Vec<u8>,
    /// Rows without a parent, ascending.
    pub tops: Vec<u32>,
    /// The way from a top to the row before.
    path: Vec<u32>,
}

impl TreeRows {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// Forgets the rows for those of another trace.
    pub(super) fn clear(&mut self) {
        self.parents.clear();
        self.starts.clear();
        self.durations.clear();
        self.operations.clear();
        self.facts.clear();
        self.tops.clear();
        self.path.clear();
    }

    /// Gives the next row its parent by its depth; false if no row is one level up.
    pub(super) fn push_parent(&mut self, depth: u64) -> bool {
        if depth > self.path.len() as u64 {
            return false;
        }
        self.path.truncate(depth as usize);
        let row = self.parents.len() as u32;
        match self.path.last() {
            Some(parent) => self.parents.push(*parent),
            None => {
                self.parents.push(NO_ROW);
                self.tops.push(row);
            }
        }
        self.path.push(row);
        true
    }

    /// True for the server's half of a span that Zipkin shares.
    pub fn is_shared(&self, row: usize) -> bool {
        self.facts[row] & SHARED != 0
    }

    /// The end of a row: its start without a duration.
    pub fn end(&self, row: usize) -> u64 {
        self.starts[row].saturating_add(self.durations[row])
    }
}

/// A trace of owned spans in pre-order.
#[derive(Clone, Debug, Default)]
pub struct SpanRows {
    /// Position of the span of each row.
    pub positions: Vec<u32>,
    /// Position of a span of each operation.
    pub operations: Vec<u32>,
}

impl SpanRows {
    /// Orders the spans of one trace, of which those at some positions match.
    pub fn read(&mut self, spans: &[Span], matching: &[usize], rows: &mut TreeRows) {
        let order = SpanOrder::of(spans);
        rows.clear();
        self.operations.clear();
        let mut matches = vec![0; spans.len()];
        matching.iter().for_each(|position| matches[*position] = MATCHES);
        let mut codes: rustc_hash::FxHashMap<(Option<&str>, &str), u32> = rustc_hash::FxHashMap::default();
        for (position, depth) in order.positions.iter().zip(&order.depths) {
            let span = &spans[*position as usize];
            rows.push_parent((*depth).into());
            rows.starts.push(span.start_unix_nano);
            rows.durations.push(span.duration_nanos().unwrap_or(0));
            let code = *codes.entry((span.service(), &span.name)).or_insert_with(|| {
                self.operations.push(*position);
                self.operations.len() as u32 - 1
            });
            rows.operations.push(code);
            let facts = facts(span.status_code(), span.duration_nanos().is_some(), is_shared(span));
            rows.facts.push(facts | matches[*position as usize]);
        }
        self.positions = order.positions;
    }
}

/// The facts of a span, but for whether it matches.
pub(super) fn facts(status: StatusCode, has_duration: bool, is_shared: bool) -> u8 {
    let fact = |holds: bool, fact: u8| if holds { fact } else { 0 };
    fact(status == StatusCode::ERROR, ERROR) | fact(has_duration, DURATION) | fact(is_shared, SHARED)
}
