//! Times: nanoseconds since the Unix epoch, and half-open ranges of them.

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub type UnixNanos = u64;

/// A half-open range of time: `since <= t < until`. An absent bound is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// First instant inside.
    pub since: Option<UnixNanos>,
    /// First instant after the range.
    pub until: Option<UnixNanos>,
}

impl TimeRange {
    /// Every instant.
    pub const ALL: Self = Self { since: None, until: None };

    /// True if and only if `since <= t < until`.
    pub fn contains(&self, t: UnixNanos) -> bool {
        self.since.is_none_or(|s| s <= t) && self.until.is_none_or(|u| t < u)
    }

    /// True if some instant of the closed range `min..=max` may be inside.
    pub fn overlaps(&self, min: UnixNanos, max: UnixNanos) -> bool {
        self.since.is_none_or(|s| s <= max) && self.until.is_none_or(|u| min < u)
    }

    /// True if and only if the whole closed range `min..=max` is inside.
    pub fn covers(&self, min: UnixNanos, max: UnixNanos) -> bool {
        self.contains(min) && self.contains(max)
    }
}
