//! On which pages the durations of an operation lie, by bucket: from a rank to the few pages that can hold it.
//!
//! ```text
//! operations listed: varint, the same and in the order of the tail lists | bytes of each: varint
//! each operation, as bits: cells: gamma
//!   each cell: distance to the bucket before, 1 for the next: gamma | pages: gamma
//!              | distance to each page from the one before: Rice
//! ```
//! Gamma is Elias' code of a number from 1; Rice has, for `n` of `pages` pages, `log2(11/16 * pages / n)` low bits
//! in front of the rest in unary. A page stands once in a cell, however many rows of it the cell has: about half a
//! byte a span where traces spread an operation over all pages.

use std::ops::Range;

use super::super::bit_stream::{BitReader, BitWriter};
use super::histogram::{BUCKETS, Histogram};
use crate::bytes::{Reader, Writer};
use crate::error::{Error, Result, ensure};
use crate::limits::ROLLUP_GROUPS_MAX;

/// Pages of a segment up to which cells are listed: their numbers take 16 bits while they are gathered.
pub const CELL_PAGES_MAX: usize = 1 << 16;

/// Low bits of a Rice code for so many of so many pages.
fn rice_bits(count: u64, pages: u64) -> u32 {
    (pages * 11 / (count.max(1) * 16)).max(1).ilog2()
}

/// The section: for every operation listed its histogram, and the pages of its durations by bucket, in row order.
pub(super) fn encode<'o>(operations: impl Iterator<Item = (&'o Histogram, &'o [u16])>, pages: usize) -> Vec<u8> {
    let (mut heads, mut bodies, mut count) = (Writer::new(), Writer::new(), 0u64);
    for (durations, of_rows) in operations {
        count += 1;
        let mut bits = BitWriter::default();
        let cells: Vec<(usize, u64)> = durations.cells().collect();
        bits.gamma(cells.len() as u64 + 1);
        let (mut next_bucket, mut rest, mut distinct) = (0, of_rows, Vec::new());
        for (bucket, rows) in cells {
            let (here, after) = rest.split_at(rows as usize);
            rest = after;
            distinct.clear();
            distinct.extend_from_slice(here);
            distinct.dedup();
            bits.gamma((bucket - next_bucket) as u64 + 1);
            next_bucket = bucket + 1;
            bits.gamma(distinct.len() as u64);
            let (low_bits, mut next) = (rice_bits(distinct.len() as u64, pages as u64), 0);
            for page in &distinct {
                bits.rice(u64::from(*page) - next, low_bits);
                next = u64::from(*page) + 1;
            }
        }
        let body = bits.into_vec();
        heads.varint(body.len() as u64);
        bodies.bytes(&body);
    }
    let mut out = Writer::new();
    out.varint(count);
    out.bytes(heads.as_slice());
    out.bytes(bodies.as_slice());
    out.into_vec()
}

/// The pages of the cells of a segment's operations.
#[derive(Clone, Debug)]
pub struct CellPages<'a> {
    pages: u32,
    listed: Vec<Range<usize>>,
    bodies: &'a [u8],
}

impl<'a> CellPages<'a> {
    /// The cells in `bytes`, of a segment of so many pages.
    ///
    /// # Errors
    /// Corrupt if the bytes are none; an operation is checked as it is read.
    pub fn open(bytes: &'a [u8], pages: u32) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let count = reader.count(1, "operations")?;
        ensure(count <= ROLLUP_GROUPS_MAX, || format!("cells of {count} operations"))?;
        let (mut listed, mut end) = (Vec::with_capacity(count), 0usize);
        for _ in 0..count {
            let start = end;
            end += reader.count(1, "bytes of an operation")?;
            listed.push(start..end);
        }
        let bodies = reader.bytes(reader.remaining(), "cells")?;
        ensure(end == bodies.len(), || format!("cells take {end} bytes, {} are there", bodies.len()))?;
        Ok(Self { pages, listed, bodies })
    }

    /// How many operations are listed.
    pub fn operations(&self) -> usize {
        self.listed.len()
    }

    /// Calls `visit` with the pages of every bucket of the operation at this place that is `wanted`.
    ///
    /// # Errors
    /// Corrupt if its cells are damaged, or there is no such operation.
    pub fn each_page(&self, place: usize, wanted: impl Fn(usize) -> bool, mut visit: impl FnMut(u32)) -> Result<()> {
        let body = self.listed.get(place).and_then(|range| self.bodies.get(range.clone()));
        let body = body.ok_or_else(|| Error::corrupt(format!("there are no cells of operation {place}")))?;
        let mut bits = BitReader::new(body);
        let cells = bits.gamma("cells")? - 1;
        let mut next_bucket = 0u64;
        for _ in 0..cells {
            let bucket = (bits.gamma("bucket")? - 1).saturating_add(next_bucket);
            ensure(bucket < BUCKETS as u64, || format!("a cell of bucket {bucket}"))?;
            next_bucket = bucket + 1;
            let count = bits.gamma("pages")?;
            ensure(count <= self.pages.into(), || format!("{count} of {} pages", self.pages))?;
            let (low_bits, is_wanted) = (rice_bits(count, self.pages.into()), wanted(bucket as usize));
            let mut next = 0u64;
            for _ in 0..count {
                let page = bits.rice(low_bits, "page")?.saturating_add(next);
                ensure(page < self.pages.into(), || format!("page {page} of {}", self.pages))?;
                next = page + 1;
                if is_wanted {
                    visit(page as u32);
                }
            }
        }
        Ok(())
    }
}
