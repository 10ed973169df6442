//! A store in miniature: manifest, log, and segments that are lists of sequences. Its recovery is the
//! procedure that the real one follows.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::testing::segment_info;
use super::super::*;
use crate::bytes::{Reader, Seed, Writer, checksum};
use crate::error::{ErrorKind, Result, ensure};
use crate::log::{FileId, LogIdentity, LogWriter, NewRecord, RecordKind, ReplayReport, replay};
use crate::os::{Directory, SimulatedDisk, Storage};

pub(super) const STORE: u64 = 77;
const SEGMENT_MAGIC: &[u8; 8] = b"MINIATUR";

/// What opening found.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub sequences: BTreeSet<u64>,
    pub manifest_damage: Vec<ManifestDamage>,
    pub log_reports: Vec<(FileId, ReplayReport)>,
    pub missing: Vec<MissingFile>,
    pub adopted: Vec<FileId>,
}

impl Opened {
    pub fn is_clean(&self) -> bool {
        let logs = self.log_reports.iter().all(|(_, report)| report.damage.is_empty());
        logs && self.manifest_damage.is_empty() && self.missing.is_empty()
    }
}

pub(super) struct Store {
    pub disk: SimulatedDisk,
    pub manifest: Manifest,
    pub log: LogWriter,
    pub opened: Opened,
}

impl Store {
    /// Opens or creates, and begins a new log.
    pub fn open(disk: &SimulatedDisk) -> Result<Self> {
        let storage: Arc<dyn Storage> = Arc::new(disk.clone());
        let mut opened = Opened::default();
        let manifest = match look(disk, &segment_store)? {
            Contents::Nothing => {
                disk.create_directories()?;
                Manifest::create(Arc::clone(&storage), STORE)?
            }
            Contents::Store(found) => recover(&storage, &found, &mut opened)?,
        };
        let id = manifest.allocate_file_id()?;
        let next = opened.sequences.last().map_or(0, |last| last + 1);
        let log = LogWriter::create(storage, STORE, id, next)?;
        manifest.commit(&[Edit::AddLog { id, first_sequence: next }])?;
        Ok(Self { disk: disk.clone(), manifest, log, opened })
    }

    /// Appends one span and answers its sequence once it is durable.
    pub fn append(&self) -> Result<u64> {
        let record = NewRecord { kind: RecordKind::Batch, chapter: 0, count: 1 };
        let appended = self.log.append(record, &[b"span ", &self.log.next_sequence().to_le_bytes()])?;
        self.log.wait_durable(appended.position)?;
        Ok(appended.first_sequence)
    }

    pub fn rotate(&self) -> Result<()> {
        let id = self.manifest.allocate_file_id()?;
        let publish = |first_sequence| self.manifest.commit(&[Edit::AddLog { id, first_sequence }]).map(drop);
        self.log.rotate(id, publish).map(drop)
    }

    /// Makes a segment of all logs but the current one, and removes them.
    pub fn seal(&self) -> Result<()> {
        let current = self.log.position().file;
        let logs: Vec<FileId> = self.manifest.catalog().logs().map(|(id, _)| id).filter(|id| *id != current).collect();
        let mut sequences = BTreeSet::new();
        for &id in &logs {
            let identity = LogIdentity { store: STORE, file: id, ending: crate::log::LogEnding::Open };
            sequences.extend(sequences_of_log(&self.disk, identity)?.0);
        }
        let id = self.manifest.allocate_file_id()?;
        write_segment(&self.disk, id, &sequences)?;
        let info = SegmentInfo { id, ..segment_info(id.0) };
        self.manifest.commit(&[Edit::AddSegment { info, replaced_logs: logs.clone(), dirty: vec![] }])?;
        logs.iter().try_for_each(|log| self.disk.remove(&log.log_path()))?;
        self.disk.sync_directory(Directory::Log)?;
        self.manifest.forget_retired(&[], &logs);
        Ok(())
    }

    /// Makes one segment of all segments, and removes them.
    pub fn merge(&self) -> Result<()> {
        let ids: Vec<FileId> = self.manifest.catalog().segments().map(|segment| segment.info.id).collect();
        let mut sequences = BTreeSet::new();
        for &id in &ids {
            sequences.extend(read_segment(&self.disk, id)?);
        }
        let id = self.manifest.allocate_file_id()?;
        write_segment(&self.disk, id, &sequences)?;
        let info = SegmentInfo { id, ..segment_info(id.0) };
        let add = Edit::AddSegment { info, replaced_logs: vec![], dirty: vec![] };
        self.manifest.commit(&[add, Edit::RemoveSegments { ids: ids.clone(), replaced_by: vec![id] }])?;
        ids.iter().try_for_each(|id| self.disk.remove(&id.segment_path()))?;
        self.disk.sync_directory(Directory::Segments)?;
        self.manifest.forget_retired(&ids, &[]);
        Ok(())
    }
}

/// The sequences a reader finds, nothing written.
pub(super) fn read_only(disk: &SimulatedDisk) -> Result<Opened> {
    let mut opened = Opened::default();
    if let Contents::Store(found) = look(disk, &segment_store)? {
        read(disk, &found, &plan(&found), &mut opened)?;
    }
    Ok(opened)
}

/// Reads all that is live, and answers the plan's adopted segments.
fn read(disk: &dyn Storage, found: &Found, plan: &Plan, opened: &mut Opened) -> Result<Vec<Edit>> {
    opened.manifest_damage = found.damage.clone();
    opened.missing = plan.missing.clone();
    for &id in &plan.segments {
        opened.sequences.extend(read_segment(disk, id)?);
    }
    let mut edits = Vec::new();
    for &id in &plan.adopt {
        if let Ok(sequences) = read_segment(disk, id) {
            opened.sequences.extend(sequences);
            opened.adopted.push(id);
            let info = SegmentInfo { id, ..segment_info(id.0) };
            edits.push(Edit::AddSegment { info, replaced_logs: vec![], dirty: vec![] });
        }
    }
    for log in &plan.logs {
        let identity = LogIdentity { store: STORE, file: log.id, ending: log.ending };
        let (sequences, report) = sequences_of_log(disk, identity)?;
        opened.sequences.extend(sequences);
        opened.log_reports.push((log.id, report));
    }
    Ok(edits)
}

fn recover(storage: &Arc<dyn Storage>, found: &Found, opened: &mut Opened) -> Result<Manifest> {
    let mut plan = plan(found);
    let edits = read(storage.as_ref(), found, &plan, opened)?;
    for (id, report) in &opened.log_reports {
        if report.valid_bytes == 0 {
            plan.logs.retain(|log| log.id != *id);
            plan.remove.push(id.log_path());
        } else {
            let mut file = storage.open_append(&id.log_path())?;
            if report.dropped_bytes > 0 {
                file.truncate(report.valid_bytes)?;
            }
            file.sync()?;
        }
    }
    let manifest = Manifest::resume(Arc::clone(storage), found, &plan, &edits)?;
    plan.remove.iter().try_for_each(|path| storage.remove(path))?;
    storage.sync_directory(Directory::Log)?;
    storage.sync_directory(Directory::Segments)?;
    Ok(manifest)
}

fn sequences_of_log(disk: &dyn Storage, identity: LogIdentity) -> Result<(Vec<u64>, ReplayReport)> {
    let mut sequences = Vec::new();
    let map = disk.map(&identity.file.log_path())?;
    let report = replay(map.bytes()?, identity, |header, payload| {
        let mut r = Reader::new(payload);
        ensure(r.bytes(5, "span")? == b"span ", || "no span".into())?;
        assert_eq!(r.u64("sequence")?, header.first_sequence);
        sequences.push(header.first_sequence);
        Ok(())
    })?;
    Ok((sequences, report))
}

fn write_segment(disk: &dyn Storage, id: FileId, sequences: &BTreeSet<u64>) -> Result<()> {
    let mut w = Writer::new();
    w.bytes(SEGMENT_MAGIC);
    w.u64(STORE);
    w.varint(sequences.len() as u64);
    sequences.iter().for_each(|&sequence| w.varint(sequence));
    w.u32(checksum(Seed { store: STORE, file: id.0 }, 0, w.as_slice()));
    let mut file = disk.create(&id.segment_path())?;
    file.append(w.as_slice())?;
    file.sync()?;
    disk.sync_directory(Directory::Segments)
}

pub(super) fn read_segment(disk: &dyn Storage, id: FileId) -> Result<Vec<u64>> {
    let map = disk.map(&id.segment_path())?;
    let mut r = Reader::new(map.bytes()?);
    ensure(r.bytes(8, "magic")? == SEGMENT_MAGIC && r.u64("store")? == STORE, || "no segment".into())?;
    let count = r.count(1, "sequences")?;
    let sequences = (0..count).map(|_| r.varint("sequence")).collect::<Result<_>>()?;
    let computed = checksum(Seed { store: STORE, file: id.0 }, 0, &map.bytes()?[..r.position()]);
    ensure(r.u32("checksum")? == computed, || "segment: the checksum fails".into())?;
    Ok(sequences)
}

pub(super) fn segment_store(bytes: &[u8]) -> Option<u64> {
    let mut r = Reader::new(bytes);
    (r.bytes(8, "magic").ok()? == SEGMENT_MAGIC).then(|| r.u64("store").ok())?
}

/// A store that has lived a little: a merged segment, a sealed one, a rotated log, a current one. Answers
/// the disk and how many spans there are.
pub(super) fn lived() -> (SimulatedDisk, u64) {
    let disk = SimulatedDisk::new(1);
    let mut acknowledged = 0;
    live(&disk, &mut acknowledged).unwrap();
    (disk, acknowledged)
}

/// The reference workload. Counts what was acknowledged, up to the first error.
pub(super) fn live(disk: &SimulatedDisk, acknowledged: &mut u64) -> Result<()> {
    let store = Store::open(disk)?;
    let mut append = |store: &Store| {
        *acknowledged = store.append()? + 1;
        Ok(())
    };
    append(&store)?;
    append(&store)?;
    store.rotate()?;
    append(&store)?;
    store.seal()?;
    append(&store)?;
    store.rotate()?;
    store.seal()?;
    store.merge()?;
    append(&store)?;
    store.manifest.rewrite()?;
    store.rotate()?;
    append(&store)?;
    store.seal()?;
    append(&store)?;
    store.rotate()?;
    append(&store)?;
    store.log.close()
}

/// Fails a test with the words of an unexpected error.
pub(super) fn assert_kind<T>(result: Result<T>, kind: ErrorKind) -> String {
    match result {
        Ok(_) => panic!("expected {kind:?}, got success"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{error}");
            error.to_string()
        }
    }
}
