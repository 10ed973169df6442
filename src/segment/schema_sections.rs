//! How the tables that give codes a meaning are written: schema, strings, resources, scopes.

use crate::bytes::Writer;
use crate::column::{encode_resource, encode_schema, encode_scope, optional};
use crate::error::Result;

use super::dictionary::encode_strings_section;
use super::layout::SectionKind;
use super::unite::United;
use super::writer::SegmentWriter;

/// Writes the united tables, with the rows of every class and resource.
///
/// # Errors
/// Whatever the file says.
pub fn write_schema(united: &United<'_>, out: &mut SegmentWriter) -> Result<()> {
    let schema = united.schema();
    let mut bytes = Writer::new();
    for len in [schema.fields.len(), schema.shapes.len(), schema.classes.len()] {
        bytes.varint(len as u64);
    }
    encode_schema(&schema, [0; 3], &mut bytes);
    united.class_rows.iter().for_each(|rows| bytes.varint(*rows));
    out.section(SectionKind::Schema, 0, bytes.as_slice())?;
    let texts: Vec<&[u8]> = united.strings.items.iter().map(|s| s.as_bytes()).collect();
    out.section(SectionKind::Strings, 0, &encode_strings_section(&texts, &[]))?;
    let mut bytes = Writer::new();
    let mut one = Writer::new();
    bytes.varint(united.resources.items.len() as u64);
    for (i, resource) in united.resources.items.iter().enumerate() {
        one.as_mut_vec().clear();
        encode_resource(resource, &mut one);
        bytes.block(one.as_slice());
        bytes.varint(optional(united.services[i]));
        bytes.varint(united.resource_rows[i]);
    }
    out.section(SectionKind::Resources, 0, bytes.as_slice())?;
    let mut bytes = Writer::new();
    bytes.varint(united.scopes.items.len() as u64);
    for scope in &united.scopes.items {
        one.as_mut_vec().clear();
        encode_scope(scope, &mut one);
        bytes.block(one.as_slice());
    }
    out.section(SectionKind::Scopes, 0, bytes.as_slice())
}
