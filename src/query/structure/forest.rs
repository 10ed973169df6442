//! Traces as rows in pre-order with depths, and the passes that follow relations along them.
//!
//! ```text
//! row    0 1 2 3 4 5 | 6 7          two traces
//! depth  0 1 2 1 0 1 | 0 1          row 4 has a parent that is missing: it is an orphan
//! ```
//! Each relation is one pass from the front or from the back that keeps one value a depth, whatever the shape
//! of the trees. A span that is missing is known by its children alone: all orphans that name it. It may hang
//! anywhere but below them, so that other spans may or may not have it below or beside them: they are *open*.

use std::ops::Range;

use rustc_hash::FxHashSet;

use super::bits::Bits;
use super::span_set::Relation;

/// The trees of some traces.
#[derive(Clone, Debug, Default)]
pub struct Forest {
    /// Depth of every row; rows of no trace count for nothing.
    depths: Vec<u32>,
    /// The rows of every trace, ascending.
    traces: Vec<Range<usize>>,
    /// Rows without a parent in their trace that name one, ascending, and the id they name.
    orphans: Vec<(usize, u64)>,
    is_orphan: Bits,
    open: Bits,
}

impl Forest {
    /// The trees of rows with these depths; a row's depth is at most one more than that of the row before it, and
    /// 0 at the first of a trace.
    pub fn new(depths: Vec<u32>, traces: Vec<Range<usize>>, orphans: Vec<(usize, u64)>) -> Self {
        let rows = depths.len();
        let mut forest = Self { depths, traces, orphans, is_orphan: Bits::new(rows), open: Bits::new(rows) };
        for (row, _) in &forest.orphans {
            forest.is_orphan.insert(*row);
        }
        let mut of_trace = &forest.orphans[..];
        for trace in &forest.traces {
            let here = of_trace.partition_point(|(row, _)| *row < trace.end);
            let (mine, rest) = of_trace.split_at(here);
            of_trace = rest;
            mark_open(mine, trace.clone(), &forest.depths, &mut forest.open);
        }
        forest
    }

    /// How many rows there are, those of no trace included.
    pub fn rows(&self) -> usize {
        self.depths.len()
    }

    /// The rows of each trace.
    pub fn traces(&self) -> impl Iterator<Item = Range<usize>> {
        self.traces.iter().cloned()
    }

    /// True if no span is missing.
    pub fn is_whole(&self) -> bool {
        self.orphans.is_empty()
    }

    /// Depth of every row.
    pub fn depths(&self) -> &[u32] {
        &self.depths
    }

    /// True if the row names a parent that is missing.
    pub fn is_orphan(&self, row: usize) -> bool {
        self.is_orphan.contains(row)
    }

    /// The rows of all traces.
    fn all(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.traces.iter().cloned().flatten()
    }

    /// The rows that stand in this relation to a row of `left`. `missing` are the rows of traces whose missing
    /// spans, which are the parents of orphans, are on the left too.
    pub fn related(&self, relation: Relation, left: &Bits, missing: Option<&Bits>) -> Bits {
        match relation {
            Relation::Child => self.below(left, missing, |_, own| own),
            Relation::Descendant => self.below(left, missing, |above, own| above || own),
            Relation::Parent => self.above(left, |_, own| own),
            Relation::Ancestor => self.above(left, |below, own| below || own),
            Relation::Sibling => self.beside(left),
        }
    }

    /// The rows of which it is not known what is missing below them, or for siblings beside them.
    pub fn open(&self, relation: Relation) -> Bits {
        let mut open = self.open.clone();
        match relation {
            Relation::Child | Relation::Descendant => Bits::new(self.rows()),
            Relation::Parent | Relation::Ancestor => open,
            Relation::Sibling => {
                for row in self.all().filter(|row| self.depths[*row] == 0 && !self.is_orphan(*row)) {
                    open.remove_range(row..row + 1);
                }
                open
            }
        }
    }

    /// From the front: a row gets what was kept for the depth above it; `keep` says what is kept for its own.
    fn below(&self, left: &Bits, missing: Option<&Bits>, keep: impl Fn(bool, bool) -> bool) -> Bits {
        let mut out = Bits::new(self.rows());
        let mut kept: Vec<bool> = Vec::new();
        for row in self.all() {
            let depth = self.depths[row] as usize;
            kept.truncate(depth);
            let above = match kept.last() {
                Some(above) => *above,
                None => missing.is_some_and(|missing| missing.contains(row)) && self.is_orphan(row),
            };
            out.put(row, above);
            kept.push(keep(above, left.contains(row)));
        }
        out
    }

    /// From the back: a row gets what its children left at their depth; `keep` says what it leaves at its own.
    fn above(&self, left: &Bits, keep: impl Fn(bool, bool) -> bool) -> Bits {
        let mut out = Bits::new(self.rows());
        let mut left_at: Vec<bool> = Vec::new();
        for row in self.all().rev() {
            let depth = self.depths[row] as usize;
            if left_at.len() < depth + 2 {
                left_at.resize(depth + 2, false);
            }
            let below = std::mem::take(&mut left_at[depth + 1]);
            out.put(row, below);
            left_at[depth] |= keep(below, left.contains(row));
        }
        out
    }

    /// From the back: how many children on the left each row has; then from the front: whether one of the
    /// parent's is another.
    fn beside(&self, left: &Bits) -> Bits {
        let mut children: Vec<u8> = vec![0; self.rows()];
        let mut open: Vec<u8> = Vec::new();
        for row in self.all().rev() {
            let depth = self.depths[row] as usize;
            if open.len() < depth + 2 {
                open.resize(depth + 2, 0);
            }
            children[row] = std::mem::take(&mut open[depth + 1]);
            open[depth] = (open[depth] + u8::from(left.contains(row))).min(2);
        }
        let mut out = Bits::new(self.rows());
        let mut path: Vec<usize> = Vec::new();
        for row in self.all() {
            path.truncate(self.depths[row] as usize);
            if let Some(parent) = path.last() {
                out.put(row, children[*parent] > u8::from(left.contains(row)));
            }
            path.push(row);
        }
        self.orphans_beside(left, &mut out);
        out
    }

    /// Orphans that name one missing parent are siblings.
    fn orphans_beside(&self, left: &Bits, out: &mut Bits) {
        let mut by_trace = &self.orphans[..];
        for trace in self.traces() {
            let here = by_trace.partition_point(|(row, _)| *row < trace.end);
            let (mine, rest) = by_trace.split_at(here);
            by_trace = rest;
            let mut sorted: Vec<(u64, usize)> = mine.iter().map(|(row, parent)| (*parent, *row)).collect();
            sorted.sort_unstable();
            for siblings in sorted.chunk_by(|a, b| a.0 == b.0) {
                let on_left = siblings.iter().filter(|(_, row)| left.contains(*row)).count();
                for (_, row) in siblings {
                    out.put(*row, on_left > usize::from(left.contains(*row)));
                }
            }
        }
    }
}

/// Marks the rows of a trace of which a missing span may hang below them: with two missing spans all rows, with
/// one all but those below it.
fn mark_open(orphans: &[(usize, u64)], trace: Range<usize>, depths: &[u32], open: &mut Bits) {
    let missing: FxHashSet<u64> = orphans.iter().map(|(_, parent)| *parent).collect();
    if missing.is_empty() {
        return;
    }
    open.insert_range(trace.clone());
    if missing.len() == 1 {
        for (row, _) in orphans {
            let below = depths[row + 1..trace.end].iter().take_while(|depth| **depth > 0).count();
            open.remove_range(*row..row + 1 + below);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(rows: &[usize]) -> Bits {
        let mut bits = Bits::new(8);
        rows.iter().for_each(|row| bits.insert(*row));
        bits
    }

    /// One trace of so many rows.
    fn one(rows: usize) -> Vec<Range<usize>> {
        std::iter::once(0..rows).collect()
    }

    fn forest() -> Forest {
        Forest::new(vec![0, 1, 2, 1, 0, 1, 0, 1], vec![0..6, 6..8], vec![(4, 77)])
    }

    #[test]
    fn relations_follow_the_depths_inside_a_trace() {
        let of = |relation, left: &[usize]| forest().related(relation, &bits(left), None);
        assert_eq!(of(Relation::Child, &[0, 4, 6]), bits(&[1, 3, 5, 7]));
        assert_eq!(of(Relation::Descendant, &[0]), bits(&[1, 2, 3]));
        assert_eq!(of(Relation::Parent, &[2, 7]), bits(&[1, 6]));
        assert_eq!(of(Relation::Ancestor, &[2, 5]), bits(&[0, 1, 4]));
        assert_eq!(of(Relation::Sibling, &[1, 2]), bits(&[3]));
        assert_eq!(of(Relation::Sibling, &[1, 3]), bits(&[1, 3]));
    }

    #[test]
    fn what_is_missing_stands_above_orphans_and_perhaps_below_others() {
        assert_eq!(forest().related(Relation::Child, &bits(&[]), Some(&bits(&[4]))), bits(&[4]));
        assert_eq!(forest().related(Relation::Descendant, &bits(&[]), Some(&bits(&[4]))), bits(&[4, 5]));
        assert_eq!(forest().open(Relation::Ancestor), bits(&[0, 1, 2, 3]));
        assert_eq!(forest().open(Relation::Sibling), bits(&[1, 2, 3]));
        let two = Forest::new(vec![0, 0, 0, 0], one(4), vec![(1, 7), (2, 7), (3, 8)]);
        assert_eq!(two.open(Relation::Sibling), bits(&[1, 2, 3]));
        assert_eq!(two.related(Relation::Sibling, &bits(&[1, 3]), None), bits(&[2]));
    }

    #[test]
    fn a_chain_of_a_million_spans_is_followed_without_recursion() {
        let rows = 1_000_000;
        let chain = Forest::new((0..rows as u32).collect(), one(rows), vec![]);
        let mut last = Bits::new(rows);
        last.insert(rows - 1);
        assert_eq!(chain.related(Relation::Ancestor, &last, None).count_in(0..rows), rows as u64 - 1);
        let mut first = Bits::new(rows);
        first.insert(0);
        assert_eq!(chain.related(Relation::Descendant, &first, None).count_in(0..rows), rows as u64 - 1);
    }
}
