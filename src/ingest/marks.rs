//! Marks: which traces of a segment lie elsewhere too, may do so with the same records, or are deleted.
//!
//! Traces that go on in another part are *dirty*. Appending compares late spans with the sealed ones and drops
//! those that are identical, so that the rows of a dirty trace are distinct spans all the same. Where that was not
//! possible (a trace too large to be compared, damage, a crash that left spans both in a log and in a segment)
//! the trace is *doubled* in all its parts, and queries unite its records before they count them.
//!
//! The marks are published with segments; a mark too many costs time, one too few a wrong answer.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::bytes::{Reader, Writer as ByteWriter};
use crate::catalog::{Edit, SegmentPart};
use crate::error::Result;
use crate::head::{FrozenChapter, SpanIds, trace_id_of};
use crate::index::TraceSet;
use crate::log::FileId;
use crate::os::defects::{self, Defect};
use crate::part::ReadCounter;
use crate::segment::{Fixed, IntegerCursor, Segment};

/// Marks the live traces of a segment that share these low 64 bits; true if there are any.
pub(super) fn mark_dirty(part: &mut SegmentPart, low: u64, counter: &ReadCounter) -> bool {
    let mut found = false;
    for ordinal in part.segment.ordinals_of_low(low, counter).unwrap_or_default() {
        found |= !part.deleted.contains(ordinal);
        if !part.dirty.contains(ordinal) {
            Arc::make_mut(&mut part.dirty).insert(ordinal);
        }
    }
    found
}

/// Marks the dirty traces of a segment that share these low 64 bits as perhaps holding records of another part.
pub(super) fn mark_doubled(part: &mut SegmentPart, low: u64, counter: &ReadCounter) {
    for ordinal in part.segment.ordinals_of_low(low, counter).unwrap_or_default() {
        if part.dirty.contains(ordinal) && !part.doubled.contains(ordinal) {
            Arc::make_mut(&mut part.doubled).insert(ordinal);
        }
    }
}

/// The dirty and deleted traces of these parts as edits; of those that have some.
pub(super) fn trace_marks<'p>(parts: impl IntoIterator<Item = &'p SegmentPart>) -> Vec<Edit> {
    let mut out = Vec::new();
    for part in parts {
        let segment = FileId(part.segment.id());
        if !part.dirty.is_empty() {
            out.push(Edit::SetDirty { segment, bytes: dirty_bytes(part) });
        }
        if !part.deleted.is_empty() && !defects::active(Defect::LoseDeletedMarks) {
            out.push(Edit::SetDeleted { segment, bytes: set_bytes(&part.deleted) });
        }
    }
    out
}

/// Dirty traces of a segment that others of these know to be doubled.
pub(super) fn doubled_beside(segment: &Segment, dirty: &TraceSet, others: &[SegmentPart]) -> Result<TraceSet> {
    let counter = ReadCounter::default();
    let mut out = TraceSet::new();
    for other in others {
        for ordinal in other.doubled_live() {
            let low = other.segment.trace_id(ordinal, &counter)?.low();
            let here = segment.ordinals_of_low(low, &counter)?;
            for ordinal in here.into_iter().filter(|ordinal| dirty.contains(*ordinal)) {
                out.insert(ordinal);
            }
        }
    }
    Ok(out)
}

/// The dirty traces of a segment, and the doubled ones if there are any.
fn dirty_bytes(part: &SegmentPart) -> Vec<u8> {
    let mut out = ByteWriter::new();
    out.block(&set_bytes(&part.dirty));
    if !part.doubled.is_empty() {
        out.bytes(&set_bytes(&part.doubled));
    }
    out.into_vec()
}

/// The dirty and the doubled traces that [`dirty_bytes`] wrote.
///
/// # Errors
/// Corrupt if the bytes are no such sets.
pub(super) fn read_dirty_bytes(bytes: &[u8], traces: u32) -> Result<(TraceSet, TraceSet)> {
    let mut reader = Reader::new(bytes);
    let dirty = TraceSet::read(reader.block("dirty traces")?, traces)?;
    let doubled = match reader.bytes(reader.remaining(), "doubled traces")? {
        [] => TraceSet::new(),
        bytes => TraceSet::read(bytes, traces)?,
    };
    Ok((dirty, doubled))
}

fn set_bytes(set: &TraceSet) -> Vec<u8> {
    let mut out = ByteWriter::new();
    set.write(&mut out);
    out.into_vec()
}

/// Marks the traces of segments that have a span id of a replayed row: a crash between the publication of a
/// segment and the end of its log leaves its spans in both.
pub(super) fn mark_replayed_twice(
    chapters: &[Arc<FrozenChapter>],
    ids: &SpanIds,
    segments: &mut [SegmentPart],
    counter: &ReadCounter,
) {
    let late: FxHashSet<u64> = ids.late().collect();
    let mut span_ids: FxHashMap<u64, FxHashSet<u64>> = FxHashMap::default();
    for row in chapters.iter().flat_map(|chapter| &chapter.rows).filter(|row| late.contains(&trace_id_of(row).low())) {
        span_ids.entry(trace_id_of(row).low()).or_default().insert(row.span_id);
    }
    for (low, replayed) in &span_ids {
        let is_twice = |part: &SegmentPart| holds_any(part, *low, replayed, counter).unwrap_or(true);
        if segments.iter().any(is_twice) {
            segments.iter_mut().for_each(|part| mark_doubled(part, *low, counter));
        }
    }
}

/// True if a live trace with these low 64 bits has one of the span ids.
fn holds_any(part: &SegmentPart, low: u64, span_ids: &FxHashSet<u64>, counter: &ReadCounter) -> Result<bool> {
    for ordinal in part.segment.ordinals_of_low(low, counter)? {
        let mut sealed = IntegerCursor::new(&part.segment, Fixed::SpanId as u32, false, counter);
        for row in part.segment.trace_rows(ordinal, counter)? {
            if span_ids.contains(&sealed.get(row as usize)?) {
                return Ok(!part.deleted.contains(ordinal));
            }
        }
    }
    Ok(false)
}

/// Marks the traces that lie in two of these segments as dirty. If a trace table is damaged it is not known which
/// those are, and all count as such: one too many costs time alone.
pub(super) fn mark_all_dirty(segments: &mut [SegmentPart]) {
    if mark_shared(segments).is_ok() {
        return;
    }
    for part in segments {
        let all = Arc::new(TraceSet::all(part.segment.traces()));
        (part.dirty, part.doubled) = (all.clone(), all);
    }
}

fn mark_shared(segments: &mut [SegmentPart]) -> Result<()> {
    let counter = ReadCounter::default();
    let mut seen: FxHashSet<u64> = FxHashSet::default();
    let mut shared: FxHashSet<u64> = FxHashSet::default();
    for part in segments.iter() {
        shared.extend(part.segment.lows(&counter)?.into_iter().filter(|low| !seen.insert(*low)));
    }
    for part in segments {
        let lows = part.segment.lows(&counter)?;
        let dirty = lows.iter().enumerate().filter(|(_, low)| shared.contains(low)).map(|(ordinal, _)| ordinal as u32);
        let dirty = TraceSet::from_sorted(dirty);
        part.doubled = Arc::new(dirty.clone().or(&part.doubled));
        part.dirty = Arc::new(dirty.or(&part.dirty));
    }
    Ok(())
}
