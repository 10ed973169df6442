//! Where the public data for tests lies.

use std::path::PathBuf;

/// A folder of the public data; `None`, said aloud, if `TAILSPAN_DATA` does not name any.
pub fn public_data(folder: &str) -> Option<PathBuf> {
    match std::env::var_os("TAILSPAN_DATA") {
        Some(root) => Some(PathBuf::from(root).join(folder)),
        None => {
            println!("skipped: {folder} is public data; set TAILSPAN_DATA to the folder that holds it");
            None
        }
    }
}
