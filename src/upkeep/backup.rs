//! A copy of a store at one moment, while others go on writing.
//!
//! The manifest says which files make the store at some moment, and everything in them up to then stays: segments
//! never change, a log only grows. So the copy is the segments (linked), the logs up to their last whole record
//! (copied, since they grow) and a manifest that names exactly these.
//!
//! ```text
//! BACKUP.unfinished   created first, durable: the directory is no store
//! seg/, log/          linked or copied, synced
//! MANIFEST            synced
//! BACKUP.unfinished   removed: it is one
//! ```
//! A file that went before it was copied was sealed or merged away: the manifest is read again, and what is still
//! named is kept.

use std::collections::BTreeSet;
use std::io;

use crate::catalog::{Contents, Found, Manifest, Plan, Trust, UNFINISHED_BACKUP, look, plan};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::Engine;
use crate::log::{FileId, LogIdentity, replay};
use crate::os::{Directory, FileBytes, Storage};
use crate::segment::store_of_segment;

/// Times the copy is begun again because a file went.
const ATTEMPTS: usize = 16;

/// What a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupSummary {
    /// Segments in it.
    pub segments: u64,
    /// Logs in it.
    pub logs: u64,
    /// Bytes of its segments and logs.
    pub bytes: u64,
    /// Files that share their bytes with the store.
    pub linked: u64,
    /// Files that were copied.
    pub copied: u64,
}

/// Copies the store into a vacant directory.
///
/// # Errors
/// See [`crate::Store::backup`].
pub fn backup(engine: &Engine, target: &dyn Storage) -> Result<BackupSummary> {
    if !target.is_vacant()? {
        return Err(Error::invalid(format!("{} is not empty; name a new directory for the backup", target.place())));
    }
    let existed = target.exists()?;
    let mut copy =
        Copy { source: engine.storage().as_ref(), target, linked: BTreeSet::new(), segments: BTreeSet::new() };
    let done = copy.run(engine.store_id());
    if done.is_err() {
        clear(target, existed);
    }
    done
}

/// Removes what a failed backup left. What cannot be removed is marked as unfinished.
fn clear(target: &dyn Storage, existed: bool) {
    for directory in [Directory::Segments, Directory::Log, Directory::Quarantine, Directory::Root] {
        let mut names: Vec<String> = target.list(directory).unwrap_or_default().into_iter().map(|e| e.name).collect();
        // The mark goes last.
        names.sort_by_key(|name| name == UNFINISHED_BACKUP);
        let removed = names.iter().try_for_each(|name| target.remove(&directory.join(name)));
        if removed.is_err() {
            return;
        }
        if directory != Directory::Root || !existed {
            let _ = target.remove_directory(directory);
        }
    }
}

struct Copy<'a> {
    source: &'a dyn Storage,
    target: &'a dyn Storage,
    segments: BTreeSet<FileId>,
    linked: BTreeSet<FileId>,
}

impl Copy<'_> {
    fn run(&mut self, store: u64) -> Result<BackupSummary> {
        self.target.create_directories()?;
        let lock = self.target.lock()?;
        self.target.create(UNFINISHED_BACKUP)?.sync()?;
        self.target.sync_directory(Directory::Root)?;
        let mut attempts = 1;
        let summary = loop {
            match self.attempt(store) {
                Ok(Some(summary)) => break summary,
                Ok(None) if attempts < ATTEMPTS => attempts += 1,
                // A manifest looks damaged while a commit is being written to it.
                Err(error) if error.kind() == ErrorKind::Corrupt && attempts < ATTEMPTS => attempts += 1,
                Err(error) => return Err(error),
                Ok(None) => {
                    let text = format!(
                        "{}: files were sealed and merged away as fast as they were copied",
                        self.source.place()
                    );
                    return Err(Error::new(ErrorKind::Busy, format!("{text}; try again")));
                }
            }
        };
        self.target.remove(UNFINISHED_BACKUP)?;
        self.target.sync_directory(Directory::Root)?;
        drop(lock);
        Ok(summary)
    }

    /// Copies what the manifest names now; `None` if a file went meanwhile.
    fn attempt(&mut self, store: u64) -> Result<Option<BackupSummary>> {
        let Contents::Store(found) = look(self.source, &store_of_segment)? else {
            return Err(Error::new(ErrorKind::NotAStore, format!("{} went away", self.source.place())));
        };
        let plan = plan(&found);
        if found.store != Some(store) || plan.trust == Trust::Damaged || !plan.adopt.is_empty() {
            let text = format!(
                "{}: the manifest is damaged; open the store for writing, which repairs it",
                self.source.place()
            );
            return Err(Error::corrupt(format!("{text}, and back up then")));
        }
        let mut bytes = 0;
        for id in self.segments.iter().filter(|id| !plan.segments.contains(id)) {
            self.target.remove(&id.segment_path())?;
        }
        self.segments.retain(|id| plan.segments.contains(id));
        for id in &plan.segments {
            match self.segment(*id)? {
                Some(len_bytes) => bytes += len_bytes,
                None => return Ok(None),
            }
        }
        for entry in self.target.list(Directory::Log)? {
            self.target.remove(&Directory::Log.join(&entry.name))?;
        }
        let Some((logs, log_bytes)) = self.logs(store, &plan)? else { return Ok(None) };
        self.target.sync_directory(Directory::Segments)?;
        self.target.sync_directory(Directory::Log)?;
        self.finish(&found, &logs)?;
        let linked = self.linked.intersection(&self.segments).count() as u64;
        let (segments, logs) = (self.segments.len() as u64, logs.len() as u64);
        Ok(Some(BackupSummary { segments, logs, bytes: bytes + log_bytes, linked, copied: segments + logs - linked }))
    }

    fn finish(&self, found: &Found, logs: &BTreeSet<FileId>) -> Result<()> {
        Manifest::write_copy(self.target, found, |id| self.segments.contains(&id), |id| logs.contains(&id))
    }

    /// Links or copies a segment, unless that was done before. Answers its length; `None` if it went.
    fn segment(&mut self, id: FileId) -> Result<Option<u64>> {
        let path = id.segment_path();
        let Some(file) = still_there(self.source.map(&path))? else { return Ok(None) };
        let len_bytes = file.len_bytes();
        if self.segments.contains(&id) {
            return Ok(Some(len_bytes));
        }
        let linked = self.source.location(&path).is_some_and(|location| self.target.link(&location, &path).is_ok());
        if linked {
            self.linked.insert(id);
        } else {
            self.write(&path, file.bytes()?)?;
        }
        self.segments.insert(id);
        Ok(Some(len_bytes))
    }

    /// Copies the logs up to their last whole record; `None` if one went.
    fn logs(&self, store: u64, plan: &Plan) -> Result<Option<(BTreeSet<FileId>, u64)>> {
        let (mut logs, mut bytes) = (BTreeSet::new(), 0);
        for log in plan.logs.iter().filter(|log| log.named) {
            let Some(file) = still_there(self.source.map(&log.id.log_path()))? else { return Ok(None) };
            let identity = LogIdentity { store, file: log.id, ending: log.ending };
            let valid = replay(file.bytes()?, identity, |_, _| Ok(()))?.valid_bytes;
            let valid = file.bytes()?.get(..usize::try_from(valid).unwrap_or(usize::MAX)).unwrap_or_default();
            if !valid.is_empty() {
                self.write(&log.id.log_path(), valid)?;
                logs.insert(log.id);
                bytes += valid.len() as u64;
            }
        }
        Ok(Some((logs, bytes)))
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let mut file = self.target.create(path)?;
        file.append(bytes)?;
        file.sync()
    }
}

/// `None` if the file went: a writer no longer needs it.
fn still_there(file: Result<std::sync::Arc<dyn FileBytes>>) -> Result<Option<std::sync::Arc<dyn FileBytes>>> {
    match file {
        Err(error) if error.io_kind() == Some(io::ErrorKind::NotFound) => Ok(None),
        file => file.map(Some),
    }
}
