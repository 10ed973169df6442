//! Counts adjusted for sampling, from the definition: every sample by itself, every pair of samples of a trace.

use std::collections::BTreeMap;

use tailspan::{AdjustedCounts, Span, TraceId};

use super::ask::Ask;
use super::figures::{Group, groups_of_trace, text_on};
use super::found::matching_traces;
use super::matching::extent;
use super::meaning::status;

/// A sample that stands for others: its trace, the probability with which it was kept if that is known, and whether
/// it is an error.
type Sampled = (TraceId, Option<f64>, bool);

/// The probability that a trace state names.
pub fn probability(trace_state: &str) -> Option<f64> {
    let entries: Vec<&str> = trace_state.split(',').map(|entry| entry.trim_matches([' ', '\t'])).collect();
    let ot = entries.iter().find(|entry| entry.starts_with("ot="))?;
    let th = ot[3..].split(';').find(|pair| pair.starts_with("th:"))?;
    let digits = &th[3..];
    if !(1..=14).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let threshold = u64::from_str_radix(&format!("{digits:0<14}"), 16).unwrap();
    Some(((1u64 << 56) - threshold) as f64 / (1u64 << 56) as f64)
}

/// The matching spans of each group, as [`super::figures::spans_by`]; by step of time too if there is one.
pub fn spans_by(spans: &[Span], ask: &Ask, by: &[&str], step: Option<u64>) -> BTreeMap<(u64, Group), Vec<Sampled>> {
    let mut groups: BTreeMap<(u64, Group), Vec<Sampled>> = BTreeMap::new();
    for span in matching_traces(spans, ask).into_iter().flat_map(|(_, matched)| matched) {
        let at = step.map_or(0, |step| span.start_unix_nano / step * step);
        let sampled = (span.trace_id, probability(&span.trace_state), status(span) == 2);
        groups.entry((at, by.iter().map(|key| text_on(span, key)).collect())).or_default().push(sampled);
    }
    groups
}

/// Traces, or these stages of them, in each of their groups. One is there if each of its conditions is met by a span.
pub fn traces_by(
    spans: &[Span],
    ask: &Ask,
    by: &[&str],
    stages: Option<&[&str]>,
) -> BTreeMap<(u64, Group), Vec<Sampled>> {
    let mut groups: BTreeMap<(u64, Group), Vec<Sampled>> = BTreeMap::new();
    for (trace, matched) in matching_traces(spans, ask) {
        let names: Vec<Option<&str>> = stages.map_or(vec![None], |stages| stages.iter().copied().map(Some).collect());
        for stage in names {
            let own: Vec<&Span> =
                trace.iter().copied().filter(|span| stage.is_none_or(|stage| span.name == stage)).collect();
            if extent(&own).is_none() {
                continue;
            }
            let error = own.iter().any(|span| status(span) == 2);
            for group in groups_of_trace(&trace, by) {
                let mut conditions: Vec<Vec<&Span>> = vec![matched.clone()];
                conditions.extend(stage.map(|_| own.clone()));
                for (key, text) in by.iter().zip(&group).filter(|(_, text)| text.is_some()) {
                    conditions.push(trace.iter().copied().filter(|span| text_on(span, key) == *text).collect());
                }
                let surest = |spans: &Vec<&Span>| {
                    spans.iter().filter_map(|span| probability(&span.trace_state)).max_by(f64::total_cmp)
                };
                let kept = conditions.iter().filter_map(surest).min_by(f64::total_cmp);
                let group: Group = stage.iter().map(|stage| Some((*stage).to_owned())).chain(group).collect();
                groups.entry((0, group)).or_default().push((trace[0].trace_id, kept, error));
            }
        }
    }
    groups
}

/// Asserts that these are the counts of these samples, up to rounding.
#[track_caller]
pub fn assert_adjusted(got: &AdjustedCounts, samples: &[Sampled], what: &str) {
    let p = |sample: &Sampled| sample.1.unwrap_or(1.0);
    let count: f64 = samples.iter().map(|sample| 1.0 / p(sample)).sum();
    let errors: f64 = samples.iter().filter(|sample| sample.2).map(|sample| 1.0 / p(sample)).sum();
    // Of two samples of a trace both were kept with the smaller probability: one random number decided.
    let mut variance = 0.0;
    for a in samples.iter().filter(|sample| p(sample) < 1.0) {
        for b in samples.iter().filter(|other| other.0 == a.0) {
            let both = p(a).min(p(b));
            variance += (both - p(a) * p(b)) / (both * p(a) * p(b));
        }
    }
    let known = samples.iter().filter(|sample| sample.1.is_some()).count();
    let wanted = [count, errors, 1.96 * variance.sqrt(), known as f64 / samples.len() as f64];
    let got = [got.count, got.errors, got.count_error, got.sampled_share];
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + b.abs());
    assert!(got.iter().zip(wanted).all(|(a, b)| near(*a, b)), "{what}: {got:?}, wanted {wanted:?}");
}
