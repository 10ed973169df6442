//! The bytes of a manifest: a header, then frames of edits.
//!
//! The header, 48 bytes. Its layout stays the same in every format version, so that any build can tell a
//! newer store from a damaged one:
//!
//! ```text
//!  0   8  magic "TSPANMAN"
//!  8   4  format version of the whole store, 1
//! 12   4  zero
//! 16   8  store id
//! 24   8  generation: one more for every manifest the store begins
//! 32   8  generation of the manifest it replaces, 0 for none
//! 40   4  zero
//! 44   4  checksum of bytes 0..44
//! ```
//!
//! A frame, beginning at a multiple of 8 and padded with zeros to one:
//!
//! ```text
//!  0   4  magic "TSME"
//!  4   4  payload length in bytes
//!  8   8  number: 0, 1, 2 ... in this file
//! 16   4  checksum of the payload
//! 20   4  checksum of bytes 0..20
//! 24   .  payload: number of edits, edits
//! ```
//!
//! Frame 0 holds edits that lead from nothing to the state at which the file was begun, so a manifest needs
//! no other. The edits of a frame happen together or not at all. Frame checksums mix in store id,
//! generation and offset. A frame is synced before the next is begun: bad bytes that an intact frame
//! follows are damage, bad bytes at the end may be a commit that a crash cut short.

use crate::bytes::{Reader, Seed, Writer, checksum};
use crate::error::{Error, ErrorKind, Result, ensure};
use crate::os::defects::{self, Defect};

use super::edit::Edit;

/// First bytes of a manifest.
pub const MANIFEST_MAGIC: &[u8; 8] = b"TSPANMAN";
/// Version of the store's format.
pub const FORMAT_VERSION: u32 = 1;
/// Length of the manifest's header in bytes.
pub const MANIFEST_HEADER_BYTES: usize = 48;
/// First bytes of a frame.
pub const FRAME_MAGIC: &[u8; 4] = b"TSME";
/// Length of a frame's header in bytes.
pub const FRAME_HEADER_BYTES: usize = 24;
/// Longest payload of a frame, in bytes.
pub const FRAME_PAYLOAD_BYTES_MAX: usize = 1 << 30;
const ALIGNMENT: usize = 8;

/// Whose manifest it is, and which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestHeader {
    /// Random id of the store.
    pub store: u64,
    /// Higher in every manifest that replaces another.
    pub generation: u64,
    /// The generation of the one it replaces; 0 for none.
    pub previous: u64,
}

impl ManifestHeader {
    /// The header as bytes.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(MANIFEST_MAGIC);
        w.u32(FORMAT_VERSION);
        w.u32(0);
        w.u64(self.store);
        w.u64(self.generation);
        w.u64(self.previous);
        w.u32(0);
        w.u32(checksum(Seed { store: self.store, file: 0 }, 0, w.as_slice()));
        w.into_vec()
    }

    /// Reads the header at the front of a manifest.
    ///
    /// # Errors
    /// Corrupt if it is damaged or no manifest's, Unsupported if it is intact and of a newer version.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes);
        ensure(r.bytes(8, "manifest magic")? == MANIFEST_MAGIC, || "no manifest header".into())?;
        let version = r.u32("format version")?;
        r.u32("manifest header")?;
        let header =
            Self { store: r.u64("store id")?, generation: r.u64("generation")?, previous: r.u64("generation")? };
        r.u32("manifest header")?;
        let checked = bytes.get(..r.position()).unwrap_or_default();
        let computed = checksum(Seed { store: header.store, file: 0 }, 0, checked);
        ensure(r.u32("manifest header checksum")? == computed, || "manifest header: the checksum fails".into())?;
        if version != FORMAT_VERSION {
            let message = format!(
                "the store has format version {version}, this build knows {FORMAT_VERSION}: use a newer tailspan"
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Ok(header)
    }

    fn frame_seed(self) -> Seed {
        // Ids of files count up from 1, generations count down from the top: they never meet.
        Seed { store: self.store, file: u64::MAX - self.generation }
    }
}

/// The bytes of one frame.
///
/// # Errors
/// Invalid if it would be longer than [`FRAME_PAYLOAD_BYTES_MAX`].
pub(super) fn frame(header: ManifestHeader, offset: u64, number: u64, edits: &[Edit]) -> Result<Vec<u8>> {
    let mut payload = Writer::new();
    payload.varint(edits.len() as u64);
    edits.iter().for_each(|edit| edit.write(&mut payload));
    if payload.len() > FRAME_PAYLOAD_BYTES_MAX {
        return Err(Error::invalid(format!("a commit of {} bytes: at most {FRAME_PAYLOAD_BYTES_MAX}", payload.len())));
    }
    let seed = header.frame_seed();
    let mut w = Writer::new();
    w.bytes(FRAME_MAGIC);
    w.u32(payload.len() as u32);
    w.u64(number);
    w.u32(checksum(seed, offset + FRAME_HEADER_BYTES as u64, payload.as_slice()));
    w.u32(checksum(seed, offset, w.as_slice()));
    w.bytes(payload.as_slice());
    w.align(ALIGNMENT);
    Ok(w.into_vec())
}

/// A frame's header, intact.
struct FrameHeader {
    payload_bytes: usize,
    number: u64,
    payload_checksum: u32,
}

impl FrameHeader {
    fn parse(bytes: &[u8], offset: usize, seed: Seed) -> Result<Self> {
        let rest = bytes.get(offset..).unwrap_or_default();
        let mut r = Reader::new(rest);
        ensure(r.bytes(4, "frame magic")? == FRAME_MAGIC, || "no frame begins here".into())?;
        let payload_bytes = r.u32("frame length")? as usize;
        let number = r.u64("frame number")?;
        let payload_checksum = r.u32("frame checksum")?;
        let computed = checksum(seed, offset as u64, rest.get(..r.position()).unwrap_or_default());
        ensure(r.u32("frame header checksum")? == computed, || "frame header: the checksum fails".into())?;
        Ok(Self { payload_bytes, number, payload_checksum })
    }

    fn end(&self, offset: usize) -> usize {
        (offset + FRAME_HEADER_BYTES + self.payload_bytes).next_multiple_of(ALIGNMENT)
    }

    fn edits(&self, bytes: &[u8], offset: usize, seed: Seed) -> Result<Vec<Edit>> {
        let first = offset + FRAME_HEADER_BYTES;
        let payload = bytes.get(first..).and_then(|rest| rest.get(..self.payload_bytes));
        let payload = payload.ok_or_else(|| Error::corrupt("the file ends inside a frame"))?;
        let intact = checksum(seed, first as u64, payload) == self.payload_checksum;
        ensure(intact || defects::active(Defect::SkipManifestChecksum), || "frame: the checksum fails".into())?;
        let mut r = Reader::new(payload);
        // An edit has at least a code and a length.
        let count = r.count(2, "edits")?;
        let edits = (0..count).map(|_| Edit::read(&mut r)).collect::<Result<Vec<_>>>()?;
        r.finish("frame")?;
        Ok(edits)
    }
}

/// What the frames of a manifest say.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The edits of each intact frame, with its number.
    pub frames: Vec<(u64, Vec<Edit>)>,
    /// Where the next frame would begin.
    pub valid_bytes: u64,
    /// Bytes after that which are no frame.
    pub dropped_bytes: u64,
    /// Offset, length and problem of bad bytes that intact frames follow.
    pub damage: Vec<(u64, u64, String)>,
}

impl Frames {
    /// True if frame 0 is intact: what the file says does not need another.
    pub fn is_whole(&self) -> bool {
        self.frames.first().is_some_and(|(number, _)| *number == 0)
    }

    /// True if every byte is what was written.
    pub fn is_clean(&self) -> bool {
        self.is_whole() && self.dropped_bytes == 0 && self.damage.is_empty()
    }

    /// Reads all frames of the manifest `bytes`, whose header is or should be `header`.
    ///
    /// # Errors
    /// Unsupported, if an intact frame holds an edit this build does not know.
    pub fn read(bytes: &[u8], header: ManifestHeader) -> Result<Self> {
        let seed = header.frame_seed();
        let mut read = Self::default();
        let mut at = MANIFEST_HEADER_BYTES.min(bytes.len());
        read.valid_bytes = at as u64;
        while at < bytes.len() {
            let frame = FrameHeader::parse(bytes, at, seed);
            match frame.and_then(|frame| Ok((frame.edits(bytes, at, seed)?, frame))) {
                Ok((edits, frame)) => {
                    read.frames.push((frame.number, edits));
                    at = frame.end(at).min(bytes.len());
                    read.valid_bytes = at as u64;
                }
                Err(error) if error.kind() == ErrorKind::Unsupported => return Err(error),
                Err(error) => {
                    let Some(next) = next_frame(bytes, at + 1, seed) else { break };
                    read.damage.push((at as u64, (next - at) as u64, error.to_string()));
                    at = next;
                }
            }
        }
        read.dropped_bytes = bytes.len() as u64 - read.valid_bytes;
        Ok(read)
    }
}

/// Where the first intact frame header at or after `from` begins.
fn next_frame(bytes: &[u8], from: usize, seed: Seed) -> Option<usize> {
    let first = from.next_multiple_of(ALIGNMENT);
    (first..bytes.len()).step_by(ALIGNMENT).find(|&at| FrameHeader::parse(bytes, at, seed).is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{add_log, add_segment};
    use super::*;

    const HEADER: ManifestHeader = ManifestHeader { store: 5, generation: 2, previous: 1 };

    /// A manifest of three frames and where each begins.
    fn manifest() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = HEADER.to_bytes();
        let mut starts = Vec::new();
        for (number, edit) in [add_log(1), add_segment(2, &[1]), add_log(3)].into_iter().enumerate() {
            starts.push(bytes.len());
            bytes.extend(frame(HEADER, bytes.len() as u64, number as u64, &[edit]).unwrap());
        }
        (bytes, starts)
    }

    fn read(bytes: &[u8]) -> Frames {
        Frames::read(bytes, HEADER).unwrap()
    }

    #[test]
    fn frames_come_back_as_they_were_written() {
        let (bytes, _) = manifest();
        assert_eq!(ManifestHeader::parse(&bytes).unwrap(), HEADER);
        let frames = read(&bytes);
        assert!(frames.is_clean());
        assert_eq!(frames.frames[1], (1, vec![add_segment(2, &[1])]));
        assert_eq!(frames.valid_bytes, bytes.len() as u64);
    }

    #[test]
    fn a_manifest_cut_anywhere_keeps_the_frames_that_are_whole() {
        let (bytes, starts) = manifest();
        for len in MANIFEST_HEADER_BYTES..bytes.len() {
            let frames = read(&bytes[..len]);
            let whole = starts.iter().skip(1).chain([&bytes.len()]).filter(|&&end| len >= end).count();
            // The padding of a frame may be missing.
            assert!(frames.frames.len() == whole || frames.frames.len() == whole + 1, "cut to {len}");
            assert!(frames.damage.is_empty());
        }
    }

    #[test]
    fn a_bad_frame_before_an_intact_one_is_damage_and_the_rest_is_kept() {
        let (mut bytes, starts) = manifest();
        bytes[starts[1] + 30] ^= 1;
        let frames = read(&bytes);
        assert_eq!(frames.frames.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 2]);
        let expected = (starts[1] as u64, (starts[2] - starts[1]) as u64, "frame: the checksum fails".to_owned());
        assert_eq!(frames.damage, [expected]);
    }

    #[test]
    fn a_bad_last_frame_is_dropped() {
        let (mut bytes, starts) = manifest();
        bytes[starts[2] + 5] ^= 1;
        let frames = read(&bytes);
        assert_eq!(frames.frames.len(), 2);
        assert!(frames.damage.is_empty());
        assert_eq!(frames.dropped_bytes, (bytes.len() - starts[2]) as u64);
    }

    #[test]
    fn every_flipped_bit_is_noticed_or_lies_in_padding() {
        let (good, _) = manifest();
        for bit in MANIFEST_HEADER_BYTES * 8..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let frames = read(&bytes);
            assert!(!frames.is_clean() || frames.frames == read(&good).frames, "bit {bit}");
        }
        for bit in 0..MANIFEST_HEADER_BYTES * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ManifestHeader::parse(&bytes).unwrap_err().kind(), ErrorKind::Corrupt, "bit {bit}");
        }
    }

    #[test]
    fn frames_of_another_generation_are_no_frames() {
        let (bytes, _) = manifest();
        assert!(Frames::read(&bytes, ManifestHeader { generation: 3, ..HEADER }).unwrap().frames.is_empty());
    }

    #[test]
    fn an_intact_header_of_a_newer_version_is_unsupported() {
        let mut bytes = HEADER.to_bytes();
        bytes[8] = 2;
        let sum = checksum(Seed { store: 5, file: 0 }, 0, &bytes[..44]);
        bytes[44..].copy_from_slice(&sum.to_le_bytes());
        let error = ManifestHeader::parse(&bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("format version 2"), "{error}");
    }

    #[test]
    fn the_bytes_of_a_header_and_a_frame_are_these() {
        let (bytes, starts) = manifest();
        assert_eq!(bytes[..33], *b"TSPANMAN\x01\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x01");
        assert_eq!(starts[0], MANIFEST_HEADER_BYTES);
        assert_eq!(bytes[48..64], *b"TSME\x05\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(bytes[72..77], [1, 3, 2, 1, 100]);
    }
}
