//! Rows added up by group: all of a segment as it is written, or some of one that are taken off again.

use std::hash::Hash;

use rustc_hash::FxHashMap;

use super::group::{Group, GroupCodes};
use super::halves::ServiceHalves;
use super::section::{encode, most_frequent, places_of};
use super::steps::StepsBuilder;
use super::tails::{OperationCodes, TailsBuilder};
use crate::column::Class;
use crate::model::StatusCode;

/// Groups in the order of their first rows.
#[derive(Clone, Debug)]
pub(super) struct Family<K> {
    places: FxHashMap<K, u32>,
    pub keys: Vec<K>,
    pub groups: Vec<Group>,
}

impl<K> Default for Family<K> {
    fn default() -> Self {
        Self { places: FxHashMap::default(), keys: Vec::new(), groups: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash> Family<K> {
    pub fn place(&mut self, key: K) -> u32 {
        let next = self.keys.len() as u32;
        *self.places.entry(key).or_insert_with(|| {
            self.keys.push(key);
            self.groups.push(Group::default());
            next
        })
    }

    pub fn counts(&self) -> Vec<u64> {
        self.groups.iter().map(|group| group.count).collect()
    }
}

/// Where the rows of a class are added.
#[derive(Clone, Copy, Debug)]
struct Slot {
    group: u32,
    is_error: bool,
}

/// Sums over rows by group, in the codes of one part.
#[derive(Clone, Debug, Default)]
pub struct RowTotals {
    /// By class code, for classes that were met.
    slots: Vec<Option<Slot>>,
    operations: Family<GroupCodes>,
}

impl RowTotals {
    /// Adds a row of this class, which has this code.
    #[inline]
    pub fn add(&mut self, code: u32, class: &Class, duration: Option<u64>) {
        let slot = self.slot(code, class);
        self.add_to(slot, duration);
    }

    #[inline]
    fn slot(&mut self, code: u32, class: &Class) -> Slot {
        match self.slots.get(code as usize) {
            Some(Some(slot)) => *slot,
            _ => self.new_slot(code, class),
        }
    }

    #[inline]
    fn add_to(&mut self, slot: Slot, duration: Option<u64>) {
        self.operations.groups[slot.group as usize].add_row(duration, slot.is_error);
    }

    fn new_slot(&mut self, code: u32, class: &Class) -> Slot {
        let group = self.operations.place(GroupCodes::of(class));
        let slot = Slot { group, is_error: class.status == StatusCode::ERROR };
        if self.slots.len() <= code as usize {
            self.slots.resize(code as usize + 1, None);
        }
        self.slots[code as usize] = Some(slot);
        slot
    }

    /// The groups that have rows, in the order of the first.
    pub fn groups(&self) -> impl Iterator<Item = (GroupCodes, &Group)> {
        self.operations.keys.iter().copied().zip(&self.operations.groups)
    }
}

/// Gathers rollup, steps and tail lists of a segment's rows. Takes 14 bytes a row, and a histogram a group.
#[derive(Debug, Default)]
pub struct RollupBuilder {
    totals: RowTotals,
    steps: StepsBuilder,
    tails: TailsBuilder,
    /// Rows not yet added to totals and steps.
    waiting: Vec<(Slot, Option<u64>, Option<u64>)>,
}

/// Rows that are added together: between those of sealing, the sums would be out of the cache at every row.
const ROWS_TOGETHER: usize = 8192;

/// What a [`RollupBuilder`] makes, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupSections {
    /// The rollup by group.
    pub groups: Vec<u8>,
    /// Steps by group and by half of a service, if there are enough rows for any.
    pub steps: Option<(Vec<u8>, Vec<u8>)>,
    /// Tail lists.
    pub tails: Vec<u8>,
    /// Pages of the cells of operations, unless there are too many pages.
    pub cells: Option<Vec<u8>>,
}

impl RollupBuilder {
    /// Adds the next row: its class with its code, start and duration in nanoseconds.
    #[inline]
    pub fn add(&mut self, code: u32, class: &Class, start: Option<u64>, duration: Option<u64>) {
        let slot = self.totals.slot(code, class);
        self.tails.add(slot.group, duration);
        self.waiting.push((slot, start, duration));
        if self.waiting.len() >= ROWS_TOGETHER {
            self.add_waiting();
        }
    }

    fn add_waiting(&mut self) {
        self.waiting.iter().for_each(|(slot, _, duration)| self.totals.add_to(*slot, *duration));
        for (slot, start, duration) in self.waiting.drain(..) {
            if let Some(start) = start {
                self.steps.add(slot.group, start, duration);
            }
        }
    }

    /// The sections of all rows.
    pub fn finish(mut self) -> RollupSections {
        self.add_waiting();
        let RowTotals { operations, .. } = self.totals;
        let listed = most_frequent(&operations.counts());
        let lists = operations.keys.iter().map(|key| OperationCodes { service: key.service, name: key.name });
        let (tails, cells) = self.tails.finish(lists, &operations.groups, true);
        let halves = ServiceHalves::of(listed.iter().map(|at| operations.keys[*at]));
        RollupSections {
            groups: encode(&operations.keys, &operations.groups, &listed),
            steps: self.steps.finish(&places_of(&listed, operations.keys.len()), &halves.of_group),
            tails,
            cells,
        }
    }
}
