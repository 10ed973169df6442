//! Do the crash tests notice? Each defect that is wired into the code is planted, and the judges of recovery.rs must
//! find a broken promise; with none planted they must find nothing.
//!
//! Defects are switches of the whole process, so there is one test here and it runs alone.

#[path = "common/crash.rs"]
mod crash;
#[path = "common/fault.rs"]
mod fault;
#[path = "common/judged.rs"]
mod judged;
#[path = "common/numbered.rs"]
mod numbered;

use std::io::Write;

use tailspan::defects::{self, Defect};
use tailspan::{CrashChoice, Durability, Fault, FaultKind, OperationKind, SimulatedDisk};

use crash::{CHOICES, Loss, Verdict, append, contents, crashed_after, ensure, open, run, script, without_panic};
use fault::judge_fault;
use judged::Judged;

/// The defects that are planted. Two that are wired are not among them: the engine begins a new log after any failed
/// append, so `AppendAfterFailedWrite` is never put to the test here; and no two traces here share what `TrustTraceHash`
/// would confuse.
const WIRED: [Defect; 20] = [
    Defect::SkipLogSync,
    Defect::SkipSegmentSync,
    Defect::SkipManifestSync,
    Defect::SkipDirectorySync,
    Defect::AcknowledgeBeforeSync,
    Defect::RetryFailedSync,
    Defect::SkipLogChecksum,
    Defect::SkipManifestChecksum,
    Defect::TrustLogLength,
    Defect::StopAtFirstDamage,
    Defect::DeleteNewerLog,
    Defect::ReplaySealedLog,
    Defect::ReuseFileIds,
    Defect::SkipPageChecksum,
    Defect::SkipSectionChecksum,
    Defect::RemoveLogBeforeManifest,
    Defect::KeepDuplicates,
    Defect::ForgetDirtyTraces,
    Defect::ForgetDeletes,
    Defect::LoseDeletedMarks,
];

/// Where the header of the first record of a log stands, in bytes: see docs/FORMAT.md. Its first bytes are a mark
/// to search by, its last a checksum of the others.
const RECORD_HEADER: std::ops::Range<u64> = 48..96;

/// Random images of each moment.
const RANDOM_IMAGES: u64 = 6;

/// Crashes the reference workload everywhere.
fn crashes() -> Verdict {
    let disk = SimulatedDisk::new(1);
    without_panic(|| {
        run(&disk, &script());
        Ok(())
    })?;
    let judged = Judged::default();
    for n in 0..=disk.operations() {
        let crashed = std::panic::catch_unwind(|| crashed_after(n));
        let (disk, record) = crashed.map_err(|_| format!("a panic in the first {n} operations, told above"))?;
        let records = [record];
        let random = (0..RANDOM_IMAGES).map(|seed| CrashChoice::Random(n << 32 | seed));
        for choice in CHOICES.into_iter().chain(random) {
            let image = disk.crash_image(choice);
            judged
                .judge(&image, &records, Loss::of(choice))
                .map_err(|violation| format!("after {n} operations, {choice:?}: {violation}"))?;
        }
    }
    println!("{} different images", judged.distinct());
    Ok(())
}

/// Lets operations on the log and the manifest fail once.
fn faults() -> Verdict {
    for (operation, error) in [(OperationKind::Sync, FaultKind::Eio), (OperationKind::Append, FaultKind::ShortWrite)] {
        for path in ["log/", "MANIFEST"] {
            for nth in 1..12 {
                let fault = Fault { operation, path_contains: path.to_owned(), nth, error, forever: false };
                without_panic(|| judge_fault(&fault)).map_err(|violation| format!("{fault:?}: {violation}"))?;
            }
        }
    }
    Ok(())
}

/// Flips bits of the logs and of the manifest: what is lost must be told, and what is told must be true.
fn flips() -> Verdict {
    let disk = SimulatedDisk::new(1);
    let store = open(&disk)?;
    for first in 0..6 {
        append(&store, first * 10..first * 10 + 10, Durability::Sync).map(drop).map_err(|error| error.to_string())?;
        if first < 2 {
            store.seal().map(drop).map_err(|error| error.to_string())?;
        }
    }
    drop(store);
    for name in disk.file_names().into_iter().filter(|name| name.starts_with("log/") || name == "MANIFEST") {
        let bits = disk.read_file(&name).map_or(0, |bytes| bytes.len() as u64 * 8);
        let (mut silent, mut flipped) = (0, 0);
        // The first record of a log and of what it says of itself, every bit; of the rest some.
        let header = RECORD_HEADER.start * 8..(RECORD_HEADER.end * 8).min(bits);
        let is_log = name.starts_with("log/");
        let every = header.clone().filter(|_| is_log);
        for bit in (0..bits).step_by(13).chain(every) {
            let image = disk.crash_image(CrashChoice::KeepAll);
            image.flip_bit(&name, bit);
            let mut told = false;
            let checked = without_panic(|| {
                let store = open(&image)?;
                told = !store.recovery().damage.is_empty();
                let whole = contents(&store)?.len() == 60;
                ensure(whole || told, || "spans are lost and nothing is said of it".to_owned())
            });
            checked.map_err(|violation| format!("bit {bit} of {name}: {violation}"))?;
            let must_be_told = is_log && header.contains(&bit);
            ensure(told || !must_be_told, || format!("bit {bit} of {name} is not noticed"))?;
            // The end of a file may be torn, which is no damage.
            if bit < bits / 2 {
                flipped += 1;
                silent += u64::from(!told);
            }
        }
        // Nothing depends on the bytes between two records or frames.
        ensure(silent * 5 <= flipped, || format!("{silent} of {flipped} flipped bits of {name} are not noticed"))?;
    }
    Ok(())
}

/// Flips bits of a segment: nothing that was never written may be shown.
fn flips_in_a_segment() -> Verdict {
    let disk = SimulatedDisk::new(1);
    let store = open(&disk)?;
    append(&store, 0..200, Durability::Sync).map(drop).map_err(|error| error.to_string())?;
    store.seal().map(drop).map_err(|error| error.to_string())?;
    let whole = contents(&store)?.len();
    drop(store);
    let name = disk.file_names().into_iter().find(|name| name.starts_with("seg/")).ok_or("no segment")?;
    let bits = disk.read_file(&name).map_or(0, |bytes| bytes.len() as u64 * 8);
    for bit in (320..bits).step_by(61) {
        let image = disk.crash_image(CrashChoice::KeepAll);
        image.flip_bit(&name, bit);
        without_panic(|| {
            let store = open(&image)?;
            let there = contents(&store)?.len();
            ensure(there == whole, || format!("{there} of {whole} spans"))
        })
        .map_err(|violation| format!("bit {bit} of {name}: {violation}"))?;
    }
    Ok(())
}

/// The first broken promise, if one is found.
fn noticed() -> Option<String> {
    crashes().and_then(|()| faults()).and_then(|()| flips()).and_then(|()| flips_in_a_segment()).err()
}

#[test]
fn every_planted_defect_is_noticed_and_none_is_imagined() {
    assert_eq!(noticed(), None, "nothing is planted");
    let mut missed = Vec::new();
    for defect in WIRED {
        defects::plant(defect);
        let violation = noticed();
        defects::clear();
        println!("{defect:?}: {violation:?}");
        if violation.is_none() {
            missed.push(defect);
        }
    }
    let (planted, caught) = (WIRED.len(), WIRED.len() - missed.len());
    let line = format!("\ncanaries planted={planted} caught={caught}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("standard output takes a line");
    assert_eq!(missed, [], "not noticed");
}
