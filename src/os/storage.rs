//! The storage trait: all a store asks of a file system, and no more.
//!
//! Names are relative to the store's directory and use `/` (`seg/000000000001.seg`). There are two
//! implementations: the real disk and a simulated one that can crash, tear writes and fail on request.
//!
//! What the engine assumes of a medium, and what the simulated disk grants: bytes are durable after
//! [`WritableFile::sync`]; a file's existence and name after [`Storage::sync_directory`] of its
//! directory; before that any subset of writes, renames, creations and removals may survive a crash.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// The sub-directories of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Directory {
    /// The store's own directory: manifest, lock.
    Root,
    /// `log/`.
    Log,
    /// `seg/`.
    Segments,
    /// `quarantine/`: where damaged bytes are put aside.
    Quarantine,
}

impl Directory {
    /// Every directory of a store.
    pub const ALL: [Self; 4] = [Self::Root, Self::Log, Self::Segments, Self::Quarantine];

    /// The directory's name relative to the store, empty for the root.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "",
            Self::Log => "log",
            Self::Segments => "seg",
            Self::Quarantine => "quarantine",
        }
    }

    /// The path of a file in it, relative to the store.
    pub fn join(self, file: &str) -> String {
        if self == Self::Root { file.to_owned() } else { format!("{}/{file}", self.name()) }
    }
}

/// A file in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// File name, without the directory.
    pub name: String,
    /// Length in bytes.
    pub len_bytes: u64,
}

/// A file system seen from one store's directory.
pub trait Storage: Send + Sync + fmt::Debug {
    /// Words for messages: where this is, such as the path of the directory.
    fn place(&self) -> String;

    /// True if the store's directory exists.
    fn exists(&self) -> Result<bool>;

    /// Creates the store's directory and its sub-directories as far as they are missing, durably.
    fn create_directories(&self) -> Result<()>;

    /// The files of a directory (not its sub-directories), by name. Empty if it does not exist.
    fn list(&self, directory: Directory) -> Result<Vec<DirectoryEntry>>;

    /// Creates a file for writing. Fails if it exists.
    fn create(&self, path: &str) -> Result<Box<dyn WritableFile>>;

    /// Opens an existing file to be appended to at its end.
    fn open_append(&self, path: &str) -> Result<Box<dyn WritableFile>>;

    /// Reads a whole file. Fails if it is longer than `len_max`.
    fn read(&self, path: &str, len_max: u64) -> Result<Vec<u8>>;

    /// Opens a published file for reading in place: mapped, in memory, or read as it is asked for. The bytes stay
    /// valid after the file is removed.
    fn map(&self, path: &str) -> Result<Arc<dyn FileBytes>>;

    /// Renames a file, replacing the target.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Removes a file.
    fn remove(&self, path: &str) -> Result<()>;

    /// Makes creations, renames and removals in a directory durable.
    fn sync_directory(&self, directory: Directory) -> Result<()>;

    /// True if there is nothing at all in the store's directory, or no such directory.
    fn is_vacant(&self) -> Result<bool> {
        let mut vacant = true;
        for directory in Directory::ALL {
            vacant &= self.list(directory)?.is_empty();
        }
        Ok(vacant)
    }

    /// Where a file lies in the operating system's file system; `None` if it does not lie there.
    fn location(&self, _path: &str) -> Option<PathBuf> {
        None
    }

    /// Gives the file at this location of the operating system's file system a second name here. The file must
    /// never be changed again.
    ///
    /// # Errors
    /// Whatever keeps a file from having both names, such as two file systems: copy it then.
    fn link(&self, _location: &Path, path: &str) -> Result<()> {
        Err(Error::invalid(format!("{} cannot link {path}", self.place())))
    }

    /// Removes a directory that is empty. Does nothing where empty directories do not matter.
    fn remove_directory(&self, _directory: Directory) -> Result<()> {
        Ok(())
    }

    /// Takes the writer's lock for the life of the guard.
    ///
    /// # Errors
    /// Locked, naming the holder's process id where known, if another writer holds it.
    fn lock(&self) -> Result<Box<dyn LockGuard>>;

    /// Random bytes that name a new store.
    fn random_u64(&self) -> u64;
}

/// A file being written at its end.
pub trait WritableFile: Send + fmt::Debug {
    /// Appends all bytes at the end of the file.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;

    /// Makes everything appended so far durable (fdatasync).
    fn sync(&mut self) -> Result<()>;

    /// Cuts the file to `len_bytes`.
    fn truncate(&mut self, len_bytes: u64) -> Result<()>;

    /// A second handle that can only sync, so that one thread syncs while another appends.
    fn sync_handle(&self) -> Result<Box<dyn WritableFile>>;
}

/// The bytes of a published file.
pub trait FileBytes: Send + Sync + fmt::Debug {
    /// Length in bytes.
    fn len_bytes(&self) -> u64;

    /// So many bytes from `offset` on. Their address is that of the file's first byte plus the offset, modulo 8, and
    /// that one is aligned.
    ///
    /// # Errors
    /// Corrupt if they lie outside the file, Io if the medium fails to read them.
    fn range(&self, offset: u64, len: usize) -> Result<&[u8]>;

    /// The same file with nothing read yet; `None` if the bytes are those of now in any case.
    fn afresh(&self) -> Option<Arc<dyn FileBytes>> {
        None
    }

    /// All of it.
    ///
    /// # Errors
    /// Io if the medium fails.
    fn bytes(&self) -> Result<&[u8]> {
        self.head(usize::MAX)
    }

    /// The first `len_max` bytes, or all if there are fewer.
    ///
    /// # Errors
    /// Io if the medium fails.
    fn head(&self, len_max: usize) -> Result<&[u8]> {
        self.range(0, usize::try_from(self.len_bytes()).unwrap_or(usize::MAX).min(len_max))
    }
}

/// The place of a range in a file of this length.
///
/// # Errors
/// Corrupt if it lies outside.
pub(super) fn checked_range(file_len: u64, offset: u64, len: usize) -> Result<Range<usize>> {
    let end = offset.checked_add(len as u64).filter(|end| *end <= file_len);
    let outside = || Error::corrupt(format!("{len} bytes from byte {offset} on lie outside the file of {file_len}"));
    Ok(offset as usize..end.ok_or_else(outside)? as usize)
}

/// The writer's lock; dropping it gives it up.
pub trait LockGuard: Send + Sync + fmt::Debug {}

/// Where time comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Wall time, nanoseconds since the Unix epoch.
    fn now_unix_nanos(&self) -> u64;

    /// Time since some fixed moment of this process, never going back, in nanoseconds.
    fn monotonic_nanos(&self) -> u64;
}
