//! One simulated file: what the process reads, what is durable, and the changes between the two.
//!
//! ```text
//! base  +  change, change, change, ...   =  content
//!          each Durable, Unsynced or Doubtful
//! ```
//!
//! A crash replays the changes in order over `base`: the durable ones whole, the others as their fate
//! decides. A successful sync makes the unsynced changes durable. A failed one makes them *doubtful*, as
//! Linux does when it marks pages clean that it could not write: the process goes on reading them, no
//! later sync writes them, and a crash may or may not have them. Leading durable changes are folded into
//! `base`, so a file that is synced keeps no history.

use super::super::random::Sequence;
use super::Standing;
use super::crash::{Fate, Filler, Shape, Survival};

#[derive(Clone, Debug)]
enum Edit {
    Write { offset: usize, bytes: Vec<u8> },
    Cut { len: usize },
}

#[derive(Clone, Debug)]
struct Change {
    edit: Edit,
    standing: Standing,
}

impl Change {
    fn shape(&self) -> Shape {
        match &self.edit {
            Edit::Write { offset, bytes } => Shape::Write { offset: *offset as u64, len: bytes.len() as u64 },
            Edit::Cut { .. } => Shape::Cut,
        }
    }
}

/// A file that may lose what was not synced.
#[derive(Clone, Debug, Default)]
pub(super) struct SimulatedFile {
    content: Vec<u8>,
    base: Vec<u8>,
    changes: Vec<Change>,
}

impl SimulatedFile {
    /// A file whose bytes are all durable.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self { base: bytes.clone(), content: bytes, changes: Vec::new() }
    }

    /// What the process reads.
    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        let edit = Edit::Write { offset: self.content.len(), bytes: bytes.to_vec() };
        self.content.extend_from_slice(bytes);
        self.changes.push(Change { edit, standing: Standing::Unsynced });
    }

    /// Cuts the file, or lengthens it with zeros.
    pub(super) fn truncate(&mut self, len: usize) {
        self.content.resize(len, 0);
        self.changes.push(Change { edit: Edit::Cut { len }, standing: Standing::Unsynced });
    }

    pub(super) fn sync(&mut self) {
        self.restand(Standing::Durable);
        let durable = self.changes.iter().take_while(|change| change.standing == Standing::Durable).count();
        for change in self.changes.drain(..durable) {
            apply_whole(&mut self.base, &change.edit);
        }
    }

    /// A sync that failed: what it should have written is in doubt for ever.
    pub(super) fn fail_sync(&mut self) {
        self.restand(Standing::Doubtful);
    }

    fn restand(&mut self, standing: Standing) {
        for change in self.changes.iter_mut().filter(|change| change.standing == Standing::Unsynced) {
            change.standing = standing;
        }
    }

    /// The bytes a crash leaves. `stale` are those of a removed file.
    pub(super) fn after_crash(&self, survival: &mut Survival, stale: &[u8]) -> Vec<u8> {
        let at_risk: Vec<Shape> =
            self.changes.iter().filter(|change| change.standing != Standing::Durable).map(Change::shape).collect();
        let mut fates = survival.fates(&at_risk).into_iter();
        let mut left = self.base.clone();
        for change in &self.changes {
            let durable = change.standing == Standing::Durable;
            let fate = if durable { Fate::Kept } else { fates.next().unwrap_or(Fate::LOST) };
            match &change.edit {
                Edit::Cut { len } if fate == Fate::Kept => left.resize(*len, 0),
                Edit::Cut { .. } => {}
                Edit::Write { offset, bytes } => write_as_fated(&mut left, *offset, bytes, fate, survival, stale),
            }
        }
        left
    }
}

/// Applies a change that is certain.
fn apply_whole(file: &mut Vec<u8>, edit: &Edit) {
    match edit {
        Edit::Cut { len } => file.resize(*len, 0),
        Edit::Write { offset, bytes } => overwrite(file, *offset, bytes),
    }
}

/// Puts `bytes` at `offset`, lengthening the file with zeros as far as needed.
fn overwrite(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    file.resize(file.len().max(end), 0);
    file[offset..end].copy_from_slice(bytes);
}

/// Writes as much of `bytes` at `offset` as the fate leaves.
fn write_as_fated(file: &mut Vec<u8>, offset: usize, bytes: &[u8], fate: Fate, survival: &mut Survival, stale: &[u8]) {
    if fate == Fate::LOST || bytes.is_empty() {
        return;
    }
    let gap = survival.gap_filler();
    lengthen(file, offset, gap, survival.random(), stale);
    match fate {
        Fate::Kept => overwrite(file, offset, bytes),
        Fate::Prefix { len, rest } => {
            let kept = (len as usize).min(bytes.len());
            overwrite(file, offset, &bytes[..kept]);
            if let Some(rest) = rest {
                lengthen(file, offset + bytes.len(), rest, survival.random(), stale);
            }
        }
        Fate::Sectors { granularity, rest } => {
            lengthen(file, offset + bytes.len(), rest, survival.random(), stale);
            for (from, to) in sectors(offset, bytes.len(), granularity as usize) {
                if survival.random().chance(4) {
                    overwrite(file, from, &bytes[from - offset..to - offset]);
                }
            }
        }
    }
}

/// Lengthens a file to at least `len` bytes with what a disk may have there.
fn lengthen(file: &mut Vec<u8>, len: usize, filler: Filler, random: &mut Sequence, stale: &[u8]) {
    for position in file.len()..len {
        file.push(match filler {
            Filler::Zeros => 0,
            Filler::Noise => random.next_u64() as u8,
            Filler::Stale => stale.get(position).copied().unwrap_or(0),
        });
    }
}

/// The pieces of `offset..offset + len` between multiples of `granularity`.
fn sectors(offset: usize, len: usize, granularity: usize) -> impl Iterator<Item = (usize, usize)> {
    let end = offset + len;
    let next = move |from: usize| (from < end).then(|| (from, ((from / granularity + 1) * granularity).min(end)));
    std::iter::successors(next(offset), move |(_, to)| next(*to))
}

#[cfg(test)]
mod tests {
    use super::super::CrashChoice;
    use super::*;

    fn left(file: &SimulatedFile, choice: CrashChoice) -> Vec<u8> {
        file.after_crash(&mut Survival::new(choice, 1), b"")
    }

    /// Synced `old`, then unsynced `new`.
    fn half_synced() -> SimulatedFile {
        let mut file = SimulatedFile::default();
        file.append(b"old");
        file.sync();
        file.append(b"new");
        file
    }

    #[test]
    fn synced_bytes_survive_every_crash() {
        let choices = (0..1_000).map(CrashChoice::Random);
        for choice in choices.chain([CrashChoice::LoseUnsynced, CrashChoice::GarbageTail, CrashChoice::ZeroTail]) {
            assert!(left(&half_synced(), choice).starts_with(b"old"), "{choice:?}");
        }
    }

    #[test]
    fn unsynced_bytes_are_read_but_may_be_lost() {
        let file = half_synced();
        assert_eq!(file.content(), b"oldnew");
        assert_eq!(left(&file, CrashChoice::LoseUnsynced), b"old");
        assert_eq!(left(&file, CrashChoice::KeepAll), b"oldnew");
    }

    #[test]
    fn a_tail_may_have_its_length_but_not_its_bytes() {
        assert_eq!(left(&half_synced(), CrashChoice::ZeroTail), b"old\0\0\0");
        let garbage = left(&half_synced(), CrashChoice::GarbageTail);
        assert_eq!(garbage.len(), 6);
        assert_ne!(&garbage[3..], b"new");
    }

    #[test]
    fn a_torn_tail_keeps_a_strict_prefix_of_the_last_write() {
        let torn = left(&half_synced(), CrashChoice::TornTail { granularity: 1 });
        assert!(torn == b"oldn" || torn == b"oldne", "{torn:?}");
    }

    #[test]
    fn a_cut_that_was_not_synced_may_be_undone() {
        let mut file = SimulatedFile::durable(b"abcdef".to_vec());
        file.truncate(2);
        assert_eq!(left(&file, CrashChoice::LoseUnsynced), b"abcdef");
        assert_eq!(left(&file, CrashChoice::KeepAll), b"ab");
        file.sync();
        assert_eq!(left(&file, CrashChoice::LoseUnsynced), b"ab");
    }

    #[test]
    fn what_a_failed_sync_left_in_doubt_no_later_sync_makes_durable() {
        let mut file = half_synced();
        file.fail_sync();
        file.append(b"later");
        file.sync();
        assert_eq!(file.content(), b"oldnewlater");
        assert_eq!(left(&file, CrashChoice::LoseUnsynced), b"old\0\0\0later");
        assert_eq!(left(&file, CrashChoice::KeepAll), b"oldnewlater");
    }

    #[test]
    fn bytes_written_and_synced_after_a_failed_sync_and_a_cut_are_durable() {
        let mut file = half_synced();
        file.fail_sync();
        file.truncate(3);
        file.append(b"again");
        file.sync();
        for seed in 0..200 {
            assert_eq!(left(&file, CrashChoice::Random(seed)), b"oldagain");
        }
    }

    #[test]
    fn a_later_write_may_survive_without_the_earlier_leaving_a_gap() {
        let mut file = SimulatedFile::default();
        file.append(b"first");
        file.append(b"second");
        let gap = |bytes: &[u8]| bytes.len() == 11 && &bytes[5..] == b"second" && !bytes.starts_with(b"first");
        assert!((0..2_000).any(|seed| gap(&left(&file, CrashChoice::Random(seed)))));
    }

    #[test]
    fn sectors_may_survive_one_by_one() {
        let mut file = SimulatedFile::default();
        file.append(&[b'x'; 2_048]);
        let only_second = |bytes: &[u8]| bytes[..] == [[0; 512], [b'x'; 512], [0; 512], [0; 512]].concat();
        assert!((0..5_000).any(|seed| only_second(&left(&file, CrashChoice::Random(seed)))));
    }

    #[test]
    fn a_tail_may_hold_the_bytes_of_a_removed_file() {
        let file = half_synced();
        let crash = |seed| file.after_crash(&mut Survival::new(CrashChoice::Random(seed), 0), b"STALE!");
        assert!((0..2_000).any(|seed| crash(seed) == b"oldLE!"));
    }

    #[test]
    fn sectors_are_cut_at_multiples_of_the_granularity() {
        assert_eq!(sectors(10, 1_015, 512).collect::<Vec<_>>(), [(10, 512), (512, 1_024), (1_024, 1_025)]);
        assert_eq!(sectors(512, 0, 512).count(), 0);
    }
}
