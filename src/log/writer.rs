//! Appending to the log, and group commit.
//!
//! Appends are serialised and each is one write. Syncing is shared: whoever needs its position durable and
//! finds no sync running becomes the *leader*, syncs all that was appended so far through a second handle,
//! and wakes the others; those whose position is covered return, one of the rest leads next. Appends go on
//! meanwhile, so the groups grow with the load.
//!
//! ```text
//! appends   a b c d e f g h
//! syncs     [--- a ---][--- b c d e ---][--- f g h
//! ```
//!
//! What can go wrong, and what follows from it:
//!
//! | failure | the file | appends | ends by |
//! |---|---|---|---|
//! | an append fails or is short | given up: nothing follows the torn record | fail | [`LogWriter::rotate`], which cuts the torn record and begins a new file |
//! | a sync fails | unknown, it is never synced again | fail, and so does every waiter | reopening the store |
//! | beginning a new file fails | the old one is given up, synced | fail | [`LogWriter::rotate`] with another id |
//!
//! A sync is never tried again: after a failure the kernel may have dropped the pages and would answer the
//! second call with a success that means nothing.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::bytes::Seed;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Durability;
use crate::os::{Directory, Storage, WritableFile};

use super::group::{Health, Shared, State};
use super::names::FileId;
use super::record::{LOG_HEADER_BYTES, LogHeader, RECORD_PAYLOAD_BYTES_MAX, RecordHeader, RecordKind};

/// A place in the log: everything up to `end` of `file`, and all of the files before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    /// The file.
    pub file: FileId,
    /// An offset in it, in bytes.
    pub end: u64,
}

/// A record to be appended: all but its payload, place and sequence.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord {
    /// What it is for.
    pub kind: RecordKind,
    /// Records of one chapter share dictionaries.
    pub chapter: u32,
    /// Sequence numbers it takes.
    pub count: u32,
}

/// An appended record, not yet durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedRecord {
    /// Sequence of its first span.
    pub first_sequence: u64,
    /// What to wait for until it is durable.
    pub position: LogPosition,
    /// Its length, header and padding included.
    pub bytes: u64,
}

/// A log that is complete and durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedLog {
    /// Its id.
    pub id: FileId,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// Sequence of the span after its last.
    pub next_sequence: u64,
}

/// The writing end of the log.
#[derive(Debug)]
pub struct LogWriter {
    storage: Arc<dyn Storage>,
    store: u64,
    shared: Arc<Shared>,
}

impl LogWriter {
    /// Begins a log file, durably. The manifest must name it before anything is appended.
    ///
    /// # Errors
    /// What the storage says; a half-made file is removed if possible.
    pub fn create(storage: Arc<dyn Storage>, store: u64, id: FileId, first_sequence: u64) -> Result<Self> {
        let file = create_file(storage.as_ref(), LogHeader { store, file: id, first_sequence })?;
        let state = State::new(id, first_sequence, file)?;
        Ok(Self { storage, store, shared: Arc::new(Shared::new(state)) })
    }

    /// Appends one record. It is in the operating system's hands when this returns; see
    /// [`LogWriter::settle`] for more.
    ///
    /// # Errors
    /// Invalid if the payload is above [`RECORD_PAYLOAD_BYTES_MAX`]. NoSpace or Io if the storage refuses:
    /// the record was not appended and the file is given up. Closed (NoSpace if that is the cause) after an
    /// earlier failure.
    pub fn append(&self, record: NewRecord, payload: &[&[u8]]) -> Result<AppendedRecord> {
        let payload_bytes: usize = payload.iter().map(|part| part.len()).sum();
        if payload_bytes > RECORD_PAYLOAD_BYTES_MAX {
            let message = format!(
                "a log record of {payload_bytes} bytes; at most {RECORD_PAYLOAD_BYTES_MAX}: append less at once"
            );
            return Err(Error::invalid(message));
        }
        let mut state = self.shared.lock();
        state.health.accepts_appends(state.id)?;
        let appended = self.append_to(&mut state, record, payload_bytes as u32, payload)?;
        if state.flush_every.is_some() {
            self.shared.unsynced.notify_one();
        }
        Ok(appended)
    }

    fn append_to(
        &self,
        state: &mut State,
        record: NewRecord,
        payload_bytes: u32,
        payload: &[&[u8]],
    ) -> Result<AppendedRecord> {
        let first_sequence = state.next_sequence;
        let header = RecordHeader {
            offset: state.len,
            payload_bytes,
            first_sequence,
            durable_offset: state.durable_offset(),
            count: record.count,
            chapter: record.chapter,
            kind: record.kind,
        };
        let mut buffer = std::mem::take(&mut state.buffer);
        header.write(Seed { store: self.store, file: state.id.0 }, payload, &mut buffer);
        let written = state.file.append(&buffer);
        state.keep_buffer(buffer);
        if let Err(error) = written {
            state.health = Health::GivenUp { no_space: error.kind() == ErrorKind::NoSpace, cause: error.to_string() };
            return Err(error.at(state.id.log_path()));
        }
        state.len = header.end();
        state.next_sequence = header.next_sequence();
        let bytes = state.len - header.offset;
        Ok(AppendedRecord { first_sequence, position: state.position(), bytes })
    }

    /// Returns when the position is durable.
    ///
    /// # Errors
    /// Closed if a sync failed before that: whether it is durable is unknown then.
    pub fn wait_durable(&self, position: LogPosition) -> Result<()> {
        self.shared.wait_durable(position)
    }

    /// Gives an appended record the durability it was promised: waits for it, has it synced in time, or
    /// leaves it to the operating system.
    ///
    /// # Errors
    /// As [`LogWriter::wait_durable`]; Io if the flusher's thread cannot be started.
    pub fn settle(&self, position: LogPosition, durability: Durability) -> Result<()> {
        match durability {
            Durability::Sync => self.wait_durable(position),
            Durability::Interval(every) => self.flush_at_least(every),
            Durability::Buffered => Ok(()),
        }
    }

    /// Starts the flusher, or shortens its interval.
    fn flush_at_least(&self, every: Duration) -> Result<()> {
        let mut state = self.shared.lock();
        if state.flush_every.is_none_or(|now| every < now) {
            state.flush_every = Some(every);
        }
        if state.flusher.is_none() && !state.stopping {
            let shared = Arc::clone(&self.shared);
            let flusher = thread::Builder::new().name("tailspan-flush".into()).spawn(move || shared.flush_for_ever());
            state.flusher = Some(flusher.map_err(|e| Error::io("starting the log's flusher", e))?);
        }
        self.shared.unsynced.notify_one();
        Ok(())
    }

    /// Where the log ends now.
    pub fn position(&self) -> LogPosition {
        self.shared.lock().position()
    }

    /// Up to where the log is known to be durable.
    #[cfg(test)]
    pub fn durable_position(&self) -> LogPosition {
        self.shared.lock().durable
    }

    /// Sequence of the next span.
    #[cfg(test)]
    pub fn next_sequence(&self) -> u64 {
        self.shared.lock().next_sequence
    }

    /// Makes the current file durable and begins another. `publish` is told the new file's first sequence
    /// when the new file is durable, and adds it to the manifest; the first append to it comes after that.
    /// Appends wait meanwhile. This is also how writing goes on after a failed append.
    ///
    /// # Errors
    /// What the storage or `publish` says. The old file is given up then: rotate again with another id.
    /// Closed after a failed sync, for good.
    pub fn rotate(&self, id: FileId, publish: impl FnOnce(u64) -> Result<()>) -> Result<ClosedLog> {
        // Most of it becomes durable here, while appends go on.
        self.wait_durable(self.position())?;
        let mut state = self.shared.lock_idle();
        state.health.can_rotate(state.id)?;
        assert!(id > state.id, "log {id} must come after {}", state.id);
        state.finish_file()?;
        let closed = ClosedLog { id: state.id, len_bytes: state.len, next_sequence: state.next_sequence };
        let header = LogHeader { store: self.store, file: id, first_sequence: state.next_sequence };
        let next = self.begin_file(header, publish).and_then(|file| State::handles(file));
        match next {
            Ok((file, sync_handle)) => state.begin(id, file, sync_handle),
            // Another file may exist now, which says that this one is complete: so it has to stay as it is.
            Err(error) => {
                let no_space = error.kind() == ErrorKind::NoSpace;
                state.health = Health::GivenUp { no_space, cause: error.to_string() };
                return Err(error);
            }
        }
        Ok(closed)
    }

    fn begin_file(&self, header: LogHeader, publish: impl FnOnce(u64) -> Result<()>) -> Result<Box<dyn WritableFile>> {
        let file = create_file(self.storage.as_ref(), header)?;
        publish(header.first_sequence).inspect_err(|error| {
            // Closed means that the manifest may name the file after all.
            if error.kind() != ErrorKind::Closed {
                remove_leftover(self.storage.as_ref(), header.file);
            }
        })?;
        Ok(file)
    }

    /// Makes all durable, writes a last mark that says so, and accepts nothing more. Closing twice does
    /// nothing.
    ///
    /// # Errors
    /// Closed if a sync failed, now or earlier.
    pub fn close(&self) -> Result<()> {
        self.end(true)
    }

    /// As [`LogWriter::close`], without the last mark: the next opening takes the log for one whose process
    /// died.
    ///
    /// # Errors
    /// As [`LogWriter::close`].
    pub fn close_unmarked(&self) -> Result<()> {
        self.end(false)
    }

    fn end(&self, marked: bool) -> Result<()> {
        let result = self.finish(marked);
        self.shared.stop_flusher();
        result
    }

    fn finish(&self, marked: bool) -> Result<()> {
        let mut state = self.shared.lock_idle();
        match &state.health {
            Health::Closed => return Ok(()),
            Health::SyncFailed { .. } => return state.health.can_rotate(state.id),
            Health::Good | Health::GivenUp { .. } => {}
        }
        let mark = marked && matches!(state.health, Health::Good) && state.len > LOG_HEADER_BYTES as u64;
        state.finish_file()?;
        if mark {
            // Proof for later that all before it was durable. Losing it loses no span.
            let record = NewRecord { kind: RecordKind::Mark, chapter: 0, count: 0 };
            self.append_to(&mut state, record, 0, &[])?;
            state.finish_file()?;
        }
        state.health = Health::Closed;
        Ok(())
    }
}

/// Stops the flusher. What was not synced stays with the operating system: [`LogWriter::close`] first.
impl Drop for LogWriter {
    fn drop(&mut self) {
        self.shared.stop_flusher();
    }
}

fn create_file(storage: &dyn Storage, header: LogHeader) -> Result<Box<dyn WritableFile>> {
    let path = header.file.log_path();
    let mut file = storage.create(&path)?;
    let written = file
        .append(&header.to_bytes())
        .and_then(|()| file.sync())
        .and_then(|()| storage.sync_directory(Directory::Log));
    match written {
        Ok(()) => Ok(file),
        Err(error) => {
            drop(file);
            remove_leftover(storage, header.file);
            Err(error.at(path))
        }
    }
}

/// Removes a file that nothing names. If that fails too, recovery removes it.
fn remove_leftover(storage: &dyn Storage, id: FileId) {
    let _ = storage.remove(&id.log_path());
}
