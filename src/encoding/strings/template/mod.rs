//! Texts with numbers in them: the text once, the numbers as integer pages.
//!
//! ```text
//! "/users/417/orders/00a3f9"              template  "/users/" decimal "/orders/" hex(6)
//! "/users/9/orders/77fe01"         =>     columns   417, 9    and    0x00a3f9, 0x77fe01
//! "/health"                               template  "/health"
//!
//! templates (varint) | for each: length, pieces
//! | codes: integer page, one a value: its template, or the number of templates for a value that fits none
//! | if there are such values: length, plain or zstd string page of them
//! | for each template and each of its columns: integer page, one number for each value of the template
//! ```
//!
//! Every page and list of pieces is preceded by its length in bytes (varint). A piece is a tag and its
//! arguments: see [`piece`]. A template without numbers is an entry of a dictionary of the page, so a
//! column of few distinct texts is served too.

mod number;
mod piece;
mod shape;
pub mod shared;

use super::super::integers::{decode_integers_u32, encode_integers_best, integer_at};
use super::single::FlatValues;
use super::{Strings, TEMPLATE, check_total, compressed, decode_flat, put_integers, split_code};
use crate::bytes::{Reader, put_varint};
use crate::error::{Error, Result, ensure};
use piece::Template;
use shape::{Group, PAGE_PROBE, group_by_skeleton};

/// Number columns of one template, so that a page of few bytes cannot ask for many numbers.
const COLUMNS_MAX: usize = 64;

/// Appends the page and returns true, or returns false if the values have too many shapes or would not
/// get smaller.
pub fn encode(values: &[&[u8]], out: &mut Vec<u8>) -> bool {
    let Some((groups, mut codes)) = group_by_skeleton(values, PAGE_PROBE) else { return false };
    let (fitting, renumbered) = plan(&groups);
    for code in &mut codes {
        *code = renumbered.get(*code as usize).map_or(fitting.len() as u64, |code| *code);
    }
    let first = out.len();
    write(values, &fitting, &codes, out);
    let text: usize = values.iter().map(|value| value.len()).sum();
    let smaller = out.len() - first < text;
    if !smaller {
        out.truncate(first);
    }
    smaller
}

/// The groups whose numbers fit columns, with their templates, and the new code of every group.
fn plan<'g, 'a>(groups: &'g [Group<'a>]) -> (Vec<(&'g Group<'a>, Template<'g>)>, Vec<u64>) {
    let templates: Vec<Option<Template<'g>>> = groups.iter().map(Template::of).collect();
    let unfit = templates.iter().flatten().count() as u64;
    let mut next = 0..unfit;
    let codes = templates.iter().map(|t| t.as_ref().and_then(|_| next.next()).unwrap_or(unfit)).collect();
    let fitting = groups.iter().zip(templates).filter_map(|(group, t)| Some((group, t?))).collect();
    (fitting, codes)
}

fn write(values: &[&[u8]], fitting: &[(&Group<'_>, Template<'_>)], codes: &[u64], out: &mut Vec<u8>) {
    out.push(TEMPLATE);
    put_varint(fitting.len() as u64, out);
    let mut scratch = Vec::new();
    for (_, template) in fitting {
        scratch.clear();
        template.write(&mut scratch);
        put_block(&scratch, out);
    }
    put_integers(codes, out);
    let unfit = fitting.len() as u64;
    let others: Vec<&[u8]> = values.iter().zip(codes).filter(|(_, code)| **code == unfit).map(|(v, _)| *v).collect();
    if !others.is_empty() {
        scratch.clear();
        compressed::encode(&others, &mut scratch);
        put_block(&scratch, out);
    }
    for (group, template) in fitting {
        for column in template.columns_of(group) {
            scratch.clear();
            encode_integers_best(&column, &mut scratch);
            put_block(&scratch, out);
        }
    }
}

fn put_block(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// What stands before the columns.
#[derive(Debug)]
struct Head<'a> {
    templates: Vec<Template<'a>>,
    codes: Vec<u32>,
    /// Values of each template; the last entry is of those without one.
    counts: Vec<usize>,
    others: &'a [u8],
}

fn read_head<'a>(reader: &mut Reader<'a>, count: usize) -> Result<Head<'a>> {
    let templates = reader.count(1, "template page, templates")?;
    let templates: Vec<Template<'a>> =
        (0..templates).map(|_| Template::read(reader.block("template page, pieces")?)).collect::<Result<_>>()?;
    let mut codes = Vec::new();
    decode_integers_u32(reader.block("template page, codes")?, count, &mut codes)?;
    let mut counts = vec![0usize; templates.len() + 1];
    for code in &codes {
        let slot = counts.get_mut(*code as usize);
        *slot.ok_or_else(|| Error::corrupt(format!("template page: code {code} names no template")))? += 1;
    }
    let others = match counts.last() {
        Some(0) | None => &[],
        Some(_) => reader.block("template page, values without one")?,
    };
    Ok(Head { templates, codes, counts, others })
}

/// Fills `out`.
pub fn decode(body: &[u8], count: usize, out: &mut Strings) -> Result<()> {
    let mut reader = Reader::new(body);
    let head = read_head(&mut reader, count)?;
    let mut others = Strings::default();
    if !head.others.is_empty() {
        let (code, page) = split_code(head.others)?;
        decode_flat(code, page, head.counts.last().copied().unwrap_or(0), &mut others)?;
    }
    let mut columns = Vec::with_capacity(head.templates.len());
    for (template, rows) in head.templates.iter().zip(&head.counts) {
        columns.push(template.read_columns(&mut reader, *rows)?);
    }
    reader.finish("template page")?;
    let mut next = vec![0usize; head.counts.len()];
    for code in &head.codes {
        let code = *code as usize;
        let row = next[code];
        next[code] += 1;
        match head.templates.get(code) {
            Some(template) => template.render(|column| columns[code][column][row], &mut out.bytes),
            None => out.bytes.extend_from_slice(others.get(row)),
        }
        check_total(out.bytes.len())?;
        out.end_here();
    }
    Ok(())
}

/// A page whose codes were read, for single values.
#[derive(Debug)]
pub struct TemplateValues<'a> {
    head: Head<'a>,
    /// The values without a template, if there are any.
    others: Option<FlatValues<'a>>,
    /// The columns of each template, one template after the other.
    columns: Vec<&'a [u8]>,
}

impl<'a> TemplateValues<'a> {
    /// The values of a page of `count`: reads the templates and their codes.
    pub fn open(body: &'a [u8], count: usize) -> Result<Self> {
        let mut reader = Reader::new(body);
        let head = read_head(&mut reader, count)?;
        let others = if head.others.is_empty() {
            None
        } else {
            let (code, page) = split_code(head.others)?;
            Some(FlatValues::open(code, page, head.counts.last().copied().unwrap_or(0))?)
        };
        let columns = head.templates.iter().map(Template::columns).sum();
        let columns = (0..columns).map(|_| reader.block("template page, column")).collect::<Result<_>>()?;
        Ok(Self { head, others, columns })
    }

    /// Appends one value: reads one number of each column.
    pub fn read(&self, index: usize, out: &mut Vec<u8>) -> Result<()> {
        let head = &self.head;
        let missing = || Error::corrupt(format!("template page: no value {index}"));
        let wanted = *head.codes.get(index).ok_or_else(missing)?;
        let row = head.codes.iter().take(index).filter(|other| **other == wanted).count();
        let code = wanted as usize;
        let Some(template) = head.templates.get(code) else {
            return self.others.as_ref().ok_or_else(missing)?.read(row, out);
        };
        let first: usize = head.templates.iter().take(code).map(Template::columns).sum();
        let rows = head.counts.get(code).copied().unwrap_or(0);
        let columns = self.columns.get(first..first + template.columns()).ok_or_else(missing)?;
        let numbers = columns.iter().map(|page| integer_at(page, rows, row)).collect::<Result<Vec<u64>>>()?;
        let (begin, number) = (out.len(), |column: usize| numbers[column]);
        template.check(number, number)?;
        template.render(number, out);
        ensure(out.len() - begin <= super::STRING_PAGE_BYTES_MAX, || "template page: a value is too long".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{check, encoded};
    use super::super::{StringBody, StringCodec, decode_strings};
    use super::*;

    const CODEC: StringCodec = StringCodec::Each(StringBody::Template);

    fn page_of(texts: impl IntoIterator<Item = String>) -> Vec<u8> {
        let texts: Vec<String> = texts.into_iter().collect();
        check(CODEC, &texts.iter().map(String::as_bytes).collect::<Vec<_>>())
    }

    fn noise(i: u64) -> u64 {
        let mixed = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    #[test]
    fn golden_bytes() {
        let page = encoded(CODEC, &[b"user-12/000a", b"user-7/003f", b"user-9/00b0", b"user-8/004f"]);
        let template = b"\x05\x01\x0d\x01\x05user-\x02\x01\x01/\x04\x04";
        assert_eq!(page[..template.len()], *template);
        // One code for all; 12, 7, 9, 8 from base 7 in 3 bits; 0x0a, 0x3f, 0xb0, 0x4f from base 10 in 8 bits.
        assert_eq!(page[template.len()..], [2, 1, 0, 5, 3, 3, 7, 0x85, 0x02, 7, 3, 8, 10, 0, 0x35, 0xa6, 0x45]);
    }

    #[test]
    fn ids_take_the_bytes_of_their_numbers() {
        let within = |most: usize, text: &dyn Fn(u64) -> String| {
            let page = page_of((0..256).map(text));
            assert!(page[0] == TEMPLATE && page.len() <= most, "{} takes {} bytes", text(1), page.len());
        };
        within(256 * 2 + 60, &|i| format!("u-{:07}", noise(i) % 60_000));
        within(256 * 8 + 60, &|i| format!("ord_{:016x}", noise(i)));
        within(256 * 3 + 60, &|i| format!("10.{}.{}.{}", noise(i) % 16, noise(i + 7) % 256, noise(i + 9) % 256));
        within(256 * 4 + 120, &|i| format!("/cart/{}{}", noise(i) as u32, if i % 2 == 0 { "/pay" } else { "" }));
        within(256 * 16 + 150, &|i| {
            let (a, b) = (noise(i), noise(i + 999));
            let (b, c, d) = (b & 0xffff, b >> 16 & 0xffff, b >> 32 & 0xffff);
            format!("{:08x}-{b:04x}-{c:04x}-{d:04x}-{:012x}", a as u32, noise(i + 5) >> 16)
        });
    }

    #[test]
    fn numbers_of_odd_forms_come_back_exactly() {
        let odd = [
            "0",
            "00",
            "007",
            "18446744073709551615",
            "99999999999999999999999",
            "0x1f",
            "A1b2",
            "a1b2",
            "1e9",
            "-5",
            "+5",
            "1.50",
            "٣",
            "node7",
            "node07",
            "db1",
            "db12",
            "",
            "0123456789abcdef0123456789abcdef",
            "face",
        ];
        for count in [2, 7, 20, 60] {
            page_of((0..count).map(|i| odd[i % odd.len()].to_owned()));
            page_of((0..count).map(|i| format!("request {} of the long and common text", odd[i * 7 % odd.len()])));
        }
        page_of((0..50).map(|i| "0".repeat(i % 19 + 1)));
        page_of((0..50).map(|i| format!("common prefix {}", "f".repeat(i * 7 % 40 + 1))));
        page_of((0..50).map(|i| format!("common prefix {:0300x}", noise(i))));
        page_of((0..50).map(|i| (0..40).map(|k| format!("{} ", noise(i * 40 + k) % 9)).collect()));
    }

    #[test]
    fn a_number_too_large_for_its_field_is_corrupt() {
        for (piece, value) in [([3u8, 2], 100u64), ([4, 2], 256), ([3, 19], 10u64.pow(19))] {
            for (value, holds) in [(value, false), (value - 1, true)] {
                let mut body = vec![1, 2, piece[0], piece[1], 2, 1, 0];
                put_integers(&[value, 5], &mut body);
                assert_eq!(decode(&body, 2, &mut Strings::default()).is_ok(), holds, "{piece:?} {value}");
                let read = |page: TemplateValues<'_>| page.read(0, &mut Vec::new());
                assert_eq!(TemplateValues::open(&body, 2).and_then(read).is_ok(), holds);
            }
        }
    }

    #[test]
    fn a_code_without_template_is_corrupt() {
        let body = [1, 3, 1, 1, b'a', 2, 1, 2];
        assert!(decode(&body, 2, &mut Strings::default()).is_err());
        let mut page = vec![TEMPLATE];
        page.extend_from_slice(&[1, 3, 1, 1, b'a', 2, 1, 0]);
        decode_strings(&page, 2, &mut Strings::default()).unwrap();
    }

    proptest! {
        #[test]
        fn texts_with_numbers_come_back_within_the_worst_size(
            values in prop::collection::vec("(id |x|/){0,1}[0-9a-f]{0,5}[.-]{0,1}[0-9]{0,3}", 0..40),
        ) {
            let values: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
            let total: usize = values.iter().map(|value| value.len()).sum();
            prop_assert!(check(CODEC, &values).len() <= 16 + 8 * values.len() + total);
        }

        #[test]
        fn any_bytes_come_back(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..30)) {
            check(CODEC, &values.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
    }
}
