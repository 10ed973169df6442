//! The clean traces of a segment linked along their rows: classes, depths and lengths are read, page after page.
//!
//! Odd traces, and those that reach over an end of the window, are left to the caller.

use crate::catalog::SegmentPart;
use crate::column::{ClassBits, NONE};
use crate::error::{Error, Result, ensure};
use crate::index::links::{LinkClass, LinkKind, RowLink, RowLinker};
use crate::index::rollup::EdgeCodes;
use crate::limits::PAGE_ROWS;
use crate::model::TimeRange;
use crate::part::ReadCounter;
use crate::segment::{Fixed, IntegerCursor};

/// Rows that are read before those that are done with are let go.
const ROWS_HELD: usize = 8 << 10;

/// A link of a row: the row, what its edge stands for, whether it failed, and the duration.
#[derive(Clone, Copy, Debug)]
pub struct ScannedLink {
    /// The row.
    pub row: u32,
    /// What the caller made of the edge.
    pub slot: u32,
    /// True if it failed.
    pub error: bool,
    /// Duration in nanoseconds, if there is one.
    pub duration: Option<u64>,
}

/// What a scan does with what it meets.
pub struct ScanSinks<'c> {
    /// What a link stands for, [`NONE`] if it is not wanted.
    pub slot_of: &'c mut dyn FnMut(EdgeCodes) -> u32,
    /// Takes the ordinals of the traces that are left to the caller.
    pub left: &'c mut dyn FnMut(u32),
    /// Takes damage; what is no damage is an error.
    pub problem: &'c mut dyn FnMut(Error) -> Result<()>,
}

/// Reads the rows of a segment.
pub struct RowScan<'s> {
    part: &'s SegmentPart,
    counter: &'s ReadCounter,
    table: Vec<LinkClass>,
    has_start: Vec<bool>,
    /// By class, the link that its last row yielded and what it stands for.
    last: Vec<(EdgeCodes, u32)>,
    /// First row that is held, and what is held of the rows from there on.
    base: usize,
    classes: Vec<u64>,
    depths: Vec<u64>,
    lengths: Vec<u64>,
    page: Vec<u64>,
}

impl<'s> RowScan<'s> {
    /// A scan of this segment.
    ///
    /// # Errors
    /// Corrupt if its tables are damaged.
    pub fn new(part: &'s SegmentPart, counter: &'s ReadCounter) -> Result<Self> {
        let classes = &part.segment.tables()?.schema.classes;
        let table: Vec<LinkClass> = classes.iter().map(LinkClass::of).collect();
        let has_start = classes.iter().map(|class| !class.bits.has(ClassBits::NO_START)).collect();
        let nothing = EdgeCodes { parent: NONE, child: NONE, kind: LinkKind::Link };
        let last = vec![(nothing, NONE); table.len()];
        let (classes, depths, lengths, page) = Default::default();
        Ok(Self { part, counter, table, has_start, last, base: 0, classes, depths, lengths, page })
    }

    /// Calls `found` with every link that is wanted, of a row that starts in the window.
    ///
    /// # Errors
    /// Corrupt if the trace table is damaged, or what `problem` says.
    pub fn run(
        &mut self,
        window: TimeRange,
        sinks: &mut ScanSinks<'_>,
        mut found: impl FnMut(ScannedLink) -> Result<()>,
    ) -> Result<()> {
        let (part, counter) = (self.part, self.counter);
        let segment = &*part.segment;
        let cursor = |column: Fixed| IntegerCursor::new(segment, column as u32, true, counter);
        let (mut firsts, mut starts) = (cursor(Fixed::TraceRow), cursor(Fixed::TraceStart));
        let mut durations = cursor(Fixed::TraceDuration);
        let (odd, traces) = (segment.odd_traces(), segment.traces());
        let mut upcoming = odd.into_iter().flat_map(|odd| odd.iter()).peekable();
        let (mut linker, mut links, mut next) = (RowLinker::default(), Vec::new(), 0);
        for ordinal in 0..traces {
            let first = next;
            next = match ordinal + 1 {
                end if end == traces => segment.rows() as usize,
                end => firsts.get(end as usize)? as usize,
            };
            let sound = first < next && next <= segment.rows() as usize;
            ensure(sound, || format!("segment {}: trace {ordinal} has rows {first}..{next}", segment.name()))?;
            let is_odd = upcoming.next_if(|odd| *odd == ordinal).is_some() || odd.is_none();
            if part.dirty.contains(ordinal) {
                continue;
            }
            if window != TimeRange::ALL {
                let start = starts.get(ordinal as usize)?;
                let last = start.saturating_add(durations.get(ordinal as usize)?);
                if start == 0 || !window.overlaps(start, last) {
                    continue;
                }
                if !window.covers(start, last) {
                    (sinks.left)(ordinal);
                    continue;
                }
            }
            if is_odd {
                (sinks.left)(ordinal);
                continue;
            }
            if let Err(error) = self.hold(first, next) {
                (sinks.problem)(error)?;
                continue;
            }
            let Self { base, table, has_start, last, classes, depths, lengths, .. } = self;
            let rows = first - *base..next - *base;
            let (of_rows, depths) = (&classes[rows.clone()], &depths[rows.clone()]);
            linker.link(table, of_rows, depths, |at, link: RowLink| {
                let class = of_rows[at] as usize;
                let codes = EdgeCodes::of(&link);
                if last[class].0 != codes {
                    last[class] = (codes, (sinks.slot_of)(codes));
                }
                let slot = last[class].1;
                if slot != NONE && (has_start[class] || window == TimeRange::ALL) {
                    let has_duration = table[class].has_duration && !link.backfilled;
                    let duration = has_duration.then(|| lengths[rows.start + at]);
                    links.push(ScannedLink { row: (first + at) as u32, slot, error: link.error, duration });
                }
            });
            for link in links.drain(..) {
                found(link)?;
            }
        }
        Ok(())
    }

    /// Holds these rows, and perhaps others.
    fn hold(&mut self, first: usize, end: usize) -> Result<()> {
        let mut next = self.base + self.classes.len();
        if end <= next {
            return Ok(());
        }
        if first >= next || first - self.base >= ROWS_HELD {
            let kept = first / PAGE_ROWS * PAGE_ROWS;
            let gone = (kept - self.base).min(self.classes.len());
            for list in [&mut self.classes, &mut self.depths, &mut self.lengths] {
                list.drain(..gone);
            }
            self.base = if first >= next { kept } else { self.base + gone };
            next = self.base + self.classes.len();
        }
        for page in next / PAGE_ROWS..end.div_ceil(PAGE_ROWS) {
            if let Err(error) = self.read(page) {
                // What was read of the page is forgotten.
                let whole = page * PAGE_ROWS - self.base;
                for list in [&mut self.classes, &mut self.depths, &mut self.lengths] {
                    list.truncate(whole);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn read(&mut self, page: usize) -> Result<()> {
        let segment = &*self.part.segment;
        segment.classes(Fixed::Class, page, self.counter, &mut self.page)?;
        self.classes.extend_from_slice(&self.page);
        segment.integers(Fixed::Depth as u32, page, self.counter, &mut self.page)?;
        self.depths.extend_from_slice(&self.page);
        segment.integers(Fixed::Length as u32, page, self.counter, &mut self.page)?;
        self.lengths.extend_from_slice(&self.page);
        let end = ((page + 1) * PAGE_ROWS).min(segment.rows() as usize) - self.base;
        if [&self.classes, &self.depths, &self.lengths].iter().all(|list| list.len() == end) {
            return Ok(());
        }
        Err(Error::corrupt(format!("segment {}, page {page}: columns of different lengths", segment.name())))
    }
}
