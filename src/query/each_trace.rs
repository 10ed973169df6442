//! Every trace that has a matching span, without an order: for figures of whole traces.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

use crate::catalog::TraceIds;
use crate::error::Result;
use crate::model::Span;
use crate::segment::Detail;

use super::evaluate::TraceMatcher;
use super::find::Finder;

/// Takes the spans of a trace and the positions of those that match.
pub type TraceVisitor<'v> = dyn FnMut(&[Span], &[usize]) -> Result<()> + 'v;

impl Finder<'_> {
    /// Calls `visit` with the spans of every trace that has a matching span, clean ones first, and the positions
    /// of those that match. Without detail, the spans of clean traces have no attributes, events and links.
    ///
    /// # Errors
    /// Whatever is not damage, or what `visit` says.
    pub(super) fn each_trace(&mut self, detail: Detail, visit: &mut TraceVisitor<'_>) -> Result<()> {
        let mut loose = FxHashMap::default();
        self.scan_chapters(&mut loose)?;
        for index in 0..self.snapshot.segments.len() {
            let Some(mut scan) = self.begin_segment(index, &mut loose)? else { continue };
            while let Some(candidate) = self.next_clean(&mut scan)? {
                let Some((_, ordinal)) = candidate.place else { continue };
                let read = self.outline(&mut scan, ordinal).and_then(|(outline, matched)| match detail {
                    Detail::Outline => Ok((outline, matched.spans)),
                    // Both are in row order, so that positions are the same.
                    Detail::Full => Ok((scan.part.segment.trace_spans(ordinal, self.counter)?, matched.spans)),
                });
                match read {
                    Ok((_, matching)) if matching.is_empty() => {}
                    Ok((spans, matching)) => visit(&spans, &matching)?,
                    Err(error) => self.problem(error)?,
                }
            }
        }
        let matcher = TraceMatcher::new(self.query);
        for Reverse(candidate) in self.loose_candidates(loose)? {
            match self.snapshot.trace(candidate.trace_id, TraceIds::Strict, self.counter) {
                Ok(spans) => {
                    let matching = matcher.matching_spans(&spans);
                    if !matching.is_empty() {
                        visit(&spans, &matching)?;
                    }
                }
                Err(error) => self.problem(error)?,
            }
        }
        Ok(())
    }
}
