//! What is true of every catalog, as named predicates.
//!
//! They are checked before a commit writes anything and after a manifest was read. A commit that would
//! break one is refused; a manifest that breaks one is treated as damaged.

use crate::error::{Result, ensure};
use crate::log::FileId;

use super::state::Catalog;

/// A predicate: answers what breaks it.
type Predicate = fn(&Catalog) -> Option<String>;

const PREDICATES: [(&str, Predicate); 5] = [
    ("file ids are below the next one", ids_are_below_the_next),
    ("an id names one file", an_id_names_one_file),
    ("a segment holds rows, and no more traces than rows", segments_hold_rows),
    ("a segment's ranges are in order", ranges_are_in_order),
    ("sequences grow from log to log", sequences_grow_from_log_to_log),
];

/// Checks all of them.
///
/// # Errors
/// Corrupt, naming the first that is broken and by what.
pub(super) fn check(catalog: &Catalog) -> Result<()> {
    for (name, predicate) in PREDICATES {
        let broken = predicate(catalog);
        ensure(broken.is_none(), || format!("\"{name}\" does not hold: {}", broken.unwrap_or_default()))?;
    }
    Ok(())
}

fn ids_are_below_the_next(catalog: &Catalog) -> Option<String> {
    let next = catalog.next_file_id();
    let highest = ids(catalog).max()?;
    (highest >= next).then(|| format!("file {highest} exists, the next id is {next}"))
}

fn an_id_names_one_file(catalog: &Catalog) -> Option<String> {
    let mut all: Vec<FileId> = ids(catalog).collect();
    all.sort_unstable();
    let twice = all.windows(2).find(|pair| pair[0] == pair[1])?;
    Some(format!("file {} is named twice", twice[0]))
}

fn ids(catalog: &Catalog) -> impl Iterator<Item = FileId> {
    let segments = catalog.segments().map(|segment| segment.info.id);
    let logs = catalog.logs().map(|(id, _)| id);
    let retired = catalog.retired_segments().iter().chain(catalog.retired_logs()).copied();
    segments.chain(logs).chain(retired)
}

fn segments_hold_rows(catalog: &Catalog) -> Option<String> {
    let bad = catalog.segments().map(|s| &s.info).find(|info| info.traces == 0 || info.traces > info.rows)?;
    Some(format!("segment {} has {} rows of {} traces", bad.id, bad.rows, bad.traces))
}

fn ranges_are_in_order(catalog: &Catalog) -> Option<String> {
    let backwards = |info: &&super::edit::SegmentInfo| {
        info.sequences.start > info.sequences.end || info.starts.is_some_and(|(min, max)| min > max)
    };
    let bad = catalog.segments().map(|s| &s.info).find(backwards)?;
    Some(format!("segment {} has sequences {:?} and starts {:?}", bad.id, bad.sequences, bad.starts))
}

fn sequences_grow_from_log_to_log(catalog: &Catalog) -> Option<String> {
    let logs: Vec<(FileId, u64)> = catalog.logs().collect();
    let bad = logs.windows(2).find(|pair| pair[0].1 > pair[1].1)?;
    Some(format!("log {} begins at {}, log {} at {}", bad[0].0, bad[0].1, bad[1].0, bad[1].1))
}

#[cfg(test)]
mod tests {
    use super::super::edit::Edit;
    use super::super::testing::{add_log, add_segment, segment_info};
    use super::*;

    fn broken(edits: &[Edit]) -> String {
        let mut all = vec![Edit::NextFileId { id: FileId(64) }];
        all.extend_from_slice(edits);
        Catalog::default().with(&all).unwrap_err().to_string()
    }

    #[test]
    fn an_id_that_was_never_reserved_is_refused() {
        assert!(broken(&[add_log(64)]).contains("file ids are below the next one"));
    }

    #[test]
    fn an_id_shared_by_a_log_and_a_segment_is_refused() {
        assert!(broken(&[add_log(3), add_segment(3, &[])]).contains("an id names one file"));
    }

    #[test]
    fn a_segment_without_rows_or_with_ranges_out_of_order_is_refused() {
        let add = |info| Edit::AddSegment { info, replaced_logs: vec![], dirty: vec![] };
        let empty = super::super::edit::SegmentInfo { rows: 0, ..segment_info(1) };
        assert!(broken(&[add(empty)]).contains("a segment holds rows"));
        let backwards = super::super::edit::SegmentInfo { starts: Some((2, 1)), ..segment_info(1) };
        assert!(broken(&[add(backwards)]).contains("ranges are in order"));
    }

    #[test]
    fn logs_whose_sequences_fall_are_refused() {
        let late = Edit::AddLog { id: FileId(1), first_sequence: 10_000 };
        assert!(broken(&[late, add_log(2)]).contains("sequences grow"));
    }
}
