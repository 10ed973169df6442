//! A head generation: the chapters that become one segment, and the logs that hold the same spans.

use std::ops::Range;
use std::sync::Arc;

use crate::head::{FrozenChapter, Rows, SpanIds};
use crate::log::FileId;

/// A generation that takes no more spans.
#[derive(Debug)]
pub struct Generation {
    /// Its chapters.
    pub chapters: Vec<Arc<FrozenChapter>>,
    /// The logs that hold its spans.
    pub logs: Vec<FileId>,
    /// Sequences of its spans.
    pub sequences: Range<u64>,
    /// Which spans and traces it holds.
    pub ids: SpanIds,
    /// Heap bytes.
    pub bytes: usize,
}

impl Generation {
    /// Its rows.
    pub fn rows(&self) -> Rows<'_> {
        Rows { frozen: &self.chapters, active: None }
    }

    /// How many spans it holds.
    pub fn spans(&self) -> u64 {
        self.chapters.iter().map(|c| c.rows.len() as u64).sum()
    }
}
