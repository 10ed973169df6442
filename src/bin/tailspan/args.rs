//! The words of the command line.
//!
//! Each command keeps its flags beside its code in `commands/`; here they are put together. A
//! [`StoreCommand`] works on an open store, so that `batch` and `demo` can run it too.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    backup, batch, bench, compare, compare_stores, concurrency, critical_path, delete, demo, export, fanout, find,
    heatmap, import, latency, links, lists, pairs, retain, root_cause, series, slowest, stats, tail, trace, upkeep,
    wait,
};

/// Store distributed-tracing spans in a folder and ask questions about them.
#[derive(Parser, Debug)]
#[command(name = "tailspan", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  tailspan demo --keep=demo-store                     realistic traffic, and a tour of the commands
  tailspan import my-store traces.jsonl.gz            OTLP or Zipkin, plain, gzip or zstd
  tailspan find my-store --service=checkout --error   the newest traces in which checkout failed
  tailspan trace my-store 4bf92f3577b34da6            one trace as a waterfall

Exit codes: 0 done, 1 failed, 2 usage, 3 trace not found, 4 finished but met damage or unreadable input.";

/// Every command.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Put spans from files into a store, which is created if it is not there
    Import(import::ImportArgs),
    /// A command on an existing store.
    #[command(flatten)]
    OnStore(StoreCommand),
    /// Answer many questions with one open store, one JSON array a line from standard input
    Batch(batch::BatchArgs),
    /// Print spans as they come, in the order of appends
    Tail(tail::TailArgs),
    /// Say which spans only one of two stores has
    CompareStores(compare_stores::CompareStoresArgs),
    /// Take spans from SDKs and answer Zipkin's API
    #[cfg(feature = "collector")]
    Serve(Box<crate::serve::ServeArgs>),
    /// Import your own spans into a new store, ask about them, and tell what it all took
    Bench(bench::BenchArgs),
    /// Show what tailspan does: built-in traffic goes into a store and is asked about
    Demo(demo::DemoArgs),
}

/// The commands that work on an open store.
#[derive(Subcommand, Debug)]
pub enum StoreCommand {
    /// Show one trace, as a waterfall or in an exchange format
    Trace(trace::TraceArgs),
    /// Find traces by what their spans are and how long they took
    Find(Box<find::FindArgs>),
    /// Exact percentiles, counts and errors by group, with the spans at each percentile
    Latency(Box<latency::LatencyArgs>),
    /// Which services call which, how often, how many calls fail, and exact percentiles
    Links(links::LinksArgs),
    /// The spans or traces that took longest
    Slowest(Box<slowest::SlowestArgs>),
    /// How many spans took how long, over time
    Heatmap(Box<heatmap::HeatmapArgs>),
    /// Rate, errors and exact percentiles over time
    Series(Box<series::SeriesArgs>),
    /// How long messages wait between producer and consumer
    Wait(Box<wait::WaitArgs>),
    /// What belongs together by a key, across traces: missing, repeated, out of order, at the same time
    Pairs(Box<pairs::PairsArgs>),
    /// What slow or failed spans have in common that others have not
    Compare(Box<compare::CompareArgs>),
    /// How many spans were under way at once, over time
    Concurrency(Box<concurrency::ConcurrencyArgs>),
    /// What traces waited for: the pieces of one, or time by service and operation of many
    CriticalPath(Box<critical_path::CriticalPathArgs>),
    /// Many like calls from one place, parallel or one after another, and retries
    Fanout(Box<fanout::FanoutArgs>),
    /// Errors below which nothing failed
    RootCause(Box<root_cause::RootCauseArgs>),
    /// List the services that recorded spans
    Services(lists::ServicesArgs),
    /// List the operations of one service, or of all
    Operations(lists::OperationsArgs),
    /// List the peers, databases and queues that were called
    RemoteServices(lists::RemoteServicesArgs),
    /// List attribute keys, or the values of one key
    Attributes(lists::AttributesArgs),
    /// Say what the store holds and where its bytes go
    Stats(stats::StatsArgs),
    /// Write every live span once, trace by trace
    Export(export::ExportArgs),
    /// Turn the log into segments now
    Seal(upkeep::SealArgs),
    /// Let spans go that are too old or too many
    Retain(retain::RetainArgs),
    /// Erase deleted spans and unite small segments
    Merge(upkeep::MergeArgs),
    /// Delete traces: everything of them so far
    Delete(delete::DeleteArgs),
    /// Copy the store as it is now, while others write to it
    Backup(backup::BackupArgs),
    /// Read every byte and report what is not as it was written
    Verify(upkeep::VerifyArgs),
    /// Move damaged bytes to the store's quarantine folder
    Repair(upkeep::RepairArgs),
}

/// What every command on a store has.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Folder of the store
    pub store: PathBuf,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

impl StoreCommand {
    /// The folder and the form of the answer.
    pub fn common(&self) -> &Common {
        match self {
            Self::Trace(args) => &args.common,
            Self::Find(args) => &args.common,
            Self::Latency(args) => &args.common,
            Self::Links(args) => &args.common,
            Self::Slowest(args) => &args.common,
            Self::Wait(args) => &args.common,
            Self::Pairs(args) => &args.common,
            Self::Compare(args) => &args.common,
            Self::Heatmap(args) => &args.common,
            Self::Series(args) => &args.common,
            Self::Concurrency(args) => &args.common,
            Self::CriticalPath(args) => &args.common,
            Self::Fanout(args) => &args.common,
            Self::RootCause(args) => &args.common,
            Self::Services(args) => &args.common,
            Self::Operations(args) => &args.common,
            Self::RemoteServices(args) => &args.common,
            Self::Attributes(args) => &args.common,
            Self::Stats(args) => &args.common,
            Self::Export(args) => &args.common,
            Self::Seal(args) => &args.common,
            Self::Retain(args) => &args.common,
            Self::Merge(args) => &args.common,
            Self::Delete(args) => &args.common,
            Self::Backup(args) => &args.common,
            Self::Verify(args) => &args.common,
            Self::Repair(args) => &args.common,
        }
    }

    /// The folder of the store.
    pub fn store_path(&self) -> &Path {
        &self.common().store
    }

    /// True if the command changes the store, which only its one writer may.
    pub fn writes(&self) -> bool {
        matches!(self, Self::Seal(_) | Self::Retain(_) | Self::Merge(_) | Self::Delete(_) | Self::Repair(_))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_free_of_contradictions() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("tailspan {}", command.get_name())), "{}", command.get_name());
        }
    }
}
