//! The rules of the house that the compiler does not know: which module may use which, and what stays out.
//!
//! The layers follow the data from what a span is to the facade. A module uses only those above it:
//!
//! ```text
//! model bytes os encoding interchange column index part head log segment catalog ingest query analytics
//! upkeep store                                     error, limits and options are open to all
//! ```
//!
//! Sources are read as text with comments and literals blanked out, so that a word in prose is no use of it.

use std::fs;
use std::path::{Path, PathBuf};

/// Each may use those before it.
const LAYERS: [&str; 17] = [
    "model",
    "bytes",
    "os",
    "encoding",
    "interchange",
    "column",
    "index",
    "part",
    "head",
    "log",
    "segment",
    "catalog",
    "ingest",
    "query",
    "analytics",
    "upkeep",
    "store",
];
/// At the root, above every layer: what it re-exports, and the test that compares docs/FORMAT.md with all of them.
const ROOT: [&str; 2] = ["lib", "format_tests"];
/// Open to every layer; they use no layer themselves.
const OPEN_TO_ALL: [&str; 3] = ["error", "limits", "options"];
/// Words that belong to one room, and files elsewhere that may use them.
const ROOMS: [(&[&str], &str, &[&str]); 5] = [
    (&["unsafe", "memmap2"], "os/", &[]),
    (&["std::fs", "SystemTime", "Instant", "std::env", "std::process"], "os/", &["interchange/testing.rs"]),
    (&["roaring"], "index/", &[]),
    (&["zstd", "crc32fast", "xxhash_rust"], "bytes/", &[]),
    // Deriving `Pod` for a record of the head says what it is; the casts are in bytes/.
    (&["bytemuck"], "bytes/", &["head/chapter.rs", "head/record.rs"]),
];
/// What no source may hold.
const FORBIDDEN: [&str; 8] =
    ["todo!", "unimplemented!", "dbg!", "#[allow", "#![allow", "#[ignore", "#[path", "include!"];
const LINES_MAX: usize = 700;
/// Files that may be longer than [`LINES_MAX`], with the reason.
const LONGER: [&str; 0] = [];

/// A Rust source: where it is, its text, and its text without comments and literals.
struct Source {
    path: String,
    text: String,
    code: String,
}

impl Source {
    /// The first part of its path: the layer it belongs to.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

/// The sources below a folder of the repository, by path; none if it is not there.
fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths = Vec::new();
    // A folder that a clone does not have holds no source.
    if root.exists() {
        collect(&root, &mut paths);
    }
    paths.sort();
    let source = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a source is UTF-8");
        let path = path.strip_prefix(&root).expect("below the root").to_str().expect("UTF-8").to_owned();
        Source { path, code: code_of(&text), text }
    };
    paths.iter().map(source).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// The library's sources, the binary's left out, and the test that compares docs/FORMAT.md with all layers.
fn library() -> Vec<Source> {
    let own = |source: &Source| source.module() != "bin" && source.path != "format_tests.rs";
    sources("src").into_iter().filter(own).collect()
}

/// The text with comments, strings and characters as blanks; line ends stay.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = literal_len(rest, code.chars().last());
        let len = if skipped == 0 { first.len_utf8() } else { skipped };
        let (piece, after) = rest.split_at(len.min(rest.len()));
        if skipped == 0 {
            code.push_str(piece);
        } else {
            code.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = after;
    }
    code
}

/// Length of the comment or literal that `rest` begins with; 0 if it begins with neither.
fn literal_len(rest: &str, before: Option<char>) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |end| end + 2);
    }
    if rest.starts_with('"') {
        return quoted_len(rest, '"');
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_word && let Some(raw) = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r')) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let inside = &raw[hashes + 1..];
            let open = rest.len() - inside.len();
            return inside.find(&end).map_or(rest.len(), |at| open + at + end.len());
        }
    }
    // A quote begins a character if one follows it; else it is a lifetime.
    let mut characters = rest.strip_prefix('\'').unwrap_or_default().chars();
    match (characters.next(), characters.next()) {
        (Some('\\'), _) => quoted_len(rest, '\''),
        (Some(character), Some('\'')) => character.len_utf8() + 2,
        _ => 0,
    }
}

fn quoted_len(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The words that directly follow `prefix` in the code, groups in braces included.
fn words_after<'c>(code: &'c str, prefix: &str) -> Vec<&'c str> {
    let mut words = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let in_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            _ if in_word => {}
            Some(group) => words.extend(heads_of_group(group)),
            None => words.extend(word(rest)),
        }
    }
    words
}

fn word(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| &text[..end])
}

/// The first word of each item of a group `a::x, b::{y, z}}`.
fn heads_of_group(group: &str) -> Vec<&str> {
    let (mut depth, mut heads, mut at_start) = (0, Vec::new(), true);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            _ if at_start && !character.is_whitespace() => {
                heads.extend(word(&group[at..]));
                at_start = false;
            }
            _ => {}
        }
    }
    heads
}

/// True if the code holds this as a whole word or path.
fn holds(code: &str, sought: &str) -> bool {
    code.match_indices(sought).any(|(at, _)| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        !code[..at].ends_with(is_word) && !code[at + sought.len()..].starts_with(is_word)
    })
}

#[test]
fn every_module_of_the_library_has_its_layer() {
    let known = |module: &str| LAYERS.contains(&module) || OPEN_TO_ALL.contains(&module) || ROOT.contains(&module);
    let strangers: Vec<String> = library().into_iter().filter(|s| !known(s.module())).map(|s| s.path).collect();
    assert_eq!(strangers, [""; 0]);
}

#[test]
fn a_module_uses_only_the_layers_before_it() {
    let mut breaches = Vec::new();
    for source in library().iter().filter(|source| !ROOT.contains(&source.module())) {
        let layer = |module: &str| LAYERS.iter().position(|layer| *layer == module);
        // What is open to all comes before every layer.
        let own = layer(source.module());
        for used in words_after(&source.code, "crate::") {
            let allowed = used == source.module()
                || OPEN_TO_ALL.contains(&used)
                || matches!((layer(used), own), (Some(used), Some(own)) if used < own);
            if !allowed {
                breaches.push(format!("{} uses {used}", source.path));
            }
        }
    }
    assert_eq!(breaches, [""; 0], "a module uses a layer after its own, or a name through the root");
}

#[test]
fn each_outside_matter_stays_in_its_room() {
    let mut breaches = Vec::new();
    for source in library() {
        for (words, room, elsewhere) in ROOMS {
            if source.path.starts_with(room) || elsewhere.contains(&source.path.as_str()) {
                continue;
            }
            let held = words.iter().filter(|word| holds(&source.code, word));
            breaches.extend(held.map(|word| format!("{} uses {word}", source.path)));
        }
    }
    assert_eq!(breaches, [""; 0]);
}

/// Each is argued where it stands; more than so many nobody argues with.
const UNSAFE_BLOCKS_MAX: usize = 10;

#[test]
fn unsafe_stands_in_one_file_in_few_blocks() {
    let holders: Vec<(String, usize)> = library()
        .into_iter()
        .map(|source| {
            (
                source.path,
                source
                    .code
                    .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .filter(|word| *word == "unsafe")
                    .count(),
            )
        })
        .filter(|(_, blocks)| *blocks > 0)
        .collect();
    assert!(matches!(&holders[..], [(path, 1..=UNSAFE_BLOCKS_MAX)] if path == "os/mmap.rs"), "{holders:?}");
}

#[test]
fn nothing_unfinished_or_silenced_is_left() {
    let mut breaches = Vec::new();
    for source in sources("src").into_iter().chain(sources("examples")).chain(sources("benches")) {
        let held = FORBIDDEN.iter().filter(|word| source.code.contains(**word));
        breaches.extend(held.map(|word| format!("{} holds {word}", source.path)));
    }
    for source in sources("tests") {
        // Tests share files by path, since a folder with a mod.rs warns of what one of them does not use.
        let held = FORBIDDEN.iter().filter(|word| **word != "#[path" && source.code.contains(**word));
        breaches.extend(held.map(|word| format!("{} holds {word}", source.path)));
    }
    assert_eq!(breaches, [""; 0]);
}

#[test]
fn every_source_begins_by_saying_what_it_is() {
    let silent = |source: &Source| !source.text.starts_with("//! ");
    let all = ["src", "tests"].into_iter().flat_map(sources);
    let paths: Vec<String> = all.filter(silent).map(|source| source.path).collect();
    assert_eq!(paths, [""; 0]);
}

#[test]
fn no_source_is_too_long_to_read() {
    let too_long = |source: &Source| source.text.lines().count() > LINES_MAX && !LONGER.contains(&source.path.as_str());
    let all = ["src", "tests"].into_iter().flat_map(sources);
    let paths: Vec<String> = all.filter(too_long).map(|source| source.path).collect();
    assert_eq!(paths, [""; 0], "above {LINES_MAX} lines");
}

#[test]
fn the_binary_uses_the_library_as_anyone_could() {
    let library = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("the library");
    let public = code_of(&library);
    let mut breaches = Vec::new();
    for source in sources("src/bin") {
        for used in words_after(&source.code, "tailspan::") {
            if !holds(&public, used) || OPEN_TO_ALL.contains(&used) || LAYERS.contains(&used) {
                breaches.push(format!("{} uses tailspan::{used}", source.path));
            }
        }
    }
    assert_eq!(breaches, [""; 0]);
}

#[test]
fn code_is_told_from_prose() {
    let text = "a /* unsafe */ b // unsafe\n'\"' \"unsafe \\\" \" r#\"unsafe \" \"# 'x unsafe '\\'' c";
    let words: Vec<String> = code_of(text).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["a", "b", "'x", "unsafe", "c"]);
    assert_eq!(
        words_after("use crate::{a::x, b::{c, d}, e}; crate::f::g; mycrate::h", "crate::"),
        ["a", "b", "e", "f"]
    );
}
