//! Sets of pages, rows and trace ordinals. Roaring bitmaps inside, which no other module sees.
//!
//! The parameter says what the numbers are, so that a set of rows cannot meet a set of pages. On disk a set
//! takes the smallest of three forms, named by its first byte:
//!
//! ```text
//! 1 list      each member as LEB128: its distance to the one before, less one; the first as it is
//! 2 bits      one bit a number, low bits first; the last byte is not zero
//! 3 roaring   the standard serialisation (github.com/RoaringBitmap/RoaringFormatSpec), with runs
//! ```
//!
//! A value in one page takes 2 bytes as list against 18 as roaring; an operation in every fourth of 977 pages
//! 123 as bits against 500; every row of a segment 16 as roaring.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{BitAndAssign, BitOrAssign, Range, SubAssign};

use roaring::{MultiOps, RoaringBitmap};

use crate::bytes::{Reader, Writer, put_varint, varint_len};
use crate::error::{Error, Result, ensure};

const FORM_LIST: u8 = 1;
const FORM_BITS: u8 = 2;
const FORM_ROARING: u8 = 3;

/// Marks a set of page numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {}
/// Marks a set of rows of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {}
/// Marks a set of trace ordinals of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {}

/// A set of page numbers.
pub type PageSet = Set<Page>;
/// A set of rows of a part.
pub type RowSet = Set<Row>;
/// A set of trace ordinals of a part.
pub type TraceSet = Set<Trace>;

/// A set of numbers below 2^32.
#[derive(Clone, PartialEq)]
pub struct Set<Of> {
    members: RoaringBitmap,
    of: PhantomData<Of>,
}

impl<Of> Set<Of> {
    /// The empty set.
    pub fn new() -> Self {
        RoaringBitmap::new().into()
    }

    /// The members of any of the sets.
    ///
    /// # Errors
    /// The first error among them.
    pub fn any(sets: impl IntoIterator<Item = Result<Self>>) -> Result<Self> {
        let members: Result<RoaringBitmap> = sets.into_iter().map(|set| set.map(|set| set.members)).union();
        members.map(Self::from)
    }

    /// The set of all numbers below `count`.
    pub fn all(count: u32) -> Self {
        Self::from_range(0..count)
    }

    /// The set of all numbers in the range.
    pub fn from_range(range: Range<u32>) -> Self {
        let mut members = RoaringBitmap::new();
        members.insert_range(range);
        members.into()
    }

    /// The set of these numbers; faster than collecting.
    ///
    /// # Panics
    /// If they do not strictly rise.
    pub fn from_sorted(numbers: impl IntoIterator<Item = u32>) -> Self {
        RoaringBitmap::from_sorted_iter(numbers).expect("the numbers rise strictly").into()
    }

    /// Adds a number; true if it was not there.
    pub fn insert(&mut self, number: u32) -> bool {
        self.members.insert(number)
    }

    /// Adds all numbers of the range.
    pub fn insert_range(&mut self, range: Range<u32>) {
        self.members.insert_range(range);
    }

    /// Takes a number out; true if it was there.
    pub fn remove(&mut self, number: u32) -> bool {
        self.members.remove(number)
    }

    /// The numbers in both sets.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.members.bitand_assign(&other.members);
        self
    }

    /// The numbers in either set.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        self.members.bitor_assign(&other.members);
        self
    }

    /// The numbers in this set that are not in the other.
    #[must_use]
    pub fn and_not(mut self, other: &Self) -> Self {
        self.members.sub_assign(&other.members);
        self
    }

    /// True if and only if the number is in the set.
    pub fn contains(&self, number: u32) -> bool {
        self.members.contains(number)
    }

    /// True if and only if some number of the range is in the set.
    pub fn intersects(&self, range: Range<u32>) -> bool {
        self.iter_in(range).next().is_some()
    }

    /// How many numbers of the range are in the set.
    pub fn count_in(&self, range: Range<u32>) -> u64 {
        if range.is_empty() { 0 } else { self.members.range_cardinality(range) }
    }

    /// The members, ascending; `.rev()` for descending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.members.iter()
    }

    /// The members inside the range, ascending; `.rev()` for descending.
    pub fn iter_in(&self, range: Range<u32>) -> impl DoubleEndedIterator<Item = u32> + '_ {
        // Roaring panics on a range that runs backwards; such a one is empty.
        let range = if range.is_empty() { 0..0 } else { range };
        self.members.range(range)
    }

    /// Smallest member.
    pub fn first(&self) -> Option<u32> {
        self.members.min()
    }

    /// Largest member.
    pub fn last(&self) -> Option<u32> {
        self.members.max()
    }

    /// Number of members.
    pub fn len(&self) -> u64 {
        self.members.len()
    }

    /// True if there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Appends the set in its smallest form. Equal sets give equal bytes.
    pub fn write(&self, out: &mut Writer) {
        let bits_len = self.last().map_or(0, |last| last as usize / 8 + 1);
        let mut compact = self.members.clone();
        compact.optimize();
        let roaring_len = compact.serialized_size();
        // A list takes at least a byte a member: where that is too much its length need not be summed.
        let list_may_win = self.len() <= bits_len.min(roaring_len) as u64;
        if list_may_win && self.gaps().map(varint_len).sum::<usize>() <= bits_len.min(roaring_len) {
            out.u8(FORM_LIST);
            self.gaps().for_each(|gap| put_varint(gap, out.as_mut_vec()));
        } else if bits_len <= roaring_len {
            out.u8(FORM_BITS);
            let first = out.len();
            out.as_mut_vec().resize(first + bits_len, 0);
            let bits = &mut out.as_mut_vec()[first..];
            self.iter().for_each(|number| bits[number as usize / 8] |= 1 << (number % 8));
        } else {
            out.u8(FORM_ROARING);
            compact.serialize_into(out.as_mut_vec()).expect("writing to memory does not fail");
        }
    }

    fn gaps(&self) -> impl Iterator<Item = u64> + '_ {
        self.members.iter().scan(0, |next, number| {
            let gap = u64::from(number) - *next;
            *next = u64::from(number) + 1;
            Some(gap)
        })
    }

    /// The set that `bytes` hold, which must all be below `bound`. Allocates in proportion to the bytes,
    /// plus 256 KiB at most while it reads the roaring form.
    ///
    /// # Errors
    /// Corrupt if the bytes are no such set.
    pub fn read(bytes: &[u8], bound: u32) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let form = reader.u8("set form")?;
        let rest = reader.bytes(reader.remaining(), "set")?;
        let members = match form {
            FORM_LIST => read_list(rest, bound)?,
            FORM_BITS => read_bits(rest, bound)?,
            FORM_ROARING => read_roaring(rest)?,
            _ => return Err(Error::corrupt(format!("set: unknown form {form}"))),
        };
        if let Some(last) = members.max() {
            ensure(last < bound, || format!("set: member {last} is not below {bound}"))?;
        }
        Ok(members.into())
    }
}

fn read_list(bytes: &[u8], bound: u32) -> Result<RoaringBitmap> {
    let mut reader = Reader::new(bytes);
    let mut members = RoaringBitmap::new();
    let mut next = 0u64;
    while !reader.is_empty() {
        let number = next.saturating_add(reader.varint("set member")?);
        ensure(number < u64::from(bound), || format!("set: member {number} is not below {bound}"))?;
        members.insert(number as u32);
        next = number + 1;
    }
    Ok(members)
}

fn read_bits(bytes: &[u8], bound: u32) -> Result<RoaringBitmap> {
    ensure(bytes.len() <= (bound as usize).div_ceil(8), || {
        format!("set: {} bytes of bits for numbers below {bound}", bytes.len())
    })?;
    ensure(bytes.last().is_some_and(|last| *last != 0), || "set: bits that end with nothing".to_string())?;
    Ok(RoaringBitmap::from_lsb0_bytes(0, bytes))
}

fn read_roaring(mut bytes: &[u8]) -> Result<RoaringBitmap> {
    let members = RoaringBitmap::deserialize_from(&mut bytes)
        .map_err(|e| Error::corrupt(format!("set: no roaring bitmap: {e}")))?;
    ensure(bytes.is_empty(), || format!("set: {} bytes too many", bytes.len()))?;
    Ok(members)
}

impl<Of> From<RoaringBitmap> for Set<Of> {
    fn from(members: RoaringBitmap) -> Self {
        Self { members, of: PhantomData }
    }
}

impl<Of> Default for Set<Of> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Of> FromIterator<u32> for Set<Of> {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        RoaringBitmap::from_iter(numbers).into()
    }
}

impl<Of> fmt::Debug for Set<Of> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.members, f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::testing::{damaged, hex};
    use super::*;

    fn bytes_of(set: &RowSet) -> Vec<u8> {
        let mut out = Writer::new();
        set.write(&mut out);
        out.into_vec()
    }

    fn numbers() -> impl Strategy<Value = BTreeSet<u32>> {
        prop_oneof![
            prop::collection::btree_set(0..200u32, 0..150),
            prop::collection::btree_set(0..200_000u32, 0..30),
            (0..100_000u32, 0..80_000u32).prop_map(|(start, len)| (start..start + len).collect()),
            (2..9usize, 0..50_000u32).prop_map(|(step, end)| (0..end).step_by(step).collect()),
        ]
    }

    proptest! {
        #[test]
        fn a_set_is_read_back_and_its_algebra_is_that_of_sets(a in numbers(), b in numbers(), start in 0..300u32, end in 0..300u32) {
            let (left, right): (RowSet, RowSet) = (a.iter().copied().collect(), RowSet::from_sorted(b.iter().copied()));
            prop_assert_eq!(&RowSet::read(&bytes_of(&left), 200_000).unwrap(), &left);
            prop_assert!(left.clone().and(&right).iter().eq(a.intersection(&b).copied()));
            prop_assert!(left.clone().or(&right).iter().eq(a.union(&b).copied()));
            prop_assert!(left.clone().and_not(&right).iter().eq(a.difference(&b).copied()));
            prop_assert!(left.iter().rev().eq(a.iter().rev().copied()));
            prop_assert_eq!((left.len() as usize, left.first(), left.last()), (a.len(), a.first().copied(), a.last().copied()));
            let inside = a.iter().filter(|n| (start..end).contains(n)).count();
            prop_assert_eq!(left.count_in(start..end) as usize, inside);
            prop_assert_eq!(left.intersects(start..end), inside > 0);
        }

        #[test]
        fn arbitrary_bytes_are_refused_or_a_set(form in 0..5u8, body in prop::collection::vec(any::<u8>(), 0..80)) {
            let bytes = [&[form], &body[..]].concat();
            if let Ok(set) = RowSet::read(&bytes, 1000) {
                prop_assert!(set.iter().all(|n| n < 1000));
            }
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_a_set_below_its_bound() {
        let sets = [
            [1, 5, 500].into_iter().collect(),
            (0..300).filter(|n| n % 3 < 2).collect(),
            RowSet::all(70_000),
            RowSet::from_range(100..400).or(&RowSet::from_range(66_000..70_000)),
        ];
        for bytes in sets.iter().flat_map(|set| damaged(&bytes_of(set)).collect::<Vec<_>>()) {
            if let Ok(set) = RowSet::read(&bytes, 70_000) {
                assert!(set.iter().count() as u64 == set.len() && set.last() < Some(70_000));
            }
        }
    }

    #[test]
    fn members_past_the_bound_are_refused_in_every_form() {
        let sets = [[1, 99].into_iter().collect(), (0..100).filter(|n| n % 3 != 1).collect(), RowSet::all(100_000)];
        for (set, form) in sets.iter().zip([FORM_LIST, FORM_BITS, FORM_ROARING]) {
            let (bytes, last) = (bytes_of(set), set.last().unwrap());
            assert_eq!(bytes[0], form);
            assert_eq!(&RowSet::read(&bytes, last + 1).unwrap(), set);
            assert!(RowSet::read(&bytes, last).is_err());
        }
    }

    #[test]
    fn the_smallest_form_is_chosen() {
        let one_page: PageSet = [900].into_iter().collect();
        let quarter: PageSet = (0..977).filter(|n| n * 7919 % 977 < 244).collect();
        for (set, len_max) in [(one_page, 3), (quarter, 124), (PageSet::all(977), 16), (PageSet::new(), 1)] {
            let mut out = Writer::new();
            set.write(&mut out);
            assert!(out.len() <= len_max, "{} bytes for {} members, {len_max} at most", out.len(), set.len());
        }
    }

    #[test]
    fn the_bytes_are_the_golden_ones() {
        assert_eq!(hex(&bytes_of(&RowSet::new())), "01");
        assert_eq!(hex(&bytes_of(&[0, 1, 300].into_iter().collect())), "010000aa02");
        assert_eq!(hex(&bytes_of(&[0, 2, 4, 6, 9, 10, 13].into_iter().collect())), "025526");
        assert_eq!(hex(&bytes_of(&RowSet::from_range(10..1000))), "033b300000010000dd0301000a00dd03");
    }
}
