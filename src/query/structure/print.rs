//! From an expression back to TraceQL's spelling: what [`super::parser`] reads as the same expression.
//!
//! Brackets stand only where they change the meaning. Printing keeps a list of finished pieces, as evaluation
//! does, and does not recurse.

use std::fmt;

use super::condition::{Condition, ConditionStep, FieldQuestion};
use super::span_set::{Negation, SpanSet, Step};

/// How tightly the outermost operator of a piece binds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Counted,
    Joined,
    Related,
    Primary,
}

/// A finished piece of text.
struct Piece {
    text: String,
    binding: Binding,
}

impl Piece {
    fn new(text: String, binding: Binding) -> Self {
        Self { text, binding }
    }

    /// The text, in brackets unless it binds at least as tightly.
    fn at_least(self, binding: Binding) -> String {
        if self.binding >= binding { self.text } else { format!("({})", self.text) }
    }
}

/// Joins the last two pieces from the left.
fn join(pieces: &mut Vec<Piece>, sign: &str, binding: Binding, tighter: Binding) {
    let (right, left) = (pieces.pop(), pieces.pop());
    let left = left.map(|piece| piece.at_least(binding)).unwrap_or_default();
    let right = right.map(|piece| piece.at_least(tighter)).unwrap_or_default();
    pieces.push(Piece::new(format!("{left} {sign} {right}"), binding));
}

impl fmt::Display for SpanSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pieces: Vec<Piece> = Vec::new();
        for step in &self.steps {
            match step {
                Step::Spans(condition) if condition.is_all() => {
                    pieces.push(Piece::new("{ }".to_owned(), Binding::Primary));
                }
                Step::Spans(condition) => pieces.push(Piece::new(format!("{{ {condition} }}"), Binding::Primary)),
                Step::Related(relation, negation) => {
                    let not = if *negation == Negation::None { "!" } else { "" };
                    join(&mut pieces, &format!("{not}{}", relation.as_str()), Binding::Related, Binding::Primary);
                }
                Step::Both => join(&mut pieces, "&&", Binding::Joined, Binding::Related),
                Step::Either => join(&mut pieces, "||", Binding::Joined, Binding::Related),
                Step::Count(operator, count) => {
                    let set = pieces.pop().map(|piece| piece.text).unwrap_or_default();
                    let text = format!("{set} | count() {} {count}", operator.as_str());
                    pieces.push(Piece::new(text, Binding::Counted));
                }
            }
        }
        f.write_str(&pieces.pop().map(|piece| piece.text).unwrap_or_default())
    }
}

/// As between the braces.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pieces: Vec<Piece> = Vec::new();
        for step in &self.steps {
            match step {
                ConditionStep::Constant(met) => pieces.push(Piece::new(met.to_string(), Binding::Primary)),
                ConditionStep::Test(test) => {
                    let text = match &test.asked {
                        FieldQuestion::Present => format!("{} != nil", test.field),
                        FieldQuestion::Absent => format!("{} = nil", test.field),
                        FieldQuestion::Compared(operator, literal) => {
                            format!("{} {} {literal}", test.field, operator.as_str())
                        }
                    };
                    pieces.push(Piece::new(text, Binding::Primary));
                }
                ConditionStep::And => join(&mut pieces, "&&", Binding::Joined, Binding::Related),
                ConditionStep::Or => join(&mut pieces, "||", Binding::Joined, Binding::Related),
                ConditionStep::Not => {
                    let inner = pieces.pop().map(|piece| piece.text).unwrap_or_default();
                    pieces.push(Piece::new(format!("!({inner})"), Binding::Primary));
                }
            }
        }
        f.write_str(&pieces.pop().map(|piece| piece.text).unwrap_or_default())
    }
}
