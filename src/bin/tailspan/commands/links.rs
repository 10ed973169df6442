//! `links`: the service graph.

use clap::Args;
use serde::Serialize;
use tailspan::{LinkKind, LinksQuery, Quantile, ServiceLink, Store, TimeRange};

use super::figure_line::Quantiles;
use super::figures::{finish, parse_quantile};
use crate::args::Common;
use crate::outcome::Outcome;
use crate::output::{Align, Report, Table, count};
use crate::sizes::TraceBound;
use crate::times::{human_duration, parse_time};

const EXAMPLES: &str = "\
Examples:
  tailspan links my-store
  tailspan links my-store --since=-1h --quantiles=0.5,0.99 --json

Links are Zipkin's: servers are called by the nearest service above them, databases, brokers and third parties
are known by their callers, spans that share an id or come in pieces count once. Names are shown as they were
recorded. A link that only a span further down tells of has no duration and no error.";

/// Flags of `links`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct LinksArgs {
    #[command(flatten)]
    pub common: Common,
    /// Links yielded by spans that start at this time or later: RFC 3339, a Unix time, or -1h
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub since: Option<u64>,
    /// Links yielded by spans that start before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub until: Option<u64>,
    /// Quantiles, as decimals from 0 to 1; high ones are at hand, others take a pass over all spans
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_quantile, default_value = "0.99,0.999")]
    pub quantiles: Vec<Quantile>,
    /// No quantiles: counts and errors alone
    #[arg(long, conflicts_with = "quantiles")]
    pub no_quantiles: bool,
    #[command(flatten)]
    pub bound: TraceBound,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// The line of a link.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinkLine<'l> {
    call_count: u64,
    child: &'l str,
    duration_count: u64,
    error_count: u64,
    kind: &'static str,
    parent: &'l str,
    quantiles: Quantiles<'l>,
}

/// Prints a line a link.
pub fn run(store: &Store, args: &LinksArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let window = TimeRange { since: args.since, until: args.until };
    let quantiles: &[Quantile] = if args.no_quantiles { &[] } else { &args.quantiles };
    let query = LinksQuery::new().window(window).quantiles(quantiles.to_vec());
    let answer = args.bound.on(store.snapshot()).links(&query)?;
    if report.json() {
        for link in &answer.links {
            report.row(&LinkLine {
                call_count: link.call_count,
                child: &link.child,
                duration_count: link.duration_count,
                error_count: link.error_count,
                kind: word(link.kind),
                parent: &link.parent,
                quantiles: Quantiles(&link.quantiles),
            })?;
        }
    } else {
        print_table(&answer.links, quantiles, report)?;
    }
    finish(args.explain.then_some(&answer.explain), answer.reason.as_ref(), report)
}

fn word(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Call => "call",
        LinkKind::Messaging => "messaging",
        LinkKind::Link => "link",
    }
}

fn print_table(links: &[ServiceLink], quantiles: &[Quantile], report: &mut Report<'_>) -> anyhow::Result<()> {
    let left = |heading: &str| (heading.to_owned(), Align::Left);
    let right = |heading: &str| (heading.to_owned(), Align::Right);
    let mut headings = vec![left("parent"), left("child"), left("kind"), right("calls"), right("errors")];
    headings.extend(quantiles.iter().map(|quantile| right(&format!("q{quantile}"))));
    headings.push(left("at the last"));
    let mut table = Table::with_headings(headings);
    for link in links {
        let mut cells = vec![link.parent.clone(), link.child.clone(), word(link.kind).to_owned()];
        cells.extend([count(link.call_count), count(link.error_count)]);
        let value = |at: usize| link.quantiles.get(at).map_or_else(String::new, |q| human_duration(q.value_nano));
        cells.extend((0..quantiles.len()).map(value));
        cells.push(link.quantiles.last().map_or_else(String::new, |found| found.trace_id.to_string()));
        table.push_row(cells);
    }
    if table.is_empty() {
        report.line("no services are linked")?;
    }
    Ok(report.table(&table)?)
}
