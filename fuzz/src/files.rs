//! Files of a store, changed behind right checksums.
//!
//! A fuzzer's input is a row of patches of six bytes: `unit u16, offset u16, value u8, how u8`. What a unit is depends
//! on the file: a record of a log, a frame of a manifest, a page or section of a segment. Everything here follows
//! docs/FORMAT.md and shares no code with the library.

use std::collections::BTreeSet;
use std::ops::Range;

/// What is mixed into the checksums of a file.
#[derive(Clone, Copy)]
struct Seed {
    store: u64,
    file: u64,
}

impl Seed {
    fn checksum(self, offset: usize, bytes: &[u8]) -> u32 {
        let prefix = [self.store, self.file, offset as u64];
        let prefix = prefix.into_iter().flat_map(u64::to_le_bytes);
        !prefix.chain(bytes.iter().copied()).fold(!0, |sum, byte| {
            (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
        })
    }
}

/// One change.
struct Patch {
    unit: usize,
    offset: usize,
    value: u8,
    how: u8,
}

fn patches(input: &[u8]) -> impl Iterator<Item = Patch> {
    input.chunks_exact(6).map(|bytes| Patch {
        unit: usize::from(u16::from_le_bytes([bytes[0], bytes[1]])),
        offset: usize::from(u16::from_le_bytes([bytes[2], bytes[3]])),
        value: bytes[4],
        how: bytes[5],
    })
}

impl Patch {
    /// Changes a byte of `range`; counted from its beginning or its end.
    fn apply(&self, bytes: &mut [u8], range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let distance = self.offset % range.len();
        let at = if self.how & 1 == 0 { range.start + distance } else { range.end - 1 - distance };
        match self.how & 2 {
            0 => bytes[at] ^= self.value,
            _ => bytes[at] = self.value,
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Where the framed units of a log or a manifest begin, and how long their payloads are.
fn framed(bytes: &[u8], magic: &[u8], header: usize) -> Vec<(usize, usize)> {
    let (mut at, mut out) = (48, Vec::new());
    while bytes.get(at..at + 4) == Some(magic) {
        let len = u32_at(bytes, at + 4).min(bytes.len().saturating_sub(at + header));
        out.push((at, len));
        at = (at + header + len).next_multiple_of(8);
    }
    out
}

/// Changes records of a log, or its header.
pub fn patch_log(bytes: &mut [u8], input: &[u8]) {
    let seed = Seed { store: u64_at(bytes, 16), file: u64_at(bytes, 24) };
    let records = framed(bytes, b"TSLR", 48);
    for patch in patches(input) {
        match patch.unit.checked_sub(1) {
            None => patch.apply(bytes, 8..40),
            Some(unit) => {
                let Some((at, len)) = records.get(unit % records.len().max(1)).copied() else { continue };
                // A record's header rather often: it is short.
                let range = if patch.how & 12 == 0 { at + 4..at + 36 } else { at + 48..at + 48 + len };
                patch.apply(bytes, range);
            }
        }
    }
    let head = Seed { store: u64_at(bytes, 16), file: u64_at(bytes, 24) };
    let sum = head.checksum(0, &bytes[..44]);
    put_u32(bytes, 44, sum);
    for (at, len) in records {
        let len = u32_at(bytes, at + 4).min(len.next_multiple_of(8)).min(bytes.len() - at - 48);
        let sum = seed.checksum(at + 48, &bytes[at + 48..at + 48 + len]);
        put_u32(bytes, at + 36, sum);
        let sum = seed.checksum(at, &bytes[at..at + 44]);
        put_u32(bytes, at + 44, sum);
    }
}

/// Changes frames of a manifest.
pub fn patch_manifest(bytes: &mut [u8], input: &[u8]) {
    let seed = Seed { store: u64_at(bytes, 16), file: u64::MAX - u64_at(bytes, 24) };
    let frames = framed(bytes, b"TSME", 24);
    for patch in patches(input) {
        let Some((at, len)) = frames.get(patch.unit % frames.len().max(1)).copied() else { continue };
        let range = if patch.how & 28 == 0 { at + 4..at + 16 } else { at + 24..at + 24 + len };
        patch.apply(bytes, range);
    }
    for (at, len) in frames {
        let sum = seed.checksum(at + 24, &bytes[at + 24..at + 24 + len]);
        put_u32(bytes, at + 16, sum);
        let sum = seed.checksum(at, &bytes[at..at + 20]);
        put_u32(bytes, at + 20, sum);
    }
}

/// What of a segment is changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Pages of columns.
    Pages,
    /// Sections that hold data: schema, dictionaries, lists.
    Tables,
    /// Sections that could be rebuilt.
    Indexes,
    /// The directory.
    Directory,
}

/// Sections that hold data, by kind.
const TABLES: [u8; 8] = [1, 2, 3, 4, 5, 6, 14, 15];
/// Kind of a section that lists the pages of a column.
const PAGE_DIRECTORY: u8 = 5;
const FOOTER_BYTES: usize = 24;

struct Section {
    kind: u8,
    column: u64,
    range: Range<usize>,
    /// Where its checksum stands in the directory.
    sum_at: usize,
}

/// What a segment's directory says.
struct Directory {
    bytes: Vec<u8>,
    covered: usize,
    parity_end: usize,
    sections: Vec<Section>,
    /// Code and first byte of every column.
    columns: Vec<(u64, usize)>,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn skip(&mut self, varints: u64) {
        for _ in 0..varints {
            self.varint();
        }
    }

    fn varint(&mut self) -> u64 {
        let mut out = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.bytes[self.at];
            self.at += 1;
            out |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        out
    }
}

impl Directory {
    /// Of a sound segment.
    fn read(file: &[u8]) -> Self {
        let footer = file.len() - FOOTER_BYTES;
        let (from, len) = (u64_at(file, footer) as usize, u32_at(file, footer + 8));
        let bytes = file[from..from + len].to_vec();
        let mut r = Reader { bytes: &bytes, at: 0 };
        r.skip(4);
        r.at += 4 + 8 + 8;
        r.skip(2);
        let covered = u64_at(&bytes, r.at) as usize;
        r.at += 8 + 8 + 4 + 4;
        let logs = r.varint();
        r.skip(logs);
        let mut sections = Vec::new();
        for _ in 0..r.varint() {
            let kind = r.bytes[r.at];
            r.at += 1;
            let (column, offset, len) = (r.varint(), r.varint() as usize, r.varint() as usize);
            sections.push(Section { kind, column, range: offset..offset + len, sum_at: r.at });
            r.at += 4;
        }
        let mut columns = Vec::new();
        for _ in 0..r.varint() {
            let code = r.varint();
            r.at += 1;
            r.varint();
            columns.push((code, r.varint() as usize));
        }
        Self { covered, parity_end: from, sections, columns, bytes }
    }

    /// Every page: where it stands, and where its checksum does.
    fn pages(&self, file: &[u8]) -> Vec<(Range<usize>, usize)> {
        let mut out = Vec::new();
        for section in self.sections.iter().filter(|section| section.kind == PAGE_DIRECTORY) {
            let first = self.columns.iter().find(|(code, _)| *code == section.column).map_or(0, |column| column.1);
            let mut from = first;
            for entry in section.range.clone().step_by(8) {
                let end = first + u32_at(file, entry);
                out.push((from..end, entry + 4));
                from = end;
            }
        }
        out
    }
}

/// Changes a part of a segment. Its name, as it is in the directory of segments, tells its id.
pub fn patch_segment(file: &mut [u8], input: &[u8], part: Part) {
    let seed = Seed { store: u64_at(file, 16), file: u64_at(file, 24) };
    let mut directory = Directory::read(file);
    let pages = directory.pages(file);
    let is_of_part = |section: &&Section| TABLES.contains(&section.kind) == (part == Part::Tables);
    let sections: Vec<Range<usize>> =
        directory.sections.iter().filter(is_of_part).map(|section| section.range.clone()).collect();
    let mut touched = BTreeSet::new();
    for patch in patches(input) {
        match part {
            Part::Pages => {
                let page = patch.unit % pages.len();
                patch.apply(file, pages[page].0.clone());
                touched.insert(page);
            }
            Part::Tables | Part::Indexes => patch.apply(file, sections[patch.unit % sections.len()].clone()),
            Part::Directory => {
                let all = 0..directory.bytes.len();
                patch.apply(&mut directory.bytes, all);
            }
        }
    }
    for page in touched {
        let (range, sum_at) = pages[page].clone();
        put_u32(file, sum_at, seed.checksum(range.start, &file[range]));
    }
    if part != Part::Directory {
        for section in &directory.sections {
            let sum = seed.checksum(section.range.start, &file[section.range.clone()]);
            put_u32(&mut directory.bytes, section.sum_at, sum);
        }
    }
    for at in [directory.covered, directory.parity_end] {
        let end = at + directory.bytes.len();
        file[at..end].copy_from_slice(&directory.bytes);
        put_u32(file, end + 12, seed.checksum(at, &directory.bytes));
    }
}
