//! One JSON scalar, read leniently: numbers may come as strings, null means absent.
//!
//! Spans are cut out of a JSON text as [`RawValue`]s and read one by one, so that a field of the wrong
//! type refuses its span alone. [`Scalar`] takes whatever scalar stands there; what it means, and
//! whether it is allowed, its conversions say.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::RejectReason;

/// A JSON value that is neither an array nor an object. The default is null.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Scalar<'a> {
    /// `null`, or no such field.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number of 0 or more.
    Unsigned(u64),
    /// A negative whole number.
    Signed(i64),
    /// Any other number.
    Double(f64),
    /// A string; borrowed unless it has escapes.
    Text(Cow<'a, str>),
}

impl Scalar<'_> {
    /// The text, empty when absent.
    pub fn text(&self) -> Result<&str, RejectReason> {
        match self {
            Scalar::Null => Ok(""),
            Scalar::Text(text) => Ok(text),
            _ => Err(RejectReason::Malformed),
        }
    }

    /// The flag, false when absent.
    pub fn bool(&self) -> Result<bool, RejectReason> {
        match self {
            Scalar::Null => Ok(false),
            Scalar::Bool(value) => Ok(*value),
            _ => Err(RejectReason::Malformed),
        }
    }

    /// The whole number, 0 when absent; a string of digits and a double without a fraction count.
    pub fn integer(&self) -> Result<i128, RejectReason> {
        match self {
            Scalar::Null => Ok(0),
            Scalar::Unsigned(value) => Ok(i128::from(*value)),
            Scalar::Signed(value) => Ok(i128::from(*value)),
            Scalar::Double(value) => whole(*value),
            Scalar::Text(text) => match text.parse::<i128>() {
                Ok(value) if !text.starts_with('+') => Ok(value),
                _ => whole(number_in(text)?),
            },
            Scalar::Bool(_) => Err(RejectReason::Malformed),
        }
    }

    /// The whole number if it fits the type wanted, as [`Scalar::integer`] reads it.
    pub fn fit<T: TryFrom<i128>>(&self) -> Result<T, RejectReason> {
        T::try_from(self.integer()?).map_err(|_| RejectReason::Malformed)
    }

    /// The double, 0 when absent; proto3's names of what is not finite count.
    pub fn double(&self) -> Result<f64, RejectReason> {
        match self {
            Scalar::Null => Ok(0.0),
            Scalar::Unsigned(value) => Ok(*value as f64),
            Scalar::Signed(value) => Ok(*value as f64),
            Scalar::Double(value) => Ok(*value),
            Scalar::Text(text) => match &**text {
                "NaN" => Ok(f64::NAN),
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                text => number_in(text),
            },
            Scalar::Bool(_) => Err(RejectReason::Malformed),
        }
    }

    /// The number of an enum, 0 when absent: a number, or one of `names`, whose first is number 0.
    pub fn enumeration(&self, names: &[&str]) -> Result<i32, RejectReason> {
        match self {
            Scalar::Text(text) => names
                .iter()
                .position(|name| name == text)
                .and_then(|number| i32::try_from(number).ok())
                .ok_or(RejectReason::Malformed),
            _ => self.fit(),
        }
    }
}

fn whole(value: f64) -> Result<i128, RejectReason> {
    const EXACT_MAX: f64 = 18_446_744_073_709_551_616.0;
    if value.fract() == 0.0 && value.abs() <= EXACT_MAX { Ok(value as i128) } else { Err(RejectReason::Malformed) }
}

/// The number that a text writes as JSON would.
fn number_in(text: &str) -> Result<f64, RejectReason> {
    if text.contains(char::is_whitespace) {
        return Err(RejectReason::Malformed);
    }
    serde_json::from_str(text).map_err(|_| RejectReason::Malformed)
}

/// Reads one part that was cut out of a larger text.
pub fn read_part<'a, T: Deserialize<'a>>(part: &'a RawValue) -> Result<T, RejectReason> {
    let object: Object<T> = serde_json::from_str(part.get()).map_err(|_| RejectReason::Malformed)?;
    Ok(object.0)
}

/// A struct that must stand in JSON as an object: derived code alone would take an array too.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<T> Deref for Object<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, number, boolean or null")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Unsigned(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Signed(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Double(value))
    }

    fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(json: &str) -> Scalar<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn integers_come_as_numbers_strings_and_whole_doubles() {
        for json in ["12", "\"12\"", "12.0", "1.2e1", "\"1.2e1\""] {
            assert_eq!(scalar(json).integer(), Ok(12), "{json}");
        }
        assert_eq!(scalar("\"18446744073709551615\"").fit::<u64>(), Ok(u64::MAX));
        assert_eq!(scalar("-9223372036854775808").fit::<i64>(), Ok(i64::MIN));
        for json in ["true", "1.5", "\"\"", "\"x\"", "\"+1\"", "\" 1\"", "1e300"] {
            assert_eq!(scalar(json).integer(), Err(RejectReason::Malformed), "{json}");
        }
        assert_eq!(scalar("4294967296").fit::<u32>(), Err(RejectReason::Malformed));
    }

    #[test]
    fn doubles_keep_their_bits() {
        for value in [0.1, -0.0, 1e-320, f64::MAX, 5.0, f64::INFINITY, f64::NEG_INFINITY] {
            let json = if value.is_finite() {
                format!("{value:?}")
            } else {
                format!("\"{value}inity\"").replace("inf", "Inf")
            };
            assert_eq!(scalar(&json).double().unwrap().to_bits(), value.to_bits(), "{json}");
        }
        assert!(scalar("\"NaN\"").double().unwrap().is_nan());
        for json in ["\"nan\"", "\"inf\"", "true"] {
            assert_eq!(scalar(json).double(), Err(RejectReason::Malformed), "{json}");
        }
    }

    #[test]
    fn an_enum_is_a_number_or_a_name() {
        let names = ["ZERO", "ONE"];
        assert_eq!(scalar("\"ONE\"").enumeration(&names), Ok(1));
        assert_eq!(scalar("77").enumeration(&names), Ok(77));
        assert_eq!(scalar("null").enumeration(&names), Ok(0));
        assert_eq!(scalar("\"TWO\"").enumeration(&names), Err(RejectReason::Malformed));
    }
}
