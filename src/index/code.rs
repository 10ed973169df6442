//! From a dense code (service, operation, kind, duration bucket) to the set of pages, rows or traces it is in.
//!
//! ```text
//! codes: u32 | bytes of all sets: u32 | end of each set: packed | sets
//! ```
//!
//! An end takes as many bits as the bytes of all sets need. Only the set that is asked for is decoded; it is
//! validated then, the ends are validated at open.

use std::marker::PhantomData;

use super::packed::{Packed, bits_for, pack, packed_len};
use super::set::Set;
use crate::bytes::{Reader, Writer};
use crate::error::{Result, ensure};

/// Collects where each code occurs.
#[derive(Clone, Debug)]
pub struct CodeIndexBuilder<Of> {
    slots: Vec<Slot<Of>>,
}

#[derive(Clone, Debug)]
struct Slot<Of> {
    /// The number added last: rows come in order, so that it is mostly the next one as well.
    latest: Option<u32>,
    set: Set<Of>,
}

impl<Of> CodeIndexBuilder<Of> {
    /// A builder for the codes below `codes`; it grows when a higher one is added.
    pub fn new(codes: usize) -> Self {
        let mut builder = Self { slots: Vec::new() };
        builder.grow(codes);
        builder
    }

    /// Adds that `code` occurs in page, row or trace `number`. Repeats are welcome and cheap.
    pub fn add(&mut self, code: u32, number: u32) {
        let code = code as usize;
        if code >= self.slots.len() {
            self.grow(code + 1);
        }
        let slot = &mut self.slots[code];
        if slot.latest != Some(number) {
            slot.latest = Some(number);
            slot.set.insert(number);
        }
    }

    fn grow(&mut self, codes: usize) {
        self.slots.resize_with(codes, || Slot { latest: None, set: Set::new() });
    }

    /// The index as bytes.
    ///
    /// # Panics
    /// If there are 2^32 codes or the sets take 4 GiB.
    pub fn finish(self) -> Vec<u8> {
        let mut sets = Writer::new();
        let mut ends = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            // A code that occurs nowhere takes no bytes.
            if !slot.set.is_empty() {
                slot.set.write(&mut sets);
            }
            ends.push(sets.len() as u64);
        }
        let mut out = Writer::new();
        out.u32(u32::try_from(ends.len()).expect("fewer than 2^32 codes"));
        out.u32(u32::try_from(sets.len()).expect("the sets of a segment take less than 4 GiB"));
        pack(ends, end_bits(sets.len() as u64), out.as_mut_vec());
        out.bytes(sets.as_slice());
        out.into_vec()
    }
}

/// Bits of an end; never none, so that the bytes that are there bound the number of codes.
fn end_bits(sets_len: u64) -> u32 {
    bits_for(sets_len).max(1)
}

/// A code index borrowed from bytes.
#[derive(Clone, Copy, Debug)]
pub struct CodeIndex<'a, Of> {
    codes: u32,
    bound: u32,
    ends: Packed<'a>,
    sets: &'a [u8],
    of: PhantomData<Of>,
}

impl<'a, Of> CodeIndex<'a, Of> {
    /// The index in `bytes`, its ends validated, of a part with `bound` pages, rows or traces.
    ///
    /// # Errors
    /// Corrupt if the bytes are no such index.
    pub fn open(bytes: &'a [u8], bound: u32) -> Result<Self> {
        let index = Self::from_validated(bytes, bound)?;
        let mut earlier = 0;
        for code in 0..index.codes as usize {
            let end = index.ends.get(code);
            ensure(earlier <= end, || format!("code index: the set of code {code} ends before it starts"))?;
            earlier = end;
        }
        ensure(earlier == index.sets.len() as u64, || {
            format!("code index: the sets end at byte {earlier} of {}", index.sets.len())
        })?;
        Ok(index)
    }

    /// The index in bytes that [`Self::open`] accepted before. Reads the header alone.
    ///
    /// # Errors
    /// Corrupt if the length contradicts the counts.
    pub fn from_validated(bytes: &'a [u8], bound: u32) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let codes = reader.u32("code index codes")?;
        let sets_len = reader.u32("code index bytes of sets")?;
        let width = end_bits(u64::from(sets_len));
        let ends_len = packed_len(u64::from(codes), width);
        let ends = Packed::new(reader.bytes(ends_len as usize, "code index ends")?, width);
        let sets = reader.bytes(sets_len as usize, "code index sets")?;
        reader.finish("code index")?;
        Ok(Self { codes, bound, ends, sets, of: PhantomData })
    }

    /// Number of codes.
    pub fn codes(&self) -> u32 {
        self.codes
    }

    /// Where `code` occurs: the empty set for a code the index does not know.
    ///
    /// # Errors
    /// Corrupt if the set is damaged.
    pub fn get(&self, code: u32) -> Result<Set<Of>> {
        if code >= self.codes {
            return Ok(Set::new());
        }
        let code = code as usize;
        let start = code.checked_sub(1).map_or(0, |earlier| self.ends.get(earlier));
        let end = self.ends.get(code);
        match self.sets.get(start as usize..end as usize) {
            Some([]) => Ok(Set::new()),
            found => {
                Set::read(found.unwrap_or_default(), self.bound).map_err(|e| e.at(format!("code index, code {code}")))
            }
        }
    }

    /// Where any of `codes` occurs.
    ///
    /// # Errors
    /// Corrupt if one of the sets is damaged.
    pub fn any(&self, codes: impl IntoIterator<Item = u32>) -> Result<Set<Of>> {
        Set::any(codes.into_iter().map(|code| self.get(code)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::set::{Page, PageSet, Row};
    use super::super::testing::{damaged, hex};
    use super::*;

    fn build(codes: usize, pairs: &[(u32, u32)]) -> Vec<u8> {
        let mut builder = CodeIndexBuilder::<Page>::new(codes);
        pairs.iter().for_each(|(code, page)| builder.add(*code, *page));
        builder.finish()
    }

    proptest! {
        #[test]
        fn a_codes_pages_equal_a_scan(pairs in prop::collection::vec((0..12u32, 0..100u32), 0..600)) {
            let bytes = build(5, &pairs);
            let index = CodeIndex::<Page>::open(&bytes, 100).unwrap();
            let scan = |code| pairs.iter().filter(|p| p.0 == code).map(|p| p.1).collect::<PageSet>();
            for code in 0..15 {
                prop_assert_eq!(index.get(code).unwrap(), scan(code));
            }
            prop_assert_eq!(index.any([1, 2, 14]).unwrap(), scan(1).or(&scan(2)));
        }

        #[test]
        fn arbitrary_bytes_are_refused_or_answered(bytes in prop::collection::vec(any::<u8>(), 0..60), codes in 0..9u8) {
            let bytes = [&[codes, 0, 0, 0, 20, 0, 0, 0], &bytes[..]].concat();
            for index in [CodeIndex::<Row>::open(&bytes, 50), CodeIndex::from_validated(&bytes, 50)].into_iter().flatten() {
                for set in (0..10).flat_map(|code| index.get(code)) {
                    prop_assert!(set.iter().all(|row| row < 50));
                }
            }
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_name_pages_that_exist() {
        let pairs: Vec<(u32, u32)> =
            (0..200).map(|i| (i % 7, i * i % 90)).chain((0..90).map(|page| (8, page))).collect();
        for bytes in damaged(&build(0, &pairs)) {
            for index in
                [CodeIndex::<Page>::open(&bytes, 90), CodeIndex::from_validated(&bytes, 90)].into_iter().flatten()
            {
                for set in (0..index.codes().min(20)).flat_map(|code| index.get(code)) {
                    assert!(set.iter().all(|page| page < 90));
                }
            }
        }
    }

    #[test]
    fn codes_that_occur_nowhere_have_empty_sets() {
        let bytes = build(20, &[]);
        let index = CodeIndex::<Page>::open(&bytes, 1).unwrap();
        assert_eq!((index.codes(), index.get(19).unwrap()), (20, PageSet::new()));
        let claim = [&[0xff; 4][..], &[0; 4]].concat();
        assert!(CodeIndex::<Page>::open(&claim, 1).is_err());
    }

    #[test]
    fn a_damaged_set_names_its_code() {
        let mut bytes = build(0, &[(0, 1), (1, 2)]);
        let form = bytes.len() - 2;
        bytes[form] = 9;
        let index = CodeIndex::<Page>::open(&bytes, 10).unwrap();
        assert!(index.get(0).is_ok());
        assert_eq!(index.get(1).unwrap_err().to_string(), "code index, code 1: set: unknown form 9");
    }

    #[test]
    fn a_thousand_operations_in_a_quarter_of_the_pages_take_a_bit_a_page() {
        let pairs: Vec<(u32, u32)> = (0..1000)
            .flat_map(|code| (0..977).filter(move |page| (page * 7919 + code * 31) % 977 < 244).map(move |p| (code, p)))
            .collect();
        let bytes = build(1000, &pairs);
        assert!(bytes.len() < 1000 * 130, "{} bytes", bytes.len());
    }

    #[test]
    fn the_bytes_are_the_golden_ones() {
        assert_eq!(hex(&build(0, &[])), "0000000000000000");
        assert_eq!(hex(&build(3, &[(0, 3), (2, 1), (2, 4)])), "0300000004000000120101030212");
    }
}
