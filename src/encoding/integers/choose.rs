//! Chooses a codec: for a column by the sizes of sample pages, for a page by its own size.
//!
//! Bytes are not all that counts: a simpler codec wins when it is nearly as small, and delta pages, which
//! must be decoded as a whole to read one value, have to earn it.

use super::patched::Plan;
use super::{IntegerCodec, bitpack, constant, delta, frame, patched, raw, run_length, scaled};

/// The codec for a column, by sample pages of it. A column without samples is patched.
pub fn choose_integers(samples: &[&[u64]]) -> IntegerCodec {
    let samples: Vec<&[u64]> = samples.iter().copied().filter(|page| !page.is_empty()).collect();
    if samples.is_empty() {
        return IntegerCodec::Patched;
    }
    if samples.iter().all(|page| is_constant(page)) {
        return IntegerCodec::Constant;
    }
    let plans: Vec<Plan> = samples.iter().map(|page| Plan::of(page)).collect();
    smallest(|codec| samples.iter().zip(&plans).map(|(page, plan)| size_with(codec, page, plan)).sum())
}

/// Appends the page in this codec, or in a wider one if the values ask for it.
///
/// A page of equal values is always `constant`; values that the codec cannot hold are `patched`, and in a
/// constant column the smallest form is sought.
pub fn encode_integers(codec: IntegerCodec, values: &[u64], out: &mut Vec<u8>) {
    if is_constant(values) {
        return constant::encode(values, out);
    }
    let done = match codec {
        IntegerCodec::Constant => return encode_integers_best(values, out),
        IntegerCodec::Raw => {
            raw::encode(values, out);
            true
        }
        IntegerCodec::Bitpack => {
            bitpack::encode(values, out);
            true
        }
        IntegerCodec::Patched => false,
        IntegerCodec::Scaled => scaled::encode(values, out),
        IntegerCodec::Delta => delta::encode(values, out),
        IntegerCodec::RunLength => run_length::encode(values, out),
    };
    if !done {
        patched::encode(values, out);
    }
}

/// Appends the page in the codec that suits these values best. Costs about five times as much as
/// encoding with a known codec.
pub fn encode_integers_best(values: &[u64], out: &mut Vec<u8>) {
    if is_constant(values) {
        return constant::encode(values, out);
    }
    let plan = Plan::of(values);
    match smallest(|codec| size_with(codec, values, &plan)) {
        IntegerCodec::Patched => plan.encode(values, out),
        codec => encode_integers(codec, values, out),
    }
}

fn is_constant(values: &[u64]) -> bool {
    values.iter().all(|value| Some(value) == values.first())
}

/// Bytes of the page that [`encode_integers`] would append for these values, whose patched page is planned.
fn size_with(codec: IntegerCodec, values: &[u64], plan: &Plan) -> usize {
    if is_constant(values) {
        return constant::size(values);
    }
    let held = match codec {
        IntegerCodec::Constant => Some(frame::size(values)),
        IntegerCodec::Raw => Some(raw::size(values)),
        IntegerCodec::Bitpack => Some(bitpack::size(values)),
        IntegerCodec::Patched => None,
        IntegerCodec::Scaled => scaled::size(values),
        IntegerCodec::Delta => delta::size(values),
        IntegerCodec::RunLength => run_length::size(values),
    };
    held.unwrap_or_else(|| plan.size())
}

/// From the simplest to the most costly to read, with the share of bytes, in 64ths, that each must save
/// over the best before it.
const CANDIDATES: [(IntegerCodec, usize); 6] = [
    (IntegerCodec::Raw, 0),
    (IntegerCodec::Bitpack, 1),
    (IntegerCodec::Patched, 1),
    (IntegerCodec::Scaled, 1),
    (IntegerCodec::RunLength, 4),
    (IntegerCodec::Delta, 8),
];

fn smallest(size: impl Fn(IntegerCodec) -> usize) -> IntegerCodec {
    let mut best = (IntegerCodec::Raw, usize::MAX / 64);
    for (codec, margin) in CANDIDATES {
        let bytes = size(codec);
        if bytes * 64 < best.1 * (64 - margin) {
            best = (codec, bytes);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::check;
    use super::*;

    fn noise(count: u64) -> impl Iterator<Item = u64> {
        (0..count).scan(7u64, |state, _| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Some(*state ^ (*state >> 29))
        })
    }

    fn chosen(values: impl IntoIterator<Item = u64>) -> IntegerCodec {
        let values: Vec<u64> = values.into_iter().collect();
        let codec = choose_integers(&[&values, &values]);
        check(codec, &values);
        let mut page = Vec::new();
        encode_integers(codec, &values, &mut page);
        assert_eq!(page.len(), size_with(codec, &values, &Plan::of(&values)), "the size of {codec:?} is exact");
        codec
    }

    #[test]
    fn each_shape_of_column_gets_its_codec() {
        assert_eq!(chosen([]), IntegerCodec::Patched);
        assert_eq!(chosen([9; 1000]), IntegerCodec::Constant);
        assert_eq!(chosen(noise(1000)), IntegerCodec::Raw);
        assert_eq!(chosen(noise(1000).map(|v| 5000 + v % 1000)), IntegerCodec::Bitpack);
        assert_eq!(chosen(noise(1000).map(|v| if v % 61 == 0 { v >> 8 } else { v % 1000 })), IntegerCodec::Patched);
        assert_eq!(chosen(noise(1000).map(|v| v % 1_000_000 * 1000)), IntegerCodec::Scaled);
        assert_eq!(chosen((0..1000).map(|i| i * i)), IntegerCodec::Delta);
        assert_eq!(chosen((0..1000u64).map(|i| (i / 97).wrapping_mul(0x9e37_79b9_7f4a_7c15))), IntegerCodec::RunLength);
    }

    #[test]
    fn a_page_unlike_its_column_is_still_lossless() {
        let pages: [Vec<u64>; 5] =
            [vec![], vec![u64::MAX], vec![0, u64::MAX], noise(33).collect(), vec![1000, 2000, 2000, 1_000_000]];
        for (codec, _) in CANDIDATES.into_iter().chain([(IntegerCodec::Constant, 0)]) {
            for page in &pages {
                check(codec, page);
            }
        }
    }

    proptest! {
        #[test]
        fn the_best_page_is_no_larger_than_raw(values in prop::collection::vec(any::<u64>(), 0..80)) {
            let mut page = Vec::new();
            encode_integers_best(&values, &mut page);
            prop_assert!(page.len() <= 11.max(raw::size(&values)));
        }
    }
}
