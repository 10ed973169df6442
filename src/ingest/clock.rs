//! The retention clock: what the age of spans goes by.
//!
//! A wall clock may jump, and a jump must expire nothing. So the store has a clock of its own, written down
//! with every publication. While the store is open it advances by monotonic time alone. On opening it
//! advances by what the wall clock moved meanwhile, if that is between nothing and [`AWAY_MAX`]; else it is
//! *held* where it was, which is reported until someone accepts the wall clock.
//!
//! ```text
//! written down: retention 100, wall 100        opened at wall 130: retention 130
//!                                              opened at wall  20 or ten years on: retention 100, held
//! ```

use std::sync::PoisonError;
use std::time::Duration;

use crate::catalog::{ClockState, Edit};
use crate::error::Result;
use crate::os::Clock;

use super::engine::Engine;

/// Time a store may have been closed without its clock being held.
pub const AWAY_MAX: Duration = Duration::from_hours(7 * 24);

/// Time after which a clock is written down again when the store is closed.
const JUST_NOW: Duration = Duration::from_mins(1);

/// The clock of an open store.
#[derive(Clone, Copy, Debug)]
pub struct RetentionClock {
    /// What it showed at `monotonic_nanos`.
    retention_nanos: u64,
    monotonic_nanos: u64,
    /// How far the wall clock was ahead of it (negative: behind) when the store was opened, if it is held.
    held: bool,
}

impl RetentionClock {
    /// The clock of a store that was closed with this state, `None` for a new one.
    pub fn resume(state: Option<ClockState>, clock: &dyn Clock) -> Self {
        let wall = clock.now_unix_nanos();
        let monotonic_nanos = clock.monotonic_nanos();
        let Some(state) = state else { return Self { retention_nanos: wall, monotonic_nanos, held: false } };
        let away = wall.checked_sub(state.wall_nanos).filter(|away| u128::from(*away) <= AWAY_MAX.as_nanos());
        let retention_nanos = state.retention_nanos.saturating_add(away.unwrap_or(0));
        Self { retention_nanos, monotonic_nanos, held: state.held || away.is_none() }
    }

    /// Why it is held, if it is: `state` is what was written down when the store was closed.
    pub fn why_held(&self, state: Option<ClockState>) -> Option<String> {
        let state = state.filter(|_| self.held)?;
        let advice = "nothing grows older by that until `tailspan retain --accept-clock`";
        Some(match state.held {
            true => format!("the retention clock is held since the wall clock jumped; {advice}"),
            false => format!("the wall clock jumped while the store was closed: the retention clock is held; {advice}"),
        })
    }

    fn now(&self, clock: &dyn Clock) -> u64 {
        let passed = clock.monotonic_nanos().saturating_sub(self.monotonic_nanos);
        self.retention_nanos.saturating_add(passed)
    }

    /// What to write down.
    pub fn state(&self, clock: &dyn Clock) -> ClockState {
        ClockState { retention_nanos: self.now(clock), wall_nanos: clock.now_unix_nanos(), held: self.held }
    }
}

impl Engine {
    /// The present time of the retention clock, nanoseconds since the Unix epoch.
    pub(crate) fn retention_now(&self) -> u64 {
        self.retention_clock().now(self.clock.as_ref())
    }

    /// True if the wall clock jumped while the store was closed and nobody has accepted it.
    pub(crate) fn clock_is_held(&self) -> bool {
        self.retention_clock().held
    }

    /// Sets the retention clock to the wall clock, durably.
    ///
    /// # Errors
    /// What the manifest says; the clock is as it was then.
    pub(crate) fn accept_clock(&self) -> Result<()> {
        let before = self.replace_clock(RetentionClock::resume(None, self.clock.as_ref()));
        self.keep_clock().inspect_err(|_| {
            self.replace_clock(before);
        })
    }

    /// Writes the clock down.
    ///
    /// # Errors
    /// What the manifest says.
    pub(crate) fn keep_clock(&self) -> Result<()> {
        self.writer()?.manifest.commit(&[self.clock_edit()]).map(|_| ())
    }

    /// Writes the clock down if that was last done so long ago.
    ///
    /// # Errors
    /// What the manifest says.
    pub(crate) fn keep_clock_at_least(&self, every: Duration) -> Result<()> {
        let written = self.writer()?.manifest.catalog().clock();
        let since = written.map(|state| self.retention_now().saturating_sub(state.retention_nanos));
        if since.is_some_and(|since| u128::from(since) < every.as_nanos()) { Ok(()) } else { self.keep_clock() }
    }

    /// Writes the clock down, unless that was done just now and no span was received after it.
    ///
    /// # Errors
    /// What the manifest says.
    pub(super) fn keep_clock_after(&self, received: Option<u64>) -> Result<()> {
        let written = self.writer()?.manifest.catalog().clock();
        let covers = written.is_some_and(|state| received.is_none_or(|received| received <= state.retention_nanos));
        self.keep_clock_at_least(if covers { JUST_NOW } else { Duration::ZERO })
    }

    fn replace_clock(&self, clock: RetentionClock) -> RetentionClock {
        std::mem::replace(&mut self.retention.lock().unwrap_or_else(PoisonError::into_inner), clock)
    }

    fn retention_clock(&self) -> RetentionClock {
        *self.retention.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The edit that writes the clock down.
    pub(super) fn clock_edit(&self) -> Edit {
        Edit::SetClock(self.retention_clock().state(self.clock.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::ManualClock;

    const DAY: u64 = 24 * 3600 * 1_000_000_000;

    fn reopened_after(wall: impl FnOnce(u64) -> u64) -> ClockState {
        let clock = ManualClock::new(1000 * DAY);
        let state = RetentionClock::resume(None, &clock).state(&clock);
        clock.set_wall(wall(1000 * DAY));
        RetentionClock::resume(Some(state), &clock).state(&clock)
    }

    #[test]
    fn time_while_the_store_was_closed_counts_up_to_seven_days() {
        assert_eq!(reopened_after(|wall| wall + 7 * DAY).retention_nanos, 1007 * DAY);
        let jumped = reopened_after(|wall| wall + 7 * DAY + 1);
        assert_eq!((jumped.retention_nanos, jumped.held), (1000 * DAY, true));
    }

    #[test]
    fn a_wall_clock_that_went_back_holds_the_clock() {
        let back = reopened_after(|wall| wall - 1);
        assert_eq!((back.retention_nanos, back.held), (1000 * DAY, true));
    }

    #[test]
    fn a_jump_while_the_store_is_open_changes_nothing() {
        let clock = ManualClock::new(1000 * DAY);
        let retention = RetentionClock::resume(None, &clock);
        clock.set_wall(9000 * DAY);
        clock.advance(Duration::from_nanos(5));
        let state = retention.state(&clock);
        assert_eq!((state.retention_nanos, state.held), (1000 * DAY + 5, false));
        clock.advance(Duration::from_hours(24));
        assert_eq!(RetentionClock::resume(Some(state), &clock).now(&clock), 1001 * DAY + 5);
    }

    #[test]
    fn a_held_clock_stays_held_until_it_is_accepted() {
        let clock = ManualClock::new(1000 * DAY);
        let state = ClockState { retention_nanos: 900 * DAY, wall_nanos: 1000 * DAY, held: true };
        clock.advance(Duration::from_hours(24));
        let state = RetentionClock::resume(Some(state), &clock).state(&clock);
        assert_eq!((state.retention_nanos, state.held), (901 * DAY, true));
        assert!(!RetentionClock::resume(None, &clock).held);
    }
}
