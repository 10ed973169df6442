//! Which pages of a segment a criterion can be met on: the place where pages are skipped.
//!
//! An index only ever says "not there". What it cannot say, or cannot say any more because it is damaged,
//! is every page.

use std::collections::BTreeMap;

use crate::column::{NONE, RowSource, Table, ValueType};
use crate::error::Result;
use crate::index::{PageSet, Postings};
use crate::limits::PAGE_ROWS;
use crate::model::{Scope, TimeRange};
use crate::segment::{FieldColumn, Fixed, SectionKind, Segment, duration_bucket};

use super::compile::{ChildTest, Compiled, EVENTS, FIELDS, LINKS, MATCHED, PRESENT, ValueTest, fields_of_key};
use super::number::Number;
use super::predicate::{Criterion, DurationRange};
use super::segment_pages::{SegmentPages, bytes_meet, number_meets};
use super::tag::{Operand, TagFilter, TagOperator, TagScope};

/// Pages each index took away, by the index's name.
pub type Pruned = BTreeMap<&'static str, u64>;

/// Pages that may hold a row inside the window.
pub fn window_pages(pages: &SegmentPages<'_>, window: TimeRange, pruned: &mut Pruned) -> PageSet {
    let all = PageSet::all(pages.segment.row_pages());
    if window == TimeRange::ALL {
        return all;
    }
    match pages.segment.zones() {
        Some(zones) => narrow(all, zones.pages_in_time(crate::index::Measure::Start, window), "zone", pruned),
        None => all,
    }
}

/// The given pages that may hold a row of a service, by the codes of its name.
pub fn service_pages(segment: &Segment, codes: impl Iterator<Item = u32>, within: PageSet) -> PageSet {
    let mut codes: Vec<u32> = codes.collect();
    codes.sort_unstable();
    codes.dedup();
    indexed(segment, SectionKind::ServicePages, codes, within, "service", &mut Pruned::default())
}

/// The given pages that may hold a row that meets the criterion.
pub fn criterion_pages(
    pages: &SegmentPages<'_>,
    criterion: &Criterion,
    compiled: &Compiled<'_>,
    within: PageSet,
    pruned: &mut Pruned,
) -> PageSet {
    if within.is_empty() {
        return within;
    }
    match criterion {
        Criterion::Service(_) => {
            let codes = string_codes(pages, compiled, |class| class.service);
            indexed(pages.segment, SectionKind::ServicePages, codes, within, "service", pruned)
        }
        Criterion::RemoteService(_) => {
            let codes = string_codes(pages, compiled, |class| class.remote);
            indexed(pages.segment, SectionKind::RemotePages, codes, within, "remote-service", pruned)
        }
        Criterion::Duration(range) => duration_pages(pages, *range, within, pruned),
        Criterion::Name(_) | Criterion::Kind(_) | Criterion::Status(_) | Criterion::Error => {
            let codes = matching_classes(compiled);
            indexed(pages.segment, SectionKind::ClassPages, codes, within, "class", pruned)
        }
        Criterion::Tag(_) | Criterion::Annotation(_) | Criterion::Text(..) => {
            attribute_pages(pages, compiled, within, pruned)
        }
    }
}

/// The pages that are possible; notes under the index's name how many are not.
pub fn narrow(pages: PageSet, possible: PageSet, index: &'static str, pruned: &mut Pruned) -> PageSet {
    let before = pages.len();
    let left = pages.and(&possible);
    *pruned.entry(index).or_default() += before - left.len();
    left
}

fn matching_classes(compiled: &Compiled<'_>) -> Vec<u32> {
    (0..compiled.classes.len()).filter(|c| compiled.class_can_match(*c)).map(|c| c as u32).collect()
}

fn string_codes(
    pages: &SegmentPages<'_>,
    compiled: &Compiled<'_>,
    of: impl Fn(&crate::column::Class) -> u32,
) -> Vec<u32> {
    let classes = &pages.source.schema().classes;
    let mut codes: Vec<u32> = matching_classes(compiled).iter().map(|c| of(&classes[*c as usize])).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn indexed(
    segment: &Segment,
    kind: SectionKind,
    codes: Vec<u32>,
    within: PageSet,
    name: &'static str,
    pruned: &mut Pruned,
) -> PageSet {
    match segment.page_index(kind).and_then(|index| index.any(codes).ok()) {
        Some(possible) => narrow(within, possible, name, pruned),
        None => within,
    }
}

fn duration_pages(pages: &SegmentPages<'_>, range: DurationRange, within: PageSet, pruned: &mut Pruned) -> PageSet {
    let (min, max) = (range.min.unwrap_or(0), range.max.unwrap_or(u64::MAX));
    if min > max {
        return narrow(within, PageSet::new(), "duration", pruned);
    }
    let codes = (duration_bucket(min)..=duration_bucket(max)).collect();
    let left = indexed(pages.segment, SectionKind::DurationPages, codes, within, "duration", pruned);
    match pages.segment.zones() {
        Some(zones) => narrow(left, zones.pages_with_duration(min..=max), "zone", pruned),
        None => left,
    }
}

/// Pages for a criterion on attributes: those where a class or a resource decides, and those where the
/// values of a field, the events or the links may.
fn attribute_pages(pages: &SegmentPages<'_>, compiled: &Compiled<'_>, within: PageSet, pruned: &mut Pruned) -> PageSet {
    let Some(index) = pages.segment.page_index(SectionKind::ClassPages) else { return within };
    let classes_with = |bits: u8| {
        let with = compiled.classes.iter().enumerate().filter(move |(_, facts)| **facts & bits != 0);
        with.map(|(class, _)| class as u32)
    };
    let certain = if compiled.negated { PRESENT } else { MATCHED };
    let Ok(possible) = index.any(classes_with(certain)) else { return within };
    let mut possible = possible.or(&resource_pages(pages, compiled));
    if compiled.negated {
        let Ok(others) = index.any(classes_with(FIELDS | EVENTS | LINKS)) else { return within };
        return narrow(within, possible.or(&others), "class", pruned);
    }
    // Where terms are listed, the pages of classes that have the key need not be known.
    let mut by = "terms";
    for field in &compiled.fields {
        let found = term_pages(pages, field.field, field.value_type, &field.test).or_else(|| {
            by = "class";
            index.any((0..).zip(&field.per_class).filter(|(_, n)| **n > 0).map(|(class, _)| class)).ok()
        });
        let Some(found) = found else { return within };
        possible = possible.or(&found);
    }
    if classes_with(EVENTS | LINKS).next().is_some() {
        let found = child_pages(pages, compiled).or_else(|| {
            by = "class";
            index.any(classes_with(EVENTS | LINKS)).ok()
        });
        let Some(found) = found else { return within };
        possible = possible.or(&found);
    }
    narrow(within, possible, by, pruned)
}

/// True if an index tells that no row of the segment meets one of the criteria, so that nothing else need be looked at.
pub fn rules_out(pages: &SegmentPages<'_>, criteria: &[Criterion]) -> bool {
    criteria.iter().any(|criterion| matches!(criterion, Criterion::Tag(filter) if has_no_value(pages, filter)))
}

fn has_no_value(pages: &SegmentPages<'_>, filter: &TagFilter) -> bool {
    let (source, key) = (&pages.source, filter.key());
    let may_scope = |scope: &Scope| scope.attributes.iter().any(|attribute| attribute.key == key);
    let elsewhere = (filter.looks_in(TagScope::Resource) && source.may_have_resource_key(key))
        || (filter.looks_in(TagScope::Scope)
            && (key.starts_with("otel.scope.") || source.tables.scopes.iter().any(|scope| may_scope(scope))));
    if filter.operator() != TagOperator::Equal || elsewhere {
        return false;
    }
    let tables = [(TagScope::Span, Table::Span), (TagScope::Event, Table::Event), (TagScope::Link, Table::Link)];
    tables.into_iter().filter(|(scope, _)| filter.looks_in(*scope)).all(|(_, table)| {
        fields_of_key(source, table, key).into_iter().all(|field| {
            let value_type = source.schema().fields[field as usize].value_type;
            term_pages(pages, field, value_type, &ValueTest::Tag(filter)).is_some_and(|found| found.is_empty())
        })
    })
}

/// Pages of the services of resources that can match.
fn resource_pages(pages: &SegmentPages<'_>, compiled: &Compiled<'_>) -> PageSet {
    let matching: Vec<usize> = (0..compiled.resources.len()).filter(|r| compiled.resource_can_match(*r)).collect();
    if matching.is_empty() {
        return PageSet::new();
    }
    let services: Vec<u32> =
        matching.iter().map(|r| pages.source.tables.services.get(*r).copied().unwrap_or(NONE)).collect();
    let index = pages.segment.page_index(SectionKind::ServicePages);
    let all = || PageSet::all(pages.segment.row_pages());
    if services.contains(&NONE) {
        return all();
    }
    index.and_then(|index| index.any(services).ok()).unwrap_or_else(all)
}

/// Pages of a table that may hold a value equal to what the test asks for; `None` if no index says.
fn term_pages(pages: &SegmentPages<'_>, field: u32, value_type: ValueType, test: &ValueTest<'_>) -> Option<PageSet> {
    let column = pages.source.tables.column_of(field);
    let found = hash_pages(pages.segment, &column, equal_hashes(&column, value_type, test)?)?;
    told_pages(pages, field, found, |value| {
        Ok(if value_type.is_bytes() {
            bytes_meet(value_type, pages.segment.told_text(field, value)?, test)?
        } else {
            number_meets(value_type, value, test)
        })
    })
}

/// These pages and those of the classes that tell a value of the field which is met; `None` if no index says.
fn told_pages(
    pages: &SegmentPages<'_>,
    field: u32,
    found: PageSet,
    is_met: impl Fn(u64) -> Result<bool>,
) -> Option<PageSet> {
    let mut classes = Vec::new();
    for (class, value) in pages.source.tables.told.of_field(field) {
        if is_met(*value).ok()? {
            classes.push(*class);
        }
    }
    if classes.is_empty() {
        return Some(found);
    }
    Some(found.or(&pages.segment.page_index(SectionKind::ClassPages)?.any(classes).ok()?))
}

/// Pages of a field's table that may hold one of these values, as their bytes are stored; `None` if no index
/// says.
pub fn value_pages<'v>(
    pages: &SegmentPages<'_>,
    field: u32,
    values: impl Iterator<Item = &'v [u8]>,
) -> Option<PageSet> {
    let column = pages.source.tables.column_of(field);
    let values: Vec<&[u8]> = values.collect();
    let hashes = values.iter().map(|value| column.term(value)).collect();
    let found = hash_pages(pages.segment, &column, hashes)?;
    told_pages(pages, field, found, |code| Ok(values.contains(&pages.segment.told_text(field, code)?)))
}

fn hash_pages(segment: &Segment, column: &FieldColumn, hashes: Vec<u64>) -> Option<PageSet> {
    let table_pages = segment.column(column.ranks)?.values.checked_sub(1)?;
    let terms = segment.terms(column, u32::try_from(table_pages).ok()?)?;
    let mut out = PageSet::new();
    for hash in hashes {
        match terms.pages(hash) {
            Postings::Common => return None,
            Postings::Pages(found) => out = out.or(&found),
        }
    }
    Some(out)
}

/// Span pages whose events or links may hold an equal value; `None` if no index says.
fn child_pages(pages: &SegmentPages<'_>, compiled: &Compiled<'_>) -> Option<PageSet> {
    let Some(ChildTest::Tag(filter)) = compiled.children else { return None };
    let mut out = PageSet::new();
    for (table, column) in [(Table::Event, Fixed::EventRow), (Table::Link, Fixed::LinkRow)] {
        for field in fields_of_key(&pages.source, table, filter.key()) {
            let value_type = pages.source.schema().fields[field as usize].value_type;
            let found = term_pages(pages, field, value_type, &ValueTest::Tag(filter))?;
            let starts = pages.segment.sparse_starts(column).ok()?;
            for page in found.iter() {
                let first = starts.get(page as usize)? / PAGE_ROWS as u32;
                let next = starts.get(page as usize + 1).map_or(pages.segment.rows() - 1, |row| *row);
                out.insert_range(first..(next / PAGE_ROWS as u32) + 1);
            }
        }
    }
    Some(out)
}

/// Terms of every value of this type that the test holds equal; `None` if equality is not what it asks.
fn equal_hashes(column: &FieldColumn, value_type: ValueType, test: &ValueTest<'_>) -> Option<Vec<u64>> {
    let number = |bits: u64| column.term(&bits.to_le_bytes());
    match (test, value_type) {
        (ValueTest::Text(text), ValueType::String) => Some(vec![column.term(text.as_bytes())]),
        (ValueTest::Text(_), _) => None,
        (ValueTest::Tag(filter), _) if filter.operator() != TagOperator::Equal => None,
        (ValueTest::Tag(filter), ValueType::String) => Some(vec![column.term(filter.operand().text().as_bytes())]),
        (ValueTest::Tag(filter), ValueType::Int) => {
            Some(int_of(filter)?.into_iter().map(|v| number(v as u64)).collect())
        }
        (ValueTest::Tag(filter), ValueType::Bool) => match filter.operand() {
            Operand::Bare(text) => Some(text.parse::<bool>().into_iter().map(|b| number(b.into())).collect()),
            Operand::Quoted(_) => Some(Vec::new()),
        },
        (ValueTest::Tag(_), ValueType::Empty | ValueType::Bytes) => Some(Vec::new()),
        (ValueTest::Tag(_), ValueType::Double | ValueType::Composite) => None,
    }
}

/// The one integer the filter's number equals, if it equals one; `None` if that is hard to say.
fn int_of(filter: &TagFilter) -> Option<Option<i64>> {
    match filter.number() {
        Some(Number::Int(value)) => Some(Some(value)),
        Some(Number::Double(_)) => None,
        None => Some(None),
    }
}
