//! Figures of everything, from rollups: counts, sums and histograms by group, and the slowest spans.
//!
//! ```text
//! totals = sum over segments of (rollup - rows of deleted and doubled traces) + rows of the head
//!        + each loose live trace once, over its united spans
//! ```
//! A segment without a sound and complete rollup is added up row by row instead: the figures are the same. The
//! slowest spans come from tail lists if those prove the answer, else the caller has to scan.

use std::collections::{BTreeMap, BinaryHeap};

use rustc_hash::FxHashMap;

use crate::catalog::{SegmentPart, Snapshot};
use crate::column::{Class, ClassBits, NONE, RowSource};
use crate::error::{Error, ErrorKind, Result};
use crate::head::{Row, trace_id_of};
use crate::index::rollup::{Group, GroupCodes, GroupKey, RemoteCode, Rollup, RowTotals, TailLists, TailNext, TailWalk};
use crate::limits::Limits;
use crate::model::{Span, SpanId, SpanKind, StatusCode, duration_nanos};
use crate::part::ReadCounter;
use crate::segment::{RowFinder, Segment, rollup_of_rows, rollup_of_segment};

use super::compile::is_text;
use super::evaluate::{kind_meets, status_meets};
use super::slow_span::{SlowSpan, SlowestSpans};
use super::tally::{ListRoom, Selection, Tally};

/// What a group is made of, as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupName {
    /// The service; `None` for the spans that name none.
    pub service: Option<String>,
    /// Name of the spans, perhaps empty.
    pub name: String,
    /// Their kind.
    pub kind: SpanKind,
    /// Their effective status.
    pub status: StatusCode,
}

/// A group as it stands in a part.
#[cfg_attr(not(test), expect(dead_code, reason = "service links, which are built on it, come later"))]
#[derive(Clone, Copy, Debug)]
pub struct GroupRef<'t> {
    /// The service; `None` for the spans that name none.
    pub service: Option<&'t str>,
    /// Name of the spans, perhaps empty.
    pub name: &'t str,
    /// Their kind.
    pub kind: SpanKind,
    /// Their effective status.
    pub status: StatusCode,
}

/// Says which groups are wanted.
pub type Takes<'t> = dyn Fn(&GroupRef<'_>) -> bool + 't;

/// The sums over all distinct live spans of the groups that `takes` says yes to, by service, name, kind and status.
///
/// # Errors
/// Corrupt if a page or section it needs is damaged, which no rollup is; TooLarge, naming the limit, if a doubled
/// trace is too large to be held or there are too many groups.
#[cfg_attr(not(test), expect(dead_code, reason = "service links, which are built on it, come later"))]
pub fn totals(snapshot: &Snapshot, limits: &Limits, takes: &Takes<'_>) -> Result<BTreeMap<GroupName, Group>> {
    sum::<ByGroup>(snapshot, limits, takes)
}

/// The sums over the distinct live spans that name a remote service, by its name.
///
/// # Errors
/// As [`totals`].
#[cfg_attr(not(test), expect(dead_code, reason = "service links, which are built on it, come later"))]
pub fn remote_totals(snapshot: &Snapshot, limits: &Limits) -> Result<BTreeMap<String, Group>> {
    sum::<ByRemote>(snapshot, limits, &|_| true)
}

/// A way to group spans that segments have a rollup of.
trait Family {
    type Key: GroupKey;
    type Name: Ord;

    fn rollup(segment: &Segment) -> Option<Rollup<'_, Self::Key>>;
    fn of_rows(totals: &RowTotals) -> impl Iterator<Item = (Self::Key, &Group)>;
    fn name(source: &dyn RowSource, key: Self::Key) -> Self::Name;
    fn is_taken(source: &dyn RowSource, key: Self::Key, takes: &Takes<'_>) -> bool;
    /// What a span is counted under, if it is wanted.
    fn of_span(span: &Span, takes: &Takes<'_>) -> Option<Self::Name>;
    fn name_bytes(name: &Self::Name) -> usize;
}

struct ByGroup;

impl Family for ByGroup {
    type Key = GroupCodes;
    type Name = GroupName;

    fn rollup(segment: &Segment) -> Option<Rollup<'_, GroupCodes>> {
        segment.rollup()
    }

    fn of_rows(totals: &RowTotals) -> impl Iterator<Item = (GroupCodes, &Group)> {
        totals.groups()
    }

    fn name(source: &dyn RowSource, key: GroupCodes) -> GroupName {
        let (service, name) = (text(source, key.service), text(source, key.name).unwrap_or_default());
        let (service, name) = (service.map(str::to_owned), name.to_owned());
        GroupName { service, name, kind: key.kind, status: key.status }
    }

    fn is_taken(source: &dyn RowSource, key: GroupCodes, takes: &Takes<'_>) -> bool {
        let (service, name) = (text(source, key.service), text(source, key.name).unwrap_or_default());
        takes(&GroupRef { service, name, kind: key.kind, status: key.status })
    }

    fn of_span(span: &Span, takes: &Takes<'_>) -> Option<GroupName> {
        let group = GroupRef { service: span.service(), name: &span.name, kind: span.kind, status: span.status_code() };
        takes(&group).then(|| group_of(span))
    }

    fn name_bytes(name: &GroupName) -> usize {
        name.name.len() + name.service.as_ref().map_or(0, String::len)
    }
}

struct ByRemote;

impl Family for ByRemote {
    type Key = RemoteCode;
    type Name = String;

    fn rollup(segment: &Segment) -> Option<Rollup<'_, RemoteCode>> {
        segment.remote_rollup()
    }

    fn of_rows(totals: &RowTotals) -> impl Iterator<Item = (RemoteCode, &Group)> {
        totals.remotes()
    }

    fn name(source: &dyn RowSource, key: RemoteCode) -> String {
        source.text(key.0).to_owned()
    }

    fn is_taken(_: &dyn RowSource, _: RemoteCode, _: &Takes<'_>) -> bool {
        true
    }

    fn of_span(span: &Span, _: &Takes<'_>) -> Option<String> {
        span.remote_service().map(str::to_owned)
    }

    fn name_bytes(name: &String) -> usize {
        name.len()
    }
}

fn text(source: &dyn RowSource, code: u32) -> Option<&str> {
    (code != NONE).then(|| source.text(code))
}

fn group_of(span: &Span) -> GroupName {
    let (service, name) = (span.service().map(str::to_owned), span.name.clone());
    GroupName { service, name, kind: span.kind, status: span.status_code() }
}

fn sum<F: Family>(snapshot: &Snapshot, limits: &Limits, takes: &Takes<'_>) -> Result<BTreeMap<F::Name, Group>> {
    let counter = ReadCounter::limited(limits.trace_bytes_max);
    let tally = Tally::new(snapshot, Selection::default(), limits, &counter)?;
    let mut out: BTreeMap<F::Name, Group> = BTreeMap::new();
    let mut room = ListRoom::new(limits.result_bytes_max);
    let mut add = |name: F::Name, group: &Group| match out.get_mut(&name) {
        Some(known) => known.merge(group),
        None if room.take(size_of::<(F::Name, Group)>() + F::name_bytes(&name)) => {
            out.insert(name, group.clone());
        }
        None => {}
    };
    for part in &snapshot.segments {
        let source = part.segment.source()?;
        for (key, group) in clean_groups::<F>(part, &|key| F::is_taken(&source, key, takes), &counter)? {
            if !group.is_empty() {
                add(F::name(&source, key), &group);
            }
        }
    }
    for chapter in &snapshot.chapters {
        let without_doubled;
        let rows = if tally.is_empty() {
            chapter.totals()
        } else {
            without_doubled = chapter.totals_of(|row| !tally.has_doubled(trace_id_of(row)));
            &without_doubled
        };
        for (key, group) in F::of_rows(rows).filter(|(key, _)| F::is_taken(&***chapter, *key, takes)) {
            add(F::name(&***chapter, key), group);
        }
    }
    tally.each_doubled_span(|span| {
        if let Some(name) = F::of_span(span, takes) {
            let mut one = Group::default();
            one.add_row(span.duration_nanos(), span.is_error());
            add(name, &one);
        }
    })?;
    room.tell(&tally);
    complete(tally, out)
}

fn complete<T>(tally: Tally<'_>, answer: T) -> Result<T> {
    match tally.into_reason() {
        Some(reason) => Err(Error::new(ErrorKind::TooLarge, reason)),
        None => Ok(answer),
    }
}

/// The sums over the rows of a segment's clean traces.
fn clean_groups<F: Family>(
    part: &SegmentPart,
    takes: &dyn Fn(F::Key) -> bool,
    counter: &ReadCounter,
) -> Result<FxHashMap<F::Key, Group>> {
    let less = rollup_of_rows(&part.segment, part.apart().iter(), counter)?;
    let take_off = |mut groups: FxHashMap<F::Key, Group>| {
        for (key, group) in F::of_rows(&less).filter(|(key, _)| takes(*key)) {
            let missing = || Error::corrupt(format!("segment {}: a group is not in its rollup", part.segment.name()));
            groups.get_mut(&key).ok_or_else(missing)?.subtract(group)?;
        }
        Ok(groups)
    };
    let rollup = F::rollup(&part.segment).filter(Rollup::is_complete);
    let found = rollup.and_then(|rollup| {
        let keys = rollup.keys().enumerate().filter(|(_, key)| takes(*key));
        let groups: Result<_> = keys.map(|(place, key)| Ok((key, rollup.group(place)?))).collect();
        groups.and_then(take_off).ok()
    });
    match found {
        Some(groups) => Ok(groups),
        None => {
            let all = rollup_of_segment(&part.segment, counter)?;
            let taken = F::of_rows(&all).filter(|(key, _)| takes(*key));
            take_off(taken.map(|(key, group)| (key, group.clone())).collect())
        }
    }
}

/// Which groups are asked for; everything that is `None` may be anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct GroupFilter<'f> {
    /// This service.
    pub service: Option<&'f str>,
    /// This span name.
    pub name: Option<&'f str>,
    /// This kind.
    pub kind: Option<SpanKind>,
    /// This effective status.
    pub status: Option<StatusCode>,
}

impl GroupFilter<'_> {
    fn takes_operation(&self, service: Option<&str>, name: &str) -> bool {
        (self.service.is_none() || self.service == service) && self.name.is_none_or(|wanted| wanted == name)
    }

    /// Which classes of a part are taken, by code.
    fn of_classes(&self, source: &dyn RowSource) -> Vec<bool> {
        let service = self.service.map(|service| is_text(source, service));
        let name = self.name.map(|name| is_text(source, name));
        let taken = |class: &Class| {
            service.as_ref().is_none_or(|is_it| class.service != NONE && is_it(class.service))
                && name.as_ref().is_none_or(|is_it| is_it(class.name))
                && self.takes_sort(class)
        };
        source.schema().classes.iter().map(taken).collect()
    }

    fn takes(&self, source: &dyn RowSource, class: &Class) -> bool {
        let name = text(source, class.name).unwrap_or_default();
        self.takes_operation(text(source, class.service), name) && self.takes_sort(class)
    }

    fn takes_sort(&self, class: &Class) -> bool {
        self.kind.is_none_or(|kind| kind_meets(class.kind, kind))
            && self.status.is_none_or(|status| status_meets(class.status, status))
    }

    fn takes_span(&self, span: &Span) -> bool {
        self.takes_operation(span.service(), &span.name)
            && self.kind.is_none_or(|kind| kind_meets(span.kind, kind))
            && self.status.is_none_or(|status| status_meets(span.status_code(), status))
    }
}

/// The slowest `limit` distinct live spans of the groups, as [`SlowSpan`] orders them; `None` if tail lists do
/// not prove the answer. Reads every list of the operations, and of the rows those that are candidates.
///
/// # Errors
/// As [`totals`].
pub fn slowest_rows(
    snapshot: &Snapshot,
    filter: &GroupFilter<'_>,
    limit: usize,
    limits: &Limits,
) -> Result<Option<Vec<SlowSpan>>> {
    let counter = ReadCounter::limited(limits.trace_bytes_max);
    let tally = Tally::new(snapshot, Selection::default(), limits, &counter)?;
    let mut slowest = SlowestSpans::new(limit);
    add_loose(snapshot, &tally, filter, &mut slowest)?;
    let Some(mut listed) = ListedRows::new(snapshot, filter)? else { return Ok(None) };
    let mut parts = Vec::with_capacity(snapshot.segments.len());
    for part in &snapshot.segments {
        parts.push((part, part.segment.source()?, RowFinder::new(&part.segment, &counter)));
    }
    while let Some((duration, part, row)) = listed.next(slowest.shortest())? {
        let (part, source, finder) = &mut parts[part];
        let unknown = || Error::corrupt(format!("segment {}: unknown class", part.segment.name()));
        let class = source.schema().classes.get(finder.class(row)? as usize).ok_or_else(unknown)?;
        let ordinal = finder.ordinal(row)?;
        if part.doubled.contains(ordinal) || part.deleted.contains(ordinal) || !filter.takes(source, class) {
            continue;
        }
        let found = finder.row(row, ordinal)?;
        let trace_id = part.segment.trace_id(ordinal, &counter)?;
        let span_id = SpanId::from_u64(found.span_id).ok_or_else(unknown)?;
        slowest.add(SlowSpan::of_row(source, class, duration, found.start, (trace_id, span_id)));
    }
    let bound = listed.bound;
    // What is not listed is no longer than the bound.
    let is_proven = bound.is_none_or(|bound| slowest.is_full() && slowest.shortest() > bound);
    complete(tally, is_proven.then(|| slowest.into_sorted()))
}

/// Adds the spans of the head and of doubled traces.
fn add_loose(
    snapshot: &Snapshot,
    tally: &Tally<'_>,
    filter: &GroupFilter<'_>,
    slowest: &mut SlowestSpans,
) -> Result<()> {
    for chapter in &snapshot.chapters {
        let taken = filter.of_classes(&***chapter);
        let mut add = |duration: u64, row: &Row| {
            let class = &chapter.schema.classes[row.class as usize];
            let trace_id = trace_id_of(row);
            if let Some(span_id) = SpanId::from_u64(row.span_id)
                && !tally.has_doubled(trace_id)
            {
                slowest.add(SlowSpan::of_row(&***chapter, class, duration, row.start, (trace_id, span_id)));
            }
            slowest.shortest()
        };
        let taken: Vec<u32> = (0u32..).zip(&taken).filter(|(_, taken)| **taken).map(|(class, _)| class).collect();
        let rows: usize = taken.iter().map(|class| chapter.rows_of_class(*class).len()).sum();
        if rows * 8 < chapter.rows.len() {
            let of_class = taken.iter().flat_map(|class| chapter.rows_of_class(*class));
            for row in of_class.map(|at| &chapter.rows[*at as usize]) {
                let is_zipkin = chapter.schema.classes[row.class as usize].bits.has(ClassBits::ZIPKIN);
                duration_nanos(row.start, row.end, is_zipkin).map(|duration| add(duration, row));
            }
            continue;
        }
        let mut shortest = 0;
        for (duration, at) in chapter.by_duration() {
            if *duration < shortest {
                break;
            }
            let row = &chapter.rows[*at as usize];
            if taken.binary_search(&row.class).is_ok() {
                shortest = add(*duration, row);
            }
        }
    }
    tally.each_doubled_span(|span| {
        if filter.takes_span(span) {
            SlowSpan::of(span).into_iter().for_each(|slow| slowest.add(slow));
        }
    })
}

/// Rows of tail lists, the slowest first.
struct ListedRows<'s> {
    /// The next row of each list: duration, list, segment, row.
    next: BinaryHeap<(u64, usize, usize, u32)>,
    lists: Vec<TailWalk<'s>>,
    /// The longest duration of a row of these operations that is not listed, of the lists that ended.
    bound: Option<u64>,
}

impl<'s> ListedRows<'s> {
    /// The listed rows of the operations asked for; `None` if a segment does not list all operations.
    fn new(snapshot: &'s Snapshot, filter: &GroupFilter<'_>) -> Result<Option<Self>> {
        let mut out = Self { next: BinaryHeap::new(), lists: Vec::new(), bound: None };
        for (at, part) in snapshot.segments.iter().enumerate() {
            let source = part.segment.source()?;
            let Some(lists) = part.segment.tail_lists().filter(TailLists::is_complete) else { return Ok(None) };
            for (place, codes) in lists.operations().enumerate() {
                let name = text(&source, codes.name).unwrap_or_default();
                if filter.takes_operation(text(&source, codes.service), name) {
                    out.lists.push(lists.walk(place)?);
                    out.step(out.lists.len() - 1, at)?;
                }
            }
        }
        Ok(Some(out))
    }

    /// Puts the next row of a list of a segment among the next ones.
    fn step(&mut self, list: usize, segment: usize) -> Result<()> {
        match self.lists[list].next_row()? {
            TailNext::Row(row) => self.next.push((row.duration, list, segment, row.row)),
            TailNext::End { bound } => self.bound = self.bound.max(bound),
        }
        Ok(())
    }

    /// Duration, segment and row of the next one that took at least so long.
    fn next(&mut self, shortest: u64) -> Result<Option<(u64, usize, u32)>> {
        let Some((duration, list, segment, row)) = self.next.pop().filter(|row| row.0 >= shortest) else {
            return Ok(None);
        };
        self.step(list, segment)?;
        Ok(Some((duration, segment, row)))
    }
}
