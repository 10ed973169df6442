//! The values of one column as they are gathered, with the page of the row each belongs to.

/// The values of one column, and how many there were at the first row of each page that has some.
pub struct Ranked<T = u64> {
    /// The values, in row order.
    pub values: Vec<T>,
    starts: Vec<(u32, u64)>,
}

impl<T> Default for Ranked<T> {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl<T> Ranked<T> {
    /// No values yet, with room for so many.
    pub fn with_capacity(values: usize) -> Self {
        Self { values: Vec::with_capacity(values), starts: Vec::new() }
    }

    /// Adds a value of a row of this page of the table; pages never fall.
    pub fn push(&mut self, page: usize, value: T) {
        if self.starts.last().is_none_or(|(last, _)| *last as usize != page) {
            self.starts.push((page as u32, self.values.len() as u64));
        }
        self.values.push(value);
    }

    /// How many values stand before each page of the table, and in all.
    pub fn ranks(&self, pages: usize) -> Vec<u64> {
        let mut starts = self.starts.iter().peekable();
        let mut ranks = vec![self.values.len() as u64; pages + 1];
        let mut next = 0;
        while let Some((page, _)) = starts.next() {
            let end = starts.peek().map_or(self.values.len() as u64, |(_, rank)| *rank);
            // Pages without values in between begin where the page before ended.
            let last = starts.peek().map_or(pages, |(page, _)| *page as usize);
            ranks[*page as usize] = next;
            ranks[*page as usize + 1..=last].fill(end);
            next = end;
        }
        let first = self.starts.first().map_or(0, |(page, _)| *page as usize);
        ranks[..first].fill(0);
        ranks
    }
}

/// The values of a column with the page of the row each belongs to.
pub fn with_pages<'v, T: Copy>(values: &'v [T], ranks: &'v [u64]) -> impl Iterator<Item = (T, u32)> + 'v {
    ranks.windows(2).enumerate().flat_map(|(page, ends)| {
        values[ends[0] as usize..ends[1] as usize].iter().map(move |value| (*value, page as u32))
    })
}
