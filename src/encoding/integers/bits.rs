//! Bit packing: value `i` of width `w` stands in bits `i*w .. (i+1)*w` of one little-endian bit stream.
//!
//! ```text
//! width 3:   byte 0            byte 1            byte 2
//!            c c b b b a a a   f e e e d d d c   h h h g g g f f     eight values fill `width` bytes
//! ```
//!
//! Eight values take exactly `width` whole bytes, so the work is done in groups of eight by functions
//! compiled once for each width: every offset and shift is a constant and nothing branches per value.
//! A group is read through eight overlapping words, which is why a window of 16 bytes past the group must
//! exist; the last groups go through a padded copy.

use crate::bytes::{as_bytes, u64_at, u128_at};

/// Bytes a group's reads may reach past its end.
const SLACK: usize = 16;
/// The largest group and its slack.
const WINDOW_MAX: usize = 64 + SLACK;

/// A number that pages decode into.
pub trait Lane: Copy + Default {
    /// The largest value of the type.
    const MAX: u64;
    /// The low bits of `value`.
    fn narrow(value: u64) -> Self;
    /// The value as u64.
    fn wide(self) -> u64;
}

impl Lane for u64 {
    const MAX: u64 = u64::MAX;
    fn narrow(value: u64) -> Self {
        value
    }
    fn wide(self) -> u64 {
        self
    }
}

impl Lane for u32 {
    const MAX: u64 = u32::MAX as u64;
    fn narrow(value: u64) -> Self {
        value as u32
    }
    fn wide(self) -> u64 {
        u64::from(self)
    }
}

/// Bits needed for `value`: 0 for 0, 64 for the largest.
pub fn width_of(value: u64) -> usize {
    64 - value.leading_zeros() as usize
}

/// The largest value of `width` bits.
pub fn mask(width: usize) -> u64 {
    u64::MAX.checked_shr(64 - width as u32).unwrap_or(0)
}

/// Bytes of `count` values of `width` bits.
pub fn packed_len(width: usize, count: usize) -> usize {
    (width * count).div_ceil(8)
}

/// Runs the macro `$call` with the width, 1 to 64, as a literal.
macro_rules! for_width {
    ($width:expr, $call:ident) => {
        for_width!($width, $call,
            1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
            33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64)
    };
    ($width:expr, $call:ident, $($known:literal)*) => {
        match $width {
            $($known => $call!($known),)*
            _ => unreachable!("a width is at most 64 bits"),
        }
    };
}

/// Appends the low `width` bits of every `value - base`.
///
/// # Panics
/// If `width` is above 64.
pub fn pack(width: usize, values: &[u64], base: u64, out: &mut Vec<u8>) {
    out.reserve(packed_len(width, values.len()));
    macro_rules! call {
        ($width:literal) => {
            pack_groups::<$width>(values, base, out)
        };
    }
    if width > 0 {
        for_width!(width, call);
    }
}

fn pack_groups<const W: usize>(values: &[u64], base: u64, out: &mut Vec<u8>) {
    let (groups, tail) = values.as_chunks::<8>();
    for group in groups {
        let words = pack_eight::<W>(group, base);
        out.extend_from_slice(&as_bytes(&words)[..W]);
    }
    if !tail.is_empty() {
        let mut group = [base; 8];
        group[..tail.len()].copy_from_slice(tail);
        let words = pack_eight::<W>(&group, base);
        out.extend_from_slice(&as_bytes(&words)[..packed_len(W, tail.len())]);
    }
}

#[inline(always)]
fn pack_eight<const W: usize>(group: &[u64; 8], base: u64) -> [u64; 8] {
    let mut words = [0u64; 8];
    for (i, value) in group.iter().enumerate() {
        let bits = value.wrapping_sub(base) & (u64::MAX >> (64 - W));
        let (word, shift) = (i * W / 64, i * W % 64);
        words[word] |= bits << shift;
        if shift + W > 64 {
            words[word + 1] |= bits >> (64 - shift);
        }
    }
    words
}

/// Fills `out` with `base + value` for every packed value, wrapping around.
/// `packed` should have [`packed_len`] bytes; what is missing reads as zero bits.
///
/// # Panics
/// If `width` is above 64.
pub fn unpack<T: Lane>(width: usize, packed: &[u8], base: u64, out: &mut [T]) {
    macro_rules! call {
        ($width:literal) => {
            unpack_groups::<$width, T>(packed, base, out)
        };
    }
    if width == 0 {
        out.fill(T::narrow(base));
    } else {
        for_width!(width, call);
    }
}

fn unpack_groups<const W: usize, T: Lane>(packed: &[u8], base: u64, out: &mut [T]) {
    let mut rest = packed;
    let (groups, tail) = out.as_chunks_mut::<8>();
    for group in groups {
        match rest.get(..W + SLACK) {
            Some(window) => unpack_eight::<W, T>(window, base, group),
            None => unpack_eight::<W, T>(&padded(rest)[..W + SLACK], base, group),
        }
        rest = rest.get(W..).unwrap_or_default();
    }
    if !tail.is_empty() {
        let mut group = [T::default(); 8];
        unpack_eight::<W, T>(&padded(rest)[..W + SLACK], base, &mut group);
        tail.copy_from_slice(&group[..tail.len()]);
    }
}

fn padded(rest: &[u8]) -> [u8; WINDOW_MAX] {
    let mut window = [0; WINDOW_MAX];
    let len = rest.len().min(WINDOW_MAX);
    window[..len].copy_from_slice(&rest[..len]);
    window
}

#[inline(always)]
fn unpack_eight<const W: usize, T: Lane>(window: &[u8], base: u64, group: &mut [T; 8]) {
    for (i, value) in group.iter_mut().enumerate() {
        let (byte, shift) = (i * W / 8, i * W % 8);
        // A word holds a value and up to seven bits before it; wider values need a second word.
        let bits = if W <= 57 { u64_at(window, byte) >> shift } else { (u128_at(window, byte) >> shift) as u64 };
        *value = T::narrow(base.wrapping_add(bits & (u64::MAX >> (64 - W))));
    }
}

/// The packed value at `index`, without its base. Missing bytes read as zero bits.
pub fn unpack_one(width: usize, packed: &[u8], index: usize) -> u64 {
    let bit = index * width;
    let rest = packed.get(bit / 8..).unwrap_or_default();
    let word = if rest.len() >= SLACK { u128_at(rest, 0) } else { u128_at(&padded(rest), 0) };
    (word >> (bit % 8)) as u64 & mask(width)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_width_gives_the_values_back(
            width in 0usize..=64,
            base in any::<u64>(),
            raw in prop::collection::vec(any::<u64>(), 0..100),
        ) {
            let values: Vec<u64> = raw.iter().map(|v| base.wrapping_add(v & mask(width))).collect();
            let mut packed = Vec::new();
            pack(width, &values, base, &mut packed);
            prop_assert_eq!(packed.len(), packed_len(width, values.len()));
            let mut got = vec![0u64; values.len()];
            unpack(width, &packed, base, &mut got);
            prop_assert_eq!(&got, &values);
            let mut narrow = vec![0u32; values.len()];
            unpack(width, &packed, base, &mut narrow);
            for (i, value) in values.iter().enumerate() {
                prop_assert_eq!(narrow[i], *value as u32);
                prop_assert_eq!(unpack_one(width, &packed, i).wrapping_add(base), *value);
            }
        }
    }

    #[test]
    fn the_bit_stream_is_little_endian() {
        let mut packed = Vec::new();
        pack(3, &[0, 1, 2, 3, 4, 5, 6, 7, 5], 0, &mut packed);
        assert_eq!(packed, [0b1000_1000, 0b1100_0110, 0b1111_1010, 0b101]);
    }

    #[test]
    fn missing_bytes_read_as_zero() {
        let mut got = [9u64; 20];
        unpack(13, &[0xff], 0, &mut got);
        assert_eq!(got[0], 0xff);
        assert!(got[1..].iter().all(|v| *v == 0));
        assert_eq!(unpack_one(13, &[0xff], 400), 0);
    }
}
