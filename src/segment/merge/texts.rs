//! The columns of byte strings: never in memory as a whole.
//!
//! A first pass tries to make a dictionary and is given up as soon as there are too many values for one; the
//! rule is that of sealing. Its codes are gathered on the way, eight bytes a value. Without a dictionary a
//! codec is chosen from a few sample pages, which the classes alone tell how to find, and a second pass writes
//! the values as it reads them. Columns of unique values are thus read little more than once.

use rustc_hash::FxHashMap;

use crate::bytes::hash64;
use crate::error::Result;
use crate::limits::PAGE_ROWS;

use super::super::dictionary::{DictionaryBuilder, may_have_dictionary};
use super::super::field_columns::{SMALL_DICTIONARY_LEN, term_index, write_dictionary, write_ranks};
use super::super::layout::{FIELD_COLUMN_FIRST, SectionKind};
use super::super::told::ToldValues;
use super::super::writer::{SegmentWriter, StringSamples, StringsWriter, sample_step};
use super::fields::{FieldColumns, Ranks};
use super::runs::{Piece, Runs};
use super::source::{FieldSource, Text, sources, table_index};
use super::told::ToldOf;

/// A code that is not known yet.
const UNKNOWN: u32 = u32::MAX;

/// Writes the column of a field of byte strings, its ranks, terms and dictionary. Returns what classes tell of it, by
/// the codes of the dictionary.
///
/// # Errors
/// Corrupt if a page is damaged; whatever the file says.
pub fn write_texts(columns: &FieldColumns<'_, '_>, code: u32, out: &mut SegmentWriter) -> Result<ToldValues> {
    let field = columns.united.field_at(code);
    let classes = columns.classes[table_index(field.table)];
    let total = columns.counts[code as usize] as usize;
    let sources = sources(columns, classes, code)?;
    let told = columns.told.of_field(code);
    let set = |codes: &[u64]| told.iter().zip(codes).map(|(told, code)| (told.class, *code)).collect();
    let mut column = TextColumn { columns, code, runs: columns.runs_of(field.table), sources };
    let (ranks, sampled) = column.count(total)?;
    write_ranks(code, &ranks, out)?;
    let survey = column.survey(total)?;
    let small = |dictionary: &DictionaryBuilder| dictionary.section.len() <= SMALL_DICTIONARY_LEN;
    if let Some((dictionary, terms)) = survey.as_ref().filter(|(dictionary, _)| small(dictionary)) {
        out.section(SectionKind::Terms, code, terms)?;
        write_dictionary(code, dictionary, out)?;
        return Ok(set(&dictionary.told));
    }
    let (encoder, len) = column.sample(&sampled, total)?.choose();
    if let Some((dictionary, terms)) = survey.filter(|(dictionary, _)| dictionary.encoded_len() <= len) {
        out.section(SectionKind::Terms, code, &terms)?;
        write_dictionary(code, &dictionary, out)?;
        return Ok(set(&dictionary.told));
    }
    let mut terms = term_index(column.runs.pages());
    let hashes = column.dictionary_hashes();
    let mut writer = StringsWriter::new(out, FIELD_COLUMN_FIRST + code, encoder);
    column.each(|page, text| {
        terms.add(hash_of(&text, &hashes), page as u32);
        writer.push(bytes_of(&text)).map(|()| true)
    })?;
    writer.finish()?;
    out.section(SectionKind::Terms, code, &terms.finish())?;
    if told.is_empty() {
        return Ok(ToldValues::new());
    }
    let dictionary = column.told_alone()?;
    out.section(SectionKind::Dictionary, code, &dictionary.section)?;
    Ok(set(&dictionary.told))
}

fn bytes_of<'v>(text: &Text<'v>) -> &'v [u8] {
    let (Text::Coded { bytes, .. } | Text::Plain(bytes)) = text;
    bytes
}

/// The hash of a value, known already if it stands in a dictionary.
fn hash_of(text: &Text<'_>, hashes: &[Vec<u64>]) -> u64 {
    match text {
        Text::Coded { input, code, .. } => hashes[*input][*code as usize],
        Text::Plain(bytes) => hash64(bytes),
    }
}

/// A column of byte strings of the output.
struct TextColumn<'m, 's> {
    columns: &'m FieldColumns<'m, 's>,
    /// The field.
    code: u32,
    runs: &'m Runs,
    sources: Vec<Option<FieldSource<'m, 's>>>,
}

/// Some values of a piece of the table: where the sample pages of the column are found.
struct Sampled {
    piece: Piece,
    values: std::ops::Range<usize>,
}

impl TextColumn<'_, '_> {
    /// The rank list, and where the sample pages are. Reads no value.
    fn count(&mut self, total: usize) -> Result<(Vec<u64>, Vec<Sampled>)> {
        let step = sample_step(total.div_ceil(PAGE_ROWS)) * PAGE_ROWS;
        let mut ranks = Ranks::new(self.runs.pages());
        let mut sampled = Vec::new();
        let mut next = 0;
        for piece in self.runs.pieces() {
            let Some(source) = &mut self.sources[piece.input] else { continue };
            let count = source.count(piece.rows.clone());
            ranks.add(piece.page, count);
            // A piece has values of two pages of the column at most, as it lies in one page of rows, or of
            // many if a row has many; either way those in sample pages are whole stretches.
            let mut at = next / step * step;
            while at < next + count {
                let values = at.max(next) - next..(at + PAGE_ROWS).clamp(next, next + count) - next;
                if !values.is_empty() {
                    sampled.push(Sampled { piece: piece.clone(), values });
                }
                at += step;
            }
            next += count;
        }
        Ok((ranks.finish(total as u64)?, sampled))
    }

    /// The values of the sample pages.
    fn sample(&mut self, sampled: &[Sampled], total: usize) -> Result<StringSamples> {
        let mut out = StringSamples::of(total);
        for Sampled { piece, values } in sampled {
            let Some(source) = &mut self.sources[piece.input] else { continue };
            let mut at = 0;
            let visit = |text: Text<'_>| {
                let wanted = values.contains(&at);
                at += 1;
                if wanted { out.push(bytes_of(&text)) } else { Ok(()) }
            };
            let read = source.texts(piece.input, piece.rows.clone(), visit);
            read.map_err(|e| self.columns.inputs[piece.input].in_field(e))?;
        }
        Ok(out)
    }

    /// Tries to make a dictionary, with the term index on the way; none if there are too many values.
    fn survey(&mut self, total: usize) -> Result<Option<(DictionaryBuilder, Vec<u8>)>> {
        let hashes = self.dictionary_hashes();
        let mut attempt = Attempt::new(total, &hashes);
        let mut terms = term_index(self.runs.pages());
        let all = self.each(|page, text| {
            let Some(code) = attempt.code(&text, &hashes) else { return Ok(false) };
            if attempt.put(code, page as u32) {
                terms.add(attempt.entries[code as usize].hash, page as u32);
            }
            Ok(true)
        })?;
        if !all {
            return Ok(None);
        }
        let told = self.told_codes(&mut attempt, &hashes)?;
        Ok(told.map(|told| (attempt.finish(told), terms.finish())))
    }

    /// A dictionary of the values that classes tell alone.
    fn told_alone(&self) -> Result<DictionaryBuilder> {
        let (mut texts, mut counts, mut codes) = (Vec::new(), Vec::new(), Vec::new());
        let mut known: FxHashMap<&[u8], u64> = FxHashMap::default();
        for told in self.columns.told.of_field(self.code) {
            let bytes = self.told_text(told)?;
            let code = *known.entry(bytes).or_insert_with(|| {
                texts.push(bytes);
                counts.push(0);
                texts.len() as u64 - 1
            });
            counts[code as usize] += self.columns.united.class_rows[told.class as usize] as u32;
            codes.push(code);
        }
        Ok(DictionaryBuilder::by_frequency(texts, counts, codes, 0))
    }

    fn told_text(&self, told: &ToldOf) -> Result<&[u8]> {
        let local = self.columns.local.of_input(told.input, self.code);
        local.map_or(Ok(&[][..]), |local| self.columns.inputs[told.input].segment.told_text(local, told.value))
    }

    /// The codes of the values that classes tell, counted for all rows of each class; none if there is no use in going on.
    fn told_codes(&self, attempt: &mut Attempt, hashes: &[Vec<u64>]) -> Result<Option<Vec<u64>>> {
        let mut codes = Vec::new();
        for told in self.columns.told.of_field(self.code) {
            let bytes = self.told_text(told)?;
            let coded = self.sources[told.input].as_ref().is_some_and(|source| source.dictionary().is_some());
            let (input, code) = (told.input, told.value as u32);
            let text = if coded { Text::Coded { input, code, bytes } } else { Text::Plain(bytes) };
            let Some(code) = attempt.code(&text, hashes) else { return Ok(None) };
            attempt.entries[code as usize].count += self.columns.united.class_rows[told.class as usize] as u32;
            codes.push(code.into());
        }
        Ok(Some(codes))
    }

    /// The hash of every dictionary entry of every input.
    fn dictionary_hashes(&self) -> Vec<Vec<u64>> {
        let dictionaries = self.sources.iter().map(|source| source.as_ref()?.dictionary());
        dictionaries.map(|dictionary| dictionary.iter().flat_map(|d| d.iter()).map(hash64).collect()).collect()
    }

    /// Calls `visit` with every value in order, and the page of the output its row lies in, until it says
    /// false; then so does this.
    fn each(&mut self, mut visit: impl FnMut(usize, Text<'_>) -> Result<bool>) -> Result<bool> {
        let mut checked = 0;
        for piece in self.runs.pieces() {
            if piece.page > checked {
                checked = piece.page;
                (self.columns.check)()?;
            }
            let Some(source) = &mut self.sources[piece.input] else { continue };
            let mut more = true;
            let read = source.texts(piece.input, piece.rows, |text| {
                more = more && visit(piece.page, text)?;
                Ok(())
            });
            read.map_err(|e| self.columns.inputs[piece.input].in_field(e))?;
            if !more {
                return Ok(false);
            }
        }
        Ok(true)
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
    fn code(&mut self, text: &Text<'_>, hashes: &[Vec<u64>]) -> Option<u32> {
        let Text::Coded { input, code: local, bytes } = text else {
            return self.code_of(bytes_of(text), hash_of(text, hashes));
        };
        let known = self.known[*input][*local as usize];
        if known != UNKNOWN {
            return Some(known);
        }
        let code = self.code_of(bytes, hashes[*input][*local as usize])?;
        self.known[*input][*local as usize] = code;
        Some(code)
    }

    fn code_of(&mut self, value: &[u8], hash: u64) -> Option<u32> {
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

    /// The dictionary, with these codes of what classes tell.
    fn finish(mut self, told: Vec<u64>) -> DictionaryBuilder {
        let mut codes = std::mem::take(&mut self.codes);
        let told_from = codes.len();
        codes.extend(told);
        let texts: Vec<&[u8]> = (0..self.entries.len()).map(|code| self.text(code)).collect();
        let counts = self.entries.iter().map(|entry| entry.count).collect();
        DictionaryBuilder::by_frequency(texts, counts, codes, told_from)
    }
}
