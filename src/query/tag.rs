//! One condition on attributes, as `--tag` spells it: `[SCOPE:]KEY[OP VALUE]`.
//!
//! ```text
//! span:http.status_code>=500
//! ---- ---------------- -- ---
//! scope key             op value      no scope: all five; no op: the key is present
//! ```
//! A key may stand several times in a span (two events, a repeated key) and hold an array. All of these
//! are its *elements*, and the filter decides on them as one set: a positive operator needs some element
//! that matches, a negated one needs the key and no element that matches. So every path, row by row or
//! column by column, asks two things, [`TagFilter::matches_value`] of each value and
//! [`TagFilter::decide`] at the end.

use std::cmp::Ordering;
use std::fmt;

use regex::Regex;

use crate::error::{Error, Result};
use crate::model::{KeyValue, Span, Value, ValueRef};

use super::number::Number;

/// Where an attribute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TagScope {
    /// On the span itself.
    Span,
    /// On the resource that produced it.
    Resource,
    /// On the instrumentation scope; its name and version count as `otel.scope.name` and
    /// `otel.scope.version` unless they are empty.
    Scope,
    /// On an event of the span.
    Event,
    /// On a link of the span.
    Link,
}

impl TagScope {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Span, Self::Resource, Self::Scope, Self::Event, Self::Link];

    /// The lower-case word for it, which before a colon restricts a filter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Span => "span",
            Self::Resource => "resource",
            Self::Scope => "scope",
            Self::Event => "event",
            Self::Link => "link",
        }
    }
}

/// How a filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TagOperator {
    /// The key is there, whatever its value.
    Present,
    /// `=`: some element equals the value.
    Equal,
    /// `!=`: the key is there and no element equals the value.
    NotEqual,
    /// `<`: some element is less.
    Less,
    /// `<=`: some element is less or equal.
    LessOrEqual,
    /// `>`: some element is greater.
    Greater,
    /// `>=`: some element is greater or equal.
    GreaterOrEqual,
    /// `=~`: some string element matches the regular expression as a whole.
    Matches,
    /// `!~`: the key is there and no string element matches the regular expression as a whole.
    NotMatches,
}

impl TagOperator {
    /// The operators with a sign, longer signs first, so that the first that fits is the one meant.
    pub(super) const SIGNED: [Self; 8] = [
        Self::Matches,
        Self::NotMatches,
        Self::NotEqual,
        Self::LessOrEqual,
        Self::GreaterOrEqual,
        Self::Equal,
        Self::Less,
        Self::Greater,
    ];

    /// The sign between key and value; empty for [`TagOperator::Present`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Present => "",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Matches => "=~",
            Self::NotMatches => "!~",
        }
    }

    /// True for `!=` and `!~`, which need the key and no element that matches.
    pub fn is_negated(self) -> bool {
        matches!(self, Self::NotEqual | Self::NotMatches)
    }

    fn accepts(self, element_to_value: Ordering) -> bool {
        match self {
            Self::Less => element_to_value.is_lt(),
            Self::LessOrEqual => element_to_value.is_le(),
            Self::Greater => element_to_value.is_gt(),
            Self::GreaterOrEqual => element_to_value.is_ge(),
            _ => element_to_value.is_eq(),
        }
    }
}

/// The value of a filter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// Without quotes: a string by its text, or an integer, double or boolean by value.
    Bare(String),
    /// In double quotes: strings only.
    Quoted(String),
}

impl Operand {
    /// The text, without the quotes.
    pub fn text(&self) -> &str {
        match self {
            Self::Bare(text) | Self::Quoted(text) => text,
        }
    }

    /// A value that begins and ends with a double quote is quoted; between them nothing is special.
    fn parse(value: &str) -> Self {
        match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(text) => Self::Quoted(text.to_owned()),
            None => Self::Bare(value.to_owned()),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bare(text) => f.write_str(text),
            Self::Quoted(text) => write!(f, "\"{text}\""),
        }
    }
}

/// A condition on the attributes of one span.
#[derive(Clone, Debug)]
pub struct TagFilter {
    scope: Option<TagScope>,
    key: String,
    operator: TagOperator,
    operand: Operand,
    test: Test,
}

/// The types that conditions of a structure tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// A string.
    Text,
    /// An integer, or a double that is not NaN.
    Number,
    /// A boolean.
    Bool,
}

/// What one element is asked: operator and operand, prepared. A negated operator has its positive form.
#[derive(Clone, Debug)]
enum Test {
    Anything,
    OfType(ElementType),
    Equal { text: Option<String>, number: Option<Number>, boolean: Option<bool> },
    TextOrder(TagOperator, String),
    NumberOrder(TagOperator, Number),
    Matches(Regex),
}

impl TagFilter {
    /// Reads `[SCOPE:]KEY[OP VALUE]`. KEY ends at the first of `= ! < >`; spaces count.
    ///
    /// # Errors
    /// Invalid if KEY is empty, if no operator begins where KEY ends, or if the regular expression of
    /// `=~` or `!~` is not one.
    pub fn parse(text: &str) -> Result<Self> {
        let (scope, rest) = strip_scope(text);
        let key_len = rest.find(['=', '!', '<', '>']).unwrap_or(rest.len());
        let (key, rest) = rest.split_at(key_len);
        if rest.is_empty() {
            return Self::new(scope, key, TagOperator::Present, Operand::Bare(String::new()));
        }
        let operator = TagOperator::SIGNED.into_iter().find(|operator| rest.starts_with(operator.as_str()));
        let operator = operator.ok_or_else(|| {
            let position = text.len() - rest.len();
            Error::invalid(format!(
                "tag filter {text:?}: no operator at byte {position}; after KEY comes one of = != < <= > >= =~ !~"
            ))
        })?;
        let value = rest.strip_prefix(operator.as_str()).unwrap_or_default();
        Self::new(scope, key, operator, Operand::parse(value))
    }

    /// The filter of these parts; the operand of [`TagOperator::Present`] counts for nothing.
    ///
    /// # Errors
    /// Invalid if the key is empty or the operand of a regular operator is no regular expression.
    pub fn new(scope: Option<TagScope>, key: &str, operator: TagOperator, operand: Operand) -> Result<Self> {
        if key.is_empty() {
            let sign = operator.as_str();
            return Err(Error::invalid(format!("tag filter {:?}: KEY is empty", format!("{sign}{operand}"))));
        }
        let test =
            Test::new(operator, &operand).map_err(|error| error.at(format_args!("tag filter of key {key:?}")))?;
        Ok(Self { scope, key: key.to_owned(), operator, operand, test })
    }

    /// The filter for a positive operator that looks at numbers alone, however the operand is spelled.
    pub(super) fn of_number(scope: Option<TagScope>, key: &str, operator: TagOperator, number: Number) -> Self {
        let test = match operator {
            TagOperator::Equal => Test::Equal { text: None, number: Some(number), boolean: None },
            order => Test::NumberOrder(order, number),
        };
        Self { scope, key: key.to_owned(), operator, operand: Operand::Bare(number.to_string()), test }
    }

    /// The filter that looks for this boolean alone.
    pub(super) fn of_bool(scope: Option<TagScope>, key: &str, boolean: bool) -> Self {
        let test = Test::Equal { text: None, number: None, boolean: Some(boolean) };
        let operand = Operand::Bare(boolean.to_string());
        Self { scope, key: key.to_owned(), operator: TagOperator::Equal, operand, test }
    }

    /// The filter that some element is of this type.
    pub(super) fn of_type(scope: Option<TagScope>, key: &str, element: ElementType) -> Self {
        let (operator, operand) = (TagOperator::Present, Operand::Bare(String::new()));
        Self { scope, key: key.to_owned(), operator, operand, test: Test::OfType(element) }
    }

    /// True if it asks for the key alone, whatever the value.
    pub(super) fn is_presence(&self) -> bool {
        matches!(self.test, Test::Anything)
    }

    /// The only place it looks in, or `None` for all of them.
    pub fn scope(&self) -> Option<TagScope> {
        self.scope
    }

    /// True if it looks at attributes that stand there.
    pub fn looks_in(&self, scope: TagScope) -> bool {
        self.scope.is_none_or(|only| only == scope)
    }

    /// The key of the attributes it looks at.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How it compares.
    pub fn operator(&self) -> TagOperator {
        self.operator
    }

    /// What it compares with.
    pub fn operand(&self) -> &Operand {
        &self.operand
    }

    /// The number that integers and doubles are compared with; `None` if they cannot match.
    pub fn number(&self) -> Option<Number> {
        match self.test {
            Test::Equal { number, .. } => number,
            Test::NumberOrder(_, number) => Some(number),
            _ => None,
        }
    }

    /// True if some element of the value meets the positive form of the operator (`=` for `!=`, `=~` for
    /// `!~`). Elements are the value itself or, of an array, its elements and theirs; a nested list has none.
    pub fn matches_value(&self, value: &ValueRef<'_>) -> bool {
        match value {
            ValueRef::Composite(composite) => self.test.is_met_inside(composite),
            scalar => self.test.is_met_by(scalar),
        }
    }

    /// The verdict on a span: `present` if the key stands in it where the filter looks, `matched` if some
    /// value there [matches](TagFilter::matches_value).
    pub fn decide(&self, present: bool, matched: bool) -> bool {
        if self.operator.is_negated() { present && !matched } else { matched }
    }

    /// True if the span meets the filter.
    pub fn matches_span(&self, span: &Span) -> bool {
        let mut seen = Seen::default();
        for scope in TagScope::ALL.into_iter().filter(|&scope| self.looks_in(scope)) {
            match scope {
                TagScope::Span => self.look_at(&span.attributes, &mut seen),
                TagScope::Resource => self.look_at(&span.resource.attributes, &mut seen),
                TagScope::Scope => {
                    self.look_at(&span.scope.attributes, &mut seen);
                    self.look_at_text("otel.scope.name", &span.scope.name, &mut seen);
                    self.look_at_text("otel.scope.version", &span.scope.version, &mut seen);
                }
                TagScope::Event => span.events.iter().for_each(|event| self.look_at(&event.attributes, &mut seen)),
                TagScope::Link => span.links.iter().for_each(|link| self.look_at(&link.attributes, &mut seen)),
            }
        }
        self.decide(seen.present, seen.matched)
    }

    fn look_at(&self, attributes: &[KeyValue], seen: &mut Seen) {
        for attribute in attributes.iter().filter(|a| a.key == self.key) {
            seen.present = true;
            seen.matched |= self.matches_value(&ValueRef::from(&attribute.value));
        }
    }

    fn look_at_text(&self, key: &str, text: &str, seen: &mut Seen) {
        if self.key == key && !text.is_empty() {
            seen.present = true;
            seen.matched |= self.matches_value(&ValueRef::String(text));
        }
    }
}

#[derive(Default)]
struct Seen {
    present: bool,
    matched: bool,
}

impl Test {
    fn new(operator: TagOperator, operand: &Operand) -> Result<Self> {
        let text = operand.text().to_owned();
        let number = if let Operand::Bare(text) = operand { Number::parse(text) } else { None };
        Ok(match operator {
            TagOperator::Present => Self::Anything,
            TagOperator::Equal | TagOperator::NotEqual => {
                let boolean = if let Operand::Bare(text) = operand { text.parse().ok() } else { None };
                Self::Equal { text: Some(text), number, boolean }
            }
            TagOperator::Matches | TagOperator::NotMatches => Self::Matches(whole_value_regex(&text)?),
            order => match number {
                Some(number) => Self::NumberOrder(order, number),
                None => Self::TextOrder(order, text),
            },
        })
    }

    fn is_met_by(&self, element: &ValueRef<'_>) -> bool {
        match (self, element) {
            (Self::Anything, _) => true,
            (Self::OfType(ElementType::Text), element) => matches!(element, ValueRef::String(_)),
            (Self::OfType(ElementType::Bool), element) => matches!(element, ValueRef::Bool(_)),
            (Self::OfType(ElementType::Number), element) => Number::of(element).is_some(),
            (Self::Equal { text, .. }, ValueRef::String(element)) => text.as_deref() == Some(*element),
            (Self::Equal { boolean, .. }, ValueRef::Bool(element)) => *boolean == Some(*element),
            (Self::Equal { number: Some(number), .. }, element) => {
                Number::of(element).and_then(|n| n.compare(*number)) == Some(Ordering::Equal)
            }
            (Self::NumberOrder(operator, number), element) => {
                Number::of(element).and_then(|n| n.compare(*number)).is_some_and(|order| operator.accepts(order))
            }
            (Self::TextOrder(operator, text), ValueRef::String(element)) => operator.accepts((**element).cmp(text)),
            (Self::Matches(regex), ValueRef::String(element)) => regex.is_match(element),
            _ => false,
        }
    }

    /// Walks nested arrays with a list of its own, so that no depth of nesting exhausts the stack.
    fn is_met_inside(&self, composite: &Value) -> bool {
        if matches!(self, Self::Anything) {
            return true;
        }
        let mut pending = vec![std::slice::from_ref(composite)];
        while let Some(elements) = pending.pop() {
            for element in elements {
                match element {
                    Value::Array(inner) => pending.push(inner),
                    Value::KeyValueList(_) => {}
                    scalar if self.is_met_by(&ValueRef::from(scalar)) => return true,
                    _ => {}
                }
            }
        }
        false
    }
}

fn strip_scope(text: &str) -> (Option<TagScope>, &str) {
    for scope in TagScope::ALL {
        if let Some(rest) = text.strip_prefix(scope.as_str()).and_then(|rest| rest.strip_prefix(':')) {
            return (Some(scope), rest);
        }
    }
    (None, text)
}

/// Compiles a pattern so that it matches whole values only.
fn whole_value_regex(pattern: &str) -> Result<Regex> {
    // Alone first: `a)|(b` is no pattern, though wrapped in a group it would be.
    let alone = Regex::new(pattern).and_then(|_| Regex::new(&format!(r"\A(?:{pattern})\z")));
    // In verbose mode a comment at the end swallows the bracket; there a line break ends it and adds nothing.
    let whole = match alone {
        Err(regex::Error::Syntax(_)) if Regex::new(pattern).is_ok() => Regex::new(&format!("\\A(?:{pattern}\n)\\z")),
        other => other,
    };
    whole.map_err(|error| Error::invalid(format!("regular expression {pattern:?}: {}", last_line(&error.to_string()))))
}

/// The line of the regex crate's drawing that says what is wrong, so that our message stays one line.
fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ")
}

/// Two filters are equal if and only if their scope, key, operator and operand are.
impl PartialEq for TagFilter {
    fn eq(&self, other: &Self) -> bool {
        (self.scope, &self.key, self.operator, &self.operand)
            == (other.scope, &other.key, other.operator, &other.operand)
    }
}

impl Eq for TagFilter {}

/// The text that [`TagFilter::parse`] reads as this filter.
impl fmt::Display for TagFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scope) = self.scope {
            write!(f, "{}:", scope.as_str())?;
        }
        write!(f, "{}{}", self.key, self.operator.as_str())?;
        if self.operator == TagOperator::Present { Ok(()) } else { write!(f, "{}", self.operand) }
    }
}
