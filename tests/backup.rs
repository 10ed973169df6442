//! A backup is the store at one moment, made while others go on writing, and a store of its own from then on.
//!
//! ```text
//! in memory   every operation of the copy fails once, and the power goes after each: no store or the whole one
//! on disk     appends, seals and merges race with it; segments are linked
//! ```

#[path = "common/numbered.rs"]
mod numbered;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tailspan::{CrashChoice, Directory, Durability, ErrorKind, SimulatedDisk, Span, Storage, Store, compare_stores};

fn batch(numbers: std::ops::Range<u64>) -> Vec<Span> {
    numbers.map(numbered::span).collect()
}

fn open(directory: &Path) -> Store {
    let builder = Store::builder(directory).durability(Durability::Buffered).seal_automatically(false);
    builder.block_rows(1024).open().unwrap()
}

fn numbers(store: &Store) -> BTreeSet<u64> {
    store.spans().flat_map(|trace| trace.unwrap()).map(|span| numbered::number_of(&span).unwrap()).collect()
}

fn in_memory(disk: &SimulatedDisk) -> tailspan::Result<Store> {
    Store::builder("").storage(Arc::new(disk.clone())).seal_automatically(false).create(false).open()
}

/// A store with two segments, deleted traces in one of them, and spans in the log.
fn furnish(store: &Store) -> BTreeSet<u64> {
    for range in [0..50, 50..100] {
        assert_eq!(store.append(&batch(range)).unwrap().accepted, 50);
        store.seal().unwrap();
    }
    assert_eq!(store.append(&batch(100..130)).unwrap().accepted, 30);
    store.delete(&[numbered::span(0).trace_id, numbered::span(101).trace_id]).unwrap();
    let gone = |number: &u64| *number < 5 || (100..105).contains(number);
    (0..130).filter(|number| !gone(number)).collect()
}

#[test]
fn a_backup_is_the_same_store_and_goes_its_own_way() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store"));
    let held = furnish(&store);
    let target = folder.path().join("backups/monday");
    let made = store.backup(&target).unwrap();
    assert_eq!((made.segments, made.linked), (2, 2));
    assert_eq!(made.copied, made.logs);
    for entry in std::fs::read_dir(target.join("seg")).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().nlink(), 2, "segments are linked");
    }
    let reader = Store::open_read_only(&target).unwrap();
    assert_eq!((numbers(&reader), reader.recovery().damage.len()), (held.clone(), 0));
    assert!(compare_stores(&store.snapshot(), &reader.snapshot()).unwrap().is_empty());
    // A cursor of the store is one of its backup.
    assert!(reader.tail(store.newest_cursor()).unwrap().next().is_none());

    let copy = open(&target);
    assert_eq!(copy.append(&batch(200..210)).unwrap().accepted, 10);
    copy.merge_all().unwrap();
    assert_eq!(store.append(&batch(300..310)).unwrap().accepted, 10);
    assert_eq!(numbers(&copy), held.iter().copied().chain(200..210).collect());
    assert_eq!(numbers(&store), held.iter().copied().chain(300..310).collect());
    let difference = compare_stores(&store.snapshot(), &copy.snapshot()).unwrap();
    assert_eq!((difference.only_in_a, difference.only_in_b, difference.examples.len()), (10, 10, 4));
    for store in [&store, &copy] {
        assert_eq!(store.verify().unwrap().damaged, []);
    }
}

#[test]
fn a_directory_with_anything_in_it_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store"));
    let target = folder.path().join("target");
    std::fs::create_dir_all(target.join("anything")).unwrap();
    let error = store.backup(&target).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("is not empty"), "{error}");
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 1);
}

#[test]
fn a_backup_taken_while_others_write_holds_what_was_acknowledged_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(&path);
    let (acknowledged, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for first in (0..).step_by(20).take_while(|_| !stop.load(Ordering::Relaxed)) {
                assert_eq!(store.append(&batch(first..first + 20)).unwrap().accepted, 20);
                acknowledged.store(first + 20, Ordering::SeqCst);
                match first / 20 % 7 {
                    3 => drop(store.seal().unwrap()),
                    5 => drop(store.merge_all().unwrap()),
                    _ => {}
                }
            }
        });
        let reader = Store::open_read_only(&path).unwrap();
        for round in 0..12 {
            let target = folder.path().join(format!("backup-{round}"));
            let before = acknowledged.load(Ordering::SeqCst);
            let source = if round % 2 == 0 { &store } else { &reader };
            source.backup(&target).unwrap();
            let copy = open(&target);
            assert_eq!(copy.recovery().damage, [""; 0]);
            let held = numbers(&copy);
            assert!(held.len() as u64 >= before && held.len().is_multiple_of(20), "{} of {before}", held.len());
            assert_eq!(held, (0..held.len() as u64).collect(), "no holes");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// What a crash or a failure left of a backup: nothing that opens, or all of it.
fn nothing_or_all(image: &SimulatedDisk, held: &BTreeSet<u64>, what: &str) {
    match in_memory(image) {
        Ok(copy) => {
            assert_eq!(copy.recovery().damage, [""; 0], "{what}");
            assert_eq!(&numbers(&copy), held, "{what}");
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotAStore, "{what}: {error}"),
    }
}

#[test]
fn a_crash_at_any_operation_leaves_no_store_or_the_whole_one() {
    let source = SimulatedDisk::new(1);
    let store = Store::builder("").storage(Arc::new(source)).seal_automatically(false).open().unwrap();
    let held = furnish(&store);
    let whole = SimulatedDisk::new(2);
    store.backup_into(&whole).unwrap();
    let operations = whole.operations();
    assert!(operations > 20);
    for n in 0..operations {
        let disk = SimulatedDisk::new(2);
        disk.crash_after(n);
        store.backup_into(&disk).unwrap_err();
        for choice in [CrashChoice::LoseUnsynced, CrashChoice::KeepAll, CrashChoice::Random(n)] {
            nothing_or_all(&disk.crash_image(choice), &held, &format!("power lost after {n}, {choice:?}"));
        }
    }
    nothing_or_all(&whole.crash_image(CrashChoice::LoseUnsynced), &held, "made");
    assert!(in_memory(&whole.crash_image(CrashChoice::LoseUnsynced)).is_ok(), "a backup is durable once made");
}

#[test]
fn a_full_disk_fails_the_backup_and_nothing_of_it_is_left() {
    let store = Store::builder("").storage(Arc::new(SimulatedDisk::new(1))).seal_automatically(false).open().unwrap();
    furnish(&store);
    let disk = SimulatedDisk::new(2);
    disk.set_capacity(Some(5_000));
    assert_eq!(store.backup_into(&disk).unwrap_err().kind(), ErrorKind::NoSpace);
    assert_eq!(disk.file_names(), [""; 0]);
    disk.set_capacity(None);
    store.backup_into(&disk).unwrap();
    assert!(in_memory(&disk).is_ok());
    assert!(!disk.list(Directory::Root).unwrap().iter().any(|entry| entry.name.starts_with("BACKUP")));
}
