//! The thread that keeps to the retention settings of an open store.
//!
//! It applies them when it starts, after each segment that was sealed, and every minute by the retention
//! clock. A failure is kept to be told and tried again at the next occasion: an append is never the one to
//! suffer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::{ErrorKind, Result};
use crate::ingest::Engine;

use super::retain::{RetainSummary, Stayed, apply};
use super::retention::Retention;

/// Longest time between two applications.
const EVERY: Duration = Duration::from_mins(1);

/// Longest time after which the clock of an open store is written down again.
const CLOCK_EVERY: Duration = Duration::from_hours(1);

/// Applies settings as long as the store is open.
#[derive(Debug)]
pub struct Keeper {
    retention: Retention,
    problem: Mutex<Option<String>>,
}

impl Keeper {
    /// A keeper of these settings, which does nothing yet.
    pub fn new(retention: Retention) -> Self {
        Self { retention, problem: Mutex::default() }
    }

    /// Why the last application failed, if it did.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Applies the settings until the store is closed. Runs on a thread of its own.
    pub fn keep_for_ever(&self, engine: &Engine) {
        let mut stayed = Stayed::default();
        loop {
            let seen = engine.publications();
            let done = apply(engine, &self.retention, &mut stayed, CLOCK_EVERY);
            if done.as_ref().is_err_and(|error| error.kind() == ErrorKind::Closed) && engine.is_closed() {
                return;
            }
            self.tell(&done);
            if !engine.wait_for_publication(seen, EVERY) {
                return;
            }
        }
    }

    fn tell(&self, done: &Result<RetainSummary>) {
        let problem = done.as_ref().err().map(ToString::to_string);
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}
