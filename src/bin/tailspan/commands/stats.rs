//! `stats`: what the store holds and where its bytes go.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};
use tailspan::{Stats, Store};

use super::warn;
use crate::args::Common;
use crate::outcome::Outcome;
use crate::output::{Align, Report, Table, bytes, count, many};

/// Flags of `stats`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tailspan stats my-store --json")]
pub struct StatsArgs {
    #[command(flatten)]
    pub common: Common,
}

/// Prints counts, then bytes by column and index, largest first.
pub fn run(store: &Store, _args: &StatsArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let stats = store.stats()?;
    if report.json() {
        report.row(&json_of(&stats))?;
    } else {
        print(&stats, report)?;
    }
    stats.problems.iter().for_each(|problem| warn(format_args!("not counted: {problem}")));
    Ok(Outcome::Done.or_damaged(!stats.problems.is_empty()))
}

/// The figures as one JSON object.
pub(super) fn json_of(stats: &Stats) -> Value {
    json!({
        "spans": stats.spans,
        "rows": stats.rows,
        "traces": stats.traces,
        "segments": stats.segments,
        "bytesOnDisk": stats.bytes_on_disk,
        "columns": stats.columns,
        "indexes": stats.indexes,
        "rollupBytes": stats.rollup_bytes,
        "logBytes": stats.log_bytes,
        "awaitingErasure": stats.awaiting_erasure,
        "writeAmplification": stats.times_written.mean,
        "timesWrittenMax": stats.times_written.max,
        "problems": stats.problems,
    })
}

/// Prints the figures for people.
pub(super) fn print(stats: &Stats, report: &mut Report<'_>) -> anyhow::Result<()> {
    report.line(&format!(
        "{} in {}, {} in {} and the log",
        many(stats.spans, "span"),
        many(stats.traces, "trace"),
        many(stats.rows, "row"),
        many(stats.segments, "segment"),
    ))?;
    report.line(&format!(
        "{} on disk ({:.1} bytes a span), of which the log has {} and rollups {}",
        bytes(stats.bytes_on_disk),
        stats.bytes_on_disk as f64 / stats.spans.max(1) as f64,
        bytes(stats.log_bytes),
        bytes(stats.rollup_bytes),
    ))?;
    report.line(&format!(
        "rows were written {:.2} times on average, {} at most (log, seal, merges)",
        stats.times_written.mean,
        many(stats.times_written.max, "time"),
    ))?;
    if stats.awaiting_erasure > 0 {
        report.line(&format!("{} deleted spans await erasure by a merge", count(stats.awaiting_erasure)))?;
    }
    print_sizes("column", &stats.columns, stats.spans, report)?;
    print_sizes("index", &stats.indexes, stats.spans, report)
}

fn print_sizes(
    heading: &'static str,
    sizes: &BTreeMap<String, u64>,
    spans: u64,
    report: &mut Report<'_>,
) -> anyhow::Result<()> {
    let mut sizes: Vec<(&String, &u64)> = sizes.iter().collect();
    sizes.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let mut table = Table::new(&[(heading, Align::Left), ("size", Align::Right), ("bytes a span", Align::Right)]);
    for (name, size) in sizes {
        table.push([name.clone(), bytes(*size), format!("{:.2}", *size as f64 / spans.max(1) as f64)]);
    }
    if !table.is_empty() {
        report.line("")?;
    }
    Ok(report.table(&table)?)
}
