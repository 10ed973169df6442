//! Writes a segment from front to back: pages as they are made, then sections, directory, parity, directory again.

use crate::bytes::{Seed, Writer, checksum};
use crate::encoding::{StringEncoder, Strings, choose_integers, encode_integers};
use crate::error::{Error, Result};
use crate::limits::PAGE_ROWS;
use crate::os::WritableFile;

use super::layout::{
    ColumnEntry, ColumnForm, FOOTER_LEN, HEADER_LEN, ParityEntry, Section, SectionKind, SegmentDirectory,
    encode_footer, encode_header,
};
use super::parity::{PARITY_LEN_MAX, ParityStrip, parity_len};

/// Bytes gathered before they are handed to the file.
const BUFFER_LEN: usize = 1 << 20;
/// Pages a column's codec is chosen on.
const SAMPLE_PAGES: usize = 6;

/// A segment being written.
pub struct SegmentWriter {
    file: Box<dyn WritableFile>,
    seed: Seed,
    buffer: Vec<u8>,
    flushed: u64,
    parity: ParityStrip,
    directory: SegmentDirectory,
    page: Vec<u8>,
}

impl SegmentWriter {
    /// Begins a segment in a new file.
    pub fn new(file: Box<dyn WritableFile>, seed: Seed) -> Self {
        let buffer = encode_header(seed);
        debug_assert_eq!(buffer.len(), HEADER_LEN, "the header has its documented length");
        let (parity, directory) = (ParityStrip::new(PARITY_LEN_MAX), SegmentDirectory::default());
        Self { file, seed, buffer, flushed: 0, parity, directory, page: Vec::new() }
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
            self.parity.add(self.flushed, &self.buffer);
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
        let mut encoder = StringEncoder::choose(&sample(&pages));
        self.column(code, ColumnForm::Strings, values.len(), pages.len(), |page, out| {
            encoder.encode(pages[page], out)
        })?;
        self.templates(code, &encoder)
    }

    fn templates(&mut self, code: u32, encoder: &StringEncoder) -> Result<()> {
        encoder.templates().map_or(Ok(()), |table| self.section(SectionKind::Templates, code, table))
    }

    /// Bytes a column of these strings would take, judged by a few of its pages.
    pub fn strings_len(&self, values: &[&[u8]]) -> usize {
        let pages: Vec<&[&[u8]]> = values.chunks(PAGE_ROWS).collect();
        let samples = sample(&pages);
        encoded_len(&StringEncoder::choose(&samples), samples.len(), pages.len())
    }

    fn column(
        &mut self,
        code: u32,
        form: ColumnForm,
        values: usize,
        pages: usize,
        mut encode: impl FnMut(usize, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let mut open = self.begin(code, form);
        for index in 0..pages {
            self.page(&mut open, |page| encode(index, page))?;
        }
        self.end(open, values)
    }

    fn begin(&self, code: u32, form: ColumnForm) -> OpenColumn {
        OpenColumn { code, form, first: self.offset(), entries: Writer::new() }
    }

    fn page(&mut self, open: &mut OpenColumn, encode: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        self.page.clear();
        encode(&mut self.page)?;
        let sum = checksum(self.seed, self.offset(), &self.page);
        self.buffer.extend_from_slice(&self.page);
        let end = u32::try_from(self.offset() - open.first)
            .map_err(|_| Error::invalid(format!("column {} exceeds 4 GiB; seal smaller heads", open.code)))?;
        open.entries.u32(end);
        open.entries.u32(sum);
        self.flush(BUFFER_LEN)
    }

    fn end(&mut self, open: OpenColumn, values: usize) -> Result<()> {
        let (code, form, offset) = (open.code, open.form as u8, open.first);
        self.directory.columns.push(ColumnEntry { code, form, values: values as u64, offset });
        self.section(SectionKind::PageDirectory, code, open.entries.as_slice())
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

    /// Writes parity and directories and makes the file's bytes durable. Its name is not: that takes a sync of
    /// the directory.
    ///
    /// # Errors
    /// As [`SegmentWriter::integers`].
    pub fn finish(mut self) -> Result<(SegmentDirectory, u64)> {
        let covered = self.offset();
        self.parity.add(self.flushed, &self.buffer);
        let strip = self.parity.folded(parity_len(covered));
        let directory_len = self.directory.encode().len() + FOOTER_LEN;
        let offset = covered + directory_len as u64;
        let sum = checksum(self.seed, offset, &strip);
        self.directory.parity = ParityEntry { covered, offset, len: strip.len() as u32, checksum: sum };
        let directory = self.directory.encode();
        for (strip, offset) in [(&strip[..], covered), (&[], offset + strip.len() as u64)] {
            self.buffer.extend_from_slice(&directory);
            self.buffer.extend_from_slice(&encode_footer(self.seed, offset, &directory));
            self.buffer.extend_from_slice(strip);
        }
        self.flush(0)?;
        self.file.sync()?;
        Ok((self.directory, self.flushed))
    }
}

/// A column whose pages are being written.
struct OpenColumn {
    code: u32,
    form: ColumnForm,
    first: u64,
    entries: Writer,
}

/// A few pages spread over a column.
fn sample<T: Copy>(pages: &[T]) -> Vec<T> {
    pages.iter().copied().step_by(sample_step(pages.len())).collect()
}

/// Of how many pages of a column one is a sample.
pub fn sample_step(pages: usize) -> usize {
    pages.div_ceil(SAMPLE_PAGES).max(1)
}

/// The pages of a column of byte strings that tell its codec.
pub struct StringSamples {
    pages_of_column: usize,
    pages: Vec<Strings>,
}

impl StringSamples {
    /// Of a column that will have this many values.
    pub fn of(values: usize) -> Self {
        Self { pages_of_column: values.div_ceil(PAGE_ROWS), pages: Vec::new() }
    }

    /// The next value of the sample pages, which are every [`sample_step`]th.
    ///
    /// # Errors
    /// Invalid if a page has too many bytes.
    pub fn push(&mut self, value: &[u8]) -> Result<()> {
        match self.pages.last_mut().filter(|page| page.len() < PAGE_ROWS) {
            Some(page) => page.push(value),
            None => {
                let mut page = Strings::default();
                page.push(value)?;
                self.pages.push(page);
                Ok(())
            }
        }
    }

    /// How the column is written and the bytes it will take, judged by the samples.
    pub fn choose(&self) -> (StringEncoder, usize) {
        let pages: Vec<Vec<&[u8]>> = self.pages.iter().map(|page| page.iter().collect()).collect();
        let samples: Vec<&[&[u8]]> = pages.iter().map(Vec::as_slice).collect();
        let encoder = StringEncoder::choose(&samples);
        let len = encoded_len(&encoder, samples.len(), self.pages_of_column);
        (encoder, len)
    }
}

/// Bytes of so many pages, judged by those it was chosen on.
fn encoded_len(encoder: &StringEncoder, samples: usize, pages: usize) -> usize {
    encoder.sampled_len() * pages / samples.max(1) + encoder.templates().map_or(0, <[u8]>::len)
}

/// A column of byte strings written value by value.
pub struct StringsWriter<'w> {
    out: &'w mut SegmentWriter,
    open: OpenColumn,
    encoder: StringEncoder,
    page: Strings,
    values: usize,
}

impl<'w> StringsWriter<'w> {
    /// Begins the column; nothing else may be written until it is finished.
    pub fn new(out: &'w mut SegmentWriter, code: u32, encoder: StringEncoder) -> Self {
        let open = out.begin(code, ColumnForm::Strings);
        Self { out, open, encoder, page: Strings::default(), values: 0 }
    }

    /// The next value.
    ///
    /// # Errors
    /// As [`SegmentWriter::integers`]; invalid if a page has too many bytes.
    pub fn push(&mut self, value: &[u8]) -> Result<()> {
        self.page.push(value)?;
        if self.page.len() == PAGE_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let values: Vec<&[u8]> = self.page.iter().collect();
        self.values += values.len();
        self.out.page(&mut self.open, |out| self.encoder.encode(&values, out))?;
        self.page.clear();
        Ok(())
    }

    /// Ends the column; how many values it has.
    ///
    /// # Errors
    /// As [`StringsWriter::push`].
    pub fn finish(mut self) -> Result<usize> {
        if !self.page.is_empty() {
            self.flush()?;
        }
        let code = self.open.code;
        self.out.end(self.open, self.values)?;
        self.out.templates(code, &self.encoder)?;
        Ok(self.values)
    }
}
