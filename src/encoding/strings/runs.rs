//! Equal neighbours once: ids of users and sessions repeat in the rows of a trace.
//!
//! ```text
//! runs (varint) | bytes of the next page (varint) | integer page of run lengths - 1 | string page of the runs
//! ```

use super::{
    RUNS, Strings, TemplateTable, at_unrun, check_total, decode_unrun, put_integers, read_integers, split_code,
};
use crate::bytes::{Reader, put_varint};
use crate::error::{Error, Result, ensure};

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

/// One value.
pub fn at(body: &[u8], count: usize, index: usize, table: &TemplateTable<'_>, out: &mut Vec<u8>) -> Result<()> {
    let (lengths, page) = parse(body, count)?;
    let (code, inner) = split_code(page)?;
    let mut end = 0;
    let run = lengths.iter().position(|len| {
        end += len;
        (index as u64) < end
    });
    let run = run.ok_or_else(|| Error::corrupt(format!("runs page: value {index} is in no run")))?;
    at_unrun(code, inner, lengths.len(), run, table, out)
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
            assert!(count < 2 || super::super::string_at(&page, count, 1, &mut Vec::new()).is_err());
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
