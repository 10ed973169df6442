//! Equal neighbours once: ids of users and sessions repeat in the rows of a trace.
//!
//! ```text
//! runs (varint) | bytes of the next page (varint) | integer page of run lengths - 1 | string page of the runs
//! ```

use super::{RUNS, Strings, TemplateTable, check_total, decode_unrun, put_integers, read_integers, split_code};
use crate::bytes::{Reader, put_varint};
use crate::error::{Result, ensure};

/// First values of the runs and their lengths, less one.
pub fn split<'a>(values: &[&'a [u8]]) -> (Vec<&'a [u8]>, Vec<u64>) {
    let (mut heads, mut more): (Vec<&[u8]>, Vec<u64>) = (Vec::new(), Vec::new());
    for value in values {
        match (heads.last(), more.last_mut()) {
            (Some(head), Some(more)) if head == value => *more += 1,
            _ => {
                heads.push(value);
                more.push(0);
            }
        }
    }
    (heads, more)
}

/// Appends what stands before the string page of the runs.
pub fn encode_lengths(more: &[u64], out: &mut Vec<u8>) {
    out.push(RUNS);
    put_varint(more.len() as u64, out);
    put_integers(more, out);
}

/// Fills `out`.
pub fn decode(body: &[u8], count: usize, table: &TemplateTable<'_>, out: &mut Strings) -> Result<()> {
    let (lengths, page) = parse(body, count)?;
    let (code, inner) = split_code(page)?;
    let mut heads = Strings::default();
    decode_unrun(code, inner, lengths.len(), table, &mut heads)?;
    let total = lengths.iter().zip(heads.iter()).map(|(len, head)| len * head.len() as u64).sum::<u64>();
    check_total(total as usize)?;
    out.bytes.reserve(total as usize);
    for (len, head) in lengths.iter().zip(heads.iter()) {
        for _ in 0..*len {
            out.bytes.extend_from_slice(head);
            out.end_here();
        }
    }
    Ok(())
}

/// Where the runs of a page end.
#[derive(Debug)]
pub struct RunEnds(Vec<u64>);

impl RunEnds {
    /// The runs of a page of `count` values, and the page of their values.
    pub fn read(body: &[u8], count: usize) -> Result<(Self, &[u8])> {
        let (mut lengths, page) = parse(body, count)?;
        let mut end = 0;
        for len in &mut lengths {
            end += *len;
            *len = end;
        }
        Ok((Self(lengths), page))
    }

    /// Runs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The run that the value at `index` lies in; past the last run for one that is not there.
    pub fn run_of(&self, index: usize) -> usize {
        self.0.partition_point(|end| *end <= index as u64)
    }
}

/// The lengths of the runs, whose sum is `count`, and the page of their values.
fn parse(body: &[u8], count: usize) -> Result<(Vec<u64>, &[u8])> {
    let mut reader = Reader::new(body);
    let runs = reader.varint("runs page, runs")?;
    ensure(runs <= count as u64, || format!("runs page: {runs} runs of {count} values"))?;
    let mut lengths = read_integers(&mut reader, runs as usize, "runs page, lengths")?;
    let mut total = 0u64;
    for len in &mut lengths {
        *len = len.saturating_add(1);
        total = total.saturating_add(*len);
    }
    ensure(total == count as u64, || format!("runs page: the runs have {total} values, expected {count}"))?;
    Ok((lengths, reader.bytes(reader.remaining(), "runs page, values")?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{check, encoded};
    use super::super::{StringBody, StringCodec, decode_strings};
    use super::*;

    const CODEC: StringCodec = StringCodec::Runs(StringBody::Plain);

    #[test]
    fn golden_bytes() {
        let page = encoded(CODEC, &[b"ab", b"ab", b"ab", b"ab", b"c", b"c"]);
        assert_eq!(page, *b"\x04\x02\x04\x03\x02\x01\x02\x02\x04\x03\x01\x01\x01abc");
    }

    #[test]
    fn runs_that_do_not_add_up_are_corrupt() {
        let page = encoded(CODEC, &[b"ab", b"ab", b"ab", b"ab", b"c", b"c"]);
        for count in [0, 2, 5, 7] {
            assert!(decode_strings(&page, count, &mut Strings::default()).is_err());
            assert!(super::super::StringPage::open(&page, count).is_err());
        }
    }

    #[test]
    fn runs_do_not_hold_runs() {
        let inner = encoded(CODEC, &[b"ab", b"ab", b"ab", b"c", b"c", b"c"]);
        let mut page = Vec::new();
        encode_lengths(&[0; 6], &mut page);
        page.extend_from_slice(&inner);
        assert!(decode_strings(&page, 6, &mut Strings::default()).is_err());
    }

    proptest! {
        #[test]
        fn runs_come_back_within_the_worst_size(
            runs in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), 1usize..6), 0..20),
        ) {
            let values: Vec<&[u8]> = runs.iter().flat_map(|(value, len)| vec![value.as_slice(); *len]).collect();
            let total: usize = values.iter().map(|value| value.len()).sum();
            prop_assert!(check(CODEC, &values).len() <= 32 + 10 * values.len() + total);
        }
    }
}
