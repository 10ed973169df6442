//! One pass over the samples that have a threshold.
//!
//! Spans come page by page, with those of split traces and of the head in any order; traces and stages come trace by
//! trace. A trace is in the store because some matching span of it was kept, and a stage or a group of it because one
//! of that stage or with that text was. All of them share one random number, so the surest of them decides: the one of
//! the smallest threshold, and of several such conditions the least sure.

use rustc_hash::FxHashSet;

use crate::catalog::Snapshot;
use crate::error::Result;
use crate::limits::Limits;
use crate::model::{Span, StatusCode, TraceId};
use crate::part::ReadCounter;
use crate::query::{Asked, MatchPart, MatchedPage, Matching};
use crate::segment::Detail;

use super::adjusted::{AdjustedQuestion, Adjustments};
use super::exact_sum::ExactSum;
use super::feed::Unit;
use super::group_key::GroupKey;
use super::grouper::{GroupPath, Grouper};
use super::groups::NO_ROOM;
use super::sampling::Threshold;
use super::trace_samples::{COUNT_BYTES, TraceSamples};
use super::trace_states::PartStates;

/// What sampling adds to one group.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unseen {
    /// Samples.
    pub count: ExactSum,
    /// Those that are errors.
    pub errors: ExactSum,
    /// Variance of the count.
    pub variance: ExactSum,
    /// Samples that have a threshold.
    pub known: u64,
}

/// A sample with a threshold.
struct Sample {
    trace: TraceId,
    group: u32,
    threshold: Threshold,
    error: bool,
}

/// Sums by group.
struct Sums {
    grouper: Grouper,
    unseen: Vec<Unseen>,
    samples: TraceSamples,
}

impl Sums {
    /// Adds a sample; a `scattered` one if others of its trace may come at any time.
    fn add(&mut self, sample: &Sample, scattered: bool) {
        if sample.group == NO_ROOM {
            return;
        }
        let Self { unseen, samples, .. } = self;
        if unseen.len() <= sample.group as usize {
            unseen.resize_with(sample.group as usize + 1, Unseen::default);
        }
        let of_group = &mut unseen[sample.group as usize];
        of_group.known += 1;
        if sample.threshold.keeps_all() {
            return;
        }
        of_group.count.add(sample.threshold.unseen());
        if sample.error {
            of_group.errors.add(sample.threshold.unseen());
        }
        let sink = &mut |group: u32, variance: f64| unseen[group as usize].variance.add(variance);
        if scattered {
            samples.add_scattered(sample.trace, sample.group, sample.threshold, sink);
        } else {
            samples.add(sample.trace, sample.group, sample.threshold, sink);
        }
    }

    /// The span as a sample, if it has a threshold.
    fn of_span(&mut self, span: &Span) -> Option<Sample> {
        let threshold = Threshold::in_trace_state(span.trace_state.as_bytes())?;
        let group = self.grouper.of_span(span);
        Some(Sample { trace: span.trace_id, group, threshold, error: span.is_error() })
    }

    /// The matching rows of a page that have a threshold.
    fn of_page(
        &mut self,
        (index, part): (usize, &MatchPart<'_>),
        page: &MatchedPage<'_>,
        states: &mut PartStates,
    ) -> Result<Vec<Sample>> {
        let (rows, thresholds) = states.thresholds(page)?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut groups = Vec::new();
        self.grouper.of_page(index, part, page, &rows, &mut groups)?;
        let ids = page.ids(rows.iter().map(|row| usize::from(*row)))?;
        let class_of = |row: u16| &part.classes()[page.classes()[usize::from(row)] as usize];
        let samples = ids.into_iter().zip(groups).zip(thresholds).zip(rows);
        let sample = |((((trace, _), group), threshold), row)| {
            let error = class_of(row).status == StatusCode::ERROR;
            Sample { trace, group, threshold, error }
        };
        Ok(samples.map(sample).collect())
    }
}

/// The pass.
pub struct AdjustedPass<'q> {
    matching: Matching<'q>,
    question: &'q AdjustedQuestion<'q>,
    sums: Sums,
}

impl<'q> AdjustedPass<'q> {
    /// Reads every sample that has a threshold.
    ///
    /// # Errors
    /// Invalid if the filter has too many criteria, else whatever is not damage.
    pub fn run(snapshot: &Snapshot, question: &'q AdjustedQuestion<'q>, limits: &Limits) -> Result<Adjustments> {
        let asked = Asked::new(question.filter, limits)?;
        let (matching, parts) = Matching::new(&asked, snapshot)?;
        let staged = matches!(question.unit, Unit::Stages(_));
        let sums = Sums {
            grouper: Grouper::new(question.by, question.step, staged, limits),
            unseen: Vec::new(),
            samples: TraceSamples::new(limits.values_bytes_max / COUNT_BYTES),
        };
        let mut pass = AdjustedPass { matching, question, sums };
        match question.unit {
            Unit::Span if pass.matching.is_by_trace() => pass.spans_by_trace()?,
            Unit::Span => pass.spans_by_page(snapshot, &parts)?,
            Unit::Trace => pass.traces(&[])?,
            Unit::Stages(stages) => pass.traces(stages)?,
        }
        Ok(pass.finish(limits))
    }

    fn spans_by_page(&mut self, snapshot: &Snapshot, parts: &[MatchPart<'q>]) -> Result<()> {
        let split = self.split_traces(snapshot)?;
        let Self { matching, sums, .. } = self;
        for (index, part) in parts.iter().enumerate() {
            let Some(mut states) = PartStates::new(part) else { continue };
            // In a segment the rows of a trace are adjacent, but a split trace has rows elsewhere.
            let sealed = part.segment().is_some();
            for number in matching.pages(part) {
                let Some(page) = matching.page_if(part, *number, |page| Ok(states.any(page.classes())))? else {
                    continue;
                };
                match sums.of_page((index, part), &page, &mut states) {
                    Ok(samples) => {
                        samples.iter().for_each(|sample| sums.add(sample, !sealed || split.contains(&sample.trace)))
                    }
                    Err(error) => matching.problem(error)?,
                }
            }
        }
        matching.each_doubled_span(|span| {
            if let Some(sample) = sums.of_span(span) {
                sums.add(&sample, true);
            }
            Ok(())
        })
    }

    /// The ids of traces that may lie in several parts, of which one is a segment.
    fn split_traces(&mut self, snapshot: &Snapshot) -> Result<FxHashSet<TraceId>> {
        let counter = ReadCounter::default();
        let mut split = FxHashSet::default();
        for part in &snapshot.segments {
            for ordinal in part.loose() {
                match part.segment.trace_id(ordinal, &counter) {
                    Ok(id) => drop(split.insert(id)),
                    Err(error) => self.matching.problem(error)?,
                }
            }
        }
        Ok(split)
    }

    fn spans_by_trace(&mut self) -> Result<()> {
        let Self { matching, sums, .. } = self;
        matching.each_trace(Detail::Full, |spans, matched| {
            for at in matched {
                if let Some(sample) = sums.of_span(&spans[*at]) {
                    sums.add(&sample, false);
                }
            }
            Ok(())
        })
    }

    /// Traces, or the stages of these names in them if there are any.
    fn traces(&mut self, stages: &[String]) -> Result<()> {
        let Self { matching, sums, question } = self;
        let mut groups = Vec::new();
        matching.each_trace(Detail::Full, |spans, matched| {
            let Some(sampled) = SampledTrace::new(spans, matched) else { return Ok(()) };
            let codes = sums.grouper.codes_of_trace(spans);
            let whole = stages.is_empty().then_some(None);
            for stage in whole.into_iter().chain(stages.iter().map(|stage| Some(stage.as_str()))) {
                let is_own = |span: &Span| stage.is_none_or(|stage| span.name == *stage);
                if !spans.iter().any(|span| is_own(span) && span.start().is_some()) {
                    continue;
                }
                let error = spans.iter().any(|span| is_own(span) && span.is_error());
                sums.grouper.of_trace(stage, &codes, &mut groups);
                for group in groups.iter().copied().filter(|group| *group != NO_ROOM) {
                    if let Some(threshold) = sampled.threshold_in(&sums.grouper.path(group), question.by) {
                        sums.add(&Sample { trace: spans[0].trace_id, group, threshold, error }, false);
                    }
                }
            }
            Ok(())
        })
    }

    fn finish(self, limits: &Limits) -> Adjustments {
        let Sums { grouper, mut unseen, samples } = self.sums;
        let crowded = samples.finish(&mut |group, variance| unseen[group as usize].variance.add(variance));
        let (explain, reason) = self.matching.finish();
        let full = grouper
            .is_full()
            .then(|| format!("more than {} groups: the rest is not counted (Limits::groups_max)", limits.groups_max));
        let crowded = crowded.then(|| {
            let max = limits.values_bytes_max;
            format!("the samples of traces exceed {max} bytes: the error of adjusted counts is too low (Limits::values_bytes_max)")
        });
        let reasons: Vec<String> = reason.into_iter().chain(full).chain(crowded).collect();
        let named = (0u32..).zip(unseen).filter(|(_, unseen)| unseen.known > 0).map(|(group, unseen)| {
            let GroupPath { stage, texts, instant } = grouper.path(group);
            ((stage, texts, instant), unseen)
        });
        let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
        Adjustments { unseen: named.collect(), explain, reason }
    }
}

/// A trace with a threshold on some span.
struct SampledTrace<'t> {
    spans: &'t [Span],
    thresholds: Vec<Option<Threshold>>,
    /// The threshold of the surest matching span.
    of_matching: Option<Threshold>,
    /// True if all spans that have a threshold have that one.
    uniform: bool,
}

impl<'t> SampledTrace<'t> {
    /// `None` if no span has a threshold.
    fn new(spans: &'t [Span], matched: &[usize]) -> Option<Self> {
        let thresholds: Vec<Option<Threshold>> =
            spans.iter().map(|span| Threshold::in_trace_state(span.trace_state.as_bytes())).collect();
        let first = thresholds.iter().flatten().next()?;
        let of_matching = matched.iter().filter_map(|at| thresholds[*at]).min();
        let uniform = of_matching.is_some() && thresholds.iter().flatten().all(|other| other == first);
        Some(Self { spans, thresholds, of_matching, uniform })
    }

    /// The threshold of the surest span of those that pass the test.
    fn surest(&self, test: impl Fn(&Span) -> bool) -> Option<Threshold> {
        let all = self.spans.iter().zip(&self.thresholds);
        all.filter(|(span, threshold)| threshold.is_some() && test(span)).filter_map(|(_, threshold)| *threshold).min()
    }

    /// The threshold of the trace as a sample of a group: that of the least sure condition for its being there.
    fn threshold_in(&self, group: &GroupPath, by: &[GroupKey]) -> Option<Threshold> {
        if self.uniform {
            return self.of_matching;
        }
        let stage = group.stage.as_ref().and_then(|stage| self.surest(|span| span.name == *stage));
        let texts = by.iter().zip(&group.texts).filter(|(_, text)| text.is_some());
        let keys = texts.filter_map(|(key, text)| self.surest(|span| key.text_on(span) == *text));
        self.of_matching.into_iter().chain(stage).chain(keys).max()
    }
}
