//! Which group a row, a span or a trace belongs to.
//!
//! The path of a group has, in this order: the stage, the keys that a class decides, attributes, the step of
//! time. What a caller sees is in the order of the keys as given.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::limits::Limits;
use crate::model::Span;
use crate::query::{GroupTexts, MatchPart, MatchedPage};

use super::group_key::GroupKey;
use super::groups::{Code, Groups, NO_ROOM, NULL, ROOT, Share};
use super::part_tables::{PartTables, text_of_class};
use super::step_groups::UNKNOWN;

/// How samples are grouped.
pub struct Grouper {
    /// The keys in the order of paths: those of classes, then attributes.
    keys: Vec<GroupKey>,
    /// The place of each among the keys as given.
    places: Vec<usize>,
    class_keys: usize,
    /// Length of a step of time in nanoseconds, if time is a key.
    step: Option<u64>,
    /// True if a path begins with a stage.
    staged: bool,
    groups: Groups,
    /// By part.
    tables: Vec<Option<PartTables>>,
}

/// What a group's path says.
pub struct GroupPath {
    /// The stage, if that is a key.
    pub stage: Option<String>,
    /// The texts of the keys as given.
    pub texts: Vec<Option<String>>,
    /// The begin of the step of time, if that is a key.
    pub instant: Option<u64>,
}

impl Grouper {
    /// A grouper by these keys, and by steps of time if a length is given, which must not be 0.
    pub fn new(by: &[GroupKey], step: Option<u64>, staged: bool, limits: &Limits) -> Self {
        let is_attribute = |key: &GroupKey| matches!(key, GroupKey::Attribute(_));
        let mut places: Vec<usize> = (0..by.len()).collect();
        places.sort_by_key(|place| is_attribute(&by[*place]));
        let keys: Vec<GroupKey> = places.iter().map(|place| by[*place].clone()).collect();
        let class_keys = keys.iter().filter(|key| !is_attribute(key)).count();
        Self { keys, places, class_keys, step, staged, groups: Groups::new(limits), tables: Vec::new() }
    }

    /// From now on only groups with these texts are met.
    pub fn take_share(&mut self, share: Share) {
        self.groups.take_share(share);
    }

    /// The group of samples that have none of the keys.
    pub fn without_texts(&mut self) -> u32 {
        let node = self.keys.iter().fold(ROOT, |node, _| self.groups.step(node, NULL));
        self.groups.group(node)
    }

    /// From now on parts of the same index are others.
    pub fn forget_parts(&mut self) {
        self.tables.clear();
    }

    /// How many groups were met.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// True if a group found no room.
    pub fn is_full(&self) -> bool {
        self.groups.is_full()
    }

    /// True if a key needs the attributes of spans.
    pub fn needs_attributes(&self) -> bool {
        let needs = |key: &GroupKey| matches!(key, GroupKey::Attribute(_) | GroupKey::RemoteService);
        self.keys.iter().any(needs)
    }

    /// The tables of the part of this index.
    pub fn tables(&mut self, index: usize, part: &MatchPart<'_>) -> &mut PartTables {
        if self.tables.len() <= index {
            self.tables.resize_with(index + 1, || None);
        }
        let groups = &mut self.groups;
        let keys = self.keys[self.class_keys..].iter().filter_map(|key| match key {
            GroupKey::Attribute(key) => Some(key.as_str()),
            _ => None,
        });
        self.tables[index].get_or_insert_with(|| PartTables::new(part, keys, groups))
    }

    /// The groups of the given rows of a page of the part of this index.
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn of_page(
        &mut self,
        index: usize,
        part: &MatchPart<'_>,
        page: &MatchedPage<'_>,
        rows: &[u16],
        out: &mut Vec<u32>,
    ) -> Result<()> {
        self.tables(index, part);
        out.clear();
        let Some(Some(tables)) = self.tables.get_mut(index) else { return Ok(()) };
        let (class_keys, groups) = (&self.keys[..self.class_keys], &mut self.groups);
        let classes = page.classes();
        if let Some(step) = self.step
            && self.class_keys == self.keys.len()
            && of_classes_in_steps(tables, (class_keys, step), (part, page), rows, groups, out)?
        {
            return Ok(());
        }
        out.extend(rows.iter().map(|row| tables.node(classes[usize::from(*row)], class_keys, part, groups)));
        tables.step_by_attributes(page, rows, out, groups)?;
        if let Some(step) = self.step {
            let starts = page.starts()?;
            for (node, row) in out.iter_mut().zip(rows) {
                let start = starts[usize::from(*row)];
                let code = groups.code_of_instant(start - start % step);
                *node = groups.step(*node, code);
            }
        }
        let mut last = (NO_ROOM, NO_ROOM);
        for node in out {
            if *node != last.0 {
                last = (*node, groups.group(*node));
            }
            *node = last.1;
        }
        Ok(())
    }

    /// Length of a step of time in nanoseconds, if time is a key.
    pub fn step(&self) -> Option<u64> {
        self.step
    }

    /// The group of the rows of a class of the part of this index, where classes decide.
    pub fn of_class(&mut self, index: usize, part: &MatchPart<'_>, class: u32) -> u32 {
        self.tables(index, part);
        let Some(Some(tables)) = self.tables.get_mut(index) else { return NO_ROOM };
        let node = tables.node(class, &self.keys[..self.class_keys], part, &mut self.groups);
        self.groups.group(node)
    }

    /// True if service, name, kind and status of a span decide about its group.
    pub fn is_by_group(&self) -> bool {
        self.step.is_none() && self.is_by_group_and_time()
    }

    /// True if service and name of a span decide about its group.
    pub fn is_by_operation(&self) -> bool {
        self.is_by_group() && self.keys.iter().all(|key| matches!(key, GroupKey::Service | GroupKey::Name))
    }

    /// True if the service of a span, and its start where time is a key, decide about its group.
    pub fn is_by_service(&self) -> bool {
        !self.staged && self.keys.iter().all(|key| matches!(key, GroupKey::Service))
    }

    /// True if service, name, kind and status of a span, and its start where time is a key, decide about its group.
    pub fn is_by_group_and_time(&self) -> bool {
        let decides = |key: &GroupKey| !matches!(key, GroupKey::Attribute(_) | GroupKey::RemoteService);
        !self.staged && self.keys.iter().all(decides)
    }

    /// The node that the spans of a rollup's group lead to, but for the step of time; [`NO_ROOM`] if they do not decide.
    pub fn node_of_group(&mut self, texts: &GroupTexts<'_>) -> u32 {
        let mut node = ROOT;
        for key in &self.keys {
            let text = match key {
                GroupKey::Service => texts.service,
                GroupKey::Name => Some(texts.name).filter(|name| !name.is_empty()),
                GroupKey::Kind => Some(texts.kind.as_str()),
                GroupKey::Status => Some(texts.status.as_str()),
                GroupKey::RemoteService | GroupKey::Attribute(_) => return NO_ROOM,
            };
            let code = self.groups.code(text);
            node = self.groups.step(node, code);
        }
        node
    }

    /// The group at a node, of the step of time that begins at this instant where time is a key.
    pub fn group_at(&mut self, node: u32, instant: u64) -> u32 {
        if self.step.is_none() {
            return self.groups.group(node);
        }
        let code = self.groups.code_of_instant(instant);
        let node = self.groups.step(node, code);
        self.groups.group(node)
    }

    /// The group of a span.
    pub fn of_span(&mut self, span: &Span) -> u32 {
        let mut node = ROOT;
        for key in &self.keys {
            let code = self.groups.code(key.text_on(span).as_deref());
            node = self.groups.step(node, code);
        }
        if let Some(step) = self.step {
            let start = span.start_unix_nano;
            let code = self.groups.code_of_instant(start - start % step);
            node = self.groups.step(node, code);
        }
        self.groups.group(node)
    }

    /// The distinct codes of every key on the spans of a trace; "none" only where no span has the key.
    pub fn codes_of_trace(&mut self, spans: &[Span]) -> Vec<Vec<Code>> {
        let groups = &mut self.groups;
        let codes_of = |key: &GroupKey| {
            let texts: BTreeSet<String> = spans.iter().filter_map(|span| key.text_on(span)).collect();
            let codes: Vec<Code> = texts.iter().map(|text| groups.code(Some(text))).collect();
            if codes.is_empty() { vec![NULL] } else { codes }
        };
        self.keys.iter().map(codes_of).collect()
    }

    /// How many keys there are, and how many of them, the first ones, a class decides.
    pub fn keys_len(&self) -> (usize, usize) {
        (self.keys.len(), self.class_keys)
    }

    /// The code of a key that a class decides.
    pub fn code_of_class(&mut self, key: usize, class: u32, part: &MatchPart<'_>) -> Code {
        let text = text_of_class(&self.keys[key], &part.classes()[class as usize], part.tables());
        self.groups.code(text)
    }

    /// True for each class of a part whose rows may say something of a key.
    pub fn classes_with_keys(&mut self, index: usize, part: &MatchPart<'_>) -> Vec<bool> {
        let by_class = self.class_keys > 0;
        let tables = self.tables(index, part);
        (0..part.classes().len()).map(|class| by_class || tables.may_have_attribute(class)).collect()
    }

    /// The codes of each attribute on rows of a page; see [`PartTables::attribute_codes`].
    ///
    /// # Errors
    /// Corrupt if a page it needs is damaged.
    pub fn attribute_codes(
        &mut self,
        index: usize,
        part: &MatchPart<'_>,
        page: &MatchedPage<'_>,
        rows: &[u16],
        out: &mut Vec<Vec<Code>>,
    ) -> Result<()> {
        self.tables(index, part);
        match self.tables.get_mut(index) {
            Some(Some(tables)) => tables.attribute_codes(page, rows, &mut self.groups, out),
            _ => Ok(()),
        }
    }

    /// The groups of every combination of these codes, "none" where a key has no code; of a stage if that is a key.
    pub fn of_trace(&mut self, stage: Option<&str>, codes: &[Vec<Code>], out: &mut Vec<u32>) {
        let first = match stage {
            Some(_) if self.staged => {
                let code = self.groups.code(stage);
                self.groups.step(ROOT, code)
            }
            _ => ROOT,
        };
        out.clear();
        out.push(first);
        for codes in codes {
            match codes.as_slice() {
                [] => out.iter_mut().for_each(|node| *node = self.groups.step(*node, NULL)),
                [code] => out.iter_mut().for_each(|node| *node = self.groups.step(*node, *code)),
                codes => {
                    let steps = out.iter().flat_map(|node| codes.iter().map(|code| (*node, *code)));
                    *out = steps.map(|(node, code)| self.groups.step(node, code)).collect();
                }
            }
            out.retain(|node| *node != NO_ROOM);
        }
        out.iter_mut().for_each(|node| *node = self.groups.group(*node));
    }

    /// The begin of a group's step of time, if that is a key.
    pub fn instant(&self, group: u32) -> Option<u64> {
        self.step.and_then(|_| self.groups.last_code(group)).map(|code| self.groups.instant(code))
    }

    /// What the path of a group says.
    pub fn path(&self, group: u32) -> GroupPath {
        let mut codes = self.groups.path(group);
        let instant = self.step.and_then(|_| codes.pop()).map(|code| self.groups.instant(code));
        let text = |code: &Code| self.groups.text(*code).map(str::to_owned);
        let stage = if self.staged { text(&codes.remove(0)) } else { None };
        let mut texts = vec![None; codes.len()];
        for (code, place) in codes.iter().zip(&self.places) {
            texts[*place] = text(code);
        }
        GroupPath { stage, texts, instant }
    }
}

/// The groups of rows where class and step decide; false if they lie in too many steps to be looked up by place.
fn of_classes_in_steps(
    tables: &mut PartTables,
    (keys, step): (&[GroupKey], u64),
    (part, page): (&MatchPart<'_>, &MatchedPage<'_>),
    rows: &[u16],
    groups: &mut Groups,
    out: &mut Vec<u32>,
) -> Result<bool> {
    let (classes, starts) = (page.classes(), page.starts()?);
    let ends = |(first, last): (u64, u64), start: u64| (first.min(start), last.max(start));
    let (first, last) = rows.iter().map(|row| starts[usize::from(*row)]).fold((u64::MAX, 0), ends);
    if first > last || !tables.in_steps.cover(part.classes().len(), first / step, last / step) {
        return Ok(false);
    }
    let (mut number, mut instant) = (first / step, first - first % step);
    for row in rows {
        let (class, start) = (classes[usize::from(*row)], starts[usize::from(*row)]);
        if start < instant || start - instant >= step {
            (number, instant) = (start / step, start - start % step);
        }
        let known = *tables.in_steps.group(class, number);
        if known != UNKNOWN {
            out.push(known);
            continue;
        }
        let node = tables.node(class, keys, part, groups);
        let code = groups.code_of_instant(instant);
        let node = groups.step(node, code);
        let group = groups.group(node);
        *tables.in_steps.group(class, number) = group;
        out.push(group);
    }
    Ok(true)
}
