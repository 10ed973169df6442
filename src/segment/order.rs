//! The row order of a segment: traces by first start, inside a trace the pre-order of its tree.
//!
//! ```text
//!   arrival:  c2 root c1 g1          g1's parent is c1
//!   order:    root c1 g1 c2          depth 0 1 2 1
//! ```
//! A parent is found by Zipkin's shared-span rule. Spans whose parent is missing follow the root's tree at
//! depth 0; a cycle is broken at its earliest start. The depth implies the parent (nearest earlier row of
//! the trace one level up); rows for which that is not the recorded parent are exceptions.
//!
//! Same rows, same order, whatever the order of arrival: ties fall to the smaller span id, then to the
//! parts that differ.

use std::hash::BuildHasher;

use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::model::{Span, TraceId, duration_nanos};

/// What the order depends on, one a row.
#[derive(Clone, Copy, Debug)]
pub struct OrderRow {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: u64,
    /// The recorded parent, 0 for none.
    pub parent: u64,
    /// Start, 0 for none.
    pub start: u64,
    /// End as received.
    pub end: u64,
    /// Latest instant of the span for the trace's duration: end, or start without a duration.
    pub last: u64,
    /// Code of the service, to tell endpoints apart.
    pub service: u32,
    /// Zipkin's shared flag.
    pub shared: bool,
}

/// A trace in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderedTrace {
    /// The trace.
    pub trace_id: TraceId,
    /// Its first row in the order.
    pub first_row: u32,
    /// Earliest start, 0 if no span has one.
    pub start: u64,
    /// Latest end minus earliest start.
    pub duration: u64,
}

/// The order of a segment's rows.
#[derive(Debug, Default)]
pub struct RowOrder {
    /// Input row at each output row.
    pub rows: Vec<u32>,
    /// Depth at each output row.
    pub depths: Vec<u32>,
    /// Traces in order.
    pub traces: Vec<OrderedTrace>,
}

/// A row's latest instant: its end, or its start without a duration.
pub fn last_instant(start: u64, end: u64, zipkin: bool) -> u64 {
    start.saturating_add(duration_nanos(start, end, zipkin).unwrap_or(0))
}

/// A number that is the same for identical records; none is one that could not be read.
pub fn fingerprint_of(span: Option<&Span>) -> u64 {
    FxBuildHasher.hash_one(span)
}

/// Orders the rows. `identical(a, b)` says whether two input rows with equal ids and times are one record;
/// the later of two is dropped. `fingerprint` must be equal for identical rows.
pub fn order_rows(
    rows: &[OrderRow],
    fingerprint: &dyn Fn(u32) -> u64,
    identical: &dyn Fn(u32, u32) -> bool,
) -> RowOrder {
    let (starts, members) = group_by_trace(rows);
    let mut traces: Vec<(u32, OrderedTrace)> = (0..starts.len() - 1)
        .map(|t| (t as u32, summarize(rows, &members[starts[t] as usize..starts[t + 1] as usize])))
        .collect();
    traces.sort_unstable_by(|(_, a), (_, b)| (a.start, b.trace_id).cmp(&(b.start, a.trace_id)));
    let mut out = RowOrder::default();
    let mut tree = Tree::default();
    let mut scratch = Vec::new();
    for (t, mut trace) in traces {
        scratch.clear();
        scratch.extend_from_slice(&members[starts[t as usize] as usize..starts[t as usize + 1] as usize]);
        sort_members(rows, &mut scratch, fingerprint);
        drop_identical(rows, &mut scratch, fingerprint, identical);
        trace.first_row = out.rows.len() as u32;
        tree.walk(rows, &scratch, &mut out);
        out.traces.push(trace);
    }
    out
}

/// Rows by trace, in arrival order: where each trace begins in `members`, and the members.
fn group_by_trace(rows: &[OrderRow]) -> (Vec<u32>, Vec<u32>) {
    let mut codes: FxHashMap<[u8; 16], u32> = FxHashMap::default();
    let mut counts: Vec<u32> = Vec::new();
    let mut trace_of = Vec::with_capacity(rows.len());
    for row in rows {
        let code = *codes.entry(row.trace_id).or_insert_with(|| {
            counts.push(0);
            (counts.len() - 1) as u32
        });
        counts[code as usize] += 1;
        trace_of.push(code);
    }
    let mut starts = Vec::with_capacity(counts.len() + 1);
    let mut total = 0;
    for count in &counts {
        starts.push(total);
        total += count;
    }
    starts.push(total);
    let mut next = starts.clone();
    let mut members = vec![0; rows.len()];
    for (row, code) in trace_of.iter().enumerate() {
        members[next[*code as usize] as usize] = row as u32;
        next[*code as usize] += 1;
    }
    (starts, members)
}

fn summarize(rows: &[OrderRow], members: &[u32]) -> OrderedTrace {
    let started = || members.iter().map(|m| &rows[*m as usize]).filter(|row| row.start != 0);
    let start = started().map(|row| row.start).min().unwrap_or(0);
    let last = started().map(|row| row.last).max().unwrap_or(0);
    let trace_id = TraceId::from_bytes(rows[members[0] as usize].trace_id);
    OrderedTrace {
        trace_id: trace_id.unwrap_or_else(|| unreachable!("checked when appended")),
        first_row: 0,
        start,
        duration: last.saturating_sub(start),
    }
}

/// Rows without a start sort last.
fn start_key(row: &OrderRow) -> u64 {
    row.start.wrapping_sub(1)
}

fn sort_members(rows: &[OrderRow], members: &mut [u32], fingerprint: &dyn Fn(u32) -> u64) {
    members.sort_by(|a, b| {
        let (x, y) = (&rows[*a as usize], &rows[*b as usize]);
        let key = |r: &OrderRow| (start_key(r), r.span_id, r.shared, r.end, r.parent);
        key(x).cmp(&key(y)).then_with(|| fingerprint(*a).cmp(&fingerprint(*b)))
    });
}

/// Drops records identical to an earlier one; such lie next to each other, apart from equal fingerprints.
fn drop_identical(
    rows: &[OrderRow],
    members: &mut Vec<u32>,
    fingerprint: &dyn Fn(u32) -> u64,
    identical: &dyn Fn(u32, u32) -> bool,
) {
    let same_times = |a: u32, b: u32| {
        let (x, y) = (&rows[a as usize], &rows[b as usize]);
        (x.span_id, x.start, x.end, x.parent, x.shared) == (y.span_id, y.start, y.end, y.parent, y.shared)
    };
    let mut kept = 0;
    for i in 0..members.len() {
        let row = members[i];
        let mut twin = false;
        for &earlier in members[..kept].iter().rev() {
            if !same_times(earlier, row) || fingerprint(earlier) != fingerprint(row) {
                break;
            }
            twin |= identical(earlier, row);
        }
        if !twin {
            members[kept] = row;
            kept += 1;
        }
    }
    members.truncate(kept);
}

const NO_ROW: u32 = u32::MAX;

/// Members of a trace up to which a linear search beats a map.
const SMALL: usize = 32;

/// Finds the first member (members are sorted) with an id, in constant time whatever the ids are.
#[derive(Default)]
struct Ids {
    plain: FxHashMap<u64, u32>,
    any: FxHashMap<u64, u32>,
    shared: FxHashMap<(u64, u32), u32>,
}

impl Ids {
    fn of(rows: &[OrderRow], members: &[u32]) -> Self {
        let mut ids = Self::default();
        if members.len() <= SMALL {
            return ids;
        }
        for (i, member) in members.iter().enumerate() {
            let row = &rows[*member as usize];
            ids.any.entry(row.span_id).or_insert(i as u32);
            if row.shared {
                ids.shared.entry((row.span_id, row.service)).or_insert(i as u32);
            } else {
                ids.plain.entry(row.span_id).or_insert(i as u32);
            }
        }
        ids
    }
}

/// Scratch space to find parents and walk one trace.
#[derive(Default)]
struct Tree {
    ids: Ids,
    /// True if a member has Zipkin's shared flag.
    shares: bool,
    parent: Vec<u32>,
    first_child: Vec<u32>,
    next_sibling: Vec<u32>,
    visited: Vec<bool>,
    stack: Vec<(u32, u32)>,
}

impl Tree {
    /// Appends the members (sorted) to the order, as positions and depths.
    fn walk(&mut self, rows: &[OrderRow], members: &[u32], out: &mut RowOrder) {
        self.ids = Ids::of(rows, members);
        self.shares = members.iter().any(|member| rows[*member as usize].shared);
        let count = members.len();
        self.parent.clear();
        for i in 0..count {
            let parent = self.parent_of(rows, members, i);
            self.parent.push(parent);
        }
        self.link(count);
        self.visited.clear();
        self.visited.resize(count, false);
        let parentless = |i: &usize| rows[members[*i] as usize].parent == 0;
        let at_top: Vec<usize> = (0..count).filter(|i| self.parent[*i] == NO_ROW).collect();
        for i in at_top.iter().copied().filter(parentless) {
            self.descend(i, members, out);
        }
        for i in at_top.iter().copied().filter(|i| !parentless(i)) {
            self.descend(i, members, out);
        }
        // What is left hangs in cycles; members are sorted, so the first one is the earliest.
        for i in 0..count {
            if !self.visited[i] {
                self.descend(i, members, out);
            }
        }
    }

    /// The position of a member's parent, or none.
    fn parent_of(&self, rows: &[OrderRow], members: &[u32], i: usize) -> u32 {
        let row = &rows[members[i] as usize];
        if row.shared {
            let client = self.plain(rows, members, row.span_id);
            if client != NO_ROW {
                return client;
            }
        }
        if row.parent == 0 || row.parent == row.span_id {
            return NO_ROW;
        }
        let own_side = self.shared(rows, members, row.parent, row.service);
        if own_side != NO_ROW {
            return own_side;
        }
        let plain = self.plain(rows, members, row.parent);
        if plain != NO_ROW { plain } else { self.any(rows, members, row.parent) }
    }

    fn plain(&self, rows: &[OrderRow], members: &[u32], id: u64) -> u32 {
        if members.len() > SMALL {
            return self.ids.plain.get(&id).copied().unwrap_or(NO_ROW);
        }
        first(rows, members, |row| row.span_id == id && !row.shared)
    }

    fn any(&self, rows: &[OrderRow], members: &[u32], id: u64) -> u32 {
        if members.len() > SMALL {
            return self.ids.any.get(&id).copied().unwrap_or(NO_ROW);
        }
        first(rows, members, |row| row.span_id == id)
    }

    fn shared(&self, rows: &[OrderRow], members: &[u32], id: u64, service: u32) -> u32 {
        if !self.shares {
            return NO_ROW;
        }
        if members.len() > SMALL {
            return self.ids.shared.get(&(id, service)).copied().unwrap_or(NO_ROW);
        }
        first(rows, members, |row| row.shared && row.span_id == id && row.service == service)
    }

    fn link(&mut self, count: usize) {
        self.first_child.clear();
        self.first_child.resize(count, NO_ROW);
        self.next_sibling.clear();
        self.next_sibling.resize(count, NO_ROW);
        for i in (0..count).rev() {
            let parent = self.parent[i];
            if parent != NO_ROW {
                self.next_sibling[i] = self.first_child[parent as usize];
                self.first_child[parent as usize] = i as u32;
            }
        }
    }

    fn descend(&mut self, from: usize, members: &[u32], out: &mut RowOrder) {
        self.stack.push((from as u32, 0));
        while let Some((i, depth)) = self.stack.pop() {
            if std::mem::replace(&mut self.visited[i as usize], true) {
                continue;
            }
            out.rows.push(members[i as usize]);
            out.depths.push(depth);
            let first = self.stack.len();
            let mut child = self.first_child[i as usize];
            while child != NO_ROW {
                self.stack.push((child, depth + 1));
                child = self.next_sibling[child as usize];
            }
            self.stack[first..].reverse();
        }
    }
}

fn first(rows: &[OrderRow], members: &[u32], accept: impl Fn(&OrderRow) -> bool) -> u32 {
    members.iter().position(|m| accept(&rows[*m as usize])).map_or(NO_ROW, |i| i as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(trace: u8, span_id: u64, parent: u64, start: u64) -> OrderRow {
        let (end, last) = (start + 10, start + 10);
        OrderRow { trace_id: [trace; 16], span_id, parent, start, end, last, service: 0, shared: false }
    }

    fn order(rows: &[OrderRow]) -> (Vec<u64>, Vec<u32>) {
        let order = order_rows(rows, &|_| 0, &|a, b| a == b);
        (order.rows.iter().map(|r| rows[*r as usize].span_id).collect(), order.depths)
    }

    #[test]
    fn traces_follow_their_start_and_rows_the_pre_order() {
        let rows = [row(2, 20, 0, 5), row(1, 3, 1, 30), row(1, 1, 0, 10), row(1, 4, 2, 25), row(1, 2, 1, 20)];
        assert_eq!(order(&rows), (vec![20, 1, 2, 4, 3], vec![0, 0, 1, 2, 1]));
    }

    #[test]
    fn a_trace_may_start_at_the_last_instant_there_is() {
        let last = OrderRow { end: 0, last: u64::MAX, start: u64::MAX, ..row(1, 1, 0, 0) };
        let start = |row| order_rows(&[row], &|_| 0, &|a, b| a == b).traces[0].start;
        assert_eq!([start(last), start(OrderRow { start: 0, ..last })], [u64::MAX, 0]);
    }

    #[test]
    fn orphans_follow_the_root_and_cycles_break_at_the_earliest_start() {
        let rows = [row(1, 9, 77, 1), row(1, 1, 0, 10), row(1, 5, 6, 40), row(1, 6, 5, 50), row(1, 7, 7, 60)];
        assert_eq!(order(&rows), (vec![1, 9, 7, 5, 6], vec![0, 0, 0, 0, 1]));
    }

    #[test]
    fn a_shared_server_span_hangs_under_its_client_and_takes_its_own_children() {
        let client = row(1, 2, 1, 20);
        let server = OrderRow { shared: true, service: 1, start: 21, ..client };
        let child = OrderRow { service: 1, ..row(1, 3, 2, 22) };
        assert_eq!(order(&[child, server, client, row(1, 1, 0, 10)]), (vec![1, 2, 2, 3], vec![0, 1, 2, 3]));
    }

    #[test]
    fn a_chain_of_a_million_spans_needs_no_recursion() {
        let rows: Vec<_> = (1..=1_000_000).map(|i| row(1, i, i - 1, i)).collect();
        let order = order_rows(&rows, &|_| 0, &|a, b| a == b);
        assert_eq!(order.depths[999_999], 999_999);
    }
}
