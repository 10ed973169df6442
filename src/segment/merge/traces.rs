//! The traces of the output, in order, and where their rows come from.
//!
//! A trace that one input alone holds is copied as it stands: its rows are in order already. One that lies
//! in several pieces is united ([`super::shared`]), and its start may be another than those of its pieces,
//! so the order of the output is known only after that.
//!
//! Memory: 56 bytes a trace while the traces are sorted.

use std::cmp::Reverse;

use crate::error::{Error, Result, ensure};

use super::super::layout::Fixed;
use super::input::Input;
use super::runs::{Run, Runs};
use super::shared::{SharedRows, Uniter};

/// The rows of a trace in one input.
#[derive(Clone, Copy, Debug)]
pub struct TracePiece {
    /// Id of the trace.
    pub id: u128,
    /// Which input.
    pub input: u32,
    /// Its ordinal there.
    pub ordinal: u32,
    /// Its first row there.
    pub first: u32,
    /// Its rows.
    pub rows: u32,
    /// Start as the input has it, 0 for none.
    pub start: u64,
    /// Duration as the input has it.
    pub duration: u64,
}

/// A trace of the output.
#[derive(Clone, Copy, Debug)]
pub struct MergedTrace {
    /// Its id.
    pub id: u128,
    /// Earliest start, 0 for none.
    pub start: u64,
    /// Latest end minus earliest start.
    pub duration: u64,
    /// Its rows.
    pub rows: u32,
    /// Where they come from.
    pub place: Place,
}

/// Where the rows of a trace come from.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// From this row on of this input.
    Input { input: u32, first: u32 },
    /// From this place on of the shared rows.
    Shared { first: u32 },
}

/// The traces and span rows of the output.
pub struct Plan {
    /// The traces in order.
    pub traces: Vec<MergedTrace>,
    /// The rows of those that lie in several pieces.
    pub shared: SharedRows,
    /// All span rows in order.
    pub spans: Runs,
}

impl Plan {
    /// Plans the merge of the inputs' live traces.
    ///
    /// # Errors
    /// Corrupt if a trace table or the fixed columns of a trace in pieces are damaged; invalid if the output
    /// would have 2^32 rows; what `check` returns.
    pub fn new(inputs: &[Input<'_>], check: &dyn Fn() -> Result<()>) -> Result<Self> {
        let mut pieces = Vec::new();
        for (index, input) in (0..).zip(inputs) {
            check()?;
            add_pieces(input, index, &mut pieces)?;
        }
        let rows: u64 = pieces.iter().map(|piece| u64::from(piece.rows)).sum();
        if u32::try_from(rows).is_err() {
            return Err(Error::invalid(format!("a segment of {rows} rows is too large; merge fewer")));
        }
        let (mut traces, shared) = unite_pieces(inputs, pieces, check)?;
        // Every input is in this order already, which a merging sort makes use of.
        traces.sort_by_key(|trace| (trace.start, Reverse(trace.id)));
        let mut spans = Runs::default();
        for trace in &traces {
            match trace.place {
                Place::Input { input, first } => spans.push(Run { input, first, rows: trace.rows }),
                Place::Shared { first } => shared
                    .places(first..first + trace.rows)
                    .iter()
                    .for_each(|(input, row)| spans.push(Run { input: *input, first: *row, rows: 1 })),
            }
        }
        Ok(Self { traces, shared, spans })
    }
}

/// Reads the live traces of an input.
fn add_pieces(input: &Input<'_>, index: u32, out: &mut Vec<TracePiece>) -> Result<()> {
    let columns = [Fixed::TraceHigh, Fixed::TraceLow, Fixed::TraceRow, Fixed::TraceStart, Fixed::TraceDuration];
    let [high, low, first, start, duration] = columns.map(|column| input.of_traces(column));
    let (high, low, first, start, duration) = (high?, low?, first?, start?, duration?);
    let total = u64::from(input.segment.rows());
    ensure(first.first().copied().unwrap_or(0) == 0 && (first.is_empty() == (total == 0)), || {
        format!("segment {}: the traces do not begin at row 0", input.segment.name())
    })?;
    for at in 0..first.len() {
        let end = first.get(at + 1).copied().unwrap_or(total);
        let id = u128::from(high[at]) << 64 | u128::from(low[at]);
        if first[at] >= end || end > total || id == 0 {
            return Err(input.corrupt(format_args!("trace {at} has id {id:032x} and rows {}..{end}", first[at])));
        }
        if input.dead.contains(at as u32) {
            continue;
        }
        out.push(TracePiece {
            id,
            input: index,
            ordinal: at as u32,
            first: first[at] as u32,
            rows: (end - first[at]) as u32,
            start: start[at],
            duration: duration[at],
        });
    }
    Ok(())
}

/// Unites the traces that lie in several pieces; the others are as they were.
fn unite_pieces(
    inputs: &[Input<'_>],
    pieces: Vec<TracePiece>,
    check: &dyn Fn() -> Result<()>,
) -> Result<(Vec<MergedTrace>, SharedRows)> {
    let mut by_id: Vec<(u128, u32)> = pieces.iter().map(|piece| piece.id).zip(0..).collect();
    by_id.sort_unstable();
    let mut uniter = Uniter::new(inputs);
    let mut alone = vec![true; pieces.len()];
    let mut united = Vec::new();
    for group in by_id.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
        check()?;
        group.iter().for_each(|(_, piece)| alone[*piece as usize] = false);
        let group: Vec<TracePiece> = group.iter().map(|(_, piece)| pieces[*piece as usize]).collect();
        united.push(uniter.unite(&group)?);
    }
    drop(by_id);
    let copied = pieces.iter().zip(alone).filter(|(_, alone)| *alone).map(|(piece, _)| MergedTrace {
        id: piece.id,
        start: piece.start,
        duration: piece.duration,
        rows: piece.rows,
        place: Place::Input { input: piece.input, first: piece.first },
    });
    let traces = copied.chain(united).collect();
    Ok((traces, uniter.finish()))
}
