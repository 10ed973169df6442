//! Several segments to one, column by column.
//!
//! Every input has its rows in order already, so the output's order is a merge of the trace tables
//! ([`traces`]); only a trace that lies in several pieces is put in order anew ([`shared`]). What comes out of
//! that is a list of *runs*: so many rows of this input, then so many of that ([`runs`]). Each column of the
//! output is then one walk over the runs that decodes the inputs' pages as it meets them.
//!
//! ```text
//! inputs   A a1 a1 a2 b1 b1        B b1 c1 c1            traces a1, a2, b1, c1; b1 lies in both
//! runs     (A, 0..3) (A, 3..4) (B, 0..1) (A, 4..5) (B, 1..3)
//! column   values of A's rows 0..3, of A's row 3, of B's row 0, ...
//! ```
//!
//! The values of a field's column belong to rows by count: the ranks of the input and the classes of its rows
//! say which values a run of rows has ([`places`]). Codes differ from input to input, so classes, resources
//! and dictionaries are united as sealing unites those of chapters. The output is what sealing all spans at
//! once would have written, but for the numbering of codes.
//!
//! Memory: 4 bytes a row, event and link for classes, 36 bytes a row for indexes and links, 56 bytes a trace, 24 bytes for the column of numbers or
//! codes at hand; of byte strings a page an input. Attribute bytes do not matter.

mod children;
mod fields;
mod fixed;
mod input;
mod overflow;
mod pages;
mod places;
mod runs;
mod shared;
mod source;
#[cfg(test)]
mod tests;
mod texts;
mod told;
mod traces;

use crate::bytes::Seed;
use crate::column::Table;
use crate::error::{Error, ErrorKind, Result};
use crate::index::TraceSet;
use crate::os::WritableFile;
use crate::part::ReadCounter;

use super::layout::{SectionKind, SegmentDirectory};
use super::reader::Segment;
use super::row_indexes::RowIndexes;
use super::schema_sections::write_schema;
use super::told::encode_told;
use super::unite::{CodeSource, United};
use super::writer::SegmentWriter;
use children::Children;
use fields::{FieldColumns, choose_own};
use fixed::FixedColumns;
use input::Input;
use overflow::write_overflow;
use source::{FieldUses, LocalFields};
use told::MergedTold;
use traces::Plan;

/// One of the segments that are merged.
#[derive(Clone, Copy)]
pub struct MergePart<'a> {
    /// The segment.
    pub segment: &'a Segment,
    /// Ordinals of the traces that are left out.
    pub dead: &'a TraceSet,
    /// True if these are all that cannot be read: damage that touches no other trace does not end the merge.
    pub salvage: bool,
}

/// What is merged.
pub struct MergeInput<'a> {
    /// The segments.
    pub parts: &'a [MergePart<'a>],
    /// Rows of a block.
    pub block_rows: usize,
    /// Asked now and then; true ends the merge with an error.
    pub cancelled: &'a dyn Fn() -> bool,
}

/// Writes the live rows of all parts as one segment into `file` and syncs its bytes; identical records once,
/// with the smallest of their sequences. `None` if no row is left: then the file is of no use.
///
/// The same parts give the same bytes.
///
/// # Errors
/// Corrupt, naming the segment and page, if one is damaged; closed if it was cancelled; invalid if the output
/// would be too large for a segment; whatever the file says. Then what was written is of no use.
pub fn merge_segments(
    input: &MergeInput<'_>,
    file: Box<dyn WritableFile>,
    seed: Seed,
) -> Result<Option<(SegmentDirectory, u64)>> {
    let check = || match (input.cancelled)() {
        true => Err(Error::new(ErrorKind::Closed, "the merge was cancelled")),
        false => Ok(()),
    };
    // A trace too large for a query must still be merged.
    let counter = ReadCounter::limited(usize::MAX);
    let inputs = input.parts.iter().map(|part| Input::open(part, &counter)).collect::<Result<Vec<_>>>()?;
    let plan = Plan::new(&inputs, &check)?;
    if plan.traces.is_empty() {
        return Ok(None);
    }
    let all = || input.parts.iter().map(|part| part.segment.directory().sequences);
    let first = all().map(|(first, _)| first).min().unwrap_or(0);
    let sequences = (first, all().map(|(_, next)| next).max().unwrap_or(0));
    let merge = Merge { inputs: &inputs, plan, block_rows: input.block_rows, sequences, check: &check };
    merge.write(SegmentWriter::new(file, seed)).map(Some)
}

/// A merge whose rows are planned.
struct Merge<'m, 's> {
    inputs: &'s [Input<'s>],
    plan: Plan,
    block_rows: usize,
    sequences: (u64, u64),
    check: &'m dyn Fn() -> Result<()>,
}

impl Merge<'_, '_> {
    fn write(self, mut out: SegmentWriter) -> Result<(SegmentDirectory, u64)> {
        let (inputs, check) = (self.inputs, self.check);
        let mut events = Children::new(inputs, Table::Event, &self.plan.spans)?;
        let mut links = Children::new(inputs, Table::Link, &self.plan.spans)?;
        let classes = [self.classes(Table::Span)?, self.classes(Table::Event)?, self.classes(Table::Link)?];
        let classes = [&classes[0][..], &classes[1][..], &classes[2][..]];
        let mut united = United::new(inputs.iter().map(|input| -> &dyn CodeSource { &input.source }).collect());
        let mut indexes = RowIndexes::new(self.block_rows);
        let mut fixed = FixedColumns {
            inputs,
            plan: &self.plan,
            events: &mut events,
            links: &mut links,
            classes,
            first_sequence: self.sequences.0,
            check,
        };
        fixed.write(&mut united, &mut indexes, &mut out)?;
        let (mut counts, own_end) = choose_own(&mut united);
        let told = MergedTold::of(inputs, &united, own_end)?;
        for (field, count) in (0..).zip(&mut counts) {
            *count -= told.of_field(field).iter().map(|told| united.class_rows[told.class as usize]).sum::<u64>();
        }
        let columns = FieldColumns {
            inputs,
            united: &united,
            runs: [&self.plan.spans, &events.runs, &links.runs],
            classes,
            uses: inputs.iter().map(FieldUses::new).collect(),
            local: LocalFields::new(inputs, &united)?,
            counts,
            own_end,
            told,
            check,
        };
        let told = columns.write(&mut out)?;
        out.section(SectionKind::Told, 0, &encode_told(&told))?;
        for table in [Table::Span, Table::Event, Table::Link] {
            write_overflow(&columns, table, &mut out)?;
        }
        write_schema(&united, &mut out)?;
        let starts = indexes.starts();
        indexes.write(&mut out)?;
        let directory = out.directory();
        directory.rows = self.plan.spans.rows() as u64;
        directory.events = events.runs.rows() as u64;
        directory.links = links.runs.rows() as u64;
        directory.traces = self.plan.traces.len() as u64;
        directory.block_rows = self.block_rows as u32;
        (directory.start_min, directory.start_max) = starts;
        directory.sequences = self.sequences;
        check()?;
        out.finish()
    }

    /// The classes of all rows of a table, by input.
    fn classes(&self, table: Table) -> Result<Vec<Vec<u32>>> {
        self.inputs.iter().map(|input| input.classes(table)).collect()
    }
}
