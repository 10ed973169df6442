//! `backup`: a copy of the store as it is now.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tailspan::Store;

use crate::args::Common;
use crate::outcome::Outcome;
use crate::output::{Report, bytes, many};

/// Flags of `backup`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tailspan backup my-store /backups/my-store-monday      # others may go on writing")]
pub struct BackupArgs {
    #[command(flatten)]
    pub common: Common,
    /// Folder of the copy: empty, or not there yet
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// Copies the store.
pub fn run(store: &Store, args: &BackupArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let made = store.backup(&args.directory)?;
    if report.json() {
        report.row(&json!({
            "segments": made.segments, "logs": made.logs, "bytes": made.bytes,
            "linked": made.linked, "copied": made.copied,
        }))?;
    } else {
        report.line(&format!(
            "{} and {} of {} in {}: {} linked, {} copied",
            many(made.segments, "segment"),
            many(made.logs, "log"),
            bytes(made.bytes),
            args.directory.display(),
            made.linked,
            made.copied,
        ))?;
    }
    Ok(Outcome::Done)
}
