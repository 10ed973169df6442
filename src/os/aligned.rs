//! A file's bytes in owned memory, aligned as a map would be.
//!
//! Pages of a segment hold arrays of numbers that are read in place, which needs an address divisible by
//! eight. A `Vec<u8>` promises no alignment, a `Vec<u64>` does: the words are kept, the length in bytes
//! beside them, and the last word is padded with zeros that nobody sees.

use std::fmt;
use std::io::{self, Read};

use super::storage::FileBytes;
use crate::bytes::{as_bytes, read_pods};

/// Bytes copied at a time when a file is read into words.
const CHUNK_LEN_BYTES: usize = 64 << 10;

/// Owned bytes aligned to 8.
#[derive(Clone, Default)]
pub(super) struct AlignedBytes {
    words: Vec<u64>,
    len_bytes: usize,
}

impl AlignedBytes {
    /// Reads exactly `len_bytes`; fails if there are fewer or no memory for them.
    pub(super) fn read(mut from: impl Read, len_bytes: u64) -> io::Result<Self> {
        let len_bytes = usize::try_from(len_bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut words = Vec::new();
        words.try_reserve_exact(len_bytes.div_ceil(8)).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut left = len_bytes;
        let mut chunk = vec![0u8; CHUNK_LEN_BYTES.min(len_bytes.next_multiple_of(8))];
        while left > 0 {
            let (taken, padded) = (left.min(CHUNK_LEN_BYTES), left.min(CHUNK_LEN_BYTES).next_multiple_of(8));
            from.read_exact(&mut chunk[..taken])?;
            chunk[taken..padded].fill(0);
            let whole_words = read_pods(&chunk[..padded], "a chunk").map_err(io::Error::other)?;
            words.extend::<Vec<u64>>(whole_words);
            left -= taken;
        }
        Ok(Self { words, len_bytes })
    }
}

impl FileBytes for AlignedBytes {
    fn bytes(&self) -> &[u8] {
        &as_bytes(&self.words)[..self.len_bytes]
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
        for len in [0, 1, 7, 8, 9, CHUNK_LEN_BYTES - 1, CHUNK_LEN_BYTES, CHUNK_LEN_BYTES + 3, 3 * CHUNK_LEN_BYTES + 8] {
            let source: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let read = AlignedBytes::read(source.as_slice(), len as u64).unwrap();
            assert_eq!(read.bytes(), source, "{len} bytes");
            assert!(read.bytes().as_ptr().addr().is_multiple_of(8), "{len} bytes");
        }
    }

    #[test]
    fn a_source_shorter_than_promised_is_an_error() {
        let error = AlignedBytes::read([1u8, 2].as_slice(), 3).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_length_beyond_memory_is_an_error_and_no_abort() {
        let error = AlignedBytes::read(io::empty(), u64::MAX / 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }
}
