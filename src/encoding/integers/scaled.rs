//! Multiples of 1,000, divided: a column of nanoseconds from a clock of whole microseconds.
//!
//! The body is a frame page of the quotients. They stay below 2^54, so that a product never overflows and
//! one look at the union of their bits proves it.

use super::bits::Lane;
use super::{IntegerCodec, frame, patched, raw};
use crate::error::{Result, ensure};

const FACTOR: u64 = 1000;
const QUOTIENT_END: u64 = 1 << 54;

/// Bytes of the page, unless a value is no multiple of 1,000.
pub fn size(values: &[u64]) -> Option<usize> {
    let quotients = divide(values)?;
    Some(1 + patched::size(&quotients).min(raw::size(values)))
}

/// Appends the page and returns true, or returns false if a value is no multiple of 1,000.
pub fn encode(values: &[u64], out: &mut Vec<u8>) -> bool {
    let Some(quotients) = divide(values) else { return false };
    out.push(IntegerCodec::Scaled as u8);
    frame::encode_unscaled(&quotients, out);
    true
}

fn divide(values: &[u64]) -> Option<Vec<u64>> {
    let divides = |v: &u64| v.is_multiple_of(FACTOR) && v / FACTOR < QUOTIENT_END;
    // All zero would gain nothing, and a single look settles most columns of nanoseconds.
    if !values.iter().all(divides) {
        return None;
    }
    Some(values.iter().map(|v| v / FACTOR).collect())
}

/// Fills `out`.
pub fn decode<T: Lane>(body: &[u8], out: &mut [T]) -> Result<()> {
    frame::decode_unscaled(body, out)?;
    let seen = out.iter().fold(0, |seen, v| seen | v.wide());
    check(seen)?;
    let mut products = 0;
    for value in out.iter_mut() {
        let product = value.wide() * FACTOR;
        products |= product;
        *value = T::narrow(product);
    }
    ensure(products <= T::MAX, || format!("scaled page: a value is above {}", T::MAX))
}

/// One value.
pub fn at(body: &[u8], count: usize, index: usize) -> Result<u64> {
    let quotient = frame::at_unscaled(body, count, index)?;
    check(quotient)?;
    Ok(quotient * FACTOR)
}

fn check(quotients: u64) -> Result<()> {
    ensure(quotients < QUOTIENT_END, || "scaled page: a value passes 64 bits".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{check as holds, encoded};
    use super::*;

    #[test]
    fn golden_bytes() {
        assert_eq!(encoded(IntegerCodec::Scaled, &[5000, 6000, 8000, 5000]), [5, 3, 2, 5, 0b0011_0100]);
    }

    #[test]
    fn a_value_that_is_no_multiple_falls_back_to_patched() {
        assert_eq!(holds(IntegerCodec::Scaled, &[5000, 6001, 8000])[0], IntegerCodec::Bitpack as u8);
        assert_ne!(holds(IntegerCodec::Scaled, &[5000, u64::MAX / 1000 * 1000])[0], IntegerCodec::Scaled as u8);
    }

    #[test]
    fn a_product_past_64_bits_is_corrupt() {
        let mut body = Vec::new();
        super::super::constant::encode(&[QUOTIENT_END], &mut body);
        assert!(decode(&body, &mut [0u64; 2]).is_err());
        assert!(at(&body, 2, 0).is_err());
    }

    proptest! {
        #[test]
        fn multiples_come_back_within_the_worst_size(raw in prop::collection::vec(0..QUOTIENT_END, 0..60)) {
            let values: Vec<u64> = raw.iter().map(|v| v * FACTOR).collect();
            prop_assert!(holds(IntegerCodec::Scaled, &values).len() <= 13 + 8 * values.len());
        }
    }
}
