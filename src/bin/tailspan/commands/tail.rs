//! `tail`: spans as they come, until someone ends it.
//!
//! One span a line as an OTLP JSON document, and after every batch a line that says where the tail stands.
//! Whoever keeps the last cursor line it has dealt with can go on from there, and misses and repeats nothing.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;
use signal_hook::consts::TERM_SIGNALS;
use tailspan::{ErrorKind, Store, TailCursor, TailedSpan};

use super::{COMPLAINTS_MAX, warn, warn_of_damage};
use crate::formats::write_spans;
use crate::input::Format;
use crate::outcome::{Outcome, usage};

/// How long a signal or a closed reader may go unnoticed.
const NOTICE_EVERY: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Examples:
  tailspan tail my-store                                  everything, then what comes
  tailspan tail my-store --from=now                       only what comes
  tailspan tail my-store --from=t1-9f3c0a5be1d27784-1f40  go on where another tail stood
  tailspan tail my-store --no-follow > spans.jsonl        everything there is";

/// Flags of `tail`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TailArgs {
    /// Folder of the store
    pub store: PathBuf,
    /// Where to begin: a cursor that was printed, `oldest` or `now`
    #[arg(long, value_name = "CURSOR", default_value = "oldest")]
    pub from: String,
    /// Stop when everything was printed
    #[arg(long)]
    pub no_follow: bool,
    /// Stop after so many spans
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// JSON lines are the only form; accepted as elsewhere
    #[arg(long)]
    pub json: bool,
}

/// Prints spans and cursors until the end, a signal, or until nobody reads.
pub fn run(args: &TailArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let named = match args.from.as_str() {
        "oldest" => Some(TailCursor::OLDEST),
        "now" => None,
        text => Some(text.parse().map_err(|error| usage(format!("--from: {error}")))?),
    };
    let ended = end_on_signals()?;
    let store = Store::open_read_only(&args.store)?;
    let mut damaged = u64::from(warn_of_damage(&store));
    let mut tail = store.tail(named.unwrap_or_else(|| store.newest_cursor()))?;
    let mut printer = Printer { out, left: args.limit.unwrap_or(u64::MAX), told: None };
    while printer.left > 0 && !ended.load(Ordering::Relaxed) {
        let batch = tail.ready_batch().and_then(|batch| {
            if batch.is_empty() && !args.no_follow { tail.wait(NOTICE_EVERY).map(|_| batch) } else { Ok(batch) }
        });
        match batch {
            Ok(batch) if !batch.is_empty() => printer.spans(&batch)?,
            Ok(_) if args.no_follow => {
                printer.cursor(tail.cursor())?;
                break;
            }
            Ok(_) if nobody_reads() => return Ok(Outcome::Done),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                damaged += 1;
                if damaged <= COMPLAINTS_MAX as u64 {
                    warn(error);
                }
            }
            Err(error) => return Err(error.into()),
        }
        if printer.left > 0 {
            printer.cursor(tail.cursor())?;
        }
    }
    Ok(Outcome::Done.or_damaged(damaged > 0))
}

/// Writes spans and cursors.
struct Printer<'a> {
    out: &'a mut dyn Write,
    /// Spans that may still be printed.
    left: u64,
    /// The last cursor printed.
    told: Option<TailCursor>,
}

impl Printer<'_> {
    fn spans(&mut self, batch: &[TailedSpan]) -> anyhow::Result<()> {
        let shown = &batch[..batch.len().min(usize::try_from(self.left).unwrap_or(usize::MAX))];
        for tailed in shown {
            write_spans(Format::OtlpJson, std::slice::from_ref(&tailed.span), self.out)?;
        }
        self.left -= shown.len() as u64;
        shown.last().map_or(Ok(()), |last| self.cursor(last.cursor))
    }

    /// Says where the tail stands, unless that was the last thing said, and sends it on its way.
    fn cursor(&mut self, cursor: TailCursor) -> anyhow::Result<()> {
        if self.told.replace(cursor) != Some(cursor) {
            writeln!(self.out, "{}", json!({ "cursor": cursor.to_string() }))?;
            self.out.flush()?;
        }
        Ok(())
    }
}

/// A flag that the first signal to end sets; the second ends the process at once, should it not get that far.
fn end_on_signals() -> io::Result<Arc<AtomicBool>> {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        signal_hook::flag::register_conditional_default(*signal, ended.clone())?;
        signal_hook::flag::register(*signal, ended.clone())?;
    }
    Ok(ended)
}

/// True if the reader of standard output went away. Without this a tail to which nothing comes would never know.
fn nobody_reads() -> bool {
    let stdout = io::stdout();
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&now)).is_ok_and(|_| polled[0].revents().intersects(PollFlags::ERR | PollFlags::HUP))
}
