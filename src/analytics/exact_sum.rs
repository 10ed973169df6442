//! Sums of doubles that do not depend on their order.
//!
//! Floating-point addition rounds each time, so that the same samples in another order, as after a merge, would add
//! up to another number. Here every addend is laid into one long fixed-point number, and only the sum is rounded:
//!
//! ```text
//! high 128 bits                 | low 128 bits
//! 2^191                    2^64 | 2^63        2^0 . 2^-1        2^-64
//!                    [53 bits of an addend]
//! ```

/// Binary digits after the point.
const FRACTION_DIGITS: i32 = 64;
/// Digits of each half.
const HALF: u32 = u128::BITS;

/// A sum of finite doubles that are not negative. What an addend has below 2^-64 is cut off; past 2^192 the sum stays
/// at the largest number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExactSum {
    high: u128,
    low: u128,
}

impl ExactSum {
    const MAX: Self = Self { high: u128::MAX, low: u128::MAX };

    /// Adds a number.
    pub fn add(&mut self, addend: f64) {
        debug_assert!(addend.is_finite() && addend >= 0.0, "{addend} cannot be added");
        let addend = Self::of(addend);
        let (low, carry) = self.low.overflowing_add(addend.low);
        let high = self.high.checked_add(addend.high).and_then(|high| high.checked_add(carry.into()));
        *self = high.map_or(Self::MAX, |high| Self { high, low });
    }

    fn of(addend: f64) -> Self {
        let bits = addend.to_bits();
        let stored = bits & ((1 << (f64::MANTISSA_DIGITS - 1)) - 1);
        let exponent = (bits >> (f64::MANTISSA_DIGITS - 1)) as i32;
        if exponent == 0 {
            return Self::default();
        }
        let digits = u128::from(stored | 1 << (f64::MANTISSA_DIGITS - 1));
        // Where the last of the 53 digits comes to stand, counted from the right end.
        let place = exponent - (f64::MAX_EXP - 1) - (f64::MANTISSA_DIGITS as i32 - 1) + FRACTION_DIGITS;
        let Ok(place) = u32::try_from(place) else {
            return Self { high: 0, low: digits.checked_shr(place.unsigned_abs()).unwrap_or(0) };
        };
        if place + f64::MANTISSA_DIGITS > 2 * HALF {
            return Self::MAX;
        }
        if place >= HALF {
            return Self { high: digits << (place - HALF), low: 0 };
        }
        Self { high: digits.checked_shr(HALF - place).unwrap_or(0), low: digits << place }
    }

    /// The sum as a double.
    pub fn value(self) -> f64 {
        let unit = f64::powi(2.0, -FRACTION_DIGITS);
        self.high as f64 * (f64::powi(2.0, HALF as i32) * unit) + self.low as f64 * unit
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(addends: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        addends.iter().for_each(|addend| sum.add(*addend));
        sum
    }

    #[test]
    fn what_rounding_would_lose_is_kept() {
        let many: Vec<f64> = [9_007_199_254_740_992.0].into_iter().chain([1.0; 4]).chain([0.5; 4]).collect();
        assert_eq!(sum(&many).value(), 9_007_199_254_740_998.0);
        assert_eq!(many.iter().sum::<f64>(), 9_007_199_254_740_992.0, "as plain addition does");
        assert_eq!(sum(&[]).value(), 0.0);
    }

    #[test]
    fn the_ends_are_held() {
        assert_eq!(sum(&[f64::powi(2.0, -64), f64::powi(2.0, -65), 0.0]).value(), f64::powi(2.0, -64));
        assert_eq!(sum(&[f64::MAX, f64::MIN_POSITIVE, 5e-324]).value(), f64::powi(2.0, 192));
        assert_eq!(sum(&[f64::powi(2.0, 191), f64::powi(2.0, 191)]).value(), f64::powi(2.0, 192));
    }

    proptest! {
        #[test]
        fn one_addend_comes_back(mantissa in 1u64..1 << 53, exponent in -64i32..139) {
            let addend = mantissa as f64 * f64::powi(2.0, exponent);
            prop_assert_eq!(sum(&[addend]).value(), addend);
        }

        #[test]
        fn the_order_does_not_count(mut addends in proptest::collection::vec(0.0f64..1e30, 0..20), scale in -40i32..40) {
            addends.iter_mut().step_by(2).for_each(|addend| *addend *= f64::powi(2.0, scale));
            let forwards = sum(&addends);
            addends.reverse();
            prop_assert_eq!(forwards, sum(&addends));
            let plain: f64 = addends.iter().sum();
            prop_assert!((forwards.value() - plain).abs() <= plain * 1e-13 + 1e-17);
        }
    }
}
