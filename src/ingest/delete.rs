//! Deleting traces: what was appended of them before is gone at once, what comes later is new.
//!
//! A delete is a record of the log, so it has its place in the order of appends and is durable with the next
//! sync. In memory it takes the rows out of the head's chapters and marks the ordinals in segments; the
//! marks reach the manifest with the next publication, which is also what retires the log with the record.
//! On opening, a replayed record does the same again: to the chapters before it, and to every segment,
//! because segments are older than any log. The bytes go with the seal and the merge that follow.
//!
//! ```text
//! payload := count varint, then 16 bytes a trace id
//! ```

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::bytes::{Reader, Writer as ByteWriter};
use crate::catalog::{SegmentPart, TraceIds};
use crate::error::{Error, Result};
use crate::head::{FrozenChapter, Rows, trace_id_of};
use crate::log::{NewRecord, RecordKind};
use crate::model::TraceId;
use crate::options::Durability;
use crate::part::ReadCounter;

use super::engine::{Engine, Head, Live, closed_error};
use super::generation::Generation;

/// Ids one record names.
const IDS_PER_RECORD: usize = 65_536;

/// What a delete did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteSummary {
    /// Ids given that named a live trace.
    pub traces: u64,
    /// Rows that are dead now. In memory they are gone, in segments they await a merge.
    pub rows: u64,
}

impl Engine {
    /// Deletes everything appended of these traces so far. Durable on return.
    ///
    /// # Errors
    /// Corrupt if a trace table is damaged, NoSpace or Io if the log refuses: then nothing is deleted.
    /// Closed on a closed store or after a failed sync.
    pub fn delete(&self, ids: &[TraceId]) -> Result<DeleteSummary> {
        let mut summary = DeleteSummary::default();
        let mut distinct: Vec<TraceId> = ids.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        for ids in distinct.chunks(IDS_PER_RECORD) {
            let one = self.delete_some(ids)?;
            summary.traces += one.traces;
            summary.rows += one.rows;
        }
        Ok(summary)
    }

    fn delete_some(&self, ids: &[TraceId]) -> Result<DeleteSummary> {
        let writer = self.writer()?;
        let mut live = self.lock();
        if let Some(why) = &live.closed {
            return Err(closed_error(why));
        }
        if live.head.rotate_first {
            self.begin_log(writer, &mut live)?;
        }
        let (traces, sealed_rows) = count_sealed(&live.segments, ids)?;
        let dead: FxHashSet<TraceId> = ids.iter().copied().collect();
        // The record stands between chapters, so that replay knows which rows were before it.
        live.head.freeze_chapter();
        let mut payload = ByteWriter::new();
        write_ids(ids, &mut payload);
        let record = NewRecord { kind: RecordKind::Delete, chapter: live.head.chapter, count: 0 };
        let appended =
            writer.log.append(record, &[payload.as_slice()]).inspect_err(|_| live.head.rotate_first = true)?;
        live.head.has_deletes = true;
        let mut found = traces;
        let rows = live.delete(&dead, &mut found)?;
        drop(live);
        writer.log.settle(appended.position, Durability::Sync)?;
        Ok(DeleteSummary { traces: found.len() as u64, rows: rows + sealed_rows })
    }
}

impl Live {
    /// Takes the rows of these traces out of the head and marks them in segments. Adds the traces met in the
    /// head to `found` and answers how many rows went there.
    fn delete(&mut self, dead: &FxHashSet<TraceId>, found: &mut FxHashSet<TraceId>) -> Result<u64> {
        let counter = ReadCounter::default();
        let ids: Vec<TraceId> = dead.iter().copied().collect();
        for part in &mut self.segments {
            mark_deleted(part, &ids, &counter)?;
        }
        let mut rows = 0;
        for generation in &mut self.generations {
            if let Some((chapters, gone)) = without(&generation.chapters, dead, found) {
                rows += gone;
                *generation = Arc::new(generation.without(chapters, &ids, gone));
            }
        }
        if let Some((chapters, gone)) = without(&self.head.frozen, dead, found) {
            rows += gone;
            self.head.dead_rows += gone;
            self.head.replace_chapters(chapters);
        }
        self.sealed_spans.clear();
        Ok(rows)
    }
}

impl Generation {
    /// The generation with these chapters instead of its own, from which the rows of these traces were taken.
    fn without(&self, chapters: Vec<Arc<FrozenChapter>>, deleted: &[TraceId], rows: u64) -> Self {
        Self {
            number: self.number,
            deleted: self.deleted.iter().chain(deleted).copied().collect(),
            dead_rows: self.dead_rows + rows,
            received: self.received,
            ids: self.ids.rebuilt(&Rows { frozen: &chapters, active: None }),
            chapters,
            logs: self.logs.clone(),
            sequences: self.sequences.clone(),
            bytes: self.bytes,
        }
    }
}

impl Head {
    fn replace_chapters(&mut self, chapters: Vec<Arc<FrozenChapter>>) {
        self.frozen = chapters;
        self.ids = self.ids.rebuilt(&Rows { frozen: &self.frozen, active: None });
        self.copy = None;
    }
}

/// The chapters without the rows of these traces, and how many went; `None` if there were none.
pub(super) fn without(
    chapters: &[Arc<FrozenChapter>],
    dead: &FxHashSet<TraceId>,
    found: &mut FxHashSet<TraceId>,
) -> Option<(Vec<Arc<FrozenChapter>>, u64)> {
    let mut rows = 0;
    let mut out = Vec::with_capacity(chapters.len());
    for chapter in chapters {
        let gone = chapter.rows.iter().map(trace_id_of).filter(|id| dead.contains(id)).inspect(|id| {
            found.insert(*id);
        });
        let gone = gone.count();
        if gone == 0 {
            out.push(chapter.clone());
            continue;
        }
        rows += gone as u64;
        let mut left = (***chapter).clone();
        left.remove_rows(|row| dead.contains(&trace_id_of(row)));
        // An emptied chapter stays: the places of those that follow count from it.
        out.push(Arc::new(FrozenChapter::new(left)));
    }
    (rows > 0).then_some((out, rows))
}

/// Which of the traces live in these segments, and in how many rows.
fn count_sealed(segments: &[SegmentPart], ids: &[TraceId]) -> Result<(FxHashSet<TraceId>, u64)> {
    let counter = ReadCounter::default();
    let (mut found, mut rows) = (FxHashSet::default(), 0);
    for part in segments {
        for id in ids {
            for (ordinal, _) in part.ordinals_of(*id, TraceIds::Strict, &counter)? {
                found.insert(*id);
                rows += part.segment.trace_rows(ordinal, &counter)?.len() as u64;
            }
        }
    }
    Ok((found, rows))
}

/// Marks these traces in a segment as deleted, and so as dirty.
///
/// # Errors
/// Corrupt if the trace table is damaged.
pub(super) fn mark_deleted(part: &mut SegmentPart, ids: &[TraceId], counter: &ReadCounter) -> Result<()> {
    for id in ids {
        for (ordinal, _) in part.ordinals_of(*id, TraceIds::Strict, counter)? {
            Arc::make_mut(&mut part.deleted).insert(ordinal);
            Arc::make_mut(&mut part.dirty).insert(ordinal);
        }
    }
    Ok(())
}

fn write_ids(ids: &[TraceId], out: &mut ByteWriter) {
    out.varint(ids.len() as u64);
    ids.iter().for_each(|id| out.bytes(&id.to_bytes()));
}

/// The ids in the payload of a delete record.
///
/// # Errors
/// Corrupt if the payload is no list of trace ids.
pub(super) fn read_ids(payload: &[u8]) -> Result<Vec<TraceId>> {
    let mut reader = Reader::new(payload);
    let count = reader.count(16, "deleted traces")?;
    let id = |reader: &mut Reader<'_>| {
        let bytes: [u8; 16] = reader.array("deleted trace")?;
        TraceId::from_bytes(bytes).ok_or_else(|| Error::corrupt("a deleted trace has a zero id"))
    };
    let ids = (0..count).map(|_| id(&mut reader)).collect::<Result<_>>()?;
    reader.finish("delete record")?;
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_delete_record_come_back_and_cut_ones_are_errors() {
        let ids: Vec<TraceId> = (1..4).filter_map(|n| TraceId::from_halves(n, n << 40)).collect();
        let mut out = ByteWriter::new();
        write_ids(&ids, &mut out);
        assert_eq!(read_ids(out.as_slice()).unwrap(), ids);
        for len in 0..out.len() {
            assert!(read_ids(&out.as_slice()[..len]).is_err(), "{len}");
        }
        let zero = [[1].as_slice(), &[0; 16]].concat();
        assert!(read_ids(&zero).unwrap_err().to_string().contains("zero id"));
    }
}
