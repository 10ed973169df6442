//! Appending, group commit, rotation, and every way they can fail.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::*;
use crate::error::ErrorKind;
use crate::options::Durability;
use crate::os::{CrashChoice, Fault, FaultKind, OperationKind};

fn fail(disk: &SimulatedDisk, operation: OperationKind, error: FaultKind) {
    disk.inject(Fault { operation, path_contains: "log/".into(), nth: 1, error, forever: false });
}

fn survivors(disk: &SimulatedDisk) -> Vec<String> {
    replayed(&bytes(&disk.crash_image(CrashChoice::LoseUnsynced), 1), LogEnding::Open).0
}

#[test]
fn appended_records_come_back_in_order_with_their_headers() {
    let disk = disk();
    let log = writer(&disk);
    let first = log.append(NewRecord { kind: RecordKind::Batch, chapter: 3, count: 5 }, &[b"a", b"", b"bc"]).unwrap();
    let second = log.append(NewRecord { kind: RecordKind::Carried, chapter: 4, count: 0 }, &[]).unwrap();
    assert_eq!((first.first_sequence, second.first_sequence), (0, 5));
    let mut seen = Vec::new();
    let identity = LogIdentity { store: STORE, file: FileId(1), ending: LogEnding::Open };
    let report = replay(&bytes(&disk, 1), identity, |header, payload| {
        seen.push((header.kind, header.chapter, header.first_sequence, header.count, payload.to_vec()));
        Ok(())
    });
    let expected = [(RecordKind::Batch, 3, 0, 5, b"abc".to_vec()), (RecordKind::Carried, 4, 5, 0, Vec::new())];
    assert_eq!(seen, expected);
    let report = report.unwrap();
    assert_eq!((report.records, report.next_sequence, report.dropped_bytes), (2, Some(5), 0));
}

#[test]
fn a_record_is_one_write() {
    let disk = disk();
    let log = writer(&disk);
    let before = disk.operations();
    log.append(record(), &[b"one", b"two", b"three"]).unwrap();
    assert_eq!(disk.operations(), before + 1);
}

#[test]
fn what_was_waited_for_survives_losing_everything_unsynced() {
    let disk = disk();
    let log = writer(&disk);
    append_durably(&log, "a").unwrap();
    append(&log, "b").unwrap();
    assert_eq!(survivors(&disk), ["a"]);
}

#[test]
fn threads_that_wait_together_share_syncs_and_lose_nothing() {
    let disk = disk();
    let log = writer(&disk);
    thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || (0..50).for_each(|n| append_durably(log, &format!("{thread}-{n}")).unwrap()));
        }
    });
    let survivors = survivors(&disk);
    assert_eq!(survivors.len(), 200);
    for thread in 0..4 {
        let mine: Vec<_> = survivors.iter().filter(|s| s.starts_with(&format!("{thread}-"))).cloned().collect();
        assert_eq!(mine, (0..50).map(|n| format!("{thread}-{n}")).collect::<Vec<_>>());
    }
    let syncs = disk.history().iter().filter(|(kind, _)| *kind == OperationKind::Sync).count();
    assert!(syncs <= 201, "{syncs} syncs for 200 appends");
}

#[test]
fn the_flusher_makes_interval_appends_durable_and_stops_on_close() {
    let disk = disk();
    let log = writer(&disk);
    let position = append(&log, "a").unwrap().position;
    log.settle(position, Durability::Interval(Duration::from_millis(1))).unwrap();
    while log.durable_position() < position {
        thread::yield_now();
    }
    assert_eq!(survivors(&disk), ["a"]);
    log.close().unwrap();
    drop(log);
}

#[test]
fn buffered_appends_are_not_synced() {
    let disk = disk();
    let log = writer(&disk);
    let before = disk.operations();
    log.settle(append(&log, "a").unwrap().position, Durability::Buffered).unwrap();
    assert_eq!(disk.operations(), before + 1);
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_or_synced_again() {
    let disk = disk();
    let log = writer(&disk);
    append_durably(&log, "a").unwrap();
    let position = append(&log, "b").unwrap().position;
    fail(&disk, OperationKind::Sync, FaultKind::Eio);
    let error = log.wait_durable(position).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(error.to_string().contains("reopen the store"), "{error}");
    let operations = disk.operations();
    assert_eq!(log.wait_durable(position).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(append(&log, "c").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(log.rotate(FileId(2), |_| Ok(())).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(log.close().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(disk.operations(), operations, "the disk is left alone");
}

#[test]
fn what_was_durable_before_a_failed_sync_stays_acknowledged() {
    let disk = disk();
    let log = writer(&disk);
    let position = append(&log, "a").unwrap().position;
    log.wait_durable(position).unwrap();
    append(&log, "b").unwrap();
    fail(&disk, OperationKind::Sync, FaultKind::Eio);
    log.wait_durable(log.position()).unwrap_err();
    log.wait_durable(position).unwrap();
}

#[test]
fn a_failed_append_gives_the_file_up_until_rotation_begins_another() {
    for error in [FaultKind::Eio, FaultKind::NoSpace, FaultKind::ShortWrite] {
        let disk = disk();
        let log = writer(&disk);
        append(&log, "a").unwrap();
        fail(&disk, OperationKind::Append, error);
        append(&log, "torn").unwrap_err();
        let kind = if error == FaultKind::NoSpace { ErrorKind::NoSpace } else { ErrorKind::Closed };
        assert_eq!(append(&log, "refused").unwrap_err().kind(), kind, "{error:?}");
        let closed = log.rotate(FileId(2), |first_sequence| {
            assert_eq!(first_sequence, 1, "the torn record took no sequence");
            Ok(())
        });
        assert_eq!(closed.unwrap().next_sequence, 1);
        append_durably(&log, "b").unwrap();
        let image = disk.crash_image(CrashChoice::LoseUnsynced);
        let complete = LogEnding::Complete { next_sequence: Some(1) };
        let (payloads, report) = replayed(&bytes(&image, 1), complete);
        assert_eq!(payloads, ["a"]);
        assert_eq!(report.damage, [], "{error:?}: the torn record was cut");
        let second = LogIdentity { store: STORE, file: FileId(2), ending: LogEnding::Open };
        assert_eq!(replayed_as(&bytes(&image, 2), second).0, ["b"]);
    }
}

#[test]
fn appends_from_before_a_failed_append_can_still_be_waited_for() {
    let disk = disk();
    let log = writer(&disk);
    let position = append(&log, "a").unwrap().position;
    fail(&disk, OperationKind::Append, FaultKind::ShortWrite);
    append(&log, "torn").unwrap_err();
    log.wait_durable(position).unwrap();
    assert_eq!(survivors(&disk), ["a"]);
}

#[test]
fn a_full_disk_is_served_again_once_there_is_space() {
    let disk = disk();
    let log = writer(&disk);
    append(&log, "a").unwrap();
    disk.set_capacity(Some(150));
    let mut next = 2;
    let error = append(&log, "b").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    for _ in 0..3 {
        assert_eq!(log.rotate(FileId(next), |_| Ok(())).unwrap_err().kind(), ErrorKind::NoSpace);
        next += 1;
    }
    assert_eq!(disk.file_names(), ["log/000000000001.log"], "attempts leave no files behind");
    disk.set_capacity(None);
    log.rotate(FileId(next), |_| Ok(())).unwrap();
    append_durably(&log, "b").unwrap();
}

#[test]
fn a_rotation_syncs_the_old_file_before_the_new_one_exists() {
    let disk = disk();
    let log = writer(&disk);
    append(&log, "a").unwrap();
    let published = AtomicU64::new(0);
    let closed = log.rotate(FileId(2), |first_sequence| {
        let image = disk.crash_image(CrashChoice::LoseUnsynced);
        assert_eq!(bytes(&image, 1), bytes(&disk, 1));
        assert_eq!(LogHeader::parse(&bytes(&image, 2)).unwrap().first_sequence, first_sequence);
        published.store(first_sequence, Ordering::Relaxed);
        Ok(())
    });
    let closed = closed.unwrap();
    assert_eq!((closed.id, closed.next_sequence), (FileId(1), 1));
    assert_eq!(closed.len_bytes, bytes(&disk, 1).len() as u64);
    assert_eq!(published.load(Ordering::Relaxed), 1);
    let next = append(&log, "b").unwrap();
    assert_eq!((next.first_sequence, next.position.file), (1, FileId(2)));
}

#[test]
fn a_new_file_that_cannot_be_published_takes_no_appends() {
    let disk = disk();
    let log = writer(&disk);
    let refused = || Err(crate::error::Error::new(ErrorKind::NoSpace, "the manifest is full"));
    assert_eq!(log.rotate(FileId(2), |_| refused()).unwrap_err().kind(), ErrorKind::NoSpace);
    assert_eq!(disk.file_names(), ["log/000000000001.log"]);
    append(&log, "a").unwrap_err();
    log.rotate(FileId(3), |_| Ok(())).unwrap();
    append(&log, "a").unwrap();
}

#[test]
fn closing_makes_all_durable_and_proves_it() {
    let disk = disk();
    let log = writer(&disk);
    append(&log, "a").unwrap();
    log.close().unwrap();
    log.close().unwrap();
    assert_eq!(append(&log, "b").unwrap_err().kind(), ErrorKind::Closed);
    let mut image = bytes(&disk.crash_image(CrashChoice::LoseUnsynced), 1);
    let (payloads, report) = replayed(&image, LogEnding::Open);
    assert_eq!(payloads, ["a"]);
    assert_eq!(report.records, 1, "the mark is no record of spans");
    image[LOG_HEADER_BYTES + RECORD_HEADER_BYTES] ^= 1;
    let (payloads, report) = replayed(&image, LogEnding::Open);
    assert_eq!(payloads, [""; 0]);
    assert_eq!(report.damage[0].sequences, Some(0..1), "damage, not a torn tail");
}

#[test]
fn a_log_that_cannot_be_begun_leaves_nothing_behind() {
    for operation in [OperationKind::Append, OperationKind::Sync] {
        let disk = disk();
        fail(&disk, operation, FaultKind::Eio);
        LogWriter::create(Arc::new(disk.clone()), STORE, FileId(1), 0).unwrap_err();
        assert_eq!(disk.file_names(), [""; 0]);
    }
}
