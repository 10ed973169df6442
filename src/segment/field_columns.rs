//! How the column of a field is written once its values are known.

use crate::bytes::{hash64, zigzag_encode};
use crate::column::ValueType;
use crate::error::Result;
use crate::index::TermIndexBuilder;

use super::dictionary::DictionaryBuilder;
use super::layout::{ColumnForm, FIELD_COLUMN_FIRST, RANK_COLUMN_FIRST, SectionKind};
use super::ranked::with_pages;
use super::writer::SegmentWriter;

/// A dictionary up to this many bytes is taken without comparing; a larger one must be smaller than the
/// values in the pages.
pub const SMALL_DICTIONARY_LEN: usize = 8 << 10;
/// A value on more than one page in this many is not listed in a term index.
const COMMON_SHARE: u32 = 4;

/// On how many pages a value may stand to be listed in the term index of a table of this many.
pub fn common_limit(pages: usize) -> u32 {
    (pages as u32 / COMMON_SHARE).max(1)
}

/// An empty term index of a table of this many pages.
pub fn term_index(pages: usize) -> TermIndexBuilder {
    TermIndexBuilder::new(pages as u32, common_limit(pages))
}

/// Writes how many values stand before each page of the field's table, and in all.
///
/// # Errors
/// Whatever the file says.
pub fn write_ranks(code: u32, ranks: &[u64], out: &mut SegmentWriter) -> Result<()> {
    out.integers(RANK_COLUMN_FIRST + code, ColumnForm::Integers, ranks)
}

/// Writes the column of a field of numbers, its ranks and its terms.
///
/// # Errors
/// Whatever the file says.
pub fn write_numbers(
    code: u32,
    value_type: ValueType,
    values: &[u64],
    ranks: &[u64],
    out: &mut SegmentWriter,
) -> Result<()> {
    write_ranks(code, ranks, out)?;
    let mut terms = term_index(ranks.len() - 1);
    let mut latest = None;
    for (value, page) in with_pages(values, ranks) {
        // Neighbours are often equal, and then there is nothing new to hash.
        if latest.replace((value, page)) != Some((value, page)) {
            terms.add(hash64(&value.to_le_bytes()), page);
        }
    }
    out.section(SectionKind::Terms, code, &terms.finish())?;
    let negative = value_type == ValueType::Int && values.iter().any(|v| (*v as i64) < 0);
    if negative {
        let values: Vec<u64> = values.iter().map(|v| zigzag_encode(*v as i64)).collect();
        return out.integers(FIELD_COLUMN_FIRST + code, ColumnForm::Zigzag, &values);
    }
    out.integers(FIELD_COLUMN_FIRST + code, ColumnForm::Integers, values)
}

/// Writes a dictionary and the column in its codes.
///
/// # Errors
/// Whatever the file says.
pub fn write_dictionary(code: u32, dictionary: &DictionaryBuilder, out: &mut SegmentWriter) -> Result<()> {
    out.section(SectionKind::Dictionary, code, &dictionary.section)?;
    out.integers(FIELD_COLUMN_FIRST + code, ColumnForm::Dictionary, &dictionary.codes)
}
