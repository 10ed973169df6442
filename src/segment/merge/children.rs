//! Which events or links follow the span rows of the output.

use crate::column::Table;
use crate::error::{Error, Result};

use super::super::layout::Fixed;
use super::input::Input;
use super::runs::{Run, Runs};

/// The rows of the table of events or links, and the span row each belongs to.
pub struct Children {
    /// Its rows in order.
    pub runs: Runs,
    /// Their span rows in the output. Four bytes a row; taken when they are written.
    pub span_rows: Vec<u32>,
}

impl Children {
    /// The events or links of these span rows.
    ///
    /// # Errors
    /// Corrupt if the list of an input is damaged; invalid if there would be 2^32 of them.
    pub fn new(inputs: &[Input<'_>], table: Table, spans: &Runs) -> Result<Self> {
        let column = if table == Table::Event { Fixed::EventRow } else { Fixed::LinkRow };
        let lists = inputs.iter().map(|input| input.row_list(column)).collect::<Result<Vec<_>>>()?;
        let mut out = Self { runs: Runs::default(), span_rows: Vec::new() };
        let mut span_row = 0;
        for run in spans.iter() {
            let list = &lists[run.input as usize];
            let place = |row: u32| list.partition_point(|of| *of < row);
            let found = place(run.first)..place(run.first + run.rows);
            let (first, rows) = (found.start as u32, found.len() as u32);
            out.runs.push(Run { input: run.input, first, rows });
            out.span_rows.extend(list[found].iter().map(|row| row - run.first + span_row));
            span_row += run.rows;
        }
        match u32::try_from(out.runs.rows()) {
            Ok(_) => Ok(out),
            Err(_) => Err(Error::invalid("a segment of 2^32 events or links is too large; merge fewer")),
        }
    }
}
