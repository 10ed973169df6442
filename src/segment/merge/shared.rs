//! Traces that lie in several pieces: their rows in one order, identical records once.
//!
//! The order is that of sealing ([`super::super::order`]), from the fixed columns of the rows alone. Whole
//! spans are read only where ids and times are equal, for then it is the rest that tells whether two rows are
//! one record. Rows are given in the order of their appends, so the record that came first stays.

use std::cell::{OnceCell, RefCell};
use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::column::{ClassBits, RowSource};
use crate::error::{Error, Result, ensure};
use crate::model::Span;

use super::super::layout::Fixed;
use super::super::order::{OrderRow, fingerprint_of, last_instant, order_rows};
use super::super::rows::IntegerCursor;
use super::input::Input;
use super::traces::{MergedTrace, Place, TracePiece};

/// The rows of all traces that were united, one trace after the other.
#[derive(Default)]
pub struct SharedRows {
    places: Vec<(u32, u32)>,
    depths: Vec<u32>,
    starts: Vec<u64>,
    exceptions: Vec<(u32, u64)>,
}

impl SharedRows {
    /// The inputs and rows that these come from.
    pub fn places(&self, range: Range<u32>) -> &[(u32, u32)] {
        &self.places[range.start as usize..range.end as usize]
    }

    /// Their depths.
    pub fn depths(&self, range: Range<u32>) -> &[u32] {
        &self.depths[range.start as usize..range.end as usize]
    }

    /// Their starts, 0 for none.
    pub fn starts(&self, range: Range<u32>) -> &[u64] {
        &self.starts[range.start as usize..range.end as usize]
    }

    /// Those whose parent is not the one their depth implies, with the parent.
    pub fn exceptions(&self, range: Range<u32>) -> &[(u32, u64)] {
        let place = |row: u32| self.exceptions.partition_point(|(at, _)| *at < row);
        &self.exceptions[place(range.start)..place(range.end)]
    }
}

/// A row of a piece.
struct PieceRow {
    piece: usize,
    row: u32,
    sequence: u64,
    order: OrderRow,
}

/// Unites one trace after the other.
pub struct Uniter<'s> {
    readers: Vec<PieceReader<'s>>,
    out: SharedRows,
}

impl<'s> Uniter<'s> {
    /// Of traces of these inputs.
    pub fn new(inputs: &'s [Input<'s>]) -> Self {
        let mut services: FxHashMap<&str, u32> = FxHashMap::default();
        let readers = inputs.iter().map(|input| PieceReader::new(input, &mut services)).collect();
        Self { readers, out: SharedRows::default() }
    }

    /// The rows of all traces.
    pub fn finish(self) -> SharedRows {
        self.out
    }

    /// Unites the pieces of a trace.
    ///
    /// # Errors
    /// Corrupt if what it reads is damaged.
    pub fn unite(&mut self, pieces: &[TracePiece]) -> Result<MergedTrace> {
        let mut rows = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            self.readers[piece.input as usize].read(piece, index, &mut rows)?;
        }
        rows.sort_by_key(|row| row.sequence);
        let records = Records::of(&self.readers, pieces);
        let fingerprint = |i: u32| fingerprint_of(records.span(&rows[i as usize]));
        let identical = |a: u32, b: u32| records.span(&rows[a as usize]) == records.span(&rows[b as usize]);
        let orders: Vec<OrderRow> = rows.iter().map(|row| row.order).collect();
        let order = order_rows(&orders, &fingerprint, &identical);
        if let Some(error) = records.error.into_inner() {
            return Err(error);
        }
        let trace = order.traces.first().ok_or_else(|| Error::corrupt("a trace has no rows"))?;
        let first = self.out.places.len() as u32;
        let mut path: Vec<u64> = Vec::new();
        for (row, depth) in order.rows.iter().map(|row| &rows[*row as usize]).zip(&order.depths) {
            path.truncate(*depth as usize);
            if row.order.parent != path.last().copied().unwrap_or(0) {
                self.out.exceptions.push((self.out.places.len() as u32, row.order.parent));
            }
            path.push(row.order.span_id);
            self.out.places.push((pieces[row.piece].input, row.row));
            self.out.depths.push(*depth);
            self.out.starts.push(row.order.start);
        }
        let rows = self.out.places.len() as u32 - first;
        let (id, place) = (pieces[0].id, Place::Shared { first });
        Ok(MergedTrace { id, start: trace.start, duration: trace.duration, rows, place })
    }
}

/// The spans of pieces, read when first asked for.
struct Records<'r, 's> {
    readers: &'r [PieceReader<'s>],
    pieces: &'r [TracePiece],
    spans: Vec<OnceCell<Vec<Span>>>,
    error: RefCell<Option<Error>>,
}

impl<'r, 's> Records<'r, 's> {
    fn of(readers: &'r [PieceReader<'s>], pieces: &'r [TracePiece]) -> Self {
        let spans = pieces.iter().map(|_| OnceCell::new()).collect();
        Self { readers, pieces, spans, error: RefCell::default() }
    }

    /// The span of a row; none if it cannot be read, which fails the trace afterwards.
    fn span(&self, row: &PieceRow) -> Option<&Span> {
        let piece = &self.pieces[row.piece];
        let spans = self.spans[row.piece].get_or_init(|| {
            let input = self.readers[piece.input as usize].input;
            input.segment.trace_spans(piece.ordinal, input.counter).unwrap_or_else(|error| {
                *self.error.borrow_mut() = Some(error);
                Vec::new()
            })
        });
        spans.get((row.row - piece.first) as usize)
    }
}

/// Reads the fixed columns of pieces of one input.
struct PieceReader<'s> {
    input: &'s Input<'s>,
    /// Service of every resource, the same code for the same text in every input.
    services: Vec<u32>,
    ids: IntegerCursor<'s>,
    depths: IntegerCursor<'s>,
    starts: IntegerCursor<'s>,
    lengths: IntegerCursor<'s>,
    classes: IntegerCursor<'s>,
    resources: IntegerCursor<'s>,
    sequences: IntegerCursor<'s>,
    parents: IntegerCursor<'s>,
    /// Rows whose parents are exceptions; read with the first piece.
    exceptions: Option<Vec<u32>>,
}

impl<'s> PieceReader<'s> {
    fn new(input: &'s Input<'s>, services: &mut FxHashMap<&'s str, u32>) -> Self {
        let cursor = |column: Fixed| IntegerCursor::new(input.segment, column as u32, false, input.counter);
        let mut code = |service: &u32| {
            let next = services.len() as u32;
            *services.entry(input.source.text(*service)).or_insert(next)
        };
        Self {
            input,
            services: input.source.tables.services.iter().map(&mut code).collect(),
            ids: cursor(Fixed::SpanId),
            depths: cursor(Fixed::Depth),
            starts: cursor(Fixed::Start),
            lengths: cursor(Fixed::Length),
            classes: cursor(Fixed::Class),
            resources: cursor(Fixed::Resource),
            sequences: cursor(Fixed::Sequence),
            parents: cursor(Fixed::ParentId),
            exceptions: None,
        }
    }

    /// Appends the rows of a piece, the one of this index.
    fn read(&mut self, piece: &TracePiece, index: usize, out: &mut Vec<PieceRow>) -> Result<()> {
        let input = self.input;
        let known = |what: &str, row: u32| input.corrupt(format_args!("row {row} has an unknown {what}"));
        if self.exceptions.is_none() {
            self.exceptions = Some(input.row_list(Fixed::ParentRow)?);
        }
        let exceptions = self.exceptions.as_deref().unwrap_or_default();
        let mut exception = exceptions.partition_point(|row| *row < piece.first);
        let mut path: Vec<u64> = Vec::new();
        for row in piece.first..piece.first + piece.rows {
            let at = row as usize;
            let (span_id, depth) = (self.ids.get(at)?, self.depths.get(at)? as usize);
            ensure(depth <= path.len(), || {
                format!("segment {}: row {row} has depth {depth} below depth {}", input.segment.name(), path.len())
            })?;
            path.truncate(depth);
            let mut parent = path.last().copied().unwrap_or(0);
            path.push(span_id);
            if exceptions.get(exception) == Some(&row) {
                parent = self.parents.get(exception)?;
                exception += 1;
            }
            let delta = self.starts.get(at)?;
            let start = if delta == 0 { 0 } else { piece.start.wrapping_add(delta - 1) };
            let end = start.wrapping_add(self.lengths.get(at)?);
            let code = self.classes.get(at)?;
            let class = input.source.schema().classes.get(code as usize);
            let bits = class.ok_or_else(|| known("class", row))?.bits;
            let resource = input.source.tables.class_resources.get(code as u32, self.resources.get(at)?);
            let service = resource.and_then(|resource| self.services.get(resource as usize));
            let order = OrderRow {
                trace_id: piece.id.to_be_bytes(),
                span_id,
                parent,
                start,
                end,
                last: last_instant(start, end, bits.has(ClassBits::ZIPKIN)),
                service: *service.ok_or_else(|| known("resource", row))?,
                shared: bits.has(ClassBits::SHARED),
            };
            let sequence = self.sequences.get(at)?.wrapping_add(input.segment.directory().sequences.0);
            out.push(PieceRow { piece: index, row, sequence, order });
        }
        Ok(())
    }
}
