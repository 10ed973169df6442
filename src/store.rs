//! The facade: wires the parts together and computes nothing itself.

mod figures;
mod follow;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::catalog::{Snapshot as Parts, TraceIds};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{
    Appended, DeleteSummary, Engine, Extent, HeadSink, MergeSummary, OpenRequest, RecoveryReport, SealSummary, Sequence,
};
use crate::interchange::{read_otlp, read_otlp_json, read_zipkin_json};
use crate::limits::Limits;
use crate::model::{Span, TraceId, deliver};
use crate::options::{Durability, Options, WhenFull};
use crate::os::{Clock, Disk, Storage, SystemClock};
use crate::part::ReadCounter;
use crate::query::{
    AttributeKeyCount, AttributeValueCount, Explain, Found, ListFilter, Listed, OperationCount, Query,
    RemoteServiceCount, ServiceCount, attribute_keys, attribute_values, find, operations, remote_services, services,
};
use crate::upkeep::{Keeper, RetainSummary, Retention, Stats, VerifyReport, retain, verify};

pub use follow::compare_stores;

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

/// Settings of a store about to be opened; see [`Store::builder`].
#[derive(Debug)]
#[must_use]
pub struct StoreBuilder {
    path: PathBuf,
    storage: Option<Arc<dyn Storage>>,
    clock: Arc<dyn Clock>,
    options: Options,
    retention: Retention,
    read_only: bool,
    create: bool,
}

impl StoreBuilder {
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
            Arc::new(if self.read_only { Disk::read_only(&self.path) } else { Disk::new(&self.path) })
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
        StoreBuilder {
            path: path.as_ref().to_owned(),
            storage: None,
            clock: Arc::new(SystemClock),
            options: Options::default(),
            retention: Retention::default(),
            read_only: false,
            create: true,
        }
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
        Snapshot {
            parts: self.engine().snapshot(),
            limits: self.engine().options().limits.clone(),
            explain: Arc::default(),
        }
    }

    /// The distinct spans of a trace by start, then id. Empty if there is no such trace.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; TooLarge if it is larger than [`Limits::trace_bytes_max`].
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

    /// Where the bytes went and how many there are.
    ///
    /// # Errors
    /// Corrupt if tables are damaged, Io if a directory cannot be listed.
    pub fn stats(&self) -> Result<Stats> {
        Stats::gather(self.engine())
    }

    /// Reads every byte and lists what is damaged.
    ///
    /// # Errors
    /// Io if a file cannot be read; damage is no error.
    pub fn verify(&self) -> Result<VerifyReport> {
        verify(self.engine())
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

/// A pinned view of a store.
#[derive(Clone, Debug)]
pub struct Snapshot {
    parts: Arc<Parts>,
    limits: Limits,
    explain: Arc<Mutex<Explain>>,
}

impl Snapshot {
    fn counted<T>(&self, read: impl FnOnce(&ReadCounter) -> Result<T>) -> Result<T> {
        let counter = ReadCounter::limited(self.limits.trace_bytes_max);
        let result = read(&counter);
        let mut explain = self.explain.lock().unwrap_or_else(PoisonError::into_inner);
        explain.pages_decoded += counter.pages();
        explain.bytes_read += counter.bytes();
        result
    }

    /// What was read through this snapshot by its lookups; a search brings its own.
    pub fn explain(&self) -> Explain {
        let mut explain = self.explain.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let head = u64::from(!self.parts.chapters.is_empty());
        explain.parts_considered = self.parts.segments.len() as u64 + head;
        explain.parts_read = explain.parts_considered;
        explain.blocks_considered = self.parts.segments.iter().map(|p| p.segment.blocks()).sum::<u64>() + head;
        explain.pages_considered = self.parts.segments.iter().map(|p| u64::from(p.segment.row_pages())).sum();
        explain.bytes_considered = self.parts.segments.iter().map(|p| p.segment.len_bytes()).sum();
        explain
    }

    /// See [`Store::trace`].
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; TooLarge if it is larger than [`Limits::trace_bytes_max`].
    pub fn trace(&self, id: TraceId) -> Result<Vec<Span>> {
        self.counted(|counter| self.parts.trace(id, TraceIds::Strict, counter))
    }

    /// The spans of every trace whose id shares the low 64 bits with this one, as one trace.
    ///
    /// # Errors
    /// As [`Snapshot::trace`].
    pub fn trace_lenient(&self, id: TraceId) -> Result<Vec<Span>> {
        self.counted(|counter| self.parts.trace(id, TraceIds::Lenient, counter))
    }

    /// See [`Store::traces`].
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged; TooLarge if a trace is larger than [`Limits::trace_bytes_max`], or
    /// all together are larger than [`Limits::result_bytes_max`].
    pub fn traces(&self, ids: &[TraceId]) -> Result<Vec<Vec<Span>>> {
        let mut seen = rustc_hash::FxHashSet::default();
        let (mut found, mut held_bytes, max) = (Vec::new(), 0, self.limits.result_bytes_max);
        for id in ids.iter().filter(|id| seen.insert(**id)) {
            let spans = self.trace(*id)?;
            held_bytes += spans.iter().map(Span::held_bytes).sum::<usize>();
            if held_bytes > max {
                let text = format!("the traces take more than {max} bytes; ask for fewer (Limits::result_bytes_max)");
                return Err(Error::new(ErrorKind::TooLarge, text));
            }
            if !spans.is_empty() {
                found.push(spans);
            }
        }
        Ok(found)
    }

    /// The same view with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// See [`Store::find`].
    ///
    /// # Errors
    /// Invalid if the query's page token belongs to another query.
    pub fn find(&self, query: &Query) -> Result<Found> {
        find(&self.parts, query, &self.limits)
    }

    /// See [`Store::services`].
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged, TooLarge if the list or a trace it needs is; so do the other lists.
    pub fn services(&self) -> Result<Vec<ServiceCount>> {
        self.services_where(&ListFilter::new())?.into_complete()
    }

    /// The services that the filter wants, by name. The prefix is that of the name.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged. What is too large is cut, and the list says so.
    pub fn services_where(&self, filter: &ListFilter) -> Result<Listed<ServiceCount>> {
        self.counted(|counter| services(&self.parts, filter, &self.limits, counter))
    }

    /// See [`Store::operations`].
    ///
    /// # Errors
    /// As [`Snapshot::services`].
    pub fn operations(&self, service: Option<&str>) -> Result<Vec<OperationCount>> {
        self.operations_where(&of(service))?.into_complete()
    }

    /// The operations that the filter wants, by service, name and kind. The prefix is that of the name.
    ///
    /// # Errors
    /// As [`Snapshot::services_where`].
    pub fn operations_where(&self, filter: &ListFilter) -> Result<Listed<OperationCount>> {
        self.counted(|counter| operations(&self.parts, filter, &self.limits, counter))
    }

    /// See [`Store::remote_services`].
    ///
    /// # Errors
    /// As [`Snapshot::services`].
    pub fn remote_services(&self, service: Option<&str>) -> Result<Vec<RemoteServiceCount>> {
        self.remote_services_where(&of(service))?.into_complete()
    }

    /// The remote services that the filter wants, by name. The prefix is that of the name.
    ///
    /// # Errors
    /// As [`Snapshot::services_where`].
    pub fn remote_services_where(&self, filter: &ListFilter) -> Result<Listed<RemoteServiceCount>> {
        self.counted(|counter| remote_services(&self.parts, filter, &self.limits, counter))
    }

    /// See [`Store::attribute_keys`].
    ///
    /// # Errors
    /// As [`Snapshot::services`].
    pub fn attribute_keys(&self) -> Result<Vec<AttributeKeyCount>> {
        let (filter, limits) = (ListFilter::new(), self.unread_limits());
        self.counted(|counter| attribute_keys(&self.parts, &filter, &limits, counter))?.into_complete()
    }

    /// See [`Store::attribute_keys_where`].
    ///
    /// # Errors
    /// As [`Snapshot::services_where`].
    pub fn attribute_keys_where(&self, filter: &ListFilter) -> Result<Listed<AttributeKeyCount>> {
        self.counted(|counter| attribute_keys(&self.parts, filter, &self.limits, counter))
    }

    /// See [`Store::attribute_values`].
    ///
    /// # Errors
    /// As [`Snapshot::services`].
    pub fn attribute_values(&self, key: &str) -> Result<Vec<AttributeValueCount>> {
        let (filter, limits) = (ListFilter::new(), self.unread_limits());
        self.counted(|counter| attribute_values(&self.parts, key, &filter, &limits, counter))?.into_complete()
    }

    /// See [`Store::attribute_values_where`].
    ///
    /// # Errors
    /// As [`Snapshot::services_where`].
    pub fn attribute_values_where(&self, key: &str, filter: &ListFilter) -> Result<Listed<AttributeValueCount>> {
        self.counted(|counter| attribute_values(&self.parts, key, filter, &self.limits, counter))
    }

    /// The limits of a list that must be complete: it may read whatever it needs.
    fn unread_limits(&self) -> Limits {
        Limits { list_read_bytes_max: usize::MAX, ..self.limits.clone() }
    }

    /// See [`Store::spans`].
    pub fn spans(&self) -> impl Iterator<Item = Result<Vec<Span>>> + use<> {
        let (traces, error) = match self.parts.every_trace(self.limits.trace_bytes_max) {
            Ok(traces) => (Some(traces), None),
            Err(error) => (None, Some(Err(error))),
        };
        error.into_iter().chain(traces.into_iter().flatten())
    }
}

fn of(service: Option<&str>) -> ListFilter {
    service.map_or_else(ListFilter::new, |service| ListFilter::new().service(service))
}
