//! Slices of plain numbers seen as bytes and back, by bytemuck.
//!
//! The formats are little-endian; a big-endian build would need copies here and is refused.

use bytemuck::{AnyBitPattern, NoUninit, Pod};

use crate::error::{Result, ensure};

#[cfg(target_endian = "big")]
compile_error!("tailspan stores little-endian numbers and maps them in place");

/// The bytes of a slice of plain numbers.
pub fn as_bytes<T: NoUninit>(items: &[T]) -> &[u8] {
    bytemuck::cast_slice(items)
}

/// The bytes of a slice of plain numbers, to be written.
pub fn as_bytes_mut<T: Pod>(items: &mut [T]) -> &mut [u8] {
    bytemuck::cast_slice_mut(items)
}

/// The bytes seen as a slice of `T`, if their length and alignment allow.
pub fn pod_slice<T: AnyBitPattern>(bytes: &[u8]) -> Option<&[T]> {
    bytemuck::try_cast_slice(bytes).ok()
}

/// Copies the bytes into a vector of `T`, whatever their alignment.
///
/// # Errors
/// Corrupt if the length is no multiple of `T`'s size.
pub fn read_pods<T: AnyBitPattern + NoUninit>(bytes: &[u8], what: &str) -> Result<Vec<T>> {
    let size = size_of::<T>();
    ensure(bytes.len().is_multiple_of(size), || {
        format!("{what}: {} bytes are no whole number of {size}-byte items", bytes.len())
    })?;
    Ok(bytemuck::pod_collect_to_vec(bytes))
}

/// Appends a copy of the bytes to a vector of `T`, whatever their alignment.
///
/// # Errors
/// Corrupt if the length is no multiple of `T`'s size.
pub fn extend_pods<T: Pod>(bytes: &[u8], what: &str, out: &mut Vec<T>) -> Result<()> {
    let (size, first) = (size_of::<T>(), out.len());
    ensure(bytes.len().is_multiple_of(size), || {
        format!("{what}: {} bytes are no whole number of {size}-byte items", bytes.len())
    })?;
    out.resize(first + bytes.len() / size, T::zeroed());
    as_bytes_mut(&mut out[first..]).copy_from_slice(bytes);
    Ok(())
}

/// The number whose little-endian bytes these are.
pub fn le_u64(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes)
}

/// The number whose little-endian bytes these are.
pub fn le_u32(bytes: [u8; 4]) -> u32 {
    u32::from_le_bytes(bytes)
}
