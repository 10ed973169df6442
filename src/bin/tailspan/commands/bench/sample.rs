//! A few traces of a store, drawn with a seed: what the questions take their parameters from.
//!
//! Moments are drawn in proportion to how many spans start then, and the newest traces of each moment are read.
//! The same store and seed give the same sample.

use std::collections::{BTreeMap, BTreeSet};

use tailspan::{Query, Snapshot, Span, TraceId, Value};

const MINUTE_NANOS: u64 = 60_000_000_000;
/// Moments drawn.
const MOMENTS: usize = 32;
/// Traces read of each.
const TRACES_A_MOMENT: usize = 8;

/// SplitMix64: small, seeded, good enough to draw with.
pub struct Dice(pub u64);

impl Dice {
    /// 64 random bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of these; `None` if there is none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get((self.roll() % from.len().max(1) as u64) as usize)
    }
}

/// What was drawn.
pub struct Sample {
    pub traces: Vec<Vec<Span>>,
    /// From the first start to the last, in minutes; 1 at least.
    pub minutes: u64,
}

/// A pair of services of which the first calls the second.
pub type Call<'a> = (&'a str, &'a str);

impl Sample {
    /// Draws traces.
    ///
    /// # Errors
    /// What the store says.
    pub fn draw(snapshot: &Snapshot, dice: &mut Dice) -> tailspan::Result<Self> {
        let mut starts: BTreeMap<u64, u64> = BTreeMap::new();
        for cell in snapshot.heat_map(&Query::new(), MINUTE_NANOS)?.cells {
            *starts.entry(cell.start_unix_nano).or_default() += cell.count;
        }
        let (first, last) = (starts.keys().next().copied(), starts.keys().next_back().copied());
        let minutes = last.zip(first).map_or(1, |(last, first)| (last - first) / MINUTE_NANOS + 1);
        let mut ids: BTreeSet<TraceId> = BTreeSet::new();
        for _ in 0..MOMENTS {
            let Some(begin) = moment(&starts, dice) else { break };
            let query = Query::new().since(begin).until(begin.saturating_add(MINUTE_NANOS)).limit(TRACES_A_MOMENT);
            ids.extend(snapshot.find(&query)?.traces.iter().map(|trace| trace.trace_id));
        }
        let traces = match ids.is_empty() {
            false => ids.into_iter().map(|id| snapshot.trace(id)).collect::<tailspan::Result<_>>()?,
            // Spans without a start are found in no window.
            true => snapshot.spans().take(MOMENTS).collect::<tailspan::Result<_>>()?,
        };
        Ok(Self { traces, minutes })
    }

    pub fn spans(&self) -> impl Iterator<Item = &Span> {
        self.traces.iter().flatten()
    }

    /// Services, each as often as it recorded a span.
    pub fn services(&self) -> Vec<&str> {
        self.spans().filter_map(service_of).collect()
    }

    /// The duration that a tenth of the sampled spans of a service reach, in nanoseconds.
    pub fn long_duration(&self, service: &str) -> u64 {
        let of_service = self.spans().filter(|span| service_of(span) == Some(service));
        let mut durations: Vec<u64> =
            of_service.map(|span| span.end_unix_nano.saturating_sub(span.start_unix_nano)).collect();
        durations.sort_unstable();
        durations.get(durations.len() * 9 / 10).copied().unwrap_or(0)
    }

    /// The text attribute of spans that is most like an id, and its values: of many values, each in few traces.
    pub fn most_selective(&self) -> Option<(&str, Vec<&str>)> {
        let mut found: BTreeMap<&str, BTreeSet<(&str, TraceId)>> = BTreeMap::new();
        for span in self.spans() {
            for attribute in &span.attributes {
                if let Value::String(text) = &attribute.value
                    && is_plain_key(&attribute.key)
                    && is_plain_value(text)
                {
                    found.entry(&attribute.key).or_default().insert((text, span.trace_id));
                }
            }
        }
        let (key, pairs) = found.into_iter().max_by_key(|(_, pairs)| likeness_to_an_id(pairs))?;
        let values: BTreeSet<&str> = pairs.into_iter().map(|(value, _)| value).collect();
        Some((key, values.into_iter().collect()))
    }

    /// The whole-number attribute that most spans have, and its median.
    pub fn common_number(&self) -> Option<(&str, i64)> {
        let mut values: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for attribute in self.spans().flat_map(|span| &span.attributes) {
            if let Value::Int(number) = attribute.value
                && is_plain_key(&attribute.key)
            {
                values.entry(&attribute.key).or_default().push(number);
            }
        }
        let (key, mut values) = values.into_iter().max_by_key(|(_, values)| values.len())?;
        values.sort_unstable();
        Some((key, *values.get(values.len() / 2)?))
    }

    /// Services that call others, in the sampled traces.
    pub fn calls(&self) -> Vec<Call<'_>> {
        let mut calls = BTreeSet::new();
        for trace in &self.traces {
            let services: BTreeMap<_, _> = trace.iter().map(|span| (span.span_id, service_of(span))).collect();
            for child in trace {
                let parent = child.parent_span_id.and_then(|id| services.get(&id).copied().flatten());
                calls.extend(parent.zip(service_of(child)).filter(|(parent, child)| parent != child));
            }
        }
        calls.into_iter().filter(|(parent, child)| is_quotable(parent) && is_quotable(child)).collect()
    }
}

/// More for more values, and less the more traces each of them is in.
fn likeness_to_an_id(pairs: &BTreeSet<(&str, TraceId)>) -> usize {
    let values: BTreeSet<&str> = pairs.iter().map(|(value, _)| *value).collect();
    values.len().pow(2) * 1_000 / pairs.len().max(1)
}

/// The minute of a span drawn at random.
fn moment(starts: &BTreeMap<u64, u64>, dice: &mut Dice) -> Option<u64> {
    let total: u64 = starts.values().sum();
    let mut rest = dice.roll().checked_rem(total)?;
    for (begin, count) in starts {
        match rest.checked_sub(*count) {
            None => return Some(*begin),
            Some(less) => rest = less,
        }
    }
    None
}

fn service_of(span: &Span) -> Option<&str> {
    let name = span.resource.attributes.iter().find(|attribute| attribute.key == "service.name")?;
    match &name.value {
        Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// True if the command line reads this as a key and nothing more.
fn is_plain_key(key: &str) -> bool {
    !key.is_empty() && !key.contains(['=', '!', '<', '>', ':', '\0'])
}

/// True if the command line reads this as the text it is.
fn is_plain_value(value: &str) -> bool {
    !value.is_empty() && !value.starts_with(['"', '=', '~']) && !value.contains('\0')
}

/// True if it can stand in double quotes as it is.
fn is_quotable(text: &str) -> bool {
    !text.contains(['"', '\\']) && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_drawn_in_proportion() {
        let starts = BTreeMap::from([(10, 1), (20, 0), (30, 999)]);
        let mut dice = Dice(1);
        let drawn: Vec<Option<u64>> = (0..1_000).map(|_| moment(&starts, &mut dice)).collect();
        assert!(drawn.iter().filter(|at| **at == Some(30)).count() > 900);
        assert!(!drawn.contains(&Some(20)) && !drawn.contains(&None));
        assert_eq!(moment(&BTreeMap::new(), &mut dice), None);
    }

    #[test]
    fn what_the_command_line_would_read_otherwise_is_left_out() {
        assert!(is_plain_key("http.route") && !is_plain_key("a=b") && !is_plain_key("span:a"));
        assert!(is_plain_value("/a?b=c") && !is_plain_value("\"quoted\"") && !is_plain_value("=x"));
    }

    #[test]
    fn an_id_is_told_from_what_many_traces_share() {
        let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let id = |trace: usize| TraceId::from_halves(trace as u64, 1).unwrap();
        let orders = (0..16).map(|trace| (names[trace].as_str(), id(trace))).collect();
        let hosts = (0..16 * 8).map(|call| (names[call % 20].as_str(), id(call / 8))).collect();
        assert!(likeness_to_an_id(&orders) > likeness_to_an_id(&hosts));
    }
}
