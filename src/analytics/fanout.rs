//! Many like calls from one place: children of one parent that have the same service and name.
//!
//! ```text
//! page            |==============================|
//! SELECT item      |=| |=| |=| |=| |=| |=|           one after another: the N+1 query
//! POST /pay                                x= x= |=| two failed, and another followed each: retries
//! ```
//! Children are those of the tree that the store resolves. A call of another service is grouped by what the child itself
//! says: for a client span that is the caller's service and the name of the call.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::catalog::Snapshot;
use crate::error::Result;
use crate::limits::Limits;
use crate::model::{SpanId, TraceId};
use crate::query::{Asked, ERROR, Explain, MATCHES, Matching, NO_ROW, Query, Tree, TreeRows};

use super::feed::too_many_loose;

/// The children of one parent that have one service and name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fanout {
    /// The trace.
    pub trace_id: TraceId,
    /// The parent, a span that matches.
    pub parent_span_id: SpanId,
    /// Its service.
    pub service: Option<String>,
    /// Its name; `None` if it is empty.
    pub name: Option<String>,
    /// Service of the children.
    pub child_service: Option<String>,
    /// Name of the children; `None` if it is empty.
    pub child_name: Option<String>,
    /// How many there are.
    pub count: u64,
    /// How many of them failed.
    pub errors: u64,
    /// How many of those that failed were followed by another: one that starts at their end or later.
    pub retries: u64,
    /// True if two of them overlap in time.
    pub parallel: bool,
    /// Nanoseconds in which at least one of them was under way.
    pub busy_nano: u64,
}

impl Ord for Fanout {
    /// Most children first, then by ids, then by the texts.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |f: &Self| (Reverse(f.count), f.trace_id, f.parent_span_id);
        let children = |f: &Self| (f.child_service.clone(), f.child_name.clone(), f.service.clone(), f.name.clone());
        let rest = |f: &Self| (f.errors, f.retries, f.parallel, f.busy_nano);
        key(self)
            .cmp(&key(other))
            .then_with(|| children(self).cmp(&children(other)))
            .then_with(|| rest(self).cmp(&rest(other)))
    }
}

impl PartialOrd for Fanout {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Groups of children, those with the most children first, then by trace id, span id, and child.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FanoutReport {
    /// The groups.
    pub items: Vec<Fanout>,
    /// False if something could not be read or a limit cut the answer.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// What was read and what was skipped.
    pub explain: Explain,
}

/// The groups of at least `min` like children of a span that matches, at most `limit` of them, 0 for all.
///
/// # Errors
/// Invalid if the filter has too many criteria. Damage and limits are no errors: they make the answer incomplete.
pub fn fanout(snapshot: &Snapshot, filter: &Query, min: u64, limit: usize, limits: &Limits) -> Result<FanoutReport> {
    let asked = Asked::new(filter, limits)?;
    let room = if limit == 0 { limits.result_traces_max } else { limit.min(limits.result_traces_max) };
    let (mut finder, mut best, mut dropped) = (Finder::default(), BinaryHeap::new(), false);
    let (matching, has_all) = Matching::each_tree(&asked, snapshot, limits, &mut |tree| {
        for found in finder.find(tree, min.max(1))? {
            best.push(found);
            if best.len() > room.max(1) {
                best.pop();
                dropped = true;
            }
        }
        Ok(())
    })?;
    let (explain, reason) = matching.finish();
    let cut = (dropped && (limit == 0 || limit > room))
        .then(|| format!("the result is cut at {room} groups (Limits::result_traces_max)"));
    let loose = (!has_all).then(|| too_many_loose(limits));
    let reasons: Vec<String> = reason.into_iter().chain(cut).chain(loose).collect();
    let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
    Ok(FanoutReport { items: best.into_sorted_vec(), complete: reason.is_none(), reason, explain })
}

/// Finds the groups of traces, one after the other.
#[derive(Default)]
struct Finder {
    counts: Vec<u32>,
    /// Parent, operation and row of children that may be enough.
    children: Vec<(u32, u32, u32)>,
    times: Vec<(u64, u64)>,
}

impl Finder {
    fn find(&mut self, tree: &mut Tree<'_, '_>, min: u64) -> Result<Vec<Fanout>> {
        let rows = tree.rows;
        self.counts.clear();
        self.counts.resize(rows.len(), 0);
        for parent in rows.parents.iter().filter(|parent| **parent != NO_ROW) {
            self.counts[*parent as usize] += 1;
        }
        let is_wide = |row: u32| u64::from(self.counts[row as usize]) >= min && rows.facts[row as usize] & MATCHES != 0;
        self.children.clear();
        for (row, parent) in (0u32..).zip(&rows.parents) {
            if *parent != NO_ROW && is_wide(*parent) {
                self.children.push((*parent, rows.operations[row as usize], row));
            }
        }
        self.children.sort_unstable();
        let mut out = Vec::new();
        for group in self.children.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            if group.len() as u64 >= min {
                out.push(describe(tree, group, &mut self.times)?);
            }
        }
        Ok(out)
    }
}

fn describe(tree: &mut Tree<'_, '_>, group: &[(u32, u32, u32)], times: &mut Vec<(u64, u64)>) -> Result<Fanout> {
    let rows = tree.rows;
    let (parent, operation, _) = group[0];
    let (trace_id, parent_span_id) = (tree.trace_id()?, tree.span_id(parent)?);
    let texts = |code: u32| {
        let (service, name) = tree.operation(code);
        (service.map(str::to_owned), (!name.is_empty()).then(|| name.to_owned()))
    };
    let (service, name) = texts(rows.operations[parent as usize]);
    let (child_service, child_name) = texts(operation);
    let children = || group.iter().map(|(_, _, row)| *row as usize);
    times.clear();
    times.extend(children().filter(|row| rows.starts[*row] != 0).map(|row| (rows.starts[row], rows.end(row))));
    times.sort_unstable();
    let (parallel, busy_nano) = covered(times);
    Ok(Fanout {
        trace_id,
        parent_span_id,
        service,
        name,
        child_service,
        child_name,
        count: group.len() as u64,
        errors: children().filter(|row| rows.facts[*row] & ERROR != 0).count() as u64,
        retries: retries(rows, children()),
        parallel,
        busy_nano,
    })
}

/// Whether two of these times, which are sorted, overlap, and how long they are together.
fn covered(times: &[(u64, u64)]) -> (bool, u64) {
    let (mut parallel, mut until, mut busy) = (false, 0, 0);
    for (from, to) in times {
        // An earlier one that ends later began no later: both have an instant in common.
        parallel |= *from < until;
        busy += to.saturating_sub(until.max(*from));
        until = until.max(*to);
    }
    (parallel, busy)
}

/// How many of those that failed were followed by another that starts at their end or later.
fn retries(rows: &TreeRows, children: impl Iterator<Item = usize> + Clone) -> u64 {
    let started = || children.clone().filter(|row| rows.starts[*row] != 0);
    // Of the two that start last one is another, whichever failed.
    let (mut last, mut before) = (None, None);
    for row in started() {
        let place = Some((rows.starts[row], row));
        if place > last {
            (last, before) = (place, last);
        } else {
            before = before.max(place);
        }
    }
    let followed = |row: &usize| {
        let other = if last.is_some_and(|(_, latest)| latest == *row) { before } else { last };
        rows.facts[*row] & ERROR != 0 && other.is_some_and(|(start, _)| start >= rows.end(*row))
    };
    started().filter(followed).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_touch_are_not_parallel_and_those_that_share_an_instant_are() {
        assert_eq!(covered(&[(1, 3), (3, 5), (5, 5), (9, 10)]), (false, 5));
        assert_eq!(covered(&[(1, 4), (3, 5)]), (true, 4));
        assert_eq!(covered(&[(1, 9), (2, 3), (4, 4)]), (true, 8));
        assert_eq!(covered(&[(7, 7), (7, 9)]), (false, 2));
        assert_eq!(covered(&[]), (false, 0));
    }

    #[test]
    fn a_failure_counts_as_retried_if_another_began_when_it_had_ended() {
        let calls = |calls: &[(u64, u64, bool)]| {
            let mut rows = TreeRows::default();
            rows.starts = calls.iter().map(|call| call.0).collect();
            rows.durations = calls.iter().map(|call| call.1).collect();
            rows.facts = calls.iter().map(|call| if call.2 { ERROR } else { 0 }).collect();
            retries(&rows, 0..calls.len())
        };
        assert_eq!(calls(&[(1, 2, true), (3, 2, true), (5, 2, false)]), 2);
        assert_eq!(calls(&[(1, 2, false), (3, 2, true)]), 0);
        assert_eq!(calls(&[(1, 5, true), (3, 2, false)]), 0);
        // One that took no time does not follow itself; two at once follow each other.
        assert_eq!(calls(&[(4, 0, true)]), 0);
        assert_eq!(calls(&[(4, 0, true), (4, 0, true)]), 2);
        assert_eq!(calls(&[(0, 2, true), (3, 2, false)]), 0);
    }
}
