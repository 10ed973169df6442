//! The groups of one part's classes in steps of time near each other, found by place and not by hash.
//!
//! Rows of a page lie in few steps, and so do those of the next: a table of a group for each class and each of a few
//! steps answers nearly every row. It begins anew when a page lies outside of it.

/// Steps in the table.
const STEPS: u64 = 16;
/// Not yet known; no group is so large.
pub const UNKNOWN: u32 = u32::MAX - 1;

/// A group for every class in each of some steps that follow each other.
#[derive(Default)]
pub struct StepGroups {
    classes: usize,
    /// Number of the first step.
    first: u64,
    groups: Vec<u32>,
}

impl StepGroups {
    /// Makes room for so many classes and these steps, by number, the last one included; false if they are too many.
    pub fn cover(&mut self, classes: usize, first: u64, last: u64) -> bool {
        if last - first >= STEPS {
            return false;
        }
        let is_known = self.classes == classes && first >= self.first && last - self.first < STEPS;
        if !is_known || self.groups.is_empty() {
            (self.classes, self.first) = (classes, first);
            self.groups.clear();
            self.groups.resize(classes * STEPS as usize, UNKNOWN);
        }
        true
    }

    /// The group of a class in a step that is covered; [`UNKNOWN`] until it is set.
    #[inline]
    pub fn group(&mut self, class: u32, step: u64) -> &mut u32 {
        &mut self.groups[(step - self.first) as usize * self.classes + class as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_kept_while_steps_are_covered_and_forgotten_when_the_table_begins_anew() {
        let mut table = StepGroups::default();
        assert!(table.cover(3, 10, 12));
        *table.group(2, 12) = 7;
        assert!(table.cover(3, 12, 25));
        assert_eq!((*table.group(2, 12), *table.group(2, 13)), (7, UNKNOWN));
        assert!(table.cover(3, 9, 10));
        assert_eq!(*table.group(2, 9), UNKNOWN);
        assert!(!table.cover(3, 9, 25) && table.cover(3, u64::MAX - 1, u64::MAX));
    }
}
