//! The spans of both sides with their keys: where they lie, and when they were.

use rustc_hash::FxHashMap;

use crate::catalog::{Snapshot, fingerprint};
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::model::{Span, SpanId, TraceId};
use crate::query::{Asked, Explain, MatchPart, MatchedPage, Matching};

use super::super::group_key::GroupKey;
use super::super::grouper::Grouper;
use super::super::groups::NO_ROOM;
use super::super::part_tables::DURATION;

pub use super::super::groups::Share;

/// Segment or chapter of the snapshot, and row; or [`LISTED`] and a number.
pub type Place = (u32, u32);
/// In place of a part: the span was judged as such.
const LISTED: u32 = u32::MAX;

/// A span of a key. Sorted by key, start and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The group of the key.
    pub group: u32,
    /// Its start.
    pub start: u64,
    /// Its end, which is its start if it has no duration.
    pub end: u64,
    /// Where it lies.
    pub place: Place,
    /// Whether it is on side a and on side b.
    pub sides: [bool; 2],
}

/// What names a span that was judged as such: distinct records of one id differ in their fingerprints.
type ListedKey = (TraceId, SpanId, u64);

/// The search for the spans of both sides.
pub struct Gathering<'q> {
    /// One side, or two if they differ.
    sides: Vec<Side<'q>>,
    limits: &'q Limits,
    /// True if rows of the head come from pages on one side and as spans on the other.
    mixed: bool,
}

struct Side<'q> {
    matching: Matching<'q>,
    parts: Vec<MatchPart<'q>>,
    /// The place of each part in the snapshot.
    numbers: Vec<u32>,
    is: [bool; 2],
}

/// The spans of some keys.
pub struct Gathered {
    members: Vec<Member>,
    grouper: Grouper,
    listed: Vec<(TraceId, SpanId)>,
}

impl Gathered {
    /// The spans of each key, by start and end.
    pub fn keys(&self) -> impl Iterator<Item = &[Member]> {
        self.members.chunk_by(|a, b| a.group == b.group)
    }

    /// The text of a key.
    pub fn key(&self, group: u32) -> Option<String> {
        self.grouper.path(group).texts.into_iter().next().flatten()
    }
}

impl<'q> Gathering<'q> {
    /// Plans the search; sides that ask the same are given once.
    ///
    /// # Errors
    /// Whatever is not damage; so do all methods here. Damage is noted, and what it hides is left out.
    pub fn new(snapshot: &'q Snapshot, asked: &'q [Asked], limits: &'q Limits) -> Result<Self> {
        let mut sides = Vec::new();
        let last = asked.len().saturating_sub(1);
        for (number, asked) in asked.iter().enumerate() {
            let (matching, parts) = Matching::new(asked, snapshot)?;
            let numbers = parts.iter().map(|part| part.number_in(snapshot)).collect();
            sides.push(Side { matching, parts, numbers, is: [number == 0, number == last] });
        }
        let has_head = |side: &Side<'_>| side.parts.iter().any(|part| part.chapter().is_some());
        let mixed = sides.iter().any(has_head) && !sides.iter().all(has_head);
        Ok(Self { sides, limits, mixed })
    }

    /// The spans of a share of the keys; `None` if they find no room.
    ///
    /// # Errors
    /// As [`Gathering::new`].
    pub fn gather(&mut self, key: &str, share: Share) -> Result<Option<Gathered>> {
        // Half of the room is for the texts of keys, half for spans.
        let bytes_max = self.limits.values_bytes_max / 2;
        let own = Limits { groups_max: bytes_max, result_bytes_max: bytes_max, ..self.limits.clone() };
        let mut grouper = Grouper::new(&[GroupKey::Attribute(key.to_owned())], None, false, &own);
        grouper.take_share(share);
        let mut out = Members {
            without_key: grouper.without_texts(),
            members: Vec::new(),
            left: bytes_max / size_of::<Member>(),
            is_full: false,
            listed: Vec::new(),
            numbers: FxHashMap::default(),
        };
        for side in &mut self.sides {
            // Tables are by part, and the parts of the sides are not the same.
            grouper.forget_parts();
            side.add_pages(&mut grouper, &mut out, self.mixed)?;
            let Side { matching, is, .. } = side;
            matching.each_doubled_span(|span| {
                let group = grouper.of_span(span);
                out.add_span(group, *is, span);
                Ok(())
            })?;
            if out.is_full || grouper.is_full() {
                return Ok(None);
            }
        }
        let Members { mut members, listed, .. } = out;
        members.sort_unstable();
        members.dedup_by(|next, first| {
            let same = (next.group, next.place) == (first.group, first.place);
            if same {
                first.sides.iter_mut().zip(next.sides).for_each(|(first, next)| *first |= next);
            }
            same
        });
        Ok(Some(Gathered { members, grouper, listed }))
    }

    /// The ids of the spans at these places, which are sorted; `None` if they cannot be read.
    ///
    /// # Errors
    /// As [`Gathering::new`].
    pub fn ids_at(&mut self, places: &[Place], gathered: &Gathered) -> Result<Option<Vec<(TraceId, SpanId)>>> {
        let mut out = Vec::with_capacity(places.len());
        for of_part in places.chunk_by(|a, b| a.0 == b.0) {
            let rows = of_part.iter().map(|(_, row)| *row);
            let number = of_part.first().map_or(LISTED, |(number, _)| *number);
            if number == LISTED {
                out.extend(rows.filter_map(|at| gathered.listed.get(at as usize)));
                continue;
            }
            let part = self.sides.iter().find_map(|side| {
                let at = side.numbers.iter().position(|known| *known == number)?;
                side.parts.get(at)
            });
            let read = match part {
                Some(part) => part.ids_of(rows),
                None => Err(Error::corrupt("a span of no part")),
            };
            match read {
                Ok(ids) => out.extend(ids),
                Err(error) => return self.problem(error).map(|()| None),
            }
        }
        Ok(Some(out))
    }

    fn problem(&mut self, error: Error) -> Result<()> {
        match self.sides.first_mut() {
            Some(side) => side.matching.problem(error),
            None => Err(error),
        }
    }

    /// What was read, and why the answer is not complete if it is not.
    pub fn finish(self) -> (Explain, Option<String>) {
        let (mut explain, mut reasons): (Explain, Vec<String>) = (Explain::default(), Vec::new());
        for side in self.sides {
            let (own, reason) = side.matching.finish();
            explain.add(&own);
            reasons.extend(reason.filter(|reason| !reasons.contains(reason)));
        }
        (explain, (!reasons.is_empty()).then(|| reasons.join("; ")))
    }
}

impl Side<'_> {
    fn add_pages(&mut self, grouper: &mut Grouper, out: &mut Members, mixed: bool) -> Result<()> {
        let Self { matching, parts, numbers, is } = self;
        let (mut rows, mut groups) = (Vec::new(), Vec::new());
        for (index, part) in parts.iter().enumerate() {
            for number in matching.pages(part) {
                if out.is_full || grouper.is_full() {
                    return Ok(());
                }
                let Some(page) = matching.page(part, *number)? else { continue };
                rows.clear();
                rows.extend(page.rows.iter().map(|row| row as u16));
                let mut read = || {
                    grouper.of_page(index, part, &page, &rows, &mut groups)?;
                    let facts = &grouper.tables(index, part).facts;
                    match part.chapter().filter(|_| mixed) {
                        Some(chapter) => rows.iter().zip(&groups).try_for_each(|(row, group)| {
                            let span = chapter.span(page.first_row() + u32::from(*row))?;
                            out.add_span(*group, *is, &span);
                            Ok(())
                        }),
                        None => out.add_rows((numbers[index], *is), &page, (&rows, &groups), facts),
                    }
                };
                if let Err(error) = read() {
                    matching.problem(error)?;
                }
            }
        }
        Ok(())
    }
}

/// The spans so far.
struct Members {
    /// The group of spans that do not have the key.
    without_key: u32,
    members: Vec<Member>,
    /// How many more find room.
    left: usize,
    is_full: bool,
    listed: Vec<(TraceId, SpanId)>,
    numbers: FxHashMap<ListedKey, u32>,
}

impl Members {
    fn add_rows(
        &mut self,
        (part, sides): (u32, [bool; 2]),
        page: &MatchedPage<'_>,
        (rows, groups): (&[u16], &[u32]),
        facts: &[u8],
    ) -> Result<()> {
        if groups.iter().all(|group| !self.takes(*group)) {
            return Ok(());
        }
        let (starts, durations) = (page.starts()?, page.durations()?);
        for (row, group) in rows.iter().zip(groups) {
            let at = usize::from(*row);
            let lasts = facts[page.classes()[at] as usize] & DURATION != 0;
            let (start, duration) = (starts[at], if lasts { durations[at] } else { 0 });
            let place = (part, page.first_row() + u32::from(*row));
            self.add(Member { group: *group, start, end: start.saturating_add(duration), place, sides });
        }
        Ok(())
    }

    fn add_span(&mut self, group: u32, sides: [bool; 2], span: &Span) {
        if !self.takes(group) {
            return;
        }
        let key = (span.trace_id, span.span_id, fingerprint(span));
        let next = self.listed.len() as u32;
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.listed.push((span.trace_id, span.span_id));
            // What it takes here is twice what it takes as a member.
            self.left = self.left.saturating_sub(2);
        }
        let (start, duration) = (span.start_unix_nano, span.duration_nanos().unwrap_or(0));
        self.add(Member { group, start, end: start.saturating_add(duration), place: (LISTED, number), sides });
    }

    fn takes(&self, group: u32) -> bool {
        group != NO_ROOM && group != self.without_key
    }

    fn add(&mut self, member: Member) {
        if !self.takes(member.group) {
            return;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                self.members.push(member);
            }
            None => self.is_full = true,
        }
    }
}
