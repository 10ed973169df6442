//! Which rows of the inputs follow each other in a table of the output.

use crate::limits::PAGE_ROWS;

/// Successive rows of one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which input.
    pub input: u32,
    /// Its first row.
    pub first: u32,
    /// How many rows.
    pub rows: u32,
}

/// Part of a run that lies in one page of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which input.
    pub input: usize,
    /// Its rows.
    pub rows: std::ops::Range<usize>,
    /// The page of the output.
    pub page: usize,
}

/// The rows of a table in the order of the output. Twelve bytes a run.
#[derive(Debug, Default)]
pub struct Runs {
    runs: Vec<Run>,
    rows: usize,
}

impl Runs {
    /// Appends rows; such that follow the last ones make its run longer.
    pub fn push(&mut self, run: Run) {
        self.rows += run.rows as usize;
        match self.runs.last_mut() {
            Some(last) if last.input == run.input && last.first + last.rows == run.first => last.rows += run.rows,
            _ if run.rows > 0 => self.runs.push(run),
            _ => {}
        }
    }

    /// The runs.
    pub fn iter(&self) -> impl Iterator<Item = Run> + '_ {
        self.runs.iter().copied()
    }

    /// Rows of the table.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Pages of one value a row.
    pub fn pages(&self) -> usize {
        self.rows.div_ceil(PAGE_ROWS)
    }

    /// The runs, cut at the pages of the output.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        let (mut out, mut next, mut done) = (0, 0, 0);
        std::iter::from_fn(move || {
            let run = self.runs.get(next)?;
            let page = out / PAGE_ROWS;
            let count = (run.rows as usize - done).min((page + 1) * PAGE_ROWS - out);
            let first = run.first as usize + done;
            (out, done) = (out + count, done + count);
            if done == run.rows as usize {
                (next, done) = (next + 1, 0);
            }
            Some(Piece { input: run.input as usize, rows: first..first + count, page })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_follow_each_other_are_one_run_and_pieces_end_with_pages() {
        let mut runs = Runs::default();
        for (input, first, rows) in [(0, 5, 1000), (0, 1005, 20), (1, 0, 0), (1, 7, 1500), (0, 0, 1)] {
            runs.push(Run { input, first, rows });
        }
        assert_eq!((runs.iter().count(), runs.rows(), runs.pages()), (3, 2521, 3));
        let pieces: Vec<_> = runs.pieces().map(|p| (p.input, p.rows, p.page)).collect();
        let expected = [(0, 5..1025, 0), (1, 7..11, 0), (1, 11..1035, 1), (1, 1035..1507, 2), (0, 0..1, 2)];
        assert_eq!(pieces, expected);
    }
}
