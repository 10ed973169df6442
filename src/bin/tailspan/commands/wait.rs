//! `wait`: how long messages wait between producer and consumer.

use std::str::FromStr;

use clap::Args;
use tailspan::{Quantile, Store, WaitKey, WaitQuery};

use super::figure_line::LineKeys;
use super::figures::{GroupTable, finish, parse_quantile};
use crate::args::Common;
use crate::filters::Filters;
use crate::outcome::Outcome;
use crate::output::Report;
use crate::sizes::TraceBound;

const EXAMPLES: &str = "\
Examples:
  tailspan wait my-store --by=destination,group
  tailspan wait my-store --service=shipping --by=attr:messaging.batch.message_count --quantiles=0.5,0.99 --json";

/// Flags of `wait`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct WaitArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub filters: Filters,
    /// Quantiles, as decimals from 0 to 1
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_quantile, default_value = "0.5,0.9,0.99,0.999")]
    pub quantiles: Vec<Quantile>,
    /// Groups, of the consumer: destination, group, service, name, remote-service, kind, status, attr:KEY; with
    /// commas, or repeated
    #[arg(long, value_name = "KEYS", value_delimiter = ',', value_parser = WaitKey::from_str)]
    pub by: Vec<WaitKey>,
    #[command(flatten)]
    pub bound: TraceBound,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// Prints a line a group.
pub fn run(store: &Store, args: &WaitArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let query = WaitQuery::new(args.filters.query()).quantiles(args.quantiles.clone()).by(args.by.clone());
    let answer = args.bound.on(store.snapshot()).wait(&query)?;
    let keys: Vec<String> = args.by.iter().map(ToString::to_string).collect();
    let (line_keys, mut table) = (LineKeys::of_texts(&keys), GroupTable::of_waits(&keys, &args.quantiles));
    for group in &answer.groups {
        if report.json() {
            let mut line = line_keys.line(&group.figures);
            line.early = Some(group.early);
            report.row(&line)?;
        } else {
            table.push_wait(&group.figures, group.early);
        }
    }
    if !report.json() {
        table.write(report)?;
    }
    finish(args.explain.then_some(&answer.explain), answer.reason.as_ref(), report)
}
