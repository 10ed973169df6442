//! Critical paths: which spans a trace waited for, one by one and summed up by service and operation.
//!
//! A path is found from the rows of a trace in pre-order, in one pass from the end backwards ([`path`]). Sums over many
//! traces need neither ids nor the order of pieces, so that a row costs its start, its duration, its depth and its
//! class.

mod path;
mod sums;
#[cfg(test)]
mod tests;

use crate::catalog::{Snapshot, TraceIds};
use crate::error::Result;
use crate::limits::Limits;
use crate::model::{SpanId, TraceId, UnixNanos};
use crate::part::ReadCounter;
use crate::query::{ERROR, SpanRows, Tree, TreeRows};

pub use sums::{CriticalPathReport, CriticalPathShare, critical_path};

use path::PathFinder;

/// The critical path of one trace.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TracePath {
    /// The trace.
    pub trace_id: TraceId,
    /// The root, whose duration the path tiles.
    pub root_span_id: SpanId,
    /// Start of the root, 0 for none.
    pub start_unix_nano: UnixNanos,
    /// Duration of the root in nanoseconds; `None` if it has none. Then there is no path.
    pub duration_nano: Option<u64>,
    /// The pieces in the order of time: each begins where the one before ends, the first at the start of the root, the
    /// last ends at its end. Then by start and id the spans that begin after the end of their parent, whole.
    pub pieces: Vec<PathPiece>,
}

/// A stretch of time that a span spends on the critical path itself, not waiting for a child on it; or a late span.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PathPiece {
    /// The span.
    pub span_id: SpanId,
    /// Its service.
    pub service: Option<String>,
    /// Its name; `None` if it is empty.
    pub name: Option<String>,
    /// Begin of the stretch, or start of the late span.
    pub start_unix_nano: UnixNanos,
    /// End of the stretch, or of the late span; its start if it has no duration.
    pub end_unix_nano: UnixNanos,
    /// The length of the stretch as a share of the root's duration; 0 for a late span, which is not on the path.
    pub share: f64,
    /// True for a span that starts after its parent's end: nobody waited for it.
    pub late: bool,
    /// True if the span failed.
    pub error: bool,
}

/// The critical path of a trace; `None` if there is no such trace.
///
/// # Errors
/// Corrupt if a page it needs is damaged; TooLarge if the trace outgrows [`Limits::trace_bytes_max`].
pub fn critical_path_of_trace(snapshot: &Snapshot, id: TraceId, limits: &Limits) -> Result<Option<TracePath>> {
    let spans = snapshot.trace(id, TraceIds::Strict, &ReadCounter::limited(limits.trace_bytes_max))?;
    if spans.is_empty() {
        return Ok(None);
    }
    let (mut order, mut rows, mut finder) = (SpanRows::default(), TreeRows::default(), PathFinder::default());
    order.read(&spans, &[], &mut rows);
    let mut tree = Tree::of_spans(&spans, &order, &rows);
    let root = finder.find(&mut tree)?;
    let span_of = |row: u32| &spans[order.positions[row as usize] as usize];
    let duration = span_of(root).duration_nanos().filter(|_| rows.starts[root as usize] != 0);
    let piece = |row: u32, from: u64, to: u64, late: bool| {
        let span = span_of(row);
        PathPiece {
            span_id: span.span_id,
            service: span.service().map(str::to_owned),
            name: (!span.name.is_empty()).then(|| span.name.clone()),
            start_unix_nano: from,
            end_unix_nano: to,
            share: if late { 0.0 } else { (to - from) as f64 / duration.unwrap_or(1).max(1) as f64 },
            late,
            error: rows.facts[row as usize] & ERROR != 0,
        }
    };
    finder.pieces.sort_unstable_by_key(|piece| piece.from);
    let mut pieces: Vec<PathPiece> = finder.pieces.iter().map(|p| piece(p.row, p.from, p.to, false)).collect();
    let mut late = finder.late(&rows);
    late.sort_by_key(|row| (rows.starts[*row as usize], span_of(*row).span_id));
    pieces.extend(late.into_iter().map(|row| piece(row, rows.starts[row as usize], rows.end(row as usize), true)));
    Ok(Some(TracePath {
        trace_id: id,
        root_span_id: span_of(root).span_id,
        start_unix_nano: rows.starts[root as usize],
        duration_nano: duration,
        pieces,
    }))
}
