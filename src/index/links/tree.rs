//! The tree of a trace's spans, as Zipkin's `SpanNode` builds it.
//!
//! ```text
//! key of a span      its id; of a shared one its id and endpoint
//! parent of          a shared span: the span of that id that is not shared
//!                    any other: the shared span with the parent's id at the same endpoint, else the span of that id
//! root               the first span, by id, that names no parent; without one nothing stands above the topmost
//! ```
//! Whatever finds no parent hangs below the root. Of spans with one key the last stands in the tree. What a
//! cycle holds is in no tree.

use super::span::LinkSpan;

/// No span.
pub const NO_NODE: u32 = u32::MAX;

/// Who stands below whom. One is used for one trace after the other.
#[derive(Debug, Default)]
pub struct LinkTree {
    /// By span: the one above it, or [`NO_NODE`].
    pub parents: Vec<u32>,
    /// The spans of the tree, each after the one above it.
    pub order: Vec<u32>,
    /// The span above all others, or [`NO_NODE`].
    pub root: u32,
    first_child: Vec<u32>,
    next_sibling: Vec<u32>,
}

impl LinkTree {
    /// Builds the tree of merged spans, which are sorted by id.
    pub fn build(&mut self, spans: &[LinkSpan]) {
        let is_root = |span: &LinkSpan| !span.shared && span.parent == 0;
        self.root = spans.iter().position(is_root).map_or(NO_NODE, |at| at as u32);
        for list in [&mut self.parents, &mut self.first_child, &mut self.next_sibling] {
            list.clear();
            list.resize(spans.len(), NO_NODE);
        }
        self.order.clear();
        if self.root != NO_NODE {
            self.order.push(self.root);
        }
        let mut begin = 0;
        for of_id in spans.chunk_by(|a, b| a.span_id == b.span_id) {
            self.hang_up(spans, begin..begin + of_id.len());
            begin += of_id.len();
        }
        let mut next = 0;
        while let Some(at) = self.order.get(next) {
            let mut child = self.first_child[*at as usize];
            while child != NO_NODE {
                self.order.push(child);
                child = self.next_sibling[child as usize];
            }
            next += 1;
        }
    }

    /// Gives the spans of one id their place.
    fn hang_up(&mut self, spans: &[LinkSpan], of_id: std::ops::Range<usize>) {
        for at in of_id.clone().filter(|at| spans[*at].shared) {
            let same = |later: usize| spans[later].shared && spans[later].endpoint == spans[at].endpoint;
            if !(at + 1..of_id.end).any(same) {
                self.attach(at, self.plain(spans, spans[at].span_id));
            }
        }
        let plain = || of_id.clone().filter(|at| !spans[*at].shared);
        let (Some(last), Some(node)) = (plain().next_back(), plain().rfind(|at| *at as u32 != self.root)) else {
            return;
        };
        // Whom the key of this id names as its parent: the spans with the key speak one after the other.
        let mut above = Some(self.plain(spans, spans[last].parent));
        for at in plain() {
            let shared = self.shared(spans, spans[at].parent, spans[at].endpoint);
            if at as u32 == self.root {
                above = None;
            } else if shared != NO_NODE {
                above = Some(shared);
            }
        }
        if let Some(above) = above {
            self.attach(node, above);
        }
    }

    fn attach(&mut self, at: usize, above: u32) {
        let above = if above == NO_NODE { self.root } else { above };
        self.parents[at] = above;
        if above == NO_NODE {
            self.order.push(at as u32);
        } else {
            self.next_sibling[at] = std::mem::replace(&mut self.first_child[above as usize], at as u32);
        }
    }

    /// The span of this id that is not shared; the last of several, but never the root.
    fn plain(&self, spans: &[LinkSpan], id: u64) -> u32 {
        let (begin, of_id) = with_id(spans, id);
        let found = of_id.iter().enumerate().rfind(|(at, span)| !span.shared && (begin + at) as u32 != self.root);
        found.map_or(NO_NODE, |(at, _)| (begin + at) as u32)
    }

    /// The shared span of this id and endpoint; the last of several.
    fn shared(&self, spans: &[LinkSpan], id: u64, endpoint: u32) -> u32 {
        let (begin, of_id) = with_id(spans, id);
        let found = of_id.iter().rposition(|span| span.shared && span.endpoint == endpoint);
        found.map_or(NO_NODE, |at| (begin + at) as u32)
    }
}

/// The spans of an id, and where they begin.
fn with_id(spans: &[LinkSpan], id: u64) -> (usize, &[LinkSpan]) {
    let begin = if id == 0 { spans.len() } else { spans.partition_point(|span| span.span_id < id) };
    let len = spans[begin..].iter().take_while(|span| span.span_id == id).count();
    (begin, &spans[begin..begin + len])
}
