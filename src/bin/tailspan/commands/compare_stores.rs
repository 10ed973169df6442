//! `compare-stores`: which spans only one of two stores has.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use serde_json::json;
use tailspan::{Store, compare_stores};

use super::{warn, warn_of_damage};
use crate::outcome::Outcome;
use crate::output::{Look, Report, many};

/// Flags of `compare-stores`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tailspan compare-stores my-store my-backup      # exit code 1 when they differ")]
pub struct CompareStoresArgs {
    /// Folder of one store
    pub a: PathBuf,
    /// Folder of the other
    pub b: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Compares the stores span by span.
///
/// # Errors
/// Also if they differ, after saying by how much.
pub fn run(args: &CompareStoresArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let (a, b) = (Store::open_read_only(&args.a)?, Store::open_read_only(&args.b)?);
    let damaged = [warn_of_damage(&a), warn_of_damage(&b)];
    let found = compare_stores(&a.snapshot(), &b.snapshot())?;
    let mut report = Report::new(out, args.json, Look::PLAIN);
    let examples: Vec<String> = found.examples.iter().map(ToString::to_string).collect();
    if report.json() {
        let (only_in_a, only_in_b) = (found.only_in_a, found.only_in_b);
        report.row(&json!({ "onlyInA": only_in_a, "onlyInB": only_in_b, "exampleTraceIds": examples, "problems": found.problems }))?;
    } else {
        report.line(&format!("{} only in {}", many(found.only_in_a, "span"), args.a.display()))?;
        report.line(&format!("{} only in {}", many(found.only_in_b, "span"), args.b.display()))?;
        examples.iter().try_for_each(|id| report.line(&format!("  trace {id} differs")))?;
    }
    report.flush()?;
    found.problems.iter().for_each(|problem| warn(format_args!("not compared: {problem}")));
    if !found.is_empty() {
        bail!("the stores differ");
    }
    Ok(Outcome::Done.or_damaged(damaged.contains(&true) || !found.problems.is_empty()))
}
