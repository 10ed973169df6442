//! Long runs of equal values: each run's value and where it starts.
//!
//! ```text
//! runs (varint) | bytes of the next page (varint) | page of run values | bitpack page of the starts
//! ```
//!
//! The first run starts at 0, which is not stored; the other `runs - 1` starts rise strictly below the
//! count. They are absolute, not lengths, so that one value is found by binary search.

use super::bits::Lane;
use super::{IntegerCodec, bitpack, frame};
use crate::bytes::{Reader, put_varint, varint_len};
use crate::error::{Error, Result, ensure};

/// Bytes of the page, unless there are no values.
pub fn size(values: &[u64]) -> Option<usize> {
    let (heads, starts) = runs(values)?;
    let (inner, outer) = (frame::size(&heads), bitpack::size(&starts));
    Some(1 + varint_len(heads.len() as u64) + varint_len(inner as u64) + inner + outer)
}

/// Appends the page and returns true, or returns false if there are no long runs.
pub fn encode(values: &[u64], out: &mut Vec<u8>) -> bool {
    let Some((heads, starts)) = runs(values) else { return false };
    let mut page = Vec::new();
    frame::encode(&heads, &mut page);
    out.push(IntegerCodec::RunLength as u8);
    put_varint(heads.len() as u64, out);
    put_varint(page.len() as u64, out);
    out.extend_from_slice(&page);
    bitpack::encode(&starts, out);
    true
}

/// Values of the runs and starts of all but the first, if there are at least two values to a run.
fn runs(values: &[u64]) -> Option<(Vec<u64>, Vec<u64>)> {
    let runs = 1 + values.windows(2).filter(|pair| pair[0] != pair[1]).count();
    if runs * 2 > values.len() {
        return None;
    }
    let mut heads = vec![*values.first()?];
    let mut starts = Vec::new();
    for (i, pair) in values.windows(2).enumerate() {
        if pair[0] != pair[1] {
            heads.push(pair[1]);
            starts.push(i as u64 + 1);
        }
    }
    Some((heads, starts))
}

fn parse(body: &[u8], count: usize) -> Result<(usize, &[u8], &[u8])> {
    let mut reader = Reader::new(body);
    let runs = reader.varint("run-length page, runs")?;
    ensure((1..=count as u64).contains(&runs), || format!("run-length page: {runs} runs of {count} values"))?;
    let heads = reader.block("run-length page, values")?;
    let starts = reader.bytes(reader.remaining(), "run-length page, starts")?;
    Ok((runs as usize, heads, starts))
}

/// Fills `out`.
pub fn decode<T: Lane>(body: &[u8], out: &mut [T]) -> Result<()> {
    let (runs, heads_page, starts_page) = parse(body, out.len())?;
    let mut heads = vec![T::default(); runs];
    frame::decode(heads_page, &mut heads)?;
    let mut starts = vec![0u64; runs - 1];
    frame::decode(starts_page, &mut starts)?;
    let rising = starts.first() != Some(&0) && starts.is_sorted_by(|a, b| a < b);
    ensure(rising && starts.last().is_none_or(|last| *last < out.len() as u64), || {
        "run-length page: the starts of the runs do not rise below the count".to_owned()
    })?;
    let mut from = 0;
    let ends = starts.iter().map(|start| *start as usize).chain([out.len()]);
    for (head, end) in heads.iter().zip(ends) {
        out[from..end].fill(*head);
        from = end;
    }
    Ok(())
}

/// One value: a binary search for the last run that starts at or before `index`.
pub fn at(body: &[u8], count: usize, index: usize) -> Result<u64> {
    let (runs, heads, starts) = parse(body, count)?;
    let (mut low, mut high) = (0, runs - 1);
    while low < high {
        let middle = (low + high) / 2;
        if frame::at(starts, runs - 1, middle)? <= index as u64 { low = middle + 1 } else { high = middle }
    }
    frame::at(heads, runs, low).map_err(|e: Error| e.at("run-length page"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{check, encoded};
    use super::*;

    #[test]
    fn golden_bytes() {
        let values = [7, 7, 7, 7, 9, 9, 9, 9, 9, 8, 8, 8];
        assert_eq!(encoded(IntegerCodec::RunLength, &values), [7, 3, 4, 3, 2, 7, 0b01_10_00, 3, 3, 4, 0b101_000]);
    }

    #[test]
    fn starts_that_do_not_rise_are_corrupt() {
        for starts in [[0, 4], [4, 4], [5, 4], [4, 12]] {
            let mut body = vec![3, 4, 3, 2, 7, 0b01_10_00];
            bitpack::encode(&starts, &mut body);
            assert!(decode(&body, &mut [0u64; 12]).is_err(), "{starts:?}");
        }
    }

    proptest! {
        #[test]
        fn runs_come_back_within_the_worst_size(runs in prop::collection::vec((any::<u64>(), 1usize..12), 0..20)) {
            let values: Vec<u64> = runs.iter().flat_map(|(value, len)| vec![*value; *len]).collect();
            prop_assert!(check(IntegerCodec::RunLength, &values).len() <= 30 + 8 * values.len());
        }
    }
}
