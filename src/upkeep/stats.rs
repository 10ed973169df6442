//! How much a store holds and where its bytes went.

use std::collections::BTreeMap;

use crate::catalog::{Contents, look};
use crate::error::Result;
use crate::ingest::Engine;
use crate::part::ReadCounter;
use crate::query::counts;
use crate::segment::{UsagePart, store_of_segment};

use super::problems::Problems;

/// Once to the log, once to the segment.
const WRITTEN_WHEN_SEALED: u64 = 2;

/// Figures of a store at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Distinct live spans, as an export writes them.
    pub spans: u64,
    /// Rows of all parts, the head included, and dead rows that its logs still hold.
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
    /// Bytes of rollups, steps and tail lists.
    pub rollup_bytes: u64,
    /// Bytes of logs.
    pub log_bytes: u64,
    /// Rows of deleted traces whose bytes are still in a segment or a log: merging erases them.
    pub awaiting_erasure: u64,
    /// Heap bytes of spans not yet sealed.
    pub head_bytes: u64,
    /// What damage hides from these figures, in words that name the file.
    pub problems: Vec<String>,
    /// How often rows were written, most often and on average: once to the log, once when sealed, once more
    /// by each merge.
    pub times_written: TimesWritten,
}

/// How often the rows of a store were written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TimesWritten {
    /// The mean over all rows: the write amplification, in rows.
    pub mean: f64,
    /// The row written most often.
    pub max: u64,
}

impl Stats {
    /// Gathers the figures.
    ///
    /// # Errors
    /// TooLarge if a doubled trace is, Io if a directory cannot be listed.
    pub fn gather(engine: &Engine) -> Result<Self> {
        let snapshot = engine.snapshot();
        let (counts, missing) = counts(&snapshot, &engine.options().limits);
        let mut problems = Problems::default();
        for error in missing {
            problems.take::<()>(Err(error))?;
        }
        let mut out = Self {
            spans: counts.spans,
            rows: counts.rows,
            traces: counts.traces,
            segments: snapshot.segments.len() as u64,
            head_bytes: engine.stats().head_bytes,
            ..Self::default()
        };
        // Dead rows of the head are in its logs alone.
        let dead_rows = engine.stats().dead_rows;
        out.rows += dead_rows;
        out.awaiting_erasure += dead_rows;
        let counter = ReadCounter::default();
        for part in &snapshot.segments {
            for ordinal in part.deleted.iter() {
                let rows = problems.take(part.segment.trace_rows(ordinal, &counter))?;
                out.awaiting_erasure += rows.map_or(0, |rows| rows.len() as u64);
            }
            for usage in problems.take(part.segment.usage())?.unwrap_or_default() {
                let list = match usage.part {
                    UsagePart::Column => &mut out.columns,
                    UsagePart::Index => &mut out.indexes,
                    UsagePart::Rollup => {
                        out.rollup_bytes += usage.bytes;
                        continue;
                    }
                };
                *list.entry(usage.name).or_default() += usage.bytes;
            }
        }
        out.problems = problems.into_vec();
        out.times_written = times_written(engine, out.rows)?;
        let usage = engine.disk_usage()?;
        (out.bytes_on_disk, out.log_bytes) = (usage.total, usage.logs);
        Ok(out)
    }
}

fn times_written(engine: &Engine, rows: u64) -> Result<TimesWritten> {
    let Contents::Store(found) = look(engine.storage().as_ref(), &store_of_segment)? else {
        return Ok(TimesWritten::default());
    };
    let sealed: Vec<(u64, u64)> = found
        .catalog
        .segments()
        .map(|segment| (segment.info.rows, WRITTEN_WHEN_SEALED + u64::from(segment.info.merges)))
        .collect();
    let sealed_rows: u64 = sealed.iter().map(|(rows, _)| rows).sum();
    // Rows of the head were written to the log alone.
    let head_rows = rows.saturating_sub(sealed_rows);
    let written: u64 = sealed.iter().map(|(rows, times)| rows * times).sum::<u64>() + head_rows;
    let max = sealed.iter().map(|(_, times)| *times).max().unwrap_or(u64::from(head_rows > 0));
    Ok(TimesWritten { mean: written as f64 / (sealed_rows + head_rows).max(1) as f64, max })
}
