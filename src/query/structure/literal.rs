//! Values in conditions: numbers, durations, texts, booleans, and the words of status and kind.

use std::fmt::{self, Write};
use std::time::Duration;

use crate::model::{SpanKind, StatusCode};

use super::super::number::Number;
use super::super::tag::ElementType;

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Literal {
    /// A whole number.
    Int(i64),
    /// A double; NaN and the infinities are refused.
    Double(f64),
    /// A duration in nanoseconds, which is a number like others.
    Duration(i64),
    /// A text.
    Text(String),
    /// A boolean.
    Bool(bool),
    /// An outcome.
    Status(StatusCode),
    /// A role.
    Kind(SpanKind),
}

/// Units of durations, the longest first.
const UNITS: [(&str, i64); 11] = [
    ("y", 365 * 86_400_000_000_000),
    ("w", 7 * 86_400_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ns", 1),
];

impl Literal {
    /// The number it is, if it is one.
    pub(super) fn number(&self) -> Option<Number> {
        match self {
            Self::Int(int) | Self::Duration(int) => Some(Number::Int(*int)),
            Self::Double(double) => Some(Number::Double(*double)),
            _ => None,
        }
    }

    /// The type of elements it can be equal to; `None` for the words of status and kind.
    pub(super) fn element(&self) -> Option<ElementType> {
        match self {
            Self::Int(_) | Self::Double(_) | Self::Duration(_) => Some(ElementType::Number),
            Self::Text(_) => Some(ElementType::Text),
            Self::Bool(_) => Some(ElementType::Bool),
            Self::Status(_) | Self::Kind(_) => None,
        }
    }
}

/// Nanoseconds of a duration like `1h30m` or `1.5s`; `None` unless it is a whole number of them below 2^63.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (mut rest, mut total) = (text, 0i128);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let nanos = i128::from(UNITS.iter().find(|(name, _)| *name == unit)?.1);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && part.is_empty()) || part.contains('.') || whole.len() > 19 || part.len() > 18 {
            return None;
        }
        let parse = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
        let scale = 10i128.pow(part.len() as u32);
        let parts = parse(part)? * nanos;
        if parts % scale != 0 {
            return None;
        }
        total = total.checked_add(parse(whole)? * nanos + parts / scale)?;
        rest = after;
    }
    i64::try_from(total).ok()
}

/// TraceQL's spelling.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(int) => write!(f, "{int}"),
            Self::Double(double) => write!(f, "{double:?}"),
            Self::Duration(nanos) => {
                let fits = |(_, unit): &&(&str, i64)| nanos % unit == 0;
                let (name, unit) = UNITS.iter().skip(2).find(fits).unwrap_or(&UNITS[10]);
                if *nanos == 0 { f.write_str("0s") } else { write!(f, "{}{name}", nanos / unit) }
            }
            Self::Text(text) => write_quoted(text, f),
            Self::Bool(boolean) => write!(f, "{boolean}"),
            Self::Status(status) => f.write_str(status.as_str()),
            Self::Kind(kind) => f.write_str(if kind.as_str() == "unspecified" { "unspecified" } else { kind.as_str() }),
        }
    }
}

/// The text in double quotes, as Go writes it.
fn write_quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
            c if c.is_control() && (c as u32) < 0x10000 => write!(f, "\\u{:04x}", c as u32)?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

impl From<i64> for Literal {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Literal {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<bool> for Literal {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Literal {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Literal {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// One of more than 292 years counts as the longest there is.
impl From<Duration> for Literal {
    fn from(value: Duration) -> Self {
        Self::Duration(i64::try_from(value.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl From<StatusCode> for Literal {
    fn from(value: StatusCode) -> Self {
        Self::Status(value)
    }
}

impl From<SpanKind> for Literal {
    fn from(value: SpanKind) -> Self {
        Self::Kind(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_decimals_with_units() {
        let second = 1_000_000_000;
        let cases = [("1s", second), ("1.5s", 1_500_000_000), ("1h30m", 5400 * second), ("2µs", 2_000), ("0ns", 0)];
        for (text, nanos) in cases {
            assert_eq!(parse_duration(text), Some(nanos), "{text}");
        }
        for text in ["1", "1x", "s", ".s", "1.5ns", "1s1", "99999999y", "1..5s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_is_written_in_the_longest_unit_that_fits() {
        let text = |nanos: i64| Literal::Duration(nanos).to_string();
        assert_eq!([0, 1, 1_500_000, -60_000_000_000].map(text), ["0s", "1ns", "1500us", "-1m"]);
    }
}
