//! What the appenders, the leader of a sync and the flusher share: one state under one lock.
//!
//! The handle that syncs is a token: whoever took it out of the state is the leader, and there is no second
//! one until it is back.

use std::sync::PoisonError;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::os::defects::{self, Defect};
use crate::os::{Condvar, Mutex, MutexGuard, WritableFile};

use super::names::FileId;
use super::record::LOG_HEADER_BYTES;
use super::writer::LogPosition;

/// Bytes of buffer kept from one append to the next; a larger one is given back.
const BUFFER_BYTES_KEPT_MAX: usize = 4 << 20;

/// Whether the log takes appends.
#[derive(Debug)]
pub(super) enum Health {
    Good,
    /// An append or the beginning of a new file failed: nothing more goes into this file.
    GivenUp {
        no_space: bool,
        cause: String,
    },
    /// A sync failed: what is durable is unknown.
    SyncFailed {
        cause: String,
    },
    Closed,
}

impl Health {
    /// Fails, saying why and what to do, unless records may be appended.
    pub fn accepts_appends(&self, id: FileId) -> Result<()> {
        match self {
            Self::GivenUp { .. } if defects::active(Defect::AppendAfterFailedWrite) => Ok(()),
            Self::GivenUp { no_space: true, cause } => Err(Error::new(
                ErrorKind::NoSpace,
                format!("{}: not written to since an append failed ({cause}); free some space", id.log_path()),
            )),
            Self::GivenUp { no_space: false, cause } => Err(Error::new(
                ErrorKind::Closed,
                format!("{}: not written to since an append failed ({cause}); reopen the store", id.log_path()),
            )),
            _ => self.can_rotate(id),
        }
    }

    /// Fails, saying why and what to do, unless a new file may be begun.
    pub fn can_rotate(&self, id: FileId) -> Result<()> {
        let message = match self {
            Self::Good | Self::GivenUp { .. } => return Ok(()),
            Self::SyncFailed { cause } => format!("{}: a sync failed ({cause}); reopen the store", id.log_path()),
            Self::Closed => "the store is closed; reopen the store".to_owned(),
        };
        Err(Error::new(ErrorKind::Closed, message))
    }
}

/// The current file and how far it got.
#[derive(Debug)]
pub(super) struct State {
    pub id: FileId,
    pub file: Box<dyn WritableFile>,
    /// Out while a leader syncs.
    sync_handle: Option<Box<dyn WritableFile>>,
    /// Length of the file's good part.
    pub len: u64,
    pub durable: LogPosition,
    pub next_sequence: u64,
    pub health: Health,
    /// Reused for the bytes of each record.
    pub buffer: Vec<u8>,
    pub flush_every: Option<Duration>,
    pub flusher: Option<JoinHandle<()>>,
    pub stopping: bool,
}

impl State {
    /// A file whose header was written and synced.
    pub fn new(id: FileId, next_sequence: u64, file: Box<dyn WritableFile>) -> Result<Self> {
        let (file, sync_handle) = Self::handles(file)?;
        let len = LOG_HEADER_BYTES as u64;
        Ok(Self {
            id,
            file,
            sync_handle: Some(sync_handle),
            len,
            durable: LogPosition { file: id, end: len },
            next_sequence,
            health: Health::Good,
            buffer: Vec::new(),
            flush_every: None,
            flusher: None,
            stopping: false,
        })
    }

    /// The file and a second handle for syncing it.
    pub fn handles(file: Box<dyn WritableFile>) -> Result<(Box<dyn WritableFile>, Box<dyn WritableFile>)> {
        let sync_handle = file.sync_handle()?;
        Ok((file, sync_handle))
    }

    /// Goes on in a new file whose header was written and synced.
    pub fn begin(&mut self, id: FileId, file: Box<dyn WritableFile>, sync_handle: Box<dyn WritableFile>) {
        self.id = id;
        self.file = file;
        self.sync_handle = Some(sync_handle);
        self.len = LOG_HEADER_BYTES as u64;
        self.durable = self.position();
        self.health = Health::Good;
    }

    pub fn position(&self) -> LogPosition {
        LogPosition { file: self.id, end: self.len }
    }

    /// The durable part of the current file. Durability never falls behind the beginning of a file.
    pub fn durable_offset(&self) -> u64 {
        self.durable.end
    }

    pub fn keep_buffer(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() <= BUFFER_BYTES_KEPT_MAX {
            self.buffer = buffer;
        }
    }

    /// Cuts a torn record away and makes the file durable. Only while no leader syncs.
    pub fn finish_file(&mut self) -> Result<()> {
        if matches!(self.health, Health::GivenUp { .. }) {
            self.file.truncate(self.len).map_err(|error| error.at(self.id.log_path()))?;
        }
        let result = self.file.sync();
        self.synced(self.position(), result);
        if matches!(self.health, Health::SyncFailed { .. }) { self.health.can_rotate(self.id) } else { Ok(()) }
    }

    /// Takes note of what a sync that covered `target` answered.
    fn synced(&mut self, target: LogPosition, result: Result<()>) {
        match result {
            Ok(()) => self.durable = self.durable.max(target),
            Err(error) => self.health = Health::SyncFailed { cause: error.to_string() },
        }
    }
}

/// The state, and the conditions that threads wait for.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// A leader is done.
    synced: Condvar,
    /// The flusher has something to do, or is to stop.
    pub unsynced: Condvar,
}

impl Shared {
    pub fn new(state: State) -> Self {
        Self { state: Mutex::new(state), synced: Condvar::new(), unsynced: Condvar::new() }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked left a state that says what was written: nothing is changed in two steps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state at a moment when no leader syncs.
    pub fn lock_idle(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        while state.sync_handle.is_none() {
            state = self.synced.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    pub fn wait_durable(&self, position: LogPosition) -> Result<()> {
        let mut state = self.lock();
        loop {
            if state.durable >= position || defects::active(Defect::AcknowledgeBeforeSync) {
                return Ok(());
            }
            if matches!(state.health, Health::SyncFailed { .. } | Health::Closed) {
                return state.health.can_rotate(state.id);
            }
            state = match state.sync_handle.take() {
                Some(handle) => self.lead(state, handle),
                None => self.synced.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Syncs all that was appended so far, the lock released meanwhile, and wakes those who wait.
    fn lead<'a>(&'a self, state: MutexGuard<'a, State>, mut handle: Box<dyn WritableFile>) -> MutexGuard<'a, State> {
        let target = state.position();
        drop(state);
        let mut result = handle.sync();
        if result.is_err() && defects::active(Defect::RetryFailedSync) {
            result = handle.sync();
        }
        let mut state = self.lock();
        state.sync_handle = Some(handle);
        state.synced(target, result);
        self.synced.notify_all();
        state
    }

    /// The flusher: sleeps until something is not durable, leaves it so for the interval, syncs.
    pub fn flush_for_ever(&self) {
        let mut state = self.lock();
        loop {
            let idle = |state: &mut State| !state.stopping && !state.needs_flush();
            state = self.unsynced.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
            let every = state.flush_every.unwrap_or_default();
            let stopping = |state: &mut State| !state.stopping;
            let waited = self.unsynced.wait_timeout_while(state, every, stopping);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.stopping {
                return;
            }
            let position = state.position();
            drop(state);
            // A failure is remembered in the state: the next append reports it.
            let _ = self.wait_durable(position);
            state = self.lock();
        }
    }

    pub fn stop_flusher(&self) {
        let mut state = self.lock();
        state.stopping = true;
        let flusher = state.flusher.take();
        drop(state);
        self.unsynced.notify_all();
        if let Some(flusher) = flusher {
            // It can only have ended by returning or by a panic that was reported already.
            let _: thread::Result<()> = flusher.join();
        }
    }
}

impl State {
    fn needs_flush(&self) -> bool {
        self.flush_every.is_some()
            && self.durable < self.position()
            && matches!(self.health, Health::Good | Health::GivenUp { .. })
    }
}
