//! How the columns that every segment has are written, with what helps to search them.

use crate::bytes::as_bytes;
use crate::error::Result;
use crate::index::build_trace_index;
use crate::limits::PAGE_ROWS;

use super::by_service::ByService;
use super::layout::{ColumnForm, Fixed, SectionKind};
use super::unite::United;
use super::writer::SegmentWriter;

/// Writes one of them, and its index if it has one.
///
/// # Errors
/// Whatever the file says.
pub fn write_fixed(column: Fixed, values: &[u64], out: &mut SegmentWriter) -> Result<()> {
    out.integers(column as u32, ColumnForm::Integers, values)?;
    if column.is_sparse() {
        let starts: Vec<u32> = values.iter().step_by(PAGE_ROWS).map(|row| *row as u32).collect();
        out.section(SectionKind::SparseStarts, column as u32, as_bytes(&starts))?;
    }
    if column == Fixed::TraceLow {
        out.section(SectionKind::TraceIndex, 0, &build_trace_index(values))?;
    }
    Ok(())
}

/// Writes the column of resources, given with the class of each row.
///
/// # Errors
/// Whatever the file says.
pub fn write_resources(
    united: &United<'_>,
    rows: impl ExactSizeIterator<Item = (u32, u32)> + Clone,
    out: &mut SegmentWriter,
) -> Result<()> {
    let by_service = ByService::of(&united.services, &united.resource_rows);
    match by_service.places(&united.services, united.classes(), rows.clone()) {
        Some(places) => out.integers(Fixed::Resource as u32, ColumnForm::ByService, &places),
        None => write_fixed(Fixed::Resource, &rows.map(|(_, resource)| resource.into()).collect::<Vec<_>>(), out),
    }
}

/// Writes which trace the first row of every page belongs to; `first_rows` are those of the traces, the
/// first of them 0.
///
/// # Errors
/// Whatever the file says.
pub fn write_page_ordinals(rows: usize, first_rows: &[u64], out: &mut SegmentWriter) -> Result<()> {
    let starts = (0..rows).step_by(PAGE_ROWS).map(|row| row as u64);
    let ordinals: Vec<u32> = starts.map(|row| first_rows.partition_point(|first| *first <= row) as u32 - 1).collect();
    out.section(SectionKind::PageOrdinals, 0, as_bytes(&ordinals))
}
