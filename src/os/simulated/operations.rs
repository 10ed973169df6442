//! The simulated disk as a [`Storage`]: names errors and hands every call to the state.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::super::aligned::AlignedBytes;
use super::super::defects;
use super::super::on_demand::{OnDemand, ReadAt};
use super::super::storage::{Directory, DirectoryEntry, FileBytes, LockGuard, Storage, WritableFile};
use super::names::FileId;
use super::state::{Outcome, directory_path};
use super::{OperationKind, SimulatedDisk};
use crate::error::{Error, ErrorKind, Result};

impl SimulatedDisk {
    fn named<T>(&self, kind: OperationKind, path: &str, outcome: Outcome<T>) -> Result<T> {
        outcome.map_err(|error| Error::io(format!("{} {}/{path}", kind.doing(), self.place()), error))
    }

    fn writable(&self, file: FileId, path: &str, role: Role) -> Box<dyn WritableFile> {
        Box::new(Handle { disk: self.clone(), file, path: path.to_owned(), role })
    }
}

impl Storage for SimulatedDisk {
    fn place(&self) -> String {
        format!("simulated-{}", self.state().seed)
    }

    fn exists(&self) -> Result<bool> {
        let outcome = self.state().admit_whole(OperationKind::List, directory_path(Directory::Root));
        self.named(OperationKind::List, directory_path(Directory::Root), outcome)?;
        Ok(self.state().root_exists())
    }

    fn create_directories(&self) -> Result<()> {
        let outcome = self.state().create_directories();
        self.named(OperationKind::CreateDirectory, directory_path(Directory::Root), outcome)
    }

    fn list(&self, directory: Directory) -> Result<Vec<DirectoryEntry>> {
        let path = directory_path(directory);
        let outcome = self.state().admit_whole(OperationKind::List, path);
        self.named(OperationKind::List, path, outcome)?;
        let entries = self.state().entries(directory);
        Ok(entries.into_iter().map(|(name, len_bytes)| DirectoryEntry { name, len_bytes }).collect())
    }

    fn create(&self, path: &str) -> Result<Box<dyn WritableFile>> {
        let outcome = self.state().create(path);
        Ok(self.writable(self.named(OperationKind::Create, path, outcome)?, path, Role::Writes))
    }

    fn open_append(&self, path: &str) -> Result<Box<dyn WritableFile>> {
        let outcome = self.state().open(path);
        Ok(self.writable(self.named(OperationKind::Open, path, outcome)?, path, Role::Writes))
    }

    fn read(&self, path: &str, len_max: u64) -> Result<Vec<u8>> {
        let outcome = self.state().bytes(OperationKind::Read, path).map(<[u8]>::to_vec);
        let bytes = self.named(OperationKind::Read, path, outcome)?;
        if bytes.len() as u64 > len_max {
            return Err(Error::corrupt(format!("{}/{path} is longer than {len_max} bytes", self.place())));
        }
        Ok(bytes)
    }

    fn map(&self, path: &str) -> Result<Arc<dyn FileBytes>> {
        let (outcome, on_demand) = {
            let mut state = self.state();
            let on_demand = state.reads_on_demand;
            (state.bytes(OperationKind::Map, path).map(AlignedBytes::copy_of), on_demand)
        };
        let bytes = self.named(OperationKind::Map, path, outcome)??;
        if !on_demand {
            return Ok(Arc::new(bytes));
        }
        let len = bytes.len_bytes();
        Ok(Arc::new(OnDemand::new(Arc::new(Pieces { disk: self.clone(), path: path.to_owned(), bytes }), len)))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let outcome = self.state().rename(from, to);
        self.named(OperationKind::Rename, &format!("{from} to {to}"), outcome)
    }

    fn remove(&self, path: &str) -> Result<()> {
        let outcome = self.state().remove(path);
        self.named(OperationKind::Remove, path, outcome)
    }

    fn sync_directory(&self, directory: Directory) -> Result<()> {
        if defects::skips_directory_sync() {
            return Ok(());
        }
        let outcome = self.state().sync_directory(directory);
        self.named(OperationKind::SyncDirectory, directory_path(directory), outcome)
    }

    fn lock(&self) -> Result<Box<dyn LockGuard>> {
        let outcome = self.state().admit_whole(OperationKind::Lock, "LOCK");
        self.named(OperationKind::Lock, "LOCK", outcome)?;
        if std::mem::replace(&mut self.state().locked, true) {
            let (place, pid) = (self.place(), std::process::id());
            let message = format!("store {place} is being written by process {pid}; stop it or open read-only");
            return Err(Error::new(ErrorKind::Locked, message));
        }
        Ok(Box::new(Held(self.clone())))
    }

    fn random_u64(&self) -> u64 {
        self.state().random.next_u64()
    }
}

/// The writer's lock of a simulated disk.
struct Held(SimulatedDisk);

impl LockGuard for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({:?})", self.0)
    }
}

/// An open file.
#[derive(Debug)]
struct Handle {
    disk: SimulatedDisk,
    file: FileId,
    path: String,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Writes,
    OnlySyncs,
}

impl Handle {
    fn may_write(&self, kind: OperationKind) -> Result<()> {
        let refused = io::Error::new(io::ErrorKind::InvalidInput, "a sync handle cannot write");
        let outcome = if self.role == Role::Writes { Ok(()) } else { Err(refused) };
        self.disk.named(kind, &self.path, outcome)
    }
}

impl WritableFile for Handle {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.may_write(OperationKind::Append)?;
        let outcome = self.disk.state().append(self.file, &self.path, bytes);
        self.disk.named(OperationKind::Append, &self.path, outcome)
    }

    fn sync(&mut self) -> Result<()> {
        if defects::skips_sync_of(&self.path) {
            return Ok(());
        }
        let outcome = self.disk.state().sync(self.file, &self.path);
        self.disk.named(OperationKind::Sync, &self.path, outcome)
    }

    fn truncate(&mut self, len_bytes: u64) -> Result<()> {
        self.may_write(OperationKind::Truncate)?;
        let outcome = self.disk.state().truncate(self.file, &self.path, len_bytes);
        self.disk.named(OperationKind::Truncate, &self.path, outcome)
    }

    fn sync_handle(&self) -> Result<Box<dyn WritableFile>> {
        Ok(self.disk.writable(self.file, &self.path, Role::OnlySyncs))
    }
}

/// A file whose pieces are read one by one; the power may go and reads may fail in between.
#[derive(Debug)]
struct Pieces {
    disk: SimulatedDisk,
    path: String,
    bytes: AlignedBytes,
}

impl ReadAt for Pieces {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let outcome = self.disk.state().admit_whole(OperationKind::ReadPiece, &self.path);
        self.disk.named(OperationKind::ReadPiece, &self.path, outcome)?;
        out.copy_from_slice(self.bytes.range(offset, out.len())?);
        Ok(())
    }
}
