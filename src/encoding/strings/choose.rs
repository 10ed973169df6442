//! Chooses a codec for a column of strings by the sizes of sample pages, and writes pages in it.

use super::{StringBody, StringCodec, check_total, compressed, constant, plain, runs, template};
use crate::error::{Error, ErrorKind, Result};

/// From the simplest to the most costly to read, with the share of bytes, in 64ths, that each must save
/// over the best before it. A template page may be a little larger than a zstd page: it can be read by the
/// value, so it stands before.
const CANDIDATES: [(StringCodec, usize); 6] = [
    (StringCodec::Each(StringBody::Plain), 0),
    (StringCodec::Runs(StringBody::Plain), 4),
    (StringCodec::Each(StringBody::Template), 2),
    (StringCodec::Runs(StringBody::Template), 2),
    (StringCodec::Each(StringBody::Zstd), 6),
    (StringCodec::Runs(StringBody::Zstd), 6),
];

/// The codec for a column, by sample pages of it. A column without samples is zstd.
pub fn choose_strings(samples: &[&[&[u8]]]) -> StringCodec {
    let samples: Vec<&[&[u8]]> = samples.iter().copied().filter(|page| !page.is_empty()).collect();
    if samples.is_empty() {
        return StringCodec::Each(StringBody::Zstd);
    }
    if samples.iter().all(|page| is_constant(page)) {
        return StringCodec::Constant;
    }
    let mut best = (StringCodec::Each(StringBody::Plain), usize::MAX / 64);
    let mut page = Vec::new();
    for (codec, margin) in CANDIDATES {
        page.clear();
        samples.iter().for_each(|values| encode(codec, values, &mut page));
        // A template column that is as large as a zstd column fits no templates and is one.
        let same = page.len() == best.1 && best.0 != codec && best.0 == as_template(codec);
        if same || page.len() * 64 < best.1 * (64 - margin) {
            best = (codec, page.len());
        }
    }
    best.0
}

fn as_template(codec: StringCodec) -> StringCodec {
    match codec {
        StringCodec::Each(StringBody::Zstd) => StringCodec::Each(StringBody::Template),
        StringCodec::Runs(StringBody::Zstd) => StringCodec::Runs(StringBody::Template),
        other => other,
    }
}

/// Appends the page in this codec, or in a simpler one if the values do not gain by it. A page of equal
/// values is always constant; a page that differs from its constant column is tried as a template.
///
/// # Errors
/// Invalid, and nothing is appended, if the values have more than `STRING_PAGE_BYTES_MAX` bytes together:
/// cut such a page into smaller ones.
pub fn encode_strings(codec: StringCodec, values: &[&[u8]], out: &mut Vec<u8>) -> Result<()> {
    let total = values.iter().fold(0usize, |sum, value| sum.saturating_add(value.len()));
    check_total(total).map_err(|e| Error::new(ErrorKind::Invalid, e.to_string()))?;
    encode(codec, values, out);
    Ok(())
}

fn encode(codec: StringCodec, values: &[&[u8]], out: &mut Vec<u8>) {
    if is_constant(values) {
        return constant::encode(values.first().copied().unwrap_or_default(), out);
    }
    match codec {
        StringCodec::Constant => encode_body(StringBody::Template, values, out),
        StringCodec::Each(body) => encode_body(body, values, out),
        StringCodec::Runs(body) => {
            let (heads, more) = runs::split(values);
            // A run more or less is not worth the page of lengths.
            if heads.len() * 8 > values.len() * 7 {
                return encode_body(body, values, out);
            }
            runs::encode_lengths(&more, out);
            encode_body(body, &heads, out);
        }
    }
}

fn encode_body(body: StringBody, values: &[&[u8]], out: &mut Vec<u8>) {
    match body {
        StringBody::Plain => plain::encode(values, out),
        StringBody::Zstd => compressed::encode(values, out),
        StringBody::Template => {
            if !template::encode(values, out) {
                compressed::encode(values, out);
            }
        }
    }
}

fn is_constant(values: &[&[u8]]) -> bool {
    values.iter().all(|value| Some(value) == values.first())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CODECS, check};
    use super::*;

    fn chosen(values: Vec<Vec<u8>>) -> StringCodec {
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let codec = choose_strings(&[&values]);
        check(codec, &values);
        codec
    }

    fn noise(i: u64) -> u64 {
        let mixed = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    #[test]
    fn each_shape_of_column_gets_its_codec() {
        use StringBody::*;
        let of = |text: &dyn Fn(u64) -> String| chosen((0..200).map(|i| text(i).into_bytes()).collect());
        assert_eq!(of(&|_| "Lima".into()), StringCodec::Constant);
        assert_eq!(of(&|i| format!("order-{:x}", noise(i))), StringCodec::Each(Template));
        assert_eq!(of(&|i| format!("u-{:07}", noise(i / 5) % 1_000_000)), StringCodec::Runs(Template));
        let words = ["connection ", "refused by ", "the server ", "after a ", "long wait ", "again "];
        let text = |i: u64| (0..12).map(|k| words[(noise(i * 12 + k) >> 40) as usize % 6]).collect();
        assert_eq!(of(&text), StringCodec::Each(Zstd));
        let random = |i: u64| (0..6).map(|k| (noise(i * 6 + k) >> 50) as u8).collect();
        assert_eq!(chosen((0..200).map(random).collect()), StringCodec::Each(Plain));
        assert_eq!(choose_strings(&[]), StringCodec::Each(Zstd));
    }

    #[test]
    fn a_page_unlike_its_column_is_still_lossless() {
        let odd: [&[u8]; 5] = [b"", b"\xff\x00", b"007", b"u-0000012", b""];
        for codec in CODECS {
            check(codec, &odd);
            check(codec, &odd[..1]);
            check(codec, &[]);
        }
    }

    #[test]
    fn a_page_too_large_to_read_back_is_refused() {
        let value = vec![0u8; 1 << 20];
        let values = vec![value.as_slice(); 257];
        let mut out = Vec::new();
        let error = encode_strings(StringCodec::Constant, &values, &mut out).unwrap_err();
        assert_eq!((error.kind(), out.len()), (ErrorKind::Invalid, 0));
    }
}
