//! A file's bytes in owned memory, aligned as a map would be.
//!
//! Pages of a segment hold arrays of numbers that are read in place, which needs an address divisible by
//! eight. A `Vec<u8>` promises no alignment, a `Vec<u64>` does: the words are kept, the length in bytes
//! beside them, and the last word is padded with zeros that nobody sees.

use std::fmt;
use std::io;

use super::storage::{FileBytes, checked_range};
use crate::bytes::{as_bytes, as_bytes_mut};
use crate::error::{Error, Result};

/// Owned bytes aligned to 8.
#[derive(Clone, Default)]
pub(super) struct AlignedBytes {
    words: Vec<u64>,
    len_bytes: usize,
}

impl AlignedBytes {
    /// Zeros.
    ///
    /// # Errors
    /// Io if there is no memory for them.
    pub(super) fn zeroed(len_bytes: usize) -> Result<Self> {
        let mut words = Vec::new();
        let no_memory = |_| Error::io(format!("making room for {len_bytes} bytes"), io::ErrorKind::OutOfMemory.into());
        words.try_reserve_exact(len_bytes.div_ceil(8)).map_err(no_memory)?;
        words.resize(len_bytes.div_ceil(8), 0);
        Ok(Self { words, len_bytes })
    }

    /// A copy of these bytes.
    ///
    /// # Errors
    /// Io if there is no memory for it.
    pub(super) fn copy_of(bytes: &[u8]) -> Result<Self> {
        let mut out = Self::zeroed(bytes.len())?;
        out.bytes_mut().copy_from_slice(bytes);
        Ok(out)
    }

    /// All bytes.
    pub(super) fn whole(&self) -> &[u8] {
        &as_bytes(&self.words)[..self.len_bytes]
    }

    /// All bytes, to be written.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut as_bytes_mut(&mut self.words)[..self.len_bytes]
    }
}

impl FileBytes for AlignedBytes {
    fn len_bytes(&self) -> u64 {
        self.len_bytes as u64
    }

    fn range(&self, offset: u64, len: usize) -> Result<&[u8]> {
        Ok(&self.whole()[checked_range(self.len_bytes(), offset, len)?])
    }
}

impl fmt::Debug for AlignedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBytes({} bytes)", self.len_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_comes_back_whole_and_aligned() {
        for len in [0, 1, 7, 8, 9, 65_535, 65_536, 65_539, 200_000] {
            let source: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let copy = AlignedBytes::copy_of(&source).unwrap();
            assert_eq!(copy.bytes().unwrap(), source, "{len} bytes");
            assert!(copy.whole().as_ptr().addr().is_multiple_of(8), "{len} bytes");
        }
    }

    #[test]
    fn a_length_beyond_memory_is_an_error_and_no_abort() {
        let error = AlignedBytes::zeroed(usize::MAX / 4).unwrap_err();
        assert_eq!(error.io_kind(), Some(io::ErrorKind::OutOfMemory));
    }
}
