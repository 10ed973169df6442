//! How much a store holds and where its bytes went.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::ingest::Engine;
use crate::os::Directory;
use crate::query::counts;

/// Figures of a store at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Distinct live spans, as an export writes them.
    pub spans: u64,
    /// Rows of all parts, the head included.
    pub rows: u64,
    /// Distinct trace ids.
    pub traces: u64,
    /// Segments.
    pub segments: u64,
    /// Sum of all file sizes.
    pub bytes_on_disk: u64,
    /// Bytes of segments by column.
    pub columns: BTreeMap<String, u64>,
    /// Bytes of segments by index.
    pub indexes: BTreeMap<String, u64>,
    /// Bytes of rollups.
    pub rollup_bytes: u64,
    /// Bytes of logs.
    pub log_bytes: u64,
    /// Rows of deleted traces that no merge has erased yet.
    pub awaiting_erasure: u64,
    /// Heap bytes of spans not yet sealed.
    pub head_bytes: u64,
}

impl Stats {
    /// Gathers the figures.
    ///
    /// # Errors
    /// Corrupt if tables are damaged, Io if a directory cannot be listed.
    pub fn gather(engine: &Engine) -> Result<Self> {
        let snapshot = engine.snapshot();
        let counts = counts(&snapshot, &engine.options().limits)?;
        let mut out = Self {
            spans: counts.spans,
            rows: counts.rows,
            traces: counts.traces,
            segments: snapshot.segments.len() as u64,
            head_bytes: engine.stats().head_bytes,
            ..Self::default()
        };
        for part in &snapshot.segments {
            for usage in part.segment.usage()? {
                let list = if usage.index { &mut out.indexes } else { &mut out.columns };
                *list.entry(usage.name).or_default() += usage.bytes;
            }
        }
        for directory in Directory::ALL {
            let bytes: u64 = engine.storage().list(directory)?.iter().map(|entry| entry.len_bytes).sum();
            out.bytes_on_disk += bytes;
            if directory == Directory::Log {
                out.log_bytes = bytes;
            }
        }
        Ok(out)
    }
}
