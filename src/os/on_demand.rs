//! A file that is read piece by piece, each when it is first asked for.
//!
//! The alternative to a map: one read of exactly the bytes of a page or section, whose failure is an error of the
//! question that needed it and not a signal that ends the process. What was read stays until the file is given up,
//! because readers hold it by reference; `afresh` is the same file with nothing read yet.
//!
//! ```text
//! file     |   2 KiB   |   2 KiB   |   2 KiB   | ...     a list of the pieces that begin in it, for each
//!               |                       |
//!             piece -> piece          piece              in the order of their first use; lists only grow
//! ```
//! Two threads that need the same piece at once both read it and keep one.

use std::fmt;
use std::iter::successors;
use std::sync::{Arc, OnceLock};

use super::aligned::AlignedBytes;
use super::storage::{FileBytes, checked_range};
use crate::error::Result;

/// Bytes of the file for which there is one list.
const LISTED_BYTES: u64 = 2048;

/// What bytes are read from.
pub(super) trait ReadAt: Send + Sync + fmt::Debug {
    /// Fills `out` with the bytes from `offset` on.
    ///
    /// # Errors
    /// Io if the medium fails; corrupt if the file has become shorter.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()>;
}

/// A file that is read on demand.
pub(super) struct OnDemand<S> {
    source: Arc<S>,
    len_bytes: u64,
    lists: Box<[OnceLock<Box<Piece>>]>,
}

/// Bytes that were read, and the piece of the same list that was read next.
struct Piece {
    offset: u64,
    len: usize,
    /// From the multiple of eight before the offset on, so that numbers stand aligned as in the file.
    bytes: AlignedBytes,
    next: OnceLock<Box<Self>>,
}

impl<S: ReadAt> OnDemand<S> {
    /// A file of this length of which nothing was read.
    pub(super) fn new(source: Arc<S>, len_bytes: u64) -> Self {
        let lists = (0..len_bytes / LISTED_BYTES + 1).map(|_| OnceLock::new()).collect();
        Self { source, len_bytes, lists }
    }

    /// The list in which a piece at this offset stands.
    fn list(&self, offset: u64) -> &OnceLock<Box<Piece>> {
        &self.lists[(offset / LISTED_BYTES) as usize]
    }

    fn known(&self, offset: u64, len: usize) -> Option<&Piece> {
        let pieces = successors(self.list(offset).get(), |piece| piece.next.get());
        pieces.map(|piece| &**piece).into_iter().find(|piece| piece.offset == offset && piece.len >= len)
    }

    fn read(&self, offset: u64, len: usize) -> Result<Box<Piece>> {
        let before = (offset % 8) as usize;
        let mut bytes = AlignedBytes::zeroed(len + before)?;
        self.source.read_at(offset, &mut bytes.bytes_mut()[before..])?;
        Ok(Box::new(Piece { offset, len, bytes, next: OnceLock::new() }))
    }

    /// Puts a piece at the end of its list.
    fn keep(&self, mut piece: Box<Piece>) -> &Piece {
        let mut slot = self.list(piece.offset);
        loop {
            match slot.set(piece) {
                Ok(()) => {}
                // Another one is there: after it, then.
                Err(unplaced) => {
                    piece = unplaced;
                    if let Some(there) = slot.get() {
                        slot = &there.next;
                    }
                    continue;
                }
            }
            if let Some(kept) = slot.get() {
                return kept;
            }
            unreachable!("it was set, and is never taken out");
        }
    }
}

impl Piece {
    fn range(&self, len: usize) -> &[u8] {
        let before = (self.offset % 8) as usize;
        &self.bytes.whole()[before..before + len]
    }
}

impl Drop for Piece {
    /// One after the other: lists are as long as a file makes them.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut piece) = next {
            next = piece.next.take();
        }
    }
}

impl<S: ReadAt + 'static> FileBytes for OnDemand<S> {
    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn range(&self, offset: u64, len: usize) -> Result<&[u8]> {
        checked_range(self.len_bytes, offset, len)?;
        if let Some(piece) = self.known(offset, len) {
            return Ok(piece.range(len));
        }
        Ok(self.keep(self.read(offset, len)?).range(len))
    }

    fn afresh(&self) -> Option<Arc<dyn FileBytes>> {
        Some(Arc::new(Self::new(self.source.clone(), self.len_bytes)))
    }
}

impl<S: fmt::Debug> fmt::Debug for OnDemand<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnDemand({:?}, {} bytes)", self.source, self.len_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::error::{Error, ErrorKind};

    /// Byte `i` is `i` modulo 251; reads are counted, and fail from some offset on.
    #[derive(Debug)]
    struct Source {
        reads: AtomicU64,
        fails_from: u64,
    }

    impl ReadAt for Source {
        fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            if offset + out.len() as u64 > self.fails_from {
                return Err(Error::io("reading", std::io::Error::from_raw_os_error(5)));
            }
            out.iter_mut().zip(offset..).for_each(|(byte, at)| *byte = (at % 251) as u8);
            Ok(())
        }
    }

    fn file(len: u64, fails_from: u64) -> OnDemand<Source> {
        OnDemand::new(Arc::new(Source { reads: AtomicU64::new(0), fails_from }), len)
    }

    fn reads(file: &OnDemand<Source>) -> u64 {
        file.source.reads.load(Ordering::Relaxed)
    }

    #[test]
    fn every_range_comes_back_right_aligned_and_is_read_once() {
        let file = file(10_000, u64::MAX);
        for _ in 0..2 {
            for offset in (0..9_000).step_by(7) {
                for len in [1, 700] {
                    let range = file.range(offset, len).unwrap();
                    assert!(range.iter().zip(offset..).all(|(byte, at)| *byte == (at % 251) as u8), "{offset} {len}");
                    assert_eq!((range.len(), range.as_ptr().addr() as u64 % 8), (len, offset % 8));
                }
            }
        }
        assert_eq!(reads(&file), 2 * 9_000_u64.div_ceil(7));
        assert_eq!(file.range(10_000, 0).unwrap(), b"");
    }

    #[test]
    fn what_lies_outside_is_refused_before_it_is_read() {
        let file = file(100, u64::MAX);
        for (offset, len) in [(0, 101), (100, 1), (u64::MAX, 1), (1, usize::MAX)] {
            assert_eq!(file.range(offset, len).unwrap_err().kind(), ErrorKind::Corrupt, "{offset} {len}");
        }
        assert_eq!(reads(&file), 0);
    }

    #[test]
    fn a_failing_read_is_an_error_each_time_and_hurts_no_other_piece() {
        let file = file(100, 50);
        for _ in 0..2 {
            assert_eq!(file.range(60, 8).unwrap_err().kind(), ErrorKind::Io);
        }
        assert_eq!((file.range(40, 10).unwrap().len(), reads(&file)), (10, 3));
    }

    #[test]
    fn the_same_file_afresh_is_read_again() {
        let file = file(100, u64::MAX);
        file.range(0, 8).unwrap();
        file.afresh().unwrap().range(0, 8).unwrap();
        assert_eq!(reads(&file), 2);
    }

    #[test]
    fn threads_that_ask_for_the_same_get_the_same() {
        let file = file(1 << 16, u64::MAX);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for offset in (0..1 << 16).step_by(16) {
                        assert_eq!(file.range(offset, 16).unwrap()[0], (offset % 251) as u8);
                    }
                });
            }
        });
        let kept = |offset| file.range(offset, 16).unwrap().as_ptr();
        assert!((0..1 << 16).step_by(16).all(|offset| kept(offset) == kept(offset)));
    }

    #[test]
    fn a_list_of_many_pieces_is_given_up_without_recursion() {
        let mut list: Option<Box<Piece>> = None;
        for offset in 0..200_000 {
            let next = list.take().map_or_else(OnceLock::new, OnceLock::from);
            list = Some(Box::new(Piece { offset, len: 0, bytes: AlignedBytes::default(), next }));
        }
        drop(list);
    }
}
