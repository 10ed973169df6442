//! One file a command. Each has its flags and a `run(&Store, &Args, &mut Report)`; only `import`, `bench`, `batch`,
//! `tail`, `compare-stores` and `demo` open stores themselves.

pub mod backup;
pub mod batch;
pub mod bench;
pub mod compare;
pub mod compare_stores;
pub mod concurrency;
pub mod critical_path;
pub mod delete;
pub mod demo;
pub mod explain;
pub mod export;
pub mod fanout;
mod figure_line;
mod figures;
pub mod find;
pub mod heatmap;
pub mod import;
pub mod latency;
pub mod links;
pub mod lists;
pub mod pairs;
pub mod retain;
pub mod root_cause;
pub mod series;
pub mod slowest;
pub mod stats;
pub mod tail;
pub mod trace;
pub mod upkeep;
pub mod wait;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use tailspan::Store;

use crate::args::StoreCommand;
use crate::outcome::Outcome;
pub use crate::output::warn;
use crate::output::{Look, Report};

/// Losses reported one by one; the rest is counted.
const COMPLAINTS_MAX: usize = 10;

/// Opens the store a command names and runs it there.
pub fn on_store(command: &StoreCommand, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let store = if command.writes() {
        // Sealing by itself as well would only compete with sealing by hand.
        Store::builder(command.store_path()).create(false).seal_automatically(false).open()?
    } else {
        Store::open_read_only(command.store_path())?
    };
    let damaged = warn_of_damage(&store);
    let mut report = Report::new(out, command.common().json, Look::of_stdout());
    let outcome = run_on(&store, command, &mut report)?;
    report.flush()?;
    if command.writes() {
        store.close()?;
    }
    Ok(outcome.or_damaged(damaged))
}

/// Runs a command on an open store.
pub fn run_on(store: &Store, command: &StoreCommand, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    match command {
        StoreCommand::Trace(args) => trace::run(store, args, report),
        StoreCommand::Find(args) => find::run(store, args, report),
        StoreCommand::Latency(args) => latency::run(store, args, report),
        StoreCommand::Links(args) => links::run(store, args, report),
        StoreCommand::Slowest(args) => slowest::run(store, args, report),
        StoreCommand::Wait(args) => wait::run(store, args, report),
        StoreCommand::Pairs(args) => pairs::run(store, args, report),
        StoreCommand::Compare(args) => compare::run(store, args, report),
        StoreCommand::Concurrency(args) => concurrency::run(store, args, report),
        StoreCommand::CriticalPath(args) => critical_path::run(store, args, report),
        StoreCommand::Fanout(args) => fanout::run(store, args, report),
        StoreCommand::RootCause(args) => root_cause::run(store, args, report),
        StoreCommand::Heatmap(args) => heatmap::run(store, args, report),
        StoreCommand::Series(args) => series::run(store, args, report),
        StoreCommand::Services(args) => lists::services(store, args, report),
        StoreCommand::Operations(args) => lists::operations(store, args, report),
        StoreCommand::RemoteServices(args) => lists::remote_services(store, args, report),
        StoreCommand::Attributes(args) => lists::attributes(store, args, report),
        StoreCommand::Stats(args) => stats::run(store, args, report),
        StoreCommand::Export(args) => export::run(store, args, report),
        StoreCommand::Seal(args) => upkeep::seal(store, args, report),
        StoreCommand::Retain(args) => retain::run(store, args, report),
        StoreCommand::Merge(args) => upkeep::merge(store, args, report),
        StoreCommand::Delete(args) => delete::run(store, args, report),
        StoreCommand::Backup(args) => backup::run(store, args, report),
        StoreCommand::Verify(args) => upkeep::verify(store, args, report),
        StoreCommand::Repair(args) => upkeep::repair(store, args, report),
    }
}

/// Says what opening the store found damaged. True if it found anything.
pub fn warn_of_damage(store: &Store) -> bool {
    let damage = &store.recovery().damage;
    for loss in damage.iter().take(COMPLAINTS_MAX) {
        warn(loss);
    }
    if damage.len() > COMPLAINTS_MAX {
        warn(format_args!("{} more; tailspan verify lists all", damage.len() - COMPLAINTS_MAX));
    }
    !damage.is_empty()
}

/// Runs `write` on the file, or on the report's own destination if none is named.
fn with_output<T>(
    output: Option<&Path>,
    report: &mut Report<'_>,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let Some(path) = output else {
        return write(report.out());
    };
    let context = || format!("cannot write {}", path.display());
    let mut file = BufWriter::with_capacity(256 << 10, File::create(path).with_context(context)?);
    let result = write(&mut file)?;
    file.flush().with_context(context)?;
    Ok(result)
}
