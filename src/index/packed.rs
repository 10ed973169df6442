//! Numbers of one width, packed without gaps and read one at a time in place.
//!
//! Number `i` of width `w` is bits `i * w .. (i + 1) * w` of the bytes taken as one little-endian number.
//! One unaligned 64-bit load and a shift reach it, because a width is at most 57 bits and a number
//! starts at most 7 bits into its first byte. The width is not stored: who packs knows it.

use crate::bytes::Reader;

/// Widest number: 64 bits of a load less 7 of shift.
pub(super) const WIDTH_MAX: u32 = 57;

/// Bits that numbers up to `max` take.
pub(super) fn bits_for(max: u64) -> u32 {
    64 - max.leading_zeros()
}

/// A number with the lowest `width` bits set.
pub(super) fn mask(width: u32) -> u64 {
    u64::MAX.checked_shr(64 - width).unwrap_or(0)
}

/// Bytes that `count` numbers of `width` bits take.
pub(super) fn packed_len(count: u64, width: u32) -> u64 {
    (count * u64::from(width)).div_ceil(8)
}

/// The eight bytes at `at` as a little-endian number; bytes past the end are zero.
pub(super) fn word(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.len() >= 8 {
        Reader::new(rest).u64("packed word").unwrap_or(0)
    } else {
        rest.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }
}

/// Packed numbers borrowed from bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<'a> {
    bytes: &'a [u8],
    width: u32,
}

impl<'a> Packed<'a> {
    /// The numbers of `width` bits in `bytes`.
    ///
    /// # Panics
    /// If `width` is above [`WIDTH_MAX`]: it comes from a count that was checked, never from bytes.
    pub(super) fn new(bytes: &'a [u8], width: u32) -> Self {
        assert!(width <= WIDTH_MAX, "packed width {width}");
        Self { bytes, width }
    }

    /// Number `index`; zero past the end.
    #[inline]
    pub(super) fn get(&self, index: usize) -> u64 {
        let bit = index as u64 * u64::from(self.width);
        (word(self.bytes, (bit / 8) as usize) >> (bit % 8)) & mask(self.width)
    }
}

/// Appends `numbers`, each below `2^width`, to `out`, and fills the last byte with zeros.
///
/// # Panics
/// If a number or the width is too large.
pub(super) fn pack(numbers: impl IntoIterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    assert!(width <= WIDTH_MAX, "packed width {width}");
    let (mut pending, mut pending_bits) = (0u64, 0u32);
    for number in numbers {
        assert!(number <= mask(width), "{number} does not fit in {width} bits");
        pending |= number << pending_bits;
        pending_bits += width;
        while pending_bits >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            pending_bits -= 8;
        }
    }
    if pending_bits > 0 {
        out.push(pending as u8);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_packed_is_read_back(width in 0..=WIDTH_MAX, raw in prop::collection::vec(any::<u64>(), 0..50)) {
            let numbers: Vec<u64> = raw.iter().map(|n| n & mask(width)).collect();
            let mut bytes = Vec::new();
            pack(numbers.iter().copied(), width, &mut bytes);
            prop_assert_eq!(bytes.len() as u64, packed_len(numbers.len() as u64, width));
            let packed = Packed::new(&bytes, width);
            let read: Vec<u64> = (0..numbers.len()).map(|i| packed.get(i)).collect();
            prop_assert_eq!(read, numbers);
        }
    }

    #[test]
    fn numbers_past_the_end_are_zero() {
        let packed = Packed::new(&[0xff], 5);
        assert_eq!((packed.get(0), packed.get(1), packed.get(2), packed.get(1 << 60)), (31, 7, 0, 0));
    }

    #[test]
    fn low_bits_come_first() {
        let mut bytes = Vec::new();
        pack([0b001, 0b010, 0b111], 3, &mut bytes);
        assert_eq!(bytes, [0b1101_0001, 0b1]);
    }
}
