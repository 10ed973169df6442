//! Crash images that were judged already.
//!
//! Of what a crash may leave, much is the same to the last byte: a tail torn at another place, a name that was lost anyway.
//! Whether an image is a sound store depends on its bytes alone, so that is found out once for each; what was promised
//! differs from image to image and is compared every time.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use tailspan::SimulatedDisk;

use super::crash::{Loss, Numbers, Record, Verdict, keeps_promises, stands_alone, without_panic};

/// What an image holds, or which promise it breaks.
type Standing = Result<Arc<Numbers>, String>;

/// The images that were seen.
#[derive(Default)]
pub struct Judged {
    /// By image, and whether it is of a crash during a recovery.
    standings: Mutex<HashMap<(u64, bool), Standing>>,
}

/// What tells an image from others; `None` where not all of it can be seen. Everything on it is durable.
pub fn fingerprint(image: &SimulatedDisk) -> Option<u64> {
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

    /// Whether an image on which everything is durable keeps what the writers were promised; a panic is a violation too.
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
}
