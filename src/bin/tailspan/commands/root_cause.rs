//! `root-cause`: errors below which nothing failed.

use clap::Args;
use serde_json::json;
use tailspan::{RootCauseReport, Store};

use super::figures::finish_list;
use crate::args::Common;
use crate::filters::Filters;
use crate::outcome::Outcome;
use crate::output::{Align, Report, Table};
use crate::sizes::TraceBound;
use crate::times::{human_duration, human_time};

const EXAMPLES: &str = "\
Examples:
  tailspan root-cause my-store --since=-1h
  tailspan root-cause my-store --where='{ resource.service.name = \"checkout\" } >> { status = error }' --limit=0 --json";

/// Flags of `root-cause`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct RootCauseArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub filters: Filters,
    /// How many; 0 for all
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub limit: usize,
    #[command(flatten)]
    pub bound: TraceBound,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// Prints a line a span, then a summary.
pub fn run(store: &Store, args: &RootCauseArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let answer = args.bound.on(store.snapshot()).root_causes(&args.filters.query(), args.limit)?;
    if report.json() {
        for item in &answer.items {
            report.row(&json!({
                "traceId": item.trace_id.to_string(),
                "spanId": item.span_id.to_string(),
                "service": item.service,
                "name": item.name,
                "startUnixNano": item.start_unix_nano,
                "durationNano": item.duration_nano,
                "error": true,
                "statusMessage": item.status_message,
            }))?;
        }
    } else {
        print_table(&answer, report)?;
    }
    finish_list(args.explain.then_some(&answer.explain), answer.reason.as_ref(), None, report)
}

fn print_table(answer: &RootCauseReport, report: &mut Report<'_>) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        ("duration", Align::Right),
        ("start (UTC)", Align::Left),
        ("trace", Align::Left),
        ("span", Align::Left),
        ("operation", Align::Left),
        ("message", Align::Left),
    ]);
    for item in &answer.items {
        let operation = [item.service.as_deref(), item.name.as_deref()];
        table.push([
            item.duration_nano.map_or_else(|| "-".to_owned(), human_duration),
            human_time(item.start_unix_nano),
            item.trace_id.to_string(),
            item.span_id.to_string(),
            operation.into_iter().flatten().collect::<Vec<_>>().join(": "),
            item.status_message.clone().unwrap_or_default(),
        ]);
    }
    if table.is_empty() {
        report.line("no error matches")?;
    }
    Ok(report.table(&table)?)
}
