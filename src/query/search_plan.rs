//! What a search reads of a segment: the pages that indexes leave, and sometimes the very rows.

use crate::index::PageSet;

use super::find::{Finder, PartCriteria};
use super::plan::{Pruned, criterion_pages, narrow, window_pages};
use super::predicate::{Criterion, DurationRange, QueryScope};
use super::segment_pages::SegmentPages;
use super::structure::PartSet;
use super::tail_pages::{TailPages, tail_pages};

/// What is to be read of a segment.
pub struct Planned {
    /// The pages that may hold a match.
    pub pages: PageSet,
    /// The rows that match if they start in the window, and that no others do, ascending; `None` if pages must tell.
    pub listed: Option<Vec<u32>>,
}

impl Finder<'_> {
    /// The pages of a segment that may hold a match.
    pub(super) fn plan(&mut self, pages: &SegmentPages<'_>, criteria: &PartCriteria<'_>) -> Planned {
        let (mut pruned, mut listed) = (Pruned::default(), None);
        let mut plan = window_pages(pages, self.query.window, &mut pruned);
        if let (Some(criterion), Some(compiled)) = (&criteria.service_criterion, &criteria.service) {
            plan = criterion_pages(pages, criterion, compiled, plan, &mut pruned);
        }
        if self.query.scope == QueryScope::Span {
            let before = plan.clone();
            (plan, listed) = self.slow_pages(pages, criteria, plan, &mut pruned);
            // The lists know services, names and durations already.
            let told = plan != before;
            for (criterion, compiled) in self.criteria().iter().zip(&criteria.criteria) {
                let is_known = matches!(criterion, Criterion::Service(_) | Criterion::Name(_) | Criterion::Duration(_));
                if !told || !is_known {
                    plan = criterion_pages(pages, criterion, compiled, plan, &mut pruned);
                }
            }
        } else if !self.criteria().is_empty() {
            let each = self.criteria().iter().zip(&criteria.criteria).map(|(criterion, compiled)| {
                criterion_pages(pages, criterion, compiled, plan.clone(), &mut Pruned::default())
            });
            let any = each.fold(PageSet::new(), |all, one| all.or(&one));
            let structural = criteria.structure.as_ref().and_then(PartSet::pages);
            let any = structural.map_or(any.clone(), |pages| any.or(&plan.clone().and(pages)));
            *pruned.entry("criteria").or_default() += plan.len() - any.len();
            plan = any;
        }
        if let Some(set) = criteria.structure.as_ref().and_then(PartSet::pages)
            && (self.query.scope == QueryScope::Span || self.criteria().is_empty())
        {
            let before = plan.len();
            plan = plan.and(set);
            *pruned.entry("where").or_default() += before - plan.len();
        }
        for (index, count) in pruned {
            *self.explain.by.entry(index.to_owned()).or_default() += count;
        }
        Planned { pages: plan, listed }
    }

    /// Those of the pages that have a row of the shortest duration asked for, or a longer one, in an operation asked for;
    /// all such rows if the lists have all.
    fn slow_pages(
        &self,
        pages: &SegmentPages<'_>,
        criteria: &PartCriteria<'_>,
        within: PageSet,
        pruned: &mut Pruned,
    ) -> (PageSet, Option<Vec<u32>>) {
        let DurationRange { min, max } = self.query.duration;
        let Some(min) = min.filter(|min| *min > 0 && !within.is_empty()) else { return (within, None) };
        let is_wanted = |class: u32| criteria.criteria.iter().all(|c| c.may_take_class(class as usize));
        match tail_pages(pages, is_wanted, min..=max.unwrap_or(u64::MAX)) {
            Some(TailPages { pages, rows }) => {
                (narrow(within, pages, "tails", pruned), rows.filter(|_| self.is_by_operation_and_duration()))
            }
            None => (within, None),
        }
    }

    /// True if service, name and duration of a span, and its start, decide whether it matches.
    fn is_by_operation_and_duration(&self) -> bool {
        let decides = |criterion: &Criterion| match criterion {
            Criterion::Service(_) | Criterion::Name(_) => true,
            Criterion::Duration(range) => *range == self.query.duration,
            _ => false,
        };
        self.query.structure.is_none() && self.criteria().iter().all(decides)
    }
}
