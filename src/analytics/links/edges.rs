//! Links as groups: a number for each pair of services and kind.

use rustc_hash::FxHashMap;

use crate::index::links::LinkKind;

use super::super::groups::NO_ROOM;

/// Parent and child, as codes, and how they are linked.
pub type Edge = (u32, u32, LinkKind);

/// Edges by number, as many as there is room for.
#[derive(Debug)]
pub struct Edges {
    numbers: FxHashMap<Edge, u32>,
    edges: Vec<Edge>,
    edges_max: usize,
    full: bool,
}

impl Edges {
    /// At most so many.
    pub fn new(edges_max: usize) -> Self {
        Self { numbers: FxHashMap::default(), edges: Vec::new(), edges_max, full: false }
    }

    /// The number of an edge, or [`NO_ROOM`].
    pub fn number(&mut self, edge: Edge) -> u32 {
        if let Some(number) = self.numbers.get(&edge) {
            return *number;
        }
        if self.edges.len() >= self.edges_max {
            self.full = true;
            return NO_ROOM;
        }
        let number = self.edges.len() as u32;
        self.edges.push(edge);
        self.numbers.insert(edge, number);
        number
    }

    /// The edge of a number.
    pub fn edge(&self, number: u32) -> Edge {
        self.edges[number as usize]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.edges.len()
    }

    /// True if an edge found no room.
    pub fn is_full(&self) -> bool {
        self.full
    }
}
