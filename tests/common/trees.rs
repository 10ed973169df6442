//! What needs the tree of a trace, said a second time from docs/QUERY.md, by looking at every pair of spans.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tailspan::{Span, SpanId};

use super::meaning::{duration, is_shared, service, start, status};
use super::structure::Nodes;

/// Service and name; null where there is none.
pub type Operation = (Option<String>, Option<String>);

/// What is shown of a span's service and name.
pub fn operation(span: &Span) -> Operation {
    (service(span).map(str::to_owned), Some(span.name.clone()).filter(|name| !name.is_empty()))
}

/// Where a span ends: where it starts, if it has no duration.
pub fn end(span: &Span) -> Option<u64> {
    Some(start(span)? + duration(span).unwrap_or(0))
}

/// The place of the parent of a span among the spans, if it has one there.
fn parent_of(nodes: &Nodes<'_>, at: usize) -> Option<usize> {
    nodes.parents[at].filter(|parent| *parent < nodes.spans.len())
}

/// A trace whose spans all hang on its root.
pub struct Hung<'n, 's> {
    nodes: &'n Nodes<'s>,
    pub root: usize,
}

/// A stretch of the critical path: a span, from when, to when.
pub type Piece = (usize, u64, u64);

impl<'n, 's> Hung<'n, 's> {
    pub fn new(nodes: &'n Nodes<'s>) -> Self {
        let all = 0..nodes.spans.len();
        let tops: Vec<usize> = all.filter(|at| parent_of(nodes, *at).is_none()).collect();
        let of = |accept: &dyn Fn(usize) -> bool| tops.iter().copied().filter(|at| accept(*at)).collect::<Vec<_>>();
        let parentless = of(&|at| nodes.spans[at].parent_span_id.is_none());
        let orphans = of(&|at| nodes.parents[at].is_some_and(|parent| parent >= nodes.spans.len()));
        let choice = [parentless, orphans, tops].into_iter().find(|choice| !choice.is_empty()).unwrap();
        let place = |at: &usize| {
            let span = nodes.spans[*at];
            (start(span).is_none(), start(span), is_shared(span), span.span_id, span.name.clone(), service(span))
        };
        let root = choice.into_iter().min_by_key(place).unwrap();
        Self { nodes, root }
    }

    pub fn span(&self, at: usize) -> &'s Span {
        self.nodes.spans[at]
    }

    /// The span on which one hangs: its parent, or the one above that if it has no start; of other tops the root.
    fn above(&self, at: usize) -> Option<usize> {
        if at == self.root {
            return None;
        }
        let above = parent_of(self.nodes, at).unwrap_or(self.root);
        if above != self.root && start(self.span(above)).is_none() { self.above(above) } else { Some(above) }
    }

    /// The spans that hang on one, as far as they lie in the stretch; those that do not are left out.
    fn inside(&self, at: usize, (from, to): (u64, u64)) -> Vec<Piece> {
        let clipped = |child: usize| {
            let span = self.span(child);
            Some((child, start(span)?.max(from), end(span)?.min(to))).filter(|(_, from, to)| from < to)
        };
        (0..self.nodes.spans.len()).filter(|child| self.above(*child) == Some(at)).filter_map(clipped).collect()
    }

    /// The critical path, by time.
    pub fn path(&self) -> Vec<Piece> {
        let mut out = Vec::new();
        if let (Some(from), Some(to)) = (start(self.span(self.root)), end(self.span(self.root))) {
            self.walk((self.root, from, to), &mut out);
        }
        out.retain(|(_, from, to)| from < to);
        out.sort_by_key(|(_, from, _)| *from);
        out
    }

    fn walk(&self, (at, from, to): Piece, out: &mut Vec<Piece>) {
        let children = self.inside(at, (from, to));
        let mut now = to;
        let next = |now: u64| {
            let left = children.iter().filter(|(_, _, end)| *end <= now);
            left.max_by_key(|(child, from, to)| (*to, *from, Reverse((self.span(*child).span_id, *child)))).copied()
        };
        while let Some(child) = next(now) {
            out.push((at, child.2, now));
            self.walk(child, out);
            now = child.1;
        }
        out.push((at, from, now));
    }

    /// Spans that start after the end of the one on which they hang, by start, then id.
    pub fn late(&self) -> Vec<usize> {
        let is_late = |at: &usize| {
            let above = self.above(*at).map(|above| self.span(above));
            above.and_then(end).is_some_and(|end| start(self.span(*at)).is_some_and(|start| start > end))
        };
        let mut late: Vec<usize> = (0..self.nodes.spans.len()).filter(is_late).collect();
        late.sort_by_key(|at| (start(self.span(*at)), self.span(*at).span_id));
        late
    }

    /// The time of a span in which no child of it is under way.
    pub fn self_time(&self, at: usize) -> u64 {
        let (Some(from), Some(to)) = (start(self.span(at)), end(self.span(at))) else { return 0 };
        let children = self.inside(at, (from, to));
        let mut edges: Vec<u64> = children.iter().flat_map(|(_, from, to)| [*from, *to]).chain([from, to]).collect();
        edges.sort_unstable();
        let is_own = |pair: &[u64]| !children.iter().any(|(_, from, to)| *from <= pair[0] && pair[1] <= *to);
        edges.windows(2).filter(|pair| is_own(pair)).map(|pair| pair[1] - pair[0]).sum()
    }
}

/// Span, and how it is shown.
pub type Cause = (Reverse<(Option<u64>, u64)>, [u8; 16], SpanId, Operation, Option<String>);

/// The root causes among some spans of a trace.
pub fn root_causes(nodes: &Nodes<'_>, matched: &[&Span]) -> Vec<Cause> {
    let failed = |at: usize| status(nodes.spans[at]) == 2;
    let is_below = |below: usize, above: usize| {
        let mut path = std::iter::successors(parent_of(nodes, below), |at| parent_of(nodes, *at));
        path.any(|at| at == above)
    };
    let all = || 0..nodes.spans.len();
    let is_cause = |at: &usize| {
        let span = nodes.spans[*at];
        let matches = matched.iter().any(|other| std::ptr::eq(*other, span));
        matches && failed(*at) && !all().any(|other| failed(other) && is_below(other, *at))
    };
    let shown = |at: usize| {
        let span = nodes.spans[at];
        let tag = span.attributes.iter().find(|tag| tag.key == "error").and_then(|tag| tag.value.as_str());
        let message = match span.is_zipkin() {
            true => tag.map(str::to_owned),
            false => span.status.as_ref().map(|status| status.message.clone()),
        };
        let time = Reverse((duration(span), span.start_unix_nano));
        let message = message.filter(|message| !message.is_empty());
        (time, span.trace_id.to_bytes(), span.span_id, operation(span), message)
    };
    all().filter(is_cause).map(shown).collect()
}

/// Count, trace, parent, what the children and the parent are; then errors, retries, parallel and time.
pub type Group = (Reverse<u64>, [u8; 16], SpanId, Operation, Operation, (u64, u64, bool, u64));

/// The groups of at least `min` like children of some spans of a trace.
pub fn fanout(nodes: &Nodes<'_>, matched: &[&Span], min: usize) -> Vec<Group> {
    let mut groups: BTreeMap<(usize, Operation), Vec<&Span>> = BTreeMap::new();
    for (at, span) in nodes.spans.iter().enumerate() {
        let matches = |parent: &usize| matched.iter().any(|other| std::ptr::eq(*other, nodes.spans[*parent]));
        if let Some(parent) = parent_of(nodes, at).filter(matches) {
            groups.entry((parent, operation(span))).or_default().push(span);
        }
    }
    let enough = groups.into_iter().filter(|(_, children)| children.len() >= min);
    let shown = |((parent, child), children): ((usize, Operation), Vec<&Span>)| {
        let parent = nodes.spans[parent];
        let count = Reverse(children.len() as u64);
        (count, parent.trace_id.to_bytes(), parent.span_id, child, operation(parent), facts(&children))
    };
    enough.map(shown).collect()
}

/// Errors, errors that another followed, whether two overlap, and the time in which one was under way.
fn facts(children: &[&Span]) -> (u64, u64, bool, u64) {
    let failed = |span: &&&Span| status(span) == 2;
    let others = |span: &Span| children.iter().filter(move |other| !std::ptr::eq(**other, span)).collect::<Vec<_>>();
    let is_followed = |span: &&&Span| {
        end(span).is_some_and(|end| others(span).iter().any(|other| start(other).is_some_and(|start| start >= end)))
    };
    let overlap = |a: &Span, b: &Span| {
        let times = (start(a).zip(end(a)), start(b).zip(end(b)));
        matches!(times, (Some(a), Some(b)) if a.0 < b.1 && b.0 < a.1)
    };
    let parallel = children.iter().any(|a| others(a).iter().any(|b| overlap(a, b)));
    let times: Vec<(u64, u64)> = children.iter().filter_map(|span| start(span).zip(end(span))).collect();
    let mut edges: Vec<u64> = times.iter().flat_map(|(from, to)| [*from, *to]).collect();
    edges.sort_unstable();
    let is_busy = |pair: &[u64]| times.iter().any(|(from, to)| *from <= pair[0] && pair[1] <= *to);
    let busy = edges.windows(2).filter(|pair| is_busy(pair)).map(|pair| pair[1] - pair[0]).sum();
    let errors = children.iter().filter(failed);
    (errors.clone().count() as u64, errors.filter(is_followed).count() as u64, parallel, busy)
}

/// The first so many steps in which a span is under way: begin, most, and the time of all; and whether more follow.
pub fn concurrency(matched: &[&Span], step: u64, room: usize) -> (Vec<(u64, u64, u128)>, bool) {
    let times: Vec<(u64, u64)> =
        matched.iter().filter_map(|span| start(span).zip(end(span))).filter(|(from, to)| from < to).collect();
    let (mut out, mut begin) = (Vec::new(), Some(0u64));
    while let Some(now) = begin {
        // Where a span is under way at this instant or later.
        let Some(first) = times.iter().filter(|(_, to)| *to > now).map(|(from, _)| (*from).max(now)).min() else {
            break;
        };
        if out.len() == room {
            return (out, true);
        }
        let begin_of = first / step * step;
        let last = u128::from(begin_of) + u128::from(step);
        let inside = |(from, to): &(u64, u64)| {
            let (from, to) = (u128::from(*from.max(&begin_of)), u128::from(*to).min(last));
            to.saturating_sub(from)
        };
        let at = |instant: u64| times.iter().filter(|(from, to)| *from <= instant && instant < *to).count() as u64;
        let instants = times.iter().map(|(from, _)| *from).filter(|from| *from >= begin_of && u128::from(*from) < last);
        let most = instants.chain([begin_of]).map(at).max().unwrap();
        out.push((begin_of, most, times.iter().map(inside).sum()));
        begin = u64::try_from(last).ok();
    }
    (out, false)
}
