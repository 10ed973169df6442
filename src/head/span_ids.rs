//! Which spans a head generation holds, to drop a record delivered twice.
//!
//! Ids tell nearly always: a span id that is new in its trace is a new span. Only for an id that is there
//! already are the records compared, by a fingerprint of all they hold and then in full.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::model::{Span, TraceId};

use super::chapter::{Chapter, Row};
use super::frozen::FrozenChapter;

/// Where a span lies: chapter of the generation, row of the chapter.
pub type Place = (u32, u32);

/// The span ids of a generation.
#[derive(Debug, Default)]
pub struct SpanIds {
    first: HashTable<Place>,
    /// Records of ids that occur more than once, by fingerprint.
    twins: FxHashMap<u64, Place>,
    /// Traces, and whether they also lie in another part.
    traces: FxHashMap<u64, bool>,
}

/// The rows of a generation.
pub struct Rows<'a> {
    /// Frozen chapters, in order.
    pub frozen: &'a [std::sync::Arc<FrozenChapter>],
    /// The chapter after them, if there is one.
    pub active: Option<&'a Chapter>,
}

impl Rows<'_> {
    fn chapter(&self, index: u32) -> Option<&Chapter> {
        self.frozen.get(index as usize).map(|c| &***c).or(self.active)
    }

    fn row(&self, place: Place) -> Option<&Row> {
        self.chapter(place.0)?.rows.get(place.1 as usize)
    }

    fn span(&self, place: Place) -> Option<Span> {
        self.chapter(place.0)?.span(place.1).ok()
    }
}

fn hash(row: &Row) -> u64 {
    FxBuildHasher.hash_one((row.trace_id, row.span_id))
}

fn fingerprint(span: Option<&Span>) -> u64 {
    FxBuildHasher.hash_one(span)
}

impl SpanIds {
    /// The ids of these rows, with what is known of their traces.
    #[must_use]
    pub fn rebuilt(&self, rows: &Rows<'_>) -> Self {
        let mut out = Self { traces: self.traces.clone(), ..Self::default() };
        for (c, chapter) in rows.frozen.iter().enumerate() {
            for row in 0..chapter.rows.len() {
                out.insert(rows, (c as u32, row as u32));
            }
        }
        out
    }

    /// Notes the row at `place`; true if an identical record is there already (then nothing is noted).
    pub fn insert(&mut self, rows: &Rows<'_>, place: Place) -> bool {
        let Some(row) = rows.row(place) else { return false };
        let same = |p: &Place| rows.row(*p).is_some_and(|r| r.span_id == row.span_id && r.trace_id == row.trace_id);
        let rehash = |p: &Place| rows.row(*p).map_or(0, hash);
        let Some(&first) = self.first.find(hash(row), same) else {
            self.first.insert_unique(hash(row), place, rehash);
            return false;
        };
        let span = rows.span(place);
        let first_span = rows.span(first);
        self.twins.entry(fingerprint(first_span.as_ref())).or_insert(first);
        match self.twins.entry(fingerprint(span.as_ref())) {
            std::collections::hash_map::Entry::Occupied(twin) => rows.span(*twin.get()) == span,
            std::collections::hash_map::Entry::Vacant(slot) => {
                slot.insert(place);
                false
            }
        }
    }

    /// True if a record identical to `span`, whose fixed part is `row`, is there.
    pub fn contains(&self, rows: &Rows<'_>, row: &Row, span: Option<&Span>) -> bool {
        let same = |p: &Place| rows.row(*p).is_some_and(|r| r.span_id == row.span_id && r.trace_id == row.trace_id);
        let Some(&first) = self.first.find(hash(row), same) else { return false };
        if rows.span(first).as_ref() == span {
            return true;
        }
        let twin = self.twins.get(&fingerprint(span));
        twin.is_some_and(|twin| rows.span(*twin).as_ref() == span)
    }

    /// Whether the trace is known here, and if so whether it is late.
    pub fn trace(&self, id: TraceId) -> Option<bool> {
        self.traces.get(&id.low()).copied()
    }

    /// True if a trace with this low half is known here.
    pub fn has_low(&self, low: u64) -> bool {
        self.traces.contains_key(&low)
    }

    /// Notes a trace; `late` if it also lies in another part.
    pub fn set_trace(&mut self, id: TraceId, late: bool) {
        self.traces.insert(id.low(), late);
    }

    /// Low halves of the ids of late traces.
    pub fn late(&self) -> impl Iterator<Item = u64> + '_ {
        self.traces.iter().filter(|(_, late)| **late).map(|(low, _)| *low)
    }

    /// Forgets the record at `place`, which was noted last.
    pub fn forget_place(&mut self, rows: &Rows<'_>, place: Place) {
        if let Some(row) = rows.row(place)
            && let Ok(entry) = self.first.find_entry(hash(row), |p| *p == place)
        {
            entry.remove();
        }
        self.twins.retain(|_, p| *p != place);
    }

    /// Forgets every record at or after `place`.
    pub fn forget_from(&mut self, place: Place) {
        self.first.retain(|p| *p < place);
        self.twins.retain(|_, p| *p < place);
    }

    /// Heap bytes in use, roughly.
    pub fn heap_bytes(&self) -> usize {
        self.first.capacity() * 9 + self.twins.capacity() * 17 + self.traces.capacity() * 17
    }
}
