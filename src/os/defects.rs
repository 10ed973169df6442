//! Planted defects: mistakes that the code can be told to make, to prove that the tests notice them.
//!
//! A test of crash safety that passes says little until it has been seen to fail. Each [`Defect`] is one
//! classic mistake of a storage engine, named at the place where the right code stands:
//!
//! ```text
//! if !defects::active(Defect::SkipLogChecksum) { verify(...)?; }
//! ```
//!
//! Without the feature `canaries` nothing can be planted and [`active`] is the constant `false`. The
//! switches are process-wide, so that background threads see them: a test that plants runs alone.
//!
//! The skipped syncs live in the storage layer, both disks asking here before they sync; all others are
//! for the code they name.

/// A mistake that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Defect {
    /// A log's sync reports success and does nothing. In the storage layer.
    SkipLogSync,
    /// A segment's sync reports success and does nothing. In the storage layer.
    SkipSegmentSync,
    /// A manifest's sync reports success and does nothing. In the storage layer.
    SkipManifestSync,
    /// A directory's sync reports success and does nothing. In the storage layer.
    SkipDirectorySync,
    /// An append is acknowledged before its group is synced.
    AcknowledgeBeforeSync,
    /// A failed sync is tried again, and its second answer believed.
    RetryFailedSync,
    /// A failed append is followed by further records in the same file.
    AppendAfterFailedWrite,
    /// A page is used without verifying its checksum.
    SkipPageChecksum,
    /// A log record is used without verifying its checksum.
    SkipLogChecksum,
    /// A manifest edit is used without verifying its checksum.
    SkipManifestChecksum,
    /// The length in a log record's header is believed before its checksum is verified.
    TrustLogLength,
    /// Recovery stops at the first damaged record, losing what follows.
    StopAtFirstDamage,
    /// Recovery deletes the log that is newer than the last seal.
    DeleteNewerLog,
    /// A log is removed before the manifest that makes it superfluous is durable.
    RemoveLogBeforeManifest,
    /// Recovery replays logs that a live segment already covers.
    ReplaySealedLog,
    /// The ids of files start again at opening, so that a name is used twice.
    ReuseFileIds,
    /// Identical records delivered twice are kept twice.
    KeepDuplicates,
    /// Traces that lie in two parts are not marked dirty.
    ForgetDirtyTraces,
    /// A trace index answers without verifying the whole id.
    TrustTraceHash,
    /// A section of a segment is used without verifying its checksum.
    SkipSectionChecksum,
    /// Recovery passes over the deletes in logs.
    ForgetDeletes,
    /// What was deleted from segments is not written to the manifest.
    LoseDeletedMarks,
}

#[cfg(any(test, feature = "canaries"))]
impl Defect {
    /// Every defect, in the order of declaration.
    pub const ALL: [Self; 22] = [
        Self::SkipLogSync,
        Self::SkipSegmentSync,
        Self::SkipManifestSync,
        Self::SkipDirectorySync,
        Self::AcknowledgeBeforeSync,
        Self::RetryFailedSync,
        Self::AppendAfterFailedWrite,
        Self::SkipPageChecksum,
        Self::SkipLogChecksum,
        Self::SkipManifestChecksum,
        Self::TrustLogLength,
        Self::StopAtFirstDamage,
        Self::DeleteNewerLog,
        Self::RemoveLogBeforeManifest,
        Self::ReplaySealedLog,
        Self::ReuseFileIds,
        Self::KeepDuplicates,
        Self::ForgetDirtyTraces,
        Self::TrustTraceHash,
        Self::SkipSectionChecksum,
        Self::ForgetDeletes,
        Self::LoseDeletedMarks,
    ];
}

#[cfg(feature = "canaries")]
pub use planted::{active, clear, plant};

/// True if the defect is planted: never, in this build.
#[cfg(not(feature = "canaries"))]
#[inline(always)]
pub const fn active(_defect: Defect) -> bool {
    false
}

/// True if a sync of the file of this name, relative to the store, is to be reported but not done.
pub(super) fn skips_sync_of(path: &str) -> bool {
    sync_defect(path).is_some_and(active)
}

/// True if the sync of a directory is to be reported but not done.
pub(super) fn skips_directory_sync() -> bool {
    active(Defect::SkipDirectorySync)
}

/// The defect that would skip the sync of this file.
fn sync_defect(path: &str) -> Option<Defect> {
    if path.starts_with("log/") {
        Some(Defect::SkipLogSync)
    } else if path.starts_with("seg/") {
        Some(Defect::SkipSegmentSync)
    } else if path.starts_with("MANIFEST") {
        Some(Defect::SkipManifestSync)
    } else {
        None
    }
}

#[cfg(feature = "canaries")]
mod planted {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Defect;

    /// One bit a defect.
    static PLANTED: Switches = Switches(AtomicU64::new(0));

    const _: () = assert!(Defect::ALL.len() <= 64, "the switches are one 64-bit word");

    /// Plants a defect, beside those already planted, in the whole process.
    pub fn plant(defect: Defect) {
        PLANTED.plant(defect);
    }

    /// Removes all planted defects.
    pub fn clear() {
        PLANTED.clear();
    }

    /// True if the defect is planted.
    pub fn active(defect: Defect) -> bool {
        PLANTED.active(defect)
    }

    struct Switches(AtomicU64);

    impl Switches {
        fn plant(&self, defect: Defect) {
            self.0.fetch_or(1 << defect as u32, Ordering::SeqCst);
        }

        fn clear(&self) {
            self.0.store(0, Ordering::SeqCst);
        }

        fn active(&self, defect: Defect) -> bool {
            self.0.load(Ordering::Relaxed) & (1 << defect as u32) != 0
        }
    }

    // The tests use switches of their own: the process-wide ones would break tests that run beside them.
    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn planting_one_defect_activates_it_alone() {
            for planted in Defect::ALL {
                let switches = Switches(AtomicU64::new(0));
                switches.plant(planted);
                let active: Vec<Defect> = Defect::ALL.into_iter().filter(|&defect| switches.active(defect)).collect();
                assert_eq!(active, [planted]);
            }
        }

        #[test]
        fn clearing_removes_every_defect() {
            let switches = Switches(AtomicU64::new(0));
            Defect::ALL.into_iter().for_each(|defect| switches.plant(defect));
            switches.clear();
            assert!(Defect::ALL.into_iter().all(|defect| !switches.active(defect)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_planted_unless_asked() {
        assert!(Defect::ALL.into_iter().all(|defect| !active(defect)));
    }

    #[test]
    fn the_list_of_all_defects_is_complete_and_in_order() {
        let positions: Vec<usize> = Defect::ALL.iter().map(|&defect| defect as usize).collect();
        assert_eq!(positions, (0..=Defect::LoseDeletedMarks as usize).collect::<Vec<_>>());
    }

    #[test]
    fn each_kind_of_file_has_its_own_skipped_sync() {
        assert_eq!(sync_defect("log/000000000001.log"), Some(Defect::SkipLogSync));
        assert_eq!(sync_defect("seg/000000000001.seg"), Some(Defect::SkipSegmentSync));
        assert_eq!(sync_defect("MANIFEST.new"), Some(Defect::SkipManifestSync));
        assert_eq!(sync_defect("quarantine/x"), None);
    }
}
