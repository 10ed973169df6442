//! Crash safety: the reference workload loses power at every step it takes to the disk, and every disk it may
//! leave must open and keep what was promised.
//!
//! The judge (common/crash.rs) opens each image and asks: is every durable batch there, is each batch there
//! whole or not at all, is there no hole in the order of appends, does a search equal a scan, does the store
//! open again to the same contents, does it take spans? `TAILSPAN_CRASH_IMAGES` says how many images are
//! judged; tests/canaries.rs proves that the judge notices.

#[path = "common/crash.rs"]
mod crash;
#[path = "common/numbered.rs"]
mod numbered;

use std::io::Write;
use std::sync::Mutex;

use tailspan::{CrashChoice, Durability, Fault, FaultKind, OperationKind, SimulatedDisk};

use crash::{Loss, Record, Step, Verdict, append, contents, judge_without_panic, open, run, script};

/// Images unless `TAILSPAN_CRASH_IMAGES` says otherwise.
const IMAGES_DEFAULT: u64 = 3_000;

/// Operations of a recovery, about.
const RECOVERY_OPERATIONS: u64 = 16;
/// Images of each death of the process.
const DEATHS: u64 = 4;

/// Every crash but the random ones.
const CHOICES: [CrashChoice; 7] = [
    CrashChoice::LoseUnsynced,
    CrashChoice::KeepAll,
    CrashChoice::TornTail { granularity: 1 },
    CrashChoice::TornTail { granularity: 512 },
    CrashChoice::TornTail { granularity: 4096 },
    CrashChoice::ZeroTail,
    CrashChoice::GarbageTail,
];

fn images_wanted() -> u64 {
    let word = std::env::var("TAILSPAN_CRASH_IMAGES").ok();
    word.map_or(IMAGES_DEFAULT, |word| word.parse().expect("TAILSPAN_CRASH_IMAGES is a number"))
}

/// Counts images and keeps the first violations to tell.
#[derive(Default)]
struct Tally {
    images: u64,
    violations: u64,
    told: Vec<String>,
}

impl Tally {
    fn add(&mut self, verdict: Verdict, case: impl FnOnce() -> String) {
        self.images += 1;
        if let Err(violation) = verdict {
            self.violations += 1;
            if self.told.len() < 10 {
                self.told.push(format!("{}: {violation}", case()));
            }
        }
    }

    /// Prints the counts past the capture of test output, and fails if a promise was broken.
    fn finish(&self) {
        let line = format!("\ncrash images={} violations={}\n", self.images, self.violations);
        std::io::stdout().write_all(line.as_bytes()).expect("standard output takes a line");
        assert!(self.violations == 0, "{}", self.told.join("\n"));
    }
}

/// Operations of the whole reference workload.
fn operations() -> u64 {
    let disk = SimulatedDisk::new(1);
    let record = run(&disk, &script());
    assert!(record.batches.iter().all(|batch| batch.standing == crash::Standing::Durable), "{record:?}");
    disk.operations()
}

/// A disk whose power is cut after `n` operations of the reference workload.
fn crashed_after(n: u64) -> (SimulatedDisk, Record) {
    let disk = SimulatedDisk::new(n);
    disk.crash_after(n);
    let record = run(&disk, &script());
    (disk, record)
}

#[test]
fn whatever_a_crash_leaves_opens_and_keeps_what_was_promised() {
    let operations = operations();
    let fixed = CHOICES.len() as u64 + DEATHS;
    let random = (images_wanted() / (operations + 1)).saturating_sub(fixed).max(1);
    let mut tally = Tally::default();
    for n in 0..=operations {
        let (disk, record) = crashed_after(n);
        let records = [record];
        power_cuts(n, random, &disk, &records, &mut tally);
        deaths(n, &disk, &records, &mut tally);
    }
    tally.finish();
}

/// The power goes, and in some images it goes again during recovery.
fn power_cuts(n: u64, random: u64, disk: &SimulatedDisk, records: &[Record], tally: &mut Tally) {
    for choice in CHOICES {
        let verdict = judge_without_panic(&disk.crash_image(choice), records, Loss::of(choice));
        tally.add(verdict, || format!("after {n} operations, {choice:?}"));
    }
    for seed in 0..random {
        let choice = CrashChoice::Random(n << 32 | seed);
        let (mut image, mut loss) = (disk.crash_image(choice), Loss::Power);
        if seed % 4 == 3 {
            image.crash_after(1 + (n + seed / 4) % RECOVERY_OPERATIONS);
            let _ = open(&image);
            (image, loss) = (image.crash_image(CrashChoice::Random(seed)), Loss::PowerAgain);
        }
        let verdict = judge_without_panic(&image, records, loss);
        tally.add(verdict, || format!("after {n} operations, {choice:?}, seed {seed}"));
    }
}

/// The process dies. What it did not sync is there and not durable; then the power goes during recovery.
fn deaths(n: u64, disk: &SimulatedDisk, records: &[Record], tally: &mut Tally) {
    let verdict = judge_without_panic(&disk.death_image(), records, Loss::Process);
    tally.add(verdict, || format!("death after {n} operations"));
    for again in 1..DEATHS {
        let image = disk.death_image();
        let cut = (n + again * 5) % RECOVERY_OPERATIONS;
        image.crash_after(cut);
        let _ = open(&image);
        let choice = if again == 1 { CrashChoice::LoseUnsynced } else { CrashChoice::Random(n << 8 | again) };
        let verdict = judge_without_panic(&image.crash_image(choice), records, Loss::PowerAgain);
        tally.add(verdict, || format!("death after {n} operations, power cut {cut} later, {choice:?}"));
    }
}

/// Two writers append in turns of their own until the power goes.
fn two_writers(n: u64) -> (SimulatedDisk, [Record; 2]) {
    let disk = SimulatedDisk::new(n);
    let store = open(&disk).expect("the power is still there");
    disk.crash_after(disk.operations() + n);
    let write = |first: u64| {
        let mut record = Record::default();
        for batch in 0..12 {
            let numbers = first + batch * 3..first + batch * 3 + 3;
            let durability = if batch % 3 == 1 { Durability::Buffered } else { Durability::Sync };
            let taken = append(&store, numbers.clone(), durability).is_ok();
            record.appended(numbers, durability, taken);
            if !taken {
                break;
            }
        }
        record
    };
    let records = std::thread::scope(|scope| {
        let first = scope.spawn(|| write(0));
        let second = write(100);
        [first.join().expect("the first writer"), second]
    });
    (disk, records)
}

#[test]
fn two_writers_lose_nothing_acknowledged_and_each_keeps_its_order() {
    for n in 0..40 {
        let (disk, records) = two_writers(n);
        for choice in CHOICES.into_iter().chain((0..3).map(|seed| CrashChoice::Random(n << 8 | seed))) {
            let verdict = judge_without_panic(&disk.crash_image(choice), &records, Loss::of(choice));
            assert_eq!(verdict, Ok(()), "{choice:?} after {n} operations: {records:?}");
        }
    }
}

#[test]
fn a_store_that_was_opened_and_given_nothing_takes_spans_and_seals() {
    let disk = SimulatedDisk::new(1);
    for _ in 0..3 {
        drop(open(&disk).expect("it opens"));
    }
    let store = open(&disk).expect("it opens");
    assert_eq!(store.seal().expect("there is nothing to seal").spans, 0);
    assert_eq!(append(&store, 0..3, Durability::Sync).expect("it takes spans").accepted, 3);
    assert_eq!(store.seal().expect("it seals").spans, 3);
    let logs = disk.file_names().into_iter().filter(|name| name.starts_with("log/")).count();
    assert_eq!(logs, 1, "logs without spans do not gather: {:?}", disk.file_names());
}

const FAULT_KINDS: [FaultKind; 7] = [
    FaultKind::Eio,
    FaultKind::NoSpace,
    FaultKind::Interrupted,
    FaultKind::TooManyFiles,
    FaultKind::ReadOnly,
    FaultKind::PermissionDenied,
    FaultKind::ShortWrite,
];

/// Goes through the script whatever fails, and keeps account. Fails if an append is acknowledged although a sync
/// of the log failed since the store was opened.
fn run_on(disk: &SimulatedDisk) -> Result<Record, String> {
    let mut record = Record::default();
    let mut store = open(disk).ok();
    let mut closed = false;
    for step in script() {
        let Some(open_store) = &store else {
            store = open(disk).ok();
            continue;
        };
        match step {
            Step::Append(numbers, durability) => {
                let appended = append(open_store, numbers.clone(), durability);
                if closed && appended.is_ok() {
                    return Err(format!("{numbers:?} was acknowledged after a failed sync"));
                }
                record.appended(numbers, durability, appended.is_ok());
                if let Err(error) = appended {
                    closed |= durability == Durability::Sync && error.to_string().contains("a sync failed");
                    record.in_doubt();
                }
            }
            Step::Again(_) => {}
            Step::Seal => match open_store.seal() {
                Ok(_) if closed => return Err("a store whose log cannot be synced was sealed".to_owned()),
                Ok(_) => record.synced(),
                Err(_) => record.in_doubt(),
            },
            Step::Reopen => {
                store = None;
                record.in_doubt();
                closed = false;
                store = open(disk).ok().or(store);
            }
        }
        if let Some(store) = &store {
            shows_what_it_acknowledged(store, &record)?;
        }
    }
    Ok(record)
}

/// A failure costs what failed alone: what was acknowledged can still be read.
fn shows_what_it_acknowledged(store: &tailspan::Store, record: &Record) -> Verdict {
    let found = contents(store)?;
    let sure = record.batches.iter().filter(|batch| batch.standing == crash::Standing::Durable);
    for number in sure.flat_map(|batch| batch.numbers.clone()) {
        crash::ensure(found.contains_key(&number), || format!("span {number} cannot be read any more"))?;
    }
    Ok(())
}

/// What was acknowledged survives, whatever failed; a failed batch is there whole or not at all.
fn judge_after_fault(disk: &SimulatedDisk, record: &Record) -> Verdict {
    disk.clear_faults();
    for choice in [CrashChoice::LoseUnsynced, CrashChoice::KeepAll, CrashChoice::Random(1), CrashChoice::Random(2)] {
        let image = disk.crash_image(choice);
        let store = open(&image).map_err(|error| format!("{choice:?}: {error}"))?;
        let found = contents(&store).map_err(|error| format!("{choice:?}: {error}"))?;
        shows_what_it_acknowledged(&store, record).map_err(|error| format!("{choice:?}: {error}"))?;
        for batch in &record.batches {
            let there = batch.numbers.clone().filter(|number| found.contains_key(number)).count();
            let whole = there == 0 || there == batch.numbers.clone().count();
            crash::ensure(whole, || format!("{choice:?}: {there} spans of {batch:?}"))?;
        }
        let taken = append(&store, 2_000..2_003, Durability::Sync).map(drop);
        taken.map_err(|error| format!("{choice:?}: no appends: {error}"))?;
    }
    Ok(())
}

#[test]
fn a_failing_operation_costs_no_acknowledged_span_and_a_failed_sync_ends_the_writer() {
    use OperationKind::{Append, Create, Remove, Rename, Sync, SyncDirectory, Truncate};
    let cases = Mutex::new(Vec::new());
    for operation in [Append, Sync, Create, Rename, Remove, Truncate, SyncDirectory] {
        for path in ["", "log/", "seg/", "MANIFEST"] {
            for (error, forever) in FAULT_KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
                for nth in [1, 2, 3, 5, 8] {
                    let path_contains = path.to_owned();
                    cases.lock().unwrap().push(Fault { operation, path_contains, nth, error, forever });
                }
            }
        }
    }
    let mut violations = Vec::new();
    for fault in cases.into_inner().unwrap() {
        let verdict = std::panic::catch_unwind(|| {
            let disk = SimulatedDisk::new(5);
            disk.inject(fault.clone());
            let record = run_on(&disk)?;
            judge_after_fault(&disk, &record)
        });
        match verdict {
            Ok(Ok(())) => {}
            Ok(Err(violation)) => violations.push(format!("{fault:?}: {violation}")),
            Err(_) => violations.push(format!("{fault:?}: a panic, told above")),
        }
    }
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}
