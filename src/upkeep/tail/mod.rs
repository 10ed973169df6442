//! The tail: every live span once, in the order of appends, and then what comes.
//!
//! Every row knows the sequence of its append, wherever it lies by now, so a tail needs no queue and no
//! registration: it walks over the sequences in windows, and where it stands is one number. Between windows it
//! takes a new snapshot; what was sealed or merged meanwhile has kept its sequences.
//!
//! ```text
//! sequences   0 ........ | window | ............. | acknowledged end
//!             seen         being read               not yet
//! ```
//!
//! What is deleted or expires before the tail comes to it is not shown, so gaps are normal. An error ends no
//! tail: it stands for a span that could not be read, or for a damaged page that hides which spans there are,
//! and the tail goes on after it.

mod cursor;
mod repeats;
mod window;

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::catalog::Snapshot;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{Acknowledged, Engine, Sequence};
use crate::model::Span;
use crate::os::Clock;
use crate::part::ReadCounter;

pub use cursor::TailCursor;
use repeats::repeats;
use window::{KnownPages, Place, next_row, places_in, spans_of};

/// Sequences of a window.
const WINDOW_SEQUENCES: u64 = 16_384;
/// Heap bytes of spans held at once, unless one span alone has more.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// Rows read at once before it is known how large spans are.
const FIRST_STRETCH: usize = 256;
/// Spans of a batch.
const BATCH_SPANS_MAX: usize = 4_096;
/// Windows read of one snapshot of a read-only store before it is read again.
const SNAPSHOT_WINDOWS: u32 = 64;
/// How often a read-only store is looked at, at most, and at least while nothing comes.
const POLL_EVERY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));
/// Of the time a look takes, how many times as long the next one is put off: at most a quarter of a core.
const POLL_REST: u32 = 3;

/// A span and its place in the order of appends.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TailedSpan {
    /// The place of its append.
    pub sequence: Sequence,
    /// Everything up to this span and with it lies before this cursor.
    pub cursor: TailCursor,
    /// The span.
    pub span: Span,
}

/// Follows a store; see [`crate::Store::tail`].
///
/// As an iterator it ends when everything acknowledged was given, and goes on when there is more: it is not
/// fused. [`Tail::wait`] tells when.
pub struct Tail {
    source: Source,
    store: u64,
    clock: Arc<dyn Clock>,
    acknowledged: Arc<Acknowledged>,
    /// Every sequence below was given.
    next: u64,
    /// What is read at present, and up to where.
    snapshot: Arc<Snapshot>,
    end: u64,
    windows_left: u32,
    pages: KnownPages,
    /// Rows of the present window not yet read, and where the window ends.
    places: VecDeque<Place>,
    window_end: u64,
    /// Rows that are read at once.
    stretch: usize,
    ready: VecDeque<TailedSpan>,
    /// What could not be read and was not yet told.
    damage: VecDeque<Error>,
    /// When a read-only store was last looked at, and how long it rests after that.
    looked_at_nanos: u64,
    rest: Duration,
}

/// Where a tail reads.
enum Source {
    /// A store that writes, as long as it is open: a tail must not keep its lock.
    Writing(Weak<Engine>),
    /// A store that reads, which is looked at again and again.
    Reading(Arc<Engine>),
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("cursor", &self.cursor()).finish_non_exhaustive()
    }
}

impl Tail {
    /// A tail that begins at this cursor.
    ///
    /// # Errors
    /// Invalid if the cursor is of another store, or beyond what this one ever acknowledged.
    pub(crate) fn new(engine: &Arc<Engine>, from: TailCursor) -> Result<Self> {
        let next = from.next_in(engine.store_id())?;
        let end = engine.acknowledged().end();
        if next > end {
            let newest = Self::newest(engine);
            let text =
                format!("cursor {from} is beyond the store's end: what it had seen was lost before it was durable");
            return Err(Error::invalid(format!("{text}; go on from {newest}")));
        }
        let snapshot = engine.snapshot();
        let looked_at_nanos = engine.clock().monotonic_nanos();
        let reads = engine.is_read_only();
        Ok(Self {
            source: if reads { Source::Reading(engine.clone()) } else { Source::Writing(Arc::downgrade(engine)) },
            store: engine.store_id(),
            clock: engine.clock().clone(),
            acknowledged: engine.acknowledged().clone(),
            next,
            snapshot,
            end,
            windows_left: SNAPSHOT_WINDOWS,
            pages: KnownPages::default(),
            places: VecDeque::new(),
            window_end: next,
            stretch: FIRST_STRETCH,
            ready: VecDeque::new(),
            damage: VecDeque::new(),
            looked_at_nanos,
            rest: POLL_EVERY.0,
        })
    }

    /// The cursor after everything acknowledged so far.
    pub(crate) fn newest(engine: &Engine) -> TailCursor {
        TailCursor::new(engine.store_id(), engine.acknowledged().end())
    }

    /// Where the tail stands: everything that was given lies before it, nothing else does.
    pub fn cursor(&self) -> TailCursor {
        TailCursor::new(self.store, self.ready.front().map_or(self.next, |span| span.sequence.0))
    }

    /// Waits until there is something to give, at most this long; true if there is. A store that only reads is
    /// looked at up to four times a second.
    ///
    /// # Errors
    /// Closed if the store was closed and everything was given; for a store that only reads what reading it
    /// again says.
    pub fn wait(&mut self, timeout: Duration) -> Result<bool> {
        if !self.is_at_end() {
            return Ok(true);
        }
        if let Source::Writing(engine) = &self.source {
            if engine.strong_count() > 0 && self.acknowledged.wait_for(self.next, timeout) {
                return Ok(true);
            }
            if self.acknowledged.is_closed() {
                return Err(Error::new(ErrorKind::Closed, "the store was closed; reopen it and go on from the cursor"));
            }
            return Ok(false);
        }
        let mut left = timeout;
        loop {
            let since = self.clock.monotonic_nanos().saturating_sub(self.looked_at_nanos);
            let due = self.rest.saturating_sub(Duration::from_nanos(since));
            let pause = due.min(left);
            std::thread::sleep(pause);
            left -= pause;
            if (due == pause && self.look()?) || left.is_zero() {
                return Ok(!self.is_at_end());
            }
        }
    }

    /// Up to 4,096 spans, or 16 MiB: what there is, or what comes within the timeout. Empty if nothing does.
    ///
    /// # Errors
    /// As [`Tail::wait`], and Corrupt if a page it needs is damaged.
    pub fn next_batch(&mut self, timeout: Duration) -> Result<Vec<TailedSpan>> {
        let mut left = timeout;
        loop {
            let batch = self.ready_batch()?;
            if !batch.is_empty() || !self.wait(std::mem::take(&mut left))? {
                return Ok(batch);
            }
        }
    }

    /// As [`Tail::next_batch`], without waiting.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged: call again for what follows.
    pub fn ready_batch(&mut self) -> Result<Vec<TailedSpan>> {
        self.fill()?;
        Ok(std::mem::take(&mut self.ready).into())
    }

    /// True if everything that is known to be acknowledged was given.
    fn is_at_end(&self) -> bool {
        let nothing_ready = self.ready.is_empty() && self.damage.is_empty();
        nothing_ready && self.next >= self.end && self.next >= self.acknowledged.end()
    }

    /// Reads a read-only store again; true if it has something new for this tail.
    fn look(&mut self) -> Result<bool> {
        let Source::Reading(engine) = &self.source else { return Ok(false) };
        let began = self.clock.monotonic_nanos();
        let changed = engine.refresh()?;
        self.looked_at_nanos = self.clock.monotonic_nanos();
        let took = Duration::from_nanos(self.looked_at_nanos.saturating_sub(began));
        let news = self.acknowledged.end() > self.next;
        let longer = if changed { POLL_EVERY.0 } else { (self.rest * 2).min(POLL_EVERY.1) };
        self.rest = longer.max(took * POLL_REST);
        Ok(news)
    }

    /// Takes what there is now, as long as the store is open.
    fn renew(&mut self) {
        let engine = match &self.source {
            Source::Writing(engine) => engine.upgrade(),
            Source::Reading(engine) => Some(engine.clone()),
        };
        let Some(engine) = engine else { return };
        // In this order: everything below the end is in the snapshot.
        self.end = self.acknowledged.end();
        self.snapshot = engine.snapshot();
        self.windows_left = SNAPSHOT_WINDOWS;
        self.pages.keep(&self.snapshot);
    }

    /// Reads on until something is ready or everything was given.
    fn fill(&mut self) -> Result<()> {
        while self.ready.is_empty() {
            if let Some(error) = self.damage.pop_front() {
                return Err(error);
            }
            if !self.places.is_empty() {
                self.read_stretch();
                continue;
            }
            self.next = self.next.max(self.window_end);
            if !self.next_window() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Finds the rows of the next window; false if there is none.
    fn next_window(&mut self) -> bool {
        let renews = match &self.source {
            Source::Writing(_) => true,
            Source::Reading(engine) if self.windows_left == 0 => {
                // If that fails, what was read before is as good; waiting tells.
                let _ = engine.refresh();
                true
            }
            Source::Reading(_) => self.next >= self.end,
        };
        if renews {
            self.renew();
        }
        if self.next >= self.end {
            return false;
        }
        self.windows_left = self.windows_left.saturating_sub(1);
        // Sequences that nothing live has are stepped over.
        self.next = first_live(&self.snapshot, self.next).unwrap_or(self.end).min(self.end);
        self.window_end = self.next.saturating_add(WINDOW_SEQUENCES).min(self.end);
        let mut damage = Vec::new();
        self.places = places_in(&self.snapshot, &(self.next..self.window_end), &mut self.pages, &mut damage).into();
        self.damage.extend(damage);
        if self.places.is_empty() {
            // Part of a gap: what follows it tells how long it is.
            self.window_end = next_row(&self.snapshot, self.window_end, &self.pages).unwrap_or(self.end).min(self.end);
        }
        true
    }

    /// Reads the next rows of the window: fewer if their spans are large, one if some cannot be read.
    fn read_stretch(&mut self) {
        let stretch: Vec<Place> = self.places.iter().take(self.stretch).copied().collect();
        let spans = match self.shown(&stretch) {
            Ok(Some(spans)) => {
                self.stretch = (self.stretch * 2).min(BATCH_SPANS_MAX);
                spans
            }
            Err(error) if stretch.len() <= 1 => {
                self.damage.push_back(error);
                Vec::new()
            }
            Ok(None) | Err(_) => {
                self.stretch = (stretch.len() / 2).max(1);
                return;
            }
        };
        self.ready.extend(spans);
        self.places.drain(..stretch.len());
        if let Some(last) = stretch.last() {
            self.next = last.sequence.saturating_add(1);
        }
    }

    /// The spans of these rows that were not shown before; `None` if they are too large to be read at once.
    fn shown(&self, stretch: &[Place]) -> Result<Option<Vec<TailedSpan>>> {
        // One span is read whatever its size is.
        let several = stretch.len() > 1;
        let counter = if several { ReadCounter::limited(BATCH_BYTES_MAX) } else { ReadCounter::default() };
        let Some((spans, loose)) = spans_of(&self.snapshot, stretch, BATCH_BYTES_MAX, &counter)? else {
            return Ok(None);
        };
        let repeated = repeats(&self.snapshot, stretch, &spans, &loose, &counter)?;
        let first_times = stretch.iter().zip(spans).zip(repeated).filter(|(_, repeated)| !repeated);
        let store = self.store;
        let tailed = first_times.map(|((place, span), _)| {
            let cursor = TailCursor::new(store, place.sequence.saturating_add(1));
            TailedSpan { sequence: Sequence(place.sequence), cursor, span }
        });
        Ok(Some(tailed.collect()))
    }
}

impl Iterator for Tail {
    type Item = Result<TailedSpan>;

    /// The next span; `None` if everything acknowledged was given, for now.
    fn next(&mut self) -> Option<Self::Item> {
        match self.fill() {
            Ok(()) => self.ready.pop_front().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
}

/// The first sequence from here on that a part may hold.
fn first_live(snapshot: &Snapshot, from: u64) -> Option<u64> {
    let sealed = snapshot.segments.iter().map(|part| part.segment.directory().sequences);
    let chapters = snapshot.chapters.iter().map(|chapter| {
        let end = chapter.rows.last().map_or(0, |row| chapter.sequence(row).saturating_add(1));
        (chapter.first_sequence, end)
    });
    sealed.chain(chapters).filter(|(_, end)| *end > from).map(|(first, _)| first.max(from)).min()
}
