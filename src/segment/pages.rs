//! Pages of a segment by column and number, each verified at its first use.
//!
//! A page that was read once is known to be whole as long as the segment is open, as a section is: who must know
//! about the bytes of now ([`Segment::verify`], a merge, which gives what it reads new checksums) doubts first.

use std::sync::atomic::{AtomicU64, Ordering};

use rustc_hash::FxHashMap;

use crate::bytes::{Reader, checksum, zigzag_decode};
use crate::encoding::{Strings, decode_integers, decode_strings_with};
use crate::error::{Error, Result, ensure};
use crate::limits::PAGE_ROWS;
use crate::os::defects::{self, Defect};
use crate::part::ReadCounter;

use super::layout::{ColumnEntry, ColumnForm, Fixed, PAGE_ENTRY_LEN, SectionKind, SegmentDirectory};
use super::reader::Segment;

/// A column of an open segment.
#[derive(Debug)]
pub(super) struct OpenColumn {
    pub(super) entry: ColumnEntry,
    /// The place of its page directory among the sections.
    directory: Option<usize>,
    /// The mark of its first page.
    first_mark: usize,
}

/// The columns of a segment by code, and the count of all their pages.
pub(super) fn open_columns(
    directory: &SegmentDirectory,
    sections: &FxHashMap<(u8, u32), usize>,
) -> (FxHashMap<u32, OpenColumn>, usize) {
    let (mut out, mut pages) = (FxHashMap::default(), 0);
    for entry in &directory.columns {
        let of_pages = sections.get(&(SectionKind::PageDirectory as u8, entry.code)).copied();
        out.insert(entry.code, OpenColumn { entry: *entry, directory: of_pages, first_mark: pages });
        // No more pages than the directory has entries for, whatever the count of values says.
        let listed = of_pages.map_or(0, |at| directory.sections[at].len as usize / PAGE_ENTRY_LEN);
        pages += listed.min((entry.values as usize).div_ceil(PAGE_ROWS));
    }
    (out, pages)
}

/// Which pages were verified.
#[derive(Debug)]
pub(super) struct PageMarks(Box<[AtomicU64]>);

impl PageMarks {
    /// No page was.
    pub(super) fn new(pages: usize) -> Self {
        Self((0..pages.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    fn has(&self, mark: usize) -> bool {
        self.0.get(mark / 64).is_some_and(|word| word.load(Ordering::Relaxed) >> (mark % 64) & 1 == 1)
    }

    fn set(&self, mark: usize) {
        if let Some(word) = self.0.get(mark / 64) {
            word.fetch_or(1 << (mark % 64), Ordering::Relaxed);
        }
    }

    pub(super) fn clear(&self) {
        self.0.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }
}

impl Segment {
    /// The encoded bytes of a page and the count of its values.
    ///
    /// # Errors
    /// Corrupt if the column or page is missing or its checksum differs.
    pub fn page(&self, column: u32, page: usize, counter: &ReadCounter) -> Result<(&[u8], usize)> {
        let missing = || Error::corrupt(format!("segment {}: column {column} has no page {page}", self.name()));
        let open = self.columns.get(&column).ok_or_else(missing)?;
        let first = (page * PAGE_ROWS) as u64;
        let count = open.entry.values.saturating_sub(first).min(PAGE_ROWS as u64) as usize;
        ensure(count > 0, || format!("segment {}: column {column}, page {page} is empty", self.name()))?;
        let (from, to, sum) = self.place_in(open, page)?;
        let mut bytes = self.file_range(from, to)?;
        counter.count_page(bytes.len());
        let mark = open.first_mark + page;
        if !self.pages_verified.has(mark) {
            if checksum(self.seed(), from, bytes) == sum {
                self.pages_verified.set(mark);
            } else if !defects::active(Defect::SkipPageChecksum) {
                let mended = self.mend(from, bytes, sum);
                bytes = mended.ok_or_else(|| self.damaged(format!("column {column}, page {page}"), from))?;
            }
        }
        Ok((bytes, count))
    }

    /// First byte and end of a page in the file, and its checksum.
    pub(super) fn place_of_page(&self, column: u32, page: usize) -> Result<(u64, u64, u32)> {
        let missing = || Error::corrupt(format!("segment {}: column {column} has no page {page}", self.name()));
        self.place_in(self.columns.get(&column).ok_or_else(missing)?, page)
    }

    fn place_in(&self, column: &OpenColumn, page: usize) -> Result<(u64, u64, u32)> {
        let OpenColumn { entry, directory, .. } = column;
        let missing = || Error::corrupt(format!("segment {}: column {} has no page {page}", self.name(), entry.code));
        let directory = self.section_at(directory.ok_or_else(missing)?)?;
        let end_at = |page: usize| -> Option<(u64, u32)> {
            let bytes = directory.get(page * PAGE_ENTRY_LEN..(page + 1) * PAGE_ENTRY_LEN)?;
            let mut reader = Reader::new(bytes);
            Some((reader.u32("page end").ok()?.into(), reader.u32("page checksum").ok()?))
        };
        let (end, sum) = end_at(page).ok_or_else(missing)?;
        let start = if page == 0 { 0 } else { end_at(page - 1).ok_or_else(missing)?.0 };
        Ok((entry.offset + start, entry.offset + end, sum))
    }

    /// Decodes a page of integers; zigzag is undone.
    ///
    /// # Errors
    /// As [`Segment::page`], and corrupt if the page does not decode.
    pub fn integers(&self, column: u32, page: usize, counter: &ReadCounter, out: &mut Vec<u64>) -> Result<()> {
        let (bytes, count) = self.page(column, page, counter)?;
        self.integers_of(bytes, count, column, page, out)
    }

    /// Decodes the bytes of this page of integers.
    ///
    /// # Errors
    /// As [`Segment::integers`].
    pub fn integers_of(&self, bytes: &[u8], count: usize, column: u32, page: usize, out: &mut Vec<u64>) -> Result<()> {
        decode_integers(bytes, count, out).map_err(|e| self.in_page(e, column, page))?;
        if self.columns[&column].entry.form == ColumnForm::Zigzag as u8 {
            out.iter_mut().for_each(|v| *v = zigzag_decode(*v) as u64);
        }
        Ok(())
    }

    /// Decodes a page of byte strings.
    ///
    /// # Errors
    /// As [`Segment::integers`].
    pub fn strings(&self, column: u32, page: usize, counter: &ReadCounter, out: &mut Strings) -> Result<()> {
        let (bytes, count) = self.page(column, page, counter)?;
        self.strings_of(bytes, count, column, page, out)
    }

    /// Decodes the bytes of this page of byte strings.
    ///
    /// # Errors
    /// As [`Segment::integers`].
    pub fn strings_of(&self, bytes: &[u8], count: usize, column: u32, page: usize, out: &mut Strings) -> Result<()> {
        decode_strings_with(bytes, count, &self.templates(column)?, out).map_err(|e| self.in_page(e, column, page))
    }

    /// Decodes the page of class codes of span rows, each known to the schema.
    ///
    /// # Errors
    /// As [`Segment::integers`].
    pub fn classes(&self, column: Fixed, page: usize, counter: &ReadCounter, out: &mut Vec<u64>) -> Result<()> {
        self.integers(column as u32, page, counter, out)?;
        let known = self.tables()?.schema.classes.len() as u64;
        let sound = out.iter().all(|class| *class < known);
        ensure(sound, || format!("segment {}, page {page} of {column:?}: unknown class", self.name()))
    }

    pub(super) fn in_page(&self, error: Error, column: u32, page: usize) -> Error {
        error.at(format!("segment {}, column {column}, page {page}", self.name()))
    }
}
