//! Randomness: the machine's for naming stores, and a reproducible sequence for simulations.

use std::hash::{BuildHasher, Hasher, RandomState};

/// 64 bits nobody can foresee, from the keys the standard library asks the operating system for.
pub(super) fn system_random_u64() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// SplitMix64 (Steele, Lea and Flood 2014): small, fast, and the same sequence for the same seed.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    state: u64,
}

impl Sequence {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(super) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; zero when `bound` is zero. The bias of the remainder does not matter here.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// True `eighths` times out of eight.
    pub(super) fn chance(&mut self, eighths: u64) -> bool {
        self.below(8) < eighths
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        assert!(!from.is_empty(), "there is nothing to pick from");
        from[self.below(from.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_published_sequence() {
        // First outputs of the reference implementation for seed 1234567.
        let mut sequence = Sequence::new(1_234_567);
        let got: Vec<u64> = (0..3).map(|_| sequence.next_u64()).collect();
        assert_eq!(got, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn system_randomness_does_not_repeat() {
        let drawn: std::collections::BTreeSet<u64> = (0..64).map(|_| system_random_u64()).collect();
        assert_eq!(drawn.len(), 64);
    }

    #[test]
    fn a_chance_of_none_never_comes_and_of_eight_always() {
        let mut sequence = Sequence::new(3);
        assert!((0..100).all(|_| !sequence.chance(0) && sequence.chance(8)));
    }

    #[test]
    fn below_stays_below_and_reaches_every_value() {
        let mut sequence = Sequence::new(4);
        let drawn: std::collections::BTreeSet<u64> = (0..200).map(|_| sequence.below(5)).collect();
        assert_eq!(drawn, (0..5).collect());
        assert_eq!(sequence.below(0), 0);
    }
}
