//! Filters judged on several threads, before figures are made of the rows that meet them.
//!
//! Where values decide, reading and judging them is most of the work, and each page stands alone. Structural conditions
//! decide whole traces; one that lies across two shares is decided twice.

use crate::catalog::SegmentPart;
use crate::error::Result;
use crate::part::ReadCounter;

use super::find::Finder;
use super::mask::Mask;
use super::matching::{MatchPart, Matching, is_of_group};
use super::predicate::Criterion;
use super::scan::PageScan;
use super::segment_pages::SegmentPages;
use super::threads::{divide, threads_for};

/// A page of the part of this index.
type PageOfPart = (usize, u32);

impl<'q> Matching<'q> {
    /// Judges the planned pages of segments on up to so many threads, if values have to be read and there are pages
    /// enough. A page that cannot be read stays unjudged.
    pub fn judge_ahead(&mut self, parts: &[MatchPart<'q>], threads_max: usize) {
        let finder = &self.finder;
        let reads_values = |criterion: &Criterion| !is_of_group(criterion) && !is_remote(criterion);
        let is_worth_it = finder.query.structure.is_some() || finder.criteria().iter().any(reads_values);
        if threads_max < 2 || self.is_by_trace() || !is_worth_it {
            return;
        }
        let mut pages: Vec<PageOfPart> = Vec::new();
        for (index, part) in parts.iter().enumerate().filter(|(_, part)| part.sealed.is_some()) {
            pages.extend(self.pages(part).iter().map(|page| (index, *page)));
        }
        if threads_for(pages.len(), threads_max) < 2 {
            return;
        }
        let segments: Vec<Option<&SegmentPart>> = parts.iter().map(|part| part.sealed).collect();
        let (snapshot, query, criteria) = (self.finder.snapshot, self.finder.query, self.finder.criteria());
        let judge = |share: &[PageOfPart]| {
            let counter = ReadCounter::default();
            let finder = Finder::new(snapshot, query, criteria, &counter);
            let mut masks: Vec<Option<Mask>> = Vec::with_capacity(share.len());
            for of_part in share.chunk_by(|a, b| a.0 == b.0) {
                let end = masks.len() + of_part.len();
                if let Some(Some(part)) = of_part.first().map(|(index, _)| segments[*index]) {
                    // What could not be read is read again where its damage is noted.
                    let _ = judge_part(&finder, part, of_part, &mut masks);
                }
                masks.resize(end, None);
            }
            (masks, counter.pages(), counter.bytes())
        };
        let mut judged = pages.iter();
        for (masks, pages, bytes) in divide(&pages, threads_max, judge) {
            self.finder.counter.count_pages(pages, bytes);
            for (mask, (index, page)) in masks.into_iter().zip(&mut judged) {
                if let Some(mask) = mask {
                    parts[*index].judge(*page, mask);
                }
            }
        }
    }
}

fn is_remote(criterion: &Criterion) -> bool {
    matches!(criterion, Criterion::RemoteService(_))
}

/// Judges pages of one segment; a page that cannot be read has no mask.
fn judge_part<'q>(
    finder: &Finder<'q>,
    part: &'q SegmentPart,
    pages: &[PageOfPart],
    out: &mut Vec<Option<Mask>>,
) -> Result<()> {
    let source = part.segment.source()?;
    let mut criteria = finder.compile(&source, &source.tables.resources, &source.tables.scopes);
    finder.decide(&mut criteria, part)?;
    let rows = SegmentPages { segment: &part.segment, source, counter: finder.counter };
    for (_, page) in pages {
        let found = PageScan::new(&rows, *page).and_then(|mut scan| finder.scan_page(&mut scan, &criteria));
        out.push(found.ok().map(|masks| masks.into_iter().next().unwrap_or(Mask::NONE)));
    }
    Ok(())
}
