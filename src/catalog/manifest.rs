//! The manifest of a store that is open for writing.
//!
//! A commit is appended, synced, and only then visible: what a reader of the catalog sees has survived any
//! crash. When the file has grown it is replaced:
//!
//! ```text
//! write MANIFEST.new, sync it, sync the directory      MANIFEST is current
//! rename MANIFEST to MANIFEST.old                      both others are whole and say the same
//! rename MANIFEST.new to MANIFEST, sync the directory  the new one is current
//! ```
//!
//! A crash may undo or swap the renames: in every case MANIFEST, or MANIFEST.new and MANIFEST.old together,
//! hold all that was committed. No commit is accepted between the two.
//!
//! A commit whose append fails is undone by cutting the file, and the next may succeed. Where that fails
//! too, or a sync fails, it is unknown whether the commit will be there after a crash: the manifest closes,
//! and the files that the commit names must be left alone until the store was opened again.

use std::sync::{Arc, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::log::FileId;
use crate::os::defects::{self, Defect};
use crate::os::{Directory, Mutex, MutexGuard, Storage, WritableFile};

use super::edit::Edit;
use super::frame::{ManifestHeader, frame};
use super::load::{Found, MANIFEST, MANIFEST_NEW, MANIFEST_OLD, Trust};
use super::recover::{LogToReplay, Plan};
use super::state::Catalog;

/// File ids reserved by one commit.
const FILE_ID_STRIDE: u64 = 16;
/// Bytes of commits after which a manifest is replaced, unless its first frame is larger.
const COMMITS_BYTES_MAX: u64 = 1 << 20;

/// The manifest, open for commits. One per store.
#[derive(Debug)]
pub struct Manifest {
    storage: Arc<dyn Storage>,
    store: u64,
    inner: Mutex<Inner>,
    /// What readers see. Apart, so that they never wait for a sync.
    visible: Mutex<Arc<Catalog>>,
}

#[derive(Debug)]
struct Inner {
    file: Box<dyn WritableFile>,
    header: ManifestHeader,
    len: u64,
    next_number: u64,
    /// The length at which the file is replaced.
    rewrite_at: u64,
    next_id: FileId,
    /// Why nothing is accepted any more.
    closed: Option<String>,
}

/// What becomes of the MANIFEST that is replaced.
enum Previous {
    /// There is none.
    None,
    /// It is whole: the spare.
    Old,
    /// It is damaged: put aside.
    Quarantine,
}

impl Manifest {
    /// Creates the manifest of a new store, durably. The directories exist and the lock is held.
    ///
    /// # Errors
    /// What the storage says.
    pub fn create(storage: Arc<dyn Storage>, store: u64) -> Result<Self> {
        let mut catalog = Catalog::default();
        catalog.reserve_file_ids(FileId(1 + FILE_ID_STRIDE));
        let header = ManifestHeader { store, generation: 1, previous: 0 };
        let (file, len) = begin(storage.as_ref(), header, &catalog)?;
        put_in_place(storage.as_ref(), header, Previous::None)?;
        Ok(Self::over(storage, file, header, len, 1, catalog, FileId(1)))
    }

    /// Goes on with a store that was found. `edits` are added to what the manifest says: the segments that
    /// were adopted and the dirty bytes that follow from them. Nothing is removed from disk.
    ///
    /// A new manifest is begun in any case: the end of the old one may be a commit whose sync failed, which
    /// no later sync makes durable. A damaged one is moved to `quarantine/`.
    ///
    /// # Errors
    /// Invalid if the edits contradict the catalog; what the storage says.
    pub fn resume(storage: Arc<dyn Storage>, found: &Found, plan: &Plan, edits: &[Edit]) -> Result<Self> {
        let store = found.store.unwrap_or_else(|| storage.random_u64());
        let mut catalog = recovered(found, plan);
        edits.iter().try_for_each(|edit| catalog.apply(edit)).map_err(as_invalid)?;
        // What was read may lie in the operating system's memory alone, after the death of a process.
        storage.sync_directory(Directory::Log)?;
        if found.new_is_current {
            storage.rename(MANIFEST_NEW, MANIFEST)?;
            storage.sync_directory(Directory::Root)?;
        }
        let next_id = first_free_id(&catalog);
        catalog.reserve_file_ids(FileId(next_id.0.saturating_add(FILE_ID_STRIDE)));
        let previous = found.current_generation;
        let header = ManifestHeader { store, generation: found.generation.saturating_add(1), previous };
        let exists = found.listing.root.iter().any(|entry| entry.name == MANIFEST);
        let previous = match (exists, found.current_is_whole || found.new_is_current) {
            (_, true) => Previous::Old,
            (true, false) => Previous::Quarantine,
            (false, false) => Previous::None,
        };
        let (file, len) = begin(storage.as_ref(), header, &catalog)?;
        put_in_place(storage.as_ref(), header, previous)?;
        Ok(Self::over(storage, file, header, len, 1, catalog, next_id))
    }

    /// Writes the manifest of a copy, durably: the same store, of its live files these alone.
    ///
    /// # Errors
    /// What the storage says.
    pub fn write_copy(
        storage: &dyn Storage,
        found: &Found,
        has_segment: impl Fn(FileId) -> bool,
        has_log: impl Fn(FileId) -> bool,
    ) -> Result<()> {
        let store = found.store.ok_or_else(|| Error::corrupt("nothing tells the id of the store"))?;
        let mut catalog = found.catalog.clone();
        catalog.drop_live(has_segment, has_log);
        catalog.keep_retired(|_| false, |_| false);
        let header = ManifestHeader { store, generation: found.generation.saturating_add(1), previous: 0 };
        begin(storage, header, &catalog)?;
        put_in_place(storage, header, Previous::None)
    }

    fn over(
        storage: Arc<dyn Storage>,
        file: Box<dyn WritableFile>,
        header: ManifestHeader,
        len: u64,
        next_number: u64,
        catalog: Catalog,
        next_id: FileId,
    ) -> Self {
        let rewrite_at = len.saturating_mul(2).max(COMMITS_BYTES_MAX);
        let inner = Inner { file, header, len, next_number, rewrite_at, next_id, closed: None };
        Self { storage, store: header.store, inner: Mutex::new(inner), visible: Mutex::new(Arc::new(catalog)) }
    }

    /// Id of the store, for checksums.
    pub fn store(&self) -> u64 {
        self.store
    }

    /// The live files as of the last commit. Never waits for one.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.visible.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn publish(&self, catalog: Catalog) -> Arc<Catalog> {
        let catalog = Arc::new(catalog);
        *self.visible.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&catalog);
        catalog
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits the edits: after a crash either all of them happened or none, and all of them once this has
    /// returned. Answers the catalog after them.
    ///
    /// # Errors
    /// Invalid if they contradict the catalog; NoSpace or Io if the storage refused and nothing happened;
    /// Closed if it is unknown whether they happened, or after such a failure: reopen the store, and remove
    /// no file that they name before.
    pub fn commit(&self, edits: &[Edit]) -> Result<Arc<Catalog>> {
        let mut inner = self.lock();
        let catalog = self.commit_locked(&mut inner, edits)?;
        if inner.len >= inner.rewrite_at {
            // A manifest that stays long is no failure of this commit.
            if self.rewrite_locked(&mut inner, &catalog).is_err() {
                inner.rewrite_at = inner.len.saturating_mul(2);
            }
        }
        Ok(catalog)
    }

    fn commit_locked(&self, inner: &mut Inner, edits: &[Edit]) -> Result<Arc<Catalog>> {
        inner.check_open()?;
        let next = self.catalog().with(edits).map_err(as_invalid)?;
        let bytes = frame(inner.header, inner.len, inner.next_number, edits)?;
        inner.append_durably(&bytes)?;
        Ok(self.publish(next))
    }

    /// An id that no file has and none will have but the caller's.
    ///
    /// # Errors
    /// As [`Manifest::commit`].
    pub fn allocate_file_id(&self) -> Result<FileId> {
        let mut inner = self.lock();
        let id = inner.next_id;
        if id >= self.catalog().next_file_id() {
            let next = FileId(id.0.saturating_add(FILE_ID_STRIDE));
            self.commit_locked(&mut inner, &[Edit::NextFileId { id: next }])?;
        }
        inner.next_id = FileId(id.0.saturating_add(1));
        Ok(id)
    }

    /// Tells that these retired files were removed and their directories synced. Needs no commit: a file
    /// that is remembered and gone costs a few bytes.
    pub fn forget_retired(&self, segments: &[FileId], logs: &[FileId]) {
        let _inner = self.lock();
        let mut catalog = Catalog::clone(&self.catalog());
        catalog.keep_retired(|id| !segments.contains(&id), |id| !logs.contains(&id));
        self.publish(catalog);
    }

    /// Replaces the manifest by one that says the same in fewer bytes. Commits do it by themselves.
    ///
    /// # Errors
    /// NoSpace or Io if the current one stays; Closed if it is unknown which is current.
    #[cfg(test)]
    pub fn rewrite(&self) -> Result<()> {
        let mut inner = self.lock();
        inner.check_open()?;
        self.rewrite_locked(&mut inner, &self.catalog())
    }

    fn rewrite_locked(&self, inner: &mut Inner, catalog: &Catalog) -> Result<()> {
        let previous = inner.header.generation;
        let header = ManifestHeader { store: self.store, generation: previous.saturating_add(1), previous };
        let storage = self.storage.as_ref();
        let (file, len) = begin(storage, header, catalog).inspect_err(|_| {
            // It is ignored while MANIFEST exists; if it stays, the next attempt removes it.
            let _ = storage.remove(MANIFEST_NEW);
        })?;
        if let Err(error) = put_in_place(storage, header, Previous::Old) {
            inner.closed = Some(error.to_string());
            return Err(inner.check_open().expect_err("it was just closed"));
        }
        inner.file = file;
        inner.header = header;
        inner.len = len;
        inner.next_number = 1;
        inner.rewrite_at = len.saturating_mul(2).max(COMMITS_BYTES_MAX);
        Ok(())
    }
}

impl Inner {
    fn check_open(&self) -> Result<()> {
        match &self.closed {
            None => Ok(()),
            Some(cause) => {
                Err(Error::new(ErrorKind::Closed, format!("{MANIFEST}: a write failed ({cause}); reopen the store")))
            }
        }
    }

    fn append_durably(&mut self, bytes: &[u8]) -> Result<()> {
        if let Err(error) = self.file.append(bytes) {
            let undone = self.file.truncate(self.len).and_then(|()| self.file.sync());
            if undone.is_ok() {
                return Err(error.at(MANIFEST));
            }
            self.closed = Some(error.to_string());
            return self.check_open();
        }
        let mut synced = self.file.sync();
        if synced.is_err() && defects::active(Defect::RetryFailedSync) {
            synced = self.file.sync();
        }
        if let Err(error) = synced {
            self.closed = Some(error.to_string());
            return self.check_open();
        }
        self.len += bytes.len() as u64;
        self.next_number += 1;
        Ok(())
    }
}

fn as_invalid(error: Error) -> Error {
    Error::invalid(format!("the edit contradicts the catalog: {error}"))
}

/// The catalog to go on with: what was read, with unnamed logs, without what is certainly gone.
fn recovered(found: &Found, plan: &Plan) -> Catalog {
    let mut catalog = found.catalog.clone();
    catalog.reserve_file_ids(plan.next_file_id);
    let unnamed = plan.logs.iter().filter(|log| !log.named);
    catalog.adopt_logs(unnamed.map(|log: &LogToReplay| (log.id, log.first_sequence.unwrap_or(0))));
    let segments = |id: FileId| found.listing.segments.contains(&id);
    let logs = |id: FileId| found.listing.logs.iter().any(|log| log.id == id);
    if found.trust != Trust::Intact {
        // The commit that removed them is among the lost ones; else they are reported as missing for ever.
        catalog.drop_live(segments, logs);
    }
    catalog.keep_retired(segments, logs);
    catalog
}

fn first_free_id(catalog: &Catalog) -> FileId {
    if defects::active(Defect::ReuseFileIds) {
        let highest = catalog.segments().map(|segment| segment.info.id).max();
        return highest.map_or(FileId(1), |id| FileId(id.0 + 1));
    }
    catalog.next_file_id()
}

/// Writes MANIFEST.new, whole and durable. Answers it and its length.
fn begin(storage: &dyn Storage, header: ManifestHeader, catalog: &Catalog) -> Result<(Box<dyn WritableFile>, u64)> {
    if storage.list(Directory::Root)?.iter().any(|entry| entry.name == MANIFEST_NEW) {
        storage.remove(MANIFEST_NEW)?;
    }
    let mut bytes = header.to_bytes();
    bytes.extend(frame(header, bytes.len() as u64, 0, &catalog.as_edits())?);
    let mut file = storage.create(MANIFEST_NEW)?;
    file.append(&bytes).and_then(|()| file.sync()).map_err(|error| error.at(MANIFEST_NEW))?;
    storage.sync_directory(Directory::Root)?;
    Ok((file, bytes.len() as u64))
}

/// Makes MANIFEST.new the current manifest, durably.
fn put_in_place(storage: &dyn Storage, header: ManifestHeader, previous: Previous) -> Result<()> {
    match previous {
        Previous::None => {}
        Previous::Old => storage.rename(MANIFEST, MANIFEST_OLD)?,
        Previous::Quarantine => {
            storage.rename(MANIFEST, &Directory::Quarantine.join(&format!("{MANIFEST}.{}", header.generation)))?;
            storage.sync_directory(Directory::Quarantine)?;
        }
    }
    storage.rename(MANIFEST_NEW, MANIFEST)?;
    storage.sync_directory(Directory::Root)
}
