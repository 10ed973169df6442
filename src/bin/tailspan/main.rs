//! The command line of tailspan: it parses words, calls the library's public API, and prints.
//!
//! ```text
//! args -> Command -> open the store -> commands/*::run(&Store, &Args, &mut Report) -> Outcome -> exit code
//! ```
//!
//! Results go to standard output, everything else to standard error.

mod args;
mod commands;
mod demo_traffic;
mod filters;
mod formats;
mod input;
mod otlp_out;
mod outcome;
mod output;
#[cfg(feature = "collector")]
mod serve;
mod sizes;
mod text;
mod times;
mod waterfall;
mod words;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Cli, Command};
use commands::{batch, bench, compare_stores, demo, import, on_store, tail};
use outcome::{Outcome, code_of, is_broken_pipe, message_of};

fn main() -> ExitCode {
    let result = Cli::try_parse().map_err(anyhow::Error::from).and_then(|cli| run(cli.command));
    match result {
        Ok(outcome) => outcome.code().into(),
        Err(error) => report(&error),
    }
}

/// Runs a command with standard output as its destination.
fn run(command: Command) -> anyhow::Result<Outcome> {
    let mut out = BufWriter::with_capacity(256 << 10, io::stdout().lock());
    let outcome = match command {
        Command::Import(args) => import::run(&args, &mut out)?,
        Command::OnStore(command) => on_store(&command, &mut out)?,
        Command::Batch(args) => batch::run(&args, &mut out)?,
        Command::Bench(args) => bench::run(&args, &mut out)?,
        Command::Demo(args) => demo::run(&args, &mut out)?,
        Command::Tail(args) => tail::run(&args, &mut out)?,
        Command::CompareStores(args) => compare_stores::run(&args, &mut out)?,
        #[cfg(feature = "collector")]
        Command::Serve(_) => {
            let args = serve::settle(std::env::args_os().collect(), |name| std::env::var(name).ok())?;
            serve::run(&args, &mut out)?
        }
    };
    out.flush()?;
    Ok(outcome)
}

/// Says on standard error what went wrong, in at most two lines, and returns the exit code.
fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(clap) = error.downcast_ref::<clap::Error>() {
        match clap.kind() {
            // Asked for: it goes to standard output and is a success.
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => clap.exit(),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                let hint = "which command? Try `tailspan demo`, or `tailspan --help` for all of them";
                return complain(hint, 2);
            }
            _ => {}
        }
    }
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    complain(&message_of(error), code_of(error))
}

fn complain(message: &str, code: u8) -> ExitCode {
    // If standard error is gone too there is nobody left to tell.
    let _ = writeln!(io::stderr(), "error: {message}");
    code.into()
}
