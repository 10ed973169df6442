//! The same promises under a real kernel: a file system in a loop image is shut down in the middle of writing, as a power
//! cut would, mounted again and judged; and a full file system is served again when there is space.
//!
//! Needs root, loop devices and `mkfs.ext4` or `mkfs.xfs`, and says what it skipped where they are missing.
//! `TAILSPAN_POWER_CUTS` cuts more often.

#[path = "common/numbered.rs"]
mod numbered;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::ioctl;
use tailspan::{AppendOptions, Durability, ErrorKind, Input, Span, Store};

/// Cuts of each file system unless `TAILSPAN_POWER_CUTS` says otherwise.
const CUTS: u64 = 4;
const IMAGE_BYTES: u64 = 320 << 20;
const WRITERS: u64 = 3;
/// Spans of an append: whole traces.
const BATCH: u64 = 20 * numbered::TRACE_SPANS;
/// Both file systems take this order, with a word that says what happens to the journal.
const SHUT_DOWN: ioctl::Opcode = ioctl::opcode::read::<u32>(b'X', 125);
/// The journal is written first; nothing more is written.
const JOURNAL: [u32; 2] = [1, 2];
/// Far more than the five seconds that are meant: a machine may be busy.
const SERVED_AGAIN_WITHIN: Duration = Duration::from_secs(60);

/// Runs a command; `None` if it is missing or fails.
fn run(command: &str, arguments: &[&str]) -> Option<()> {
    let done = Command::new(command).args(arguments).output().ok()?;
    done.status.success().then_some(())
}

/// A mounted file system, unmounted when it goes.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path, arguments: &[&str]) -> Option<Self> {
        std::fs::create_dir_all(at).ok()?;
        let all = [arguments, &[at.to_str()?]].concat();
        run("mount", &all).map(|()| Self(at.to_owned()))
    }

    /// As if the power went: what is not in the journal is gone, and every later call fails.
    fn cut(&self, journal: u32) {
        let root = std::fs::File::open(&self.0).expect("the root of the file system");
        // SAFETY: the order reads one number of 32 bits through the pointer, which `Setter` gives it, and writes no
        // memory; a file system that knows no such order refuses it.
        let shut_down = unsafe { ioctl::ioctl(&root, ioctl::Setter::<SHUT_DOWN, u32>::new(journal)) };
        shut_down.expect("the file system takes the order to shut down");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let path = self.0.to_str().expect("UTF-8");
        if run("umount", &[path]).is_none() {
            run("umount", &["-l", path]).unwrap_or_default();
        }
    }
}

fn open(folder: &Path) -> Store {
    let builder = Store::builder(folder).durability(Durability::Sync).memory_budget_bytes(8 << 20);
    builder.open().expect("a store always opens")
}

/// What was appended: the first number that was never tried, and the batches that were acknowledged.
///
/// What returns while the order to shut down is carried out does not count: a sync may succeed then and its bytes be lost,
/// which was seen only where ext4 writes its journal once more. No power cut has such a moment.
#[derive(Default)]
struct Account {
    next: AtomicU64,
    shutting_down: AtomicBool,
    acknowledged: Mutex<BTreeSet<u64>>,
}

impl Account {
    fn acknowledge(&self, first: u64) {
        if !self.shutting_down.load(Ordering::SeqCst) {
            self.acknowledged.lock().expect("no panic while it is held").insert(first);
        }
    }

    fn batches(&self) -> BTreeSet<u64> {
        self.acknowledged.lock().expect("no panic while it is held").clone()
    }
}

/// Several threads append, one seals and merges, until the power is cut.
fn work_until_cut(mounted: &Mounted, account: &Account, after: Duration, journal: u32) {
    let store = open(&mounted.0.join("store"));
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                loop {
                    let first = account.next.fetch_add(BATCH, Ordering::Relaxed);
                    let spans: Vec<Span> = (first..first + BATCH).map(numbered::span).collect();
                    if store.append(&spans).is_err() {
                        break;
                    }
                    account.acknowledge(first);
                }
            });
        }
        scope.spawn(|| while store.seal().and_then(|_| store.merge()).is_ok() {});
        std::thread::sleep(after);
        account.shutting_down.store(true, Ordering::SeqCst);
        mounted.cut(journal);
    });
    account.shutting_down.store(false, Ordering::SeqCst);
    // Closing fails as everything does.
    drop(store.close());
}

/// Everything acknowledged is there, batches are whole, nothing is invented or shown twice, and nothing is damaged.
fn judge(folder: &Path, account: &Account) {
    let store = open(folder);
    assert_eq!(store.recovery().damage, [""; 0]);
    let mut shown = BTreeSet::new();
    for span in store.spans().flat_map(|trace| trace.expect("nothing is damaged")) {
        let number = numbered::number_of(&span).expect("nothing is invented");
        assert!(number < account.next.load(Ordering::Relaxed), "{number} was never appended");
        assert!(shown.insert(number), "{number} is shown twice");
    }
    let acknowledged = account.batches();
    let batches: BTreeSet<u64> = shown.iter().map(|number| number - number % BATCH).collect();
    assert!(acknowledged.is_subset(&batches), "lost: {:?}", acknowledged.difference(&batches).collect::<Vec<_>>());
    assert_eq!(shown.len() as u64, batches.len() as u64 * BATCH, "half a batch");
    assert_eq!(store.verify().expect("every file is readable").damaged, []);
    store.close().expect("it closes");
}

fn survives_power_cuts(file_system: &str) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let (image, at) = (folder.path().join("image"), folder.path().join("mounted"));
    let file = std::fs::File::create(&image).expect("an image");
    file.set_len(IMAGE_BYTES).expect("an image");
    let image = image.to_str().expect("UTF-8");
    let made = run(&format!("mkfs.{file_system}"), &["-q", image]);
    let mount = || Mounted::new(&at, &["-o", "loop", image]);
    let Some(mounted) = made.and_then(|()| mount()) else {
        eprintln!("skipped: {file_system} cannot be made and mounted here (root, loop devices, mkfs.{file_system})");
        return;
    };
    drop(mounted);
    let cuts = std::env::var("TAILSPAN_POWER_CUTS").map_or(CUTS, |word| word.parse().expect("a number"));
    let account = Account::default();
    for cut in 0..cuts {
        let mounted = mount().expect("it was mounted before");
        let after = Duration::from_millis(50 + cut.wrapping_mul(0x9e37_79b9) % 700);
        work_until_cut(&mounted, &account, after, JOURNAL[(cut % 2) as usize]);
        drop(mounted);
        let mounted = mount().expect("its journal is replayed");
        judge(&mounted.0.join("store"), &account);
    }
    let acknowledged = account.batches().len() as u64 * BATCH;
    println!("{file_system}: {cuts} cuts, {acknowledged} spans acknowledged, none lost");
}

#[test]
fn what_was_acknowledged_survives_the_shutdown_of_ext4() {
    survives_power_cuts("ext4");
}

#[test]
fn what_was_acknowledged_survives_the_shutdown_of_xfs() {
    survives_power_cuts("xfs");
}

fn append(store: &Store, first: u64) -> tailspan::Result<()> {
    let spans: Vec<Span> = (first..first + BATCH).map(numbered::span).collect();
    let options = AppendOptions { durability: Some(Durability::Sync), ..AppendOptions::default() };
    store.append_with(Input::Spans(&mut spans.iter()), options).map(drop)
}

#[test]
fn a_full_file_system_is_served_again_when_there_is_space() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let Some(mounted) = Mounted::new(&folder.path().join("small"), &["-t", "tmpfs", "-o", "size=24m", "tmpfs"]) else {
        eprintln!("skipped: a small tmpfs cannot be mounted here (root)");
        return;
    };
    let ballast = mounted.0.join("ballast");
    std::fs::write(&ballast, vec![1; 16 << 20]).expect("there is space");
    let (store, account) = (open(&mounted.0.join("store")), Account::default());
    let mut refused = 0;
    while refused < 20 {
        let first = account.next.fetch_add(BATCH, Ordering::Relaxed);
        match append(&store, first) {
            Ok(()) => account.acknowledge(first),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
                refused += 1;
            }
        }
    }
    std::fs::remove_file(ballast).expect("it goes");
    let began = Instant::now();
    loop {
        let first = account.next.fetch_add(BATCH, Ordering::Relaxed);
        match append(&store, first) {
            Ok(()) => break account.acknowledge(first),
            Err(error) => assert!(began.elapsed() < SERVED_AGAIN_WITHIN, "still refused: {error}"),
        }
    }
    println!("served again {:?} after there was space", began.elapsed());
    store.seal().expect("there is space for a segment");
    store.close().expect("it closes");
    judge(&mounted.0.join("store"), &account);
}
