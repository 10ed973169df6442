//! `trace`: one trace, for people or for another tool.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tailspan::{Store, TraceId};

use super::{explain, with_output};
use crate::args::Common;
use crate::formats::write_spans;
use crate::input::Format;
use crate::outcome::{Outcome, usage};
use crate::output::{Look, Report};
use crate::sizes::TraceBound;
use crate::waterfall;

const EXAMPLES: &str = "\
Examples:
  tailspan trace my-store 4bf92f3577b34da6a3ce929d0e0e4736
  tailspan trace my-store 4bf92f3577b34da6 --lenient --width=160
  tailspan trace my-store 4bf92f3577b34da6 --format=otlp-json --output=trace.json";

/// Flags of `trace`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TraceArgs {
    #[command(flatten)]
    pub common: Common,
    /// The trace: 1 to 32 hexadecimal digits
    #[arg(value_name = "ID")]
    pub id: String,
    /// Join traces whose ids agree in their last 16 digits
    #[arg(long)]
    pub lenient: bool,
    /// How to show it; otlp-json with --json, else tree
    #[arg(long, value_enum)]
    pub format: Option<TraceFormat>,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Columns of the waterfall; those of the terminal unless given
    #[arg(long, value_name = "COLUMNS")]
    pub width: Option<usize>,
    #[command(flatten)]
    pub bound: TraceBound,
    /// Say what was read
    #[arg(long)]
    pub explain: bool,
}

/// How a trace is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceFormat {
    /// A waterfall
    Tree,
    /// One OTLP TracesData object
    OtlpJson,
    /// One Zipkin v2 array
    ZipkinJson,
}

/// Prints the trace, or says that it is not there.
pub fn run(store: &Store, args: &TraceArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let id = TraceId::parse(&args.id).map_err(|e| usage(format!("'{}' is no trace id: {e}", args.id)))?;
    let snapshot = args.bound.on(store.snapshot());
    let spans = if args.lenient { snapshot.trace_lenient(id)? } else { snapshot.trace(id)? };
    if spans.is_empty() {
        report.remark(format_args!("trace {id} is not in {}", args.common.store.display()));
        return Ok(Outcome::NotFound);
    }
    let default = if report.json() { TraceFormat::OtlpJson } else { TraceFormat::Tree };
    let look = look(args, report.look);
    with_output(args.output.as_deref(), report, |out| match args.format.unwrap_or(default) {
        TraceFormat::Tree => Ok(waterfall::write(&spans, look, out)?),
        TraceFormat::OtlpJson => write_spans(Format::OtlpJson, &spans, out),
        TraceFormat::ZipkinJson => write_spans(Format::ZipkinJson, &spans, out),
    })?;
    report.count_rows(1);
    if args.explain {
        explain::write_of(&snapshot, report)?;
    }
    Ok(Outcome::Done)
}

/// What the waterfall may use: a file has neither a width nor colours of its own.
fn look(args: &TraceArgs, report: Look) -> Look {
    let look = if args.output.is_some() { Look::PLAIN } else { report };
    Look { columns: args.width.unwrap_or(look.columns), ..look }
}
