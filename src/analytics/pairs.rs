//! How many spans have each attribute value: on the span, its resource or its scope, counted once a span.

use crate::column::Table;
use crate::error::Result;
use crate::limits::Limits;
use crate::model::{KeyValue, Resource, Scope, Span};
use crate::query::{FieldOf, MatchPart, MatchedPage, Matching, text_of};
use crate::segment::Detail;

use super::groups::{Groups, NO_ROOM, ROOT};
use super::part_tables::FieldTable;

/// Bytes a pair takes, roughly, beside its texts.
const PAIR_BYTES: usize = 256;

/// Pairs of key and text, and the spans that have each.
pub struct Pairs {
    groups: Groups,
    /// By pair: spans of the selection, and of the baseline.
    counts: [Vec<u64>; 2],
    /// Spans of each.
    pub totals: [u64; 2],
}

/// What the tables of a part say.
struct PairTables {
    fields: Vec<(u32, FieldTable)>,
    resources: Vec<Vec<u32>>,
    scopes: Vec<Vec<u32>>,
}

impl Pairs {
    /// No pair yet; as many as the answer has bytes for.
    pub fn new(limits: &Limits) -> Self {
        let mut limits = limits.clone();
        limits.groups_max = limits.groups_max.max(limits.result_bytes_max / PAIR_BYTES);
        Self { groups: Groups::new(&limits), counts: [Vec::new(), Vec::new()], totals: [0; 2] }
    }

    /// From now on only pairs that are known are counted.
    pub fn freeze(&mut self) {
        self.groups.freeze();
    }

    /// True if a pair found no room.
    pub fn is_full(&self) -> bool {
        self.groups.is_full()
    }

    /// Key, text and both counts of every pair.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, [u64; 2])> + '_ {
        (0..self.groups.len() as u32).filter_map(|pair| {
            let path = self.groups.path(pair);
            let text = |at: usize| self.groups.text(*path.get(at)?);
            let count = |of: usize| self.counts[of].get(pair as usize).copied().unwrap_or(0);
            Some((text(0)?, text(1)?, [count(0), count(1)]))
        })
    }

    /// Counts all matching spans, for the selection (0) or the baseline (1).
    ///
    /// # Errors
    /// Whatever is not damage.
    pub fn count<'q>(&mut self, of: usize, matching: &mut Matching<'q>, parts: &[MatchPart<'q>]) -> Result<()> {
        if matching.is_by_trace() {
            matching.each_trace(Detail::Full, |spans, matched| {
                matched.iter().for_each(|at| self.add_span(of, &spans[*at]));
                Ok(())
            })?;
        }
        for part in parts {
            let mut tables = PairTables::new(part, &mut self.groups);
            for number in matching.pages(part) {
                let Some(page) = matching.page(part, *number)? else { continue };
                if let Err(error) = self.add_page(of, part, &page, &mut tables) {
                    matching.problem(error)?;
                }
            }
        }
        matching.each_doubled_span(|span| {
            self.add_span(of, span);
            Ok(())
        })
    }

    fn add_span(&mut self, of: usize, span: &Span) {
        let mut pairs = pairs_in(&span.attributes, &mut self.groups);
        pairs.extend(pairs_of_resource(&span.resource, &mut self.groups));
        pairs.extend(pairs_of_scope(&span.scope, &mut self.groups));
        pairs.sort_unstable();
        pairs.dedup();
        self.totals[of] += 1;
        pairs.into_iter().for_each(|pair| self.add(of, pair));
    }

    fn add_page(
        &mut self,
        of: usize,
        part: &MatchPart<'_>,
        page: &MatchedPage<'_>,
        tables: &mut PairTables,
    ) -> Result<()> {
        let mut met: Vec<(u16, u32)> = Vec::new();
        let groups = &mut self.groups;
        for (key, table) in &mut tables.fields {
            if !page.rows.iter().any(|row| table.per_class[page.classes()[row] as usize] > 0) {
                continue;
            }
            let per_class = std::mem::take(&mut table.per_class);
            let known = FieldOf { field: table.field, value_type: table.value_type, per_class: &per_class };
            let read = page.each_value(known, &mut |row, raw| {
                if page.rows.contains(row) {
                    let code = table.code(raw, groups)?;
                    let node = groups.step(*key, code);
                    met.push((row as u16, groups.group(node)));
                }
                Ok(())
            });
            table.per_class = per_class;
            read?;
        }
        let resources = page.resources()?;
        for row in page.rows.iter() {
            let scope = part.classes()[page.classes()[row] as usize].scope as usize;
            let of_resource = tables.resources.get(resources[row] as usize).into_iter().flatten();
            let of_scope = tables.scopes.get(scope).into_iter().flatten();
            met.extend(of_resource.chain(of_scope).map(|pair| (row as u16, *pair)));
        }
        met.sort_unstable();
        met.dedup();
        self.totals[of] += page.rows.len() as u64;
        met.into_iter().for_each(|(_, pair)| self.add(of, pair));
        Ok(())
    }

    fn add(&mut self, of: usize, pair: u32) {
        if pair == NO_ROOM {
            return;
        }
        let counts = &mut self.counts[of];
        if counts.len() <= pair as usize {
            counts.resize(pair as usize + 1, 0);
        }
        counts[pair as usize] += 1;
    }
}

impl PairTables {
    fn new(part: &MatchPart<'_>, groups: &mut Groups) -> Self {
        let (tables, mut fields) = (part.tables(), Vec::new());
        for (field, known) in (0..).zip(&tables.schema().fields) {
            if known.table == Table::Span && !known.internal {
                let key = groups.code(Some(tables.text(known.key)));
                fields.push((groups.step(ROOT, key), FieldTable::new(part, field)));
            }
        }
        Self {
            fields,
            resources: part.resources().into_iter().map(|resource| pairs_of_resource(resource, groups)).collect(),
            scopes: part.scopes().iter().map(|scope| pairs_of_scope(scope, groups)).collect(),
        }
    }
}

fn pair_of(key: &str, text: &str, groups: &mut Groups) -> u32 {
    let (key, text) = (groups.code(Some(key)), groups.code(Some(text)));
    let node = groups.step(ROOT, key);
    let node = groups.step(node, text);
    groups.group(node)
}

fn pairs_in(attributes: &[KeyValue], groups: &mut Groups) -> Vec<u32> {
    attributes.iter().map(|a| pair_of(&a.key, &text_of(&a.value), groups)).collect()
}

fn pairs_of_resource(resource: &Resource, groups: &mut Groups) -> Vec<u32> {
    pairs_in(&resource.attributes, groups)
}

fn pairs_of_scope(scope: &Scope, groups: &mut Groups) -> Vec<u32> {
    let mut pairs = pairs_in(&scope.attributes, groups);
    for (key, text) in [("otel.scope.name", &scope.name), ("otel.scope.version", &scope.version)] {
        if !text.is_empty() {
            pairs.push(pair_of(key, text, groups));
        }
    }
    pairs
}
