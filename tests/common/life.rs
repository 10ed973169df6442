//! A life of a store: a random list of appends, seals, deletes, merges and reopenings, and what lives after each.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tailspan::{Durability, SimulatedDisk, Span, Store, TraceId};

use super::distinct::distinct;

/// The store on a disk in memory, where a sync takes no time.
pub fn open(disk: &SimulatedDisk, block_rows: usize) -> Store {
    Store::builder("")
        .storage(Arc::new(disk.clone()))
        .durability(Durability::Buffered)
        .seal_automatically(false)
        .block_rows(block_rows)
        .open()
        .unwrap()
}

/// What can happen to a store.
#[derive(Clone, Debug)]
pub enum Event {
    /// Appends a piece of the pool: several traces. Pieces overlap, so that much was delivered before.
    Append(Index, Index),
    /// Appends all spans of these spans' traces: some late, the others delivered before.
    Late(Vec<Index>),
    /// Appends all of what lives once more.
    Again,
    /// Deletes the traces of these spans.
    Delete(Vec<Index>),
    Seal,
    /// Merges what a merge by hand does; with true everything.
    Merge(bool),
    Reopen,
}

/// Any of them.
pub fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => any::<(Index, Index)>().prop_map(|(first, last)| Event::Append(first, last)),
        2 => vec(any::<Index>(), 1..3).prop_map(Event::Late),
        1 => Just(Event::Again),
        2 => vec(any::<Index>(), 1..3).prop_map(Event::Delete),
        5 => Just(Event::Seal),
        3 => any::<bool>().prop_map(Event::Merge),
        2 => Just(Event::Reopen),
    ]
}

/// A store and what lives in it.
pub struct Living<'l> {
    disk: &'l SimulatedDisk,
    store: Option<Store>,
    /// What may be appended.
    pool: &'l [Span],
    /// The distinct spans that live.
    pub live: Vec<Span>,
    block_rows: usize,
}

impl<'l> Living<'l> {
    /// An empty store that is given spans of the pool.
    pub fn new(disk: &'l SimulatedDisk, pool: &'l [Span], block_rows: usize) -> Self {
        Self { disk, store: Some(open(disk, block_rows)), pool, live: Vec::new(), block_rows }
    }

    /// The store as it is now.
    pub fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn append(&mut self, batch: &[Span], state: &str) {
        let appended = self.store().append(batch).unwrap();
        let before = self.live.len();
        self.live = distinct(self.live.iter().chain(batch));
        let new = (self.live.len() - before) as u64;
        assert_eq!((appended.accepted, appended.total()), (new, batch.len() as u64), "{state}");
    }

    fn traces_of(&self, picks: &[Index]) -> BTreeSet<TraceId> {
        picks.iter().map(|pick| pick.get(self.pool).trace_id).collect()
    }

    /// Makes it happen.
    pub fn run(&mut self, event: &Event, state: &str) {
        match event {
            Event::Append(first, last) => {
                let ends = [first, last].map(|end| end.index(self.pool.len()));
                self.append(&self.pool[ends[0].min(ends[1])..=ends[0].max(ends[1])], state);
            }
            Event::Late(picks) => {
                let ids = self.traces_of(picks);
                let batch: Vec<Span> = self.pool.iter().filter(|span| ids.contains(&span.trace_id)).cloned().collect();
                self.append(&batch, state);
            }
            Event::Again => {
                let batch = self.live.clone();
                self.append(&batch, state);
            }
            Event::Delete(picks) => {
                let ids = self.traces_of(picks);
                self.store().delete(&ids.iter().copied().collect::<Vec<_>>()).unwrap();
                self.live.retain(|span| !ids.contains(&span.trace_id));
            }
            Event::Seal => drop(self.store().seal().unwrap()),
            Event::Merge(true) => drop(self.store().merge_all().unwrap()),
            Event::Merge(false) => drop(self.store().merge().unwrap()),
            Event::Reopen => {
                // The lock goes with the last clone of a store.
                self.store.take().unwrap().close().unwrap();
                self.store = Some(open(self.disk, self.block_rows));
                assert_eq!(self.store().recovery().damage, [""; 0], "{state}");
            }
        }
    }
}
