//! Frame of reference: the smallest value as base, every distance to it in the same number of bits.
//!
//! ```text
//! width (1 byte, 0..=64) | base (varint) | packed distances
//! ```
//!
//! A sum of base and distance that passes `u64::MAX` wraps around; no encoder writes one.

use super::IntegerCodec;
use super::bits::{Lane, mask, pack, packed_len, unpack, unpack_one, width_of};
use crate::bytes::{Reader, put_varint, varint_len};
use crate::error::{Result, ensure};

/// Bytes of the page.
pub fn size(values: &[u64]) -> usize {
    let (base, width) = base_and_width(values);
    2 + varint_len(base) + packed_len(width, values.len())
}

/// Appends the page.
pub fn encode(values: &[u64], out: &mut Vec<u8>) {
    let (base, width) = base_and_width(values);
    encode_with(base, width, values, out);
}

/// Appends the page with a base and width that hold every value.
pub fn encode_with(base: u64, width: usize, values: &[u64], out: &mut Vec<u8>) {
    out.push(IntegerCodec::Bitpack as u8);
    out.push(width as u8);
    put_varint(base, out);
    pack(width, values, base, out);
}

/// The smallest value and the bits of the distance to the largest.
pub fn base_and_width(values: &[u64]) -> (u64, usize) {
    let (min, max) = values.iter().fold((u64::MAX, 0), |(min, max), v| (min.min(*v), max.max(*v)));
    if values.is_empty() { (0, 0) } else { (min, width_of(max - min)) }
}

struct Header<'a> {
    width: usize,
    base: u64,
    packed: &'a [u8],
}

fn parse(body: &[u8], count: usize) -> Result<Header<'_>> {
    let mut reader = Reader::new(body);
    let width = read_width(&mut reader, "bitpack width")?;
    let base = reader.varint("bitpack base")?;
    let packed = reader.bytes(packed_len(width, count), "bitpack values")?;
    reader.finish("bitpack page")?;
    Ok(Header { width, base, packed })
}

/// A width of at most 64 bits.
pub fn read_width(reader: &mut Reader<'_>, what: &str) -> Result<usize> {
    let width = usize::from(reader.u8(what)?);
    ensure(width <= 64, || format!("{what}: {width} bits, 64 at most"))?;
    Ok(width)
}

/// Fills `out`.
pub fn decode<T: Lane>(body: &[u8], out: &mut [T]) -> Result<()> {
    let header = parse(body, out.len())?;
    unpack_checked(header.width, header.packed, header.base, out)
}

/// Unpacks values whose sums with the base must fit `T`.
pub fn unpack_checked<T: Lane>(width: usize, packed: &[u8], base: u64, out: &mut [T]) -> Result<()> {
    if T::MAX == u64::MAX || base.checked_add(mask(width)).is_some_and(|most| most <= T::MAX) {
        unpack(width, packed, base, out);
        return Ok(());
    }
    // The width alone does not promise that the values fit, so look at each.
    let mut wide = vec![0u64; out.len()];
    unpack(width, packed, base, &mut wide);
    let seen = wide.iter().fold(0, |seen, value| seen | value);
    ensure(seen <= T::MAX, || format!("bitpack page: a value is above {}", T::MAX))?;
    out.iter_mut().zip(&wide).for_each(|(value, wide)| *value = T::narrow(*wide));
    Ok(())
}

/// One value.
pub fn at(body: &[u8], count: usize, index: usize) -> Result<u64> {
    let header = parse(body, count)?;
    Ok(header.base.wrapping_add(unpack_one(header.width, header.packed, index)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{check, encoded};
    use super::*;

    #[test]
    fn golden_bytes() {
        let values = [300, 301, 302, 303, 304, 305, 306, 307, 305];
        assert_eq!(
            encoded(IntegerCodec::Bitpack, &values),
            [3, 3, 0xac, 2, 0b1000_1000, 0b1100_0110, 0b1111_1010, 0b101]
        );
    }

    #[test]
    fn a_width_above_64_is_named() {
        let error = decode(&[65, 0], &mut [0u64]).unwrap_err();
        assert!(error.to_string().contains("65 bits"), "{error}");
    }

    proptest! {
        #[test]
        fn any_values_come_back_within_the_worst_size(
            base in any::<u64>(), width in 0usize..=64, raw in prop::collection::vec(any::<u64>(), 0..60),
        ) {
            let values: Vec<u64> = raw.iter().map(|v| (v & mask(width)).saturating_add(base)).collect();
            prop_assert!(check(IntegerCodec::Bitpack, &values).len() <= 12 + 8 * values.len());
        }
    }
}
