//! Consumers, and the producers of each.

use rustc_hash::FxHashSet;

use crate::catalog::Snapshot;
use crate::column::ClassBits;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{Limits, PAGE_ROWS};
use crate::model::{Link, Span, SpanId, SpanKind, TraceId};
use crate::query::{Asked, Explain, MatchPart, MatchedPage, Matching, RowPaths, SpanLookup, SpanTimes, parents_of};
use crate::segment::Detail;

use super::samples::{Consumer, Samples};

/// Bytes that the id of a trace of the head takes, with room to grow.
const ID_BYTES: usize = 2 * size_of::<TraceId>();

/// Damage that is kept to be told.
const DAMAGE_MAX: usize = 20;

/// A producer of a consumer: what names it, and when it was.
type Producer = (TraceId, SpanId, SpanTimes);

/// The search for consumers.
pub struct Sources<'q> {
    matching: Matching<'q>,
    parts: Vec<MatchPart<'q>>,
    loose_bytes_max: usize,
    is_cut: bool,
}

impl<'q> Sources<'q> {
    /// Plans the search.
    ///
    /// # Errors
    /// Whatever is not damage; so do all methods here. Damage is noted, and what it hides is left out.
    pub fn new(asked: &'q Asked, snapshot: &'q Snapshot, limits: &Limits) -> Result<Self> {
        let (matching, parts) = Matching::new(asked, snapshot)?;
        Ok(Self { matching, parts, loose_bytes_max: limits.loose_bytes_max, is_cut: false })
    }

    /// Adds every consumer with each of its producers.
    ///
    /// # Errors
    /// As [`Sources::new`].
    pub fn each_pair(&mut self, samples: &mut Samples) -> Result<()> {
        if self.matching.is_by_trace() {
            let mut lookup = self.matching.lookup();
            return self
                .matching
                .each_trace(Detail::Full, |spans, matched| add_trace(spans, matched, &mut lookup, samples));
        }
        let mut of_head: FxHashSet<TraceId> = FxHashSet::default();
        let Self { matching, parts, .. } = self;
        for (index, part) in parts.iter().enumerate() {
            let mut sealed = RowPaths::new(part).map(|paths| (paths, matching.lookup()));
            for number in matching.pages(part) {
                let Some(page) = matching.page(part, *number)? else { continue };
                let read = match &mut sealed {
                    Some((paths, lookup)) => add_page((index, part), &page, (paths, lookup), samples),
                    None => page.ids(page.rows.iter()).map(|ids| {
                        for (trace, _) in ids {
                            let has_room = of_head.len() < self.loose_bytes_max / ID_BYTES;
                            self.is_cut |= !has_room && !of_head.contains(&trace);
                            if has_room {
                                of_head.insert(trace);
                            }
                        }
                    }),
                };
                if let Err(error) = read {
                    matching.problem(error)?;
                }
            }
        }
        let (mut lookup, mut damage) = (matching.lookup(), Damage::default());
        matching
            .each_loose_trace(of_head, |spans, matched| damage.note(add_trace(spans, matched, &mut lookup, samples)))?;
        damage.tell(matching)
    }

    /// What was read, and why the answer is not complete if it is not.
    pub fn finish(self) -> (Explain, Option<String>) {
        let (explain, reason) = self.matching.finish();
        let cut = self.is_cut.then(|| {
            let max = self.loose_bytes_max;
            format!("traces of the head take more than {max} bytes: the rest is not counted (Limits::loose_bytes_max)")
        });
        let reasons: Vec<String> = reason.into_iter().chain(cut).collect();
        (explain, (!reasons.is_empty()).then(|| reasons.join("; ")))
    }
}

/// Damage that is met while traces are visited, and told after that.
#[derive(Default)]
struct Damage(Vec<Error>);

impl Damage {
    fn note(&mut self, done: Result<()>) -> Result<()> {
        match done {
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::TooLarge) => {
                if self.0.len() < DAMAGE_MAX {
                    self.0.push(error);
                }
                Ok(())
            }
            done => done,
        }
    }

    fn tell(self, matching: &mut Matching<'_>) -> Result<()> {
        self.0.into_iter().try_for_each(|error| matching.problem(error))
    }
}

/// Adds the consumers of a page of clean traces.
fn add_page(
    (index, part): (usize, &MatchPart<'_>),
    page: &MatchedPage<'_>,
    (paths, lookup): (&mut RowPaths<'_>, &mut SpanLookup<'_>),
    samples: &mut Samples,
) -> Result<()> {
    let rows: Vec<u16> = page.rows.iter().map(|row| row as u16).collect();
    let (groups, facts) = samples.of_page(index, part, page, &rows)?;
    let (starts, ids) = (page.starts()?, page.ids(rows.iter().map(|row| usize::from(*row)))?);
    let mut ordinals = Vec::new();
    if let Some(mut traces) = part.traces() {
        traces.ordinals_of(page.first_row() / PAGE_ROWS as u32, page.rows.iter(), &mut ordinals)?;
    }
    for (at, row) in rows.iter().enumerate() {
        let (row, in_page, ordinal) = (page.first_row() + u32::from(*row), usize::from(*row), ordinals[at]);
        let (trace, span) = ids[at];
        let mut producers: Vec<Producer> = Vec::new();
        if let Some(found) = producer_above(paths, ordinal, row)? {
            producers.push((trace, paths.id(ordinal, found)?, paths.times(ordinal, found)?));
        }
        if part.classes()[page.classes()[in_page] as usize].bits.has(ClassBits::LINKS) {
            add_linked(&paths.links(row)?, lookup, &mut producers)?;
        }
        let consumer = Consumer { trace, span, start: starts[in_page], group: groups[at], error: facts[at] };
        producers.iter().for_each(|(_, _, times)| samples.add(&consumer, times));
    }
    Ok(())
}

fn producer_above(paths: &mut RowPaths<'_>, ordinal: u32, row: u32) -> Result<Option<u32>> {
    let Some(parent) = paths.above(ordinal, row)?.last().copied() else { return Ok(None) };
    Ok((paths.kind(parent)? == SpanKind::PRODUCER).then_some(parent))
}

/// Adds the consumers among the matching spans of a trace.
fn add_trace(spans: &[Span], matched: &[usize], lookup: &mut SpanLookup<'_>, samples: &mut Samples) -> Result<()> {
    if !matched.iter().any(|at| spans[*at].kind == SpanKind::CONSUMER) {
        return Ok(());
    }
    let parents = parents_of(spans);
    for at in matched.iter().filter(|at| spans[**at].kind == SpanKind::CONSUMER) {
        let span = &spans[*at];
        let mut producers: Vec<Producer> = Vec::new();
        if let Some(parent) = parents[*at].map(|parent| &spans[parent])
            && parent.kind == SpanKind::PRODUCER
        {
            producers.push((parent.trace_id, parent.span_id, SpanTimes::of(parent)));
        }
        add_linked(&span.links, lookup, &mut producers)?;
        let group = samples.of_span(span);
        let (start, error) = (span.start_unix_nano, span.is_error());
        let consumer = Consumer { trace: span.trace_id, span: span.span_id, start, group, error };
        producers.iter().for_each(|(_, _, times)| samples.add(&consumer, times));
    }
    Ok(())
}

/// Adds the producers that links point to, each once.
fn add_linked(links: &[Link], lookup: &mut SpanLookup<'_>, producers: &mut Vec<Producer>) -> Result<()> {
    let mut known: FxHashSet<(TraceId, SpanId)> = producers.iter().map(|(trace, span, _)| (*trace, *span)).collect();
    for link in links {
        let trace = link.trace_id.and_then(TraceId::from_bytes);
        let Some(ids) = trace.zip(link.span_id.and_then(|id| SpanId::from_u64(u64::from_be_bytes(id)))) else {
            continue;
        };
        if !known.insert(ids) {
            continue;
        }
        let found = lookup.spans(ids.0, ids.1)?.into_iter().filter(|times| times.kind == SpanKind::PRODUCER);
        // Of several records of one id the earliest counts, as in the tree.
        let first = found.min_by_key(|times| (times.start == 0, times.start, times.end));
        producers.extend(first.map(|times| (ids.0, ids.1, times)));
    }
    Ok(())
}
