//! High quantiles of operations from the tail lists of segments alone, without a histogram.
//!
//! ```text
//! 10,000 spans, rank 9,900 is the 101st longest
//! segment 1: 9.1 s  8.7 s  2.2 s .. | bound 0.4 s
//! segment 2: 9.0 s  3.1 s  0.9 s .. | bound 0.6 s        the 101st of all listed: 0.7 s, above both bounds, so it is it
//! ```
//! Whatever is not listed is no longer than a bound, so a value above all bounds has its rank among the listed ones, and
//! everyone who had it is listed. If one value cannot be proved so, buckets and rows tell all of them.

use crate::column::NONE;
use crate::error::{ErrorKind, Result};
use crate::index::rollup::{Group, TAIL_SHARE, TailEnd, TailWalk};
use crate::query::{GroupTexts, WholeTails};

use super::feed::{Feed, Place, SampleIds, SampleSource, Unit};
use super::groups::NO_ROOM;
use super::quantile::Quantile;
use super::select::{Selected, SelectedRanks};
use super::totals::Totals;

/// Totals and values of all groups of a feed, whose totals have no histogram; `None` if not all is told by tail lists.
///
/// # Errors
/// Whatever is not damage.
pub fn tail_figures(feed: &mut Feed<'_>, quantiles: &[Quantile]) -> Result<Option<(Vec<Totals>, SelectedRanks)>> {
    // So many spans have a list of one in so many; a rank below it is in no list.
    let spans = TAIL_SHARE * 1024;
    let is_high = |quantile: &Quantile| spans - quantile.rank(spans) < 1024;
    if quantiles.is_empty() || !quantiles.iter().all(is_high) {
        return Ok(None);
    }
    let Some((parts, mut totals)) = read_counts(feed) else { return Ok(None) };
    let mut found: Vec<Found> = Vec::new();
    let mut lists = GroupLists::new(&parts, totals.len());
    for (group, totals) in (0u32..).zip(&mut totals).filter(|(_, totals)| totals.sums.duration_count > 0) {
        let count = totals.sums.duration_count;
        let mut ranks: Vec<u64> = quantiles.iter().map(|quantile| quantile.rank(count)).collect();
        ranks.sort_unstable();
        ranks.dedup();
        match lists.values_of(group, &ranks, count, &mut found) {
            Ok(Some(longest)) => totals.max = longest,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    drop(lists);
    drop(parts);
    Ok(exemplars(found, feed).map(|selected| (totals, selected)))
}

/// The tail lists of every part, and the counts of every group.
fn read_counts<'p>(feed: &'p mut Feed<'_>) -> Option<(Vec<WholeTails<'p>>, Vec<Totals>)> {
    let Feed { matching, parts, unit, grouper, .. } = feed;
    // What is decided trace by trace has no parts, and spans of doubled traces lie in none.
    let is_told = !parts.is_empty() && matching.is_by_group() && !matching.has_doubled();
    if *unit != Unit::Span || !is_told || !grouper.is_by_operation() {
        return None;
    }
    let mut totals: Vec<Totals> = Vec::new();
    let mut bin_of = |texts: GroupTexts<'_>| match grouper.node_of_group(&texts) {
        NO_ROOM => NONE,
        node => match grouper.group_at(node, 0) {
            NO_ROOM => NONE,
            group => group,
        },
    };
    let mut add = |group: u32, counts: &Group, shortest: Option<u64>| {
        if totals.len() <= group as usize {
            totals.resize_with(group as usize + 1, Totals::default);
        }
        let known = &mut totals[group as usize];
        known.sums.count += counts.count;
        known.sums.duration_count += counts.duration_count;
        known.sums.errors += counts.errors;
        known.sums.duration_sum += counts.duration_sum;
        known.min = known.min.min(shortest.unwrap_or(u64::MAX));
    };
    let tails =
        parts.iter().map(|part| matching.whole_tails(part, &mut bin_of, &mut add)).collect::<Option<Vec<_>>>()?;
    totals.resize_with(grouper.len(), Totals::default);
    Some((tails, totals))
}

/// A sample of the value of a rank.
struct Found {
    place: Place,
    group: u32,
    rank: u64,
    value: u64,
}

/// The lists of each group.
struct GroupLists<'t, 'p> {
    parts: &'t [WholeTails<'p>],
    /// Part and place of every list, by group.
    of_group: Vec<Vec<(u32, u32)>>,
    /// The lists of the group at hand.
    open: Vec<OpenList<'t>>,
    /// What was read of them, to select from.
    read: Vec<u64>,
    /// Room for the durations of lists to come.
    spare: Vec<Vec<u64>>,
}

/// A list as far as it was read.
struct OpenList<'t> {
    part: u32,
    place: u32,
    walk: TailWalk<'t>,
    durations: Vec<u64>,
    /// How it ended, once it did.
    end: Option<TailEnd>,
}

impl OpenList<'_> {
    /// Reads so many more; false if there are no more.
    fn read(&mut self, most: u64) -> Result<bool> {
        if self.end.is_some() {
            return Ok(false);
        }
        self.end = self.walk.durations(usize::try_from(most).unwrap_or(usize::MAX), &mut self.durations)?;
        Ok(true)
    }

    /// Reads as many again as were read.
    fn read_more(&mut self) -> Result<bool> {
        self.read(self.durations.len() as u64 + FIRST_DURATIONS)
    }

    /// True if a duration of at least this may not have been read.
    fn may_have(&self, value: u64) -> bool {
        self.end.is_none() && self.durations.last().is_none_or(|last| *last >= value)
    }
}

/// Durations that are read of a list beyond its share of those that are needed.
const FIRST_DURATIONS: u64 = 8;

impl<'t, 'p> GroupLists<'t, 'p> {
    fn new(parts: &'t [WholeTails<'p>], groups: usize) -> Self {
        let mut of_group = vec![Vec::new(); groups];
        for (index, part) in (0u32..).zip(parts) {
            for (place, bin) in (0u32..).zip(&part.bins).filter(|(_, bin)| **bin != NONE) {
                of_group[*bin as usize].push((index, place));
            }
        }
        Self { parts, of_group, open: Vec::new(), read: Vec::new(), spare: Vec::new() }
    }

    /// Adds the samples of the values of these ranks, ascending, of a group of so many durations, and answers the longest
    /// duration; `None` if a value is not told.
    fn values_of(&mut self, group: u32, ranks: &[u64], count: u64, found: &mut Vec<Found>) -> Result<Option<u64>> {
        let Some(lowest) = ranks.first() else { return Ok(None) };
        if !self.read_longest(group, count - lowest + 1, count)? {
            return Ok(None);
        }
        let floor = self.open.iter().filter_map(|list| list.end?.bound).max();
        let mut left = self.read.as_mut_slice();
        for rank in ranks {
            // The smallest rank is the furthest from the longest: those above it are in front then.
            let longer = (count - rank) as usize;
            let (_, value, _) = left.select_nth_unstable_by(longer, |a, b| b.cmp(a));
            let value = *value;
            if floor.is_some_and(|floor| value <= floor) {
                return Ok(None);
            }
            left = &mut left[..longer + 1];
            for OpenList { part, place, durations, .. } in &self.open {
                let first = durations.partition_point(|nanos| *nanos > value);
                for at in (first..durations.len()).take_while(|at| durations[*at] == value) {
                    let row = self.parts[*part as usize].lists.row_at(*place as usize, at)?;
                    found.push(Found { place: (*part, row), group, rank: *rank, value });
                }
            }
        }
        Ok(self.open.iter().filter_map(|list| list.durations.first()).max().copied())
    }

    /// Reads of the lists of a group of so many durations until the `needed` longest and all that are as long were read;
    /// false if so many are not listed.
    fn read_longest(&mut self, group: u32, needed: u64, count: u64) -> Result<bool> {
        self.spare.extend(self.open.drain(..).map(|list| list.durations));
        for (part, place) in &self.of_group[group as usize] {
            let lists = &self.parts[*part as usize].lists;
            let mut durations = self.spare.pop().unwrap_or_default();
            durations.clear();
            let walk = lists.walk(*place as usize)?;
            let mut list = OpenList { part: *part, place: *place, walk, durations, end: None };
            // If all lists are alike, each has its share.
            let share = u128::from(needed) * u128::from(lists.duration_count(*place as usize)) / u128::from(count);
            list.read(share as u64 + share as u64 / 4 + FIRST_DURATIONS)?;
            self.open.push(list);
        }
        loop {
            self.read.clear();
            self.open.iter().for_each(|list| self.read.extend_from_slice(&list.durations));
            let mut is_whole = true;
            if (self.read.len() as u64) < needed {
                for list in &mut self.open {
                    is_whole &= !list.read_more()?;
                }
                if is_whole {
                    return Ok(false);
                }
                continue;
            }
            let (_, value, _) = self.read.select_nth_unstable_by(needed as usize - 1, |a, b| b.cmp(a));
            let value = *value;
            for list in self.open.iter_mut().filter(|list| list.may_have(value)) {
                is_whole &= !list.read_more()?;
            }
            if is_whole {
                return Ok(true);
            }
        }
    }
}

/// The value of every rank with the smallest ids of a sample of it; `None` if ids cannot be read.
fn exemplars(mut found: Vec<Found>, feed: &Feed<'_>) -> Option<SelectedRanks> {
    found.sort_unstable_by_key(|sample| sample.place);
    let places: Vec<Place> = found.iter().map(|sample| sample.place).collect();
    let mut out = SelectedRanks::default();
    for (sample, ids) in found.iter().zip(feed.ids_at(&places, &[]).ok()?) {
        let selected = out.entry((sample.group, sample.rank)).or_insert(Selected { value: sample.value, ids });
        let smallest: SampleIds = selected.ids.min(ids);
        selected.ids = smallest;
    }
    Some(out)
}
