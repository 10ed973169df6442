//! Counts, sums and histograms of a segment's rows by group, the same by step of time, and the slowest rows.
//!
//! A *group* is what shares service, operation name, kind and status. Which group a row belongs to is a matter of
//! its class, so that one pass over classes and durations makes everything here:
//!
//! | section | by | says |
//! |---|---|---|
//! | [`Rollup`] | group; link | count, errors, durations: how many, their sum, their [`Histogram`] |
//! | [`Steps`] | step of time and group; step and [half of a service](ServiceHalves) | the same without histogram, and the shortest and longest |
//! | [`TailLists`] | service and operation; link | the slowest 1/32 of the rows |
//! | [`CellPages`] | service and operation | the pages that hold the durations of each bucket |
//!
//! Rollup and steps hold what can be taken off again, counts and integer sums; the shortest and longest duration
//! of a group, or of a cell of a step, are known as long as neither was taken off. What lies in two parts or is
//! deleted is therefore subtracted after the fact, by adding up its rows with the code that built the rollup
//! ([`RowTotals`]). Groups beyond the most frequent 4,096 are left out, never lumped together; a rollup knows
//! whether it has all.

mod cells;
mod edges;
mod group;
mod halves;
mod histogram;
mod section;
mod steps;
mod tails;
#[cfg(test)]
mod tests;
mod totals;

#[cfg(test)]
pub use cells::CELL_PAGES_MAX;
pub use cells::CellPages;
pub use edges::{EdgeCodes, EdgeSections, EdgesBuilder};
pub use group::{Group, GroupCodes, GroupKey};
pub use halves::ServiceHalves;
pub use histogram::{BUCKETS, Histogram};
pub use section::{Rollup, RollupHeads};
#[cfg(test)]
pub use steps::{CELL_SPANS, STEP_NANOS, StepCells};
pub use steps::{StepCell, Steps};
pub use tails::{OperationCodes, TAIL_SHARE, TailEnd, TailHeads, TailList, TailLists, TailNext, TailWalk};
#[cfg(test)]
pub use tails::{TAIL_ROWS_MIN, TailRow};
#[cfg(test)]
pub use totals::RollupSections;
pub use totals::{RollupBuilder, RowTotals};
