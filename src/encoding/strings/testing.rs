//! What must hold for every codec: used by the tests of each.

use super::*;

/// Every way to store a column.
pub const CODECS: [StringCodec; 7] = [
    StringCodec::Constant,
    StringCodec::Each(StringBody::Plain),
    StringCodec::Each(StringBody::Zstd),
    StringCodec::Each(StringBody::Template),
    StringCodec::Runs(StringBody::Plain),
    StringCodec::Runs(StringBody::Zstd),
    StringCodec::Runs(StringBody::Template),
];

/// The page of these values.
pub fn encoded(codec: StringCodec, values: &[&[u8]]) -> Vec<u8> {
    let mut page = Vec::new();
    encode_strings(codec, values, &mut page).unwrap();
    page
}

/// Asserts that the page of these values gives them back in every way of reading, that every shorter page
/// is an error, and that no changed byte makes a reader panic. Returns the page.
pub fn check(codec: StringCodec, values: &[&[u8]]) -> Vec<u8> {
    let page = encoded(codec, values);
    let count = values.len();
    let (mut all, mut one) = (Strings::default(), Vec::new());
    decode_strings(&page, count, &mut all).unwrap();
    assert_eq!(all.iter().collect::<Vec<_>>(), values, "{codec:?}");
    assert_eq!(all.get(count), b"", "nothing stands past the end");
    let open = StringPage::open(&page, count).unwrap();
    for (index, value) in values.iter().enumerate() {
        one.clear();
        open.read(index, &mut one).unwrap();
        assert_eq!(one, *value, "{codec:?} at {index}");
    }
    for len in 0..page.len() {
        assert!(decode_strings(&page[..len], count, &mut all).is_err(), "{codec:?} cut to {len} of {}", page.len());
    }
    mutate(&page, count);
    page
}

fn mutate(page: &[u8], count: usize) {
    let (mut all, mut one) = (Strings::default(), Vec::new());
    let mut changed = page.to_vec();
    // Every byte of a small page; a large one repeats its kinds of byte.
    for at in (0..page.len()).step_by(page.len() / 150 + 1) {
        for byte in
            [0, 1, 2, 3, 4, 5, 8, 63, 64, 65, 127, 128, 255, page[at] ^ 1, page[at] ^ 0x80, page[at].wrapping_add(1)]
        {
            changed[at] = byte;
            let _ = decode_strings(&changed, count, &mut all);
            if let Ok(open) = StringPage::open(&changed, count) {
                one.clear();
                let _ = open.read(count / 2, &mut one);
            }
        }
        changed[at] = page[at];
    }
}
