//! What opening a store found and lost.

use crate::catalog::{ManifestDamage, MissingFile};
use crate::log::{FileId, LogDamage};

/// One damaged unit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The file, relative to the store.
    pub file: String,
    /// First damaged byte, as far as known.
    pub offset: u64,
    /// What kind of unit it is.
    pub kind: String,
    /// What is wrong.
    pub problem: String,
    /// Rows that cannot be read in full because of it.
    pub rows_affected: u64,
}

impl Damage {
    /// Damage of a manifest.
    pub fn of_manifest(damage: &ManifestDamage) -> Self {
        Self {
            file: damage.file.clone(),
            offset: damage.offset,
            kind: "manifest".to_owned(),
            problem: damage.problem.clone(),
            rows_affected: 0,
        }
    }

    /// Damage of a log.
    pub fn of_log(id: FileId, damage: &LogDamage) -> Self {
        Self {
            file: id.log_path(),
            offset: damage.offset,
            kind: "log".to_owned(),
            problem: damage.problem.clone(),
            rows_affected: damage.sequences.as_ref().map_or(0, |sequences| sequences.end - sequences.start),
        }
    }

    /// A segment of which nothing can be used.
    pub fn of_segment(id: FileId, problem: impl Into<String>, rows_affected: u64) -> Self {
        let (file, kind) = (id.segment_path(), "segment".to_owned());
        Self { file, offset: 0, kind, problem: problem.into(), rows_affected }
    }

    /// A live file that is not there.
    pub fn of_missing(missing: &MissingFile) -> Self {
        let (kind, problem) = ("file".to_owned(), "the file is missing".to_owned());
        Self { file: missing.path.clone(), offset: 0, kind, problem, rows_affected: missing.rows.unwrap_or(0) }
    }
}

/// What opening found and lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Spans read back from logs.
    pub replayed_spans: u64,
    /// Bytes of torn log tails that were cut; nothing in them was acknowledged as durable.
    pub torn_bytes: u64,
    /// What was put right without a loss, in words that name the file.
    pub notes: Vec<String>,
    /// Every loss or damage, in words that name the file.
    pub damage: Vec<String>,
    /// The same by unit, as [`crate::Store::verify`] lists what is still there.
    pub damaged: Vec<Damage>,
}

impl RecoveryReport {
    /// Notes a damaged unit, with what the words are.
    pub(super) fn lost(&mut self, damage: Damage, words: String) {
        self.damage.push(words);
        self.damaged.push(damage);
    }
}
