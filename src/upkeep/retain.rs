//! Retention: letting whole segments go, by age and by bytes, and keeping of them what rules keep.
//!
//! ```text
//! by age     segments whose last span was received max_age ago       -> judge each
//! by bytes   the oldest segments, as many as are too many            -> judge each, then without rules
//! judge      no trace is kept: the file goes | some are: rewritten to these | all are: it stays
//! ```
//!
//! Time is the store's retention clock: a wall clock that jumps makes nothing old. Segments go in the order
//! they were received, and no more than needed. The head is sealed first if all of it is due, or if the logs
//! alone are above the limit: as a segment its spans take a quarter of the bytes, and what is a segment can
//! go. So the bytes on disk are met whatever the limit is, down to the files that make a store.
//!
//! Appends are not waited for and wait for nothing but a change of a list in memory; a seal or a merge that
//! is at work is waited for.
//!
//! Rollups of what went will have an age of their own: [`Keeping::let_go`] is where the counts of a segment
//! have to be taken over before its file goes.

use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::error::{ErrorKind, Result};
use crate::index::TraceSet;
use crate::ingest::{Engine, SealedPart, Upkeep};
use crate::log::FileId;

use super::kept::kept_ordinals;
use super::retention::{KeepRule, Retention};

/// What retention did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetainSummary {
    /// Segments whose files went.
    pub segments_removed: u64,
    /// Rows that went, with these or out of rewritten ones.
    pub rows_removed: u64,
    /// Bytes of segments that went, less those of what was rewritten.
    pub bytes_removed: u64,
    /// Segments written anew with what rules keep of them.
    pub segments_rewritten: u64,
    /// Bytes of all files of the store afterwards.
    pub bytes_on_disk: u64,
    /// True if the wall clock jumped while the store was closed: then the retention clock goes on from
    /// where it was, until [`crate::Store::accept_clock`].
    pub clock_held: bool,
}

/// Segments found to stay, and under which rules in force: these need not be judged again.
pub type Stayed = FxHashMap<FileId, Vec<bool>>;

/// Applies the settings once.
///
/// # Errors
/// Invalid on a store opened read-only; NoSpace or Io if the storage refuses; Closed if the store was
/// closed. What was let go before the error is gone.
pub fn retain(engine: &Engine, retention: &Retention) -> Result<RetainSummary> {
    apply(engine, retention, &mut Stayed::default(), Duration::ZERO)
}

/// As [`retain`], to be called again and again: what stayed need not be judged anew, and the clock is written
/// down only if that is so long ago.
///
/// # Errors
/// As [`retain`].
pub fn apply(
    engine: &Engine,
    retention: &Retention,
    stayed: &mut Stayed,
    clock_every: Duration,
) -> Result<RetainSummary> {
    let upkeep = engine.upkeep()?;
    engine.remove_leftovers(&upkeep)?;
    let now = engine.retention_now();
    let mut keeping = Keeping { engine, retention, upkeep, now, stayed, summary: RetainSummary::default() };
    keeping.by_age()?;
    engine.keep_clock_at_least(clock_every)?;
    // The last to write: its bytes are counted too.
    keeping.by_bytes()?;
    let Keeping { upkeep, stayed, mut summary, .. } = keeping;
    let live: Vec<FileId> = engine.sealed_parts(&upkeep)?.iter().map(|sealed| sealed.info.id).collect();
    stayed.retain(|id, _| live.contains(id));
    summary.bytes_on_disk = engine.settled_usage(&upkeep)?.total;
    summary.clock_held = engine.clock_is_held();
    Ok(summary)
}

/// One application of the settings.
struct Keeping<'r> {
    engine: &'r Engine,
    retention: &'r Retention,
    upkeep: Upkeep<'r>,
    /// The retention clock when it began.
    now: u64,
    stayed: &'r mut Stayed,
    summary: RetainSummary,
}

/// What becomes of a segment.
enum Fate {
    Goes,
    Stays,
    /// It is rewritten to these traces.
    Shrinks(TraceSet),
}

impl Keeping<'_> {
    fn by_age(&mut self) -> Result<()> {
        let Some(max_age) = self.retention.max_age else { return Ok(()) };
        let Some(due_until) = self.now.checked_sub(nanos(max_age)) else { return Ok(()) };
        let sealed = self.engine.seal_received_until(due_until);
        self.judge_received_until(due_until)?;
        if sealed.is_err() {
            // The disk may have been full: what went has made room.
            self.engine.seal_received_until(due_until)?;
            self.judge_received_until(due_until)?;
        }
        Ok(())
    }

    fn judge_received_until(&mut self, until: u64) -> Result<()> {
        let mut due = self.engine.sealed_parts(&self.upkeep)?;
        due.retain(|sealed| sealed.info.received.1 <= until);
        // All are judged by what there is now: what goes first must not change what is kept of the next.
        let fates = self.fates(&due)?;
        let (mut gone, mut shrinking) = (Vec::new(), Vec::new());
        for (sealed, fate) in due.iter().zip(fates) {
            match fate {
                Fate::Goes => gone.push(sealed),
                Fate::Stays => {}
                Fate::Shrinks(kept) => shrinking.push((sealed, kept)),
            }
        }
        self.let_go(&gone)?;
        shrinking.into_iter().try_for_each(|(sealed, kept)| self.shrink(sealed, &kept))
    }

    fn fates(&mut self, parts: &[SealedPart]) -> Result<Vec<Fate>> {
        if self.retention.keep.is_empty() {
            return Ok(parts.iter().map(|_| Fate::Goes).collect());
        }
        let snapshot = self.engine.snapshot();
        parts.iter().map(|sealed| self.fate(&snapshot, sealed)).collect()
    }

    fn fate(&mut self, snapshot: &crate::catalog::Snapshot, sealed: &SealedPart) -> Result<Fate> {
        let in_force: Vec<bool> =
            self.retention.keep.iter().map(|rule| !rule.is_over(sealed.info.received.1, self.now)).collect();
        if !in_force.contains(&true) {
            return Ok(Fate::Goes);
        }
        if self.stayed.get(&sealed.info.id) == Some(&in_force) {
            return Ok(Fate::Stays);
        }
        let rules = self.retention.keep.iter().zip(&in_force).filter(|(_, in_force)| **in_force);
        let rules: Vec<&KeepRule> = rules.map(|(rule, _)| rule).collect();
        let kept = kept_ordinals(snapshot, &sealed.part, &rules)?;
        if kept.is_empty() {
            return Ok(Fate::Goes);
        }
        let live = u64::from(sealed.part.segment.traces()) - sealed.part.deleted.len();
        if kept.len() < live {
            return Ok(Fate::Shrinks(kept));
        }
        self.stayed.insert(sealed.info.id, in_force);
        Ok(Fate::Stays)
    }

    fn by_bytes(&mut self) -> Result<()> {
        let Some(max) = self.retention.max_bytes else { return Ok(()) };
        let usage = self.engine.settled_usage(&self.upkeep)?;
        let mut sealed_all = false;
        if usage.total > max && usage.total - usage.segments > max {
            // Segments alone could not make up for it. Where the disk is too full for that, they first.
            sealed_all = self.engine.seal().is_ok();
        }
        // What others seal from now on is for the next time, or this would never end.
        let mut last = self.newest()?;
        if !self.retention.keep.is_empty() {
            self.demote(max, last)?;
        }
        loop {
            let total = self.engine.settled_usage(&self.upkeep)?.total;
            if total <= max {
                return Ok(());
            }
            let mut oldest = self.engine.sealed_parts(&self.upkeep)?;
            oldest.retain(|sealed| Some(sealed.info.id) <= last);
            if !oldest.is_empty() {
                self.let_go(&enough(&oldest, total - max))?;
            } else if sealed_all {
                return Ok(());
            } else {
                sealed_all = true;
                self.engine.seal()?;
                last = self.newest()?;
            }
        }
    }

    fn newest(&self) -> Result<Option<FileId>> {
        Ok(self.engine.sealed_parts(&self.upkeep)?.iter().map(|sealed| sealed.info.id).max())
    }

    /// Takes what no rule keeps out of the oldest segments, one after the other, until the bytes are met.
    fn demote(&mut self, max: u64, last: Option<FileId>) -> Result<()> {
        let parts = self.engine.sealed_parts(&self.upkeep)?;
        for sealed in parts.iter().filter(|sealed| Some(sealed.info.id) <= last) {
            if self.engine.settled_usage(&self.upkeep)?.total <= max {
                break;
            }
            let snapshot = self.engine.snapshot();
            match self.fate(&snapshot, sealed)? {
                Fate::Goes => self.let_go(&[sealed])?,
                Fate::Stays => {}
                Fate::Shrinks(kept) => self.shrink(sealed, &kept)?,
            }
        }
        Ok(())
    }

    /// Rewrites a segment to these traces. One too damaged for that stays.
    fn shrink(&mut self, sealed: &SealedPart, kept: &TraceSet) -> Result<()> {
        let dropped = TraceSet::all(sealed.part.segment.traces()).and_not(kept);
        let written = match self.engine.shrink_segment(&self.upkeep, sealed.info.id, &dropped) {
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(()),
            written => written?,
        };
        self.summary.segments_rewritten += 1;
        self.summary.rows_removed += written.rows_read - written.rows_written;
        self.summary.bytes_removed += sealed.info.bytes.saturating_sub(written.bytes_written);
        Ok(())
    }

    /// Lets the files of these segments go.
    fn let_go(&mut self, parts: &[&SealedPart]) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        let ids: Vec<FileId> = parts.iter().map(|sealed| sealed.info.id).collect();
        self.engine.remove_segments(&self.upkeep, &ids)?;
        self.summary.segments_removed += parts.len() as u64;
        self.summary.rows_removed += parts.iter().map(|sealed| sealed.info.rows).sum::<u64>();
        self.summary.bytes_removed += parts.iter().map(|sealed| sealed.info.bytes).sum::<u64>();
        Ok(())
    }
}

/// The first of the parts that together have at least so many bytes; all, if these are too few.
fn enough(parts: &[SealedPart], bytes: u64) -> Vec<&SealedPart> {
    let mut sum = 0;
    let short = |sealed: &&SealedPart| {
        let wanted = sum < bytes;
        sum += sealed.info.bytes;
        wanted
    };
    parts.iter().take_while(short).collect()
}

/// Nanoseconds of a duration; more than 584 years count as the longest there is.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
