//! Numbered files: their ids and their names, in one place.
//!
//! Logs and segments share one counter that the manifest keeps, so an id names one file for ever: it is
//! never used again, and a checksum that mixes it in fails in any other file. The names are the id in
//! twelve digits, which makes the order of names the order of creation:
//!
//! ```text
//! log/000000000007.log      seg/000000000012.seg
//! ```

use std::fmt;

use crate::os::Directory;

/// The id of a log or segment file. The first one is 1; 0 is never used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

impl FileId {
    /// The file name of the log with this id, without its directory.
    pub fn log_name(self) -> String {
        format!("{self}.log")
    }

    /// The path of the log with this id, relative to the store.
    pub fn log_path(self) -> String {
        Directory::Log.join(&self.log_name())
    }

    /// The file name of the segment with this id, without its directory.
    pub fn segment_name(self) -> String {
        format!("{self}.seg")
    }

    /// The path of the segment with this id, relative to the store.
    pub fn segment_path(self) -> String {
        Directory::Segments.join(&self.segment_name())
    }

    /// The id in a log's file name; none if that is no name [`FileId::log_name`] gives.
    pub fn from_log_name(name: &str) -> Option<Self> {
        Self::from_name(name, ".log")
    }

    /// The id in a segment's file name; none if that is no name [`FileId::segment_name`] gives.
    pub fn from_segment_name(name: &str) -> Option<Self> {
        Self::from_name(name, ".seg")
    }

    fn from_name(name: &str, suffix: &str) -> Option<Self> {
        let digits = name.strip_suffix(suffix)?;
        let id = Self(digits.parse().ok().filter(|&id| id > 0)?);
        // Only the spelling we write: no sign, no other number of zeros.
        (digits == id.to_string()).then_some(id)
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_their_ids_back() {
        for id in [1, 42, 999_999_999_999, 1_000_000_000_000, u64::MAX] {
            let id = FileId(id);
            assert_eq!(FileId::from_log_name(&id.log_name()), Some(id));
            assert_eq!(FileId::from_segment_name(&id.segment_name()), Some(id));
        }
        assert_eq!(FileId(7).log_path(), "log/000000000007.log");
        assert_eq!(FileId(12).segment_path(), "seg/000000000012.seg");
    }

    #[test]
    fn names_we_never_write_have_no_id() {
        for name in ["7.log", "000000000007.seg", "+00000000007.log", "000000000000.log", "000000000007.log.tmp", ""] {
            assert_eq!(FileId::from_log_name(name), None, "{name}");
        }
    }
}
