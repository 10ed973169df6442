//! Comparisons as circuits of criteria: what a page can answer with masks, and a span one by one.
//!
//! A criterion asks for *some* value that fits. What TraceQL asks beyond that is put together here:
//!
//! ```text
//! span.x != 5     some number in span.x, and not some 5
//! .x = 5          5 in span.x, or no span.x and (5 in resource.x, or no resource.x and ...)
//! .x = nil        no x in any place
//! ```

use crate::error::Result;

use super::super::number::Number;
use super::super::predicate::{Criterion, DurationRange, TextField};
use super::super::tag::{ElementType, Operand, TagFilter, TagOperator, TagScope};
use super::field::SpanField;
use super::literal::Literal;

/// A range without a duration in it. Of a span of which nothing is known not even this is known to be false.
const NO_DURATION: DurationRange = DurationRange { min: Some(1), max: Some(0) };

/// One gate of a circuit, operands first.
#[derive(Clone, Debug)]
pub enum Gate {
    /// Always the same.
    Constant(bool),
    /// Whether the span meets a criterion, which pages can answer.
    Meets(Criterion),
    /// Whether some value of a field that only whole traces tell passes the positive form of the filter.
    Holds(SpanField, TagFilter),
    /// Both of the last two.
    And,
    /// Either of the last two.
    Or,
    /// Not the last one.
    Not,
}

/// Where an attribute without a place is sought, first place first.
const PLACES: [TagScope; 5] = [TagScope::Span, TagScope::Resource, TagScope::Event, TagScope::Link, TagScope::Scope];

/// The circuit of a comparison whose types were checked.
///
/// # Errors
/// Invalid if a regular expression is none or a key is empty.
pub fn comparison_gates(field: &SpanField, operator: TagOperator, literal: &Literal) -> Result<Vec<Gate>> {
    let positive = match operator {
        TagOperator::NotEqual => TagOperator::Equal,
        TagOperator::NotMatches => TagOperator::Matches,
        other => other,
    };
    let opposite = |mut gates: Vec<Gate>| {
        gates.extend(operator.is_negated().then_some(Gate::Not));
        gates
    };
    let text_filter = |key: &str| filter_of(None, key, positive, literal);
    Ok(match (field, literal) {
        (SpanField::Attribute { place: Some(place), key }, _) => attribute_gates(*place, key, operator, literal)?,
        (SpanField::Attribute { place: None, key }, _) => first_place_gates(key, operator, literal)?,
        (SpanField::Kind, Literal::Kind(kind)) => opposite(vec![Gate::Meets(Criterion::Kind(*kind))]),
        (SpanField::Status, Literal::Status(status)) => opposite(vec![Gate::Meets(Criterion::Status(*status))]),
        (SpanField::Name, Literal::Text(name)) if positive == TagOperator::Equal => {
            opposite(vec![Gate::Meets(Criterion::Name(name.clone()))])
        }
        (SpanField::Duration, _) => duration_gates(operator, literal.number().unwrap_or(Number::Int(0))),
        (SpanField::Name, _) => opposite(vec![text(TextField::Name, text_filter("name")?)]),
        (SpanField::ScopeName, _) => opposite(vec![text(TextField::ScopeName, text_filter("scope name")?)]),
        (SpanField::ScopeVersion, _) => opposite(vec![text(TextField::ScopeVersion, text_filter("scope version")?)]),
        (SpanField::StatusMessage, _) => opposite(status_message_gates(text_filter("status message")?)?),
        (SpanField::EventName, _) => some_and_no(
            operator,
            text(TextField::EventName, text_filter("event name")?),
            text(TextField::EventName, present("event name")?),
        ),
        (field, literal) => {
            let of_type = TagFilter::of_type(None, "field", literal.element().unwrap_or(ElementType::Text));
            let holds = |filter| Gate::Holds(field.clone(), filter);
            some_and_no(operator, holds(text_filter("field")?), holds(of_type))
        }
    })
}

/// The circuit that tells whether an attribute is there.
///
/// # Errors
/// Invalid if the key is empty.
pub fn presence_gates(place: Option<TagScope>, key: &str) -> Result<Vec<Gate>> {
    let filter = TagFilter::new(place, key, TagOperator::Present, Operand::Bare(String::new()))?;
    Ok(vec![Gate::Meets(Criterion::Tag(filter))])
}

fn text(field: TextField, filter: TagFilter) -> Gate {
    Gate::Meets(Criterion::Text(field, filter))
}

fn present(key: &str) -> Result<TagFilter> {
    TagFilter::new(None, key, TagOperator::Present, Operand::Bare(String::new()))
}

/// The filter of a positive operator.
fn filter_of(place: Option<TagScope>, key: &str, operator: TagOperator, literal: &Literal) -> Result<TagFilter> {
    match (literal, literal.number()) {
        (_, Some(number)) => {
            TagFilter::new(place, key, TagOperator::Present, Operand::Bare(String::new()))?;
            Ok(TagFilter::of_number(place, key, operator, number))
        }
        (Literal::Bool(boolean), _) => {
            TagFilter::new(place, key, TagOperator::Present, Operand::Bare(String::new()))?;
            Ok(TagFilter::of_bool(place, key, *boolean))
        }
        (Literal::Text(text), _) => TagFilter::new(place, key, operator, Operand::Quoted(text.clone())),
        _ => TagFilter::new(place, key, operator, Operand::Quoted(literal.to_string())),
    }
}

/// Some value that fits; for a negated operator some value of the type and none that fits.
fn some_and_no(operator: TagOperator, fits: Gate, of_type: Gate) -> Vec<Gate> {
    if operator.is_negated() { vec![of_type, fits, Gate::Not, Gate::And] } else { vec![fits] }
}

fn attribute_gates(place: TagScope, key: &str, operator: TagOperator, literal: &Literal) -> Result<Vec<Gate>> {
    let positive = match operator {
        TagOperator::NotEqual => TagOperator::Equal,
        TagOperator::NotMatches => TagOperator::Matches,
        other => other,
    };
    let fits = Gate::Meets(Criterion::Tag(filter_of(Some(place), key, positive, literal)?));
    let element = literal.element().unwrap_or(ElementType::Text);
    let of_type = Gate::Meets(Criterion::Tag(TagFilter::of_type(Some(place), key, element)));
    Ok(some_and_no(operator, fits, of_type))
}

fn first_place_gates(key: &str, operator: TagOperator, literal: &Literal) -> Result<Vec<Gate>> {
    let mut places = PLACES.into_iter().rev();
    let Some(last) = places.next() else { return Ok(Vec::new()) };
    let mut gates = attribute_gates(last, key, operator, literal)?;
    for place in places {
        let mut outer = attribute_gates(place, key, operator, literal)?;
        outer.extend(presence_gates(Some(place), key)?);
        outer.push(Gate::Not);
        outer.extend(gates);
        outer.extend([Gate::And, Gate::Or]);
        gates = outer;
    }
    Ok(gates)
}

/// The message is empty where there is none.
fn status_message_gates(filter: TagFilter) -> Result<Vec<Gate>> {
    let accepts_none = filter.matches_value(&crate::model::ValueRef::String(""));
    let mut gates = vec![text(TextField::StatusMessage, filter)];
    if accepts_none {
        gates.extend([text(TextField::StatusMessage, present("status message")?), Gate::Not, Gate::Or]);
    }
    Ok(gates)
}

/// The circuit of a comparison of the span's duration; a span without one meets none.
fn duration_gates(operator: TagOperator, number: Number) -> Vec<Gate> {
    let (floor, ceil) = (number.floor(), number.ceil());
    let equal = if floor == ceil { within(floor, floor) } else { Gate::Meets(Criterion::Duration(NO_DURATION)) };
    match operator {
        TagOperator::NotEqual => {
            vec![Gate::Meets(Criterion::Duration(DurationRange::ALL)), equal, Gate::Not, Gate::And]
        }
        TagOperator::Less => vec![within(0, ceil.saturating_sub(1))],
        TagOperator::LessOrEqual => vec![within(0, floor)],
        TagOperator::Greater => vec![within(floor.saturating_add(1), u64::MAX.into())],
        TagOperator::GreaterOrEqual => vec![within(ceil, u64::MAX.into())],
        _ => vec![equal],
    }
}

fn within(min: i128, max: i128) -> Gate {
    match (u64::try_from(min.max(0)), u64::try_from(max.min(u64::MAX.into()))) {
        (Ok(min), Ok(max)) if min <= max => {
            Gate::Meets(Criterion::Duration(DurationRange { min: Some(min), max: Some(max) }))
        }
        _ => Gate::Meets(Criterion::Duration(NO_DURATION)),
    }
}
