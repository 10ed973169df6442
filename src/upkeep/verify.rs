//! Reading every byte of a store.

use crate::catalog::{Contents, look};
use crate::error::{ErrorKind, Result};
use crate::ingest::Engine;
use crate::log::{FileId, LogEnding, LogIdentity, replay};
use crate::segment::{Segment, store_of_segment};

/// One damaged unit.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// What reading every byte found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Files read.
    pub files_checked: u64,
    /// Bytes read.
    pub bytes_checked: u64,
    /// Every damaged unit.
    pub damaged: Vec<Damage>,
}

/// Reads manifest, logs and segments of an open store.
///
/// # Errors
/// What the storage says; damage is no error.
pub fn verify(engine: &Engine) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let storage = engine.storage().as_ref();
    let Contents::Store(found) = look(storage, &store_of_segment)? else { return Ok(report) };
    for damage in &found.damage {
        report.damaged.push(Damage {
            file: damage.file.clone(),
            offset: damage.offset,
            kind: "manifest".to_owned(),
            problem: damage.problem.clone(),
            rows_affected: 0,
        });
    }
    report.files_checked += 1;
    for segment in found.catalog.segments() {
        verify_segment(engine, segment.info.id, segment.info.rows, &mut report)?;
    }
    let logs: Vec<FileId> = found.catalog.logs().map(|(id, _)| id).collect();
    for (i, id) in logs.iter().enumerate() {
        let ending = if i + 1 < logs.len() { LogEnding::Complete { next_sequence: None } } else { LogEnding::Open };
        verify_log(engine, *id, ending, &mut report)?;
    }
    Ok(report)
}

fn verify_segment(engine: &Engine, id: FileId, rows: u64, report: &mut VerifyReport) -> Result<()> {
    let path = id.segment_path();
    let whole = |problem: String| Damage {
        file: path.clone(),
        offset: 0,
        kind: "segment".to_owned(),
        problem,
        rows_affected: rows,
    };
    let file = match engine.storage().map(&path) {
        Ok(file) => file,
        Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotFound) => {
            report.damaged.push(whole("the file is missing".to_owned()));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    report.files_checked += 1;
    report.bytes_checked += file.bytes().len() as u64;
    let seed = crate::bytes::Seed { store: engine.store_id(), file: id.0 };
    match Segment::open(id.0, id.segment_name(), file, seed) {
        Ok(segment) => report.damaged.extend(segment.verify().into_iter().map(|unit| Damage {
            file: path.clone(),
            offset: unit.offset,
            kind: unit.unit,
            problem: unit.problem,
            rows_affected: unit.rows_affected,
        })),
        Err(error) if error.kind() == ErrorKind::Corrupt => report.damaged.push(whole(error.to_string())),
        Err(error) => return Err(error),
    }
    Ok(())
}

fn verify_log(engine: &Engine, id: FileId, ending: LogEnding, report: &mut VerifyReport) -> Result<()> {
    let path = id.log_path();
    let file = match engine.storage().map(&path) {
        Ok(file) => file,
        // A log sealed meanwhile is gone rightly.
        Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotFound) => return Ok(()),
        Err(error) => return Err(error),
    };
    report.files_checked += 1;
    report.bytes_checked += file.bytes().len() as u64;
    let identity = LogIdentity { store: engine.store_id(), file: id, ending };
    let replayed = replay(file.bytes(), identity, |_, _| Ok(()))?;
    report.damaged.extend(replayed.damage.into_iter().map(|damage| Damage {
        file: path.clone(),
        offset: damage.offset,
        kind: "log".to_owned(),
        problem: damage.problem,
        rows_affected: damage.sequences.map_or(0, |s| s.end - s.start),
    }));
    Ok(())
}
