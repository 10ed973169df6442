//! Conditions on one span: comparisons of its fields, joined by and, or and not.
//!
//! A condition is a list of steps in the order of their evaluation, operands before their operator, so that
//! nothing here recurses however long it grows:
//!
//! ```text
//! { name = "x" && !(duration > 1s || .retry) }
//!   name = "x"   duration > 1s   .retry = true   or   not   and
//! ```

use crate::error::{Error, Result};

use super::super::tag::TagOperator;
use super::field::{FieldType, SpanField};
use super::gate::{Gate, comparison_gates, presence_gates};
use super::literal::Literal;

/// A condition on one span.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub(super) steps: Vec<ConditionStep>,
}

/// One step of a condition, operands first.
#[derive(Clone, Debug, PartialEq)]
pub enum ConditionStep {
    /// Met by all, or by none.
    Constant(bool),
    /// A question about one field.
    Test(Box<FieldTest>),
    /// Both of the last two.
    And,
    /// Either of the last two.
    Or,
    /// Not the last one.
    Not,
}

/// A question about one field.
#[derive(Clone, Debug)]
pub struct FieldTest {
    /// The field.
    pub field: SpanField,
    /// What is asked of it.
    pub asked: FieldQuestion,
    /// The same in terms of criteria.
    pub gates: Vec<Gate>,
}

/// What is asked of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldQuestion {
    /// `!= nil`
    Present,
    /// `= nil`
    Absent,
    /// A comparison with a value.
    Compared(TagOperator, Literal),
}

/// The gates follow from the rest.
impl PartialEq for FieldTest {
    fn eq(&self, other: &Self) -> bool {
        (&self.field, &self.asked) == (&other.field, &other.asked)
    }
}

impl Condition {
    /// The condition that every span meets, or none.
    pub fn constant(met: bool) -> Self {
        Self { steps: vec![ConditionStep::Constant(met)] }
    }

    /// The condition that a field compares so with a value. Of several values (repeated keys, arrays, events)
    /// one that compares so is enough; `!=` and `!~` need one of the value's type and none that is equal or
    /// matches. Regular expressions match whole texts.
    ///
    /// # Errors
    /// Invalid if the field never has values of that type, the operator is not for such values, the regular
    /// expression is none, or a double is not finite.
    pub fn compare(field: SpanField, operator: TagOperator, value: impl Into<Literal>) -> Result<Self> {
        let literal = value.into();
        check_types(&field, operator, &literal)?;
        let gates = comparison_gates(&field, operator, &literal)?;
        Ok(Self::test(FieldTest { field, asked: FieldQuestion::Compared(operator, literal), gates }))
    }

    /// The condition that a span has an attribute: `!= nil`.
    ///
    /// # Errors
    /// Invalid for a field that no span is without.
    pub fn present(field: SpanField) -> Result<Self> {
        let gates = presence(&field)?;
        Ok(Self::test(FieldTest { field, asked: FieldQuestion::Present, gates }))
    }

    /// The condition that a span does not have an attribute: `= nil`.
    ///
    /// # Errors
    /// Invalid for a field that no span is without.
    pub fn absent(field: SpanField) -> Result<Self> {
        let mut gates = presence(&field)?;
        gates.push(Gate::Not);
        Ok(Self::test(FieldTest { field, asked: FieldQuestion::Absent, gates }))
    }

    fn test(test: FieldTest) -> Self {
        Self { steps: vec![ConditionStep::Test(Box::new(test))] }
    }

    /// Both conditions.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.joined(other, ConditionStep::And)
    }

    /// Either condition.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.joined(other, ConditionStep::Or)
    }

    /// The opposite.
    #[must_use]
    pub fn negated(mut self) -> Self {
        self.steps.push(ConditionStep::Not);
        self
    }

    fn joined(mut self, other: Self, by: ConditionStep) -> Self {
        self.steps.extend(other.steps);
        self.steps.push(by);
        self
    }

    /// True if every span meets it by its form alone.
    pub(super) fn is_all(&self) -> bool {
        self.steps == [ConditionStep::Constant(true)]
    }

    /// Its gates, operands first.
    pub(super) fn gates(&self) -> impl Iterator<Item = &Gate> {
        self.steps.iter().flat_map(|step| match step {
            ConditionStep::Constant(true) => std::slice::from_ref(&Gate::Constant(true)),
            ConditionStep::Constant(false) => std::slice::from_ref(&Gate::Constant(false)),
            ConditionStep::Test(test) => &test.gates[..],
            ConditionStep::And => std::slice::from_ref(&Gate::And),
            ConditionStep::Or => std::slice::from_ref(&Gate::Or),
            ConditionStep::Not => std::slice::from_ref(&Gate::Not),
        })
    }
}

fn presence(field: &SpanField) -> Result<Vec<Gate>> {
    match field {
        SpanField::Attribute { place, key } if field.may_be_nil() => presence_gates(*place, key),
        _ => Err(Error::invalid(format!("{field} is always there: it is not compared with nil"))),
    }
}

/// Refuses comparisons that no span could ever meet.
fn check_types(field: &SpanField, operator: TagOperator, literal: &Literal) -> Result<()> {
    use TagOperator::{Equal, Matches, NotEqual, NotMatches, Present};
    let sign = operator.as_str();
    let refused = |why: String| Err(Error::invalid(format!("{field} {sign} {literal}: {why}")));
    if operator == Present {
        return refused("a comparison needs an operator".to_owned());
    }
    if let Literal::Double(double) = literal
        && !double.is_finite()
    {
        return refused("the number is not finite".to_owned());
    }
    let fits = match field.values() {
        FieldType::Any if literal.element().is_none() => {
            return refused("status and kind words are for status and kind; put a text in quotes".to_owned());
        }
        FieldType::Any => true,
        FieldType::Kind => matches!(literal, Literal::Kind(_)),
        FieldType::Status => matches!(literal, Literal::Status(_)),
        FieldType::Of(element) => literal.element() == Some(element),
    };
    if !fits {
        return refused(format!("{field} has no values of that type"));
    }
    let ordered = matches!(literal, Literal::Text(_)) || literal.number().is_some();
    match operator {
        Matches | NotMatches if !matches!(literal, Literal::Text(_)) => {
            refused("a regular expression is a text in quotes".to_owned())
        }
        Equal | NotEqual | Matches | NotMatches => Ok(()),
        _ if !ordered => refused("such values have no order; use = or !=".to_owned()),
        _ => Ok(()),
    }
}
