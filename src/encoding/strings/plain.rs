//! The values one after another, after a page of their lengths.
//!
//! ```text
//! bytes of the next page (varint) | integer page of lengths | the values
//! ```

use super::{PLAIN, Strings, put_integers, read_ends};
use crate::bytes::Reader;
use crate::error::Result;

/// Appends the page.
pub fn encode(values: &[&[u8]], out: &mut Vec<u8>) {
    out.push(PLAIN);
    put_lengths(values, out);
    values.iter().for_each(|value| out.extend_from_slice(value));
}

/// Appends the integer page of the lengths and its own length.
pub fn put_lengths(values: &[&[u8]], out: &mut Vec<u8>) {
    let lengths: Vec<u64> = values.iter().map(|value| value.len() as u64).collect();
    put_integers(&lengths, out);
}

/// Fills `out`.
pub fn decode(body: &[u8], count: usize, out: &mut Strings) -> Result<()> {
    let mut reader = Reader::new(body);
    let total = read_ends(&mut reader, count, &mut out.ends)?;
    out.bytes.extend_from_slice(reader.bytes(total, "plain strings")?);
    reader.finish("plain string page")
}

/// Where each value ends, and the values.
pub fn open(body: &[u8], count: usize) -> Result<(Vec<u32>, &[u8])> {
    let mut reader = Reader::new(body);
    let mut ends = Vec::new();
    let total = read_ends(&mut reader, count, &mut ends)?;
    Ok((ends, reader.bytes(total, "plain strings")?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{check, encoded};
    use super::super::{StringBody, StringCodec};

    const CODEC: StringCodec = StringCodec::Each(StringBody::Plain);

    #[test]
    fn golden_bytes() {
        // Lengths 1, 0, 2: width 2, base 0.
        assert_eq!(encoded(CODEC, &[b"a", b"", b"bc"]), *b"\x02\x04\x03\x02\x00\x21abc");
    }

    proptest! {
        #[test]
        fn any_values_come_back_within_the_worst_size(
            values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..30),
        ) {
            let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            let total: usize = values.iter().map(|value| value.len()).sum();
            prop_assert!(check(CODEC, &values).len() <= 16 + 8 * values.len() + total);
        }
    }
}
