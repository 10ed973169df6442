//! The columns of byte strings: never in memory as a whole.
//!
//! The values pass twice. The first time tells the ranks, the terms, the codec (from a few sample pages), and
//! whether a dictionary is worth it; the rule is that of sealing. The second time they are written, unless a
//! dictionary was: its codes were gathered on the way, eight bytes a value.

use rustc_hash::FxHashMap;

use crate::bytes::hash64;
use crate::error::Result;
use crate::index::TermIndexBuilder;

use super::super::dictionary::{DictionaryBuilder, may_have_dictionary};
use super::super::field_columns::{SMALL_DICTIONARY_LEN, term_index, write_dictionary, write_ranks};
use super::super::layout::{FIELD_COLUMN_FIRST, SectionKind};
use super::super::writer::{SegmentWriter, StringSamples, StringsWriter};
use super::fields::{FieldColumns, Ranks};
use super::source::{FieldSource, Text, sources, table_index};

/// A code that is not known yet.
const UNKNOWN: u32 = u32::MAX;

/// Writes the column of a field of byte strings, its ranks, terms and dictionary.
///
/// # Errors
/// Corrupt if a page is damaged; whatever the file says.
pub fn write_texts(columns: &FieldColumns<'_, '_>, code: u32, out: &mut SegmentWriter) -> Result<()> {
    let field = columns.united.field_at(code);
    let runs = columns.runs_of(field.table);
    let classes = columns.classes[table_index(field.table)];
    let total = columns.counts[code as usize];
    let mut sources = sources(columns.inputs, &columns.uses, &columns.local, classes, code)?;
    let mut ranks = Ranks::new(runs.pages());
    let mut survey = Survey::new(&sources, total as usize, term_index(runs.pages()));
    each_text(columns, code, &mut sources, |page, text| {
        ranks.add(page, 1);
        survey.add(page as u32, &text)
    })?;
    write_ranks(code, &ranks.finish(total)?, out)?;
    out.section(SectionKind::Terms, code, &survey.terms.finish())?;
    let dictionary = survey.dictionary.map(Attempt::finish);
    if let Some(dictionary) = &dictionary
        && dictionary.section.len() <= SMALL_DICTIONARY_LEN
    {
        return write_dictionary(code, dictionary, out);
    }
    let (codec, len) = survey.samples.choose();
    if let Some(dictionary) = dictionary.filter(|dictionary| dictionary.encoded_len() <= len) {
        return write_dictionary(code, &dictionary, out);
    }
    let mut writer = StringsWriter::new(out, FIELD_COLUMN_FIRST + code, codec);
    each_text(columns, code, &mut sources, |_, text| {
        let (Text::Coded { bytes, .. } | Text::Plain(bytes)) = text;
        writer.push(bytes)
    })?;
    writer.finish().map(|_| ())
}

/// Calls `visit` with every value of a field in order, and the page of the output it belongs to.
fn each_text(
    columns: &FieldColumns<'_, '_>,
    code: u32,
    sources: &mut [Option<FieldSource<'_, '_>>],
    mut visit: impl FnMut(usize, Text<'_>) -> Result<()>,
) -> Result<()> {
    let runs = columns.runs_of(columns.united.field_at(code).table);
    let mut checked = 0;
    for piece in runs.pieces() {
        if piece.page > checked {
            checked = piece.page;
            (columns.check)()?;
        }
        let Some(source) = &mut sources[piece.input] else { continue };
        source
            .texts(piece.input, piece.rows, |text| visit(piece.page, text))
            .map_err(|e| columns.inputs[piece.input].in_field(e))?;
    }
    Ok(())
}

/// What the first pass learns.
struct Survey {
    terms: TermIndexBuilder,
    samples: StringSamples,
    dictionary: Option<Attempt>,
    /// The hash of every dictionary entry of every input.
    hashes: Vec<Vec<u64>>,
}

impl Survey {
    fn new(sources: &[Option<FieldSource<'_, '_>>], total: usize, terms: TermIndexBuilder) -> Self {
        let dictionaries: Vec<_> = sources.iter().map(|source| source.as_ref()?.dictionary()).collect();
        let hashes: Vec<Vec<u64>> = dictionaries
            .iter()
            .map(|dictionary| dictionary.iter().flat_map(|d| d.iter()).map(hash64).collect())
            .collect();
        let dictionary = Some(Attempt::new(total, &hashes));
        Self { terms, samples: StringSamples::of(total), dictionary, hashes }
    }

    fn add(&mut self, page: u32, text: &Text<'_>) -> Result<()> {
        let bytes = match text {
            Text::Coded { bytes, .. } | Text::Plain(bytes) => *bytes,
        };
        self.samples.push(bytes)?;
        let hash = || match text {
            Text::Coded { input, code, .. } => self.hashes[*input][*code as usize],
            Text::Plain(bytes) => hash64(bytes),
        };
        let Some(attempt) = &mut self.dictionary else {
            self.terms.add(hash(), page);
            return Ok(());
        };
        let known = match text {
            Text::Coded { input, code, .. } => attempt.known[*input][*code as usize],
            Text::Plain(_) => UNKNOWN,
        };
        let code = if known == UNKNOWN {
            let Some(code) = attempt.code(bytes, hash()) else {
                self.dictionary = None;
                self.terms.add(hash(), page);
                return Ok(());
            };
            if let Text::Coded { input, code: local, .. } = text {
                attempt.known[*input][*local as usize] = code;
            }
            code
        } else {
            known
        };
        if attempt.put(code, page) {
            self.terms.add(attempt.entries[code as usize].hash, page);
        }
        Ok(())
    }
}

/// One value of a dictionary in the making.
struct Entry {
    hash: u64,
    start: usize,
    count: u32,
    latest_page: u32,
}

/// A dictionary in the making; given up as soon as there are too many values.
struct Attempt {
    total: usize,
    codes_of: FxHashMap<u64, u32>,
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    codes: Vec<u64>,
    /// Codes of the entries of the inputs' dictionaries.
    known: Vec<Vec<u32>>,
}

impl Attempt {
    fn new(total: usize, hashes: &[Vec<u64>]) -> Self {
        Self {
            total,
            codes_of: FxHashMap::default(),
            entries: Vec::new(),
            bytes: Vec::new(),
            codes: Vec::new(),
            known: hashes.iter().map(|hashes| vec![UNKNOWN; hashes.len()]).collect(),
        }
    }

    fn text(&self, code: usize) -> &[u8] {
        let end = self.entries.get(code + 1).map_or(self.bytes.len(), |next| next.start);
        &self.bytes[self.entries[code].start..end]
    }

    /// The code of a value; none if there is no use in going on.
    fn code(&mut self, value: &[u8], hash: u64) -> Option<u32> {
        if let Some(&code) = self.codes_of.get(&hash) {
            // Two values with one hash are not worth a thought: then there is no dictionary.
            return (self.text(code as usize) == value).then_some(code);
        }
        let code = self.entries.len() as u32;
        if !may_have_dictionary(self.entries.len() + 1, self.bytes.len() + value.len(), self.total) {
            return None;
        }
        self.codes_of.insert(hash, code);
        self.entries.push(Entry { hash, start: self.bytes.len(), count: 0, latest_page: u32::MAX });
        self.bytes.extend_from_slice(value);
        Some(code)
    }

    /// The next value has this code; true if the code is new to the page.
    fn put(&mut self, code: u32, page: u32) -> bool {
        self.codes.push(code.into());
        let entry = &mut self.entries[code as usize];
        entry.count += 1;
        std::mem::replace(&mut entry.latest_page, page) != page
    }

    fn finish(mut self) -> DictionaryBuilder {
        let codes = std::mem::take(&mut self.codes);
        let texts: Vec<&[u8]> = (0..self.entries.len()).map(|code| self.text(code)).collect();
        let counts = self.entries.iter().map(|entry| entry.count).collect();
        DictionaryBuilder::by_frequency(texts, counts, codes)
    }
}
