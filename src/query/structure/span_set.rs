//! Structural expressions: sets of spans of one trace, by what the spans are and how they hang together.

use std::str::FromStr;

use crate::error::{Error, Result};

use super::super::tag::TagOperator;
use super::condition::Condition;
use super::parser::parse;

/// Steps an expression may have, those of its conditions counted.
const STEPS_MAX: usize = 2_000;

/// How a span of the right side hangs together with one of the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// `>`: it is a direct child.
    Child,
    /// `>>`: it is a descendant.
    Descendant,
    /// `<`: it is the direct parent.
    Parent,
    /// `<<`: it is an ancestor.
    Ancestor,
    /// `~`: it has the same parent, and is another span.
    Sibling,
}

impl Relation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Child, Self::Descendant, Self::Parent, Self::Ancestor, Self::Sibling];

    /// TraceQL's sign.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Child => ">",
            Self::Descendant => ">>",
            Self::Parent => "<",
            Self::Ancestor => "<<",
            Self::Sibling => "~",
        }
    }
}

/// An expression that says which spans of a trace are meant, in the words of TraceQL.
///
/// A relation means the spans of its right side. See docs/QUERY.md for what each part means, and for traces
/// that lack spans.
///
/// # Examples
/// ```
/// use tailspan::{Condition, Relation, SpanField, SpanSet, StatusCode, TagOperator};
///
/// let checkout = Condition::compare(SpanField::attribute("service.name"), TagOperator::Equal, "checkout")?;
/// let failed = Condition::compare(SpanField::Status, TagOperator::Equal, StatusCode::ERROR)?;
/// let set = SpanSet::of(checkout).related(Relation::Descendant, SpanSet::of(failed));
/// assert_eq!(set, SpanSet::parse(r#"{ .service.name = "checkout" } >> { status = error }"#)?);
/// # Ok::<(), tailspan::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SpanSet {
    /// Operands before their operator.
    pub(super) steps: Vec<Step>,
}

/// One step of an expression, operands first.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The spans that meet a condition.
    Spans(Condition),
    /// The spans of the last set that stand so to one of the set before, or to none.
    Related(Relation, Negation),
    /// The spans of the last two sets, if neither is empty.
    Both,
    /// The spans of the last two sets.
    Either,
    /// The last set, if the number of its spans compares so.
    Count(TagOperator, u64),
}

/// Whether a relation must hold with some span or with none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Negation {
    /// With some.
    Some,
    /// With none.
    None,
}

impl SpanSet {
    /// The spans that meet a condition.
    pub fn of(condition: Condition) -> Self {
        Self { steps: vec![Step::Spans(condition)] }
    }

    /// All spans: `{}`.
    pub fn all() -> Self {
        Self::of(Condition::constant(true))
    }

    /// Reads TraceQL's spelling, as `--where` does.
    ///
    /// # Errors
    /// Invalid if it is malformed, naming the place and what was expected, or too long.
    pub fn parse(text: &str) -> Result<Self> {
        let set = parse(text)?;
        set.check()?;
        Ok(set)
    }

    /// As [`SpanSet::parse`]; a condition may stand without the braces around it. No text can be read both ways, as
    /// every set has braces and a condition none.
    ///
    /// # Errors
    /// As [`SpanSet::parse`].
    pub fn parse_lenient(text: &str) -> Result<Self> {
        Self::parse(text).or_else(|error| match text.trim_start().starts_with(['{', '(']) {
            true => Self::parse(&format!("{{ {text} }}")).map_err(|_| error),
            false => Self::parse(&format!("{{ {text} }}")),
        })
    }

    /// The spans of `right` that stand in this relation to a span of this set.
    #[must_use]
    pub fn related(self, relation: Relation, right: Self) -> Self {
        self.joined(right, Step::Related(relation, Negation::Some))
    }

    /// The spans of `right` that stand in this relation to no span of this set.
    #[must_use]
    pub fn unrelated(self, relation: Relation, right: Self) -> Self {
        self.joined(right, Step::Related(relation, Negation::None))
    }

    /// The spans of both sets, in traces where neither is empty.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.joined(other, Step::Both)
    }

    /// The spans of both sets.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.joined(other, Step::Either)
    }

    /// This set, in traces where the number of its spans compares so.
    ///
    /// # Errors
    /// Invalid if the operator does not compare numbers.
    pub fn count(mut self, operator: TagOperator, count: u64) -> Result<Self> {
        use TagOperator::{Matches, NotMatches, Present};
        if matches!(operator, Matches | NotMatches | Present) {
            return Err(Error::invalid(format!("count() {} {count}: use = != < <= > >=", operator.as_str())));
        }
        self.steps.push(Step::Count(operator, count));
        Ok(self)
    }

    fn joined(mut self, other: Self, by: Step) -> Self {
        self.steps.extend(other.steps);
        self.steps.push(by);
        self
    }

    /// # Errors
    /// Invalid if the expression has more steps than are evaluated.
    pub(in crate::query) fn check(&self) -> Result<()> {
        let steps: usize = self.conditions().map(|condition| condition.steps.len()).sum::<usize>() + self.steps.len();
        if steps > STEPS_MAX {
            return Err(Error::invalid(format!("where: {steps} parts; at most {STEPS_MAX}")));
        }
        Ok(())
    }

    /// Its conditions, from left to right.
    pub(super) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.steps.iter().filter_map(|step| match step {
            Step::Spans(condition) => Some(condition),
            _ => None,
        })
    }

    /// For every condition, from left to right, whether its spans may be in the set as a whole.
    pub(super) fn results(&self) -> Vec<bool> {
        let (mut count, mut open): (usize, Vec<Vec<usize>>) = (0, Vec::new());
        for step in &self.steps {
            match step {
                Step::Spans(_) => {
                    open.push(vec![count]);
                    count += 1;
                }
                Step::Count(..) => {}
                Step::Related(..) | Step::Both | Step::Either => {
                    let right = open.pop().unwrap_or_default();
                    let left = open.pop().unwrap_or_default();
                    open.push(if matches!(step, Step::Related(..)) { right } else { [left, right].concat() });
                }
            }
        }
        let last = open.pop().unwrap_or_default();
        (0..count).map(|condition| last.contains(&condition)).collect()
    }
}

impl FromStr for SpanSet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}
