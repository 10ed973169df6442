//! Faults: operations that fail on request, with the errors an operating system gives.
//!
//! A [`Fault`] names a kind of operation, a part of the path, and the how-manieth match is to fail. Matches
//! are counted from the moment of injection, so a test can let a store open and then break its third sync.

use std::io;

/// What is done to a simulated disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationKind {
    /// Bytes added at the end of a file.
    Append,
    /// A file made durable.
    Sync,
    /// A file cut to a length.
    Truncate,
    /// A file created.
    Create,
    /// A file renamed. Its path for matching is `from -> to`.
    Rename,
    /// A file removed.
    Remove,
    /// A directory created. The path of the root is `.` for this and the next.
    CreateDirectory,
    /// A directory's names made durable.
    SyncDirectory,
    /// A file opened to be appended to. Not counted among the operations, like all that follow.
    Open,
    /// A file read whole.
    Read,
    /// A file mapped, or opened to be read on demand.
    Map,
    /// A piece of a file read on demand.
    ReadPiece,
    /// A directory listed.
    List,
    /// The writer's lock taken.
    Lock,
}

impl OperationKind {
    /// True if it changes what a crash may leave, and so is counted among the operations of a disk.
    pub fn is_mutating(self) -> bool {
        !matches!(self, Self::Open | Self::Read | Self::Map | Self::ReadPiece | Self::List | Self::Lock)
    }

    /// How an error message begins.
    pub(super) fn doing(self) -> &'static str {
        match self {
            Self::Append => "appending to",
            Self::Sync => "syncing",
            Self::Truncate => "truncating",
            Self::Create => "creating",
            Self::Rename => "renaming",
            Self::Remove => "removing",
            Self::CreateDirectory => "creating directory",
            Self::SyncDirectory => "syncing directory",
            Self::Open => "opening for append",
            Self::Read => "reading",
            Self::Map => "mapping",
            Self::ReadPiece => "reading a piece of",
            Self::List => "listing",
            Self::Lock => "locking",
        }
    }
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The medium fails.
    Eio,
    /// The file system is full. An append first writes half of its bytes.
    NoSpace,
    /// A signal came in between.
    Interrupted,
    /// The process has no file descriptor left.
    TooManyFiles,
    /// The file system went read-only.
    ReadOnly,
    /// The process may not.
    PermissionDenied,
    /// Half of the bytes are written, then nothing more.
    ShortWrite,
    /// The file ends before all bytes were read.
    ShortRead,
}

impl FaultKind {
    pub(super) fn error(self) -> io::Error {
        match self {
            // By number where the standard library has no stable kind: these are Linux's, and the BSDs'.
            Self::Eio => io::Error::from_raw_os_error(5),
            Self::TooManyFiles => io::Error::from_raw_os_error(24),
            Self::NoSpace => io::ErrorKind::StorageFull.into(),
            Self::Interrupted => io::ErrorKind::Interrupted.into(),
            Self::ReadOnly => io::ErrorKind::ReadOnlyFilesystem.into(),
            Self::PermissionDenied => io::ErrorKind::PermissionDenied.into(),
            Self::ShortWrite => io::ErrorKind::WriteZero.into(),
            Self::ShortRead => io::ErrorKind::UnexpectedEof.into(),
        }
    }

    /// True if a failing append leaves half of its bytes behind.
    pub(super) fn writes_half(self) -> bool {
        matches!(self, Self::NoSpace | Self::ShortWrite)
    }
}

/// An order to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which operations.
    pub operation: OperationKind,
    /// On which paths, relative to the store: those that contain this. Empty: all.
    pub path_contains: String,
    /// Which of the matching operations from now on, counted from 1.
    pub nth: u64,
    /// With which error.
    pub error: FaultKind,
    /// That one and every later one, instead of that one alone.
    pub forever: bool,
}

/// The faults of a disk with how often each has matched.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    injected: Vec<(Fault, u64)>,
}

impl Faults {
    pub(super) fn inject(&mut self, fault: Fault) {
        assert!(fault.nth > 0, "matches are counted from 1");
        self.injected.push((fault, 0));
    }

    pub(super) fn clear(&mut self) {
        self.injected.clear();
    }

    /// Counts the operation for every fault it matches; the first that is due decides.
    pub(super) fn due(&mut self, operation: OperationKind, path: &str) -> Option<FaultKind> {
        let mut due = None;
        for (fault, matched) in &mut self.injected {
            if fault.operation != operation || !path.contains(&fault.path_contains) {
                continue;
            }
            *matched += 1;
            if *matched == fault.nth || (fault.forever && *matched > fault.nth) {
                due = due.or(Some(fault.error));
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(nth: u64, forever: bool) -> Faults {
        let mut faults = Faults::default();
        let operation = OperationKind::Sync;
        faults.inject(Fault { operation, path_contains: "log/".into(), nth, error: FaultKind::Eio, forever });
        faults
    }

    fn due(faults: &mut Faults, times: usize) -> Vec<bool> {
        (0..times).map(|_| faults.due(OperationKind::Sync, "log/1.log").is_some()).collect()
    }

    #[test]
    fn only_the_nth_match_fails() {
        assert_eq!(due(&mut fault(2, false), 4), [false, true, false, false]);
    }

    #[test]
    fn a_fault_forever_fails_from_the_nth_match_on() {
        assert_eq!(due(&mut fault(2, true), 4), [false, true, true, true]);
    }

    #[test]
    fn other_operations_and_other_paths_neither_fail_nor_count() {
        let mut faults = fault(1, false);
        assert_eq!(faults.due(OperationKind::Append, "log/1.log"), None);
        assert_eq!(faults.due(OperationKind::Sync, "seg/1.seg"), None);
        assert_eq!(faults.due(OperationKind::Sync, "log/1.log"), Some(FaultKind::Eio));
    }

    #[test]
    fn errors_are_those_of_the_operating_system() {
        assert_eq!(FaultKind::Eio.error().raw_os_error(), Some(5));
        assert_eq!(FaultKind::NoSpace.error().kind(), io::ErrorKind::StorageFull);
        assert_eq!(FaultKind::ReadOnly.error().kind(), io::ErrorKind::ReadOnlyFilesystem);
    }
}
