//! An open segment: sections and pages by code, each verified before it is used.
//!
//! Opening reads header, footer and directory. Everything else waits until it is asked for: a section is
//! verified at its first use, and so is a page (`pages.rs`).

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::bytes::{Reader, Seed, checksum, pod_slice};
use crate::column::{Class, ClassBits, RowSource, Schema, decode_resource, decode_schema, decode_scope, read_optional};
use crate::encoding::TemplateTable;
use crate::error::{Error, Result, ensure};
use crate::index::rollup::{
    CellPages, EdgeCodes, OperationCodes, Rollup, RollupHeads, Steps, TailHeads, TailList, TailLists,
};
use crate::index::{CodeIndex, Page, TermIndex, TraceIndex, TraceSet, ZoneMap};
use crate::limits::PAGE_ROWS;
use crate::model::{Resource, Scope};
use crate::os::FileBytes;
use crate::os::defects::{self, Defect};
use crate::part::ReadCounter;

use super::by_service::{ByService, ClassResources};
use super::dictionary::DictionaryView;
use super::layout::{
    ColumnEntry, ColumnForm, EDGE_TAILS, FIELD_COLUMN_FIRST, Fixed, GROUP_STEPS, OPERATION_TAILS, ROLLUP_EDGES,
    ROLLUP_GROUPS, SERVICE_STEPS, SectionKind, SegmentDirectory, read_directory,
};
use super::overflow::{FieldColumn, Overflow};
use super::pages::{OpenColumn, PageMarks, open_columns};
use super::parity::{Mended, Syndrome};
use super::rank_lists::RankLists;
use super::told::Told;

/// An immutable file of spans, open for reading.
pub struct Segment {
    id: u64,
    name: String,
    file: Arc<dyn FileBytes>,
    seed: Seed,
    directory: SegmentDirectory,
    sections: FxHashMap<(u8, u32), usize>,
    /// The place of the trace index among the sections.
    trace_index: Option<usize>,
    pub(super) columns: FxHashMap<u32, OpenColumn>,
    verified: Box<[AtomicBool]>,
    pub(super) pages_verified: PageMarks,
    pub(super) ranks: RankLists,
    syndrome: OnceLock<Option<Syndrome>>,
    mended: Mended,
    tables: OnceLock<Tables>,
    tail_heads: OnceLock<Option<TailHeads>>,
    rollup_heads: OnceLock<Option<RollupHeads>>,
    edge_heads: OnceLock<Option<RollupHeads<EdgeCodes>>>,
    edge_tail_heads: OnceLock<Option<TailHeads<EdgeCodes>>>,
    odd_traces: OnceLock<Option<TraceSet>>,
    ordinals_sound: OnceLock<bool>,
}

/// What gives a segment's codes a meaning, in memory.
#[derive(Debug)]
pub struct Tables {
    /// The schema's strings, known to be text.
    texts: Texts,
    /// Fields, shapes, classes.
    pub schema: Schema,
    /// Which fields have no column of their own.
    pub overflow: Overflow,
    /// Rows of every class.
    pub class_rows: Vec<u64>,
    /// True if a span has no start.
    pub lacks_starts: bool,
    /// What classes tell of the values of their rows.
    pub told: Told,
    /// Resources by code.
    pub resources: Vec<Arc<Resource>>,
    /// Which resource a row of a class has, by what the column says.
    pub class_resources: ClassResources,
    /// Service of every resource, as a string code.
    pub services: Vec<u32>,
    /// Rows of every resource.
    pub resource_rows: Vec<u64>,
    /// Keys of the resources' attributes.
    resource_keys: FxHashSet<String>,
    /// Scopes by code.
    pub scopes: Vec<Arc<Scope>>,
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("name", &self.name).field("rows", &self.directory.rows).finish_non_exhaustive()
    }
}

impl Segment {
    /// Opens the file of this id.
    ///
    /// # Errors
    /// Corrupt, naming the file, if header, footer or directory are damaged; Unsupported for a newer version.
    pub fn open(id: u64, name: String, file: Arc<dyn FileBytes>, seed: Seed) -> Result<Self> {
        let directory = read_directory(file.as_ref(), seed).map_err(|e| e.at(format!("segment {name}")))?;
        let sections: FxHashMap<(u8, u32), usize> =
            directory.sections.iter().enumerate().map(|(i, s)| ((s.kind, s.key), i)).collect();
        let (columns, pages) = open_columns(&directory, &sections);
        let trace_index = sections.get(&(SectionKind::TraceIndex as u8, 0)).copied();
        let ranks = RankLists::of(&directory);
        let verified = directory.sections.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(Self {
            id,
            name,
            file,
            seed,
            directory,
            sections,
            trace_index,
            columns,
            verified,
            pages_verified: PageMarks::new(pages),
            ranks,
            syndrome: OnceLock::new(),
            mended: Mended::default(),
            tables: OnceLock::new(),
            tail_heads: OnceLock::new(),
            rollup_heads: OnceLock::new(),
            edge_heads: OnceLock::new(),
            edge_tail_heads: OnceLock::new(),
            odd_traces: OnceLock::new(),
            ordinals_sound: OnceLock::new(),
        })
    }

    /// The file's id in the store.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The file's name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length of the file in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.file.len_bytes()
    }

    /// Bytes of the file as they are, not verified.
    pub(super) fn file_range(&self, from: u64, end: u64) -> Result<&[u8]> {
        let outside = || Error::corrupt(format!("segment {}: nothing lies from byte {from} to {end}", self.name));
        let len = end.checked_sub(from).filter(|_| end <= self.len_bytes()).ok_or_else(outside)?;
        self.file.range(from, len as usize).map_err(|error| error.at(format!("segment {}", self.name)))
    }

    /// The same file as it is now; `None` if this one shows just that.
    pub(super) fn afresh(&self) -> Option<Result<Self>> {
        self.file.afresh().map(|file| Self::open(self.id, self.name.clone(), file, self.seed))
    }

    /// What is mixed into the checksums of the file.
    pub(super) fn seed(&self) -> Seed {
        self.seed
    }

    /// What the segment holds and where.
    pub fn directory(&self) -> &SegmentDirectory {
        &self.directory
    }

    /// Span rows.
    pub fn rows(&self) -> u32 {
        self.directory.rows as u32
    }

    /// Traces.
    pub fn traces(&self) -> u32 {
        self.directory.traces as u32
    }

    /// Pages of one value a span row.
    pub fn row_pages(&self) -> u32 {
        self.rows().div_ceil(PAGE_ROWS as u32)
    }

    /// Blocks of span rows.
    pub fn blocks(&self) -> u64 {
        self.row_pages().div_ceil(self.block_pages()).into()
    }

    /// The block a page of span rows lies in.
    pub fn block_of(&self, page: u32) -> u64 {
        (page / self.block_pages()).into()
    }

    fn block_pages(&self) -> u32 {
        (self.directory().block_rows / PAGE_ROWS as u32).max(1)
    }

    pub(super) fn damaged(&self, what: impl fmt::Display, offset: u64) -> Error {
        Error::corrupt(format!("segment {}, {what} at byte {offset}: checksum differs; run tailspan verify", self.name))
    }

    /// The bytes of a section, verified at the first call; `None` if the segment has no such section.
    ///
    /// # Errors
    /// Corrupt if its checksum differs.
    pub fn section(&self, kind: SectionKind, key: u32) -> Result<Option<&[u8]>> {
        self.sections.get(&(kind as u8, key)).map(|index| self.section_at(*index)).transpose()
    }

    /// The bytes of the section of this place in the directory, verified at the first call.
    ///
    /// # Errors
    /// Corrupt if its checksum differs.
    pub(super) fn section_at(&self, index: usize) -> Result<&[u8]> {
        let section = &self.directory.sections[index];
        let bytes = self.file_range(section.offset, section.offset + section.len)?;
        if !self.verified[index].load(Ordering::Relaxed) {
            let skipped = defects::active(Defect::SkipSectionChecksum);
            if checksum(self.seed, section.offset, bytes) != section.checksum && !skipped {
                let mended = self.mend(section.offset, bytes, section.checksum);
                let (kind, key) = (SectionKind::from_code(section.kind), section.key);
                return mended.ok_or_else(|| self.damaged(format!("section {kind:?} {key}"), section.offset));
            }
            self.verified[index].store(true, Ordering::Relaxed);
        }
        Ok(bytes)
    }

    /// Forgets what was verified: whatever is read from now on is verified again.
    pub fn doubt(&self) {
        self.verified.iter().for_each(|verified| verified.store(false, Ordering::Relaxed));
        self.pages_verified.clear();
    }

    fn needed(&self, kind: SectionKind, key: u32) -> Result<&[u8]> {
        let missing = || Error::corrupt(format!("segment {}: section {kind:?} {key} is missing", self.name));
        self.section(kind, key)?.ok_or_else(missing)
    }

    /// Where a column stands; `None` if the segment has no such column.
    pub fn column(&self, code: u32) -> Option<&ColumnEntry> {
        self.columns.get(&code).map(|column| &column.entry)
    }

    /// The bytes of a damaged unit as they were written, if the parity tells.
    #[cold]
    pub(super) fn mend(&self, offset: u64, damaged: &[u8], sum: u32) -> Option<&[u8]> {
        if let Some(mended) = self.mended(offset).filter(|mended| mended.len() == damaged.len()) {
            return Some(mended);
        }
        let syndrome = self.syndrome.get_or_init(|| {
            // Read for this alone, where files are read: it is nearly the whole of it.
            let file = self.file.afresh().unwrap_or_else(|| self.file.clone());
            let covered = file.range(0, usize::try_from(self.directory.parity.covered).ok()?).ok()?;
            Syndrome::of(covered, self.parity()?)
        });
        let is_right = |bytes: &[u8]| checksum(self.seed, offset, bytes) == sum;
        self.mended.keep(offset, syndrome.as_ref()?.mend(offset, damaged, is_right)?)
    }

    /// The strip of parity; `None` if it is damaged.
    pub(super) fn parity(&self) -> Option<&[u8]> {
        let entry = self.directory.parity;
        let end = entry.offset.checked_add(entry.len.into())?;
        let strip = self.file_range(entry.offset, end).ok()?;
        (strip.len().is_power_of_two() && checksum(self.seed, entry.offset, strip) == entry.checksum).then_some(strip)
    }

    /// The unit at this offset, if it was found damaged and could be mended.
    pub(super) fn mended(&self, offset: u64) -> Option<&[u8]> {
        self.mended.get(offset)
    }

    /// The templates that the pages of a column share.
    ///
    /// # Errors
    /// Corrupt if they are damaged.
    pub fn templates(&self, column: u32) -> Result<TemplateTable<'_>> {
        self.section(SectionKind::Templates, column)?.map_or(Ok(TemplateTable::default()), TemplateTable::open)
    }

    /// The dictionary of a field's column, if it has one: then all values of the field are in it.
    ///
    /// # Errors
    /// Corrupt if it is damaged.
    pub fn dictionary(&self, field: u32) -> Result<Option<DictionaryView<'_>>> {
        let coded = |column: &OpenColumn| column.entry.form == ColumnForm::Dictionary as u8;
        if self.columns.get(&(FIELD_COLUMN_FIRST + field)).is_some_and(coded) { self.texts_of(field) } else { Ok(None) }
    }

    /// The byte strings that classes tell of a field, by code, beside those of its column if that is coded.
    ///
    /// # Errors
    /// Corrupt if they are damaged.
    pub fn texts_of(&self, field: u32) -> Result<Option<DictionaryView<'_>>> {
        self.section(SectionKind::Dictionary, field)?.map(DictionaryView::open).transpose()
    }

    /// A byte string that classes tell of a field, by its code.
    ///
    /// # Errors
    /// Corrupt if there is none.
    pub fn told_text(&self, field: u32, code: u64) -> Result<&[u8]> {
        let known = |texts: &DictionaryView<'_>| code < texts.len() as u64;
        let texts = self.texts_of(field)?.filter(known);
        let unknown = || Error::corrupt(format!("segment {}: told code {code} of field {field} is unknown", self.name));
        Ok(texts.ok_or_else(unknown)?.get(code as u32))
    }

    /// The strings of the schema.
    ///
    /// # Errors
    /// Corrupt if they are damaged.
    pub fn schema_strings(&self) -> Result<DictionaryView<'_>> {
        DictionaryView::open(self.needed(SectionKind::Strings, 0)?)
    }

    /// The trace-id index; `None` if it is damaged, which costs time and nothing else.
    pub fn trace_index(&self) -> Option<TraceIndex<'_>> {
        TraceIndex::from_validated(self.section_at(self.trace_index?).ok()?, self.traces()).ok()
    }

    /// A page index by code; `None` if it is damaged.
    pub fn page_index(&self, kind: SectionKind) -> Option<CodeIndex<'_, Page>> {
        CodeIndex::from_validated(self.needed(kind, 0).ok()?, self.row_pages()).ok()
    }

    /// The term index of a column; `None` if it has none or it is damaged.
    pub fn terms(&self, column: &FieldColumn, pages: u32) -> Option<TermIndex<'_>> {
        TermIndex::from_validated(self.section(SectionKind::Terms, column.terms).ok()??, pages).ok()
    }

    /// The zone map of the span pages; `None` if it is damaged.
    pub fn zones(&self) -> Option<ZoneMap<'_>> {
        ZoneMap::from_validated(self.needed(SectionKind::Zones, 0).ok()?, self.row_pages()).ok()
    }

    /// The rollup by group; `None` if it is missing or damaged, which costs time and nothing else.
    pub fn rollup(&self) -> Option<Rollup<'_>> {
        let bytes = self.section(SectionKind::Rollup, ROLLUP_GROUPS).ok()??;
        let heads = self.rollup_heads.get_or_init(|| RollupHeads::read(bytes).ok());
        heads.as_ref().map(|heads| Rollup::with_heads(heads, bytes))
    }

    /// The rollup by link; `None` if it is missing or damaged.
    pub fn edge_rollup(&self) -> Option<Rollup<'_, EdgeCodes>> {
        let bytes = self.section(SectionKind::Rollup, ROLLUP_EDGES).ok()??;
        let heads = self.edge_heads.get_or_init(|| RollupHeads::read(bytes).ok());
        heads.as_ref().map(|heads| Rollup::with_heads(heads, bytes))
    }

    /// The slowest rows of every link; `None` if they are missing or damaged.
    pub fn edge_tails(&self) -> Option<TailLists<'_, EdgeCodes>> {
        let bytes = self.section(SectionKind::TailLists, EDGE_TAILS).ok()??;
        let heads = self.edge_tail_heads.get_or_init(|| TailHeads::read(bytes, self.rows()).ok());
        heads.as_ref().map(|heads| TailLists::new(heads, bytes))
    }

    /// The traces that are not linked along their rows; `None` if the list is missing or damaged.
    pub fn odd_traces(&self) -> Option<&TraceSet> {
        let bytes = self.section(SectionKind::OddTraces, 0).ok()??;
        self.odd_traces.get_or_init(|| TraceSet::read(bytes, self.traces()).ok()).as_ref()
    }

    /// Counts and sums by step of time and group; `None` if there are too few rows for any, or they are damaged.
    pub fn steps(&self) -> Option<Steps<'_>> {
        Steps::open(self.section(SectionKind::Steps, GROUP_STEPS).ok()??).ok()
    }

    /// The same by half of a service.
    pub fn service_steps(&self) -> Option<Steps<'_>> {
        Steps::open(self.section(SectionKind::Steps, SERVICE_STEPS).ok()??).ok()
    }

    /// The slowest rows of every operation; `None` if they are missing or damaged.
    pub fn tail_lists(&self) -> Option<TailLists<'_>> {
        let bytes = self.section(SectionKind::TailLists, OPERATION_TAILS).ok()??;
        let heads = self.tail_heads.get_or_init(|| TailHeads::read(bytes, self.rows()).ok());
        heads.as_ref().map(|heads| TailLists::new(heads, bytes))
    }

    /// The pages of the operations that have tail lists, in the same order, by duration bucket; `None` if they
    /// are missing or damaged.
    pub fn cell_pages(&self) -> Option<CellPages<'_>> {
        CellPages::open(self.section(SectionKind::CellPages, 0).ok()??, self.row_pages()).ok()
    }

    /// The slowest rows of an operation; `None` if it has no list, or it is damaged.
    pub fn tail_list(&self, operation: OperationCodes) -> Option<TailList> {
        let lists = self.tail_lists()?;
        let place = lists.operations().position(|codes| codes == operation)?;
        lists.list(place).ok()
    }

    /// The ordinal of the trace that the first row of each page belongs to.
    ///
    /// # Errors
    /// Corrupt if the list is damaged.
    pub fn page_ordinals(&self) -> Result<&[u32]> {
        let numbers = pod_slice::<u32>(self.needed(SectionKind::PageOrdinals, 0)?).unwrap_or_default();
        let is_sound = || numbers.len() == self.row_pages() as usize && numbers.iter().all(|o| *o < self.traces());
        ensure(*self.ordinals_sound.get_or_init(is_sound), || {
            format!("segment {}: page ordinals are not sound", self.name)
        })?;
        Ok(numbers)
    }

    /// The ordinals of all traces with a row on a page of span rows.
    ///
    /// # Errors
    /// Corrupt if the list is damaged.
    pub fn traces_on(&self, page: u32) -> Result<RangeInclusive<u32>> {
        let firsts = self.page_ordinals()?;
        let of = |page: u32| firsts.get(page as usize).copied();
        let first = of(page).ok_or_else(|| Error::corrupt(format!("page {page} has no first trace")))?;
        Ok(first..=of(page + 1).unwrap_or(self.traces().saturating_sub(1)))
    }

    /// The first row of every page of a sparse row list.
    ///
    /// # Errors
    /// Corrupt if the list is damaged.
    pub fn sparse_starts(&self, column: Fixed) -> Result<&[u32]> {
        let section = self.needed(SectionKind::SparseStarts, column as u32)?;
        pod_slice::<u32>(section).ok_or_else(|| Error::corrupt(format!("segment {}: row list starts", self.name)))
    }

    /// Schema, resources and scopes, read at the first call.
    ///
    /// # Errors
    /// Corrupt if they are damaged.
    pub fn tables(&self) -> Result<&Tables> {
        if let Some(tables) = self.tables.get() {
            return Ok(tables);
        }
        let tables = self.read_tables().map_err(|e| e.at(format!("segment {}", self.name)))?;
        Ok(self.tables.get_or_init(|| tables))
    }

    fn read_tables(&self) -> Result<Tables> {
        let strings = self.schema_strings()?;
        strings.validate()?;
        let mut scopes = Vec::new();
        let mut reader = Reader::new(self.needed(SectionKind::Scopes, 0)?);
        for _ in 0..reader.count(1, "scopes")? {
            scopes.push(Arc::new(decode_scope(&mut Reader::new(reader.block("scope")?))?));
        }
        let mut reader = Reader::new(self.needed(SectionKind::Schema, 0)?);
        let gained = [reader.count(1, "fields")?, reader.count(1, "shapes")?, reader.count(1, "classes")?];
        let mut schema = Schema::default();
        decode_schema(&mut schema, gained, &mut reader)?;
        schema.validate([0; 3], strings.len(), scopes.len())?;
        let class_rows: Vec<u64> = (0..gained[2]).map(|_| reader.varint("class rows")).collect::<Result<_>>()?;
        let without_start = |(class, rows): (&Class, &u64)| *rows > 0 && class.bits.has(ClassBits::NO_START);
        let lacks_starts = schema.classes.iter().zip(&class_rows).any(without_start);
        let told = Told::read(self.section(SectionKind::Told, 0)?, &schema)?;
        let mut tables = Tables {
            told,
            texts: Texts::of(strings),
            overflow: Overflow::new(&schema, |column| self.columns.contains_key(&column)),
            schema,
            class_rows,
            lacks_starts,
            scopes,
            resources: Vec::new(),
            class_resources: ClassResources::plain(0, 0),
            resource_keys: FxHashSet::default(),
            services: Vec::new(),
            resource_rows: Vec::new(),
        };
        let mut reader = Reader::new(self.needed(SectionKind::Resources, 0)?);
        for _ in 0..reader.count(3, "resources")? {
            let resource = decode_resource(&mut Reader::new(reader.block("resource")?))?;
            for attribute in &resource.attributes {
                if !tables.resource_keys.contains(&attribute.key) {
                    tables.resource_keys.insert(attribute.key.clone());
                }
            }
            tables.resources.push(Arc::new(resource));
            tables.services.push(read_optional(&mut reader, "resource service")?);
            tables.resource_rows.push(reader.varint("resource rows")?);
        }
        let form = self.columns.get(&(Fixed::Resource as u32)).map(|column| column.entry.form);
        tables.class_resources = if form == Some(ColumnForm::ByService as u8) {
            ByService::of(&tables.services, &tables.resource_rows).of_classes(&tables.schema.classes)
        } else {
            ClassResources::plain(tables.resources.len(), tables.schema.classes.len())
        };
        Ok(tables)
    }

    /// The low half of every trace's id, by ordinal.
    ///
    /// # Errors
    /// Corrupt if the trace table is damaged.
    pub fn lows(&self, counter: &ReadCounter) -> Result<Vec<u64>> {
        let (mut out, mut page) = (Vec::with_capacity(self.traces() as usize), Vec::new());
        for index in 0..(self.traces() as usize).div_ceil(PAGE_ROWS) {
            self.integers(Fixed::TraceLow as u32, index, counter, &mut page)?;
            out.extend_from_slice(&page);
        }
        Ok(out)
    }

    /// Ordinals of traces that share the low half of their id with another of this segment.
    ///
    /// # Errors
    /// Corrupt if the trace table is damaged.
    pub fn colliding_ordinals(&self, counter: &ReadCounter) -> Result<Vec<u32>> {
        let lows = self.lows(counter)?;
        let mut sorted: Vec<(u64, u32)> = lows.into_iter().zip(0..).collect();
        sorted.sort_unstable();
        let pairs = sorted.windows(2).filter(|pair| pair[0].0 == pair[1].0);
        Ok(pairs.flat_map(|pair| [pair[0].1, pair[1].1]).collect())
    }

    /// Where the values of a field stand.
    ///
    /// # Errors
    /// As [`Segment::tables`].
    pub fn field_column(&self, field: u32) -> Result<FieldColumn> {
        Ok(self.tables()?.column_of(field))
    }
}

/// Texts by code, checked once.
#[derive(Debug)]
struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    /// The strings of a dictionary; one that is no text is empty.
    fn of(strings: DictionaryView<'_>) -> Self {
        let mut out = Self { all: String::new(), ends: Vec::with_capacity(strings.len()) };
        for bytes in strings.iter() {
            out.all.push_str(std::str::from_utf8(bytes).unwrap_or_default());
            out.ends.push(out.all.len());
        }
        out
    }

    /// The text of a code, empty if there is none.
    fn get(&self, code: u32) -> &str {
        let Some(end) = self.ends.get(code as usize) else { return "" };
        let begin = (code as usize).checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.all[begin..*end]
    }
}

impl Tables {
    /// The resource of a row of this class, of which the column of resources says this.
    ///
    /// # Errors
    /// Corrupt if there is none.
    #[inline]
    pub fn resource_of(&self, class: u32, said: u64) -> Result<u32> {
        let unknown = || Error::corrupt(format!("resource {said} of class {class} is unknown"));
        self.class_resources.get(class, said).ok_or_else(unknown)
    }

    /// Where the values of a field of the schema stand.
    pub fn column_of(&self, field: u32) -> FieldColumn {
        if self.overflow.holds(field) {
            FieldColumn::overflow(self.schema.fields[field as usize].table, field)
        } else {
            FieldColumn::own(field)
        }
    }
}

/// A segment whose tables were read: what turns codes to meaning.
#[derive(Clone, Copy, Debug)]
pub struct SegmentSource<'a> {
    /// The tables.
    pub tables: &'a Tables,
    /// The schema's strings.
    pub strings: DictionaryView<'a>,
}

impl Segment {
    /// The source of this segment's rows.
    ///
    /// # Errors
    /// As [`Segment::tables`].
    pub fn source(&self) -> Result<SegmentSource<'_>> {
        Ok(SegmentSource { tables: self.tables()?, strings: self.schema_strings()? })
    }
}

impl RowSource for SegmentSource<'_> {
    fn schema(&self) -> &Schema {
        &self.tables.schema
    }

    fn text(&self, code: u32) -> &str {
        self.tables.texts.get(code)
    }

    fn resource(&self, code: u32) -> Result<Arc<Resource>> {
        let unknown = || Error::corrupt(format!("resource {code} is unknown"));
        self.tables.resources.get(code as usize).cloned().ok_or_else(unknown)
    }

    fn scope(&self, code: u32) -> Result<Arc<Scope>> {
        let unknown = || Error::corrupt(format!("scope {code} is unknown"));
        self.tables.scopes.get(code as usize).cloned().ok_or_else(unknown)
    }

    fn may_have_resource_key(&self, key: &str) -> bool {
        self.tables.resource_keys.contains(key)
    }
}
