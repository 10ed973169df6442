//! `compare`: what the spans of a selection have in common that those of a baseline have not.

use clap::{Args, Parser};
use serde_json::json;
use tailspan::{Comparison, Exemplar, Quantile, Store};

use super::figures::{finish, parse_quantile};
use crate::args::Common;
use crate::filters::Filters;
use crate::outcome::{Outcome, message_of, usage};
use crate::output::{Align, Report, Table, count, many};
use crate::sizes::TraceBound;
use crate::times::human_duration;
use crate::words::split_words;

const EXAMPLES: &str = "\
Examples:
  tailspan compare my-store --service=payment --min-duration=1s --against='--service=payment'
  tailspan compare my-store --since=-1h --against='--since=-25h --until=-24h' --json
  tailspan compare my-store --error --against=''";

/// Flags of `compare`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CompareArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub filters: Filters,
    /// Filters of the baseline, in one argument and quoted as in a shell; '' for all spans
    #[arg(long, value_name = "FILTERS", allow_hyphen_values = true)]
    pub against: String,
    /// The first N values; 0 for all
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub top: usize,
    /// Quantiles, as decimals from 0 to 1
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_quantile, default_value = "0.5,0.9,0.99,0.999")]
    pub quantiles: Vec<Quantile>,
    #[command(flatten)]
    pub bound: TraceBound,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// The words of `--against`.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Against {
    #[command(flatten)]
    filters: Filters,
}

/// Prints a line a value, then one of quantiles.
pub fn run(store: &Store, args: &CompareArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let words = split_words(&args.against).map_err(|error| usage(format!("--against: {error}")))?;
    let against = Against::try_parse_from(words)
        .map_err(|error| usage(format!("--against: {}", message_of(&anyhow::Error::from(error)))))?;
    let (selection, baseline) = (args.filters.query(), against.filters.query());
    let answer = args.bound.on(store.snapshot()).compare(&selection, &baseline, &args.quantiles)?;
    let top = if args.top == 0 { usize::MAX } else { args.top };
    if report.json() {
        write_json(&answer, top, report)?;
    } else {
        write_tables(&answer, top, report)?;
    }
    finish(args.explain.then_some(&answer.explain), answer.reason.as_ref(), report)
}

fn write_json(answer: &Comparison, top: usize, report: &mut Report<'_>) -> anyhow::Result<()> {
    for value in answer.values.iter().take(top) {
        report.row(&json!({
            "key": value.key,
            "value": value.value,
            "inSelection": value.in_selection,
            "inBaseline": value.in_baseline,
            "selectionTotal": answer.selection_total,
            "baselineTotal": answer.baseline_total,
            "score": value.score,
        }))?;
    }
    let nanos = |found: &Option<Exemplar>| found.as_ref().map(|found| found.value_nano);
    let quantiles: Vec<serde_json::Value> = answer
        .quantiles
        .iter()
        .map(|pair| {
            let q = pair.quantile.as_f64();
            json!({ "q": q, "selectionNano": nanos(&pair.selection), "baselineNano": nanos(&pair.baseline) })
        })
        .collect();
    Ok(report.row(&json!({ "quantiles": quantiles }))?)
}

fn write_tables(answer: &Comparison, top: usize, report: &mut Report<'_>) -> anyhow::Result<()> {
    let (selection, baseline) = (many(answer.selection_total, "span"), many(answer.baseline_total, "span"));
    report.line(&format!("{selection} selected, against {baseline}"))?;
    let mut table = Table::new(&[
        ("score", Align::Right),
        ("selected", Align::Right),
        ("against", Align::Right),
        ("attribute", Align::Left),
        ("value", Align::Left),
    ]);
    for value in answer.values.iter().take(top) {
        table.push([
            format!("{:.3}", value.score),
            count(value.in_selection),
            count(value.in_baseline),
            value.key.clone(),
            value.value.clone(),
        ]);
    }
    report.table(&table)?;
    let mut table = Table::new(&[("quantile", Align::Left), ("selected", Align::Right), ("against", Align::Right)]);
    let nanos = |found: &Option<Exemplar>| found.as_ref().map_or_else(String::new, |f| human_duration(f.value_nano));
    for pair in &answer.quantiles {
        table.push([format!("q{}", pair.quantile), nanos(&pair.selection), nanos(&pair.baseline)]);
    }
    report.line("")?;
    Ok(report.table(&table)?)
}
