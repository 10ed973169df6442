//! A disk in memory that can lose power, tear writes, fill up and fail on request.
//!
//! It keeps two truths apart: what the process sees, and what is durable. [`WritableFile::sync`] carries
//! the bytes of a file from the first to the second, [`Storage::sync_directory`] the names of a directory.
//! A crash image is what a machine could find after losing power now: all that is durable, and of the
//! rest whatever [`CrashChoice`] decides. The typical test runs a workload once to count its operations,
//! then once for each of them:
//!
//! ```text
//! for n in 0..operations {
//!     let disk = SimulatedDisk::new(seed);
//!     disk.crash_after(n);
//!     let acknowledged = workload(&disk);                  // fails at operation n + 1
//!     let image = disk.crash_image(CrashChoice::Random(seed));
//!     assert!(opens_and_has(&image, acknowledged));
//! }
//! ```
//!
//! The model grants less than common file systems do: syncing a file says nothing of its name, and names
//! in one directory survive independently. It grants these things and no others: sectors are written
//! whole, a rename inside a directory is atomic, durable bytes do not change by themselves (that is what
//! [`SimulatedDisk::flip_bit`] is for).
//!
//! [`WritableFile::sync`]: crate::WritableFile::sync
//! [`Storage::sync_directory`]: crate::Storage::sync_directory

mod crash;
mod faults;
mod file;
mod names;
mod operations;
mod state;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::storage::Directory;
pub use crash::CrashChoice;
pub use faults::{Fault, FaultKind, OperationKind};
use state::State;

/// How far a change has come on its way to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// A sync succeeded: it survives.
    Durable,
    /// Not yet synced: it may survive.
    Unsynced,
    /// A sync failed: it may survive, and no later sync changes that.
    Doubtful,
}

/// A file system in memory with a model of what a crash may lose. Clones are the same disk.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

impl SimulatedDisk {
    /// An empty disk, on which not even the store's directory exists. The seed decides its random numbers.
    pub fn new(seed: u64) -> Self {
        Self::of(State::new(seed))
    }

    fn of(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked elsewhere says so itself; the state is whole between any two calls.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new disk as losing power now may leave it: unlocked, without faults, counting from zero, of the same
    /// capacity. This disk is left as it is, so many images can be taken of one moment.
    #[must_use]
    pub fn crash_image(&self, choice: CrashChoice) -> Self {
        Self::of(self.state().after_crash(choice))
    }

    /// A new disk as the death of the process alone leaves it: all that was done can be read, but what was not made
    /// durable still may be lost when the power goes later. Else as [`SimulatedDisk::crash_image`].
    #[must_use]
    pub fn death_image(&self) -> Self {
        Self::of(self.state().after_death())
    }

    /// How many operations that change the disk were tried, failed ones included.
    pub fn operations(&self) -> u64 {
        self.state().history.len() as u64
    }

    /// Those operations in order, each with its path.
    pub fn history(&self) -> Vec<(OperationKind, String)> {
        self.state().history.clone()
    }

    /// Cuts the power when operation `n + 1` of this disk's life is tried: it and everything later, reading too,
    /// fails with [`crate::ErrorKind::Io`] and "simulated power loss", without effect.
    pub fn crash_after(&self, n: u64) {
        self.state().operations_max = Some(n);
    }

    /// True once the power was cut.
    pub fn power_lost(&self) -> bool {
        self.state().power_lost
    }

    /// Makes operations fail. The first fault that is due decides; each counts its own matches from now on.
    ///
    /// A failed sync leaves what it should have written in doubt for ever, of a file and of a directory.
    ///
    /// # Panics
    /// If `nth` is zero.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.inject(fault);
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Limits the sum of all files' lengths: an append beyond it writes what fits and fails with
    /// [`crate::ErrorKind::NoSpace`]. `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity_bytes = bytes;
    }

    /// Whether published files are read piece by piece as they are asked for, each an operation of its own, or are
    /// in memory once they are opened, which is the default. Crash images inherit it.
    pub fn read_on_demand(&self, on_demand: bool) {
        self.state().reads_on_demand = on_demand;
    }

    /// The paths of all files, sorted.
    pub fn file_names(&self) -> Vec<String> {
        let state = self.state();
        let paths =
            |directory: Directory| state.entries(directory).into_iter().map(move |(name, _)| directory.join(&name));
        let mut names: Vec<String> = Directory::ALL.into_iter().flat_map(paths).collect();
        names.sort_unstable();
        names
    }

    /// The bytes of a file as the process sees them; `None` if there is no such file. No fault stops this.
    pub fn read_file(&self, path: &str) -> Option<Vec<u8>> {
        self.state().content(path).map(<[u8]>::to_vec)
    }

    /// Puts a file with these bytes in place, as if by another hand: not counted, durable at once, and so are all
    /// names of its directory. Creates the directory if needed.
    ///
    /// # Panics
    /// If the path lies in no directory of a store.
    pub fn write_file(&self, path: &str, bytes: &[u8]) {
        self.state().place(path, Some(bytes.to_vec()));
    }

    /// Removes a file, as [`SimulatedDisk::write_file`] writes one.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn remove_file(&self, path: &str) {
        self.bytes_of(path);
        self.state().place(path, None);
    }

    /// Cuts a file, or lengthens it with zeros, as [`SimulatedDisk::write_file`] writes one.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn truncate_file(&self, path: &str, len_bytes: u64) {
        let mut bytes = self.bytes_of(path);
        bytes.resize(len_bytes as usize, 0);
        self.write_file(path, &bytes);
    }

    /// Inverts one bit of a file, counted from the lowest of its first byte.
    ///
    /// # Panics
    /// If there is no such file, or no such bit in it.
    pub fn flip_bit(&self, path: &str, bit_index: u64) {
        let mut bytes = self.bytes_of(path);
        let len = bytes.len();
        let Some(byte) = bytes.get_mut((bit_index / 8) as usize) else {
            panic!("{path} has {len} bytes and no bit {bit_index}")
        };
        *byte ^= 1 << (bit_index % 8);
        self.write_file(path, &bytes);
    }

    fn bytes_of(&self, path: &str) -> Vec<u8> {
        self.read_file(path).unwrap_or_else(|| panic!("there is no file {path}"))
    }
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(f, "SimulatedDisk({} after {} operations)", state.seed, state.history.len())
    }
}

#[cfg(test)]
mod tests;
