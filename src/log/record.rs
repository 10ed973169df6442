//! The bytes of a log file: a header, then records one after another.
//!
//! The file header, 48 bytes. It can be checked by itself, so that the store's id is known even where no
//! manifest is left:
//!
//! ```text
//!  0   8  magic "TSPANLOG"
//!  8   4  format version, 1
//! 12   4  zero
//! 16   8  store id
//! 24   8  file id
//! 32   8  sequence of the first span that is appended to this file
//! 40   4  zero
//! 44   4  checksum of bytes 0..44
//! ```
//!
//! A record, beginning at a multiple of 8 and padded with zeros to one:
//!
//! ```text
//!  0   4  magic "TSLR"
//!  4   4  payload length in bytes
//!  8   8  sequence of the first span in it
//! 16   8  durable offset: all of this file before it was durable when this record was begun
//! 24   4  sequence numbers it takes
//! 28   4  chapter
//! 32   1  kind: 1 batch, 2 mark, 3 carried
//! 33   3  zero
//! 36   4  checksum of the payload
//! 40   4  zero
//! 44   4  checksum of bytes 0..44
//! 48   .  payload
//! ```
//!
//! All checksums mix in the store's id, the file's id and the offset: a record that stands anywhere but
//! where it was written is no record. A span's sequence is its place in the order of appending; a record
//! holds consecutive ones. Carried records hold spans that have a sequence already (held back by sealing)
//! and take none.
//!
//! The durable offset is what tells damage from a torn tail: bytes before *any* durable offset of the file
//! had been synced, so if they are bad now, the medium lost them; bytes after all of them may never have
//! been acknowledged, and a crash explains them.

use crate::bytes::{Reader, Seed, Writer, checksum};
use crate::error::{Error, ErrorKind, Result, ensure};
use crate::os::defects::{self, Defect};

use super::names::FileId;

/// First bytes of a log file.
pub const LOG_MAGIC: &[u8; 8] = b"TSPANLOG";
/// Version of the log's format.
pub const LOG_VERSION: u32 = 1;
/// Length of the file header in bytes.
pub const LOG_HEADER_BYTES: usize = 48;
/// First bytes of a record.
pub const RECORD_MAGIC: &[u8; 4] = b"TSLR";
/// Length of a record's header in bytes.
pub const RECORD_HEADER_BYTES: usize = 48;
/// Longest payload of a record, in bytes.
pub const RECORD_PAYLOAD_BYTES_MAX: usize = 1 << 30;
/// Records begin at multiples of this.
pub const RECORD_ALIGNMENT: usize = 8;
/// The bytes of either header that its checksum covers.
const CHECKED_BYTES: usize = 44;

/// The first 48 bytes of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHeader {
    /// Random id of the store.
    pub store: u64,
    /// Id of this file.
    pub file: FileId,
    /// Sequence of the first span appended to this file.
    pub first_sequence: u64,
}

impl LogHeader {
    /// The header as bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(LOG_MAGIC);
        w.u32(LOG_VERSION);
        w.u32(0);
        w.u64(self.store);
        w.u64(self.file.0);
        w.u64(self.first_sequence);
        w.u32(0);
        w.u32(checksum(self.seed(), 0, w.as_slice()));
        w.into_vec()
    }

    /// Reads the header at the front of a log file. It is checked against the ids it names itself: that
    /// these are the expected ones is for the caller to compare.
    ///
    /// # Errors
    /// Corrupt if it is damaged or no log's header, Unsupported if it is intact and of a newer version.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes);
        let checked = bytes.get(..CHECKED_BYTES).unwrap_or_default();
        ensure(r.bytes(8, "log magic")? == LOG_MAGIC, || "no log header".into())?;
        let version = r.u32("log version")?;
        r.u32("log header")?;
        let header = Self {
            store: r.u64("log's store id")?,
            file: FileId(r.u64("log's file id")?),
            first_sequence: r.u64("log's first sequence")?,
        };
        r.u32("log header")?;
        check(r.u32("log header checksum")?, header.seed(), 0, checked, "log header")?;
        if version != LOG_VERSION {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("log format version {version}; this build knows {LOG_VERSION}, use a newer tailspan"),
            ));
        }
        Ok(header)
    }

    fn seed(self) -> Seed {
        Seed { store: self.store, file: self.file.0 }
    }
}

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// Spans appended together.
    Batch = 1,
    /// No payload: only its durable offset matters. Written when a log is closed.
    Mark = 2,
    /// Spans of an older log that sealing held back; takes no sequence.
    Carried = 3,
    /// Ids of traces: what was appended of them before this record is deleted. Takes no sequence.
    Delete = 4,
}

impl RecordKind {
    /// The kind of this code, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Batch),
            2 => Some(Self::Mark),
            3 => Some(Self::Carried),
            4 => Some(Self::Delete),
            _ => None,
        }
    }
}

/// What a record says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// Where the record begins in its file. Not stored: the checksum holds it in place.
    pub offset: u64,
    /// Bytes of payload.
    pub payload_bytes: u32,
    /// Sequence of its first span.
    pub first_sequence: u64,
    /// All of the file before this offset was durable when the record was begun.
    pub durable_offset: u64,
    /// Sequence numbers it takes.
    pub count: u32,
    /// Records of one chapter share dictionaries.
    pub chapter: u32,
    /// What it is for.
    pub kind: RecordKind,
}

impl RecordHeader {
    /// Where its payload begins.
    pub fn payload_offset(&self) -> u64 {
        self.offset + RECORD_HEADER_BYTES as u64
    }

    /// Where its payload ends; the next record begins at the next multiple of 8.
    pub fn payload_end(&self) -> u64 {
        self.payload_offset() + u64::from(self.payload_bytes)
    }

    /// Where the next record begins.
    pub fn end(&self) -> u64 {
        self.payload_end().next_multiple_of(RECORD_ALIGNMENT as u64)
    }

    /// Sequence of the span after its last.
    pub fn next_sequence(&self) -> u64 {
        self.first_sequence + u64::from(self.count)
    }

    /// Puts the whole record into `out` (cleared first): header, payload, padding.
    pub(super) fn write(&self, seed: Seed, payload: &[&[u8]], out: &mut Vec<u8>) {
        out.clear();
        out.resize(RECORD_HEADER_BYTES, 0);
        payload.iter().for_each(|part| out.extend_from_slice(part));
        assert_eq!(out.len() - RECORD_HEADER_BYTES, self.payload_bytes as usize, "the header counts its payload");
        let payload_checksum = checksum(seed, self.payload_offset(), &out[RECORD_HEADER_BYTES..]);
        out[..RECORD_HEADER_BYTES].copy_from_slice(&self.header_bytes(seed, payload_checksum));
        out.resize(out.len().next_multiple_of(RECORD_ALIGNMENT), 0);
    }

    fn header_bytes(&self, seed: Seed, payload_checksum: u32) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(RECORD_MAGIC);
        w.u32(self.payload_bytes);
        w.u64(self.first_sequence);
        w.u64(self.durable_offset);
        w.u32(self.count);
        w.u32(self.chapter);
        w.u8(self.kind as u8);
        w.bytes(&[0; 3]);
        w.u32(payload_checksum);
        w.u32(0);
        w.u32(checksum(seed, self.offset, w.as_slice()));
        w.into_vec()
    }
}

/// A record found in a file: its header is intact, its payload not yet checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framed<'a> {
    pub header: RecordHeader,
    payload: Option<&'a [u8]>,
    payload_checksum: u32,
}

impl<'a> Framed<'a> {
    /// Reads the record at `offset` of the whole file `bytes`.
    ///
    /// # Errors
    /// Corrupt if no intact header begins there. Never looks at the payload.
    pub fn parse(bytes: &'a [u8], offset: u64, seed: Seed) -> Result<Self> {
        let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let mut r = Reader::new(rest);
        ensure(r.bytes(4, "record magic")? == RECORD_MAGIC, || "no record begins here".into())?;
        let payload_bytes = r.u32("payload length")?;
        let first_sequence = r.u64("first sequence")?;
        let durable_offset = r.u64("durable offset")?;
        let count = r.u32("sequence count")?;
        let chapter = r.u32("chapter")?;
        let kind_code = r.u8("record kind")?;
        r.bytes(3, "record header")?;
        let payload_checksum = r.u32("payload checksum")?;
        r.u32("record header")?;
        let stored = r.u32("record header checksum")?;
        if !defects::active(Defect::TrustLogLength) {
            check(stored, seed, offset, rest.get(..CHECKED_BYTES).unwrap_or_default(), "record header")?;
        }
        // The header is as it was written; what follows guards against a writer that was wrong.
        let kind = RecordKind::from_code(kind_code);
        let kind = kind.ok_or_else(|| Error::corrupt(format!("unknown record kind {kind_code}")))?;
        ensure(durable_offset <= offset, || format!("durable offset {durable_offset} lies past the record"))?;
        ensure(first_sequence.checked_add(count.into()).is_some(), || "the sequences overflow".into())?;
        let header = RecordHeader { offset, payload_bytes, first_sequence, durable_offset, count, chapter, kind };
        let payload = r.bytes(payload_bytes as usize, "payload").ok();
        Ok(Self { header, payload, payload_checksum })
    }

    /// The payload.
    ///
    /// # Errors
    /// Corrupt if the file ends before it does, or if its checksum fails.
    pub fn payload(&self, seed: Seed) -> Result<&'a [u8]> {
        let payload = self.payload.ok_or_else(|| {
            Error::corrupt(format!("the file ends inside the payload of {} bytes", self.header.payload_bytes))
        })?;
        if defects::active(Defect::SkipLogChecksum) {
            return Ok(payload);
        }
        check(self.payload_checksum, seed, self.header.payload_offset(), payload, "payload")?;
        Ok(payload)
    }
}

fn check(stored: u32, seed: Seed, offset: u64, bytes: &[u8], what: &str) -> Result<()> {
    let computed = checksum(seed, offset, bytes);
    ensure(stored == computed, || format!("{what}: checksum {computed:#010x}, expected {stored:#010x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: Seed = Seed { store: 7, file: 3 };

    fn header() -> LogHeader {
        LogHeader { store: 7, file: FileId(3), first_sequence: 11 }
    }

    fn record(offset: u64) -> Vec<u8> {
        let header = RecordHeader {
            offset,
            payload_bytes: 5,
            first_sequence: 11,
            durable_offset: offset,
            count: 2,
            chapter: 1,
            kind: RecordKind::Batch,
        };
        let mut out = Vec::new();
        header.write(SEED, &[b"he", b"llo"], &mut out);
        out
    }

    #[test]
    fn a_file_header_comes_back_as_it_was_written() {
        let bytes = header().to_bytes();
        assert_eq!(bytes.len(), LOG_HEADER_BYTES);
        assert_eq!(LogHeader::parse(&bytes).unwrap(), header());
    }

    #[test]
    fn every_flipped_bit_of_a_file_header_is_noticed() {
        let good = header().to_bytes();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(LogHeader::parse(&bytes).unwrap_err().kind(), ErrorKind::Corrupt, "bit {bit}");
        }
    }

    #[test]
    fn an_intact_header_of_a_newer_version_is_unsupported() {
        let mut bytes = header().to_bytes();
        bytes[8] = 2;
        let sum = checksum(SEED, 0, &bytes[..CHECKED_BYTES]);
        bytes[CHECKED_BYTES..].copy_from_slice(&sum.to_le_bytes());
        let error = LogHeader::parse(&bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("version 2"), "{error}");
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let bytes = record(0);
        assert_eq!(bytes.len(), 56, "48 of header, 5 of payload, padding");
        let framed = Framed::parse(&bytes, 0, SEED).unwrap();
        assert_eq!(framed.payload(SEED).unwrap(), b"hello");
        assert_eq!(framed.header.next_sequence(), 13);
        assert_eq!(framed.header.end(), 56);
    }

    #[test]
    fn every_flipped_bit_before_the_padding_of_a_record_is_noticed() {
        let good = record(0);
        for bit in 0..(RECORD_HEADER_BYTES + 5) * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = Framed::parse(&bytes, 0, SEED).and_then(|framed| framed.payload(SEED));
            assert_eq!(read.unwrap_err().kind(), ErrorKind::Corrupt, "bit {bit}");
        }
    }

    #[test]
    fn a_record_moved_or_taken_from_elsewhere_is_no_record() {
        let mut moved = vec![0; 8];
        moved.extend(record(0));
        assert!(Framed::parse(&moved, 8, SEED).is_err());
        for other in [Seed { store: 8, file: 3 }, Seed { store: 7, file: 4 }] {
            assert!(Framed::parse(&record(0), 0, other).is_err());
        }
    }

    #[test]
    fn the_bytes_of_both_headers_are_these() {
        assert_eq!(header().to_bytes()[..16], *b"TSPANLOG\x01\0\0\0\0\0\0\0");
        let record = record(0);
        assert_eq!(record[..8], *b"TSLR\x05\0\0\0");
        assert_eq!(record[8..36], *b"\x0b\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\0\0");
        assert_eq!(record[48..], *b"hello\0\0\0");
    }
}
