//! A set of rows as a row of bits.

use std::ops::Range;

/// Rows from 0 on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits(Vec<u64>);

impl Bits {
    /// Room for so many rows, none of them in the set.
    pub fn new(rows: usize) -> Self {
        Self(vec![0; rows.div_ceil(64)])
    }

    /// The set of these words, the first row in the lowest bit of the first.
    pub fn of_words(words: Vec<u64>) -> Self {
        Self(words)
    }

    /// The words; see [`Bits::of_words`].
    pub fn words(&self) -> &[u64] {
        &self.0
    }

    /// True if the row is in the set.
    pub fn contains(&self, row: usize) -> bool {
        self.0[row / 64] >> (row % 64) & 1 == 1
    }

    /// Adds a row.
    pub fn insert(&mut self, row: usize) {
        self.0[row / 64] |= 1 << (row % 64);
    }

    /// Adds the row if `member`.
    pub fn put(&mut self, row: usize, member: bool) {
        self.0[row / 64] |= u64::from(member) << (row % 64);
    }

    /// Adds rows.
    pub fn insert_range(&mut self, rows: Range<usize>) {
        self.each_word(rows, |word, mask| *word |= mask);
    }

    /// Takes rows out.
    pub fn remove_range(&mut self, rows: Range<usize>) {
        self.each_word(rows, |word, mask| *word &= !mask);
    }

    fn each_word(&mut self, rows: Range<usize>, mut change: impl FnMut(&mut u64, u64)) {
        for (at, mask) in masks(rows) {
            change(&mut self.0[at], mask);
        }
    }

    /// How many of these rows are in the set.
    pub fn count_in(&self, rows: Range<usize>) -> u64 {
        masks(rows).map(|(at, mask)| u64::from((self.0[at] & mask).count_ones())).sum()
    }

    /// True if one of these rows is in the set.
    pub fn any_in(&self, rows: Range<usize>) -> bool {
        masks(rows).any(|(at, mask)| self.0[at] & mask != 0)
    }

    /// Adds the rows of another set.
    pub fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    /// Keeps the rows of another set alone.
    pub fn keep(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= b);
    }

    /// Takes out the rows of another set.
    pub fn take_out(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= !b);
    }
}

/// The words of a range of rows, with the bits of each.
fn masks(rows: Range<usize>) -> impl Iterator<Item = (usize, u64)> {
    let last = if rows.is_empty() { rows.start / 64 } else { rows.end.div_ceil(64) };
    (rows.start / 64..last).map(move |at| {
        let from = rows.start.saturating_sub(at * 64);
        let to = (rows.end - at * 64).min(64);
        (at, (u64::MAX << from) & (u64::MAX >> (64 - to)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_touch_their_rows_alone() {
        for rows in [0..0, 5..5, 0..1, 0..64, 3..64, 64..65, 63..129, 10..190, 64..128] {
            let mut bits = Bits::new(200);
            bits.insert_range(rows.clone());
            assert!((0..200).all(|row| bits.contains(row) == rows.contains(&row)), "{rows:?}");
            assert_eq!((bits.count_in(0..200), bits.any_in(rows.clone())), (rows.len() as u64, !rows.is_empty()));
            bits.remove_range(rows);
            assert_eq!(bits, Bits::new(200));
        }
    }
}
