//! The questions, and what counts as the same answer.
//!
//! | question | lines of the answer |
//! |---|---|
//! | trace | start, span id; duration, attributes of span and resource, which proves that the whole span was read |
//! | newest | trace ids: latest start of the trace first, then smaller id |
//! | tagged | trace id; number of its spans that have the value |
//! | latency | service, name; count, errors, and the durations of nearest rank `ceil(q * n)` for 0.5, 0.99 and 0.999 |
//! | slowest | trace id, span id; duration: longest first, then latest start, then smaller ids |
//! | links | calling service, called service; server spans below a span of the caller, errors, p99 |
//! | errors | service, minute; spans, errors |

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use crate::row::Row;

const HOUR: i64 = 3_600_000_000_000;
/// Lines of the answers to "newest" and "slowest".
pub const FIRST: usize = 20;
/// Parameters kept while the spans go by.
const DRAWN_MAX: usize = 16;

/// Instants from `since` until before `until`.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub since: i64,
    pub until: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    User,
    Order,
}

#[derive(Clone, Debug)]
pub enum Question {
    Trace([u8; 16]),
    Newest { service: String, min_duration: i64, window: Window },
    Tagged(Tag, String),
    Latency(Option<Window>),
    Slowest { service: String },
    Links,
    Errors,
}

/// One line: ids and figures first, then texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub id: u128,
    pub figures: Vec<i64>,
    pub texts: Vec<String>,
}

impl Line {
    pub fn of_trace(trace: [u8; 16], figures: Vec<i64>) -> Self {
        Self { id: u128::from_be_bytes(trace), figures, texts: Vec::new() }
    }

    pub fn of_texts(texts: Vec<String>, figures: Vec<i64>) -> Self {
        Self { id: 0, figures, texts }
    }
}

pub type Answer = Vec<Line>;

impl Question {
    /// The answer in the order that two answers are compared in.
    pub fn in_order(&self, mut answer: Answer) -> Answer {
        if !matches!(self, Self::Newest { .. } | Self::Slowest { .. }) {
            answer.sort();
        }
        answer
    }
}

/// The newest traces of candidates: spans that match, latest start first.
///
/// A trace starts no later than any of its spans, so the search ends where the next candidate starts before the last of
/// the traces found.
pub fn newest_traces(
    candidates: impl IntoIterator<Item = Result<([u8; 16], i64)>>,
    mut start_of: impl FnMut([u8; 16]) -> Result<i64>,
) -> Result<Answer> {
    let mut seen = BTreeSet::new();
    let mut found: BTreeSet<(i64, [u8; 16])> = BTreeSet::new();
    for candidate in candidates {
        let (trace, span_start) = candidate?;
        if found.len() == FIRST && found.last().is_some_and(|(start, _)| -start > span_start) {
            break;
        }
        if seen.insert(trace) {
            found.insert((-start_of(trace)?, trace));
            if found.len() > FIRST {
                found.pop_last();
            }
        }
    }
    Ok(found.into_iter().map(|(_, trace)| Line::of_trace(trace, Vec::new())).collect())
}

/// A question with a name, and the parameters it is put with.
pub struct Asked {
    pub name: &'static str,
    pub variants: Vec<Question>,
}

/// What the questions are drawn from: every so many spans, one is kept.
#[derive(Default)]
pub struct Facts {
    pub spans: u64,
    first: Option<i64>,
    last: i64,
    traces: Vec<[u8; 16]>,
    users: Vec<String>,
    orders: Vec<String>,
    durations: BTreeMap<String, Vec<i64>>,
}

/// Keeps `DRAWN_MAX` values spread over all that are offered: which, a hash of the value says.
fn keep<T: AsRef<[u8]> + Ord + Clone>(kept: &mut Vec<T>, value: &T) {
    let hash = |value: &T| {
        value.as_ref().iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(29)
        })
    };
    let new = hash(value);
    if kept.contains(value) {
        return;
    }
    if kept.len() < DRAWN_MAX {
        kept.push(value.clone());
    } else if let Some(most) = (0..kept.len()).max_by_key(|at| hash(&kept[*at]))
        && hash(&kept[most]) > new
    {
        kept[most] = value.clone();
    }
}

impl Facts {
    pub fn add(&mut self, row: &Row) {
        self.spans += 1;
        self.first = Some(self.first.map_or(row.start, |first| first.min(row.start)));
        self.last = self.last.max(row.start);
        keep(&mut self.traces, &row.trace);
        row.user.iter().for_each(|user| keep(&mut self.users, user));
        row.order.iter().for_each(|order| keep(&mut self.orders, order));
        if let Some(duration) = row.duration {
            self.durations.entry(row.service.clone()).or_default().push(duration);
        }
    }

    /// The questions about these spans.
    pub fn questions(mut self) -> Result<Vec<Asked>> {
        let first = self.first.context("there is no span")?;
        let since = first + (self.last - first - HOUR).max(0) / 2;
        let window = Window { since, until: since + HOUR };
        let missing = |trace: &[u8; 16]| Question::Trace(trace.map(|byte| !byte));
        let tagged = |tag, values: &[String]| values.iter().map(|value| Question::Tagged(tag, value.clone())).collect();
        let mut services: Vec<_> = std::mem::take(&mut self.durations).into_iter().collect();
        services.sort_by_key(|(_, durations)| std::cmp::Reverse(durations.len()));
        services.truncate(4);
        let newest = services.iter_mut().map(|(service, durations)| {
            durations.sort_unstable();
            let min_duration = durations[(durations.len() - 1) * 98 / 100];
            Question::Newest { service: service.clone(), min_duration, window }
        });
        let newest = newest.collect();
        let slowest = services.iter().map(|(service, _)| Question::Slowest { service: service.clone() }).collect();
        Ok(vec![
            Asked { name: "trace by id", variants: self.traces.iter().copied().map(Question::Trace).collect() },
            Asked { name: "a trace id that is not there", variants: self.traces.iter().map(missing).collect() },
            Asked { name: "newest 20 traces of a service with a minimum duration in one hour", variants: newest },
            Asked { name: "spans with user id = x", variants: tagged(Tag::User, &self.users) },
            Asked { name: "spans with order id = y", variants: tagged(Tag::Order, &self.orders) },
            Asked { name: "p50, p99, p99.9 of every operation", variants: vec![Question::Latency(None)] },
            Asked { name: "the same in one hour", variants: vec![Question::Latency(Some(window))] },
            Asked { name: "slowest 20 of a service", variants: slowest },
            Asked { name: "service to service edges: counts, errors, p99", variants: vec![Question::Links] },
            Asked { name: "error rate by service and minute", variants: vec![Question::Errors] },
        ])
    }
}
