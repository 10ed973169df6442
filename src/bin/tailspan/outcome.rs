//! How a command ends: the five exit codes, and errors in at most two lines.
//!
//! A command returns an [`Outcome`] or an `anyhow::Error`; [`code_of`] says which code an error stands
//! for and [`message_of`] what a person reads. A pipe closed by its reader (`tailspan export … | head`)
//! is no error: the command ends quietly.

use std::fmt;
use std::io;

use tailspan::ErrorKind;

/// How a command ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, also when nothing was found.
    Done,
    /// The trace asked for is not in the store.
    NotFound,
    /// Finished, but damage or unreadable input was met.
    Damaged,
}

/// A mistake in the words of the command line.
#[derive(Debug)]
pub struct UsageError(pub String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// An error that is the caller's to fix in the command line.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    UsageError(message.into()).into()
}

impl Outcome {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NotFound => 3,
            Self::Damaged => 4,
        }
    }

    /// The worse of two outcomes of one command.
    pub fn or_damaged(self, damaged: bool) -> Self {
        if damaged { Self::Damaged } else { self }
    }
}

/// The exit code an error stands for.
pub fn code_of(error: &anyhow::Error) -> u8 {
    if is_broken_pipe(error) {
        return 0;
    }
    let usage = error.downcast_ref::<UsageError>().is_some()
        || error.downcast_ref::<clap::Error>().is_some()
        || error.downcast_ref::<tailspan::Error>().is_some_and(|e| e.kind() == ErrorKind::Invalid);
    if usage { 2 } else { 1 }
}

/// True if the reader of standard output went away.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let from_std = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let from_library = error.downcast_ref::<tailspan::Error>().and_then(tailspan::Error::io_kind);
    from_std.or(from_library) == Some(io::ErrorKind::BrokenPipe)
}

/// What is wrong: one line, or two when clap has a usage line to add.
pub fn message_of(error: &anyhow::Error) -> String {
    match error.downcast_ref::<clap::Error>() {
        Some(clap) => clap_message(clap),
        None => one_line(&format!("{error:#}")),
    }
}

/// Clap explains in paragraphs; the first one, its tip and the usage line are what helps.
fn clap_message(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let tip = text.lines().map(str::trim).find(|line| line.starts_with("tip: a similar"));
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "));
    let mut message = one_line(first.strip_prefix("error: ").unwrap_or(first));
    if let Some(tip) = tip {
        message.push_str(&format!(" ({tip})"));
    }
    match usage {
        Some(usage) => format!("{message}\nusage: {usage} (--help tells more)"),
        None => message,
    }
}

/// The text with every run of white space and control characters as one blank.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_an_error_chooses_the_exit_code() {
        assert_eq!(code_of(&usage("no such unit")), 2);
        assert_eq!(code_of(&tailspan::Error::new(ErrorKind::Locked, "held by 17").into()), 1);
        assert_eq!(code_of(&tailspan::Error::invalid("bad expression").into()), 2);
        assert_eq!(code_of(&io::Error::from(io::ErrorKind::BrokenPipe).into()), 0);
        assert_eq!(code_of(&anyhow::anyhow!("anything else").context("with context")), 1);
    }

    #[test]
    fn a_message_keeps_to_one_line_whatever_it_quotes() {
        assert_eq!(message_of(&usage("bad\n\nvalue \u{1b}[31m")), "bad value [31m");
    }
}
