//! Pages of unsigned integers. One codec a file, each with `size`, `encode`, `decode` and `at`.
//!
//! | code | codec | body | access to one value |
//! |---|---|---|---|
//! | 1 | constant | varint value | O(1) |
//! | 2 | raw | 8 bytes a value | O(1) |
//! | 3 | bitpack | width, varint base, packed `value - base` | O(1) |
//! | 4 | patched | bitpack of the low bits, positions and high bits of the outliers | O(log outliers) |
//! | 5 | scaled | page of `value / 1000` | as inside |
//! | 6 | delta | varint first, page of the differences | O(values) |
//! | 7 | run length | page of run values, page of run starts | O(log runs) |
//!
//! Codes 1 to 4 are *frames*: they hold values directly. A scaled page holds a frame; delta and run-length
//! pages hold frames or scaled pages. Nothing nests deeper, so decoding is never recursive.
//! Callers map signed values to unsigned ones (zigzag or an offset) themselves.

mod bitpack;
mod bits;
mod choose;
mod constant;
mod delta;
mod frame;
mod patched;
mod raw;
mod run_length;
mod scaled;
#[cfg(test)]
mod testing;

pub use choose::{choose_integers, encode_integers, encode_integers_best};

use crate::error::{Error, Result, ensure};
use bits::Lane;

/// The most values a page can be asked to decode. Pages of columns have at most `PAGE_ROWS`; dictionaries
/// and small tables may use longer ones.
pub const VALUES_MAX: usize = 1 << 24;

/// How a page of integers is stored. The number is the page's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum IntegerCodec {
    /// One value, however often.
    Constant = 1,
    /// Eight bytes a value: random ids.
    Raw = 2,
    /// The distance to the smallest value, all in the same number of bits.
    Bitpack = 3,
    /// The same in fewer bits, with the values that do not fit listed apart.
    Patched = 4,
    /// Multiples of 1,000, divided: clocks of whole microseconds.
    Scaled = 5,
    /// Differences of values that never fall.
    Delta = 6,
    /// Long runs of equal values.
    RunLength = 7,
}

impl IntegerCodec {
    fn from_code(code: u8) -> Result<Self> {
        Ok(match code {
            1 => Self::Constant,
            2 => Self::Raw,
            3 => Self::Bitpack,
            4 => Self::Patched,
            5 => Self::Scaled,
            6 => Self::Delta,
            7 => Self::RunLength,
            _ => return Err(Error::corrupt(format!("integer page: unknown codec code {code}"))),
        })
    }
}

/// Decodes the `count` values of a page into `out`, in place of what was there.
///
/// # Errors
/// Corrupt unless the bytes are a whole page of `count` values; `out` then holds nothing of use.
pub fn decode_integers(page: &[u8], count: usize, out: &mut Vec<u64>) -> Result<()> {
    decode_into(page, count, out)
}

/// As [`decode_integers`], into 32-bit numbers.
///
/// # Errors
/// Corrupt also if a value is above `u32::MAX`.
pub fn decode_integers_u32(page: &[u8], count: usize, out: &mut Vec<u32>) -> Result<()> {
    decode_into(page, count, out)
}

/// The value at `index` of a page of `count` values, without decoding the others where the codec allows.
///
/// Checks only the parts of the page that it reads.
///
/// # Errors
/// Corrupt if the page is damaged there or has no value `index`.
pub fn integer_at(page: &[u8], count: usize, index: usize) -> Result<u64> {
    check_count(count)?;
    ensure(index < count, || format!("integer page: value {index} of {count} asked for"))?;
    let (codec, body) = split_codec(page)?;
    match codec {
        IntegerCodec::Delta => delta::at(body, count, index),
        IntegerCodec::RunLength => run_length::at(body, count, index),
        _ => frame::at(page, count, index),
    }
}

/// True if [`integer_at`] reads one value of this page without decoding the others.
pub fn reads_singly(page: &[u8]) -> bool {
    page.first() != Some(&(IntegerCodec::Delta as u8))
}

fn decode_into<T: Lane>(page: &[u8], count: usize, out: &mut Vec<T>) -> Result<()> {
    check_count(count)?;
    // What was there before is written over, every value of it, or is of no use.
    out.resize(count, T::default());
    let (codec, body) = split_codec(page)?;
    match codec {
        IntegerCodec::Delta => delta::decode(body, out),
        IntegerCodec::RunLength => run_length::decode(body, out),
        _ => frame::decode(page, out),
    }
}

fn check_count(count: usize) -> Result<()> {
    ensure(count <= VALUES_MAX, || format!("integer page: {count} values claimed, {VALUES_MAX} at most"))
}

fn split_codec(page: &[u8]) -> Result<(IntegerCodec, &[u8])> {
    let (code, body) = page.split_first().ok_or_else(|| Error::corrupt("integer page: it is empty"))?;
    Ok((IntegerCodec::from_code(*code)?, body))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_unknown_codec_is_named() {
        for code in [0u8, 8, 255] {
            let error = decode_integers(&[code, 1, 2], 1, &mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.to_string().contains(&format!("code {code}")), "{error}");
        }
        assert!(decode_integers(&[], 0, &mut Vec::new()).is_err());
    }

    #[test]
    fn a_count_or_index_out_of_range_is_an_error() {
        let mut page = Vec::new();
        encode_integers_best(&[7, 7, 7], &mut page);
        assert!(decode_integers(&page, VALUES_MAX + 1, &mut Vec::new()).is_err());
        assert!(integer_at(&page, 3, 3).is_err());
        assert!(integer_at(&page, usize::MAX, 3).is_err());
    }

    #[test]
    fn a_value_too_large_for_32_bits_is_an_error() {
        let large = u64::from(u32::MAX) + 1;
        for values in
            [vec![large; 3], vec![1, large], vec![1000, large * 1000, 2000], vec![large - 2, large - 1, large]]
        {
            let mut page = Vec::new();
            encode_integers_best(&values, &mut page);
            assert!(decode_integers_u32(&page, values.len(), &mut Vec::new()).is_err(), "{values:?}");
        }
    }

    #[test]
    fn a_page_written_after_other_bytes_stands_alone() {
        let mut out = vec![9, 9];
        encode_integers_best(&[1, 5, 3], &mut out);
        let mut got = Vec::new();
        decode_integers(&out[2..], 3, &mut got).unwrap();
        assert_eq!(got, [1, 5, 3]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            code in 0u8..9, inner in 0u8..9, bytes in prop::collection::vec(any::<u8>(), 0..60), count in 0usize..200,
        ) {
            let mut page = vec![code, inner];
            page.extend_from_slice(&bytes);
            let wide = decode_integers(&page, count, &mut Vec::new()).is_ok();
            let narrow = decode_integers_u32(&page, count, &mut Vec::new()).is_ok();
            prop_assert!(wide || !narrow);
            for index in 0..count.min(20) {
                let _ = integer_at(&page, count, index);
            }
        }
    }
}
