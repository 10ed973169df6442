//! `delete`: traces that must go, and whether they are gone from the disk (`verify --erased`).

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use tailspan::{Store, TraceId};

use crate::args::Common;
use crate::outcome::{Outcome, usage};
use crate::output::{Report, many};

const EXAMPLES: &str = "\
Examples:
  tailspan delete my-store 4bf92f3577b34da6a3ce929d0e0e4736
  tailspan delete my-store --ids-from=ids.txt             one id a line
  tailspan find my-store --tag='user.id=42' --limit=0 --json | jq -r '.traceId // empty' | tailspan delete my-store -

Queries find nothing of them any more. `tailspan merge` erases their bytes, `tailspan verify --erased=ID` proves it.";

/// What stands for standard input among ids.
const STDIN: &str = "-";

/// Flags of `delete`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct DeleteArgs {
    #[command(flatten)]
    pub common: Common,
    /// The traces: 1 to 32 hexadecimal digits each; `-` reads them from standard input
    #[arg(value_name = "ID", required_unless_present = "ids_from", value_parser = id_or_stdin)]
    pub ids: Vec<Option<TraceId>>,
    /// Read ids from this file, separated by white space; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub ids_from: Option<PathBuf>,
}

/// An id, or none for `-`.
fn id_or_stdin(word: &str) -> Result<Option<TraceId>, String> {
    if word == STDIN { Ok(None) } else { trace_id(word).map(Some) }
}

/// A trace id as it is typed.
pub fn trace_id(word: &str) -> Result<TraceId, String> {
    TraceId::parse(word).map_err(|error| format!("'{word}' is no trace id: {error}"))
}

/// Deletes everything of the traces so far. Ids of no trace are no error.
pub fn run(store: &Store, args: &DeleteArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let mut ids: Vec<TraceId> = args.ids.iter().flatten().copied().collect();
    if args.ids.contains(&None) {
        ids.extend(ids_of(Path::new(STDIN))?);
    }
    if let Some(path) = &args.ids_from {
        ids.extend(ids_of(path)?);
    }
    let deleted = store.delete(&ids)?;
    let awaiting = store.stats()?.awaiting_erasure;
    if report.json() {
        let (traces, rows) = (deleted.traces, deleted.rows);
        report.row(&json!({ "traces": traces, "rows": rows, "awaitingErasure": awaiting }))?;
    } else {
        let (traces, rows) = (many(deleted.traces, "trace"), many(deleted.rows, "row"));
        report.line(&format!("deleted {traces} of {rows}; {} await erasure by a merge", many(awaiting, "row")))?;
    }
    Ok(Outcome::Done)
}

fn ids_of(path: &Path) -> anyhow::Result<Vec<TraceId>> {
    let context = || format!("cannot read ids from {}", path.display());
    let text = if path.as_os_str() == STDIN {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).with_context(context)?;
        text
    } else {
        fs::read_to_string(path).with_context(context)?
    };
    text.split_whitespace().map(|word| trace_id(word).map_err(usage)).collect()
}

/// Says whether any file holds a row of the trace.
///
/// # Errors
/// Also if one does, after listing it.
pub fn verify_erased(store: &Store, id: TraceId, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let found = store.verify_erased(id)?;
    if report.json() {
        let files: Vec<_> = (found.found.iter())
            .map(|left| json!({ "file": left.file, "rows": left.rows, "problem": left.problem }))
            .collect();
        report.row(&json!({ "traceId": id.to_string(), "erased": found.is_erased(), "found": files }))?;
    } else {
        for left in &found.found {
            let what = left.problem.clone().unwrap_or_else(|| many(left.rows, "row"));
            report.line(&format!("{}: {what}", left.file))?;
        }
        report.line(&format!("{} looked into", many(found.files_checked, "file")))?;
    }
    report.flush()?;
    if !found.is_erased() {
        bail!("trace {id} is not erased: {}; delete it, then merge", many(found.found.len() as u64, "file"));
    }
    Ok(Outcome::Done)
}
