//! Where settings come from: flags, over the environment, over a file.
//!
//! ```text
//! serve.toml   memory = "1GiB"          ┐
//! environment  TAILSPAN_MEMORY=1GiB     ├─> --memory=1GiB ─> the same parser for all ─> ServeArgs
//! flag         --memory=1GiB            ┘
//! ```
//!
//! The names are those of the flags. What the file and the environment say becomes words of the command line where that
//! says nothing; so a value means the same wherever it stands, and a wrong one is refused with its place.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Args, Command, CommandFactory, FromArgMatches};
use toml::{Spanned, Value};

use super::settings::ServeArgs;
use crate::args::Cli;
use crate::outcome::{message_of, usage};

/// The flag that names the file; it is no setting of the file itself.
const CONFIG: &str = "config";

/// A setting that was given elsewhere than on the command line.
struct Given {
    /// Where, as in `serve.toml:3`.
    place: String,
    text: String,
}

/// The settings of this command line, `tailspan serve ...`, of the file it names, and of the environment.
pub fn settle(mut words: Vec<OsString>, environment: impl Fn(&str) -> Option<String>) -> anyhow::Result<ServeArgs> {
    let flags = ServeArgs::augment_args(Command::new("serve"));
    let matches = Cli::command().try_get_matches_from(&words)?;
    let matches = matches.subcommand_matches("serve").context("`serve` is not what was asked for")?;
    let said = |flag: &Arg| matches.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine);
    let file = matches.get_one::<std::path::PathBuf>(CONFIG).cloned();
    let file = file.or_else(|| environment(&variable(CONFIG)).map(Into::into));
    let mut given = match &file {
        Some(path) => read(path, &flags)?,
        None => BTreeMap::new(),
    };
    let mut more = Vec::new();
    for flag in flags.get_arguments() {
        let Some(name) = flag.get_long().filter(|name| *name != CONFIG) else { continue };
        let place = variable(name);
        if let Some(text) = environment(&place) {
            given.insert(name.to_owned(), Given { place, text });
        }
        if let Some(given) = given.get(name) {
            let word = word(flag, name, given)?;
            check(&flags, &word, given)?;
            more.extend(word.filter(|_| !said(flag)).map(OsString::from));
        }
    }
    let at = words.len().min(2);
    words.splice(at..at, more);
    let matches = Cli::command().try_get_matches_from(&words)?;
    let matches = matches.subcommand_matches("serve").context("`serve` is not what was asked for")?;
    Ok(ServeArgs::from_arg_matches(matches)?)
}

/// The name of a flag's environment variable.
fn variable(flag: &str) -> String {
    format!("TAILSPAN_{}", flag.replace('-', "_").to_ascii_uppercase())
}

/// The settings of a file, by flag.
fn read(path: &Path, flags: &Command) -> anyhow::Result<BTreeMap<String, Given>> {
    let name = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let parsed: Result<BTreeMap<Spanned<String>, Spanned<Value>>, _> = toml::from_str(&text);
    let settings = parsed.map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        usage(format!("{name}:{}: {}", line(at), error.message()))
    })?;
    let mut given = BTreeMap::new();
    for (key, value) in settings {
        let place = format!("{name}:{}", line(key.span().start));
        let key = key.into_inner();
        let known = key != CONFIG && flags.get_arguments().any(|flag| flag.get_long() == Some(key.as_str()));
        if !known {
            return Err(usage(format!("{place}: there is no setting '{key}'; `tailspan serve --help` has all")));
        }
        let text = text_of(value.get_ref());
        let text =
            text.ok_or_else(|| usage(format!("{place}: {key} is a text, a number, true or false, or a list")))?;
        given.insert(key, Given { place, text });
    }
    Ok(given)
}

/// A value as it would stand on the command line; a list is joined by commas.
fn text_of(value: &Value) -> Option<String> {
    let single = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    };
    match value {
        Value::Array(values) => Some(values.iter().map(single).collect::<Option<Vec<_>>>()?.join(",")),
        value => single(value),
    }
}

/// The setting as a word of the command line; none for a switch that is off.
fn word(flag: &Arg, name: &str, given: &Given) -> anyhow::Result<Option<String>> {
    if !matches!(flag.get_action(), ArgAction::SetTrue) {
        return Ok(Some(format!("--{name}={}", given.text)));
    }
    match given.text.as_str() {
        "true" => Ok(Some(format!("--{name}"))),
        "false" => Ok(None),
        other => Err(usage(format!("{}: '{other}' is neither true nor false", given.place))),
    }
}

/// Fails with the place of the setting if its value is wrong.
fn check(flags: &Command, word: &Option<String>, given: &Given) -> anyhow::Result<()> {
    let words = ["serve", "store"].into_iter().chain(word.as_deref());
    match flags.clone().try_get_matches_from(words) {
        Ok(_) => Ok(()),
        Err(error) => Err(usage(format!("{}: {}", given.place, message_of(&error.into())))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn settled(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> Result<ServeArgs, String> {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let path = folder.path().join("serve.toml");
        fs::write(&path, file).expect("a file");
        let config = format!("--config={}", path.display());
        let words = ["tailspan", "serve", "s", &config].iter().chain(flags).map(OsString::from).collect();
        let look = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
        let folder = format!("{}/", folder.path().display());
        settle(words, look).map_err(|error| message_of(&error).replace(&folder, ""))
    }

    #[test]
    fn flags_are_over_the_environment_and_the_environment_over_the_file() {
        let file = "threads = 3\nqueries-max = 4\nconnections-max = 5\n";
        let variables = [("TAILSPAN_QUERIES_MAX", "6"), ("TAILSPAN_CONNECTIONS_MAX", "7")];
        let args = settled(file, &variables, &["--connections-max=9"]).expect("good settings");
        assert_eq!((args.threads, args.queries_max, args.connections_max), (3, 6, 9));
        assert_eq!(args.store, PathBuf::from("s"));
    }

    #[test]
    fn switches_and_lists_are_written_as_toml_has_them() {
        let file = "allow-remote = true\ntest-purge = false\nautocomplete-keys = [\"a\", \"b\"]\nzipkin = \"off\"";
        let args = settled(file, &[], &[]).expect("good settings");
        assert_eq!((args.allow_remote, args.test_purge), (true, false));
        assert_eq!(args.autocomplete_keys, ["a", "b"]);
        let args = settled(file, &[], &["--autocomplete-keys=c"]).expect("good settings");
        assert_eq!(args.autocomplete_keys, ["c"], "a flag does not add to the list of the file");
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_place() {
        let refused = |file: &str| settled(file, &[], &[]).expect_err(file);
        assert!(refused("# all\nmemroy = 1").starts_with("serve.toml:2: there is no setting 'memroy'"));
        assert!(refused("config = 'x'").starts_with("serve.toml:1: there is no setting 'config'"));
        assert!(refused("\n\nthreads = 'many'").starts_with("serve.toml:3: invalid value 'many' for '--threads"));
        assert!(refused("memory = 1.5").starts_with("serve.toml:1: memory is a text"));
        assert!(refused("threads = 1\nthreads = 2").starts_with("serve.toml:2: "));
        let error = settled("", &[("TAILSPAN_ALLOW_REMOTE", "yes")], &[]).expect_err("not a truth value");
        assert_eq!(error, "TAILSPAN_ALLOW_REMOTE: 'yes' is neither true nor false");
    }
}
