//! What is gathered of a trace from its rows, and of traces in pieces until all of these were met.

use rustc_hash::FxHashMap;

use crate::model::TraceId;
use crate::query::MatchingTraces;

use super::groups::{Code, NO_ROOM, NULL};

/// Codes that wait before those that were met twice are dropped.
const CODES_MIN: usize = 1 << 16;

/// From when to when spans reach, and whether one of them is an error. Identical spans change nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    first: u64,
    last: u64,
    /// True if any is an error.
    pub error: bool,
}

impl Reach {
    /// Of no span.
    pub const NONE: Self = Self { first: u64::MAX, last: 0, error: false };

    /// Takes in a span: its start, 0 for none, and its duration, 0 for none.
    pub fn add(&mut self, start: u64, duration: u64, error: bool) {
        self.error |= error;
        if start != 0 {
            self.first = self.first.min(start);
            self.last = self.last.max(start.saturating_add(duration));
        }
    }

    /// Latest end less earliest start; `None` if no span has a start.
    pub fn duration(&self) -> Option<u64> {
        (self.first <= self.last).then(|| self.last - self.first)
    }
}

/// What the rows of one trace say. It is used for one trace after the other.
pub struct OneTrace {
    /// True if any span is an error.
    pub error: bool,
    /// The distinct codes of every key.
    pub codes: Vec<Vec<Code>>,
    /// By stage.
    pub stages: Vec<Reach>,
    /// By key and code, the last trace it was met in.
    met_in: Vec<Vec<u32>>,
    trace: u32,
}

impl OneTrace {
    /// Nothing yet, of so many keys and stages.
    pub fn new(keys: usize, stages: usize) -> Self {
        let (codes, met_in) = (vec![Vec::new(); keys], vec![Vec::new(); keys]);
        Self { error: false, codes, stages: vec![Reach::NONE; stages], met_in, trace: 1 }
    }

    /// Forgets the trace for the next one.
    pub fn clear(&mut self) {
        self.error = false;
        self.codes.iter_mut().for_each(Vec::clear);
        self.stages.fill(Reach::NONE);
        self.trace = self.trace.wrapping_add(1);
    }

    /// Takes in a code of a key.
    pub fn add_code(&mut self, key: usize, code: Code) {
        if code == NULL {
            return;
        }
        let met_in = &mut self.met_in[key];
        // What found no room belongs to no group, but the key is there.
        let at = if code == NO_ROOM { 0 } else { code as usize };
        if at >= met_in.len() {
            met_in.resize(at + 1, 0);
        }
        if std::mem::replace(&mut met_in[at], self.trace) != self.trace {
            self.codes[key].push(code);
        }
    }
}

/// Traces whose pieces are met one by one, by number.
pub struct Pieces {
    ids: Vec<TraceId>,
    whole: Vec<Reach>,
    spoiled: Vec<bool>,
    /// Number, key, code; those up to `sorted` sorted and distinct.
    codes: Vec<(u32, u32, Code)>,
    sorted: usize,
    stages: FxHashMap<(u32, u32), Reach>,
    bytes_left: usize,
    is_cut: bool,
}

impl Pieces {
    /// Bytes of a trace, beside its codes and stages.
    const LEN_BYTES: usize = size_of::<TraceId>() + size_of::<Reach>() + 1;

    /// Of the loose traces that were found, within the bytes that these left.
    pub fn new(found: &MatchingTraces) -> Self {
        let count = found.loose_len();
        let left = found.bytes_left().checked_sub(count * Self::LEN_BYTES);
        Self {
            ids: found.loose_ids(),
            whole: vec![Reach::NONE; count],
            spoiled: vec![false; count],
            codes: Vec::new(),
            sorted: 0,
            stages: FxHashMap::default(),
            bytes_left: left.unwrap_or(0),
            is_cut: false,
        }
    }

    /// Takes in spans of a trace: their earliest start, 0 for none, and how long they take together.
    pub fn add(&mut self, number: u32, start: u64, duration: u64, error: bool) {
        self.whole[number as usize].add(start, duration, error);
    }

    /// Takes in a span of a stage.
    pub fn add_to_stage(&mut self, number: u32, stage: u32, times: (u64, u64), error: bool) {
        let room = self.bytes_left.checked_sub(2 * size_of::<((u32, u32), Reach)>());
        let reach = match (self.stages.get_mut(&(number, stage)), room) {
            (Some(reach), _) => reach,
            (None, Some(left)) => {
                self.bytes_left = left;
                self.stages.entry((number, stage)).or_insert(Reach::NONE)
            }
            (None, None) => {
                self.is_cut = true;
                return;
            }
        };
        reach.add(times.0, times.1, error);
    }

    /// Takes in a code of a key.
    pub fn add_code(&mut self, number: u32, key: usize, code: Code) {
        if code == NULL {
            return;
        }
        let entry = (number, key as u32, code);
        if self.codes.last() == Some(&entry) {
            return;
        }
        let max = self.bytes_left / size_of::<(u32, u32, Code)>();
        if self.codes.len() >= max.min((2 * self.sorted).max(CODES_MIN)) {
            self.sort_codes();
            if self.codes.len() >= max {
                self.is_cut = true;
                return;
            }
        }
        self.codes.push(entry);
    }

    fn sort_codes(&mut self) {
        self.codes.sort_unstable();
        self.codes.dedup();
        self.sorted = self.codes.len();
    }

    /// Notes that something of the trace could not be read.
    pub fn spoil(&mut self, number: u32) {
        self.spoiled[number as usize] = true;
    }

    /// True if there was no room for all that was to be gathered.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Calls `visit` with id, reach and what the rows say of every trace that was read in full, by number.
    pub fn each(mut self, one: &mut OneTrace, mut visit: impl FnMut(TraceId, Reach, &OneTrace)) {
        self.sort_codes();
        let mut stages: Vec<((u32, u32), Reach)> = self.stages.into_iter().collect();
        stages.sort_unstable_by_key(|(key, _)| *key);
        let (mut codes, mut stages) = (self.codes.into_iter().peekable(), stages.into_iter().peekable());
        for (number, (id, whole)) in (0u32..).zip(self.ids.into_iter().zip(self.whole)) {
            one.clear();
            one.error = whole.error;
            while let Some((_, key, code)) = codes.next_if(|(of, ..)| *of == number) {
                one.add_code(key as usize, code);
            }
            while let Some(((_, stage), reach)) = stages.next_if(|((of, _), _)| *of == number) {
                one.stages[stage as usize] = reach;
            }
            if !self.spoiled[number as usize] {
                visit(id, whole, one);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_without_a_start_reaches_nowhere_and_one_without_duration_ends_where_it_starts() {
        let mut reach = Reach::NONE;
        reach.add(0, 50, true);
        assert_eq!((reach.duration(), reach.error), (None, true));
        reach.add(70, 0, false);
        assert_eq!(reach.duration(), Some(0));
        reach.add(40, 10, false);
        assert_eq!((reach.duration(), reach.error), (Some(30), true));
        reach.add(u64::MAX, 9, false);
        assert_eq!(reach.duration(), Some(u64::MAX - 40));
    }

    #[test]
    fn a_code_counts_once_in_each_trace_and_none_counts_for_nothing() {
        let mut one = OneTrace::new(2, 0);
        for code in [7, NULL, 7, NO_ROOM, 3, NO_ROOM] {
            one.add_code(1, code);
        }
        assert_eq!(one.codes, [vec![], vec![7, NO_ROOM, 3]]);
        one.clear();
        one.add_code(1, 7);
        assert_eq!(one.codes, [vec![], vec![7]]);
    }
}
