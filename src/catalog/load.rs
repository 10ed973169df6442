//! Reading what a directory holds: is it a store, whose, and what do its manifests say.
//!
//! Nothing is written here. The manifests are up to three files:
//!
//! ```text
//! MANIFEST      the current one: edits are appended to it
//! MANIFEST.old  the one before, complete up to the beginning of the current one
//! MANIFEST.new  the next one, being written; matters only while MANIFEST is missing
//! ```
//!
//! Where MANIFEST is missing or bad, the others and the listing of files take its place, and the result is
//! not [`Trust::Intact`]: then nothing that might be live is removed. The worst that follows is that spans
//! lie in two files, which queries unite anyway.

use std::io;

use crate::error::{Error, ErrorKind, Result};
use crate::log::{FileId, LOG_HEADER_BYTES, LogHeader};
use crate::os::{Directory, DirectoryEntry, Storage};
use crate::segment::SEGMENT_HEAD_BYTES;

use super::frame::{Frames, MANIFEST_HEADER_BYTES, MANIFEST_MAGIC, ManifestHeader};
use super::invariants;
use super::state::Catalog;

/// The current manifest.
pub const MANIFEST: &str = "MANIFEST";
/// The one before.
pub const MANIFEST_OLD: &str = "MANIFEST.old";
/// The next one, being written.
pub const MANIFEST_NEW: &str = "MANIFEST.new";
/// Stands in a directory as long as a backup into it is under way: it is no store yet.
pub const UNFINISHED_BACKUP: &str = "BACKUP.unfinished";
/// Longest manifest that is read, in bytes.
pub const MANIFEST_BYTES_MAX: u64 = 1 << 30;
/// Times the listing is begun again because a writer changed something while it was read.
const ATTEMPTS: usize = 8;

/// How far a catalog that was read can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// Every byte is as it was written: a file it does not name is not live.
    Intact,
    /// The last commit may be missing, as after a crash while it was written.
    TailCut,
    /// Commits are missing or may be.
    Damaged,
}

/// Something wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestDamage {
    /// Which file.
    pub file: String,
    /// Where, in bytes.
    pub offset: u64,
    /// How many bytes; 0 if it is no range.
    pub len_bytes: u64,
    /// What is wrong.
    pub problem: String,
}

/// What lies in a store's directories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Files of the root.
    pub root: Vec<DirectoryEntry>,
    /// Logs with their lengths and, where the header is intact, their first sequence; by id.
    pub logs: Vec<ListedLog>,
    /// Segments, by id.
    pub segments: Vec<FileId>,
}

/// A log on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedLog {
    /// Its id, from its name.
    pub id: FileId,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// What its own header says, if that is intact.
    pub header: Option<LogHeader>,
}

impl Listing {
    fn has_root_file(&self, name: &str) -> bool {
        self.root.iter().any(|entry| entry.name == name)
    }
}

/// A store as found on disk.
#[derive(Clone, Debug)]
pub struct Found {
    /// Id of the store; none if neither manifest nor log tells.
    pub store: Option<u64>,
    /// What the manifests say.
    pub catalog: Catalog,
    /// How far that can be believed.
    pub trust: Trust,
    /// What is wrong with the manifests.
    pub damage: Vec<ManifestDamage>,
    /// What is on disk.
    pub listing: Listing,
    /// True if a crash between two renames left the current manifest under the name MANIFEST.new.
    pub(super) new_is_current: bool,
    /// Highest generation seen.
    pub(super) generation: u64,
    /// Generation of the manifest that the next one replaces.
    pub(super) current_generation: u64,
    /// True if MANIFEST is whole, so that it becomes MANIFEST.old when it is replaced.
    pub(super) current_is_whole: bool,
}

/// What a directory holds.
#[derive(Clone, Debug)]
pub enum Contents {
    /// Nothing, or the beginning of a store that was never finished: a store may be created here.
    Nothing,
    /// A store.
    Store(Box<Found>),
}

/// Looks at the directory. Writes nothing and needs no lock.
///
/// `segment_store` reads the store id in a segment's bytes, if they begin like a segment; it is asked only
/// where manifests and logs disagree.
///
/// # Errors
/// NotAStore if there are files and none is tailspan's; Unsupported if the store is of a newer format
/// version; what the storage says if it cannot be read.
pub fn look(storage: &dyn Storage, segment_store: &dyn Fn(&[u8]) -> Option<u64>) -> Result<Contents> {
    let mut attempts = 1;
    loop {
        match look_once(storage, segment_store) {
            // A writer in another process replaced or removed the file.
            Err(error) if error.io_kind() == Some(io::ErrorKind::NotFound) && attempts < ATTEMPTS => attempts += 1,
            // It committed between the listing and the reading: a live file may be missing from the listing.
            Ok((_, Moment::Passed)) if attempts < ATTEMPTS => attempts += 1,
            result => return result.map(|(contents, _)| contents),
        }
    }
}

/// Whether the listing and the manifest are of one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// The manifest is as it was when the files were listed: what it names was there.
    Same,
    /// It grew or was replaced meanwhile.
    Passed,
}

fn look_once(storage: &dyn Storage, segment_store: &dyn Fn(&[u8]) -> Option<u64>) -> Result<(Contents, Moment)> {
    if !storage.exists()? {
        return Ok((Contents::Nothing, Moment::Same));
    }
    let mut listing = Listing { root: storage.list(Directory::Root)?, ..Listing::default() };
    if listing.has_root_file(UNFINISHED_BACKUP) {
        let text = format!("{} holds a backup that was not finished; remove the directory", storage.place());
        return Err(Error::new(ErrorKind::NotAStore, text));
    }
    let in_logs = storage.list(Directory::Log)?;
    let in_segments = storage.list(Directory::Segments)?;
    listing.segments = in_segments.iter().filter_map(|entry| FileId::from_segment_name(&entry.name)).collect();
    listing.segments.sort_unstable();
    for entry in &in_logs {
        listing.logs.extend(list_log(storage, entry)?);
    }
    listing.logs.sort_unstable_by_key(|log| log.id);
    let files = Files::read(storage, &listing)?;
    let moment = files.moment(&listing);
    if listing.logs.is_empty() && listing.segments.is_empty() && !files.tell_of_a_store() {
        let foreign = |entry: &DirectoryEntry| !matches!(entry.name.as_str(), "LOCK" | MANIFEST_NEW);
        return match listing.root.iter().filter(|e| foreign(e)).chain(&in_logs).chain(&in_segments).next() {
            None => Ok((Contents::Nothing, moment)),
            Some(entry) => Err(Error::new(
                ErrorKind::NotAStore,
                format!("{} is no tailspan store: it holds {:?}; name another directory", storage.place(), entry.name),
            )),
        };
    }
    found(storage, listing, files, segment_store).map(|found| (Contents::Store(Box::new(found)), moment))
}

fn list_log(storage: &dyn Storage, entry: &DirectoryEntry) -> Result<Option<ListedLog>> {
    let Some(id) = FileId::from_log_name(&entry.name) else { return Ok(None) };
    let bytes = storage.map(&id.log_path())?;
    let header = match LogHeader::parse(bytes.head(LOG_HEADER_BYTES)?) {
        Ok(header) => Some(header),
        Err(error) if error.kind() == ErrorKind::Unsupported => return Err(error.at(id.log_path())),
        Err(_) => None,
    };
    Ok(Some(ListedLog { id, len_bytes: entry.len_bytes, header }))
}

/// One of the three manifests.
struct File {
    name: &'static str,
    bytes: Vec<u8>,
    header: Result<ManifestHeader>,
}

/// The manifests that exist, in the order MANIFEST, MANIFEST.old, MANIFEST.new.
struct Files(Vec<File>);

impl Files {
    fn read(storage: &dyn Storage, listing: &Listing) -> Result<Self> {
        let mut files = Vec::new();
        for name in [MANIFEST, MANIFEST_OLD, MANIFEST_NEW] {
            if listing.has_root_file(name) {
                let bytes = storage.read(name, MANIFEST_BYTES_MAX)?;
                let header = ManifestHeader::parse(&bytes).map_err(|error| error.at(name));
                files.push(File { name, bytes, header });
            }
        }
        match files.iter().find_map(|file| file.header.as_ref().err().filter(|e| e.kind() == ErrorKind::Unsupported)) {
            Some(newer) => Err(Error::new(newer.kind(), format!("{}: {newer}", storage.place()))),
            None => Ok(Self(files)),
        }
    }

    /// True if one of them looks like ours. A MANIFEST.new alone must be whole and not the first of all: else
    /// the store was being created and nothing was ever in it. The first may even be whole in the operating
    /// system's memory alone; to rename it then would make a name durable whose bytes are not.
    fn tell_of_a_store(&self) -> bool {
        self.0.iter().any(|file| match (&file.header, file.name) {
            (Ok(header), MANIFEST_NEW) => {
                header.previous > 0 && Frames::read(&file.bytes, *header).is_ok_and(|frames| frames.is_whole())
            }
            (Err(_), MANIFEST_NEW) => false,
            _ => file.bytes.starts_with(MANIFEST_MAGIC),
        })
    }

    /// Manifests only grow, or are replaced by shorter ones: one of the length it was listed with is the same.
    fn moment(&self, listing: &Listing) -> Moment {
        let listed = |file: &File| listing.root.iter().find(|entry| entry.name == file.name).map(|e| e.len_bytes);
        let same = self.0.iter().all(|file| listed(file) == Some(file.bytes.len() as u64));
        if same { Moment::Same } else { Moment::Passed }
    }

    fn get(&self, name: &str) -> Option<&File> {
        self.0.iter().find(|file| file.name == name)
    }
}

/// The store id most of the files agree on; of equals, the one first in the order of `Files`, then logs.
fn elect_store(
    storage: &dyn Storage,
    listing: &Listing,
    files: &Files,
    segment_store: &dyn Fn(&[u8]) -> Option<u64>,
) -> Option<u64> {
    let manifests = files.0.iter().filter_map(|file| file.header.as_ref().ok()).map(|header| header.store);
    let logs = listing.logs.iter().filter_map(|log| log.header).map(|header| header.store);
    let mut votes: Vec<u64> = manifests.chain(logs).collect();
    if votes.is_empty() || votes.iter().any(|vote| Some(vote) != votes.first()) {
        let maps = listing.segments.iter().filter_map(|id| storage.map(&id.segment_path()).ok());
        votes.extend(maps.filter_map(|map| segment_store(map.head(SEGMENT_HEAD_BYTES).ok()?)));
    }
    let count = |id: &u64| votes.iter().filter(|vote| *vote == id).count();
    let most = votes.iter().map(count).max()?;
    votes.iter().find(|id| count(id) == most).copied()
}

fn found(
    storage: &dyn Storage,
    listing: Listing,
    files: Files,
    segment_store: &dyn Fn(&[u8]) -> Option<u64>,
) -> Result<Found> {
    let store = elect_store(storage, &listing, &files, segment_store);
    let generations = files.0.iter().filter_map(|file| file.header.as_ref().ok()).map(|header| header.generation);
    let mut found = Found {
        store,
        catalog: Catalog::default(),
        trust: Trust::Intact,
        damage: Vec::new(),
        listing,
        new_is_current: false,
        generation: generations.max().unwrap_or(0),
        current_generation: 0,
        current_is_whole: false,
    };
    let current = found.read_file(&files, MANIFEST)?;
    let old = found.read_file(&files, MANIFEST_OLD)?;
    let new = found.read_file(&files, MANIFEST_NEW)?;
    found.choose(current, old, new);
    if let Err(error) = invariants::check(&found.catalog) {
        found.damaged(MANIFEST, 0, 0, error.to_string());
        // What contradicts itself cannot be gone on with: the files tell what there is.
        found.catalog = Catalog::default();
    }
    Ok(found)
}

/// A manifest of this store, read.
struct ReadFile {
    name: &'static str,
    header: ManifestHeader,
    /// Its header was intact, not guessed.
    header_is_intact: bool,
    frames: Frames,
}

impl ReadFile {
    fn is_whole(&self) -> bool {
        self.header_is_intact && self.frames.is_whole()
    }
}

impl Found {
    fn damaged(&mut self, file: &str, offset: u64, len_bytes: u64, problem: String) {
        self.trust = Trust::Damaged;
        self.damage.push(ManifestDamage { file: file.to_owned(), offset, len_bytes, problem });
    }

    /// Reads one manifest. Only damage to the current one counts: the others are spares.
    fn read_file(&mut self, files: &Files, name: &'static str) -> Result<Option<ReadFile>> {
        let Some(file) = files.get(name) else { return Ok(None) };
        let mut intact = false;
        let problem = match &file.header {
            Ok(header) if Some(header.store) == self.store => {
                intact = true;
                None
            }
            Ok(header) => Some(format!("it belongs to store {:016x}", header.store)),
            Err(error) => Some(error.to_string()),
        };
        if let Some(problem) = problem.filter(|_| name == MANIFEST) {
            self.damaged(name, 0, (file.bytes.len() as u64).min(MANIFEST_HEADER_BYTES as u64), problem);
        }
        let header = match (&file.header, self.guess_header(files)) {
            (Ok(header), _) if intact => *header,
            // The frames prove by their checksums whether the guess is right.
            (Err(_), Some(guess)) if name == MANIFEST => guess,
            _ => return Ok(None),
        };
        let frames = Frames::read(&file.bytes, header).map_err(|error| error.at(name))?;
        Ok(Some(ReadFile { name, header, header_is_intact: intact, frames }))
    }

    /// What the header of MANIFEST should say, if it is bad.
    fn guess_header(&self, files: &Files) -> Option<ManifestHeader> {
        let old = files.get(MANIFEST_OLD).and_then(|file| file.header.as_ref().ok());
        let generation = old.map_or(0, |header| header.generation).saturating_add(1);
        Some(ManifestHeader { store: self.store?, generation, previous: generation - 1 })
    }

    fn choose(&mut self, current: Option<ReadFile>, old: Option<ReadFile>, new: Option<ReadFile>) {
        self.current_is_whole = current.as_ref().is_some_and(ReadFile::is_whole);
        let Some(current) = current else { return self.choose_spare(old, new) };
        self.current_generation = current.header.generation;
        let whole_old = old.filter(ReadFile::is_whole);
        let newer_old = |old: &ReadFile| old.header.generation > current.header.generation;
        if let Some(old) = whole_old.as_ref().filter(|old| newer_old(old)) {
            // Not something we ever do: the files were swapped or MANIFEST is an old copy.
            self.damaged(MANIFEST, 0, 0, "it is older than MANIFEST.old".to_owned());
            self.current_is_whole = false;
            return self.apply(old);
        }
        if !current.frames.is_whole() {
            self.damaged(MANIFEST, 0, 0, "its first frame is not readable".to_owned());
            whole_old.iter().for_each(|old| self.apply(old));
        }
        for (offset, len_bytes, problem) in &current.frames.damage {
            self.damaged(MANIFEST, *offset, *len_bytes, problem.clone());
        }
        if current.frames.dropped_bytes > 0 {
            self.trust = self.trust.max(Trust::TailCut);
        }
        self.apply(&current);
    }

    /// MANIFEST is missing or hopeless: takes the newest of the others.
    fn choose_spare(&mut self, old: Option<ReadFile>, new: Option<ReadFile>) {
        let old = old.filter(ReadFile::is_whole);
        let new = new.filter(ReadFile::is_whole);
        let interrupted = match (&old, &new) {
            // A crash between the two renames: MANIFEST.new says all that MANIFEST.old says.
            // The old one may have a torn end, if the new one comes from a recovery.
            (Some(old), Some(new)) => old.header.generation == new.header.previous && new.frames.is_clean(),
            // The very first manifest, not yet renamed: nothing else can exist.
            (None, Some(new)) => {
                new.header.generation == 1 && self.listing.logs.is_empty() && self.listing.segments.is_empty()
            }
            _ => false,
        };
        if !interrupted {
            self.trust = Trust::Damaged;
            if self.damage.is_empty() {
                self.damaged(MANIFEST, 0, 0, "it is missing".to_owned());
            }
        }
        let best = [old, new].into_iter().flatten().max_by_key(|file| file.header.generation);
        let Some(best) = best else { return };
        self.current_generation = best.header.generation;
        self.new_is_current = interrupted && best.name == MANIFEST_NEW;
        self.apply(&best);
    }

    fn apply(&mut self, file: &ReadFile) {
        let mut expected = if file.frames.is_whole() { 0 } else { 1 };
        if file.frames.is_whole() {
            self.catalog = Catalog::default();
        }
        for (number, edits) in &file.frames.frames {
            if *number != expected && self.trust != Trust::Damaged {
                self.damaged(file.name, 0, 0, format!("commit {expected} is missing before commit {number}"));
            }
            expected = number.saturating_add(1);
            for edit in edits {
                // Where commits are missing, others contradict: no news.
                let result = self.catalog.apply(edit);
                if let (Err(error), true) = (result, self.trust != Trust::Damaged) {
                    self.damaged(file.name, 0, 0, error.to_string());
                }
            }
        }
    }
}
