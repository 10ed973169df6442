//! The rollup of links: counts, errors and histograms by parent, child and kind, and the slowest rows of each.
//!
//! A row yields at most one link with a duration, so that a link is a group of rows like any other. Calls that
//! rows only give rise to are counted without a duration.

use super::group::GroupKey;
use super::section::{encode, most_frequent};
use super::tails::TailsBuilder;
use super::totals::Family;
use crate::bytes::{Reader, Writer};
use crate::column::NONE;
use crate::error::{Error, Result};
use crate::index::links::{LinkKind, RowLink};

/// Parent and child as string codes of the segment, and how they are linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EdgeCodes {
    /// Name of the parent.
    pub parent: u32,
    /// Name of the child.
    pub child: u32,
    /// Call or messaging.
    pub kind: LinkKind,
}

impl EdgeCodes {
    /// The edge of a link.
    pub fn of(link: &RowLink) -> Self {
        Self { parent: link.parent, child: link.child, kind: link.kind }
    }
}

impl GroupKey for EdgeCodes {
    fn write(&self, out: &mut Writer) {
        out.varint(self.parent.into());
        out.varint(self.child.into());
        out.u8(self.kind as u8);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut code = |what: &str| {
            let code = reader.varint(what)?;
            u32::try_from(code).map_err(|_| Error::corrupt(format!("{what} {code} exceeds 32 bits")))
        };
        let (parent, child) = (code("parent")?, code("child")?);
        Ok(Self { parent, child, kind: LinkKind::from_code(reader.u8("kind of a link")?)? })
    }
}

/// Gathers the links of a segment's rows. Takes 12 bytes a row, and a histogram a link.
#[derive(Debug, Default)]
pub struct EdgesBuilder {
    family: Family<EdgeCodes>,
    /// By row, the edge it yields with a duration, or [`NONE`].
    edges: Vec<u32>,
    durations: Vec<u64>,
}

/// What an [`EdgesBuilder`] makes, as bytes.
pub struct EdgeSections {
    /// The rollup by edge.
    pub groups: Vec<u8>,
    /// Tail lists by edge.
    pub tails: Vec<u8>,
}

impl EdgesBuilder {
    /// Of a segment with so many rows.
    pub fn new(rows: usize) -> Self {
        Self { family: Family::default(), edges: vec![NONE; rows], durations: vec![0; rows] }
    }

    /// Adds a link of this row, whose duration this is.
    #[inline]
    pub fn add(&mut self, row: usize, link: &RowLink, duration: Option<u64>) {
        let edge = self.family.place(EdgeCodes::of(link));
        let duration = duration.filter(|_| !link.backfilled);
        self.family.groups[edge as usize].add_row(duration, link.error);
        if let (Some(duration), Some(place)) = (duration, self.edges.get_mut(row)) {
            *place = edge;
            self.durations[row] = duration;
        }
    }

    /// The sections of all rows.
    pub fn finish(self) -> EdgeSections {
        let Family { keys, groups, .. } = &self.family;
        let mut tails = TailsBuilder::default();
        for (edge, duration) in self.edges.iter().zip(&self.durations) {
            tails.add(*edge, (*edge != NONE).then_some(*duration));
        }
        let (tails, _) = tails.finish(keys.iter().copied(), groups, false);
        EdgeSections { groups: encode(keys, groups, &most_frequent(&self.family.counts())), tails }
    }
}
