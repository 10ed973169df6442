//! Numbers of different lengths one after the other, bit by bit, the lowest bit of a byte first.

use super::packed::{mask, word};
use crate::error::{Error, Result};

/// Bits that one load surely has: 64 less the 7 that may come before.
const LOADED: u32 = 57;

/// Appends numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct BitWriter {
    out: Vec<u8>,
    pending: u64,
    pending_bits: u32,
}

impl BitWriter {
    /// Appends the lowest `count` bits, at most 32.
    fn bits(&mut self, number: u64, count: u32) {
        debug_assert!(count <= 32 && number <= mask(count), "{number} in {count} bits");
        self.pending |= number << self.pending_bits;
        self.pending_bits += count;
        while self.pending_bits >= 8 {
            self.out.push(self.pending as u8);
            self.pending >>= 8;
            self.pending_bits -= 8;
        }
    }

    fn unary(&mut self, zeros: u64) {
        for _ in 0..zeros / 32 {
            self.bits(0, 32);
        }
        self.bits(1 << (zeros % 32), zeros as u32 % 32 + 1);
    }

    /// Elias' gamma code of a number from 1 to 2^32 - 1: as many zeros as bits follow its highest.
    ///
    /// # Panics
    /// If the number is 0 or larger.
    pub(super) fn gamma(&mut self, number: u64) {
        assert!(number > 0 && number <= u64::from(u32::MAX), "gamma code of {number}");
        let below = number.ilog2();
        self.unary(u64::from(below));
        self.bits(number & mask(below), below);
    }

    /// The Rice code with so many low bits, at most 32: what is above them in unary, then they.
    pub(super) fn rice(&mut self, number: u64, low_bits: u32) {
        self.unary(number >> low_bits);
        self.bits(number & mask(low_bits), low_bits);
    }

    /// The bytes; the last is filled with zeros.
    pub(super) fn into_vec(mut self) -> Vec<u8> {
        self.bits(0, (8 - self.pending_bits) % 8);
        self.out
    }
}

/// Reads what a [`BitWriter`] wrote.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    bit: u64,
}

impl<'a> BitReader<'a> {
    /// A reader from the first bit on.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, bit: 0 }
    }

    /// At least 57 of the bits that follow, zeros past the end.
    #[inline]
    fn load(&self) -> u64 {
        word(self.bytes, (self.bit / 8) as usize) >> (self.bit % 8)
    }

    #[inline]
    fn skip(&mut self, bits: u32, what: &str) -> Result<()> {
        self.bit += u64::from(bits);
        if self.bit > self.bytes.len() as u64 * 8 { Err(cut(what)) } else { Ok(()) }
    }

    #[inline]
    fn unary(&mut self, what: &str) -> Result<u64> {
        let mut zeros = 0;
        loop {
            let here = self.load().trailing_zeros();
            if here < LOADED {
                self.skip(here + 1, what)?;
                return Ok(zeros + u64::from(here));
            }
            self.skip(LOADED, what)?;
            zeros += u64::from(LOADED);
        }
    }

    #[inline]
    fn low(&mut self, count: u32, what: &str) -> Result<u64> {
        let number = self.load() & mask(count);
        self.skip(count, what)?;
        Ok(number)
    }

    /// A gamma code.
    ///
    /// # Errors
    /// Corrupt if the bytes end before the number does, or it has more than 32 bits.
    #[inline]
    pub(super) fn gamma(&mut self, what: &str) -> Result<u64> {
        let below = self.unary(what)?;
        if below >= 32 {
            return Err(Error::corrupt(format!("{what}: a number of {below} bits and more")));
        }
        Ok(1 << below | self.low(below as u32, what)?)
    }

    /// A Rice code with so many low bits, at most 32.
    ///
    /// # Errors
    /// Corrupt if the bytes end before the number does.
    #[inline]
    pub(super) fn rice(&mut self, low_bits: u32, what: &str) -> Result<u64> {
        let high = self.unary(what)?;
        Ok(high << low_bits | self.low(low_bits, what)?)
    }
}

#[cold]
fn cut(what: &str) -> Error {
    Error::corrupt(format!("{what}: the bits end"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back_and_cut_ones_are_errors(
            numbers in prop::collection::vec((any::<bool>(), 0..3_000u64, 0..9u32), 1..60),
        ) {
            let mut writer = BitWriter::default();
            for (is_gamma, number, low_bits) in &numbers {
                if *is_gamma { writer.gamma(number + 1) } else { writer.rice(*number, *low_bits) }
            }
            let bytes = writer.into_vec();
            let read = |bytes: &[u8]| -> Result<Vec<u64>> {
                let mut reader = BitReader::new(bytes);
                let one = |(is_gamma, _, low_bits): &(bool, u64, u32)| {
                    if *is_gamma { Ok(reader.gamma("n")? - 1) } else { reader.rice(*low_bits, "n") }
                };
                numbers.iter().map(one).collect()
            };
            let wanted: Vec<u64> = numbers.iter().map(|(_, number, _)| *number).collect();
            prop_assert_eq!(read(&bytes).unwrap(), wanted);
            prop_assert!(read(&bytes[..bytes.len() - 1]).is_err());
        }
    }

    #[test]
    fn a_gamma_code_of_too_many_bits_is_an_error() {
        assert!(BitReader::new(&[0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff]).gamma("n").is_err());
    }
}
