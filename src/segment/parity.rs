//! What mends a segment that was damaged in one place.
//!
//! Near its end a segment has a strip of parity: byte `i` of the strip is the exclusive or of all bytes of the file
//! whose offset is `i` modulo the strip's length. What the file read now gives less the strip is the *syndrome*:
//! zeros where the file is as it was written, else the difference, at the offset modulo the length.
//!
//! ```text
//! file      ........####..........        one place is damaged, no longer than the strip
//! syndrome  ..####..                      what to change, and where, but for multiples of the length
//! ```
//!
//! A unit whose checksum fails is tried with the syndrome applied; its checksum then says whether that was right. So
//! damage in one place costs nothing, wherever it is: 512 bytes mend a small file, 64 KiB (0.2 % of a million spans)
//! a run of that length in a large one. Damage in two places is mended as far as these differ modulo the length.

use std::sync::OnceLock;

use crate::bytes::{as_bytes, read_pods};

/// Length of the longest strip in bytes.
pub const PARITY_LEN_MAX: usize = 64 << 10;
/// Length of the shortest strip in bytes.
pub const PARITY_LEN_MIN: usize = 512;
/// A strip has one byte for so many of its file, within these bounds.
const FILE_SHARE: u64 = 512;
/// Units of a segment that can be held mended. A place of the longest strip's length has fewer.
const MENDED_MAX: usize = 2048;

/// Bytes of the strip of a file of so many.
pub fn parity_len(file_len: u64) -> usize {
    let share = usize::try_from(file_len / FILE_SHARE).unwrap_or(PARITY_LEN_MAX);
    share.clamp(PARITY_LEN_MIN, PARITY_LEN_MAX).next_power_of_two()
}

/// The parity of what was added so far.
pub struct ParityStrip {
    bytes: Vec<u8>,
}

impl ParityStrip {
    /// The parity of nothing, in a strip of this length, a power of two.
    pub fn new(len: usize) -> Self {
        debug_assert!(len.is_power_of_two(), "strips fold");
        Self { bytes: vec![0; len] }
    }

    /// Adds what stands at this offset of the file.
    pub fn add(&mut self, offset: u64, mut bytes: &[u8]) {
        let mut at = (offset % self.bytes.len() as u64) as usize;
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(self.bytes.len() - at));
            self.bytes[at..].iter_mut().zip(now).for_each(|(sum, byte)| *sum ^= byte);
            (at, bytes) = (0, rest);
        }
    }

    /// The strip of this shorter length, a power of two.
    pub fn folded(&self, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        for piece in self.bytes.chunks(len) {
            out.iter_mut().zip(piece).for_each(|(sum, byte)| *sum ^= byte);
        }
        out
    }
}

/// What a file differs from what was written, by offset modulo its length.
pub struct Syndrome(Vec<u8>);

impl Syndrome {
    /// The syndrome of the bytes that the strip covers; `None` if nothing differs.
    pub fn of(covered: &[u8], strip: &[u8]) -> Option<Self> {
        let mut sum = ParityStrip::new(strip.len().next_power_of_two());
        sum.add(0, covered);
        sum.add(0, strip);
        sum.bytes.iter().any(|byte| *byte != 0).then_some(Self(sum.bytes))
    }

    /// The bytes of the unit at this offset as they were written, if one place of it explains the syndrome.
    pub fn mend(&self, offset: u64, damaged: &[u8], is_right: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        let mut bytes = damaged.to_vec();
        // In a unit longer than the strip the place is looked for: a run of half the strip lies in one window.
        let step = self.0.len() / 2;
        for from in (0..damaged.len().saturating_sub(step).max(1)).step_by(step) {
            let window = from..damaged.len().min(from + self.0.len());
            for at in window.clone() {
                bytes[at] ^= self.0[((offset + at as u64) % self.0.len() as u64) as usize];
            }
            if is_right(&bytes) {
                return Some(bytes);
            }
            bytes[window.clone()].copy_from_slice(&damaged[window]);
        }
        None
    }
}

/// Units that were mended, by offset.
#[derive(Default)]
pub struct Mended {
    units: OnceLock<Box<[OnceLock<MendedUnit>]>>,
}

struct MendedUnit {
    offset: u64,
    /// Aligned like the file.
    words: Vec<u64>,
    len: usize,
}

impl Mended {
    /// The unit at this offset.
    pub fn get(&self, offset: u64) -> Option<&[u8]> {
        let units = self.units.get()?.iter().map_while(OnceLock::get);
        let unit = units.into_iter().find(|unit| unit.offset == offset)?;
        as_bytes(&unit.words).get(..unit.len)
    }

    /// Keeps a unit; `None` if there is no room.
    pub fn keep(&self, offset: u64, mut bytes: Vec<u8>) -> Option<&[u8]> {
        let len = bytes.len();
        bytes.resize(len.next_multiple_of(8), 0);
        let mut unit = MendedUnit { offset, words: read_pods(&bytes, "a mended unit").ok()?, len };
        let units = self.units.get_or_init(|| (0..MENDED_MAX).map(|_| OnceLock::new()).collect());
        for slot in units {
            match slot.set(unit) {
                Ok(()) => return self.get(offset),
                Err(other) => unit = other,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(len: usize) -> Vec<u8> {
        (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    fn strip_of(bytes: &[u8], len: usize) -> Vec<u8> {
        let mut strip = ParityStrip::new(PARITY_LEN_MAX);
        let (a, b) = bytes.split_at(bytes.len() / 3);
        strip.add(0, a);
        strip.add(a.len() as u64, b);
        strip.folded(len)
    }

    #[test]
    fn a_run_anywhere_is_mended() {
        let bytes = file(20_000);
        let strip = strip_of(&bytes, 512);
        assert!(Syndrome::of(&bytes, &strip).is_none());
        for (unit, run) in [(100..300, 150..260), (1000..9000, 5000..5256), (1000..9000, 8999..9000), (0..512, 0..512)]
        {
            let mut damaged = bytes.clone();
            damaged[run.clone()].iter_mut().for_each(|byte| *byte ^= 0x5a);
            let syndrome = Syndrome::of(&damaged, &strip).unwrap();
            let written = &bytes[unit.clone()];
            let mended = syndrome.mend(unit.start as u64, &damaged[unit.clone()], |bytes| bytes == written);
            assert_eq!(mended.as_deref(), Some(written), "{run:?}");
        }
    }

    #[test]
    fn damage_that_hides_in_the_parity_is_not_mended() {
        let bytes = file(4096);
        let strip = strip_of(&bytes, 512);
        let mut damaged = bytes.clone();
        damaged[10] ^= 1;
        damaged[10 + 512] ^= 1;
        assert!(Syndrome::of(&damaged, &strip).is_none());
        damaged[11] ^= 1;
        let syndrome = Syndrome::of(&damaged, &strip).unwrap();
        assert_eq!(syndrome.mend(0, &damaged[..64], |mended| mended == &bytes[..64]), None);
    }

    #[test]
    fn mended_units_are_kept_until_there_is_no_room() {
        let mended = Mended::default();
        assert_eq!(mended.get(8), None);
        for offset in 0..MENDED_MAX as u64 {
            assert_eq!(mended.keep(offset, vec![offset as u8; 13]), Some(&[offset as u8; 13][..]));
        }
        assert_eq!(mended.keep(1 << 40, vec![1]), None);
        assert_eq!(mended.get(77), Some(&[77; 13][..]));
    }

    #[test]
    fn strips_are_powers_of_two_within_their_bounds() {
        assert_eq!([0, 1 << 18, (1 << 18) + 512, 1 << 40].map(parity_len), [512, 512, 1024, PARITY_LEN_MAX]);
    }
}
