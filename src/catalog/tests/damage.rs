//! Manifests and logs that are damaged, gone, old, swapped or another store's; directories that are no
//! store.

use super::super::*;
use super::store::{Store, assert_kind, lived, read_only, segment_store};
use crate::bytes::{Seed, checksum};
use crate::error::ErrorKind;
use crate::log::FileId;
use crate::os::{CrashChoice, Directory, Fault, FaultKind, OperationKind, SimulatedDisk, Storage};

/// The same disk again, to be damaged.
fn copy(disk: &SimulatedDisk) -> SimulatedDisk {
    disk.crash_image(CrashChoice::KeepAll)
}

/// Opens twice and checks that at most `lost` of the spans are gone, and if so, not silently.
fn check(disk: &SimulatedDisk, spans: u64, lost: u64, what: &str) {
    let reader = read_only(disk).unwrap_or_else(|error| panic!("{what}: a reader fails: {error}"));
    let store = Store::open(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = store.opened.sequences.clone();
    assert!(found.iter().all(|&sequence| sequence < spans), "{what}: invented {found:?}");
    let missing = spans - found.len() as u64;
    assert!(missing <= lost, "{what}: {missing} spans are gone: {:?}", store.opened);
    let torn = store.opened.log_reports.iter().any(|(_, report)| report.dropped_bytes > 0);
    assert!(missing == 0 || torn || !store.opened.is_clean(), "{what}: lost without a word");
    assert_eq!(reader.sequences, found, "{what}: a reader sees something else");
    let next = store.append().unwrap();
    drop(store);
    let again = Store::open(disk).unwrap();
    assert!(again.opened.sequences.contains(&next), "{what}: the append after recovery is gone");
    assert!(found.is_subset(&again.opened.sequences), "{what}: opening again loses");
    assert_eq!(again.opened.manifest_damage, [], "{what}: the manifest was made whole");
}

fn sizes(disk: &SimulatedDisk) -> Vec<(String, u64)> {
    let size = |name: String| (disk.read_file(&name).unwrap().len() as u64, name);
    disk.file_names().into_iter().map(size).map(|(len, name)| (name, len)).collect()
}

#[test]
fn any_bit_of_a_manifest_may_flip_and_no_span_is_lost() {
    let (disk, spans) = lived();
    for name in [MANIFEST, MANIFEST_OLD] {
        for bit in 0..disk.read_file(name).unwrap().len() as u64 * 8 {
            let disk = copy(&disk);
            disk.flip_bit(name, bit);
            check(&disk, spans, 0, &format!("{name}, bit {bit}"));
        }
    }
}

#[test]
fn a_manifest_may_be_cut_anywhere_and_no_span_is_lost() {
    let (disk, spans) = lived();
    for name in [MANIFEST, MANIFEST_OLD] {
        for len in 0..disk.read_file(name).unwrap().len() as u64 {
            let disk = copy(&disk);
            disk.truncate_file(name, len);
            check(&disk, spans, 0, &format!("{name}, cut to {len}"));
        }
    }
}

#[test]
fn any_bit_of_a_log_may_flip_and_at_most_one_record_is_lost() {
    let (disk, spans) = lived();
    for (name, len) in sizes(&disk).into_iter().filter(|(name, _)| name.ends_with(".log")) {
        for bit in 0..len * 8 {
            let disk = copy(&disk);
            disk.flip_bit(&name, bit);
            check(&disk, spans, 1, &format!("{name}, bit {bit}"));
        }
    }
}

#[test]
fn any_manifest_may_be_gone_and_no_span_is_lost() {
    let (disk, spans) = lived();
    for gone in [&[MANIFEST][..], &[MANIFEST_OLD], &[MANIFEST, MANIFEST_OLD]] {
        let disk = copy(&disk);
        gone.iter().for_each(|name| disk.remove_file(name));
        check(&disk, spans, 0, &format!("{gone:?} gone"));
    }
}

#[test]
fn a_segment_or_log_that_is_gone_is_reported_and_the_rest_is_there() {
    let (disk, _) = lived();
    for (name, _) in sizes(&disk).into_iter().filter(|(name, _)| name.contains('/')) {
        let disk = copy(&disk);
        disk.remove_file(&name);
        let opened = Store::open(&disk).unwrap().opened;
        assert_eq!(opened.missing.iter().map(|m| m.path.as_str()).collect::<Vec<_>>(), [name.as_str()]);
        assert!(opened.missing[0].certain);
        assert!(!opened.sequences.is_empty());
    }
}

#[test]
fn an_older_manifest_in_place_of_the_current_one_gives_no_file_up() {
    let disk = SimulatedDisk::new(1);
    let store = Store::open(&disk).unwrap();
    let mut older = vec![disk.read_file(MANIFEST).unwrap()];
    let mut spans = 0;
    for step in 0..6 {
        spans = store.append().unwrap() + 1;
        store.rotate().unwrap();
        if step % 2 == 1 {
            store.seal().unwrap();
        }
        if step == 4 {
            store.merge().unwrap();
        }
        older.push(disk.read_file(MANIFEST).unwrap());
    }
    for (age, bytes) in older.into_iter().enumerate() {
        let disk = copy(&disk);
        disk.write_file(MANIFEST, &bytes);
        check(&disk, spans, 0, &format!("manifest of step {age}"));
    }
}

#[test]
fn swapped_manifests_are_told_apart_by_their_generation() {
    let (disk, spans) = lived();
    let (current, old) = (disk.read_file(MANIFEST).unwrap(), disk.read_file(MANIFEST_OLD).unwrap());
    disk.write_file(MANIFEST, &old);
    disk.write_file(MANIFEST_OLD, &current);
    check(&disk, spans, 0, "swapped");
}

#[test]
fn the_manifest_of_another_store_is_told_by_the_other_files() {
    let (disk, spans) = lived();
    let other = SimulatedDisk::new(2);
    other.create_directories().unwrap();
    Manifest::create(std::sync::Arc::new(other.clone()), 4711).unwrap();
    disk.write_file(MANIFEST, &other.read_file(MANIFEST).unwrap());
    let Contents::Store(found) = look(&disk, &segment_store).unwrap() else { panic!("a store") };
    assert_eq!(found.store, Some(super::store::STORE));
    assert!(found.damage[0].problem.contains("belongs to store 0000000000001267"), "{:?}", found.damage);
    check(&disk, spans, 0, "another store's manifest");
}

#[test]
fn a_damaged_manifest_is_put_aside_not_destroyed() {
    let (disk, _) = lived();
    disk.flip_bit(MANIFEST, 3);
    let damaged = disk.read_file(MANIFEST).unwrap();
    Store::open(&disk).unwrap();
    let kept: Vec<String> = disk.file_names().into_iter().filter(|name| name.starts_with("quarantine/")).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(disk.read_file(&kept[0]).unwrap(), damaged);
}

#[test]
fn an_unfinished_segment_is_removed_if_the_manifest_is_intact_and_adopted_if_not() {
    let (disk, spans) = lived();
    let segment = disk.file_names().into_iter().find(|name| name.ends_with(".seg")).unwrap();
    let Contents::Store(found) = look(&disk, &segment_store).unwrap() else { panic!("a store") };
    let unfinished = FileId(found.catalog.next_file_id().0 - 1).segment_path();
    let intact = copy(&disk);
    intact.write_file(&unfinished, b"half a segment");
    assert_eq!(Store::open(&intact).unwrap().opened.adopted, []);
    assert_eq!(intact.read_file(&unfinished), None);
    disk.remove_file(MANIFEST);
    disk.remove_file(MANIFEST_OLD);
    let opened = Store::open(&disk).unwrap().opened;
    assert!(opened.adopted.contains(&FileId::from_segment_name(&segment[4..]).unwrap()));
    assert_eq!(opened.sequences.len() as u64, spans);
}

#[test]
fn a_retired_file_that_was_not_removed_yet_is_removed_at_opening_and_not_read() {
    let disk = SimulatedDisk::new(1);
    let store = Store::open(&disk).unwrap();
    store.append().unwrap();
    store.rotate().unwrap();
    let (operation, error) = (OperationKind::Remove, FaultKind::Eio);
    disk.inject(Fault { operation, path_contains: "log/".into(), nth: 1, error, forever: false });
    assert_kind(store.seal(), ErrorKind::Io);
    // A new manifest still knows it.
    store.manifest.rewrite().unwrap();
    drop(store);
    let Contents::Store(found) = look(&disk, &segment_store).unwrap() else { panic!("a store") };
    let plan = plan(&found);
    assert_eq!(plan.remove, [FileId(1).log_path()]);
    assert!(plan.logs.iter().all(|log| log.id != FileId(1)));
    assert_eq!(Store::open(&disk).unwrap().opened.sequences.len(), 1);
    assert_eq!(disk.read_file(&FileId(1).log_path()), None);
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_nothing_is_written() {
    let (disk, _) = lived();
    let mut bytes = disk.read_file(MANIFEST).unwrap();
    bytes[8] = 9;
    let sum = checksum(Seed { store: super::store::STORE, file: 0 }, 0, &bytes[..44]);
    bytes[44..48].copy_from_slice(&sum.to_le_bytes());
    disk.write_file(MANIFEST, &bytes);
    let (files, operations) = (sizes(&disk), disk.operations());
    let message = assert_kind(look(&disk, &segment_store), ErrorKind::Unsupported);
    assert!(message.contains("format version 9"), "{message}");
    assert_eq!((sizes(&disk), disk.operations()), (files, operations));
}

#[test]
fn a_directory_of_other_files_is_no_store_and_stays_as_it_is() {
    for name in ["letter.txt", MANIFEST, "log/syslog"] {
        let disk = SimulatedDisk::new(1);
        disk.write_file(name, b"not ours");
        let operations = disk.operations();
        let message = assert_kind(look(&disk, &segment_store), ErrorKind::NotAStore);
        assert!(message.contains("no tailspan store"), "{message}");
        assert_eq!(disk.operations(), operations);
    }
}

#[test]
fn an_empty_missing_or_half_created_directory_may_become_a_store() {
    let disk = SimulatedDisk::new(1);
    assert!(matches!(look(&disk, &segment_store).unwrap(), Contents::Nothing));
    disk.create_directories().unwrap();
    disk.write_file("LOCK", b"");
    disk.write_file(MANIFEST_NEW, b"TSPANMAN, but no more");
    assert!(matches!(look(&disk, &segment_store).unwrap(), Contents::Nothing));
    Store::open(&disk).unwrap();
    assert!(matches!(look(&disk, &segment_store).unwrap(), Contents::Store(_)));
}

#[test]
fn a_reader_writes_nothing() {
    let (disk, spans) = lived();
    disk.flip_bit(MANIFEST, 400);
    let (files, operations) = (sizes(&disk), disk.operations());
    assert_eq!(read_only(&disk).unwrap().sequences.len() as u64, spans);
    assert_eq!((sizes(&disk), disk.operations()), (files, operations));
}

#[test]
fn file_ids_are_never_given_out_twice() {
    let disk = SimulatedDisk::new(1);
    let mut highest = FileId(0);
    for _ in 0..5 {
        let store = Store::open(&disk).unwrap();
        for _ in 0..20 {
            let id = store.manifest.allocate_file_id().unwrap();
            assert!(id > highest, "{id} after {highest}");
            highest = id;
        }
        let image = disk.crash_image(CrashChoice::LoseUnsynced);
        assert!(Store::open(&image).unwrap().manifest.allocate_file_id().unwrap() > highest);
    }
}

#[test]
fn a_long_manifest_is_replaced_and_says_the_same() {
    let disk = SimulatedDisk::new(1);
    let store = Store::open(&disk).unwrap();
    let id = store.manifest.allocate_file_id().unwrap();
    let info = SegmentInfo { id, ..super::super::testing::segment_info(1) };
    store.manifest.commit(&[Edit::AddSegment { info, replaced_logs: vec![], dirty: vec![] }]).unwrap();
    for n in 0..60u8 {
        let edit = Edit::SetDirty { segment: id, bytes: vec![n; 50_000] };
        store.manifest.commit(&[edit]).unwrap();
    }
    assert!(disk.read_file(MANIFEST).unwrap().len() < 1_200_000);
    let image = disk.crash_image(CrashChoice::LoseUnsynced);
    let Contents::Store(found) = look(&image, &segment_store).unwrap() else { panic!("a store") };
    assert_eq!(found.catalog, *store.manifest.catalog());
    assert_eq!(found.trust, Trust::Intact);
    assert_eq!(image.list(Directory::Root).unwrap().len(), 2);
}
