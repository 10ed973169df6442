//! Pages of byte strings. One codec a file.
//!
//! | code | codec | body |
//! |---|---|---|
//! | 1 | constant | length, the value |
//! | 2 | plain | integer page of lengths, the values one after another |
//! | 3 | zstd | the same, with the values compressed together |
//! | 4 | runs | integer page of run lengths, string page of the distinct neighbours |
//! | 5 | template | texts with their numbers cut out, and the numbers as integer pages |
//! | 6 | shared template | the same, with the texts in a table beside the column |
//!
//! A runs page may hold any other codec, template pages hold what fits no template in a plain or zstd
//! page; nothing nests deeper. An integer page inside is preceded by its length in bytes (varint).

mod choose;
mod compressed;
mod constant;
mod plain;
mod runs;
mod single;
mod template;
#[cfg(test)]
mod testing;

pub use choose::StringEncoder;
#[cfg(test)]
pub use choose::encode_strings;
pub use single::StringPage;
pub use template::shared::TemplateTable;

use super::integers::{VALUES_MAX, decode_integers, encode_integers_best};
use crate::bytes::{Reader, put_varint};
use crate::error::{Error, ErrorKind, Result, ensure};

/// The most bytes that the values of one page may have together. A page of larger values must have fewer.
pub const STRING_PAGE_BYTES_MAX: usize = 256 << 20;

/// How a column of strings is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StringCodec {
    /// One value, however often.
    Constant,
    /// Every value for itself.
    Each(StringBody),
    /// Equal neighbours once.
    Runs(StringBody),
}

/// How the values, or the runs of them, are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StringBody {
    /// One after another.
    Plain,
    /// Compressed together, if that pays.
    Zstd,
    /// Text with numbers in it, if few such texts suffice; otherwise as `Zstd`.
    Template,
    /// The same, with the texts in a table of the column; as `Template` where too many values fit none of these.
    Shared,
}

const CONSTANT: u8 = 1;
const PLAIN: u8 = 2;
const ZSTD: u8 = 3;
const RUNS: u8 = 4;
const TEMPLATE: u8 = 5;
const SHARED: u8 = 6;

/// Decoded byte strings in one vector: value `i` ends at `ends[i]` and begins where the one before ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    /// The values one after another.
    pub bytes: Vec<u8>,
    /// Where each value ends in `bytes`; never falls.
    pub ends: Vec<u32>,
}

impl Strings {
    /// Values held.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The value at `index`, or an empty one past the end.
    pub fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.end(before));
        self.bytes.get(start..self.end(index)).unwrap_or_default()
    }

    /// All values in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Appends a value.
    ///
    /// # Errors
    /// Invalid, and nothing is appended, if the values would have more than [`STRING_PAGE_BYTES_MAX`] bytes.
    pub fn push(&mut self, value: &[u8]) -> Result<()> {
        check_total(self.bytes.len() + value.len()).map_err(|e| Error::new(ErrorKind::Invalid, e.to_string()))?;
        self.bytes.extend_from_slice(value);
        self.end_here();
        Ok(())
    }

    /// Forgets all values and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn end(&self, index: usize) -> usize {
        self.ends.get(index).map_or(0, |end| *end as usize)
    }

    /// What was appended to `bytes` since the last end is a value. The total must have been checked.
    fn end_here(&mut self) {
        self.ends.push(self.bytes.len() as u32);
    }
}

/// Decodes the `count` values of a page into `out`, cleared first.
///
/// # Errors
/// Corrupt unless the bytes are a whole page of `count` values of at most [`STRING_PAGE_BYTES_MAX`] bytes
/// together; `out` then holds nothing of use.
#[cfg(test)]
pub fn decode_strings(page: &[u8], count: usize, out: &mut Strings) -> Result<()> {
    decode_strings_with(page, count, &TemplateTable::default(), out)
}

/// Decodes the `count` values of a page of a column with this table of templates into `out`, cleared first.
///
/// # Errors
/// Corrupt unless the bytes are a whole page of `count` values of at most [`STRING_PAGE_BYTES_MAX`] bytes
/// together; `out` then holds nothing of use.
pub fn decode_strings_with(page: &[u8], count: usize, table: &TemplateTable<'_>, out: &mut Strings) -> Result<()> {
    let (code, body) = begin(page, count, out)?;
    if code == RUNS { runs::decode(body, count, table, out) } else { decode_unrun(code, body, count, table, out) }
}

/// A page that is not of runs.
fn decode_unrun(code: u8, body: &[u8], count: usize, table: &TemplateTable<'_>, out: &mut Strings) -> Result<()> {
    match code {
        CONSTANT => constant::decode(body, count, out),
        TEMPLATE => template::decode(body, count, out),
        SHARED => template::shared::decode(body, count, table, out),
        _ => decode_flat(code, body, count, out),
    }
}

/// A plain or zstd page.
fn decode_flat(code: u8, body: &[u8], count: usize, out: &mut Strings) -> Result<()> {
    match code {
        PLAIN => plain::decode(body, count, out),
        ZSTD => compressed::decode(body, count, out),
        _ => Err(unknown(code)),
    }
}

fn unknown(code: u8) -> Error {
    Error::corrupt(format!("string page: codec code {code} is unknown or misplaced"))
}

fn begin<'a>(page: &'a [u8], count: usize, out: &mut Strings) -> Result<(u8, &'a [u8])> {
    out.clear();
    ensure(count <= VALUES_MAX, || format!("string page: {count} values claimed, {VALUES_MAX} at most"))?;
    split_code(page)
}

fn split_code(page: &[u8]) -> Result<(u8, &[u8])> {
    page.split_first().map(|(code, body)| (*code, body)).ok_or_else(|| Error::corrupt("string page: it is empty"))
}

fn check_total(bytes: usize) -> Result<()> {
    ensure(bytes <= STRING_PAGE_BYTES_MAX, || {
        format!("string page: the values have {bytes} bytes or more, {STRING_PAGE_BYTES_MAX} at most")
    })
}

/// Appends an integer page and, before it, its length.
fn put_integers(values: &[u64], out: &mut Vec<u8>) {
    let mut page = Vec::new();
    encode_integers_best(values, &mut page);
    put_varint(page.len() as u64, out);
    out.extend_from_slice(&page);
}

/// The ends of values whose lengths stand in the next integer page.
fn read_ends(reader: &mut Reader<'_>, count: usize, out: &mut Vec<u32>) -> Result<usize> {
    let page = reader.block("lengths of strings")?;
    super::integers::decode_integers_u32(page, count, out)?;
    let mut end = 0u64;
    for value in out.iter_mut() {
        end += u64::from(*value);
        // Too large a sum is found below; until then what is cut off here is not used.
        *value = end as u32;
    }
    check_total(end as usize)?;
    Ok(end as usize)
}

fn read_integers(reader: &mut Reader<'_>, count: usize, what: &str) -> Result<Vec<u64>> {
    let mut values = Vec::new();
    decode_integers(reader.block(what)?, count, &mut values)?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_unknown_codec_is_named() {
        for code in [0u8, 7, 255] {
            let error = decode_strings(&[code, 1, 2], 1, &mut Strings::default()).unwrap_err();
            assert!(error.to_string().contains(&format!("code {code}")), "{error}");
        }
        assert!(decode_strings(&[], 0, &mut Strings::default()).is_err());
    }

    #[test]
    fn a_small_page_that_claims_too_many_bytes_is_corrupt() {
        // Every length is 2^32 - 1: a constant integer page.
        let page = [PLAIN, 6, 1, 0xff, 0xff, 0xff, 0xff, 0x0f];
        let error = decode_strings(&page, 1024, &mut Strings::default()).unwrap_err();
        assert!(error.to_string().contains("at most"), "{error}");
        let page = [ZSTD, 4, 1, 0x80, 0x80, 0x08, 9, 9];
        let error = decode_strings(&page, 1024, &mut Strings::default()).unwrap_err();
        assert!(error.to_string().contains("cannot unpack"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            code in 0u8..8, bytes in prop::collection::vec(any::<u8>(), 0..80), count in 0usize..100,
        ) {
            let mut page = vec![code];
            page.extend_from_slice(&bytes);
            let mut out = Strings::default();
            if decode_strings(&page, count, &mut out).is_ok() {
                prop_assert_eq!(out.len(), count);
            }
            if let Ok(page) = StringPage::open(&page, count) {
                (0..count.min(10)).for_each(|index| drop(page.read(index, &mut Vec::new())));
            }
        }
    }
}
