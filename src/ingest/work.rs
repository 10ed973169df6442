//! What the write path did since the store was opened: how long each kind of work took, and what it wrote.
//!
//! Counters of their own, not under the lock of the head: each is added to once an append, a seal or a merge.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::os::Clock;

/// What the write path did since the store was opened. Times are of the store's monotonic clock; kinds of work that
/// run side by side each count their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Work {
    /// Reading spans, putting them into the head and writing them to the log; waiting for room is not in it.
    pub appending: Duration,
    /// Appends that waited for their turn at the head, or until sealing had made room in it.
    pub waiting_for_room: Duration,
    /// Waiting until the log was synced, over all threads that waited.
    pub waiting_for_sync: Duration,
    /// Turning full heads into segments, publication included.
    pub sealing: Duration,
    /// Uniting segments, publication included.
    pub merging: Duration,
    /// Bytes appended to the log.
    pub log_bytes: u64,
    /// Bytes of segments written by sealing.
    pub sealed_bytes: u64,
    /// Bytes of segments written by merging.
    pub merged_bytes: u64,
    /// Spans written to the log.
    pub log_spans: u64,
    /// Spans written by sealing.
    pub sealed_spans: u64,
    /// Spans written by merging.
    pub merged_spans: u64,
}

/// A kind of work that takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labour {
    Appending,
    WaitingForRoom,
    WaitingForSync,
    Sealing,
    Merging,
}

/// Something that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Log,
    Sealed,
    Merged,
}

/// The counters behind [`Work`].
#[derive(Debug, Default)]
pub struct Counters {
    nanos: [AtomicU64; 5],
    bytes: [AtomicU64; 3],
    spans: [AtomicU64; 3],
}

impl Counters {
    /// Runs `work` and adds the time it takes, also if it fails.
    pub fn time<T>(&self, labour: Labour, clock: &dyn Clock, work: impl FnOnce() -> T) -> T {
        let began = clock.monotonic_nanos();
        let result = work();
        self.took(labour, clock.monotonic_nanos().saturating_sub(began));
        result
    }

    /// Adds time that was taken.
    pub fn took(&self, labour: Labour, nanos: u64) {
        self.nanos[labour as usize].fetch_add(nanos, Relaxed);
    }

    /// Adds what was written.
    pub fn wrote(&self, output: Output, spans: u64, bytes: u64) {
        self.spans[output as usize].fetch_add(spans, Relaxed);
        self.bytes[output as usize].fetch_add(bytes, Relaxed);
    }

    /// The sums so far.
    pub fn read(&self) -> Work {
        let time = |labour: Labour| Duration::from_nanos(self.nanos[labour as usize].load(Relaxed));
        let bytes = |output: Output| self.bytes[output as usize].load(Relaxed);
        let spans = |output: Output| self.spans[output as usize].load(Relaxed);
        Work {
            appending: time(Labour::Appending),
            waiting_for_room: time(Labour::WaitingForRoom),
            waiting_for_sync: time(Labour::WaitingForSync),
            sealing: time(Labour::Sealing),
            merging: time(Labour::Merging),
            log_bytes: bytes(Output::Log),
            sealed_bytes: bytes(Output::Sealed),
            merged_bytes: bytes(Output::Merged),
            log_spans: spans(Output::Log),
            sealed_spans: spans(Output::Sealed),
            merged_spans: spans(Output::Merged),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::os::ManualClock;

    use super::*;

    #[test]
    fn time_and_output_go_to_their_own_kind() {
        let (counters, clock) = (Counters::default(), ManualClock::new(0));
        counters.time(Labour::Sealing, &clock, || clock.advance(Duration::from_nanos(7)));
        counters.time(Labour::Merging, &clock, || clock.advance(Duration::from_nanos(5)));
        counters.time(Labour::Sealing, &clock, || clock.advance(Duration::from_nanos(2)));
        counters.wrote(Output::Log, 3, 100);
        counters.wrote(Output::Merged, 2, 40);
        let expected = Work {
            sealing: Duration::from_nanos(9),
            merging: Duration::from_nanos(5),
            log_spans: 3,
            log_bytes: 100,
            merged_spans: 2,
            merged_bytes: 40,
            ..Work::default()
        };
        assert_eq!(counters.read(), expected);
    }
}
