//! The facade of what follows, copies and compares stores.

use std::path::Path;

use crate::error::Result;
use crate::model::TraceId;
use crate::os::{Disk, Storage};
use crate::upkeep::{BackupSummary, ErasureReport, StoreDifference, Tail, TailCursor, backup, compare, verify_erased};

use super::{Snapshot, Store};

impl Store {
    /// Follows the store: every live distinct span once, in the order of appends, across sealing, merging and
    /// reopening, then what is acknowledged later. Begins at the cursor; [`TailCursor::OLDEST`] is the
    /// beginning. A store that only reads shows what the log holds and looks again by itself.
    ///
    /// The tail does not keep the store open. Holds about 16 MiB of spans at once.
    ///
    /// # Errors
    /// Invalid if the cursor is of another store, or beyond what this one ever acknowledged.
    pub fn tail(&self, from: TailCursor) -> Result<Tail> {
        Tail::new(&self.shared.engine, from)
    }

    /// The cursor after everything acknowledged so far: a tail from here shows only what is new.
    pub fn newest_cursor(&self) -> TailCursor {
        Tail::newest(self.engine())
    }

    /// Reads a store that was opened read-only again, if a writer changed it since; true if so. Snapshots taken
    /// before stay as they are. A store open for writing is always up to date.
    ///
    /// # Errors
    /// As opening; the store stays as it was then.
    pub fn refresh(&self) -> Result<bool> {
        self.engine().refresh()
    }

    /// Copies the store as it is now into a directory that is empty or not there, while others append, seal and
    /// merge. Segments are linked where the file system allows it: they never change, so the copy is a store of
    /// its own, with the same id. Durable on return; what is left half done is no store.
    ///
    /// # Errors
    /// Invalid if the directory is not empty; Corrupt if the manifest is damaged (opening for writing repairs it);
    /// Busy if files went faster than they were copied; NoSpace or Io if the storage refuses. Nothing of the
    /// copy is left then.
    pub fn backup(&self, directory: impl AsRef<Path>) -> Result<BackupSummary> {
        self.backup_into(&Disk::new(directory.as_ref()))
    }

    /// As [`Store::backup`], onto any storage.
    ///
    /// # Errors
    /// As [`Store::backup`].
    pub fn backup_into(&self, target: &dyn Storage) -> Result<BackupSummary> {
        backup(self.engine(), target)
    }

    /// Looks for rows of a trace in every file of the store, live or left over: whether a deleted trace is erased.
    ///
    /// # Errors
    /// Io if a file cannot be read. A damaged file is no error: it is listed, because it proves nothing.
    pub fn verify_erased(&self, id: TraceId) -> Result<ErasureReport> {
        verify_erased(self.engine(), id)
    }
}

/// Which distinct spans only one of two stores has. Holds a few hundred traces of each at a time. What damage hides is not
/// compared; [`StoreDifference::problems`] tells.
///
/// # Errors
/// TooLarge if a trace is larger than
/// the first one's [`trace_bytes_max`](crate::Limits::trace_bytes_max).
pub fn compare_stores(a: &Snapshot, b: &Snapshot) -> Result<StoreDifference> {
    compare(&a.parts, &b.parts, a.limits.trace_bytes_max)
}
