//! `find`: traces by what their spans are.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tailspan::{Found, Order, Query, Store, TraceSummary};

use super::figures::finish_list;
use crate::args::Common;
use crate::filters::Filters;
use crate::outcome::Outcome;
use crate::output::{Align, Report, Table, count};
use crate::sizes::TraceBound;
use crate::times::{human_duration, human_time};

const EXAMPLES: &str = "\
Examples:
  tailspan find my-store --service=checkout --error --since=-1h
  tailspan find my-store --name='POST /pay' --min-duration=1s --order=slowest
  tailspan find my-store --tag=app.payment.channel=slowbank --tag='http.status_code>=500' --json
  tailspan find my-store --where='{ resource.service.name = \"checkout\" } >> { status = error && kind = client }'
  tailspan find my-store --where='{ name = \"pay\" } !>> { name = \"confirm\" }' --include-unknown";

/// Flags of `find`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct FindArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub filters: Filters,
    /// Traces of a page; 0 for all
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub limit: usize,
    /// Latest start first, or longest trace first
    #[arg(long, value_enum, default_value_t)]
    pub order: OrderWord,
    /// Go on where the page with this nextPageToken ended
    #[arg(long, value_name = "TOKEN")]
    pub page_token: Option<String>,
    /// With --where: traces, too, in which a missing span leaves it open, marked "match":"unknown"
    #[arg(long)]
    pub include_unknown: bool,
    /// Join traces whose ids agree in their last 16 digits
    #[arg(long)]
    pub lenient: bool,
    #[command(flatten)]
    pub bound: TraceBound,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// Which traces come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OrderWord {
    /// Latest start first
    #[default]
    Newest,
    /// Longest duration first
    Slowest,
}

/// Prints a page of traces, then a summary.
pub fn run(store: &Store, args: &FindArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let found = args.bound.on(store.snapshot()).find(&query(args))?;
    if report.json() {
        for trace in &found.traces {
            report.row(&object(trace, args.filters.structure.is_some()))?;
        }
    } else {
        print_table(&found, report)?;
    }
    finish_list(args.explain.then_some(&found.explain), found.reason.as_ref(), found.next_page_token.as_ref(), report)
}

fn query(args: &FindArgs) -> Query {
    let mut query = args.filters.query();
    query.limit = args.limit;
    query.order = match args.order {
        OrderWord::Newest => Order::Newest,
        OrderWord::Slowest => Order::Slowest,
    };
    query.page_token.clone_from(&args.page_token);
    query.lenient = args.lenient;
    query.include_unknown = args.include_unknown;
    query
}

/// The line of a trace; with a structural condition it says how certain the match is.
fn object(trace: &TraceSummary, structural: bool) -> Value {
    let matched: Vec<String> = trace.matched_span_ids.iter().map(ToString::to_string).collect();
    let mut object = json!({
        "traceId": trace.trace_id.to_string(),
        "rootService": trace.root_service,
        "rootName": trace.root_name,
        "startUnixNano": trace.start_unix_nano,
        "durationNano": trace.duration_nano,
        "spanCount": trace.span_count,
        "errorCount": trace.error_count,
        "services": trace.services,
        "matchedCount": trace.matched_count,
        "matchedSpanIds": matched,
    });
    if structural {
        object["match"] = json!(if trace.unknown { "unknown" } else { "certain" });
    }
    object
}

fn print_table(found: &Found, report: &mut Report<'_>) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        ("trace", Align::Left),
        ("start (UTC)", Align::Left),
        ("duration", Align::Right),
        ("spans", Align::Right),
        ("errors", Align::Right),
        ("matched", Align::Right),
        ("root", Align::Left),
    ]);
    for trace in &found.traces {
        let root = [trace.root_service.as_deref(), trace.root_name.as_deref()];
        table.push([
            trace.trace_id.to_string(),
            human_time(trace.start_unix_nano),
            human_duration(trace.duration_nano),
            count(trace.span_count),
            count(trace.error_count),
            count(trace.matched_count) + if trace.unknown { "?" } else { "" },
            root.into_iter().flatten().collect::<Vec<_>>().join(": "),
        ]);
    }
    if table.is_empty() {
        report.line("no trace matches")?;
    }
    report.table(&table)?;
    if let Some(token) = &found.next_page_token {
        report.line(&format!("more: add --page-token={token}"))?;
    }
    Ok(())
}
