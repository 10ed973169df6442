//! Runs the built binary and reads what it says.
//!
//! Two promises are checked on every run, whatever the test is about: an error takes at most two lines, and
//! nothing panics.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// What one run of the binary said.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code().unwrap_or_else(|| panic!("ended by a signal: {err}"));
        assert!(!err.contains("panicked"), "{err}");
        if code == 1 || code == 2 {
            let error = err.find("error: ").unwrap_or_else(|| panic!("exit {code} without an error: {err}"));
            assert!(err[error..].lines().count() <= 2, "more than two lines: {err}");
        }
        Self { code, out: output.stdout, err }
    }

    /// The run, if it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        let start = &self.out[..self.out.len().min(1_000)];
        assert_eq!(self.code, code, "{}{}", self.err, String::from_utf8_lossy(start));
        self
    }

    /// Standard output as JSON lines.
    #[track_caller]
    pub fn json(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.out).expect("JSON is UTF-8");
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }
}

/// The binary, not yet started.
pub fn binary<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailspan"));
    command.args(words);
    command
}

/// Runs the binary with these words.
pub fn tailspan<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Ran {
    Ran::of(binary(words).stdin(Stdio::null()).output().expect("the binary starts"))
}

/// Runs the binary with these words and this standard input.
pub fn tailspan_reading<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>, input: &[u8]) -> Ran {
    let mut command = binary(words);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    std::thread::scope(|scope| {
        // A command that fails early does not read to the end.
        scope.spawn(move || stdin.write_all(input).unwrap_or_default());
        Ran::of(child.wait_with_output().expect("the binary ends"))
    })
}
