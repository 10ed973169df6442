//! Clocks: the machine's, and one that a test moves by hand.
//!
//! Wall time names moments for people and may jump either way; monotonic time measures how long
//! something took and never goes back. The two are moved apart in [`ManualClock`], because what must be
//! proved is that a jumping wall clock deletes nothing.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::storage::Clock;

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_unix_nanos(&self) -> u64 {
        // A wall clock set before 1970 reads as 1970.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, saturating_nanos)
    }

    fn monotonic_nanos(&self) -> u64 {
        static FIRST_READING: OnceLock<Instant> = OnceLock::new();
        saturating_nanos(FIRST_READING.get_or_init(Instant::now).elapsed())
    }
}

/// A clock that stands still until it is moved. Clones of an `Arc` of it see the same time.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall_nanos: AtomicU64,
    monotonic_nanos: AtomicU64,
}

impl ManualClock {
    /// A clock whose wall shows `unix_nanos` and whose monotonic time is zero.
    pub fn new(unix_nanos: u64) -> Self {
        Self { wall_nanos: AtomicU64::new(unix_nanos), monotonic_nanos: AtomicU64::new(0) }
    }

    /// Lets time pass: moves wall and monotonic time forward together, up to the last nanosecond of a `u64`.
    pub fn advance(&self, by: Duration) {
        add_saturating(&self.wall_nanos, by);
        add_saturating(&self.monotonic_nanos, by);
    }

    /// Sets the wall alone, backwards too: what NTP or an operator does.
    pub fn set_wall(&self, unix_nanos: u64) {
        self.wall_nanos.store(unix_nanos, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_unix_nanos(&self) -> u64 {
        self.wall_nanos.load(Ordering::SeqCst)
    }

    fn monotonic_nanos(&self) -> u64 {
        self.monotonic_nanos.load(Ordering::SeqCst)
    }
}

/// Nanoseconds of a duration; the largest `u64` beyond 584 years.
fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn add_saturating(time: &AtomicU64, by: Duration) {
    let by = saturating_nanos(by);
    time.update(Ordering::SeqCst, Ordering::SeqCst, |now| now.saturating_add(by));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_wall_clock_is_past_2020() {
        assert!(SystemClock.now_unix_nanos() > 1_577_836_800_000_000_000);
    }

    #[test]
    fn the_monotonic_clock_never_goes_back() {
        let readings: Vec<u64> = (0..1_000).map(|_| SystemClock.monotonic_nanos()).collect();
        assert!(readings.is_sorted());
    }

    #[test]
    fn two_system_clocks_share_one_monotonic_origin() {
        let first = SystemClock.monotonic_nanos();
        let (copy, between) = (SystemClock, SystemClock.monotonic_nanos());
        assert!(first <= between && between <= copy.monotonic_nanos());
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(100);
        assert_eq!((clock.now_unix_nanos(), clock.monotonic_nanos()), (100, 0));
        clock.advance(Duration::from_nanos(5));
        assert_eq!((clock.now_unix_nanos(), clock.monotonic_nanos()), (105, 5));
    }

    #[test]
    fn setting_the_wall_back_leaves_monotonic_time_alone() {
        let clock = ManualClock::new(100);
        clock.advance(Duration::from_nanos(7));
        clock.set_wall(3);
        assert_eq!((clock.now_unix_nanos(), clock.monotonic_nanos()), (3, 7));
    }

    #[test]
    fn advancing_past_the_end_of_time_stays_there() {
        let clock = ManualClock::new(u64::MAX - 1);
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.now_unix_nanos(), u64::MAX);
    }
}
