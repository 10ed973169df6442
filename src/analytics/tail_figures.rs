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
use crate::index::rollup::{Group, TAIL_SHARE};
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
    /// The durations of the group at hand, list after list, and once more to select from.
    durations: Vec<u64>,
    ends: Vec<usize>,
    scratch: Vec<u64>,
}

impl<'t, 'p> GroupLists<'t, 'p> {
    fn new(parts: &'t [WholeTails<'p>], groups: usize) -> Self {
        let mut of_group = vec![Vec::new(); groups];
        for (index, part) in (0u32..).zip(parts) {
            for (place, bin) in (0u32..).zip(&part.bins).filter(|(_, bin)| **bin != NONE) {
                of_group[*bin as usize].push((index, place));
            }
        }
        Self { parts, of_group, durations: Vec::new(), ends: Vec::new(), scratch: Vec::new() }
    }

    /// Adds the samples of the values of these ranks, ascending, of a group of so many durations, and answers the longest
    /// duration; `None` if a value is not told.
    fn values_of(&mut self, group: u32, ranks: &[u64], count: u64, found: &mut Vec<Found>) -> Result<Option<u64>> {
        let Self { parts, of_group, durations, ends, scratch } = self;
        let lists = &of_group[group as usize];
        durations.clear();
        ends.clear();
        let mut floor = None;
        for (part, place) in lists {
            floor = floor.max(parts[*part as usize].lists.durations(*place as usize, durations)?);
            ends.push(durations.len());
        }
        scratch.clear();
        scratch.extend_from_slice(durations);
        let mut left = scratch.as_mut_slice();
        for rank in ranks {
            // The smallest rank is the furthest from the longest: those above it are in front then.
            let longer = (count - rank) as usize;
            if longer >= left.len() {
                return Ok(None);
            }
            let (_, value, _) = left.select_nth_unstable_by(longer, |a, b| b.cmp(a));
            let value = *value;
            if floor.is_some_and(|floor| value <= floor) {
                return Ok(None);
            }
            left = &mut left[..longer + 1];
            let mut begin = 0;
            for ((part, place), end) in lists.iter().zip(ends.iter()) {
                let list = &durations[begin..*end];
                begin = *end;
                let first = list.partition_point(|nanos| *nanos > value);
                for at in (first..list.len()).take_while(|at| list[*at] == value) {
                    let row = parts[*part as usize].lists.row_at(*place as usize, at)?;
                    found.push(Found { place: (*part, row), group, rank: *rank, value });
                }
            }
        }
        Ok(durations.iter().max().copied())
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
