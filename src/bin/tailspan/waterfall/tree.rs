//! Who called whom: the rows of a trace in the order they are drawn.
//!
//! The parent of a span is the span with its parent id. Zipkin lets client and server share one id: the
//! shared record then hangs under the one that is not, and children look first for the shared record of
//! their own service. Cycles are cut at their earliest span. Spans whose parent is missing stand
//! together under a line that names it.

use std::collections::{HashMap, HashSet};

use tailspan::{Origin, Span, SpanId};

/// One line of the waterfall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What is drawn.
    pub node: Node,
    /// Steps below its root.
    pub depth: usize,
    /// True if no sibling follows.
    pub last: bool,
}

/// A span, by its position in the trace, or the gap where a parent should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A span.
    Span(usize),
    /// A parent that was never received.
    Missing(SpanId),
}

/// The rows of a trace: roots by start, each followed by its descendants; then the missing parents.
pub fn rows(spans: &[Span]) -> Vec<Row> {
    let parents = parents_of(spans);
    let known: HashSet<SpanId> = spans.iter().map(|span| span.span_id).collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    let mut tops: Vec<(Node, Vec<usize>)> = Vec::new();
    let mut gaps: HashMap<SpanId, usize> = HashMap::new();
    for index in by_start(spans) {
        // A span cut from a cycle has a parent id, and it is known.
        let missing = spans[index].parent_span_id.filter(|id| !known.contains(id));
        match (parents[index], missing) {
            (Some(parent), _) => children[parent].push(index),
            (None, None) => tops.push((Node::Span(index), Vec::new())),
            (None, Some(id)) => {
                let gap = *gaps.entry(id).or_insert_with(|| {
                    tops.push((Node::Missing(id), Vec::new()));
                    tops.len() - 1
                });
                tops[gap].1.push(index);
            }
        }
    }
    // Stable: roots keep their order, gaps theirs.
    tops.sort_by_key(|(node, _)| matches!(node, Node::Missing(_)));
    walk(tops, &children)
}

/// Positions by start, those without a start last.
fn by_start(spans: &[Span]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|index| (spans[*index].start().unwrap_or(u64::MAX), *index));
    order
}

/// Depth first, parents before children.
fn walk(tops: Vec<(Node, Vec<usize>)>, children: &[Vec<usize>]) -> Vec<Row> {
    let mut rows = Vec::with_capacity(children.len());
    for (top, orphans) in tops {
        rows.push(Row { node: top, depth: 0, last: true });
        let mut open: Vec<Row> = Vec::new();
        let below: &[usize] = match top {
            Node::Span(index) => &children[index],
            Node::Missing(_) => &orphans,
        };
        push_children(&mut open, below, 1);
        while let Some(row) = open.pop() {
            rows.push(row);
            if let Node::Span(index) = row.node {
                push_children(&mut open, &children[index], row.depth + 1);
            }
        }
    }
    rows
}

/// Puts children on the stack, the first on top.
fn push_children(open: &mut Vec<Row>, children: &[usize], depth: usize) {
    let last = children.len().saturating_sub(1);
    let row = |(place, index): (usize, &usize)| Row { node: Node::Span(*index), depth, last: place == last };
    open.extend(children.iter().enumerate().map(row).rev());
}

/// The records of one span id.
#[derive(Default)]
struct Records {
    /// The first record that is not shared.
    plain: Option<usize>,
    shared: Vec<usize>,
}

fn parents_of(spans: &[Span]) -> Vec<Option<usize>> {
    let mut records: HashMap<SpanId, Records> = HashMap::with_capacity(spans.len());
    for index in by_start(spans) {
        let entry = records.entry(spans[index].span_id).or_default();
        if is_shared(&spans[index]) {
            entry.shared.push(index);
        } else if entry.plain.is_none() {
            entry.plain = Some(index);
        }
    }
    let mut parents: Vec<Option<usize>> =
        spans.iter().enumerate().map(|(index, span)| parent_of(index, span, spans, &records)).collect();
    cut_cycles(&mut parents, spans);
    parents
}

fn is_shared(span: &Span) -> bool {
    matches!(span.origin, Origin::Zipkin { shared: true, .. })
}

fn parent_of(index: usize, span: &Span, spans: &[Span], records: &HashMap<SpanId, Records>) -> Option<usize> {
    if is_shared(span)
        && let Some(client) = records.get(&span.span_id).and_then(|r| r.plain)
    {
        return Some(client);
    }
    let candidates = records.get(&span.parent_span_id?)?;
    let own_service = candidates.shared.iter().find(|shared| spans[**shared].service() == span.service());
    let parent = own_service.copied().or(candidates.plain).or(candidates.shared.first().copied());
    parent.filter(|parent| *parent != index)
}

/// Makes the earliest span of each cycle a root. Each span has one parent, so a walk up either ends or
/// comes back to a span of the same walk.
fn cut_cycles(parents: &mut [Option<usize>], spans: &[Span]) {
    let mut walk_of = vec![0usize; parents.len()];
    for start in 0..parents.len() {
        let walk = start + 1;
        let mut at = start;
        while walk_of[at] == 0 {
            walk_of[at] = walk;
            match parents[at] {
                Some(parent) => at = parent,
                None => break,
            }
        }
        if walk_of[at] == walk
            && parents[at].is_some()
            && let Some(earliest) = earliest_of_cycle(at, parents, spans)
        {
            parents[earliest] = None;
        }
    }
}

/// The earliest span of the cycle through `at`; none if the walk up from there ends.
fn earliest_of_cycle(at: usize, parents: &[Option<usize>], spans: &[Span]) -> Option<usize> {
    let key = |index: usize| (spans[index].start().unwrap_or(u64::MAX), spans[index].span_id, index);
    let (mut earliest, mut next) = (at, parents[at]?);
    while next != at {
        if key(next) < key(earliest) {
            earliest = next;
        }
        next = parents[next]?;
    }
    Some(earliest)
}

#[cfg(test)]
mod tests {
    use crate::demo_traffic::plain_span;

    use super::*;

    /// Spans by (id, parent, start); parent 0 is none.
    fn trace(spans: &[(u64, u64, u64)]) -> Vec<Span> {
        spans
            .iter()
            .map(|(id, parent, start)| Span { parent_span_id: SpanId::from_u64(*parent), ..plain_span(*id, *start) })
            .collect()
    }

    fn shape(spans: &[Span]) -> Vec<(u64, usize, bool)> {
        rows(spans)
            .iter()
            .map(|row| match row.node {
                Node::Span(index) => (spans[index].span_id.get(), row.depth, row.last),
                Node::Missing(id) => (id.get() + 1000, row.depth, row.last),
            })
            .collect()
    }

    #[test]
    fn children_follow_their_parent_by_start() {
        let spans = trace(&[(1, 0, 10), (2, 1, 30), (3, 1, 20), (4, 3, 25)]);
        assert_eq!(shape(&spans), [(1, 0, true), (3, 1, false), (4, 2, true), (2, 1, true)]);
    }

    #[test]
    fn spans_of_a_missing_parent_stand_together_after_the_roots() {
        let spans = trace(&[(2, 9, 5), (1, 0, 10), (3, 9, 20), (4, 3, 21)]);
        assert_eq!(shape(&spans), [(1, 0, true), (1009, 0, true), (2, 1, false), (3, 1, true), (4, 2, true)]);
    }

    #[test]
    fn a_cycle_is_cut_at_its_earliest_span() {
        let spans = trace(&[(1, 3, 30), (2, 1, 10), (3, 2, 20), (4, 4, 40), (5, 3, 50)]);
        assert_eq!(shape(&spans), [(2, 0, true), (3, 1, true), (1, 2, false), (5, 2, true), (4, 0, true)]);
    }

    #[test]
    fn a_shared_span_hangs_under_its_client_and_takes_the_children_of_its_service() {
        let mut spans = trace(&[(1, 0, 10), (2, 1, 20), (2, 1, 21), (3, 2, 22)]);
        let named = |name: &str| {
            let attributes = vec![tailspan::KeyValue::new("service.name", name)];
            std::sync::Arc::new(tailspan::Resource { attributes, ..Default::default() })
        };
        let zipkin = |shared| Origin::Zipkin { remote_endpoint: None, debug: false, shared };
        for (span, (service, shared)) in spans.iter_mut().zip([("a", false), ("a", false), ("b", true), ("b", false)]) {
            (span.resource, span.origin) = (named(service), zipkin(shared));
        }
        assert_eq!(rows(&spans).iter().map(|row| row.depth).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn a_trace_may_be_deeper_than_any_call_stack() {
        let spans: Vec<(u64, u64, u64)> = (1..=200_000).map(|id| (id, id - 1, id)).collect();
        let rows = rows(&trace(&spans));
        assert_eq!(rows.last().map(|row| row.depth), Some(199_999));
    }
}
