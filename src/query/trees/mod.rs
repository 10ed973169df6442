//! The trees of traces: every trace with a matching span, its rows in pre-order, each with its parent.
//!
//! ```text
//! clean traces of segments     columns: depth, start, length, class       rows are adjacent and in pre-order
//! loose traces                 spans of all parts, united and judged      ordered as the rows of a segment are
//! ```
//! A parent is the one the store resolves: by Zipkin's shared-span rule, cycles broken at their earliest span. Rows
//! whose parent is missing are *tops*, as roots are, and follow the trees of these. Ids, and whom a top names as its
//! parent, are read when they are asked for.

mod rows;
mod sealed;
mod walk;

use rustc_hash::FxHashSet;

use crate::error::{Error, Result};
use crate::model::{Span, SpanId, TraceId};

pub use rows::{DURATION, ERROR, MATCHES, NO_ROW, SpanRows, TreeRows};

use sealed::SealedTrees;

/// One trace.
pub struct Tree<'t, 'p> {
    /// Its rows.
    pub rows: &'t TreeRows,
    place: Place<'t, 'p>,
}

/// Where a trace lies.
enum Place<'t, 'p> {
    /// A clean trace, in the part of this number.
    Sealed(u32, &'t mut SealedTrees<'p>),
    Spans(&'t [Span], &'t SpanRows),
}

impl<'t, 'p> Tree<'t, 'p> {
    /// A trace of owned spans, whose rows were read from them.
    pub fn of_spans(spans: &'t [Span], order: &'t SpanRows, rows: &'t TreeRows) -> Self {
        Self { rows, place: Place::Spans(spans, order) }
    }

    /// The part in which codes of operations have their meaning; `None` if they have it in this trace alone.
    pub fn part(&self) -> Option<u32> {
        match &self.place {
            Place::Sealed(part, _) => Some(*part),
            Place::Spans(..) => None,
        }
    }

    /// The id of the trace.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; so do all methods here.
    pub fn trace_id(&mut self) -> Result<TraceId> {
        match &mut self.place {
            Place::Sealed(_, trees) => trees.trace_id(),
            Place::Spans(spans, _) => {
                spans.first().map(|span| span.trace_id).ok_or_else(|| Error::corrupt("a trace without a span"))
            }
        }
    }

    /// The id of the span of a row.
    ///
    /// # Errors
    /// As [`Tree::trace_id`].
    pub fn span_id(&mut self, row: u32) -> Result<SpanId> {
        match &mut self.place {
            Place::Sealed(_, trees) => {
                let id = trees.span_id(row)?;
                SpanId::from_u64(id).ok_or_else(|| Error::corrupt(format!("row {row} of a trace has no id")))
            }
            Place::Spans(spans, order) => Ok(spans[order.positions[row as usize] as usize].span_id),
        }
    }

    /// Service and name of an operation of the trace; the name may be empty.
    pub fn operation(&self, code: u32) -> (Option<&str>, &str) {
        match &self.place {
            Place::Sealed(_, trees) => trees.operation(code),
            Place::Spans(spans, order) => {
                let span = &spans[order.operations[code as usize] as usize];
                (span.service(), &span.name)
            }
        }
    }

    /// The tops that name a parent, ascending, with its id.
    fn named_parents(&mut self) -> Result<Vec<(u32, u64)>> {
        let tops = &self.rows.tops;
        match &mut self.place {
            Place::Sealed(_, trees) => {
                let named = trees.recorded_parents()?.into_iter();
                Ok(named.filter(|(row, parent)| *parent != 0 && tops.binary_search(row).is_ok()).collect())
            }
            Place::Spans(spans, order) => {
                let named = |row: &u32| {
                    let span = &spans[order.positions[*row as usize] as usize];
                    Some((*row, span.parent_span_id?.get()))
                };
                Ok(tops.iter().filter_map(named).collect())
            }
        }
    }

    /// The row of the root: of the tops that name no parent the one of earliest start, then not shared, then of
    /// smallest id; if all name one, of those whose parent is missing; else of all.
    ///
    /// # Errors
    /// As [`Tree::trace_id`].
    pub fn root(&mut self) -> Result<u32> {
        let rows = self.rows;
        if let [only] = rows.tops[..] {
            return Ok(only);
        }
        let named = self.named_parents()?;
        let names = |row: &u32| named.binary_search_by_key(row, |(row, _)| *row).ok().map(|at| named[at].1);
        let mut choice: Vec<u32> = rows.tops.iter().copied().filter(|row| names(row).is_none()).collect();
        if choice.is_empty() {
            let mut ids = FxHashSet::default();
            for row in 0..rows.len() as u32 {
                ids.insert(self.span_id(row)?.get());
            }
            choice.extend(named.iter().filter(|(_, parent)| !ids.contains(parent)).map(|(row, _)| *row));
        }
        if choice.is_empty() {
            choice.clone_from(&rows.tops);
        }
        self.earliest(&choice)
    }

    fn earliest(&mut self, choice: &[u32]) -> Result<u32> {
        let rows = self.rows;
        let time = |row: u32| {
            // A span without a start comes last.
            (rows.starts[row as usize].wrapping_sub(1), rows.is_shared(row as usize))
        };
        let first = choice.iter().map(|row| time(*row)).min();
        let mut best: Option<(u64, u32)> = None;
        for row in choice.iter().copied().filter(|row| Some(time(*row)) == first) {
            let id = self.span_id(row)?.get();
            let text = |row: u32| {
                let (service, name) = self.operation(rows.operations[row as usize]);
                (name, service)
            };
            if best.is_none_or(|(known, of)| (id, text(row)) < (known, text(of))) {
                best = Some((id, row));
            }
        }
        best.map(|(_, row)| row).ok_or_else(|| Error::corrupt("a trace without a top"))
    }
}
