//! Eight little-endian bytes a value: for ids without any pattern, where packing would only cost time.

use super::IntegerCodec;
use super::bits::Lane;
use crate::bytes::{as_bytes, u64_at};
use crate::error::{Error, Result, ensure};

/// Bytes of the page.
pub fn size(values: &[u64]) -> usize {
    1 + size_of_val(values)
}

/// Appends the page.
pub fn encode(values: &[u64], out: &mut Vec<u8>) {
    out.push(IntegerCodec::Raw as u8);
    out.extend_from_slice(as_bytes(values));
}

/// Fills `out`.
pub fn decode<T: Lane>(body: &[u8], out: &mut [T]) -> Result<()> {
    let (words, rest) = body.as_chunks::<8>();
    ensure(rest.is_empty() && words.len() == out.len(), || {
        format!("raw page: {} bytes for {} values", body.len(), out.len())
    })?;
    let mut seen = 0;
    for (value, word) in out.iter_mut().zip(words) {
        let word = u64_at(word, 0);
        seen |= word;
        *value = T::narrow(word);
    }
    ensure(seen <= T::MAX, || format!("raw page: a value is above {}", T::MAX))
}

/// One value.
pub fn at(body: &[u8], index: usize) -> Result<u64> {
    let word = body.get(index * 8..).and_then(|rest| rest.get(..8));
    word.map(|word| u64_at(word, 0)).ok_or_else(|| Error::corrupt(format!("raw page: it ends before value {index}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{check, encoded};
    use super::*;

    #[test]
    fn golden_bytes() {
        let page = encoded(IntegerCodec::Raw, &[1, u64::MAX - 1]);
        assert_eq!(page, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0xfe, 255, 255, 255, 255, 255, 255, 255]);
    }

    proptest! {
        #[test]
        fn any_values_take_eight_bytes_and_the_code(values in prop::collection::vec(any::<u64>(), 2..50)) {
            prop_assume!(values[0] != values[1]);
            prop_assert_eq!(check(IntegerCodec::Raw, &values).len(), 1 + 8 * values.len());
        }
    }
}
