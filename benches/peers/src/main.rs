//! tailspan beside other stores: the same spans, the same questions, answers that must agree.
//!
//! ```text
//! spans --a process for each store--> its directory       processor time, anonymous memory, bytes
//! questions --round robin over all stores-->              processor time of each answer, medians
//!           --first answers compared-->                   exit 1 where a store differs from tailspan
//! ```

mod compare;
mod measure;
mod messages;
mod questions;
mod report;
mod row;
mod stores;
mod workload;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde::{Deserialize, Serialize};

use crate::compare::compare;
use crate::measure::{MemoryWatch, bytes_below, cpu_seconds, wait_until_idle};
use crate::questions::Facts;
use crate::report::{Report, StoreFigures};
use crate::stores::KINDS;

/// Puts the same spans and questions to tailspan and to other stores, and compares time, memory, bytes and answers.
#[derive(Parser)]
struct Arguments {
    /// How many spans to make, if no file is given.
    #[arg(long, default_value_t = 200_000)]
    spans: u64,
    /// A file of OTLP protobuf: length-delimited messages, or one.
    #[arg(long)]
    otlp: Option<PathBuf>,
    /// How often each question is put to each store, after once that is not counted.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only these stores, by name, with commas between; tailspan is always among them.
    #[arg(long, value_delimiter = ',')]
    stores: Vec<String>,
    /// Where the stores are put, in a directory of their own that is removed at the end.
    #[arg(long)]
    scratch: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Import the file into a store of this kind in the directory, and tell what it cost.
    #[arg(long, hide = true, requires_all = ["otlp", "into"])]
    ingest: Option<String>,
    #[arg(long, hide = true)]
    into: Option<PathBuf>,
}

/// What an import cost.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Ingested {
    cpu_seconds: f64,
    anonymous_bytes: Option<u64>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let (Some(name), Some(file), Some(into)) = (&arguments.ingest, &arguments.otlp, &arguments.into) {
        println!("{}", serde_json::to_string(&ingest(name, file, into)?)?);
        return Ok(ExitCode::SUCCESS);
    }
    let report = run(&arguments)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", report.as_table());
    }
    Ok(if report.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run(arguments: &Arguments) -> Result<Report> {
    let scratch = match &arguments.scratch {
        Some(parent) => tempfile::tempdir_in(parent)?,
        None => tempfile::tempdir()?,
    };
    let file = match &arguments.otlp {
        Some(file) => file.clone(),
        None => {
            let file = scratch.path().join("spans.otlp");
            messages::write_messages(&file, workload::messages(arguments.spans))?;
            file
        }
    };
    let facts = facts_of(&file)?;
    let spans = facts.spans;
    let questions = facts.questions()?;
    for name in &arguments.stores {
        stores::kind(name)?;
    }
    let (mut figures, mut readers) = (Vec::new(), Vec::new());
    let wanted = |name: &str| arguments.stores.is_empty() || arguments.stores.iter().any(|store| store == name);
    for kind in KINDS.iter().filter(|kind| kind.name == "tailspan" || wanted(kind.name)) {
        let directory = scratch.path().join(kind.name);
        std::fs::create_dir(&directory)?;
        eprintln!("{}: {spans} spans", kind.name);
        let ingested = ingest_apart(kind.name, &file, &directory)?;
        figures.push(StoreFigures::new(kind.name, spans, &ingested, bytes_below(&directory)?));
        let reader = (kind.open)(&directory).with_context(|| format!("cannot open the store of {}", kind.name))?;
        wait_until_idle().with_context(|| format!("the store of {}", kind.name))?;
        readers.push((kind.name, reader));
    }
    let (questions, differences) = compare(&readers, &questions, arguments.rounds)?;
    Ok(Report { spans, stores: figures, questions, differences })
}

/// What the questions are drawn from.
fn facts_of(file: &Path) -> Result<Facts> {
    let (mut facts, mut resources) = (Facts::default(), row::Resources::default());
    messages::for_each_message(file, |message| {
        row::rows_of(message, &mut resources)?.iter().for_each(|row| facts.add(row));
        Ok(())
    })?;
    Ok(facts)
}

/// Imports in a process of its own, so that its processor time and memory are this store's alone.
fn ingest_apart(name: &str, file: &Path, directory: &Path) -> Result<Ingested> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--ingest").arg(name).arg("--otlp").arg(file).arg("--into").arg(directory);
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the import into {name} failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn ingest(name: &str, file: &Path, directory: &Path) -> Result<Ingested> {
    let watch = MemoryWatch::start();
    let mut store = (stores::kind(name)?.create)(directory)?;
    messages::for_each_message(file, |message| store.append(message))?;
    store.finish()?;
    Ok(Ingested { cpu_seconds: cpu_seconds(), anonymous_bytes: watch.finish() })
}
