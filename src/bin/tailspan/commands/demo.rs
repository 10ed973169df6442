//! `demo`: a tour. An hour of built-in traffic goes into a store, and each kind of question is asked once,
//! with a sentence on why one would.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use serde_json::Value;
use tailspan::{Durability, Store};

use super::{batch, run_on};
use crate::demo_traffic;
use crate::outcome::Outcome;
use crate::output::{Look, Report, count};

/// What the tour calls its store unless it is kept.
const SHOWN_NAME: &str = "demo-store";

/// Flags of `demo`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  tailspan demo\n  tailspan demo --keep=demo-store")]
pub struct DemoArgs {
    /// Put the store into this folder and leave it there; otherwise nothing is left behind
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// A stop of the tour: why one asks, and the words of the question.
type Stop = (&'static str, &'static [&'static str]);

/// Slow payments, which the tour also shows as a waterfall.
const SLOW_PAYMENTS: &[&str] = &[
    "find",
    "--service=payment",
    "--tag=app.payment.channel=slowbank",
    "--min-duration=4s",
    "--order=slowest",
    "--limit=5",
];

const NAMES: [Stop; 4] = [
    ("Who is there? Every service with its spans and errors:", &["services"]),
    ("What does payment do?", &["operations", "--service=payment"]),
    ("And whom does it call, also outside the house?", &["remote-services", "--service=payment"]),
    (
        "By which channels do customers pay? Any attribute can be asked for its values:",
        &["attributes", "app.payment.channel"],
    ),
];

const SEARCHES: [Stop; 4] = [
    (
        "Refusals hide inside answers of status 200, but an attribute gives them away:",
        &["find", "--service=payment", "--tag=app.payment.result=declined", "--limit=5"],
    ),
    (
        "Trips that failed and were undone (a scope of trace lets each filter meet another span):",
        &["find", "--scope=trace", "--name=book trip", "--tag=saga.action=compensate", "--limit=5"],
    ),
    (
        "Pages that asked the database 200 times:",
        &["find", "--service=order-view", "--tag=app.orders.count>=200", "--order=slowest", "--limit=5"],
    ),
    (
        "Who waited for a database connection, in the two minutes the pool was dry?",
        &[
            "find",
            "--name=pool.acquire",
            "--min-duration=1s",
            "--since=2026-01-15T10:45:00Z",
            "--until=2026-01-15T10:47:00Z",
            "--limit=5",
        ],
    ),
];

/// Runs the tour.
pub fn run(args: &DemoArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let begun = Instant::now();
    let folder = Folder::new(args.keep.as_deref())?;
    let store = Store::builder(&folder.path).durability(Durability::Buffered).seal_automatically(false).open()?;
    let mut tour = Tour { folder: &folder, look: Look::of_stdout(), out };
    tour.fill(&store)?;
    tour.stops(&store, &NAMES)?;
    tour.slow_payments(&store)?;
    tour.stops(&store, &SEARCHES)?;
    tour.stop(
        &store,
        "So far everything was answered from the log. Sealing makes columnar, indexed segments of it:",
        &["seal"],
    )?;
    tour.stop(&store, "Where do the bytes go now?", &["stats"])?;
    store.close()?;
    let store = Store::open_read_only(&folder.path)?;
    let words = [SLOW_PAYMENTS, &["--explain"]].concat();
    tour.stop(&store, "Reopened, the store answers as before; --explain shows how little it reads for that:", &words)?;
    tour.farewell(begun)?;
    Ok(Outcome::Done)
}

/// Where the store lies. Removed when the tour ends, however it ends, unless it is to be kept.
struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Folder {
    fn new(keep: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = keep {
            return Ok(Self { path: path.to_owned(), kept: true });
        }
        let path = std::env::temp_dir().join(format!("tailspan-demo-{}", process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(Self { path, kept: false })
    }

    /// What commands of the tour call it.
    fn shown(&self) -> String {
        if self.kept { self.path.display().to_string() } else { SHOWN_NAME.to_owned() }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed is in the folder for temporary files; the system clears that.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

struct Tour<'a> {
    folder: &'a Folder,
    look: Look,
    out: &'a mut dyn Write,
}

impl Tour<'_> {
    /// Puts the traffic into the store.
    fn fill(&mut self, store: &Store) -> anyhow::Result<()> {
        let batches = demo_traffic::batches();
        let begun = Instant::now();
        let (mut accepted, mut duplicates, mut last) = (0, 0, None);
        for batch in &batches {
            let appended = store.append(batch)?;
            accepted += appended.accepted;
            duplicates += appended.duplicates;
            last = Some(appended.sequence);
        }
        if let Some(sequence) = last {
            store.wait_durable(sequence)?;
        }
        let spans = count(accepted);
        let millis = begun.elapsed().as_millis();
        writeln!(self.out, "An hour of a small shop's traffic: {spans} spans, appended and synced in {millis} ms.")?;
        if duplicates > 0 {
            writeln!(self.out, "{} were there already and are kept once.", count(duplicates))?;
        }
        Ok(())
    }

    fn stops(&mut self, store: &Store, stops: &[Stop]) -> anyhow::Result<()> {
        stops.iter().try_for_each(|(why, words)| self.stop(store, why, words))
    }

    /// Prints the sentence, the command and its answer.
    fn stop(&mut self, store: &Store, why: &str, words: &[&str]) -> anyhow::Result<()> {
        let (name, flags) = words.split_first().context("a stop has a command")?;
        let flags: String = flags.iter().map(|flag| format!(" {}", quoted(flag))).collect();
        writeln!(self.out, "\n{why}\n$ tailspan {name} {}{flags}", quoted(&self.folder.shown()))?;
        self.answer(store, words, self.look)
    }

    fn answer(&mut self, store: &Store, words: &[&str], look: Look) -> anyhow::Result<()> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let command = batch::parse(&self.folder.path, &words)?;
        let mut report = Report::new(self.out, command.common().json, look);
        run_on(store, &command, &mut report)?;
        Ok(report.flush()?)
    }

    /// Finds slow payments and shows the slowest as a waterfall.
    fn slow_payments(&mut self, store: &Store) -> anyhow::Result<()> {
        self.stop(store, "Which payments by slowbank took longer than four seconds, the worst first?", SLOW_PAYMENTS)?;
        let mut lines = Vec::new();
        let words = [SLOW_PAYMENTS, &["--json"]].concat();
        Tour { folder: self.folder, look: self.look, out: &mut lines }.answer(store, &words, Look::PLAIN)?;
        let first = lines.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let first: Value = serde_json::from_slice(first)?;
        match first["traceId"].as_str() {
            Some(id) => self.stop(store, "The worst of them, call by call:", &["trace", id]),
            None => Ok(()),
        }
    }

    fn farewell(&mut self, begun: Instant) -> anyhow::Result<()> {
        let seconds = begun.elapsed().as_secs_f64();
        let what_is_left = if self.folder.kept {
            format!("The store is in {}: ask it more, `tailspan find --help` has examples.", self.folder.shown())
        } else {
            "Nothing is left behind; tailspan demo --keep=demo-store keeps the store to play with.".to_owned()
        };
        Ok(writeln!(self.out, "\nThat was {seconds:.1} s. {what_is_left}")?)
    }
}

/// The word as a shell would have to be given it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stop_of_the_tour_is_a_valid_command() {
        for (_, words) in NAMES.iter().chain(&SEARCHES).chain(&[("", SLOW_PAYMENTS)]) {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            batch::parse(Path::new("s"), &words).unwrap();
        }
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("--tag=a=b"), "--tag=a=b");
        assert_eq!(quoted("--name=it's"), r"'--name=it'\''s'");
        assert_eq!(quoted("--tag=a>=2"), "'--tag=a>=2'");
    }
}
