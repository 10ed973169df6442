//! Edits: the changes to the set of live files, and their bytes.
//!
//! Each edit is a code, a length and that many bytes of fields; numbers are LEB128. A code is never used
//! for anything else later, and zero never.
//!
//! | code | edit | fields |
//! |---|---|---|
//! | 1 | add segment | info, ids of the logs it replaces, (segment id, dirty bytes)* |
//! | 2 | remove segments | ids, ids that replace them |
//! | 3 | add log | id, first sequence |
//! | 4 | remove logs | ids |
//! | 5 | next file id | id |
//! | 6 | set dirty | segment id, dirty bytes |
//! | 7 | retired | segment ids, log ids |
//! | 8 | set deleted | segment id, deleted bytes |
//! | 9 | set clock | retention time, wall time, held (0 or 1) |
//!
//! A list is its length, then its items. A segment's info is `id rows traces bytes first-sequence
//! next-sequence flags [min-start max-start] [max-end] first-received last-received merges`; flag bit 0 says
//! that starts follow, bit 1 an end. Dirty and deleted bytes are opaque here: bitmaps of trace ordinals,
//! empty for none.

use std::ops::Range;

use crate::bytes::{Reader, Writer};
use crate::error::{Error, ErrorKind, Result, ensure};
use crate::log::FileId;

/// What the catalog knows of a segment without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its file.
    pub id: FileId,
    /// Rows in it.
    pub rows: u64,
    /// Traces in it.
    pub traces: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// The sequences its spans lie between.
    pub sequences: Range<u64>,
    /// Earliest and latest start of its spans, both included, in Unix nanoseconds; none if none has one.
    pub starts: Option<(u64, u64)>,
    /// Latest end of its spans in Unix nanoseconds; none if none has one.
    pub max_end: Option<u64>,
    /// First and last time its spans were received, by the retention clock, in nanoseconds.
    pub received: (u64, u64),
    /// How many merges its rows went through at most: 0 for a sealed head.
    pub merges: u32,
}

/// The retention clock as it was at some moment, and the wall clock then. Nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockState {
    /// What retention goes by.
    pub retention_nanos: u64,
    /// What the machine's clock showed.
    pub wall_nanos: u64,
    /// True if the wall clock once jumped while the store was closed and nobody has accepted it yet.
    pub held: bool,
}

/// One change to the set of live files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A segment is live. All of this happens together.
    AddSegment {
        /// The segment.
        info: SegmentInfo,
        /// Logs whose spans it holds: they are no longer live.
        replaced_logs: Vec<FileId>,
        /// New dirty bytes of this or other segments.
        dirty: Vec<(FileId, Vec<u8>)>,
    },
    /// Segments are no longer live.
    RemoveSegments {
        /// Which.
        ids: Vec<FileId>,
        /// The segments that hold their spans now; empty if these are gone.
        replaced_by: Vec<FileId>,
    },
    /// A log is live.
    AddLog {
        /// Which.
        id: FileId,
        /// Sequence of the first span appended to it.
        first_sequence: u64,
    },
    /// Logs are no longer live, and no segment replaced them.
    RemoveLogs {
        /// Which.
        ids: Vec<FileId>,
    },
    /// Every id below this one may be in use.
    NextFileId {
        /// The first id that is certainly free.
        id: FileId,
    },
    /// The dirty bytes of a segment.
    SetDirty {
        /// Which.
        segment: FileId,
        /// Its bitmap of dirty trace ordinals.
        bytes: Vec<u8>,
    },
    /// The deleted bytes of a segment.
    SetDeleted {
        /// Which.
        segment: FileId,
        /// Its bitmap of deleted trace ordinals.
        bytes: Vec<u8>,
    },
    /// What the retention clock shows.
    SetClock(ClockState),
    /// Files that are no longer live and may still be on disk. Written when a manifest is begun.
    Retired {
        /// Segments.
        segments: Vec<FileId>,
        /// Logs.
        logs: Vec<FileId>,
    },
}

const HAS_STARTS: u8 = 1;
const HAS_END: u8 = 2;

impl Edit {
    /// The code that stands before its fields.
    pub fn code(&self) -> u8 {
        match self {
            Self::AddSegment { .. } => 1,
            Self::RemoveSegments { .. } => 2,
            Self::AddLog { .. } => 3,
            Self::RemoveLogs { .. } => 4,
            Self::NextFileId { .. } => 5,
            Self::SetDirty { .. } => 6,
            Self::Retired { .. } => 7,
            Self::SetDeleted { .. } => 8,
            Self::SetClock(_) => 9,
        }
    }

    /// Appends the edit's bytes.
    pub(super) fn write(&self, out: &mut Writer) {
        let mut w = Writer::new();
        match self {
            Self::AddSegment { info, replaced_logs, dirty } => {
                info.write(&mut w);
                write_ids(replaced_logs, &mut w);
                w.varint(dirty.len() as u64);
                for (segment, bytes) in dirty {
                    w.varint(segment.0);
                    w.block(bytes);
                }
            }
            Self::RemoveSegments { ids, replaced_by } => {
                write_ids(ids, &mut w);
                write_ids(replaced_by, &mut w);
            }
            Self::AddLog { id, first_sequence } => {
                w.varint(id.0);
                w.varint(*first_sequence);
            }
            Self::RemoveLogs { ids } => write_ids(ids, &mut w),
            Self::NextFileId { id } => w.varint(id.0),
            Self::SetDirty { segment, bytes } | Self::SetDeleted { segment, bytes } => {
                w.varint(segment.0);
                w.block(bytes);
            }
            Self::Retired { segments, logs } => {
                write_ids(segments, &mut w);
                write_ids(logs, &mut w);
            }
            Self::SetClock(clock) => {
                w.varint(clock.retention_nanos);
                w.varint(clock.wall_nanos);
                w.u8(u8::from(clock.held));
            }
        }
        out.u8(self.code());
        out.block(w.as_slice());
    }

    /// Reads the next edit.
    ///
    /// # Errors
    /// Corrupt if the bytes are no edit; Unsupported, naming the code, if this build does not know it.
    pub fn read(r: &mut Reader<'_>) -> Result<Self> {
        let code = r.u8("edit code")?;
        let mut fields = Reader::new(r.block("edit")?);
        let edit = Self::read_fields(code, &mut fields)?;
        fields.finish("edit")?;
        Ok(edit)
    }

    fn read_fields(code: u8, r: &mut Reader<'_>) -> Result<Self> {
        Ok(match code {
            1 => {
                let info = SegmentInfo::read(r)?;
                let replaced_logs = read_ids(r, "replaced logs")?;
                let count = r.count(2, "dirty segments")?;
                let dirty = (0..count).map(|_| Ok((read_id(r)?, r.block("dirty traces")?.to_vec())));
                Self::AddSegment { info, replaced_logs, dirty: dirty.collect::<Result<_>>()? }
            }
            2 => Self::RemoveSegments {
                ids: read_ids(r, "removed segments")?,
                replaced_by: read_ids(r, "replacing segments")?,
            },
            3 => Self::AddLog { id: read_id(r)?, first_sequence: r.varint("first sequence")? },
            4 => Self::RemoveLogs { ids: read_ids(r, "removed logs")? },
            5 => Self::NextFileId { id: read_id(r)? },
            6 => Self::SetDirty { segment: read_id(r)?, bytes: r.block("dirty traces")?.to_vec() },
            7 => Self::Retired { segments: read_ids(r, "retired segments")?, logs: read_ids(r, "retired logs")? },
            8 => Self::SetDeleted { segment: read_id(r)?, bytes: r.block("deleted traces")?.to_vec() },
            9 => Self::SetClock(ClockState {
                retention_nanos: r.varint("retention time")?,
                wall_nanos: r.varint("wall time")?,
                held: r.u8("clock held")? != 0,
            }),
            _ => {
                let message = format!("manifest edit of unknown code {code}: written by a newer tailspan, use that");
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        })
    }
}

impl SegmentInfo {
    fn write(&self, w: &mut Writer) {
        for number in [self.id.0, self.rows, self.traces, self.bytes, self.sequences.start, self.sequences.end] {
            w.varint(number);
        }
        let starts = if self.starts.is_some() { HAS_STARTS } else { 0 };
        let end = if self.max_end.is_some() { HAS_END } else { 0 };
        w.u8(starts | end);
        if let Some((min, max)) = self.starts {
            w.varint(min);
            w.varint(max);
        }
        if let Some(end) = self.max_end {
            w.varint(end);
        }
        w.varint(self.received.0);
        w.varint(self.received.1);
        w.varint(self.merges.into());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let id = read_id(r)?;
        let rows = r.varint("segment's rows")?;
        let traces = r.varint("segment's traces")?;
        let bytes = r.varint("segment's bytes")?;
        let sequences = r.varint("segment's first sequence")?..r.varint("segment's next sequence")?;
        let flags = r.u8("segment's flags")?;
        ensure(flags & !(HAS_STARTS | HAS_END) == 0, || format!("segment's flags {flags:#04x} are unknown"))?;
        let starts =
            if flags & HAS_STARTS != 0 { Some((r.varint("min start")?, r.varint("max start")?)) } else { None };
        let max_end = if flags & HAS_END != 0 { Some(r.varint("max end")?) } else { None };
        let received = (r.varint("first received")?, r.varint("last received")?);
        let merges = r.varint("merges")?;
        let merges = u32::try_from(merges).map_err(|_| Error::corrupt(format!("{merges} merges of a segment")))?;
        Ok(Self { id, rows, traces, bytes, sequences, starts, max_end, received, merges })
    }
}

fn write_ids(ids: &[FileId], w: &mut Writer) {
    w.varint(ids.len() as u64);
    ids.iter().for_each(|id| w.varint(id.0));
}

fn read_ids(r: &mut Reader<'_>, what: &str) -> Result<Vec<FileId>> {
    let count = r.count(1, what)?;
    (0..count).map(|_| read_id(r)).collect()
}

fn read_id(r: &mut Reader<'_>) -> Result<FileId> {
    let id = r.varint("file id")?;
    ensure(id > 0, || "file id 0".into())?;
    Ok(FileId(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn every_edit() -> Vec<Edit> {
        let info = SegmentInfo {
            id: FileId(9),
            rows: 300,
            traces: 20,
            bytes: 1 << 40,
            sequences: 5..305,
            starts: Some((0, u64::MAX)),
            max_end: None,
            received: (1 << 60, (1 << 60) + 5),
            merges: 1,
        };
        let without_times = SegmentInfo { starts: None, max_end: Some(7), ..info.clone() };
        vec![
            Edit::AddSegment { info, replaced_logs: vec![FileId(3), FileId(4)], dirty: vec![(FileId(2), vec![1, 2])] },
            Edit::AddSegment { info: without_times, replaced_logs: vec![], dirty: vec![] },
            Edit::RemoveSegments { ids: vec![FileId(1), FileId(2)], replaced_by: vec![FileId(9)] },
            Edit::AddLog { id: FileId(10), first_sequence: 305 },
            Edit::RemoveLogs { ids: vec![FileId(u64::MAX)] },
            Edit::NextFileId { id: FileId(64) },
            Edit::SetDirty { segment: FileId(9), bytes: vec![7; 300] },
            Edit::Retired { segments: vec![FileId(1)], logs: vec![] },
            Edit::SetDeleted { segment: FileId(9), bytes: vec![1] },
            Edit::SetClock(ClockState { retention_nanos: 5, wall_nanos: u64::MAX, held: true }),
        ]
    }

    fn written(edit: &Edit) -> Vec<u8> {
        let mut w = Writer::new();
        edit.write(&mut w);
        w.into_vec()
    }

    #[test]
    fn every_edit_comes_back_as_it_was_written() {
        for edit in every_edit() {
            let bytes = written(&edit);
            let mut r = Reader::new(&bytes);
            assert_eq!(Edit::read(&mut r).unwrap(), edit);
            assert!(r.is_empty());
        }
    }

    #[test]
    fn a_truncated_edit_is_corrupt() {
        for edit in every_edit() {
            let bytes = written(&edit);
            for len in 0..bytes.len() {
                let error = Edit::read(&mut Reader::new(&bytes[..len])).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{edit:?} cut to {len}");
            }
        }
    }

    #[test]
    fn an_unknown_code_is_named() {
        for code in [0, 10, 255] {
            let error = Edit::read(&mut Reader::new(&[code, 1, 0])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(&format!("code {code}")), "{error}");
        }
    }

    #[test]
    fn fields_too_many_are_corrupt() {
        let error = Edit::read(&mut Reader::new(&[5, 2, 64, 0])).unwrap_err();
        assert_eq!(error.to_string(), "edit: 1 bytes too many");
    }

    #[test]
    fn the_bytes_of_an_edit_are_these() {
        assert_eq!(written(&Edit::AddLog { id: FileId(10), first_sequence: 305 }), [3, 3, 10, 0xb1, 2]);
    }
}
