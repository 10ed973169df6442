//! A log record: what a chapter gained since the record before.
//!
//! ```text
//! record := from mark (11 varints), gained (11 varints), sections in this order
//! strings    lengths (varints), bytes             wide    u64 each
//! fields, shapes, classes: see column/schema_bytes  rows    64 bytes each, as in memory
//! resources  length varint, encoded resource      values  u32 each
//! scopes     length varint, encoded scope         events  24 bytes each    links 40 bytes each
//! ```
//! Records of one chapter apply in order: each says at which lengths it begins.

use std::sync::Arc;

use crate::bytes::{Reader, Writer, as_bytes, extend_pods};
use crate::column::{
    NONE, Table, ValueType, decode_resource, decode_schema, decode_scope, encode_resource, encode_schema, encode_scope,
    optional, read_optional,
};
use crate::error::{Error, Result, ensure};

use super::builder::Mark;
use super::chapter::{Chapter, ChapterResource, WIDE};

/// Appends what `chapter` gained since `from`.
pub fn encode_record(chapter: &Chapter, from: &Mark, out: &mut Writer) {
    let now = Mark::of(chapter);
    let (from_counts, now_counts) = (counts(from), counts(&now));
    from_counts.iter().for_each(|c| out.varint(*c as u64));
    from_counts.iter().zip(now_counts).for_each(|(a, b)| out.varint((b - a) as u64));
    for string in chapter.strings.since(from.strings) {
        out.varint(string.len() as u64);
    }
    chapter.strings.since(from.strings).for_each(|string| out.bytes(string));
    encode_schema(&chapter.schema, [from.fields, from.shapes, from.classes], out);
    let mut scratch = Writer::new();
    for resource in &chapter.resources[from.resources..] {
        scratch.as_mut_vec().clear();
        encode_resource(&resource.resource, &mut scratch);
        out.block(scratch.as_slice());
        out.varint(optional(resource.service));
    }
    for scope in &chapter.scopes[from.scopes..] {
        scratch.as_mut_vec().clear();
        encode_scope(scope, &mut scratch);
        out.block(scratch.as_slice());
    }
    out.bytes(as_bytes(&chapter.wide[from.wide..]));
    out.bytes(as_bytes(&chapter.rows[from.rows..]));
    out.bytes(as_bytes(&chapter.values[from.values..]));
    out.bytes(as_bytes(&chapter.events[from.events..]));
    out.bytes(as_bytes(&chapter.links[from.links..]));
}

/// Applies a record to the chapter it continues. On an error the chapter is left as it was.
///
/// # Errors
/// Corrupt if the record does not continue this chapter or points outside its tables.
pub fn apply_record(chapter: &mut Chapter, payload: &[u8]) -> Result<()> {
    let mut reader = Reader::new(payload);
    let from = read_counts(&mut reader)?;
    ensure(from == counts(&Mark::of(chapter)), || "the record does not continue its chapter".to_owned())?;
    let gained = read_counts(&mut reader)?;
    let mark = Mark::of(chapter);
    let result = read_sections(chapter, gained, &mut reader).and_then(|()| validate(chapter, &mark));
    if result.is_err() {
        cut(chapter, &mark);
    }
    result
}

fn read_sections(chapter: &mut Chapter, gained: [usize; 11], reader: &mut Reader<'_>) -> Result<()> {
    let [strings, fields, shapes, classes, resources, scopes, wide, rows, values, events, links] = gained;
    // Every item takes at least a byte, so no count above what is left can size anything.
    ensure(gained.iter().all(|count| *count <= reader.remaining()), || "a count exceeds the record".to_owned())?;
    let lens = (0..strings).map(|_| reader.count(1, "string length")).collect::<Result<Vec<_>>>()?;
    for len in lens {
        let total = chapter.strings.bytes_len() + len;
        ensure(u32::try_from(total).is_ok(), || "the chapter's strings exceed 4 GiB".to_owned())?;
        chapter.strings.push(reader.bytes(len, "string")?);
    }
    decode_schema(&mut chapter.schema, [fields, shapes, classes], reader)?;
    for _ in 0..resources {
        let resource = decode_resource(&mut Reader::new(reader.block("resource")?))?;
        let service = read_optional(reader, "resource service")?;
        chapter.resources.push(ChapterResource { resource: Arc::new(resource), service });
    }
    for _ in 0..scopes {
        chapter.scopes.push(Arc::new(decode_scope(&mut Reader::new(reader.block("scope")?))?));
    }
    read_list(reader, wide, "wide values", &mut chapter.wide)?;
    read_list(reader, rows, "rows", &mut chapter.rows)?;
    read_list(reader, values, "values", &mut chapter.values)?;
    read_list(reader, events, "events", &mut chapter.events)?;
    read_list(reader, links, "links", &mut chapter.links)?;
    reader.finish("record")
}

/// Checks everything after the mark: no later read needs to doubt a code.
fn validate(chapter: &Chapter, mark: &Mark) -> Result<()> {
    let strings = chapter.strings.len();
    let schema = &chapter.schema;
    schema.validate([mark.fields, mark.shapes, mark.classes], strings, chapter.scopes.len())?;
    for (i, resource) in chapter.resources.iter().enumerate().skip(mark.resources) {
        let known = resource.service == NONE || (resource.service as usize) < strings;
        ensure(known, || format!("resource {i}: its service is unknown"))?;
    }
    let mut next = mark.values;
    let mut events = chapter.events[mark.events..].iter().peekable();
    let mut links = chapter.links[mark.links..].iter().peekable();
    for (i, row) in chapter.rows.iter().enumerate().skip(mark.rows) {
        let sound = row.span_id != 0
            && row.trace_id != [0; 16]
            && row.order as usize == i
            && (row.resource as usize) < chapter.resources.len()
            && schema.classes.get(row.class as usize).is_some_and(|c| c.scope != NONE);
        ensure(sound, || format!("row {i} has no id, class, resource or order"))?;
        next = check_values(chapter, Table::Span, row.class, row.values, next)?;
        while let Some(event) = events.next_if(|e| e.span_row as usize == i) {
            next = check_values(chapter, Table::Event, event.class, event.values, next)?;
        }
        while let Some(link) = links.next_if(|l| l.span_row as usize == i) {
            next = check_values(chapter, Table::Link, link.class, link.values, next)?;
        }
    }
    ensure(events.peek().is_none() && links.peek().is_none(), || "an event or link has no span".to_owned())?;
    ensure(next == chapter.values.len(), || "values are left over".to_owned())
}

fn check_values(chapter: &Chapter, table: Table, class: u32, first: u32, expected: usize) -> Result<usize> {
    let schema = &chapter.schema;
    ensure((class as usize) < schema.classes.len(), || format!("class {class} is unknown"))?;
    ensure(first as usize == expected, || format!("values at {first}, expected {expected}"))?;
    let shape = schema.shape_of(class);
    let last = expected + shape.len();
    let codes = chapter.values.get(expected..last).ok_or_else(|| Error::corrupt("values are missing".to_owned()))?;
    for (field, code) in shape.iter().zip(codes) {
        let field = &schema.fields[*field as usize];
        let (strings, wide) = (chapter.strings.len() as u64, chapter.wide.len() as u64);
        let known = match field.value_type {
            t if t.is_bytes() => u64::from(*code) < strings,
            ValueType::Double => u64::from(*code) < wide,
            ValueType::Int => code & WIDE == 0 || u64::from(code & !WIDE) < wide,
            _ => true,
        };
        ensure(known && field.table == table, || format!("value {code} of a {:?} is unknown", field.value_type))?;
        if field.value_type == ValueType::String {
            let utf8 = std::str::from_utf8(chapter.strings.get(*code)).is_ok();
            ensure(utf8, || "a text is not UTF-8".to_owned())?;
        }
    }
    Ok(last)
}

fn cut(chapter: &mut Chapter, mark: &Mark) {
    chapter.strings.truncate(mark.strings);
    chapter.schema.fields.truncate(mark.fields);
    chapter.schema.shapes.truncate(mark.shapes);
    chapter.schema.classes.truncate(mark.classes);
    chapter.resources.truncate(mark.resources);
    chapter.scopes.truncate(mark.scopes);
    chapter.wide.truncate(mark.wide);
    chapter.rows.truncate(mark.rows);
    chapter.values.truncate(mark.values);
    chapter.events.truncate(mark.events);
    chapter.links.truncate(mark.links);
}

fn counts(mark: &Mark) -> [usize; 11] {
    [
        mark.strings,
        mark.fields,
        mark.shapes,
        mark.classes,
        mark.resources,
        mark.scopes,
        mark.wide,
        mark.rows,
        mark.values,
        mark.events,
        mark.links,
    ]
}

fn read_counts(reader: &mut Reader<'_>) -> Result<[usize; 11]> {
    let mut out = [0; 11];
    for slot in &mut out {
        let value = reader.varint("count")?;
        *slot = usize::try_from(value).map_err(|_| Error::corrupt("a count exceeds memory"))?;
    }
    Ok(out)
}

fn read_list<T: bytemuck::Pod>(reader: &mut Reader<'_>, count: usize, what: &str, out: &mut Vec<T>) -> Result<()> {
    let len = count.checked_mul(size_of::<T>()).ok_or_else(|| Error::corrupt(format!("{what}: too many")))?;
    extend_pods(reader.bytes(len, what)?, what, out)
}
