//! Candidates for the slowest traces of a segment: the trace table says which pages hold a trace that is slow enough.
//!
//! ```text
//! best so far    9.1 s .. 2.0 s
//! page 12        longest trace on it 1.4 s    not scanned, whatever the filter
//! page 11        longest trace on it 3.3 s    scanned: perhaps it matches
//! ```

use crate::error::Result;
use crate::model::TraceId;

use super::candidate::BestCandidates;
use super::find::Finder;
use super::page::SortKey;
use super::segment_scan::SegmentScan;

impl<'q> Finder<'q> {
    /// Adds the clean candidates of a segment that are among the best.
    ///
    /// # Errors
    /// Whatever is not damage.
    pub(super) fn push_slowest(&mut self, scan: &mut SegmentScan<'q>, best: &mut BestCandidates) -> Result<()> {
        while let Some(page) = scan.pages.pop() {
            match self.may_better(scan, page, best) {
                Ok(true) => {}
                Ok(false) => {
                    self.explain.pages_skipped += 1;
                    best.let_go();
                    continue;
                }
                Err(error) => {
                    self.problem(error)?;
                    continue;
                }
            }
            let mask = self.masks(scan, page)?.into_iter().next();
            let ordinals = match mask.map(|mask| scan.ordinals(page, &mask)).transpose() {
                Ok(ordinals) => ordinals.unwrap_or_default(),
                Err(error) => {
                    self.problem(error)?;
                    continue;
                }
            };
            for ordinal in ordinals.into_iter().rev() {
                if let Some(candidate) = self.candidate(scan, ordinal)? {
                    best.push(candidate);
                }
            }
        }
        Ok(())
    }

    /// True if a trace with a row on the page would be among the best, if it matches.
    fn may_better(&self, scan: &mut SegmentScan<'q>, page: u32, best: &BestCandidates) -> Result<bool> {
        for ordinal in scan.part.segment.traces_on(page)? {
            let (start, duration) = scan.extent(ordinal)?;
            if best.would_take(SortKey::new(self.query.order, start, duration, TraceId::SMALLEST)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
