//! Lists of names, keys and values narrowed to what a person is typing: by service, window and prefix.
//!
//! A list is exact unless it says that it is not. What can cut it are limits alone: memory for its entries, bytes
//! read of columns in which nothing repeats, a dirty trace too large to be held.

use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::model::TimeRange;

use super::tag::TagScope;
use super::tally::{Selection, Tally};

/// Which entries a list has, and which spans are counted for them. By default all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListFilter {
    /// Spans of this service only.
    pub service: Option<String>,
    /// Spans that start in this window only; one without a start is in none but that of all time.
    pub window: TimeRange,
    /// Entries whose text begins so, byte by byte.
    pub prefix: String,
    /// The first so many entries; 0 for all.
    pub limit: usize,
    /// Attributes that stand there only. Lists of names do not ask.
    pub scope: Option<TagScope>,
}

impl ListFilter {
    /// Everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Spans of this service only.
    #[must_use]
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = Some(service.into());
        self
    }

    /// Spans that start in this window only.
    #[must_use]
    pub fn window(mut self, window: TimeRange) -> Self {
        self.window = window;
        self
    }

    /// Entries whose text begins so.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The first so many entries; 0 for all.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Attributes that stand there only.
    #[must_use]
    pub fn scope(mut self, scope: TagScope) -> Self {
        self.scope = Some(scope);
        self
    }

    pub(super) fn selection(&self) -> Selection<'_> {
        Selection { service: self.service.as_deref(), window: self.window }
    }

    pub(super) fn looks_in(&self, scope: TagScope) -> bool {
        self.scope.is_none_or(|wanted| wanted == scope)
    }

    pub(super) fn begins(&self, text: &str) -> bool {
        text.starts_with(&self.prefix)
    }
}

/// Entries of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed<T> {
    /// The entries, in the order of the list.
    pub items: Vec<T>,
    /// How many more there are past the filter's limit, which makes a list no less complete.
    pub more: u64,
    /// False if a limit of the store cut something: entries may be missing, or have more spans than it says.
    pub complete: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
}

impl<T> Listed<T> {
    /// The first entries of all there are, up to the filter's limit.
    pub(super) fn new(mut items: Vec<T>, filter: &ListFilter, reason: Option<String>) -> Self {
        let limit = if filter.limit == 0 { items.len() } else { filter.limit };
        let more = items.len().saturating_sub(limit) as u64;
        items.truncate(limit);
        Self { items, more, complete: reason.is_none(), reason }
    }

    /// The entries of a complete list.
    ///
    /// # Errors
    /// TooLarge, saying why, if it is not complete.
    pub fn into_complete(self) -> Result<Vec<T>> {
        match self.reason {
            None => Ok(self.items),
            Some(reason) => Err(Error::new(ErrorKind::TooLarge, format!("the list is not complete: {reason}"))),
        }
    }
}

/// What may still be read of columns without a dictionary.
#[derive(Debug)]
pub(super) struct ReadBudget {
    max: usize,
    left: u64,
    exceeded: bool,
}

impl ReadBudget {
    pub(super) fn new(limits: &Limits) -> Self {
        let max = limits.list_read_bytes_max;
        Self { max, left: max as u64, exceeded: false }
    }

    /// True if so many bytes may be read. Once they may not, no more are.
    pub(super) fn has(&mut self, bytes: u64) -> bool {
        self.exceeded |= bytes > self.left;
        !self.exceeded
    }

    /// Takes off what was read.
    pub(super) fn spend(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// Notes in the tally if something was not read.
    pub(super) fn tell(&self, tally: &Tally<'_>) {
        if self.exceeded {
            let max = self.max;
            tally.cut(format!(
                "values that do not repeat take more than {max} bytes to read: the rest is not counted \
                 (Limits::list_read_bytes_max)"
            ));
        }
    }
}
