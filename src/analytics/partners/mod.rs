//! Pairs by a business key: two kinds of spans that belong together because an attribute has the same value on
//! both, in whatever traces they lie.
//!
//! ```text
//! order.id    a: { name = "charge" }     b: { name = "ship" }
//! ord-1       |--|                             |---|              after
//! ord-2       |--|                                                missing
//! ord-3       |--| |--|                        |---|              duplicate, after
//! ord-4            |-----|                 |---|                  before
//! ```
//! Both sides are searched like any filter, and of each match only key, times and place are kept (`gather.rs`). Keys
//! are judged one by one (`judge.rs`); ids are read for those that are shown.

mod gather;
mod judge;

use std::collections::BTreeMap;

use crate::catalog::Snapshot;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::model::{SpanId, TimeRange, TraceId, UnixNanos};
use crate::query::{Asked, Explain, Query, SpanSet};

use gather::{Gathered, Gathering, Member, Place, Share};
use judge::Rule;

pub use judge::PairsShow;

/// Shares of the keys that are taken one after the other where all together find no room.
const SHARES_MAX: u64 = 256;
/// What a key and a span of the answer take beside the text, roughly.
const KEY_BYTES: usize = 96;
const SPAN_BYTES: usize = size_of::<PairSpan>();

/// A question for pairs of spans by the value of an attribute.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PairsQuery {
    /// The attribute: its first value on the span, else on the resource, else on the scope, as text. A span without
    /// it belongs to no pair.
    pub key: String,
    /// The spans of one side.
    pub a: SpanSet,
    /// The spans of the other side; a span may be on both.
    pub b: SpanSet,
    /// Which keys are shown.
    pub show: PairsShow,
    /// How many nanoseconds may lie between the starts of two spans that are partners; `None` for any number.
    pub within: Option<u64>,
    /// Only keys of which a span starts in this window are shown, with all their spans.
    pub window: TimeRange,
    /// The first so many keys; 0 for all.
    pub limit: usize,
}

impl PairsQuery {
    /// The keys of which spans of `a` and `b` are as `show` says.
    pub fn new(key: impl Into<String>, a: SpanSet, b: SpanSet, show: PairsShow) -> Self {
        Self { key: key.into(), a, b, show, within: None, window: TimeRange::ALL, limit: 0 }
    }

    /// Asks that partners start at most so many nanoseconds apart.
    #[must_use]
    pub fn within(mut self, nanos: u64) -> Self {
        self.within = Some(nanos);
        self
    }

    /// Asks for keys of which a span starts in this window.
    #[must_use]
    pub fn window(mut self, window: TimeRange) -> Self {
        self.window = window;
        self
    }

    /// Asks for the first so many keys; 0 for all.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }
}

/// A span of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct PairSpan {
    /// Its start.
    pub start_unix_nano: UnixNanos,
    /// Its trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Its end, which is its start if it has no duration.
    pub end_unix_nano: UnixNanos,
    /// True if it takes part in what is shown: it has no partner, is repeated, or stands so to a partner.
    pub takes_part: bool,
}

/// A key and its spans, each side by start, then trace id, then span id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyPairs {
    /// The value, as text.
    pub key: String,
    /// All spans of one side.
    pub a: Vec<PairSpan>,
    /// All spans of the other.
    pub b: Vec<PairSpan>,
}

/// Keys by their text, byte by byte.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PairsReport {
    /// The keys that are as asked.
    pub keys: Vec<KeyPairs>,
    /// False if something could not be read or a limit cut the answer.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// What was read and what was skipped.
    pub explain: Explain,
}

/// Finds the keys whose spans are as asked.
///
/// # Errors
/// Invalid if the key is empty or an expression is too long. Damage and limits are no errors: they make the answer
/// incomplete.
pub fn pairs(snapshot: &Snapshot, query: &PairsQuery, limits: &Limits) -> Result<PairsReport> {
    if query.key.is_empty() {
        return Err(Error::invalid("the key of pairs is the name of an attribute: it is not empty"));
    }
    // Where both sides ask the same, one search is enough.
    let sets = if query.a == query.b { vec![&query.a] } else { vec![&query.a, &query.b] };
    let asked = |set: &SpanSet| Asked::new(&Query::new().structure(set.clone()), limits);
    let asked = sets.into_iter().map(asked).collect::<Result<Vec<Asked>>>()?;
    let mut gathering = Gathering::new(snapshot, &asked, limits)?;
    let rule = Rule { show: query.show, within: query.within, window: query.window };
    let (mut of, mut done, mut found, mut lost) = (1, 0, Found::new(query.limit, limits), 0);
    while done < of {
        let share = Share { number: done, of };
        match gathering.gather(&query.key, share)? {
            Some(gathered) => found.add(&gathered, &rule, &mut gathering)?,
            // Nothing is kept of the shares before, which were larger.
            None if of < SHARES_MAX => {
                (of, done, found) = (of * 4, 0, Found::new(query.limit, limits));
                continue;
            }
            None => lost += 1,
        }
        done += 1;
    }
    let (explain, reason) = gathering.finish();
    let lost = (lost > 0).then(|| {
        let max = limits.values_bytes_max;
        format!("the spans of some keys take more than {max} bytes: they are left out (Limits::values_bytes_max)")
    });
    let cut = found.cut.then(|| {
        let max = limits.result_bytes_max;
        format!("the result is cut at {max} bytes (Limits::result_bytes_max)")
    });
    let reasons: Vec<String> = reason.into_iter().chain(lost).chain(cut).collect();
    let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
    let keys = found.keys.into_iter().map(|(key, [a, b])| KeyPairs { key, a, b }).collect();
    Ok(PairsReport { keys, complete: reason.is_none(), reason, explain })
}

/// The first keys so far, as many as are wanted and find room.
struct Found {
    keys: BTreeMap<String, [Vec<PairSpan>; 2]>,
    limit: usize,
    held_bytes: usize,
    bytes_max: usize,
    cut: bool,
}

impl Found {
    fn new(limit: usize, limits: &Limits) -> Self {
        let limit = if limit == 0 { usize::MAX } else { limit };
        Self { keys: BTreeMap::new(), limit, held_bytes: 0, bytes_max: limits.result_bytes_max, cut: false }
    }

    fn add(&mut self, gathered: &Gathered, rule: &Rule, gathering: &mut Gathering<'_>) -> Result<()> {
        let judged = gathered.keys().map(|members| (members, rule.taking_part(members)));
        let shown: Vec<(&[Member], Vec<bool>)> =
            judged.filter(|(_, taking_part)| taking_part.contains(&true)).collect();
        let mut places: Vec<Place> = shown.iter().flat_map(|(members, _)| members.iter().map(|m| m.place)).collect();
        places.sort_unstable();
        let Some(ids) = gathering.ids_at(&places, gathered)? else { return Ok(()) };
        for (members, taking_part) in shown {
            let Some(key) = members.first().and_then(|member| gathered.key(member.group)) else { continue };
            let mut sides = [Vec::new(), Vec::new()];
            for (member, takes_part) in members.iter().zip(taking_part) {
                let found = places.binary_search(&member.place).ok().and_then(|at| ids.get(at));
                let Some((trace_id, span_id)) = found.copied() else { continue };
                let span = PairSpan {
                    start_unix_nano: member.start,
                    trace_id,
                    span_id,
                    end_unix_nano: member.end,
                    takes_part,
                };
                sides.iter_mut().zip(member.sides).filter(|(_, is)| *is).for_each(|(side, _)| side.push(span));
            }
            sides.iter_mut().for_each(|side| side.sort_unstable());
            self.push(key, sides);
        }
        Ok(())
    }

    /// Keeps the smallest keys, so that what is cut does not depend on the order in which they are found.
    fn push(&mut self, key: String, sides: [Vec<PairSpan>; 2]) {
        self.held_bytes += bytes_of(&key, &sides);
        self.keys.insert(key, sides);
        loop {
            let is_cut = self.held_bytes > self.bytes_max && self.keys.len() > 1;
            if self.keys.len() <= self.limit && !is_cut {
                break;
            }
            self.cut |= self.keys.len() <= self.limit;
            let Some((key, sides)) = self.keys.pop_last() else { break };
            self.held_bytes -= bytes_of(&key, &sides);
        }
    }
}

fn bytes_of(key: &str, sides: &[Vec<PairSpan>; 2]) -> usize {
    key.len() + KEY_BYTES + SPAN_BYTES * (sides[0].len() + sides[1].len())
}
