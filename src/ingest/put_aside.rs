//! Putting damaged bytes aside: what a person or a better tool may still want is never destroyed.
//!
//! `quarantine/` is never read and never removed by a store. A segment gets its second name, or is copied, there before
//! the manifest lets it go; damaged ranges of a log are copied when the log is opened for writing, because sealing
//! removes the log:
//!
//! ```text
//! quarantine/000000000012.seg          a segment
//! quarantine/000000000007.log.4096     what stood from byte 4096 on
//! ```

use crate::catalog::{Edit, SegmentPart};
use crate::error::{ErrorKind, Result};
use crate::index::TraceSet;
use crate::log::{FileId, LogDamage};
use crate::os::{Directory, Storage};
use crate::part::ReadCounter;

use super::engine::Engine;
use super::merge::{Dropped, MergeSummary};
use super::retire::Upkeep;

/// Second names of a file that are tried if another file has the first.
const NAMES_TRIED: u32 = 1000;

/// Keeps these bytes in quarantine, durably, unless a file there has the same already. Answers its path.
pub(super) fn put_aside(storage: &dyn Storage, name: &str, path: Option<&str>, bytes: &[u8]) -> Result<String> {
    let there = storage.list(Directory::Quarantine)?;
    let mut aside = Directory::Quarantine.join(name);
    for next in 1..NAMES_TRIED {
        let taken = there.iter().any(|entry| Directory::Quarantine.join(&entry.name) == aside);
        if !taken {
            break;
        }
        if storage.map(&aside)?.bytes()? == bytes {
            storage.sync_directory(Directory::Quarantine)?;
            return Ok(aside);
        }
        aside = Directory::Quarantine.join(&format!("{name}.{next}"));
    }
    // A second name costs no space, but not every file system has such.
    let location = path.and_then(|path| storage.location(path));
    let linked = location.is_some_and(|location| storage.link(&location, &aside).is_ok());
    if !linked {
        let mut file = storage.create(&aside)?;
        file.append(bytes)?;
        file.sync()?;
    }
    storage.sync_directory(Directory::Quarantine)?;
    Ok(aside)
}

/// Keeps the damaged ranges of a log.
pub(super) fn put_aside_of_log(storage: &dyn Storage, id: FileId, bytes: &[u8], damage: &[LogDamage]) -> Result<()> {
    for range in damage {
        let from = usize::try_from(range.offset).unwrap_or(usize::MAX).min(bytes.len());
        let until = from.saturating_add(usize::try_from(range.len_bytes).unwrap_or(usize::MAX)).min(bytes.len());
        if from < until {
            put_aside(storage, &format!("{}.{}", id.log_name(), range.offset), None, &bytes[from..until])?;
        }
    }
    Ok(())
}

impl Engine {
    /// Takes a segment out of the store and keeps its file in quarantine. Answers where.
    ///
    /// # Errors
    /// NoSpace or Io if the storage refuses; nothing changed then but that there may be a copy in quarantine.
    pub(crate) fn quarantine_segment(&self, upkeep: &Upkeep<'_>, id: FileId) -> Result<String> {
        let aside = self.copy_aside(id)?;
        self.remove_segments(upkeep, &[id])?;
        Ok(aside)
    }

    /// Writes a damaged segment anew with the traces that can be read, and keeps the damaged one in quarantine. `None` if
    /// what tells its traces cannot be read: it stays as it is then.
    ///
    /// # Errors
    /// NoSpace or Io if the storage refuses; it stays as it is then.
    pub(crate) fn rewrite_segment(&self, upkeep: &Upkeep<'_>, id: FileId) -> Result<Option<MergeSummary>> {
        let part = self.snapshot().segments.iter().find(|part| part.segment.id() == id.0).cloned();
        let Some(part) = part else { return Ok(None) };
        let aside = self.copy_aside(id)?;
        let dropped = Dropped { segment: id, traces: unreadable(&part)?, are_unreadable: true };
        match self.merge_group(upkeep, &[id], Some(&dropped)) {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                // It is still there itself.
                self.storage.remove(&aside)?;
                self.storage.sync_directory(Directory::Quarantine)?;
                Ok(None)
            }
            merged => merged.map(Some),
        }
    }

    /// Takes a segment whose file is gone out of the manifest.
    ///
    /// # Errors
    /// NoSpace or Io if the manifest refuses.
    pub(crate) fn forget_missing(&self, _upkeep: &Upkeep<'_>, id: FileId) -> Result<()> {
        let remove = Edit::RemoveSegments { ids: vec![id], replaced_by: Vec::new() };
        self.writer()?.manifest.commit(&[remove]).map(drop)
    }

    fn copy_aside(&self, id: FileId) -> Result<String> {
        let path = id.segment_path();
        let file = self.storage.map(&path)?;
        put_aside(self.storage.as_ref(), &id.segment_name(), Some(&path), file.bytes()?)
    }
}

/// Live traces of a segment of which something cannot be read. Holds one at a time.
fn unreadable(part: &SegmentPart) -> Result<TraceSet> {
    let counter = ReadCounter::limited(usize::MAX);
    let mut out = TraceSet::new();
    for ordinal in (0..part.segment.traces()).filter(|ordinal| !part.deleted.contains(*ordinal)) {
        match part.segment.trace_spans(ordinal, &counter) {
            Err(error) if error.kind() == ErrorKind::Corrupt => drop(out.insert(ordinal)),
            read => drop(read?),
        }
    }
    Ok(out)
}
