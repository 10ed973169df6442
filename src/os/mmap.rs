//! Files seen as memory: the only `unsafe` of the crate.
//!
//! A segment is read in place, a page here and a page there, so it is mapped and the operating system
//! keeps in memory what is used. The price is that the bytes belong to the file system: the engine must
//! never change a published file, and an error of the medium arrives as a signal, not as a `Result`.

use std::fs::File;
use std::io;

use memmap2::Mmap;

use super::storage::{FileBytes, checked_range};
use crate::error::Result;

/// A mapped file.
#[derive(Debug)]
pub(super) struct Mapped(Mmap);

impl Mapped {
    /// Maps the whole file, which must not be empty: the operating system refuses an empty map.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        // SAFETY: the map is read-only and valid as long as nobody changes or shortens the file. Files
        // are mapped only once published, and a published file is never opened for writing again, only
        // unlinked, which leaves the map whole; the lock keeps a second writer, which might do otherwise,
        // out of the directory. A foreign program that changes or cuts a segment breaks the claim: torn
        // values fail their checksums, a cut file ends the process with SIGBUS; `Disk::without_mmap`
        // guards against both.
        unsafe { Mmap::map(file) }.map(Self)
    }
}

impl FileBytes for Mapped {
    fn len_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn range(&self, offset: u64, len: usize) -> Result<&[u8]> {
        // A map begins at a page of memory, far more than 8 bytes of alignment.
        Ok(&self.0[checked_range(self.len_bytes(), offset, len)?])
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_map_outlives_the_handle_and_the_name_of_its_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"still here").unwrap();
        let map = Mapped::of(file.as_file()).unwrap();
        drop(file);
        assert_eq!(map.bytes().unwrap(), b"still here");
    }

    #[test]
    fn a_map_is_aligned_for_numbers_of_eight_bytes() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 24]).unwrap();
        assert!(Mapped::of(&file).unwrap().bytes().unwrap().as_ptr().addr().is_multiple_of(8));
    }
}
