//! A set of rows of one page, as 1,024 bits.

use crate::limits::PAGE_ROWS;

const WORDS: usize = PAGE_ROWS / 64;

/// Rows of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask([u64; WORDS]);

impl Mask {
    /// No row.
    pub const NONE: Self = Self([0; WORDS]);

    /// The rows below `rows` for which `test` holds.
    pub fn of(rows: usize, mut test: impl FnMut(usize) -> bool) -> Self {
        let mut mask = Self::NONE;
        let rows = rows.min(PAGE_ROWS);
        for (word, first) in mask.0.iter_mut().zip((0..rows).step_by(64)) {
            for row in first..rows.min(first + 64) {
                *word |= u64::from(test(row)) << (row - first);
            }
        }
        mask
    }

    /// The rows of these words, the first row in the lowest bit of the first; words past a page are left out.
    pub fn of_words(words: &[u64]) -> Self {
        let mut mask = Self::NONE;
        mask.0.iter_mut().zip(words).for_each(|(to, from)| *to = *from);
        mask
    }

    /// The words; see [`Mask::of_words`].
    pub fn words(&self) -> &[u64] {
        &self.0
    }

    /// The rows that are in this range.
    #[must_use]
    pub fn within(mut self, rows: std::ops::Range<usize>) -> Self {
        for (at, word) in self.0.iter_mut().enumerate() {
            let below = |row: usize| match row.saturating_sub(at * 64) {
                0 => 0,
                bits if bits >= 64 => u64::MAX,
                bits => (1 << bits) - 1,
            };
            *word &= below(rows.end) & !below(rows.start);
        }
        self
    }

    /// The rows below `rows`.
    pub fn below(rows: usize) -> Self {
        let mut mask = Self::NONE;
        for (word, bits) in mask.0.iter_mut().enumerate() {
            let count = rows.saturating_sub(word * 64).min(64) as u32;
            *bits = u64::MAX.checked_shr(64 - count).unwrap_or(0);
        }
        mask
    }

    /// Adds a row.
    pub fn insert(&mut self, row: usize) {
        self.0[row / 64] |= 1 << (row % 64);
    }

    /// Takes a row out.
    pub fn remove(&mut self, row: usize) {
        self.0[row / 64] &= !(1 << (row % 64));
    }

    /// How many rows are in the set.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// True if the row is in the set.
    pub fn contains(&self, row: usize) -> bool {
        self.0[row / 64] >> (row % 64) & 1 == 1
    }

    /// True if no row is in the set.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// Rows in both.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a &= b);
        self
    }

    /// Rows in either.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a |= b);
        self
    }

    /// Rows in this and not in the other.
    #[must_use]
    pub fn and_not(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a &= !b);
        self
    }

    /// The rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(word, bits)| {
            let mut rest = *bits;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                (rest != 0).then(|| {
                    rest &= rest - 1;
                    word * 64 + bit
                })
            })
        })
    }
}
