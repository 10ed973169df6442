//! Small edits for tests.

use crate::log::FileId;

use super::edit::{Edit, SegmentInfo};

pub(crate) fn segment_info(id: u64) -> SegmentInfo {
    SegmentInfo {
        id: FileId(id),
        rows: 10,
        traces: 3,
        bytes: 1000,
        sequences: id * 100..id * 100 + 10,
        starts: Some((1, 2)),
        max_end: Some(3),
        received: (id, id + 1),
        merges: 0,
    }
}

pub(crate) fn add_segment(id: u64, replaced_logs: &[u64]) -> Edit {
    let replaced_logs = replaced_logs.iter().copied().map(FileId).collect();
    Edit::AddSegment { info: segment_info(id), replaced_logs, dirty: Vec::new() }
}

pub(crate) fn add_log(id: u64) -> Edit {
    Edit::AddLog { id: FileId(id), first_sequence: id * 100 }
}
