//! From the rows of a part to the spans that are linked: its codes in those of [`LinkNames`].

use crate::column::{Class, ClassBits, NONE, RowSource};
use crate::error::{Error, Result};
use crate::model::{Resource, SpanKind, StatusCode};

use super::names::LinkNames;
use super::span::LinkSpan;

/// What classes and resources of one part say.
#[derive(Debug)]
pub struct LinkCodes {
    classes: Vec<ClassCodes>,
    /// Endpoint by resource.
    endpoints: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct ClassCodes {
    service: u32,
    remote: u32,
    kind: SpanKind,
    shared: bool,
    error: bool,
    has_duration: bool,
}

/// What a row says itself.
#[derive(Clone, Copy, Debug)]
pub struct RowFacts {
    /// Class of the row.
    pub class: u32,
    /// Resource of the row.
    pub resource: u32,
    /// Upper half of its trace id.
    pub trace_high: u64,
    /// Id of the span.
    pub span_id: u64,
    /// Id of the recorded parent, 0 for none.
    pub parent: u64,
    /// Start, 0 for none.
    pub start: u64,
    /// End less start.
    pub length: u64,
    /// Whatever the caller wants to know again.
    pub place: u32,
}

impl LinkCodes {
    /// The codes of a part with these resources.
    pub fn new<'r>(
        source: &dyn RowSource,
        resources: impl Iterator<Item = &'r Resource>,
        names: &mut LinkNames,
    ) -> Self {
        Self::of_classes(&source.schema().classes, &|code| source.text(code), resources, names)
    }

    /// The codes of these classes, whose string codes have these texts, and resources.
    pub fn of_classes<'r, 't>(
        classes: &[Class],
        text: &dyn Fn(u32) -> &'t str,
        resources: impl Iterator<Item = &'r Resource>,
        names: &mut LinkNames,
    ) -> Self {
        let classes = classes.iter().map(|class| ClassCodes::of(class, text, names)).collect();
        Self { classes, endpoints: resources.map(|resource| names.endpoint_of(resource)).collect() }
    }

    /// The span of a row.
    ///
    /// # Errors
    /// Corrupt if its class or resource is unknown.
    pub fn span(&self, row: &RowFacts) -> Result<LinkSpan> {
        let unknown = |what: &str, code: u32| Error::corrupt(format!("{what} {code} is unknown"));
        let class = self.classes.get(row.class as usize).ok_or_else(|| unknown("class", row.class))?;
        let endpoint = self.endpoints.get(row.resource as usize).ok_or_else(|| unknown("resource", row.resource))?;
        Ok(LinkSpan {
            trace_high: row.trace_high,
            span_id: row.span_id,
            parent: row.parent,
            kind: class.kind,
            shared: class.shared,
            error: class.error,
            service: class.service,
            remote: class.remote,
            endpoint: *endpoint,
            start: row.start,
            duration: class.has_duration.then_some(row.length),
            place: row.place,
        })
    }
}

impl ClassCodes {
    fn of<'t>(class: &Class, text: &dyn Fn(u32) -> &'t str, names: &mut LinkNames) -> Self {
        let mut code = |code: u32| names.code((code != NONE).then(|| text(code)));
        Self {
            service: code(class.service),
            remote: code(class.remote),
            kind: class.kind,
            shared: class.bits.has(ClassBits::SHARED),
            error: class.status == StatusCode::ERROR,
            has_duration: !class.bits.has(ClassBits::NO_DURATION),
        }
    }
}
