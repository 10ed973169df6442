//! Numbers of filters: compared by value, exactly, whether integer or double.
//!
//! Beyond 2^53 not every integer is a double, so neither side is ever converted to the other's type:
//! 9007199254740993 is greater than the double 9007199254740992, though rounding would call them equal.

use std::cmp::Ordering;

use crate::model::ValueRef;

/// An integer or a double that is not NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A signed 64-bit integer.
    Int(i64),
    /// A double.
    Double(f64),
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(int) => write!(f, "{int}"),
            Self::Double(double) => write!(f, "{double:?}"),
        }
    }
}

impl Number {
    /// The largest integer that is not greater, within what 128 bits hold.
    pub fn floor(self) -> i128 {
        match self {
            Self::Int(int) => int.into(),
            Self::Double(double) => double.floor() as i128,
        }
    }

    /// The smallest integer that is not less, within what 128 bits hold.
    pub fn ceil(self) -> i128 {
        match self {
            Self::Int(int) => int.into(),
            Self::Double(double) => double.ceil() as i128,
        }
    }

    /// The number a filter's text stands for: an integer if it has digits alone and fits 64 bits, else
    /// the nearest double. NaN equals nothing and is no number.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(int) = text.parse() {
            return Some(Self::Int(int));
        }
        text.parse().ok().filter(|double: &f64| !double.is_nan()).map(Self::Double)
    }

    /// The number an attribute holds, if it holds one.
    pub fn of(value: &ValueRef<'_>) -> Option<Self> {
        match *value {
            ValueRef::Int(int) => Some(Self::Int(int)),
            ValueRef::Double(double) if !double.is_nan() => Some(Self::Double(double)),
            _ => None,
        }
    }

    /// Compares by value; `None` only if a double is NaN.
    pub fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(&b),
            (Self::Int(a), Self::Double(b)) => compare_int_double(a, b),
            (Self::Double(a), Self::Int(b)) => compare_int_double(b, a).map(Ordering::reverse),
        }
    }
}

fn compare_int_double(int: i64, double: f64) -> Option<Ordering> {
    const INT_END: f64 = 9_223_372_036_854_775_808.0; // 2^63: the first double above every i64
    if double.is_nan() {
        None
    } else if double >= INT_END {
        Some(Ordering::Less)
    } else if double < -INT_END {
        Some(Ordering::Greater)
    } else {
        // Inside the range of i64 the whole part converts without loss.
        let whole = double.trunc();
        int.cmp(&(whole as i64)).then(whole.partial_cmp(&double)?).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(a: Number, b: Number) -> Ordering {
        assert_eq!(a.compare(b), b.compare(a).map(Ordering::reverse));
        a.compare(b).unwrap()
    }

    #[test]
    fn integers_and_doubles_compare_without_rounding() {
        use Number::{Double, Int};
        assert_eq!(compare(Int(9_007_199_254_740_993), Double(9_007_199_254_740_992.0)), Ordering::Greater);
        assert_eq!(compare(Int(9_007_199_254_740_992), Double(9_007_199_254_740_992.0)), Ordering::Equal);
        assert_eq!(compare(Int(i64::MAX), Double(i64::MAX as f64)), Ordering::Less);
        assert_eq!(compare(Int(i64::MIN), Double(i64::MIN as f64)), Ordering::Equal);
        assert_eq!(compare(Int(i64::MIN), Double(f64::NEG_INFINITY)), Ordering::Greater);
        assert_eq!(compare(Int(-3), Double(-3.5)), Ordering::Greater);
        assert_eq!(compare(Int(3), Double(3.5)), Ordering::Less);
        assert_eq!(compare(Int(0), Double(-0.0)), Ordering::Equal);
        assert_eq!(compare(Int(0), Double(-0.5)), Ordering::Greater);
    }

    #[test]
    fn digits_alone_are_an_integer_and_other_numbers_doubles() {
        assert_eq!(Number::parse("-12"), Some(Number::Int(-12)));
        assert_eq!(Number::parse("200.0"), Some(Number::Double(200.0)));
        assert_eq!(Number::parse("1e3"), Some(Number::Double(1000.0)));
        assert_eq!(Number::parse("9223372036854775808"), Some(Number::Double(9_223_372_036_854_775_808.0)));
        for text in ["", " 1", "1 ", "0x10", "1ms", "NaN", "-", "e5", "1_000", "true"] {
            assert_eq!(Number::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn nan_compares_with_nothing() {
        assert_eq!(Number::of(&ValueRef::Double(f64::NAN)), None);
        assert_eq!(Number::Int(0).compare(Number::Double(f64::NAN)), None);
    }
}
