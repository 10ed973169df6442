//! One value for the whole page: `varint value`. An empty page is a constant page of zero.

use super::IntegerCodec;
use super::bits::Lane;
use crate::bytes::{Reader, put_varint, varint_len};
use crate::error::{Result, ensure};

/// Bytes of the page.
pub fn size(values: &[u64]) -> usize {
    1 + varint_len(values.first().copied().unwrap_or(0))
}

/// Appends the page; all values must be equal.
pub fn encode(values: &[u64], out: &mut Vec<u8>) {
    debug_assert!(values.windows(2).all(|w| w[0] == w[1]));
    out.push(IntegerCodec::Constant as u8);
    put_varint(values.first().copied().unwrap_or(0), out);
}

/// Fills `out`.
pub fn decode<T: Lane>(body: &[u8], out: &mut [T]) -> Result<()> {
    let value = at(body)?;
    ensure(value <= T::MAX, || format!("constant page: {value} is above {}", T::MAX))?;
    out.fill(T::narrow(value));
    Ok(())
}

/// The value.
pub fn at(body: &[u8]) -> Result<u64> {
    let mut reader = Reader::new(body);
    let value = reader.varint("constant page")?;
    reader.finish("constant page")?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, encoded};
    use super::*;

    #[test]
    fn golden_bytes() {
        assert_eq!(encoded(IntegerCodec::Constant, &[300; 1024]), [1, 0xac, 2]);
        assert_eq!(encoded(IntegerCodec::Raw, &[]), [1, 0]);
    }

    #[test]
    fn constants_hold_in_at_most_eleven_bytes() {
        for value in [0, 1, 127, 128, u64::MAX] {
            for count in [0, 1, 2, 1024] {
                assert!(check(IntegerCodec::Constant, &vec![value; count]).len() <= 11);
            }
        }
    }
}
