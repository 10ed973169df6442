//! The slowest spans and traces, reading no more pages than may hold one of them.
//!
//! Where service, name, kind and status are all that is asked, tail lists have the answer and the proof of it. Else:
//!
//! The zone map says how long the longest span of a page took. Pages are visited from the one with the longest on,
//! and the search ends where no page left can better the shortest of those found:
//!
//! ```text
//! pages by longest duration   9.1 s   8.7 s   2.2 s | 1.9 s   1.9 s  ...
//! shortest of the 20 found      -     0.4 s   2.0 s | nothing left that could be among them
//! ```

use std::cmp::Reverse;

use crate::catalog::Snapshot;
use crate::column::ClassBits;
use crate::error::Result;
use crate::limits::Limits;
use crate::model::{SpanId, TraceId, UnixNanos};
use crate::query::{Asked, Explain, MatchPart, MatchedPage, Matching, Order, Query, SlowSpan, SlowestSpans, find};
use crate::segment::Detail;

/// Slowest spans that are sought in tail lists first; for more these seldom are long enough.
const LISTED_MAX: usize = 1024;

/// A slow span, or a slow trace with what its root says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slowest {
    /// The trace.
    pub trace_id: TraceId,
    /// The span, or the root of the trace.
    pub span_id: SpanId,
    /// Its service.
    pub service: Option<String>,
    /// Its name; `None` if it is empty.
    pub name: Option<String>,
    /// Start of the span, or earliest start of the trace.
    pub start_unix_nano: UnixNanos,
    /// Duration of the span or trace in nanoseconds.
    pub duration_nano: u64,
    /// True if the span, or any of the trace, is an error.
    pub error: bool,
}

impl From<SlowSpan> for Slowest {
    fn from(span: SlowSpan) -> Self {
        let SlowSpan { duration, start, trace_id, span_id, service, name, error } = span;
        Self { trace_id, span_id, service, name, start_unix_nano: start, duration_nano: duration, error }
    }
}

/// Longest duration first, then latest start, then smallest trace id and span id.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SlowestReport {
    /// The slowest, in order.
    pub items: Vec<Slowest>,
    /// False if something could not be read or a limit cut the answer.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// What was read and what was skipped.
    pub explain: Explain,
}

/// The slowest spans that match and have a duration, as many as the limit says; 0 for all.
///
/// # Errors
/// Invalid if the filter has too many criteria. Damage and limits are no errors: they make the answer incomplete.
pub fn slowest_spans(snapshot: &Snapshot, filter: &Query, limit: usize, limits: &Limits) -> Result<SlowestReport> {
    let asked = Asked::new(filter, limits)?;
    let listed = || Matching::listed_slowest(&asked, snapshot, limit, limits);
    if let Some((found, explain)) = (1..=LISTED_MAX).contains(&limit).then(listed).flatten() {
        let items = found.into_iter().map(Slowest::from).collect();
        return Ok(SlowestReport { items, complete: true, reason: None, explain });
    }
    let (mut matching, parts) = Matching::new(&asked, snapshot)?;
    let room = if limit == 0 { limits.result_traces_max } else { limit.min(limits.result_traces_max) };
    let mut best = SlowestSpans::new(room.max(1));
    if matching.is_by_trace() {
        matching.each_trace(Detail::Outline, |spans, matched| {
            matched.iter().filter_map(|at| SlowSpan::of(&spans[*at])).for_each(|slow| best.add(slow));
            Ok(())
        })?;
    }
    matching.each_doubled_span(|span| {
        SlowSpan::of(span).into_iter().for_each(|slow| best.add(slow));
        Ok(())
    })?;
    visit_pages(&mut matching, &parts, &mut best)?;
    let cut = best.has_dropped() && (limit == 0 || limit > room);
    let cut = cut.then(|| format!("the result is cut at {room} spans (Limits::result_traces_max)"));
    let (explain, reason) = matching.finish();
    let reasons: Vec<String> = reason.into_iter().chain(cut).collect();
    let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
    let items = best.into_sorted().into_iter().map(Slowest::from).collect();
    Ok(SlowestReport { items, complete: reason.is_none(), reason, explain })
}

fn visit_pages<'q>(matching: &mut Matching<'q>, parts: &[MatchPart<'q>], best: &mut SlowestSpans) -> Result<()> {
    let of_part = |(index, part): (usize, &MatchPart<'q>)| -> Vec<(u64, usize, u32)> {
        let longest = |page: u32| part.longest_of(page).unwrap_or(u64::MAX);
        matching.pages(part).iter().map(|page| (longest(*page), index, *page)).collect()
    };
    let mut pages: Vec<(u64, usize, u32)> = parts.iter().enumerate().flat_map(of_part).collect();
    pages.sort_unstable_by_key(|(longest, part, page)| (Reverse(*longest), *part, *page));
    for (at, (longest, index, page)) in pages.iter().enumerate() {
        let shortest = best.shortest();
        if *longest < shortest {
            matching.skip_pages((pages.len() - at) as u64);
            break;
        }
        let part = &parts[*index];
        let wanted = |page: &MatchedPage<'_>| Ok(page.durations()?.iter().any(|nanos| *nanos >= shortest));
        let Some(page) = matching.page_if(part, *page, wanted)? else { continue };
        if let Err(error) = take_page(part, &page, best) {
            matching.problem(error)?;
        }
    }
    Ok(())
}

fn take_page(part: &MatchPart<'_>, page: &MatchedPage<'_>, best: &mut SlowestSpans) -> Result<()> {
    let (durations, shortest) = (page.durations()?, best.shortest());
    let class = |row: usize| &part.classes()[page.classes()[row] as usize];
    let is_long = |row: &usize| durations[*row] >= shortest && !class(*row).bits.has(ClassBits::NO_DURATION);
    let rows: Vec<usize> = page.rows.iter().filter(is_long).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let (starts, ids) = (page.starts()?, page.ids(rows.iter().copied())?);
    for (row, ids) in rows.into_iter().zip(ids) {
        if durations[row] >= best.shortest() {
            best.add(SlowSpan::of_row(part.tables(), class(row), durations[row], starts[row], ids));
        }
    }
    Ok(())
}

/// The slowest traces that have a matching span, as many as the limit says; 0 for all.
///
/// # Errors
/// As [`slowest_spans`].
pub fn slowest_traces(snapshot: &Snapshot, filter: &Query, limit: usize, limits: &Limits) -> Result<SlowestReport> {
    let query = Query { order: Order::Slowest, limit, page_token: None, lenient: false, ..filter.clone() };
    let found = find(snapshot, &query, limits)?;
    let item = |trace: crate::query::TraceSummary| Slowest {
        trace_id: trace.trace_id,
        span_id: trace.root_span_id,
        service: trace.root_service,
        name: trace.root_name,
        start_unix_nano: trace.start_unix_nano,
        duration_nano: trace.duration_nano,
        error: trace.error_count > 0,
    };
    let items = found.traces.into_iter().map(item).collect();
    Ok(SlowestReport { items, complete: found.complete, reason: found.reason, explain: found.explain })
}
