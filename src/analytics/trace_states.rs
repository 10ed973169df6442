//! The sampling thresholds of the spans of a part, from its column of trace states.
//!
//! A trace state is a rare field of spans. A part whose schema has none has no threshold, and neither has a segment
//! in whose dictionary none is found; both are known without reading a page.

use crate::catalog::Snapshot;
use crate::column::{Field, RowSource, Table, internal};
use crate::error::Result;
use crate::query::{FieldOf, MatchPart, MatchedPage, RawValue};
use crate::segment::Segment;

use super::part_tables::FieldTable;
use super::sampling::Threshold;

/// False if no span of the snapshot has a threshold.
pub fn may_have_thresholds(snapshot: &Snapshot) -> bool {
    snapshot.segments.iter().any(|part| segment_may(&part.segment))
        || snapshot.chapters.iter().any(|chapter| state_field(&***chapter).is_some())
}

/// False if no span of the segment has a threshold. One that cannot be read may have: who reads it tells of the
/// damage.
fn segment_may(segment: &Segment) -> bool {
    let read = || -> Result<bool> {
        let Some(field) = state_field(&segment.source()?) else { return Ok(false) };
        let own = !segment.field_column(field)?.shared;
        let Some(states) = segment.dictionary(field)?.filter(|_| own) else { return Ok(true) };
        Ok(states.iter().any(|state| Threshold::in_trace_state(state).is_some()))
    };
    read().unwrap_or(true)
}

/// The field of the trace states of spans, if a span has one.
fn state_field(tables: &dyn RowSource) -> Option<u32> {
    let is_state =
        |field: &Field| field.table == Table::Span && field.internal && tables.text(field.key) == internal::TRACE_STATE;
    tables.schema().fields.iter().position(is_state).map(|code| code as u32)
}

/// The trace states of one part, each distinct one read once where the part numbers them.
pub struct PartStates {
    table: FieldTable,
    /// By entry of the dictionary: not yet read, without a threshold, or with one.
    entries: Vec<Option<Option<Threshold>>>,
}

impl PartStates {
    /// `None` if no row of the part has a threshold.
    pub fn new(part: &MatchPart<'_>) -> Option<Self> {
        if part.segment().is_some_and(|segment| !segment_may(segment)) {
            return None;
        }
        let field = state_field(part.tables())?;
        Some(Self { table: FieldTable::new(part, field), entries: Vec::new() })
    }

    /// True if a row of these classes has a trace state.
    pub fn any(&self, classes: &[u32]) -> bool {
        classes.iter().any(|class| self.table.per_class[*class as usize] > 0)
    }

    /// The matching rows of a page that have a threshold, ascending, and these.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn thresholds(&mut self, page: &MatchedPage<'_>) -> Result<(Vec<u16>, Vec<Threshold>)> {
        let (mut rows, mut thresholds) = (Vec::new(), Vec::new());
        let Self { table, entries } = self;
        let known = FieldOf { field: table.field, value_type: table.value_type, per_class: &table.per_class };
        page.each_value(known, &mut |row, raw| {
            if page.rows.contains(row)
                && let Some(threshold) = threshold_of(raw, entries)
            {
                rows.push(row as u16);
                thresholds.push(threshold);
            }
            Ok(())
        })?;
        Ok((rows, thresholds))
    }
}

fn threshold_of(raw: RawValue<'_>, entries: &mut Vec<Option<Option<Threshold>>>) -> Option<Threshold> {
    match raw {
        RawValue::Number(_) => None,
        RawValue::Bytes(state) => Threshold::in_trace_state(state),
        RawValue::Entry(entry, state) => {
            let at = entry as usize;
            if entries.len() <= at {
                entries.resize(at + 1, None);
            }
            *entries[at].get_or_insert_with(|| Threshold::in_trace_state(state))
        }
    }
}
