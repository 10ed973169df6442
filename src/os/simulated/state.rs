//! Everything a simulated disk is: directories, files, faults, and the moment the power goes.
//!
//! Every operation passes [`State::admit`] first, which counts it, cuts the power when its time has come,
//! and fails it if a fault is due. What the operation then does is a line or two on files and names.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::super::random::Sequence;
use super::super::storage::Directory;
use super::CrashChoice;
use super::crash::Survival;
use super::faults::{FaultKind, Faults, OperationKind};
use super::file::SimulatedFile;
use super::names::{FileId, Names};

/// What operations of a simulated disk return: the caller adds what was being done to which path.
pub(super) type Outcome<T> = Result<T, io::Error>;

/// A directory with its names.
#[derive(Clone, Debug, Default)]
struct Folder {
    names: Names,
    /// False until the parent was synced: the folder may be gone after a crash.
    durable: bool,
}

/// The state of a simulated disk.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) seed: u64,
    pub(super) random: Sequence,
    folders: BTreeMap<Directory, Folder>,
    files: BTreeMap<FileId, SimulatedFile>,
    next_file: FileId,
    /// The bytes of the file removed last: what a disk may have where a write was lost.
    stale: Vec<u8>,
    pub(super) locked: bool,
    pub(super) capacity_bytes: Option<u64>,
    /// Published files are read piece by piece.
    pub(super) reads_on_demand: bool,
    pub(super) faults: Faults,
    pub(super) history: Vec<(OperationKind, String)>,
    pub(super) operations_max: Option<u64>,
    pub(super) power_lost: bool,
}

/// Splits a path into its directory, if a store has such a one, and the file's name.
fn split(path: &str) -> Option<(Directory, &str)> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let directory = Directory::ALL.into_iter().find(|directory| directory.name() == folder)?;
    (!name.is_empty()).then_some((directory, name))
}

/// The path of a directory in messages and for faults to match.
pub(super) fn directory_path(directory: Directory) -> &'static str {
    if directory == Directory::Root { "." } else { directory.name() }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            random: Sequence::new(seed),
            folders: BTreeMap::new(),
            files: BTreeMap::new(),
            next_file: 1,
            stale: Vec::new(),
            locked: false,
            capacity_bytes: None,
            reads_on_demand: false,
            faults: Faults::default(),
            history: Vec::new(),
            operations_max: None,
            power_lost: false,
        }
    }

    /// Lets an operation happen, or fails it: by the power, by a fault.
    ///
    /// A fault that has an effect besides its error is returned, as the inner error, to the operation itself.
    fn admit(&mut self, kind: OperationKind, path: &str) -> Outcome<Result<(), FaultKind>> {
        let last = self.operations_max.is_some_and(|max| self.history.len() as u64 >= max);
        self.power_lost |= kind.is_mutating() && last;
        if self.power_lost {
            return Err(io::Error::other("simulated power loss"));
        }
        if kind.is_mutating() {
            self.history.push((kind, path.to_owned()));
        }
        Ok(self.faults.due(kind, path).map_or(Ok(()), Err))
    }

    /// As [`State::admit`], for operations that do nothing when they fail.
    pub(super) fn admit_whole(&mut self, kind: OperationKind, path: &str) -> Outcome<()> {
        self.admit(kind, path)?.map_err(FaultKind::error)
    }

    pub(super) fn root_exists(&self) -> bool {
        self.folders.contains_key(&Directory::Root)
    }

    pub(super) fn create_directories(&mut self) -> Outcome<()> {
        for directory in Directory::ALL {
            if !self.folders.contains_key(&directory) {
                self.admit_whole(OperationKind::CreateDirectory, directory_path(directory))?;
                self.folders.insert(directory, Folder::default());
            }
        }
        self.admit_whole(OperationKind::SyncDirectory, directory_path(Directory::Root))?;
        self.folders.values_mut().for_each(|folder| folder.durable = true);
        Ok(())
    }

    /// The file of this path, as the process sees it.
    fn find(&self, path: &str) -> Option<FileId> {
        let (directory, name) = split(path)?;
        self.folders.get(&directory)?.names.live().get(name).copied()
    }

    fn names_mut(&mut self, directory: Directory) -> Outcome<&mut Names> {
        self.folders.get_mut(&directory).map(|folder| &mut folder.names).ok_or_else(not_found)
    }

    pub(super) fn create(&mut self, path: &str) -> Outcome<FileId> {
        self.admit_whole(OperationKind::Create, path)?;
        let (directory, name) = split(path).ok_or_else(not_found)?;
        if self.find(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = self.next_file;
        self.names_mut(directory)?.link(name, file);
        self.next_file += 1;
        self.files.insert(file, SimulatedFile::default());
        Ok(file)
    }

    pub(super) fn open(&mut self, path: &str) -> Outcome<FileId> {
        self.admit_whole(OperationKind::Open, path)?;
        self.find(path).ok_or_else(not_found)
    }

    /// The bytes of a file, for an operation that reads.
    pub(super) fn bytes(&mut self, kind: OperationKind, path: &str) -> Outcome<&[u8]> {
        self.admit_whole(kind, path)?;
        self.content(path).ok_or_else(not_found)
    }

    /// The bytes of a file, without any operation.
    pub(super) fn content(&self, path: &str) -> Option<&[u8]> {
        self.files.get(&self.find(path)?).map(SimulatedFile::content)
    }

    /// The names and lengths in a directory, without any operation.
    pub(super) fn entries(&self, directory: Directory) -> Vec<(String, u64)> {
        let names = self.folders.get(&directory).into_iter().flat_map(|folder| folder.names.live());
        names.map(|(name, file)| (name.clone(), self.file_len_bytes(*file))).collect()
    }

    fn file_len_bytes(&self, file: FileId) -> u64 {
        self.files.get(&file).map_or(0, |file| file.content().len() as u64)
    }

    fn used_bytes(&self) -> u64 {
        let named = self.folders.values().flat_map(|folder| folder.names.live().values());
        named.map(|file| self.file_len_bytes(*file)).sum()
    }

    /// Appends; on a full disk, or by a fault that says so, only a part, with an error.
    pub(super) fn append(&mut self, file: FileId, path: &str, bytes: &[u8]) -> Outcome<()> {
        let fault = self.admit(OperationKind::Append, path)?.err();
        let fits = self.capacity_bytes.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used_bytes()));
        let (written, error) = match fault {
            Some(fault) if fault.writes_half() => (bytes.len() / 2, Some(fault.error())),
            Some(fault) => (0, Some(fault.error())),
            None if (bytes.len() as u64) > fits => (fits as usize, Some(io::ErrorKind::StorageFull.into())),
            None => (bytes.len(), None),
        };
        if let Some(file) = self.files.get_mut(&file) {
            file.append(&bytes[..written]);
        }
        error.map_or(Ok(()), Err)
    }

    pub(super) fn truncate(&mut self, file: FileId, path: &str, len_bytes: u64) -> Outcome<()> {
        self.admit_whole(OperationKind::Truncate, path)?;
        let len = usize::try_from(len_bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        if let Some(file) = self.files.get_mut(&file) {
            file.truncate(len);
        }
        Ok(())
    }

    /// Syncs a file; one that was removed meanwhile has nothing to sync.
    pub(super) fn sync(&mut self, file: FileId, path: &str) -> Outcome<()> {
        let admitted = self.admit(OperationKind::Sync, path)?;
        let Some(file) = self.files.get_mut(&file) else { return admitted.map_err(FaultKind::error) };
        admitted.inspect_err(|_| file.fail_sync()).map_err(FaultKind::error)?;
        file.sync();
        Ok(())
    }

    pub(super) fn sync_directory(&mut self, directory: Directory) -> Outcome<()> {
        let admitted = self.admit(OperationKind::SyncDirectory, directory_path(directory))?;
        let names = self.names_mut(directory)?;
        admitted.inspect_err(|_| names.fail_sync()).map_err(FaultKind::error)?;
        names.sync();
        self.forget_unreachable();
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Outcome<()> {
        self.admit_whole(OperationKind::Rename, &format!("{from} -> {to}"))?;
        let file = self.find(from).ok_or_else(not_found)?;
        let (old, old_name) = split(from).ok_or_else(not_found)?;
        let (new, new_name) = split(to).ok_or_else(not_found)?;
        if from == to {
            return Ok(());
        }
        if old == new {
            self.names_mut(old)?.rename(old_name, new_name, file);
        } else {
            self.names_mut(new)?.link(new_name, file);
            self.names_mut(old)?.unlink(old_name);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> Outcome<()> {
        self.admit_whole(OperationKind::Remove, path)?;
        let (directory, name) = split(path).ok_or_else(not_found)?;
        self.find(path).ok_or_else(not_found)?;
        self.names_mut(directory)?.unlink(name);
        Ok(())
    }

    /// Frees the files that no name points at, now or after any crash; open handles then write nowhere.
    fn forget_unreachable(&mut self) {
        let reachable: BTreeSet<FileId> = self.folders.values().flat_map(|folder| folder.names.files()).collect();
        let gone: Vec<FileId> = self.files.keys().copied().filter(|file| !reachable.contains(file)).collect();
        for file in gone.iter().filter_map(|file| self.files.remove(file)) {
            self.stale = file.content().to_vec();
        }
    }

    /// A disk as a crash at this moment leaves it, with its power back on.
    pub(super) fn after_crash(&self, choice: CrashChoice) -> Self {
        let mut survival = Survival::new(choice, self.seed);
        let mut left =
            Self { capacity_bytes: self.capacity_bytes, reads_on_demand: self.reads_on_demand, ..Self::new(self.seed) };
        left.next_file = self.next_file;
        left.random = self.random.clone();
        for (directory, folder) in &self.folders {
            if !folder.durable && !survival.entry_survives() {
                // Directories come root first: without it there are no others.
                match directory {
                    Directory::Root => break,
                    _ => continue,
                }
            }
            let names = Names::durable(folder.names.after_crash(&mut survival));
            left.folders.insert(*directory, Folder { names, durable: true });
        }
        let reachable: BTreeSet<FileId> = left.folders.values().flat_map(|folder| folder.names.files()).collect();
        for (id, file) in self.files.iter().filter(|(id, _)| reachable.contains(id)) {
            left.files.insert(*id, SimulatedFile::durable(file.after_crash(&mut survival, &self.stale)));
        }
        left
    }

    /// As the process leaves it that dies: nothing is lost, and nothing more durable than before.
    pub(super) fn after_death(&self) -> Self {
        Self {
            locked: false,
            faults: Faults::default(),
            history: Vec::new(),
            operations_max: None,
            power_lost: false,
            ..self.clone()
        }
    }

    /// Puts bytes, or with `None` nothing, under a path, durably and without any operation.
    ///
    /// # Panics
    /// If the path lies in no directory of a store.
    pub(super) fn place(&mut self, path: &str, bytes: Option<Vec<u8>>) {
        let Some((directory, name)) = split(path) else { panic!("{path} lies in no directory of a store") };
        for needed in [Directory::Root, directory] {
            self.folders.entry(needed).or_insert_with(|| Folder { durable: true, ..Folder::default() });
        }
        let existing = self.find(path);
        let file = existing.unwrap_or(self.next_file);
        self.next_file = self.next_file.max(file + 1);
        if let Some(folder) = self.folders.get_mut(&directory) {
            match &bytes {
                Some(_) => folder.names.link(name, file),
                None => folder.names.unlink(name),
            }
            folder.names.settle();
        }
        if let Some(bytes) = bytes {
            self.files.insert(file, SimulatedFile::durable(bytes));
        }
    }
}
