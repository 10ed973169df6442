//! From TraceQL's spelling to an expression.
//!
//! ```text
//! set       = joined { "|" "count" "(" ")" comparison integer }
//! joined    = related { ("&&" | "||") related }                       both on one level, from the left
//! related   = primary { ["!"] (">" | ">>" | "<" | "<<" | "~") primary }       from the left
//! primary   = "{" [condition] "}" | "(" set ")"
//! condition = test { ("&&" | "||") test }                             both on one level, from the left
//! test      = field [comparison value] | value comparison field | "true" | "false"
//!           | "!" test | "(" condition ")" | field ("=" | "!=") "nil"
//! ```

use crate::error::{Error, Result};

use super::super::tag::TagOperator;
use super::condition::Condition;
use super::field::SpanField;
use super::literal::Literal;
use super::scanner::{Scanner, Token};
use super::span_set::{Relation, SpanSet};

/// How deep brackets and negations may be nested: a bound on the recursion.
const DEPTH_MAX: usize = 64;
/// Length of an expression in bytes.
const TEXT_MAX: usize = 64 << 10;
/// Tests and sets of an expression, so that a hostile one ends early.
const PARTS_MAX: usize = 2_000;

/// Reads an expression.
///
/// # Errors
/// Invalid if it is malformed, naming the place and what was expected, or too long or deep.
pub fn parse(text: &str) -> Result<SpanSet> {
    if text.len() > TEXT_MAX {
        return Err(Error::invalid(format!("where: {} bytes; at most {TEXT_MAX}", text.len())));
    }
    let mut parser = Parser { scanner: Scanner::new(text)?, depth: 0, parts: 0 };
    let set = parser.set()?;
    match parser.scanner.token {
        Token::End => Ok(set),
        _ => Err(parser.scanner.expected("&& || > >> < << ~ (or one of these after !), | count(), or the end")),
    }
}

struct Parser<'t> {
    scanner: Scanner<'t>,
    depth: usize,
    parts: usize,
}

impl Parser<'_> {
    fn set(&mut self) -> Result<SpanSet> {
        let mut set = self.joined()?;
        while self.scanner.take_sign("|")? {
            if self.scanner.token != Token::Count {
                return Err(self.scanner.expected("count() after |"));
            }
            self.part()?;
            self.scanner.take()?;
            self.scanner.expect_sign("(", "() after count")?;
            self.scanner.expect_sign(")", ") after count(")?;
            let operator = self.operator()?.filter(|o| !matches!(o, TagOperator::Matches | TagOperator::NotMatches));
            let operator = operator.ok_or_else(|| self.scanner.expected("one of = != < <= > >= after count()"))?;
            let Token::Value(Literal::Int(count)) = self.scanner.token else {
                return Err(self.scanner.expected("a whole number to compare count() with"));
            };
            let count = u64::try_from(count).map_err(|_| self.scanner.wrong("count() is never negative"))?;
            self.scanner.take()?;
            set = set.count(operator, count)?;
        }
        Ok(set)
    }

    fn joined(&mut self) -> Result<SpanSet> {
        let mut set = self.related()?;
        loop {
            if self.scanner.take_sign("&&")? {
                set = set.and(self.related()?);
            } else if self.scanner.take_sign("||")? {
                set = set.or(self.related()?);
            } else {
                return Ok(set);
            }
        }
    }

    fn related(&mut self) -> Result<SpanSet> {
        let mut set = self.primary()?;
        loop {
            let Token::Sign(sign) = self.scanner.token else { return Ok(set) };
            let positive = sign.strip_prefix('!').unwrap_or(sign);
            let Some(relation) = Relation::ALL.into_iter().find(|r| r.as_str() == positive) else { return Ok(set) };
            self.scanner.take()?;
            let right = self.primary()?;
            set = if sign.starts_with('!') { set.unrelated(relation, right) } else { set.related(relation, right) };
        }
    }

    fn primary(&mut self) -> Result<SpanSet> {
        self.part()?;
        if self.scanner.take_sign("{")? {
            if self.scanner.take_sign("}")? {
                return Ok(SpanSet::all());
            }
            let condition = self.condition()?;
            self.scanner.expect_sign("}", "&& || or }")?;
            return Ok(SpanSet::of(condition));
        }
        if self.scanner.take_sign("(")? {
            let set = self.nested(Self::set)?;
            self.scanner.expect_sign(")", ") or an operator between sets of spans")?;
            return Ok(set);
        }
        Err(self.scanner.expected("{ or ("))
    }

    fn condition(&mut self) -> Result<Condition> {
        let mut condition = self.test()?;
        loop {
            if self.scanner.take_sign("&&")? {
                condition = condition.and(self.test()?);
            } else if self.scanner.take_sign("||")? {
                condition = condition.or(self.test()?);
            } else {
                return Ok(condition);
            }
        }
    }

    fn test(&mut self) -> Result<Condition> {
        self.part()?;
        if self.scanner.take_sign("!")? {
            return Ok(self.nested(Self::test)?.negated());
        }
        if self.scanner.take_sign("(")? {
            let condition = self.nested(Self::condition)?;
            self.scanner.expect_sign(")", "&& || or )")?;
            return Ok(condition);
        }
        let expected = "a field (name, duration, status, kind, span.KEY, resource.KEY, .KEY) or a value";
        match self.scanner.token {
            Token::Field(_) | Token::Value(_) => {}
            _ => return Err(self.scanner.expected(expected)),
        }
        let place = self.scanner.wrong("");
        let at_place = |error: Error| Error::invalid(format!("{place}{error}"));
        match self.scanner.take()? {
            Token::Field(field) => self.test_of(field, at_place),
            Token::Value(Literal::Bool(met)) if !self.at_operator() => Ok(Condition::constant(met)),
            Token::Value(value) => {
                let operator = self.operator()?.and_then(turned_round);
                let operator =
                    operator.ok_or_else(|| self.scanner.expected("one of = != < <= > >= after the value"))?;
                match self.scanner.take()? {
                    Token::Field(field) => Condition::compare(field, operator, value).map_err(at_place),
                    _ => Err(at_place(Error::invalid("expected a field to compare the value with"))),
                }
            }
            _ => Err(self.scanner.expected(expected)),
        }
    }

    /// What stands after a field; without an operator it is a boolean.
    fn test_of(&mut self, field: SpanField, at_place: impl Fn(Error) -> Error) -> Result<Condition> {
        let Some(operator) = self.operator()? else {
            return Condition::compare(field, TagOperator::Equal, true).map_err(at_place);
        };
        match (&self.scanner.token, operator) {
            (Token::Nil, TagOperator::Equal | TagOperator::NotEqual) => {
                self.scanner.take()?;
                let found = if operator == TagOperator::Equal { Condition::absent } else { Condition::present };
                found(field).map_err(at_place)
            }
            (Token::Value(_), _) => match self.scanner.take()? {
                Token::Value(value) => Condition::compare(field, operator, value).map_err(at_place),
                _ => Err(self.scanner.expected("a value")),
            },
            (Token::Field(_), _) => Err(self.scanner.expected("a value: two fields cannot be compared")),
            _ => Err(self.scanner.expected("a number, a duration, a text in quotes, true, false, a status or a kind")),
        }
    }

    fn at_operator(&self) -> bool {
        matches!(self.scanner.token, Token::Sign("=" | "!=" | "<" | "<=" | ">" | ">=" | "=~" | "!~"))
    }

    /// Takes the comparison operator at hand, if there is one.
    fn operator(&mut self) -> Result<Option<TagOperator>> {
        let Token::Sign(sign) = self.scanner.token else { return Ok(None) };
        let operator = TagOperator::SIGNED.into_iter().find(|operator| operator.as_str() == sign);
        if operator.is_some() {
            self.scanner.take()?;
        }
        Ok(operator)
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == DEPTH_MAX {
            return Err(self.scanner.wrong(&format!("brackets and negations are nested deeper than {DEPTH_MAX}")));
        }
        self.depth += 1;
        let found = inner(self);
        self.depth -= 1;
        found
    }

    /// Counts a part of the expression.
    fn part(&mut self) -> Result<()> {
        self.parts += 1;
        if self.parts > PARTS_MAX { Err(self.scanner.wrong(&format!("more than {PARTS_MAX} parts"))) } else { Ok(()) }
    }
}

/// The operator that means the same with its sides exchanged.
fn turned_round(operator: TagOperator) -> Option<TagOperator> {
    Some(match operator {
        TagOperator::Equal | TagOperator::NotEqual => operator,
        TagOperator::Less => TagOperator::Greater,
        TagOperator::LessOrEqual => TagOperator::GreaterOrEqual,
        TagOperator::Greater => TagOperator::Less,
        TagOperator::GreaterOrEqual => TagOperator::LessOrEqual,
        TagOperator::Matches | TagOperator::NotMatches | TagOperator::Present => return None,
    })
}
