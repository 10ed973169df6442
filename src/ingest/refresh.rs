//! A read-only store looks again: what a writer of another process has done since.
//!
//! Looking again costs a replay of the logs, so it is done only if the manifest or a log is not as it was.
//! Segments that are still live stay mapped, with the tables they have read. Snapshots taken before keep
//! what they have.

use std::sync::{Arc, PoisonError};

use crate::error::{Error, Result};
use crate::os::{Directory, DirectoryEntry, Storage};
use crate::segment::Segment;

use super::engine::Engine;
use super::open::OpenRequest;

/// Bytes of a manifest that tell it from the one it replaced.
const MANIFEST_HEAD_BYTES: usize = 48;

/// What changes whenever a writer does something: lengths of manifests and logs, and the manifest's header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Footprint {
    manifests: Vec<DirectoryEntry>,
    head: Vec<u8>,
    logs: Vec<DirectoryEntry>,
}

impl Footprint {
    /// What the storage shows now. A file that goes meanwhile makes it one that equals no other.
    pub fn of(storage: &dyn Storage) -> Result<Self> {
        let mut manifests = storage.list(Directory::Root)?;
        manifests.retain(|entry| entry.name.starts_with("MANIFEST"));
        let manifest = storage.map("MANIFEST");
        let head = manifest.and_then(|file| file.head(MANIFEST_HEAD_BYTES).map(<[u8]>::to_vec)).unwrap_or_default();
        Ok(Self { manifests, head, logs: storage.list(Directory::Log)? })
    }
}

impl Engine {
    /// Reads the store again if it was opened read-only and a writer has changed it; true if so. What this
    /// finds damaged is in `Store::verify`, not in the report of the opening.
    ///
    /// # Errors
    /// As opening; the store stays as it was read before. NotAStore if another store lies there by now.
    pub fn refresh(&self) -> Result<bool> {
        if self.writer.is_some() {
            return Ok(false);
        }
        // Taken before reading: what changes meanwhile is seen by the next call.
        let footprint = Footprint::of(self.storage.as_ref())?;
        let mut known = self.footprint.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == footprint {
            return Ok(false);
        }
        let reuse: Vec<Arc<Segment>> = self.lock().segments.iter().map(|part| part.segment.clone()).collect();
        let request = OpenRequest {
            storage: self.storage.clone(),
            clock: self.clock.clone(),
            options: self.options.clone(),
            read_only: true,
            create: false,
        };
        let fresh = request.open_again(&reuse)?;
        if fresh.store_id != self.store_id {
            let (place, old, new) = (self.storage.place(), self.store_id, fresh.store_id);
            let text = format!("{place} holds store {new:016x} now, not {old:016x}; open it again");
            return Err(Error::new(crate::error::ErrorKind::NotAStore, text));
        }
        let mut live = fresh.live.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut current = self.lock();
        live.closed = current.closed.take();
        self.acknowledged.reset(live.head.next_sequence);
        *current = live;
        *self.retention.lock().unwrap_or_else(PoisonError::into_inner) =
            fresh.retention.into_inner().unwrap_or_else(PoisonError::into_inner);
        *known = footprint;
        Ok(true)
    }
}
