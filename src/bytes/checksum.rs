//! CRC-32 with the identity of the unit mixed in, and the one hash that may reach the disk.
//!
//! A checksum covers `store id, file id, offset, bytes`: a page that is intact but stands in the wrong
//! place, the wrong file or another store fails like a damaged one.

/// What is mixed into the checksums of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed {
    /// Random id of the store, from its manifest.
    pub store: u64,
    /// Id of the file in the store.
    pub file: u64,
}

/// The checksum of `bytes` at `offset` of the file that `seed` names.
pub fn checksum(seed: Seed, offset: u64, bytes: &[u8]) -> u32 {
    let mut prefix = [0u8; 24];
    prefix[..8].copy_from_slice(&seed.store.to_le_bytes());
    prefix[8..16].copy_from_slice(&seed.file.to_le_bytes());
    prefix[16..].copy_from_slice(&offset.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&prefix);
    hasher.update(bytes);
    hasher.finalize()
}

/// XXH3 of the bytes: the only hash that may reach the disk.
pub fn hash64(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}
