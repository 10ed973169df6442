//! Totals and quantiles of samples that are read: once if they are few, else again for the values of ranks.

use crate::error::Result;
use crate::limits::Limits;

use super::feed::SampleSource;
use super::groups::NO_ROOM;
use super::quantile::Quantile;
use super::select::{KeptAll, SelectedRanks, Wanted, select};
use super::totals::{Totals, add_batch};

/// Durations that are kept from the first pass, so that few samples need no second.
pub const KEPT_MAX: usize = 1 << 18;

/// Totals and quantiles of every group.
pub struct Measured {
    /// By group.
    pub totals: Vec<Totals>,
    /// The values of the quantiles' ranks.
    pub selected: SelectedRanks,
    /// True if a value that must be there was not found.
    pub incomplete: bool,
}

impl Measured {
    /// Reads the samples.
    ///
    /// # Errors
    /// Whatever is not damage.
    pub fn of(source: &mut dyn SampleSource, quantiles: &[Quantile], limits: &Limits) -> Result<Self> {
        let kept_max = if quantiles.is_empty() { 0 } else { KEPT_MAX.min(limits.values_bytes_max / 32) };
        let (mut totals, mut kept, mut groups): (Vec<Totals>, _, usize) = (Vec::new(), KeptAll::new(kept_max), 0);
        source.run(&mut |batch| {
            let highest = batch.groups.iter().filter(|group| **group != NO_ROOM).max();
            groups = groups.max(highest.map_or(0, |group| *group as usize + 1));
            add_batch(&mut totals, groups, batch);
            kept.add_batch(batch);
            Ok(())
        })?;
        totals.resize_with(source.groups(), Totals::default);
        let mut wanted: Vec<Wanted> = Vec::new();
        for (group, totals) in (0u32..).zip(&totals) {
            let ranks = quantiles.iter().map(|quantile| quantile.rank(totals.sums.duration_count));
            wanted.extend(ranks.filter(|rank| *rank > 0).map(|rank| (group, rank)));
        }
        let selected = match kept.select(&wanted, source)? {
            Some(selected) => selected,
            None => match source.values_of(&wanted, &totals, limits)? {
                Some(selected) => selected,
                None => select(&wanted, &totals, source, limits)?,
            },
        };
        let incomplete = wanted.iter().any(|wanted| !selected.contains_key(wanted));
        // Groups may be known now that have no samples.
        totals.resize_with(source.groups(), Totals::default);
        Ok(Self { totals, selected, incomplete })
    }
}
