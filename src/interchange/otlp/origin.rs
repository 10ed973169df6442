//! Resource and scope: what the spans of a batch have in common.
//!
//! `ResourceSpans` and `ScopeSpans` have the same shape, `{1: head, 2: children, 3: schema URL}`, and
//! their fields come in any order: an [`Envelope`] is what one quick pass over the outer tags finds,
//! before the children are read.

use super::value::{Verdict, own_attributes, read_attribute};
use super::wire::{Broken, Fields};
use crate::model::{AttributeRef, EntityRef, Resource, Scope};

/// The head and the schema URL of a `ResourceSpans` or `ScopeSpans` message.
#[derive(Debug)]
pub struct Envelope<'a> {
    head: Option<Fields<'a>>,
    /// Further occurrences of the head, which are merged into the first. Almost always empty.
    more: Vec<Fields<'a>>,
    schema_url: &'a [u8],
    /// True if there are children.
    pub has_children: bool,
}

impl<'a> Envelope<'a> {
    /// Passes over the outer fields of the message.
    pub fn scan(mut fields: Fields<'a>) -> Result<Self, Broken> {
        let mut found = Self { head: None, more: Vec::new(), schema_url: &[], has_children: false };
        while let Some(tag) = fields.tag()? {
            match tag {
                0x0a if found.head.is_none() => found.head = Some(fields.message()?),
                0x0a => found.more.push(fields.message()?),
                0x12 => {
                    fields.bytes()?;
                    found.has_children = true;
                }
                0x1a => found.schema_url = fields.bytes()?,
                _ => fields.skip(tag, 1..=3)?,
            }
        }
        Ok(found)
    }

    /// Bytes that are equal only for equal heads and schema URLs: what arrived, if that is one piece.
    /// Empty where an absent and an empty head would look alike.
    pub fn wire(&self) -> [&'a [u8]; 2] {
        match &self.head {
            Some(head) if self.more.is_empty() && !head.rest().is_empty() => [head.rest(), self.schema_url],
            _ => [&[], &[]],
        }
    }

    fn heads(&self) -> impl Iterator<Item = Fields<'a>> {
        self.head.iter().chain(&self.more).cloned()
    }
}

/// A resource, borrowed.
#[derive(Debug, Default)]
pub struct ResourceRef<'a> {
    present: bool,
    attributes: Vec<AttributeRef<'a>>,
    dropped_attributes_count: u32,
    entity_refs: Vec<EntityRef>,
    schema_url: &'a str,
}

impl<'a> ResourceRef<'a> {
    /// Reads the resource of a `ResourceSpans` message.
    pub fn read(envelope: &Envelope<'a>, verdict: &mut Verdict) -> Result<Self, Broken> {
        let schema_url = verdict.text(envelope.schema_url);
        let mut resource = Self { present: envelope.head.is_some(), schema_url, ..Self::default() };
        for mut fields in envelope.heads() {
            if !verdict.admits_bytes(fields.rest().len()) {
                break;
            }
            while let Some(tag) = fields.tag()? {
                match tag {
                    0x0a => read_attribute(fields.message()?, &mut resource.attributes, verdict)?,
                    0x10 => resource.dropped_attributes_count = fields.varint()? as u32,
                    0x1a => resource.entity_refs.push(read_entity(fields.message()?, verdict)?),
                    _ => fields.skip(tag, 1..=3)?,
                }
            }
        }
        Ok(resource)
    }

    /// The owned form.
    pub fn to_resource(&self) -> Resource {
        Resource {
            present: self.present,
            attributes: own_attributes(&self.attributes),
            dropped_attributes_count: self.dropped_attributes_count,
            entity_refs: self.entity_refs.clone(),
            schema_url: self.schema_url.to_owned(),
            local_endpoint: None,
        }
    }
}

fn read_entity<'a>(mut fields: Fields<'a>, verdict: &mut Verdict) -> Result<EntityRef, Broken> {
    let mut entity = EntityRef::default();
    while let Some(tag) = fields.tag()? {
        match tag {
            0x0a => entity.schema_url = verdict.text(fields.bytes()?).to_owned(),
            0x12 => entity.entity_type = verdict.text(fields.bytes()?).to_owned(),
            0x1a => entity.id_keys.push(verdict.text(fields.bytes()?).to_owned()),
            0x22 => entity.description_keys.push(verdict.text(fields.bytes()?).to_owned()),
            _ => fields.skip(tag, 1..=4)?,
        }
    }
    Ok(entity)
}

/// An instrumentation scope, borrowed.
#[derive(Debug, Default)]
pub struct ScopeRef<'a> {
    present: bool,
    name: &'a str,
    version: &'a str,
    attributes: Vec<AttributeRef<'a>>,
    dropped_attributes_count: u32,
    schema_url: &'a str,
}

impl<'a> ScopeRef<'a> {
    /// Reads the scope of a `ScopeSpans` message.
    pub fn read(envelope: &Envelope<'a>, verdict: &mut Verdict) -> Result<Self, Broken> {
        let schema_url = verdict.text(envelope.schema_url);
        let mut scope = Self { present: envelope.head.is_some(), schema_url, ..Self::default() };
        for mut fields in envelope.heads() {
            if !verdict.admits_bytes(fields.rest().len()) {
                break;
            }
            while let Some(tag) = fields.tag()? {
                match tag {
                    0x0a => scope.name = verdict.text(fields.bytes()?),
                    0x12 => scope.version = verdict.text(fields.bytes()?),
                    0x1a => read_attribute(fields.message()?, &mut scope.attributes, verdict)?,
                    0x20 => scope.dropped_attributes_count = fields.varint()? as u32,
                    _ => fields.skip(tag, 1..=4)?,
                }
            }
        }
        Ok(scope)
    }

    /// The owned form.
    pub fn to_scope(&self) -> Scope {
        Scope {
            present: self.present,
            name: self.name.to_owned(),
            version: self.version.to_owned(),
            attributes: own_attributes(&self.attributes),
            dropped_attributes_count: self.dropped_attributes_count,
            schema_url: self.schema_url.to_owned(),
        }
    }
}
