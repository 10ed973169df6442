//! The rollup of a segment as bytes.
//!
//! ```text
//! groups there are: varint | groups listed: varint
//! each group listed: key, length of its body: varint
//! bodies
//! ```
//! The listed ones are in the order of their first rows. Opening reads the keys, 5 bytes each or so; a body is
//! decoded when it is asked for. Segments of more than 4,096 groups list the most frequent ones.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::ops::Range;

use super::group::{Group, GroupCodes, GroupKey};
use super::histogram::Histogram;
use crate::bytes::{Reader, Writer};
use crate::column::NONE;
use crate::error::{Error, Result, ensure};
use crate::limits::ROLLUP_GROUPS_MAX;

/// The places of the largest items, at most [`ROLLUP_GROUPS_MAX`], in order; of equal ones the first.
pub(super) fn most_frequent(counts: &[u64]) -> Vec<usize> {
    let mut out: Vec<usize> = (0..counts.len()).collect();
    if out.len() > ROLLUP_GROUPS_MAX {
        out.sort_by_key(|at| Reverse(counts[*at]));
        out.truncate(ROLLUP_GROUPS_MAX);
        out.sort_unstable();
    }
    out
}

/// The place of each of `len` items among those listed, [`NONE`] for the others.
pub(super) fn places_of(listed: &[usize], len: usize) -> Vec<u32> {
    let mut out = vec![NONE; len];
    listed.iter().zip(0..).for_each(|(at, place)| out[*at] = place);
    out
}

/// The rollup of groups, of which these are listed, as bytes.
pub(super) fn encode<K: GroupKey>(keys: &[K], groups: &[Group], listed: &[usize]) -> Vec<u8> {
    let (mut out, mut bodies) = (Writer::new(), Writer::new());
    out.varint(keys.len() as u64);
    out.varint(listed.len() as u64);
    for at in listed {
        let before = bodies.len();
        groups[*at].write(&mut bodies);
        keys[*at].write(&mut out);
        out.varint((bodies.len() - before) as u64);
    }
    out.bytes(bodies.as_slice());
    out.into_vec()
}

/// What stands in front of a rollup's bodies: its keys, and where the body of each lies.
#[derive(Clone, Debug)]
pub struct RollupHeads<K = GroupCodes> {
    groups: u64,
    listed: Vec<(K, Range<usize>)>,
    /// Where the bodies begin.
    bodies_at: usize,
}

/// The rollup of a segment.
#[derive(Clone, Debug)]
pub struct Rollup<'a, K: GroupKey = GroupCodes> {
    heads: Cow<'a, RollupHeads<K>>,
    bodies: &'a [u8],
}

impl<K: GroupKey> RollupHeads<K> {
    /// The heads of the rollup in `bytes`.
    ///
    /// # Errors
    /// Corrupt if the bytes are no rollup.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let groups = reader.varint("groups")?;
        let count = reader.count(2, "listed groups")?;
        ensure(count as u64 == groups.min(ROLLUP_GROUPS_MAX as u64), || {
            format!("a rollup lists {count} of {groups} groups")
        })?;
        let (mut listed, mut end) = (Vec::with_capacity(count), 0usize);
        for _ in 0..count {
            let key = K::read(&mut reader)?;
            let start = end;
            let len = reader.count(1, "bytes of a group")?;
            end += len;
            listed.push((key, start..end));
        }
        let len = reader.remaining();
        ensure(end == len, || format!("groups take {end} bytes, {len} are there"))?;
        Ok(Self { groups, listed, bodies_at: bytes.len() - len })
    }
}

impl<'a, K: GroupKey> Rollup<'a, K> {
    /// The rollup in `bytes`; reads the keys.
    ///
    /// # Errors
    /// Corrupt if the bytes are no rollup.
    pub fn open(bytes: &'a [u8]) -> Result<Self> {
        let heads = RollupHeads::read(bytes)?;
        Ok(Self { bodies: bytes.get(heads.bodies_at..).unwrap_or_default(), heads: Cow::Owned(heads) })
    }

    /// The rollup in `bytes`, whose heads were read of the same bytes.
    pub fn with_heads(heads: &'a RollupHeads<K>, bytes: &'a [u8]) -> Self {
        Self { bodies: bytes.get(heads.bodies_at..).unwrap_or_default(), heads: Cow::Borrowed(heads) }
    }

    /// True if every group of the segment is listed. Else what is known of the others is that they are not here:
    /// a question about them is for a scan.
    pub fn is_complete(&self) -> bool {
        self.heads.groups == self.heads.listed.len() as u64
    }

    /// The groups that are listed, in the order of their first rows; [`super::Steps`] names them by their place.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = K> + '_ {
        self.heads.listed.iter().map(|(key, _)| *key)
    }

    /// The group at this place.
    ///
    /// # Errors
    /// Corrupt if it is damaged, or there is none.
    pub fn group(&self, place: usize) -> Result<Group> {
        let mut out = Group { durations: Histogram::with_room(), ..Group::default() };
        self.read_group(place, &mut out).map(|()| out)
    }

    /// Reads the group at this place into another, in place of what that said before.
    ///
    /// # Errors
    /// As [`Rollup::group`].
    pub fn read_group(&self, place: usize, out: &mut Group) -> Result<()> {
        let body = self.heads.listed.get(place).and_then(|(_, range)| self.bodies.get(range.clone()));
        let body = body.ok_or_else(|| Error::corrupt(format!("a rollup has no group {place}")))?;
        out.read(&mut Reader::new(body)).map_err(|e| e.at(format!("group {place}")))
    }

    /// The group at this place without its durations: how many there are, not what they are.
    ///
    /// # Errors
    /// As [`Rollup::group`].
    pub fn counts(&self, place: usize) -> Result<Group> {
        let body = self.heads.listed.get(place).and_then(|(_, range)| self.bodies.get(range.clone()));
        let body = body.ok_or_else(|| Error::corrupt(format!("a rollup has no group {place}")))?;
        Group::read_counts(&mut Reader::new(body)).map_err(|e| e.at(format!("group {place}")))
    }

    /// As [`Rollup::counts`], with the shortest duration if there is one.
    ///
    /// # Errors
    /// As [`Rollup::group`].
    pub fn counts_and_shortest(&self, place: usize) -> Result<(Group, Option<u64>)> {
        let body = self.heads.listed.get(place).and_then(|(_, range)| self.bodies.get(range.clone()));
        let body = body.ok_or_else(|| Error::corrupt(format!("a rollup has no group {place}")))?;
        Group::read_counts_and_shortest(&mut Reader::new(body)).map_err(|e| e.at(format!("group {place}")))
    }

    /// Every group that is listed.
    pub fn groups(&self) -> impl Iterator<Item = Result<(K, Group)>> + '_ {
        self.keys().enumerate().map(|(place, key)| Ok((key, self.group(place)?)))
    }
}
