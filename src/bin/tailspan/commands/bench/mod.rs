//! `bench`: the user's own spans go into a new store and are asked about; what that took is told.
//!
//! ```text
//! import as `import` does -> what was written, how often -> where bytes and time went -> questions, each many times
//! ```
//!
//! Everything goes through the public API. Nothing is judged but that the counts add up.

mod figures;
mod process;
mod questions;
mod sample;
mod tables;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;
use tailspan::{Stats, Store};

use self::figures::{Asked, Ingest};
use self::process::{CpuSeconds, peak_memory};
use self::questions::questions;
use self::sample::{Dice, Sample};
use super::import::{DurabilityWord, ImportArgs, Totals, progress_bar, pump};
use super::warn_of_damage;
use crate::args::Common;
use crate::input::{self, Format};
use crate::outcome::{Outcome, usage};
use crate::output::{Look, Report};
use crate::sizes::parse_bytes;
use crate::times::parse_duration;

const EXAMPLES: &str = "\
Examples:
  tailspan bench /tmp/trial traces.jsonl.gz spans.otlp
  tailspan bench /tmp/trial spans.otlp --seed=7 --time=2s --json

The store stays for a look at it. Every question is told as a command that can be repeated.";

/// Flags of `bench`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    #[command(flatten)]
    pub common: Common,
    /// Files to read, as for import; - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Format of the files, if it should not be told from their first bytes
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// When spans count as stored
    #[arg(long, value_enum, default_value_t)]
    pub durability: DurabilityWord,
    /// Memory for spans not yet sealed, as in 256MiB
    #[arg(long, value_parser = parse_bytes, default_value = "256MiB", value_name = "BYTES")]
    pub memory: usize,
    /// What parameters of questions are drawn with
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How long each question is asked again
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "500ms")]
    pub time: u64,
}

/// Imports, then asks.
pub fn run(args: &BenchArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let path = &args.common.store;
    refuse_unless_empty(path)?;
    let mut ingest = ingest(args)?;
    let began = Instant::now();
    let store = Store::open_read_only(path)?;
    ingest.opening = began.elapsed();
    let damaged = warn_of_damage(&store);
    let stats = store.stats()?;
    let mut report = Report::new(out, args.common.json, Look::of_stdout());
    match report.json() {
        true => ingest.write_json(&stats, &mut report)?,
        false => tables::print_ingest(&ingest, &stats, args.memory, &mut report)?,
    }
    report.flush()?;
    let (asked, mut problems) = ask(&store, args)?;
    problems.extend(ingest.problem(&stats));
    if report.json() {
        asked.iter().try_for_each(|one| report.row(&one.json()))?;
        report.object(&json!({ "summary": { "questions": asked.len(), "problems": problems } }))?;
    } else {
        tables::print_questions(&asked, path, &mut report)?;
    }
    report.flush()?;
    match problems.first() {
        Some(problem) => Err(anyhow::anyhow!("the figures do not add up: {problem}")),
        None => Ok(Outcome::Done.or_damaged(damaged || ingest.totals.unreadable > 0)),
    }
}

/// The figures are of these spans alone, and no store of anyone's is written to by mistake.
fn refuse_unless_empty(path: &Path) -> anyhow::Result<()> {
    match std::fs::read_dir(path).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(usage(format!("{} is not empty; bench needs a new or empty folder", path.display()))),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(anyhow::Error::new(error).context(format!("cannot read {}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Does what `import` does, and tells what it took.
fn ingest(args: &BenchArgs) -> anyhow::Result<Ingest> {
    let lens = args.files.iter().map(|path| input::check(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let import = ImportArgs {
        common: Common { json: false, ..args.common.clone() },
        files: args.files.clone(),
        format: args.format,
        durability: args.durability,
        memory: args.memory,
    };
    let progress = progress_bar(lens.into_iter().sum());
    let (began, cpu_began) = (Instant::now(), CpuSeconds::so_far());
    let (filled, peak_bytes) = peak_memory(|| fill(&import, &progress));
    let (totals, work, settling) = filled?;
    let elapsed = began.elapsed();
    let cpu = CpuSeconds::so_far().zip(cpu_began).map(|(now, before)| now.since(before));
    progress.finish_and_clear();
    Ok(Ingest { totals, work, elapsed, settling, opening: Duration::ZERO, cpu, peak_bytes })
}

fn fill(import: &ImportArgs, progress: &ProgressBar) -> anyhow::Result<(Totals, tailspan::Work, Duration)> {
    let durability = import.durability.of_store();
    let builder = Store::builder(&import.common.store).durability(durability);
    let store = builder.memory_budget_bytes(import.memory).open()?;
    let mut nowhere = io::sink();
    let totals = pump(&store, import, progress, &mut Report::new(&mut nowhere, false, Look::PLAIN))?;
    progress.set_message("merging");
    let began = Instant::now();
    store.settle()?;
    let settling = began.elapsed();
    let work = store.work();
    store.close()?;
    Ok((totals, work, settling))
}

/// Asks every question. Returns the answers' figures, and what was not as it should be.
fn ask(store: &Store, args: &BenchArgs) -> anyhow::Result<(Vec<Asked>, Vec<String>)> {
    let mut dice = Dice(args.seed);
    let sample = Sample::draw(&store.snapshot(), &mut dice)?;
    let questions = questions(&sample, &mut dice);
    let progress = progress_bar(Some(questions.len() as u64));
    let (mut asked, mut problems) = (Vec::new(), Vec::new());
    for question in questions {
        progress.set_message(question.name);
        let answered = question.ask(store, &args.common.store, Duration::from_nanos(args.time))?;
        if answered.unexpected > 0 {
            problems.push(format!("{}: {} answers are not as expected", question.name, answered.unexpected));
        }
        asked.push(Asked { question, answered });
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok((asked, problems))
}

impl Ingest {
    /// Why the store cannot hold what was imported, if so.
    fn problem(&self, stats: &Stats) -> Option<String> {
        let accepted = self.totals.accepted;
        (stats.spans != accepted).then(|| format!("{accepted} spans were accepted, the store holds {}", stats.spans))
    }
}
