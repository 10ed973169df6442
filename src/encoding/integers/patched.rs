//! Frame of reference with outliers: a narrow width for most values, the high bits of the few others apart.
//!
//! ```text
//! width (1) | high width (1) | base (varint) | outliers (varint)
//! | positions, packed in the bits of count - 1 | high bits, packed | low bits of every value, packed
//! ```
//!
//! Durations are why: most of a page fits 22 bits, a few need 34, and the page would pay 34 for all.
//! The width is the one with the smallest page, found from a histogram of bit lengths. Without outliers
//! the page is a plain bitpack page. Positions rise strictly, so one value is found by binary search.

use super::bits::{Lane, pack, packed_len, unpack, unpack_one, width_of};
use super::{IntegerCodec, bitpack};
use crate::bytes::{Reader, put_varint, varint_len};
use crate::error::{Result, ensure};

/// Bytes of the smallest page.
pub fn size(values: &[u64]) -> usize {
    Plan::of(values).size()
}

/// Appends the smallest page.
pub fn encode(values: &[u64], out: &mut Vec<u8>) {
    Plan::of(values).encode(values, out);
}

/// The widths of the smallest page for some values.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    count: usize,
    base: u64,
    width: usize,
    high_width: usize,
    outliers: usize,
}

impl Plan {
    /// Finds the smallest page.
    pub fn of(values: &[u64]) -> Self {
        let (base, width_max) = bitpack::base_and_width(values);
        let mut lengths = [0u32; 65];
        for value in values {
            lengths[width_of(value - base)] += 1;
        }
        let mut best = Self { count: values.len(), base, width: width_max, high_width: 0, outliers: 0 };
        let mut outliers = 0;
        for width in (0..width_max).rev() {
            outliers += lengths[width + 1] as usize;
            let plan = Self { width, high_width: width_max - width, outliers, ..best };
            if plan.size() < best.size() {
                best = plan;
            }
        }
        best
    }

    /// Bytes of the page.
    pub fn size(&self) -> usize {
        let frame = 2 + varint_len(self.base) + packed_len(self.width, self.count);
        if self.outliers == 0 {
            return frame;
        }
        frame
            + 1
            + varint_len(self.outliers as u64)
            + packed_len(position_width(self.count), self.outliers)
            + packed_len(self.high_width, self.outliers)
    }

    /// Appends the page of the values the plan was made for.
    pub fn encode(&self, values: &[u64], out: &mut Vec<u8>) {
        if self.outliers == 0 {
            return bitpack::encode_with(self.base, self.width, values, out);
        }
        let (positions, highs) = self.outliers_of(values);
        out.push(IntegerCodec::Patched as u8);
        out.push(self.width as u8);
        out.push(self.high_width as u8);
        put_varint(self.base, out);
        put_varint(self.outliers as u64, out);
        pack(position_width(self.count), &positions, 0, out);
        pack(self.high_width, &highs, 0, out);
        pack(self.width, values, self.base, out);
    }

    /// Collected without a branch per value: every slot is written, and kept only if it was an outlier.
    fn outliers_of(&self, values: &[u64]) -> (Vec<u64>, Vec<u64>) {
        let mut positions = vec![0; self.outliers + 1];
        let mut highs = vec![0; self.outliers + 1];
        let mut found = 0;
        for (position, value) in values.iter().enumerate() {
            let high = (value - self.base) >> self.width;
            positions[found] = position as u64;
            highs[found] = high;
            found += usize::from(high != 0);
        }
        positions.truncate(self.outliers);
        highs.truncate(self.outliers);
        (positions, highs)
    }
}

fn position_width(count: usize) -> usize {
    width_of(count.saturating_sub(1) as u64)
}

struct Header<'a> {
    width: usize,
    high_width: usize,
    base: u64,
    outliers: usize,
    positions: &'a [u8],
    highs: &'a [u8],
    packed: &'a [u8],
}

fn parse(body: &[u8], count: usize) -> Result<Header<'_>> {
    let mut reader = Reader::new(body);
    let width = bitpack::read_width(&mut reader, "patched width")?;
    let high_width = bitpack::read_width(&mut reader, "patched high width")?;
    ensure(width + high_width <= 64, || format!("patched page: widths {width} and {high_width} exceed 64 bits"))?;
    let base = reader.varint("patched base")?;
    let outliers = reader.varint("patched outliers")?;
    ensure(outliers <= count as u64, || format!("patched page: {outliers} outliers among {count} values"))?;
    let outliers = outliers as usize;
    let positions = reader.bytes(packed_len(position_width(count), outliers), "patched positions")?;
    let highs = reader.bytes(packed_len(high_width, outliers), "patched high bits")?;
    let packed = reader.bytes(packed_len(width, count), "patched values")?;
    reader.finish("patched page")?;
    Ok(Header { width, high_width, base, outliers, positions, highs, packed })
}

/// Fills `out`.
pub fn decode<T: Lane>(body: &[u8], out: &mut [T]) -> Result<()> {
    let header = parse(body, out.len())?;
    bitpack::unpack_checked(header.width, header.packed, header.base, out)?;
    let mut positions = vec![0u32; header.outliers];
    unpack(position_width(out.len()), header.positions, 0, &mut positions);
    let mut highs = vec![0u64; header.outliers];
    unpack(header.high_width, header.highs, 0, &mut highs);
    let mut next = 0;
    for (position, high) in positions.iter().zip(&highs) {
        let position = *position as usize;
        let value = if position >= next { out.get_mut(position) } else { None };
        let value = value.ok_or_else(|| misplaced(position))?;
        let patched = value.wide().wrapping_add(shifted(*high, header.width));
        ensure(patched <= T::MAX, || format!("patched page: {patched} is above {}", T::MAX))?;
        *value = T::narrow(patched);
        next = position + 1;
    }
    Ok(())
}

/// High bits in their place. A width of 64 leaves no room for any.
fn shifted(high: u64, width: usize) -> u64 {
    high.checked_shl(width as u32).unwrap_or(0)
}

fn misplaced(position: usize) -> crate::error::Error {
    crate::error::Error::corrupt(format!("patched page: outlier position {position} is out of order or range"))
}

/// One value.
pub fn at(body: &[u8], count: usize, index: usize) -> Result<u64> {
    let header = parse(body, count)?;
    let position = |i| unpack_one(position_width(count), header.positions, i);
    let (mut low, mut high) = (0, header.outliers);
    while low < high {
        let middle = (low + high) / 2;
        if position(middle) < index as u64 { low = middle + 1 } else { high = middle }
    }
    let mut value = header.base.wrapping_add(unpack_one(header.width, header.packed, index));
    if low < header.outliers && position(low) == index as u64 {
        value = value.wrapping_add(shifted(unpack_one(header.high_width, header.highs, low), header.width));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{check, encoded};
    use super::*;

    fn with_outliers(count: usize) -> Vec<u64> {
        (0..count as u64).map(|i| 100 + i % 4 + if i % 50 == 7 { i << 30 } else { 0 }).collect()
    }

    #[test]
    fn golden_bytes() {
        let mut values = vec![5u64; 16];
        values[3] = 4;
        values[9] = 4 + 0x201;
        // Width 1, nine high bits, base 4, one outlier at position 9 (4 bits), high bits 0x100, then the low bits.
        assert_eq!(encoded(IntegerCodec::Patched, &values), [4, 1, 9, 4, 1, 9, 0, 1, 0b1111_0111, 0b1111_1111]);
    }

    #[test]
    fn a_few_large_values_do_not_widen_the_page() {
        let values = with_outliers(1024);
        let page = check(IntegerCodec::Patched, &values);
        assert_eq!(page[0], 4);
        assert!(page.len() < 420 && page.len() == size(&values), "{}", page.len());
        assert!(bitpack::size(&values) > 5000);
    }

    #[test]
    fn outliers_out_of_order_are_corrupt() {
        let mut values = vec![0u64; 256];
        values[3] = 1 << 40;
        values[9] = 1 << 40;
        let mut page = encoded(IntegerCodec::Patched, &values);
        let at = page.iter().position(|b| *b == 9).unwrap();
        assert_eq!(page[at - 1], 3);
        page[at] = 3;
        let error = decode(&page[1..], &mut [0u64; 256]).unwrap_err();
        assert!(error.to_string().contains("out of order"), "{error}");
    }

    #[test]
    fn widths_that_exceed_64_bits_are_corrupt() {
        assert!(decode(&[33, 32, 0, 0], &mut [0u64; 0]).is_err());
        assert!(decode(&[32, 32, 0, 0], &mut [0u64; 0]).is_ok());
    }

    proptest! {
        #[test]
        fn any_values_come_back_within_the_worst_size(
            shifts in prop::collection::vec((any::<u64>(), 0u32..64), 0..80),
        ) {
            let values: Vec<u64> = shifts.iter().map(|(v, shift)| v >> shift).collect();
            let page = check(IntegerCodec::Patched, &values);
            prop_assert!(page.len() <= 12 + 8 * values.len());
        }
    }
}
