//! The catalog: which files are live, kept in the manifest.
//!
//! An [`Edit`] is one change, a [`Catalog`] the state after all of them ([`state`], checked by
//! [`invariants`]). [`Manifest`] makes edits durable, [`look`] reads them back, and [`plan`] decides what to
//! do with a store that was found, whatever shape it is in.

mod edit;
mod frame;
mod invariants;
mod load;
mod manifest;
mod recover;
mod snapshot;
mod state;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use edit::{ClockState, Edit, SegmentInfo};
pub use load::{Contents, Found, ManifestDamage, Trust, UNFINISHED_BACKUP, look};
pub use manifest::Manifest;
pub use recover::{Adoption, MissingFile, Plan, plan};
pub use snapshot::{Extent, SegmentPart, Snapshot, TraceIds, fingerprint};

#[cfg(test)]
pub use frame::{FORMAT_VERSION, FRAME_HEADER_BYTES, FRAME_MAGIC, MANIFEST_HEADER_BYTES, MANIFEST_MAGIC};
#[cfg(test)]
pub use load::{MANIFEST, MANIFEST_NEW, MANIFEST_OLD};
