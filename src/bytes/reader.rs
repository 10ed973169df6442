//! A cursor over hostile bytes: every read is checked and names what it wanted.

use crate::error::{Error, Result, ensure};

/// Reads numbers and byte strings from the front of a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bytes not yet read.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Bytes read so far.
    #[inline]
    pub fn position(&self) -> usize {
        self.position
    }

    /// True if nothing is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// Corrupt if fewer are left; so do all other reads.
    #[inline]
    pub fn bytes(&mut self, len: usize, what: &str) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let taken = rest.get(..len).ok_or_else(|| {
            Error::corrupt(format!("{what} at byte {}: {len} bytes wanted, {} left", self.position, rest.len()))
        })?;
        self.position += len;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.bytes(N, what)?);
        Ok(out)
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self, what: &str) -> Result<u8> {
        Ok(self.array::<1>(what)?[0])
    }

    /// A little-endian u16.
    #[inline]
    pub fn u16(&mut self, what: &str) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    /// A little-endian u32.
    #[inline]
    pub fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// A little-endian u64.
    #[inline]
    pub fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A LEB128 number.
    #[inline]
    pub fn varint(&mut self, what: &str) -> Result<u64> {
        // Most numbers are small.
        match self.bytes.get(self.position) {
            Some(byte) if *byte < 0x80 => {
                self.position += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(what),
        }
    }

    /// A number of several bytes: up to eight of them, if as many are left, without a step for each.
    #[inline]
    fn long_varint(&mut self, what: &str) -> Result<u64> {
        let window = self.bytes.get(self.position..).and_then(|rest| rest.first_chunk::<8>());
        let word = window.map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
        // The top bit of the last byte is not set.
        let ends = !word & 0x8080_8080_8080_8080;
        if ends == 0 {
            return self.any_varint(what);
        }
        let len = ends.trailing_zeros() as usize / 8 + 1;
        self.position += len;
        let bits = word & (u64::MAX >> (64 - 8 * len)) & 0x7f7f_7f7f_7f7f_7f7f;
        let bits = (bits & 0x7f00_7f00_7f00_7f00) >> 1 | bits & 0x007f_007f_007f_007f;
        let bits = (bits & 0xffff_0000_ffff_0000) >> 2 | bits & 0x0000_ffff_0000_ffff;
        Ok((bits & 0xffff_ffff_0000_0000) >> 4 | bits & 0x0000_0000_ffff_ffff)
    }

    fn any_varint(&mut self, what: &str) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let Some(byte) = self.bytes.get(self.position).copied() else { return self.u8(what).map(u64::from) };
            self.position += 1;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::corrupt(format!("{what} at byte {}: the number has more than 64 bits", self.position)))
    }

    /// A LEB128 count of items that take at least `item_bytes_min` bytes each in what is left, so that
    /// it is safe to reserve room for them.
    pub fn count(&mut self, item_bytes_min: usize, what: &str) -> Result<usize> {
        let count = self.varint(what)?;
        let most = self.remaining() / item_bytes_min.max(1);
        ensure(count <= most as u64, || format!("{what}: {count} items claimed, room for {most} at most"))?;
        Ok(count as usize)
    }

    /// A LEB128 length and that many bytes.
    pub fn block(&mut self, what: &str) -> Result<&'a [u8]> {
        let len = self.count(1, what)?;
        self.bytes(len, what)
    }

    /// A LEB128 length and that much UTF-8.
    pub fn text(&mut self, what: &str) -> Result<&'a str> {
        std::str::from_utf8(self.block(what)?).map_err(|_| Error::corrupt(format!("{what}: not UTF-8")))
    }

    /// Fails unless everything was read.
    pub fn finish(&self, what: &str) -> Result<()> {
        ensure(self.is_empty(), || format!("{what}: {} bytes too many", self.remaining()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::put_varint;
    use super::*;

    #[test]
    fn varints_of_every_length_come_back_with_and_without_bytes_behind_them() {
        for bits in 0..64 {
            for value in [1u64 << bits, (1u64 << bits) - 1, u64::MAX >> bits, 0x5555_5555_5555_5555 >> bits] {
                let mut bytes = Vec::new();
                put_varint(value, &mut bytes);
                let len = bytes.len();
                for behind in [0, 1, 7, 8, 20] {
                    bytes.resize(len + behind, 0xff);
                    let mut reader = Reader::new(&bytes);
                    assert_eq!(
                        (reader.varint("number").unwrap(), reader.position()),
                        (value, len),
                        "{value:#x} + {behind}"
                    );
                    bytes.truncate(len);
                }
                assert!(Reader::new(&bytes[..len - 1]).varint("number").is_err());
            }
        }
        assert!(Reader::new(&[0xff; 11]).varint("number").is_err());
    }
}
