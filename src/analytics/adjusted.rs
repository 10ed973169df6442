//! Counts adjusted for sampling: how many spans there were, as far as those that were kept can tell.
//!
//! A span that was kept with probability p stands for 1/p of its like ([`Threshold`](super::sampling::Threshold)). So
//! the adjusted count of a group is its count and 1/p - 1 more for each of its samples. What was not sampled, often
//! everything, adds nothing:
//!
//! ```text
//! parts --trace states--> samples with a threshold --by group--> sums of 1/p - 1        AdjustedPass
//!                                                  --by trace--> variance               TraceSamples
//! ```
//! This is a pass of its own, beside the one that makes the other figures: it reads no part without a threshold, and
//! those figures stay what they are.

use rustc_hash::FxHashMap;

use crate::catalog::Snapshot;
use crate::error::Result;
use crate::limits::Limits;
use crate::query::{Explain, Query};

use super::adjusted_pass::{AdjustedPass, Unseen};
use super::feed::Unit;
use super::group_key::GroupKey;
use super::trace_states::may_have_thresholds;

/// The 97.5 % quantile of the normal distribution: so many standard deviations to each side hold 95 %.
const DEVIATIONS: f64 = 1.96;

/// What the samples of a group stand for, if each was kept with the probability that its trace state says.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct AdjustedCounts {
    /// Samples there were before sampling, estimated: the sum of 1/p over those that were kept.
    pub count: f64,
    /// The same of the errors.
    pub errors: f64,
    /// Half the width of the 95 % confidence interval of `count`.
    pub count_error: f64,
    /// Share of the samples whose probability is known, 0 to 1. The others stand for themselves alone.
    pub sampled_share: f64,
}

/// What names a group: stage, texts of its keys, begin of its step of time.
pub type GroupName = (Option<String>, Vec<Option<String>>, Option<u64>);

/// The question whose groups are adjusted.
pub struct AdjustedQuestion<'q> {
    /// Which spans match.
    pub filter: &'q Query,
    /// What a sample is.
    pub unit: &'q Unit,
    /// What groups are made of.
    pub by: &'q [GroupKey],
    /// Length of a step of time in nanoseconds, if time is a key.
    pub step: Option<u64>,
}

/// What sampling adds to each group of a question.
#[derive(Debug, Default)]
pub struct Adjustments {
    /// Groups with a sample whose probability is known.
    pub unseen: FxHashMap<GroupName, Unseen>,
    /// What was read for it.
    pub explain: Explain,
    /// Why it is not complete.
    pub reason: Option<String>,
}

impl Adjustments {
    /// Reads the thresholds of the samples; nothing if there are none.
    ///
    /// # Errors
    /// Invalid if the filter has too many criteria, else whatever is not damage.
    pub fn gather(snapshot: &Snapshot, question: &AdjustedQuestion<'_>, limits: &Limits) -> Result<Self> {
        if may_have_thresholds(snapshot) { AdjustedPass::run(snapshot, question, limits) } else { Ok(Self::default()) }
    }

    /// The counts of the group of this name, which has so many samples and errors.
    pub fn of(&self, name: &GroupName, count: u64, errors: u64) -> AdjustedCounts {
        let unseen = self.unseen.get(name).copied().unwrap_or_default();
        AdjustedCounts {
            count: count as f64 + unseen.count.value(),
            errors: errors as f64 + unseen.errors.value(),
            count_error: DEVIATIONS * unseen.variance.value().sqrt(),
            sampled_share: if count == 0 { 0.0 } else { unseen.known as f64 / count as f64 },
        }
    }

    /// Adds to an answer what was read, and why it is not complete if it is not.
    pub fn finish(self, explain: &mut Explain, reason: &mut Option<String>) {
        explain.pages_read += self.explain.pages_read;
        explain.pages_decoded += self.explain.pages_decoded;
        explain.bytes_read += self.explain.bytes_read;
        let told = reason.take();
        let new = self.reason.filter(|new| told.as_ref() != Some(new));
        let reasons: Vec<String> = told.into_iter().chain(new).collect();
        *reason = (!reasons.is_empty()).then(|| reasons.join("; "));
    }
}
