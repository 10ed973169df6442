//! Quantiles as they are written: an exact ratio, never a float.
//!
//! The value of quantile q over n values is the one of rank `ceil(q * n)`, clamped to 1..n (nearest rank). In
//! floats `0.999 * 1000` may be a little more than 999 and the rank one too high; here q is the integer its
//! decimals spell over a power of ten.

use std::fmt;

use crate::error::{Error, Result};

/// Decimals a quantile may have.
const DECIMALS_MAX: usize = 18;

/// A quantile from 0 to 1, exact.
#[derive(Clone, Debug)]
pub struct Quantile {
    text: String,
    numerator: u64,
    /// A power of ten, at most 10^18.
    denominator: u64,
}

impl Quantile {
    /// Reads a decimal from 0 to 1 with up to 18 decimals, such as `0.999`.
    ///
    /// # Errors
    /// Invalid if the text is no such decimal.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::invalid(format!("quantile {text:?} is not a decimal from 0 to 1, as in 0.99"));
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if text.is_empty() || !digits(decimals) || !(whole.is_empty() || digits(whole)) {
            return Err(wrong());
        }
        let (whole, decimals) = (whole.trim_start_matches('0'), decimals.trim_end_matches('0'));
        if decimals.len() > DECIMALS_MAX {
            return Err(Error::invalid(format!("quantile {text:?} has more than {DECIMALS_MAX} decimals")));
        }
        let denominator = 10u64.pow(decimals.len() as u32);
        let fraction = decimals.bytes().fold(0, |number, b| number * 10 + u64::from(b - b'0'));
        let numerator = match whole {
            "" => fraction,
            "1" if fraction == 0 => denominator,
            _ => return Err(wrong()),
        };
        Ok(Self { text: text.to_owned(), numerator, denominator })
    }

    /// The text it was read from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The nearest double, for showing it.
    pub fn as_f64(&self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    /// The rank among `count` values, from 1: `ceil(q * count)`, at least 1. 0 if there is no value.
    pub fn rank(&self, count: u64) -> u64 {
        let product = u128::from(self.numerator) * u128::from(count);
        let rank = product.div_ceil(u128::from(self.denominator)) as u64;
        rank.max(1).min(count)
    }
}

/// Equal if and only if they are the same number, however written.
impl PartialEq for Quantile {
    fn eq(&self, other: &Self) -> bool {
        let cross = |a: &Self, b: &Self| u128::from(a.numerator) * u128::from(b.denominator);
        cross(self, other) == cross(other, self)
    }
}

impl Eq for Quantile {}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(text: &str, count: u64) -> u64 {
        Quantile::parse(text).unwrap().rank(count)
    }

    #[test]
    fn the_rank_follows_from_the_decimals_without_rounding() {
        assert_eq!(
            [rank("0.999", 1000), rank("0.999", 1001), rank("0.07", 100), rank("0.29", 100)],
            [999, 1000, 7, 29]
        );
        assert_eq!(rank("0.5", u64::MAX), u64::MAX / 2 + 1);
        assert_eq!(rank("0.999999999999999999", u64::MAX), u64::MAX - 18);
    }

    #[test]
    fn ranks_stay_between_the_first_and_the_last_value() {
        assert_eq!(
            [rank("0", 7), rank("1", 7), rank("1.000", 7), rank("0.000001", 7), rank("0.5", 0)],
            [1, 7, 7, 1, 0]
        );
    }

    #[test]
    fn quantiles_are_equal_by_number() {
        assert_eq!(Quantile::parse("0.50").unwrap(), Quantile::parse(".5").unwrap());
        assert_ne!(Quantile::parse("0.5").unwrap(), Quantile::parse("0.51").unwrap());
    }

    #[test]
    fn what_is_no_quantile_is_refused() {
        for text in ["", ".", "1.", "1.1", "2", "-0.5", "0,5", "5e-1", "p99", "99%", "0.1234567890123456789"] {
            assert!(Quantile::parse(text).is_err(), "{text}");
        }
    }
}
