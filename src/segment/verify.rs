//! Reading every byte of a segment to see whether it is as it was written.

use crate::encoding::{Strings, TemplateTable};
use crate::error::{Error, Result};
use crate::index::rollup::{
    CellPages, EdgeCodes, GroupCodes, GroupKey, OperationCodes, Rollup, Steps, TailHeads, TailLists,
};
use crate::index::{CodeIndex, Page, TermIndex, TraceIndex, TraceSet, ZoneMap};
use crate::limits::PAGE_ROWS;
use crate::part::ReadCounter;

use super::dictionary::DictionaryView;
use super::layout::{
    ColumnEntry, ColumnForm, EDGE_TAILS, Fixed, ROLLUP_GROUPS, SectionKind, encode_footer, encode_header,
};
use super::overflow::columns_of_terms;
use super::rank_lists::is_rank_list;
use super::reader::Segment;

/// The problem of a unit that is read all the same.
const MENDED: &str = "checksum differs; parity mends it";

/// One damaged section or page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitDamage {
    /// First byte in the file.
    pub offset: u64,
    /// What it is: a section's or a column's name.
    pub unit: String,
    /// What is wrong.
    pub problem: String,
    /// Rows that cannot be read in full because of it.
    pub rows_affected: u64,
}

impl Segment {
    /// Reads every section and page; the damaged ones, in file order. What parity mends affects no row.
    pub fn verify(&self) -> Vec<UnitDamage> {
        match self.afresh() {
            None => self.verify_here(),
            Some(Ok(segment)) => segment.verify_here(),
            Some(Err(error)) => {
                let (unit, rows_affected) = ("directory".to_owned(), self.directory().rows);
                vec![UnitDamage { offset: 0, unit, problem: error.to_string(), rows_affected }]
            }
        }
    }

    fn verify_here(&self) -> Vec<UnitDamage> {
        self.doubt();
        let mut out = self.verify_ends();
        for section in &self.directory().sections {
            let kind = SectionKind::from_code(section.kind);
            let unit = format!("section {kind:?} {}", section.key);
            let checked = self.verify_section(section.kind, section.key);
            out.extend(self.damage_of(unit, section.offset, checked, self.rows_behind(kind)));
        }
        for column in &self.directory().columns {
            for page in 0..(column.values as usize).div_ceil(PAGE_ROWS) {
                let offset = self.place_of_page(column.code, page).map_or(column.offset, |(from, _, _)| from);
                let unit = format!("column {} page {page}", column.code);
                let numbers = PAGE_ROWS as u64;
                let rows = if is_rank_list(column.code) { numbers * numbers } else { numbers };
                let rows = rows.min(self.directory().rows);
                out.extend(self.damage_of(unit, offset, self.verify_page(column, page), rows));
            }
        }
        out.sort_by_key(|damage| damage.offset);
        out
    }

    fn damage_of(&self, unit: String, offset: u64, checked: Result<()>, rows: u64) -> Option<UnitDamage> {
        let (problem, rows_affected) = match checked {
            Err(error) => (error.to_string(), rows),
            Ok(()) if self.mended(offset).is_some() => (MENDED.to_owned(), 0),
            Ok(()) => return None,
        };
        Some(UnitDamage { offset, unit, problem, rows_affected })
    }

    /// Header, parity and both directories: of each there is another copy, or it is one.
    fn verify_ends(&self) -> Vec<UnitDamage> {
        let (parity, seed) = (self.directory().parity, self.seed());
        let directory = self.directory().encode();
        let differs = |from: u64, written: &[u8]| {
            let end = from.saturating_add(written.len() as u64);
            self.file_range(from, end).ok() != Some(written)
        };
        let mut out = Vec::new();
        let mut damaged = |offset: u64, unit: &str, problem: &str| {
            let (unit, problem) = (unit.to_owned(), problem.to_owned());
            out.push(UnitDamage { offset, unit, problem, rows_affected: 0 });
        };
        if differs(0, &encode_header(seed)) {
            damaged(0, "header", "it is not as it was written; the directory tells the same");
        }
        if self.parity().is_none() {
            damaged(parity.offset, "parity", "checksum differs; further damage cannot be mended");
        }
        for (name, at) in
            [("directory", parity.covered), ("second directory", parity.offset.saturating_add(parity.len.into()))]
        {
            let footer = encode_footer(seed, at, &directory);
            if differs(at, &directory) || differs(at.saturating_add(directory.len() as u64), &footer) {
                damaged(at, name, "it is not as it was written; the other one is");
            }
        }
        out
    }

    /// Fails at the first damage.
    ///
    /// # Errors
    /// Corrupt, naming the unit.
    pub fn verify_all(&self) -> Result<()> {
        match self.verify().into_iter().next() {
            None => Ok(()),
            Some(damage) => {
                Err(Error::corrupt(format!("segment {}, {}: {}", self.name(), damage.unit, damage.problem)))
            }
        }
    }

    /// True if rows cannot be read in full; what is mended, or an index, is no loss.
    pub fn has_lost_rows(&self) -> bool {
        self.verify().iter().any(|damage| damage.rows_affected > 0)
    }

    /// An index is rebuilt from the columns; tables and directories are not.
    fn rows_behind(&self, kind: Option<SectionKind>) -> u64 {
        match kind {
            Some(
                SectionKind::TraceIndex
                | SectionKind::Zones
                | SectionKind::ServicePages
                | SectionKind::RemotePages
                | SectionKind::ClassPages
                | SectionKind::DurationPages
                | SectionKind::Terms
                | SectionKind::Rollup
                | SectionKind::Steps
                | SectionKind::TailLists
                | SectionKind::CellPages
                | SectionKind::OddTraces,
            ) => 0,
            _ => self.directory().rows,
        }
    }

    fn verify_section(&self, kind: u8, key: u32) -> Result<()> {
        let unknown = || Error::corrupt(format!("section kind {kind} is unknown"));
        let kind = SectionKind::from_code(kind).ok_or_else(unknown)?;
        let bytes = self.section(kind, key)?.ok_or_else(unknown)?;
        let pages = self.row_pages();
        match kind {
            SectionKind::Schema | SectionKind::Told | SectionKind::Resources | SectionKind::Scopes => {
                self.tables().map(|_| ())
            }
            SectionKind::Strings | SectionKind::Dictionary => DictionaryView::open(bytes)?.validate(),
            SectionKind::Templates => TemplateTable::open(bytes)?.validate(),
            SectionKind::TraceIndex => TraceIndex::open(bytes, self.traces()).map(|_| ()),
            SectionKind::Zones => ZoneMap::open(bytes, pages).map(|_| ()),
            SectionKind::ServicePages
            | SectionKind::RemotePages
            | SectionKind::ClassPages
            | SectionKind::DurationPages => {
                let index = CodeIndex::<Page>::open(bytes, pages)?;
                (0..index.codes()).try_for_each(|code| index.get(code).map(|_| ()))
            }
            SectionKind::Terms => {
                let ranks = self.column(columns_of_terms(key).1).map_or(1, |c| c.values);
                TermIndex::open(bytes, ranks.saturating_sub(1) as u32).map(|_| ())
            }
            SectionKind::Rollup if key == ROLLUP_GROUPS => verify_rollup(&Rollup::<GroupCodes>::open(bytes)?),
            SectionKind::Rollup => verify_rollup(&Rollup::<EdgeCodes>::open(bytes)?),
            SectionKind::Steps => Steps::open(bytes)?.each_step(|_, cells| cells.each(|_| true, |_, _| Ok(()))),
            SectionKind::TailLists if key == EDGE_TAILS => verify_tails::<EdgeCodes>(bytes, self.rows()),
            SectionKind::TailLists => verify_tails::<OperationCodes>(bytes, self.rows()),
            SectionKind::OddTraces => TraceSet::read(bytes, self.traces()).map(|_| ()),
            SectionKind::CellPages => {
                let cells = CellPages::open(bytes, pages)?;
                (0..cells.operations()).try_for_each(|place| cells.each_page(place, |_| false, |_| {}))
            }
            SectionKind::PageOrdinals => self.page_ordinals().map(|_| ()),
            SectionKind::PageDirectory | SectionKind::SparseStarts => Ok(()),
        }
    }

    fn verify_page(&self, column: &ColumnEntry, page: usize) -> Result<()> {
        let counter = ReadCounter::default();
        if column.form == ColumnForm::Strings as u8 {
            return self.strings(column.code, page, &counter, &mut Strings::default());
        }
        let mut values = Vec::new();
        match [Fixed::Class, Fixed::EventClass, Fixed::LinkClass].into_iter().find(|c| *c as u32 == column.code) {
            Some(class) => self.classes(class, page, &counter, &mut values),
            None => self.integers(column.code, page, &counter, &mut values),
        }
    }
}

fn verify_rollup<K: GroupKey>(rollup: &Rollup<'_, K>) -> Result<()> {
    rollup.groups().try_for_each(|group| group.map(|_| ()))
}

fn verify_tails<K: GroupKey>(bytes: &[u8], rows: u32) -> Result<()> {
    let heads = TailHeads::<K>::read(bytes, rows)?;
    let lists = TailLists::new(&heads, bytes);
    (0..lists.operations().len()).try_for_each(|place| lists.list(place).map(|_| ()))
}
