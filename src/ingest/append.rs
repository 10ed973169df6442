//! Appending: into the active chapter, one log record, then the durability that was asked for.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::bytes::Writer as ByteWriter;
use crate::catalog::{SegmentPart, TraceIds, fingerprint};
use crate::column::RowSource;
use crate::error::{Error, ErrorKind, Result};
use crate::head::{Mark, Place, Rows, encode_record, trace_id_of};
use crate::limits::CHAPTER_SPANS;
use crate::log::{NewRecord, RecordKind};
use crate::model::{RejectReason, Resource, ResourceToken, Scope, ScopeToken, Span, SpanRef, SpanSink, TraceId};
use crate::options::{Durability, WhenFull};
use crate::os::MutexGuard;
use crate::os::defects::{self, Defect};
use crate::part::ReadCounter;

use super::engine::{Engine, Live, Writer, closed_error};
use super::marks::{mark_dirty, mark_doubled};
use super::sealed_spans::Twin;
use super::work::{Labour, Output};

/// Rows of a sealed trace up to which a late span is compared with them when it arrives.
const COMPARED_ROWS_MAX: u32 = 4_096;
/// The buffer of a record longer than this is given back.
const RECORD_BYTES_KEPT_MAX: usize = 4 << 20;
/// How long a caller does well to wait when the head is full.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// A place in the order of appends; see [`crate::Store::wait_durable`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Appended {
    /// Spans taken.
    pub accepted: u64,
    /// Spans identical to one the store held already, dropped.
    pub duplicates: u64,
    /// Spans refused, by reason.
    pub rejected: Vec<(RejectReason, u64)>,
    /// Covers everything appended so far.
    pub sequence: Sequence,
}

impl Appended {
    /// Spans refused, for whatever reason.
    pub fn rejected_count(&self) -> u64 {
        self.rejected.iter().map(|(_, count)| count).sum()
    }

    /// Every span of the batch.
    pub fn total(&self) -> u64 {
        self.accepted + self.duplicates + self.rejected_count()
    }
}

/// Takes the spans of one append.
pub struct HeadSink<'a> {
    engine: &'a Engine,
    live: &'a mut Live,
    /// Rows of the head's frozen chapters.
    frozen_rows: u32,
    accepted: u64,
    duplicates: u64,
    rejected: BTreeMap<RejectReason, u64>,
}

impl HeadSink<'_> {
    /// True if an identical record is in an older generation or a segment; marks late traces.
    fn is_elsewhere(&mut self, row: u32) -> bool {
        let chapter = self.live.head.builder.chapter();
        let fixed = chapter.rows[row as usize];
        let id = trace_id_of(&fixed);
        let late = match self.live.head.ids.trace(id) {
            Some(late) => late,
            None => {
                let late = self.mark_late(id);
                self.live.head.ids.set_trace(id, late);
                late
            }
        };
        if !late {
            return false;
        }
        let span = self.live.head.builder.chapter().span(row).ok();
        let older = self.live.generations.iter().any(|g| g.ids.contains(&g.rows(), &fixed, span.as_ref()));
        older || self.is_sealed(id, span.as_ref())
    }

    /// Whether a trace that is new in this head lies in another part too; those parts learn it.
    fn mark_late(&mut self, id: TraceId) -> bool {
        let mut late = self.live.generations.iter().any(|g| g.ids.has_low(id.low()));
        let counter = ReadCounter::default();
        for part in &mut self.live.segments {
            late |= mark_dirty(part, id.low(), &counter);
        }
        late
    }

    fn is_sealed(&mut self, id: TraceId, span: Option<&Span>) -> bool {
        let Some(span) = span else { return false };
        let Live { sealed_spans: cache, segments, .. } = &mut *self.live;
        let bytes_max = self.engine.options.limits.cached_bytes_max;
        let twin = cache.twin(id, span, bytes_max, || sealed_spans(segments, id, bytes_max));
        if twin == Twin::Unknown {
            segments.iter_mut().for_each(|part| mark_doubled(part, id.low(), &ReadCounter::default()));
        }
        twin == Twin::Sealed
    }
}

/// The sealed spans of a trace by fingerprint; `None` if some cannot be read, or are too many to be worth it.
fn sealed_spans(segments: &[SegmentPart], id: TraceId, bytes_max: usize) -> Option<FxHashMap<u64, Span>> {
    let counter = ReadCounter::limited(bytes_max);
    let mut out = FxHashMap::default();
    for part in segments {
        let segment = &part.segment;
        for (ordinal, _) in part.ordinals_of(id, TraceIds::Strict, &counter).ok()? {
            if segment.trace_rows(ordinal, &counter).ok()?.len() as u32 > COMPARED_ROWS_MAX {
                return None;
            }
            let spans = segment.trace_spans(ordinal, &counter).ok()?;
            out.extend(spans.into_iter().map(|span| (fingerprint(&span), span)));
        }
    }
    Some(out)
}

impl SpanSink for HeadSink<'_> {
    fn known_resource(&mut self, wire: [&[u8]; 2]) -> Option<ResourceToken> {
        self.live.head.builder.known_resource(wire).map(ResourceToken)
    }

    fn known_scope(&mut self, wire: [&[u8]; 2]) -> Option<ScopeToken> {
        self.live.head.builder.known_scope(wire).map(ScopeToken)
    }

    fn resource(&mut self, wire: [&[u8]; 2], decode: &mut dyn FnMut() -> Resource) -> ResourceToken {
        ResourceToken(self.live.head.builder.resource(wire, decode))
    }

    fn scope(&mut self, wire: [&[u8]; 2], decode: &mut dyn FnMut() -> Scope) -> ScopeToken {
        ScopeToken(self.live.head.builder.scope(wire, decode))
    }

    fn span(&mut self, resource: ResourceToken, scope: ScopeToken, span: &SpanRef<'_>) {
        let limits = &self.engine.options.limits;
        if span.attributes.len() + span.events.len() + span.links.len() > limits.span_parts_max {
            return self.reject(RejectReason::TooLarge);
        }
        let mark = Mark::of(self.live.head.builder.chapter());
        let row = self.live.head.builder.push(resource.0, scope.0, span);
        let head = &mut self.live.head;
        let place: Place = self.frozen_rows + row;
        let rows = Rows { frozen: &head.frozen, active: Some(head.builder.chapter()) };
        let here = head.ids.insert(&rows, place, &head.builder.chapter().rows[row as usize]);
        if (here || self.is_elsewhere(row)) && !defects::active(Defect::KeepDuplicates) {
            let head = &mut self.live.head;
            if !here {
                let rows = Rows { frozen: &head.frozen, active: Some(head.builder.chapter()) };
                head.ids.forget_place(&rows, place);
            }
            head.builder.undo(&mark);
            self.duplicates += 1;
        } else {
            self.accepted += 1;
        }
    }

    fn reject(&mut self, reason: RejectReason) {
        *self.rejected.entry(reason).or_default() += 1;
    }
}

impl Engine {
    /// Appends what `feed` gives to the sink: all of it or, if `feed` or the log fails, nothing. With
    /// `durability` other than the store's own.
    ///
    /// # Errors
    /// What `feed` says; Busy if the head is full and the call must not wait; NoSpace or Io if the log
    /// refuses; Closed after a failed sync or on a closed store.
    pub fn append(
        &self,
        durability: Durability,
        when_full: WhenFull,
        feed: impl FnOnce(&mut HeadSink<'_>) -> Result<()>,
    ) -> Result<Appended> {
        let writer = self.writer()?;
        let mut live = self.timed(Labour::WaitingForRoom, || self.room(when_full))?;
        let began = self.clock.monotonic_nanos();
        if live.head.rotate_first {
            self.begin_log(writer, &mut live)?;
        }
        if live.head.builder.chapter().rows.len() >= CHAPTER_SPANS {
            live.head.freeze_chapter();
        }
        live.head.copy = None;
        if live.head.builder.chapter().rows.is_empty() {
            let next = live.head.next_sequence;
            live.head.builder.begin_at(next);
        }
        let mark = Mark::of(live.head.builder.chapter());
        let frozen_rows = live.head.frozen.iter().map(|chapter| chapter.rows.len() as u32).sum();
        let mut sink = HeadSink {
            engine: self,
            live: &mut live,
            frozen_rows,
            accepted: 0,
            duplicates: 0,
            rejected: BTreeMap::new(),
        };
        let fed = feed(&mut sink);
        let HeadSink { accepted, duplicates, rejected, .. } = sink;
        let logged = fed.and_then(|()| self.log_growth(writer, &mut live, accepted));
        let position = match logged {
            Ok(position) => position,
            Err(error) => {
                let place = frozen_rows + mark.rows as u32;
                live.head.ids.forget_from(place);
                live.head.builder.undo(&mark);
                return Err(error);
            }
        };
        if accepted > 0 {
            live.head.received_at(self.retention_now());
        }
        let sequence = Sequence(live.head.next_sequence);
        let sequences = sequence.0 - accepted..sequence.0;
        self.acknowledged.begin(&sequences);
        if self.options.seal_automatically && live.head.bytes() >= self.seal_at_bytes() {
            // The spans are in; a failure to begin the next generation is met again by the next append.
            let _ = self.rotate(writer, &mut live);
        }
        drop(live);
        self.work.took(Labour::Appending, self.clock.monotonic_nanos().saturating_sub(began));
        self.timed(Labour::WaitingForSync, || writer.log.settle(position, durability))?;
        self.acknowledged.finish(&sequences);
        Ok(Appended { accepted, duplicates, rejected: rejected.into_iter().collect(), sequence })
    }

    /// Returns when everything up to this sequence is durable.
    ///
    /// # Errors
    /// Closed if a sync failed before that.
    pub fn wait_durable(&self, sequence: Sequence) -> Result<()> {
        let writer = self.writer()?;
        let next = self.lock().head.next_sequence;
        if sequence.0 > next {
            return Err(Error::invalid(format!("sequence {} was not given out; the last is {next}", sequence.0)));
        }
        self.timed(Labour::WaitingForSync, || writer.log.wait_durable(writer.log.position()))
    }

    /// Waits until the head has room, or fails.
    fn room(&self, when_full: WhenFull) -> Result<MutexGuard<'_, Live>> {
        let mut live = self.lock();
        loop {
            if let Some(why) = &live.closed {
                return Err(closed_error(why));
            }
            if live.generations.is_empty() || live.head_bytes() < self.full_at_bytes() {
                return Ok(live);
            }
            if let Some(error) = &live.seal_error {
                let text = format!("the head is full and cannot be sealed: {error}");
                return Err(Error::new(error.kind(), text));
            }
            if when_full == WhenFull::Busy {
                let text = format!("the head is full; try again in {} ms", RETRY_AFTER.as_millis());
                return Err(Error::new(ErrorKind::Busy, text).with_retry_after(RETRY_AFTER));
            }
            live = self.changed.wait(live).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives the log up and begins another file of the same generation.
    pub(super) fn begin_log(&self, writer: &Writer, live: &mut Live) -> Result<()> {
        // A record that was not written took no part of the chapter with it, but the next log must not
        // depend on an earlier one's dictionaries.
        live.head.freeze_chapter();
        let id = writer.manifest.allocate_file_id()?;
        let publish =
            |first_sequence| writer.manifest.commit(&[crate::catalog::Edit::AddLog { id, first_sequence }]).map(|_| ());
        writer.log.rotate(id, publish)?;
        live.head.logs.push(id);
        live.head.rotate_first = false;
        Ok(())
    }

    /// Appends the growth of the active chapter to the log.
    fn log_growth(&self, writer: &Writer, live: &mut Live, accepted: u64) -> Result<crate::log::LogPosition> {
        if accepted == 0 {
            return Ok(writer.log.position());
        }
        let head = &mut live.head;
        let chapter = head.builder.chapter();
        debug_assert!(chapter.schema().classes.len() >= head.logged.classes, "a chapter only grows");
        let payload = &mut head.record;
        payload.as_mut_vec().clear();
        encode_record(chapter, &head.logged, payload);
        let count = u32::try_from(accepted).map_err(|_| Error::invalid("more than 4 billion spans at once"))?;
        let record = NewRecord { kind: RecordKind::Batch, chapter: head.chapter, count };
        let written = writer.log.append(record, &[payload.as_slice()]);
        if payload.len() > RECORD_BYTES_KEPT_MAX {
            head.record = ByteWriter::new();
        }
        match written {
            Ok(appended) => {
                head.logged = Mark::of(head.builder.chapter());
                head.next_sequence = appended.first_sequence + u64::from(count);
                self.work.wrote(Output::Log, u64::from(count), appended.bytes);
                Ok(appended.position)
            }
            Err(error) => {
                head.rotate_first = error.kind() != ErrorKind::Invalid;
                Err(error)
            }
        }
    }
}
