//! OTLP protobuf, read in one borrowed pass.
//!
//! An `ExportTraceServiceRequest` and a `TracesData` are the same bytes:
//!
//! ```text
//! {1: ResourceSpans {1: Resource, 2: ScopeSpans {1: Scope, 2: Span ..., 3: schema URL} ..., 3: schema URL} ...}
//! ```
//! Each span is handed to the sink as a view of those bytes. Two kinds of trouble are kept apart: a
//! span that cannot be stored (bad ids, text that is not UTF-8, too deep, too large) is refused alone,
//! while broken framing ends the message, for no field after it can be trusted.
//! Source: opentelemetry-proto, `trace/v1/trace.proto`.

mod origin;
mod span;
#[cfg(test)]
pub(super) mod tests;
mod value;
mod wire;

use origin::{Envelope, ResourceRef, ScopeRef};
use span::SpanReader;
use value::Verdict;
use wire::{Broken, Fields};

use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::model::{RejectReason, Resource, ResourceToken, SpanSink};

/// Reads an `ExportTraceServiceRequest` or `TracesData` message and hands its spans to `sink` in order.
///
/// A span without a proper id, with text that is not UTF-8, or beyond the limits is refused alone; a
/// resource or scope like that refuses all spans under it. Unknown fields are passed over.
///
/// # Errors
/// Invalid, naming the byte, if the message is not well-formed protobuf, has a known field in another
/// wire type, or is larger than [`Limits::message_bytes_max`]. The sink may have been given spans by
/// then: the caller takes them back.
pub fn read_otlp<S: SpanSink + ?Sized>(message: &[u8], limits: &Limits, sink: &mut S) -> Result<()> {
    if message.len() > limits.message_bytes_max {
        let (len, most) = (message.len(), limits.message_bytes_max);
        return Err(Error::invalid(format!("the OTLP message has {len} bytes, more than the limit of {most}")));
    }
    let mut walk = Walk { limits, sink, spans: SpanReader::new(Verdict::new(limits)) };
    walk.message(Fields::new(message)).map_err(|broken| broken.into_error().at("OTLP message"))
}

struct Walk<'a, 's, S: ?Sized> {
    limits: &'s Limits,
    sink: &'s mut S,
    spans: SpanReader<'a>,
}

/// The resource of the scopes that are being read, announced to the sink at most once.
struct Owner<'r, 'a> {
    envelope: &'r Envelope<'a>,
    /// What it says, or why it is refused; not read if the sink knows its bytes.
    resource: Option<Result<ResourceRef<'a>, RejectReason>>,
    token: Option<ResourceToken>,
}

impl Owner<'_, '_> {
    fn refusal(&self) -> Option<RejectReason> {
        self.resource.as_ref().and_then(|read| read.as_ref().err().copied())
    }
}

impl<'a, S: SpanSink + ?Sized> Walk<'a, '_, S> {
    fn message(&mut self, mut fields: Fields<'a>) -> Result<(), Broken> {
        while let Some(tag) = fields.tag()? {
            match tag {
                0x0a => self.resource_spans(fields.message()?)?,
                _ => fields.skip(tag, 1..=1)?,
            }
        }
        Ok(())
    }

    fn resource_spans(&mut self, mut fields: Fields<'a>) -> Result<(), Broken> {
        let envelope = Envelope::scan(fields.clone())?;
        let mut owner = Owner { envelope: &envelope, resource: None, token: self.sink.known_resource(envelope.wire()) };
        if owner.token.is_none() {
            owner.resource = Some(read_head(self.limits, |verdict| ResourceRef::read(&envelope, verdict))?);
        }
        while let Some(tag) = fields.tag()? {
            match tag {
                0x12 => self.scope_spans(fields.message()?, &mut owner)?,
                _ => fields.pass(tag)?,
            }
        }
        Ok(())
    }

    fn scope_spans(&mut self, mut fields: Fields<'a>, owner: &mut Owner<'_, 'a>) -> Result<(), Broken> {
        let envelope = Envelope::scan(fields.clone())?;
        let known = self.sink.known_scope(envelope.wire());
        let scope = match known {
            Some(_) => None,
            None => Some(read_head(self.limits, |verdict| ScopeRef::read(&envelope, verdict))?),
        };
        if !envelope.has_children {
            return Ok(());
        }
        // A resource that cannot be stored is the first reason; nothing is announced that no span will use.
        let tokens = match (owner.refusal(), known, scope) {
            (Some(reason), _, _) | (None, None, Some(Err(reason))) => Err(reason),
            (None, Some(scope), _) => Ok((self.resource_token(owner), scope)),
            (None, None, scope) => {
                let resource = self.resource_token(owner);
                let scope = scope.and_then(Result::ok).unwrap_or_default();
                Ok((resource, self.sink.scope(envelope.wire(), &mut || scope.to_scope())))
            }
        };
        while let Some(tag) = fields.tag()? {
            if tag != 0x12 {
                fields.pass(tag)?;
                continue;
            }
            let span = self.spans.read(fields.message()?)?;
            match tokens.and_then(|tokens| Ok((tokens, span?))) {
                Ok(((resource, scope), span)) => self.sink.span(resource, scope, &span),
                Err(reason) => self.sink.reject(reason),
            }
        }
        Ok(())
    }

    fn resource_token(&mut self, owner: &mut Owner<'_, 'a>) -> ResourceToken {
        let Owner { envelope, resource, token } = owner;
        let mut decode = || match resource {
            Some(Ok(resource)) => resource.to_resource(),
            _ => Resource::default(),
        };
        *token.get_or_insert_with(|| self.sink.resource(envelope.wire(), &mut decode))
    }
}

/// Reads a resource or a scope: it, or why it is refused.
fn read_head<T>(
    limits: &Limits,
    read: impl FnOnce(&mut Verdict) -> Result<T, Broken>,
) -> Result<Result<T, RejectReason>, Broken> {
    let mut verdict = Verdict::new(limits);
    let head = read(&mut verdict)?;
    Ok(verdict.reason.map_or(Ok(head), Err))
}
