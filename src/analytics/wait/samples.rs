//! Waits of pairs, by group, and what they come to.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::limits::Limits;
use crate::model::{Span, SpanId, TraceId};
use crate::query::{MatchPart, MatchedPage, SpanTimes};

use super::super::feed::too_many_groups;
use super::super::group_key::GroupKey;
use super::super::grouper::Grouper;
use super::super::groups::NO_ROOM;
use super::super::latency::{Exemplar, LatencyGroup};
use super::super::part_tables::{DURATION, ERROR};
use super::super::quantile::Quantile;
use super::super::totals::Totals;
use super::{WaitGroup, WaitKey};

/// A consumer.
pub struct Consumer {
    pub trace: TraceId,
    pub span: SpanId,
    pub start: u64,
    pub group: u32,
    pub error: bool,
}

/// A wait that is kept; sorted by group, length and ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    group: u32,
    nanos: u64,
    trace: TraceId,
    span: SpanId,
}

/// What is counted of a group.
#[derive(Clone, Default)]
struct Counts {
    totals: Totals,
    early: u64,
}

/// All waits.
pub struct Samples {
    grouper: Grouper,
    /// How many keys of the grouper each key of the question takes.
    widths: Vec<usize>,
    counts: Vec<Counts>,
    kept: Vec<Kept>,
    kept_max: usize,
    is_cut: bool,
}

impl Samples {
    /// None yet, to be grouped by these keys.
    pub fn new(by: &[WaitKey], limits: &Limits) -> Self {
        let keys: Vec<Vec<GroupKey>> = by.iter().map(WaitKey::keys).collect();
        let widths = keys.iter().map(Vec::len).collect();
        let grouper = Grouper::new(&keys.concat(), None, false, limits);
        let kept_max = (limits.values_bytes_max / size_of::<Kept>()).max(1);
        Self { grouper, widths, counts: Vec::new(), kept: Vec::new(), kept_max, is_cut: false }
    }

    /// The groups of rows of a page, and whether they are errors.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn of_page(
        &mut self,
        index: usize,
        part: &MatchPart<'_>,
        page: &MatchedPage<'_>,
        rows: &[u16],
    ) -> Result<(Vec<u32>, Vec<bool>)> {
        let mut groups = Vec::new();
        self.grouper.of_page(index, part, page, rows, &mut groups)?;
        let facts = &self.grouper.tables(index, part).facts;
        let is_error = |row: &u16| facts[page.classes()[usize::from(*row)] as usize] & ERROR != 0;
        Ok((groups, rows.iter().map(is_error).collect()))
    }

    /// The group of a span.
    pub fn of_span(&mut self, span: &Span) -> u32 {
        self.grouper.of_span(span)
    }

    /// Adds a consumer and one of its producers.
    pub fn add(&mut self, consumer: &Consumer, producer: &SpanTimes) {
        let Consumer { trace, span, start, group, error } = *consumer;
        if group == NO_ROOM {
            return;
        }
        // A pair without a wait is counted and takes no room.
        if producer.start != 0 && self.kept.len() >= self.kept_max {
            self.is_cut = true;
            return;
        }
        let at = group as usize;
        if self.counts.len() <= at {
            self.counts.resize_with(at + 1, Counts::default);
        }
        let counts = &mut self.counts[at];
        let error = if error { ERROR } else { 0 };
        if producer.start == 0 {
            return counts.totals.add_plain(0, error);
        }
        let nanos = start.saturating_sub(producer.end);
        counts.early += u64::from(start < producer.end);
        counts.totals.add_plain(nanos, error | DURATION);
        self.kept.push(Kept { group, nanos, trace, span });
    }

    /// Why not all waits are counted, if so.
    pub fn reason(&self, limits: &Limits) -> Option<String> {
        let full = self.grouper.is_full().then(|| too_many_groups(limits));
        let cut = self.is_cut.then(|| {
            let max = limits.values_bytes_max;
            format!("the waits take more than {max} bytes: the rest is not counted (Limits::values_bytes_max)")
        });
        let reasons: Vec<String> = full.into_iter().chain(cut).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// The figures of every group, in order.
    pub fn into_groups(mut self, quantiles: &[Quantile]) -> Vec<WaitGroup> {
        // Groups of the grouper whose keys come to the same texts are one.
        let mut by_texts: BTreeMap<Vec<Option<String>>, u32> = BTreeMap::new();
        let mut numbers = Vec::with_capacity(self.counts.len());
        let mut merged: Vec<Counts> = Vec::new();
        for (group, counts) in (0u32..).zip(&self.counts) {
            let next = merged.len() as u32;
            let number = *by_texts.entry(self.texts(group)).or_insert(next);
            numbers.push(number);
            if number == next {
                merged.push(Counts::default());
            }
            merged[number as usize].join(counts);
        }
        self.kept.iter_mut().for_each(|kept| kept.group = numbers[kept.group as usize]);
        self.kept.sort_unstable();
        let of_group = |(texts, number): (Vec<Option<String>>, u32)| {
            let first = self.kept.partition_point(|kept| kept.group < number);
            let end = self.kept.partition_point(|kept| kept.group <= number);
            merged[number as usize].group(texts, &self.kept[first..end], quantiles)
        };
        let mut groups: Vec<WaitGroup> =
            by_texts.into_iter().map(of_group).filter(|group| group.figures.count > 0).collect();
        // They are by texts already, and stay so among equals.
        groups.sort_by_key(|group| std::cmp::Reverse(group.figures.count));
        groups
    }

    /// The texts of the keys of the question, each the first of its keys'.
    fn texts(&self, group: u32) -> Vec<Option<String>> {
        let mut texts = self.grouper.path(group).texts.into_iter();
        self.widths.iter().map(|width| texts.by_ref().take(*width).fold(None, Option::or)).collect()
    }
}

impl Counts {
    fn join(&mut self, other: &Self) {
        self.totals.sums.merge(&other.totals.sums);
        self.totals.min = self.totals.min.min(other.totals.min);
        self.totals.max = self.totals.max.max(other.totals.max);
        self.early += other.early;
    }

    /// The figures of a group with these waits, which are sorted.
    fn group(&self, texts: Vec<Option<String>>, kept: &[Kept], quantiles: &[Quantile]) -> WaitGroup {
        let some = self.totals.sums.duration_count > 0;
        let exemplar = |quantile: &Quantile| {
            let at = kept.get((quantile.rank(kept.len() as u64) as usize).checked_sub(1)?)?;
            let first = kept.get(kept.partition_point(|kept| kept.nanos < at.nanos))?;
            let (trace_id, span_id) = (first.trace, Some(first.span));
            Some(Exemplar { quantile: quantile.clone(), value_nano: at.nanos, trace_id, span_id })
        };
        let figures = LatencyGroup {
            stage: None,
            group: texts,
            count: self.totals.sums.count,
            duration_count: self.totals.sums.duration_count,
            errors: self.totals.sums.errors,
            min_nano: some.then_some(self.totals.min),
            mean_nano: self.totals.mean(),
            max_nano: some.then_some(self.totals.max),
            quantiles: quantiles.iter().filter_map(exemplar).collect(),
            adjusted: None,
        };
        WaitGroup { figures, early: self.early }
    }
}
