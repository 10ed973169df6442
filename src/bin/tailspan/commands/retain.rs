//! `retain`: letting go what is too old or too much.

use std::time::Duration;

use clap::{Args, Parser};
use serde_json::json;
use tailspan::{Query, Retention, Store};

use super::warn;
use crate::args::Common;
use crate::filters::Filters;
use crate::outcome::Outcome;
use crate::output::{Report, bytes, many};
use crate::sizes::parse_bytes;
use crate::times::parse_duration;

const EXAMPLES: &str = "\
Examples:
  tailspan retain my-store --max-age=30d --max-bytes=10GiB
  tailspan retain my-store --max-age=7d --keep '--error for 90d' --keep '--min-trace-duration=10s for 30d'
  tailspan retain my-store --keep '--service=payment --tag=order.id for 365d' --max-age=30d --json

Ages count from when spans were received. What goes are whole segments: a span may stay until the last one of
its segment is due.";

/// Flags of `retain`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct RetainArgs {
    #[command(flatten)]
    pub common: Common,
    /// Age at which spans go, as in 30d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub max_age: Option<u64>,
    /// Bytes that all files of the store may take, as in 10GiB; the oldest spans go first
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub max_bytes: Option<usize>,
    /// Whole traces that stay longer: the filters of find, then 'for' and the age, in one word; repeatable
    #[arg(long, value_name = "RULE for AGE", value_parser = parse_rule, allow_hyphen_values = true)]
    pub keep: Vec<Rule>,
    /// Set the retention clock to the wall clock first, after the wall clock jumped while the store was closed
    #[arg(long)]
    pub accept_clock: bool,
}

/// What `--keep` says.
#[derive(Clone, Debug)]
pub struct Rule {
    query: Query,
    age: Duration,
}

/// Lets go what the flags say, then says what went.
pub fn run(store: &Store, args: &RetainArgs, report: &mut Report<'_>) -> anyhow::Result<Outcome> {
    if args.accept_clock {
        store.accept_clock()?;
    }
    let done = store.retain(&retention(args))?;
    if report.json() {
        report.row(&json!({
            "segmentsRemoved": done.segments_removed,
            "rowsRemoved": done.rows_removed,
            "bytesRemoved": done.bytes_removed,
            "segmentsRewritten": done.segments_rewritten,
            "bytesOnDisk": done.bytes_on_disk,
            "clockHeld": done.clock_held,
        }))?;
    } else {
        let rewritten = match done.segments_rewritten {
            0 => String::new(),
            segments => format!(", {} written anew", many(segments, "segment")),
        };
        report.line(&format!(
            "{} went with {}{rewritten}; {} less, {} on disk",
            many(done.rows_removed, "row"),
            many(done.segments_removed, "segment"),
            bytes(done.bytes_removed),
            bytes(done.bytes_on_disk),
        ))?;
    }
    if done.clock_held {
        warn(
            "the wall clock jumped while the store was closed, so nothing grew older by that; if it is right now, \
             run tailspan retain again with --accept-clock",
        );
    }
    Ok(Outcome::Done)
}

fn retention(args: &RetainArgs) -> Retention {
    let mut retention = Retention::new();
    retention.max_age = args.max_age.map(Duration::from_nanos);
    retention.max_bytes = args.max_bytes.map(|bytes| bytes as u64);
    args.keep.iter().fold(retention, |retention, rule| retention.keep(rule.query.clone(), rule.age))
}

/// Reads `--error --service=web for 90d`.
fn parse_rule(text: &str) -> Result<Rule, String> {
    let parts = text.trim().rsplit_once(char::is_whitespace);
    let parts = parts.and_then(|(rule, age)| Some((rule.trim_end().strip_suffix("for")?, age)));
    let Some((rule, age)) = parts.filter(|(rule, _)| rule.is_empty() || rule.ends_with(char::is_whitespace)) else {
        return Err(format!("'{text}' does not end with an age, as in '--error for 90d'"));
    };
    let age = parse_duration(age).map(Duration::from_nanos)?;
    Ok(Rule { query: Rules::parse(rule)?.query(), age })
}

/// The filters of a rule, as a command line of their own.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Rules {
    #[command(flatten)]
    filters: Filters,
}

impl Rules {
    fn parse(text: &str) -> Result<Filters, String> {
        let words = split_words(text)?;
        let parsed = Self::try_parse_from(words).map_err(|error| {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).to_owned()
        });
        parsed.map(|rules| rules.filters)
    }
}

/// Splits a text into words as a shell does: at blanks that are not between quotes. A backslash takes the next
/// character as it is, but not between single quotes.
fn split_words(text: &str) -> Result<Vec<String>, String> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            _ if quote == Some(letter) => quote = None,
            '\\' if quote != Some('\'') => {
                let next = letters.next().ok_or_else(|| format!("'{text}' ends with a backslash"))?;
                word.get_or_insert_default().push(next);
            }
            '\'' | '"' if quote.is_none() => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            _ if letter.is_whitespace() && quote.is_none() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    match quote {
        Some(quote) => Err(format!("{text} has a {quote} without its pair")),
        None => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_filters_and_an_age() {
        let rule = parse_rule("--error --service='my shop' --tag a=1 for 90d").unwrap();
        assert_eq!((rule.query.error, rule.query.service.as_deref()), (true, Some("my shop")));
        assert_eq!((rule.query.tags.len(), rule.age), (1, Duration::from_hours(90 * 24)));
        assert_eq!(parse_rule("  for 1h").unwrap().query, Query::new());
        assert_eq!(parse_rule("--name 'wait for it' for 1h").unwrap().query.name.as_deref(), Some("wait for it"));
    }

    #[test]
    fn a_rule_without_an_age_or_with_unknown_filters_is_refused() {
        for text in
            ["--error", "--error for", "--error for ever", "--errors for 1d", "--service='a for 1d", "", "--xfor 1d"]
        {
            assert!(parse_rule(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        assert_eq!(split_words(r#"a  'b c' d"e f"g \" '' "#).unwrap(), ["a", "b c", "de fg", "\"", ""]);
        assert!(split_words("'a").is_err() && split_words("a\\").is_err());
    }
}
