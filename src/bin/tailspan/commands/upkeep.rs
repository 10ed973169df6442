//! `seal`, `merge`, `verify` and `repair`: keeping a store in order.

use clap::Args;
use serde_json::json;
use tailspan::{Damage, Store, TraceId};

use super::delete::{trace_id, verify_erased};
use crate::args::Common;
use crate::outcome::Outcome;
use crate::output::{Align, Report, Table, bytes, count, many};

/// Flags of `seal`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tailspan seal my-store")]
pub struct SealArgs {
    #[command(flatten)]
    pub common: Common,
}

/// Flags of `merge`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  tailspan merge my-store           # after a delete: its bytes are gone then
  tailspan merge my-store --all     # as few segments as possible")]
pub struct MergeArgs {
    #[command(flatten)]
    pub common: Common,
    /// Merge everything, not only what is small or holds deleted spans
    #[arg(long)]
    pub all: bool,
}

/// Flags of `verify`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  tailspan verify my-store --json                     # exit code 4 when damage was found
  tailspan verify my-store --erased=4bf92f3577b34da6  # exit code 1 when a file still holds rows of it")]
pub struct VerifyArgs {
    #[command(flatten)]
    pub common: Common,
    /// Prove instead that no file holds a row of this trace, live or left over
    #[arg(long, value_name = "ID", value_parser = trace_id)]
    pub erased: Option<TraceId>,
}

/// Flags of `repair`.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  tailspan repair my-store     # nothing is destroyed: what is damaged goes to my-store/quarantine")]
pub struct RepairArgs {
    #[command(flatten)]
    pub common: Common,
}

/// Turns everything in the log into segments, holding nothing back.
pub fn seal(store: &Store, _args: &SealArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let sealed = store.seal()?;
    if report.json() {
        report.row(&json!({ "spans": sealed.spans, "segments": sealed.segments, "bytes": sealed.bytes }))?;
    } else if sealed.spans == 0 {
        report.line("nothing to seal")?;
    } else {
        report.line(&format!(
            "sealed {} into {} of {}",
            many(sealed.spans, "span"),
            many(sealed.segments, "segment"),
            bytes(sealed.bytes),
        ))?;
    }
    Ok(Outcome::Done)
}

/// Erases deleted spans and unites segments; the log is sealed first.
pub fn merge(store: &Store, args: &MergeArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let merged = if args.all { store.merge_all()? } else { store.merge()? };
    let gone = merged.rows_read - merged.rows_written;
    if report.json() {
        report.row(&json!({
            "segmentsMerged": merged.segments_merged, "segmentsWritten": merged.segments_written,
            "rowsRead": merged.rows_read, "rowsWritten": merged.rows_written, "rowsErased": gone,
            "bytesWritten": merged.bytes_written, "seconds": merged.elapsed.as_secs_f64(),
        }))?;
    } else if merged.segments_merged == 0 {
        report.line("nothing to merge")?;
    } else {
        report.line(&format!(
            "merged {} of {} into {} of {} and {}; {} erased",
            many(merged.segments_merged, "segment"),
            many(merged.rows_read, "row"),
            many(merged.segments_written, "segment"),
            many(merged.rows_written, "row"),
            bytes(merged.bytes_written),
            many(gone, "row"),
        ))?;
    }
    Ok(Outcome::Done)
}

/// Reads every byte and lists each damaged unit.
pub fn verify(store: &Store, args: &VerifyArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    if let Some(id) = args.erased {
        return verify_erased(store, id, report);
    }
    let found = store.verify()?;
    list_damage(&found.damaged, report)?;
    let damaged = found.damaged.len() as u64;
    if report.json() {
        report.object(&json!({ "summary": {
            "damaged": damaged, "filesChecked": found.files_checked, "bytesChecked": found.bytes_checked,
        } }))?;
    } else {
        let checked = format!("{}, {} read", many(found.files_checked, "file"), bytes(found.bytes_checked));
        let verdict = if damaged == 0 { "no damage".to_owned() } else { many(damaged, "damaged unit") };
        report.line(&format!("{checked}: {verdict}"))?;
    }
    Ok(Outcome::Done.or_damaged(damaged > 0))
}

/// Moves damaged bytes to quarantine and lists each damaged unit.
pub fn repair(store: &Store, _args: &RepairArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    let found = store.repair()?;
    list_damage(&found.damaged, report)?;
    let damaged = found.damaged.len() as u64;
    if report.json() {
        report.object(&json!({ "summary": {
            "damaged": damaged, "filesChecked": found.files_checked, "bytesChecked": found.bytes_checked,
            "quarantined": found.quarantined, "segmentsRewritten": found.segments_rewritten,
            "segmentsRemoved": found.segments_removed, "segmentsLeft": found.segments_left,
        } }))?;
    } else if damaged == 0 {
        report.line("no damage")?;
    } else {
        report.line(&format!(
            "{}: {} written anew, {} taken out, {} left as far as it can be read",
            many(damaged, "damaged unit"),
            many(found.segments_rewritten, "segment"),
            count(found.segments_removed),
            count(found.segments_left),
        ))?;
        found.quarantined.iter().try_for_each(|path| report.line(&format!("  kept as {path}")))?;
    }
    Ok(Outcome::Done.or_damaged(damaged > 0))
}

/// One line a damaged unit.
fn list_damage(damaged: &[Damage], report: &mut Report<'_>) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        ("file", Align::Left),
        ("offset", Align::Right),
        ("kind", Align::Left),
        ("rows", Align::Right),
        ("problem", Align::Left),
    ]);
    for unit in damaged {
        if report.json() {
            report.row(&json!({
                "file": unit.file, "offset": unit.offset, "kind": unit.kind,
                "problem": unit.problem, "rowsAffected": unit.rows_affected,
            }))?;
        } else {
            let (offset, rows) = (count(unit.offset), count(unit.rows_affected));
            table.push([unit.file.clone(), offset, unit.kind.clone(), rows, unit.problem.clone()]);
        }
    }
    if report.json() { Ok(()) } else { Ok(report.table(&table)?) }
}
