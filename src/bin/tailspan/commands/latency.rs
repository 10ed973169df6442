//! `latency`: counts, errors and exact percentiles of groups.

use clap::Args;
use tailspan::{LatencyQuery, LatencySort, LatencyUnit, Quantile, Store};

use super::figure_line::LineKeys;
use super::figures::{Adjusted, By, GroupTable, finish, parse_quantile};
use crate::args::Common;
use crate::filters::Filters;
use crate::outcome::{Outcome, usage};
use crate::output::Report;
use crate::sizes::TraceBound;

const EXAMPLES: &str = "\
Examples:
  tailspan latency my-store --by=service,name
  tailspan latency my-store --service=payment --by=attr:app.payment.channel --quantiles=0.5,0.99 --sort=0.99
  tailspan latency my-store --of=trace --name='POST /checkout' --json
  tailspan latency my-store --of='stage:authorize payment' --of=stage:ship --by=attr:app.payment.channel
  tailspan latency my-store --by=service --adjusted   # how many there were before sampling, +- the 95 % error";

/// Flags of `latency`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct LatencyArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub filters: Filters,
    /// Quantiles, as decimals from 0 to 1
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_quantile, default_value = "0.5,0.9,0.99,0.999")]
    pub quantiles: Vec<Quantile>,
    #[command(flatten)]
    pub by: By,
    /// What is counted: span, trace, or stage:NAME (repeatable), from the first start to the last end of the
    /// spans of that name in a trace
    #[arg(long = "of", value_name = "UNIT", default_value = "span")]
    pub units: Vec<String>,
    /// The first N groups; 0 for all
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub top: usize,
    /// Which groups come first: count, errors, max, or a quantile
    #[arg(long, value_name = "WHAT", default_value = "count", value_parser = parse_sort)]
    pub sort: LatencySort,
    #[command(flatten)]
    pub adjusted: Adjusted,
    #[command(flatten)]
    pub bound: TraceBound,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// Prints a line a group.
pub fn run(store: &Store, args: &LatencyArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let unit = unit_of(&args.units)?;
    let staged = matches!(unit, LatencyUnit::Stages(_));
    let mut query = LatencyQuery::new(args.filters.query());
    query = query.quantiles(args.quantiles.clone()).by(args.by.by.clone()).of(unit);
    query = query.sort(args.sort.clone()).top(args.top).adjusted(args.adjusted.adjusted);
    let answer = args.bound.on(store.snapshot()).latency(&query)?;
    let mut table = GroupTable::new(&[], staged, &args.by.by, &args.quantiles, args.adjusted);
    let keys = LineKeys::new(&args.by.by);
    for group in &answer.groups {
        if report.json() {
            report.row(&keys.line(group))?;
        } else {
            table.push(Vec::new(), group);
        }
    }
    if !report.json() {
        table.write(report)?;
    }
    finish(args.explain.then_some(&answer.explain), answer.reason.as_ref(), report)
}

/// What is counted. Stages may be several, all else stands alone.
fn unit_of(words: &[String]) -> anyhow::Result<LatencyUnit> {
    let stages: Vec<String> = words.iter().filter_map(|word| word.strip_prefix("stage:")).map(str::to_owned).collect();
    match words {
        _ if stages.len() == words.len() => {
            let mut distinct: Vec<String> = Vec::new();
            stages.into_iter().for_each(|stage| {
                if !distinct.contains(&stage) {
                    distinct.push(stage)
                }
            });
            Ok(LatencyUnit::Stages(distinct))
        }
        [word] if word == "span" => Ok(LatencyUnit::Span),
        [word] if word == "trace" => Ok(LatencyUnit::Trace),
        _ => {
            Err(usage(format!("--of={}: it is span, trace, or stage:NAME once or several times", words.join(" --of="))))
        }
    }
}

fn parse_sort(word: &str) -> Result<LatencySort, String> {
    Ok(match word {
        "count" => LatencySort::Count,
        "errors" => LatencySort::Errors,
        "max" => LatencySort::Max,
        _ => match Quantile::parse(word) {
            Ok(quantile) => LatencySort::Quantile(quantile),
            Err(_) => return Err("it is count, errors, max, or a quantile as in 0.99".to_owned()),
        },
    })
}
