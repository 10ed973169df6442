//! What the commands with figures share: flags for groups and quantiles, tables of groups, the end of an answer.

use std::str::FromStr;

use clap::Args;
use serde_json::json;
use tailspan::{AdjustedCounts, Explain, GroupKey, LatencyGroup, Quantile};

use super::{explain, warn};
use crate::outcome::Outcome;
use crate::output::{Align, Report, Table, count};
use crate::times::human_duration;

/// What people read where a text is absent.
const ABSENT: &str = "(none)";

/// What groups are made of.
#[derive(Args, Clone, Debug, Default)]
pub struct By {
    /// Groups: service, name, remote-service, kind, status, attr:KEY; with commas, or repeated
    #[arg(long, value_name = "KEYS", value_delimiter = ',', value_parser = GroupKey::from_str)]
    pub by: Vec<GroupKey>,
}

/// Counts before sampling.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Adjusted {
    /// Adjust counts for sampling, by the thresholds in trace states (ot=th:), with the 95 % error
    #[arg(long)]
    pub adjusted: bool,
}

/// The quantiles asked for, with commas or repeated.
pub fn parse_quantile(text: &str) -> Result<Quantile, String> {
    Quantile::parse(text).map_err(|error| error.to_string())
}

/// A table of groups for people: their texts, then counts, then durations.
pub struct GroupTable {
    table: Table,
    quantiles: Vec<Quantile>,
}

/// An adjusted count with its error.
fn adjusted_cell(adjusted: &AdjustedCounts) -> String {
    format!("{} ±{}", count(adjusted.count.round() as u64), count(adjusted.count_error.ceil() as u64))
}

impl GroupTable {
    /// A table with these leading columns.
    pub fn new(leading: &[&str], staged: bool, by: &[GroupKey], quantiles: &[Quantile], adjusted: Adjusted) -> Self {
        let by: Vec<String> = by.iter().map(ToString::to_string).collect();
        let more = adjusted.adjusted.then_some("before sampling");
        Self::with_columns(leading, staged, &by, more, quantiles)
    }

    /// A table of waits by keys that are typed so.
    pub fn of_waits(by: &[String], quantiles: &[Quantile]) -> Self {
        Self::with_columns(&[], false, by, Some("early"), quantiles)
    }

    fn with_columns(leading: &[&str], staged: bool, by: &[String], more: Option<&str>, quantiles: &[Quantile]) -> Self {
        let left = |heading: &str| (heading.to_owned(), Align::Left);
        let right = |heading: &str| (heading.to_owned(), Align::Right);
        let mut headings: Vec<(String, Align)> = leading.iter().map(|heading| left(heading)).collect();
        headings.extend(staged.then(|| left("stage")));
        headings.extend(by.iter().map(|key| left(key)));
        headings.extend(["count", "errors"].map(right));
        headings.extend(more.map(right));
        headings.extend(["min", "mean"].map(right));
        headings.extend(quantiles.iter().map(|quantile| right(&format!("q{quantile}"))));
        headings.extend(
            ["max", "at the last"].into_iter().zip([Align::Right, Align::Left]).map(|(h, a)| (h.to_owned(), a)),
        );
        Self { table: Table::with_headings(headings), quantiles: quantiles.to_vec() }
    }

    /// Adds a group with its leading cells.
    pub fn push(&mut self, leading: Vec<String>, group: &LatencyGroup) {
        self.push_with(leading, group, group.adjusted.as_ref().map(adjusted_cell));
    }

    /// Adds a group of waits, so many of which begin early.
    pub fn push_wait(&mut self, group: &LatencyGroup, early: u64) {
        self.push_with(Vec::new(), group, Some(count(early)));
    }

    fn push_with(&mut self, leading: Vec<String>, group: &LatencyGroup, more: Option<String>) {
        let nanos = |nanos: Option<u64>| nanos.map_or_else(String::new, human_duration);
        let mut cells = leading;
        cells.extend(group.stage.clone());
        cells.extend(group.group.iter().map(|text| text.clone().unwrap_or_else(|| ABSENT.to_owned())));
        cells.extend([count(group.count), count(group.errors)]);
        cells.extend(more);
        cells.extend([nanos(group.min_nano), nanos(group.mean_nano.map(|mean| mean as u64))]);
        let found = |at: usize| group.quantiles.get(at).map(|found| found.value_nano);
        cells.extend((0..self.quantiles.len()).map(|at| nanos(found(at))));
        cells.push(nanos(group.max_nano));
        cells.push(group.quantiles.last().map_or_else(String::new, |found| found.trace_id.to_string()));
        self.table.push_row(cells);
    }

    /// Writes the table, or says that there is nothing.
    pub fn write(&self, report: &mut Report<'_>) -> anyhow::Result<()> {
        if self.table.is_empty() {
            report.line("no span matches")?;
        }
        Ok(report.table(&self.table)?)
    }
}

/// What comes after the rows: the explanation if asked for, and why the answer is not complete if it is not.
pub fn finish(
    explanation: Option<&Explain>,
    reason: Option<&String>,
    report: &mut Report<'_>,
) -> anyhow::Result<Outcome> {
    if let Some(explanation) = explanation {
        explain::write(explanation, report)?;
    }
    if let Some(reason) = reason {
        if report.json() {
            report.object(&json!({ "summary": { "complete": false, "reason": reason } }))?;
        }
        warn(format_args!("the answer is not complete: {reason}"));
    }
    Ok(Outcome::Done.or_damaged(reason.is_some()))
}

/// What comes after a list of traces or spans: the explanation if asked for, the summary, and on standard error
/// why the list is not complete if it is not.
pub fn finish_list(
    explanation: Option<&Explain>,
    reason: Option<&String>,
    next_page_token: Option<&String>,
    report: &mut Report<'_>,
) -> anyhow::Result<Outcome> {
    if let Some(explanation) = explanation {
        explain::write(explanation, report)?;
    }
    if report.json() {
        report.object(&json!({ "summary": {
            "complete": reason.is_none(), "reason": reason, "nextPageToken": next_page_token,
        } }))?;
    }
    if let Some(reason) = reason {
        warn(format_args!("the answer is not complete: {reason}"));
    }
    Ok(Outcome::Done.or_damaged(reason.is_some()))
}
