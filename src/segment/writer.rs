//! Writes a segment from front to back: pages as they are made, then sections, directory, footer.

use crate::bytes::{Seed, Writer, checksum};
use crate::encoding::{choose_integers, choose_strings, encode_integers, encode_strings};
use crate::error::{Error, Result};
use crate::limits::PAGE_ROWS;
use crate::os::WritableFile;

use super::layout::{
    ColumnEntry, ColumnForm, HEADER_LEN, Section, SectionKind, SegmentDirectory, encode_footer, encode_header,
};

/// Bytes gathered before they are handed to the file.
const BUFFER_LEN: usize = 1 << 20;
/// Pages a column's codec is chosen on.
const SAMPLE_PAGES: usize = 8;

/// A segment being written.
pub struct SegmentWriter {
    file: Box<dyn WritableFile>,
    seed: Seed,
    buffer: Vec<u8>,
    flushed: u64,
    directory: SegmentDirectory,
    page: Vec<u8>,
}

impl SegmentWriter {
    /// Begins a segment in a new file.
    pub fn new(file: Box<dyn WritableFile>, seed: Seed) -> Self {
        let buffer = encode_header(seed);
        debug_assert_eq!(buffer.len(), HEADER_LEN, "the header has its documented length");
        Self { file, seed, buffer, flushed: 0, directory: SegmentDirectory::default(), page: Vec::new() }
    }

    /// The directory, for the counts of the segment.
    pub fn directory(&mut self) -> &mut SegmentDirectory {
        &mut self.directory
    }

    fn offset(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    fn flush(&mut self, at_least: usize) -> Result<()> {
        if self.buffer.len() >= at_least {
            self.file.append(&self.buffer)?;
            self.flushed += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Writes a column of integers.
    ///
    /// # Errors
    /// Whatever the file says; so do all other writes.
    pub fn integers(&mut self, code: u32, form: ColumnForm, values: &[u64]) -> Result<()> {
        let pages: Vec<&[u64]> = values.chunks(PAGE_ROWS).collect();
        let codec = choose_integers(&sample(&pages));
        self.column(code, form, values.len(), pages.len(), |page, out| {
            encode_integers(codec, pages[page], out);
            Ok(())
        })
    }

    /// Writes a column of byte strings.
    ///
    /// # Errors
    /// As [`SegmentWriter::integers`].
    pub fn strings(&mut self, code: u32, values: &[&[u8]]) -> Result<()> {
        let pages: Vec<&[&[u8]]> = values.chunks(PAGE_ROWS).collect();
        let codec = choose_strings(&sample(&pages));
        self.column(code, ColumnForm::Strings, values.len(), pages.len(), |page, out| {
            encode_strings(codec, pages[page], out)
        })
    }

    /// Bytes a column of these strings would take, judged by a few of its pages.
    pub fn strings_len(&self, values: &[&[u8]]) -> usize {
        let pages: Vec<&[&[u8]]> = values.chunks(PAGE_ROWS).collect();
        let samples = sample(&pages);
        let codec = choose_strings(&samples);
        let mut page = Vec::new();
        let fits = samples.iter().all(|values| encode_strings(codec, values, &mut page).is_ok());
        if fits { page.len() * pages.len() / samples.len().max(1) } else { usize::MAX }
    }

    fn column(
        &mut self,
        code: u32,
        form: ColumnForm,
        values: usize,
        pages: usize,
        mut encode: impl FnMut(usize, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let first = self.offset();
        let mut entries = Writer::new();
        let mut page = std::mem::take(&mut self.page);
        for index in 0..pages {
            page.clear();
            encode(index, &mut page)?;
            let sum = checksum(self.seed, self.offset(), &page);
            self.buffer.extend_from_slice(&page);
            let end = u32::try_from(self.offset() - first)
                .map_err(|_| Error::invalid(format!("column {code} exceeds 4 GiB; seal smaller heads")))?;
            entries.u32(end);
            entries.u32(sum);
            self.flush(BUFFER_LEN)?;
        }
        self.page = page;
        self.directory.columns.push(ColumnEntry { code, form: form as u8, values: values as u64, offset: first });
        self.section(SectionKind::PageDirectory, code, entries.as_slice())
    }

    /// Writes a section.
    ///
    /// # Errors
    /// As [`SegmentWriter::integers`].
    pub fn section(&mut self, kind: SectionKind, key: u32, bytes: &[u8]) -> Result<()> {
        let aligned = self.offset().next_multiple_of(8) - self.offset();
        self.buffer.resize(self.buffer.len() + aligned as usize, 0);
        let offset = self.offset();
        let sum = checksum(self.seed, offset, bytes);
        self.buffer.extend_from_slice(bytes);
        let section = Section { kind: kind as u8, key, offset, len: bytes.len() as u64, checksum: sum };
        self.directory.sections.push(section);
        self.flush(BUFFER_LEN)
    }

    /// Writes directory and footer and makes the file's bytes durable. Its name is not: that takes a sync of
    /// the directory.
    ///
    /// # Errors
    /// As [`SegmentWriter::integers`].
    pub fn finish(mut self) -> Result<(SegmentDirectory, u64)> {
        let offset = self.offset();
        let directory = self.directory.encode();
        let footer = encode_footer(self.seed, offset, &directory);
        self.buffer.extend_from_slice(&directory);
        self.buffer.extend_from_slice(&footer);
        self.flush(0)?;
        self.file.sync()?;
        Ok((self.directory, self.flushed))
    }
}

/// A few pages spread over a column.
fn sample<T: Copy>(pages: &[T]) -> Vec<T> {
    let step = pages.len().div_ceil(SAMPLE_PAGES).max(1);
    pages.iter().copied().step_by(step).collect()
}
