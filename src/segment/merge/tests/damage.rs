//! Segments that are not what was written: an error that names the place, and never a panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::bytes::checksum;
use crate::error::ErrorKind;
use crate::index::TraceSet;
use crate::os::{FileBytes, Storage};
use crate::part::ReadCounter;
use crate::segment::layout::{FOOTER_LEN, PAGE_ENTRY_LEN, encode_footer};
use crate::segment::{SectionKind, Segment};

use super::spans::{Dice, disk, merge_file, open, seal, seed};

fn file_of(bytes: &[u8]) -> Arc<dyn FileBytes> {
    let disk = disk();
    let mut file = disk.create("seg/d").unwrap();
    file.append(bytes).unwrap();
    file.sync().unwrap();
    disk.map("seg/d").unwrap()
}

/// Three segments with everything in them, and the bytes of the first.
fn segments(seed: u64, count: usize) -> (Vec<Segment>, Vec<u8>) {
    let mut dice = Dice(seed);
    let spans = dice.spans(count, count as u64 / 4, 400);
    let segments = seal(&dice.deal(spans, 3));
    let bytes = segments[0].file_range(0, segments[0].len_bytes()).unwrap().to_vec();
    (segments, bytes)
}

fn merged(segments: &mut [Segment], damaged: &[u8]) -> Result<(), (ErrorKind, String)> {
    segments[0] =
        Segment::open(1, "seg/1".to_owned(), file_of(damaged), seed(1)).map_err(|e| (e.kind(), e.to_string()))?;
    let dead = vec![TraceSet::new(); segments.len()];
    merge_file(segments, &dead).map(|_| ()).map_err(|e| (e.kind(), e.to_string()))
}

/// A byte of the parity changes too: nothing is mended.
fn spoil_parity(segment: &Segment, bytes: &mut [u8]) {
    bytes[segment.directory().parity.offset as usize] ^= 1;
}

#[test]
fn damage_is_an_error_that_names_segment_and_page() {
    let (mut segments, bytes) = segments(4, 900);
    let intact = open(1, file_of(&bytes));
    let directory = intact.directory().clone();
    for column in directory.columns.iter().filter(|column| column.values > 0).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[column.offset as usize] ^= 0x40;
        assert_eq!(merged(&mut segments, &damaged), Ok(()), "parity mends a single place");
        spoil_parity(&intact, &mut damaged);
        let (kind, text) = merged(&mut segments, &damaged).unwrap_err();
        assert_eq!(kind, ErrorKind::Corrupt);
        assert!(text.contains("segment seg/1, column ") && text.contains("page 0"), "{text}");
    }
    let read = [SectionKind::Schema, SectionKind::Strings, SectionKind::Resources, SectionKind::Scopes];
    for section in directory.sections.iter().filter(|section| read.iter().any(|kind| *kind as u8 == section.kind)) {
        let mut damaged = bytes.clone();
        damaged[section.offset as usize] ^= 1;
        assert_eq!(merged(&mut segments, &damaged), Ok(()), "parity mends a single place");
        spoil_parity(&intact, &mut damaged);
        let (kind, text) = merged(&mut segments, &damaged).unwrap_err();
        assert!(kind == ErrorKind::Corrupt && text.contains("segment seg/1"), "{text}");
    }
}

/// The file with a byte of a page changed and every checksum right again.
fn with_lie(segment: &Segment, bytes: &[u8], column: u32, at: usize, to: u8) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut directory = segment.directory().clone();
    let entry = *segment.column(column).unwrap();
    let (page, _) = segment.page(column, 0, &ReadCounter::default()).unwrap();
    let first = entry.offset as usize;
    out[first + at % page.len()] ^= to;
    let sum = checksum(seed(1), entry.offset, &out[first..first + page.len()]);
    let pages =
        |s: &&mut crate::segment::layout::Section| (s.kind, s.key) == (SectionKind::PageDirectory as u8, column);
    let section = directory.sections.iter_mut().find(pages).unwrap();
    let list = section.offset as usize..(section.offset + section.len) as usize;
    out[list.start + 4..list.start + PAGE_ENTRY_LEN].copy_from_slice(&sum.to_le_bytes());
    section.checksum = checksum(seed(1), section.offset, &out[list]);
    let encoded = directory.encode();
    let offset = out.len() - FOOTER_LEN - encoded.len();
    out.truncate(offset);
    out.extend_from_slice(&encoded);
    out.extend_from_slice(&encode_footer(seed(1), offset as u64, &encoded));
    out
}

#[test]
fn pages_that_lie_with_right_checksums_do_not_panic() {
    let (mut segments, bytes) = segments(6, 300);
    let intact = open(1, file_of(&bytes));
    let mut dice = Dice(1);
    let mut refused = 0;
    let columns = intact.directory().columns.iter().filter(|column| column.values > 0);
    for (at, column) in columns.enumerate() {
        // The fixed columns come first; they are what everything hangs on.
        for _ in 0..if at < 22 { 12 } else { 1 } {
            let (at, to) = (dice.roll(1 << 20) as usize, 1 << dice.roll(8));
            let lie = with_lie(&intact, &bytes, column.code, at, to);
            if let Err((kind, text)) = merged(&mut segments, &lie) {
                assert_eq!(kind, ErrorKind::Corrupt, "{text}");
                refused += 1;
            }
        }
    }
    assert!(refused > 50, "{refused} refused");
}

/// A file whose bytes rot while it is open.
#[derive(Debug)]
struct Rotting {
    sound: Arc<dyn FileBytes>,
    rotten: Arc<dyn FileBytes>,
    is_rotten: AtomicBool,
}

impl FileBytes for Rotting {
    fn len_bytes(&self) -> u64 {
        self.sound.len_bytes()
    }

    fn range(&self, offset: u64, len: usize) -> crate::error::Result<&[u8]> {
        let rotten = self.is_rotten.load(Ordering::Relaxed);
        if rotten { self.rotten.range(offset, len) } else { self.sound.range(offset, len) }
    }
}

#[test]
fn what_rots_after_it_was_read_is_not_merged() {
    let (mut segments, bytes) = segments(5, 900);
    let intact = open(1, file_of(&bytes));
    let column = intact.directory().columns.iter().find(|column| column.values > 0).unwrap();
    let mut damaged = bytes.clone();
    damaged[column.offset as usize] ^= 0x40;
    spoil_parity(&intact, &mut damaged);
    let file = Arc::new(Rotting { sound: file_of(&bytes), rotten: file_of(&damaged), is_rotten: false.into() });
    let opened = Segment::open(1, "seg/1".to_owned(), file.clone(), seed(1)).unwrap();
    assert_eq!(opened.verify(), Vec::new());
    file.is_rotten.store(true, Ordering::Relaxed);
    assert!(opened.page(column.code, 0, &ReadCounter::default()).is_ok(), "verified once, while it was sound");
    segments[0] = opened;
    let dead = vec![TraceSet::new(); segments.len()];
    let text = merge_file(&segments, &dead).map(|_| ()).unwrap_err().to_string();
    assert!(text.contains("segment seg/1, column "), "{text}");
    assert_ne!(segments[0].verify(), Vec::new());
}
