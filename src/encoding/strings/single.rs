//! A page of byte strings open for reading single values.
//!
//! What tells where the values stand (lengths, runs, templates and their codes) is decoded once, at opening; a zstd
//! page is decompressed then. After that a value costs what it takes to write it down.

use super::runs::RunEnds;
use super::template::TemplateValues;
use super::template::shared::SharedValues;
use super::{CONSTANT, PLAIN, RUNS, SHARED, Strings, TEMPLATE, TemplateTable, VALUES_MAX, ZSTD};
use super::{compressed, constant, plain, split_code, unknown};
use crate::error::{Error, Result, ensure};

/// A page whose values are read one by one.
#[derive(Debug)]
pub struct StringPage<'a> {
    count: usize,
    runs: Option<RunEnds>,
    values: Values<'a>,
}

#[derive(Debug)]
enum Values<'a> {
    Flat(FlatValues<'a>),
    Template(Box<TemplateValues<'a>>),
    Shared(Box<SharedValues<'a>>),
}

/// Values that stand one after another, or one that stands for all.
#[derive(Debug)]
pub(super) enum FlatValues<'a> {
    Constant(&'a [u8]),
    Plain(Vec<u32>, &'a [u8]),
    Unpacked(Strings),
}

impl<'a> StringPage<'a> {
    /// Opens a page of `count` values of a column without a table of templates.
    ///
    /// # Errors
    /// As [`StringPage::open_with`].
    #[cfg(test)]
    pub fn open(page: &'a [u8], count: usize) -> Result<Self> {
        Self::open_with(page, count, &TemplateTable::default())
    }

    /// Opens a page of `count` values of a column with this table of templates.
    ///
    /// # Errors
    /// Corrupt if what is read of the page is damaged.
    pub fn open_with(page: &'a [u8], count: usize, table: &TemplateTable<'a>) -> Result<Self> {
        ensure(count <= VALUES_MAX, || format!("string page: {count} values claimed, {VALUES_MAX} at most"))?;
        let (code, body) = split_code(page)?;
        if code != RUNS {
            return Ok(Self { count, runs: None, values: Values::open(code, body, count, table)? });
        }
        let (runs, page) = RunEnds::read(body, count)?;
        let (code, body) = split_code(page)?;
        let values = Values::open(code, body, runs.len(), table)?;
        Ok(Self { count, runs: Some(runs), values })
    }

    /// Appends the value at `index` to `out`.
    ///
    /// # Errors
    /// Corrupt if the page is damaged there or has no such value.
    pub fn read(&self, index: usize, out: &mut Vec<u8>) -> Result<()> {
        let count = self.count;
        ensure(index < count, || format!("string page: value {index} of {count} asked for"))?;
        let index = self.runs.as_ref().map_or(index, |runs| runs.run_of(index));
        match &self.values {
            Values::Flat(values) => values.read(index, out),
            Values::Template(values) => values.read(index, out),
            Values::Shared(values) => values.read(index, out),
        }
    }
}

impl<'a> Values<'a> {
    fn open(code: u8, body: &'a [u8], count: usize, table: &TemplateTable<'a>) -> Result<Self> {
        Ok(match code {
            SHARED => Self::Shared(Box::new(SharedValues::open(body, count, table)?)),
            TEMPLATE => Self::Template(Box::new(TemplateValues::open(body, count)?)),
            CONSTANT => Self::Flat(FlatValues::Constant(constant::read(body)?)),
            _ => Self::Flat(FlatValues::open(code, body, count)?),
        })
    }
}

impl<'a> FlatValues<'a> {
    /// The values of a plain or zstd page.
    pub(super) fn open(code: u8, body: &'a [u8], count: usize) -> Result<Self> {
        match code {
            PLAIN => plain::open(body, count).map(|(ends, bytes)| Self::Plain(ends, bytes)),
            ZSTD => {
                let mut all = Strings::default();
                compressed::decode(body, count, &mut all)?;
                Ok(Self::Unpacked(all))
            }
            _ => Err(unknown(code)),
        }
    }

    pub(super) fn read(&self, index: usize, out: &mut Vec<u8>) -> Result<()> {
        let (ends, bytes) = match self {
            Self::Constant(value) => {
                out.extend_from_slice(value);
                return Ok(());
            }
            Self::Plain(ends, bytes) => (ends, *bytes),
            Self::Unpacked(all) => (&all.ends, &all.bytes[..]),
        };
        let end = |i: usize| ends.get(i).map_or(0, |end| *end as usize);
        let value = bytes.get(index.checked_sub(1).map_or(0, end)..end(index));
        let missing = || Error::corrupt(format!("string page: value {index} ends past the page"));
        out.extend_from_slice(value.ok_or_else(missing)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CODECS, encoded};
    use super::*;

    #[test]
    fn a_page_is_opened_once_for_all_its_values() {
        let texts: Vec<String> = (0..200).map(|i| format!("/cart/{}/item {}", i / 3, i % 7 / 3)).collect();
        let values: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
        for codec in CODECS {
            let bytes = encoded(codec, &values);
            let page = StringPage::open(&bytes, values.len()).unwrap();
            for at in [0, 199, 7, 7, 100] {
                let mut out = b"before ".to_vec();
                page.read(at, &mut out).unwrap();
                assert_eq!(out, [b"before ", values[at]].concat(), "{codec:?} {at}");
            }
            assert!(page.read(200, &mut Vec::new()).is_err());
        }
    }
}
