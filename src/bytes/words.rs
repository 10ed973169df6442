//! Words read at any place of a slice, for bit unpacking.
//!
//! Both are total: a word that does not fit reads as zero, so that a caller who has checked the length
//! once pays nothing for it and one who has not cannot panic.

/// The little-endian u64 at `offset`, or zero if fewer than eight bytes stand there.
#[inline(always)]
pub fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes.get(offset..).and_then(|rest| rest.first_chunk::<8>()).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// The little-endian u128 at `offset`, or zero if fewer than sixteen bytes stand there.
#[inline(always)]
pub fn u128_at(bytes: &[u8], offset: usize) -> u128 {
    bytes.get(offset..).and_then(|rest| rest.first_chunk::<16>()).map_or(0, |chunk| u128::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_little_endian_and_zero_past_the_end() {
        let bytes: Vec<u8> = (1..=17).collect();
        assert_eq!(u64_at(&bytes, 1), 0x0908_0706_0504_0302);
        assert_eq!(u64_at(&bytes, 10), 0);
        assert_eq!(u64_at(&bytes, 99), 0);
        assert_eq!(u128_at(&bytes, 1) as u64, 0x0908_0706_0504_0302);
        assert_eq!(u128_at(&bytes, 2), 0);
    }
}
