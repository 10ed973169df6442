//! Where a tail stands, as a text that survives the process.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Stands before every cursor of this kind.
const PREFIX: &str = "t1-";

/// A place in the order in which spans were appended to one store: everything before it was seen.
///
/// Its text (`Display`, `FromStr`) is to be kept and given back as it is. The default is before the oldest
/// span of any store; every other one belongs to the store that gave it out, and to its backups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TailCursor(Option<Place>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    store: u64,
    next: u64,
}

impl TailCursor {
    /// Before the oldest span.
    pub const OLDEST: Self = Self(None);

    pub(super) fn new(store: u64, next: u64) -> Self {
        Self(Some(Place { store, next }))
    }

    /// The next sequence in this store.
    pub(super) fn next_in(self, store: u64) -> Result<u64> {
        match self.0 {
            None => Ok(0),
            Some(place) if place.store == store => Ok(place.next),
            Some(place) => {
                let text = format!("cursor {self} is of store {:016x}, this is store {store:016x}", place.store);
                Err(Error::invalid(format!("{text}; use a cursor of this store, or begin from the oldest span")))
            }
        }
    }
}

impl fmt::Display for TailCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => write!(f, "{PREFIX}0"),
            Some(place) => write!(f, "{PREFIX}{:016x}-{:x}", place.store, place.next),
        }
    }
}

impl FromStr for TailCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::invalid(format!("{text:?} is no cursor; give one back as `tail` printed it"));
        let body = text.strip_prefix(PREFIX).ok_or_else(bad)?;
        let number = |digits: &str| u64::from_str_radix(digits, 16).map_err(|_| bad());
        let cursor = match body.split_once('-') {
            Some((store, next)) => Self::new(number(store)?, number(next)?),
            None => Self::OLDEST,
        };
        // Only the spelling we write: no sign, no other zeros, no capitals.
        if cursor.to_string() == text { Ok(cursor) } else { Err(bad()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_from_its_text() {
        for cursor in [TailCursor::OLDEST, TailCursor::new(7, 0), TailCursor::new(u64::MAX, u64::MAX)] {
            assert_eq!(cursor.to_string().parse::<TailCursor>().unwrap(), cursor);
        }
        assert_eq!(TailCursor::new(7, 26).to_string(), "t1-0000000000000007-1a");
    }

    #[test]
    fn other_texts_are_no_cursors() {
        for text in ["", "t1-", "t1-1", "t2-0", "t1-7-1a", "t1-0000000000000007-1A", "t1-0000000000000007-+1", "1a"] {
            assert!(text.parse::<TailCursor>().unwrap_err().to_string().contains("no cursor"), "{text}");
        }
    }

    #[test]
    fn a_cursor_of_another_store_is_refused_by_name() {
        let error = TailCursor::new(7, 3).next_in(8).unwrap_err().to_string();
        assert!(error.contains("store 0000000000000007") && error.contains("store 0000000000000008"), "{error}");
        assert_eq!(TailCursor::OLDEST.next_in(8).unwrap(), 0);
    }
}
