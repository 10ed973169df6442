//! Comparisons: which attribute values a selection of spans has more often than a baseline, and how its durations
//! differ.
//!
//! The score of a value is the share of the selection that has it less the share of the baseline that has it:
//!
//! ```text
//! slow payments   95 of 100 by slowbank     all payments   240 of 2,000 by slowbank     score 0.95 - 0.12 = 0.83
//! ```
//! It is 1 if exactly the selection has the value, 0 if both have it alike, and does not favour rare values.

use crate::catalog::Snapshot;
use crate::error::Result;
use crate::limits::Limits;
use crate::query::{Asked, Explain, Matching, Query};

use super::latency::{Exemplar, LatencyQuery, LatencyReport, latency};
use super::pairs::Pairs;
use super::quantile::Quantile;

/// How often both sides have a value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ValueShare {
    /// The key of an attribute of span, resource or scope.
    pub key: String,
    /// Its value as text.
    pub value: String,
    /// Spans of the selection that have it.
    pub in_selection: u64,
    /// Spans of the baseline that have it.
    pub in_baseline: u64,
    /// Share of the selection less share of the baseline; more than 0.
    pub score: f64,
}

/// A quantile on both sides.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct QuantilePair {
    /// The quantile.
    pub quantile: Quantile,
    /// Of the selection; `None` if no span of it has a duration.
    pub selection: Option<Exemplar>,
    /// Of the baseline; `None` if no span of it has a duration.
    pub baseline: Option<Exemplar>,
}

/// How a selection differs from a baseline.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Comparison {
    /// The values that the selection has more often: highest score first, then by key and value.
    pub values: Vec<ValueShare>,
    /// Spans of the selection.
    pub selection_total: u64,
    /// Spans of the baseline.
    pub baseline_total: u64,
    /// The quantiles asked for.
    pub quantiles: Vec<QuantilePair>,
    /// False if something could not be read or a limit cut the answer.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// What was read and what was skipped, for all steps together.
    pub explain: Explain,
}

/// Compares the spans that match `selection` with those that match `baseline`.
///
/// # Errors
/// Invalid if a filter has too many criteria. Damage and limits are no errors: they make the answer incomplete.
pub fn compare(
    snapshot: &Snapshot,
    selection: &Query,
    baseline: &Query,
    quantiles: &[Quantile],
    limits: &Limits,
) -> Result<Comparison> {
    let (mut out, mut reasons) = (Comparison::default(), Vec::new());
    let mut pairs = Pairs::new(limits);
    for (of, filter) in [selection, baseline].into_iter().enumerate() {
        let asked = Asked::new(filter, limits)?;
        let (mut matching, parts) = Matching::new(&asked, snapshot)?;
        pairs.count(of, &mut matching, &parts)?;
        // A value that only the baseline has is not what the selection has more often.
        pairs.freeze();
        let (explain, reason) = matching.finish();
        out.explain.add(&explain);
        reasons.extend(reason);
    }
    if pairs.is_full() {
        let max = limits.result_bytes_max;
        reasons.push(format!("more than {max} bytes of values: the rest is left out (Limits::result_bytes_max)"));
    }
    [out.selection_total, out.baseline_total] = pairs.totals;
    out.values = over_represented(&pairs);
    let [selection, baseline] = [selection, baseline]
        .map(|filter| latency(snapshot, &LatencyQuery::new(filter.clone()).quantiles(quantiles.to_vec()), limits));
    let (selection, baseline) = (selection?, baseline?);
    out.explain.add(&selection.explain);
    out.explain.add(&baseline.explain);
    reasons.extend(selection.reason.clone().into_iter().chain(baseline.reason.clone()));
    out.quantiles = (0..).zip(quantiles).map(|(at, quantile)| pair(at, quantile, &selection, &baseline)).collect();
    reasons.dedup();
    out.reason = (!reasons.is_empty()).then(|| reasons.join("; "));
    out.complete = out.reason.is_none();
    Ok(out)
}

fn over_represented(pairs: &Pairs) -> Vec<ValueShare> {
    let share = |count: u64, total: u64| if total == 0 { 0.0 } else { count as f64 / total as f64 };
    let [selection, baseline] = pairs.totals;
    let all = pairs.iter().map(|(key, value, [in_selection, in_baseline])| ValueShare {
        key: key.to_owned(),
        value: value.to_owned(),
        in_selection,
        in_baseline,
        score: share(in_selection, selection) - share(in_baseline, baseline),
    });
    let mut values: Vec<ValueShare> = all.filter(|value| value.score > 0.0).collect();
    values.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| (&a.key, &a.value).cmp(&(&b.key, &b.value))));
    values
}

fn pair(at: usize, quantile: &Quantile, selection: &LatencyReport, baseline: &LatencyReport) -> QuantilePair {
    let of = |report: &LatencyReport| report.groups.first()?.quantiles.get(at).cloned();
    QuantilePair { quantile: quantile.clone(), selection: of(selection), baseline: of(baseline) }
}
