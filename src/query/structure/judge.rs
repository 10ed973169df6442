//! Expressions on owned spans of one trace: what traces that lie in several parts are judged by, and what all
//! conditions understand.

use rustc_hash::FxHashSet;

use crate::model::{Span, ValueRef};

use super::super::evaluate::span_meets;
use super::super::span_order::SpanOrder;
use super::super::summary::{root_of, trace_duration};
use super::super::tag::TagFilter;
use super::bits::Bits;
use super::condition::Condition;
use super::field::SpanField;
use super::forest::Forest;
use super::gate::Gate;
use super::span_set::SpanSet;
use super::verdict::evaluate;

/// Positions of spans that are in a set for certain, and of those that may be, those included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Members for certain.
    pub certain: Vec<bool>,
    /// Members, or not known.
    pub possible: Vec<bool>,
}

impl SpanSet {
    /// Which spans of a trace are in the set. The spans are distinct; their order counts for nothing.
    pub fn judge(&self, trace: &[Span]) -> Judged {
        let ordered = Ordered::new(trace);
        let conditions = self.conditions().map(|condition| ordered.meeting(condition)).collect();
        let verdict = evaluate(self, &ordered.forest, conditions);
        let mut judged = Judged { certain: vec![false; trace.len()], possible: vec![false; trace.len()] };
        for (row, position) in ordered.positions.iter().enumerate() {
            judged.certain[*position as usize] = verdict.certain.contains(row);
            judged.possible[*position as usize] = verdict.possible().contains(row);
        }
        judged
    }
}

/// The position of the parent of every span of a trace, if it has one there. The spans are distinct.
pub fn parents_of(trace: &[Span]) -> Vec<Option<usize>> {
    let ordered = Ordered::new(trace);
    let mut parents = vec![None; trace.len()];
    let mut path: Vec<usize> = Vec::new();
    for (position, depth) in ordered.positions.iter().zip(ordered.forest.depths()) {
        path.truncate(*depth as usize);
        parents[*position as usize] = path.last().copied();
        path.push(*position as usize);
    }
    parents
}

/// A trace in the order of its tree.
struct Ordered<'s> {
    trace: &'s [Span],
    /// Position of the span of each row.
    positions: Vec<u32>,
    forest: Forest,
    /// Children of every row, and its place in the nested set.
    children: Vec<u32>,
    nested: Vec<[i64; 3]>,
}

impl<'s> Ordered<'s> {
    fn new(trace: &'s [Span]) -> Self {
        let order = SpanOrder::of(trace);
        let ids: FxHashSet<u64> = trace.iter().map(|span| span.span_id.get()).collect();
        let orphans = (0..trace.len()).filter(|row| order.depths[*row] == 0);
        let named = |row: usize| Some((row, trace[order.positions[row] as usize].parent_span_id?.get()));
        let orphans = orphans.filter_map(named).filter(|(_, parent)| !ids.contains(parent)).collect();
        let traces = std::iter::once(0..trace.len()).filter(|rows| !rows.is_empty()).collect();
        let mut ordered = Self {
            trace,
            positions: order.positions,
            forest: Forest::new(order.depths, traces, orphans),
            children: Vec::new(),
            nested: Vec::new(),
        };
        ordered.number();
        ordered
    }

    /// Counts children and numbers the nested set: 1 to 2n over the trees of roots, from the front.
    fn number(&mut self) {
        let rows = self.positions.len();
        (self.children, self.nested) = (vec![0; rows], vec![[0; 3]; rows]);
        let (mut path, mut next, mut numbered): (Vec<usize>, i64, bool) = (Vec::new(), 0, true);
        let close =
            |path: &mut Vec<usize>, depth: usize, next: &mut i64, nested: &mut Vec<[i64; 3]>, numbered: bool| {
                for row in path.drain(depth..).rev() {
                    *next += i64::from(numbered);
                    nested[row][1] = if numbered { *next } else { 0 };
                }
            };
        for row in 0..rows {
            close(&mut path, self.forest.depths()[row] as usize, &mut next, &mut self.nested, numbered);
            if path.is_empty() {
                numbered = !self.forest.is_orphan(row);
            }
            let parent = path.last().copied();
            if let Some(parent) = parent {
                self.children[parent] += 1;
            }
            if numbered {
                next += 1;
                self.nested[row] = [next, 0, parent.map_or(-1, |parent| self.nested[parent][0])];
            }
            path.push(row);
        }
        close(&mut path, 0, &mut next, &mut self.nested, numbered);
    }

    /// The rows that meet a condition.
    fn meeting(&self, condition: &Condition) -> Bits {
        let mut out = Bits::new(self.positions.len());
        let mut open: Vec<bool> = Vec::new();
        for (row, position) in self.positions.iter().enumerate() {
            let span = &self.trace[*position as usize];
            for gate in condition.gates() {
                let value = match gate {
                    Gate::Constant(value) => *value,
                    Gate::Meets(criterion) => span_meets(span, criterion),
                    Gate::Holds(field, filter) => self.holds(row, span, field, filter),
                    Gate::Not => !open.pop().unwrap_or_default(),
                    Gate::And => open.pop().unwrap_or_default() & open.pop().unwrap_or_default(),
                    Gate::Or => open.pop().unwrap_or_default() | open.pop().unwrap_or_default(),
                };
                open.push(value);
            }
            out.put(row, open.pop().unwrap_or_default());
        }
        out
    }

    /// True if some value that the field has on the span passes.
    fn holds(&self, row: usize, span: &Span, field: &SpanField, filter: &TagFilter) -> bool {
        let number = |number: Option<i64>| number.is_some_and(|n| filter.matches_value(&ValueRef::Int(n)));
        let nanos = |nanos: Option<u64>| number(nanos.map(|nanos| i64::try_from(nanos).unwrap_or(i64::MAX)));
        let text = |text: Option<&str>| text.is_some_and(|text| filter.matches_value(&ValueRef::String(text)));
        match field {
            SpanField::SpanId => text(Some(&span.span_id.to_string())),
            SpanField::ParentId => text(span.parent_span_id.map(|parent| parent.to_string()).as_deref()),
            SpanField::TraceId => text(Some(&span.trace_id.to_string())),
            SpanField::ChildCount => number(Some(self.children[row].into())),
            SpanField::NestedSetLeft => number(Some(self.nested[row][0])),
            SpanField::NestedSetRight => number(Some(self.nested[row][1])),
            SpanField::NestedSetParent => number(Some(self.nested[row][2])),
            SpanField::TraceDuration => nanos(trace_duration(self.trace)),
            SpanField::RootName => text(root_of(self.trace).map(|root| root.name.as_str())),
            SpanField::RootService => text(root_of(self.trace).and_then(Span::service)),
            SpanField::EventTimeSinceStart => span.events.iter().any(|event| {
                let since = i128::from(event.time_unix_nano) - i128::from(span.start_unix_nano);
                span.start_unix_nano != 0 && number(i64::try_from(since).ok())
            }),
            SpanField::LinkTraceId => span.links.iter().any(|link| text(link.trace_id.map(|id| hex(&id)).as_deref())),
            SpanField::LinkSpanId => span.links.iter().any(|link| text(link.span_id.map(|id| hex(&id)).as_deref())),
            // All others are criteria.
            _ => false,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
