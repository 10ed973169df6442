//! Chooses a codec for a column of strings by the sizes of sample pages, and writes pages in it.

use super::template::shared::SharedTemplates;
use super::{StringBody, StringCodec, check_total, compressed, constant, plain, runs, template};
use crate::error::{Error, ErrorKind, Result};

/// How a column of strings is written: a codec, and the templates that its pages share.
pub struct StringEncoder {
    codec: StringCodec,
    shared: Option<SharedTemplates>,
    /// Bytes of the sample pages.
    sampled: usize,
}

impl StringEncoder {
    /// For a column, by sample pages of it. A column without samples is zstd.
    pub fn choose(samples: &[&[&[u8]]]) -> Self {
        let samples: Vec<&[&[u8]]> = samples.iter().copied().filter(|page| !page.is_empty()).collect();
        let with = |codec| Self { codec, shared: None, sampled: 0 };
        if samples.is_empty() {
            return with(StringCodec::Each(StringBody::Zstd));
        }
        if samples.iter().all(|page| is_constant(page)) {
            let sampled = samples.iter().map(|page| page[0].len() + 3).sum();
            return Self { sampled, ..with(StringCodec::Constant) };
        }
        let heads: Vec<Vec<&[u8]>> = samples.iter().map(|page| runs::split(page).0).collect();
        let values: usize = samples.iter().map(|page| page.len()).sum();
        let codec = if pays(heads.iter().map(Vec::len).sum(), values) { StringCodec::Runs } else { StringCodec::Each };
        let heads: Vec<&[&[u8]]> = heads.iter().map(Vec::as_slice).collect();
        let mut best = with(codec(StringBody::Plain));
        best.sampled = best.size(&samples);
        // From the simplest to the most costly to read, with the share of bytes, in 64ths, that each must save over the
        // best before it. Templates may take a little more than zstd: they can be read by the value, so they stand before.
        for (body, margin) in [(StringBody::Shared, 2), (StringBody::Zstd, 6)] {
            let mut next = with(codec(body));
            if body == StringBody::Shared {
                next.shared = SharedTemplates::of(&heads);
                if next.shared.is_none() {
                    continue;
                }
            }
            next.sampled = next.size(&samples);
            if next.sampled * 64 < best.sampled * (64 - margin) {
                best = next;
            }
        }
        best
    }

    fn size(&mut self, samples: &[&[&[u8]]]) -> usize {
        let mut page = Vec::new();
        samples.iter().for_each(|values| encode(self.codec, values, self.shared.as_mut(), &mut page));
        page.len()
    }

    /// The codec.
    #[cfg(test)]
    pub fn codec(&self) -> StringCodec {
        self.codec
    }

    /// Bytes that the sample pages take.
    pub fn sampled_len(&self) -> usize {
        self.sampled
    }

    /// The table of templates that pages refer to, if they do.
    pub fn templates(&self) -> Option<&[u8]> {
        self.shared.as_ref().map(SharedTemplates::table)
    }

    /// Appends a page, in a simpler form if the values do not gain by the column's. A page of equal values is always
    /// constant; a page that differs from its constant column is tried as a template.
    ///
    /// # Errors
    /// Invalid, and nothing is appended, if the values have more than `STRING_PAGE_BYTES_MAX` bytes together:
    /// cut such a page into smaller ones.
    pub fn encode(&mut self, values: &[&[u8]], out: &mut Vec<u8>) -> Result<()> {
        let total = values.iter().fold(0usize, |sum, value| sum.saturating_add(value.len()));
        check_total(total).map_err(|e| Error::new(ErrorKind::Invalid, e.to_string()))?;
        encode(self.codec, values, self.shared.as_mut(), out);
        Ok(())
    }
}

/// Appends a page in this codec, as a column without shared templates has it.
///
/// # Errors
/// As [`StringEncoder::encode`].
#[cfg(test)]
pub fn encode_strings(codec: StringCodec, values: &[&[u8]], out: &mut Vec<u8>) -> Result<()> {
    StringEncoder { codec, shared: None, sampled: 0 }.encode(values, out)
}

/// True if so many runs of so many values are worth the page of their lengths.
fn pays(runs: usize, values: usize) -> bool {
    runs * 8 <= values * 7
}

fn encode(codec: StringCodec, values: &[&[u8]], shared: Option<&mut SharedTemplates>, out: &mut Vec<u8>) {
    if is_constant(values) {
        return constant::encode(values.first().copied().unwrap_or_default(), out);
    }
    match codec {
        StringCodec::Constant => encode_body(StringBody::Template, values, shared, out),
        StringCodec::Each(body) => encode_body(body, values, shared, out),
        StringCodec::Runs(body) => {
            let (heads, more) = runs::split(values);
            if !pays(heads.len(), values.len()) {
                return encode_body(body, values, shared, out);
            }
            runs::encode_lengths(&more, out);
            encode_body(body, &heads, shared, out);
        }
    }
}

fn encode_body(body: StringBody, values: &[&[u8]], shared: Option<&mut SharedTemplates>, out: &mut Vec<u8>) {
    match body {
        StringBody::Plain => plain::encode(values, out),
        StringBody::Zstd => compressed::encode(values, out),
        StringBody::Shared if shared.is_some_and(|shared| shared.encode(values, out)) => {}
        StringBody::Template | StringBody::Shared => {
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
        let codec = StringEncoder::choose(&[&values]).codec();
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
        assert_eq!(of(&|i| format!("order-{:x}", noise(i))), StringCodec::Each(Shared));
        assert_eq!(of(&|i| format!("u-{:07}", noise(i / 5) % 1_000_000)), StringCodec::Runs(Shared));
        let words = ["connection ", "refused by ", "the server ", "after a ", "long wait ", "again "];
        let text = |i: u64| (0..12).map(|k| words[(noise(i * 12 + k) >> 40) as usize % 6]).collect();
        assert_eq!(of(&text), StringCodec::Each(Zstd));
        let random = |i: u64| (0..6).map(|k| (noise(i * 6 + k) >> 50) as u8).collect();
        assert_eq!(chosen((0..200).map(random).collect()), StringCodec::Each(Plain));
        assert_eq!(StringEncoder::choose(&[]).codec(), StringCodec::Each(Zstd));
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
