//! Where the bytes of a segment went.

use crate::bytes::Reader;
use crate::column::{RowSource, Table};
use crate::error::Result;

use super::layout::{FIELD_COLUMN_FIRST, Fixed, OVERFLOW_COLUMN_FIRST, PAGE_ENTRY_LEN, SectionKind};
use super::overflow::columns_of_terms;
use super::rank_lists::is_rank_list;
use super::reader::Segment;

/// Bytes of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Name of the column or index.
    pub name: String,
    /// Its bytes, page directory or offsets included.
    pub bytes: u64,
    /// What it is for.
    pub part: UsagePart,
}

/// What bytes are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsagePart {
    /// Data.
    Column,
    /// An index, which could be rebuilt.
    Index,
    /// A rollup, steps or tail lists, which could be rebuilt too.
    Rollup,
}

impl Segment {
    /// Bytes by column and index, in file order. Names may repeat.
    ///
    /// # Errors
    /// Corrupt if the tables that hold the names are damaged.
    pub fn usage(&self) -> Result<Vec<Usage>> {
        let mut out = Vec::new();
        for column in &self.directory().columns {
            let name = self.column_name(column.code)?;
            let pages = self.section(SectionKind::PageDirectory, column.code)?.unwrap_or_default();
            let last = pages.len().checked_sub(PAGE_ENTRY_LEN).and_then(|at| pages.get(at..));
            let end = last.map_or(Ok(0), |entry| Reader::new(entry).u32("page end"))?;
            out.push(Usage { name, bytes: u64::from(end), part: UsagePart::Column });
        }
        for section in &self.directory().sections {
            let kind = SectionKind::from_code(section.kind);
            let (name, part) = match kind {
                Some(SectionKind::PageDirectory | SectionKind::Templates) => {
                    (self.column_name(section.key)?, UsagePart::Column)
                }
                Some(SectionKind::Dictionary) => {
                    (self.column_name(FIELD_COLUMN_FIRST + section.key)?, UsagePart::Column)
                }
                Some(SectionKind::Terms) => {
                    (format!("terms of {}", self.column_name(columns_of_terms(section.key).0)?), UsagePart::Index)
                }
                Some(SectionKind::TraceIndex) => ("trace ids".to_owned(), UsagePart::Index),
                Some(SectionKind::Zones) => ("zones".to_owned(), UsagePart::Index),
                Some(SectionKind::ServicePages) => ("service pages".to_owned(), UsagePart::Index),
                Some(SectionKind::RemotePages) => ("remote service pages".to_owned(), UsagePart::Index),
                Some(SectionKind::ClassPages) => ("class pages".to_owned(), UsagePart::Index),
                Some(SectionKind::DurationPages) => ("duration pages".to_owned(), UsagePart::Index),
                Some(SectionKind::PageOrdinals | SectionKind::SparseStarts) => {
                    ("row lists".to_owned(), UsagePart::Column)
                }
                Some(SectionKind::Schema | SectionKind::Strings | SectionKind::Told) => {
                    ("classes".to_owned(), UsagePart::Column)
                }
                Some(SectionKind::Resources | SectionKind::Scopes) => ("resources".to_owned(), UsagePart::Column),
                Some(SectionKind::Rollup) => ("rollup".to_owned(), UsagePart::Rollup),
                Some(SectionKind::Steps) => ("steps".to_owned(), UsagePart::Rollup),
                Some(SectionKind::TailLists) => ("tail lists".to_owned(), UsagePart::Rollup),
                Some(SectionKind::OddTraces) => ("odd traces".to_owned(), UsagePart::Rollup),
                Some(SectionKind::CellPages) => ("cell pages".to_owned(), UsagePart::Rollup),
                None => ("unknown".to_owned(), UsagePart::Column),
            };
            out.push(Usage { name, bytes: section.len, part });
        }
        Ok(out)
    }

    fn field_name(&self, field: u32) -> Result<String> {
        let source = self.source()?;
        let Some(field) = source.schema().fields.get(field as usize) else { return Ok("unknown".to_owned()) };
        let prefix = match field.table {
            Table::Span => "",
            Table::Event => "event:",
            Table::Link => "link:",
        };
        Ok(format!("{prefix}{}", source.text(field.key)))
    }

    fn column_name(&self, code: u32) -> Result<String> {
        if is_rank_list(code) {
            return Ok("ranks".to_owned());
        }
        if code >= OVERFLOW_COLUMN_FIRST {
            return Ok("overflow".to_owned());
        }
        if code >= FIELD_COLUMN_FIRST {
            return self.field_name(code - FIELD_COLUMN_FIRST);
        }
        let fixed = Fixed::ALL.into_iter().find(|fixed| *fixed as u32 == code);
        Ok(fixed.map_or("unknown", Fixed::name).to_owned())
    }
}
