//! What a rollup says of a group, and what names the group.

use crate::bytes::{Reader, Writer, zigzag_decode, zigzag_encode};
use crate::column::{Class, optional, read_optional};
use crate::error::{Error, Result, ensure};
use crate::model::{SpanKind, StatusCode};

use super::histogram::Histogram;

/// Sums over the spans of a group. All can be added and taken off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
}

impl Group {
    /// Adds a span.
    #[inline]
    pub fn add_row(&mut self, duration: Option<u64>, is_error: bool) {
        self.count += 1;
        self.errors += u64::from(is_error);
        if let Some(nanos) = duration {
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

    /// Writes count, count without duration, errors, sum, then the cells of the histogram to the end:
    /// `2 * (count - 1)` for the bucket after the one before, else one more and the distance less two.
    pub(super) fn write(&self, out: &mut Writer) {
        out.varint(self.count);
        out.varint(self.count - self.duration_count);
        out.varint(self.errors);
        write_sum(self.duration_sum, out);
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

    /// Reads what [`Group::write`] wrote, to the end of the bytes.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let count = reader.varint("count")?;
        let without = reader.varint("spans without duration")?;
        let errors = reader.varint("errors")?;
        let duration_sum = read_sum(reader)?;
        // A segment has fewer than 2^32 rows, so that sums over many cannot overflow.
        ensure(count <= u64::from(u32::MAX) && without <= count && errors <= count, || {
            format!("a group of {count} spans has {errors} errors and {without} without duration")
        })?;
        let duration_count = count - without;
        let (mut durations, mut left, mut next) = (Histogram::default(), duration_count, 0);
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
        Ok(Self { count, duration_count, errors, duration_sum, durations })
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

/// The string code of a remote service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RemoteCode(pub u32);

impl GroupKey for RemoteCode {
    fn write(&self, out: &mut Writer) {
        out.varint(self.0.into());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let code = reader.varint("remote service")?;
        u32::try_from(code).map(Self).map_err(|_| Error::corrupt(format!("remote service {code} exceeds 32 bits")))
    }
}
