//! How numbers become bytes: the only place for endianness, CRC, zstd and bytemuck.
//!
//! Everything on disk is little-endian. A [`Reader`] never panics and never sizes an allocation by a
//! number it has not compared with the bytes that are there.

mod cast;
mod checksum;
mod compress;
mod reader;
mod varint;
mod words;
mod writer;

pub use cast::{as_bytes, as_bytes_mut, extend_pods, le_u32, le_u64, pod_slice, read_pods};
pub use checksum::{Seed, checksum, hash64};
pub use compress::{compress, decompress_into};
pub use reader::Reader;
pub use varint::{put_varint, varint_len, zigzag_decode, zigzag_encode};
pub use words::{u64_at, u128_at};
pub use writer::Writer;
