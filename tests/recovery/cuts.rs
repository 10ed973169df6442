//! Recoveries that are cut, each once: many crashes leave the same image, and its recovery cut at the same place with the
//! same damage leaves the same again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tailspan::{CrashChoice, SimulatedDisk};

use super::crash::open;
use super::judged::fingerprint;

/// The image a recovery begins with, after how many operations it is cut, what of them is left.
type Cut = (u64, u64, u8);

/// What was left of recoveries that were cut.
#[derive(Default)]
pub struct Cuts(Mutex<HashMap<Cut, SimulatedDisk>>);

impl Cuts {
    /// What is left when the power goes after so many operations of this image's recovery.
    pub fn cut(&self, image: &SimulatedDisk, operations: u64, damage: u8) -> SimulatedDisk {
        let key = fingerprint(image).map(|print| (print, operations, damage));
        let known = key.and_then(|key| self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned());
        // A store that is opened writes: on a copy.
        let copy = |disk: &SimulatedDisk| disk.crash_image(CrashChoice::KeepAll);
        known.as_ref().map(copy).unwrap_or_else(|| {
            let begun = copy(image);
            begun.crash_after(operations);
            // It fails, or there were no more operations.
            let _ = open(&begun);
            let left = begun.crash_image(match damage {
                0 => CrashChoice::LoseUnsynced,
                1 => CrashChoice::KeepAll,
                seed => CrashChoice::Random(operations << 8 | u64::from(seed)),
            });
            let cuts = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
            key.map(|key| cuts().insert(key, copy(&left)));
            left
        })
    }
}
