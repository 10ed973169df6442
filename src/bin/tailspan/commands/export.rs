//! `export`: every live span once, trace by trace, in constant memory.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use tailspan::{ErrorKind, Span, Store};

use super::{warn, with_output};
use crate::args::Common;
use crate::formats::write_spans;
use crate::input::Format;
use crate::outcome::Outcome;
use crate::output::Report;
use crate::sizes::TraceBound;

/// Spans of one exported document; a longer trace takes several, each short enough to import again.
const DOCUMENT_SPANS_MAX: usize = 10_000;

const EXAMPLES: &str = "\
Examples:
  tailspan export my-store > spans.jsonl
  tailspan export my-store --format=otlp --output=spans.otlp
  tailspan export my-store --format=zipkin-json | zstd > spans.json.zst

otlp-json is one document a line, zipkin-json one array a line, otlp length-delimited messages.";

/// Flags of `export`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ExportArgs {
    #[command(flatten)]
    pub common: Common,
    /// Format to write
    #[arg(long, value_enum, default_value = "otlp-json")]
    pub format: Format,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub bound: TraceBound,
}

/// Writes every trace. One that is damaged or too large is reported and passed over.
pub fn run(store: &Store, args: &ExportArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let mut damaged = false;
    let written = with_output(args.output.as_deref(), report, |out| {
        let mut written = 0;
        for trace in args.bound.on(store.snapshot()).spans() {
            match trace {
                Ok(spans) => {
                    write_trace(args.format, &spans, out)?;
                    written += spans.len() as u64;
                }
                Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::TooLarge) => {
                    damaged = true;
                    warn(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(written)
    })?;
    report.count_rows(written);
    Ok(Outcome::Done.or_damaged(damaged))
}

fn write_trace(format: Format, spans: &[Span], out: &mut dyn Write) -> anyhow::Result<()> {
    for document in spans.chunks(DOCUMENT_SPANS_MAX) {
        write_spans(format, document, out)?;
    }
    Ok(())
}
