//! docs/FORMAT.md and the code say the same numbers.
//!
//! The document's tables are read, not its prose:
//!
//! ```text
//! | constant | value | ...      every row is claimed by a constant or code here, and has its value
//! | offset | length | ...       the rows follow each other without a gap and end at the length in the heading
//! ```
//!
//! Codes are found by asking the code for every byte, so that a new one fails here until it is documented;
//! rows that nothing claims fail too, so that an old one cannot stay behind.

use std::collections::BTreeMap;

use crate::bytes::Reader;
use crate::catalog::{
    self, ClockState, Edit, FRAME_HEADER_BYTES, FRAME_MAGIC, MANIFEST_HEADER_BYTES, MANIFEST_MAGIC, SegmentInfo,
};
use crate::column::{ClassBits, Table, ValueType, internal};
use crate::encoding::{
    IntegerCodec, StringBody, StringCodec, StringEncoder, Strings, decode_integers, decode_strings, encode_strings,
};
use crate::error::ErrorKind;
use crate::head::{EventRow, LinkRow, Row};
use crate::index::links::LinkKind;
use crate::index::{Measure, PageSet, rollup};
use crate::limits::{BLOCK_ROWS, COLUMNS_MAX, PAGE_ROWS, ROLLUP_GROUPS_MAX};
use crate::log::{
    FileId, LOG_HEADER_BYTES, LOG_MAGIC, LOG_VERSION, RECORD_HEADER_BYTES, RECORD_MAGIC, RECORD_PAYLOAD_BYTES_MAX,
    RecordKind,
};
use crate::segment::layout::{self, ColumnForm, FOOTER_LEN, FOOTER_MAGIC, HEADER_LEN, PAGE_ENTRY_LEN, SEGMENT_MAGIC};
use crate::segment::parity::{PARITY_LEN_MAX, PARITY_LEN_MIN};
use crate::segment::{Fixed, SectionKind, TOLD_ROWS_MIN};

const FORMAT: &str = include_str!("../docs/FORMAT.md");

/// The cells of a table's row.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// The rows of every table whose first heading is this word, each table with the heading above it.
fn tables(first: &str) -> Vec<(&'static str, Vec<Vec<&'static str>>)> {
    let mut out: Vec<(&str, Vec<Vec<&str>>)> = Vec::new();
    let (mut heading, mut inside) = ("", false);
    for line in FORMAT.lines() {
        match cells(line) {
            None => {
                inside = false;
                heading = if line.starts_with('#') { line } else { heading };
            }
            Some(row) if !inside && row[0] == first => {
                inside = true;
                out.push((heading, Vec::new()));
            }
            Some(row) if inside && row[0] != "---" => out.last_mut().unwrap().1.push(row),
            Some(_) => {}
        }
    }
    out
}

/// What the document says of each constant, until it is claimed.
struct Documented(BTreeMap<&'static str, &'static str>);

impl Documented {
    fn read() -> Self {
        let mut out = BTreeMap::new();
        for row in tables("constant").into_iter().flat_map(|(_, rows)| rows) {
            let name = row[0].trim_matches('`');
            assert!(out.insert(name, row[1]).is_none(), "{name} stands twice in docs/FORMAT.md");
        }
        Self(out)
    }

    fn claim(&mut self, name: &str, value: impl ToString) {
        let said = self.0.remove(name).unwrap_or_else(|| panic!("docs/FORMAT.md does not mention {name}"));
        assert_eq!(said, value.to_string(), "{name} in docs/FORMAT.md and in the code");
    }

    fn claim_text(&mut self, name: &str, bytes: &[u8]) {
        self.claim(name, format!("\"{}\"", bytes.escape_ascii()));
    }

    /// Claims every row that begins so, and answers their values.
    fn codes(&self, prefix: &str) -> Vec<u8> {
        let mut codes: Vec<u8> =
            self.0.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, v)| v.parse().unwrap()).collect();
        codes.sort_unstable();
        codes
    }
}

/// The bytes that are codes, as far as the error message for others tells.
fn known(is_unknown: impl Fn(u8) -> bool) -> Vec<u8> {
    (0..=u8::MAX).filter(|code| !is_unknown(*code)).collect()
}

fn complains(error: Option<crate::Error>, words: &str) -> bool {
    error.is_some_and(|e| e.to_string().contains(words))
}

fn every_edit() -> [(&'static str, Edit); 9] {
    let id = FileId(1);
    let info = SegmentInfo {
        id,
        rows: 1,
        traces: 1,
        bytes: 1,
        sequences: 0..1,
        starts: None,
        max_end: None,
        received: (0, 0),
        merges: 0,
    };
    [
        ("AddSegment", Edit::AddSegment { info, replaced_logs: Vec::new(), dirty: Vec::new() }),
        ("RemoveSegments", Edit::RemoveSegments { ids: Vec::new(), replaced_by: Vec::new() }),
        ("AddLog", Edit::AddLog { id, first_sequence: 0 }),
        ("RemoveLogs", Edit::RemoveLogs { ids: Vec::new() }),
        ("NextFileId", Edit::NextFileId { id }),
        ("SetDirty", Edit::SetDirty { segment: id, bytes: Vec::new() }),
        ("SetDeleted", Edit::SetDeleted { segment: id, bytes: Vec::new() }),
        ("SetClock", Edit::SetClock(ClockState::default())),
        ("Retired", Edit::Retired { segments: Vec::new(), logs: Vec::new() }),
    ]
}

fn claim_logs_and_manifests(said: &mut Documented) {
    said.claim_text("LOG_MAGIC", LOG_MAGIC);
    said.claim("LOG_VERSION", LOG_VERSION);
    said.claim("LOG_HEADER_BYTES", LOG_HEADER_BYTES);
    said.claim_text("RECORD_MAGIC", RECORD_MAGIC);
    said.claim("RECORD_HEADER_BYTES", RECORD_HEADER_BYTES);
    said.claim("RECORD_PAYLOAD_BYTES_MAX", RECORD_PAYLOAD_BYTES_MAX);
    for kind in (0..=u8::MAX).filter_map(RecordKind::from_code) {
        said.claim(&format!("RecordKind::{kind:?}"), kind as u8);
    }
    said.claim_text("MANIFEST_MAGIC", MANIFEST_MAGIC);
    said.claim("catalog::FORMAT_VERSION", catalog::FORMAT_VERSION);
    said.claim("MANIFEST_HEADER_BYTES", MANIFEST_HEADER_BYTES);
    said.claim_text("FRAME_MAGIC", FRAME_MAGIC);
    said.claim("FRAME_HEADER_BYTES", FRAME_HEADER_BYTES);
    let unknown = |code| Edit::read(&mut Reader::new(&[code, 0])).is_err_and(|e| e.kind() == ErrorKind::Unsupported);
    assert_eq!(known(unknown), said.codes("Edit::"), "edit codes");
    for (name, edit) in every_edit() {
        said.claim(&format!("Edit::{name}"), edit.code());
    }
}

fn claim_segments(said: &mut Documented) {
    said.claim_text("SEGMENT_MAGIC", &SEGMENT_MAGIC);
    said.claim_text("FOOTER_MAGIC", &FOOTER_MAGIC);
    said.claim("segment::FORMAT_VERSION", layout::FORMAT_VERSION);
    said.claim("HEADER_LEN", HEADER_LEN);
    said.claim("FOOTER_LEN", FOOTER_LEN);
    said.claim("PARITY_LEN_MIN", PARITY_LEN_MIN);
    said.claim("PARITY_LEN_MAX", PARITY_LEN_MAX);
    said.claim("PAGE_ENTRY_LEN", PAGE_ENTRY_LEN);
    said.claim("PAGE_ROWS", PAGE_ROWS);
    said.claim("BLOCK_ROWS", BLOCK_ROWS);
    for kind in (0..=u8::MAX).filter_map(SectionKind::from_code) {
        said.claim(&format!("SectionKind::{kind:?}"), kind as u8);
    }
    said.claim("TOLD_ROWS_MIN", TOLD_ROWS_MIN);
    for column in Fixed::ALL {
        said.claim(&format!("Fixed::{column:?}"), column as u32);
    }
    said.claim("FIELD_COLUMN_FIRST", layout::FIELD_COLUMN_FIRST);
    said.claim("RANK_COLUMN_FIRST", layout::RANK_COLUMN_FIRST);
    said.claim("OVERFLOW_COLUMN_FIRST", layout::OVERFLOW_COLUMN_FIRST);
    said.claim("OVERFLOW_RANK_COLUMN_FIRST", layout::OVERFLOW_RANK_COLUMN_FIRST);
    said.claim("COLUMNS_MAX", COLUMNS_MAX);
    for form in
        [ColumnForm::Integers, ColumnForm::Zigzag, ColumnForm::Strings, ColumnForm::Dictionary, ColumnForm::ByService]
    {
        said.claim(&format!("ColumnForm::{form:?}"), form as u8);
    }
}

fn claim_pages(said: &mut Documented) {
    let unknown = |code| complains(decode_integers(&[code], 1, &mut Vec::new()).err(), "unknown codec code");
    assert_eq!(known(unknown), said.codes("IntegerCodec::"), "codecs of integer pages");
    use IntegerCodec::{Bitpack, Constant, Delta, Patched, Raw, RunLength, Scaled};
    for codec in [Constant, Raw, Bitpack, Patched, Scaled, Delta, RunLength] {
        said.claim(&format!("IntegerCodec::{codec:?}"), codec as u8);
    }
    let unknown = |code| complains(decode_strings(&[code], 1, &mut Strings::default()).err(), "is unknown");
    assert_eq!(known(unknown), said.codes("string page: "), "codecs of string pages");
    let text = "the same words ".repeat(99);
    let [same, other]: [&[u8]; 2] = [b"same", b"other"];
    said.claim("string page: constant", string_page(StringCodec::Constant, &[same, same])[0]);
    said.claim("string page: plain", string_page(StringCodec::Each(StringBody::Plain), &[same, other])[0]);
    said.claim("string page: zstd", string_page(StringCodec::Each(StringBody::Zstd), &[text.as_bytes(), same])[0]);
    let run: [&[u8]; 9] = [same, same, same, same, other, other, other, other, other];
    said.claim("string page: runs", string_page(StringCodec::Runs(StringBody::Plain), &run)[0]);
    said.claim("string page: template", template_page(["a1", "a22"])[0]);
    let texts: Vec<String> = (0..200).map(|i| format!("a{}", i * 7919 % 1_000)).collect();
    let shared: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    let mut page = Vec::new();
    StringEncoder::choose(&[&shared]).encode(&shared, &mut page).unwrap();
    said.claim("string page: shared template", page[0]);
    claim_pieces(said);
}

fn string_page(codec: StringCodec, values: &[&[u8]]) -> Vec<u8> {
    let mut page = Vec::new();
    encode_strings(codec, values, &mut page).unwrap();
    page
}

/// A template page of many values of these two forms: codec, one template, its length, its first piece.
fn template_page(forms: [&str; 2]) -> Vec<u8> {
    let values: Vec<&[u8]> = forms.iter().map(|form| form.as_bytes()).cycle().take(200).collect();
    string_page(StringCodec::Each(StringBody::Template), &values)
}

fn claim_pieces(said: &mut Documented) {
    // One template of one piece for a page of one value.
    let unknown = |tag| complains(decode_strings(&[5, 1, 1, tag], 1, &mut Strings::default()).err(), "unknown piece");
    assert_eq!(known(unknown), said.codes("template piece: "), "pieces of templates");
    let forms = [
        ("text", ["a1", "a22"]),
        ("decimal", ["1-", "22-"]),
        ("digits", ["01-", "22-"]),
        ("hex", ["01f2-", "2203-"]),
        ("any hex", ["01f2-", "02203-"]),
    ];
    for (name, forms) in forms {
        let page = template_page(forms);
        assert_eq!(page[1], 1, "{forms:?} have one template");
        said.claim(&format!("template piece: {name}"), page[3]);
    }
}

fn claim_schema(said: &mut Documented) {
    for table in (0..=u8::MAX).filter_map(|code| Table::from_code(code).ok()) {
        said.claim(&format!("Table::{table:?}"), table as u8);
    }
    for value_type in (0..=u8::MAX).filter_map(|code| ValueType::from_code(code).ok()) {
        said.claim(&format!("ValueType::{value_type:?}"), value_type as u8);
    }
    let bits = [
        ("STATUS", ClassBits::STATUS),
        ("ZIPKIN", ClassBits::ZIPKIN),
        ("DEBUG", ClassBits::DEBUG),
        ("SHARED", ClassBits::SHARED),
        ("EVENTS", ClassBits::EVENTS),
        ("LINKS", ClassBits::LINKS),
        ("LINK_TRACE", ClassBits::LINK_TRACE),
        ("LINK_SPAN", ClassBits::LINK_SPAN),
        ("NO_START", ClassBits::NO_START),
        ("NO_DURATION", ClassBits::NO_DURATION),
    ];
    assert_eq!(bits.iter().fold(0, |all, (_, bit)| all | bit), ClassBits::ALL, "every bit of a class is here");
    bits.iter().for_each(|(name, bit)| said.claim(&format!("ClassBits::{name}"), bit));
    let keys = [
        ("TRACE_STATE", internal::TRACE_STATE),
        ("STATUS_MESSAGE", internal::STATUS_MESSAGE),
        ("DROPPED_ATTRIBUTES", internal::DROPPED_ATTRIBUTES),
        ("DROPPED_EVENTS", internal::DROPPED_EVENTS),
        ("DROPPED_LINKS", internal::DROPPED_LINKS),
        ("REMOTE_ENDPOINT", internal::REMOTE_ENDPOINT),
        ("FLAGS", internal::FLAGS),
    ];
    keys.iter().for_each(|(name, key)| said.claim_text(&format!("internal::{name}"), key.as_bytes()));
}

fn claim_rollups(said: &mut Documented) {
    said.claim("ROLLUP_GROUPS_MAX", ROLLUP_GROUPS_MAX);
    said.claim("BUCKETS", rollup::BUCKETS);
    said.claim("CELL_PAGES_MAX", rollup::CELL_PAGES_MAX);
    said.claim("STEP_NANOS", rollup::STEP_NANOS);
    said.claim("CELL_SPANS", rollup::CELL_SPANS);
    said.claim("TAIL_SHARE", rollup::TAIL_SHARE);
    said.claim("TAIL_ROWS_MIN", rollup::TAIL_ROWS_MIN);
    for (name, kind) in [("Call", LinkKind::Call), ("Messaging", LinkKind::Messaging)] {
        said.claim(&format!("LinkKind::{name}"), kind as u8);
    }
}

fn claim_indexes(said: &mut Documented) {
    let unknown = |form| complains(PageSet::read(&[form], 9).err(), "unknown form");
    assert_eq!(known(unknown), said.codes("set: "), "forms of sets");
    let form = |set: PageSet| {
        let mut out = crate::bytes::Writer::new();
        set.write(&mut out);
        out.as_slice()[0]
    };
    said.claim("set: list", form(PageSet::from_sorted([7])));
    said.claim("set: bits", form(PageSet::from_sorted((0..100).map(|n| n * 2))));
    said.claim("set: roaring", form(PageSet::all(60_000)));
    for measure in [Measure::Start, Measure::End, Measure::Duration] {
        said.claim(&format!("Measure::{measure:?}"), measure as u8);
    }
}

#[test]
fn every_constant_of_the_format_is_documented_with_its_value_and_no_other_is() {
    let mut said = Documented::read();
    claim_logs_and_manifests(&mut said);
    claim_segments(&mut said);
    claim_pages(&mut said);
    claim_schema(&mut said);
    claim_indexes(&mut said);
    claim_rollups(&mut said);
    assert_eq!(said.0, BTreeMap::new(), "docs/FORMAT.md names constants that the code does not have");
}

#[test]
fn every_byte_table_has_no_gap_and_the_length_its_heading_names() {
    let lengths = BTreeMap::from([
        ("LOG_HEADER_BYTES", LOG_HEADER_BYTES),
        ("RECORD_HEADER_BYTES", RECORD_HEADER_BYTES),
        ("MANIFEST_HEADER_BYTES", MANIFEST_HEADER_BYTES),
        ("FRAME_HEADER_BYTES", FRAME_HEADER_BYTES),
        ("HEADER_LEN", HEADER_LEN),
        ("FOOTER_LEN", FOOTER_LEN),
        ("size_of::<Row>", size_of::<Row>()),
        ("size_of::<EventRow>", size_of::<EventRow>()),
        ("size_of::<LinkRow>", size_of::<LinkRow>()),
    ]);
    let tables = tables("offset");
    assert_eq!(tables.len(), lengths.len(), "one byte table for each length");
    for (heading, rows) in tables {
        let name = heading.split('`').nth(1).unwrap_or_else(|| panic!("{heading:?} names no length"));
        let mut at = 0;
        for row in rows {
            assert_eq!(row[0], at.to_string(), "{heading}: the field {:?} begins where the one before ends", row[2]);
            at += row[1].parse::<usize>().unwrap();
        }
        assert_eq!(Some(&at), lengths.get(name), "{heading}");
    }
}
