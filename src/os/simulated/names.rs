//! The names in one simulated directory, which a crash may undo one by one.
//!
//! Built like a file: durable names, then changes in order. After a crash each name may be what any of
//! its unsynced changes made it, or what it was when the directory was last synced. A rename inside a
//! directory is one change, as journals make it: the file is found under the old name or under the new,
//! never under neither. A rename between two directories is a change in each, and nothing binds them.

use std::collections::BTreeMap;

use super::Standing;
use super::crash::Survival;

/// Points at a file's bytes, whatever its name.
pub(super) type FileId = u64;

#[derive(Clone, Debug)]
enum Edit {
    Link { name: String, file: FileId },
    Unlink { name: String },
    Rename { from: String, to: String, file: FileId },
}

/// The names in a directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    live: BTreeMap<String, FileId>,
    base: BTreeMap<String, FileId>,
    changes: Vec<(Edit, Standing)>,
}

impl Names {
    /// A directory whose names are all durable.
    pub(super) fn durable(names: BTreeMap<String, FileId>) -> Self {
        Self { base: names.clone(), live: names, changes: Vec::new() }
    }

    /// What the process sees.
    pub(super) fn live(&self) -> &BTreeMap<String, FileId> {
        &self.live
    }

    /// Gives a file a name, taking it from another file that has it.
    pub(super) fn link(&mut self, name: &str, file: FileId) {
        self.change(Edit::Link { name: name.to_owned(), file });
    }

    pub(super) fn unlink(&mut self, name: &str) {
        self.change(Edit::Unlink { name: name.to_owned() });
    }

    pub(super) fn rename(&mut self, from: &str, to: &str, file: FileId) {
        self.change(Edit::Rename { from: from.to_owned(), to: to.to_owned(), file });
    }

    fn change(&mut self, edit: Edit) {
        apply(&mut self.live, &edit);
        self.changes.push((edit, Standing::Unsynced));
    }

    pub(super) fn sync(&mut self) {
        self.restand(Standing::Durable);
        let durable = self.changes.iter().take_while(|(_, standing)| *standing == Standing::Durable).count();
        for (edit, _) in self.changes.drain(..durable) {
            apply(&mut self.base, &edit);
        }
    }

    /// A sync that failed: the changes it should have made durable are in doubt for ever.
    pub(super) fn fail_sync(&mut self) {
        self.restand(Standing::Doubtful);
    }

    fn restand(&mut self, new: Standing) {
        for (_, standing) in self.changes.iter_mut().filter(|(_, standing)| *standing == Standing::Unsynced) {
            *standing = new;
        }
    }

    /// Makes all names durable as they are, for damage done to a disk at rest.
    pub(super) fn settle(&mut self) {
        *self = Self::durable(std::mem::take(&mut self.live));
    }

    /// The names a crash leaves.
    pub(super) fn after_crash(&self, survival: &mut Survival) -> BTreeMap<String, FileId> {
        let mut left = self.base.clone();
        for (edit, standing) in &self.changes {
            if *standing == Standing::Durable || survival.entry_survives() {
                apply(&mut left, edit);
            }
        }
        left
    }

    /// Every file that a name here points at, or may point at after a crash.
    pub(super) fn files(&self) -> impl Iterator<Item = FileId> {
        let changed = self.changes.iter().filter_map(|(edit, _)| match edit {
            Edit::Link { file, .. } | Edit::Rename { file, .. } => Some(*file),
            Edit::Unlink { .. } => None,
        });
        self.live.values().chain(self.base.values()).copied().chain(changed)
    }
}

fn apply(names: &mut BTreeMap<String, FileId>, edit: &Edit) {
    match edit {
        Edit::Link { name, file } => {
            names.insert(name.clone(), *file);
        }
        Edit::Unlink { name } => {
            names.remove(name);
        }
        Edit::Rename { from, to, file } => {
            // The old name may be another file's by now, if a later change survived without an earlier.
            if names.get(from) == Some(file) {
                names.remove(from);
            }
            names.insert(to.clone(), *file);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::CrashChoice;
    use super::*;

    /// Every outcome of many crashes, each as `name=file` words.
    fn outcomes(names: &Names) -> BTreeSet<String> {
        let text = |left: BTreeMap<String, FileId>| {
            left.iter().map(|(name, file)| format!("{name}={file}")).collect::<Vec<_>>().join(" ")
        };
        let crash = |seed| names.after_crash(&mut Survival::new(CrashChoice::Random(seed), 0));
        (0..500).map(|seed| text(crash(seed))).collect()
    }

    fn set<const N: usize>(words: [&str; N]) -> BTreeSet<String> {
        words.into_iter().map(str::to_owned).collect()
    }

    fn durable<const N: usize>(names: [(&str, FileId); N]) -> Names {
        Names::durable(names.into_iter().map(|(name, file)| (name.to_owned(), file)).collect())
    }

    #[test]
    fn a_created_name_is_there_or_not_until_the_directory_is_synced() {
        let mut names = Names::default();
        names.link("a", 1);
        assert_eq!(outcomes(&names), set(["", "a=1"]));
        names.sync();
        assert_eq!(outcomes(&names), set(["a=1"]));
    }

    #[test]
    fn a_removed_name_may_come_back_until_the_directory_is_synced() {
        let mut names = durable([("a", 1)]);
        names.unlink("a");
        assert!(names.live().is_empty());
        assert_eq!(outcomes(&names), set(["", "a=1"]));
        names.sync();
        assert_eq!(outcomes(&names), set([""]));
    }

    #[test]
    fn a_rename_over_a_file_leaves_the_old_or_the_new_never_neither() {
        let mut names = durable([("new", 2), ("target", 1)]);
        names.rename("new", "target", 2);
        assert_eq!(outcomes(&names), set(["new=2 target=1", "target=2"]));
        names.sync();
        assert_eq!(outcomes(&names), set(["target=2"]));
    }

    #[test]
    fn changes_of_different_names_survive_independently() {
        let mut names = durable([("old", 1)]);
        names.link("new", 2);
        names.unlink("old");
        assert_eq!(outcomes(&names), set(["", "new=2", "new=2 old=1", "old=1"]));
    }

    #[test]
    fn a_name_used_twice_is_any_of_the_files_it_was() {
        let mut names = Names::default();
        names.link("a", 1);
        names.unlink("a");
        names.link("a", 2);
        assert_eq!(outcomes(&names), set(["", "a=1", "a=2"]));
    }

    #[test]
    fn what_a_failed_sync_left_in_doubt_no_later_sync_makes_durable() {
        let mut names = Names::default();
        names.link("doubtful", 1);
        names.fail_sync();
        names.link("synced", 2);
        names.sync();
        assert_eq!(outcomes(&names), set(["doubtful=1 synced=2", "synced=2"]));
    }

    #[test]
    fn files_that_a_crash_may_bring_back_are_still_held() {
        let mut names = durable([("a", 1)]);
        names.unlink("a");
        names.link("b", 2);
        assert_eq!(names.files().collect::<BTreeSet<_>>(), BTreeSet::from([1, 2]));
        names.sync();
        assert_eq!(names.files().collect::<BTreeSet<_>>(), BTreeSet::from([2]));
    }
}
