//! Up to which sequence every append has returned.
//!
//! Appends get their sequences one after the other and are acknowledged in any order: one that waits for a
//! sync returns after a later one that does not. Everything below the first that is still under way is
//! acknowledged. An append that fails stays under way for ever, and so does what follows it.
//!
//! ```text
//! sequences   0 ...... 40 ..... 55 .... 70        40..55 waits for its sync: acknowledged up to 40
//!             returned    waits   returned
//! ```

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::os::{Condvar, Mutex, MutexGuard};

use super::engine::Engine;

/// Tells readers what was acknowledged.
#[derive(Debug)]
pub struct Acknowledged {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// First sequences of the appends under way.
    under_way: BTreeSet<u64>,
    /// The sequence after the last one given out.
    next: u64,
    closed: bool,
}

impl State {
    fn end(&self) -> u64 {
        self.under_way.first().copied().unwrap_or(self.next)
    }
}

impl Acknowledged {
    /// Everything below `next` is acknowledged.
    pub fn up_to(next: u64) -> Self {
        let state = State { under_way: BTreeSet::new(), next, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An append has these sequences and has not returned yet. Called in the order of sequences.
    pub fn begin(&self, sequences: &Range<u64>) {
        if !sequences.is_empty() {
            let mut state = self.lock();
            state.under_way.insert(sequences.start);
            state.next = state.next.max(sequences.end);
        }
    }

    /// That append returns.
    pub fn finish(&self, sequences: &Range<u64>) {
        self.lock().under_way.remove(&sequences.start);
        self.changed.notify_all();
    }

    /// A store that was read again ends here.
    pub fn reset(&self, next: u64) {
        self.lock().next = next;
        self.changed.notify_all();
    }

    /// Nothing follows any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// The first sequence that is not acknowledged.
    pub fn end(&self) -> u64 {
        self.lock().end()
    }

    /// True once nothing follows any more.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits until this sequence is acknowledged, the store is closed, or the time is over. True if it is
    /// acknowledged.
    pub fn wait_for(&self, sequence: u64, timeout: Duration) -> bool {
        let waits = |state: &mut State| state.end() <= sequence && !state.closed;
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.end() > sequence
    }
}

impl Engine {
    /// What was acknowledged. Everything below its end is in every snapshot taken later.
    pub fn acknowledged(&self) -> &Arc<Acknowledged> {
        &self.acknowledged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_an_append_under_way_is_not_acknowledged() {
        let acknowledged = Acknowledged::up_to(40);
        acknowledged.begin(&(40..55));
        acknowledged.begin(&(55..70));
        acknowledged.finish(&(55..70));
        assert_eq!(acknowledged.end(), 40);
        assert!(!acknowledged.wait_for(40, Duration::ZERO));
        acknowledged.finish(&(40..55));
        assert_eq!(acknowledged.end(), 70);
        assert!(acknowledged.wait_for(69, Duration::ZERO));
    }

    #[test]
    fn closing_ends_the_wait() {
        let acknowledged = Acknowledged::up_to(1);
        acknowledged.close();
        assert!(!acknowledged.wait_for(1, Duration::from_hours(1)));
    }
}
