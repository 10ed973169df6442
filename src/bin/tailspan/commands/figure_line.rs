//! The JSON line of a group's figures, written without being put together first: a series has thousands.
//!
//! Fields come in the order of their names, as in all lines.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use tailspan::{Exemplar, GroupKey, LatencyGroup, SpanId};

/// What the lines of one answer share: the keys of groups as typed, in order, and their places among them.
pub struct LineKeys(Vec<(String, usize)>);

impl LineKeys {
    /// For groups by these keys.
    pub fn new(by: &[GroupKey]) -> Self {
        Self::of_texts(&by.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    /// For groups by keys that are typed so.
    pub fn of_texts(by: &[String]) -> Self {
        let mut keys: Vec<(String, usize)> = by.iter().cloned().zip(0..).collect();
        keys.sort();
        keys.dedup_by(|a, b| a.0 == b.0);
        Self(keys)
    }

    /// The line of a group.
    pub fn line<'f>(&'f self, group: &'f LatencyGroup) -> FigureLine<'f> {
        let adjusted = group.adjusted.as_ref();
        FigureLine {
            adjusted_count: adjusted.map(|counts| counts.count),
            adjusted_count_error: adjusted.map(|counts| counts.count_error),
            adjusted_errors: adjusted.map(|counts| counts.errors),
            adjusted_rate_per_second: None,
            count: group.count,
            duration_count: group.duration_count,
            early: None,
            errors: group.errors,
            group: GroupTexts(self, group),
            max_nano: group.max_nano,
            mean_nano: group.mean_nano,
            min_nano: group.min_nano,
            quantiles: Quantiles(&group.quantiles),
            rate_per_second: None,
            sampled_share: adjusted.map(|counts| counts.sampled_share),
            start_unix_nano: None,
        }
    }
}

/// The line of a group.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FigureLine<'f> {
    #[serde(skip_serializing_if = "Option::is_none")]
    adjusted_count: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adjusted_count_error: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adjusted_errors: Option<f64>,
    /// Of a series, where counts are adjusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adjusted_rate_per_second: Option<f64>,
    count: u64,
    duration_count: u64,
    /// Of waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early: Option<u64>,
    errors: u64,
    group: GroupTexts<'f>,
    max_nano: Option<u64>,
    mean_nano: Option<f64>,
    min_nano: Option<u64>,
    quantiles: Quantiles<'f>,
    /// Of a series.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sampled_share: Option<f64>,
    /// Of a series.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_unix_nano: Option<u64>,
}

struct GroupTexts<'f>(&'f LineKeys, &'f LatencyGroup);

impl Serialize for GroupTexts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(LineKeys(keys), group) = self;
        let mut map = serializer.serialize_map(None)?;
        let before = if group.stage.is_some() { keys.partition_point(|(key, _)| key.as_str() < STAGE) } else { 0 };
        for (key, place) in &keys[..before] {
            map.serialize_entry(key, &group.group[*place])?;
        }
        if let Some(stage) = &group.stage {
            map.serialize_entry(STAGE, stage)?;
        }
        for (key, place) in &keys[before..] {
            map.serialize_entry(key, &group.group[*place])?;
        }
        map.end()
    }
}

/// What stands beside the keys where samples are stages.
const STAGE: &str = "stage";

/// The values of quantiles, each with the span at it.
pub struct Quantiles<'f>(pub &'f [Exemplar]);

impl Serialize for Quantiles<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for found in self.0 {
            list.serialize_element(&QuantileValue {
                q: found.quantile.as_f64(),
                span_id: found.span_id.as_ref().map(SpanId::to_string),
                trace_id: found.trace_id.to_string(),
                value_nano: found.value_nano,
            })?;
        }
        list.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QuantileValue {
    q: f64,
    span_id: Option<String>,
    trace_id: String,
    value_nano: u64,
}
