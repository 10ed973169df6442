//! Crash images that were judged already.
//!
//! Of what a crash may leave, much is the same to the last byte: a tail torn at another place, a name that was lost anyway.
//! Whether an image is a sound store depends on its bytes alone, so that is found out once for each; what was promised
//! differs from image to image and is compared every time.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use tailspan::{CrashChoice, SimulatedDisk};

use super::crash::{Loss, Numbers, Record, Verdict, keeps_promises, open, stands_alone, without_panic};

/// What an image holds, or which promise it breaks.
type Standing = Result<Arc<Numbers>, String>;

/// Locked for a moment each.
type Shared<K, V> = Mutex<HashMap<K, V>>;

/// A recovery that is cut: the image it begins with, after how many operations, what of them is left.
type Cut = (u64, u64, u8);

/// The images that were seen.
#[derive(Default)]
pub struct Judged {
    /// By image, and whether it is of a crash during a recovery.
    standings: Shared<(u64, bool), Standing>,
    cuts: Shared<Cut, SimulatedDisk>,
}

/// What tells an image from others; `None` where not all of it can be seen. Everything on it is durable.
fn fingerprint(image: &SimulatedDisk) -> Option<u64> {
    let names = image.file_names();
    // Before there is a manifest it matters which directories there are.
    let hasher = &mut DefaultHasher::new();
    names.iter().any(|name| name == "MANIFEST").then(|| {
        names.iter().for_each(|name| (name, image.read_file(name)).hash(hasher));
        hasher.finish()
    })
}

impl Judged {
    /// How many images differ.
    pub fn distinct(&self) -> usize {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// As `judge_without_panic`, of an image on which everything is durable.
    ///
    /// # Errors
    /// The first promise that does not hold.
    pub fn judge(&self, image: &SimulatedDisk, records: &[Record], loss: Loss) -> Verdict {
        let key = fingerprint(image).map(|print| (print, loss == Loss::PowerAgain));
        let known =
            key.and_then(|key| self.standings.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned());
        let found = known.unwrap_or_else(|| {
            let found = without_panic(|| stands_alone(image, loss)).map(Arc::new);
            let standings = || self.standings.lock().unwrap_or_else(PoisonError::into_inner);
            key.map(|key| standings().insert(key, found.clone()));
            found
        });
        without_panic(|| keeps_promises(&*found?, records, loss))
    }

    /// What is left when the power goes after so many operations of this image's recovery.
    pub fn cut(&self, image: &SimulatedDisk, operations: u64, damage: u8) -> SimulatedDisk {
        let key = fingerprint(image).map(|print| (print, operations, damage));
        let known = key.and_then(|key| self.cuts.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned());
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
            let cuts = || self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
            key.map(|key| cuts().insert(key, copy(&left)));
            left
        })
    }
}
