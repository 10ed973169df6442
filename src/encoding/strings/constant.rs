//! One value for the whole page: `length (varint), bytes`. An empty page is a constant page of nothing.

use super::{CONSTANT, Strings, check_total};
use crate::bytes::{Reader, put_varint};
use crate::error::Result;

/// Appends the page.
pub fn encode(value: &[u8], out: &mut Vec<u8>) {
    out.push(CONSTANT);
    put_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Appends the value `count` times to `out`.
pub fn decode(body: &[u8], count: usize, out: &mut Strings) -> Result<()> {
    let value = read(body)?;
    check_total(value.len().saturating_mul(count))?;
    for _ in 0..count {
        out.bytes.extend_from_slice(value);
        out.end_here();
    }
    Ok(())
}

/// The value.
pub fn read(body: &[u8]) -> Result<&[u8]> {
    let mut reader = Reader::new(body);
    let value = reader.block("constant string")?;
    reader.finish("constant string page")?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::super::StringCodec;
    use super::super::testing::{check, encoded};

    #[test]
    fn golden_bytes() {
        assert_eq!(encoded(StringCodec::Constant, &[b"abc".as_slice(); 1000]), *b"\x01\x03abc");
        assert_eq!(encoded(StringCodec::Constant, &[]), [1, 0]);
    }

    #[test]
    fn equal_values_are_stored_once_whatever_the_codec() {
        for codec in super::super::testing::CODECS {
            assert_eq!(check(codec, &[b"Madrid".as_slice(); 50]).len(), 8);
        }
    }
}
