//! The log as its users see it: what is appended comes back, what is acknowledged survives, what fails is
//! never acknowledged.

mod damage;
mod writing;

use std::sync::Arc;

use crate::error::Result;
use crate::os::{SimulatedDisk, Storage};

use super::*;

pub(super) const STORE: u64 = 77;

pub(super) fn disk() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    disk.create_directories().unwrap();
    disk
}

pub(super) fn writer(disk: &SimulatedDisk) -> LogWriter {
    LogWriter::create(Arc::new(disk.clone()), STORE, FileId(1), 0).unwrap()
}

/// A record of one span.
pub(super) fn record() -> NewRecord {
    NewRecord { kind: RecordKind::Batch, chapter: 1, count: 1 }
}

pub(super) fn append(log: &LogWriter, payload: &str) -> Result<AppendedRecord> {
    log.append(record(), &[payload.as_bytes()])
}

pub(super) fn append_durably(log: &LogWriter, payload: &str) -> Result<()> {
    log.wait_durable(append(log, payload)?.position)
}

pub(super) fn bytes(disk: &SimulatedDisk, id: u64) -> Vec<u8> {
    disk.read_file(&FileId(id).log_path()).unwrap()
}

/// The payloads in these bytes of log 1, and what was lost.
pub(super) fn replayed(bytes: &[u8], ending: LogEnding) -> (Vec<String>, ReplayReport) {
    replayed_as(bytes, LogIdentity { store: STORE, file: FileId(1), ending })
}

pub(super) fn replayed_as(bytes: &[u8], identity: LogIdentity) -> (Vec<String>, ReplayReport) {
    let mut payloads = Vec::new();
    let report = replay(bytes, identity, |_, payload| {
        payloads.push(String::from_utf8(payload.to_vec()).unwrap());
        Ok(())
    });
    (payloads, report.unwrap())
}
