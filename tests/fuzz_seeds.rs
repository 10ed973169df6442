//! The seeds of every fuzz target (fuzz/), and inputs made of them by chance: no target panics.
//!
//! Plain `cargo test` replays all seeds and a few hundred mutations of them. `TAILSPAN_FUZZ_SECONDS=600` mutates each
//! target for so long, `TAILSPAN_FUZZ_TARGET` names one alone, `TAILSPAN_FUZZ_SEED` starts elsewhere. An input that
//! breaks a promise is written to the folder `TAILSPAN_FUZZ_OUT` names; once it is understood it belongs into
//! `fuzz/seeds/TARGET/`.

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Mutations of each target unless a time is asked for.
const MUTATIONS: u64 = 40;
/// Longest input that mutation makes.
const INPUT_BYTES_MAX: usize = 4096;

fn seeds_of(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut out: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).expect("a seed")))
        .collect();
    out.sort();
    assert!(!out.is_empty(), "{target} has no seeds");
    out
}

fn breaks(target: &str, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| fuzz::run(target, input))).is_err()
}

#[test]
fn every_seed_keeps_every_promise() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .expect("the targets of cargo-fuzz")
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    files.sort();
    let mut targets = fuzz::TARGETS.map(|(name, _)| name);
    targets.sort_unstable();
    assert_eq!(files, targets);
    for (target, _) in fuzz::TARGETS {
        for (path, seed) in seeds_of(target) {
            assert!(!breaks(target, &seed), "{path}");
        }
    }
}

/// A row of scattered numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below.max(1) as u64) as usize
    }

    /// A seed changed in up to eight places.
    fn mutate(&mut self, seeds: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut out = seeds[self.roll(seeds.len())].1.clone();
        for _ in 0..=self.roll(8) {
            let at = self.roll(out.len() + 1);
            let other = &seeds[self.roll(seeds.len())].1;
            match self.roll(7) {
                0 if at < out.len() => out[at] ^= 1 << self.roll(8),
                1 if at < out.len() => out[at] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'{'][self.roll(7)],
                2 if at < out.len() => out[at] = self.roll(256) as u8,
                3 => out.insert(at, self.roll(256) as u8),
                4 => drop(out.drain(at..(at + self.roll(9)).min(out.len()))),
                5 => {
                    let from = self.roll(other.len());
                    let piece = other[from..(from + self.roll(64)).min(other.len())].to_vec();
                    out.splice(at..at, piece);
                }
                // Fresh bytes: patches and operations are rows of small numbers.
                _ => (0..self.roll(24)).for_each(|_| out.push(self.roll(256) as u8)),
            }
        }
        out.truncate(INPUT_BYTES_MAX);
        out
    }
}

#[test]
fn mutated_seeds_keep_every_promise() {
    let number = |name: &str| std::env::var(name).ok().map(|word| word.parse::<u64>().expect("a number"));
    let seconds = number("TAILSPAN_FUZZ_SECONDS");
    let seed = number("TAILSPAN_FUZZ_SEED").unwrap_or(1);
    let one = std::env::var("TAILSPAN_FUZZ_TARGET").ok();
    let mut broken = Vec::new();
    for (target, _) in fuzz::TARGETS.iter().filter(|(target, _)| one.as_deref().is_none_or(|one| one == *target)) {
        let (seeds, mut dice, began) = (seeds_of(target), Dice(seed), Instant::now());
        let (mut cases, mut violations) = (0u64, 0u64);
        while seconds.map_or(cases < MUTATIONS, |max| began.elapsed() < Duration::from_secs(max)) {
            cases += 1;
            let input = dice.mutate(&seeds);
            if breaks(target, &input) {
                violations += 1;
                if let Ok(folder) = std::env::var("TAILSPAN_FUZZ_OUT") {
                    std::fs::write(format!("{folder}/{target}-{seed}-{cases}"), &input).expect("the input is kept");
                }
                broken.push(format!("{target}, seed {seed}, case {cases}"));
            }
        }
        let spent = began.elapsed().as_secs_f64();
        let line =
            format!("\nfuzz target={target} seed={seed} cases={cases} violations={violations} seconds={spent:.1}\n");
        std::io::stdout().write_all(line.as_bytes()).expect("standard output takes a line");
    }
    assert!(broken.is_empty(), "{} violations: {:?}", broken.len(), &broken[..broken.len().min(10)]);
}
