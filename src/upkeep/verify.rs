//! Reading every byte of a store.

use crate::catalog::{Contents, look};
use crate::error::{ErrorKind, Result};
use crate::ingest::{Damage, Engine};
use crate::log::{FileId, LogEnding, LogIdentity, replay};
use crate::segment::{Segment, store_of_segment};

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
    report.damaged.extend(found.damage.iter().map(Damage::of_manifest));
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
    let whole = |problem: String| Damage::of_segment(id, problem, rows);
    let file = match engine.storage().map(&path) {
        Ok(file) => file,
        Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotFound) => {
            report.damaged.push(whole("the file is missing".to_owned()));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    report.files_checked += 1;
    report.bytes_checked += file.len_bytes();
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
    report.bytes_checked += file.len_bytes();
    let identity = LogIdentity { store: engine.store_id(), file: id, ending };
    let replayed = replay(file.bytes()?, identity, |_, _| Ok(()))?;
    report.damaged.extend(replayed.damage.iter().map(|damage| Damage::of_log(id, damage)));
    Ok(())
}
