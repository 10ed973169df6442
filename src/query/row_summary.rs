//! The summary of a clean trace from the columns of its rows: no span is built.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::column::{ClassBits, NONE, RowSource};
use crate::error::{ErrorKind, Result};
use crate::model::{Span, SpanId, StatusCode, TraceId};
use crate::part::ReadCounter;
use crate::segment::{OutlineReader, SegmentSource};

use super::summary::TraceSummary;

/// A trace of a segment.
pub struct SealedTrace {
    /// Its id.
    pub trace_id: TraceId,
    /// Earliest start, and latest instant less that.
    pub extent: (u64, u64),
    /// Its rows.
    pub rows: Range<u32>,
}

/// What the rows say beside the trace table.
struct Told<'s> {
    /// The class code of the service and its rows.
    services: Vec<(u32, u64)>,
    errors: u64,
    /// What puts a parentless row before others.
    root: Option<RootKey<'s>>,
}

/// No start, start, shared, id, name, service.
type RootKey<'s> = (bool, u64, bool, SpanId, &'s str, Option<&'s str>);

/// Sums up a trace that has a start; `matching` are the places of rows that match, ascending. `None` if every row names a
/// parent: then spans must tell which is the root.
///
/// # Errors
/// Corrupt if a page it needs is damaged; TooLarge if the trace outgrows what the counter allows.
pub fn summary_of_rows(
    trace: &SealedTrace,
    matching: &[usize],
    (reader, source): (&mut OutlineReader<'_>, &SegmentSource<'_>),
    ids_max: usize,
    counter: &ReadCounter,
) -> Result<Option<TraceSummary>> {
    reader.begin(&trace.rows)?;
    let read = counter.holding(|| read_rows(trace, (reader, source), counter));
    let told =
        read.map_err(|e| if e.kind() == ErrorKind::TooLarge { e.at(format!("trace {}", trace.trace_id)) } else { e })?;
    let Some((.., root_span_id, root_name, root_service)) = told.root else { return Ok(None) };
    let mut matched = Vec::with_capacity(matching.len());
    for place in matching {
        let (start, id) = reader.start_and_id(trace.rows.start + *place as u32, trace.extent.0)?;
        matched.push((start == 0, start, id));
    }
    matched.sort_unstable();
    let text = |(code, count): &(u32, u64)| (source.text(*code).to_owned(), *count);
    Ok(Some(TraceSummary {
        trace_id: trace.trace_id,
        root_service: root_service.map(str::to_owned),
        root_name: (!root_name.is_empty()).then(|| root_name.to_owned()),
        root_span_id,
        start_unix_nano: trace.extent.0,
        duration_nano: trace.extent.1,
        span_count: trace.rows.len() as u64,
        error_count: told.errors,
        services: told.services.iter().map(text).collect::<BTreeMap<_, _>>(),
        unknown: false,
        matched_count: matched.len() as u64,
        matched_span_ids: matched.into_iter().take(ids_max).map(|(.., id)| id).collect(),
    }))
}

fn read_rows<'s>(
    trace: &SealedTrace,
    (reader, source): (&mut OutlineReader<'_>, &'s SegmentSource<'_>),
    counter: &ReadCounter,
) -> Result<Told<'s>> {
    let mut told = Told { services: Vec::new(), errors: 0, root: None };
    let (count, text) = (trace.rows.len(), |code: u32| (code != NONE).then(|| source.text(code)));
    for row in trace.rows.clone() {
        let class = &source.schema().classes[reader.class(row)? as usize];
        let name = text(class.name).unwrap_or_default();
        // As much as the span would take: a trace is too large however it is read.
        counter.hold(size_of::<Span>() + name.len(), (row - trace.rows.start) as usize + 1, count)?;
        told.errors += u64::from(class.status == StatusCode::ERROR);
        if class.service != NONE {
            match told.services.iter_mut().find(|(code, _)| *code == class.service) {
                Some((_, count)) => *count += 1,
                None => told.services.push((class.service, 1)),
            }
        }
        if !reader.has_parent(row)? {
            let (start, id) = reader.start_and_id(row, trace.extent.0)?;
            let is_shared = class.bits.has(ClassBits::ZIPKIN) && class.bits.has(ClassBits::SHARED);
            let key = (start == 0, start, is_shared, id, name, text(class.service));
            told.root = Some(told.root.map_or(key, |known| known.min(key)));
        }
    }
    Ok(told)
}
