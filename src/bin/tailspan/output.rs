//! Where results go: rows as JSON lines or as an aligned table, to standard output or a file.
//!
//! A command writes through a [`Report`] and never to standard output itself, so that `batch` and `demo`
//! can run the same commands into a buffer. In JSON mode a row is written at once; a table is kept until
//! its last row is known, because its columns are as wide as their widest cell.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::text::{clean, width};

/// The destination of one command's results.
pub struct Report<'a> {
    out: &'a mut dyn Write,
    json: bool,
    rows: u64,
    /// False where the outcome alone tells that nothing was found.
    remarks: bool,
    /// The line at hand: JSON is written in pieces of a few bytes.
    line: Vec<u8>,
    /// What the destination can show.
    pub look: Look,
}

/// What the destination can show.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns of a line.
    pub columns: usize,
    /// True if ANSI colours may be used.
    pub colour: bool,
}

impl Look {
    /// Plain text of 120 columns: a file, a pipe, a test.
    pub const PLAIN: Self = Self { columns: 120, colour: false };

    /// What standard output can show: its width if it is a terminal, colours unless `NO_COLOR` is set.
    pub fn of_stdout() -> Self {
        let stdout = io::stdout();
        if !stdout.is_terminal() {
            return Self::PLAIN;
        }
        let columns = rustix::termios::tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_col));
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { columns: if columns == 0 { 120 } else { columns }, colour }
    }
}

impl<'a> Report<'a> {
    /// A report to `out`, of JSON lines or for people.
    pub fn new(out: &'a mut dyn Write, json: bool, look: Look) -> Self {
        Self { out, json, rows: 0, remarks: true, line: Vec::new(), look }
    }

    /// The report of one question of many, whose outcomes are told some other way than by [`Report::remark`].
    pub fn of_many(out: &'a mut dyn Write, json: bool) -> Self {
        Self { remarks: false, ..Self::new(out, json, Look::PLAIN) }
    }

    /// Says on standard error why there is no result.
    pub fn remark(&self, why: impl std::fmt::Display) {
        if self.remarks {
            warn(why);
        }
    }

    /// True if results are JSON lines.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Result rows written so far, summaries not counted.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The raw destination, for what is neither row nor line.
    pub fn out(&mut self) -> &mut dyn Write {
        self.out
    }

    /// Counts rows that were written to [`Report::out`].
    pub fn count_rows(&mut self, rows: u64) {
        self.rows += rows;
    }

    /// Writes one result as a JSON line.
    pub fn row(&mut self, row: &impl Serialize) -> io::Result<()> {
        self.rows += 1;
        self.object(row)
    }

    /// Writes a JSON line that is no result: a summary, an explanation.
    pub fn object(&mut self, object: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, object)?;
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }

    /// Writes a line for people.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        self.out.write_all(line.as_bytes())?;
        self.out.write_all(b"\n")
    }

    /// Sends what was written on its way.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes a table and counts its rows.
    pub fn table(&mut self, table: &Table) -> io::Result<()> {
        self.rows += table.rows.len() as u64;
        table.write(self.out)
    }
}

/// A line on standard error for something that does not stop the command.
pub fn warn(message: impl std::fmt::Display) {
    // Results matter more than warnings: if standard error is gone, go on.
    let _ = writeln!(io::stderr(), "warning: {message}");
}

/// Which side of its column a cell keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells under headings, aligned when written.
pub struct Table {
    headings: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub fn new(headings: &[(&'static str, Align)]) -> Self {
        Self::with_headings(headings.iter().map(|(heading, align)| ((*heading).to_owned(), *align)).collect())
    }

    /// An empty table whose columns are known only now.
    pub fn with_headings(headings: Vec<(String, Align)>) -> Self {
        Self { headings, rows: Vec::new() }
    }

    /// Adds a row. Control characters in a cell become visible signs.
    pub fn push<const N: usize>(&mut self, cells: [String; N]) {
        self.push_row(cells.to_vec());
    }

    /// Adds a row of as many cells as there are columns.
    pub fn push_row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.headings.len());
        self.rows.push(cells.iter().map(|cell| clean(cell).into_owned()).collect());
    }

    /// True if there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes the table without counting its rows as results.
    pub fn write_uncounted(&self, report: &mut Report<'_>) -> io::Result<()> {
        self.write(report.out)
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let widths: Vec<usize> = self
            .headings
            .iter()
            .enumerate()
            .map(|(column, (heading, _))| {
                let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell));
                cells.max().unwrap_or(0).max(width(heading))
            })
            .collect();
        let headings: Vec<String> = self.headings.iter().map(|(heading, _)| clean(heading).into_owned()).collect();
        self.write_line(out, &headings, &widths)?;
        self.rows.iter().try_for_each(|row| self.write_line(out, row, &widths))
    }

    fn write_line(&self, out: &mut dyn Write, cells: &[String], widths: &[usize]) -> io::Result<()> {
        let mut line = String::new();
        for ((cell, (_, align)), column_width) in cells.iter().zip(&self.headings).zip(widths) {
            let gap = " ".repeat(column_width.saturating_sub(width(cell)));
            match align {
                Align::Left => line.extend([cell.as_str(), &gap]),
                Align::Right => line.extend([gap.as_str(), cell]),
            }
            line.push_str("  ");
        }
        writeln!(out, "{}", line.trim_end())
    }
}

/// A whole number with a comma between thousands.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// So many of something: the noun takes an `s` unless there is one.
pub fn many(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// A number of bytes in the binary unit that fits.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_widest_cells() {
        let mut table = Table::new(&[("service", Align::Left), ("spans", Align::Right)]);
        table.push(["a".to_owned(), count(1_234_567)]);
        table.push(["für\nzwei".to_owned(), count(7)]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "service       spans\na         1,234,567\nfür␊zwei          7\n");
    }

    #[test]
    fn summaries_are_not_rows() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out, true, Look::PLAIN);
        report.row(&json!({"service": null})).unwrap();
        report.object(&json!({"summary": {}})).unwrap();
        assert_eq!(report.rows(), 1);
        assert_eq!(String::from_utf8(out).unwrap(), "{\"service\":null}\n{\"summary\":{}}\n");
    }

    #[test]
    fn numbers_are_grouped_and_scaled() {
        assert_eq!((count(0), count(999), count(1_000)), ("0".into(), "999".into(), "1,000".into()));
        assert_eq!(
            (bytes(1023), bytes(1536), bytes(u64::MAX)),
            ("1023 B".into(), "1.5 KiB".into(), "16384.0 PiB".into())
        );
    }
}
