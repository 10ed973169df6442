//! `series`: rate, errors and durations of each step of time.

use clap::Args;
use tailspan::{Quantile, SeriesQuery, Store};

use super::figure_line::LineKeys;
use super::figures::{Adjusted, By, GroupTable, finish, parse_quantile};
use crate::args::Common;
use crate::filters::Filters;
use crate::outcome::Outcome;
use crate::output::Report;
use crate::sizes::TraceBound;
use crate::times::{human_time, parse_step};

const EXAMPLES: &str = "\
Examples:
  tailspan series my-store --service=checkout --step=10s
  tailspan series my-store --by=service --step=1m --quantiles=0.5,0.99 --json
  tailspan series my-store --by=service --error --no-quantiles
  tailspan series my-store --by=service --adjusted   # rates before sampling, by the thresholds in trace states";

/// Flags of `series`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct SeriesArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub filters: Filters,
    /// Length of a step of time; steps begin at multiples of it since the epoch
    #[arg(long, value_name = "DURATION", value_parser = parse_step, default_value = "1m")]
    pub step: u64,
    #[command(flatten)]
    pub by: By,
    /// Quantiles, as decimals from 0 to 1
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_quantile, default_value = "0.5,0.9,0.99,0.999")]
    pub quantiles: Vec<Quantile>,
    /// No quantiles: sums of steps tell the rest, and hardly a span is read
    #[arg(long, conflicts_with = "quantiles")]
    pub no_quantiles: bool,
    #[command(flatten)]
    pub adjusted: Adjusted,
    #[command(flatten)]
    pub bound: TraceBound,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// Prints a line for every group in every step.
pub fn run(store: &Store, args: &SeriesArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let query = SeriesQuery::new(args.filters.query(), args.step);
    let quantiles: &[Quantile] = if args.no_quantiles { &[] } else { &args.quantiles };
    let query = query.by(args.by.by.clone()).quantiles(quantiles.to_vec()).adjusted(args.adjusted.adjusted);
    let answer = args.bound.on(store.snapshot()).series(&query)?;
    let mut table = GroupTable::new(&["start (UTC)", "per second"], false, &args.by.by, quantiles, args.adjusted);
    let keys = LineKeys::new(&args.by.by);
    for point in &answer.points {
        if report.json() {
            let mut line = keys.line(&point.figures);
            line.start_unix_nano = Some(point.start_unix_nano);
            line.rate_per_second = Some(point.rate_per_second);
            line.adjusted_rate_per_second = point.adjusted_rate_per_second;
            report.row(&line)?;
        } else {
            let leading = vec![human_time(point.start_unix_nano), format!("{:.3}", point.rate_per_second)];
            table.push(leading, &point.figures);
        }
    }
    if !report.json() {
        table.write(report)?;
    }
    finish(args.explain.then_some(&answer.explain), answer.reason.as_ref(), report)
}
