//! Structural conditions judged by looking at every pair of spans, from docs/QUERY.md alone.
//!
//! A trace is a list of nodes: its spans, and one node for every span that is named as a parent and missing. What
//! a node is and how two nodes stand to each other is yes, no, or unknown (`None`).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use regex::Regex;
use tailspan::{KeyValue, Origin, Span, Value};

use super::matching::{extent, roots};
use super::meaning::{is_shared, kind, service, start, status};

/// An expression.
#[derive(Clone, Debug)]
pub enum Set {
    Spans(Test),
    Related(Box<Set>, String, Box<Set>),
    Both(Box<Set>, Box<Set>),
    Either(Box<Set>, Box<Set>),
    Count(Box<Set>, String, u64),
}

/// A condition on one span.
#[derive(Clone, Debug)]
pub enum Test {
    Constant(bool),
    /// Field, operator and value, as typed.
    Asks(String, String, String),
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
    Not(Box<Test>),
}

impl Set {
    /// The expression as a user types it.
    pub fn text(&self) -> String {
        match self {
            Self::Spans(Test::Constant(true)) => "{}".to_owned(),
            Self::Spans(test) => format!("{{ {} }}", test.text()),
            Self::Related(a, sign, b) => format!("({}) {sign} ({})", a.text(), b.text()),
            Self::Both(a, b) => format!("({}) && ({})", a.text(), b.text()),
            Self::Either(a, b) => format!("({}) || ({})", a.text(), b.text()),
            Self::Count(set, sign, count) => format!("({} | count() {sign} {count})", set.text()),
        }
    }
}

impl Test {
    fn text(&self) -> String {
        match self {
            Self::Constant(met) => met.to_string(),
            Self::Asks(field, sign, value) => format!("{field} {sign} {value}"),
            Self::And(a, b) => format!("({}) && ({})", a.text(), b.text()),
            Self::Or(a, b) => format!("({}) || ({})", a.text(), b.text()),
            Self::Not(test) => format!("!({})", test.text()),
        }
    }
}

/// A trace as nodes: spans first, in the order of their start, then those that are missing.
pub struct Nodes<'s> {
    pub spans: Vec<&'s Span>,
    /// The parent of each, counted on beyond the spans if it is missing.
    pub parents: Vec<Option<usize>>,
}

/// The place of a span among others.
pub fn place(span: &Span) -> (bool, u64, u64, bool, u64, u64) {
    let parent = span.parent_span_id.map_or(0, |parent| parent.get());
    (span.start_unix_nano == 0, span.start_unix_nano, span.span_id.get(), is_shared(span), span.end_unix_nano, parent)
}

impl<'s> Nodes<'s> {
    /// The nodes of a trace.
    pub fn new(trace: &[&'s Span]) -> Self {
        let mut spans = trace.to_vec();
        spans.sort_by_key(|span| place(span));
        let mut parents: Vec<Option<usize>> = spans.iter().map(|span| known_parent(&spans, span)).collect();
        let mut missing: BTreeMap<u64, usize> = BTreeMap::new();
        let mut all_parents = parents.clone();
        let mut named_and_missing = |span: &Span| {
            let named = span.parent_span_id.map(|parent| parent.get())?;
            let next = spans.len() + missing.len();
            spans.iter().all(|other| other.span_id.get() != named).then(|| *missing.entry(named).or_insert(next))
        };
        for (at, span) in spans.iter().enumerate().filter(|(at, _)| parents[*at].is_none()) {
            all_parents[at] = named_and_missing(span);
        }
        // Cycles: what no root leads to is cut at the earliest, as often as it takes. A shared span may be cut from
        // its client; the parent that it names, if that is missing, is then what it hangs on.
        let mut reached = HashSet::new();
        let tops: Vec<usize> = (0..spans.len()).filter(|at| parents[*at].is_none()).collect();
        tops.iter().for_each(|top| reach(*top, &parents, &mut reached));
        for at in 0..spans.len() {
            if !reached.contains(&at) {
                (parents[at], all_parents[at]) = (None, named_and_missing(spans[at]));
                reach(at, &parents, &mut reached);
            }
        }
        // A cut at a later span makes no child of an earlier one that was cut off before.
        all_parents.resize(spans.len() + missing.len(), None);
        Self { spans, parents: all_parents }
    }

    fn is_missing(&self, node: usize) -> bool {
        node >= self.spans.len()
    }

    /// The node and all above it.
    fn path(&self, node: usize) -> Vec<usize> {
        let mut path = vec![node];
        while let Some(parent) = self.parents[path[path.len() - 1]] {
            path.push(parent);
        }
        path
    }

    /// Whether `right` stands so to `left`.
    fn stands(&self, sign: &str, left: usize, right: usize) -> Option<bool> {
        match sign {
            ">" => self.is_parent(left, right),
            "<" => self.is_parent(right, left),
            ">>" => self.is_above(left, right),
            "<<" => self.is_above(right, left),
            "~" if left == right => Some(false),
            "~" if self.is_missing(right) => None,
            "~" => match self.parents[right] {
                None => Some(false),
                Some(parent) => self.is_parent(parent, left),
            },
            other => panic!("{other:?} is no relation"),
        }
    }

    fn is_parent(&self, above: usize, below: usize) -> Option<bool> {
        if self.is_missing(below) {
            // It may hang anywhere but below itself.
            return if self.path(above).contains(&below) { Some(false) } else { None };
        }
        Some(self.parents[below] == Some(above))
    }

    fn is_above(&self, above: usize, below: usize) -> Option<bool> {
        let path = self.path(below);
        let top = path[path.len() - 1];
        if path[1..].contains(&above) {
            return Some(true);
        }
        if self.is_missing(top) && !self.path(above).contains(&top) { None } else { Some(false) }
    }

    /// What each node is: in the set, not, or unknown.
    pub fn members(&self, set: &Set) -> Vec<Option<bool>> {
        let spans = self.spans.len();
        match set {
            Set::Spans(test) => {
                let of_spans = (0..spans).map(|at| Some(meets(self, at, test)));
                of_spans.chain((spans..self.parents.len()).map(|_| of_missing(test))).collect()
            }
            Set::Related(left, sign, right) => {
                let (left, right) = (self.members(left), self.members(right));
                let positive = sign.strip_prefix('!').unwrap_or(sign);
                let negated = positive != sign;
                (0..self.parents.len())
                    .map(|node| {
                        let any = if self.is_missing(node) {
                            // How a missing span stands to others is not known.
                            if left[spans..].iter().all(|l| *l == Some(false)) { Some(false) } else { None }
                        } else {
                            any((0..left.len()).map(|l| and(left[l], self.stands(positive, l, node))))
                        };
                        let holds = match (negated, self.is_missing(node)) {
                            (true, true) => None,
                            (true, false) => any.map(|any| !any),
                            (false, _) => any,
                        };
                        and(right[node], holds)
                    })
                    .collect()
            }
            Set::Either(a, b) => {
                let (a, b) = (self.members(a), self.members(b));
                a.into_iter().zip(b).map(|(a, b)| any([a, b].into_iter())).collect()
            }
            Set::Both(a, b) => {
                let (a, b) = (self.members(a), self.members(b));
                let filled = and(any(a[..spans].iter().copied()), any(b[..spans].iter().copied()));
                a.into_iter().zip(b).map(|(a, b)| and(filled, any([a, b].into_iter()))).collect()
            }
            Set::Count(set, sign, count) => {
                let members = self.members(set);
                let least = members[..spans].iter().filter(|m| **m == Some(true)).count() as u64;
                let most = members[..spans].iter().filter(|m| **m != Some(false)).count() as u64;
                let met: BTreeSet<bool> = (least..=most).map(|n| compares(n.cmp(count), sign)).collect();
                let met = if met.len() == 1 { met.first().copied() } else { None };
                members.into_iter().map(|member| and(member, met)).collect()
            }
        }
    }
}

fn reach(from: usize, parents: &[Option<usize>], reached: &mut HashSet<usize>) {
    let mut next = vec![from];
    while let Some(at) = next.pop() {
        if reached.insert(at) {
            next.extend((0..parents.len()).filter(|child| parents[*child] == Some(at)));
        }
    }
}

/// The span's parent among the spans of its trace, which are in order: Zipkin's rule.
fn known_parent(spans: &[&Span], span: &Span) -> Option<usize> {
    let first = |accept: &dyn Fn(&Span) -> bool| spans.iter().position(|other| accept(other));
    if is_shared(span) {
        let client = first(&|other| other.span_id == span.span_id && !is_shared(other));
        if client.is_some() {
            return client;
        }
    }
    let named = span.parent_span_id.filter(|parent| *parent != span.span_id)?;
    let own_side = first(&|other| other.span_id == named && is_shared(other) && service(other) == service(span));
    let plain = || first(&|other| other.span_id == named && !is_shared(other));
    own_side.or_else(plain).or_else(|| first(&|other| other.span_id == named))
}

fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn any(mut members: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut unknown = false;
    let found = members.any(|member| {
        unknown |= member.is_none();
        member == Some(true)
    });
    if found {
        Some(true)
    } else if unknown {
        None
    } else {
        Some(false)
    }
}

/// What a condition says of a span of which nothing is known.
fn of_missing(test: &Test) -> Option<bool> {
    match test {
        Test::Constant(met) => Some(*met),
        Test::Asks(..) => None,
        Test::And(a, b) => and(of_missing(a), of_missing(b)),
        Test::Or(a, b) => any([of_missing(a), of_missing(b)].into_iter()),
        Test::Not(test) => of_missing(test).map(|met| !met),
    }
}

fn compares(order: std::cmp::Ordering, sign: &str) -> bool {
    match sign {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    }
}

fn meets(nodes: &Nodes<'_>, at: usize, test: &Test) -> bool {
    match test {
        Test::Constant(met) => *met,
        Test::And(a, b) => meets(nodes, at, a) && meets(nodes, at, b),
        Test::Or(a, b) => meets(nodes, at, a) || meets(nodes, at, b),
        Test::Not(test) => !meets(nodes, at, test),
        Test::Asks(field, sign, value) => {
            let values = values_of(nodes, at, field);
            if value == "nil" {
                return values.is_empty() == (sign == "=");
            }
            let is_word = field == "kind" || field == "status";
            asks(&values, sign, &if is_word { format!("\"{value}\"") } else { value.clone() })
        }
    }
}

/// Some value that compares so; for `!=` and `!~` some of the type, and none that is equal or matches.
fn asks(values: &[Value], sign: &str, wanted: &str) -> bool {
    let scalars: Vec<&Value> = values.iter().flat_map(scalars_of).collect();
    let same_type = |value: &Value| match value {
        Value::String(_) => wanted.starts_with('"'),
        Value::Bool(_) => wanted == "true" || wanted == "false",
        Value::Int(_) => wanted.parse::<f64>().is_ok(),
        Value::Double(double) => wanted.parse::<f64>().is_ok() && !double.is_nan(),
        _ => false,
    };
    let typed: Vec<&Value> = scalars.into_iter().filter(|value| same_type(value)).collect();
    let text = wanted.trim_matches('"');
    let fits = |value: &Value, sign: &str| match value {
        Value::String(found) if sign == "=~" => Regex::new(&format!("^(?:{text})$")).unwrap().is_match(found),
        Value::String(found) => compares(found.as_bytes().cmp(text.as_bytes()), sign),
        Value::Bool(found) => sign == "=" && found.to_string() == wanted,
        // Pools hold no literal between two integers that a double cannot tell apart.
        Value::Int(found) => (*found as f64).partial_cmp(&wanted.parse().unwrap()).is_some_and(|o| compares(o, sign)),
        Value::Double(found) => found.partial_cmp(&wanted.parse().unwrap()).is_some_and(|o| compares(o, sign)),
        _ => false,
    };
    match sign {
        "!=" => !typed.is_empty() && !typed.iter().any(|value| fits(value, "=")),
        "!~" => !typed.is_empty() && !typed.iter().any(|value| fits(value, "=~")),
        sign => typed.iter().any(|value| fits(value, sign)),
    }
}

fn scalars_of(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(elements) => elements.iter().flat_map(scalars_of).collect(),
        Value::KeyValueList(_) => vec![],
        scalar => vec![scalar],
    }
}

/// The values of a field; words of kind and status as texts.
fn values_of(nodes: &Nodes<'_>, at: usize, field: &str) -> Vec<Value> {
    let span = nodes.spans[at];
    let text = |text: &str| vec![Value::from(text)];
    let int = |int: u64| vec![Value::Int(int.min(i64::MAX as u64) as i64)];
    match field {
        "name" => text(&span.name),
        "kind" => text(["unspecified", "internal", "server", "client", "producer", "consumer"][kind(span) as usize]),
        "status" => text(["unset", "ok", "error"][status(span) as usize]),
        "statusMessage" => text(span.status.as_ref().map_or("", |status| &status.message)),
        "duration" => {
            let has_start = start(span).is_some() || matches!(span.origin, Origin::Zipkin { .. });
            let end = Some(span.end_unix_nano).filter(|end| *end != 0 && has_start);
            end.and_then(|end| end.checked_sub(span.start_unix_nano)).map(int).unwrap_or_default()
        }
        "span:id" => text(&span.span_id.to_string()),
        "span:parentID" => span.parent_span_id.map(|parent| text(&parent.to_string())).unwrap_or_default(),
        "span:childCount" => int(nodes.parents.iter().filter(|parent| **parent == Some(at)).count() as u64),
        "nestedSetParent" => match nodes.parents[at] {
            None => vec![Value::Int(-1)],
            Some(_) if nodes.path(at).iter().any(|node| nodes.is_missing(*node)) => int(0),
            Some(_) => int(1),
        },
        "traceDuration" => extent(&nodes.spans).map(|(first, last)| int(last - first)).unwrap_or_default(),
        "rootServiceName" => {
            let by_name =
                |root: &(Option<String>, Option<String>)| (root.1.clone().unwrap_or_default(), root.0.clone());
            let root = roots(&nodes.spans).into_iter().min_by_key(by_name);
            root.and_then(|(service, _)| service).map(|service| text(&service)).unwrap_or_default()
        }
        "event:name" => span.events.iter().flat_map(|event| text(&event.name)).collect(),
        "instrumentation:name" => text(&span.scope.name),
        "instrumentation:version" => text(&span.scope.version),
        _ => {
            let (place, key) = field.split_once('.').unwrap();
            let places = ["span", "resource", "event", "link", "instrumentation"];
            let mut of_places =
                places.iter().filter(|p| place.is_empty() || **p == place).map(|p| attributes(span, p, key));
            of_places.find(|values| !values.is_empty()).unwrap_or_default()
        }
    }
}

fn attributes(span: &Span, place: &str, key: &str) -> Vec<Value> {
    let of =
        |list: &[KeyValue]| -> Vec<Value> { list.iter().filter(|a| a.key == key).map(|a| a.value.clone()).collect() };
    match place {
        "span" => of(&span.attributes),
        "resource" => of(&span.resource.attributes),
        "event" => span.events.iter().flat_map(|event| of(&event.attributes)).collect(),
        "link" => span.links.iter().flat_map(|link| of(&link.attributes)).collect(),
        _ => of(&span.scope.attributes),
    }
}
