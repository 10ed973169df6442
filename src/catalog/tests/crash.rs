//! The power goes at every operation of the reference workload, and again during recovery; every operation
//! fails once, with every error.

use super::store::{Store, live, read_only};
use crate::error::ErrorKind;
use crate::os::{CrashChoice, Fault, FaultKind, OperationKind, SimulatedDisk};

fn choices(random: u64) -> Vec<CrashChoice> {
    let mut choices = vec![
        CrashChoice::LoseUnsynced,
        CrashChoice::KeepAll,
        CrashChoice::TornTail { granularity: 1 },
        CrashChoice::TornTail { granularity: 512 },
        CrashChoice::ZeroTail,
        CrashChoice::GarbageTail,
    ];
    choices.extend((0..random).map(CrashChoice::Random));
    choices
}

/// Runs the workload until the power goes at its operation `n + 1`. Answers what was acknowledged, and
/// false if it came to its end first.
fn cut(n: u64) -> (SimulatedDisk, u64, bool) {
    let disk = SimulatedDisk::new(n);
    disk.crash_after(n);
    let mut acknowledged = 0;
    let result = live(&disk, &mut acknowledged);
    (disk, acknowledged, result.is_err())
}

/// Opens the image and checks all promises.
fn check(image: &SimulatedDisk, acknowledged: u64, what: &str) {
    let before = read_only(image).unwrap_or_else(|error| panic!("{what}: a reader fails: {error}"));
    let store = Store::open(image).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = &store.opened.sequences;
    assert!(store.opened.is_clean(), "{what}: a crash is no damage: {:?}", store.opened);
    let expected = 0..found.len() as u64;
    assert!(found.iter().copied().eq(expected), "{what}: a hole or an invention: {found:?}");
    assert!(found.len() as u64 >= acknowledged, "{what}: {acknowledged} acknowledged, {found:?} found");
    assert_eq!(&before.sequences, found, "{what}: a reader sees something else");
    let next = store.append().unwrap();
    assert_eq!(next, found.len() as u64, "{what}: it takes appends at once");
    let again = Store::open(image).unwrap();
    let mut expected = found.clone();
    expected.insert(next);
    assert_eq!(again.opened.sequences, expected, "{what}: opening again changes nothing");
    assert!(again.opened.is_clean(), "{what}: opening again: {:?}", again.opened);
    let live = again.manifest.catalog();
    let segments = image.file_names().iter().filter(|name| name.ends_with(".seg")).count();
    assert_eq!(segments, live.segments().len(), "{what}: segments are left behind");
}

#[test]
fn after_a_crash_at_any_operation_every_acknowledged_span_is_there_and_no_other() {
    for n in 0.. {
        let (disk, acknowledged, was_cut) = cut(n);
        for choice in choices(20) {
            check(&disk.crash_image(choice), acknowledged, &format!("operation {n}, {choice:?}"));
        }
        if !was_cut {
            assert!(n > 60, "the workload has {n} operations");
            break;
        }
    }
}

#[test]
fn a_crash_during_the_recovery_from_a_crash_loses_nothing_either() {
    for n in 0.. {
        let (disk, acknowledged, was_cut) = cut(n);
        for first in choices(2) {
            let image = disk.crash_image(first);
            for m in 0.. {
                let second_disk = image.crash_image(CrashChoice::KeepAll);
                second_disk.crash_after(m);
                let recovered = Store::open(&second_disk).is_ok();
                for second in [CrashChoice::LoseUnsynced, CrashChoice::KeepAll, CrashChoice::Random(m)] {
                    let what = format!("operation {n}, {first:?}, then {m}, {second:?}");
                    check(&second_disk.crash_image(second), acknowledged, &what);
                }
                if recovered {
                    break;
                }
            }
        }
        if !was_cut {
            break;
        }
    }
}

#[test]
fn whatever_operation_fails_nothing_is_acknowledged_falsely_and_the_store_opens_again() {
    let kinds = [
        OperationKind::Append,
        OperationKind::Sync,
        OperationKind::Truncate,
        OperationKind::Create,
        OperationKind::Rename,
        OperationKind::Remove,
        OperationKind::SyncDirectory,
    ];
    let errors = [FaultKind::Eio, FaultKind::NoSpace, FaultKind::ShortWrite, FaultKind::ReadOnly];
    let mut cases = 0;
    for operation in kinds {
        for error in errors {
            for forever in [false, true] {
                for nth in 1.. {
                    let disk = SimulatedDisk::new(nth);
                    disk.inject(Fault { operation, path_contains: String::new(), nth, error, forever });
                    let mut acknowledged = 0;
                    let failed = live(&disk, &mut acknowledged).is_err();
                    disk.clear_faults();
                    for choice in [CrashChoice::LoseUnsynced, CrashChoice::KeepAll, CrashChoice::Random(nth)] {
                        let what = format!("{operation:?} {nth} {error:?} forever {forever}, {choice:?}");
                        check(&disk.crash_image(choice), acknowledged, &what);
                        cases += 1;
                    }
                    if !failed {
                        break;
                    }
                }
            }
        }
    }
    assert!(cases > 500, "{cases} cases");
}

#[test]
fn a_commit_that_finds_no_space_did_not_happen_and_the_next_one_may() {
    let disk = SimulatedDisk::new(1);
    let store = Store::open(&disk).unwrap();
    let used: usize = disk.file_names().iter().map(|name| disk.read_file(name).unwrap().len()).sum();
    disk.set_capacity(Some(used as u64 + 10));
    let before = store.manifest.catalog();
    let edit = [super::super::testing::add_segment(9, &[])];
    super::store::assert_kind(store.manifest.commit(&edit), ErrorKind::NoSpace);
    assert_eq!(store.manifest.catalog(), before);
    disk.set_capacity(None);
    store.manifest.commit(&edit).unwrap();
    let image = disk.crash_image(CrashChoice::LoseUnsynced);
    let missing = read_only(&image).unwrap().missing;
    assert_eq!(missing[0].path, "seg/000000000009.seg", "the commit survived; its file was never there");
}

#[test]
fn a_commit_whose_sync_fails_closes_the_manifest() {
    let disk = SimulatedDisk::new(1);
    let store = Store::open(&disk).unwrap();
    let sync = OperationKind::Sync;
    disk.inject(Fault {
        operation: sync,
        path_contains: "MANIFEST".into(),
        nth: 1,
        error: FaultKind::Eio,
        forever: false,
    });
    let edit = [super::super::testing::add_segment(9, &[])];
    let message = super::store::assert_kind(store.manifest.commit(&edit), ErrorKind::Closed);
    assert!(message.contains("reopen the store"), "{message}");
    super::store::assert_kind(store.manifest.commit(&edit), ErrorKind::Closed);
    super::store::assert_kind(store.manifest.rewrite(), ErrorKind::Closed);
}
