//! `slowest`: the spans or traces that took longest.

use clap::{Args, ValueEnum};
use serde_json::json;
use tailspan::{SlowestReport, Store};

use super::figures::finish_list;
use crate::args::Common;
use crate::filters::Filters;
use crate::outcome::Outcome;
use crate::output::{Align, Report, Table};
use crate::sizes::TraceBound;
use crate::times::{human_duration, human_time};

const EXAMPLES: &str = "\
Examples:
  tailspan slowest my-store --service=payment --limit=5
  tailspan slowest my-store --of=trace --since=-1h --json";

/// Flags of `slowest`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct SlowestArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub filters: Filters,
    /// How many; 0 for all
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub limit: usize,
    /// Spans that match, or traces with such a span
    #[arg(long, value_enum, default_value_t)]
    pub of: OfWord,
    #[command(flatten)]
    pub bound: TraceBound,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// What is ranked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OfWord {
    /// Spans, by their duration
    #[default]
    Span,
    /// Traces, from their first start to their last end
    Trace,
}

/// Prints a line a span or trace, then a summary.
pub fn run(store: &Store, args: &SlowestArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let (snapshot, query) = (args.bound.on(store.snapshot()), args.filters.query());
    let answer = match args.of {
        OfWord::Span => snapshot.slowest_spans(&query, args.limit)?,
        OfWord::Trace => snapshot.slowest_traces(&query, args.limit)?,
    };
    if report.json() {
        for item in &answer.items {
            report.row(&json!({
                "traceId": item.trace_id.to_string(),
                "spanId": item.span_id.to_string(),
                "service": item.service,
                "name": item.name,
                "startUnixNano": item.start_unix_nano,
                "durationNano": item.duration_nano,
                "error": item.error,
            }))?;
        }
    } else {
        print_table(&answer, report)?;
    }
    finish_list(args.explain.then_some(&answer.explain), answer.reason.as_ref(), None, report)
}

fn print_table(answer: &SlowestReport, report: &mut Report<'_>) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        ("duration", Align::Right),
        ("start (UTC)", Align::Left),
        ("trace", Align::Left),
        ("span", Align::Left),
        ("error", Align::Left),
        ("operation", Align::Left),
    ]);
    for item in &answer.items {
        let operation = [item.service.as_deref(), item.name.as_deref()];
        table.push([
            human_duration(item.duration_nano),
            human_time(item.start_unix_nano),
            item.trace_id.to_string(),
            item.span_id.to_string(),
            if item.error { "error" } else { "" }.to_owned(),
            operation.into_iter().flatten().collect::<Vec<_>>().join(": "),
        ]);
    }
    if table.is_empty() {
        report.line("no span matches")?;
    }
    Ok(report.table(&table)?)
}
