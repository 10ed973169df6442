//! The links that a segment's rows yield, as they are written: the rollup of links, their tail lists, the odd traces.
//!
//! Whole columns are at hand when a segment is sealed or merged. Nearly all traces are linked along their rows
//! ([`RowLinker`]); those whose tree is not what depths say are *odd* and linked as records ([`Linker`]).

use std::ops::Range;

use crate::bytes::Writer;
use crate::column::NONE;
use crate::error::Result;
use crate::index::TraceSet;
use crate::index::links::{
    FoundLink, LinkClass, LinkCodes, LinkNames, LinkSpan, Linker, RowFacts, RowLink, RowLinker, are_distinct,
};
use crate::index::rollup::{EdgeSections, EdgesBuilder};

use super::layout::{EDGE_TAILS, ROLLUP_EDGES, SectionKind};
use super::unite::United;
use super::writer::SegmentWriter;

/// The columns that links depend on; `N` is how codes and depths are held.
pub struct LinkColumns<'c, N> {
    /// First row of every trace.
    pub trace_rows: &'c [u64],
    /// Upper half of every trace id.
    pub trace_highs: &'c [u64],
    /// Span ids by row; so the next five.
    pub span_ids: &'c [u64],
    /// Depths.
    pub depths: &'c [N],
    /// Starts as the segment has them, 0 for none.
    pub starts: &'c [u64],
    /// Ends less starts.
    pub lengths: &'c [u64],
    /// Classes.
    pub classes: &'c [N],
    /// Resources.
    pub resources: &'c [N],
    /// Rows whose recorded parent is not the one that depths imply, ascending, and that parent.
    pub recorded: (&'c [u64], &'c [u64]),
}

/// What is written of the links.
pub struct LinkSections {
    edges: EdgeSections,
    odd: Vec<u8>,
}

impl LinkSections {
    /// Links all traces.
    ///
    /// # Errors
    /// Corrupt if a column holds a code that is unknown, which none does that was made here.
    pub fn of<N: Copy + Into<u64>>(columns: &LinkColumns<'_, N>, united: &United<'_>) -> Result<Self> {
        let table: Vec<LinkClass> = united.classes().iter().map(LinkClass::of).collect();
        let rows = columns.span_ids.len();
        let (mut edges, mut odd, mut slow) = (EdgesBuilder::new(rows), Vec::new(), None);
        let (mut linker, mut scratch, mut recorded) = (RowLinker::default(), Vec::new(), 0);
        for (ordinal, first) in columns.trace_rows.iter().enumerate() {
            let end = columns.trace_rows.get(ordinal + 1).copied().unwrap_or(rows as u64);
            let of_trace = *first as usize..end as usize;
            let begin = recorded;
            while columns.recorded.0.get(recorded).is_some_and(|row| *row < end) {
                recorded += 1;
            }
            if is_odd(columns, &table, &of_trace, begin..recorded, &mut scratch) {
                odd.push(ordinal as u32);
                let slow = slow.get_or_insert_with(|| OddLinker::new(united));
                slow.link(columns, ordinal, of_trace, begin..recorded, &mut edges)?;
                continue;
            }
            let (classes, depths) = (&columns.classes[of_trace.clone()], &columns.depths[of_trace]);
            linker.link(&table, classes, depths, |at, link| {
                let has_duration = table[classes[at].into() as usize].has_duration;
                let row = *first as usize + at;
                edges.add(row, &link, has_duration.then_some(columns.lengths[row]));
            });
        }
        let mut bytes = Writer::new();
        TraceSet::from_sorted(odd).write(&mut bytes);
        Ok(Self { edges: edges.finish(), odd: bytes.into_vec() })
    }

    /// Writes them.
    ///
    /// # Errors
    /// Whatever the file says.
    pub fn write(self, out: &mut SegmentWriter) -> Result<()> {
        out.section(SectionKind::Rollup, ROLLUP_EDGES, &self.edges.groups)?;
        out.section(SectionKind::TailLists, EDGE_TAILS, &self.edges.tails)?;
        out.section(SectionKind::OddTraces, 0, &self.odd)
    }
}

/// True if the tree of a trace may be another than its depths say; `recorded` are its parents that they do not imply.
fn is_odd<N: Copy + Into<u64>>(
    columns: &LinkColumns<'_, N>,
    table: &[LinkClass],
    rows: &Range<usize>,
    recorded: Range<usize>,
    scratch: &mut Vec<u64>,
) -> bool {
    let ids = &columns.span_ids[rows.clone()];
    let is_top = |depth: &N| (*depth).into() == 0;
    if columns.depths[rows.clone()].iter().skip(1).any(is_top) || recorded.len() > 1 {
        return true;
    }
    let is_shared = |class: &N| table.get((*class).into() as usize).is_none_or(|class| class.is_shared);
    if columns.classes[rows.clone()].iter().any(is_shared) || !are_distinct(ids, scratch) {
        return true;
    }
    // A topmost row that names a parent: missing, or itself, or it was cut out of a cycle.
    recorded.into_iter().any(|at| {
        let (row, parent) = (columns.recorded.0[at], columns.recorded.1[at]);
        row != rows.start as u64 || ids[1..].contains(&parent)
    })
}

/// Links odd traces.
struct OddLinker {
    names: LinkNames,
    codes: LinkCodes,
    /// String code of the segment by code of the names.
    texts: Vec<u32>,
    linker: Linker,
    spans: Vec<LinkSpan>,
}

impl OddLinker {
    fn new(united: &United<'_>) -> Self {
        let (mut names, mut texts) = (LinkNames::default(), Vec::new());
        for class in united.classes() {
            for code in [class.service, class.remote].into_iter().filter(|code| *code != NONE) {
                let name = names.code(Some(united.text(code)));
                if name != NONE && name as usize == texts.len() {
                    texts.push(code);
                }
            }
        }
        let resources = united.resources.items.iter().map(|resource| &**resource);
        let codes = LinkCodes::of_classes(united.classes(), &|code| united.text(code), resources, &mut names);
        Self { names, codes, texts, linker: Linker::default(), spans: Vec::new() }
    }

    fn link<N: Copy + Into<u64>>(
        &mut self,
        columns: &LinkColumns<'_, N>,
        ordinal: usize,
        rows: Range<usize>,
        recorded: Range<usize>,
        edges: &mut EdgesBuilder,
    ) -> Result<()> {
        let Self { names, codes, texts, linker, spans } = self;
        spans.clear();
        let (mut path, mut recorded): (Vec<u64>, _) = (Vec::new(), recorded.peekable());
        for row in rows {
            let span_id = columns.span_ids[row];
            path.truncate(columns.depths[row].into() as usize);
            let implied = path.last().copied().unwrap_or(0);
            path.push(span_id);
            let listed = recorded.next_if(|at| columns.recorded.0[*at] == row as u64);
            spans.push(codes.span(&RowFacts {
                class: columns.classes[row].into() as u32,
                resource: columns.resources[row].into() as u32,
                trace_high: columns.trace_highs[ordinal],
                span_id,
                parent: listed.map_or(implied, |at| columns.recorded.1[at]),
                start: columns.starts[row],
                length: columns.lengths[row],
                place: row as u32,
            })?);
        }
        linker.link(spans, names, |found: FoundLink| {
            let text = |name: u32| texts.get(name as usize).copied().unwrap_or(NONE);
            let FoundLink { kind, error, backfilled, span, .. } = found;
            let link = RowLink { parent: text(found.parent), child: text(found.child), kind, error, backfilled };
            edges.add(span.place as usize, &link, span.duration);
        });
        Ok(())
    }
}
