//! The links of one trace, by the rules of Zipkin's `DependencyLinker`.
//!
//! | span | link | unless |
//! |---|---|---|
//! | server | caller -> its service; the caller is the nearest remote span above it, else its peer | root without a peer |
//! | client | its service -> its peer | a child that is not internal speaks for the call |
//! | no kind | as a client, if it names service and peer | |
//! | producer, consumer | its service -> broker, broker -> its service | the broker is unknown |
//!
//! *Remote* spans are those of the four kinds. A client below a remote span of another service gives rise to a
//! link between these two services as well, as its server was never seen: *backfilled*, without duration and error.
//! An error is counted once: a server that is fine has the error of the client right above it.

use crate::column::NONE;
use crate::error::{Error, Result};
use crate::model::SpanKind;

use super::merge::merge;
use super::names::LinkNames;
use super::span::LinkSpan;
use super::tree::{LinkTree, NO_NODE};

/// How two services are linked. Codes are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinkKind {
    /// One called the other.
    Call = 1,
    /// One sent to a broker, or received from it.
    Messaging = 2,
    /// A span of one carries a link to a span of the other.
    Link = 3,
}

impl LinkKind {
    /// The kind of this code.
    ///
    /// # Errors
    /// Corrupt, naming the code, if there is none.
    pub(crate) fn from_code(code: u8) -> Result<Self> {
        let known = [Self::Call, Self::Messaging, Self::Link].into_iter().find(|kind| *kind as u8 == code);
        known.ok_or_else(|| Error::corrupt(format!("kind {code} of a link is unknown")))
    }
}

/// A link that a span yields, or gives rise to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundLink {
    /// Code of the parent's name.
    pub parent: u32,
    /// Code of the child's name.
    pub child: u32,
    /// Call or messaging.
    pub kind: LinkKind,
    /// True if it failed.
    pub error: bool,
    /// True if the span only gave rise to it: then it counts without a duration.
    pub backfilled: bool,
    /// The span, merged.
    pub span: LinkSpan,
}

/// Links trace after trace.
#[derive(Debug, Default)]
pub struct Linker {
    tree: LinkTree,
    /// By span, the nearest remote one above it.
    remote_above: Vec<u32>,
    /// By span, whether it has a child that is not internal.
    speaks_below: Vec<bool>,
}

impl Linker {
    /// Calls `found` with every link of the trace with these records. They are merged, and their order is lost.
    pub fn link(&mut self, spans: &mut Vec<LinkSpan>, names: &mut LinkNames, mut found: impl FnMut(FoundLink)) {
        merge(spans, names);
        self.tree.build(spans);
        self.look_around(spans);
        for at in &self.tree.order {
            self.link_span(spans, *at, &mut found);
        }
    }

    /// Finds for each span what its links depend on.
    fn look_around(&mut self, spans: &[LinkSpan]) {
        self.remote_above.clear();
        self.remote_above.resize(spans.len(), NO_NODE);
        self.speaks_below.clear();
        self.speaks_below.resize(spans.len(), false);
        for at in &self.tree.order {
            let above = self.tree.parents[*at as usize];
            if above != NO_NODE {
                let is_remote = spans[above as usize].is_remote();
                self.remote_above[*at as usize] = if is_remote { above } else { self.remote_above[above as usize] };
            }
        }
        for at in self.tree.order.iter().rev() {
            let (at, above) = (*at as usize, self.tree.parents[*at as usize]);
            if above != NO_NODE {
                self.speaks_below[above as usize] |= spans[at].kind != SpanKind::INTERNAL;
            }
        }
    }

    fn link_span(&self, spans: &[LinkSpan], at: u32, found: &mut impl FnMut(FoundLink)) {
        let span = spans[at as usize];
        let kind = match span.kind {
            SpanKind::CLIENT if self.speaks_below[at as usize] => return,
            _ if span.is_remote() => span.kind,
            _ if span.service != NONE && span.remote != NONE => SpanKind::CLIENT,
            _ => return,
        };
        let receives = kind == SpanKind::SERVER || kind == SpanKind::CONSUMER;
        let (mut parent, child) = if receives { (span.remote, span.service) } else { (span.service, span.remote) };
        if receives && at == self.tree.root && parent == NONE {
            return;
        }
        let mut link = |parent: u32, child: u32, kind: LinkKind, error: bool, backfilled: bool| {
            if parent != NONE && child != NONE {
                found(FoundLink { parent, child, kind, error, backfilled, span });
            }
        };
        if kind == SpanKind::PRODUCER || kind == SpanKind::CONSUMER {
            link(parent, child, LinkKind::Messaging, span.error, false);
            return;
        }
        let mut error = span.error;
        let above = self.remote_above[at as usize];
        if above != NO_NODE && spans[above as usize].service != NONE {
            let above = &spans[above as usize];
            if kind == SpanKind::CLIENT && span.service != NONE && above.service != span.service {
                link(above.service, span.service, LinkKind::Call, false, true);
            }
            if kind == SpanKind::SERVER || parent == NONE {
                parent = above.service;
            }
            error |= above.kind == SpanKind::CLIENT && span.parent == above.span_id && above.error;
        }
        link(parent, child, LinkKind::Call, error, false);
    }
}
