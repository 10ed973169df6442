//! Repair: damaged bytes go to `quarantine/`, and nothing is ever destroyed.
//!
//! | damage | what happens |
//! |---|---|
//! | manifest | opening for writing began a new one and moved the damaged one |
//! | range of a log | opening for writing copied it; sealing lets the log go |
//! | segment that cannot be opened | goes to quarantine, and from the manifest |
//! | segment whose damage parity mends, or that touches caches alone | written anew, the damaged file goes to quarantine |
//! | segment with rows that cannot be read | stays: all other rows are read from it |
//! | segment that is missing | goes from the manifest |

use std::collections::BTreeSet;

use crate::catalog::{Contents, look};
use crate::error::Result;
use crate::ingest::{Damage, Engine};
use crate::log::FileId;
use crate::os::Directory;
use crate::segment::store_of_segment;

use super::verify::verify;

/// What a repair found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// Files read.
    pub files_checked: u64,
    /// Bytes read.
    pub bytes_checked: u64,
    /// Every unit that was damaged when the store was opened, or is.
    pub damaged: Vec<Damage>,
    /// Files in quarantine, those of earlier repairs among them.
    pub quarantined: Vec<String>,
    /// Segments that were written anew.
    pub segments_rewritten: u64,
    /// Segments that went to quarantine, or that were missing.
    pub segments_removed: u64,
    /// Damaged segments that stay because their tables of traces are damaged: the rest is read from them.
    pub segments_left: u64,
}

/// Repairs a store that is open for writing.
///
/// # Errors
/// Invalid on a store opened read-only; what the storage says.
pub fn repair(engine: &Engine) -> Result<RepairReport> {
    // Damaged logs go with what was read from them.
    if !engine.recovery().damaged.is_empty() {
        engine.seal()?;
    }
    let upkeep = engine.upkeep()?;
    let verified = verify(engine)?;
    let mut out = RepairReport {
        files_checked: verified.files_checked,
        bytes_checked: verified.bytes_checked,
        damaged: engine.recovery().damaged.clone(),
        ..RepairReport::default()
    };
    let segment_of = |damage: &Damage| damage.file.strip_prefix("seg/").and_then(FileId::from_segment_name);
    let damaged: BTreeSet<FileId> = verified.damaged.iter().filter_map(segment_of).collect();
    for damage in verified.damaged {
        if !out.damaged.iter().any(|known| (&known.file, known.offset) == (&damage.file, damage.offset)) {
            out.damaged.push(damage);
        }
    }
    let there = look(engine.storage().as_ref(), &store_of_segment)?;
    let is_there = |id: &FileId| matches!(&there, Contents::Store(found) if found.listing.segments.contains(id));
    let open: BTreeSet<FileId> = engine.snapshot().segments.iter().map(|part| FileId(part.segment.id())).collect();
    for id in damaged {
        if !is_there(&id) {
            // One that is open is read on as long as the store is.
            if !open.contains(&id) {
                engine.forget_missing(&upkeep, id)?;
                out.segments_removed += 1;
            }
            continue;
        }
        if !open.contains(&id) {
            engine.quarantine_segment(&upkeep, id)?;
            out.segments_removed += 1;
        } else if engine.rewrite_segment(&upkeep, id)?.is_some() {
            out.segments_rewritten += 1;
        } else {
            out.segments_left += 1;
        }
    }
    let aside = engine.storage().list(Directory::Quarantine)?;
    out.quarantined = aside.iter().map(|entry| Directory::Quarantine.join(&entry.name)).collect();
    Ok(out)
}
