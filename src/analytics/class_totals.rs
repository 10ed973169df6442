//! Totals with histograms where the class of a span says its group, and no rollup tells.
//!
//! ```text
//! class --table of the part--> group      line[group]: counts, sum, extremes, first bucket of its stretch
//!                                         counts[group][bucket - first bucket] += 1
//! ```
//! Rows of all groups come mixed, so what a row touches is kept small: a cache line a group, and counters of the buckets
//! around the first duration of the group. What lies outside them, and groups beyond the table, count in a histogram.

use crate::error::Result;
use crate::index::rollup::{Group, Histogram};
use crate::query::{MatchPart, MatchedPage, Matching};

use super::grouper::Grouper;
use super::groups::NO_ROOM;
use super::part_tables::{DURATION, ERROR, UNKNOWN};
use super::stepped::facts_of;
use super::totals::Totals;

/// Groups that have counters: 2 MiB of them.
const TABLE_GROUPS: usize = 2_048;
/// Counters of a group: sixteen octaves.
const STRETCH: usize = 256;

/// The totals of every group, by reading every matching row once.
///
/// # Errors
/// Whatever is not damage. Damage is noted, and what it hides is left out.
pub fn class_totals<'q>(
    matching: &mut Matching<'q>,
    parts: &[MatchPart<'q>],
    grouper: &mut Grouper,
) -> Result<Vec<Totals>> {
    let mut tally = Tally::default();
    for (index, part) in parts.iter().enumerate() {
        let mut groups = vec![(UNKNOWN, 0); part.classes().len()];
        for number in matching.pages(part) {
            let Some(page) = matching.page(part, *number)? else { continue };
            let mut of_class = |class: u32| {
                let facts = grouper.tables(index, part).facts[class as usize];
                (grouper.of_class(index, part, class), facts)
            };
            if let Err(error) = tally.add_page(&page, &mut groups, &mut of_class) {
                matching.problem(error)?;
            }
        }
    }
    let mut totals = tally.finish();
    matching.each_doubled_span(|span| {
        let group = grouper.of_span(span) as usize;
        if group != NO_ROOM as usize {
            totals.resize_with(totals.len().max(group + 1), Totals::default);
            totals[group].add(span.duration_nanos().unwrap_or(0), facts_of(span));
        }
        Ok(())
    })?;
    totals.resize_with(grouper.len(), Totals::default);
    Ok(totals)
}

/// What a row adds to, but for the histogram: one cache line.
#[derive(Clone)]
#[repr(align(64))]
struct Line {
    count: u64,
    errors: u64,
    duration_count: u64,
    duration_sum: u128,
    min: u64,
    max: u64,
    /// The bucket of the first counter.
    first_bucket: u32,
}

impl Default for Line {
    fn default() -> Self {
        let (count, errors, duration_count, duration_sum, max) = (0, 0, 0, 0, 0);
        Self { count, errors, duration_count, duration_sum, min: u64::MAX, max, first_bucket: 0 }
    }
}

/// What was counted.
#[derive(Default)]
struct Tally {
    lines: Vec<Line>,
    /// A stretch of buckets for each of the first groups.
    counters: Vec<u32>,
    /// Durations in no counter, by group.
    others: Vec<Histogram>,
    /// Rows in the counters.
    rows: u64,
}

impl Tally {
    /// Makes room for a group, and for those before it, that has a duration in this bucket.
    fn make_room(&mut self, group: u32, bucket: usize) {
        let groups = group as usize + 1;
        if group != NO_ROOM && groups > self.lines.len() {
            let first_bucket = bucket.saturating_sub(STRETCH / 2) as u32;
            self.lines.resize(groups, Line { first_bucket, ..Line::default() });
            self.others.resize(groups, Histogram::default());
            self.counters.resize(groups.min(TABLE_GROUPS) * STRETCH, 0);
        }
    }

    /// Counts the matching rows of a page, or none if its durations cannot be read. Groups and facts of classes are looked
    /// up as they are met.
    fn add_page(
        &mut self,
        page: &MatchedPage<'_>,
        groups: &mut [(u32, u8)],
        of_class: &mut impl FnMut(u32) -> (u32, u8),
    ) -> Result<()> {
        let (classes, durations) = (page.classes(), page.durations()?);
        self.rows += classes.len() as u64;
        if self.rows > u64::from(u32::MAX) {
            self.flush();
            self.rows = classes.len() as u64;
        }
        for row in page.rows.iter() {
            let (class, duration) = (classes[row], durations[row]);
            let known = &mut groups[class as usize];
            if known.0 == UNKNOWN {
                *known = of_class(class);
                self.make_room(known.0, Histogram::bucket_of(duration));
            }
            let (group, facts) = (known.0 as usize, known.1);
            let Some(line) = self.lines.get_mut(group) else { continue };
            line.count += 1;
            line.errors += u64::from(facts & ERROR != 0);
            if facts & DURATION == 0 {
                continue;
            }
            line.duration_count += 1;
            line.duration_sum += u128::from(duration);
            line.min = line.min.min(duration);
            line.max = line.max.max(duration);
            let bucket = Histogram::bucket_of(duration);
            let place = bucket.wrapping_sub(line.first_bucket as usize);
            let counter = if place < STRETCH { self.counters.get_mut(group * STRETCH + place) } else { None };
            match counter {
                Some(counter) => *counter += 1,
                None => self.others[group].add(bucket, 1),
            }
        }
        Ok(())
    }

    /// Moves what was counted to the histograms.
    fn flush(&mut self) {
        let of_groups = self.others.iter_mut().zip(&self.lines).zip(self.counters.chunks_exact_mut(STRETCH));
        for ((histogram, line), counters) in of_groups {
            for (bucket, counter) in (line.first_bucket as usize..).zip(counters).filter(|(_, counter)| **counter > 0) {
                histogram.add(bucket, u64::from(std::mem::take(counter)));
            }
        }
    }

    fn finish(mut self) -> Vec<Totals> {
        self.flush();
        let of_group = |(line, durations): (Line, Histogram)| {
            let extremes = (line.duration_count > 0).then_some((line.min, line.max));
            let Line { count, errors, duration_count, duration_sum, min, max, .. } = line;
            Totals { sums: Group { count, duration_count, errors, duration_sum, durations, extremes }, min, max }
        };
        self.lines.into_iter().zip(self.others).map(of_group).collect()
    }
}
