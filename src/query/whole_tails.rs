//! The tail lists of segments that lie wholly inside what is asked about, with the counts that give them their ranks.

use rustc_hash::FxHashMap;

use crate::column::NONE;
use crate::error::{Error, Result};
use crate::index::rollup::{Group, GroupCodes, OperationCodes, TailLists};
use crate::model::{SpanKind, StatusCode};

use super::matching::{MatchPart, Matching, PartRows};
use super::predicate::Criterion;
use super::step_totals::GroupTexts;

/// The tail lists of one segment.
pub struct WholeTails<'p> {
    /// The lists.
    pub lists: TailLists<'p>,
    /// The bin of each, [`NONE`] for one that is not wanted.
    pub bins: Vec<u32>,
}

/// Takes a bin, and counts of some of its spans with the shortest of their durations.
pub type CountsVisitor<'v> = dyn FnMut(u32, &Group, Option<u64>) + 'v;

impl<'q> Matching<'q> {
    /// True if service and name of a span decide whether it matches.
    fn is_by_operation(&self) -> bool {
        let decides = |criterion: &Criterion| matches!(criterion, Criterion::Service(_) | Criterion::Name(_));
        self.is_by_group() && self.finder.criteria().iter().all(decides)
    }

    /// The tail lists of a part by bin, which the caller gives to each operation, [`NONE`] for one that is not wanted;
    /// `visit` is called with the counts of every bin, which add up. `None` if the rows have to tell: those of the head,
    /// of a segment that the window cuts or of which rows are left out, or where something is not listed or damaged;
    /// then some of it may have been visited.
    pub fn whole_tails<'p>(
        &self,
        part: &'p MatchPart<'q>,
        bin_of: &mut dyn FnMut(GroupTexts<'_>) -> u32,
        visit: &mut CountsVisitor<'_>,
    ) -> Option<WholeTails<'p>> {
        let PartRows::Sealed(pages) = &part.rows else { return None };
        if !part.left_out.is_empty() || !self.is_by_operation() {
            return None;
        }
        let (_, rollup) = self.whole_rollup(part, pages, None)?;
        let lists = pages.segment.tail_lists().filter(TailLists::is_complete)?;
        let as_group = |OperationCodes { service, name }| {
            let (kind, status) = (SpanKind::UNSPECIFIED, StatusCode::UNSET);
            GroupCodes { service, name, kind, status }
        };
        let bins = self.bins_of_groups(lists.operations().map(as_group), &pages.source, bin_of);
        let bin_of: FxHashMap<OperationCodes, u32> = lists.operations().zip(bins.iter().copied()).collect();
        let counts = |(place, codes): (usize, GroupCodes)| -> Result<()> {
            let operation = OperationCodes { service: codes.service, name: codes.name };
            let unlisted =
                || Error::corrupt(format!("segment {}: an operation has no tail list", pages.segment.name()));
            let bin = *bin_of.get(&operation).ok_or_else(unlisted)?;
            if bin != NONE {
                let (counts, shortest) = rollup.counts_and_shortest(place)?;
                visit(bin, &counts, shortest);
            }
            Ok(())
        };
        rollup.keys().enumerate().try_for_each(counts).ok()?;
        Some(WholeTails { lists, bins })
    }
}
