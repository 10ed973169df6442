//! The conditions of an expression against the tables of one part: masks of a page, and the pages worth a look.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::column::{Class, NONE, RowSource};
use crate::error::Result;
use crate::index::PageSet;
use crate::model::{Resource, Scope};

use super::super::compile::{Compiled, EVENTS, FIELDS, LINKS, MATCHED, compile};
use super::super::mask::Mask;
use super::super::plan::{Pruned, criterion_pages};
use super::super::predicate::Criterion;
use super::super::scan::PageScan;
use super::super::segment_pages::SegmentPages;
use super::condition::Condition;
use super::gate::Gate;
use super::span_set::SpanSet;

/// The conditions of a set, compiled against one part.
pub struct PartConditions<'q> {
    circuits: Vec<Circuit<'q>>,
    /// Whether the spans of each condition may be in the set as a whole.
    results: Vec<bool>,
}

/// One condition.
struct Circuit<'q> {
    gates: Vec<PartGate<'q>>,
    /// False if some gate is left open here: only whole traces tell.
    is_exact: bool,
}

/// One gate, operands first.
enum PartGate<'q> {
    Constant(bool),
    Meets(&'q Criterion, Box<Compiled<'q>>),
    /// What a page does not tell.
    Open,
    And,
    Or,
    Not,
    /// Leaves out so many gates, up to an `And`, if no row is left.
    SkipIfNone(usize),
}

/// Rows of a page that are certain and rows that are possible.
#[derive(Clone, Copy, Debug)]
pub struct PageRows {
    /// Rows for certain.
    pub certain: Mask,
    /// These and rows that may be.
    pub possible: Mask,
}

impl PageRows {
    /// No rows.
    pub const NONE: Self = Self { certain: Mask::NONE, possible: Mask::NONE };
}

impl<'q> PartConditions<'q> {
    /// The conditions of this set against a part with these tables.
    pub fn new(set: &'q SpanSet, source: &dyn RowSource, resources: &[Arc<Resource>], scopes: &[Arc<Scope>]) -> Self {
        let compiled = |condition: &'q Condition| Circuit::new(condition, source, resources, scopes);
        Self { circuits: set.conditions().map(compiled).collect(), results: set.results() }
    }

    /// True if pages tell what meets every condition.
    pub fn are_exact(&self) -> bool {
        self.circuits.iter().all(|circuit| circuit.is_exact)
    }

    /// How many conditions there are.
    pub fn len(&self) -> usize {
        self.circuits.len()
    }

    /// The conditions whose spans may be in the set as a whole.
    pub fn results(&self) -> impl Iterator<Item = usize> {
        self.results.iter().enumerate().filter(|(_, is)| **is).map(|(at, _)| at)
    }

    /// The rows of the page that may meet a condition: exactly these if pages tell.
    ///
    /// # Errors
    /// Corrupt if a page is damaged; so do the other methods.
    pub fn mask(&self, condition: usize, page: &mut PageScan<'_>) -> Result<Mask> {
        Ok(self.circuits[condition].rows(page)?.possible)
    }

    /// The rows of the page that may be in the set by what they are alone.
    ///
    /// # Errors
    /// As [`PartConditions::mask`].
    pub fn upper(&self, page: &mut PageScan<'_>) -> Result<Mask> {
        let mut upper = Mask::NONE;
        for condition in self.results() {
            upper = upper.or(&self.mask(condition, page)?);
        }
        Ok(upper)
    }

    /// The pages that may hold a row that meets each condition.
    pub fn pages(&self, pages: &SegmentPages<'_>) -> Vec<PageSet> {
        self.circuits.iter().map(|circuit| circuit.pages(pages)).collect()
    }
}

impl<'q> Circuit<'q> {
    fn new(
        condition: &'q Condition,
        source: &dyn RowSource,
        resources: &[Arc<Resource>],
        scopes: &[Arc<Scope>],
    ) -> Self {
        let (mut open, mut is_exact): (Vec<Vec<PartGate<'q>>>, bool) = (Vec::new(), true);
        for gate in condition.gates() {
            let gates = match gate {
                Gate::Constant(value) => vec![PartGate::Constant(*value)],
                Gate::Holds(..) => {
                    is_exact = false;
                    vec![PartGate::Open]
                }
                Gate::Meets(criterion) => {
                    let mut compiled = compile(criterion, source, resources, scopes);
                    by_service(&mut compiled, source, resources);
                    if can_match(&compiled) {
                        vec![PartGate::Meets(criterion, Box::new(compiled))]
                    } else {
                        vec![PartGate::Constant(false)]
                    }
                }
                Gate::Not => match open.pop() {
                    Some(gates) => match gates[..] {
                        [PartGate::Constant(value)] => vec![PartGate::Constant(!value)],
                        _ => joined([gates, vec![PartGate::Not]]),
                    },
                    None => continue,
                },
                Gate::And | Gate::Or => {
                    let (Some(right), Some(left)) = (open.pop(), open.pop()) else { continue };
                    both(left, right, matches!(gate, Gate::Or))
                }
            };
            open.push(gates);
        }
        Self { gates: open.pop().unwrap_or_default(), is_exact }
    }

    fn rows(&self, page: &mut PageScan<'_>) -> Result<PageRows> {
        let all = Mask::of(page.classes.len(), |_| true);
        let (mut open, mut at): (Vec<PageRows>, usize) = (Vec::new(), 0);
        let exactly = |mask: Mask| PageRows { certain: mask, possible: mask };
        while let Some(gate) = self.gates.get(at) {
            at += 1;
            let rows = match gate {
                PartGate::Constant(value) => exactly(if *value { all } else { Mask::NONE }),
                PartGate::Open => PageRows { certain: Mask::NONE, possible: all },
                PartGate::Meets(_, compiled) => exactly(page.meeting(compiled)?),
                PartGate::SkipIfNone(gates) => {
                    at += if open.last().is_none_or(|rows| rows.possible.is_empty()) { *gates } else { 0 };
                    continue;
                }
                PartGate::Not => {
                    let rows = open.pop().unwrap_or(PageRows::NONE);
                    PageRows { certain: all.and_not(&rows.possible), possible: all.and_not(&rows.certain) }
                }
                PartGate::And | PartGate::Or => {
                    let (b, a) = (open.pop().unwrap_or(PageRows::NONE), open.pop().unwrap_or(PageRows::NONE));
                    let join = if matches!(gate, PartGate::And) { Mask::and } else { Mask::or };
                    PageRows { certain: join(a.certain, &b.certain), possible: join(a.possible, &b.possible) }
                }
            };
            open.push(rows);
        }
        Ok(open.pop().unwrap_or(PageRows::NONE))
    }

    fn pages(&self, pages: &SegmentPages<'_>) -> PageSet {
        let all = || PageSet::all(pages.segment.row_pages());
        let mut open: Vec<PageSet> = Vec::new();
        for gate in &self.gates {
            let found = match gate {
                PartGate::Constant(false) => PageSet::new(),
                PartGate::Constant(true) | PartGate::Open => all(),
                PartGate::Meets(criterion, compiled) => {
                    criterion_pages(pages, criterion, compiled, all(), &mut Pruned::default())
                }
                PartGate::SkipIfNone(_) => continue,
                PartGate::Not => {
                    open.pop();
                    all()
                }
                PartGate::And | PartGate::Or => {
                    let (b, a) = (open.pop().unwrap_or_else(all), open.pop().unwrap_or_else(all));
                    if matches!(gate, PartGate::And) { a.and(&b) } else { a.or(&b) }
                }
            };
            open.push(found);
        }
        open.pop().unwrap_or_else(all)
    }
}

fn joined<'q, const N: usize>(pieces: [Vec<PartGate<'q>>; N]) -> Vec<PartGate<'q>> {
    pieces.into_iter().flatten().collect()
}

/// Both circuits by `And`, or by `Or`; constants are taken out.
fn both<'q>(left: Vec<PartGate<'q>>, right: Vec<PartGate<'q>>, or: bool) -> Vec<PartGate<'q>> {
    match (&left[..], &right[..]) {
        ([PartGate::Constant(value)], _) => {
            if *value == or {
                left
            } else {
                right
            }
        }
        (_, [PartGate::Constant(value)]) => {
            if *value == or {
                right
            } else {
                left
            }
        }
        _ if or => joined([left, right, vec![PartGate::Or]]),
        _ => {
            let skip = PartGate::SkipIfNone(right.len() + 1);
            joined([left, vec![skip], right, vec![PartGate::And]])
        }
    }
}

fn can_match(compiled: &Compiled<'_>) -> bool {
    (0..compiled.classes.len()).any(|class| compiled.class_can_match(class))
        || (0..compiled.resources.len()).any(|resource| compiled.resource_can_match(resource))
        || compiled.classes.iter().any(|facts| facts & (FIELDS | EVENTS | LINKS) != 0)
}

/// Where all resources of a service agree, the class of a row tells, which knows the service; then resources need
/// not be read.
fn by_service(compiled: &mut Compiled<'_>, source: &dyn RowSource, resources: &[Arc<Resource>]) {
    if compiled.resources.is_empty() || compiled.negated {
        return;
    }
    let mut of_service: FxHashMap<Option<&str>, bool> = FxHashMap::default();
    for (at, resource) in resources.iter().enumerate() {
        let matched = compiled.resource_can_match(at);
        if *of_service.entry(resource.service()).or_insert(matched) != matched {
            return;
        }
    }
    let service = |class: &Class| (class.service != NONE).then(|| source.text(class.service));
    for (facts, class) in compiled.classes.iter_mut().zip(&source.schema().classes) {
        if of_service.get(&service(class)).copied().unwrap_or(false) {
            *facts |= MATCHED;
            compiled.any_class |= MATCHED;
        }
    }
    compiled.resources = Vec::new();
}
