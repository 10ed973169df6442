//! The simulated disk as its users see it: each rule of the durability model, faults, and the power switch.

use super::*;
use crate::error::{ErrorKind, Result};
use crate::os::{Storage, WritableFile};

fn disk() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    disk.create_directories().unwrap();
    disk
}

/// A file with these bytes, neither synced nor its name durable.
fn write(disk: &SimulatedDisk, path: &str, bytes: &[u8]) -> Box<dyn WritableFile> {
    let mut file = disk.create(path).unwrap();
    file.append(bytes).unwrap();
    file
}

fn fault(operation: OperationKind, path_contains: &str, error: FaultKind) -> Fault {
    Fault { operation, path_contains: path_contains.into(), nth: 1, error, forever: false }
}

fn lose(disk: &SimulatedDisk) -> SimulatedDisk {
    disk.crash_image(CrashChoice::LoseUnsynced)
}

#[test]
fn only_a_synced_file_with_a_synced_name_survives_the_hardest_crash() {
    let disk = disk();
    write(&disk, "log/both", b"x").sync().unwrap();
    disk.sync_directory(Directory::Log).unwrap();
    write(&disk, "log/bytes-alone", b"x").sync().unwrap();
    assert_eq!(lose(&disk).file_names(), ["log/both"]);
    assert_eq!(lose(&disk).read_file("log/both").unwrap(), b"x");
}

#[test]
fn the_death_of_a_process_loses_nothing_and_makes_nothing_durable() {
    let disk = disk();
    disk.sync_directory(Directory::Log).unwrap();
    write(&disk, "log/1", b"x");
    let _lock = disk.lock().unwrap();
    let dead = disk.death_image();
    assert_eq!(dead.read_file("log/1").unwrap(), b"x");
    dead.lock().unwrap();
    assert_eq!(lose(&dead).file_names(), [""; 0]);
}

#[test]
fn a_synced_name_of_an_unsynced_file_is_an_empty_file() {
    let disk = disk();
    write(&disk, "log/1", b"x");
    disk.sync_directory(Directory::Log).unwrap();
    assert_eq!(lose(&disk).read_file("log/1").unwrap(), b"");
}

#[test]
fn syncing_one_directory_says_nothing_of_another() {
    let disk = disk();
    write(&disk, "log/1", b"");
    write(&disk, "seg/1", b"");
    disk.sync_directory(Directory::Segments).unwrap();
    assert_eq!(lose(&disk).file_names(), ["seg/1"]);
}

#[test]
fn a_sync_handle_syncs_what_the_first_handle_appended() {
    let disk = disk();
    let mut file = write(&disk, "log/1", b"before");
    let mut handle = file.sync_handle().unwrap();
    disk.sync_directory(Directory::Log).unwrap();
    handle.sync().unwrap();
    file.append(b" after").unwrap();
    assert_eq!(lose(&disk).read_file("log/1").unwrap(), b"before");
    assert!(handle.append(b"x").is_err());
}

#[test]
fn a_rename_between_directories_may_leave_the_file_under_neither_name() {
    let disk = disk();
    write(&disk, "log/1", b"x").sync().unwrap();
    disk.sync_directory(Directory::Log).unwrap();
    disk.rename("log/1", "quarantine/1").unwrap();
    disk.sync_directory(Directory::Log).unwrap();
    assert_eq!(lose(&disk).file_names(), [""; 0]);
    disk.sync_directory(Directory::Quarantine).unwrap();
    assert_eq!(lose(&disk).file_names(), ["quarantine/1"]);
}

#[test]
fn directories_survive_only_once_created_to_the_end() {
    let disk = SimulatedDisk::new(1);
    disk.crash_after(2);
    disk.create_directories().unwrap_err();
    assert!(!lose(&disk).exists().unwrap());
    let whole = SimulatedDisk::new(1);
    whole.create_directories().unwrap();
    assert!(lose(&whole).exists().unwrap());
}

#[test]
fn a_crash_that_keeps_all_is_the_disk_as_it_was() {
    let disk = disk();
    write(&disk, "log/1", b"bytes");
    disk.create("MANIFEST").unwrap();
    let image = disk.crash_image(CrashChoice::KeepAll);
    assert_eq!(image.file_names(), disk.file_names());
    assert_eq!(image.read_file("log/1").unwrap(), b"bytes");
}

#[test]
fn a_crash_image_is_another_disk_all_durable() {
    let disk = disk();
    write(&disk, "log/1", b"bytes");
    let image = disk.crash_image(CrashChoice::KeepAll);
    image.remove("log/1").unwrap();
    assert!(disk.read_file("log/1").is_some());
    assert_eq!(lose(&image).read_file("log/1").unwrap(), b"bytes");
    assert_eq!((image.operations(), disk.operations() > 1), (1, true));
}

#[test]
fn the_same_seed_gives_the_same_image() {
    let disk = disk();
    for n in 0..20 {
        write(&disk, &format!("log/{n}"), &[n; 700]);
    }
    let image = |seed| {
        let image = disk.crash_image(CrashChoice::Random(seed));
        image.file_names().iter().map(|name| (name.clone(), image.read_file(name))).collect::<Vec<_>>()
    };
    assert_eq!(image(5), image(5));
    assert_ne!(image(5), image(6));
}

/// A workload of a few operations of every kind.
fn workload(disk: &SimulatedDisk) -> Result<()> {
    disk.create_directories()?;
    let mut file = disk.create("log/1")?;
    file.append(b"abc")?;
    file.truncate(1)?;
    file.sync()?;
    disk.sync_directory(Directory::Log)?;
    disk.rename("log/1", "log/2")?;
    disk.remove("log/2")
}

#[test]
fn every_operation_that_changes_the_disk_is_counted_once() {
    let disk = SimulatedDisk::new(1);
    workload(&disk).unwrap();
    let kinds: Vec<OperationKind> = disk.history().into_iter().map(|(kind, _)| kind).skip(5).collect();
    use OperationKind as Kind;
    let expected =
        [Kind::Create, Kind::Append, Kind::Truncate, Kind::Sync, Kind::SyncDirectory, Kind::Rename, Kind::Remove];
    assert_eq!(kinds, expected);
    assert_eq!(disk.operations(), 12);
}

#[test]
fn the_power_can_be_cut_before_every_operation() {
    for n in 0..12 {
        let disk = SimulatedDisk::new(1);
        disk.crash_after(n);
        let error = workload(&disk).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().ends_with("simulated power loss"), "{error}");
        assert_eq!((disk.operations(), disk.power_lost()), (n, true));
    }
    let disk = SimulatedDisk::new(1);
    disk.crash_after(12);
    workload(&disk).unwrap();
    assert!(!disk.power_lost());
}

#[test]
fn after_the_power_is_cut_nothing_works_but_looking_from_outside() {
    let disk = disk();
    let mut file = write(&disk, "log/1", b"x");
    disk.crash_after(disk.operations());
    assert_eq!(disk.read("log/1", 9).unwrap(), b"x", "the power is on until the next change");
    file.append(b"y").unwrap_err();
    disk.read("log/1", 9).unwrap_err();
    disk.map("log/1").unwrap_err();
    disk.list(Directory::Log).unwrap_err();
    disk.lock().unwrap_err();
    assert_eq!(disk.read_file("log/1").unwrap(), b"x");
    assert!(disk.crash_image(CrashChoice::KeepAll).lock().is_ok());
}

#[test]
fn a_failed_sync_that_is_retried_has_still_lost_its_bytes() {
    let disk = disk();
    let mut file = write(&disk, "log/1", b"lost");
    disk.sync_directory(Directory::Log).unwrap();
    disk.inject(fault(OperationKind::Sync, "log/", FaultKind::Eio));
    assert_eq!(file.sync().unwrap_err().kind(), ErrorKind::Io);
    file.sync().unwrap();
    assert_eq!(disk.read("log/1", 9).unwrap(), b"lost");
    assert_eq!(lose(&disk).read_file("log/1").unwrap(), b"");
}

#[test]
fn a_failed_directory_sync_that_is_retried_has_still_lost_its_names() {
    let disk = disk();
    write(&disk, "MANIFEST", b"").sync().unwrap();
    disk.inject(fault(OperationKind::SyncDirectory, ".", FaultKind::Eio));
    disk.sync_directory(Directory::Root).unwrap_err();
    disk.sync_directory(Directory::Root).unwrap();
    assert_eq!(lose(&disk).file_names(), [""; 0]);
}

#[test]
fn a_short_write_leaves_half_and_says_so() {
    let disk = disk();
    disk.inject(fault(OperationKind::Append, "", FaultKind::ShortWrite));
    let mut file = disk.create("log/1").unwrap();
    let error = file.append(b"abcdef").unwrap_err();
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::WriteZero));
    assert_eq!(disk.read_file("log/1").unwrap(), b"abc");
}

#[test]
fn a_full_disk_takes_what_fits_and_more_after_a_removal() {
    let disk = disk();
    disk.set_capacity(Some(10));
    write(&disk, "log/1", b"1234567");
    let mut file = disk.create("log/2").unwrap();
    let error = file.append(b"abcdef").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert_eq!(disk.read_file("log/2").unwrap(), b"abc");
    disk.remove("log/1").unwrap();
    file.append(b"def").unwrap();
}

#[test]
fn reading_mapping_listing_opening_and_locking_can_fail() {
    let disk = disk();
    write(&disk, "log/1", b"x");
    let attempt = |kind| match kind {
        OperationKind::Read => disk.read("log/1", 9).map(drop),
        OperationKind::Map => disk.map("log/1").map(drop),
        OperationKind::List => disk.list(Directory::Log).map(drop),
        OperationKind::Open => disk.open_append("log/1").map(drop),
        _ => disk.lock().map(drop),
    };
    use OperationKind as Kind;
    for kind in [Kind::Read, Kind::Map, Kind::List, Kind::Open, Kind::Lock] {
        disk.inject(fault(kind, "", FaultKind::TooManyFiles));
        assert!(attempt(kind).unwrap_err().to_string().contains("os error 24"), "{kind:?}");
        attempt(kind).unwrap();
    }
}

#[test]
fn a_fault_that_is_taken_back_does_nothing() {
    let disk = disk();
    disk.inject(Fault { forever: true, ..fault(OperationKind::Create, "", FaultKind::ReadOnly) });
    disk.create("MANIFEST").unwrap_err();
    disk.clear_faults();
    disk.create("MANIFEST").unwrap();
}

#[test]
fn the_lock_is_one_for_all_clones_until_its_guard_is_dropped() {
    let disk = disk();
    let held = disk.lock().unwrap();
    assert_eq!(disk.clone().lock().unwrap_err().kind(), ErrorKind::Locked);
    disk.crash_image(CrashChoice::KeepAll).lock().unwrap();
    drop(held);
    disk.lock().unwrap();
}

#[test]
fn a_map_is_aligned_and_outlives_the_change_and_the_removal_of_its_file() {
    let disk = disk();
    let mut file = write(&disk, "seg/1", b"published");
    let map = disk.map("seg/1").unwrap();
    file.append(b"!").unwrap();
    disk.remove("seg/1").unwrap();
    assert_eq!(map.bytes().unwrap(), b"published");
    assert!(map.bytes().unwrap().as_ptr().addr().is_multiple_of(8));
}

#[test]
fn names_behave_as_on_a_real_disk() {
    let disk = disk();
    let kind = |result: Result<()>| result.unwrap_err().io_kind();
    write(&disk, "MANIFEST", b"12345");
    assert_eq!(kind(disk.create("MANIFEST").map(drop)), Some(std::io::ErrorKind::AlreadyExists));
    assert_eq!(kind(disk.open_append("x").map(drop)), Some(std::io::ErrorKind::NotFound));
    assert_eq!(kind(disk.create("nowhere/x").map(drop)), Some(std::io::ErrorKind::NotFound));
    assert_eq!(kind(disk.remove("x")), Some(std::io::ErrorKind::NotFound));
    assert_eq!(kind(disk.rename("x", "y")), Some(std::io::ErrorKind::NotFound));
    assert_eq!(disk.read("MANIFEST", 4).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(SimulatedDisk::new(2).list(Directory::Log).unwrap(), []);
    assert!(!SimulatedDisk::new(2).exists().unwrap());
}

#[test]
fn damage_done_from_outside_is_durable_and_uncounted() {
    let disk = disk();
    let before = disk.operations();
    disk.write_file("seg/1", b"abc");
    disk.flip_bit("seg/1", 9);
    disk.truncate_file("seg/1", 2);
    disk.write_file("seg/2", b"");
    disk.remove_file("seg/2");
    assert_eq!(disk.operations(), before);
    assert_eq!(lose(&disk).file_names(), ["seg/1"]);
    assert_eq!(lose(&disk).read_file("seg/1").unwrap(), [b'a', b'b' ^ 2]);
}

#[test]
fn a_handle_of_a_removed_file_goes_on_writing_nowhere() {
    let disk = disk();
    let mut file = write(&disk, "log/1", b"x");
    disk.remove("log/1").unwrap();
    disk.sync_directory(Directory::Log).unwrap();
    file.append(b"y").unwrap();
    file.sync().unwrap();
    assert_eq!(disk.crash_image(CrashChoice::KeepAll).file_names(), [""; 0]);
}

#[test]
fn random_numbers_repeat_with_the_seed_alone() {
    assert_eq!(SimulatedDisk::new(9).random_u64(), SimulatedDisk::new(9).random_u64());
    assert_ne!(SimulatedDisk::new(9).random_u64(), SimulatedDisk::new(10).random_u64());
}
