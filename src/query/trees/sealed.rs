//! Clean traces of a segment as rows in pre-order, from their columns.
//!
//! ```text
//! page        |     12      |     13      |
//! trace        7 7 7 8 8 8 8 8 8 9 ...          trace 8: two rows of page 12 ... and four of page 13
//! depth        0 1 1 0 1 2 2 1 0                its last row is a top: an orphan, or a second root
//! ```
//! The page of each column that was read last is kept, so that successive traces cost each page once.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::catalog::SegmentPart;
use crate::column::{ClassBits, NONE, RowSource};
use crate::error::{Error, ErrorKind, Result, ensure};
use crate::limits::PAGE_ROWS;
use crate::model::TraceId;
use crate::part::ReadCounter;
use crate::segment::{Fixed, IntegerCursor, Segment, SegmentSource};

use super::super::trace_table::TraceTable;
use super::rows::{ROW_LEN_BYTES, TreeRows, facts};

/// Reads clean traces of a segment; quickest in ascending order.
pub struct SealedTrees<'p> {
    segment: &'p Segment,
    source: SegmentSource<'p>,
    counter: &'p ReadCounter,
    /// Where the traces are.
    pub table: TraceTable<'p>,
    ids: IntegerCursor<'p>,
    depths: PageColumn,
    starts: PageColumn,
    lengths: PageColumn,
    classes: PageColumn,
    /// By class: the code of its operation, and its facts.
    of_class: Vec<(u32, u8)>,
    /// Texts of service and name of each operation, as the part knows them.
    operations: Vec<(u32, u32)>,
    /// The rows of some range whose recorded parent is not the one that their depth implies.
    recorded: (Range<u32>, Vec<(u32, u64)>),
    /// The trace read last.
    ordinal: u32,
    rows: Range<u32>,
    /// Pages of rows read so far.
    pub pages_read: u64,
}

impl<'p> SealedTrees<'p> {
    /// A reader of this segment.
    ///
    /// # Errors
    /// Corrupt if its tables are damaged.
    pub fn new(part: &'p SegmentPart, counter: &'p ReadCounter) -> Result<Self> {
        let segment = &*part.segment;
        let source = segment.source()?;
        let (mut codes, mut operations) = (FxHashMap::default(), Vec::new());
        let mut of_class = Vec::with_capacity(source.schema().classes.len());
        for class in &source.schema().classes {
            let operation = *codes.entry((class.service, class.name)).or_insert_with(|| {
                operations.push((class.service, class.name));
                operations.len() as u32 - 1
            });
            let has = |bit| class.bits.has(bit);
            of_class.push((operation, facts(class.status, !has(ClassBits::NO_DURATION), has(ClassBits::SHARED))));
        }
        Ok(Self {
            segment,
            source,
            counter,
            table: TraceTable::new(part, counter),
            ids: IntegerCursor::new(segment, Fixed::SpanId as u32, false, counter),
            depths: PageColumn::default(),
            starts: PageColumn::default(),
            lengths: PageColumn::default(),
            classes: PageColumn::default(),
            of_class,
            operations,
            recorded: (0..0, Vec::new()),
            ordinal: 0,
            rows: 0..0,
            pages_read: 0,
        })
    }

    /// Reads the rows of a trace, none of which is marked as matching; returns where they lie.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; TooLarge if the trace outgrows what the counter allows.
    pub fn read(&mut self, ordinal: u32, out: &mut TreeRows) -> Result<Range<u32>> {
        out.clear();
        let rows = self.table.rows(ordinal)?;
        let held = self.counter.holding(|| self.counter.hold(rows.len() * ROW_LEN_BYTES, rows.len(), rows.len()));
        held.map_err(|error| self.name_large(error, ordinal))?;
        let begin = self.table.start(ordinal)?;
        for page in rows.start as usize / PAGE_ROWS..=(rows.end as usize - 1) / PAGE_ROWS {
            let first = page * PAGE_ROWS;
            let within = (rows.start as usize).max(first) - first..(rows.end as usize).min(first + PAGE_ROWS) - first;
            let (segment, counter) = (self.segment, self.counter);
            self.pages_read += u64::from(self.depths.page != Some(page));
            let depths = self.depths.read(segment, Fixed::Depth, page, &within, counter)?;
            let starts = self.starts.read(segment, Fixed::Start, page, &within, counter)?;
            let lengths = self.lengths.read(segment, Fixed::Length, page, &within, counter)?;
            let classes = self.classes.read(segment, Fixed::Class, page, &within, counter)?;
            for depth in depths {
                let sound = out.push_parent(*depth);
                ensure(sound, || format!("segment {}: row {} has no sound depth", segment.name(), out.len()))?;
            }
            let start = |delta: u64| if delta == 0 { 0 } else { begin.wrapping_add(delta - 1) };
            out.starts.extend(starts.iter().map(|delta| start(*delta)));
            for (class, length) in classes.iter().zip(lengths) {
                let (operation, facts) = self.of_class[*class as usize];
                out.operations.push(operation);
                out.facts.push(facts);
                out.durations.push(if facts & super::rows::DURATION != 0 { *length } else { 0 });
            }
        }
        (self.ordinal, self.rows) = (ordinal, rows.clone());
        Ok(rows)
    }

    fn name_large(&mut self, error: Error, ordinal: u32) -> Error {
        match (error.kind(), self.table.id(ordinal)) {
            (ErrorKind::TooLarge, Ok(id)) => error.at(format!("trace {id}")),
            _ => error,
        }
    }

    /// The id of the trace read last.
    ///
    /// # Errors
    /// Corrupt if the trace table is damaged.
    pub fn trace_id(&mut self) -> Result<TraceId> {
        self.table.id(self.ordinal)
    }

    /// The id of the span of a row of the trace.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn span_id(&mut self, row: u32) -> Result<u64> {
        self.ids.get((self.rows.start + row) as usize)
    }

    /// The rows of the trace that name another parent than the one above them, and whom they name, 0 for none.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn recorded_parents(&mut self) -> Result<Vec<(u32, u64)>> {
        let (known, list) = &mut self.recorded;
        if self.rows.start < known.start || known.end < self.rows.end {
            let page_end = (self.rows.end as usize).next_multiple_of(PAGE_ROWS) as u32;
            *known = self.rows.start..page_end.min(self.segment.rows());
            *list = self.segment.recorded_parents(known, self.counter)?;
        }
        let from = list.partition_point(|(row, _)| *row < self.rows.start);
        let of_trace = list[from..].iter().take_while(|(row, _)| *row < self.rows.end);
        Ok(of_trace.map(|(row, parent)| (row - self.rows.start, *parent)).collect())
    }

    /// Service and name of an operation.
    pub fn operation(&self, code: u32) -> (Option<&str>, &str) {
        let (service, name) = self.operations[code as usize];
        let text = |code: u32| (code != NONE).then(|| self.source.text(code));
        (text(service), text(name).unwrap_or_default())
    }
}

/// The page of a column that was read last.
#[derive(Default)]
struct PageColumn {
    page: Option<usize>,
    values: Vec<u64>,
}

impl PageColumn {
    /// The values of some rows of a page.
    fn read(
        &mut self,
        segment: &Segment,
        column: Fixed,
        page: usize,
        rows: &Range<usize>,
        counter: &ReadCounter,
    ) -> Result<&[u64]> {
        if self.page != Some(page) {
            self.page = None;
            match column {
                Fixed::Class => segment.classes(column, page, counter, &mut self.values)?,
                _ => segment.integers(column as u32, page, counter, &mut self.values)?,
            }
            self.page = Some(page);
        }
        let missing =
            || Error::corrupt(format!("segment {}, page {page} of {column:?}: no rows {rows:?}", segment.name()));
        self.values.get(rows.clone()).ok_or_else(missing)
    }
}
