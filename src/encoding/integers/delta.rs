//! Values that never fall: the first one, and the differences as a page of their own.
//!
//! ```text
//! first (varint) | frame or scaled page of count - 1 differences
//! ```

use super::bits::Lane;
use super::{IntegerCodec, frame};
use crate::bytes::{Reader, put_varint, varint_len};
use crate::error::{Error, Result, ensure};

/// Bytes of the page, unless the values fall somewhere or there are none.
pub fn size(values: &[u64]) -> Option<usize> {
    let differences = differences(values)?;
    Some(1 + varint_len(values[0]) + frame::size(&differences))
}

/// Appends the page and returns true, or returns false if the values fall somewhere or there are none.
pub fn encode(values: &[u64], out: &mut Vec<u8>) -> bool {
    let Some(differences) = differences(values) else { return false };
    out.push(IntegerCodec::Delta as u8);
    put_varint(values[0], out);
    frame::encode(&differences, out);
    true
}

fn differences(values: &[u64]) -> Option<Vec<u64>> {
    if values.is_empty() || !values.is_sorted() {
        return None;
    }
    Some(values.windows(2).map(|pair| pair[1] - pair[0]).collect())
}

/// Fills `out`.
pub fn decode<T: Lane>(body: &[u8], out: &mut [T]) -> Result<()> {
    let mut reader = Reader::new(body);
    let mut sum = reader.varint("delta page, first value")?;
    let page = reader.bytes(reader.remaining(), "differences")?;
    let (first, differences) = out.split_first_mut().ok_or_else(|| Error::corrupt("delta page: no values"))?;
    frame::decode(page, differences)?;
    *first = T::narrow(sum);
    let mut overflows = false;
    for value in differences {
        let difference = value.wide();
        sum = sum.wrapping_add(difference);
        overflows |= sum < difference;
        *value = T::narrow(sum);
    }
    ensure(!overflows && sum <= T::MAX, || format!("delta page: the sum passes {}", T::MAX))
}

/// One value, by decoding them all.
pub fn at(body: &[u8], count: usize, index: usize) -> Result<u64> {
    let mut values = vec![0u64; count];
    decode(body, &mut values)?;
    values.get(index).copied().ok_or_else(|| Error::corrupt(format!("delta page: no value {index}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reads_singly;
    use super::super::testing::{check, encoded};
    use super::*;

    #[test]
    fn golden_bytes() {
        assert_eq!(encoded(IntegerCodec::Delta, &[300, 301, 303, 303, 304]), [6, 0xac, 2, 3, 2, 0, 0b0100_1001]);
    }

    #[test]
    fn a_page_of_differences_alone_is_read_as_a_whole() {
        assert!(!reads_singly(&encoded(IntegerCodec::Delta, &[1, 2, 4])));
        assert!(reads_singly(&encoded(IntegerCodec::Bitpack, &[1, 2, 4])));
    }

    #[test]
    fn falling_values_are_stored_otherwise() {
        assert_ne!(check(IntegerCodec::Delta, &[3, 2, 9])[0], IntegerCodec::Delta as u8);
    }

    #[test]
    fn a_sum_past_64_bits_is_corrupt() {
        let mut body = Vec::new();
        put_varint(u64::MAX, &mut body);
        frame::encode(&[1], &mut body);
        assert!(decode(&body, &mut [0u64; 2]).is_err());
    }

    proptest! {
        #[test]
        fn rising_values_come_back_within_the_worst_size(mut values in prop::collection::vec(any::<u64>(), 0..60)) {
            values.sort_unstable();
            prop_assert!(check(IntegerCodec::Delta, &values).len() <= 22 + 8 * values.len());
        }
    }
}
