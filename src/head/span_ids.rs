//! Which spans a head generation holds, to drop a record delivered twice.
//!
//! Ids tell nearly always: a span id that is new in its trace is a new span. Only for an id that is there
//! already are the records compared, by a fingerprint of all they hold and then in full.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::bytes::u64_at;
use crate::model::{Span, TraceId};

use super::chapter::{Chapter, Row};
use super::frozen::FrozenChapter;

/// Where a span lies: how many rows of the generation are before it.
pub type Place = u32;

/// A span of an id that was not there before.
#[derive(Clone, Copy, Debug)]
struct First {
    /// Upper half of the hash of its ids: growing the table reads no row, and hardly any other row is compared.
    hash: u32,
    place: Place,
}

impl First {
    fn table_hash(&self) -> u64 {
        u64::from(self.hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// The span ids of a generation.
#[derive(Debug, Default)]
pub struct SpanIds {
    first: HashTable<First>,
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
    /// The chapter of a place, and the row there.
    fn find(&self, place: Place) -> Option<(&Chapter, u32)> {
        let mut row = place as usize;
        for chapter in self.frozen.iter().map(|c| &***c).chain(self.active) {
            match row.checked_sub(chapter.rows.len()) {
                Some(after) => row = after,
                None => return Some((chapter, row as u32)),
            }
        }
        None
    }

    fn row(&self, place: Place) -> Option<&Row> {
        let (chapter, row) = self.find(place)?;
        chapter.rows.get(row as usize)
    }

    fn span(&self, place: Place) -> Option<Span> {
        let (chapter, row) = self.find(place)?;
        chapter.span(row).ok()
    }
}

fn first_at(row: &Row, place: Place) -> First {
    let hash = FxBuildHasher.hash_one((u64_at(&row.trace_id, 0), u64_at(&row.trace_id, 8), row.span_id));
    First { hash: (hash >> 32) as u32, place }
}

fn fingerprint(span: Option<&Span>) -> u64 {
    FxBuildHasher.hash_one(span)
}

impl SpanIds {
    /// The ids of these rows, with what is known of their traces.
    #[must_use]
    pub fn rebuilt(&self, rows: &Rows<'_>) -> Self {
        let mut out = Self { traces: self.traces.clone(), ..Self::default() };
        let all = rows.frozen.iter().flat_map(|chapter| &chapter.rows);
        for (place, row) in (0..).zip(all) {
            out.insert(rows, place, row);
        }
        out
    }

    /// Notes the row at `place`; true if an identical record is there already (then nothing is noted).
    pub fn insert(&mut self, rows: &Rows<'_>, place: Place, row: &Row) -> bool {
        let wanted = first_at(row, place);
        let Some(first) = self.first_of(rows, row, wanted) else {
            self.first.insert_unique(wanted.table_hash(), wanted, First::table_hash);
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

    /// The first record with the ids of this row.
    fn first_of(&self, rows: &Rows<'_>, row: &Row, wanted: First) -> Option<Place> {
        let same = |other: &First| {
            let twin = || rows.row(other.place).is_some_and(|r| r.span_id == row.span_id && r.trace_id == row.trace_id);
            other.hash == wanted.hash && twin()
        };
        self.first.find(wanted.table_hash(), same).map(|first| first.place)
    }

    /// True if a record identical to `span`, whose fixed part is `row`, is there.
    pub fn contains(&self, rows: &Rows<'_>, row: &Row, span: Option<&Span>) -> bool {
        let Some(first) = self.first_of(rows, row, first_at(row, 0)) else { return false };
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

    /// Notes a trace that is not known to be late, unless it is noted already.
    pub fn note_trace(&mut self, id: TraceId) {
        self.traces.entry(id.low()).or_insert(false);
    }

    /// Asks of each trace, by the low half of its id, whether it also lies in another part.
    pub fn find_late(&mut self, mut is_late: impl FnMut(u64) -> bool) {
        self.traces.iter_mut().for_each(|(low, late)| *late = is_late(*low));
    }

    /// Low halves of the ids of late traces.
    pub fn late(&self) -> impl Iterator<Item = u64> + '_ {
        self.traces.iter().filter(|(_, late)| **late).map(|(low, _)| *low)
    }

    /// Forgets the record at `place`, which was noted last.
    pub fn forget_place(&mut self, rows: &Rows<'_>, place: Place) {
        if let Some(row) = rows.row(place)
            && let Ok(entry) = self.first.find_entry(first_at(row, place).table_hash(), |first| first.place == place)
        {
            entry.remove();
        }
        self.twins.retain(|_, p| *p != place);
    }

    /// Forgets every record at or after `place`.
    pub fn forget_from(&mut self, place: Place) {
        self.first.retain(|first| first.place < place);
        self.twins.retain(|_, p| *p < place);
    }

    /// Heap bytes in use, roughly.
    pub fn heap_bytes(&self) -> usize {
        self.first.capacity() * 9 + self.twins.capacity() * 17 + self.traces.capacity() * 17
    }
}
