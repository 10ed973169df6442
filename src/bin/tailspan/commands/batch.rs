//! `batch`: many questions, one open store.
//!
//! Each line of standard input is a command as a JSON array, without the store:
//! `["find","--service=x","--json"]`. The command's own lines come back, then one line that says it is
//! done, flushed. Nothing is cached between questions: each runs as it would alone.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, CommandFactory, FromArgMatches};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use tailspan::Store;

use super::{run_on, warn_of_damage};
use crate::args::{Cli, Command, StoreCommand};
use crate::outcome::{Outcome, code_of, is_broken_pipe, message_of, usage};
use crate::output::Report;

const EXAMPLE: &str = r#"Example:
  echo '["find","--service=checkout","--json"]' | tailspan batch my-store"#;

/// Flags of `batch`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct BatchArgs {
    /// Folder of the store
    pub store: PathBuf,
}

/// Answers every line of standard input. A question that fails does not end the session.
pub fn run(args: &BatchArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let store = Store::open_read_only(&args.store)?;
    let damaged = warn_of_damage(&store);
    let (mut grammar, mut number) = (grammar(), 0);
    for line in io::stdin().lock().lines() {
        let line = line?;
        if !line.trim().is_empty() {
            number += 1;
            answer(&store, (&args.store, &mut grammar), (&line, number), out)?;
        }
    }
    Ok(Outcome::Done.or_damaged(damaged))
}

/// Runs one line, the `number`-th from 1, and writes its answer.
///
/// # Errors
/// Only if the answer cannot be written.
fn answer(
    store: &Store,
    (path, grammar): (&Path, &mut clap::Command),
    (line, number): (&str, u64),
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let (begun, cpu_begun) = (Instant::now(), cpu_nanos());
    let mut rows = 0;
    let result = run_line(store, (path, grammar), line, out, &mut rows);
    let (exit, error) = match result {
        Ok(outcome) => (outcome.code(), None),
        Err(error) if is_broken_pipe(&error) => return Err(error),
        Err(error) => (code_of(&error), Some(message_of(&error))),
    };
    let mut done = json!({
        "done": number,
        "exit": exit,
        "rows": rows,
        "micros": u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
        "cpuMicros": cpu_nanos().saturating_sub(cpu_begun) / 1_000,
    });
    if let Some(object) = done.as_object_mut() {
        let error = error.or_else(|| (exit != 0).then(|| explanation(exit).to_owned()));
        object.extend(error.map(|error| ("error".to_owned(), json!(error))));
    }
    writeln!(out, "{done}")?;
    Ok(out.flush()?)
}

/// Why an exit code other than 0 came without an error.
fn explanation(exit: u8) -> &'static str {
    match exit {
        3 => "the trace is not in the store",
        4 => "damage or unreadable input was met",
        _ => "the command failed",
    }
}

fn run_line(
    store: &Store,
    (path, grammar): (&Path, &mut clap::Command),
    line: &str,
    out: &mut dyn Write,
    rows: &mut u64,
) -> anyhow::Result<Outcome> {
    let words: Vec<String> = serde_json::from_str(line)
        .map_err(|e| usage(format!("a line is a JSON array of strings, as in [\"services\",\"--json\"]: {e}")))?;
    let command = parse_by(path, &words, grammar)?;
    if command.writes() {
        return Err(usage("a batch only reads; run this command by itself"));
    }
    let mut report = Report::of_many(out, command.common().json);
    let outcome = run_on(store, &command, &mut report);
    *rows = report.rows();
    outcome
}

/// The commands and flags there are, to be made once: that takes longer than a short question.
fn grammar() -> clap::Command {
    let mut grammar = Cli::command();
    grammar.build();
    grammar
}

/// The command of these words, on the store at `path`.
pub fn parse(path: &Path, words: &[String]) -> anyhow::Result<StoreCommand> {
    parse_by(path, words, &mut grammar())
}

fn parse_by(path: &Path, words: &[String], grammar: &mut clap::Command) -> anyhow::Result<StoreCommand> {
    let Some((name, rest)) = words.split_first() else {
        return Err(usage("an empty array names no command"));
    };
    let start = [Path::new("tailspan").as_os_str(), name.as_ref(), path.as_os_str()];
    let words = start.into_iter().chain(rest.iter().map(AsRef::as_ref));
    let mut matches = grammar.try_get_matches_from_mut(words)?;
    match Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(grammar))?.command {
        Command::OnStore(command) => Ok(command),
        _ => Err(usage(format!("{name} is not a question; run it by itself"))),
    }
}

/// Processor time of all threads of this process so far.
pub(super) fn cpu_nanos() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    u64::try_from(nanos).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_line_names_no_store() {
        let command = parse(Path::new("/s"), &words(&["trace", "abc", "--lenient"])).unwrap();
        assert_eq!(command.store_path(), Path::new("/s"));
        assert!(matches!(command, StoreCommand::Trace(args) if args.lenient));
    }

    #[test]
    fn what_is_no_question_is_a_usage_error() {
        for line in [vec![], words(&["batch"]), words(&["demo"]), words(&["find", "--frobnicate"])] {
            assert_eq!(code_of(&parse(Path::new("/s"), &line).unwrap_err()), 2, "{line:?}");
        }
    }

    #[test]
    fn processor_time_only_grows() {
        let before = cpu_nanos();
        assert!(cpu_nanos() >= before && before > 0);
    }
}
