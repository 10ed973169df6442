//! A segment's dictionary of one column: values by code, the most frequent first.
//!
//! ```text
//! section := count u32, zero u32, end offset u32 each, occurrences u32 each, bytes of all values
//! ```
//! Read in place. A column gets one if its values repeat enough; else the pages hold the values.

use std::cmp::Reverse;

use crate::bytes::{Reader, Writer, as_bytes, pod_slice};
use crate::error::{Error, Result, ensure};
use crate::limits::{DICTIONARY_BYTES_MAX, DICTIONARY_ENTRIES_MAX};

/// A dictionary is worth it if values occur this often on average.
const REPEATS_MIN: usize = 4;

/// True unless this many distinct values of so many bytes are too many for a column of `values` values.
pub fn may_have_dictionary(distinct: usize, bytes_len: usize, values: usize) -> bool {
    distinct <= DICTIONARY_ENTRIES_MAX
        && bytes_len <= DICTIONARY_BYTES_MAX
        && distinct * REPEATS_MIN <= values.max(REPEATS_MIN * 16)
}

/// A dictionary and the column in its codes.
pub struct DictionaryBuilder {
    /// The section's bytes.
    pub section: Vec<u8>,
    /// The code of every value.
    pub codes: Vec<u64>,
    /// The code of every value that classes tell.
    pub told: Vec<u64>,
}

impl DictionaryBuilder {
    /// Bytes of the section and of the column in its codes, roughly: the codes as entropy would have them.
    pub fn encoded_len(&self) -> usize {
        let mut counts = vec![0u64; self.codes.iter().max().map_or(0, |c| *c as usize + 1)];
        self.codes.iter().for_each(|code| counts[*code as usize] += 1);
        let total = self.codes.len() as f64;
        let bits: f64 = counts.iter().filter(|c| **c > 0).map(|c| *c as f64 * (total / *c as f64).log2()).sum();
        self.section.len() + (bits / 8.0) as usize
    }

    /// The dictionary of these distinct texts and how often each occurs; `codes` number them as they stand, from
    /// `told_from` on those that classes tell.
    pub fn by_frequency(texts: Vec<&[u8]>, counts: Vec<u32>, mut codes: Vec<u64>, told_from: usize) -> Self {
        let mut order: Vec<(Reverse<u32>, &[u8], u32)> =
            texts.into_iter().zip(counts).zip(0..).map(|((text, count), code)| (Reverse(count), text, code)).collect();
        order.sort_unstable();
        let mut rank = vec![0u64; order.len()];
        for (new, (_, _, old)) in order.iter().enumerate() {
            rank[*old as usize] = new as u64;
        }
        codes.iter_mut().for_each(|code| *code = rank[*code as usize]);
        let texts: Vec<&[u8]> = order.iter().map(|(_, text, _)| *text).collect();
        let counts: Vec<u32> = order.iter().map(|(count, _, _)| count.0).collect();
        let told = codes.split_off(told_from);
        Self { section: encode_strings_section(&texts, &counts), codes, told }
    }
}

/// Strings by code as a section; `counts` may be empty (then all are zero).
pub fn encode_strings_section(texts: &[&[u8]], counts: &[u32]) -> Vec<u8> {
    let mut out = Writer::new();
    out.u32(texts.len() as u32);
    out.u32(0);
    let mut end = 0u32;
    for text in texts {
        end += text.len() as u32;
        out.u32(end);
    }
    if counts.is_empty() {
        out.bytes(&vec![0; texts.len() * 4]);
    } else {
        out.bytes(as_bytes(counts));
    }
    texts.iter().for_each(|text| out.bytes(text));
    out.into_vec()
}

/// A strings section read in place.
#[derive(Clone, Copy, Debug)]
pub struct DictionaryView<'a> {
    ends: &'a [u32],
    counts: &'a [u32],
    bytes: &'a [u8],
}

impl<'a> DictionaryView<'a> {
    /// Reads a section. Costs a few nanoseconds; [`DictionaryView::validate`] costs a pass.
    ///
    /// # Errors
    /// Corrupt if the section is too short for its count.
    pub fn open(section: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(section);
        let count = reader.u32("dictionary size")? as usize;
        reader.u32("dictionary padding")?;
        let numbers =
            |bytes: &'a [u8]| pod_slice::<u32>(bytes).ok_or_else(|| Error::corrupt("the dictionary is not aligned"));
        let ends = numbers(reader.bytes(count.saturating_mul(4), "dictionary offsets")?)?;
        let counts = numbers(reader.bytes(count.saturating_mul(4), "dictionary counts")?)?;
        let bytes = reader.bytes(reader.remaining(), "dictionary bytes")?;
        Ok(Self { ends, counts, bytes })
    }

    /// Checks that offsets rise and end with the bytes.
    ///
    /// # Errors
    /// Corrupt if not.
    pub fn validate(&self) -> Result<()> {
        let last = self.ends.last().copied().unwrap_or(0) as usize;
        ensure(self.ends.is_sorted() && last == self.bytes.len(), || "dictionary offsets do not rise".to_owned())
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if there is no entry.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The value of a code; empty if there is none.
    pub fn get(&self, code: u32) -> &'a [u8] {
        let Some(&end) = self.ends.get(code as usize) else { return &[] };
        let start = if code == 0 { 0 } else { self.ends[code as usize - 1] };
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }

    /// How often the value of a code occurs.
    pub fn count(&self, code: u32) -> u64 {
        self.counts.get(code as usize).copied().unwrap_or(0).into()
    }

    /// All values, by code.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let this = *self;
        (0..this.len() as u32).map(move |code| this.get(code))
    }
}
