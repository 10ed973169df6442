//! One `Span` message becomes one [`SpanRef`].
//!
//! The lists of a span live in scratch vectors that the next span reuses, so that a span costs no
//! allocation. Attributes of events and links are collected apart and appended behind the span's own,
//! because fields come in any order and a [`SpanRef`] has its own attributes first.

use std::ops::Range;

use super::value::{Verdict, read_attribute};
use super::wire::{Broken, Fields};
use crate::model::{
    AttributeRef, EventRef, IdError, LinkRef, RejectReason, SpanId, SpanKind, SpanRef, StatusCode, Text, TraceId,
};

/// Reads spans of one message, one after the other.
#[derive(Debug)]
pub struct SpanReader<'a> {
    verdict: Verdict,
    attributes: Vec<AttributeRef<'a>>,
    part_attributes: Vec<AttributeRef<'a>>,
    events: Vec<EventRef<'a>>,
    links: Vec<LinkRef<'a>>,
}

/// The scalar fields of a span as they came, empty where absent.
#[derive(Debug, Default)]
struct Scalars<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_span_id: &'a [u8],
    trace_state: &'a str,
    name: Text<'a>,
    flags: u32,
    kind: i32,
    start_unix_nano: u64,
    end_unix_nano: u64,
    dropped_attributes_count: u32,
    dropped_events_count: u32,
    dropped_links_count: u32,
    status: Option<(StatusCode, &'a str)>,
}

impl<'a> SpanReader<'a> {
    /// A reader with empty scratch vectors.
    pub fn new(verdict: Verdict) -> Self {
        let (attributes, part_attributes) = (Vec::new(), Vec::new());
        Self { verdict, attributes, part_attributes, events: Vec::new(), links: Vec::new() }
    }

    /// Reads one `Span` message: the span, or why it is refused.
    #[inline]
    pub fn read(&mut self, fields: Fields<'a>) -> Result<Result<SpanRef<'_>, RejectReason>, Broken> {
        self.attributes.clear();
        self.part_attributes.clear();
        self.events.clear();
        self.links.clear();
        self.verdict.reason = None;
        if !self.verdict.admits_bytes(fields.rest().len()) {
            return Ok(Err(RejectReason::TooLarge));
        }
        let scalars = self.walk(fields)?;
        Ok(match self.verdict.reason {
            Some(reason) => Err(reason),
            None => self.finish(scalars),
        })
    }

    #[inline]
    fn walk(&mut self, mut fields: Fields<'a>) -> Result<Scalars<'a>, Broken> {
        let mut s = Scalars::default();
        while let Some(tag) = fields.tag()? {
            match tag {
                0x0a => s.trace_id = fields.bytes()?,
                0x12 => s.span_id = fields.bytes()?,
                0x1a => s.trace_state = self.verdict.text(fields.bytes()?),
                0x22 => s.parent_span_id = fields.bytes()?,
                0x2a => s.name = self.verdict.checked(fields.bytes()?),
                0x30 => s.kind = fields.varint()? as i32,
                0x39 => s.start_unix_nano = fields.fixed64()?,
                0x41 => s.end_unix_nano = fields.fixed64()?,
                0x4a => read_attribute(fields.message()?, &mut self.attributes, &mut self.verdict)?,
                0x50 => s.dropped_attributes_count = fields.varint()? as u32,
                0x5a => self.read_event(fields.message()?)?,
                0x60 => s.dropped_events_count = fields.varint()? as u32,
                0x6a => self.read_link(fields.message()?)?,
                0x70 => s.dropped_links_count = fields.varint()? as u32,
                0x7a => read_status(fields.message()?, s.status.get_or_insert_default(), &mut self.verdict)?,
                0x85 => s.flags = fields.fixed32()?,
                _ => fields.skip(tag, 1..=16)?,
            }
        }
        Ok(s)
    }

    fn read_event(&mut self, mut fields: Fields<'a>) -> Result<(), Broken> {
        let first = self.part_attributes.len();
        let mut event =
            EventRef { time_unix_nano: 0, name: Text::default(), attributes: 0..0, dropped_attributes_count: 0 };
        while let Some(tag) = fields.tag()? {
            match tag {
                0x09 => event.time_unix_nano = fields.fixed64()?,
                0x12 => event.name = self.verdict.checked(fields.bytes()?),
                0x1a => read_attribute(fields.message()?, &mut self.part_attributes, &mut self.verdict)?,
                0x20 => event.dropped_attributes_count = fields.varint()? as u32,
                _ => fields.skip(tag, 1..=4)?,
            }
        }
        event.attributes = first..self.part_attributes.len();
        if self.verdict.admits_part(self.parts()) {
            self.events.push(event);
        }
        Ok(())
    }

    fn read_link(&mut self, mut fields: Fields<'a>) -> Result<(), Broken> {
        let first = self.part_attributes.len();
        let (mut trace_id, mut span_id): (&[u8], &[u8]) = (&[], &[]);
        let (mut trace_state, mut dropped_attributes_count, mut flags) = ("", 0, 0);
        while let Some(tag) = fields.tag()? {
            match tag {
                0x0a => trace_id = fields.bytes()?,
                0x12 => span_id = fields.bytes()?,
                0x1a => trace_state = self.verdict.text(fields.bytes()?),
                0x22 => read_attribute(fields.message()?, &mut self.part_attributes, &mut self.verdict)?,
                0x28 => dropped_attributes_count = fields.varint()? as u32,
                0x35 => flags = fields.fixed32()?,
                _ => fields.skip(tag, 1..=6)?,
            }
        }
        let attributes = first..self.part_attributes.len();
        let (trace_id, span_id) = (self.link_id(trace_id), self.link_id(span_id));
        if self.verdict.admits_part(self.parts()) {
            self.links.push(LinkRef { trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags });
        }
        Ok(())
    }

    fn link_id<const N: usize>(&mut self, bytes: &[u8]) -> Option<[u8; N]> {
        if bytes.is_empty() {
            return None;
        }
        let id = bytes.try_into().ok();
        if id.is_none() {
            self.verdict.note(RejectReason::LinkIdLength);
        }
        id
    }

    fn parts(&self) -> usize {
        self.attributes.len() + self.part_attributes.len() + self.events.len() + self.links.len()
    }

    #[inline]
    fn finish(&mut self, s: Scalars<'a>) -> Result<SpanRef<'_>, RejectReason> {
        let trace_id = TraceId::from_slice(s.trace_id).map_err(|error| match error {
            IdError::Zero => RejectReason::TraceIdZero,
            _ => RejectReason::TraceIdLength,
        })?;
        let span_id = SpanId::from_slice(s.span_id).map_err(|error| match error {
            IdError::Zero => RejectReason::SpanIdZero,
            _ => RejectReason::SpanIdLength,
        })?;
        let parent_span_id = parent_id(s.parent_span_id)?;
        if !self.verdict.admits_part(self.parts().saturating_sub(1)) {
            return Err(RejectReason::TooLarge);
        }
        let span_attributes_count = self.attributes.len();
        self.join_part_attributes();
        Ok(SpanRef {
            trace_id,
            span_id,
            parent_span_id,
            trace_state: s.trace_state,
            flags: s.flags,
            name: s.name,
            kind: SpanKind(s.kind),
            start_unix_nano: s.start_unix_nano,
            end_unix_nano: s.end_unix_nano,
            attributes: &self.attributes,
            span_attributes_count,
            dropped_attributes_count: s.dropped_attributes_count,
            events: &self.events,
            dropped_events_count: s.dropped_events_count,
            links: &self.links,
            dropped_links_count: s.dropped_links_count,
            status: s.status,
            zipkin: None,
        })
    }

    fn join_part_attributes(&mut self) {
        let offset = self.attributes.len();
        self.attributes.append(&mut self.part_attributes);
        let shift = |range: &mut Range<usize>| *range = range.start + offset..range.end + offset;
        self.events.iter_mut().for_each(|event| shift(&mut event.attributes));
        self.links.iter_mut().for_each(|link| shift(&mut link.attributes));
    }
}

/// A parent of no bytes or of eight zero bytes is no parent.
fn parent_id(bytes: &[u8]) -> Result<Option<SpanId>, RejectReason> {
    match SpanId::from_slice(bytes) {
        Ok(id) => Ok(Some(id)),
        Err(IdError::Zero) => Ok(None),
        Err(_) if bytes.is_empty() => Ok(None),
        Err(_) => Err(RejectReason::ParentIdLength),
    }
}

fn read_status<'a>(
    mut fields: Fields<'a>,
    status: &mut (StatusCode, &'a str),
    verdict: &mut Verdict,
) -> Result<(), Broken> {
    while let Some(tag) = fields.tag()? {
        match tag {
            0x12 => status.1 = verdict.text(fields.bytes()?),
            0x18 => status.0 = StatusCode(fields.varint()? as i32),
            _ => fields.skip(tag, 2..=3)?,
        }
    }
    Ok(())
}
