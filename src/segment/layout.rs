//! Where things stand in a segment file.
//!
//! ```text
//! 0    header     magic 8, version 4, zero 4, store id 8, file id 8, checksum 4, zero 4      40 bytes
//! 40   pages      of every column, one column after the other
//!      sections   dictionaries, schema, page directories, indexes; each starts on a multiple of 8
//!      directory  counts, then one entry a section and a column
//!      footer     directory offset 8, length 4, checksum 4, magic 8                          24 bytes
//!      parity     what mends the rest; see [`super::parity`]
//!      directory  the same again
//! -24  footer     of that
//! ```
//! A column's page directory is a section of 8 bytes a page, `end offset u32, checksum u32`, the offset
//! relative to the column's first page. Sections have their checksum in the directory, the directory in the
//! footer: a reader verifies a unit before it uses the unit, and nothing else.
//!
//! Segments are self-describing: were every manifest lost, the directory says which log files the segment
//! replaces.

use crate::bytes::{Reader, Seed, Writer, checksum};
use crate::error::{Error, ErrorKind, Result, ensure};
use crate::os::FileBytes;

/// First bytes of a segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"TSPNSEG\x01";
/// Last bytes of a segment.
pub const FOOTER_MAGIC: [u8; 8] = *b"GESNPST\x01";
/// Version of the file format this build writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;
/// Length of the header in bytes.
pub const HEADER_LEN: usize = 40;
/// Bytes of the header that its checksum covers.
const HEADER_CHECKED_LEN: usize = 32;
/// Length of the footer in bytes.
pub const FOOTER_LEN: usize = 24;
/// Bytes at the end of a file in which a footer is looked for if the last is damaged.
const TAIL_LEN: u64 = 16 << 20;
/// Footers that are tried.
const FOOTERS_TRIED: usize = 16;
/// Length of a page directory entry in bytes.
pub const PAGE_ENTRY_LEN: usize = 8;
/// Columns from this code on are fields: the code minus this is the field's.
pub const FIELD_COLUMN_FIRST: u32 = 1 << 16;
/// Columns from this code on are the rank lists of fields, by the field's code again.
pub const RANK_COLUMN_FIRST: u32 = 1 << 24;
/// This plus a table's code is the column that the table's fields without a column of their own share; see
/// [`super::overflow`]. The code itself is reserved, as there is no table 0.
pub const OVERFLOW_COLUMN_FIRST: u32 = 1 << 25;
/// This plus a table's code is the rank list of that column. The code itself is reserved.
pub const OVERFLOW_RANK_COLUMN_FIRST: u32 = OVERFLOW_COLUMN_FIRST + (1 << 8);

/// Key of the rollup by group.
pub const ROLLUP_GROUPS: u32 = 0;
/// Key of the rollup by link.
pub const ROLLUP_EDGES: u32 = 1;
/// Key of the steps by group.
pub const GROUP_STEPS: u32 = 0;
/// Key of the steps by half of a service.
pub const SERVICE_STEPS: u32 = 1;
/// Key of the tail lists of operations.
pub const OPERATION_TAILS: u32 = 0;
/// Key of the tail lists of links.
pub const EDGE_TAILS: u32 = 1;

/// Kinds of sections. Codes are part of the format; zero is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum SectionKind {
    /// Fields, shapes, classes, with the row count of every class.
    Schema = 1,
    /// Strings the schema refers to.
    Strings = 2,
    /// Resources, with their row counts.
    Resources = 3,
    /// Scopes.
    Scopes = 4,
    /// Page directory of a column; the key is the column's code.
    PageDirectory = 5,
    /// Dictionary of a field's column, or of what classes tell of it; the key is the field's code.
    Dictionary = 6,
    /// Trace-id index.
    TraceIndex = 7,
    /// Zone map of the span pages.
    Zones = 8,
    /// Which pages hold which service.
    ServicePages = 9,
    /// Which pages hold which remote service.
    RemotePages = 10,
    /// Which pages hold which class.
    ClassPages = 11,
    /// Which pages hold which duration bucket.
    DurationPages = 12,
    /// Which pages hold which value of a field; the key is the field's code, or that of an overflow column.
    Terms = 13,
    /// The ordinal of the first trace of every page.
    PageOrdinals = 14,
    /// First row of every page of a sparse row list; the key is the column's code.
    SparseStarts = 15,
    /// Counts, sums and histograms; key 0 by group, key 1 by link.
    Rollup = 16,
    /// Counts and sums by step of time; key 0 by group, key 1 by half of a service.
    Steps = 17,
    /// The slowest rows; key 0 of every operation, key 1 of every link.
    TailLists = 18,
    /// The pages of every operation's durations, by bucket.
    CellPages = 19,
    /// The traces that are not linked along their rows.
    OddTraces = 20,
    /// The values that classes tell.
    Told = 21,
    /// The templates that the pages of a column share; the key is the column's code.
    Templates = 22,
}

impl SectionKind {
    /// Every kind, by code.
    pub const ALL: [Self; 22] = [
        Self::Schema,
        Self::Strings,
        Self::Resources,
        Self::Scopes,
        Self::PageDirectory,
        Self::Dictionary,
        Self::TraceIndex,
        Self::Zones,
        Self::ServicePages,
        Self::RemotePages,
        Self::ClassPages,
        Self::DurationPages,
        Self::Terms,
        Self::PageOrdinals,
        Self::SparseStarts,
        Self::Rollup,
        Self::Steps,
        Self::TailLists,
        Self::CellPages,
        Self::OddTraces,
        Self::Told,
        Self::Templates,
    ];

    /// The kind of this code, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }
}

/// Columns with a place in every segment. Codes are part of the format; zero is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Fixed {
    /// Span id, one a row.
    SpanId = 1,
    /// Depth in the trace's pre-order, one a row.
    Depth = 2,
    /// 0 for no start, else start - trace start + 1, one a row.
    Start = 3,
    /// end - start (wrapping), one a row.
    Length = 4,
    /// Class, one a row.
    Class = 5,
    /// Resource, one a row.
    Resource = 6,
    /// Rows whose parent id is not the one their depth implies.
    ParentRow = 7,
    /// The parent ids of those rows, 0 for none.
    ParentId = 8,
    /// Upper half of the trace id, one a trace.
    TraceHigh = 9,
    /// Lower half of the trace id, one a trace.
    TraceLow = 10,
    /// First row, one a trace.
    TraceRow = 11,
    /// Earliest start (0 for none), one a trace.
    TraceStart = 12,
    /// Latest end minus earliest start, one a trace.
    TraceDuration = 13,
    /// Row of the span, one an event.
    EventRow = 14,
    /// Time minus the span's start (wrapping), one an event.
    EventTime = 15,
    /// Class, one an event.
    EventClass = 16,
    /// Row of the span, one a link.
    LinkRow = 17,
    /// Upper half of the linked trace's id, one a link.
    LinkTraceHigh = 18,
    /// Lower half of the linked trace's id, one a link.
    LinkTraceLow = 19,
    /// The linked span's id, one a link.
    LinkSpan = 20,
    /// Class, one a link.
    LinkClass = 21,
    /// Sequence of the append less the first of the segment's, one a row.
    Sequence = 22,
}

impl Fixed {
    /// Every fixed column, in file order.
    pub const ALL: [Self; 22] = [
        Self::SpanId,
        Self::Depth,
        Self::Start,
        Self::Length,
        Self::Class,
        Self::Resource,
        Self::ParentRow,
        Self::ParentId,
        Self::TraceHigh,
        Self::TraceLow,
        Self::TraceRow,
        Self::TraceStart,
        Self::TraceDuration,
        Self::EventRow,
        Self::EventTime,
        Self::EventClass,
        Self::LinkRow,
        Self::LinkTraceHigh,
        Self::LinkTraceLow,
        Self::LinkSpan,
        Self::LinkClass,
        Self::Sequence,
    ];

    /// The column's name in statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::SpanId => "span_id",
            Self::Depth => "depth",
            Self::Start => "start",
            Self::Length => "duration",
            Self::Class => "class",
            Self::Resource => "resource",
            Self::Sequence => "sequence",
            Self::ParentRow | Self::ParentId => "parent exceptions",
            Self::TraceHigh | Self::TraceLow => "trace_id",
            Self::TraceRow => "trace rows",
            Self::TraceStart => "trace start",
            Self::TraceDuration => "trace duration",
            Self::EventRow | Self::EventTime | Self::EventClass => "events",
            Self::LinkRow | Self::LinkTraceHigh | Self::LinkTraceLow | Self::LinkSpan | Self::LinkClass => "links",
        }
    }

    /// True for a rising list of rows, which has a `SparseStarts` section to be searched by.
    pub fn is_sparse(self) -> bool {
        matches!(self, Self::ParentRow | Self::EventRow | Self::LinkRow | Self::TraceRow)
    }
}

/// Where one section stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// A [`SectionKind`] code.
    pub kind: u8,
    /// Which one of its kind.
    pub key: u32,
    /// First byte in the file.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
    /// Checksum of its bytes.
    pub checksum: u32,
}

/// How the values of a column are written. Codes are part of the format; zero is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ColumnForm {
    /// Integers as they are.
    Integers = 1,
    /// Signed integers, zigzag.
    Zigzag = 2,
    /// Byte strings in the pages.
    Strings = 3,
    /// Codes of the column's dictionary.
    Dictionary = 4,
    /// Places of resources inside the service of the row's class.
    ByService = 5,
}

/// Where one column stands. Its page directory is the section `PageDirectory` of the same code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnEntry {
    /// A [`Fixed`] code, or a field's, a rank list's, an overflow column's.
    pub code: u32,
    /// How its values are written.
    pub form: u8,
    /// How many values it has.
    pub values: u64,
    /// First byte of its first page in the file.
    pub offset: u64,
}

/// Where the strip of parity stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParityEntry {
    /// It covers all bytes before this offset, where the first directory begins.
    pub covered: u64,
    /// First byte of the strip in the file.
    pub offset: u64,
    /// Its length in bytes, a power of two.
    pub len: u32,
    /// Its checksum.
    pub checksum: u32,
}

/// The directory: what a segment holds and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentDirectory {
    /// Span rows.
    pub rows: u64,
    /// Traces.
    pub traces: u64,
    /// Event rows.
    pub events: u64,
    /// Link rows.
    pub links: u64,
    /// Rows of a block.
    pub block_rows: u32,
    /// Earliest start of a span that has one, or `u64::MAX`.
    pub start_min: u64,
    /// Latest start.
    pub start_max: u64,
    /// First append sequence of what it holds, and the one after the last.
    pub sequences: (u64, u64),
    /// The strip of parity.
    pub parity: ParityEntry,
    /// Log files whose spans it holds.
    pub replaces_logs: Vec<u64>,
    /// Every section.
    pub sections: Vec<Section>,
    /// Every column.
    pub columns: Vec<ColumnEntry>,
}

/// The header of a segment.
pub fn encode_header(seed: Seed) -> Vec<u8> {
    let mut out = Writer::new();
    out.bytes(&SEGMENT_MAGIC);
    out.u32(FORMAT_VERSION);
    out.u32(0);
    out.u64(seed.store);
    out.u64(seed.file);
    let sum = checksum(seed, 0, out.as_slice());
    out.u32(sum);
    out.u32(0);
    out.into_vec()
}

/// Checks the header of a segment.
///
/// # Errors
/// Unsupported if the header is intact and of a newer version, corrupt for everything else that differs.
pub fn check_header(bytes: &[u8], seed: Seed) -> Result<()> {
    let mut reader = Reader::new(bytes);
    let magic: [u8; 8] = reader.array("segment magic")?;
    ensure(magic == SEGMENT_MAGIC, || "no segment: the first bytes differ".to_owned())?;
    let version = reader.u32("format version")?;
    reader.bytes(20, "segment header")?;
    let checked = bytes.get(..HEADER_CHECKED_LEN).unwrap_or_default();
    let intact = reader.u32("header checksum")? == checksum(seed, 0, checked);
    // A flipped bit in the version must not look like a newer version: that would keep the store from opening.
    if intact && version > FORMAT_VERSION {
        let text = format!("format version {version} is newer than {FORMAT_VERSION}; use a newer tailspan");
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    ensure(bytes.get(..HEADER_LEN) == Some(&encode_header(seed)[..]), || {
        "the header is damaged or of another store".to_owned()
    })
}

impl SegmentDirectory {
    /// The directory as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        for count in [self.rows, self.traces, self.events, self.links] {
            out.varint(count);
        }
        out.u32(self.block_rows);
        out.u64(self.start_min);
        out.u64(self.start_max);
        out.varint(self.sequences.0);
        out.varint(self.sequences.1);
        // In as many bytes whatever they are: the directory stands before what they describe.
        out.u64(self.parity.covered);
        out.u64(self.parity.offset);
        out.u32(self.parity.len);
        out.u32(self.parity.checksum);
        out.varint(self.replaces_logs.len() as u64);
        self.replaces_logs.iter().for_each(|log| out.varint(*log));
        out.varint(self.sections.len() as u64);
        for section in &self.sections {
            out.u8(section.kind);
            out.varint(section.key.into());
            out.varint(section.offset);
            out.varint(section.len);
            out.u32(section.checksum);
        }
        out.varint(self.columns.len() as u64);
        for column in &self.columns {
            out.varint(column.code.into());
            out.u8(column.form);
            out.varint(column.values);
            out.varint(column.offset);
        }
        out.into_vec()
    }

    /// Reads a directory and checks that everything it names lies inside the file.
    ///
    /// # Errors
    /// Corrupt, naming the entry.
    pub fn decode(bytes: &[u8], file_len: u64) -> Result<Self> {
        let mut r = Reader::new(bytes);
        let mut counts = [0; 4];
        for count in &mut counts {
            *count = r.varint("row count")?;
            ensure(u32::try_from(*count).is_ok(), || format!("{count} rows exceed a segment"))?;
        }
        let mut out = Self {
            rows: counts[0],
            traces: counts[1],
            events: counts[2],
            links: counts[3],
            block_rows: r.u32("block rows")?,
            start_min: r.u64("earliest start")?,
            start_max: r.u64("latest start")?,
            sequences: (r.varint("first sequence")?, r.varint("last sequence")?),
            parity: ParityEntry {
                covered: r.u64("bytes covered by parity")?,
                offset: r.u64("parity offset")?,
                len: r.u32("parity length")?,
                checksum: r.u32("parity checksum")?,
            },
            ..Self::default()
        };
        ensure(out.traces <= out.rows, || "more traces than rows".to_owned())?;
        for _ in 0..r.count(1, "log files")? {
            out.replaces_logs.push(r.varint("log file")?);
        }
        for _ in 0..r.count(8, "sections")? {
            let section = Section {
                kind: r.u8("section kind")?,
                key: read_code(&mut r, "section key")?,
                offset: r.varint("section offset")?,
                len: r.varint("section length")?,
                checksum: r.u32("section checksum")?,
            };
            let end = section.offset.checked_add(section.len);
            ensure(end.is_some_and(|end| end <= file_len), || format!("{section:?} lies outside the file"))?;
            out.sections.push(section);
        }
        for _ in 0..r.count(4, "columns")? {
            let column = ColumnEntry {
                code: read_code(&mut r, "column code")?,
                form: r.u8("column form")?,
                values: r.varint("column values")?,
                offset: r.varint("column offset")?,
            };
            let sound = column.offset <= file_len && (1..=5).contains(&column.form) && column.values >> 40 == 0;
            ensure(sound, || format!("{column:?} is not sound"))?;
            out.columns.push(column);
        }
        r.finish("segment directory")?;
        Ok(out)
    }
}

fn read_code(reader: &mut Reader<'_>, what: &str) -> Result<u32> {
    let value = reader.varint(what)?;
    u32::try_from(value).map_err(|_| Error::corrupt(format!("{what} {value} does not fit")))
}

/// The footer that points to a directory at `offset`.
pub fn encode_footer(seed: Seed, offset: u64, directory: &[u8]) -> Vec<u8> {
    let mut out = Writer::new();
    out.u64(offset);
    out.u32(directory.len() as u32);
    out.u32(checksum(seed, offset, directory));
    out.bytes(&FOOTER_MAGIC);
    out.into_vec()
}

/// Finds and verifies the directory of a segment: the last, else the one before.
///
/// # Errors
/// Unsupported for a newer version; corrupt if both are damaged, or of another store.
pub fn read_directory(file: &dyn FileBytes, seed: Seed) -> Result<SegmentDirectory> {
    // The checksum of a directory tells store and file as well as a header does.
    let header = file.head(HEADER_LEN).and_then(|bytes| check_header(bytes, seed));
    if let Err(error) = &header
        && error.kind() == ErrorKind::Unsupported
    {
        return header.map(|()| SegmentDirectory::default());
    }
    let len = file.len_bytes();
    let problem = match directory_before(file, len, seed) {
        Ok(directory) => return Ok(directory),
        Err(problem) => problem,
    };
    let tail_at = len.saturating_sub(TAIL_LEN);
    let tail = file.range(tail_at, (len - tail_at) as usize)?;
    let ends = (0..tail.len().saturating_sub(FOOTER_MAGIC.len() - 1)).rev();
    let ends = ends.filter(|at| tail[*at..].starts_with(&FOOTER_MAGIC)).take(FOOTERS_TRIED);
    let mut others = ends.map(|at| directory_before(file, tail_at + (at + FOOTER_MAGIC.len()) as u64, seed));
    others.find_map(Result::ok).ok_or_else(|| header.err().unwrap_or(problem))
}

/// The directory whose footer ends here.
fn directory_before(file: &dyn FileBytes, end: u64, seed: Seed) -> Result<SegmentDirectory> {
    let footer_at = end.checked_sub(FOOTER_LEN as u64).ok_or_else(|| Error::corrupt("the file is too short"))?;
    let mut reader = Reader::new(file.range(footer_at, FOOTER_LEN)?);
    let offset = reader.u64("directory offset")?;
    let len = reader.u32("directory length")?;
    let sum = reader.u32("directory checksum")?;
    let magic: [u8; 8] = reader.array("footer magic")?;
    ensure(magic == FOOTER_MAGIC, || "the footer is damaged".to_owned())?;
    let lies_before = offset.checked_add(len.into()).is_some_and(|end| end <= footer_at);
    ensure(lies_before, || "the directory lies outside the file".to_owned())?;
    let bytes = file.range(offset, len as usize)?;
    ensure(checksum(seed, offset, bytes) == sum, || format!("segment directory at byte {offset}: checksum differs"))?;
    SegmentDirectory::decode(bytes, file.len_bytes())
}

/// The store id in the header of what begins like a segment, unverified.
pub fn store_of_segment(bytes: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(bytes);
    let magic: [u8; 8] = reader.array("segment magic").ok()?;
    reader.u64("version").ok()?;
    (magic == SEGMENT_MAGIC).then(|| reader.u64("store id").ok())?
}
