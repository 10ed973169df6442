//! Reading a log back after a crash, or after the medium lost something.
//!
//! Records are taken from the front. At the first that is not intact there are two possible stories:
//!
//! ```text
//! [a][b][####][d][e]        some record after the gap says "all before me was durable when I was begun":
//!            mark >= c      the medium lost c. Report it, keep d and e.
//!
//! [a][b][####][d]           none says so: c and d were being written when the power went, and nobody was
//!                           told that they are safe. Cut from c.
//! ```
//!
//! In the second story d is dropped though it is intact, because a log with a hole would show spans that
//! were appended after others that are gone. Where a later file exists the first story holds for all of
//! this one: files are synced before the next is begun.
//!
//! After a gap the next record is searched at multiples of 8: magic, then the header's checksum, which
//! mixes in the offset, so a record's copy inside a payload cannot pass. Lengths are believed only from
//! headers that passed.

use std::ops::Range;

use crate::bytes::Seed;
use crate::error::{ErrorKind, Result};
use crate::os::defects::{self, Defect};

use super::names::FileId;
use super::record::{Framed, LOG_HEADER_BYTES, LogHeader, RECORD_ALIGNMENT, RECORD_MAGIC, RecordHeader, RecordKind};

/// What is known of a log before its bytes are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// Id of the store.
    pub store: u64,
    /// Id of the file, from its name.
    pub file: FileId,
    /// How it may end.
    pub ending: LogEnding,
}

/// How a log may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEnding {
    /// It was the newest when the store was last open: its end may be torn.
    Open,
    /// A later log exists, so all of it was durable.
    Complete {
        /// First sequence of the next log, where known: how far this one must reach.
        next_sequence: Option<u64>,
    },
    /// No manifest names it: not even its header need have been durable.
    Unfinished,
}

/// A range of a log that cannot be read though it was durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDamage {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub len_bytes: u64,
    /// What is wrong.
    pub problem: String,
    /// The sequences that were in it, as far as the neighbours tell.
    pub sequences: Option<Range<u64>>,
}

/// What replaying a log found and lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Records handed over and taken.
    pub records: u64,
    /// Sequence numbers these took.
    pub sequences: u64,
    /// Sequence of the span after the last one read; none if nothing tells.
    pub next_sequence: Option<u64>,
    /// Length of what is to be kept, in bytes: cut the file here before another is begun; remove it if
    /// that is nothing.
    pub valid_bytes: u64,
    /// Bytes of a torn tail after that. Nothing in it was acknowledged as durable.
    pub dropped_bytes: u64,
    /// All before this offset is known to have been durable.
    pub durable_offset: u64,
    /// True if the file ends with the mark of an orderly close.
    pub ends_with_mark: bool,
    /// What was lost though it was durable.
    pub damage: Vec<LogDamage>,
}

/// Hands the intact records of a log to `on_record`, in order.
///
/// `on_record` answers Corrupt if it can make nothing of a payload: that is counted as damage of this
/// record, and reading goes on. `bytes` are the whole file. Never fails on bad bytes.
///
/// # Errors
/// Unsupported if the file is of a newer format version; whatever else `on_record` answers, at once.
pub fn replay(
    bytes: &[u8],
    identity: LogIdentity,
    on_record: impl FnMut(&RecordHeader, &[u8]) -> Result<()>,
) -> Result<ReplayReport> {
    let mut replay = Replay {
        bytes,
        identity,
        seed: Seed { store: identity.store, file: identity.file.0 },
        headless: false,
        durable_offset: None,
        report: ReplayReport::default(),
        on_record,
    };
    replay.header()?;
    replay.records()?;
    replay.end();
    Ok(replay.report)
}

struct Replay<'a, F> {
    bytes: &'a [u8],
    identity: LogIdentity,
    seed: Seed,
    /// The header was never durable and no record follows: there is nothing to keep.
    headless: bool,
    /// The largest durable offset of the file, once it was searched for.
    durable_offset: Option<u64>,
    report: ReplayReport,
    on_record: F,
}

impl<F: FnMut(&RecordHeader, &[u8]) -> Result<()>> Replay<'_, F> {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn header(&mut self) -> Result<()> {
        let problem = match LogHeader::parse(self.bytes) {
            Ok(header) if (header.store, header.file) == (self.identity.store, self.identity.file) => {
                self.report.next_sequence = Some(header.first_sequence);
                return Ok(());
            }
            Ok(header) => format!("the header is of log {} of store {:016x}", header.file, header.store),
            Err(error) if error.kind() == ErrorKind::Unsupported => return Err(error),
            Err(error) => error.to_string(),
        };
        self.headless = self.identity.ending == LogEnding::Unfinished && self.next_record(0).is_none();
        if !self.headless {
            self.damaged(0, self.len().min(LOG_HEADER_BYTES as u64), problem, None);
        }
        Ok(())
    }

    fn records(&mut self) -> Result<()> {
        let mut at = LOG_HEADER_BYTES as u64;
        while at < self.len() {
            at = match Framed::parse(self.bytes, at, self.seed) {
                Ok(framed) => match framed.payload(self.seed) {
                    Ok(payload) => self.take(&framed.header, payload)?,
                    Err(error) => match self.skip(at, Some(framed.header.end()), error.to_string()) {
                        Some(next) => next,
                        None => break,
                    },
                },
                Err(error) => match self.skip(at, None, error.to_string()) {
                    Some(next) => next,
                    None => break,
                },
            };
        }
        Ok(())
    }

    /// Takes an intact record and returns where the next one begins.
    fn take(&mut self, header: &RecordHeader, payload: &[u8]) -> Result<u64> {
        let end = header.end().min(self.len());
        self.close_gap(header.first_sequence);
        let taken = if header.kind == RecordKind::Mark { Ok(()) } else { (self.on_record)(header, payload) };
        match taken {
            Ok(()) => {
                self.report.records += u64::from(header.kind != RecordKind::Mark);
                self.report.sequences += u64::from(header.count);
            }
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                let sequences = header.first_sequence..header.next_sequence();
                self.damaged(header.offset, end - header.offset, error.to_string(), Some(sequences));
            }
            Err(error) => return Err(error),
        }
        self.report.next_sequence = self.report.next_sequence.max(Some(header.next_sequence()));
        self.report.durable_offset = self.report.durable_offset.max(header.durable_offset);
        self.report.valid_bytes = end;
        self.report.ends_with_mark = header.kind == RecordKind::Mark && end == self.len();
        Ok(end)
    }

    /// Decides about the bad bytes at `at`: damage, then where reading goes on; or the torn end, then none.
    /// `end` is where the bad record would end, if its header was intact.
    fn skip(&mut self, at: u64, end: Option<u64>, problem: String) -> Option<u64> {
        if self.durable_offset() <= at || defects::active(Defect::StopAtFirstDamage) {
            return None;
        }
        let next = self.next_record(end.unwrap_or(at + 1)).unwrap_or(self.len()).min(self.len());
        self.damaged(at, next - at, problem, None);
        self.report.valid_bytes = next;
        Some(next)
    }

    /// Up to where the file is known to have been durable, all its records asked.
    fn durable_offset(&mut self) -> u64 {
        if let Some(known) = self.durable_offset {
            return known;
        }
        let mut known = 0;
        if matches!(self.identity.ending, LogEnding::Complete { .. }) {
            known = self.len();
        } else {
            let mut at = 0;
            while let Some(found) = self.next_record(at) {
                if let Ok(framed) = Framed::parse(self.bytes, found, self.seed) {
                    known = known.max(framed.header.durable_offset);
                }
                at = found + 1;
            }
        }
        self.durable_offset = Some(known);
        known
    }

    /// Where the first intact record header at or after `from` begins.
    fn next_record(&self, from: u64) -> Option<u64> {
        let first = from.max(LOG_HEADER_BYTES as u64).next_multiple_of(RECORD_ALIGNMENT as u64);
        let rest = self.bytes.get(usize::try_from(first).ok()?..)?;
        let mut candidates = rest.chunks_exact(RECORD_ALIGNMENT).zip((first..).step_by(RECORD_ALIGNMENT));
        candidates
            .find(|&(chunk, at)| chunk.starts_with(RECORD_MAGIC) && Framed::parse(self.bytes, at, self.seed).is_ok())
            .map(|(_, at)| at)
    }

    fn damaged(&mut self, offset: u64, len_bytes: u64, problem: String, sequences: Option<Range<u64>>) {
        self.report.damage.push(LogDamage { offset, len_bytes, problem, sequences });
    }

    /// Sequences that are missing before `next` were in the damage just passed.
    fn close_gap(&mut self, next: u64) {
        let Some(expected) = self.report.next_sequence else { return };
        let unknown = self.report.damage.last_mut().filter(|damage| damage.sequences.is_none());
        match unknown {
            Some(damage) if expected < next => damage.sequences = Some(expected..next),
            _ if expected < next => {
                let offset = self.report.valid_bytes;
                self.damaged(offset, 0, "records are missing here".into(), Some(expected..next));
            }
            _ => {}
        }
    }

    fn end(&mut self) {
        let header_bytes = if self.headless { 0 } else { self.len().min(LOG_HEADER_BYTES as u64) };
        let kept = self.report.valid_bytes.max(header_bytes);
        self.report.valid_bytes = kept;
        self.report.dropped_bytes = self.len() - kept;
        if let LogEnding::Complete { next_sequence } = self.identity.ending {
            self.report.durable_offset = kept;
            if let Some(next) = next_sequence {
                self.close_gap(next);
                self.report.next_sequence = Some(next);
            }
        }
    }
}
