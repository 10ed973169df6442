//! Sequences of operations against a model, with power cuts.
//!
//! The model is the list of what was asked: appends and deletes, in order. After a power cut the store must show what
//! some beginning of that list gives, one that reaches at least to the last operation that was durable.

use std::collections::BTreeSet;
use std::sync::Arc;

use tailspan::{AppendOptions, CrashChoice, Durability, Input, SimulatedDisk, Span, Storage, Store};

use super::numbered::{self, TRACE_SPANS};

/// Operations of one input at most.
const OPERATIONS_MAX: usize = 48;

#[derive(Debug)]
enum Asked {
    Append(Vec<u64>),
    Delete(u64),
}

struct Life {
    disk: SimulatedDisk,
    store: Option<Store>,
    asked: Vec<Asked>,
    /// So many of these are durable.
    durable: usize,
    next: u64,
}

fn state(asked: &[Asked]) -> BTreeSet<u64> {
    let mut out = BTreeSet::new();
    for one in asked {
        match one {
            Asked::Append(numbers) => out.extend(numbers.iter().copied()),
            Asked::Delete(trace) => out.retain(|number| number / TRACE_SPANS != *trace),
        }
    }
    out
}

fn shown(store: &Store) -> BTreeSet<u64> {
    let mut out = BTreeSet::new();
    for span in store.spans().flat_map(|spans| spans.expect("nothing is damaged")) {
        let number = numbered::number_of(&span).expect("nothing is invented");
        assert!(out.insert(number), "span {number} is there twice");
    }
    out
}

impl Life {
    fn open(&mut self) {
        let storage: Arc<dyn Storage> = Arc::new(self.disk.clone());
        let builder = Store::builder("unused").storage(storage).seal_automatically(false).block_rows(1024);
        // The power may go while it opens.
        self.store = builder.open().ok();
        if let Some(store) = &self.store {
            assert_eq!(store.recovery().damage, [""; 0], "a power cut is no damage");
            self.settle();
        }
    }

    /// What the store shows is what some beginning of the operations gives: from now on, that one.
    fn settle(&mut self) {
        let Some(store) = &self.store else { return };
        let found = shown(store);
        let len = (self.durable..=self.asked.len()).rev().find(|len| state(&self.asked[..*len]) == found);
        let len =
            len.unwrap_or_else(|| panic!("{found:?} is no beginning of {:?}, {} durable", self.asked, self.durable));
        self.asked.truncate(len);
        self.durable = len;
    }

    fn append(&mut self, numbers: Vec<u64>, durability: Durability) {
        let Some(store) = &self.store else { return };
        let spans: Vec<Span> = numbers.iter().map(|number| numbered::span(*number)).collect();
        let options = AppendOptions { durability: Some(durability), ..AppendOptions::default() };
        let taken = store.append_with(Input::Spans(&mut spans.iter()), options);
        self.asked.push(Asked::Append(numbers));
        if taken.is_ok() && durability == Durability::Sync {
            self.durable = self.asked.len();
        }
        self.notice(taken.is_err());
    }

    fn notice(&mut self, failed: bool) {
        if failed {
            assert!(self.disk.power_lost(), "an operation fails on a sound disk");
            self.store = None;
        }
    }

    fn cut_power(&mut self, choice: u8) {
        self.store = None;
        let choice = match choice % 8 {
            0 => CrashChoice::LoseUnsynced,
            1 => CrashChoice::KeepAll,
            seed => CrashChoice::Random(u64::from(seed) << 8 | self.asked.len() as u64),
        };
        self.disk = self.disk.crash_image(choice);
        self.open();
    }

    fn step(&mut self, operation: u8, argument: u8) {
        let durability = if argument & 0x80 == 0 { Durability::Sync } else { Durability::Buffered };
        match operation % 10 {
            0..=2 => {
                let count = u64::from(argument % 12) + 1;
                self.next += count;
                self.append((self.next - count..self.next).collect(), durability);
            }
            // Again, or late.
            3 => {
                let first = u64::from(argument) % self.next.max(1);
                self.append((first..first + 3).step_by(2).collect(), durability);
            }
            4 => {
                let trace = u64::from(argument) % (self.next / TRACE_SPANS + 1);
                let Some(store) = &self.store else { return };
                let deleted = store.delete(&[numbered::span(trace * TRACE_SPANS).trace_id]);
                self.asked.push(Asked::Delete(trace));
                if deleted.is_ok() {
                    self.durable = self.asked.len();
                }
                self.notice(deleted.is_err());
            }
            5 => {
                let sealed = self.store.as_ref().map(|store| store.seal().is_err());
                self.notice(sealed == Some(true));
            }
            6 => {
                let merged = self.store.as_ref().map(|store| store.merge_all().is_err());
                self.notice(merged == Some(true));
            }
            7 => self.disk.crash_after(self.disk.operations() + u64::from(argument % 32)),
            8 => self.cut_power(argument),
            _ => {
                self.store = None;
                if !self.disk.power_lost() {
                    self.open();
                }
            }
        }
        if let Some(store) = self.store.as_ref().filter(|_| !self.disk.power_lost()) {
            assert_eq!(shown(store), state(&self.asked), "{:?}", self.asked);
        }
        if self.disk.power_lost() {
            self.cut_power(argument);
        }
    }
}

/// Reads two bytes an operation: which, and with what.
pub fn run(input: &[u8]) {
    let disk = SimulatedDisk::new(input.first().copied().unwrap_or(0).into());
    let mut life = Life { disk, store: None, asked: Vec::new(), durable: 0, next: 0 };
    life.open();
    for operation in input.chunks_exact(2).take(OPERATIONS_MAX) {
        life.step(operation[0], operation[1]);
    }
    life.cut_power(0);
    // The power may be cut once more while it opens: by then it is back.
    assert!(life.store.is_some(), "it opens on a sound disk");
}
