//! Time on critical paths by service and operation, over many traces.

use rustc_hash::FxHashMap;

use crate::catalog::Snapshot;
use crate::error::Result;
use crate::limits::Limits;
use crate::query::{Asked, Explain, Matching, Query, Tree};

use super::super::feed::{too_many_groups, too_many_loose};
use super::path::PathFinder;

/// What a service and operation has of the critical paths of some traces.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CriticalPathShare {
    /// The service.
    pub service: Option<String>,
    /// The name of the operation; `None` if it is empty.
    pub name: Option<String>,
    /// Nanoseconds that its spans spend on the critical paths themselves, not waiting for a child on the path.
    pub path_nano: u128,
    /// The same as a share of all of the paths, which are as long as the roots.
    pub share: f64,
    /// Traces on whose path it is.
    pub trace_count: u64,
    /// The self time in nanoseconds of all its spans in these and all other traces of the answer, on the path or not:
    /// duration less the union of the children, as far as they lie inside.
    pub self_time_nano: u128,
}

/// Shares by time on the path, descending, then by service and name.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CriticalPathReport {
    /// Services and operations that are on the path of some trace.
    pub shares: Vec<CriticalPathShare>,
    /// Traces that have a path: those whose root has a start and a duration.
    pub traces: u64,
    /// The lengths of all paths together, in nanoseconds.
    pub path_nano: u128,
    /// False if something could not be read or a limit cut the answer.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// What was read and what was skipped.
    pub explain: Explain,
}

/// Sums up the critical paths of every trace that has a matching span.
///
/// # Errors
/// Invalid if the filter has too many criteria. Damage and limits are no errors: they make the answer incomplete.
pub fn critical_path(snapshot: &Snapshot, filter: &Query, limits: &Limits) -> Result<CriticalPathReport> {
    let asked = Asked::new(filter, limits)?;
    let (mut finder, mut sums) = (PathFinder::default(), Sums::new(limits));
    let (matching, has_all) = Matching::each_tree(&asked, snapshot, limits, &mut |tree| {
        finder.find(tree)?;
        sums.add(tree, &mut finder);
        Ok(())
    })?;
    let (explain, reason) = matching.finish();
    let full = sums.full.then(|| too_many_groups(limits));
    let cut = (!has_all).then(|| too_many_loose(limits));
    let reasons: Vec<String> = reason.into_iter().chain(full).chain(cut).collect();
    let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
    let path_nano = sums.list.iter().map(|sum| sum.path).sum();
    let traces = sums.traces;
    Ok(CriticalPathReport {
        shares: sums.shares(path_nano),
        traces,
        path_nano,
        complete: reason.is_none(),
        reason,
        explain,
    })
}

/// In place of the number of an operation that is not known yet.
const UNKNOWN: u32 = u32::MAX;
/// In place of the number of an operation for which there was no room.
const NO_ROOM: u32 = u32::MAX - 1;

/// Service, if there is one, and name.
type Operation = (Option<String>, String);

/// Sums by operation.
struct Sums {
    numbers: FxHashMap<Operation, u32>,
    list: Vec<Sum>,
    room: usize,
    full: bool,
    /// The part of which `of_code` has the numbers of operations.
    part: Option<u32>,
    of_code: Vec<u32>,
    traces: u64,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    path: u128,
    self_time: u128,
    traces: u64,
    /// The trace that was counted last.
    last: u64,
}

impl Sums {
    fn new(limits: &Limits) -> Self {
        let (numbers, list, of_code) = (FxHashMap::default(), Vec::new(), Vec::new());
        Self { numbers, list, room: limits.groups_max, full: false, part: None, of_code, traces: 0 }
    }

    /// Adds a trace whose path was found.
    fn add(&mut self, tree: &Tree<'_, '_>, finder: &mut PathFinder) {
        let part = tree.part();
        if part.is_none() || part != self.part {
            self.part = part;
            self.of_code.clear();
        }
        let rows = tree.rows;
        self.traces += u64::from(!finder.pieces.is_empty());
        let trace = self.traces;
        for piece in &finder.pieces {
            if let Some(sum) = self.sum_of(tree, rows.operations[piece.row as usize]) {
                sum.path += u128::from(piece.to - piece.from);
                sum.traces += u64::from(std::mem::replace(&mut sum.last, trace) != trace);
            }
        }
        for row in 0..rows.len() as u32 {
            let self_time = finder.self_time(row, rows);
            if self_time > 0
                && let Some(sum) = self.sum_of(tree, rows.operations[row as usize])
            {
                sum.self_time += u128::from(self_time);
            }
        }
    }

    fn sum_of(&mut self, tree: &Tree<'_, '_>, code: u32) -> Option<&mut Sum> {
        let at = code as usize;
        if self.of_code.len() <= at {
            self.of_code.resize(at + 1, UNKNOWN);
        }
        if self.of_code[at] == UNKNOWN {
            let (service, name) = tree.operation(code);
            self.of_code[at] = self.number_of((service.map(str::to_owned), name.to_owned()));
        }
        self.list.get_mut(self.of_code[at] as usize)
    }

    fn number_of(&mut self, operation: Operation) -> u32 {
        let next = self.list.len();
        if let Some(known) = self.numbers.get(&operation) {
            return *known;
        }
        if next >= self.room {
            self.full = true;
            return NO_ROOM;
        }
        self.list.push(Sum::default());
        self.numbers.insert(operation, next as u32);
        next as u32
    }

    fn shares(self, all: u128) -> Vec<CriticalPathShare> {
        let list = self.list;
        let share = |((service, name), number): (Operation, u32)| {
            let sum = list[number as usize];
            CriticalPathShare {
                service,
                name: (!name.is_empty()).then_some(name),
                path_nano: sum.path,
                share: sum.path as f64 / all as f64,
                trace_count: sum.traces,
                self_time_nano: sum.self_time,
            }
        };
        let on_path = self.numbers.into_iter().filter(|(_, number)| list[*number as usize].path > 0);
        let mut shares: Vec<CriticalPathShare> = on_path.map(share).collect();
        shares.sort_by(|a, b| {
            let key = |share: &CriticalPathShare| std::cmp::Reverse(share.path_nano);
            key(a).cmp(&key(b)).then_with(|| (&a.service, &a.name).cmp(&(&b.service, &b.name)))
        });
        shares
    }
}
