//! Crash safety: the reference workload loses power at every step it takes to the disk, and every disk it may
//! leave must open and keep what was promised.
//!
//! The judge (common/crash.rs) opens each image and asks: is every durable batch there, is each batch there
//! whole or not at all, is there no hole in the order of appends, does a search equal a scan, does the store
//! open again to the same contents, does it take spans? `TAILSPAN_CRASH_IMAGES` says how many images are
//! judged; tests/canaries.rs proves that the judge notices. I/O errors instead of crashes: recovery/io_errors.rs.

#[path = "common/crash.rs"]
mod crash;
#[path = "recovery/cuts.rs"]
mod cuts;
#[path = "common/fault.rs"]
mod fault;
#[path = "recovery/io_errors.rs"]
mod io_errors;
#[path = "common/judged.rs"]
mod judged;
#[path = "common/numbered.rs"]
mod numbered;

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tailspan::{CrashChoice, Durability, SimulatedDisk};

use crash::{
    CHOICES, Loss, Record, Verdict, append, crashed_after, keeps_promises, open, run, script, stands_alone,
    without_panic,
};
use cuts::Cuts;
use judged::Judged;

/// Images unless `TAILSPAN_CRASH_IMAGES` says otherwise.
const IMAGES_DEFAULT: u64 = 110_000;

/// Operations after which a recovery is cut: the longest takes 21.
const RECOVERY_OPERATIONS: u64 = 22;
const THREADS: usize = 2;
/// Images of each death of the process.
const DEATHS: u64 = 4;

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

    fn join(&mut self, other: Self) {
        self.images += other.images;
        self.violations += other.violations;
        self.told.extend(other.told);
        self.told.truncate(10);
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

/// Operations of the longest recovery.
fn longest_recovery(operations: u64) -> u64 {
    let recovery = |image: SimulatedDisk| open(&image).map(|_| image.operations()).unwrap_or_default();
    let of_moment = |n: u64| {
        let (disk, _) = crashed_after(n);
        CHOICES.map(|choice| recovery(disk.crash_image(choice))).into_iter().max().unwrap_or_default()
    };
    (0..=operations).map(of_moment).max().unwrap_or_default()
}

#[test]
fn whatever_a_crash_leaves_opens_and_keeps_what_was_promised() {
    let (began, operations, wanted) = (Instant::now(), operations(), images_wanted());
    let fixed = CHOICES.len() as u64 + DEATHS;
    // Half of the images are crashes of recoveries from crashes of recoveries: all there are, if there is room.
    let nested = (operations + 1) * RECOVERY_OPERATIONS * RECOVERY_OPERATIONS;
    let stride = (nested * 2).div_ceil(wanted).max(1);
    let random = wanted.saturating_sub(nested / stride).div_ceil(operations + 1).saturating_sub(fixed).max(1);
    let (next, tally) = (AtomicU64::new(0), Mutex::new(Tally::default()));
    let seen = (Judged::default(), Cuts::default());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n > operations {
                        break;
                    }
                    let (disk, record) = crashed_after(n);
                    let (records, mut own) = ([record], Tally::default());
                    power_cuts(n, random, &disk, &records, &seen.0, &mut own);
                    deaths(n, &disk, &records, &mut own);
                    two_deep(n, stride, &disk, &records, &seen, &mut own);
                    tally.lock().expect("no panic while it is held").join(own);
                }
            });
        }
    });
    let tally = tally.into_inner().expect("no panic while it was held");
    let (seconds, distinct) = (began.elapsed().as_secs_f64(), seen.0.distinct());
    let longest = longest_recovery(operations);
    assert!(longest < RECOVERY_OPERATIONS, "a recovery takes {longest} operations");
    println!("{operations} operations, {longest} of a recovery, one in {stride} two deep, {distinct} different images");
    println!("{seconds:.1} seconds");
    tally.finish();
}

/// The power goes, goes again during recovery, and again during the recovery from that: every pair of moments, or one
/// in `stride` of them.
fn two_deep(n: u64, stride: u64, disk: &SimulatedDisk, records: &[Record], seen: &(Judged, Cuts), tally: &mut Tally) {
    let (judged, cuts) = seen;
    for (first, second) in (0..RECOVERY_OPERATIONS).flat_map(|a| (0..RECOVERY_OPERATIONS).map(move |b| (a, b))) {
        let case = (n * RECOVERY_OPERATIONS + first) * RECOVERY_OPERATIONS + second;
        if !case.wrapping_mul(0x9e37_79b9).is_multiple_of(stride) {
            continue;
        }
        let crash = [CrashChoice::LoseUnsynced, CrashChoice::KeepAll, CrashChoice::Random(n)][(n + first) as usize % 3];
        let once = cuts.cut(&disk.crash_image(crash), first, (first % 3) as u8);
        let twice = cuts.cut(&once, second, ((n + second) % 3) as u8);
        let verdict = judged.judge(&twice, records, Loss::PowerAgain);
        tally.add(verdict, || format!("after {n} operations, then {first}, then {second}"));
    }
}

/// The power goes, and in some images it goes again during recovery.
fn power_cuts(n: u64, random: u64, disk: &SimulatedDisk, records: &[Record], judged: &Judged, tally: &mut Tally) {
    for choice in CHOICES {
        let verdict = judged.judge(&disk.crash_image(choice), records, Loss::of(choice));
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
        let verdict = judged.judge(&image, records, loss);
        tally.add(verdict, || format!("after {n} operations, {choice:?}, seed {seed}"));
    }
}

/// As [`Judged::judge`], of a disk on which not everything is durable.
fn judge_without_panic(disk: &SimulatedDisk, records: &[Record], loss: Loss) -> Verdict {
    without_panic(|| keeps_promises(&stands_alone(disk, loss)?, records, loss))
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
