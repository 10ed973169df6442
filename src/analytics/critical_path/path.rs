//! The critical path of one trace, and the time its spans take themselves.
//!
//! ```text
//! root    |============================|         from the end: c ends last, before it b; a overlaps b
//! a          |-------|                           and is passed over
//! b             |--------|
//! c                         |------|
//! path    rrrrrrbbbbbbbbbbbrccccccccrrrr         its pieces tile the root
//! ```
//! All spans hang on the root: tops beside it, which are further roots and spans whose parent is missing, as its
//! children (Zipkin's rule), and the children of a span without a start on the span above that. A child counts as far
//! as it lies inside its parent, which itself counts as far as it lies inside its own.

use std::cmp::Reverse;

use crate::error::{Error, Result};
use crate::query::{NO_ROW, Tree, TreeRows};

/// A stretch of time that a span spends on the path itself. No piece is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The row of the span.
    pub row: u32,
    /// Begin.
    pub from: u64,
    /// End.
    pub to: u64,
}

/// A child as far as it lies inside its parent.
#[derive(Clone, Copy)]
struct Child {
    to: u64,
    from: u64,
    row: u32,
}

/// Finds the paths of traces, one after the other.
#[derive(Default)]
pub struct PathFinder {
    /// By row, on which one it hangs; [`NO_ROW`] for the root.
    parents: Vec<u32>,
    first_child: Vec<u32>,
    next_sibling: Vec<u32>,
    children: Vec<Child>,
    open: Vec<Child>,
    /// The pieces of the path, in no order.
    pub pieces: Vec<Piece>,
    covers: Vec<(u64, u64)>,
}

impl PathFinder {
    /// Finds the path of a trace; its root. There is no piece if the root has no start or no duration.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn find(&mut self, tree: &mut Tree<'_, '_>) -> Result<u32> {
        let root = tree.root()?;
        self.hang(tree.rows, root);
        self.pieces.clear();
        let at = root as usize;
        if tree.rows.starts[at] != 0 && tree.rows.durations[at] != 0 {
            self.open.push(Child { to: tree.rows.end(at), from: tree.rows.starts[at], row: root });
        }
        while let Some(span) = self.open.pop() {
            self.walk(span, tree)?;
        }
        Ok(root)
    }

    /// Gives every row the one on which it hangs, and links the children of each in row order.
    fn hang(&mut self, rows: &TreeRows, root: u32) {
        self.parents.clone_from(&rows.parents);
        for top in &rows.tops {
            self.parents[*top as usize] = if *top == root { NO_ROW } else { root };
        }
        if rows.starts.contains(&0) {
            for row in 0..rows.len() {
                let parent = self.parents[row];
                if parent != NO_ROW && parent != root && rows.starts[parent as usize] == 0 {
                    // It was seen before, and so hangs where it belongs.
                    self.parents[row] = self.parents[parent as usize];
                }
            }
        }
        self.first_child.clear();
        self.first_child.resize(rows.len(), NO_ROW);
        self.next_sibling.resize(rows.len(), NO_ROW);
        for row in (0..rows.len()).rev() {
            let parent = self.parents[row];
            if parent != NO_ROW {
                self.next_sibling[row] = std::mem::replace(&mut self.first_child[parent as usize], row as u32);
            }
        }
    }

    /// The rows that hang on a row, ascending.
    fn children_of(&self, row: u32) -> impl Iterator<Item = u32> + '_ {
        let some = |row: u32| (row != NO_ROW).then_some(row);
        std::iter::successors(some(self.first_child[row as usize]), move |row| some(self.next_sibling[*row as usize]))
    }

    /// Takes the children of a span from its end backwards, and what they leave to itself.
    fn walk(&mut self, span: Child, tree: &mut Tree<'_, '_>) -> Result<()> {
        let mut children = std::mem::take(&mut self.children);
        children.clear();
        let rows = tree.rows;
        for row in self.children_of(span.row) {
            let at = row as usize;
            let (from, to) = (rows.starts[at].max(span.from), rows.end(at).min(span.to));
            if rows.starts[at] != 0 && from < to {
                children.push(Child { to, from, row });
            }
        }
        children.sort_unstable_by_key(|child| (Reverse((child.to, child.from)), child.row));
        let (mut end, mut next) = (span.to, 0);
        while let Some(child) = children.get(next) {
            let same = children[next..].iter().take_while(|other| (other.to, other.from) == (child.to, child.from));
            let same = same.count();
            if child.to <= end {
                let taken = smallest_id(&children[next..next + same], tree)?;
                self.open.push(taken);
                self.add_piece(span.row, taken.to, end);
                end = taken.from;
            }
            next += same;
        }
        self.add_piece(span.row, span.from, end);
        self.children = children;
        Ok(())
    }

    fn add_piece(&mut self, row: u32, from: u64, to: u64) {
        if from < to {
            self.pieces.push(Piece { row, from, to });
        }
    }

    /// The rows of spans that start after the end of the one on which they hang, ascending; none if the root has no
    /// start.
    pub fn late(&self, rows: &TreeRows) -> Vec<u32> {
        let is_late = |row: &u32| {
            let parent = self.parents[*row as usize];
            parent != NO_ROW
                && rows.starts[parent as usize] != 0
                && rows.starts[*row as usize] > rows.end(parent as usize)
        };
        (0..rows.len() as u32).filter(is_late).collect()
    }

    /// The duration of a span less the union of its children, as far as they lie inside it.
    pub fn self_time(&mut self, row: u32, rows: &TreeRows) -> u64 {
        let (begin, end) = (rows.starts[row as usize], rows.end(row as usize));
        if begin == 0 || begin == end || self.first_child[row as usize] == NO_ROW {
            return if begin == 0 { 0 } else { end - begin };
        }
        let mut covers = std::mem::take(&mut self.covers);
        covers.clear();
        let inside = |child: u32| {
            let at = child as usize;
            let (from, to) = (rows.starts[at].max(begin), rows.end(at).min(end));
            (rows.starts[at] != 0 && from < to).then_some((from, to))
        };
        covers.extend(self.children_of(row).filter_map(inside));
        // Siblings mostly come by their start as they are.
        if !covers.is_sorted() {
            covers.sort_unstable();
        }
        let (mut until, mut left) = (begin, 0);
        for (from, to) in &covers {
            left += from.saturating_sub(until);
            until = until.max(*to);
        }
        self.covers = covers;
        left + (end - until)
    }
}

/// Of children that lie in the same time the one of smallest span id; of records of one id the one that comes first by
/// what they say of their time.
fn smallest_id(children: &[Child], tree: &mut Tree<'_, '_>) -> Result<Child> {
    let [first, rest @ ..] = children else { return Err(Error::corrupt("no child")) };
    let mut best = *first;
    if rest.is_empty() {
        return Ok(best);
    }
    let rows = tree.rows;
    let mut key = |child: &Child| {
        let at = child.row as usize;
        Ok((tree.span_id(child.row)?, rows.starts[at], rows.is_shared(at), rows.end(at)))
    };
    let mut smallest = key(&best)?;
    for child in rest {
        let found = key(child)?;
        if found < smallest {
            (best, smallest) = (*child, found);
        }
    }
    Ok(best)
}
