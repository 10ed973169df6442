//! Errors: the kind says what to do, the message says what and where.

use std::fmt;
use std::io;
use std::time::Duration;

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call or its input is wrong: fix it.
    Invalid,
    /// The head is full or a limit on concurrent work is reached: retry after the hint.
    Busy,
    /// The disk or the byte budget is full: free some space.
    NoSpace,
    /// Bytes on disk are not what was written: run `verify`, then `repair`.
    Corrupt,
    /// The answer would take more memory than a limit allows: ask for less, or raise the limit it names.
    TooLarge,
    /// Another process holds the store for writing.
    Locked,
    /// The store is of a newer format version than this build knows.
    Unsupported,
    /// The path holds no tailspan store.
    NotAStore,
    /// The store was closed, or a failed sync closed it to appends: reopen it.
    Closed,
    /// The operating system refused: the message says what it said.
    Io,
}

/// What went wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<io::Error>,
    retry_after: Option<Duration>,
}

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind whose message says what and where.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None, retry_after: None }
    }

    /// Input or call that must be fixed.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Damaged bytes.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// What the operating system said about an operation on a file.
    pub fn io(doing: impl fmt::Display, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
            _ => ErrorKind::Io,
        };
        let advice = if kind == ErrorKind::NoSpace { "; there is no space left, free some and try again" } else { "" };
        Self { kind, message: format!("{doing}: {source}{advice}"), source: Some(source), retry_after: None }
    }

    /// The same error with a hint how long to wait before trying again.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// How long to wait before trying again, if the error is [`ErrorKind::Busy`].
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The same error with the place named in front.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// The operating system's error, if that is the cause.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        self.source.as_ref().map(io::Error::kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Fails with a [`ErrorKind::Corrupt`] error unless `condition` holds.
pub(crate) fn ensure(condition: bool, message: impl FnOnce() -> String) -> Result<()> {
    if condition { Ok(()) } else { Err(Error::corrupt(message())) }
}
