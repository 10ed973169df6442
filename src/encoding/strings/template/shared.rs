//! The templates of a whole column, written once.
//!
//! A page of addresses has some fifty templates, whose texts take more bytes than all of its numbers. The pages of a
//! column mostly have the same ones, so a table beside the column has them, the most frequent first, made from sample
//! pages; a page names those it has by number.
//!
//! ```text
//! table := count u32 | end offset u32 each | pieces of each template
//! page  := codes: integer page, one a value: its template, or the number of templates for a value that fits none
//!        | if there are such values: length, plain or zstd string page of them
//!        | for each template that has values: length, its columns, each an integer page after its length
//! ```
//! Every page is preceded by its length in bytes (varint). The templates before that of one value are skipped by
//! their lengths.

use rustc_hash::FxHashMap;

use super::super::super::integers::{decode_integers_u32, encode_integers_best, integer_at};
use super::super::single::FlatValues;
use super::super::{SHARED, Strings, check_total, compressed, decode_flat, put_integers, split_code};
use super::piece::{SlotKind, Template};
use super::put_block;
use super::shape::{COLUMN_PROBE, Cut, group_by_skeleton};
use crate::bytes::{Reader, put_varint};
use crate::error::{Error, Result, ensure};

/// Of so many values one at most may fit no template.
const OTHERS_SHARE: usize = 8;

/// Sampled values among which a shape that occurs once is by chance.
const MANY_VALUES: usize = 64;

/// The templates of a column, read in place.
#[derive(Clone, Copy, Debug, Default)]
pub struct TemplateTable<'a> {
    ends: &'a [u8],
    pieces: &'a [u8],
}

impl<'a> TemplateTable<'a> {
    /// Reads a table.
    ///
    /// # Errors
    /// Corrupt if it is too short for its count.
    pub fn open(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let count = reader.u32("templates")? as usize;
        let ends = reader.bytes(count.saturating_mul(4), "ends of templates")?;
        Ok(Self { ends, pieces: reader.bytes(reader.remaining(), "templates")? })
    }

    /// Reads every template.
    ///
    /// # Errors
    /// Corrupt if one is not sound.
    pub fn validate(&self) -> Result<()> {
        (0..self.len()).try_for_each(|code| self.get(code).map(|_| ()))
    }

    fn len(&self) -> usize {
        self.ends.len() / 4
    }

    fn end(&self, code: usize) -> usize {
        let end = self.ends.get(code * 4..code * 4 + 4);
        end.and_then(|bytes| Reader::new(bytes).u32("end of a template").ok()).map_or(0, |end| end as usize)
    }

    fn get(&self, code: usize) -> Result<Template<'a>> {
        let start = code.checked_sub(1).map_or(0, |before| self.end(before));
        let pieces = self.pieces.get(start..self.end(code));
        Template::read(pieces.ok_or_else(|| Error::corrupt(format!("there is no template {code}")))?)
    }
}

/// A template that values are fitted to.
struct Fitted {
    slots: Vec<SlotKind>,
    first_column: usize,
    columns: usize,
}

/// The templates of a column being written.
pub struct SharedTemplates {
    table: Vec<u8>,
    known: FxHashMap<Vec<u8>, u32>,
    templates: Vec<Fitted>,
    cut: Cut,
    /// Numbers of the page at hand, by column of all templates; and the values of each template.
    columns: Vec<Vec<u64>>,
    counts: Vec<u32>,
}

impl SharedTemplates {
    /// The templates of these sample pages; none if they have too many shapes.
    pub fn of(samples: &[&[&[u8]]]) -> Option<Self> {
        let values: Vec<&[u8]> = samples.iter().flat_map(|page| page.iter().copied()).collect();
        let (groups, codes) = group_by_skeleton(&values, COLUMN_PROBE)?;
        let mut counts = vec![0u32; groups.len()];
        codes.iter().for_each(|code| counts.get_mut(*code as usize).into_iter().for_each(|count| *count += 1));
        // What stands once in many values is no template but a text.
        let fewest = if values.len() < MANY_VALUES { 1 } else { 2 };
        let mut order: Vec<usize> = (0..groups.len()).filter(|at| counts[*at] >= fewest).collect();
        order.sort_by_key(|at| std::cmp::Reverse(counts[*at]));
        let mut out = Self {
            table: Vec::new(),
            known: FxHashMap::default(),
            templates: Vec::new(),
            cut: Cut::default(),
            columns: Vec::new(),
            counts: Vec::new(),
        };
        let (mut ends, mut pieces) = (Vec::new(), Vec::new());
        for at in order {
            let Some((template, slots)) = Template::for_more(&groups[at], counts[at]) else { continue };
            template.write(&mut pieces);
            ends.extend_from_slice(&(pieces.len() as u32).to_le_bytes());
            out.known.insert(groups[at].skeleton.clone(), out.templates.len() as u32);
            out.templates.push(Fitted { slots, first_column: out.columns.len(), columns: template.columns() });
            out.columns.resize_with(out.columns.len() + template.columns(), Vec::new);
        }
        out.counts = vec![0; out.templates.len()];
        out.table = (out.templates.len() as u32).to_le_bytes().to_vec();
        out.table.extend(ends);
        out.table.extend(pieces);
        (!out.templates.is_empty()).then_some(out)
    }

    /// The table.
    pub fn table(&self) -> &[u8] {
        &self.table
    }

    /// Appends the page and returns true, or returns false if too many of the values fit no template.
    pub fn encode(&mut self, values: &[&[u8]], out: &mut Vec<u8>) -> bool {
        self.columns.iter_mut().for_each(Vec::clear);
        self.counts.fill(0);
        let none = self.templates.len() as u64;
        let (mut codes, mut others) = (Vec::with_capacity(values.len()), Vec::new());
        for value in values {
            match self.fit(value) {
                Some(template) => {
                    self.counts[template as usize] += 1;
                    codes.push(u64::from(template));
                }
                None => {
                    codes.push(none);
                    others.push(*value);
                    if others.len() * OTHERS_SHARE > values.len() {
                        return false;
                    }
                }
            }
        }
        out.push(SHARED);
        put_integers(&codes, out);
        let mut scratch = Vec::new();
        if !others.is_empty() {
            compressed::encode(&others, &mut scratch);
            put_block(&scratch, out);
        }
        let mut page = Vec::new();
        for (template, _) in self.templates.iter().zip(&self.counts).filter(|(_, count)| **count > 0) {
            scratch.clear();
            for column in &self.columns[template.first_column..template.first_column + template.columns] {
                page.clear();
                encode_integers_best(column, &mut page);
                put_block(&page, &mut scratch);
            }
            put_varint(scratch.len() as u64, out);
            out.extend_from_slice(&scratch);
        }
        true
    }

    /// Adds the numbers of a value to the columns of its template, which it returns; none if it fits none.
    fn fit(&mut self, value: &[u8]) -> Option<u32> {
        if !self.cut.cut(value) {
            return None;
        }
        let code = *self.known.get(&self.cut.skeleton)?;
        let template = &self.templates[code as usize];
        let texts = || self.cut.slots.iter().map(|slot| &value[slot.clone()]);
        if !template.slots.iter().zip(texts()).all(|(slot, text)| slot.fits(text)) {
            return None;
        }
        let mut column = template.first_column;
        for (slot, text) in template.slots.iter().zip(texts()) {
            slot.push_numbers(text, &mut self.columns, &mut column);
        }
        Some(code)
    }
}

/// What stands before the numbers of a page.
#[derive(Debug)]
struct Head<'a> {
    codes: Vec<u32>,
    /// Values of each template; the last entry is of those without one.
    counts: Vec<usize>,
    others: &'a [u8],
}

fn read_head<'a>(reader: &mut Reader<'a>, count: usize, templates: usize) -> Result<Head<'a>> {
    ensure(templates > 0, || "shared template page: its column has no templates".to_owned())?;
    let mut codes = Vec::new();
    decode_integers_u32(reader.block("shared template page, codes")?, count, &mut codes)?;
    let mut counts = vec![0usize; templates + 1];
    for code in &codes {
        let slot = counts.get_mut(*code as usize);
        *slot.ok_or_else(|| Error::corrupt(format!("shared template page: code {code} names no template")))? += 1;
    }
    let others = if counts[templates] == 0 { &[] } else { reader.block("values without a template")? };
    Ok(Head { codes, counts, others })
}

/// Fills `out`.
pub fn decode(body: &[u8], count: usize, table: &TemplateTable<'_>, out: &mut Strings) -> Result<()> {
    let mut reader = Reader::new(body);
    let head = read_head(&mut reader, count, table.len())?;
    let mut others = Strings::default();
    if !head.others.is_empty() {
        let (code, page) = split_code(head.others)?;
        decode_flat(code, page, head.counts[table.len()], &mut others)?;
    }
    // Of the templates the page has: pieces, numbers, and which value of it comes next.
    let mut places = vec![0u32; table.len() + 1];
    let mut present = vec![(Template::default(), Vec::new(), 0usize)];
    for (code, rows) in head.counts[..table.len()].iter().enumerate().filter(|(_, rows)| **rows > 0) {
        let template = table.get(code)?;
        let mut columns = Reader::new(reader.block("numbers of a template")?);
        let numbers = template.read_columns(&mut columns, *rows)?;
        columns.finish("numbers of a template")?;
        places[code] = present.len() as u32;
        present.push((template, numbers, 0));
    }
    reader.finish("shared template page")?;
    for code in &head.codes {
        let (template, numbers, next) = &mut present[places[*code as usize] as usize];
        if *code as usize == table.len() {
            out.bytes.extend_from_slice(others.get(*next));
        } else {
            template.render(|column| numbers[column][*next], &mut out.bytes);
        }
        *next += 1;
        check_total(out.bytes.len())?;
        out.end_here();
    }
    Ok(())
}

/// A page whose codes were read, for single values.
#[derive(Debug)]
pub struct SharedValues<'a> {
    table: TemplateTable<'a>,
    head: Head<'a>,
    /// The values without a template, if there are any.
    others: Option<FlatValues<'a>>,
    /// The numbers of each template that has values, by code.
    numbers: Vec<(u32, &'a [u8])>,
}

impl<'a> SharedValues<'a> {
    /// The values of a page of `count`: reads the codes.
    pub fn open(body: &'a [u8], count: usize, table: &TemplateTable<'a>) -> Result<Self> {
        let mut reader = Reader::new(body);
        let head = read_head(&mut reader, count, table.len())?;
        let others = if head.others.is_empty() {
            None
        } else {
            let (code, page) = split_code(head.others)?;
            Some(FlatValues::open(code, page, head.counts[table.len()])?)
        };
        let present = (0u32..).zip(&head.counts[..table.len()]).filter(|(_, rows)| **rows > 0);
        let numbers = present.map(|(code, _)| Ok((code, reader.block("numbers of a template")?)));
        let numbers = numbers.collect::<Result<_>>()?;
        Ok(Self { table: *table, head, others, numbers })
    }

    /// Appends one value: reads one number of each column.
    pub fn read(&self, index: usize, out: &mut Vec<u8>) -> Result<()> {
        let head = &self.head;
        let missing = || Error::corrupt(format!("shared template page: no value {index}"));
        let code = *head.codes.get(index).ok_or_else(missing)?;
        let row = head.codes.iter().take(index).filter(|other| **other == code).count();
        if code as usize == self.table.len() {
            return self.others.as_ref().ok_or_else(missing)?.read(row, out);
        }
        let place = self.numbers.binary_search_by_key(&code, |(code, _)| *code).map_err(|_| missing())?;
        let mut columns = Reader::new(self.numbers[place].1);
        let (template, rows) = (self.table.get(code as usize)?, head.counts[code as usize]);
        let numbers = (0..template.columns()).map(|_| integer_at(columns.block("numbers of a template")?, rows, row));
        let numbers = numbers.collect::<Result<Vec<u64>>>()?;
        let (begin, number) = (out.len(), |column: usize| numbers[column]);
        template.check(number, number)?;
        template.render(number, out);
        let most = super::super::STRING_PAGE_BYTES_MAX;
        ensure(out.len() - begin <= most, || "template page: a value is too long".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::{StringBody, StringCodec, StringEncoder, StringPage, decode_strings_with};
    use super::*;

    /// The table made from the first values, and the page of all.
    fn page_of(values: &[&[u8]], sampled: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut shared = SharedTemplates::of(&[&values[..sampled.min(values.len())]])?;
        let mut page = Vec::new();
        shared.encode(values, &mut page).then(|| (shared.table().to_vec(), page))
    }

    fn check(values: &[&[u8]], table: &[u8], page: &[u8]) {
        let templates = TemplateTable::open(table).unwrap();
        templates.validate().unwrap();
        let (mut all, mut one) = (Strings::default(), Vec::new());
        decode_strings_with(page, values.len(), &templates, &mut all).unwrap();
        assert_eq!(all.iter().collect::<Vec<_>>(), values);
        for (index, value) in values.iter().enumerate() {
            one.clear();
            StringPage::open_with(page, values.len(), &templates).unwrap().read(index, &mut one).unwrap();
            assert_eq!(one, *value);
        }
        for len in 0..page.len() {
            assert!(decode_strings_with(&page[..len], values.len(), &templates, &mut all).is_err());
        }
        let mut changed = page.to_vec();
        for at in 0..page.len() {
            for byte in [0, 1, 2, 5, 127, 255, page[at] ^ 1, page[at] ^ 0x80] {
                changed[at] = byte;
                let _ = decode_strings_with(&changed, values.len(), &templates, &mut all);
                if let Ok(open) = StringPage::open_with(&changed, values.len(), &templates) {
                    let _ = open.read(values.len() / 2, &mut one);
                }
            }
            changed[at] = page[at];
        }
        let mut changed = table.to_vec();
        for at in 0..table.len() {
            for byte in [0, 1, 2, 3, 4, 5, 255, table[at] ^ 1] {
                changed[at] = byte;
                let Ok(templates) = TemplateTable::open(&changed) else { continue };
                let _ = templates.validate();
                let _ = decode_strings_with(page, values.len(), &templates, &mut all);
                if let Ok(open) = StringPage::open_with(page, values.len(), &templates) {
                    let _ = open.read(0, &mut one);
                }
            }
            changed[at] = table[at];
        }
        // A page without its table says so.
        assert!(decode_strings_with(page, values.len(), &TemplateTable::default(), &mut all).is_err());
    }

    #[test]
    fn golden_bytes() {
        let values: [&[u8]; 4] = [b"user-12/000a", b"user-7/003f", b"/health", b"user-8/004f"];
        let (table, page) = page_of(&values, 4).unwrap();
        assert_eq!(table, *b"\x02\0\0\0\x0d\0\0\0\x16\0\0\0\x01\x05user-\x02\x01\x01/\x04\x04\x01\x07/health");
        assert_eq!(page[0], SHARED);
        check(&values, &table, &page);
    }

    #[test]
    fn values_of_shapes_that_no_sample_had_stand_apart() {
        let texts: Vec<String> =
            (0..64).map(|i| if i % 16 == 9 { format!("odd {i} one") } else { format!("/cart/{}", i * 7) }).collect();
        let values: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
        let (table, page) = page_of(&values, 9).unwrap();
        check(&values, &table, &page);
        let odd: Vec<&[u8]> = (0..64).map(|i| if i % 4 == 3 { values[9] } else { values[0] }).collect();
        assert!(page_of(&odd, 3).is_none(), "too many fit no template");
    }

    #[test]
    fn a_column_of_addresses_takes_the_bytes_of_its_numbers() {
        let texts: Vec<String> = (0..4096u64)
            .map(|i| format!("http://service-{}.prod.svc:8080/api/v{}/long/path/{}", i % 40, i % 3, i * 7919 % 60_000))
            .collect();
        let values: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
        let pages: Vec<&[&[u8]]> = values.chunks(1024).collect();
        let mut encoder = StringEncoder::choose(&pages);
        assert_eq!(encoder.codec(), StringCodec::Each(StringBody::Shared));
        for values in pages {
            let mut page = Vec::new();
            encoder.encode(values, &mut page).unwrap();
            assert!(page.len() < 1024 * 4, "{} bytes", page.len());
            let templates = TemplateTable::open(encoder.templates().unwrap()).unwrap();
            let mut all = Strings::default();
            decode_strings_with(&page, 1024, &templates, &mut all).unwrap();
            assert_eq!(all.iter().collect::<Vec<_>>(), values);
        }
    }

    proptest! {
        #[test]
        fn texts_with_numbers_come_back(
            values in prop::collection::vec("(id |x|/){0,1}[0-9a-f]{0,5}[.-]{0,1}[0-9]{0,3}", 1..40), sampled in 1usize..40,
        ) {
            let values: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
            if let Some((table, page)) = page_of(&values, sampled) {
                check(&values, &table, &page);
            }
        }
    }
}
