//! What to do with a store that was found: a plan, made without touching anything.
//!
//! A file on disk is live, retired, or not named at all. What the last means depends on the trust in the
//! manifest:
//!
//! | file not named | manifest intact | else |
//! |---|---|---|
//! | segment | a seal or merge that never finished: remove | perhaps live: adopt if it proves to be a segment |
//! | log | begun, never appended to: replay, finds nothing | replay |
//!
//! Two signs lower the trust in a manifest whose bytes are perfect, because it may be an old copy: a file
//! with an id that was not yet given out, and a live file that is not on disk.
//!
//! Adopting too much is harmless: the spans lie in two files then, and identical records are one record.

use std::collections::BTreeSet;

use crate::log::{FileId, LogEnding};
use crate::os::defects::{self, Defect};

use super::load::{Found, ListedLog, Trust};

/// A log to be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogToReplay {
    /// Which.
    pub id: FileId,
    /// How it may end: for [`crate::log::LogIdentity`].
    pub ending: LogEnding,
    /// Sequence of the first span appended to it, as far as manifest or header tell.
    pub first_sequence: Option<u64>,
    /// True if the manifest names it.
    pub named: bool,
}

/// A live file that is not on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingFile {
    /// Its path, relative to the store.
    pub path: String,
    /// Rows in it, if it is a segment.
    pub rows: Option<u64>,
    /// False if the manifest is damaged, so that the edit that removed it may be lost.
    pub certain: bool,
}

/// How much an unnamed segment must prove to be adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// Every page verifies: it may be one that was still being written.
    Whole,
    /// It opens: damaged pages are damage like any other.
    Opens,
}

/// What to do, in the order of the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How far the manifest can be believed, all signs considered.
    pub trust: Trust,
    /// Live segments on disk, by id: open them.
    pub segments: Vec<FileId>,
    /// Segments that no readable manifest names: those that prove themselves as `adoption` asks are live,
    /// others belong into quarantine.
    pub adopt: Vec<FileId>,
    /// What these must prove.
    pub adoption: Adoption,
    /// Logs, by id: replay them. Before going on, cut each to what is valid, and take one of which that is
    /// nothing out of this list and remove it.
    pub logs: Vec<LogToReplay>,
    /// Live files that are not on disk.
    pub missing: Vec<MissingFile>,
    /// Paths of files to remove, once the store is open for writing.
    pub remove: Vec<String>,
    /// The first id that no file has.
    pub next_file_id: FileId,
}

/// Makes the plan.
pub fn plan(found: &Found) -> Plan {
    let missing = missing(found);
    let trust = if missing.is_empty() && !is_older_than_its_files(found) { found.trust } else { Trust::Damaged };
    let is_live = |id: &FileId| found.catalog.segment(*id).is_some();
    let is_retired = |id: &FileId| found.catalog.retired_segments().contains(id);
    let on_disk = &found.listing.segments;
    let segments = on_disk.iter().filter(|id| is_live(id)).copied().collect();
    let unnamed: Vec<FileId> = on_disk.iter().filter(|id| !is_live(id) && !is_retired(id)).copied().collect();
    let mut remove: Vec<String> = on_disk.iter().filter(|id| is_retired(id)).map(|id| id.segment_path()).collect();
    let adopt = if trust == Trust::Intact {
        remove.extend(unnamed.iter().map(|id| id.segment_path()));
        Vec::new()
    } else {
        unnamed
    };
    let (kept_logs, old_logs) = split_logs(found);
    remove.extend(old_logs.iter().map(|log| log.id.log_path()));
    Plan {
        trust,
        segments,
        adopt,
        adoption: if trust == Trust::Damaged { Adoption::Opens } else { Adoption::Whole },
        logs: logs_to_replay(found, &kept_logs, trust),
        missing,
        remove,
        next_file_id: next_file_id(found),
    }
}

fn missing(found: &Found) -> Vec<MissingFile> {
    let certain = found.trust == Trust::Intact;
    let segments: BTreeSet<FileId> = found.listing.segments.iter().copied().collect();
    let logs: BTreeSet<FileId> = found.listing.logs.iter().map(|log| log.id).collect();
    let no_segment = found.catalog.segments().filter(|segment| !segments.contains(&segment.info.id));
    let no_segment = no_segment.map(|segment| MissingFile {
        path: segment.info.id.segment_path(),
        rows: Some(segment.info.rows),
        certain,
    });
    let no_log = found.catalog.logs().filter(|(id, _)| !logs.contains(id));
    no_segment.chain(no_log.map(|(id, _)| MissingFile { path: id.log_path(), rows: None, certain })).collect()
}

fn is_older_than_its_files(found: &Found) -> bool {
    highest_id_on_disk(found).is_some_and(|id| id >= found.catalog.next_file_id())
}

fn highest_id_on_disk(found: &Found) -> Option<FileId> {
    let logs = found.listing.logs.iter().map(|log| log.id);
    logs.chain(found.listing.segments.iter().copied()).max()
}

fn next_file_id(found: &Found) -> FileId {
    let above = highest_id_on_disk(found).map_or(1, |id| id.0.saturating_add(1));
    found.catalog.next_file_id().max(FileId(above))
}

/// Logs to be replayed and logs whose spans are sealed or gone.
fn split_logs(found: &Found) -> (Vec<ListedLog>, Vec<ListedLog>) {
    let retired =
        |log: &ListedLog| found.catalog.retired_logs().contains(&log.id) && !defects::active(Defect::ReplaySealedLog);
    let (old, mut kept): (Vec<_>, Vec<_>) = found.listing.logs.iter().copied().partition(retired);
    if defects::active(Defect::DeleteNewerLog) && found.catalog.segments().len() > 0 {
        kept.pop();
    }
    (kept, old)
}

fn logs_to_replay(found: &Found, logs: &[ListedLog], trust: Trust) -> Vec<LogToReplay> {
    let header = |log: &ListedLog| log.header.filter(|h| Some(h.store) == found.store && h.file == log.id);
    let first_sequence = |log: &ListedLog| {
        let named = found.catalog.logs().find(|(id, _)| *id == log.id).map(|(_, first)| first);
        named.or_else(|| header(log).map(|h| h.first_sequence))
    };
    // A log may count as appended to if it is named, or if the name may be lost.
    let is_begun = |log: &ListedLog| found.catalog.has_log(log.id) || trust != Trust::Intact;
    let replay = logs.iter().enumerate().map(|(index, log)| {
        let next = logs.iter().skip(index + 1).find(|log| is_begun(log));
        let ending = match next {
            _ if !is_begun(log) => LogEnding::Unfinished,
            Some(next) => LogEnding::Complete { next_sequence: first_sequence(next) },
            None => LogEnding::Open,
        };
        LogToReplay { id: log.id, ending, first_sequence: first_sequence(log), named: found.catalog.has_log(log.id) }
    });
    replay.collect()
}
