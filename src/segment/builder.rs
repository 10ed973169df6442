//! Head chapters to a segment.
//!
//! First the rows are ordered ([`super::order`]). Then they are walked once in that order, gathering every
//! column and the pages each code occurs in. Last, columns, dictionaries and indexes are written
//! ([`super::writer`]).
//!
//! Memory: the rows' fixed parts and four bytes a text, eight a number, beside the chapters themselves.

use std::cell::RefCell;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::bytes::{Seed, zigzag_encode};
use crate::column::{ClassBits, Table, ValueType};
use crate::error::Result;
use crate::head::{Chapter, FrozenChapter};
use crate::limits::PAGE_ROWS;
use crate::os::WritableFile;

use super::field_columns::{
    SMALL_DICTIONARY_LEN, common_limit, term_index, write_dictionary, write_numbers, write_ranks,
};
use super::fixed_columns::{write_fixed, write_page_ordinals, write_resources};
use super::layout::{
    ColumnForm, FIELD_COLUMN_FIRST, Fixed, OVERFLOW_COLUMN_FIRST, OVERFLOW_RANK_COLUMN_FIRST, SectionKind,
    SegmentDirectory,
};
use super::link_indexes::{LinkColumns, LinkSections};
use super::order::{OrderRow, RowOrder, fingerprint_of, last_instant, order_rows};
use super::overflow::OverflowBuilder;
use super::own_fields::{ValueCounts, own_fields};
use super::ranked::Ranked;
use super::row_indexes::RowIndexes;
use super::schema_sections::write_schema;
use super::telling::Telling;
use super::text_ids::{TextColumn, TextIds};
use super::told::{ToldValues, encode_told};
use super::unite::{CodeSource, United};
use super::writer::SegmentWriter;

/// What a segment is built from.
pub struct SegmentInput<'a> {
    /// The chapters whose rows it takes.
    pub chapters: &'a [Arc<FrozenChapter>],
    /// Rows of a block.
    pub block_rows: usize,
    /// First append sequence, and the one after the last.
    pub sequences: (u64, u64),
    /// Log files it replaces.
    pub replaces_logs: Vec<u64>,
}

/// Where a value of a row goes.
#[derive(Clone, Copy)]
struct Slot {
    /// The segment's field.
    field: u32,
    value_type: ValueType,
}

/// The values of a field.
enum FieldValues {
    /// Names of byte strings.
    Texts(Ranked<u32>),
    Numbers(Ranked),
}

impl FieldValues {
    /// No values yet, with room for all of this field, named by its code in a chapter.
    fn new(counts: &ValueCounts<'_>, chapter: &Chapter, code: u32) -> Self {
        let count = counts.get(chapter, code);
        match chapter.schema.fields[code as usize].value_type.is_bytes() {
            true => Self::Texts(Ranked::with_capacity(count)),
            false => Self::Numbers(Ranked::with_capacity(count)),
        }
    }
}

/// Columns of a segment as they are gathered.
struct Gathered<'a> {
    chapters: &'a [Arc<FrozenChapter>],
    united: United<'a>,
    /// Which values classes tell; these are in no column.
    telling: Telling<'a>,
    /// Where the values of a shape go, by chapter and shape; empty until a row has it.
    slots: Vec<Vec<Vec<Slot>>>,
    texts: TextIds<'a>,
    counts: ValueCounts<'a>,
    fields: Vec<FieldValues>,
    /// Fields from this code on are overflow fields.
    own_end: u32,
    /// Their columns, by table.
    overflow: [OverflowBuilder; 3],
    /// Rows so far, by table.
    rows: [usize; 3],
    fixed: Vec<Vec<u64>>,
    indexes: RowIndexes,
    first_sequence: u64,
}

/// Writes the chapters' rows as a segment into `file` and syncs its bytes.
///
/// # Errors
/// Whatever the file says; then what was written is of no use.
pub fn build_segment(
    input: SegmentInput<'_>,
    file: Box<dyn WritableFile>,
    seed: Seed,
) -> Result<(SegmentDirectory, u64)> {
    let places: Vec<(u32, u32)> = input
        .chapters
        .iter()
        .enumerate()
        .flat_map(|(c, chapter)| (0..chapter.rows.len()).map(move |row| (c as u32, row as u32)))
        .collect();
    let order = order_of(input.chapters, &places);
    let gathered = gather(&input, &places, &order);
    write(input, gathered, &order, SegmentWriter::new(file, seed))
}

fn order_of(chapters: &[Arc<FrozenChapter>], places: &[(u32, u32)]) -> RowOrder {
    let mut services: FxHashMap<&str, u32> = FxHashMap::default();
    let mut rows = Vec::with_capacity(places.len());
    for chapter in chapters {
        let service_of: Vec<u32> = chapter
            .resources
            .iter()
            .map(|r| {
                let next = services.len() as u32;
                *services.entry(chapter.strings.text(r.service)).or_insert(next)
            })
            .collect();
        rows.extend(chapter.rows.iter().map(|row| {
            let class = &chapter.schema.classes[row.class as usize];
            OrderRow {
                trace_id: row.trace_id,
                span_id: row.span_id,
                parent: row.parent,
                start: row.start,
                end: row.end,
                last: last_instant(row.start, row.end, class.bits.has(ClassBits::ZIPKIN)),
                service: service_of[row.resource as usize],
                shared: class.bits.has(ClassBits::SHARED),
            }
        }));
    }
    let span = |i: u32| {
        let (chapter, row) = places[i as usize];
        chapters[chapter as usize].span(row).ok()
    };
    let known: RefCell<FxHashMap<u32, u64>> = RefCell::default();
    let fingerprint = |i: u32| *known.borrow_mut().entry(i).or_insert_with(|| fingerprint_of(span(i).as_ref()));
    order_rows(&rows, &fingerprint, &|a, b| span(a) == span(b))
}

fn gather<'a>(input: &SegmentInput<'a>, places: &[(u32, u32)], order: &RowOrder) -> Gathered<'a> {
    let mut united = United::new(input.chapters.iter().map(|chapter| -> &dyn CodeSource { &***chapter }).collect());
    let rows = order.rows.iter().map(|row| places[*row as usize]);
    let counts = ValueCounts::of(input.chapters);
    let mut fields = Vec::new();
    let own_end = own_fields(input.chapters, rows).map_or(u32::MAX, |own| {
        // The fields with columns have the first codes, so those of their columns are in range.
        for (chapter, field) in &own {
            united.field(*chapter, *field);
            fields.push(FieldValues::new(&counts, &input.chapters[*chapter], *field));
        }
        own.len() as u32
    });
    let mut out = Gathered {
        chapters: input.chapters,
        united,
        telling: Telling::of(input.chapters),
        slots: input.chapters.iter().map(|c| vec![Vec::new(); c.schema.shapes.len()]).collect(),
        texts: TextIds::new(input.chapters),
        counts,
        fields,
        own_end,
        overflow: Default::default(),
        rows: [0; 3],
        fixed: fixed_columns(order),
        indexes: RowIndexes::new(input.block_rows),
        first_sequence: input.sequences.0,
    };
    for trace in 0..order.traces.len() {
        let first = order.traces[trace].first_row as usize;
        let last = order.traces.get(trace + 1).map_or(order.rows.len(), |t| t.first_row as usize);
        out.add_trace(&order.traces[trace], order, first..last, places);
    }
    out
}

/// Columns by code, with room for what every row and trace has.
fn fixed_columns(order: &RowOrder) -> Vec<Vec<u64>> {
    let mut out = vec![Vec::new(); Fixed::ALL.len() + 1];
    for column in Fixed::ALL {
        out[column as usize] = Vec::with_capacity(match column {
            Fixed::SpanId | Fixed::Depth | Fixed::Start | Fixed::Length => order.rows.len(),
            Fixed::Class | Fixed::Resource | Fixed::Sequence => order.rows.len(),
            Fixed::TraceHigh | Fixed::TraceLow | Fixed::TraceRow => order.traces.len(),
            Fixed::TraceStart | Fixed::TraceDuration => order.traces.len(),
            _ => 0,
        });
    }
    out
}

impl Gathered<'_> {
    fn put(&mut self, column: Fixed, value: u64) {
        self.fixed[column as usize].push(value);
    }

    fn add_trace(
        &mut self,
        trace: &super::order::OrderedTrace,
        order: &RowOrder,
        rows: std::ops::Range<usize>,
        places: &[(u32, u32)],
    ) {
        self.put(Fixed::TraceHigh, trace.trace_id.high());
        self.put(Fixed::TraceLow, trace.trace_id.low());
        self.put(Fixed::TraceRow, rows.start as u64);
        self.put(Fixed::TraceStart, trace.start);
        self.put(Fixed::TraceDuration, trace.duration);
        // The span ids on the way from the trace's top to the row before, one a level.
        let mut path: Vec<u64> = Vec::new();
        for at in rows {
            let (chapter, row) = places[order.rows[at] as usize];
            let depth = order.depths[at] as usize;
            path.truncate(depth);
            let implied = path.last().copied().unwrap_or(0);
            self.add_row(chapter as usize, row, depth, implied, trace.start);
            path.push(self.chapters[chapter as usize].rows[row as usize].span_id);
        }
    }

    fn add_row(&mut self, chapter: usize, index: u32, depth: usize, implied_parent: u64, trace_start: u64) {
        let chapters = self.chapters;
        let row = &chapters[chapter].rows[index as usize];
        let at = self.rows[0] as u64;
        let class = self.united.class(chapter, row.class);
        let resource = self.united.resource(chapter, row.resource);
        self.put(Fixed::SpanId, row.span_id);
        self.put(Fixed::Depth, depth as u64);
        self.put(Fixed::Start, if row.start == 0 { 0 } else { row.start - trace_start + 1 });
        self.put(Fixed::Length, row.end.wrapping_sub(row.start));
        self.put(Fixed::Class, class.into());
        self.put(Fixed::Resource, resource.into());
        self.put(Fixed::Sequence, chapters[chapter].sequence(row).wrapping_sub(self.first_sequence));
        if row.parent != implied_parent {
            self.put(Fixed::ParentRow, at);
            self.put(Fixed::ParentId, row.parent);
        }
        self.indexes.add(class, self.united.class_at(class), row.start, row.end);
        self.add_values(Table::Span, chapter, row.class, row.values);
        let bits = self.united.class_at(class).bits;
        if bits.has(ClassBits::EVENTS) {
            self.add_events(chapter, index, at, row.start);
        }
        if bits.has(ClassBits::LINKS) {
            self.add_links(chapter, index, at);
        }
    }

    /// Gathers the values of one row of a table, and counts the row.
    fn add_values(&mut self, table: Table, chapter: usize, class: u32, first: u32) {
        let rows = &mut self.rows[table as usize - 1];
        let page = *rows / PAGE_ROWS;
        *rows += 1;
        let source = &self.chapters[chapter];
        let shape = source.schema.classes[class as usize].shape as usize;
        let codes = source.codes(class, first);
        if self.slots[chapter][shape].len() != codes.len() {
            self.learn_shape(chapter, shape);
        }
        let told = if table == Table::Span { self.telling.places(chapter, class) } else { &[] };
        for (place, (slot, &code)) in self.slots[chapter][shape].iter().zip(codes).enumerate() {
            if slot.field < self.own_end && told.get(place) == Some(&true) {
                continue;
            }
            match self.fields.get_mut(slot.field as usize) {
                Some(FieldValues::Texts(column)) => column.push(page, self.texts.name(chapter, code)),
                Some(FieldValues::Numbers(column)) => column.push(page, source.number(slot.value_type, code)),
                None => {
                    let value = match slot.value_type.is_bytes() {
                        true => self.texts.name(chapter, code).into(),
                        false => source.number(slot.value_type, code),
                    };
                    self.overflow[table as usize - 1].push(page, slot.field, value);
                }
            }
        }
    }

    fn learn_shape(&mut self, chapter: usize, shape: usize) {
        let schema = &self.chapters[chapter].schema;
        for &code in &schema.shapes[shape] {
            let value_type = schema.fields[code as usize].value_type;
            let field = self.united.field(chapter, code);
            // Overflow fields have no column; the others come in the order of their codes.
            if field < self.own_end && field as usize == self.fields.len() {
                self.fields.push(FieldValues::new(&self.counts, &self.chapters[chapter], code));
            }
            self.slots[chapter][shape].push(Slot { field, value_type });
        }
    }

    fn add_events(&mut self, chapter: usize, index: u32, at: u64, span_start: u64) {
        let chapters = self.chapters;
        for event in chapters[chapter].events_of(index) {
            let class = self.united.class(chapter, event.class);
            self.put(Fixed::EventRow, at);
            self.put(Fixed::EventTime, zigzag_encode(event.time.wrapping_sub(span_start) as i64));
            self.put(Fixed::EventClass, class.into());
            self.add_values(Table::Event, chapter, event.class, event.values);
        }
    }

    fn add_links(&mut self, chapter: usize, index: u32, at: u64) {
        let chapters = self.chapters;
        for link in chapters[chapter].links_of(index) {
            let class = self.united.class(chapter, link.class);
            let trace = u128::from_be_bytes(link.trace_id);
            self.put(Fixed::LinkRow, at);
            self.put(Fixed::LinkTraceHigh, (trace >> 64) as u64);
            self.put(Fixed::LinkTraceLow, trace as u64);
            self.put(Fixed::LinkSpan, u64::from_be_bytes(link.span_id));
            self.put(Fixed::LinkClass, class.into());
            self.add_values(Table::Link, chapter, link.class, link.values);
        }
    }
}

fn write(
    input: SegmentInput<'_>,
    mut gathered: Gathered<'_>,
    order: &RowOrder,
    mut out: SegmentWriter,
) -> Result<(SegmentDirectory, u64)> {
    let directory = out.directory();
    directory.rows = gathered.rows[0] as u64;
    directory.events = gathered.rows[1] as u64;
    directory.links = gathered.rows[2] as u64;
    directory.traces = order.traces.len() as u64;
    directory.block_rows = input.block_rows as u32;
    (directory.start_min, directory.start_max) = gathered.indexes.starts();
    directory.sequences = input.sequences;
    directory.replaces_logs = input.replaces_logs;
    let fixed = |column: Fixed| &gathered.fixed[column as usize][..];
    let links = LinkSections::of(
        &LinkColumns {
            trace_rows: fixed(Fixed::TraceRow),
            trace_highs: fixed(Fixed::TraceHigh),
            span_ids: fixed(Fixed::SpanId),
            depths: fixed(Fixed::Depth),
            starts: fixed(Fixed::Start),
            lengths: fixed(Fixed::Length),
            classes: fixed(Fixed::Class),
            resources: fixed(Fixed::Resource),
            recorded: (fixed(Fixed::ParentRow), fixed(Fixed::ParentId)),
        },
        &gathered.united,
    )?;
    for column in Fixed::ALL {
        let values = &gathered.fixed[column as usize];
        if column == Fixed::Resource {
            let classes = gathered.fixed[Fixed::Class as usize].iter();
            let rows = classes.zip(values).map(|(class, resource)| (*class as u32, *resource as u32));
            write_resources(&gathered.united, rows, &mut out)?;
            gathered.fixed[Fixed::Class as usize] = Vec::new();
        } else {
            write_fixed(column, values, &mut out)?;
        }
        if ![Fixed::TraceRow, Fixed::Class].contains(&column) {
            gathered.fixed[column as usize] = Vec::new();
        }
    }
    write_page_ordinals(order.rows.len(), &gathered.fixed[Fixed::TraceRow as usize], &mut out)?;
    let mut told = gathered.telling.values(&gathered.united, gathered.own_end);
    for ((code, column), told) in std::mem::take(&mut gathered.fields).into_iter().enumerate().zip(&mut told) {
        let field = gathered.united.field_at(code as u32);
        let pages = gathered.rows[field.table as usize - 1].div_ceil(PAGE_ROWS);
        match column {
            FieldValues::Numbers(column) => {
                write_numbers(code as u32, field.value_type, &column.values, &column.ranks(pages), &mut out)?;
            }
            FieldValues::Texts(column) => {
                let ranks = column.ranks(pages);
                let name = |value: u64| gathered.texts.name((value >> 32) as usize, value as u32);
                let rows = |class: u32| gathered.united.class_rows[class as usize];
                let names: Vec<(u32, u64)> = told.iter().map(|(class, value)| (name(*value), rows(*class))).collect();
                let column = gathered.texts.column(&column.values, &names);
                write_texts(code as u32, column, &ranks, told, &mut out)?;
            }
        }
    }
    out.section(SectionKind::Told, 0, &encode_told(&told))?;
    for table in [Table::Span, Table::Event, Table::Link] {
        write_overflow(&mut gathered, table, &mut out)?;
    }
    write_schema(&gathered.united, &mut out)?;
    gathered.indexes.write(&mut out)?;
    links.write(&mut out)?;
    out.finish()
}

/// Writes a column of byte strings; of what is told the dictionary's codes take the place of the texts.
fn write_texts(
    code: u32,
    column: TextColumn<'_>,
    ranks: &[u64],
    told: &mut ToldValues,
    out: &mut SegmentWriter,
) -> Result<()> {
    write_ranks(code, ranks, out)?;
    let mut terms = term_index(ranks.len() - 1);
    column.add_terms(ranks, &mut terms);
    out.section(SectionKind::Terms, code, &terms.finish())?;
    let set = |told: &mut ToldValues, codes: &[u64]| told.iter_mut().zip(codes).for_each(|(t, code)| t.1 = *code);
    let dictionary = column.dictionary();
    if let Some(dictionary) = &dictionary
        && dictionary.section.len() <= SMALL_DICTIONARY_LEN
    {
        set(told, &dictionary.told);
        return write_dictionary(code, dictionary, out);
    }
    let texts = column.texts();
    match dictionary {
        Some(dictionary) if dictionary.encoded_len() <= out.strings_len(&texts) => {
            set(told, &dictionary.told);
            write_dictionary(code, &dictionary, out)
        }
        _ => {
            if let Some(dictionary) = column.told_dictionary() {
                set(told, &dictionary.told);
                out.section(SectionKind::Dictionary, code, &dictionary.section)?;
            }
            out.strings(FIELD_COLUMN_FIRST + code, &texts)
        }
    }
}

/// Writes the column of the table's overflow fields if it has any.
fn write_overflow(gathered: &mut Gathered<'_>, table: Table, out: &mut SegmentWriter) -> Result<()> {
    let overflow = std::mem::take(&mut gathered.overflow[table as usize - 1]);
    if overflow.is_empty() {
        return Ok(());
    }
    let pages = gathered.rows[table as usize - 1].div_ceil(PAGE_ROWS);
    let type_of = |field: u32| gathered.united.field_at(field).value_type;
    let built = overflow.finish(pages, common_limit(pages), type_of, |value| gathered.texts.bytes_of(value as u32));
    let (values, ranks) = (OVERFLOW_COLUMN_FIRST + table as u32, OVERFLOW_RANK_COLUMN_FIRST + table as u32);
    out.integers(ranks, ColumnForm::Integers, &built.ranks)?;
    out.section(SectionKind::Terms, values, &built.terms)?;
    out.strings(values, &built.values)
}
