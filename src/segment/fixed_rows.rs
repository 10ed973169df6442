//! What every span row has: ids, times, class and resource, and spans made of these alone.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::column::{RowTimes, materialize_outline};
use crate::error::{Error, ErrorKind, Result, ensure};
use crate::model::{Span, SpanId, TraceId};
use crate::part::ReadCounter;

use super::layout::Fixed;
use super::reader::{Segment, SegmentSource, Tables};
use super::rows::{FEW, IntegerCursor};

/// Reads the columns that every row has, trace by trace.
pub(super) struct FixedRows<'s> {
    segment: &'s Segment,
    tables: &'s Tables,
    classes_known: u64,
    classes: IntegerCursor<'s>,
    ids: IntegerCursor<'s>,
    depths: IntegerCursor<'s>,
    starts: IntegerCursor<'s>,
    lengths: IntegerCursor<'s>,
    resources: IntegerCursor<'s>,
    parent_rows: IntegerCursor<'s>,
    parent_ids: IntegerCursor<'s>,
    /// Recorded parents that the depths do not imply, by row.
    parents: FxHashMap<u32, u64>,
}

/// A row without its attributes.
pub(super) struct FixedRow {
    /// Its ids and times.
    pub times: RowTimes,
    /// Its class, known to the schema.
    pub class: u32,
    /// Its resource.
    pub resource: u32,
}

impl<'s> FixedRows<'s> {
    /// A reader that is at no row yet.
    pub(super) fn new(segment: &'s Segment, tables: &'s Tables, counter: &'s ReadCounter) -> Self {
        let cursor = |column: Fixed| IntegerCursor::new(segment, column as u32, false, counter);
        let mut parent_rows = cursor(Fixed::ParentRow);
        parent_rows.set_dense(true);
        Self {
            segment,
            tables,
            classes_known: tables.schema.classes.len() as u64,
            classes: cursor(Fixed::Class),
            ids: cursor(Fixed::SpanId),
            depths: cursor(Fixed::Depth),
            starts: cursor(Fixed::Start),
            lengths: cursor(Fixed::Length),
            resources: cursor(Fixed::Resource),
            parent_rows,
            parent_ids: cursor(Fixed::ParentId),
            parents: FxHashMap::default(),
        }
    }

    /// Goes on with these rows of a trace.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; so do all methods.
    pub(super) fn begin(&mut self, rows: &Range<u32>) -> Result<()> {
        let dense = rows.len() > FEW;
        let cursors = [&mut self.classes, &mut self.ids, &mut self.depths, &mut self.starts, &mut self.lengths];
        cursors.into_iter().chain([&mut self.resources]).for_each(|cursor| cursor.set_dense(dense));
        self.parents.clear();
        for at in self.segment.sparse_range_by(&mut self.parent_rows, Fixed::ParentRow, rows)? {
            self.parents.insert(self.parent_rows.get(at)? as u32, self.parent_ids.get(at)?);
        }
        Ok(())
    }

    /// The classes of all rows of a page, each known to the schema.
    pub(super) fn classes_of_page(&mut self, page: usize) -> Result<&[u64]> {
        let classes = self.classes.whole_page(page)?;
        let sound = classes.iter().all(|class| *class < self.classes_known);
        ensure(sound, || format!("segment {}, page {page} of Class: unknown class", self.segment.name()))?;
        Ok(classes)
    }

    /// The class of a row, known to the schema.
    fn class(&mut self, row: u32) -> Result<u32> {
        let class = self.classes.get(row as usize)?;
        ensure(class < self.classes_known, || format!("segment {}, row {row}: unknown class", self.segment.name()))?;
        Ok(class as u32)
    }

    /// The next row of a trace, whose id and start are given; `path` are the ids of the spans it may stand below, from
    /// the root on, and then also its own.
    pub(super) fn row(&mut self, row: u32, trace: (TraceId, u64), path: &mut Vec<u64>) -> Result<FixedRow> {
        let at = row as usize;
        let class = self.class(row)?;
        let span_id = self.ids.get(at)?;
        let depth = self.depths.get(at)? as usize;
        ensure(depth <= path.len(), || format!("row {row} has depth {depth} below depth {}", path.len()))?;
        path.truncate(depth);
        let implied = path.last().copied().unwrap_or(0);
        path.push(span_id);
        let (trace_id, trace_start) = trace;
        let delta = self.starts.get(at)?;
        let start = if delta == 0 { 0 } else { trace_start.wrapping_add(delta - 1) };
        let times = RowTimes {
            trace_id,
            span_id: SpanId::from_u64(span_id).ok_or_else(|| Error::corrupt(format!("row {row} has no id")))?,
            parent_span_id: SpanId::from_u64(self.parents.get(&row).copied().unwrap_or(implied)),
            start_unix_nano: start,
            end_unix_nano: start.wrapping_add(self.lengths.get(at)?),
        };
        let resource = self.tables.resource_of(class, self.resources.get(at)?)?;
        Ok(FixedRow { times, class, resource })
    }
}

/// Reads traces without attributes, events and links. A page that several of them lie on is verified once.
pub struct OutlineReader<'s> {
    source: SegmentSource<'s>,
    counter: &'s ReadCounter,
    fixed: FixedRows<'s>,
}

impl<'s> OutlineReader<'s> {
    /// A reader of this segment, whose source this is.
    pub fn new(segment: &'s Segment, source: SegmentSource<'s>, counter: &'s ReadCounter) -> Self {
        Self { source, counter, fixed: FixedRows::new(segment, source.tables, counter) }
    }

    /// Goes on with the rows of a trace, for the methods that tell of single rows, ascending.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; so do these methods.
    pub fn begin(&mut self, rows: &Range<u32>) -> Result<()> {
        self.fixed.begin(rows)
    }

    /// The class of a row, known to the schema.
    ///
    /// # Errors
    /// As [`OutlineReader::begin`].
    pub fn class(&mut self, row: u32) -> Result<u32> {
        self.fixed.class(row)
    }

    /// True if the record of a row names a parent.
    ///
    /// # Errors
    /// As [`OutlineReader::begin`].
    pub fn has_parent(&mut self, row: u32) -> Result<bool> {
        match self.fixed.parents.get(&row) {
            Some(recorded) => Ok(*recorded != 0),
            None => Ok(self.fixed.depths.get(row as usize)? > 0),
        }
    }

    /// Start and id of a row of a trace with this start; a start of 0 is none.
    ///
    /// # Errors
    /// As [`OutlineReader::begin`].
    pub fn start_and_id(&mut self, row: u32, trace_start: u64) -> Result<(u64, SpanId)> {
        let delta = self.fixed.starts.get(row as usize)?;
        let start = if delta == 0 { 0 } else { trace_start.wrapping_add(delta - 1) };
        let id = SpanId::from_u64(self.fixed.ids.get(row as usize)?);
        Ok((start, id.ok_or_else(|| Error::corrupt(format!("row {row} has no id")))?))
    }

    /// The spans of a trace of this id, start and rows, in row order: enough to sum it up.
    ///
    /// # Errors
    /// As [`Segment::trace_spans`].
    pub fn read(&mut self, trace_id: TraceId, start: u64, rows: Range<u32>) -> Result<Vec<Span>> {
        self.counter.holding(|| self.hold(trace_id, start, rows))
    }

    /// As [`OutlineReader::read`]; the spans stay held when this returns.
    ///
    /// # Errors
    /// As [`Segment::trace_spans`].
    pub(super) fn hold(&mut self, trace_id: TraceId, start: u64, rows: Range<u32>) -> Result<Vec<Span>> {
        self.fixed.begin(&rows)?;
        let (count, mut out, mut path) = (rows.len(), Vec::new(), Vec::new());
        for row in rows {
            let FixedRow { times, class, resource } = self.fixed.row(row, (trace_id, start), &mut path)?;
            let span = materialize_outline(&self.source, &times, class, resource)?;
            let held = self.counter.hold(span.held_bytes(), out.len() + 1, count);
            held.map_err(|e| if e.kind() == ErrorKind::TooLarge { e.at(format!("trace {trace_id}")) } else { e })?;
            out.push(span);
        }
        Ok(out)
    }
}
