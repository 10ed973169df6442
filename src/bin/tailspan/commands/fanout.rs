//! `fanout`: many like calls from one place.

use clap::Args;
use serde_json::json;
use tailspan::{FanoutReport, Store};

use super::figures::finish;
use crate::args::Common;
use crate::filters::Filters;
use crate::outcome::Outcome;
use crate::output::{Align, Report, Table, count};
use crate::sizes::TraceBound;
use crate::times::human_duration;

const EXAMPLES: &str = "\
The filters choose the parent.

Examples:
  tailspan fanout my-store --min=10                              pages that make too many calls
  tailspan fanout my-store --service=checkout --kind=server --min=3 --json
  tailspan fanout my-store --where='{ status = error } < { }' --min=2   retries among siblings";

/// Flags of `fanout`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct FanoutArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub filters: Filters,
    /// The fewest children of one service and name that count
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub min: u64,
    /// How many lines; 0 for all
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub limit: usize,
    #[command(flatten)]
    pub bound: TraceBound,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// Prints a line a parent and kind of child.
pub fn run(store: &Store, args: &FanoutArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let answer = args.bound.on(store.snapshot()).fanout(&args.filters.query(), args.min, args.limit)?;
    if report.json() {
        for item in &answer.items {
            report.row(&json!({
                "traceId": item.trace_id.to_string(),
                "parentSpanId": item.parent_span_id.to_string(),
                "service": item.service,
                "name": item.name,
                "childService": item.child_service,
                "childName": item.child_name,
                "count": item.count,
                "parallel": item.parallel,
                "errors": item.errors,
                "retries": item.retries,
                "busyNano": item.busy_nano,
            }))?;
        }
    } else {
        print_table(&answer, report)?;
    }
    finish(args.explain.then_some(&answer.explain), answer.reason.as_ref(), report)
}

fn print_table(answer: &FanoutReport, report: &mut Report<'_>) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        ("calls", Align::Right),
        ("errors", Align::Right),
        ("retries", Align::Right),
        ("time", Align::Right),
        ("how", Align::Left),
        ("trace", Align::Left),
        ("parent", Align::Left),
        ("from", Align::Left),
        ("to", Align::Left),
    ]);
    let label = |service: &Option<String>, name: &Option<String>| {
        [service.as_deref(), name.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ")
    };
    for item in &answer.items {
        table.push([
            count(item.count),
            count(item.errors),
            count(item.retries),
            human_duration(item.busy_nano),
            if item.parallel { "parallel" } else { "in turn" }.to_owned(),
            item.trace_id.to_string(),
            item.parent_span_id.to_string(),
            label(&item.service, &item.name),
            label(&item.child_service, &item.child_name),
        ]);
    }
    if table.is_empty() {
        report.line("no span has so many like children")?;
    }
    Ok(report.table(&table)?)
}
