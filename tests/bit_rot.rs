//! Bit rot: every byte and bit of a small store changed, every file cut anywhere, gone, doubled, swapped, of another
//! store or of an older day. After each the store opens, takes spans, shows nothing that was never written, and says
//! what it lost.
//!
//! Half of the cases find files in memory, as maps are, and half read them piece by piece.
//!
//! By default one case in fifty is tried, chosen by a seed that is printed; all whole-file cases are. `TAILSPAN_BIT_ROT=all`
//! tries every one, a number one in so many; `TAILSPAN_BIT_ROT_SEED` chooses others.

#[path = "common/numbered.rs"]
mod numbered;
#[path = "common/rot.rs"]
mod rot;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tailspan::{CrashChoice, SimulatedDisk};

use rot::{Cost, Fixture, Reach, open};

/// One in so many cases is tried unless all are asked for.
const SAMPLED: u64 = 50;
/// Each so many cases the store is opened a second time.
const AGAIN_EVERY: usize = 8;
const THREADS: usize = 2;
/// The end of a segment, which begins with the offset of its last directory.
const FOOTER_BYTES: usize = 24;
/// Violations that are told in full.
const TOLD_MAX: usize = 40;

/// One kind of damage to one place.
#[derive(Clone, Debug)]
enum Case {
    /// All bits of a byte inverted.
    Byte(String, u64),
    /// One bit inverted.
    Bit(String, u64),
    /// All bits of a byte of a segment inverted, and one of its parity, so that nothing mends it.
    Unmended(String, u64),
    /// Cut to a length.
    Cut(String, u64),
    /// Removed.
    Gone(String),
    /// Copied to another name, over what is there.
    Copied(String, String),
    /// Exchanged.
    Swapped(String, String),
    /// Another store's file of that name.
    Foreign(String),
    /// What the file was after this step, or a file that was there only then.
    Older(usize, String),
}

impl Case {
    /// Files whose spans this damages.
    fn files(&self) -> Vec<String> {
        match self {
            Self::Byte(file, _) | Self::Bit(file, _) | Self::Unmended(file, _) | Self::Cut(file, _) => {
                vec![file.clone()]
            }
            Self::Gone(file) | Self::Foreign(file) | Self::Older(_, file) => vec![file.clone()],
            Self::Copied(_, onto) => vec![onto.clone()],
            Self::Swapped(a, b) => vec![a.clone(), b.clone()],
        }
    }

    fn is_of_a_whole_file(&self) -> bool {
        !matches!(self, Self::Byte(..) | Self::Bit(..) | Self::Unmended(..) | Self::Cut(..))
    }

    /// True if parity mends it.
    fn is_free(&self) -> bool {
        matches!(self, Self::Byte(file, _) | Self::Bit(file, _) if file.starts_with("seg/"))
    }

    fn apply(&self, fixture: &Fixture) -> SimulatedDisk {
        let disk = fixture.disk.crash_image(CrashChoice::KeepAll);
        let read = |from: &SimulatedDisk, file: &str| from.read_file(file).expect("a file of the fixture");
        match self {
            Self::Byte(file, at) => {
                let mut bytes = read(&disk, file);
                bytes[*at as usize] ^= 0xff;
                disk.write_file(file, &bytes);
            }
            Self::Unmended(file, at) => {
                let mut bytes = read(&disk, file);
                let footer = bytes.len() - FOOTER_BYTES;
                let directory = bytes[footer..footer + 8].try_into().map(u64::from_le_bytes).expect("eight bytes");
                // The parity stands before the last directory.
                bytes[directory as usize - 1] ^= 0xff;
                bytes[*at as usize] ^= 0xff;
                disk.write_file(file, &bytes);
            }
            Self::Bit(file, at) => disk.flip_bit(file, *at),
            Self::Cut(file, len) => disk.truncate_file(file, *len),
            Self::Gone(file) => disk.remove_file(file),
            Self::Copied(from, onto) => disk.write_file(onto, &read(&disk, from)),
            Self::Swapped(a, b) => {
                let (of_a, of_b) = (read(&disk, a), read(&disk, b));
                disk.write_file(a, &of_b);
                disk.write_file(b, &of_a);
            }
            Self::Foreign(file) => disk.write_file(file, &read(&fixture.other, file)),
            Self::Older(step, file) => disk.write_file(file, &read(&fixture.older[*step], file)),
        }
        disk
    }
}

/// Every case there is, in a fixed order.
fn cases(fixture: &Fixture) -> Vec<Case> {
    let names = fixture.disk.file_names();
    let mut out = Vec::new();
    for name in &names {
        let len = fixture.disk.read_file(name).map_or(0, |bytes| bytes.len() as u64);
        out.extend((0..len).map(|at| Case::Byte(name.clone(), at)));
        if name.starts_with("seg/") {
            out.extend((0..len).map(|at| Case::Unmended(name.clone(), at)));
        }
        out.extend((0..len * 8).map(|at| Case::Bit(name.clone(), at)));
        out.extend((0..len).map(|at| Case::Cut(name.clone(), at)));
        out.push(Case::Gone(name.clone()));
        for other in names.iter().filter(|other| *other != name) {
            out.push(Case::Copied(name.clone(), other.clone()));
            if name < other {
                out.push(Case::Swapped(name.clone(), other.clone()));
            }
        }
        if let Some((folder, file)) = name.split_once('/') {
            let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
            out.push(Case::Copied(name.clone(), format!("{folder}/000000000090.{ending}")));
            out.push(Case::Copied(name.clone(), format!("{folder}/000000000001.{ending}")));
            out.push(Case::Copied(name.clone(), format!("{folder}/copy of {file}")));
        }
        if fixture.other.read_file(name).is_some() {
            out.push(Case::Foreign(name.clone()));
        }
    }
    for (step, older) in fixture.older.iter().enumerate() {
        out.extend(older.file_names().into_iter().map(|name| Case::Older(step, name)));
    }
    out
}

/// The next of a row of scattered numbers.
fn scatter(state: u64) -> u64 {
    let mut z = state.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 27)
}

#[derive(Default)]
struct Tally {
    violations: u64,
    told: Vec<String>,
    /// The worst of each kind of file.
    worst: BTreeMap<String, Cost>,
}

fn judge(fixture: &Fixture, case: &Case, again: bool, reads_on_demand: bool) -> Result<Cost, String> {
    let files = case.files();
    let last_log = fixture.disk.file_names().into_iter().rfind(|name| name.starts_with("log/"));
    let silent_tail =
        matches!(case, Case::Cut(..) | Case::Older(..)) && last_log.is_some_and(|log| files.contains(&log));
    let reach = Reach { files, free: case.is_free(), silent_tail, again };
    let disk = case.apply(fixture);
    disk.read_on_demand(reads_on_demand);
    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fixture.judge(&disk, &reach)));
    checked.unwrap_or_else(|_| Err("a panic, told above".to_owned()))
}

#[test]
fn whatever_rots_is_noticed_or_harmless_and_costs_no_more_than_it_must() {
    let began = Instant::now();
    let fixture = Fixture::new();
    let bytes = fixture.len_bytes();
    assert!(bytes <= 256 << 10, "the fixture has {bytes} bytes");
    let all = std::env::var("TAILSPAN_BIT_ROT").is_ok_and(|word| word == "all");
    let seed = std::env::var("TAILSPAN_BIT_ROT_SEED").map_or(7, |word| word.parse().expect("a number"));
    let one_in = std::env::var("TAILSPAN_BIT_ROT").ok().and_then(|word| word.parse().ok()).unwrap_or(SAMPLED);
    let mut cases = cases(&fixture);
    let mut index = 0;
    cases.retain(|case| {
        index += 1;
        all || case.is_of_a_whole_file() || scatter(index ^ scatter(seed)).is_multiple_of(one_in)
    });
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at) else { break };
                    let again = case.is_of_a_whole_file() || at.is_multiple_of(AGAIN_EVERY);
                    let verdict = judge(&fixture, case, again, scatter(at as u64).is_multiple_of(2));
                    let mut tally = tally.lock().expect("no panic while it is held");
                    match verdict {
                        Ok(cost) => {
                            let worst = tally.worst.entry(case.files().join(" and ")).or_default();
                            *worst = (*worst).max(cost);
                        }
                        Err(violation) => {
                            tally.violations += 1;
                            if tally.told.len() < TOLD_MAX {
                                tally.told.push(format!("{case:?}: {violation}"));
                            }
                        }
                    }
                }
            });
        }
    });
    let tally = tally.into_inner().expect("no panic while it was held");
    let (count, violations, seconds) = (cases.len(), tally.violations, began.elapsed().as_secs_f64());
    let line = format!("\nbit rot seed={seed} cases={count} violations={violations} seconds={seconds:.1}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("standard output takes a line");
    println!("{bytes} bytes; the most each cost: {:#?}", tally.worst);
    assert!(violations == 0, "{}", tally.told.join("\n"));
}

#[test]
fn a_damaged_trace_table_keeps_no_store_from_opening() {
    let fixture = Fixture::new();
    let segment = fixture.disk.file_names().into_iter().find(|name| name.starts_with("seg/")).expect("a segment");
    let bytes = fixture.disk.read_file(&segment).map_or(0, |bytes| bytes.len() as u64);
    for at in (0..bytes).step_by(97) {
        // A delete in the log asks whether the segment holds its trace.
        let disk = Case::Unmended(segment.clone(), at).apply(&fixture);
        assert_eq!(open(&disk).map(drop), Ok(()), "byte {at}");
        // Without a manifest the segments are asked which traces they share.
        let disk = Case::Unmended(segment.clone(), at).apply(&fixture);
        disk.remove_file("MANIFEST");
        disk.remove_file("MANIFEST.old");
        assert_eq!(open(&disk).map(drop), Ok(()), "byte {at} and no manifest");
    }
}
