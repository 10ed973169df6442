//! The indexes of span rows: which pages hold which service, class and duration, their zones, and the rollup.
//!
//! Rows are added in row order; a row's page follows from how many came before.

use crate::column::{Class, ClassBits, NONE};
use crate::error::Result;
use crate::index::rollup::RollupBuilder;
use crate::index::{CodeIndexBuilder, Page, ZoneMapBuilder};
use crate::limits::PAGE_ROWS;
use crate::model::duration_nanos;

use super::layout::{GROUP_STEPS, OPERATION_TAILS, ROLLUP_GROUPS, SERVICE_STEPS, SectionKind};
use super::writer::SegmentWriter;

/// Duration buckets an octave in the page index.
const DURATION_STEPS: u32 = 4;
/// Codes of duration buckets: 64 octaves and the one of zero.
const DURATION_BUCKETS: usize = 64 * DURATION_STEPS as usize + 1;

/// The code of the duration bucket a duration falls in; see [`DURATION_BUCKETS`].
pub fn duration_bucket(nanos: u64) -> u32 {
    let Some(octave) = nanos.checked_ilog2() else { return 0 };
    let step = if octave < 2 { 0 } else { (nanos >> (octave - 2)) as u32 & (DURATION_STEPS - 1) };
    1 + octave * DURATION_STEPS + step
}

/// The indexes as they are gathered.
pub struct RowIndexes {
    rows: usize,
    service_pages: CodeIndexBuilder<Page>,
    remote_pages: CodeIndexBuilder<Page>,
    class_pages: CodeIndexBuilder<Page>,
    duration_pages: CodeIndexBuilder<Page>,
    zones: ZoneMapBuilder,
    rollup: RollupBuilder,
    start_min: u64,
    start_max: u64,
}

impl RowIndexes {
    /// Indexes of a segment with this many rows a block.
    pub fn new(block_rows: usize) -> Self {
        Self {
            rows: 0,
            service_pages: CodeIndexBuilder::new(0),
            remote_pages: CodeIndexBuilder::new(0),
            class_pages: CodeIndexBuilder::new(0),
            duration_pages: CodeIndexBuilder::new(DURATION_BUCKETS),
            zones: ZoneMapBuilder::new((block_rows / PAGE_ROWS).max(1) as u32),
            rollup: RollupBuilder::default(),
            start_min: u64::MAX,
            start_max: 0,
        }
    }

    /// Adds the next row: its class with the code it has in the segment, its start and end as received.
    pub fn add(&mut self, code: u32, class: &Class, start: u64, end: u64) {
        let page = (self.rows / PAGE_ROWS) as u32;
        self.rows += 1;
        self.class_pages.add(code, page);
        if class.service != NONE {
            self.service_pages.add(class.service, page);
        }
        if class.remote != NONE {
            self.remote_pages.add(class.remote, page);
        }
        let duration = duration_nanos(start, end, class.bits.has(ClassBits::ZIPKIN));
        if let Some(nanos) = duration {
            self.duration_pages.add(duration_bucket(nanos), page);
        }
        let start = (start != 0).then_some(start);
        self.rollup.add(code, class, start, duration);
        self.zones.add(start, start.map(|s| s.saturating_add(duration.unwrap_or(0))), duration);
        if let Some(start) = start {
            self.start_min = self.start_min.min(start);
            self.start_max = self.start_max.max(start);
        }
    }

    /// Earliest and latest start; `u64::MAX` and 0 if no row has one.
    pub fn starts(&self) -> (u64, u64) {
        (self.start_min, self.start_max)
    }

    /// Writes the indexes.
    ///
    /// # Errors
    /// Whatever the file says.
    pub fn write(self, out: &mut SegmentWriter) -> Result<()> {
        let indexes = [
            (SectionKind::ServicePages, self.service_pages),
            (SectionKind::RemotePages, self.remote_pages),
            (SectionKind::ClassPages, self.class_pages),
            (SectionKind::DurationPages, self.duration_pages),
        ];
        for (kind, index) in indexes {
            out.section(kind, 0, &index.finish())?;
        }
        out.section(SectionKind::Zones, 0, &self.zones.finish())?;
        let rollup = self.rollup.finish();
        out.section(SectionKind::Rollup, ROLLUP_GROUPS, &rollup.groups)?;
        if let Some((by_group, by_half)) = rollup.steps {
            out.section(SectionKind::Steps, GROUP_STEPS, &by_group)?;
            out.section(SectionKind::Steps, SERVICE_STEPS, &by_half)?;
        }
        out.section(SectionKind::TailLists, OPERATION_TAILS, &rollup.tails)?;
        match rollup.cells {
            Some(cells) => out.section(SectionKind::CellPages, 0, &cells),
            None => Ok(()),
        }
    }
}
