//! `pairs`: what belongs together by a business key, across traces, and what is wrong with it.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tailspan::{KeyPairs, PairSpan, PairsQuery, PairsShow, SpanSet, Store, TimeRange};

use super::figures::finish;
use crate::args::Common;
use crate::outcome::Outcome;
use crate::output::{Align, Report, Table, count};
use crate::sizes::TraceBound;
use crate::times::{human_duration, human_time, parse_duration, parse_time};

const EXAMPLES: &str = "\
Examples:
  tailspan pairs my-store --key=order.id --a='name = \"charge\"' --b='name = \"ship\"' --show=missing --within=10m
  tailspan pairs my-store --key=account.id --a='{ name = \"write\" }' --b='{ name = \"write\" }' --show=overlap
  tailspan pairs my-store --key=xid --a='{ name = \"try\" } >> { kind = client }' --b='name = \"cancel\"' --show=before";

/// Flags of `pairs`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct PairsArgs {
    #[command(flatten)]
    pub common: Common,
    /// Attribute that tells what belongs together: its first value on the span, else on resource or scope
    #[arg(long, value_name = "KEY")]
    pub key: String,
    /// Spans of side a, as in --where; around a single condition the braces may be left out
    #[arg(long, value_name = "EXPR", value_parser = SpanSet::parse_lenient)]
    pub a: SpanSet,
    /// Spans of side b
    #[arg(long, value_name = "EXPR", value_parser = SpanSet::parse_lenient)]
    pub b: SpanSet,
    /// Which keys
    #[arg(long, value_enum)]
    pub show: ShowWord,
    /// Partners start at most so far apart, as in 30s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub within: Option<u64>,
    /// Only keys of which a span starts at this time or later: RFC 3339, a Unix time, or -1h
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub since: Option<u64>,
    /// Only keys of which a span starts before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub until: Option<u64>,
    /// The first N keys; 0 for all
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub limit: usize,
    /// In the table, a line for every span that takes part in what is shown instead of one a key
    #[arg(long)]
    pub spans: bool,
    #[command(flatten)]
    pub bound: TraceBound,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// Which keys are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShowWord {
    /// One side is empty; with --within also where an a has no b that starts so close to it
    Missing,
    /// More than one a, or more than one b
    Duplicate,
    /// There are an a and a b, however they stand in time
    Both,
    /// A b starts before an a
    Before,
    /// Both are there, no b starts before an a, and none overlap
    After,
    /// An a and a b overlap in time
    Overlap,
}

impl From<ShowWord> for PairsShow {
    fn from(word: ShowWord) -> Self {
        match word {
            ShowWord::Missing => Self::Missing,
            ShowWord::Duplicate => Self::Duplicate,
            ShowWord::Both => Self::Both,
            ShowWord::Before => Self::Before,
            ShowWord::After => Self::After,
            ShowWord::Overlap => Self::Overlap,
        }
    }
}

/// Prints a line a key.
pub fn run(store: &Store, args: &PairsArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let mut query = PairsQuery::new(&args.key, args.a.clone(), args.b.clone(), args.show.into());
    query.within = args.within;
    query = query.window(TimeRange { since: args.since, until: args.until }).limit(args.limit);
    let answer = args.bound.on(store.snapshot()).pairs(&query)?;
    if report.json() {
        for key in &answer.keys {
            report.row(&json!({ "key": key.key, "a": spans(&key.a), "b": spans(&key.b) }))?;
        }
    } else if args.spans {
        print_spans(&args.key, &answer.keys, report)?;
    } else {
        print_table(&args.key, &answer.keys, report)?;
    }
    finish(args.explain.then_some(&answer.explain), answer.reason.as_ref(), report)
}

fn spans(spans: &[PairSpan]) -> Vec<Value> {
    let span = |span: &PairSpan| {
        json!({
            "traceId": span.trace_id.to_string(),
            "spanId": span.span_id.to_string(),
            "startUnixNano": span.start_unix_nano,
            "endUnixNano": span.end_unix_nano,
            "takesPart": span.takes_part,
        })
    };
    spans.iter().map(span).collect()
}

/// The spans of each key that take part, in the order of their starts, and the sides they are on.
fn print_spans(key: &str, keys: &[KeyPairs], report: &mut Report<'_>) -> anyhow::Result<()> {
    let headings = [key, "side", "start (UTC)", "duration", "trace", "span"];
    let align = |heading: &str| if heading == "duration" { Align::Right } else { Align::Left };
    let mut table = Table::with_headings(headings.map(|heading| (heading.to_owned(), align(heading))).to_vec());
    for of_key in keys {
        let of_side = |side: &'static str| move |span: &PairSpan| (*span, side);
        let mut spans: Vec<(PairSpan, &str)> = of_key.a.iter().map(of_side("a")).collect();
        spans.extend(of_key.b.iter().map(of_side("b")));
        spans.sort_unstable();
        // A span on both sides is one line.
        spans.dedup_by(|next, first| {
            let same = next.0 == first.0 && (first.1, next.1) == ("a", "b");
            if same {
                first.1 = "a b";
            }
            same
        });
        for (span, side) in spans.into_iter().filter(|(span, _)| span.takes_part) {
            table.push_row(vec![
                of_key.key.clone(),
                side.to_owned(),
                human_time(span.start_unix_nano),
                human_duration(span.end_unix_nano - span.start_unix_nano),
                span.trace_id.to_string(),
                span.span_id.to_string(),
            ]);
        }
    }
    if table.is_empty() {
        report.line("no key is so")?;
    }
    Ok(report.table(&table)?)
}

fn print_table(key: &str, keys: &[KeyPairs], report: &mut Report<'_>) -> anyhow::Result<()> {
    let left = |heading: &str| (heading.to_owned(), Align::Left);
    let right = |heading: &str| (heading.to_owned(), Align::Right);
    let headings = vec![
        left(key),
        right("a"),
        right("b"),
        left("first a (UTC)"),
        left("first b (UTC)"),
        left("trace of a"),
        left("trace of b"),
    ];
    let mut table = Table::with_headings(headings);
    for of_key in keys {
        let start = |side: &[PairSpan]| side.first().map_or_else(String::new, |span| human_time(span.start_unix_nano));
        let trace = |side: &[PairSpan]| side.first().map_or_else(String::new, |span| span.trace_id.to_string());
        let many = |side: &[PairSpan]| count(side.len() as u64);
        let (a, b) = (&of_key.a, &of_key.b);
        table.push_row(vec![of_key.key.clone(), many(a), many(b), start(a), start(b), trace(a), trace(b)]);
    }
    if table.is_empty() {
        report.line("no key is so")?;
    }
    Ok(report.table(&table)?)
}
