//! A head generation: the chapters that become one segment, and the logs that hold the same spans.

use std::ops::Range;
use std::sync::Arc;

use crate::head::{FrozenChapter, Rows, SpanIds};
use crate::log::FileId;
use crate::model::TraceId;

/// Number of the generation that opening replayed from logs. Later ones count from one.
pub const REPLAYED: u64 = 0;

/// A generation that takes no more spans.
#[derive(Debug)]
pub struct Generation {
    /// Tells it from others, whatever is deleted from it.
    pub number: u64,
    /// Traces deleted from it since it takes no more spans.
    pub deleted: Vec<TraceId>,
    /// Rows that were deleted from it and that its logs still hold.
    pub dead_rows: u64,
    /// First and last time its spans were received, by the retention clock.
    pub received: (u64, u64),
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
