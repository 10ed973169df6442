//! docs/COOKBOOK.md is true: every command in it is run on the demo's traffic and says what is shown.
//!
//! ````text
//! ## question
//! ```sh            commands, run by a shell in a folder that holds demo-store
//! ```text          what they print
//! ````
//! `TAILSPAN_BLESS=1` writes what the commands print into the document instead.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What commands print that found nothing.
const NOTHING: [&str; 4] = ["no trace matches", "no span matches", "no key is so", "nothing"];

/// A piece of the document: lines as they are, or commands with what they print.
enum Piece {
    Lines(Vec<String>),
    Commands { script: String, shown: String },
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/COOKBOOK.md")
}

/// The lines of a fence that was opened, up to its end.
fn fenced<'t>(lines: &mut impl Iterator<Item = &'t str>) -> String {
    lines.take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect()
}

fn pieces(text: &str) -> Vec<Piece> {
    let (mut pieces, mut lines, mut plain) = (Vec::new(), text.lines(), Vec::new());
    while let Some(line) = lines.next() {
        if line != "```sh" {
            plain.push(line.to_owned());
            continue;
        }
        let script = fenced(&mut lines);
        assert_eq!((lines.next(), lines.next()), (Some(""), Some("```text")), "what follows\n{script}");
        pieces.push(Piece::Lines(std::mem::take(&mut plain)));
        pieces.push(Piece::Commands { script, shown: fenced(&mut lines) });
    }
    pieces.push(Piece::Lines(plain));
    pieces
}

/// What the commands print, run in this folder.
fn output(script: &str, folder: &Path) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_tailspan")).parent().expect("a folder").to_owned();
    let others = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(binary).chain(env::split_paths(&others));
    let all: OsString = env::join_paths(folders).expect("paths without colons");
    let ran = Command::new("sh").args(["-euc", script]).env("PATH", all).current_dir(folder).output();
    let ran = ran.expect("a shell");
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && errors.is_empty(), "{script}{errors}");
    let text = String::from_utf8(ran.stdout).expect("text");
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn every_command_says_what_is_shown() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let store = folder.path().join("demo-store");
    let demo = Command::new(env!("CARGO_BIN_EXE_tailspan"))
        .args(["demo".as_ref(), "--keep".as_ref(), store.as_os_str()])
        .output();
    assert!(demo.expect("the binary starts").status.success());
    let text = fs::read_to_string(path()).expect("the cookbook");
    let bless = env::var_os("TAILSPAN_BLESS").is_some();
    let mut blessed = String::new();
    for piece in pieces(&text) {
        match piece {
            Piece::Lines(lines) => lines.iter().for_each(|line| blessed += &format!("{line}\n")),
            Piece::Commands { script, shown } => {
                let said = output(&script, folder.path());
                let found = !NOTHING.iter().any(|nothing| said.starts_with(nothing));
                assert!(found && said.lines().count() > 1, "{script}finds nothing:\n{said}");
                assert!(bless || said == shown, "{script}says\n{said}\nand not\n{shown}");
                blessed += &format!("```sh\n{script}```\n\n```text\n{said}```\n");
            }
        }
    }
    if bless {
        fs::write(path(), blessed).expect("the cookbook can be written");
    }
}

#[test]
fn there_are_twenty_questions_and_each_is_answered_by_a_command() {
    let text = fs::read_to_string(path()).expect("the cookbook");
    let sections: Vec<&str> = text.split("\n## ").skip(1).collect();
    assert_eq!(sections.len(), 20);
    for section in sections {
        let title = section.lines().next().unwrap_or_default();
        assert!(title.ends_with('?'), "{title}");
        assert!(section.contains("```sh\ntailspan "), "{title}");
        for piece in pieces(section) {
            if let Piece::Commands { script, .. } = piece {
                assert!(script.contains(" demo-store "), "{script}");
            }
        }
    }
}
