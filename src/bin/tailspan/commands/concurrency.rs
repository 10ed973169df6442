//! `concurrency`: how many spans were under way at once, over time.

use clap::Args;
use serde::Serialize;
use tailspan::{Concurrency, Store};

use super::figures::finish;
use crate::args::Common;
use crate::filters::Filters;
use crate::outcome::Outcome;
use crate::output::{Align, Report, Table, count};
use crate::sizes::TraceBound;
use crate::times::{human_time, parse_step};

const EXAMPLES: &str = "\
Examples:
  tailspan concurrency my-store --service=payment --kind=server
  tailspan concurrency my-store --remote-service=postgres --kind=client --step=100ms --json";

/// Columns of a bar.
const BAR_COLUMNS: u64 = 40;

/// Flags of `concurrency`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ConcurrencyArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub filters: Filters,
    /// Length of a step of time; steps begin at multiples of it since the epoch
    #[arg(long, value_name = "DURATION", value_parser = parse_step, default_value = "1s")]
    pub step: u64,
    #[command(flatten)]
    pub bound: TraceBound,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// The line of a step.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StepLine {
    start_unix_nano: u64,
    max: u64,
    mean: f64,
}

/// Prints a line a step in which a span was under way.
pub fn run(store: &Store, args: &ConcurrencyArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let answer = args.bound.on(store.snapshot()).concurrency(&args.filters.query(), args.step)?;
    if report.json() {
        for step in &answer.steps {
            let (start_unix_nano, max, mean) = (step.start_unix_nano, step.max, step.mean);
            report.row(&StepLine { start_unix_nano, max, mean })?;
        }
    } else {
        print_table(&answer, report)?;
    }
    finish(args.explain.then_some(&answer.explain), answer.reason.as_ref(), report)
}

fn print_table(answer: &Concurrency, report: &mut Report<'_>) -> anyhow::Result<()> {
    let headings = [("start (UTC)", Align::Left), ("most", Align::Right), ("mean", Align::Right), ("", Align::Left)];
    let mut table = Table::new(&headings);
    let most = answer.steps.iter().map(|step| step.max).max().unwrap_or(1);
    for step in &answer.steps {
        let bar = (u128::from(step.max) * u128::from(BAR_COLUMNS)).div_ceil(u128::from(most));
        table.push([
            human_time(step.start_unix_nano),
            count(step.max),
            format!("{:.2}", step.mean),
            "█".repeat(usize::try_from(bar).unwrap_or_default()),
        ]);
    }
    if table.is_empty() {
        report.line("no span was under way")?;
    }
    Ok(report.table(&table)?)
}
