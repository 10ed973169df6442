//! The rows of a segment that carry links, one by one: service, outcome and duration of each.

use crate::catalog::SegmentPart;
use crate::column::{ClassBits, NONE, RowSource};
use crate::error::{Error, Result};
use crate::index::links::LinkNames;
use crate::model::{SpanId, StatusCode, TimeRange};
use crate::part::ReadCounter;
use crate::segment::{Fixed, IntegerCursor, LinkTarget, RowFinder};

use super::pointers::Pointer;

/// Reads rows of clean traces that carry links.
pub struct CarrierRows<'s> {
    part: &'s SegmentPart,
    counter: &'s ReadCounter,
    /// By class: service, and whether rows failed and have a duration.
    classes: Vec<(u32, bool, bool)>,
    finder: RowFinder<'s>,
    lengths: IntegerCursor<'s>,
}

impl<'s> CarrierRows<'s> {
    /// A reader.
    ///
    /// # Errors
    /// Corrupt if the tables of the segment are damaged.
    pub fn new(part: &'s SegmentPart, names: &mut LinkNames, counter: &'s ReadCounter) -> Result<Self> {
        let (segment, source) = (&*part.segment, part.segment.source()?);
        let classes = source.schema().classes.iter().map(|class| {
            let service = names.code((class.service != NONE).then(|| source.text(class.service)));
            (service, class.status == StatusCode::ERROR, !class.bits.has(ClassBits::NO_DURATION))
        });
        let lengths = IntegerCursor::new(segment, Fixed::Length as u32, false, counter);
        Ok(Self { part, counter, classes: classes.collect(), finder: RowFinder::new(segment, counter), lengths })
    }

    /// The pointer that a row carries; `None` if it leads from no service or to no span, its trace is dirty, or
    /// it does not start in the window.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn pointer(&mut self, row: u32, target: LinkTarget, window: TimeRange) -> Result<Option<Pointer>> {
        let ordinal = self.finder.ordinal(row)?;
        if self.part.dirty.contains(ordinal) || target.span_id == 0 || target.trace_low | target.trace_high == 0 {
            return Ok(None);
        }
        let unknown = || Error::corrupt(format!("segment {}: row {row} has no class", self.part.segment.name()));
        let class = self.finder.class(row)? as usize;
        let (service, error, has_duration) = self.classes.get(class).copied().ok_or_else(unknown)?;
        if service == NONE {
            return Ok(None);
        }
        let duration = if has_duration { Some(self.lengths.get(row as usize)?) } else { None };
        let found = self.finder.row(row, ordinal)?;
        if window != TimeRange::ALL && (found.start == 0 || !window.contains(found.start)) {
            return Ok(None);
        }
        let span_id = SpanId::from_u64(found.span_id);
        let ids = (self.part.segment.trace_id(ordinal, self.counter)?, span_id);
        Ok(Some(Pointer { target, service, error, duration, ids }))
    }
}
