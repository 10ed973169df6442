//! The real disk: a store's directory on a file system of the operating system.
//!
//! Each method is a thin layer over one or two system calls, so that what the simulated disk models is
//! what happens here. Three rules carry the durability:
//!
//! ```text
//! bytes of a file      append ... sync            fdatasync of the file
//! its name             create, rename, remove     fsync of the directory holding the name
//! a directory's name   create_directories         fsync of the parent, up to the first that existed
//! ```
//!
//! A map costs no copy, but a medium that fails to read a page of it kills the process with SIGBUS;
//! [`Disk::without_mmap`] reads what is asked for instead, where the same failure is an error.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::aligned::AlignedBytes;
use super::mmap::Mapped;
use super::on_demand::{OnDemand, ReadAt};
use super::storage::{Directory, DirectoryEntry, FileBytes, LockGuard, Storage, WritableFile};
use super::{defects, lock, random};
use crate::error::{Error, ErrorKind, Result};

/// Permissions of new files before the process's umask: all may read, the owner writes.
pub(super) const FILE_MODE: u32 = 0o644;

/// What may be done through a [`Disk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    ReadWrite,
    ReadOnly,
}

/// How published files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Mapped,
    OnDemand,
}

/// A store's directory on a real file system.
#[derive(Clone, Debug)]
pub struct Disk {
    root: PathBuf,
    access: Access,
    reading: Reading,
}

impl Disk {
    /// The directory at `path`, for reading and writing. Touches nothing yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { root: path.into(), access: Access::ReadWrite, reading: Reading::Mapped }
    }

    /// The directory at `path`, for reading: every operation that would write fails with
    /// [`ErrorKind::Invalid`] before it reaches the file system.
    pub fn read_only(path: impl Into<PathBuf>) -> Self {
        Self { access: Access::ReadOnly, ..Self::new(path) }
    }

    /// Reads what is asked for of published files, when it is, instead of mapping them.
    #[must_use]
    pub fn without_mmap(self) -> Self {
        Self { reading: Reading::OnDemand, ..self }
    }

    /// The full path of a file named relative to the store. Names come from numbers in the manifest, yet
    /// nothing read from disk may lead out of the store.
    fn full_path(&self, path: &str) -> Result<PathBuf> {
        let stays_inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if path.is_empty() || !stays_inside {
            return Err(Error::invalid(format!("{path:?} names no file inside store {}", self.place())));
        }
        Ok(self.root.join(path))
    }

    fn directory_path(&self, directory: Directory) -> PathBuf {
        if directory == Directory::Root { self.root.clone() } else { self.root.join(directory.name()) }
    }

    /// The full path of a file that is about to be changed, unless this disk only reads.
    fn writable_path(&self, doing: &str, path: &str) -> Result<PathBuf> {
        let full = self.full_path(path)?;
        self.may_write(|| format!("{doing} {}", full.display()))?;
        Ok(full)
    }

    fn may_write(&self, doing: impl FnOnce() -> String) -> Result<()> {
        if self.access == Access::ReadWrite {
            return Ok(());
        }
        Err(Error::invalid(format!("{}: store {} was opened read-only", doing(), self.place())))
    }

    /// Creates the store's directory with the missing ones above it, each durable in its parent.
    fn create_root(&self) -> Result<()> {
        let missing: Vec<&Path> =
            self.root.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.is_dir()).collect();
        for path in missing.into_iter().rev() {
            create_directory(path)?;
            sync_parent(path)?;
        }
        // The root may exist and yet not be durable: its creator may have died before syncing. A parent
        // that may be searched but not read cannot be opened to be synced; that must not keep a store shut.
        match sync_parent(&self.root) {
            Err(error) if error.io_kind() == Some(io::ErrorKind::PermissionDenied) => Ok(()),
            synced => synced,
        }
    }
}

impl Storage for Disk {
    fn place(&self) -> String {
        self.root.display().to_string()
    }

    fn exists(&self) -> Result<bool> {
        match fs::metadata(&self.root) {
            Ok(found) if found.is_dir() => Ok(true),
            Ok(_) => Err(Error::new(ErrorKind::NotAStore, format!("{} is a file, not a directory", self.place()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io(format!("looking at {}", self.place()), error)),
        }
    }

    fn create_directories(&self) -> Result<()> {
        self.may_write(|| format!("creating {}", self.place()))?;
        self.create_root()?;
        for directory in Directory::ALL {
            let path = self.directory_path(directory);
            if !path.is_dir() {
                create_directory(&path)?;
            }
        }
        sync_directory_at(&self.root)
    }

    fn list(&self, directory: Directory) -> Result<Vec<DirectoryEntry>> {
        let path = self.directory_path(directory);
        let doing = || format!("listing {}", path.display());
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(doing(), error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| Error::io(doing(), error))?;
            // No store writes a name that is not UTF-8; what others put here is not ours to name.
            let Ok(name) = entry.file_name().into_string() else { continue };
            match fs::metadata(entry.path()) {
                Ok(found) if found.is_file() => files.push(DirectoryEntry { name, len_bytes: found.len() }),
                Ok(_) => {}
                // The writer of another process removed it between the two calls.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io(format!("looking at {}", entry.path().display()), error)),
            }
        }
        files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    fn create(&self, path: &str) -> Result<Box<dyn WritableFile>> {
        let full = self.writable_path("creating", path)?;
        let created = OpenOptions::new().append(true).create_new(true).mode(FILE_MODE).open(&full);
        DiskFile::open("creating", path, full, created)
    }

    fn open_append(&self, path: &str) -> Result<Box<dyn WritableFile>> {
        let full = self.writable_path("opening for append", path)?;
        let opened = OpenOptions::new().append(true).open(&full);
        DiskFile::open("opening for append", path, full, opened)
    }

    fn read(&self, path: &str, len_max: u64) -> Result<Vec<u8>> {
        let full = self.full_path(path)?;
        let failed = |error| Error::io(format!("reading {}", full.display()), error);
        let file = File::open(&full).map_err(failed)?;
        let mut bytes = Vec::new();
        // One byte more than allowed tells a file that is too long, even one that is growing.
        file.take(len_max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > len_max {
            return Err(Error::corrupt(format!("{} is longer than {len_max} bytes", full.display())));
        }
        Ok(bytes)
    }

    fn map(&self, path: &str) -> Result<Arc<dyn FileBytes>> {
        let full = self.full_path(path)?;
        let failed = |error| Error::io(format!("mapping {}", full.display()), error);
        let file = File::open(&full).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        if !found.is_file() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        Ok(match self.reading {
            Reading::OnDemand => Arc::new(OnDemand::new(Arc::new(OpenFile { file, path: full }), found.len())),
            // The operating system refuses an empty map.
            Reading::Mapped if found.len() == 0 => Arc::new(AlignedBytes::default()),
            Reading::Mapped => Arc::new(Mapped::of(&file).map_err(failed)?),
        })
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.writable_path("renaming", from)?, self.writable_path("renaming to", to)?);
        fs::rename(&from, &to)
            .map_err(|error| Error::io(format!("renaming {} to {}", from.display(), to.display()), error))
    }

    fn remove(&self, path: &str) -> Result<()> {
        let full = self.writable_path("removing", path)?;
        fs::remove_file(&full).map_err(|error| Error::io(format!("removing {}", full.display()), error))
    }

    fn sync_directory(&self, directory: Directory) -> Result<()> {
        let path = self.directory_path(directory);
        self.may_write(|| format!("syncing directory {}", path.display()))?;
        if defects::skips_directory_sync() {
            return Ok(());
        }
        sync_directory_at(&path)
    }

    fn is_vacant(&self) -> Result<bool> {
        match fs::read_dir(&self.root) {
            Ok(mut entries) => Ok(entries.next().is_none()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(Error::io(format!("listing {}", self.place()), error)),
        }
    }

    fn location(&self, path: &str) -> Option<PathBuf> {
        self.full_path(path).ok()
    }

    fn link(&self, location: &Path, path: &str) -> Result<()> {
        let full = self.writable_path("linking", path)?;
        fs::hard_link(location, &full)
            .map_err(|error| Error::io(format!("linking {} as {}", location.display(), full.display()), error))
    }

    fn remove_directory(&self, directory: Directory) -> Result<()> {
        let path = self.directory_path(directory);
        self.may_write(|| format!("removing directory {}", path.display()))?;
        fs::remove_dir(&path).map_err(|error| Error::io(format!("removing directory {}", path.display()), error))
    }

    fn lock(&self) -> Result<Box<dyn LockGuard>> {
        self.may_write(|| "locking for writing".to_owned())?;
        lock::take(&self.root)
    }

    fn random_u64(&self) -> u64 {
        random::system_random_u64()
    }
}

/// Creates one directory; one that another process created meanwhile is as good.
fn create_directory(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(error) if !(error.kind() == io::ErrorKind::AlreadyExists && path.is_dir()) => {
            Err(Error::io(format!("creating directory {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

fn sync_directory_at(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| Error::io(format!("syncing directory {}", path.display()), error))
}

/// Syncs the directory that holds the name of `path`, which exists.
fn sync_parent(path: &Path) -> Result<()> {
    // Resolved first: the parent of `.`, or of a symbolic link, is not in its text.
    let resolved = fs::canonicalize(path).map_err(|error| Error::io(format!("resolving {}", path.display()), error))?;
    resolved.parent().map_or(Ok(()), sync_directory_at)
}

/// An open file that is read here and there.
#[derive(Debug)]
struct OpenFile {
    file: File,
    path: PathBuf,
}

impl ReadAt for OpenFile {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let len = out.len();
        let doing = || format!("reading {len} bytes at byte {offset} of {}", self.path.display());
        match self.file.read_exact_at(out, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Error::corrupt(format!("{}: the file was cut", doing())))
            }
            read => read.map_err(|error| Error::io(doing(), error)),
        }
    }
}

/// An open file at whose end bytes are written.
#[derive(Debug)]
struct DiskFile {
    file: File,
    full_path: PathBuf,
    /// The name relative to the store.
    path: String,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Writes,
    OnlySyncs,
}

impl DiskFile {
    fn open(doing: &str, path: &str, full_path: PathBuf, opened: io::Result<File>) -> Result<Box<dyn WritableFile>> {
        match opened {
            Ok(file) => Ok(Box::new(Self { file, full_path, path: path.to_owned(), role: Role::Writes })),
            Err(error) => Err(Error::io(format!("{doing} {}", full_path.display()), error)),
        }
    }

    fn may_write(&self) -> Result<()> {
        if self.role == Role::Writes {
            return Ok(());
        }
        Err(Error::invalid(format!("a sync handle of {} cannot write", self.full_path.display())))
    }

    fn failed(&self, doing: &str, error: io::Error) -> Error {
        Error::io(format!("{doing} {}", self.full_path.display()), error)
    }
}

impl WritableFile for DiskFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.may_write()?;
        // `write_all` goes on after short and interrupted writes.
        self.file.write_all(bytes).map_err(|error| self.failed("appending to", error))
    }

    fn sync(&mut self) -> Result<()> {
        if defects::skips_sync_of(&self.path) {
            return Ok(());
        }
        self.file.sync_data().map_err(|error| self.failed("syncing", error))
    }

    fn truncate(&mut self, len_bytes: u64) -> Result<()> {
        self.may_write()?;
        self.file.set_len(len_bytes).map_err(|error| self.failed("truncating", error))
    }

    fn sync_handle(&self) -> Result<Box<dyn WritableFile>> {
        let file = self.file.try_clone().map_err(|error| self.failed("duplicating the handle of", error))?;
        let (full_path, path) = (self.full_path.clone(), self.path.clone());
        Ok(Box::new(Self { file, full_path, path, role: Role::OnlySyncs }))
    }
}

#[cfg(test)]
mod tests;
