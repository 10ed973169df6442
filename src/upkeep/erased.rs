//! Whether a deleted trace is erased: no file holds a row of it.
//!
//! Rows are found by structure: the trace tables of segments, whether the ordinal is dead or not, and the rows of
//! log records, whether a later record deletes them or not. Every file is looked into, also those that are no
//! longer live and those in quarantine. Where structure ends (a torn log tail, damage) the bytes of the id are
//! searched for instead; a segment that cannot be read proves nothing and is listed.
//!
//! The id may still be named: by links of other traces, and by the record of the delete. Neither is a row.

use std::io;

use crate::bytes::Seed;
use crate::error::{ErrorKind, Result};
use crate::head::{Chapter, apply_record, trace_id_of};
use crate::ingest::Engine;
use crate::log::{FileId, LogEnding, LogIdentity, RecordKind, replay};
use crate::model::TraceId;
use crate::os::Directory;
use crate::part::ReadCounter;
use crate::segment::Segment;

/// Bytes of an id that are not zero for its bytes to prove anything: those of a small number occur by chance.
const TELLING_BYTES_MIN: usize = 6;

/// A file that holds rows of the trace, or may.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftover {
    /// The file, relative to the store.
    pub file: String,
    /// Rows of the trace in it, as far as they can be counted.
    pub rows: u64,
    /// Why it is listed if no row was counted.
    pub problem: Option<String>,
}

/// What a search for rows of a trace found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErasureReport {
    /// The trace.
    pub trace_id: TraceId,
    /// Files looked into.
    pub files_checked: u64,
    /// Files that hold rows of it, or may.
    pub found: Vec<Leftover>,
}

impl ErasureReport {
    /// True if no file holds a row of the trace.
    pub fn is_erased(&self) -> bool {
        self.found.is_empty()
    }
}

/// What one file holds of the trace.
enum Holding {
    Rows(u64),
    Problem(String),
}

/// Looks into every file of the store.
///
/// # Errors
/// Io if a file cannot be read.
pub fn verify_erased(engine: &Engine, id: TraceId) -> Result<ErasureReport> {
    let mut report = ErasureReport { trace_id: id, files_checked: 0, found: Vec::new() };
    for directory in Directory::ALL {
        for entry in engine.storage().list(directory)? {
            let file = directory.join(&entry.name);
            let bytes = match engine.storage().map(&file) {
                // Gone meanwhile, with what it held.
                Err(error) if error.io_kind() == Some(io::ErrorKind::NotFound) => continue,
                bytes => bytes?,
            };
            report.files_checked += 1;
            let holding = if let Some(segment) = FileId::from_segment_name(&entry.name) {
                let seed = Seed { store: engine.store_id(), file: segment.0 };
                in_segment(Segment::open(segment.0, entry.name.clone(), bytes.clone(), seed), bytes.bytes()?, id)?
            } else if let Some(log) = FileId::from_log_name(&entry.name) {
                let identity = LogIdentity { store: engine.store_id(), file: log, ending: LogEnding::Open };
                in_log(bytes.bytes()?, identity, id)?
            } else {
                in_other(bytes.bytes()?, id)
            };
            match holding {
                Holding::Rows(0) => {}
                Holding::Rows(rows) => report.found.push(Leftover { file, rows, problem: None }),
                Holding::Problem(problem) => report.found.push(Leftover { file, rows: 0, problem: Some(problem) }),
            }
        }
    }
    Ok(report)
}

fn in_segment(segment: Result<Segment>, bytes: &[u8], id: TraceId) -> Result<Holding> {
    let rows = segment.and_then(|segment| Ok((rows_in(&segment, id)?, segment)));
    match rows {
        Ok((0, segment)) if occurrences(bytes, id) > 0 => {
            // If all of it can be read, they belong to others: a bytes attribute, or chance.
            let sound = segment.verify().is_empty();
            let problem = "it holds the bytes of the id and is damaged".to_owned();
            Ok(if sound { Holding::Rows(0) } else { Holding::Problem(problem) })
        }
        Ok((rows, _)) => Ok(Holding::Rows(rows)),
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported) => {
            Ok(Holding::Problem(format!("it cannot be read, so it proves nothing: {error}")))
        }
        Err(error) => Err(error),
    }
}

/// Rows of the trace, dead ones too. Asks the table, not the index, which may be damaged.
fn rows_in(segment: &Segment, id: TraceId) -> Result<u64> {
    let counter = ReadCounter::default();
    let mut rows = 0;
    for (low, ordinal) in segment.lows(&counter)?.into_iter().zip(0..) {
        if low == id.low() && segment.trace_id(ordinal, &counter)? == id {
            rows += segment.trace_rows(ordinal, &counter)?.len() as u64;
        }
    }
    Ok(rows)
}

fn in_log(bytes: &[u8], identity: LogIdentity, id: TraceId) -> Result<Holding> {
    let (mut rows, mut explained) = (0, 0);
    let mut chapter = Chapter::default();
    let mut open = None;
    replay(bytes, identity, |header, payload| {
        if header.kind != RecordKind::Delete {
            if open != Some(header.chapter) {
                chapter = Chapter::default();
                open = Some(header.chapter);
            }
            let known = chapter.rows.len();
            apply_record(&mut chapter, payload)?;
            rows += chapter.rows[known..].iter().filter(|row| trace_id_of(row) == id).count() as u64;
        } else {
            open = None;
        }
        explained += occurrences(payload, id);
        Ok(())
    })?;
    if rows == 0 && occurrences(bytes, id) > explained {
        return Ok(Holding::Problem("it holds the bytes of the id where no record can be read".to_owned()));
    }
    Ok(Holding::Rows(rows))
}

fn in_other(bytes: &[u8], id: TraceId) -> Holding {
    if occurrences(bytes, id) == 0 { Holding::Rows(0) } else { Holding::Problem("it holds the bytes of the id".into()) }
}

/// How often the bytes of the id occur, in either order; 0 if they are too few to tell anything.
fn occurrences(bytes: &[u8], id: TraceId) -> u64 {
    let forward = id.to_bytes();
    let mut backward = forward;
    backward.reverse();
    if forward.iter().filter(|byte| **byte != 0).count() < TELLING_BYTES_MIN {
        return 0;
    }
    let count = |sought: &[u8]| bytes.windows(sought.len()).filter(|window| *window == sought).count() as u64;
    count(&forward) + if forward == backward { 0 } else { count(&backward) }
}
