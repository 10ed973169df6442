//! What survives a crash: one decision for every change that was not made durable.
//!
//! A disk may write what it was not yet asked to make durable at any time, in any order, whole or in
//! part. So each unsynced write meets one of three fates:
//!
//! ```text
//! written            [################]
//! Kept               [################]   it reached the disk
//! Prefix, no rest    [######]             torn: the file ends inside it, or before it (0 bytes)
//! Prefix and rest    [######..........]   torn, but the file is as long as if it were whole
//! Sectors            [..####....######]   some sectors reached the disk, others did not
//! ```
//!
//! where a rest is zeros, noise, or the stale bytes of a file removed before. A rest only ever fills what
//! lies beyond the end of the file: sectors are assumed to be written as a whole, so that bytes already
//! durable do not change.

use super::super::random::Sequence;

/// Sizes at which writes tear: any byte, a sector of a disk, a page of memory.
const GRANULARITIES: [u64; 3] = [1, 512, 4096];

/// Which of the legal images a crash leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashChoice {
    /// Only what was made durable survives.
    LoseUnsynced,
    /// Everything done survives, synced or not: the process died, the machine did not.
    KeepAll,
    /// Each file's last unsynced write is cut at a multiple of `granularity` bytes of the file, anywhere inside it;
    /// a write that spans no such multiple is lost. Everything else survives.
    TornTail {
        /// Bytes written as a whole, at least 1.
        granularity: u64,
    },
    /// Files are as long as if every write had survived, but what was not synced reads as zeros.
    ZeroTail,
    /// Files are as long as if every write had survived, but what was not synced reads as noise.
    GarbageTail,
    /// Everything that was not made durable survives whole, in part or not at all, decided by this seed.
    Random(u64),
}

/// What a file has where a lost write would have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filler {
    Zeros,
    Noise,
    /// Bytes of a file removed before, at the same offset: they look right and are not.
    Stale,
}

/// What a crash does to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Prefix { len: u64, rest: Option<Filler> },
    Sectors { granularity: u64, rest: Filler },
}

impl Fate {
    pub(super) const LOST: Self = Self::Prefix { len: 0, rest: None };
}

/// A change of a file as far as its fate depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Write { offset: u64, len: u64 },
    Cut,
}

/// Decides what survives, the same for the same seed.
#[derive(Debug)]
pub(super) struct Survival {
    choice: CrashChoice,
    random: Sequence,
    /// How many of eight changes of names survive.
    entry_chance: u64,
}

impl Survival {
    /// The decisions of `choice`; `seed` decides where the choice itself has none.
    pub(super) fn new(choice: CrashChoice, seed: u64) -> Self {
        let mut random = Sequence::new(if let CrashChoice::Random(own) = choice { own } else { seed });
        // A fair coin for each of many changes would all but never lose or keep all of them.
        let entry_chance = random.below(9);
        Self { choice, random, entry_chance }
    }

    pub(super) fn random(&mut self) -> &mut Sequence {
        &mut self.random
    }

    /// Whether a change of names that was not synced survives.
    pub(super) fn entry_survives(&mut self) -> bool {
        match self.choice {
            CrashChoice::LoseUnsynced => false,
            CrashChoice::Random(_) => self.random.chance(self.entry_chance),
            _ => true,
        }
    }

    /// The fates of a file's unsynced changes, given in the order they were made.
    pub(super) fn fates(&mut self, changes: &[Shape]) -> Vec<Fate> {
        match self.choice {
            CrashChoice::LoseUnsynced => vec![Fate::LOST; changes.len()],
            CrashChoice::KeepAll => vec![Fate::Kept; changes.len()],
            CrashChoice::TornTail { granularity } => self.last_torn(changes, granularity),
            CrashChoice::ZeroTail => filled(changes, Filler::Zeros),
            CrashChoice::GarbageTail => filled(changes, Filler::Noise),
            CrashChoice::Random(_) if self.random.chance(3) => self.written_in_order(changes),
            CrashChoice::Random(_) => self.written_in_any_order(changes),
        }
    }

    /// What fills the gap before a write that survived while an earlier one did not.
    pub(super) fn gap_filler(&mut self) -> Filler {
        match self.choice {
            CrashChoice::Random(_) => self.any_filler(),
            CrashChoice::GarbageTail => Filler::Noise,
            _ => Filler::Zeros,
        }
    }

    fn last_torn(&mut self, changes: &[Shape], granularity: u64) -> Vec<Fate> {
        let mut fates = vec![Fate::Kept; changes.len()];
        if let Some(last) = changes.iter().rposition(|change| *change != Shape::Cut) {
            fates[last] = Fate::Prefix { len: self.torn_len(changes[last], granularity), rest: None };
        }
        fates
    }

    /// The commonest crash: the first changes are there, one is torn, the others are not.
    fn written_in_order(&mut self, changes: &[Shape]) -> Vec<Fate> {
        let whole = self.random.below(changes.len() as u64 + 1) as usize;
        let mut fates = vec![Fate::LOST; changes.len()];
        fates[..whole].fill(Fate::Kept);
        if let Some(torn) = changes.get(whole) {
            fates[whole] = self.damaged(*torn);
        }
        fates
    }

    fn written_in_any_order(&mut self, changes: &[Shape]) -> Vec<Fate> {
        let keep = self.random.below(9);
        let fate = |change: &Shape| if self.random.chance(keep) { Fate::Kept } else { self.damaged(*change) };
        changes.iter().map(fate).collect()
    }

    /// Any fate but a whole write.
    fn damaged(&mut self, change: Shape) -> Fate {
        let granularity = self.random.pick(&GRANULARITIES);
        match self.random.below(4) {
            0 => Fate::LOST,
            1 => Fate::Prefix { len: self.torn_len(change, granularity), rest: None },
            2 => Fate::Prefix { len: self.torn_len(change, granularity), rest: Some(self.any_filler()) },
            _ => Fate::Sectors { granularity, rest: self.any_filler() },
        }
    }

    /// How many bytes of a write survive if it is cut at a multiple of `granularity` strictly inside it.
    fn torn_len(&mut self, change: Shape, granularity: u64) -> u64 {
        assert!(granularity > 0, "writes tear at a multiple of at least one byte");
        let Shape::Write { offset, len } = change else { return 0 };
        let first = (offset / granularity + 1) * granularity;
        let cuts = (offset + len).saturating_sub(1) / granularity * granularity;
        if len == 0 || cuts < first {
            return 0;
        }
        let count = (cuts - first) / granularity + 1;
        first + self.random.below(count) * granularity - offset
    }

    fn any_filler(&mut self) -> Filler {
        self.random.pick(&[Filler::Zeros, Filler::Noise, Filler::Stale])
    }
}

/// Every write only lengthens the file; cuts are kept.
fn filled(changes: &[Shape], rest: Filler) -> Vec<Fate> {
    let fate = |change: &Shape| match change {
        Shape::Cut => Fate::Kept,
        Shape::Write { .. } => Fate::Prefix { len: 0, rest: Some(rest) },
    };
    changes.iter().map(fate).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const WRITE: Shape = Shape::Write { offset: 100, len: 10_000 };

    #[test]
    fn a_torn_tail_is_cut_at_a_multiple_of_the_granularity_inside_the_last_write() {
        for (seed, granularity) in (0..200).flat_map(|seed| [1, 512, 4096].map(|granularity| (seed, granularity))) {
            let mut survival = Survival::new(CrashChoice::TornTail { granularity }, seed);
            let fates = survival.fates(&[WRITE, WRITE, Shape::Cut]);
            let [Fate::Kept, Fate::Prefix { len, rest: None }, Fate::Kept] = fates[..] else { panic!("{fates:?}") };
            assert!(len > 0 && len < 10_000 && (100 + len).is_multiple_of(granularity), "{len}");
        }
    }

    #[test]
    fn a_write_inside_one_sector_is_whole_or_lost() {
        let mut survival = Survival::new(CrashChoice::TornTail { granularity: 512 }, 1);
        assert_eq!(survival.fates(&[Shape::Write { offset: 512, len: 512 }]), [Fate::LOST]);
    }

    #[test]
    fn random_choices_reach_every_fate() {
        let mut reached = BTreeSet::new();
        for seed in 0..500 {
            for fate in Survival::new(CrashChoice::Random(seed), 0).fates(&[WRITE, WRITE, Shape::Cut]) {
                reached.insert(match fate {
                    Fate::Kept => "kept",
                    Fate::LOST => "lost",
                    Fate::Prefix { rest: None, .. } => "torn",
                    Fate::Prefix { rest: Some(_), .. } => "torn and filled",
                    Fate::Sectors { .. } => "sectors",
                });
            }
        }
        assert_eq!(reached.len(), 5, "{reached:?}");
    }

    #[test]
    fn random_choices_reach_all_kept_all_lost_and_a_later_write_without_the_earlier() {
        let outcomes: Vec<Vec<Fate>> =
            (0..2_000).map(|seed| Survival::new(CrashChoice::Random(seed), 0).fates(&[WRITE; 4])).collect();
        assert!(outcomes.contains(&vec![Fate::Kept; 4]));
        assert!(outcomes.contains(&vec![Fate::LOST; 4]));
        assert!(outcomes.iter().any(|fates| fates[0] == Fate::LOST && fates[3] == Fate::Kept));
    }

    #[test]
    fn the_same_seed_decides_the_same() {
        let decide = |seed| Survival::new(CrashChoice::Random(seed), 0).fates(&[WRITE; 8]);
        assert_eq!(decide(7), decide(7));
        assert_ne!(decide(7), decide(8));
    }
}
