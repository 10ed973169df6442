//! What an expression says of every row: certain, possible, or neither.
//!
//! A set has rows that are certainly in it and rows that may be. They differ where a span is missing: it may
//! meet any condition, so what hangs on it is left open. A span that is missing is itself never a match, is not
//! counted, and makes no set of `&&` less empty: it only stands on the left of relations.

use std::ops::Range;

use super::super::tag::TagOperator;
use super::bits::Bits;
use super::forest::Forest;
use super::gate::Gate;
use super::span_set::{Negation, Relation, SpanSet, Step};

/// The rows of a set.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Rows that are in it for certain.
    pub certain: Bits,
    /// Rows that may be, those included; `None` if they are the same.
    possible: Option<Bits>,
    /// The rows of traces whose missing spans are in it, for certain and possibly; `None` if none is missing.
    missing: Option<(Bits, Bits)>,
}

impl Verdict {
    /// Rows that may be in the set, those certain included.
    pub fn possible(&self) -> &Bits {
        self.possible.as_ref().unwrap_or(&self.certain)
    }

    fn into_possible(self) -> Bits {
        self.possible.unwrap_or(self.certain)
    }
}

/// What the set says of every row of the forest; `conditions` are the rows that meet each condition.
pub fn evaluate(set: &SpanSet, forest: &Forest, conditions: Vec<Bits>) -> Verdict {
    let mut conditions = conditions.into_iter();
    let mut open: Vec<Verdict> = Vec::new();
    for step in &set.steps {
        let verdict = match step {
            Step::Spans(condition) => {
                let certain = conditions.next().unwrap_or_else(|| Bits::new(forest.rows()));
                let missing = (!forest.is_whole()).then(|| {
                    let known = of_unknown(condition.gates());
                    let all = |member: bool| {
                        let mut rows = Bits::new(forest.rows());
                        rows.insert_range(0..if member { forest.rows() } else { 0 });
                        rows
                    };
                    (all(known == Some(true)), all(known != Some(false)))
                });
                Verdict { certain, possible: None, missing }
            }
            Step::Count(operator, count) => match open.pop() {
                Some(set) => counted(set, *operator, *count, forest),
                None => continue,
            },
            Step::Related(..) | Step::Both | Step::Either => {
                let (Some(right), Some(left)) = (open.pop(), open.pop()) else { continue };
                match step {
                    Step::Related(relation, negation) => related(&left, right, *relation, *negation, forest),
                    Step::Both => both(left, right, forest),
                    _ => either(left, &right),
                }
            }
        };
        open.push(verdict);
    }
    open.pop().unwrap_or_else(|| {
        let none = Bits::new(forest.rows());
        Verdict { certain: none, possible: None, missing: None }
    })
}

/// What a condition says of a span of which nothing is known.
pub fn of_unknown<'g>(gates: impl Iterator<Item = &'g Gate>) -> Option<bool> {
    let mut open: Vec<Option<bool>> = Vec::new();
    for gate in gates {
        let value = match gate {
            Gate::Constant(value) => Some(*value),
            Gate::Meets(_) | Gate::Holds(..) => None,
            Gate::Not => open.pop().flatten().map(|value| !value),
            Gate::And | Gate::Or => {
                let deciding = matches!(gate, Gate::Or);
                match (open.pop().flatten(), open.pop().flatten()) {
                    (Some(a), _) | (_, Some(a)) if a == deciding => Some(deciding),
                    (Some(_), Some(_)) => Some(!deciding),
                    _ => None,
                }
            }
        };
        open.push(value);
    }
    open.pop().flatten()
}

fn related(left: &Verdict, right: Verdict, relation: Relation, negation: Negation, forest: &Forest) -> Verdict {
    let certain = forest.related(relation, &left.certain, left.missing.as_ref().map(|(certain, _)| certain));
    let Some((_, missing)) = &left.missing else {
        let mut rows = right.certain;
        match negation {
            Negation::Some => rows.keep(&certain),
            Negation::None => rows.take_out(&certain),
        }
        return Verdict { certain: rows, possible: None, missing: None };
    };
    let mut possible = forest.related(relation, left.possible(), Some(missing));
    let mut open = forest.open(relation);
    open.keep(missing);
    possible.join(&open);
    // How the relations of a missing span stand is not known.
    let missing = right.missing.as_ref().map(|(_, of_right)| {
        let mut rows = of_right.clone();
        if negation == Negation::Some {
            rows.keep(missing);
        }
        (Bits::new(forest.rows()), rows)
    });
    let (mut rows, mut perhaps) = (right.certain.clone(), right.into_possible());
    match negation {
        Negation::Some => {
            rows.keep(&certain);
            perhaps.keep(&possible);
        }
        Negation::None => {
            rows.take_out(&possible);
            perhaps.take_out(&certain);
        }
    }
    Verdict { certain: rows, possible: Some(perhaps), missing }
}

fn either(mut left: Verdict, right: &Verdict) -> Verdict {
    if let (Some((certain, possible)), Some(other)) = (&mut left.missing, &right.missing) {
        certain.join(&other.0);
        possible.join(&other.1);
    }
    if left.possible.is_some() || right.possible.is_some() {
        let mut possible = left.possible().clone();
        possible.join(right.possible());
        left.possible = Some(possible);
    }
    left.certain.join(&right.certain);
    left
}

/// Takes all rows of a trace out of what is not certain, or not even possible, there.
fn decide(
    mut set: Verdict,
    forest: &Forest,
    mut of_trace: impl FnMut(&Verdict, Range<usize>) -> (bool, bool),
) -> Verdict {
    for trace in forest.traces() {
        let (certain, possible) = of_trace(&set, trace.clone());
        if certain {
            continue;
        }
        if possible && set.possible.is_none() {
            set.possible = Some(set.certain.clone());
        }
        if !possible && let Some(rows) = &mut set.possible {
            rows.remove_range(trace.clone());
        }
        if let Some((certain, perhaps)) = &mut set.missing {
            certain.remove_range(trace.clone());
            if !possible {
                perhaps.remove_range(trace.clone());
            }
        }
        set.certain.remove_range(trace);
    }
    set
}

fn both(left: Verdict, right: Verdict, forest: &Forest) -> Verdict {
    let any =
        |of: &Verdict, trace: &Range<usize>| (of.certain.any_in(trace.clone()), of.possible().any_in(trace.clone()));
    let filled: Vec<(bool, bool)> = forest
        .traces()
        .map(|trace| {
            let (a, b) = (any(&left, &trace), any(&right, &trace));
            (a.0 && b.0, a.1 && b.1)
        })
        .collect();
    let mut filled = filled.into_iter();
    decide(either(left, &right), forest, |_, _| filled.next().unwrap_or((false, false)))
}

fn counted(set: Verdict, operator: TagOperator, count: u64, forest: &Forest) -> Verdict {
    decide(set, forest, |set, trace| {
        let (least, most) = (set.certain.count_in(trace.clone()), set.possible().count_in(trace));
        match operator {
            TagOperator::Equal => (least == count && most == count, (least..=most).contains(&count)),
            TagOperator::NotEqual => (!(least..=most).contains(&count), least != count || most != count),
            TagOperator::Less => (most < count, least < count),
            TagOperator::LessOrEqual => (most <= count, least <= count),
            TagOperator::Greater => (least > count, most > count),
            _ => (least >= count, most >= count),
        }
    })
}
