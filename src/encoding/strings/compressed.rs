//! As plain, with the values compressed together by zstd at level 1: for free text.
//!
//! ```text
//! bytes of the next page (varint) | integer page of lengths | zstd frame
//! ```
//!
//! Used only where it saves a sixteenth of the plain bytes, because reading one value unpacks the page.

use super::{Strings, ZSTD, plain, read_ends};
use crate::bytes::{Reader, compress, decompress_into};
use crate::error::{Result, ensure};

use super::STRING_PAGE_BYTES_MAX;

/// A zstd block has at least three bytes and unpacks to at most 128 KiB.
const BLOCK_BYTES_MIN: usize = 3;
const BLOCK_UNPACKED_MAX: usize = 128 << 10;

/// Appends the page, or a plain one if compression saves too little.
pub fn encode(values: &[&[u8]], out: &mut Vec<u8>) {
    let first = out.len();
    out.push(ZSTD);
    plain::put_lengths(values, out);
    let text = values.concat();
    let body = out.len();
    compress(&text, out);
    if out.len() - body + text.len() / 16 >= text.len() {
        out.truncate(first);
        plain::encode(values, out);
    }
}

/// Fills `out`.
pub fn decode(body: &[u8], count: usize, out: &mut Strings) -> Result<()> {
    let mut reader = Reader::new(body);
    let total = read_ends(&mut reader, count, &mut out.ends)?;
    let frame = reader.bytes(reader.remaining(), "compressed strings")?;
    let most = (frame.len() / BLOCK_BYTES_MIN + 1).saturating_mul(BLOCK_UNPACKED_MAX);
    ensure(total <= most, || format!("zstd string page: {} bytes cannot unpack to {total}", frame.len()))?;
    decompress_into(frame, total, STRING_PAGE_BYTES_MAX, &mut out.bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{check, encoded};
    use super::super::{PLAIN, StringBody, StringCodec, decode_strings};
    use super::*;

    const CODEC: StringCodec = StringCodec::Each(StringBody::Zstd);

    #[test]
    fn golden_bytes() {
        let values = [b"abcabcabcabcabcabcabcabcabcabcabcabc".as_slice(), b"abc", b"abcabcabcabcabcabc"];
        let page = encoded(CODEC, &values);
        // Lengths 36, 3, 18: width 6, base 3; then a zstd frame, whose bytes are zstd's affair.
        assert_eq!(page[..10], [3, 6, 3, 6, 3, 0x21, 0xf0, 0x00, 0x28, 0xb5]);
        assert!(page.len() < 40);
        // A page written by zstd 1.5 must stay readable.
        let stored = b"\x03\x04\x03\x01\x02\x02\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";
        let mut out = Strings::default();
        decode_strings(stored, 2, &mut out).unwrap();
        assert_eq!((out.get(0), out.get(1)), (b"he".as_slice(), b"llo".as_slice()));
    }

    #[test]
    fn text_that_does_not_shrink_is_plain() {
        assert_eq!(check(CODEC, &[b"x7", b"Qp"])[0], PLAIN);
    }

    proptest! {
        #[test]
        fn words_come_back_within_the_worst_size(
            values in prop::collection::vec("(red |green |blue ){0,8}", 0..30),
        ) {
            let values: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
            let total: usize = values.iter().map(|value| value.len()).sum();
            prop_assert!(check(CODEC, &values).len() <= 16 + 8 * values.len() + total);
        }
    }
}
