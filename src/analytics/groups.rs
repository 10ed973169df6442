//! Groups as numbers: texts are interned, and a group is a path of codes.
//!
//! ```text
//! keys (service, attr:channel):   root --web--> 1 --null--> 2        group 0
//!                                          \--app--> 3               group 1
//! ```
//! One step of a path is one look-up of two numbers, so rows of one class share the steps that the class decides.

use std::hash::BuildHasher;

use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::limits::Limits;

/// A text, or none, as a number.
pub type Code = u32;
/// The code of "none".
pub const NULL: Code = 0;
/// No code, node or group: there was no room.
pub const NO_ROOM: u32 = u32::MAX;
/// The node where every path begins.
pub const ROOT: u32 = 0;

/// A share of all texts, told by their hash, from 0.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Which of them.
    pub number: u64,
    /// How many there are.
    pub of: u64,
}

impl Share {
    fn holds(self, text: &str) -> bool {
        // The low bits of this hash are the weak ones.
        self.of < 2 || (FxBuildHasher.hash_one(text) >> 32) % self.of == self.number
    }
}

/// Texts and groups, as many as there is room for.
#[derive(Debug)]
pub struct Groups {
    texts: Vec<Option<Box<str>>>,
    codes: FxHashMap<Box<str>, Code>,
    instants: FxHashMap<u64, Code>,
    instant_of: Vec<u64>,
    /// Parent and code of every node.
    nodes: Vec<(u32, Code)>,
    children: FxHashMap<(u32, Code), u32>,
    /// Node of every group, and group of every node that has one.
    ends: Vec<u32>,
    group_of: Vec<u32>,
    groups_max: usize,
    bytes_left: usize,
    full: bool,
    frozen: bool,
    share: Option<Share>,
}

impl Groups {
    /// No group yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            texts: vec![None],
            codes: FxHashMap::default(),
            instants: FxHashMap::default(),
            instant_of: Vec::new(),
            nodes: vec![(NO_ROOM, NULL)],
            children: FxHashMap::default(),
            ends: Vec::new(),
            group_of: vec![NO_ROOM],
            groups_max: limits.groups_max.max(1),
            bytes_left: limits.result_bytes_max,
            full: false,
            frozen: false,
            share: None,
        }
    }

    /// From now on other texts than these find no room, as they are not wanted.
    pub fn take_share(&mut self, share: Share) {
        self.share = Some(share);
    }

    /// From now on what is not known finds no room, as it is wanted.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Notes that something new finds no room; unless none is wanted.
    fn refuse(&mut self) -> u32 {
        self.full |= !self.frozen;
        NO_ROOM
    }

    /// The code of a text, or [`NO_ROOM`].
    pub fn code(&mut self, text: Option<&str>) -> Code {
        let Some(text) = text else { return NULL };
        if let Some(code) = self.codes.get(text) {
            return *code;
        }
        if self.share.is_some_and(|share| !share.holds(text)) {
            return NO_ROOM;
        }
        let taken = 2 * text.len() + 64;
        if self.frozen || self.texts.len() > self.groups_max.saturating_mul(4) || taken > self.bytes_left {
            return self.refuse();
        }
        self.bytes_left -= taken;
        let code = self.texts.len() as Code;
        self.texts.push(Some(text.into()));
        self.codes.insert(text.into(), code);
        code
    }

    /// The code of an instant, which only [`Groups::instant`] gives a meaning, or [`NO_ROOM`].
    pub fn code_of_instant(&mut self, instant: u64) -> Code {
        if let Some(code) = self.instants.get(&instant) {
            return *code;
        }
        if self.frozen || self.instant_of.len() >= self.groups_max {
            return self.refuse();
        }
        let code = self.instant_of.len() as Code;
        self.instant_of.push(instant);
        self.instants.insert(instant, code);
        code
    }

    /// The node one step on from another, or [`NO_ROOM`].
    pub fn step(&mut self, node: u32, code: Code) -> u32 {
        if node == NO_ROOM || code == NO_ROOM {
            return NO_ROOM;
        }
        if let Some(child) = self.children.get(&(node, code)) {
            return *child;
        }
        if self.frozen || self.nodes.len() > self.groups_max.saturating_mul(8) {
            return self.refuse();
        }
        let child = self.nodes.len() as u32;
        self.nodes.push((node, code));
        self.group_of.push(NO_ROOM);
        self.children.insert((node, code), child);
        child
    }

    /// The group whose path ends at a node, or [`NO_ROOM`].
    pub fn group(&mut self, node: u32) -> u32 {
        let Some(known) = self.group_of.get(node as usize).copied() else { return NO_ROOM };
        if known != NO_ROOM {
            return known;
        }
        if self.frozen || self.ends.len() >= self.groups_max {
            return self.refuse();
        }
        let group = self.ends.len() as u32;
        self.ends.push(node);
        self.group_of[node as usize] = group;
        group
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if something found no room.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// The codes of a group's path, from the first step on.
    pub fn path(&self, group: u32) -> Vec<Code> {
        let mut node = self.ends[group as usize];
        let mut path = Vec::new();
        while node != ROOT {
            let (parent, code) = self.nodes[node as usize];
            path.push(code);
            node = parent;
        }
        path.reverse();
        path
    }

    /// The code of the last step of a group's path, if it has any.
    pub fn last_code(&self, group: u32) -> Option<Code> {
        let node = self.ends[group as usize];
        (node != ROOT).then(|| self.nodes[node as usize].1)
    }

    /// The text of a code.
    pub fn text(&self, code: Code) -> Option<&str> {
        self.texts[code as usize].as_deref()
    }

    /// The instant of a code.
    pub fn instant(&self, code: Code) -> u64 {
        self.instant_of[code as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_back_to_its_texts() {
        let mut groups = Groups::new(&Limits::default());
        let (web, pay) = (groups.code(Some("web")), groups.code(Some("pay")));
        let node = groups.step(ROOT, web);
        let (end, other) = (groups.step(node, pay), groups.step(node, NULL));
        let group = groups.group(end);
        assert_eq!((groups.group(other), groups.group(end), groups.len()), (1, group, 2));
        let texts: Vec<_> = groups.path(group).iter().map(|code| groups.text(*code)).collect();
        assert_eq!(texts, [Some("web"), Some("pay")]);
    }

    #[test]
    fn past_the_limit_known_groups_stay_and_new_ones_find_no_room() {
        let mut groups = Groups::new(&Limits { groups_max: 1, ..Limits::default() });
        let first = groups.code(Some("a"));
        let node = groups.step(ROOT, first);
        assert_eq!((groups.group(node), groups.is_full()), (0, false));
        let second = groups.code(Some("b"));
        let other = groups.step(ROOT, second);
        assert_eq!((groups.group(other), groups.group(node), groups.is_full()), (NO_ROOM, 0, true));
    }
}
