//! Settings of a store, and opening it with them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::error::{Error, Result};
use crate::ingest::{Engine, OpenRequest};
use crate::limits::Limits;
use crate::options::{Durability, Options, WhenFull};
use crate::os::{Clock, Disk, Storage, SystemClock};
use crate::upkeep::{Keeper, Retention};

use super::{Shared, Store};

/// Settings of a store about to be opened; see [`Store::builder`].
#[derive(Debug)]
#[must_use]
pub struct StoreBuilder {
    path: PathBuf,
    storage: Option<Arc<dyn Storage>>,
    clock: Arc<dyn Clock>,
    options: Options,
    retention: Retention,
    mapped: bool,
    read_only: bool,
    create: bool,
}

impl StoreBuilder {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            storage: None,
            clock: Arc::new(SystemClock),
            options: Options::default(),
            retention: Retention::default(),
            mapped: true,
            read_only: false,
            create: true,
        }
    }

    /// When an append is acknowledged.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.options.durability = durability;
        self
    }

    /// What an append does when the head is full.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.options.when_full = when_full;
        self
    }

    /// Memory for spans not yet sealed and for sealing them, in bytes.
    pub fn memory_budget_bytes(mut self, bytes: usize) -> Self {
        self.options.memory_budget_bytes = bytes;
        self
    }

    /// Rows of a block: a multiple of 1,024.
    pub fn block_rows(mut self, rows: usize) -> Self {
        self.options.block_rows = rows;
        self
    }

    /// Whether full heads are sealed by themselves; if not, [`Store::seal`] does it and appends never wait.
    pub fn seal_automatically(mut self, automatically: bool) -> Self {
        self.options.seal_automatically = automatically;
        self
    }

    /// How long spans stay, kept to in the background as long as the store is open for writing: when it is
    /// opened, after each segment that is sealed, and every minute. Seals the head where that is needed, even
    /// if nothing is sealed automatically. Default: for ever.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.options.max_age = retention.max_age;
        self.retention = retention;
        self
    }

    /// Whether segments are merged in the background when there are enough of them.
    pub fn merge_automatically(mut self, merge: bool) -> Self {
        self.options.merge_automatically = merge;
        self
    }

    /// Limits on what comes in and goes out.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Where time comes from, for tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where files live, for tests; the path is not used then.
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = Some(storage);
        self
    }

    /// Whether segments are mapped, which is the default, or their pages read when a question first needs them. A
    /// medium that fails to read a page of a map kills the process; one that fails a read is an error of that question.
    /// What was read of a segment stays in memory as long as the segment is open.
    pub fn map_files(mut self, mapped: bool) -> Self {
        self.mapped = mapped;
        self
    }

    /// Opens without a lock and writes nothing; a writer may be at work in another process.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Whether a store is created where there is none. Default true.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    /// NotAStore if the directory holds something else, Unsupported if the store is of a newer format
    /// version, Locked if another process writes to it, Invalid if an option makes no sense, Io otherwise.
    /// In all these cases nothing was written. Damage is no error: [`Store::recovery`] tells of it.
    pub fn open(self) -> Result<Store> {
        if self.options.block_rows == 0 || !self.options.block_rows.is_multiple_of(crate::limits::PAGE_ROWS) {
            let text = format!("{} rows a block; it must be a multiple of 1024", self.options.block_rows);
            return Err(Error::invalid(text));
        }
        let storage = self.storage.unwrap_or_else(|| {
            let disk = if self.read_only { Disk::read_only(&self.path) } else { Disk::new(&self.path) };
            Arc::new(if self.mapped { disk } else { disk.without_mmap() })
        });
        let seals = self.options.seal_automatically && !self.read_only;
        let request = OpenRequest {
            storage,
            clock: self.clock,
            options: self.options,
            read_only: self.read_only,
            create: self.create,
        };
        let merges = seals && request.options.merge_automatically;
        let engine = Arc::new(request.open()?);
        let keeps = !self.retention.is_unlimited() && !self.read_only;
        let keeper = keeps.then(|| Arc::new(Keeper::new(self.retention)));
        // Shared from the start, so that a thread that cannot be started closes the store and ends the others.
        let store = Store { shared: Arc::new(Shared { engine, keeper, threads: Mutex::default() }) };
        if seals {
            store.shared.start("tailspan-seal", Engine::seal_for_ever)?;
        }
        if merges {
            store.shared.start("tailspan-merge", Engine::merge_for_ever)?;
        }
        if let Some(keeper) = store.shared.keeper.clone() {
            store.shared.start("tailspan-keep", move |engine| keeper.keep_for_ever(engine))?;
        }
        Ok(store)
    }
}
