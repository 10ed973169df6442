//! Samples in batches: spans, traces or stages, each with its group, duration and outcome.
//!
//! Samples come in the same groups however often they are asked for. Ids are decoded only when they are wanted,
//! because most samples never are an exemplar.

use crate::catalog::Snapshot;
use crate::error::{Error, Result};
use crate::limits::{Limits, PAGE_ROWS};
use crate::model::{Span, SpanId, TraceId};
use crate::part::ReadCounter;
use crate::query::{
    Asked, Durations, Explain, MatchPart, MatchedPage, Matching, MatchingTraces, RangesOfClasses, trace_duration,
};
use crate::segment::{Detail, RowFinder, Segment};

use super::class_totals::class_totals;
use super::grouper::Grouper;
use super::heat_counts::HeatCounts;
use super::measure::KEPT_MAX;
use super::part_tables::{DURATION, ERROR};
use super::select::{SelectedRanks, Wanted, select_rolled};
use super::stepped::{each_row, plain_totals, whole_totals};
use super::totals::Totals;
use super::trace_feed::TracePass;

/// Spans that wait before they make a batch.
const LISTED_MAX: usize = 1024;

/// What a sample is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// A matching span.
    #[default]
    Span,
    /// A trace with a matching span.
    Trace,
    /// The spans of one of these names in such a trace.
    Stages(Vec<String>),
}

/// The ids of a sample: of a span, or of a trace alone. The smallest names the exemplar.
pub type SampleIds = (TraceId, Option<SpanId>);

/// Where a sample lies: part and row, or [`LISTED`] and a number the sink gave it.
pub type Place = (u32, u32);
/// In place of a part.
pub const LISTED: u32 = u32::MAX;

/// Samples, one after the other.
pub struct Batch<'b> {
    /// The group of each, or [`super::groups::NO_ROOM`].
    pub groups: &'b [u32],
    /// The duration of each in nanoseconds, where it has one.
    pub durations: &'b [u64],
    /// [`ERROR`] and [`DURATION`].
    pub facts: &'b [u8],
    from: From<'b>,
}

enum From<'b> {
    Page { part: u32, page: &'b MatchedPage<'b>, rows: &'b [u16] },
    Rows { part: u32, rows: &'b [u32], segment: &'b Segment, counter: &'b ReadCounter },
    List(&'b [SampleIds]),
}

/// The ids of some rows of a segment, given in ascending order.
///
/// # Errors
/// Corrupt if a page it needs is damaged.
pub fn ids_of_rows(
    segment: &Segment,
    rows: impl Iterator<Item = u32>,
    counter: &ReadCounter,
) -> Result<Vec<SampleIds>> {
    let mut finder = RowFinder::new(segment, counter);
    rows.map(|row| finder.ids(row).map(|(trace, span)| (trace, SpanId::from_u64(span)))).collect()
}

impl Batch<'_> {
    /// The ids of some of the samples, given in ascending order.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn ids(&self, samples: impl Iterator<Item = usize>) -> Result<Vec<SampleIds>> {
        match &self.from {
            From::Page { page, rows, .. } => {
                let ids = page.ids(samples.map(|sample| usize::from(rows[sample])))?;
                Ok(ids.into_iter().map(|(trace, span)| (trace, Some(span))).collect())
            }
            From::Rows { rows, segment, counter, .. } => {
                ids_of_rows(segment, samples.map(|sample| rows[sample]), counter)
            }
            From::List(ids) => Ok(samples.map(|sample| ids[sample]).collect()),
        }
    }

    /// True if the ids of the samples are at hand.
    pub fn is_listed(&self) -> bool {
        matches!(self.from, From::List(_))
    }

    /// The place of a sample; if it lies in no part its ids are put at the end of `listed`.
    pub fn place(&self, sample: usize, listed: &mut Vec<SampleIds>) -> Place {
        match &self.from {
            From::Page { part, page, rows } => (*part, page.first_row() + u32::from(rows[sample])),
            From::Rows { part, rows, .. } => (*part, rows[sample]),
            From::List(ids) => {
                listed.push(ids[sample]);
                (LISTED, listed.len() as u32 - 1)
            }
        }
    }
}

/// Takes batches.
pub type Sink<'s> = dyn FnMut(&Batch<'_>) -> Result<()> + 's;

/// Where samples come from, as often as they are asked for.
pub trait SampleSource {
    /// Hands every sample to the sink.
    ///
    /// # Errors
    /// Whatever is not damage, or what the sink says that is none.
    fn run(&mut self, sink: &mut Sink<'_>) -> Result<()>;

    /// How many groups were met.
    fn groups(&self) -> usize;

    /// The ids of the samples at these places, which must be sorted; `listed` are those of no part.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    fn ids_at(&self, places: &[Place], listed: &[SampleIds]) -> Result<Vec<SampleIds>>;

    /// The values of ranks in groups of these totals, all samples having been read once, if there is a shorter way than
    /// to read them again; `None` if not.
    ///
    /// # Errors
    /// Whatever is not damage.
    fn values_of(&mut self, _: &[Wanted], _: &[Totals], _: &Limits) -> Result<Option<SelectedRanks>> {
        Ok(None)
    }

    /// Notes damage.
    ///
    /// # Errors
    /// The error itself if it is none.
    fn problem(&mut self, error: Error) -> Result<()>;
}

/// A source that finds samples of certain durations without looking at all.
pub trait RangeSource: SampleSource {
    /// Hands to `keep` the samples in some ranges of durations of some groups, sorted by both: the number of the range,
    /// the place and the duration. What no part holds is put at the end of `listed`.
    ///
    /// # Errors
    /// As [`SampleSource::run`], and Corrupt if something cannot be read: then all totals are in doubt.
    fn rows_within(
        &mut self,
        ranges: &[(u32, Durations)],
        listed: &mut Vec<SampleIds>,
        keep: &mut dyn FnMut(u32, Place, u64),
    ) -> Result<()>;
}

/// The samples of one question.
pub struct Feed<'q> {
    pub(super) matching: Matching<'q>,
    pub(super) parts: Vec<MatchPart<'q>>,
    pub(super) unit: Unit,
    /// How they are grouped.
    pub grouper: Grouper,
    loose_bytes_max: usize,
    threads_max: usize,
    /// The traces with a matching span, once they were found.
    found: Option<MatchingTraces>,
    /// True if there was no room for some traces.
    is_cut: bool,
}

impl<'q> Feed<'q> {
    /// Plans the question.
    ///
    /// # Errors
    /// Whatever is not damage; so do all methods here. Damage is noted, and what it hides is left out.
    pub fn new(
        asked: &'q Asked,
        snapshot: &'q Snapshot,
        unit: Unit,
        grouper: Grouper,
        limits: &Limits,
    ) -> Result<Self> {
        let (mut matching, parts) = match unit {
            Unit::Span => Matching::new(asked, snapshot)?,
            Unit::Trace | Unit::Stages(_) => Matching::of_traces(asked, snapshot)?,
        };
        let (loose_bytes_max, threads_max) = (limits.loose_bytes_max, limits.query_threads_max);
        if unit == Unit::Span {
            matching.judge_ahead(&parts, threads_max);
        }
        Ok(Self { matching, parts, unit, grouper, loose_bytes_max, threads_max, found: None, is_cut: false })
    }

    /// Traces, or the stages of these names in them if there are any.
    fn traces(&mut self, stages: &[String], sink: &mut Sink<'_>) -> Result<()> {
        if !self.matching.is_by_rows() {
            return self.whole_traces(stages, sink);
        }
        let Self { matching, parts, grouper, .. } = self;
        let found = match self.found.take() {
            Some(found) => found,
            None => MatchingTraces::find(matching, parts, self.loose_bytes_max)?,
        };
        let complete = TracePass { matching, parts, found: &found, grouper, stages }.run(sink)?;
        self.is_cut |= found.is_cut() || !complete;
        self.found = Some(found);
        Ok(())
    }

    /// The totals of every group without histograms; `None` if only whole traces tell.
    ///
    /// # Errors
    /// As [`Feed::new`].
    pub fn plain_totals(&mut self) -> Result<Option<Vec<Totals>>> {
        if self.unit != Unit::Span || self.matching.is_by_trace() {
            return Ok(None);
        }
        plain_totals(&mut self.matching, &self.parts, &mut self.grouper).map(Some)
    }

    /// The spans by step of time and bucket of durations; `None` if only whole traces tell.
    ///
    /// # Errors
    /// As [`Feed::new`].
    pub fn heat_counts(&mut self, step: u64, limits: &Limits) -> Result<Option<HeatCounts>> {
        if self.matching.is_by_trace() {
            return Ok(None);
        }
        let mut counts = HeatCounts::new(step, limits);
        counts.add_all(&mut self.matching, &self.parts)?;
        Ok(Some(counts))
    }

    /// The totals of every group with histograms, from rollups where these tell and else from rows; `None` if no
    /// rollup tells anything.
    ///
    /// # Errors
    /// As [`Feed::new`].
    pub fn whole_totals(&mut self) -> Result<Option<Vec<Totals>>> {
        if self.unit != Unit::Span || !self.grouper.is_by_group() || !self.matching.is_by_group() {
            return Ok(None);
        }
        whole_totals(&mut self.matching, &self.parts, &mut self.grouper)
    }

    /// The totals of every group with histograms, where a class says the group of its spans; `None` if it does not, or
    /// so few rows can match that keeping their durations is better.
    ///
    /// # Errors
    /// As [`Feed::new`].
    pub fn class_totals(&mut self) -> Result<Option<Vec<Totals>>> {
        if self.unit != Unit::Span || self.matching.is_by_trace() || !self.grouper.is_by_group() {
            return Ok(None);
        }
        let pages: usize = self.parts.iter().map(|part| self.matching.pages(part).len()).sum();
        if pages <= KEPT_MAX / PAGE_ROWS {
            return Ok(None);
        }
        class_totals(&mut self.matching, &self.parts, &mut self.grouper).map(Some)
    }

    fn spans_by_page(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        let Self { matching, parts, grouper, .. } = &mut *self;
        let (mut rows, mut groups, mut durations, mut facts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (index, part) in parts.iter().enumerate() {
            for number in matching.pages(part) {
                let Some(page) = matching.page(part, *number)? else { continue };
                rows.clear();
                rows.extend(page.rows.iter().map(|row| row as u16));
                let mut read = || {
                    grouper.of_page(index, part, &page, &rows, &mut groups)?;
                    let all = page.durations()?;
                    durations.clear();
                    durations.extend(rows.iter().map(|row| all[usize::from(*row)]));
                    let of_class = &grouper.tables(index, part).facts;
                    facts.clear();
                    facts.extend(rows.iter().map(|row| of_class[page.classes()[usize::from(*row)] as usize]));
                    let from = From::Page { part: index as u32, page: &page, rows: &rows };
                    sink(&Batch { groups: &groups, durations: &durations, facts: &facts, from })
                };
                if let Err(error) = read() {
                    matching.problem(error)?;
                }
            }
        }
        self.doubled_spans(sink)
    }

    /// Hands the matching spans of doubled traces to the sink.
    fn doubled_spans(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        let Self { matching, grouper, .. } = self;
        let mut list = List::default();
        matching.each_doubled_span(|span| {
            list.add_span(span, grouper);
            list.flush_if_full(sink)
        })?;
        list.flush(sink)
    }

    fn spans_by_trace(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        let Self { matching, grouper, .. } = self;
        let detail = detail_for(grouper);
        let mut list = List::default();
        matching.each_trace(detail, |spans, matched| {
            matched.iter().for_each(|at| list.add_span(&spans[*at], grouper));
            list.flush_if_full(sink)
        })?;
        list.flush(sink)
    }

    /// The same, by building all spans of each trace.
    fn whole_traces(&mut self, stages: &[String], sink: &mut Sink<'_>) -> Result<()> {
        let Self { matching, grouper, .. } = self;
        let detail = detail_for(grouper);
        let (mut list, mut groups) = (List::default(), Vec::new());
        matching.each_trace(detail, |spans, _| {
            let codes = grouper.codes_of_trace(spans);
            if stages.is_empty() {
                grouper.of_trace(None, &codes, &mut groups);
                list.add_trace(spans, &groups);
            }
            for stage in stages {
                let own: Vec<&Span> = spans.iter().filter(|span| span.name == *stage).collect();
                if let Some(duration) = extent_of(&own) {
                    grouper.of_trace(Some(stage), &codes, &mut groups);
                    list.add_stage(&own, duration, &groups);
                }
            }
            list.flush_if_full(sink)
        })?;
        list.flush(sink)
    }

    /// What was read, and why the answer is not complete if it is not.
    pub fn finish(self, limits: &Limits) -> (Explain, Option<String>) {
        let Self { mut matching, parts, .. } = self;
        matching.note_told(&parts);
        let (explain, reason) = matching.finish();
        let full = self.grouper.is_full().then(|| too_many_groups(limits));
        let cut = self.is_cut.then(|| too_many_loose(limits));
        let reasons: Vec<String> = reason.into_iter().chain(full).chain(cut).collect();
        (explain, (!reasons.is_empty()).then(|| reasons.join("; ")))
    }
}

impl SampleSource for Feed<'_> {
    fn run(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        match self.unit.clone() {
            Unit::Span if self.matching.is_by_trace() => self.spans_by_trace(sink),
            Unit::Span => self.spans_by_page(sink),
            Unit::Trace => self.traces(&[], sink),
            Unit::Stages(mut stages) => {
                stages.sort();
                stages.dedup();
                self.traces(&stages, sink)
            }
        }
    }

    fn groups(&self) -> usize {
        self.grouper.len()
    }

    fn ids_at(&self, places: &[Place], listed: &[SampleIds]) -> Result<Vec<SampleIds>> {
        let mut out = Vec::with_capacity(places.len());
        for of_part in places.chunk_by(|a, b| a.0 == b.0) {
            let Some((index, _)) = of_part.first() else { continue };
            let rows = of_part.iter().map(|(_, row)| *row);
            if *index == LISTED {
                out.extend(rows.map(|at| listed[at as usize]));
                continue;
            }
            let part = self.parts.get(*index as usize).ok_or_else(|| Error::corrupt("a sample of no part"))?;
            out.extend(part.ids_of(rows)?.into_iter().map(|(trace, span)| (trace, Some(span))));
        }
        Ok(out)
    }

    fn values_of(&mut self, wanted: &[Wanted], totals: &[Totals], limits: &Limits) -> Result<Option<SelectedRanks>> {
        let is_by_rows = self.unit == Unit::Span && !self.matching.is_by_trace() && self.grouper.is_by_group();
        if is_by_rows { select_rolled(wanted, totals, self, limits) } else { Ok(None) }
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        self.matching.problem(error)
    }
}

/// Why an answer is not complete that has no room for some loose traces.
pub fn too_many_loose(limits: &Limits) -> String {
    let (what, max) = ("traces in the head or in several parts", limits.loose_bytes_max);
    format!("{what} take more than {max} bytes: the rest is not counted (Limits::loose_bytes_max)")
}

/// Where a class says the group of its rows and they were all visited, or [`Feed::whole_totals`] gave the totals.
impl RangeSource for Feed<'_> {
    fn rows_within(
        &mut self,
        ranges: &[(u32, Durations)],
        listed: &mut Vec<SampleIds>,
        keep: &mut dyn FnMut(u32, Place, u64),
    ) -> Result<()> {
        let mut of_group: Vec<Vec<u32>> = vec![Vec::new(); self.grouper.len()];
        for (number, (group, _)) in (0u32..).zip(ranges) {
            of_group[*group as usize].push(number);
        }
        let numbered: Vec<(Durations, u32)> = ranges.iter().map(|(_, range)| range.clone()).zip(0..).collect();
        let mut read = 0;
        for (index, part) in self.parts.iter().enumerate() {
            let is_told = self.matching.is_by_group() && self.matching.has_all_inside(part);
            let by_match = !is_told && part.is_judged() && self.grouper.is_by_group();
            if !is_told && !by_match {
                each_row((index, part), &mut self.matching, &mut self.grouper, |row| {
                    let own = of_group.get(row.group as usize).filter(|_| row.facts & DURATION != 0);
                    let holds = |range: &&u32| ranges[**range as usize].1.contains(&row.duration);
                    let held = own.into_iter().flatten().filter(holds);
                    held.for_each(|range| keep(*range, (index as u32, row.row), row.duration));
                })?;
                continue;
            }
            let wanted = |class: u32| match by_match || part.takes_class(class) {
                true => of_group.get(self.grouper.of_class(index, part, class) as usize).cloned().unwrap_or_default(),
                false => Vec::new(),
            };
            let of_class = (0..part.classes().len() as u32).map(wanted).collect();
            let sought = RangesOfClasses { ranges: numbered.clone(), of_class };
            let mut visit = |range, row, nanos| keep(range, (index as u32, row), nanos);
            read += part.rows_within(&sought, (self.threads_max, by_match), &mut visit)?;
        }
        self.matching.note_pages(read);
        self.doubled_spans(&mut |batch| {
            for (sample, group) in batch.groups.iter().enumerate() {
                let Some(own) = of_group.get(*group as usize).filter(|_| batch.facts[sample] & DURATION != 0) else {
                    continue;
                };
                let nanos = batch.durations[sample];
                for range in own.iter().filter(|range| ranges[**range as usize].1.contains(&nanos)) {
                    keep(*range, batch.place(sample, listed), nanos);
                }
            }
            Ok(())
        })
    }
}

/// Why an answer is not complete that has as many groups as the limits allow.
pub fn too_many_groups(limits: &Limits) -> String {
    format!("more than {} groups: the rest is not counted (Limits::groups_max)", limits.groups_max)
}

fn detail_for(grouper: &Grouper) -> Detail {
    if grouper.needs_attributes() { Detail::Full } else { Detail::Outline }
}

/// First start to last end, of the spans that have a start.
fn extent_of(spans: &[&Span]) -> Option<u64> {
    let end = |span: &&Span| Some(span.start()?.saturating_add(span.duration_nanos().unwrap_or(0)));
    let first = spans.iter().filter_map(|span| span.start()).min()?;
    spans.iter().filter_map(end).max()?.checked_sub(first)
}

/// Rows of one segment that wait for a batch.
#[derive(Default)]
pub(super) struct RowList {
    groups: Vec<u32>,
    durations: Vec<u64>,
    facts: Vec<u8>,
    rows: Vec<u32>,
}

impl RowList {
    #[inline]
    pub(super) fn add(&mut self, group: u32, duration: Option<u64>, error: bool, row: u32) {
        self.groups.push(group);
        self.durations.push(duration.unwrap_or(0));
        self.facts.push(if error { ERROR } else { 0 } | if duration.is_some() { DURATION } else { 0 });
        self.rows.push(row);
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= LISTED_MAX
    }

    pub(super) fn flush(
        &mut self,
        (part, segment): (u32, &Segment),
        counter: &ReadCounter,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let Self { groups, durations, facts, rows } = self;
        if !groups.is_empty() {
            sink(&Batch { groups, durations, facts, from: From::Rows { part, rows, segment, counter } })?;
        }
        groups.clear();
        durations.clear();
        facts.clear();
        rows.clear();
        Ok(())
    }
}

/// Samples that wait for a batch.
#[derive(Default)]
pub(super) struct List {
    groups: Vec<u32>,
    durations: Vec<u64>,
    facts: Vec<u8>,
    ids: Vec<SampleIds>,
}

impl List {
    pub(super) fn add(&mut self, group: u32, duration: Option<u64>, error: bool, ids: SampleIds) {
        self.groups.push(group);
        self.durations.push(duration.unwrap_or(0));
        self.facts.push(if error { ERROR } else { 0 } | if duration.is_some() { DURATION } else { 0 });
        self.ids.push(ids);
    }

    fn add_span(&mut self, span: &Span, grouper: &mut Grouper) {
        let group = grouper.of_span(span);
        self.add(group, span.duration_nanos(), span.is_error(), (span.trace_id, Some(span.span_id)));
    }

    fn add_trace(&mut self, spans: &[Span], groups: &[u32]) {
        let Some(first) = spans.first() else { return };
        let (duration, error) = (trace_duration(spans), spans.iter().any(Span::is_error));
        groups.iter().for_each(|group| self.add(*group, duration, error, (first.trace_id, None)));
    }

    fn add_stage(&mut self, spans: &[&Span], duration: u64, groups: &[u32]) {
        let Some(first) = spans.first() else { return };
        let error = spans.iter().any(|span| span.is_error());
        groups.iter().for_each(|group| self.add(*group, Some(duration), error, (first.trace_id, None)));
    }

    pub(super) fn flush_if_full(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        if self.groups.len() >= LISTED_MAX { self.flush(sink) } else { Ok(()) }
    }

    pub(super) fn flush(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        let Self { groups, durations, facts, ids } = self;
        if !groups.is_empty() {
            sink(&Batch { groups, durations, facts, from: From::List(ids) })?;
        }
        groups.clear();
        durations.clear();
        facts.clear();
        ids.clear();
        Ok(())
    }
}
