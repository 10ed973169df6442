//! The pieces of loose traces: rows of the head, and dirty traces of segments, by the low half of their ids.

use crate::catalog::Snapshot;
use crate::error::{Error, Result};
use crate::head::trace_id_of;
use crate::part::ReadCounter;

/// A piece of a trace: a dirty trace of a segment, or a row of a chapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Piece {
    /// Low half of the trace id.
    pub low: u64,
    /// Place of the part: segments first, then chapters.
    pub part: u32,
    /// Ordinal in a segment, row in a chapter.
    pub at: u32,
}

/// All pieces of live loose traces, sorted; those of a trace are adjacent. Takes 16 bytes a row of the head.
///
/// # Errors
/// What `problem` says of a trace whose id cannot be read.
pub fn loose_pieces(
    snapshot: &Snapshot,
    counter: &ReadCounter,
    problem: &mut dyn FnMut(Error) -> Result<()>,
) -> Result<Vec<Piece>> {
    let mut out = Vec::new();
    for (part, segment) in (0u32..).zip(&snapshot.segments) {
        for ordinal in segment.loose() {
            match segment.segment.trace_id(ordinal, counter) {
                Ok(id) => out.push(Piece { low: id.low(), part, at: ordinal }),
                Err(error) => problem(error)?,
            }
        }
    }
    for (part, chapter) in (snapshot.segments.len() as u32..).zip(&snapshot.chapters) {
        let rows = (0u32..).zip(&chapter.rows);
        out.extend(rows.map(|(at, row)| Piece { low: trace_id_of(row).low(), part, at }));
    }
    out.sort_unstable();
    Ok(out)
}
