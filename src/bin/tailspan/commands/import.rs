//! `import`: files into a store, as fast as the disk syncs.
//!
//! ```text
//! reader thread           appender thread               this thread
//! decompress, split   ->  append, several messages  ->  wait until the group is durable,
//!                         a group                       then acknowledge it
//! ```
//!
//! While a group is being synced the next ones are read and appended, so none of the three waits for the
//! others. An acknowledgement counts spans in the order of the input: the first N are durable as the
//! chosen mode promises, with duplicates and rejected ones counted. A message that cannot be read is
//! reported with its place, and everything else is kept.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SendError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use tailspan::{AppendOptions, Appended, Durability, ErrorKind, Input, RejectReason, Sequence, Store};

use super::{warn, warn_of_damage};
use crate::args::Common;
use crate::input::{self, Format, Parcel, Piece, Place, Source};
use crate::outcome::Outcome;
use crate::output::{Look, Report, count};
use crate::sizes::parse_bytes;

/// Parcels read ahead of the appender. Each is about 1 MiB, or one message if that is longer.
const PARCELS_AHEAD: usize = 2;
/// Groups appended ahead of the sync.
const GROUPS_AHEAD: usize = 2;
/// Bytes after which a group is closed though more input is waiting.
const GROUP_BYTES: usize = 8 << 20;
/// Unreadable pieces reported one by one; the rest is counted.
const COMPLAINTS_MAX: u64 = 10;

const EXAMPLES: &str = "\
Examples:
  tailspan import my-store traces.jsonl.gz spans.otlp.zst
  curl -s localhost:9411/api/v2/traces | jq -c '.[]' | tailspan import my-store - --format=zipkin-json
  tailspan import my-store big.otlp --durability=buffered --memory=1GiB --json

The format (OTLP protobuf, OTLP JSON, Zipkin v2 JSON) and gzip or zstd are told from the first bytes.";

/// Flags of `import`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ImportArgs {
    #[command(flatten)]
    pub common: Common,
    /// Files to read; - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Format of the files, if it should not be told from their first bytes
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// When spans count as stored: synced to disk, synced every second, or left to the operating system
    #[arg(long, value_enum, default_value_t)]
    pub durability: DurabilityWord,
    /// Memory for spans not yet sealed, as in 256MiB
    #[arg(long, value_parser = parse_bytes, default_value = "256MiB", value_name = "BYTES")]
    pub memory: usize,
}

/// What an acknowledgement promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DurabilityWord {
    /// Survives a power cut
    #[default]
    Sync,
    /// Survives a power cut but for the last second
    Interval,
    /// Survives the death of the process
    Buffered,
}

impl DurabilityWord {
    /// The store's mode of this name.
    pub fn of_store(self) -> Durability {
        match self {
            Self::Sync => Durability::Sync,
            Self::Interval => Durability::Interval(Duration::from_secs(1)),
            Self::Buffered => Durability::Buffered,
        }
    }
}

/// What the reader hands to the appender.
enum Reading {
    /// Parcels of this file follow.
    File(String),
    Parcel(Parcel),
}

/// Spans appended since the last group, to be acknowledged together.
struct Group {
    sequence: Option<Sequence>,
    totals: Totals,
}

/// What has come in so far.
#[derive(Clone, Default)]
pub(super) struct Totals {
    pub accepted: u64,
    pub duplicates: u64,
    pub rejected: BTreeMap<RejectReason, u64>,
    pub unreadable: u64,
    pub read_bytes: u64,
    /// Time the reader spent on decompressing and splitting, known at the end.
    pub reading: Duration,
}

impl Totals {
    pub fn rejected_count(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Spans of the input these totals account for.
    pub fn seen(&self) -> u64 {
        self.accepted + self.duplicates + self.rejected_count()
    }

    fn add(&mut self, appended: &Appended) {
        self.accepted += appended.accepted;
        self.duplicates += appended.duplicates;
        for (reason, count) in &appended.rejected {
            *self.rejected.entry(*reason).or_default() += count;
        }
    }
}

/// Opens the store, creating it if need be, and imports every file.
pub fn run(args: &ImportArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let begun = Instant::now();
    // Every file is tried before the store is made: a misspelt name leaves no empty store behind.
    let lens = args.files.iter().map(|path| input::check(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let durability = args.durability.of_store();
    let store = Store::builder(&args.common.store).durability(durability).memory_budget_bytes(args.memory).open()?;
    let damaged = warn_of_damage(&store);
    let mut report = Report::new(out, args.common.json, Look::of_stdout());
    let progress = progress_bar(lens.into_iter().sum());
    let totals = pump(&store, args, &progress, &mut report)?;
    progress.set_message("merging");
    if let Err(error) = store.settle() {
        // Every span is stored, if in more segments than need be.
        eprintln!("warning: segments stay unmerged: {error}");
    }
    store.close()?;
    progress.finish_and_clear();
    print_totals(&totals, begun.elapsed(), &mut report)?;
    report.flush()?;
    Ok(Outcome::Done.or_damaged(damaged || totals.unreadable > 0))
}

/// Runs the three stages until the input ends or one of them fails.
pub(super) fn pump(
    store: &Store,
    args: &ImportArgs,
    progress: &ProgressBar,
    report: &mut Report<'_>,
) -> anyhow::Result<Totals> {
    let (readings_in, readings) = sync_channel(PARCELS_AHEAD);
    let (groups_in, groups) = sync_channel(GROUPS_AHEAD);
    let durability = args.durability.of_store();
    thread::scope(|scope| {
        let reader = scope.spawn(move || read_all(&args.files, args.format, readings_in));
        let appender = scope.spawn(move || append_all(store, durability, &readings, &groups_in));
        // Returning early drops `groups`; the other stages then fail to send and end too.
        let acknowledged = acknowledge_all(store, durability, groups, progress, report);
        let appended = appender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        acknowledged?;
        let reading = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(Totals { reading, ..appended? })
    })
}

/// The reader: it ends early only if the appender did. Returns how long it worked, waiting for the appender left out.
fn read_all(files: &[PathBuf], format: Option<Format>, readings: SyncSender<Reading>) -> Duration {
    let began = Instant::now();
    let mut feed = Feed { readings, waited: Duration::ZERO };
    for path in files {
        let name = if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
        let mut sent = feed.send(Reading::File(name));
        if sent.is_ok() {
            sent = read_one(path, format, &mut feed);
        }
        if sent.is_err() {
            break;
        }
    }
    began.elapsed().saturating_sub(feed.waited)
}

/// The way to the appender.
struct Feed {
    readings: SyncSender<Reading>,
    /// How long the appender was busy with what it had.
    waited: Duration,
}

impl Feed {
    fn send(&mut self, reading: Reading) -> Result<(), SendError<Reading>> {
        let began = Instant::now();
        let sent = self.readings.send(reading);
        self.waited += began.elapsed();
        sent
    }
}

fn read_one(path: &Path, format: Option<Format>, feed: &mut Feed) -> Result<(), SendError<Reading>> {
    match Source::open(path) {
        Ok(source) => input::read(source, format, |parcel| feed.send(Reading::Parcel(parcel))),
        Err(error) => {
            let mut parcel = Parcel::default();
            parcel.bad(Place::Byte(0), format!("cannot read the file: {error}"));
            feed.send(Reading::Parcel(parcel))
        }
    }
}

/// The appender: returns what came in, or the first error of the store.
fn append_all(
    store: &Store,
    durability: Durability,
    readings: &Receiver<Reading>,
    groups: &SyncSender<Group>,
) -> anyhow::Result<Totals> {
    let mut appender = Appender { store, durability, file: String::new(), totals: Totals::default(), sequence: None };
    let mut group_bytes = 0;
    loop {
        // Nobody should wait for an acknowledgement because the input pauses.
        let reading = match readings.try_recv() {
            Err(TryRecvError::Empty) if group_bytes > 0 => None,
            Err(TryRecvError::Empty) => match readings.recv() {
                Ok(reading) => Some(reading),
                Err(_) => break,
            },
            Err(TryRecvError::Disconnected) => break,
            Ok(reading) => Some(reading),
        };
        let at_pause = reading.is_none();
        match reading {
            Some(Reading::File(name)) => appender.file = name,
            Some(Reading::Parcel(parcel)) => {
                group_bytes += parcel.bytes.len();
                appender.append(&parcel)?;
            }
            None => {}
        }
        if at_pause || group_bytes >= GROUP_BYTES {
            group_bytes = 0;
            if groups.send(appender.group()).is_err() {
                return Ok(appender.totals);
            }
        }
    }
    // If this cannot be sent the acknowledging stage failed, and its error is the one that counts.
    let _ = groups.send(appender.group());
    Ok(appender.totals)
}

struct Appender<'s> {
    store: &'s Store,
    durability: Durability,
    file: String,
    totals: Totals,
    sequence: Option<Sequence>,
}

impl Appender<'_> {
    fn append(&mut self, parcel: &Parcel) -> anyhow::Result<()> {
        for piece in &parcel.pieces {
            match piece {
                Piece::Message(format, range, place) => {
                    let message = parcel.bytes.get(range.clone()).unwrap_or_default();
                    match self.append_message(*format, message) {
                        Ok(appended) => {
                            self.totals.add(&appended);
                            self.sequence = Some(appended.sequence);
                        }
                        Err(error) if error.kind() == ErrorKind::Invalid => self.complain(*place, &error),
                        Err(error) => return Err(error.into()),
                    }
                }
                Piece::Bad(place, problem) => self.complain(*place, problem),
            }
        }
        self.totals.read_bytes += parcel.read_bytes;
        Ok(())
    }

    /// Appends without waiting for the disk; the group is waited for as a whole.
    fn append_message(&self, format: Format, message: &[u8]) -> tailspan::Result<Appended> {
        let durability = match self.durability {
            Durability::Sync => Durability::Buffered,
            other => other,
        };
        let input = match format {
            Format::Otlp => Input::Otlp(message),
            Format::OtlpJson => Input::OtlpJson(message),
            Format::ZipkinJson => Input::ZipkinJson(message),
        };
        self.store.append_with(input, AppendOptions { durability: Some(durability), ..AppendOptions::default() })
    }

    fn complain(&mut self, place: Place, problem: impl std::fmt::Display) {
        self.totals.unreadable += 1;
        match self.totals.unreadable {
            ..=COMPLAINTS_MAX => warn(format_args!("{}, {place}: {problem}", self.file)),
            n if n == COMPLAINTS_MAX + 1 => warn("more could not be read; the total follows"),
            _ => {}
        }
    }

    fn group(&mut self) -> Group {
        Group { sequence: self.sequence.take(), totals: self.totals.clone() }
    }
}

/// The acknowledging stage.
fn acknowledge_all(
    store: &Store,
    durability: Durability,
    groups: Receiver<Group>,
    progress: &ProgressBar,
    report: &mut Report<'_>,
) -> anyhow::Result<()> {
    for group in groups {
        if let Some(sequence) = group.sequence {
            if durability == Durability::Sync {
                store.wait_durable(sequence)?;
            }
            if report.json() {
                report.object(&json!({ "acknowledgedSpans": group.totals.seen() }))?;
                report.flush()?;
            }
        }
        progress.set_position(group.totals.read_bytes);
        progress.set_message(format!("{} spans", count(group.totals.seen())));
    }
    Ok(())
}

/// A bar on a terminal, nothing elsewhere; without a length (standard input) only the count moves.
pub(super) fn progress_bar(total: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let template = match total {
        Some(_) => "{wide_bar} {percent:>3} %  {msg}  {elapsed}, {eta} left",
        None => "{spinner} {msg}  {elapsed}",
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn print_totals(totals: &Totals, elapsed: Duration, report: &mut Report<'_>) -> anyhow::Result<()> {
    let seconds = elapsed.as_secs_f64();
    let rate = totals.seen() as f64 / seconds.max(1e-9);
    if report.json() {
        let rejected: Vec<Value> = totals.rejected.iter().map(rejected_row).collect();
        return Ok(report.row(&json!({
            "spans": totals.accepted,
            "duplicates": totals.duplicates,
            "rejected": rejected,
            "unreadable": totals.unreadable,
            "seconds": seconds,
            "spansPerSecond": rate,
        }))?);
    }
    report.line(&format!("{} spans in {seconds:.2} s, {} a second", count(totals.accepted), count(rate as u64)))?;
    let notes = [
        (totals.duplicates, "duplicates, kept once"),
        (totals.unreadable, "lines or messages could not be read; all else was kept"),
    ];
    for (number, what) in notes.iter().filter(|(number, _)| *number > 0) {
        report.line(&format!("{} {what}", count(*number)))?;
    }
    for (reason, number) in &totals.rejected {
        report.line(&format!("{} spans rejected: {reason}", count(*number)))?;
    }
    Ok(())
}

fn rejected_row((reason, count): (&RejectReason, &u64)) -> Value {
    json!({ "reason": reason.as_str(), "count": count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_counts_duplicates_and_rejected_spans() {
        let mut totals = Totals { accepted: 5, duplicates: 2, ..Totals::default() };
        totals.rejected.insert(RejectReason::SpanIdZero, 3);
        assert_eq!(totals.seen(), 10);
    }
}
