//! The columns that every segment has, gathered one after the other.
//!
//! Most are copied run by run. In traces that were united depth and start are others than the input has.
//! What indexes and links are made of is kept until they are: 36 bytes a row.

use crate::column::Table;
use crate::error::Result;
use crate::limits::PAGE_ROWS;

use super::super::fixed_columns::{write_fixed, write_page_ordinals, write_resources};
use super::super::layout::Fixed;
use super::super::link_indexes::{LinkColumns, LinkSections};
use super::super::row_indexes::RowIndexes;
use super::super::unite::United;
use super::super::writer::SegmentWriter;
use super::children::Children;
use super::input::Input;
use super::pages::IntegerPages;
use super::runs::Runs;
use super::source::table_index;
use super::traces::{MergedTrace, Place, Plan};

/// What the fixed columns are made of.
pub struct FixedColumns<'m, 's> {
    /// The inputs.
    pub inputs: &'s [Input<'s>],
    /// Traces and span rows.
    pub plan: &'m Plan,
    /// Events.
    pub events: &'m mut Children,
    /// Links.
    pub links: &'m mut Children,
    /// Local classes by table and input.
    pub classes: [&'m [Vec<u32>]; 3],
    /// First sequence of the output.
    pub first_sequence: u64,
    /// Asks whether to go on.
    pub check: &'m dyn Fn() -> Result<()>,
}

impl<'s> FixedColumns<'_, 's> {
    /// Writes them all, handing out the codes of classes and resources.
    ///
    /// # Errors
    /// Corrupt if a page is damaged; whatever the file says.
    pub fn write(&mut self, united: &mut United<'_>, indexes: &mut RowIndexes, out: &mut SegmentWriter) -> Result<()> {
        let mut kept = Kept::default();
        for column in Fixed::ALL {
            (self.check)()?;
            let values = self.values(column, united)?;
            if column == Fixed::Resource {
                let rows = kept.classes.iter().zip(&values).map(|(class, resource)| (*class, *resource as u32));
                write_resources(united, rows, out)?;
            } else {
                write_fixed(column, &values, out)?;
            }
            if column == Fixed::Class {
                self.index(&values, &kept, united, indexes);
            }
            kept.keep(column, values);
        }
        write_page_ordinals(self.plan.spans.rows(), &kept.trace_rows, out)?;
        (self.check)()?;
        LinkSections::of(&kept.columns(), united)?.write(out)
    }

    fn values(&mut self, column: Fixed, united: &mut United<'_>) -> Result<Vec<u64>> {
        let plan = self.plan;
        let of_traces = |value: fn(&MergedTrace) -> u64| Ok(plan.traces.iter().map(value).collect());
        match column {
            Fixed::SpanId | Fixed::Length => self.copy(column, &plan.spans),
            Fixed::Depth => self.depths(),
            Fixed::Start => self.starts(),
            Fixed::Class => Ok(self.united_classes(Table::Span, united)),
            Fixed::Resource => self.resources(united),
            Fixed::Sequence => self.sequences(),
            Fixed::ParentRow => Ok(self.exceptions()?.into_iter().map(|(row, _)| row.into()).collect()),
            Fixed::ParentId => Ok(self.exceptions()?.into_iter().map(|(_, parent)| parent).collect()),
            Fixed::TraceHigh => of_traces(|trace| (trace.id >> 64) as u64),
            Fixed::TraceLow => of_traces(|trace| trace.id as u64),
            Fixed::TraceRow => {
                let first_row =
                    |next: &mut u64, trace: &MergedTrace| Some(std::mem::replace(next, *next + u64::from(trace.rows)));
                Ok(plan.traces.iter().scan(0, first_row).collect())
            }
            Fixed::TraceStart => of_traces(|trace| trace.start),
            Fixed::TraceDuration => of_traces(|trace| trace.duration),
            Fixed::EventRow => Ok(take_rows(self.events)),
            Fixed::EventTime => self.copy(column, &self.events.runs),
            Fixed::EventClass => Ok(self.united_classes(Table::Event, united)),
            Fixed::LinkRow => Ok(take_rows(self.links)),
            Fixed::LinkTraceHigh | Fixed::LinkTraceLow | Fixed::LinkSpan => self.copy(column, &self.links.runs),
            Fixed::LinkClass => Ok(self.united_classes(Table::Link, united)),
        }
    }

    /// A column as the inputs have it.
    fn copy(&self, column: Fixed, runs: &Runs) -> Result<Vec<u64>> {
        let pages = |input: &Input<'_>| (input.segment.id(), column as u32);
        let mut open: Vec<IntegerPages<'_>> =
            self.inputs.iter().map(|input| IntegerPages::new(input.segment, pages(input).1, input.counter)).collect();
        let mut out = Vec::with_capacity(runs.rows());
        for (at, run) in runs.iter().enumerate() {
            if at % PAGE_ROWS == 0 {
                (self.check)()?;
            }
            let first = run.first as usize;
            open[run.input as usize].copy(first..first + run.rows as usize, &mut out)?;
        }
        Ok(out)
    }

    /// Calls `visit` with the first row of every trace that was united, and the trace.
    fn each_shared(&self, mut visit: impl FnMut(usize, u32, &MergedTrace)) {
        let mut row = 0;
        for trace in &self.plan.traces {
            if let Place::Shared { first } = trace.place {
                visit(row, first, trace);
            }
            row += trace.rows as usize;
        }
    }

    fn depths(&self) -> Result<Vec<u64>> {
        let mut out = self.copy(Fixed::Depth, &self.plan.spans)?;
        self.each_shared(|row, first, trace| {
            let depths = self.plan.shared.depths(first..first + trace.rows);
            out[row..].iter_mut().zip(depths).for_each(|(value, depth)| *value = (*depth).into());
        });
        Ok(out)
    }

    fn starts(&self) -> Result<Vec<u64>> {
        let mut out = self.copy(Fixed::Start, &self.plan.spans)?;
        self.each_shared(|row, first, trace| {
            let delta = |start: u64| if start == 0 { 0 } else { start.wrapping_sub(trace.start).wrapping_add(1) };
            let starts = self.plan.shared.starts(first..first + trace.rows);
            out[row..].iter_mut().zip(starts).for_each(|(value, start)| *value = delta(*start));
        });
        Ok(out)
    }

    fn sequences(&self) -> Result<Vec<u64>> {
        let mut out = self.copy(Fixed::Sequence, &self.plan.spans)?;
        let mut rest = &mut out[..];
        for run in self.plan.spans.iter() {
            let (of_run, after) = rest.split_at_mut(run.rows as usize);
            let first = self.inputs[run.input as usize].segment.directory().sequences.0;
            let shift = first.wrapping_sub(self.first_sequence);
            of_run.iter_mut().for_each(|sequence| *sequence = sequence.wrapping_add(shift));
            rest = after;
        }
        Ok(out)
    }

    fn united_classes(&self, table: Table, united: &mut United<'_>) -> Vec<u64> {
        let runs = match table {
            Table::Span => &self.plan.spans,
            Table::Event => &self.events.runs,
            Table::Link => &self.links.runs,
        };
        let mut out = Vec::with_capacity(runs.rows());
        for run in runs.iter() {
            let (input, first) = (run.input as usize, run.first as usize);
            let classes = &self.classes[table as usize - 1][input][first..first + run.rows as usize];
            out.extend(classes.iter().map(|class| u64::from(united.class(input, *class))));
        }
        out
    }

    fn resources(&self, united: &mut United<'_>) -> Result<Vec<u64>> {
        let mut out = self.copy(Fixed::Resource, &self.plan.spans)?;
        let mut rest = &mut out[..];
        for run in self.plan.spans.iter() {
            let (of_run, after) = rest.split_at_mut(run.rows as usize);
            let input = &self.inputs[run.input as usize];
            let first = run.first as usize;
            let classes = &self.classes[table_index(Table::Span)][run.input as usize][first..first + of_run.len()];
            for (code, class) in of_run.iter_mut().zip(classes) {
                let unknown = || input.corrupt(format_args!("resource {code} of class {class} is unknown"));
                let known = input.source.tables.class_resources.get(*class, *code).ok_or_else(unknown)?;
                *code = united.resource(run.input as usize, known).into();
            }
            rest = after;
        }
        Ok(out)
    }

    /// The rows whose parent is not the one their depth implies, with the parent.
    fn exceptions(&self) -> Result<Vec<(u32, u64)>> {
        let lists = self.inputs.iter().map(|input| input.row_list(Fixed::ParentRow)).collect::<Result<Vec<_>>>()?;
        let ids = |input| IntegerPages::new(input, Fixed::ParentId as u32, self.inputs[0].counter);
        let mut ids: Vec<_> = self.inputs.iter().map(|input| ids(input.segment)).collect();
        let mut out = Vec::new();
        let mut row = 0;
        for trace in &self.plan.traces {
            match trace.place {
                Place::Shared { first } => {
                    let exceptions = self.plan.shared.exceptions(first..first + trace.rows);
                    out.extend(exceptions.iter().map(|(at, parent)| (at - first + row, *parent)));
                }
                Place::Input { input, first } => {
                    let list = &lists[input as usize];
                    let place = |row: u32| list.partition_point(|of| *of < row);
                    let found = place(first)..place(first + trace.rows);
                    for (at, local) in found.clone().zip(&list[found]) {
                        out.push((local - first + row, ids[input as usize].get(at)?));
                    }
                }
            }
            row += trace.rows;
        }
        Ok(out)
    }

    fn index(&self, classes: &[u64], kept: &Kept, united: &United<'_>, indexes: &mut RowIndexes) {
        let traces = self.plan.traces.iter().flat_map(|trace| (0..trace.rows).map(|_| trace.start));
        for (((class, delta), length), trace_start) in classes.iter().zip(&kept.starts).zip(&kept.lengths).zip(traces) {
            let start = if *delta == 0 { 0 } else { trace_start.wrapping_add(delta - 1) };
            let class = *class as u32;
            indexes.add(class, united.class_at(class), start, start.wrapping_add(*length));
        }
    }
}

/// Columns that indexes and links are made of; codes and depths in 32 bits.
#[derive(Default)]
struct Kept {
    span_ids: Vec<u64>,
    depths: Vec<u32>,
    starts: Vec<u64>,
    lengths: Vec<u64>,
    classes: Vec<u32>,
    resources: Vec<u32>,
    parent_rows: Vec<u64>,
    parent_ids: Vec<u64>,
    trace_highs: Vec<u64>,
    trace_rows: Vec<u64>,
}

impl Kept {
    fn keep(&mut self, column: Fixed, values: Vec<u64>) {
        let narrow = |values: Vec<u64>| values.into_iter().map(|value| value as u32).collect();
        match column {
            Fixed::SpanId => self.span_ids = values,
            Fixed::Depth => self.depths = narrow(values),
            Fixed::Start => self.starts = values,
            Fixed::Length => self.lengths = values,
            Fixed::Class => self.classes = narrow(values),
            Fixed::Resource => self.resources = narrow(values),
            Fixed::ParentRow => self.parent_rows = values,
            Fixed::ParentId => self.parent_ids = values,
            Fixed::TraceHigh => self.trace_highs = values,
            Fixed::TraceRow => self.trace_rows = values,
            _ => {}
        }
    }

    fn columns(&self) -> LinkColumns<'_, u32> {
        LinkColumns {
            trace_rows: &self.trace_rows,
            trace_highs: &self.trace_highs,
            span_ids: &self.span_ids,
            depths: &self.depths,
            starts: &self.starts,
            lengths: &self.lengths,
            classes: &self.classes,
            resources: &self.resources,
            recorded: (&self.parent_rows, &self.parent_ids),
        }
    }
}

fn take_rows(children: &mut Children) -> Vec<u64> {
    std::mem::take(&mut children.span_rows).into_iter().map(u64::from).collect()
}
