//! `heatmap`: how many spans took how long, over time; in a terminal drawn with blocks.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use tailspan::{HeatCell, Store};

use super::figures::finish;
use crate::args::Common;
use crate::filters::Filters;
use crate::outcome::Outcome;
use crate::output::Report;
use crate::sizes::TraceBound;
use crate::times::{human_duration, human_time, parse_step};

const EXAMPLES: &str = "\
Examples:
  tailspan heatmap my-store --service=payment
  tailspan heatmap my-store --name='POST /pay' --step=10s --json";

/// Blocks from few spans to many.
const BLOCKS: [char; 4] = ['░', '▒', '▓', '█'];
/// Columns left of the blocks: a duration and a bar.
const MARGIN: usize = 12;

/// Flags of `heatmap`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct HeatmapArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub filters: Filters,
    /// Length of a step of time; steps begin at multiples of it since the epoch
    #[arg(long, value_name = "DURATION", value_parser = parse_step, default_value = "1m")]
    pub step: u64,
    #[command(flatten)]
    pub bound: TraceBound,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// The line of a cell.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CellLine {
    count: u64,
    end_unix_nano: u64,
    max_nano: u64,
    min_nano: u64,
    start_unix_nano: u64,
}

/// Prints a line a cell, or a picture.
pub fn run(store: &Store, args: &HeatmapArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let answer = args.bound.on(store.snapshot()).heat_map(&args.filters.query(), args.step)?;
    if report.json() {
        for cell in &answer.cells {
            report.row(&CellLine {
                count: cell.count,
                end_unix_nano: cell.end_unix_nano,
                max_nano: cell.max_nano,
                min_nano: cell.min_nano,
                start_unix_nano: cell.start_unix_nano,
            })?;
        }
    } else {
        let columns = report.look.columns.saturating_sub(MARGIN).max(1);
        for line in picture(&answer.cells, args.step, columns) {
            report.line(&line)?;
        }
        report.count_rows(answer.cells.len() as u64);
    }
    finish(args.explain.then_some(&answer.explain), answer.reason.as_ref(), report)
}

/// Time to the right, duration upward in rows of an octave; where there are more steps than columns, several
/// share one. A block is fuller the more spans it stands for, by the logarithm of their count.
fn picture(cells: &[HeatCell], step: u64, columns: usize) -> Vec<String> {
    let (Some(first), Some(last)) = (cells.first(), cells.last()) else { return vec!["no span matches".to_owned()] };
    let steps = (last.start_unix_nano - first.start_unix_nano) / step + 1;
    let steps_a_column = steps.div_ceil(columns as u64);
    let octave = |nanos: u64| nanos.checked_ilog2().map_or(0, |log| log + 1);
    let mut counts: BTreeMap<u32, BTreeMap<u64, u64>> = BTreeMap::new();
    for cell in cells {
        let column = (cell.start_unix_nano - first.start_unix_nano) / step / steps_a_column;
        *counts.entry(octave(cell.min_nano)).or_default().entry(column).or_default() += cell.count;
    }
    let most = counts.values().flat_map(BTreeMap::values).max().copied().unwrap_or(1);
    let width = steps.div_ceil(steps_a_column);
    let (low, high) = (counts.keys().next().copied().unwrap_or(0), counts.keys().next_back().copied().unwrap_or(0));
    let mut lines = Vec::new();
    for row in (low..=high).rev() {
        let none = BTreeMap::new();
        let of_row = counts.get(&row).unwrap_or(&none);
        let blocks: String = (0..width).map(|column| of_row.get(&column).map_or(' ', |n| block(*n, most))).collect();
        let from = if row == 0 { 0 } else { 1u64 << (row - 1) };
        lines.push(format!("{:>9} │{}", human_duration(from), blocks.trim_end()));
    }
    let until = first.start_unix_nano.saturating_add(steps_a_column.saturating_mul(width).saturating_mul(step));
    lines.push(format!("{:>9} └{}", "", "─".repeat(width as usize)));
    lines.push(format!("{:>11}{} to {}", "", human_time(first.start_unix_nano), human_time(until)));
    let column = human_duration(steps_a_column.saturating_mul(step));
    lines.push(format!(
        "{:>11}a column is {column}, a row an octave; {} is 1 span, {} is {most}",
        "", BLOCKS[0], BLOCKS[3]
    ));
    lines
}

fn block(count: u64, most: u64) -> char {
    let share = (count as f64).ln() / (most as f64).ln().max(f64::MIN_POSITIVE);
    let step = if most <= 1 { BLOCKS.len() - 1 } else { (share * BLOCKS.len() as f64) as usize };
    BLOCKS[step.min(BLOCKS.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(start: u64, min: u64, count: u64) -> HeatCell {
        let (start_unix_nano, end_unix_nano) = (start * 60, start * 60 + 60);
        HeatCell { start_unix_nano, end_unix_nano, min_nano: min, max_nano: min + 1, count }
    }

    #[test]
    fn a_picture_has_time_to_the_right_and_duration_upward() {
        let lines = picture(&[cell(1, 4, 1), cell(2, 16, 1000), cell(4, 4, 3)], 60, 80);
        assert_eq!(lines[..3], ["    16 ns │ █", "     8 ns │", "     4 ns │░  ░"]);
    }

    #[test]
    fn more_steps_than_columns_share_them() {
        let cells: Vec<HeatCell> = (0..100).map(|start| cell(start, 4, 1)).collect();
        let lines = picture(&cells, 60, 10);
        assert_eq!(lines[0], format!("     4 ns │{}", "█".repeat(10)));
    }
}
