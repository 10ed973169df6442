//! The facade: wires the parts together and computes nothing itself.

mod builder;
mod figures;
mod follow;
mod snapshot;
mod trees;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::error::{Error, Result};
use crate::ingest::{
    Appended, DeleteSummary, Engine, Extent, HeadSink, MergeSummary, RecoveryReport, SealSummary, Sequence, Work,
};
use crate::interchange::{read_otlp, read_otlp_json, read_zipkin_json};
use crate::model::{Span, TraceId, deliver};
use crate::options::{Durability, WhenFull};
use crate::query::{
    AttributeKeyCount, AttributeValueCount, Found, ListFilter, Listed, OperationCount, Query, RemoteServiceCount,
    ServiceCount,
};
use crate::upkeep::{Keeper, RepairReport, RetainSummary, Retention, Stats, VerifyReport, repair, retain, verify};

pub use builder::StoreBuilder;
pub use follow::compare_stores;
pub use snapshot::Snapshot;

/// A store of spans in a directory. Cheap to clone; clones are the same store.
///
/// The store is closed when the last clone is dropped, or by [`Store::close`]. What was acknowledged before
/// survives as the durability mode promises, closed or not.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Arc<Engine>,
    keeper: Option<Arc<Keeper>>,
    /// Of sealing, merging and retention.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("storage", self.engine.storage()).finish_non_exhaustive()
    }
}

impl Shared {
    fn start(&self, name: &str, work: impl FnOnce(&Engine) + Send + 'static) -> Result<()> {
        let engine = self.engine.clone();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&engine));
        let thread = thread.map_err(|e| Error::io(format!("starting the thread {name}"), e))?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    fn close(&self) -> Result<()> {
        let closed = self.engine.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        threads.into_iter().for_each(|thread| drop(thread.join()));
        closed
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

impl Store {
    /// Opens the store in this directory for writing, creating it if there is nothing yet.
    ///
    /// # Errors
    /// See [`StoreBuilder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).open()
    }

    /// Opens the store in this directory for reading, beside a writer if there is one.
    ///
    /// # Errors
    /// See [`StoreBuilder::open`].
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).read_only().open()
    }

    /// Settings to open a store with.
    pub fn builder(path: impl AsRef<Path>) -> StoreBuilder {
        StoreBuilder::new(path.as_ref())
    }

    fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// What opening found and lost.
    pub fn recovery(&self) -> &RecoveryReport {
        self.engine().recovery()
    }

    /// Appends the batch atomically: after a crash either all of its spans are found or none. Readable the
    /// moment this returns, durable as the store's mode promises.
    ///
    /// # Errors
    /// Busy if the head is full and the store does not wait; NoSpace or Io if the log refuses (then nothing
    /// was appended); Closed on a closed store or after a failed sync.
    pub fn append<'s>(&self, spans: impl IntoIterator<Item = &'s Span>) -> Result<Appended> {
        self.append_with(Input::Spans(&mut spans.into_iter()), AppendOptions::default())
    }

    /// Appends an OTLP `ExportTraceServiceRequest` or `TracesData` message, atomically.
    ///
    /// # Errors
    /// Invalid if the message is no such protobuf; else as [`Store::append`]. Bad spans are rejected alone.
    pub fn append_otlp(&self, message: &[u8]) -> Result<Appended> {
        self.append_with(Input::Otlp(message), AppendOptions::default())
    }

    /// Appends an OTLP JSON object, atomically.
    ///
    /// # Errors
    /// Invalid if the text is no such JSON; else as [`Store::append`]. Bad spans are rejected alone.
    pub fn append_otlp_json(&self, text: &[u8]) -> Result<Appended> {
        self.append_with(Input::OtlpJson(text), AppendOptions::default())
    }

    /// Appends a JSON array of Zipkin v2 spans, atomically.
    ///
    /// # Errors
    /// Invalid if the text is no such JSON; else as [`Store::append`]. Bad spans are rejected alone.
    pub fn append_zipkin_json(&self, text: &[u8]) -> Result<Appended> {
        self.append_with(Input::ZipkinJson(text), AppendOptions::default())
    }

    /// Appends like [`Store::append`], but answers Busy with a hint instead of waiting for room.
    ///
    /// # Errors
    /// Busy if the head is full; [`Error::retry_after`] says when to try again. Else as [`Store::append`].
    pub fn try_append<'s>(&self, spans: impl IntoIterator<Item = &'s Span>) -> Result<Appended> {
        let options = AppendOptions { when_full: Some(WhenFull::Busy), ..AppendOptions::default() };
        self.append_with(Input::Spans(&mut spans.into_iter()), options)
    }

    /// Appends any input with options of its own.
    ///
    /// # Errors
    /// As the other appends.
    pub fn append_with(&self, input: Input<'_, '_>, options: AppendOptions) -> Result<Appended> {
        let engine = self.engine();
        let limits = &engine.options().limits;
        let durability = options.durability.unwrap_or(engine.options().durability);
        let when_full = options.when_full.unwrap_or(engine.options().when_full);
        engine.append(durability, when_full, |sink: &mut HeadSink<'_>| match input {
            Input::Spans(spans) => {
                deliver(spans, sink);
                Ok(())
            }
            Input::Otlp(message) => read_otlp(message, limits, sink),
            Input::OtlpJson(text) => read_otlp_json(text, limits, sink),
            Input::ZipkinJson(text) => read_zipkin_json(text, limits, sink),
        })
    }

    /// Deletes everything appended of these traces so far, durably; what comes later of them is new. No
    /// query finds the spans any more; [`Stats::awaiting_erasure`] tells how many rows a merge has yet to
    /// erase.
    ///
    /// # Errors
    /// Corrupt if a trace table is damaged, NoSpace or Io if the log refuses (then nothing is deleted);
    /// Closed on a closed store or after a failed sync.
    pub fn delete(&self, ids: &[TraceId]) -> Result<DeleteSummary> {
        self.engine().delete(ids)
    }

    /// Lets go what these settings say, now; the store's own settings go on in the background. A span that
    /// went and comes again is new. Snapshots from before still hold what went, and its bytes on disk.
    ///
    /// # Errors
    /// Invalid on a store opened read-only; NoSpace or Io if the storage refuses, Closed on a closed store.
    /// What was let go before the error is gone.
    pub fn retain(&self, retention: &Retention) -> Result<RetainSummary> {
        retain(self.engine(), retention)
    }

    /// Why the store's own retention failed the last time, if it did; it is tried again every minute.
    pub fn retention_problem(&self) -> Option<String> {
        self.shared.keeper.as_ref()?.problem()
    }

    /// Sets the retention clock to the wall clock, durably: the end of being held after the wall clock
    /// jumped ([`RetainSummary::clock_held`]). What is too old by that time goes with the next retention.
    ///
    /// # Errors
    /// Invalid on a store opened read-only, NoSpace or Io if the manifest refuses.
    pub fn accept_clock(&self) -> Result<()> {
        self.engine().accept_clock()
    }

    /// Returns when everything up to this sequence survives a power cut.
    ///
    /// # Errors
    /// Closed if a sync failed before that; Invalid for a sequence that was never given out.
    pub fn wait_durable(&self, sequence: Sequence) -> Result<()> {
        self.engine().wait_durable(sequence)
    }

    /// A view of the store as it is now, whatever is appended, sealed or removed later.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.engine().snapshot(), self.engine().options().limits.clone())
    }

    /// The distinct spans of a trace by start, then id. Empty if there is no such trace.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; TooLarge if it is larger than [`crate::Limits::trace_bytes_max`].
    pub fn trace(&self, id: TraceId) -> Result<Vec<Span>> {
        self.snapshot().trace(id)
    }

    /// The traces of these ids that exist, each once, in the order of their first mention.
    ///
    /// # Errors
    /// As [`Store::trace`].
    pub fn traces(&self, ids: &[TraceId]) -> Result<Vec<Vec<Span>>> {
        self.snapshot().traces(ids)
    }

    /// Searches for traces.
    ///
    /// # Errors
    /// Invalid if the query's page token belongs to another query.
    pub fn find(&self, query: &Query) -> Result<Found> {
        self.snapshot().find(query)
    }

    /// Seals everything appended before the call: memory and log become segments.
    ///
    /// # Errors
    /// NoSpace or Io if the storage refuses; the spans stay where they are then.
    pub fn seal(&self) -> Result<SealSummary> {
        self.engine().seal()
    }

    /// Erases the rows of deleted traces and unites small segments. Seals first.
    ///
    /// # Errors
    /// NoSpace or Io if the storage refuses, Corrupt if a segment is damaged: it stays as it is then.
    pub fn merge(&self) -> Result<MergeSummary> {
        self.engine().merge(Extent::ByHand)
    }

    /// Finishes what goes on in the background: seals what was appended if it is worth a segment (16,384 spans), and
    /// merges what is worth it. For the end of a long import, so that what is read next finds few segments.
    ///
    /// # Errors
    /// As [`Store::merge`].
    pub fn settle(&self) -> Result<MergeSummary> {
        self.engine().settle()
    }

    /// Merges everything to as few segments as the limits allow. Seals first.
    ///
    /// # Errors
    /// As [`Store::merge`].
    pub fn merge_all(&self) -> Result<MergeSummary> {
        self.engine().merge(Extent::All)
    }

    /// The services and how many spans each has, by name.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged, TooLarge if the list or a trace it needs is; so do the other lists.
    pub fn services(&self) -> Result<Vec<ServiceCount>> {
        self.snapshot().services()
    }

    /// The operations of a service, or of all.
    ///
    /// # Errors
    /// As [`Store::services`].
    pub fn operations(&self, service: Option<&str>) -> Result<Vec<OperationCount>> {
        self.snapshot().operations(service)
    }

    /// The remote services a service talks to, or all do.
    ///
    /// # Errors
    /// As [`Store::services`].
    pub fn remote_services(&self, service: Option<&str>) -> Result<Vec<RemoteServiceCount>> {
        self.snapshot().remote_services(service)
    }

    /// Attribute keys by scope and type.
    ///
    /// # Errors
    /// As [`Store::services`].
    pub fn attribute_keys(&self) -> Result<Vec<AttributeKeyCount>> {
        self.snapshot().attribute_keys()
    }

    /// Attribute keys by scope and type, as far as the filter wants them: what to offer to someone who types.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged. What is too large is cut, and the list says so.
    pub fn attribute_keys_where(&self, filter: &ListFilter) -> Result<Listed<AttributeKeyCount>> {
        self.snapshot().attribute_keys_where(filter)
    }

    /// The values of an attribute, in whatever scope, the most frequent first.
    ///
    /// # Errors
    /// As [`Store::services`].
    pub fn attribute_values(&self, key: &str) -> Result<Vec<AttributeValueCount>> {
        self.snapshot().attribute_values(key)
    }

    /// The values of an attribute, as far as the filter wants them, the most frequent first.
    ///
    /// # Errors
    /// As [`Store::attribute_keys_where`].
    pub fn attribute_values_where(&self, key: &str, filter: &ListFilter) -> Result<Listed<AttributeValueCount>> {
        self.snapshot().attribute_values_where(key, filter)
    }

    /// Every live span once, trace by trace; an error stands for a trace that could not be read, and what
    /// follows it is still given.
    pub fn spans(&self) -> impl Iterator<Item = Result<Vec<Span>>> + use<> {
        self.snapshot().spans()
    }

    /// Where the bytes went and how many there are. What damage hides is not counted: [`Stats::problems`] tells.
    ///
    /// # Errors
    /// TooLarge if a doubled trace is, Io if a directory cannot be listed.
    pub fn stats(&self) -> Result<Stats> {
        Stats::gather(self.engine())
    }

    /// What the write path did since this store was opened: time by kind of work, and what was written. Costs nothing.
    pub fn work(&self) -> Work {
        self.engine().work()
    }

    /// Reads every byte and lists what is damaged.
    ///
    /// # Errors
    /// Io if a file cannot be read; damage is no error.
    pub fn verify(&self) -> Result<VerifyReport> {
        verify(self.engine())
    }

    /// Moves damaged bytes to `quarantine/`, and nothing else: a segment that cannot be used goes there, one that can
    /// be read all the same is written anew first. Lists what opening and verifying found damaged. What opening
    /// repaired already, such as the manifest, is among it.
    ///
    /// # Errors
    /// Invalid on a store opened read-only; NoSpace or Io if the storage refuses. What was repaired before stays so.
    pub fn repair(&self) -> Result<RepairReport> {
        repair(self.engine())
    }

    /// Closes the store: no append is accepted any more, what was appended becomes durable.
    ///
    /// # Errors
    /// Closed or Io if the last sync failed.
    pub fn close(self) -> Result<()> {
        self.shared.close()
    }
}

/// What an append takes.
pub enum Input<'a, 's> {
    /// Owned spans.
    Spans(&'a mut dyn Iterator<Item = &'s Span>),
    /// An OTLP protobuf message.
    Otlp(&'a [u8]),
    /// An OTLP JSON object.
    OtlpJson(&'a [u8]),
    /// A JSON array of Zipkin v2 spans.
    ZipkinJson(&'a [u8]),
}

/// Options of one append; what is `None` is the store's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct AppendOptions {
    /// When it is acknowledged.
    pub durability: Option<Durability>,
    /// What it does when the head is full.
    pub when_full: Option<WhenFull>,
}
