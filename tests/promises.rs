//! The documents name the tests that show each promise: every name is that of a test, and no promise is without one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Words joined in the name of a test; fewer may be a field or a file.
const JOINED_MIN: usize = 3;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The text of every source below a folder, by path.
fn sources(folder: &Path, out: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            out.insert(path, text);
        }
    }
}

fn all_sources() -> BTreeMap<PathBuf, String> {
    let mut out = BTreeMap::new();
    for folder in ["src", "tests"] {
        sources(&root().join(folder), &mut out);
    }
    out
}

/// What stands between single backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn is_name_of_a_test(word: &str) -> bool {
    let is_plain = word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    is_plain && word.matches('_').count() >= JOINED_MIN
}

/// The promises of docs/DURABILITY.md by number, each with its text.
fn promises() -> BTreeMap<u32, String> {
    let text = document("DURABILITY.md");
    let pieces = text.split("\n**P").skip(1);
    let numbered = pieces.map(|piece| {
        let (number, rest) = piece.split_once('.').expect("a number and a point");
        (number.parse().expect("a number"), rest.split("\n## ").next().unwrap_or_default().to_owned())
    });
    numbered.collect()
}

/// Rows of the table in docs/TESTING.md that begin with the number of a promise: what says where it is tried.
fn rows() -> BTreeMap<u32, String> {
    let text = document("TESTING.md");
    let lines = text.lines().filter_map(|line| line.strip_prefix("| P"));
    let numbered = lines.filter_map(|line| {
        let (head, rest) = line.split_once(' ')?;
        Some((head.parse().ok()?, rest.to_owned()))
    });
    numbered.collect()
}

#[test]
fn every_test_that_the_documents_name_is_there() {
    let sources = all_sources();
    let mut strangers = BTreeSet::new();
    for name in ["DURABILITY.md", "TESTING.md"] {
        let text = document(name);
        for word in quoted(&text).filter(|word| is_name_of_a_test(word)) {
            let is_there = sources.values().any(|source| source.contains(&format!("fn {word}(")));
            if !is_there {
                strangers.insert(format!("{name}: {word}"));
            }
        }
    }
    assert_eq!(strangers, BTreeSet::new());
}

#[test]
fn every_promise_has_a_row_that_names_files_that_are_there() {
    let (promises, rows, sources) = (promises(), rows(), all_sources());
    assert!(promises.len() > 30, "{} promises", promises.len());
    assert_eq!(promises.keys().collect::<Vec<_>>(), rows.keys().collect::<Vec<_>>());
    for (number, row) in rows {
        let files: Vec<&str> = quoted(&row).filter(|word| word.ends_with(".rs") || word.ends_with('/')).collect();
        assert!(!files.is_empty(), "P{number} names no file");
        for file in files {
            let folder = file.trim_end_matches('/');
            let is_there = ["src", "tests"].iter().any(|parent| {
                let path = root().join(parent).join(folder);
                sources.contains_key(&path) || (file.ends_with('/') && path.is_dir())
            });
            assert!(is_there, "P{number}: {file}");
        }
    }
}
