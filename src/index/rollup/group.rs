//! What a rollup says of a group, and what names the group.

use crate::bytes::{Reader, Writer, zigzag_decode, zigzag_encode};
use crate::column::{Class, optional, read_optional};
use crate::error::{Error, Result, ensure};
use crate::model::{SpanKind, StatusCode};

use super::histogram::Histogram;

/// Sums over the spans of a group. All but the extremes can be added and taken off.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Spans.
    pub count: u64,
    /// Those of them that have a duration.
    pub duration_count: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// Sum of the durations in nanoseconds.
    pub duration_sum: u128,
    /// The durations by bucket.
    pub durations: Histogram,
    /// Shortest and longest duration, if there are any; `None` also if one that was taken off may have been it.
    pub extremes: Option<(u64, u64)>,
}

impl PartialEq for Group {
    /// Equal sums; extremes, which may be known of one and not of the other, follow from the spans.
    fn eq(&self, other: &Self) -> bool {
        let counts = |g: &Self| (g.count, g.duration_count, g.errors, g.duration_sum);
        counts(self) == counts(other) && self.durations == other.durations
    }
}

impl Eq for Group {}

impl Group {
    /// Adds a span.
    #[inline]
    pub fn add_row(&mut self, duration: Option<u64>, is_error: bool) {
        self.count += 1;
        self.errors += u64::from(is_error);
        if let Some(nanos) = duration {
            self.extremes = match self.extremes {
                Some((shortest, longest)) => Some((shortest.min(nanos), longest.max(nanos))),
                None => (self.duration_count == 0).then_some((nanos, nanos)),
            };
            self.duration_count += 1;
            self.duration_sum += u128::from(nanos);
            self.durations.add(Histogram::bucket_of(nanos), 1);
        }
    }

    /// Takes off a span.
    ///
    /// # Errors
    /// As [`Group::subtract`].
    pub fn remove_row(&mut self, duration: Option<u64>, is_error: bool) -> Result<()> {
        let mut one = Self::default();
        one.add_row(duration, is_error);
        self.subtract(&one)
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        if other.duration_count > 0 {
            self.extremes = match (self.extremes, other.extremes) {
                (None, extremes) if self.duration_count == 0 => extremes,
                (Some(one), Some(two)) => Some((one.0.min(two.0), one.1.max(two.1))),
                _ => None,
            };
        }
        self.count += other.count;
        self.duration_count += other.duration_count;
        self.errors += other.errors;
        self.duration_sum += other.duration_sum;
        self.durations.merge(&other.durations);
    }

    /// Takes off all of another.
    ///
    /// # Errors
    /// Corrupt if there is less than the other has; then some of it may be taken off.
    pub fn subtract(&mut self, other: &Self) -> Result<()> {
        let less = || Error::corrupt("a group has fewer spans than are taken off");
        if other.duration_count > 0 {
            let inner = |own: &(u64, u64), gone: (u64, u64)| own.0 < gone.0 && gone.1 < own.1;
            self.extremes = self.extremes.filter(|own| other.extremes.is_some_and(|gone| inner(own, gone)));
        }
        self.count = self.count.checked_sub(other.count).ok_or_else(less)?;
        self.duration_count = self.duration_count.checked_sub(other.duration_count).ok_or_else(less)?;
        self.errors = self.errors.checked_sub(other.errors).ok_or_else(less)?;
        self.duration_sum = self.duration_sum.checked_sub(other.duration_sum).ok_or_else(less)?;
        self.durations.subtract(&other.durations)
    }

    /// True if it has no span.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Writes count, count without duration, errors, sum; if there are durations how far the shortest is from
    /// the begin of the first cell and the longest from that of the last; then the cells of the histogram to the end:
    /// `2 * (count - 1)` for the bucket after the one before, else one more and the distance less two.
    pub(super) fn write(&self, out: &mut Writer) {
        out.varint(self.count);
        out.varint(self.count - self.duration_count);
        out.varint(self.errors);
        write_sum(self.duration_sum, out);
        let (first, last) = (self.durations.cells().next(), self.durations.cells().next_back());
        if let (Some((first, _)), Some((last, _)), Some((shortest, longest))) = (first, last, self.extremes) {
            out.varint(shortest - Histogram::bounds(first).start());
            out.varint(longest - Histogram::bounds(last).start());
        }
        let mut next = 0;
        for (bucket, count) in self.durations.cells() {
            if bucket == next {
                out.varint((count - 1) << 1);
            } else {
                out.varint((count - 1) << 1 | 1);
                out.varint((bucket - next - 1) as u64);
            }
            next = bucket + 1;
        }
    }

    /// Reads the counts and the sum of what [`Group::write`] wrote.
    pub(super) fn read_counts(reader: &mut Reader<'_>) -> Result<Self> {
        let count = reader.varint("count")?;
        let without = reader.varint("spans without duration")?;
        let errors = reader.varint("errors")?;
        let duration_sum = read_sum(reader)?;
        // A segment has fewer than 2^32 rows, so that sums over many cannot overflow.
        ensure(count <= u64::from(u32::MAX) && without <= count && errors <= count, || {
            format!("a group of {count} spans has {errors} errors and {without} without duration")
        })?;
        Ok(Self { count, duration_count: count - without, errors, duration_sum, ..Self::default() })
    }

    /// Reads the counts and the sum of what [`Group::write`] wrote, and the shortest duration, if there is one.
    pub(super) fn read_counts_and_shortest(reader: &mut Reader<'_>) -> Result<(Self, Option<u64>)> {
        let counts = Self::read_counts(reader)?;
        if counts.duration_count == 0 {
            return Ok((counts, None));
        }
        let above = reader.varint("shortest duration")?;
        reader.varint("longest duration")?;
        let is_next = reader.varint("cell")? & 1 == 0;
        let bucket = if is_next { 0 } else { reader.varint("distance of cells")?.saturating_add(1) };
        ensure(bucket < super::histogram::BUCKETS as u64, || format!("bucket {bucket} holds the shortest duration"))?;
        let bounds = Histogram::bounds(bucket as usize);
        let shortest = bounds.start().checked_add(above).filter(|nanos| bounds.contains(nanos));
        let outside = || Error::corrupt("the shortest duration is outside its cell");
        Ok((counts, Some(shortest.ok_or_else(outside)?)))
    }

    /// Reads what [`Group::write`] wrote, to the end of the bytes, in place of what the group said before.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let Self { count, duration_count, errors, duration_sum, .. } = Self::read_counts(reader)?;
        let has_durations = duration_count > 0;
        let above_first = if has_durations { reader.varint("shortest duration")? } else { 0 };
        let above_last = if has_durations { reader.varint("longest duration")? } else { 0 };
        let (durations, mut left, mut next) = (&mut self.durations, duration_count, 0);
        durations.clear();
        while !reader.is_empty() {
            let token = reader.varint("cell")?;
            let gap = if token & 1 == 0 { 0 } else { reader.varint("distance of cells")?.saturating_add(1) };
            let bucket = gap.saturating_add(next);
            let cell = (token >> 1) + 1;
            ensure(bucket < super::histogram::BUCKETS as u64 && cell <= left, || {
                format!("bucket {bucket} holds {cell} of {left} durations")
            })?;
            durations.add(bucket as usize, cell);
            left -= cell;
            next = bucket + 1;
        }
        ensure(left == 0, || format!("{left} of {duration_count} durations are in no bucket"))?;
        let (first, last) = (durations.cells().next(), durations.cells().next_back());
        let extremes = first.zip(last).map(|((first, _), (last, _))| {
            let at = |bucket: usize, above: u64| Histogram::bounds(bucket).start().checked_add(above);
            let within = |bucket: usize, nanos: &u64| Histogram::bounds(bucket).contains(nanos);
            at(first, above_first).filter(|n| within(first, n)).zip(at(last, above_last).filter(|n| within(last, n)))
        });
        self.extremes = match extremes {
            Some(None) => return Err(Error::corrupt("the shortest or longest duration is outside its cell")),
            known => known.flatten(),
        };
        (self.count, self.duration_count, self.errors, self.duration_sum) =
            (count, duration_count, errors, duration_sum);
        Ok(())
    }
}

/// Writes a sum: LEB128 like a varint, of up to 96 bits.
fn write_sum(mut sum: u128, out: &mut Writer) {
    while sum >= 0x80 {
        out.u8(sum as u8 | 0x80);
        sum >>= 7;
    }
    out.u8(sum as u8);
}

/// Reads a sum of up to 98 bits: 2^32 durations take no more than 96.
fn read_sum(reader: &mut Reader<'_>) -> Result<u128> {
    let mut sum = 0;
    for shift in (0..98).step_by(7) {
        let byte = reader.u8("sum of durations")?;
        sum |= u128::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(sum);
        }
    }
    Err(Error::corrupt("a sum of durations has more than 98 bits"))
}

/// What a group is named by in a segment.
pub trait GroupKey: Copy + Eq + std::hash::Hash {
    /// Appends the key.
    fn write(&self, out: &mut Writer);

    /// Reads a key.
    ///
    /// # Errors
    /// Corrupt if the bytes are no key.
    fn read(reader: &mut Reader<'_>) -> Result<Self>;
}

/// Service, operation, kind and status; texts are string codes of the segment or [`crate::column::NONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupCodes {
    /// Service that recorded the span.
    pub service: u32,
    /// Name of the span.
    pub name: u32,
    /// Its kind.
    pub kind: SpanKind,
    /// Its effective status.
    pub status: StatusCode,
}

impl GroupCodes {
    /// The group of the rows of a class.
    pub fn of(class: &Class) -> Self {
        Self { service: class.service, name: class.name, kind: class.kind, status: class.status }
    }
}

impl GroupKey for GroupCodes {
    fn write(&self, out: &mut Writer) {
        out.varint(optional(self.service));
        out.varint(optional(self.name));
        out.varint(zigzag_encode(self.kind.0.into()));
        out.varint(zigzag_encode(self.status.0.into()));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let (service, name) = (read_optional(reader, "service")?, read_optional(reader, "name")?);
        let (kind, status) = (read_small(reader, "kind")?, read_small(reader, "status")?);
        Ok(Self { service, name, kind: SpanKind(kind), status: StatusCode(status) })
    }
}

fn read_small(reader: &mut Reader<'_>, what: &str) -> Result<i32> {
    i32::try_from(zigzag_decode(reader.varint(what)?)).map_err(|_| Error::corrupt(format!("{what} exceeds 32 bits")))
}
