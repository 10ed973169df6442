//! What must hold for every codec: used by the tests of each.

use super::*;

/// The page of these values.
pub fn encoded(codec: IntegerCodec, values: &[u64]) -> Vec<u8> {
    let mut page = Vec::new();
    encode_integers(codec, values, &mut page);
    page
}

/// Asserts that the page of these values gives them back in every way of reading, that every shorter page
/// is an error, and that no changed byte makes a reader panic. Returns the page.
pub fn check(codec: IntegerCodec, values: &[u64]) -> Vec<u8> {
    let page = encoded(codec, values);
    let count = values.len();
    let mut wide = vec![1, 2, 3];
    decode_integers(&page, count, &mut wide).unwrap();
    assert_eq!(wide, values, "{codec:?}");
    let mut narrow = Vec::new();
    let fits = decode_integers_u32(&page, count, &mut narrow).is_ok();
    assert_eq!(fits, values.iter().all(|v| *v <= u64::from(u32::MAX)), "{codec:?} {values:?}");
    assert!(!fits || narrow.iter().zip(values).all(|(a, b)| u64::from(*a) == *b));
    for (index, value) in values.iter().enumerate() {
        assert_eq!(integer_at(&page, count, index).unwrap(), *value, "{codec:?} at {index}");
    }
    for len in 0..page.len() {
        assert!(decode_integers(&page[..len], count, &mut wide).is_err(), "{codec:?} cut to {len} of {}", page.len());
    }
    mutate(&page, count);
    page
}

fn mutate(page: &[u8], count: usize) {
    let (mut wide, mut narrow) = (Vec::new(), Vec::new());
    let mut changed = page.to_vec();
    // Every byte of a small page; a large one repeats its kinds of byte.
    for at in (0..page.len()).step_by(page.len() / 150 + 1) {
        for byte in (0..=255u8).step_by(if at < 4 { 3 } else { 37 }) {
            changed[at] = byte;
            let _ = decode_integers(&changed, count, &mut wide);
            let _ = decode_integers_u32(&changed, count, &mut narrow);
            for index in [0, count / 2, count.saturating_sub(1)] {
                let _ = integer_at(&changed, count, index);
            }
        }
        changed[at] = page[at];
    }
}
