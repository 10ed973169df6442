//! What a query read and what the indexes let it skip.

use std::collections::BTreeMap;

/// Counts of a query. Pages are pages of 1,024 span rows unless said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explain {
    /// Parts of the snapshot: segments and head chapters.
    pub parts_considered: u64,
    /// Parts without a page that could match.
    pub parts_pruned: u64,
    /// Parts looked into.
    pub parts_read: u64,
    /// Blocks of all parts; a head chapter counts as one.
    pub blocks_considered: u64,
    /// Blocks of segments without a page that could match.
    pub blocks_pruned: u64,
    /// Blocks of which a page was scanned for matching rows.
    pub blocks_read: u64,
    /// Pages of all parts.
    pub pages_considered: u64,
    /// Pages an index ruled out.
    pub pages_pruned: u64,
    /// Pages scanned for matching rows.
    pub pages_read: u64,
    /// Pages neither ruled out nor scanned, because the limit was reached before.
    pub pages_skipped: u64,
    /// Encoded pages of single columns that were decoded.
    pub pages_decoded: u64,
    /// Bytes of all segments.
    pub bytes_considered: u64,
    /// Encoded bytes of the pages decoded.
    pub bytes_read: u64,
    /// Pages ruled out, by index.
    pub by: BTreeMap<String, u64>,
}

impl Explain {
    /// Adds what another step considered and read.
    pub(crate) fn add(&mut self, other: &Self) {
        self.parts_considered += other.parts_considered;
        self.parts_pruned += other.parts_pruned;
        self.parts_read += other.parts_read;
        self.blocks_considered += other.blocks_considered;
        self.blocks_pruned += other.blocks_pruned;
        self.blocks_read += other.blocks_read;
        self.pages_considered += other.pages_considered;
        self.pages_pruned += other.pages_pruned;
        self.pages_read += other.pages_read;
        self.pages_skipped += other.pages_skipped;
        self.pages_decoded += other.pages_decoded;
        self.bytes_considered += other.bytes_considered;
        self.bytes_read += other.bytes_read;
        for (index, pruned) in &other.by {
            *self.by.entry(index.clone()).or_default() += pruned;
        }
    }
}
